//! What a report says, as plain data: the form that `--json` prints and that the page shows.
//! Does not know how it is shown.

use serde::{Deserialize, Serialize};

use crate::{CacheState, Comparison, Flaky, Outcome, Phase};

/// Everything in a report. Durations are nanoseconds, shares go from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// The version of this form; [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// What the workspace is called.
    pub workspace: String,
    /// When the report was made, as RFC 3339.
    pub generated: String,
    /// The runs, oldest first.
    pub runs: Vec<RunSummary>,
    /// Sums over the last so many runs, the fewest first; the last one is over all.
    pub windows: Vec<Window>,
    /// The last run in full, if there was one.
    pub last: Option<LastRun>,
    /// The tasks that take longest, the slowest first.
    pub slowest: Vec<Slow>,
    /// Tasks and phases that became slower beyond their noise, those that cost most time first.
    pub regressed: Vec<Regressed>,
    /// Tasks with different outcomes under one key, the most unreliable first.
    pub flaky: Vec<Flaky>,
    /// How long the last run would have been, were something otherwise; the greatest gain first.
    pub what_if: Vec<WhatIfRow>,
    /// Uploads to an archive, oldest first; whoever has an archive adds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<Upload>,
}

/// An upload of a run to an archive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The entry that it made.
    pub entry: String,
    /// When it was made, as RFC 3339.
    pub created: String,
    /// Its steps, in their order.
    pub steps: Vec<Phase>,
}

/// One run in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Names the run.
    pub id: String,
    /// When it began, as RFC 3339.
    pub started: String,
    /// From its start to its end.
    pub duration_ns: u64,
    /// What its tasks took, added up.
    pub work_ns: u64,
    /// What the tasks that did not run once took.
    pub saved_ns: u64,
    /// How many tasks were executed, whether they succeeded or not.
    pub executed: usize,
    /// How many were restored.
    pub restored: usize,
    /// How many were up to date.
    pub up_to_date: usize,
    /// How many of the executed ones did not succeed.
    pub failed: usize,
    /// The share of tasks that were restored or up to date; absent for a run without tasks.
    pub hit_rate: Option<f64>,
    /// The exit code.
    pub exit_code: u8,
    /// The machine.
    pub host: String,
    /// The commit, if known.
    pub revision: Option<String>,
    /// The branch, if known.
    pub branch: Option<String>,
    /// What was asked for.
    pub request: String,
    /// The parts of the run.
    pub phases: Vec<Phase>,
}

/// Sums over several runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// How many runs: the last ones.
    pub runs: usize,
    /// The median of their durations.
    pub median_ns: u64,
    /// The share of all their tasks that were restored or up to date; absent without tasks.
    pub hit_rate: Option<f64>,
    /// What the cache saved in all of them.
    pub saved_ns: u64,
    /// How many of them failed.
    pub failed: usize,
}

/// The last run in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// Names the run.
    pub id: String,
    /// How many workers there were.
    pub workers: u32,
    /// What the steps of the critical path took.
    pub critical_ns: u64,
    /// From the first start of a task to the last end.
    pub span_ns: u64,
    /// What all tasks took.
    pub busy_ns: u64,
    /// The share of the workers' time in which they were busy.
    pub efficiency: f64,
    /// What the lanes of the timeline are called.
    pub lanes: Vec<String>,
    /// Its tasks, in the order in which they began.
    pub tasks: Vec<LastTask>,
}

/// A task of the last run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastTask {
    /// Its name.
    pub task: String,
    /// When it began, after the start of the run.
    pub start_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// Its lane of the timeline, as an index.
    pub lane: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done for its outputs.
    pub cache: CacheState,
    /// Why it ran, or why not.
    pub reason: String,
    /// Its key, if there was one.
    pub key: Option<String>,
    /// Processor time of its process tree, if known.
    pub cpu_ns: Option<u64>,
    /// Its peak memory in bytes, if known.
    pub peak_memory: Option<u64>,
    /// What it once took, when it did not run now.
    pub saved_ns: u64,
    /// How much later it could have ended without making the run longer.
    pub slack_ns: u64,
    /// Its place on the critical path, counted from 1, if it lies there.
    pub critical: Option<usize>,
}

/// What a task takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// Its name.
    pub task: String,
    /// The median of its executions that succeeded, on the machine of the last run.
    pub median_ns: u64,
    /// The last of them.
    pub last_ns: u64,
    /// How many there were.
    pub executions: usize,
}

/// What became slower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regressed {
    /// The task or phase.
    pub name: String,
    /// Whether it is a phase.
    pub phase: bool,
    /// Its durations before and after.
    pub comparison: Comparison,
}

/// The last run, were something otherwise: either a task free, or more workers there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WhatIfRow {
    /// The task that would take no time.
    pub task: Option<String>,
    /// How many workers there would be.
    pub workers: Option<u32>,
    /// How long the run would be.
    pub run_ns: u64,
    /// How much shorter that is.
    pub gain_ns: u64,
}
