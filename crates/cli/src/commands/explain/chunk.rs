//! `larder explain` of one chunk, and how chunks are named on the command line.
//! Does not judge it.

use std::fmt::Write as _;

use serde_json::json;

use crate::config::Workspace;
use crate::execute::exit;
use crate::plan::task_id;
use crate::select::graph_filter::chunk_of;
use crate::select::nearest;
use crate::session::chunks::{self, Portrait};
use crate::session::forecast::{Forecast, Verdict};
use crate::session::{Run, Session, words};

use super::super::{Outcome, Usage, print};

/// So many items of a list are named where words are for people.
const NAMED: usize = 10;

/// `task[path]` taken apart; `None` where it names no chunk.
pub(in super::super) fn split<'w>(
    workspace: &Workspace,
    word: &'w str,
) -> Option<(&'w str, &'w str)> {
    let is_task = workspace.tasks.iter().any(|task| task.name == word);
    chunk_of(word).filter(|_| !is_task)
}

/// The source of the chunk that a task has of a path as it names it; one that is gone as well, while it is known.
pub(in super::super) fn source(
    session: &Session<'_>,
    task: usize,
    within: &str,
) -> Result<Vec<u8>, Usage> {
    let id = task_id(&session.workspace, task);
    if session.workspace.tasks[task].foreach.is_none() {
        return Err(Usage::new(format!(
            "{id} has no `foreach`, so it has no chunks\n  name the task alone: `{id}`"
        )));
    }
    let listed = chunks::listed(session, task).map_err(Usage::new)?;
    let mut found = listed.chunks.iter();
    if let Some((source, _)) = found.find(|(_, name)| *name == within) {
        return Ok(source.clone());
    }
    let meant = nearest(within, listed.chunks.values().map(String::as_str));
    let hint = meant.map_or(String::new(), |name| {
        format!("; did you mean `{id}[{name}]`?")
    });
    Err(Usage::new(format!(
        "{id} has no chunk `{within}`{hint}\n  `larder ls --chunks` lists all chunks"
    )))
}

/// Says what would happen to a chunk, why, and what it is made of.
pub(super) fn explain(
    run: &Run<'_>,
    task: usize,
    source: &[u8],
    order: &[&Forecast],
    as_json: bool,
) -> Outcome {
    let runs = |dep: &usize| {
        let mut forecasts = order.iter().filter(|forecast| forecast.task == *dep);
        forecasts
            .any(|forecast| !matches!(forecast.verdict, Verdict::UpToDate | Verdict::WouldRestore))
    };
    let needs = run.plan().needs(task).into_iter().map(|(dep, _)| dep);
    let open: Vec<usize> = needs.filter(runs).collect();
    let portrait = chunks::portrait(run, task, source, &open).map_err(Usage::new)?;
    let Some(mut portrait) = portrait else {
        return Err(Usage::new("the source is gone, and nothing is known of it"));
    };
    let of_task = order.iter().find(|forecast| forecast.task == task);
    if portrait.verdict == Verdict::UpToDate {
        let nothing = "nothing it reads changed, and its outputs are as it left them";
        portrait.why.push(nothing.to_owned());
    } else if !portrait.gone {
        // What changed for all chunks changed for this one.
        let changes = of_task.map(|forecast| words::changes(&forecast.changes));
        portrait.why.extend(changes.unwrap_or_default());
        let first =
            |dep: &usize| format!("{} runs first, and its outputs may change", run.id(*dep));
        portrait.why.extend(open.iter().map(first));
        if portrait.why.is_empty() {
            portrait.why.push(words::UNKNOWN.to_owned());
        }
    }
    if as_json {
        let tasks: Vec<_> = order
            .iter()
            .map(|forecast| super::value(forecast))
            .collect();
        let mut value = value(&portrait);
        value["task"] = json!(run.id(task));
        value["tasks"] = json!(tasks);
        print(&format!("{value:#}\n"))?;
    } else {
        let mut text = told(&portrait);
        for forecast in order {
            if forecast.verdict != Verdict::UpToDate && open.contains(&forecast.task) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{}: {}", forecast.id, forecast.verdict.words());
                for why in &forecast.why {
                    let _ = writeln!(text, "  {why}");
                }
            }
        }
        print(&text)?;
    }
    Ok(exit::SUCCESS)
}

fn verdict(portrait: &Portrait) -> &'static str {
    if portrait.gone {
        "would be removed"
    } else {
        portrait.verdict.words()
    }
}

fn told(portrait: &Portrait) -> String {
    let mut text = format!("{}: {}\n", portrait.id, verdict(portrait));
    // Writing to a string cannot fail.
    for why in &portrait.why {
        let _ = writeln!(text, "  {why}");
    }
    let mut list = |what: &str, items: &[String]| {
        for (at, item) in items.iter().take(NAMED).enumerate() {
            let what = if at == 0 { what } else { "" };
            let _ = writeln!(text, "  {what:<11} {item}");
        }
        if items.len() > NAMED {
            let more = items.len() - NAMED;
            let _ = writeln!(text, "  {:<11} and {more} more (`--json` names all)", "");
        }
    };
    list("key", portrait.key.as_slice());
    list("source", std::slice::from_ref(&portrait.source.0));
    let discovered = portrait.discovered.iter().flatten();
    let discovered: Vec<String> = discovered
        .map(|file| match (&file.digest, file.changed) {
            (None, true) => format!("{} (gone)", file.path),
            (_, true) => format!("{} (changed)", file.path),
            _ => file.path.clone(),
        })
        .collect();
    list("discovered", &discovered);
    let makers: Vec<String> = portrait.dependencies.keys().cloned().collect();
    list("made by", &makers);
    list("makes", &portrait.outputs);
    let users: Vec<String> = portrait.used_by.iter().cloned().collect();
    list("used by", &users);
    text
}

fn value(portrait: &Portrait) -> serde_json::Value {
    let verdict = if portrait.gone {
        json!("would-be-removed")
    } else {
        json!(portrait.verdict)
    };
    let discovered = portrait.discovered.as_ref().map(|files| {
        let file = |file: &chunks::Discovered| {
            json!({ "path": file.path, "digest": file.digest, "changed": file.changed })
        };
        files.iter().map(file).collect::<Vec<_>>()
    });
    let (path, digest) = &portrait.source;
    json!({ "chunk": portrait.id, "verdict": verdict, "why": portrait.why, "key": portrait.key, "shared": portrait.shared, "source": { "path": path, "digest": digest }, "discovered": discovered, "dependencies": portrait.dependencies, "outputs": portrait.outputs, "used_by": portrait.used_by })
}
