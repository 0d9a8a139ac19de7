//! `larder timings compare` and `check`: what became slower beyond its noise.
//! Does not know the statistics, nor how it is shown.

use std::collections::BTreeSet;

use larder_timing::history::History;
use larder_timing::{CacheState, Comparison, Flaky, Rule, RunRow, Verdict};
use serde::Serialize;

use super::super::Usage;
use super::runs::{Chosen, failed};

/// So many of the newest runs are checked against those before.
pub(super) const RECENT: usize = 5;
/// A change by less than this, in nanoseconds, is worth nobody's attention.
const LEAST_NS: u64 = 10_000_000;
/// By this share a task may become slower where nothing else is said: the default of `--fail-above`.
const FAIL_ABOVE: f64 = 0.05;
/// So many runs are looked back at.
const BACK: usize = 200;

/// One task or phase beside its earlier self.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// Its name.
    pub(super) name: String,
    /// What the statistics say.
    #[serde(flatten)]
    pub(super) comparison: Comparison,
    /// How sure it is that there is a difference, from 0 to 1.
    pub(super) confidence: f64,
    /// Whether it is slower by more than was allowed.
    pub(super) regressed: bool,
}

/// What some runs come to.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    /// What was asked for.
    pub(super) name: String,
    /// How many runs.
    pub(super) runs: usize,
    /// How many more were left out, since another machine made them.
    pub(super) elsewhere: usize,
    /// Tasks whose commands ran.
    pub(super) executed: u64,
    /// Tasks that were restored.
    pub(super) restored: u64,
    /// Tasks that were up to date.
    pub(super) up_to_date: u64,
    /// The share of tasks that did not have to run, from 0 to 1; absent without any.
    pub(super) hit_rate: Option<f64>,
    /// The middle of how long those took that succeeded, in nanoseconds.
    pub(super) median_ns: u64,
    /// What did not have to be spent again, over all runs, in nanoseconds.
    pub(super) saved_ns: u64,
}

/// Two sets of runs side by side.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// The machine; runs of others are left out.
    pub(super) host: String,
    /// The share by which a task may become slower.
    pub(super) fail_above: f64,
    /// The earlier runs.
    pub(super) before: Side,
    /// The later runs.
    pub(super) after: Side,
    /// The tasks that ran on both sides, those that became slowest first.
    pub(super) tasks: Vec<Change>,
    /// The phases of the runs.
    pub(super) phases: Vec<Change>,
    /// Tasks that ended differently under one key.
    pub(super) flaky: Vec<Flaky>,
}

impl Compared {
    /// Whether anything could be told of any task.
    pub(super) fn is_judged(&self) -> bool {
        let verdicts = self.tasks.iter().map(|change| change.comparison.verdict);
        verdicts
            .into_iter()
            .any(|verdict| verdict != Verdict::TooFew)
    }

    /// What is slower by more than was allowed.
    pub(super) fn regressed(&self) -> impl Iterator<Item = &Change> {
        let all = self.tasks.iter().chain(&self.phases);
        all.filter(|change| change.regressed)
    }
}

/// Compares two sets of runs.
pub(super) fn compare(before: &Chosen, after: Chosen, fail_above: f64) -> Result<Compared, Usage> {
    let mut after = after;
    // A new branch begins where the other one is.
    let known: BTreeSet<&str> = before.runs.iter().map(|run| run.id.as_str()).collect();
    after.runs.retain(|run| !known.contains(run.id.as_str()));
    if after.runs.is_empty() {
        return Err(Usage::new(format!(
            "all runs of {} are runs of {} too: there is nothing to compare",
            after.name, before.name
        )));
    }
    let after = &after;
    let host = after.runs[0].host.clone();
    let rule = Rule::default();
    let change = |name: &str, before: &[u64], after: &[u64]| {
        changed(
            name,
            larder_timing::compare(before, after, &rule),
            fail_above,
        )
    };
    let mut tasks: Vec<Change> = Vec::new();
    for name in names(&before.runs).intersection(&names(&after.runs)) {
        let earlier = larder_timing::measures(&before.rows(name), &host);
        let later = larder_timing::measures(&after.rows(name), &host);
        if !earlier.is_empty() && !later.is_empty() {
            tasks.push(change(name, &earlier, &later));
        }
    }
    let mut phases: Vec<Change> = Vec::new();
    let like = &after.runs[0];
    let (earlier, later) = (alike(&before.runs, like), alike(&after.runs, like));
    for name in phase_names(&earlier).intersection(&phase_names(&later)) {
        let earlier = larder_timing::phase_measures(&earlier, name, &host);
        let later = larder_timing::phase_measures(&later, name, &host);
        if !earlier.is_empty() && !later.is_empty() {
            phases.push(change(name, &earlier, &later));
        }
    }
    sort(&mut tasks);
    let rows: Vec<_> = names(&after.runs)
        .into_iter()
        .flat_map(|task| after.rows(task))
        .map(|(_, row)| row)
        .collect();
    Ok(Compared {
        fail_above,
        before: side(&before.name, &before.runs, &host),
        after: side(&after.name, &after.runs, &host),
        tasks,
        phases,
        flaky: larder_timing::flaky(&rows),
        host,
    })
}

/// A task or phase that a check finds slower than allowed.
pub(in super::super) struct Slower {
    /// Its name; that of a phase begins with the word.
    pub(in super::super) name: String,
    /// Whether it is a phase of the runs.
    pub(in super::super) is_phase: bool,
    /// The middle of what it took before, in nanoseconds.
    pub(in super::super) before_ns: u64,
    /// The middle of what its newest runs took, in nanoseconds.
    pub(in super::super) after_ns: u64,
}

/// What `larder timings check` would fail for without any flags. Of a history without runs nothing can be told.
pub(in super::super) fn slower(history: &History) -> Result<Vec<Slower>, Usage> {
    if history.runs_with_tasks(1).map_err(failed)?.is_empty() {
        return Ok(Vec::new());
    }
    let compared = check(history, FAIL_ABOVE)?;
    let told = |is_phase: bool| {
        move |change: &Change| Slower {
            name: if is_phase {
                format!("phase {}", change.name)
            } else {
                change.name.clone()
            },
            is_phase,
            before_ns: change.comparison.before.median_ns,
            after_ns: change.comparison.after.median_ns,
        }
    };
    let regressed = |changes: &'_ [Change], is_phase| -> Vec<Slower> {
        let changes = changes.iter().filter(|change| change.regressed);
        changes.map(told(is_phase)).collect()
    };
    let mut slower = regressed(&compared.tasks, false);
    slower.extend(regressed(&compared.phases, true));
    Ok(slower)
}

/// Compares the newest runs of each task with those before them.
pub(super) fn check(history: &History, fail_above: f64) -> Result<Compared, Usage> {
    let runs = history.runs_with_tasks(BACK).map_err(failed)?;
    let Some(newest) = runs.first() else {
        return Err(Usage::new(super::NOTHING));
    };
    let host = newest.host.clone();
    let rule = Rule::default();
    let mut tasks = Vec::new();
    let mut rows = Vec::new();
    for name in history.tasks().map_err(failed)? {
        let found = history.task(&name, BACK).map_err(failed)?;
        // What no recent run did is no news.
        let recent = runs.iter().take(RECENT).flat_map(|run| &run.tasks);
        if !recent.into_iter().any(|task| task.task == name) {
            continue;
        }
        let series = larder_timing::measures(&found, &host);
        rows.extend(found.into_iter().map(|(_, row)| row));
        if !series.is_empty() {
            let comparison = larder_timing::check(&series, RECENT, &rule);
            tasks.push(changed(&name, comparison, fail_above));
        }
    }
    let mut phases = Vec::new();
    let like = alike(&runs, newest);
    for name in phase_names(&like) {
        let series = larder_timing::phase_measures(&like, name, &host);
        let comparison = larder_timing::check(&series, RECENT, &rule);
        phases.push(changed(name, comparison, fail_above));
    }
    sort(&mut tasks);
    let (later, earlier) = runs.split_at(RECENT.min(runs.len()));
    Ok(Compared {
        fail_above,
        before: side("before", earlier, &host),
        after: side("newest", later, &host),
        tasks,
        phases,
        flaky: larder_timing::flaky(&rows),
        host,
    })
}

fn changed(name: &str, comparison: Comparison, fail_above: f64) -> Change {
    let (before, after) = (comparison.before.median_ns, comparison.after.median_ns);
    let lost = after.saturating_sub(before);
    Change {
        name: name.to_owned(),
        confidence: comparison.confidence(),
        regressed: comparison.is_slower_by(fail_above) && lost >= LEAST_NS,
        comparison,
    }
}

/// Slower ones first, then faster ones, then those that are the same.
fn sort(changes: &mut [Change]) {
    let rank = |change: &Change| match change.comparison.verdict {
        Verdict::Slower => 0,
        Verdict::Faster => 1,
        Verdict::Same => 2,
        Verdict::TooFew => 3,
    };
    changes.sort_by(|a, b| {
        let by_size = b
            .comparison
            .change
            .abs()
            .total_cmp(&a.comparison.change.abs());
        rank(a)
            .cmp(&rank(b))
            .then(by_size)
            .then(a.name.cmp(&b.name))
    });
}

fn names(runs: &[RunRow]) -> BTreeSet<&str> {
    let tasks = runs.iter().flat_map(|run| &run.tasks);
    tasks.map(|task| task.task.as_str()).collect()
}

/// The runs that did as much as `run`: only their phases can be compared.
fn alike(runs: &[RunRow], run: &RunRow) -> Vec<RunRow> {
    runs.iter()
        .filter(|other| other.is_like(run))
        .cloned()
        .collect()
}

fn phase_names(runs: &[RunRow]) -> BTreeSet<&str> {
    let phases = runs.iter().flat_map(|run| &run.phases);
    phases.map(|phase| phase.name.as_str()).collect()
}

fn side(name: &str, runs: &[RunRow], host: &str) -> Side {
    let all = runs.len();
    let runs: Vec<&RunRow> = runs.iter().filter(|run| run.host == host).collect();
    let elsewhere = all - runs.len();
    let of = |state| -> u64 { runs.iter().map(|run| run.count(state)).sum() };
    let (executed, restored) = (of(CacheState::Executed), of(CacheState::Restored));
    let up_to_date = of(CacheState::UpToDate);
    let all = executed + restored + up_to_date;
    // One that failed or was stopped was cut short.
    let whole = runs.iter().filter(|run| run.exit_code == 0);
    let durations: Vec<u64> = whole.map(|run| run.duration_ns).collect();
    #[allow(clippy::cast_precision_loss)] // A share.
    let hit_rate = (all > 0).then(|| (restored + up_to_date) as f64 / all as f64);
    Side {
        name: name.to_owned(),
        runs: runs.len(),
        elsewhere,
        executed,
        restored,
        up_to_date,
        hit_rate,
        median_ns: larder_timing::median(&durations),
        saved_ns: runs.iter().map(|run| run.saved_ns).sum(),
    }
}
