//! The tables of the page, one a part of the data.
//! Does not draw.

use std::fmt::Write as _;

use super::data::{LastRun, LastTask, ReportData};
use super::parts::{
    Cell, Table, bytes, count, duration, moment, percent, percent_words, table, words,
};
use crate::charts::escape;
use crate::{CacheState, Outcome, Phase};

/// What became of a task, in the words of the filter.
pub(super) fn state(task: &LastTask) -> &'static str {
    match (task.outcome, task.cache) {
        (Outcome::Failure, _) => "failed",
        (Outcome::Cancelled, _) => "cancelled",
        (Outcome::Success, CacheState::Executed) => "ran",
        (Outcome::Success, CacheState::Restored) => "restored",
        (Outcome::Success, CacheState::UpToDate) => "up to date",
    }
}

/// All states, in the order of the filter.
pub(super) const STATES: [&str; 5] = ["ran", "restored", "up to date", "failed", "cancelled"];

/// All runs, the newest first; each row knows how many runs are newer.
pub(super) fn runs(data: &ReportData) -> String {
    let row = |(age, at): (usize, usize)| {
        let (run, from) = (&data.runs[at], format!("/runs/{at}"));
        let ended = if run.exit_code == 0 {
            "succeeded"
        } else {
            "failed"
        };
        let commit: String = run
            .revision
            .as_deref()
            .unwrap_or("–")
            .chars()
            .take(10)
            .collect();
        let cells = vec![
            Cell::text(moment(&run.started), &run.started),
            Cell::number(
                duration(&format!("{from}/duration_ns"), run.duration_ns),
                run.duration_ns,
            ),
            Cell::number(
                percent(&format!("{from}/hit_rate"), run.hit_rate),
                run.hit_rate.unwrap_or(-1.0),
            ),
            Cell::number(
                duration(&format!("{from}/saved_ns"), run.saved_ns),
                run.saved_ns,
            ),
            Cell::number(
                count(&format!("{from}/executed"), run.executed),
                run.executed,
            ),
            Cell::number(
                count(&format!("{from}/restored"), run.restored),
                run.restored,
            ),
            Cell::number(
                count(&format!("{from}/up_to_date"), run.up_to_date),
                run.up_to_date,
            ),
            Cell::number(count(&format!("{from}/failed"), run.failed), run.failed),
            Cell::text(ended.to_owned(), ended),
            Cell::text(escape(&commit), &commit),
            Cell::text(
                words(&format!("{from}/request"), &run.request),
                &run.request,
            ),
        ];
        (format!(" data-age=\"{age}\""), cells)
    };
    table(&Table {
        caption: "All runs, the newest first",
        heads: &[
            ("Started (UTC)", false),
            ("Took", true),
            ("Hits", true),
            ("Saved", true),
            ("Ran", true),
            ("Restored", true),
            ("Up to date", true),
            ("Failed", true),
            ("Run", false),
            ("Commit", false),
            ("Request", false),
        ],
        rows: (0..data.runs.len()).rev().enumerate().map(row).collect(),
        empty: "There are no runs yet.",
    })
}

/// The phases of each run, the newest run first.
pub(super) fn phases(data: &ReportData, names: &[String]) -> String {
    let mut heads = vec![("Started (UTC)", false)];
    let escaped: Vec<String> = names.iter().map(|name| escape(name)).collect();
    heads.extend(escaped.iter().map(|name| (name.as_str(), true)));
    let row = |(age, at): (usize, usize)| {
        let run = &data.runs[at];
        let mut cells = vec![Cell::text(moment(&run.started), &run.started)];
        cells.extend(parts(&run.phases, names, &format!("/runs/{at}/phases")));
        (format!(" data-age=\"{age}\""), cells)
    };
    table(&Table {
        caption: "Phases of each run, the newest first",
        heads: &heads,
        rows: (0..data.runs.len()).rev().enumerate().map(row).collect(),
        empty: "There are no runs yet.",
    })
}

/// A cell for each name: what the part of that name took. `from` is the JSON pointer of the parts.
fn parts(parts: &[Phase], names: &[String], from: &str) -> Vec<Cell> {
    let cell = |name: &String| match parts.iter().position(|part| part.name == *name) {
        None => Cell::number("–".to_owned(), 0),
        Some(place) => {
            let long = parts[place].duration_ns;
            Cell::number(duration(&format!("{from}/{place}/duration_ns"), long), long)
        }
    };
    names.iter().map(cell).collect()
}

/// What the steps of each upload to the archive took.
pub(super) fn uploads(data: &ReportData, names: &[String]) -> String {
    let mut heads = vec![("Made (UTC)", false), ("Entry", false)];
    let escaped: Vec<String> = names.iter().map(|name| escape(name)).collect();
    heads.extend(escaped.iter().map(|name| (name.as_str(), true)));
    let row = |at: usize| {
        let upload = &data.uploads[at];
        let mut cells = vec![
            Cell::text(moment(&upload.created), &upload.created),
            Cell::text(
                words(&format!("/uploads/{at}/entry"), &upload.entry),
                &upload.entry,
            ),
        ];
        let from = format!("/uploads/{at}/steps");
        cells.extend(parts(&upload.steps, names, &from));
        (String::new(), cells)
    };
    table(&Table {
        caption: "Steps of each upload to the archive, the newest first",
        heads: &heads,
        rows: (0..data.uploads.len()).rev().map(row).collect(),
        empty: "Nothing was archived yet.",
    })
}

/// The attributes that a row of a task is filtered by.
fn task(name: &str, state: Option<&str>) -> String {
    let state = state.map(|state| format!(" data-state=\"{state}\""));
    format!(
        " data-task=\"{}\"{}",
        escape(name),
        state.unwrap_or_default()
    )
}

/// All tasks of the last run.
pub(super) fn tasks(last: &LastRun) -> String {
    let row = |(at, row): (usize, &LastTask)| {
        let from = |field: &str| format!("/last/tasks/{at}/{field}");
        let critical = row
            .critical
            .map_or("–".to_owned(), |place| count(&from("critical"), place));
        let cpu = row
            .cpu_ns
            .map_or("–".to_owned(), |cpu| duration(&from("cpu_ns"), cpu));
        let state = state(row);
        let class = state.replace(' ', "-");
        let cells = vec![
            Cell::text(words(&from("task"), &row.task), &row.task),
            Cell::text(
                format!("<span class=\"state {class}\">{state}</span>"),
                state,
            ),
            Cell::number(duration(&from("start_ns"), row.start_ns), row.start_ns),
            Cell::number(
                duration(&from("duration_ns"), row.duration_ns),
                row.duration_ns,
            ),
            Cell::number(duration(&from("slack_ns"), row.slack_ns), row.slack_ns),
            Cell::number(critical, row.critical.unwrap_or(usize::MAX)),
            Cell::number(cpu, row.cpu_ns.unwrap_or(0)),
            Cell::number(
                bytes(&from("peak_memory"), row.peak_memory),
                row.peak_memory.unwrap_or(0),
            ),
            Cell::text(words(&from("reason"), &row.reason), &row.reason),
        ];
        (task(&row.task, Some(state)), cells)
    };
    table(&Table {
        caption: "Tasks of the last run, in the order in which they began",
        heads: &[
            ("Task", false),
            ("State", false),
            ("Began", true),
            ("Took", true),
            ("Slack", true),
            ("Critical step", true),
            ("Processor", true),
            ("Peak memory", true),
            ("Reason", false),
        ],
        rows: last.tasks.iter().enumerate().map(row).collect(),
        empty: "No task took part in the last run.",
    })
}

/// What the last run would have been.
pub(super) fn what_if(data: &ReportData) -> String {
    if data.last.is_none() {
        return "<p class=\"none\">There are no runs yet.</p>\n".to_owned();
    }
    if data.what_if.is_empty() {
        return "<p class=\"none\">No single change would have made the last run shorter.</p>\n"
            .to_owned();
    }
    let mut html = "<ul class=\"plain\">\n".to_owned();
    for (at, row) in data.what_if.iter().enumerate() {
        let from = |field: &str| format!("/what_if/{at}/{field}");
        let change = match (&row.task, row.workers) {
            (Some(task), _) => format!("Were <strong>{}</strong> free", words(&from("task"), task)),
            (None, Some(workers)) => {
                format!(
                    "With <strong>{} workers</strong>",
                    count(&from("workers"), workers)
                )
            }
            (None, None) => continue,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            html,
            "<li>{change}, the last run would take {} instead: {} less.</li>",
            duration(&from("run_ns"), row.run_ns),
            duration(&from("gain_ns"), row.gain_ns)
        );
    }
    html.push_str("</ul>\n");
    html
}

/// The slowest tasks.
pub(super) fn slowest(data: &ReportData) -> String {
    let row = |(at, row): (usize, &super::Slow)| {
        let from = |field: &str| format!("/slowest/{at}/{field}");
        let cells = vec![
            Cell::text(words(&from("task"), &row.task), &row.task),
            Cell::number(duration(&from("median_ns"), row.median_ns), row.median_ns),
            Cell::number(duration(&from("last_ns"), row.last_ns), row.last_ns),
            Cell::number(count(&from("executions"), row.executions), row.executions),
        ];
        (task(&row.task, None), cells)
    };
    table(&Table {
        caption: "Slowest tasks by the median of their executions",
        heads: &[
            ("Task", false),
            ("Median", true),
            ("Last", true),
            ("Executions", true),
        ],
        rows: data.slowest.iter().enumerate().map(row).collect(),
        empty: "No task was executed yet.",
    })
}

/// What became slower.
pub(super) fn regressed(data: &ReportData) -> String {
    let row = |(at, row): (usize, &super::Regressed)| {
        let from = |field: &str| format!("/regressed/{at}/comparison/{field}");
        let found = &row.comparison;
        let name = words(&format!("/regressed/{at}/name"), &row.name);
        let name = if row.phase {
            format!("phase {name}")
        } else {
            name
        };
        let confidence = percent_words(Some(found.confidence()));
        let cells = vec![
            Cell::text(name, &row.name),
            Cell::number(
                duration(&from("before/median_ns"), found.before.median_ns),
                found.before.median_ns,
            ),
            Cell::number(
                duration(&from("after/median_ns"), found.after.median_ns),
                found.after.median_ns,
            ),
            Cell::number(
                format!("+{}", percent(&from("change"), Some(found.change))),
                found.change,
            ),
            Cell::number(
                format!(
                    "{} to {}",
                    percent(&from("low"), Some(found.low)),
                    percent(&from("high"), Some(found.high))
                ),
                found.low,
            ),
            Cell::number(percent(&from("band"), Some(found.band)), found.band),
            Cell::number(confidence, found.confidence()),
        ];
        (task(&row.name, None), cells)
    };
    table(&Table {
        caption: "Tasks and phases that became slower, those that cost most time first",
        heads: &[
            ("Task or phase", false),
            ("Before", true),
            ("Now", true),
            ("Change", true),
            ("95 % range", true),
            ("Noise band", true),
            ("Confidence", true),
        ],
        rows: data.regressed.iter().enumerate().map(row).collect(),
        empty: "Nothing became slower beyond its noise.",
    })
}

/// Flaky tasks.
pub(super) fn flaky(data: &ReportData) -> String {
    let row = |(at, row): (usize, &crate::Flaky)| {
        let from = |field: &str| format!("/flaky/{at}/{field}");
        let cells = vec![
            Cell::text(words(&from("task"), &row.task), &row.task),
            Cell::number(percent(&from("rate"), Some(row.rate)), row.rate),
            Cell::number(count(&from("failures"), row.failures), row.failures),
            Cell::number(count(&from("executions"), row.executions), row.executions),
            Cell::number(count(&from("keys"), row.keys), row.keys),
        ];
        (task(&row.task, None), cells)
    };
    table(&Table {
        caption: "Flaky tasks: same key, different outcome",
        heads: &[
            ("Task", false),
            ("Failure rate", true),
            ("Failures", true),
            ("Executions", true),
            ("Keys", true),
        ],
        rows: data.flaky.iter().enumerate().map(row).collect(),
        empty: "No task had different outcomes under one key.",
    })
}
