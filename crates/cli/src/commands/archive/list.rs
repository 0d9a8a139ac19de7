//! `larder archive list`: a line an entry, the newest first.
//! Does not know what an entry holds beyond its summary.

use std::fmt::Write as _;

use larder_archive::{EntryStatus, Filter, Summary, Time};
use serde_json::json;

use crate::args::ArchiveArgs;
use crate::args::archive::FilterArgs;
use crate::config;
use crate::execute::exit;

use super::super::{Context, Outcome, Usage, print, say};
use super::{Place, assemble, show};

pub(super) fn list(context: &Context<'_>, args: &ArchiveArgs, asked: &FilterArgs) -> Outcome {
    let place = Place::find(context, args)?;
    let filter = filter(asked)?;
    let listing = place.listing()?;
    let wanted = listing
        .summaries
        .iter()
        .rev()
        .filter(|one| filter.matches(one));
    let wanted: Vec<&Summary> = wanted.take(asked.limit.unwrap_or(usize::MAX)).collect();
    for (id, why) in &listing.problems {
        say(&format!("larder: entry {id} cannot be read: {why}"));
    }
    if args.json {
        let problems: Vec<_> = listing
            .problems
            .iter()
            .map(|(id, why)| json!({ "id": id, "why": why }))
            .collect();
        let value = json!({ "entries": wanted, "problems": problems });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    if wanted.is_empty() {
        print(if listing.summaries.is_empty() {
            "no entries; `larder archive upload` makes one of the last run\n"
        } else {
            "no entry is like that\n"
        })?;
        return Ok(exit::SUCCESS);
    }
    let mut text = String::new();
    for summary in wanted {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line(summary).trim_end());
    }
    print(&text)?;
    Ok(exit::SUCCESS)
}

/// Id, moment, verdict, then who asked and the tags.
fn line(summary: &Summary) -> String {
    let verdict = match (summary.status, summary.gates_skipped) {
        (EntryStatus::Rejected, _) => "rejected",
        (EntryStatus::Accepted, true) => "ungated",
        (EntryStatus::Accepted, false) => "accepted",
    };
    let mut line = format!(
        "{}  {}  {verdict}  {}",
        summary.id,
        show::moment(summary.created),
        summary.trigger
    );
    if !summary.tags.is_empty() {
        let tags: Vec<&str> = summary.tags.iter().map(String::as_str).collect();
        let _ = write!(line, "  {}", tags.join(","));
    }
    line
}

/// The filter that the flags come down to.
fn filter(asked: &FilterArgs) -> Result<Filter, Usage> {
    let mut filter = Filter {
        tags: asked.tag.clone(),
        trigger: asked.trigger.clone(),
        project: asked.project.clone(),
        since: asked
            .since
            .as_deref()
            .map(|text| time("--since", text))
            .transpose()?,
        before: asked
            .before
            .as_deref()
            .map(|text| time("--before", text))
            .transpose()?,
        ..Filter::default()
    };
    match asked.gate.as_deref() {
        None => {}
        Some("accepted") => filter.status = Some(EntryStatus::Accepted),
        Some("rejected") => filter.status = Some(EntryStatus::Rejected),
        Some(text) => {
            filter.gate = Some(match text.rsplit_once('=') {
                Some((gate, "passed")) => (gate.to_owned(), Some(true)),
                Some((gate, "failed")) => (gate.to_owned(), Some(false)),
                _ => (text.to_owned(), None),
            });
        }
    }
    Ok(filter)
}

/// A moment: so long ago, the beginning of a day here, or RFC 3339.
fn time(flag: &str, text: &str) -> Result<Time, Usage> {
    if let Some(seconds) = config::duration(text) {
        let back = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000_000);
        return Ok(Time::from_nanos(
            assemble::now().nanos().saturating_sub(back),
        ));
    }
    if let Ok(day) = text.parse::<chrono::NaiveDate>() {
        let start = day
            .and_time(chrono::NaiveTime::MIN)
            .and_local_timezone(chrono::Local);
        let nanos = start
            .earliest()
            .and_then(|start| start.timestamp_nanos_opt());
        if let Some(nanos) = nanos {
            return Ok(Time::from_nanos(nanos));
        }
    }
    text.parse().map_err(|_| {
        Usage::new(format!(
            "{flag} {text} is not understood\n  write 7d, 2026-01-31 or 2026-01-31T12:00:00Z"
        ))
    })
}
