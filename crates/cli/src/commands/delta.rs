//! Deltas of a run's outputs: `larder run --write-delta`, and by way of `apply` `larder cache apply-delta`.
//! Does not know the written form of a delta, but for what it adds to each unit, nor how outputs are compared or written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use larder_cache::delta::format::{escape, unescape};
use larder_cache::{Key, LeftOut, Store as _, Unit, UnitDelta, write_delta};

use crate::config::Task;
use crate::record::Status;
use crate::session::Session;
use crate::session::life::Done;
use crate::state::Success;

use super::cache::{count, size};
use super::{Context, Usage};

mod answer;
mod apply;

pub(super) use apply::apply;

/// What is noted of a task beside its outputs.
mod field {
    pub(super) const KEY: &str = "key";
    pub(super) const CLOSURE: &str = "closure";
    pub(super) const DURATION: &str = "duration-ms";
    pub(super) const DISCOVERED: &str = "discovered";
    pub(super) const ROOT: &str = "root";
}

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
            None => units.push(unit(session, spec, name, done)),
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

fn unit(session: &Session<'_>, spec: &Task, name: String, done: &Done) -> Unit {
    let last = session.state.task(&name);
    // What a failed run left is no state that another place could be in.
    let before = last
        .filter(|last| last.success.is_some())
        .map(|last| last.owned.clone());
    let success = match &done.update {
        Some(update) => update.task.success.as_ref(),
        None => last
            .and_then(|last| last.success.as_ref())
            .filter(|success| success.key == done.key),
    };
    Unit {
        before,
        after: done.rows.to_vec(),
        extra: success
            .map(|success| extra(session, spec, done, success))
            .unwrap_or_default(),
        name,
    }
}

/// What lets another place take the outputs for up to date: nothing unless the cache vouches for them, which knows whether
/// they are bound to this root.
fn extra(
    session: &Session<'_>,
    spec: &Task,
    done: &Done,
    success: &Success,
) -> BTreeMap<String, String> {
    let manifest = larder_cache::digest(&done.rows);
    let kept = |key: [u8; 32]| {
        let entry = session.store().map(|store| store.get(&Key(key)));
        let Some(Ok(Some(entry))) = entry else {
            return false;
        };
        larder_cache::digest(&entry.manifest) == manifest
    };
    let mut extra = BTreeMap::new();
    if !spec.relocatable && !kept(success.key) {
        if !kept(session.bound(&success.key)) {
            return extra;
        }
        let root = Key(session.root_digest).to_string();
        extra.insert(field::ROOT.to_owned(), root);
    }
    let mut put = |field: &str, value: String| extra.insert(field.to_owned(), value);
    put(field::KEY, Key(success.key).to_string());
    put(field::CLOSURE, Key(success.closure).to_string());
    put(field::DURATION, success.duration_ms.to_string());
    if let Some(list) = &success.discovered {
        let list: Vec<String> = list.iter().map(|path| escape(path)).collect();
        // A list of texts is always JSON.
        put(
            field::DISCOVERED,
            serde_json::to_string(&list).unwrap_or_default(),
        );
    }
    extra
}

/// The success that a unit offers: of the very outputs it leads to.
fn success(unit: &UnitDelta) -> Option<Success> {
    let field = |name| unit.extra.get(name);
    let discovered = match field(field::DISCOVERED) {
        None => None,
        Some(text) => {
            let list: Vec<String> = serde_json::from_str(text).ok()?;
            let paths = list.iter().map(|path| unescape(path));
            Some(paths.collect::<Option<Vec<_>>>()?)
        }
    };
    Some(Success {
        key: field(field::KEY)?.parse::<Key>().ok()?.0,
        closure: field(field::CLOSURE)?.parse::<Key>().ok()?.0,
        // Nobody has looked into the cache of this place.
        stored: false,
        duration_ms: field(field::DURATION)?.parse().ok()?,
        discovered,
    })
}

/// Whether a unit's outputs hold the path of another workspace than the one with this root.
fn bound_elsewhere(unit: &UnitDelta, root: &[u8; 32]) -> bool {
    let here = Key(*root).to_string();
    unit.extra
        .get(field::ROOT)
        .is_some_and(|root| *root != here)
}
