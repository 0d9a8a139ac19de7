//! The targets, as ratios between rows of one session, and whether they are reached.
//! It does not know how anything is shown.

use super::chunks;
use super::measure::Cost;
use super::results::{Results, Row};

/// One target against what was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// What is compared with what.
    pub(crate) what: &'static str,
    /// The most it may be.
    pub(crate) bound: f64,
    /// What it is; `None` when a part of it was not measured.
    pub(crate) found: Option<f64>,
}

impl Verdict {
    /// In one word.
    pub(crate) fn word(&self) -> &'static str {
        match self.found {
            None => "not measured",
            Some(found) if found <= self.bound => "reached",
            Some(_) => "missed",
        }
    }
}

/// All targets. Times are minima: what disturbs a run only ever adds to it.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut all = idle(results);
    all.extend(sessions(results));
    all.extend(work(results));
    all.extend(means(results));
    if results.fixture == chunks::NAME {
        let [edited, cold] =
            ["edit5", "cold"].map(|scenario| least(results, scenario, LARDER, WALL));
        all.push(ratio("edit5 / cold", 0.35, edited, cold));
        // Most of the others are about one task a project.
        all.retain(|verdict| verdict.found.is_some());
    }
    all
}

type Figure = fn(&Cost) -> f64;

const WALL: Figure = |cost| cost.wall;
const CPU: Figure = |cost| cost.cpu;
const LARDER: &str = "larder";

/// Nothing to do, each time from nothing.
fn idle(results: &Results) -> Vec<Verdict> {
    let noop = least(results, "noop", LARDER, WALL);
    let hits = results.row("noop", LARDER).and_then(|row| row.hit_ratio);
    vec![
        ratio(
            "noop / ninja",
            1.0,
            noop,
            least(results, "noop", "ninja", WALL),
        ),
        ratio(
            "noop / turborepo",
            0.05,
            noop,
            least(results, "noop", "turborepo", WALL),
        ),
        absolute(
            "noop tasks not found, share",
            0.0,
            hits.map(|hits| 1.0 - hits),
        ),
    ]
}

/// With what is kept in memory from run to run.
fn sessions(results: &Results) -> Vec<Verdict> {
    let quiet = least(results, "session-noop", LARDER, WALL);
    let row = results.row("session-noop", LARDER);
    let daemon = row.and_then(|row| row.daemon);
    let watch = results.row("watch-latency", LARDER);
    let warm = |figure| least(results, "warm", LARDER, figure);
    vec![
        ratio(
            "session-noop / turborepo noop",
            0.05,
            quiet,
            least(results, "noop", "turborepo", WALL),
        ),
        ratio(
            "session-noop / ninja noop",
            0.1,
            quiet,
            least(results, "noop", "ninja", WALL),
        ),
        absolute("session-noop, ms", 10.0, quiet.map(|wall| wall * 1000.0)),
        absolute(
            "session memory, MiB",
            150.0,
            daemon.map(|daemon| in_mebibytes(daemon.peak)),
        ),
        absolute(
            "session idle CPU, s",
            0.0,
            daemon.map(|daemon| daemon.idle_cpu),
        ),
        ratio(
            "warm / cold",
            0.1,
            warm(WALL),
            least(results, "cold", LARDER, WALL),
        ),
        ratio(
            "warm CPU / first run's, no memo",
            0.6,
            warm(CPU),
            least(results, "warm", "first, no memo", CPU),
        ),
        absolute(
            "watch-latency median, ms",
            50.0,
            watch.map(|row| row.median(WALL) * 1000.0),
        ),
    ]
}

/// Something to do, beside programs that do a part of it.
fn work(results: &Results) -> Vec<Verdict> {
    let [noop, touch, digest, restore, cold] = ["noop", "touch", "digest", "restore", "cold"]
        .map(|scenario| least(results, scenario, LARDER, WALL));
    let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    let difference = |a: Option<f64>, b: Option<f64>| Some(a? - b?);
    vec![
        ratio(
            "touch / (noop + b3sum)",
            1.2,
            touch,
            sum(noop, reference(results, "touch", "(b3sum", WALL)),
        ),
        ratio(
            "digest / b3sum",
            1.1,
            digest,
            reference(results, "digest", "(b3sum", WALL),
        ),
        ratio(
            "(restore - noop) / (zstd | tar x)",
            1.0,
            difference(restore, noop),
            reference(results, "restore", "(zstd", WALL),
        ),
        ratio(
            "cold / ninja",
            1.15,
            cold,
            least(results, "cold", "ninja", WALL),
        ),
        ratio(
            "cold own CPU / (b3sum + tar | zstd)",
            1.2,
            least(results, "cold", LARDER, |cost| cost.own_cpu),
            sum(
                reference(results, "cold", "(b3sum", CPU),
                reference(results, "cold", "(tar", CPU),
            ),
        ),
    ]
}

/// Memory and files.
// Files of state are few.
#[allow(clippy::cast_precision_loss)]
fn means(results: &Results) -> Vec<Verdict> {
    let noop = results.row("noop", LARDER);
    let files = noop.and_then(|row| row.state_files);
    vec![
        absolute("noop peak memory, MiB", 100.0, noop.map(mebibytes)),
        absolute(
            "noop state files written",
            1.0,
            files.map(|files| files as f64),
        ),
    ]
}

fn least(results: &Results, scenario: &str, who: &str, figure: Figure) -> Option<f64> {
    results.row(scenario, who).map(|row| row.least(figure))
}

fn reference(results: &Results, scenario: &str, prefix: &str, figure: Figure) -> Option<f64> {
    let row = results.rows.iter().find(|row| {
        row.scenario == scenario && row.who.starts_with(prefix) && !row.runs.is_empty()
    });
    row.map(|row| row.least(figure))
}

fn ratio(what: &'static str, bound: f64, of: Option<f64>, to: Option<f64>) -> Verdict {
    absolute(what, bound, of.zip(to).map(|(of, to)| of / to))
}

fn absolute(what: &'static str, bound: f64, found: Option<f64>) -> Verdict {
    Verdict { what, bound, found }
}

/// Peak memory of a row in MiB.
pub(crate) fn mebibytes(row: &Row) -> f64 {
    in_mebibytes(row.peak())
}

// Memory is far below the 2^52 bytes that are exact.
#[allow(clippy::cast_precision_loss)]
fn in_mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::daemon::Daemon;
    use super::*;

    fn row(scenario: &str, who: &str, wall: f64, own_cpu: f64) -> Row {
        let run = Cost {
            wall,
            cpu: wall,
            own_cpu,
            peak: 50 << 20,
            ..Cost::default()
        };
        Row {
            scenario: scenario.to_owned(),
            who: who.to_owned(),
            runs: vec![run],
            state_files: Some(2),
            hit_ratio: Some(0.75),
            daemon: Some(Daemon {
                peak: 40 << 20,
                idle_cpu: 0.01,
                watched: 5.0,
            }),
            ..Row::default()
        }
    }

    #[test]
    fn targets_are_ratios_of_rows() {
        let mut results = Results {
            fixture: "large".to_owned(),
            rows: vec![
                row("noop", "larder", 0.1, 0.0),
                row("noop", "ninja", 0.2, 0.0),
                row("session-noop", "larder", 0.03, 0.0),
                row("warm", "larder", 0.05, 0.0),
                row("warm", "first, no memo", 0.2, 0.0),
                row("watch-latency", "larder", 0.025, 0.0),
                row("touch", "larder", 0.6, 0.0),
                row("touch", "(b3sum)", 0.4, 0.0),
                row("restore", "larder", 0.5, 0.0),
                row("restore", "(zstd | tar x)", 0.2, 0.0),
                row("cold", "larder", 5.0, 3.0),
                row("cold", "(b3sum)", 1.0, 0.0),
                row("cold", "(tar | zstd -3)", 2.0, 0.0),
            ],
            ..Results::default()
        };
        let found = verdicts(&results);
        let words: Vec<_> = found
            .iter()
            .filter(|verdict| verdict.found.is_some())
            .map(|v| format!("{}: {:.2} {}", v.what, v.found.unwrap_or(-1.0), v.word()))
            .collect();
        assert_eq!(
            words,
            [
                "noop / ninja: 0.50 reached",
                "noop tasks not found, share: 0.25 missed",
                "session-noop / ninja noop: 0.15 missed",
                "session-noop, ms: 30.00 missed",
                "session memory, MiB: 40.00 reached",
                "session idle CPU, s: 0.01 missed",
                "warm / cold: 0.01 reached",
                "warm CPU / first run's, no memo: 0.25 reached",
                "watch-latency median, ms: 25.00 reached",
                "touch / (noop + b3sum): 1.20 reached",
                "(restore - noop) / (zstd | tar x): 2.00 missed",
                "cold own CPU / (b3sum + tar | zstd): 1.00 reached",
                "noop peak memory, MiB: 50.00 reached",
                "noop state files written: 2.00 missed",
            ]
        );
        let digest = found.iter().find(|one| one.what == "digest / b3sum");
        assert_eq!(digest.map(Verdict::word), Some("not measured"));
        assert!(found.iter().all(|one| one.what != "edit5 / cold"));
        results.fixture = chunks::NAME.to_owned();
        results.rows.push(row("edit5", "larder", 2.0, 0.0));
        let found = verdicts(&results);
        let last = found.last().map(|one| (one.what, one.word()));
        assert_eq!(last, Some(("edit5 / cold", "missed")));
    }
}
