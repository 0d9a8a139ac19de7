//! What is told of chunks: why they are redone, and why not.
//! Does not decide it.

use larder_fingerprint::{Change, Explanation};

use crate::state::TaskState;

use super::super::life::Life;
use super::super::tree::lossy;
use super::super::words;
use super::expand::Expansion;
use super::format::Table;
use super::keys::Keys;
use super::stale::{self, Look};

/// So many chunks are named where words are for people.
const NAMED: usize = 10;

/// The first of some texts, and how many more there are.
pub(super) fn some(mut texts: Vec<String>, what: &str) -> Vec<String> {
    texts.dedup();
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if more > 0 {
        texts.push(format!("and {more} more {what}"));
    }
    texts
}

/// Words for a task of so many chunks of which nothing has to be redone.
pub(super) fn nothing(total: usize) -> String {
    if total == 0 {
        return "no file matches its `foreach`".to_owned();
    }
    "nothing its chunks read changed, and their outputs are as they left them".to_owned()
}

/// Words for so many chunks that a graph filter leaves as they are.
pub(super) fn left_out(left: usize, total: usize) -> String {
    format!("the graph filter leaves out {left} of {total} chunks that would be redone")
}

/// Words for why chunks are redone. Answers what changed for all of them.
#[allow(clippy::too_many_arguments)] // One call; a struct would only rename the list.
pub(super) fn say_why(
    life: &mut Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    look: &Look,
    table: &Table,
    last: &TaskState,
    old: Option<&Explanation>,
    interrupted: bool,
) -> Vec<Change> {
    let new = keys.common.explain(&life.run.session.secret);
    let changes = old
        .map(|old| larder_fingerprint::diff(old, &new))
        .unwrap_or_default();
    let why = &mut life.record.why;
    if life.run.forced(life.task) {
        why.push("forced".to_owned());
    }
    if life.after_failure {
        why.push("a task it follows failed".to_owned());
    }
    if interrupted {
        why.push("its last run was cut off".to_owned());
    }
    if table.chunks.is_empty() && last.owned.is_empty() && old.is_none() {
        why.push("it has not succeeded in this workspace before".to_owned());
        return changes;
    }
    why.extend(words::changes(&changes));
    why.extend(told(expansion, keys, look, table));
    if why.is_empty() && !look.stale.is_empty() {
        why.push(words::UNKNOWN.to_owned());
    }
    changes
}

/// What is to be done for single chunks and why, named as far as people read.
pub(super) fn told(expansion: &Expansion, keys: &Keys, look: &Look, table: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    for stale in look.stale.iter().take(NAMED) {
        let reasons = stale::why(stale, expansion, keys, table, &look.files);
        if !reasons.is_empty() {
            let within = lossy(&expansion.chunks[stale.index].within);
            lines.push(format!("[{within}]: {}", reasons.join(", ")));
        }
    }
    if look.stale.len() > NAMED && !lines.is_empty() {
        lines.push(format!("and {} more chunks", look.stale.len() - NAMED));
    }
    let gone = look
        .gone
        .iter()
        .map(|source| format!("source {} is gone", lossy(source)));
    lines.extend(some(gone.collect(), "sources"));
    if !look.left.is_empty() {
        lines.push(left_out(look.left.len(), expansion.chunks.len()));
    }
    if look.stale.is_empty() && look.gone.is_empty() && look.loose > 0 {
        lines.push("outputs are left of chunks that are no more".to_owned());
    }
    lines
}
