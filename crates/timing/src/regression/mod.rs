//! Tells whether a task or a phase has become slower than its own noise explains.
//! Does not know why it did, or where the durations come from.
//!
//! All is done on logarithms, since noise is a share of a duration and a change is a factor. The change is the shift of Hodges and
//! Lehmann (*Estimates of location based on rank tests*, Annals of Mathematical Statistics 34, 1963). It counts when two
//! things hold. First, chance alone explains the order of the durations too seldom: the test of Mann and Whitney (*On a
//! test of whether one of two random variables is stochastically larger than the other*, same Annals 18, 1947). Second, it exceeds the
//! noise band: a multiple of the standard deviation that such a shift has, told from the scale Qn (Rousseeuw and Croux,
//! *Alternatives to the median absolute deviation*, Journal of the American Statistical Association 88, 1993), widened where noise
//! persists from run to run or the earlier durations had a trend.

pub(crate) mod stats;

use serde::{Deserialize, Serialize};

use crate::{RunRow, TaskRow};

/// What it takes to call a difference one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// How many earlier durations are needed at least.
    pub least_before: usize,
    /// How many later durations are needed at least; with fewer than 3 no order of them is unlikely enough.
    pub least_after: usize,
    /// How often chance alone may look like a difference, in each direction: 0.005 is once in two hundred checks.
    pub false_alarms: f64,
    /// How many times the noise of the difference a difference has to be.
    pub band: f64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            least_before: 10,
            least_after: 5,
            false_alarms: 0.005,
            band: 3.0,
        }
    }
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It takes longer than before, beyond the noise.
    Slower,
    /// It takes less time than before, beyond the noise.
    Faster,
    /// No difference that the noise could not explain.
    Same,
    /// Too few durations to say anything.
    TooFew,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// How many durations there are.
    pub samples: usize,
    /// Their median, in nanoseconds.
    pub median_ns: u64,
    /// How far they scatter, as a share: 0.02 when most lie within 2 % of the median.
    pub noise: f64,
}

/// Two sets of durations of the same thing beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The earlier durations that were compared.
    pub before: Level,
    /// The later ones.
    pub after: Level,
    /// The change as a share: 0.05 is five percent longer.
    pub change: f64,
    /// The least change that the durations agree with, with 95 % confidence.
    pub low: f64,
    /// The greatest change that they agree with, with 95 % confidence.
    pub high: f64,
    /// The noise band: a change up to this, as a share, is none.
    pub band: f64,
    /// How likely the later durations would lie as far off as they do, in their direction, were there no difference.
    pub chance: f64,
    /// What it comes to.
    pub verdict: Verdict,
}

impl Comparison {
    /// Whether it has become slower by more than `share`, such as 0.05, and beyond the noise.
    pub fn is_slower_by(&self, share: f64) -> bool {
        self.verdict == Verdict::Slower && self.change > share
    }

    /// How sure it is that there is a difference in this direction, from 0 to 1.
    pub fn confidence(&self) -> f64 {
        1.0 - self.chance
    }
}

/// The durations that tell how long a task takes on `host`, oldest first, from its rows newest first, as the history gives them:
/// executions that succeeded. What a cache spared or a failure cut short is left out.
pub fn measures(rows: &[(RunRow, TaskRow)], host: &str) -> Vec<u64> {
    rows.iter()
        .rev()
        .filter(|(run, task)| run.host == host && task.is_measure())
        .map(|(_, task)| task.duration_ns)
        .collect()
}

/// The durations of a phase on `host`, oldest first, from runs newest first. A phase that stands in a run twice counts with its sum.
pub fn phase_measures(runs: &[RunRow], phase: &str, host: &str) -> Vec<u64> {
    runs.iter()
        .rev()
        .filter(|run| run.host == host && run.exit_code == 0)
        .filter_map(|run| {
            let found = run.phases.iter().filter(|found| found.name == phase);
            found
                .map(|found| found.duration_ns)
                .reduce(u64::saturating_add)
        })
        .collect()
}

/// Compares the last `recent` durations of a series, oldest first, with the level that it had before them.
///
/// When the earlier durations already moved from one level to another, only the later level counts: a change that was accepted once
/// is not reported for ever, and does not hide the next.
pub fn check(series: &[u64], recent: usize, rule: &Rule) -> Comparison {
    let (earlier, after) = series.split_at(series.len().saturating_sub(recent));
    let before = steady(earlier, rule.least_before);
    let (old, new) = (logs(before), logs(after));
    let band = band_in_time(&old, &new, rule.band);
    judge((before, &old), (after, &new), band, rule)
}

/// Compares two sets of durations of the same thing, each in the order in which they were measured.
pub fn compare(before: &[u64], after: &[u64], rule: &Rule) -> Comparison {
    let (old, new) = (logs(before), logs(after));
    let band = rule.band * noise_of_shift(&old, &new);
    judge((before, &old), (after, &new), band, rule)
}

fn judge(
    (before, old): (&[u64], &[f64]),
    (after, new): (&[u64], &[f64]),
    band: f64,
    rule: &Rule,
) -> Comparison {
    let shift = stats::shift(old, new, Z95);
    let slower = shift.estimate >= 0.0;
    let chance = if slower {
        stats::chance_above(old, new)
    } else {
        stats::chance_above(new, old)
    };
    let enough = before.len() >= rule.least_before && after.len() >= rule.least_after;
    let verdict = match () {
        () if !enough => Verdict::TooFew,
        () if shift.estimate.abs() <= band || chance > rule.false_alarms => Verdict::Same,
        () if slower => Verdict::Slower,
        () => Verdict::Faster,
    };
    Comparison {
        before: level(before, old),
        after: level(after, new),
        change: shift.estimate.exp_m1(),
        low: shift.low.exp_m1(),
        high: shift.high.exp_m1(),
        band: band.exp_m1(),
        chance,
        verdict,
    }
}

/// The quantile of the normal distribution for 95 %.
const Z95: f64 = 1.959_964;

/// Logarithms, since noise is a share of the duration and a change is a factor.
#[allow(clippy::cast_precision_loss)]
fn logs(durations: &[u64]) -> Vec<f64> {
    durations
        .iter()
        .map(|ns| ((*ns).max(1) as f64).ln())
        .collect()
}

fn level(durations: &[u64], logs: &[f64]) -> Level {
    Level {
        samples: durations.len(),
        median_ns: crate::estimate::median(durations),
        noise: stats::qn(logs).exp_m1(),
    }
}

/// The standard deviation that the shift between two such samples has by noise alone. Noise that comes and goes slowly counts for
/// more: neighbours say the same thing twice.
#[allow(clippy::cast_precision_loss)]
fn noise_of_shift(before: &[f64], after: &[f64]) -> f64 {
    let (few, many) = (before.len() as f64, after.len() as f64);
    if before.is_empty() || after.is_empty() {
        return 0.0;
    }
    let (old, new) = (stats::qn(before), stats::qn(after));
    let noise = ((few * old * old + many * new * new) / (few + many)).sqrt();
    noise
        * (std::f64::consts::FRAC_PI_3
            * (1.0 / few + 1.0 / many)
            * stats::persistence(before, after.len()))
        .sqrt()
}

/// The noise band where the later durations follow the earlier ones in time: a trend that the earlier ones had may have gone on.
#[allow(clippy::cast_precision_loss)]
fn band_in_time(before: &[f64], after: &[f64], times: f64) -> f64 {
    let noise = noise_of_shift(before, after);
    let (slope, unsure) = stats::slope(before, stats::qn(before));
    let shift = stats::shift(before, after, Z95).estimate;
    if slope.abs() <= TREND * unsure || slope * shift < 0.0 {
        return times * noise;
    }
    let apart = (before.len() + after.len()) as f64 / 2.0;
    (slope * apart).abs() + times * noise.hypot(unsure * apart)
}

/// A trend counts when it is this many times as steep as chance makes one.
const TREND: f64 = 1.5;

/// The durations after the last change of level, if there was one and at least `least` are left.
fn steady(series: &[u64], least: usize) -> &[u64] {
    const SIDE: usize = 6;
    let logs = logs(series);
    let mut best = (CERTAIN, 0);
    for split in SIDE..(series.len() + 1).saturating_sub(SIDE.max(least)) {
        let (early, late) = logs.split_at(split);
        let score = stats::score_above(early, late).max(stats::score_above(late, early));
        if score > best.0 {
            best = (score, split);
        }
    }
    &series[best.1..]
}

/// A level changed within the earlier durations only when they stand this many standard deviations apart: many splits are tried.
const CERTAIN: f64 = 3.5;
