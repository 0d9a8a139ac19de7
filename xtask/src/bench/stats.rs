//! By how much two series of costs differ: an estimate of the ratio, with an interval that does not suppose how noise is distributed.
//! It does not know what the numbers are.
//!
//! Logarithms of the costs are compared, so that a difference is a ratio.
//!
//! - **Paired**, where both were measured in turns: the estimate is that of Hodges and Lehmann, the median of the means of all pairs
//!   of differences (Walsh averages); the interval lies between two of these means, chosen by the exact distribution of Wilcoxon's
//!   signed rank statistic (Hollander, Wolfe, Chicken, *Nonparametric Statistical Methods*, 3rd edition, 3.2 and 3.3; after Tukey).
//!   What slowed both of a pair falls out.
//! - **Unpaired**, where one series is of another day: the median of all differences between one of each, and an interval by the
//!   distribution of Mann and Whitney's U (the same, 4.2 and 4.3; after Moses). What slowed one day does not fall out.

use serde::{Deserialize, Serialize};

/// The new costs over the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The middle.
    pub(crate) estimate: f64,
    /// Where the interval begins.
    pub(crate) low: f64,
    /// Where it ends.
    pub(crate) high: f64,
    /// How often such an interval holds the true ratio: as near to 0.95 from above as the number of runs allows, and below it where
    /// there are too few for that.
    pub(crate) confidence: f64,
}

/// How sure an interval should be.
const WANTED: f64 = 0.95;

/// An interval that is less sure shows nothing.
pub(crate) const LEAST_CONFIDENCE: f64 = 0.9;

/// Beyond so many runs a distribution is near enough to the normal one.
const EXACT: usize = 50;

/// The ratio of series that were measured in turns: `old[i]` beside `new[i]`. `None` without runs, or where a cost is not above zero.
pub(crate) fn paired(old: &[f64], new: &[f64]) -> Option<Ratio> {
    let (old, new) = (logarithms(old)?, logarithms(new)?);
    let shifts: Vec<f64> = old.iter().zip(&new).map(|(old, new)| new - old).collect();
    let means = shifts.iter().enumerate().flat_map(|(at, one)| {
        let others = &shifts[at..];
        others.iter().map(move |other| f64::midpoint(*one, *other))
    });
    let runs = shifts.len();
    between(means.collect(), |steps| below_signed_rank(runs, steps))
}

/// The ratio of series that were measured apart. `None` without runs, or where a cost is not above zero.
pub(crate) fn unpaired(old: &[f64], new: &[f64]) -> Option<Ratio> {
    let (old, new) = (logarithms(old)?, logarithms(new)?);
    let shifts = new
        .iter()
        .flat_map(|new| old.iter().map(move |old| new - old));
    between(shifts.collect(), |steps| {
        below_mann_whitney(old.len(), new.len(), steps)
    })
}

fn logarithms(costs: &[f64]) -> Option<Vec<f64>> {
    let fine = costs.iter().all(|cost| cost.is_finite() && *cost > 0.0);
    fine.then(|| costs.iter().map(|cost| cost.ln()).collect())
}

/// The middle of the shifts, and an interval that leaves out as many at either end as the statistic allows. `below` is
/// the chance that the statistic is less than so many.
fn between(mut shifts: Vec<f64>, below: impl Fn(usize) -> f64) -> Option<Ratio> {
    if shifts.is_empty() {
        return None;
    }
    shifts.sort_by(f64::total_cmp);
    let half = shifts.len() / 2;
    let mut left_out = 0;
    while left_out + 1 < half && 2.0 * below(left_out + 2) <= 1.0 - WANTED {
        left_out += 1;
    }
    let middle = if shifts.len() % 2 == 1 {
        shifts[half]
    } else {
        f64::midpoint(shifts[half - 1], shifts[half])
    };
    Some(Ratio {
        estimate: middle.exp(),
        low: shifts[left_out].exp(),
        high: shifts[shifts.len() - 1 - left_out].exp(),
        confidence: (1.0 - 2.0 * below(left_out + 1)).max(0.0),
    })
}

/// The chance that the signed rank statistic of so many runs is below `bound`, if nothing differs.
// Counts below are exact as long as the distribution is.
#[allow(clippy::cast_precision_loss)]
fn below_signed_rank(runs: usize, bound: usize) -> f64 {
    let n = runs as f64;
    if runs > EXACT {
        let (mean, variance) = (n * (n + 1.0) / 4.0, n * (n + 1.0) * (2.0 * n + 1.0) / 24.0);
        return normal((bound as f64 - 0.5 - mean) / variance.sqrt());
    }
    // How many sets of ranks have which sum; only small sums are wanted.
    let mut ways = vec![0.0_f64; bound.max(1)];
    ways[0] = 1.0;
    for rank in 1..=runs {
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    ways[..bound].iter().sum::<f64>() / n.exp2()
}

/// The chance that the U statistic of so many runs of each is below `bound`, if nothing differs.
// As above.
#[allow(clippy::cast_precision_loss)]
fn below_mann_whitney(old: usize, new: usize, bound: usize) -> f64 {
    let (m, n) = (old as f64, new as f64);
    if old + new > 2 * EXACT {
        let (mean, variance) = (m * n / 2.0, m * n * (m + n + 1.0) / 12.0);
        return normal((bound as f64 - 0.5 - mean) / variance.sqrt());
    }
    // The coefficients of a Gaussian binomial: a factor 1 - q^(new + i) and a divisor 1 - q^i for each i. Every intermediate
    // result is a whole number below 2^101.
    let mut ways = vec![0_i128; bound.max(1)];
    ways[0] = 1;
    for i in 1..=old {
        for sum in (new + i..ways.len()).rev() {
            ways[sum] -= ways[sum - new - i];
        }
        for sum in i..ways.len() {
            ways[sum] += ways[sum - i];
        }
    }
    let all: f64 = (1..=old).map(|i| (n + i as f64) / i as f64).product();
    ways[..bound].iter().map(|ways| *ways as f64).sum::<f64>() / all
}

/// The normal distribution function, to about seven digits (Abramowitz and Stegun, 7.1.26).
fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ]
    .into_iter()
    .fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = polynomial * (-x * x).exp() / 2.0;
    if z < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn distributions_are_those_of_the_tables() {
        // Wilcoxon's for 5 and 10 runs, Mann and Whitney's for 4 and 5: counted by hand or taken from tables.
        close(below_signed_rank(5, 1), 1.0 / 32.0);
        close(below_signed_rank(5, 4), 5.0 / 32.0);
        close(below_signed_rank(10, 9), 0.024_414_062_5);
        close(below_signed_rank(3, 7), 1.0);
        close(below_mann_whitney(4, 5, 1), 1.0 / 126.0);
        close(below_mann_whitney(4, 5, 2), 2.0 / 126.0);
        close(below_mann_whitney(4, 5, 3), 4.0 / 126.0);
        close(below_mann_whitney(4, 5, 21), 1.0);
        close(normal(-1.959_964), 0.025);
        assert!((below_signed_rank(EXACT, 434) - below_signed_rank(EXACT + 1, 459)).abs() < 0.004);
    }

    #[test]
    fn a_known_ratio_is_found_whatever_both_suffered() {
        let old = [1.0, 3.0, 1.1, 9.0, 1.2, 1.0];
        let new = old.map(|cost| cost * 1.25);
        let ratio = paired(&old, &new).unwrap();
        close(ratio.estimate, 1.25);
        close(ratio.low, 1.25);
        close(ratio.high, 1.25);
        close(ratio.confidence, 1.0 - 2.0 / 64.0);
        // The same, taken apart, shows nothing.
        let ratio = unpaired(&old, &new).unwrap();
        assert!(ratio.low < 1.0 && ratio.high > 1.0, "{ratio:?}");
    }

    #[test]
    fn few_runs_make_no_sure_interval_and_none_make_none() {
        assert!(paired(&[1.0; 4], &[2.0; 4]).unwrap().confidence < LEAST_CONFIDENCE);
        assert!(paired(&[1.0; 5], &[2.0; 5]).unwrap().confidence > LEAST_CONFIDENCE);
        assert!(unpaired(&[1.0; 3], &[2.0; 3]).unwrap().confidence <= LEAST_CONFIDENCE);
        assert!(unpaired(&[1.0; 5], &[2.0; 5]).unwrap().confidence > LEAST_CONFIDENCE);
        let one = paired(&[1.0], &[2.0]).unwrap();
        close(one.estimate, 2.0);
        assert!(one.confidence < 0.1);
        assert_eq!(paired(&[], &[]), None);
        assert_eq!(paired(&[0.0], &[1.0]), None);
        assert_eq!(unpaired(&[1.0], &[f64::NAN]), None);
    }

    /// A number between 0 and 1.
    #[allow(clippy::cast_precision_loss)]
    fn unit(random: &mut Random) -> f64 {
        (random.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// What disturbs a run: a few percent always, and now and then a lot.
    fn noise(random: &mut Random) -> f64 {
        let often = 0.04 * (unit(random) + unit(random) + unit(random) - 1.5);
        let seldom = if random.below(12) == 0 {
            0.5 * unit(random)
        } else {
            0.0
        };
        often + seldom
    }

    /// How often the interval holds the true ratio, and how often its lower end lies above 1, of `TRIALS`.
    fn coverage(
        purpose: u64,
        truth: f64,
        drift: f64,
        judge: fn(&[f64], &[f64]) -> Option<Ratio>,
    ) -> (usize, usize) {
        let mut random = Random::new(11, purpose);
        let (mut held, mut above) = (0, 0);
        for _ in 0..TRIALS {
            let (mut old, mut new, mut load) = (Vec::new(), Vec::new(), 0.0);
            for _ in 0..10 {
                load += drift * (unit(&mut random) - 0.5);
                old.push((load + noise(&mut random)).exp());
                new.push(truth * (load + noise(&mut random)).exp());
            }
            let ratio = judge(&old, &new).unwrap();
            held += usize::from(ratio.low <= truth && truth <= ratio.high);
            above += usize::from(ratio.low > 1.0);
        }
        (held, above)
    }

    const TRIALS: usize = 2000;

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        for (purpose, truth, drift) in [(1, 1.0, 0.0), (2, 1.0, 0.3), (3, 1.1, 0.3)] {
            let (held, _) = coverage(purpose, truth, drift, paired);
            assert!(
                held * 100 >= TRIALS * 93,
                "paired, {truth}, {drift}: {held}"
            );
            assert!(
                held * 100 <= TRIALS * 99,
                "paired, {truth}, {drift}: {held}"
            );
        }
        for (purpose, truth) in [(4, 1.0), (5, 1.1)] {
            let (held, _) = coverage(purpose, truth, 0.0, unpaired);
            assert!(held * 100 >= TRIALS * 93, "unpaired, {truth}: {held}");
        }
    }

    #[test]
    fn a_slowdown_is_seen_through_drift_and_none_is_seen_where_there_is_none() {
        let (_, seen) = coverage(6, 1.15, 0.3, paired);
        assert!(seen * 100 >= TRIALS * 70, "{seen}");
        let (_, seen) = coverage(7, 1.0, 0.3, paired);
        assert!(seen * 100 <= TRIALS * 4, "{seen}");
    }
}
