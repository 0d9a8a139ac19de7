//! `larder timings show`: one run, one task over its runs, or the list of runs.
//! Does not know where they are remembered.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::num::NonZeroUsize;

use larder_timing::history::History;
use larder_timing::{
    Analysis, CacheState, Change, Comparison, Flaky, Outcome, Rule, RunRow, TaskRow, WaitedFor,
    WhatIf,
};
use serde::Serialize;

use super::super::Usage;
use super::super::cache::{count, size};
use super::runs::{failed, on};
use super::told::{percent, signed, time};
use super::{NOTHING, ago, short, spark};

/// So many runs a task's level is taken from.
const BACK: usize = 200;
/// So many durations are drawn in a row.
const DRAWN: usize = 24;

/// The list of runs.
#[derive(Debug, Serialize)]
pub(super) struct Runs {
    /// Newest first, without their tasks.
    pub(super) runs: Vec<RunRow>,
}

pub(super) fn runs(history: &History, limit: usize) -> Result<Runs, Usage> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let runs = history.runs(limit).map_err(failed)?;
    if runs.is_empty() {
        return Err(Usage::new(NOTHING));
    }
    Ok(Runs { runs })
}

pub(super) fn runs_text(Runs { runs }: &Runs) -> String {
    let mut text = String::new();
    let most = runs.iter().map(|run| run.duration_ns).max().unwrap_or(0);
    for run in runs {
        let end = if run.exit_code == 0 {
            String::new()
        } else {
            format!(", exit code {}", run.exit_code)
        };
        let _ = writeln!(
            text,
            "{}  {:>9} {:<10}  {}, {}{end}",
            run.id,
            time(run.duration_ns),
            spark::bar(run.duration_ns, most, 10),
            run.request.join(" "),
            on(run),
        );
    }
    text
}

/// One task over its runs.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // They are the words of the JSON.
pub(super) struct Task {
    /// Its name.
    pub(super) task: String,
    /// The newest runs against those before them.
    pub(super) comparison: Comparison,
    /// What it ended with under one key, if that was not always the same.
    pub(super) flaky: Option<Flaky>,
    /// Newest first.
    pub(super) runs: Vec<OneRun>,
}

/// A task in one run.
#[derive(Debug, Serialize)]
pub(super) struct OneRun {
    /// The run, without its tasks.
    pub(super) run: RunRow,
    /// What the task did in it.
    pub(super) task: TaskRow,
}

pub(super) fn task(history: &History, name: &str, limit: usize) -> Result<Task, Usage> {
    let rows = history.task(name, BACK).map_err(failed)?;
    let Some((newest, _)) = rows.first() else {
        return Err(unknown(history, name)?);
    };
    let series = larder_timing::measures(&rows, &newest.host);
    let bare: Vec<TaskRow> = rows.iter().map(|(_, row)| row.clone()).collect();
    let limit = if limit == 0 { usize::MAX } else { limit };
    Ok(Task {
        task: name.to_owned(),
        comparison: larder_timing::check(&series, super::compare::RECENT, &Rule::default()),
        flaky: larder_timing::flaky(&bare).into_iter().next(),
        runs: rows
            .into_iter()
            .take(limit)
            .map(|(run, task)| OneRun { run, task })
            .collect(),
    })
}

fn unknown(history: &History, name: &str) -> Result<Usage, Usage> {
    let tasks = history.tasks().map_err(failed)?;
    let near = tasks
        .iter()
        .map(|task| (strsim::jaro_winkler(task, name), task))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Usage::new(match near {
        Some((_, near)) => {
            format!("nothing is remembered of a task `{name}`; did you mean `{near}`?")
        }
        None if tasks.is_empty() => NOTHING.to_owned(),
        None => format!(
            "nothing is remembered of a task `{name}`\n  a task is written `project#task`, as in `{}`",
            tasks[0]
        ),
    }))
}

pub(super) fn task_text(task: &Task) -> String {
    let mut text = format!("{}\n", task.task);
    let durations: Vec<u64> = task
        .runs
        .iter()
        .filter(|one| one.task.is_measure())
        .map(|one| one.task.duration_ns)
        .take(DRAWN)
        .collect();
    let level = &task.comparison;
    if !durations.is_empty() {
        let oldest_first: Vec<u64> = durations.iter().rev().copied().collect();
        let _ = writeln!(
            text,
            "  {}  median {}, {} to {} in {} executions",
            spark::line(&oldest_first),
            time(larder_timing::median(&durations)),
            time(*durations.iter().min().unwrap_or(&0)),
            time(*durations.iter().max().unwrap_or(&0)),
            durations.len(),
        );
    }
    let _ = match level.verdict {
        larder_timing::Verdict::TooFew => {
            writeln!(text, "  too few executions to tell a change from noise")
        }
        verdict => writeln!(
            text,
            "  the last {} against {} before: {}, noise \u{b1}{:.1}%: {}",
            level.after.samples,
            level.before.samples,
            signed(level.change),
            level.band * 100.0,
            match verdict {
                larder_timing::Verdict::Slower => "slower",
                larder_timing::Verdict::Faster => "faster",
                _ => "the same",
            }
        ),
    };
    if let Some(flaky) = &task.flaky {
        let _ = writeln!(
            text,
            "  flaky: failed {} of {} times with equal inputs ({})",
            flaky.failures,
            flaky.executions,
            percent(flaky.rate)
        );
    }
    let _ = writeln!(
        text,
        "\n{:<14} {:>9} {:>9} {:>9}  {:<10} why",
        "when", "time", "cpu", "memory", "how"
    );
    for OneRun { run, task } in &task.runs {
        let _ = writeln!(
            text,
            "{:<14} {:>9} {:>9} {:>9}  {:<10} {}",
            ago(run.started),
            time(task.duration_ns),
            task.cpu_ns.map_or("-".to_owned(), time),
            task.peak_memory.map_or("-".to_owned(), size),
            how(task),
            short_end(&task.reason, 60),
        );
    }
    text
}

/// One run, taken apart.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // They are the words of the JSON.
pub(super) struct Run {
    /// The run and what took part in it.
    pub(super) run: RunRow,
    /// What decided its length; `slack_ns` and the indices of `critical_path` go by the order of `run.tasks`.
    pub(super) analysis: Analysis,
    /// What would have been otherwise.
    pub(super) what_if: Vec<Otherwise>,
    /// For each task of the run, what its last executions took, oldest first.
    pub(super) recent_ns: Vec<Vec<u64>>,
}

/// A run as it would have been.
#[derive(Debug, Serialize)]
pub(super) struct Otherwise {
    /// What would be otherwise, in words.
    pub(super) change: String,
    /// What that would have made of the run.
    #[serde(flatten)]
    pub(super) run: WhatIf,
}

/// So many tasks are thought away.
const FREED: usize = 3;

pub(super) fn run(
    history: &History,
    run: RunRow,
    workers: Option<NonZeroUsize>,
) -> Result<Run, Usage> {
    let analysis = larder_timing::analyse(&run);
    let mut recent_ns = Vec::with_capacity(run.tasks.len());
    for task in &run.tasks {
        let rows = history.task(&task.task, BACK).map_err(failed)?;
        let mut series = larder_timing::measures(&rows, &run.host);
        series.drain(..series.len().saturating_sub(DRAWN));
        recent_ns.push(series);
    }
    let mut what_if: Vec<Otherwise> = Vec::new();
    let mut longest: Vec<&TaskRow> = analysis
        .critical_path
        .iter()
        .map(|step| &run.tasks[step.task])
        .collect();
    longest.sort_by_key(|task| std::cmp::Reverse(task.duration_ns));
    for task in longest.into_iter().take(FREED) {
        what_if.push(Otherwise {
            change: format!("{} took no time", task.task),
            run: larder_timing::what_if(&run, Change::Free(&task.task)),
        });
    }
    let count = match workers {
        Some(count) => u32::try_from(count.get()).unwrap_or(u32::MAX),
        None => analysis.workers.max(1).saturating_mul(2),
    };
    what_if.push(Otherwise {
        change: format!("{count} tasks ran at once"),
        run: larder_timing::what_if(&run, Change::Workers(count)),
    });
    Ok(Run {
        run,
        analysis,
        what_if,
        recent_ns,
    })
}

pub(super) fn run_text(shown: &Run, limit: usize) -> String {
    let Run { run, analysis, .. } = shown;
    let mut text = String::new();
    let of = |wanted: &str| run.tasks.iter().filter(|task| how(task) == wanted).count();
    let mut counts: Vec<String> = ["ran", "failed", "stopped", "restored"]
        .into_iter()
        .filter(|word| of(word) > 0)
        .map(|word| format!("{} {word}", of(word)))
        .collect();
    if run.up_to_date > 0 {
        counts.push(format!("{} up to date", run.up_to_date));
    }
    let _ = writeln!(text, "{}, {}, {}", run.id, ago(run.started), on(run));
    let _ = writeln!(
        text,
        "`larder run {}`: {}, exit code {}; {}",
        run.request.join(" "),
        time(run.duration_ns),
        run.exit_code,
        counts.join(", ")
    );
    let _ = writeln!(
        text,
        "{} of work on {}, busy {} of the time; the cache saved {}",
        time(analysis.busy_ns),
        count(analysis.workers as usize, "worker", "workers"),
        percent(analysis.efficiency),
        time(analysis.saved_ns)
    );
    tasks(
        &mut text,
        shown,
        if limit == 0 { usize::MAX } else { limit },
    );
    critical(&mut text, shown);
    if !run.phases.is_empty() {
        let mut phases: Vec<_> = run.phases.iter().collect();
        phases.sort_by_key(|phase| std::cmp::Reverse(phase.duration_ns));
        let all: u64 = phases.iter().map(|phase| phase.duration_ns).sum();
        text.push_str("\nwhere the work went\n");
        for phase in phases {
            let _ = writeln!(
                text,
                "  {:<12} {:>9} {:>5} {}",
                phase.name,
                time(phase.duration_ns),
                percent(share(phase.duration_ns, all)),
                spark::bar(phase.duration_ns, all, 30)
            );
        }
    }
    text.push_str("\nwhat if\n");
    for otherwise in &shown.what_if {
        let now = run.duration_ns;
        let then = otherwise.run.run_ns;
        let change = match then.cmp(&now) {
            Ordering::Equal => "no change".to_owned(),
            Ordering::Less => format!("{} less", time(now - then)),
            Ordering::Greater => format!("{} more", time(then - now)),
        };
        let _ = writeln!(
            text,
            "  {:<40} {:>9}  {change}",
            short(&otherwise.change, 40),
            time(then)
        );
    }
    text
}

fn tasks(text: &mut String, shown: &Run, limit: usize) {
    let Run {
        run,
        analysis,
        recent_ns,
        ..
    } = shown;
    let mut order: Vec<usize> = (0..run.tasks.len()).collect();
    order.sort_by_key(|&at| {
        (
            std::cmp::Reverse(run.tasks[at].duration_ns),
            &run.tasks[at].task,
        )
    });
    let left = order.len().saturating_sub(limit);
    order.truncate(limit);
    let names = order.iter().map(|&at| run.tasks[at].task.chars().count());
    let width = names.max().unwrap_or(0).clamp(4, 24);
    let _ = writeln!(
        text,
        "\n  {:<width$} {:>9} {:>5} {:>8} {:>8} {:>9}  {:<8} recent",
        "task", "time", "share", "slack", "cpu", "memory", ""
    );
    for at in order {
        let task = &run.tasks[at];
        let on_path = analysis.critical_path.iter().any(|step| step.task == at);
        let skip = recent_ns[at].len().saturating_sub(8);
        let _ = writeln!(
            text,
            "{} {:<width$} {:>9} {:>5} {:>8} {:>8} {:>9}  {:<8} {}",
            if on_path { '*' } else { ' ' },
            short(&task.task, width),
            time(task.duration_ns),
            percent(share(task.duration_ns, analysis.busy_ns)),
            if on_path {
                "-".to_owned()
            } else {
                time(analysis.slack_ns[at])
            },
            task.cpu_ns.map_or("-".to_owned(), time),
            task.peak_memory.map_or("-".to_owned(), size),
            how(task),
            spark::line(&recent_ns[at][skip..]),
        );
    }
    if left > 0 {
        let _ = writeln!(text, "  and {left} more (`--limit 0` shows all)");
    }
}

fn critical(text: &mut String, shown: &Run) {
    let Run { run, analysis, .. } = shown;
    if analysis.critical_path.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n* the critical path, {} of {}: each began when the one before had ended",
        time(analysis.critical_ns),
        time(run.duration_ns)
    );
    for step in &analysis.critical_path {
        let task = &run.tasks[step.task];
        let waited = match step.waited_for {
            WaitedFor::Start => "",
            WaitedFor::Dependency => ", needs the one before",
            WaitedFor::Worker => ", waited for a worker",
        };
        let _ = writeln!(
            text,
            "  {:>9}  {}{waited}",
            time(task.duration_ns),
            task.task
        );
    }
}

#[allow(clippy::cast_precision_loss)] // A share.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// How a task came to its end, in a word.
pub(super) fn how(task: &TaskRow) -> &'static str {
    match (task.outcome, task.cache) {
        (Outcome::Failure, _) => "failed",
        (Outcome::Cancelled, _) => "stopped",
        (_, CacheState::Executed) => "ran",
        (_, CacheState::Restored) => "restored",
        (_, CacheState::UpToDate) => "up to date",
    }
}

/// The beginning of a text that does not fit.
fn short_end(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let begin: String = line.chars().take(width - 1).collect();
    format!("{begin}\u{2026}")
}
