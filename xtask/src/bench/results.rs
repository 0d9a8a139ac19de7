//! What was measured, as data: written as JSON, summed up as minimum and median.
//! It does not know how it was measured, nor how it is shown.

use serde::{Deserialize, Serialize};

use super::counting::{Allocations, Calls};
use super::daemon::Daemon;
use super::measure::Cost;

/// Everything of one session of measuring.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// When it began, RFC 3339.
    pub(crate) started: String,
    /// The revision of the sources, with a `+` if they differ from it; empty where git does not tell.
    #[serde(default)]
    pub(crate) revision: String,
    /// The fixture.
    pub(crate) fixture: String,
    /// What it was made from.
    pub(crate) seed: u64,
    /// Tasks and inputs of the fixture.
    pub(crate) tasks: usize,
    /// See `tasks`.
    pub(crate) files: usize,
    /// Runs of each row.
    pub(crate) iterations: usize,
    /// Tasks that run after the edit.
    pub(crate) edit_runs: usize,
    /// Tasks that run after one of twenty sources was edited.
    #[serde(default)]
    pub(crate) edit5_runs: usize,
    /// Where.
    pub(crate) machine: Machine,
    /// Tools with their versions.
    pub(crate) versions: Vec<(String, String)>,
    /// One for each scenario and tool.
    pub(crate) rows: Vec<Row>,
}

/// Where it was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Kernel and architecture.
    pub(crate) system: String,
    /// What the processor calls itself; empty where the system does not tell.
    #[serde(default)]
    pub(crate) processor: String,
    /// Threads that run at once.
    pub(crate) processors: usize,
    /// The file system of the trees.
    pub(crate) file_system: String,
    /// Load of the machine before the first run, over a minute; empty where the system does not tell.
    pub(crate) load: String,
}

/// One tool in one scenario.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The scenario.
    pub(crate) scenario: String,
    /// The tool, or a reference in parentheses.
    pub(crate) who: String,
    /// Its runs, in order.
    pub(crate) runs: Vec<Cost>,
    /// Counted in a run of its own, under strace.
    pub(crate) calls: Option<Calls>,
    /// Counted in a run of its own.
    pub(crate) allocations: Option<Allocations>,
    /// Instructions of the process itself, counted in runs of their own, under callgrind.
    #[serde(default)]
    pub(crate) instructions: Vec<u64>,
    /// Files of its own state and cache that a run wrote, where that is looked at.
    pub(crate) state_files: Option<usize>,
    /// The share of tasks whose result was there, as Larder tells it of the last run.
    #[serde(default)]
    pub(crate) hit_ratio: Option<f64>,
    /// What the background session costs, where one runs.
    #[serde(default)]
    pub(crate) daemon: Option<Daemon>,
    /// What a reader has to know: limits, failed checks, why nothing was measured.
    pub(crate) notes: Vec<String>,
}

impl Results {
    /// The row of a tool in a scenario, if it was measured there.
    pub(crate) fn row(&self, scenario: &str, who: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.scenario == scenario && row.who == who && !row.runs.is_empty())
    }
}

impl Row {
    /// The least of one figure over all runs.
    pub(crate) fn least(&self, figure: impl Fn(&Cost) -> f64) -> f64 {
        self.runs.iter().map(figure).fold(f64::INFINITY, f64::min)
    }

    /// The median of one figure over all runs.
    pub(crate) fn median(&self, figure: impl Fn(&Cost) -> f64) -> f64 {
        median(self.runs.iter().map(figure).collect())
    }

    /// The largest peak of memory over all runs, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.runs.iter().map(|run| run.peak).max().unwrap_or(0)
    }
}

/// The middle of the numbers, or the mean of the two in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.len() {
        0 => f64::INFINITY,
        odd if odd % 2 == 1 => numbers[half],
        _ => f64::midpoint(numbers[half - 1], numbers[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_median_are_those_of_the_runs() {
        let row = |walls: &[f64]| Row {
            runs: walls
                .iter()
                .map(|wall| Cost {
                    wall: *wall,
                    ..Cost::default()
                })
                .collect(),
            ..Row::default()
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(row(&[3.0, 1.0, 2.0]).least(|run| run.wall), 1.0);
        close(row(&[3.0, 1.0, 2.0]).median(|run| run.wall), 2.0);
        close(row(&[4.0, 1.0, 2.0, 3.0]).median(|run| run.wall), 2.5);
    }
}
