//! The targets, as ratios between rows of one session, and whether they are reached.
//! It does not know how anything is shown.

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
// Counts of files are small.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    let least = |scenario: &str, who: &str, figure: fn(&Cost) -> f64| {
        results.row(scenario, who).map(|row| row.least(figure))
    };
    let reference = |scenario: &str, prefix: &str, figure: fn(&Cost) -> f64| {
        let row = results.rows.iter().find(|row| {
            row.scenario == scenario && row.who.starts_with(prefix) && !row.runs.is_empty()
        });
        row.map(|row| row.least(figure))
    };
    let wall: fn(&Cost) -> f64 = |cost| cost.wall;
    let cpu: fn(&Cost) -> f64 = |cost| cost.cpu;
    let own: fn(&Cost) -> f64 = |cost| cost.own_cpu;
    let noop = least("noop", "larder", wall);
    let noop_row = results.row("noop", "larder");
    let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    let less = |a: Option<f64>, b: Option<f64>| Some(a? - b?);
    let verdict = |what, bound, of: Option<f64>, to: Option<f64>| Verdict {
        what,
        bound,
        found: of.zip(to).map(|(of, to)| of / to),
    };
    vec![
        verdict("noop / ninja", 1.0, noop, least("noop", "ninja", wall)),
        verdict(
            "noop / turborepo",
            0.05,
            noop,
            least("noop", "turborepo", wall),
        ),
        verdict(
            "session / turborepo noop",
            0.05,
            least("session", "larder", wall),
            least("noop", "turborepo", wall),
        ),
        verdict(
            "session, ms",
            10.0,
            least("session", "larder", wall).map(|wall| wall * 1000.0),
            Some(1.0),
        ),
        verdict(
            "touch / (noop + b3sum)",
            1.2,
            least("touch", "larder", wall),
            both(noop, reference("touch", "(b3sum", wall)),
        ),
        verdict(
            "digest / b3sum",
            1.1,
            least("digest", "larder", wall),
            reference("digest", "(b3sum", wall),
        ),
        verdict(
            "(restore - noop) / (zstd | tar x)",
            1.0,
            less(least("restore", "larder", wall), noop),
            reference("restore", "(zstd", wall),
        ),
        verdict(
            "cold / ninja",
            1.15,
            least("cold", "larder", wall),
            least("cold", "ninja", wall),
        ),
        verdict(
            "cold own CPU / (b3sum + tar | zstd)",
            1.2,
            least("cold", "larder", own),
            both(
                reference("cold", "(b3sum", cpu),
                reference("cold", "(tar", cpu),
            ),
        ),
        verdict(
            "noop peak memory, MiB",
            100.0,
            noop_row.map(mebibytes),
            Some(1.0),
        ),
        verdict(
            "noop state files written",
            1.0,
            noop_row
                .and_then(|row| row.state_files)
                .map(|files| files as f64),
            Some(1.0),
        ),
    ]
}

/// Peak memory of a row in MiB.
// Memory is far below the 2^52 bytes that are exact.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn mebibytes(row: &Row) -> f64 {
    row.peak() as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::results::Machine;
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
            ..Row::default()
        }
    }

    #[test]
    fn targets_are_ratios_of_rows() {
        let results = Results {
            started: String::new(),
            fixture: "large".to_owned(),
            seed: 1,
            tasks: 1000,
            files: 100_000,
            iterations: 1,
            edit_runs: 1,
            machine: Machine {
                system: String::new(),
                processors: 2,
                file_system: String::new(),
                load: String::new(),
            },
            versions: Vec::new(),
            rows: vec![
                row("noop", "larder", 0.1, 0.0),
                row("noop", "ninja", 0.2, 0.0),
                row("touch", "larder", 0.6, 0.0),
                row("touch", "(b3sum)", 0.4, 0.0),
                row("restore", "larder", 0.5, 0.0),
                row("restore", "(zstd | tar x)", 0.2, 0.0),
                row("cold", "larder", 5.0, 3.0),
                row("cold", "(b3sum)", 1.0, 0.0),
                row("cold", "(tar | zstd -3)", 2.0, 0.0),
            ],
        };
        let found = verdicts(&results);
        let words: Vec<_> = found
            .iter()
            .map(|v| format!("{}: {:.2} {}", v.what, v.found.unwrap_or(-1.0), v.word()))
            .collect();
        assert_eq!(
            words,
            [
                "noop / ninja: 0.50 reached",
                "noop / turborepo: -1.00 not measured",
                "session / turborepo noop: -1.00 not measured",
                "session, ms: -1.00 not measured",
                "touch / (noop + b3sum): 1.20 reached",
                "digest / b3sum: -1.00 not measured",
                "(restore - noop) / (zstd | tar x): 2.00 missed",
                "cold / ninja: -1.00 not measured",
                "cold own CPU / (b3sum + tar | zstd): 1.00 reached",
                "noop peak memory, MiB: 50.00 reached",
                "noop state files written: 2.00 missed",
            ]
        );
    }
}
