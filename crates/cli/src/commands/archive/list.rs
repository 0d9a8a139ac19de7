//! `larder archive list`: a line an entry, the newest first.
//! Does not know what an entry holds beyond its summary.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use larder_archive::{EntryStatus, Filter, Summary, Time};
use serde_json::json;

use crate::args::ArchiveArgs;
use crate::args::archive::FilterArgs;
use crate::config;
use crate::execute::exit;

use super::super::{Context, Outcome, Usage, print, say};
use super::{Place, assemble, plain, show};

pub(super) fn list(context: &Context<'_>, args: &ArchiveArgs, asked: &FilterArgs) -> Outcome {
    let place = Place::find(context, args)?;
    let listing = place.listing()?;
    let filter = filter(asked, &listing.summaries)?;
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
    print(&table(&wanted))?;
    Ok(exit::SUCCESS)
}

/// Letters that a column takes at most.
const COLUMN: usize = 24;

/// A line an entry, with the names of the columns above.
fn table(entries: &[&Summary]) -> String {
    let verdict = |summary: &Summary| match (summary.status, summary.gates_skipped) {
        (EntryStatus::Rejected, _) => "rejected",
        (EntryStatus::Accepted, true) => "ungated",
        (EntryStatus::Accepted, false) => "accepted",
    };
    let run = |summary: &Summary| match summary.exit_code {
        0 => "ok".to_owned(),
        code => format!("exit {code}"),
    };
    let tags = |summary: &Summary| -> String {
        let tags: Vec<&str> = summary.tags.iter().map(String::as_str).collect();
        plain::line(&tags.join(",")).into_owned()
    };
    let head = ["ENTRY", "MADE", "GATES", "RUN", "TRIGGER", "TASKS", "TAGS"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(entries.iter().map(|summary| {
        [
            summary.id.to_string(),
            show::moment(summary.created),
            verdict(summary).to_owned(),
            run(summary),
            plain::short(&summary.trigger, COLUMN),
            plain::short(&summary.request.join(" "), COLUMN),
            tags(summary),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..head.len() - 1).filter_map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        line.push_str(&row[head.len() - 1]);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The gate that a text means: by its whole name, or by what it is called among those of its kind.
fn gate(text: &str, summaries: &[Summary]) -> Result<String, Usage> {
    let names: BTreeSet<&str> = summaries
        .iter()
        .flat_map(|summary| summary.gates.keys().map(String::as_str))
        .collect();
    if names.contains(text) {
        return Ok(text.to_owned());
    }
    let called = |name: &&&str| name.split_once(' ').is_some_and(|(_, name)| name == text);
    let called: Vec<&&str> = names.iter().filter(called).collect();
    match called.as_slice() {
        [one] => Ok((**one).to_owned()),
        _ if names.is_empty() => Err(Usage::new(format!(
            "no gate is called `{text}`\n  no entry was asked any"
        ))),
        _ => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            Err(Usage::new(format!(
                "no gate is called `{text}`\n  there are {}; with `=passed` or `=failed` behind the name, only those",
                names.join(", ")
            )))
        }
    }
}

/// The filter that the flags come down to.
fn filter(asked: &FilterArgs, summaries: &[Summary]) -> Result<Filter, Usage> {
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
            let (name, answer) = match text.rsplit_once('=') {
                Some((name, "passed")) => (name, Some(true)),
                Some((name, "failed")) => (name, Some(false)),
                _ => (text, None),
            };
            filter.gate = Some((gate(name, summaries)?, answer));
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
