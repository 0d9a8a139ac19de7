//! Deltas of a run's outputs: `larder run --write-delta`, and by way of `apply` `larder cache apply-delta`.
//! Does not know the written form of a delta, nor how outputs are compared or written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use larder_cache::{LeftOut, write_delta};

use crate::config::Task;
use crate::record::Status;
use crate::session::Session;
use crate::session::life::Done;

use super::cache::{count, size};
use super::{Context, Usage};

mod answer;
mod apply;
mod extra;
mod parts;
mod units;

pub(super) use apply::apply;

/// The folder that a delta shall be written into, once it is sure that this can be done.
pub(super) fn folder(
    context: &Context<'_>,
    asked: Option<&Path>,
) -> Result<Option<PathBuf>, Usage> {
    let Some(asked) = asked else { return Ok(None) };
    let folder = context.cwd.join(asked);
    let refuse = |why: &str| {
        Err(Usage::new(format!(
            "--write-delta {}: {why}\n  name a folder that is new or empty: a delta is never mixed with other files",
            asked.display()
        )))
    };
    match std::fs::read_dir(&folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => refuse("the folder is not empty"),
            None => Ok(Some(folder)),
        },
        Err(_) if folder.symlink_metadata().is_err() => Ok(Some(folder)),
        Err(error) => refuse(&format!("it cannot be used: {error}")),
    }
}

/// Writes what the tasks of a run made different from what they had made before it; the lines that tell of it.
pub(super) fn write(
    session: &Session<'_>,
    results: &BTreeMap<usize, Done>,
    folder: &Path,
) -> Result<String, Usage> {
    let (mut units, mut left_out) = (Vec::new(), Vec::new());
    for (&task, done) in results {
        let spec = &session.workspace.tasks[task];
        if done.record.status == Status::Group {
            continue;
        }
        let name = done.record.task.clone();
        match reason_to_leave_out(spec, done) {
            Some(why) => left_out.push(LeftOut {
                name,
                why: why.to_owned(),
            }),
            None => units.extend(units::units(session, task, done)),
        }
    }
    let options = session.pack_options();
    let delta = write_delta(session.outputs_root(), &units, &left_out, &options, folder).map_err(
        |error| Usage {
            kind: "output",
            message: format!(
                "the delta in {} cannot be written: {error}\n  what the run did is done and kept",
                folder.display()
            ),
        },
    )?;
    let (added, changed, removed) = delta.counts();
    let mut told = format!(
        "delta: {added} added, {changed} changed, {removed} removed, {} in {}",
        size(delta.archive.map_or(0, |(_, bytes)| bytes)),
        folder.display()
    );
    if let Some(first) = delta.left_out.first() {
        let more = match delta.left_out.len() - 1 {
            0 => String::new(),
            more => format!(" and {}", count(more, "more task", "more tasks")),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            told,
            "\ndelta: without {} ({}){more}",
            first.name, first.why
        );
    }
    Ok(told)
}

/// Why the outputs of a task are not part of a delta.
fn reason_to_leave_out(spec: &Task, done: &Done) -> Option<&'static str> {
    match done.record.status {
        Status::Failed => Some("it failed"),
        Status::Skipped => Some("it was not run"),
        _ if done.record.chunks.is_some_and(|chunks| chunks.left_out > 0) => {
            Some("some of its chunks were left out")
        }
        _ if !done.sound => Some("it ran after a dependency had failed"),
        _ => unfit(spec),
    }
}

/// Why a task's outputs are never handed on.
fn unfit(spec: &Task) -> Option<&'static str> {
    if spec.outputs.is_none() {
        Some("it declares no `outputs`")
    } else if !spec.store {
        Some("`store = false`: its outputs stay where they are")
    } else {
        None
    }
}
