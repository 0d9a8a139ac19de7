//! The closing lines of a run: what failed, what ran and why, and the counts.
//! Does not know how the record was gathered, nor where the lines go.

use std::fmt::Write as _;

use crate::execute::exit;
use crate::record::{RunRecord, Status, TaskRecord};
use crate::show::status_word;

/// How many lines tell of tasks that did not fail. Every failed task has one.
const LINES: usize = 20;
/// From how many tasks on the same words are said once for all.
const ALIKE: usize = 4;

const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";

/// The closing lines. Tasks are named unless all were already, as they ended (`named`).
pub(super) fn summary(record: &RunRecord, named: bool, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour {
            format!("{code}{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    };
    let mut text = String::new();
    if !named {
        for task in of(record, Status::Failed) {
            let error = task.error.as_deref().unwrap_or_default();
            let error = error.lines().next().unwrap_or_default();
            let word = paint(RED, &format!("{:<7}", status_word(Status::Failed)));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {word} {}: {error}", task.task);
        }
        let lines = told(record);
        for line in lines.iter().take(LINES) {
            let _ = writeln!(text, "  {line}");
        }
        let left = lines.len().saturating_sub(LINES);
        if left > 0 {
            let _ = writeln!(text, "  and {left} more (`-v` names all)");
        }
    }
    let code = if record.exit_code == 0 { BOLD } else { RED };
    let head = paint(code, &format!("larder: {}", head(record)));
    let saved = if record.saved_seconds >= 0.05 {
        format!(", {} saved", seconds(record.saved_seconds))
    } else {
        String::new()
    };
    let _ = write!(
        text,
        "{head} {} in {}{saved}",
        counts(record),
        seconds(record.wall_seconds)
    );
    text
}

fn of(record: &RunRecord, status: Status) -> impl Iterator<Item = &TaskRecord> {
    record
        .tasks
        .iter()
        .filter(move |task| task.status == status)
}

/// A line for each task that ran or was skipped, or one for many with the same words.
fn told(record: &RunRecord) -> Vec<String> {
    let mut lines = Vec::new();
    for status in [Status::Ran, Status::Skipped] {
        let word = status_word(status);
        let reasons: Vec<(&str, String)> = of(record, status)
            .map(|task| (task.task.as_str(), reason(task)))
            .collect();
        let alike = |reason: &str| reasons.iter().filter(|(_, other)| other == reason).count();
        let mut said: Vec<&str> = Vec::new();
        for (task, reason) in &reasons {
            let count = alike(reason);
            if count < ALIKE {
                lines.push(format!("{word:<7} {task}: {reason}"));
            } else if !said.contains(&reason.as_str()) {
                said.push(reason);
                lines.push(format!("{word:<7} {count} tasks, for each: {reason}"));
            }
        }
    }
    lines
}

/// Why a task ran or was skipped, and why its result was not stored.
fn reason(task: &TaskRecord) -> String {
    let mut reason = task.why.first().cloned().unwrap_or_default();
    if task.why.len() > 1 {
        // `explain` would not tell of them: it speaks of the next run.
        let _ = write!(reason, " (and {} more)", task.why.len() - 1);
    }
    if let Some(why) = &task.not_stored {
        // A warning has said why, next to the task's own output.
        let _ = if task.warnings.iter().any(|warning| warning.contains(why)) {
            write!(reason, "; not stored")
        } else {
            write!(reason, "; not stored: {why}")
        };
    }
    reason
}

/// How the run ended, in words.
fn head(record: &RunRecord) -> String {
    let total = total(record);
    let interrupted = matches!(&record.error, Some(error) if error.kind == "interrupted");
    match record.exit_code {
        0 if total == 0 => "nothing to do: no task was asked for".to_owned(),
        0 if of(record, Status::UpToDate).count() == total => "everything is up to date".to_owned(),
        0 => "succeeded".to_owned(),
        exit::INTERRUPTED if interrupted => format!("interrupted, exit code {}", exit::INTERRUPTED),
        code => format!("failed with exit code {code}"),
    }
}

fn total(record: &RunRecord) -> usize {
    record.tasks.len() - of(record, Status::Group).count()
}

/// `(3 tasks: 2 up to date, 1 ran)`.
fn counts(record: &RunRecord) -> String {
    let mut parts = Vec::new();
    for status in [
        Status::UpToDate,
        Status::Restored,
        Status::Ran,
        Status::Failed,
        Status::Skipped,
    ] {
        let count = of(record, status).count();
        if count > 0 {
            parts.push(format!("{count} {}", status_word(status)));
        }
    }
    let total = total(record);
    let tasks = if total == 1 { "task" } else { "tasks" };
    let colon = if parts.is_empty() { "" } else { ": " };
    format!("({total} {tasks}{colon}{})", parts.join(", "))
}

fn seconds(seconds: f64) -> String {
    if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        // Rounded first: 119.6 s are two minutes, not one minute and sixty seconds.
        let whole = seconds.round();
        format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Counters, RunError, VERSION};

    fn task(name: &str, status: Status, why: &[&str]) -> TaskRecord {
        let mut task = TaskRecord::new(name.to_owned(), status);
        task.why = why.iter().map(|why| (*why).to_owned()).collect();
        task
    }

    fn record(tasks: Vec<TaskRecord>, exit_code: u8) -> RunRecord {
        RunRecord {
            version: VERSION,
            larder: "0",
            started: String::new(),
            wall_seconds: 1.25,
            request: Vec::new(),
            exit_code,
            error: None,
            cache_hit: 0,
            cache_miss: 0,
            rebuild_seconds: 0.0,
            saved_seconds: 0.0,
            phases: std::collections::BTreeMap::new(),
            tasks,
            left_out: Vec::new(),
            warnings: Vec::new(),
            counters: Counters::default(),
            show_cache: None,
        }
    }

    #[test]
    fn what_failed_comes_first_and_many_tasks_with_one_reason_are_one_line() {
        let mut tasks: Vec<TaskRecord> = (0..30)
            .map(|at| task(&format!("p{at:02}#build"), Status::Ran, &["it is new"]))
            .collect();
        tasks.push(task("q#build", Status::UpToDate, &["nothing changed"]));
        let mut unkept = task("r#build", Status::Ran, &["file a was edited", "file b too"]);
        unkept.not_stored = Some("its input a changed while it ran".to_owned());
        tasks.push(unkept);
        let mut failed = task("s#test", Status::Failed, &["it is new"]);
        failed.error = Some("exit code 3\n  more".to_owned());
        tasks.push(failed);
        tasks.push(task("t#test", Status::Skipped, &["s#test failed"]));
        insta::assert_snapshot!(summary(&record(tasks, 3), false, false), @r"
          failed  s#test: exit code 3
          ran     30 tasks, for each: it is new
          ran     r#build: file a was edited (and 1 more); not stored: its input a changed while it ran
          skipped t#test: s#test failed
        larder: failed with exit code 3 (34 tasks: 1 up to date, 31 ran, 1 failed, 1 skipped) in 1.2 s
        ");
    }

    #[test]
    fn what_was_named_as_it_ended_is_not_named_again() {
        let tasks = vec![task("a#build", Status::Ran, &["it is new"])];
        let mut record = record(tasks, 0);
        record.saved_seconds = 61.0;
        insta::assert_snapshot!(summary(&record, true, false), @"larder: succeeded (1 task: 1 ran) in 1.2 s, 1 min 1 s saved");
        insta::assert_snapshot!(summary(&record, false, false), @r"
          ran     a#build: it is new
        larder: succeeded (1 task: 1 ran) in 1.2 s, 1 min 1 s saved
        ");
    }

    #[test]
    fn the_lines_are_bounded_and_failures_are_not_among_those_left_out() {
        let mut tasks: Vec<TaskRecord> = (0..25)
            .map(|at| {
                let why = format!("file {at} was edited");
                task(&format!("p{at:02}#build"), Status::Ran, &[&why])
            })
            .collect();
        tasks.extend((0..25).map(|at| task(&format!("q{at:02}#test"), Status::Failed, &[])));
        let text = summary(&record(tasks, 1), false, false);
        assert_eq!(text.lines().count(), 25 + LINES + 2);
        assert!(text.contains("and 5 more"), "{text}");
    }

    #[test]
    fn an_interrupted_run_did_not_fail() {
        let mut record = record(vec![task("a#test", Status::Skipped, &["why"])], 130);
        record.error = Some(RunError {
            kind: "interrupted",
            message: "SIGINT".to_owned(),
        });
        let text = summary(&record, true, false);
        assert_eq!(
            text,
            "larder: interrupted, exit code 130 (1 task: 1 skipped) in 1.2 s"
        );
        // A task may end with this code by itself.
        record.error = None;
        let text = summary(&record, true, false);
        assert!(
            text.starts_with("larder: failed with exit code 130"),
            "{text}"
        );
    }

    #[test]
    fn colour_wraps_words_and_changes_none() {
        let mut failed = task("a#test", Status::Failed, &[]);
        failed.error = Some("exit code 1".to_owned());
        let record = record(vec![failed], 1);
        let painted = summary(&record, false, true);
        assert!(
            painted.contains("\x1b[31mfailed \x1b[0m a#test"),
            "{painted:?}"
        );
        let plain = painted.replace(RED, "").replace("\x1b[0m", "");
        assert_eq!(plain, summary(&record, false, false));
    }

    #[test]
    fn times_are_short_and_never_sixty_seconds() {
        let cases = [
            (0.0004, "0 ms"),
            (0.25, "250 ms"),
            (0.9999, "1.0 s"),
            (59.94, "59.9 s"),
            (59.97, "1 min 0 s"),
            (119.6, "2 min 0 s"),
            (3725.0, "62 min 5 s"),
        ];
        for (given, shown) in cases {
            assert_eq!(seconds(given), shown);
        }
    }

    #[test]
    fn a_run_without_tasks_says_so() {
        let text = summary(&record(Vec::new(), 0), false, false);
        assert_eq!(
            text,
            "larder: nothing to do: no task was asked for (0 tasks) in 1.2 s"
        );
    }
}
