//! `larder archive show`: one entry, for people.
//! Does not know where entries are kept.

use std::fmt::Write as _;

use larder_archive::{ArchiveEntry, EntryStatus, TaskStatus, Time, verify_bundle};

use crate::args::ArchiveArgs;
use crate::execute::exit;

use super::super::cache::size;
use super::super::{Context, Outcome, print};
use super::{Place, bundle_path, failed, plain, told};

pub(super) fn show(context: &Context<'_>, args: &ArchiveArgs, entry: &str) -> Outcome {
    let place = Place::find_for(context, args, &[entry])?;
    let entry = match bundle_path(context, entry) {
        Some(path) => verify_bundle(&path).map_err(|error| failed(&error))?.entry,
        None => place.entry(entry)?,
    };
    if args.json {
        print(&format!("{:#}\n", serde_json::json!(entry)))?;
    } else {
        print(&plain::lines(&text(&entry)))?;
    }
    Ok(exit::SUCCESS)
}

/// A moment by the clock of this machine, to the minute.
pub(super) fn moment(time: Time) -> String {
    let time = chrono::DateTime::from_timestamp_nanos(time.nanos());
    let time = time.with_timezone(&chrono::Local);
    time.format("%Y-%m-%d %H:%M").to_string()
}

/// The same of a moment that is written as RFC 3339; what is none stays as it is.
pub(super) fn moment_text(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), moment)
}

// Writing to a string cannot fail.
fn text(entry: &ArchiveEntry) -> String {
    let run = entry.run.summary();
    let mut text = String::new();
    let verdict = match (entry.status, entry.gates_skipped) {
        (EntryStatus::Rejected, _) => "rejected",
        (EntryStatus::Accepted, true) => "accepted, gates left out",
        (EntryStatus::Accepted, false) => "accepted",
    };
    let _ = writeln!(text, "{}  {verdict}", entry.id);
    let host = &entry.host;
    let _ = writeln!(
        text,
        "made      {} by {}, on {} ({} {})",
        moment(entry.created),
        plain::line(&entry.trigger),
        if host.name.is_empty() {
            "?"
        } else {
            &host.name
        },
        host.os,
        host.arch
    );
    let _ = writeln!(
        text,
        "run       {} of {}: {:.1} s, exit code {}",
        plain::line(&run.request.join(" ")),
        moment_text(&run.started),
        run.wall_seconds,
        run.exit_code
    );
    for note in &entry.notes {
        let _ = writeln!(text, "note      {}", plain::line(note));
    }
    if !entry.tags.is_empty() {
        let tags: Vec<&str> = entry.tags.iter().map(String::as_str).collect();
        let _ = writeln!(text, "tags      {}", plain::line(&tags.join(", ")));
    }
    for repo in &entry.commits {
        let commit = repo.commit.as_deref().unwrap_or("no commit");
        let commit = &commit[..commit.len().min(12)];
        let branch = repo.branch.as_deref().unwrap_or("detached");
        let state = match (repo.dirty, repo.committed) {
            (true, _) => ", dirty",
            (false, true) => ", committed by the upload",
            (false, false) => "",
        };
        let _ = writeln!(text, "commit    {}: {commit} ({branch}{state})", repo.path);
    }
    if let Some(bundle) = &entry.bundle {
        let _ = writeln!(text, "bundle    {} ({})", bundle.name, size(bundle.size));
    }
    if let Some(attestation) = &entry.attestation {
        let _ = writeln!(text, "attested  {}", attestation.name);
    }
    parts(entry, &mut text);
    text
}

fn parts(entry: &ArchiveEntry, text: &mut String) {
    if !entry.artifacts.is_empty() {
        text.push_str("artifacts\n");
    }
    for one in &entry.artifacts {
        let _ = writeln!(text, "  {:>10}  {}", size(one.size), one.name);
    }
    let run = entry.run.summary();
    if !run.tasks.is_empty() {
        text.push_str("tasks\n");
    }
    for task in &run.tasks {
        let status = match task.status {
            TaskStatus::UpToDate => "up to date",
            TaskStatus::Restored => "restored",
            TaskStatus::Ran => "ran",
            TaskStatus::Failed => "failed",
            TaskStatus::Skipped => "skipped",
            TaskStatus::Group => "group",
            TaskStatus::Unknown => "?",
        };
        let _ = writeln!(
            text,
            "  {:>8.2} s  {status:<10}  {}",
            task.seconds, task.task
        );
        if let Some(error) = task.error.as_ref().and_then(|error| error.lines().next()) {
            let _ = writeln!(text, "                          {error}");
        }
    }
    if !entry.gates.is_empty() {
        text.push_str("gates\n");
    }
    for gate in &entry.gates {
        let passed = if gate.passed { "passed" } else { "failed" };
        let _ = writeln!(text, "  {passed}  {}", gate.gate);
        for reason in &gate.reasons {
            for line in reason.lines() {
                let _ = writeln!(text, "          {line}");
            }
        }
    }
    let metrics: Vec<_> = entry.metrics.iter().collect();
    // Timings are told below, and in their own words.
    let own = metrics
        .iter()
        .filter(|(name, _)| !name.starts_with("timing."));
    let own: Vec<_> = own.collect();
    if !own.is_empty() {
        text.push_str("metrics\n");
    }
    for (name, value) in own {
        let _ = writeln!(text, "  {:>10}  {name}", plain::number(**value));
    }
    if !entry.findings.is_empty() {
        text.push_str("findings\n");
    }
    for finding in &entry.findings {
        let message = plain::line(&finding.message);
        let _ = writeln!(text, "  {}: {message}", finding.validator);
    }
    text.push_str("archiving\n");
    for (step, seconds) in &entry.archive_timings {
        let _ = writeln!(text, "  {seconds:>8.3} s  {step}");
    }
    if entry.status == EntryStatus::Rejected {
        let reasons = told::reasons(entry).len();
        let _ = writeln!(
            text,
            "rejected for {}",
            super::super::cache::count(reasons, "reason", "reasons")
        );
    }
}
