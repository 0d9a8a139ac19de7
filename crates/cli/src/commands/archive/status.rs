//! `larder archive status`, `sync` and the hidden `drain`: what is on its way to the mirrors, and bringing it there.
//! Does not know how anything is delivered.

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use larder_archive::outbox::{DrainOptions, Record, Status};
use larder_archive::{Time, pending};
use serde_json::{Value, json};

use crate::args::ArchiveArgs;
use crate::execute::exit;

use super::super::cache::count;
use super::super::{Context, Outcome, Usage, print, say};
use super::mirrors::Mirrors;
use super::{Place, assemble, failed, show, unfinished};

/// So many characters of an error are shown to people.
const SAID: usize = 300;
/// So many deliveries that are done are shown to people.
const DONE: usize = 5;

impl Place {
    /// The mirrors of the workspace.
    pub(super) fn mirrors<'m>(&'m self, context: &'m Context<'_>) -> Mirrors<'m> {
        Mirrors {
            archive: &self.archive,
            settings: &self.settings.mirrors,
            root: self.root.as_deref().unwrap_or(self.archive.root()),
            env: &context.world.env,
        }
    }
}

pub(super) fn status(context: &Context<'_>, args: &ArchiveArgs) -> Outcome {
    let place = Place::find(context, args)?;
    tell(context, args, &place)?;
    Ok(exit::SUCCESS)
}

/// `archive sync`: makes every mirror complete as far as one try goes, and tells what came of it.
pub(super) fn sync(context: &Context<'_>, args: &ArchiveArgs) -> Outcome {
    let place = Place::find(context, args)?;
    let mirrors = place.mirrors(context);
    mirrors.check().map_err(mirror_usage)?;
    // Of another archive than the workspace's own nobody knows which mirrors there should be.
    let name = assemble::workspace(mirrors.root, &place.settings);
    if place.root.is_some() && args.dir.is_none() {
        for line in mirrors.give_up(&name).map_err(mirror_usage)? {
            say(&format!("larder: {line}"));
        }
    }
    mirrors.retry().map_err(mirror_usage)?;
    let unreached = mirrors.complete(&name).map_err(mirror_usage)?;
    let never = AtomicBool::new(false);
    mirrors
        .deliver(Duration::ZERO, true, &never, &|| {})
        .map_err(mirror_usage)?;
    for line in &unreached {
        say(&format!("larder: {line}"));
    }
    let status = tell(context, args, &place)?;
    let all_there = status.pending.is_empty()
        && status.failed.is_empty()
        && status.damaged.is_empty()
        && unreached.is_empty();
    Ok(if all_there {
        exit::SUCCESS
    } else {
        exit::UNFINISHED
    })
}

/// The background process.
pub(super) fn drain(context: &Context<'_>, args: &ArchiveArgs) -> Outcome {
    // It outlives the terminal it was started in. A process that leads a group already cannot, and is on its own anyway.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    let place = Place::find(context, args)?;
    let never = AtomicBool::new(false);
    let patience = DrainOptions::default().patience;
    let mirrors = place.mirrors(context);
    mirrors
        .deliver(patience, false, &never, &|| {})
        .map_err(mirror_usage)?;
    Ok(exit::SUCCESS)
}

/// The mistake of mirrors that cannot be looked at.
pub(super) fn mirror_usage(message: String) -> Usage {
    Usage {
        kind: "archive",
        message,
    }
}

fn tell(context: &Context<'_>, args: &ArchiveArgs, place: &Place) -> Result<Status, Usage> {
    let mirrors = place.mirrors(context);
    let status = mirrors.status().map_err(mirror_usage)?;
    let (working, said) = mirrors.background().map_err(mirror_usage)?;
    let unfinished = pending(&place.archive).map_err(|error| failed(&error))?;
    if args.json {
        let records = |records: &[Record]| -> Vec<Value> { records.iter().map(value).collect() };
        let damaged: Vec<Value> = status
            .damaged
            .iter()
            .map(|one| {
                json!({
                    "path": one.path, "entry": one.entry, "why": one.why, "remedy": mirrors.remedy(one),
                })
            })
            .collect();
        let journals = unfinished.journals.iter();
        let uploads: Vec<Value> = journals
            .map(|one| json!({ "id": one.id, "begun": one.begun, "failed": one.failed }))
            .chain(
                unfinished
                    .unreadable
                    .iter()
                    .map(unfinished::unreadable_value),
            )
            .collect();
        let value = json!({
            "pending": records(&status.pending),
            "done": records(&status.done),
            "failed": records(&status.failed),
            "damaged": damaged,
            "background": { "working": working, "said": said },
            "uploads": uploads,
        });
        print(&format!("{value:#}\n"))?;
        return Ok(status);
    }
    let mut text = String::new();
    for record in &status.failed {
        line(&mut text, "failed", record);
    }
    for record in &status.pending {
        line(&mut text, "pending", record);
    }
    for record in status.done.iter().rev().take(DONE) {
        line(&mut text, "done", record);
    }
    // Writing to a string cannot fail.
    if status.done.len() > DONE {
        let _ = writeln!(text, "and {} more that are done", status.done.len() - DONE);
    }
    for damaged in &status.damaged {
        let entry = damaged.entry.as_deref().unwrap_or("unknown");
        let _ = writeln!(text, "damaged  {entry}");
        let _ = writeln!(text, "         {}: {}", damaged.path.display(), damaged.why);
        let _ = writeln!(text, "         {}", mirrors.remedy(damaged));
    }
    if let Some(said) = said.filter(|_| !status.pending.is_empty()) {
        text.push_str("the background process came to a bad end; it said:\n");
        for line in said.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    for journal in &unfinished.journals {
        let _ = writeln!(text, "{}", unfinished::line(journal));
    }
    for one in &unfinished.unreadable {
        let _ = writeln!(text, "{}", unfinished::unreadable(one));
    }
    if text.is_empty() {
        text.push_str("nothing is on its way\n");
    }
    print(&text)?;
    Ok(status)
}

fn value(record: &Record) -> Value {
    let mut value = json!(record);
    value["why"] = json!(record.failure.as_ref().map(ToString::to_string));
    value
}

fn line(text: &mut String, state: &str, record: &Record) {
    let _ = write!(text, "{state:<8} {}  {}", record.entry, record.destination);
    if let (None, Some(finished)) = (&record.failure, record.finished) {
        let took = finished.saturating_sub(record.enqueued);
        let _ = write!(text, "  in {}.{} s", took / 1000, took % 1000 / 100);
    }
    text.push('\n');
    if let Some(failure) = &record.failure {
        let _ = writeln!(text, "         {failure}");
    }
    if let Some(error) = record.last_error.as_ref().filter(|_| state != "done") {
        // What a store says may be a whole page.
        let first = error.lines().next().unwrap_or_default();
        let short: String = first.chars().take(SAID).collect();
        let tries = match record.attempts {
            0 => "the last try said".to_owned(),
            tries => format!("{} failed", count(tries as usize, "try", "tries")),
        };
        let _ = writeln!(text, "         {tries}: {short}");
    }
    if state == "pending" && record.next_try > 0 {
        let next = i64::try_from(record.next_try).unwrap_or(i64::MAX / 1_000_000);
        let next = Time::from_nanos(next.saturating_mul(1_000_000));
        let _ = writeln!(text, "         the next try is at {}", show::moment(next));
    }
}
