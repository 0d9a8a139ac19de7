//! What an upload says: a line a step while it works, and what came of it at the end.
//! Does not know how steps are done.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use larder_archive::{Archive, ArchiveEntry, EntryId, EntryStatus, Severity, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::execute::exit;
use crate::record;

use super::super::cache::{count, size};
use super::super::{Usage, print, say};
use super::assemble::{Tags, Verdict};
use super::collect::Collected;
use super::measure::Scores;
use super::plain;
use super::repositories::Repositories;

/// What the step `sync` gives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Synced {
    /// What became of each repository.
    pub(super) pushes: Vec<Value>,
    /// The mirrors that get the entry.
    pub(super) mirrors: Vec<String>,
}

/// An upload at its end.
pub(super) struct Told<'t> {
    pub(super) entry: &'t ArchiveEntry,
    pub(super) synced: &'t Synced,
    pub(super) steps: &'t BTreeMap<Step, f64>,
    pub(super) dir: &'t Path,
    /// Whether the mirrors are waited for.
    pub(super) wait: bool,
}

/// The line of a step.
pub(super) fn step(step: Step, seconds: f64, known: bool, detail: &str) {
    let time = if known {
        "   done before".to_owned()
    } else {
        format!("{seconds:>9.3} s   ")
    };
    say(format!("{:<15} {time}  {detail}", step.name()).trim_end());
}

pub(super) fn collected(collected: &Collected) -> String {
    let bytes = collected.artifacts.iter().map(|one| one.size).sum();
    format!(
        "{}, {} ({})",
        tasks(collected.run.summary().tasks.len()),
        artifacts(collected.artifacts.len()),
        size(bytes)
    )
}

pub(super) fn tasks(number: usize) -> String {
    count(number, "task", "tasks")
}

pub(super) fn artifacts(number: usize) -> String {
    count(number, "artifact", "artifacts")
}

pub(super) fn scores(scores: &Scores) -> String {
    let mut text = count(scores.metrics.len(), "metric", "metrics");
    if !scores.unmeasured.is_empty() {
        let _ = write!(text, ", {} not measured", scores.unmeasured.len());
    }
    if !scores.findings.is_empty() {
        let _ = write!(
            text,
            ", {}",
            count(scores.findings.len(), "finding", "findings")
        );
    }
    text
}

pub(super) fn repositories(repositories: &Repositories) -> String {
    let all = &repositories.commits;
    if all.is_empty() {
        return "no repository".to_owned();
    }
    let mut text = count(all.len(), "repository", "repositories");
    let committed = all.iter().filter(|one| one.committed).count();
    let dirty = all.iter().filter(|one| one.dirty).count();
    if committed > 0 {
        let _ = write!(text, ", {committed} committed");
    }
    if dirty > 0 {
        let _ = write!(text, ", {dirty} dirty");
    }
    if !repositories.findings.is_empty() {
        text.push_str(", files changed since the run");
    }
    text
}

pub(super) fn tags(tags: &Tags) -> String {
    let names: Vec<&str> = tags.entry.iter().map(String::as_str).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

pub(super) fn verdict(verdict: &Verdict) -> String {
    if verdict.skipped {
        return "left out on request".to_owned();
    }
    let failed = verdict.gates.iter().filter(|gate| !gate.passed).count();
    let gates = count(verdict.gates.len(), "gate", "gates");
    match failed {
        0 => format!("{gates} passed"),
        _ => format!("{failed} of {gates} failed"),
    }
}

pub(super) fn saved(entry: &ArchiveEntry) -> String {
    let bytes = entry.bundle.as_ref().map_or(0, |bundle| bundle.size);
    format!("bundle of {}", size(bytes))
}

pub(super) fn synced(synced: &Synced) -> String {
    let pushed = synced.pushes.iter();
    let pushed = pushed.filter(|push| push["outcome"] == "pushed").count();
    let mut said = Vec::new();
    if pushed > 0 {
        let pushed = count(pushed, "repository", "repositories");
        said.push(format!("{pushed} pushed"));
    }
    if !synced.mirrors.is_empty() {
        said.push(format!(
            "{} noted",
            count(synced.mirrors.len(), "mirror", "mirrors")
        ));
    }
    if said.is_empty() {
        said.push("nothing to do".to_owned());
    }
    said.join(", ")
}

/// The end of an upload, for programs.
pub(super) fn value(told: &Told<'_>) -> String {
    let Told {
        entry,
        synced,
        steps,
        ..
    } = told;
    let rejected = entry.status == EntryStatus::Rejected;
    let error =
        rejected.then(|| json!({ "kind": "rejected", "message": reasons(entry).join("\n") }));
    let steps: Vec<Value> = steps
        .iter()
        .map(|(step, seconds)| json!({ "step": step, "seconds": seconds }))
        .collect();
    let value = json!({
        "version": record::VERSION,
        "exit_code": u8::from(rejected),
        "error": error,
        "entry": entry,
        "steps": steps,
        "pushes": synced.pushes,
        "mirrors": synced.mirrors,
    });
    format!("{value:#}\n")
}

/// The end of an upload, for programs, once it is known how the mirrors fared.
pub(super) fn ended(text: &str, code: u8) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    value["exit_code"] = json!(code);
    let error = match code {
        exit::INTERRUPTED => Some(("interrupted", "the mirrors were not waited for to the end")),
        exit::UNFINISHED => Some(("not-mirrored", "not every mirror has the entry")),
        _ => None,
    };
    if let Some((kind, message)) = error {
        value["error"] = json!({ "kind": kind, "message": message });
    }
    format!("{value:#}\n")
}

/// The end of an upload, for people.
pub(super) fn text(told: &Told<'_>) -> String {
    let Told {
        entry,
        synced,
        dir,
        wait,
        ..
    } = told;
    let mut text = String::new();
    for finding in &entry.findings {
        // An error is the reason of a gate and comes there.
        if finding.severity != Severity::Error || entry.gates_skipped {
            let message = plain::line(&finding.message);
            let _ = writeln!(text, "{}: {message}", finding.validator);
        }
    }
    if entry.status == EntryStatus::Rejected {
        let _ = writeln!(
            text,
            "{} is kept, rejected by its gates, and nothing was pushed:",
            entry.id
        );
        for reason in reasons(entry) {
            let _ = writeln!(text, "  {reason}");
        }
        return text;
    }
    let skipped = if entry.gates_skipped {
        ", gates left out"
    } else {
        ""
    };
    let _ = writeln!(text, "{} is kept{skipped}", entry.id);
    let bundle = dir.join(Archive::bundle_name(entry.id));
    let _ = writeln!(text, "  bundle   {}", bundle.display());
    for push in &synced.pushes {
        let path = push["path"].as_str().unwrap_or_default();
        let what = match push["why"].as_str() {
            Some(why) => why.lines().next().unwrap_or_default().to_owned(),
            None => format!(
                "pushed in {:.1} s",
                push["seconds"].as_f64().unwrap_or_default()
            ),
        };
        let _ = writeln!(text, "  push     {path}: {what}");
    }
    if !synced.mirrors.is_empty() {
        let how = if *wait {
            ""
        } else {
            " in the background: `larder archive status`"
        };
        let _ = writeln!(text, "  mirrors  {}{how}", synced.mirrors.join(", "));
    }
    text
}

/// Why an entry was rejected, a line each.
pub(super) fn reasons(entry: &ArchiveEntry) -> Vec<String> {
    let failed = entry.gates.iter().filter(|gate| !gate.passed);
    failed
        .flat_map(|gate| {
            let reasons = gate.reasons.iter();
            reasons.map(move |reason| plain::line(&format!("{}: {reason}", gate.gate)).into_owned())
        })
        .collect()
}

/// Tells of a step that failed: why, and what to do.
pub(super) fn step_failed(
    id: EntryId,
    step: Step,
    (why, advice): (&str, &str),
    json: bool,
    code: u8,
) -> Result<(), Usage> {
    if json {
        let value = json!({
            "version": record::VERSION,
            "exit_code": code,
            "error": { "kind": "step-failed", "step": step, "message": why, "advice": advice },
            "id": id,
        });
        print(&format!("{value:#}\n"))?;
    }
    let mut lines = why.lines();
    let first = lines.next().unwrap_or_default();
    say(&format!("larder: step `{step}` failed: {first}"));
    for line in lines {
        say(&format!("  {line}"));
    }
    say(&format!("  {advice}"));
    Ok(())
}
