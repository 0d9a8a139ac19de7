//! Robust statistics on small samples: quantiles, Qn, the Hodges-Lehmann shift and the Mann-Whitney test.
//! Does not know what is measured.

/// The middle value; of an even number, halfway between the two in the middle. Zero of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_sorted(&sorted)
}

fn median_sorted(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The scale Qn of Rousseeuw and Croux (1993): as the standard deviation where the values are normal, and unmoved by nearly half of them
/// being anything. Zero of fewer than two.
pub(crate) fn qn(values: &[f64]) -> f64 {
    let count = values.len();
    if count < 2 {
        return 0.0;
    }
    let mut gaps: Vec<f64> = Vec::with_capacity(count * (count - 1) / 2);
    for (at, one) in values.iter().enumerate() {
        gaps.extend(values[..at].iter().map(|other| (one - other).abs()));
    }
    let half = count / 2 + 1;
    let wanted = half * (half - 1) / 2 - 1;
    let (_, gap, _) = gaps.select_nth_unstable_by(wanted, f64::total_cmp);
    2.2219 * small_sample(count) * *gap
}

/// The factor that makes [`qn`] right on average for few values (Croux and Rousseeuw 1992).
#[allow(clippy::cast_precision_loss)]
fn small_sample(count: usize) -> f64 {
    const FEW: [f64; 8] = [0.399, 0.994, 0.512, 0.844, 0.611, 0.857, 0.669, 0.872];
    match count {
        2..=9 => FEW[count - 2],
        _ if count % 2 == 1 => count as f64 / (count as f64 + 1.4),
        _ => count as f64 / (count as f64 + 3.8),
    }
}

/// By how much one sample lies above another, with an interval that holds it with the confidence that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shift {
    pub(crate) estimate: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The shift of Hodges and Lehmann (1963): the median of all differences between a value of `after` and one of `before`. `z` is the
/// quantile of the normal distribution that belongs to the interval's confidence.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(crate) fn shift(before: &[f64], after: &[f64], z: f64) -> Shift {
    let mut differences: Vec<f64> = after
        .iter()
        .flat_map(|late| before.iter().map(move |early| late - early))
        .collect();
    if differences.is_empty() {
        return Shift {
            estimate: 0.0,
            low: 0.0,
            high: 0.0,
        };
    }
    differences.sort_by(f64::total_cmp);
    let (few, many) = (before.len() as f64, after.len() as f64);
    let spread = (few * many * (few + many + 1.0) / 12.0).sqrt();
    // A negative number of values to leave out at each end becomes none.
    let out = (few * many / 2.0 - z * spread).floor() as usize;
    let last = differences.len() - 1;
    let out = out.min(last / 2);
    Shift {
        estimate: median_sorted(&differences),
        low: differences[out],
        high: differences[last - out],
    }
}

/// How likely values of `after` lie above those of `before` as much as here by chance alone: the one-sided test of Mann and Whitney
/// (1947). Exact for small samples. Equal values count as not above, so ties never make a case.
pub(crate) fn chance_above(before: &[f64], after: &[f64]) -> f64 {
    let (few, many) = (before.len(), after.len());
    if few * many <= 1200 && few.min(many) <= 16 {
        return exact_tail(few, many, pairs_above(before, after));
    }
    normal_tail(score_above(before, after))
}

/// The statistic of that test, as many standard deviations away from what chance makes of it.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn score_above(before: &[f64], after: &[f64]) -> f64 {
    let (few, many) = (before.len() as f64, after.len() as f64);
    let pairs = few * many;
    let spread = (pairs * (few + many + 1.0) / 12.0).sqrt();
    if spread == 0.0 {
        return 0.0;
    }
    (pairs_above(before, after) as f64 - pairs / 2.0 - 0.5) / spread
}

fn pairs_above(before: &[f64], after: &[f64]) -> usize {
    after
        .iter()
        .map(|late| before.iter().filter(|early| late > *early).count())
        .sum()
}

/// Of all ways to mix the two samples, the share in which at least `above` pairs stand that way round.
fn exact_tail(few: usize, many: usize, above: usize) -> f64 {
    let (small, large) = (few.min(many), few.max(many));
    let pairs = small * large;
    // The ways with each number of pairs are the coefficients of the Gaussian binomial; each step takes one more value of the
    // smaller sample into account.
    let mut ways = vec![0.0_f64; pairs + 1];
    ways[0] = 1.0;
    for step in 1..=small {
        let factor = large + step;
        for at in (factor..=pairs).rev() {
            ways[at] -= ways[at - factor];
        }
        for at in step..=pairs {
            ways[at] += ways[at - step];
        }
    }
    let all: f64 = ways.iter().sum();
    let tail: f64 = ways.iter().skip(above).sum();
    (tail / all).clamp(0.0, 1.0)
}

/// By how much noise that comes and goes slowly makes the mean of `window` neighbours less certain than that of strangers, at least 1: the sum
/// of the correlations of ranks at growing distances, weighed as Bartlett (1950) does.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn persistence(values: &[f64], window: usize) -> f64 {
    let count = values.len();
    let reach = window.min(count / 4);
    let ranks: Vec<f64> = values
        .iter()
        .map(|one| {
            let below = values.iter().filter(|other| *other < one).count() as f64;
            let equal = values
                .iter()
                .filter(|other| other.total_cmp(one).is_eq())
                .count() as f64;
            below + equal / 2.0 - count as f64 / 2.0
        })
        .collect();
    let all: f64 = ranks.iter().map(|rank| rank * rank).sum();
    if all <= 0.0 {
        return 1.0;
    }
    let sum: f64 = (1..=reach)
        .map(|apart| {
            let together: f64 = ranks
                .iter()
                .zip(&ranks[apart..])
                .map(|(one, other)| one * other)
                .sum();
            // A sample knows its own middle, so its correlations come out too low by about this.
            let correlation = together / all + (count - apart) as f64 / (count * count) as f64;
            (1.0 - apart as f64 / (reach + 1) as f64) * correlation
        })
        .sum();
    (1.0 + 2.0 * sum).max(1.0)
}

/// How much the values rise from one to the next, by Theil (1950) and Sen (1968): the median slope between any two. With it its
/// standard deviation, when the values scatter by `noise` around the line.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn slope(values: &[f64], noise: f64) -> (f64, f64) {
    let mut slopes = Vec::with_capacity(values.len() * values.len() / 2);
    for (at, late) in values.iter().enumerate() {
        slopes.extend(
            values[..at]
                .iter()
                .enumerate()
                .map(|(from, early)| (late - early) / (at - from) as f64),
        );
    }
    let count = values.len() as f64;
    (
        median(&slopes),
        noise * (12.0 / (count * (count * count - 1.0)).max(1.0)).sqrt(),
    )
}

/// The chance of a standard normal value above `z`: the continued fraction of its tail, or the series near the middle.
pub(crate) fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z > 3.0 {
        let mut fraction = z;
        for step in (1..=60).rev() {
            fraction = z + f64::from(step) / fraction;
        }
        return density / fraction;
    }
    let (mut term, mut sum) = (z, z);
    for step in 1..=60 {
        term *= z * z / f64::from(2 * step + 1);
        sum += term;
    }
    (0.5 - density * sum).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-4, "{left} is not {right}");
    }

    #[test]
    fn medians() {
        near(median(&[]), 0.0);
        near(median(&[3.0, 1.0, 2.0]), 2.0);
        near(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_normal_tail_is_that_of_tables() {
        for (z, tail) in [
            (0.0, 0.5),
            (1.0, 0.158_655),
            (1.96, 0.024_998),
            (-1.0, 0.841_345),
            (3.5, 0.000_233),
        ] {
            near(normal_tail(z), tail);
        }
        assert!((normal_tail(2.999_999) - normal_tail(3.000_001)).abs() < 1e-7);
    }

    /// All ways to choose which of the values belong to `after`, tried in turn.
    fn naive_tail(few: usize, many: usize, above: usize) -> f64 {
        let (mut tail, mut all) = (0_u32, 0_u32);
        for choice in 0_u32..1 << (few + many) {
            if choice.count_ones() as usize != many {
                continue;
            }
            let pairs: u32 = (0..few + many)
                .filter(|at| choice >> at & 1 == 1)
                .map(|at| (!choice & ((1 << at) - 1)).count_ones())
                .sum();
            all += 1;
            tail += u32::from(pairs as usize >= above);
        }
        f64::from(tail) / f64::from(all)
    }

    #[test]
    fn the_exact_test_agrees_with_trying_all_ways() {
        for (few, many) in [(1, 1), (3, 2), (2, 5), (5, 5), (6, 4)] {
            for above in 0..=few * many {
                near(exact_tail(few, many, above), naive_tail(few, many, above));
            }
        }
    }

    #[test]
    fn the_exact_test_and_its_limit_meet() {
        let before: Vec<f64> = (0..60).map(f64::from).collect();
        let after: Vec<f64> = (0..20).map(|at| f64::from(at) * 3.0 + 12.5).collect();
        let above = pairs_above(&before, &after);
        assert!((exact_tail(60, 20, above) - chance_above(&before, &after)).abs() < 1e-3);
    }

    #[test]
    fn equal_samples_make_no_case() {
        near(chance_above(&[1.0; 9], &[1.0; 9]), 1.0);
        near(chance_above(&[], &[1.0]), 1.0);
        let shift = shift(&[1.0; 9], &[1.0; 9], 1.96);
        near(shift.estimate, 0.0);
        near(shift.low, 0.0);
        near(shift.high, 0.0);
    }

    #[test]
    fn the_shift_ignores_a_wild_value() {
        let before = [1.0, 2.0, 3.0, 4.0, 5.0];
        let after = [2.0, 3.0, 4.0, 5.0, 600.0];
        let shift = shift(&before, &after, 1.96);
        near(shift.estimate, 1.0);
        assert!(shift.low <= shift.estimate && shift.estimate <= shift.high);
    }

    #[test]
    fn qn_is_a_standard_deviation_that_a_wild_value_does_not_move() {
        // Quantiles of the standard normal distribution at (k - 0.5) / 20.
        let half = [
            0.063, 0.189, 0.319, 0.454, 0.598, 0.755, 0.935, 1.150, 1.440, 1.960,
        ];
        let mut values: Vec<f64> = half.iter().flat_map(|value| [*value, -*value]).collect();
        assert!((qn(&values) - 1.0).abs() < 0.15, "{}", qn(&values));
        values[19] = 1e9;
        assert!((qn(&values) - 1.0).abs() < 0.25, "{}", qn(&values));
        near(qn(&[7.0]), 0.0);
        near(qn(&[7.0; 12]), 0.0);
    }
}
