//! `larder archive diff`, and `larder explain --against`: differences between entries in words.
//! Does not know how they are found.

use std::fmt::Write as _;

use larder_archive::{
    DiffSide, Difference, FileChange, ItemChange, TaskStatus, VariableChange, diff as differences,
};
use serde_json::json;

use crate::args::ArchiveArgs;
use crate::execute::exit;

use super::super::{Context, Outcome, print};
use super::{Place, plain};

/// Timings that differ by less, in seconds, are not shown to people.
const LEAST: f64 = 0.05;
/// So much of a text is shown of either side.
const SHOWN: usize = 48;

pub(super) fn diff(
    context: &Context<'_>,
    args: &ArchiveArgs,
    before: &str,
    after: &str,
) -> Outcome {
    let place = Place::find_for(context, args, &[before, after])?;
    let (old, old_manifests) = place.with_manifests(context, before)?;
    let (new, new_manifests) = place.with_manifests(context, after)?;
    let found = differences(
        DiffSide {
            entry: &old,
            manifests: &old_manifests,
        },
        DiffSide {
            entry: &new,
            manifests: &new_manifests,
        },
    );
    if args.json {
        let value = json!({ "before": old.id, "after": new.id, "differences": found });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = String::new();
    let mut last = "";
    for difference in found.iter().filter(|one| is_told(one)) {
        let (heading, line) = words(difference);
        if heading != last {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{heading}");
            last = heading;
        }
        let _ = writeln!(text, "  {line}");
    }
    if text.is_empty() {
        text.push_str("nothing differs\n");
    }
    print(&plain::lines(&text))?;
    Ok(exit::SUCCESS)
}

/// Whether people want to know: timings stand under a heading of their own, and thousandths of a second are noise.
fn is_told(difference: &Difference) -> bool {
    match difference {
        // How long delivering took is no property of what was archived.
        Difference::Metric { name, .. } => {
            !name.starts_with("timing.") && !name.starts_with("mirror.")
        }
        Difference::Timing { before, after, .. } => (before - after).abs() >= LEAST,
        _ => true,
    }
}

/// The heading a difference stands under, and what it is.
pub(super) fn words(difference: &Difference) -> (&str, String) {
    match difference {
        Difference::Task { task, change } => (task, format!("the task {}", item(*change))),
        Difference::Outcome {
            task,
            before,
            after,
        } => (
            "outcomes",
            format!(
                "{task}: {} before, {} after",
                status(*before),
                status(*after)
            ),
        ),
        Difference::Input { task, path, change } => {
            (task, format!("input {path} {}", file(*change)))
        }
        Difference::Output { task, path, change } => {
            (task, format!("output {path} {}", file(*change)))
        }
        Difference::Tool {
            task,
            command,
            change,
        } => {
            let what = match change {
                ItemChange::Changed => format!("the output of `{command}` changed"),
                other => format!("tool `{command}` {}", item(*other)),
            };
            (task, what)
        }
        Difference::Variable { task, name, change } => {
            (task, format!("variable {name} {}", variable(*change)))
        }
        Difference::Part {
            task,
            name,
            before,
            after,
        } => (task, part(name, before.as_deref(), after.as_deref())),
        Difference::Commit {
            path,
            before,
            after,
        } => {
            let short = |commit: &Option<String>| {
                let commit = commit.as_deref().unwrap_or("none");
                commit[..commit.len().min(12)].to_owned()
            };
            (
                "commits",
                format!("{path}: {} to {}", short(before), short(after)),
            )
        }
        Difference::Artifact { name, change } => ("artifacts", format!("{name} {}", item(*change))),
        Difference::Metric {
            name,
            before,
            after,
        } => {
            let number =
                |value: &Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
            (
                "metrics",
                format!("{name}: {} to {}", number(before), number(after)),
            )
        }
        Difference::Timing {
            name,
            before,
            after,
        } => (
            "timings",
            format!(
                "{name}: {before:.3} s to {after:.3} s ({:+.3} s)",
                after - before
            ),
        ),
    }
}

fn part(name: &str, before: Option<&str>, after: Option<&str>) -> String {
    // Digests say no more than that they differ.
    let is_digest = name.starts_with("outputs of ") || name.starts_with("git input ");
    match (before, after) {
        (Some(_), Some(_)) if is_digest => format!("{name} changed"),
        (Some(before), Some(after)) => {
            format!("{name} went from `{}` to `{}`", shown(before), shown(after))
        }
        (None, Some(_)) if is_digest => format!("{name} came to count"),
        (Some(_), None) if is_digest => format!("{name} no longer count"),
        (None, after) => format!(
            "{name} is `{}`, and was not given",
            shown(after.unwrap_or_default())
        ),
        (before, None) => format!(
            "{name} was `{}`, and is not given",
            shown(before.unwrap_or_default())
        ),
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.replace('\n', " ");
    }
    let start: String = text.chars().take(SHOWN - 1).collect();
    format!("{}…", start.replace('\n', " "))
}

fn item(change: ItemChange) -> &'static str {
    match change {
        ItemChange::Added => "was added",
        ItemChange::Removed => "was removed",
        ItemChange::Changed => "changed",
    }
}

fn file(change: FileChange) -> &'static str {
    match change {
        FileChange::Added => "was added",
        FileChange::Removed => "was removed",
        FileChange::Content => "was edited",
        FileChange::Mode => "changed its executable bit",
        FileChange::Kind => "became another kind of file",
    }
}

fn variable(change: VariableChange) -> &'static str {
    match change {
        VariableChange::Declared => "came to be declared",
        VariableChange::Undeclared => "is no longer declared",
        VariableChange::Set => "was not set, and is",
        VariableChange::Unset => "was set, and is not",
        VariableChange::Value => "changed",
        VariableChange::Incomparable => {
            "may differ: the two workspaces keep values secret in different ways"
        }
    }
}

fn status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::UpToDate => "up to date",
        TaskStatus::Restored => "restored",
        TaskStatus::Ran => "ran",
        TaskStatus::Failed => "failed",
        TaskStatus::Skipped => "skipped",
        TaskStatus::Group => "a group",
        TaskStatus::Unknown => "unknown",
    }
}
