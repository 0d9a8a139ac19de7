//! Which chunks have to be redone, and which sources are gone.
//! Does not redo anything.

use std::collections::BTreeSet;

use larder_cache::Row;
use larder_fingerprint::Row as InputRow;
use rayon::prelude::*;

use crate::select::graph_filter::Pattern;
use crate::select::prune;
use crate::state::TaskState;

use super::super::Run;
use super::super::format::List;
use super::super::outputs::project_dir;
use super::super::tree::{Fault, lossy};
use super::expand::{Expansion, name, relative};
use super::format::{Kept, Table};
use super::keys::{self, Files, Keys};

/// From so many keys on they are made on several threads.
const MANY: usize = 8192;

/// What was found.
pub(super) struct Look {
    /// Chunks to be redone.
    pub stale: Vec<Stale>,
    /// The key of each chunk, as far as it is known.
    pub keys: Vec<[u8; 32]>,
    /// Sources of earlier chunks that are no sources any more.
    pub gone: Vec<Vec<u8>>,
    /// Owned paths that no chunk is known to have written.
    pub loose: usize,
    /// Files that earlier lists of discovered inputs name, as they are now.
    pub files: Files,
    /// Chunks that would be redone, but a graph filter leaves them as they are.
    pub left: Vec<Stale>,
    /// Whether a graph filter means only some chunks, so that nothing else of the task is touched.
    pub partial: bool,
}

/// A chunk to be redone.
pub(super) struct Stale {
    /// Which.
    pub index: usize,
    /// The list of files it discovered last.
    pub list: Option<List>,
    /// Outputs that are not as it left them, some of them.
    pub wrong: Vec<Vec<u8>>,
    /// Digest of the depfile that it wrote here last.
    pub depfile: Option<[u8; 32]>,
    /// Whether it has a last success under this key.
    pub same_key: bool,
}

impl Look {
    /// Whether there is nothing to do.
    pub(super) fn is_nothing(&self) -> bool {
        self.stale.is_empty() && self.gone.is_empty() && self.loose == 0
    }

    /// Leaves only the chunks that a graph filter means. `settled` says that no more sources are to come.
    ///
    /// # Errors
    /// When one of its patterns matches no chunk, of a task whose chunks were not all known before.
    pub(super) fn choose(
        &mut self,
        run: &Run<'_>,
        task: usize,
        expansion: &Expansion,
        settled: bool,
    ) -> Result<(), Fault> {
        let Some(chosen) = run.plan().chunks.get(&task) else {
            return Ok(());
        };
        let id = run.id(task);
        if settled && !chosen.unproven.is_empty() {
            let chunks = expansion.chunks.iter();
            let names: Vec<String> = chunks.map(|chunk| name(&id, &chunk.within)).collect();
            let silent = |pattern: &&Pattern| !names.iter().any(|name| pattern.matches(name));
            if let Some(pattern) = chosen.unproven.iter().find(silent) {
                let error = prune::no_chunk(pattern, names.iter().map(String::as_str));
                return Err(Fault::Words(error.to_string()));
            }
        }
        let takes = |within: &[u8]| chosen.takes(&name(&id, within));
        let stale = std::mem::take(&mut self.stale).into_iter();
        (self.stale, self.left) =
            stale.partition(|stale| takes(&expansion.chunks[stale.index].within));
        let dir = project_dir(&run.session.workspace, task);
        self.gone
            .retain(|source| relative(run.session, dir, source).is_some_and(|path| takes(&path)));
        self.loose = 0;
        self.partial = true;
        Ok(())
    }
}

/// The rows of the task that a chunk wrote; `None` where the table does not fit them.
pub(super) fn rows<'r>(kept: &Kept, owned: &'r [Row]) -> Option<Vec<&'r Row>> {
    let row = |at: &u32| owned.get(usize::try_from(*at).ok()?);
    kept.rows.iter().map(row).collect()
}

/// Compares each chunk with its last success. Where nothing may be skipped every chunk is stale.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn look(
    run: &Run<'_>,
    task: usize,
    expansion: &Expansion,
    keys: &Keys,
    table: &Table,
    before: &TaskState,
    may_skip: bool,
) -> Result<Look, Fault> {
    let with_depfile = run.session.workspace.tasks[task].depfile.is_some();
    let lists: Vec<Option<List>> = expansion
        .chunks
        .iter()
        .map(|chunk| {
            let kept = table.chunks.get(&chunk.source.path)?;
            table.list(kept).filter(|_| with_depfile)
        })
        .collect();
    let files = keys::files(run, lists.iter().flatten())?;
    let key = |index: usize| {
        let named = lists[index].as_ref();
        let rows: Option<Vec<InputRow>> = named.and_then(|named| keys::rows_of(named, &files));
        keys.key(index, &expansion.chunks[index], rows.as_deref())
    };
    // A run has its own workers; waking more for what takes a few milliseconds costs more.
    let all = 0..expansion.chunks.len();
    let made: Vec<[u8; 32]> = if with_depfile || all.len() > MANY {
        all.into_par_iter().map(key).collect()
    } else {
        all.map(key).collect()
    };
    let wrong: BTreeSet<Vec<u8>> = run
        .session
        .tree
        .out_of_place(&before.owned)?
        .into_iter()
        .collect();
    let mut stale = Vec::new();
    let mut held = 0;
    for ((index, chunk), list) in expansion.chunks.iter().enumerate().zip(lists) {
        let kept = table.chunks.get(&chunk.source.path);
        let rows = kept.and_then(|kept| rows(kept, &before.owned));
        held += rows.as_ref().map_or(0, Vec::len);
        let same_key = kept.is_some_and(|kept| kept.key == made[index])
            && rows.is_some()
            && list.is_some() == with_depfile;
        let mut moved: Vec<Vec<u8>> = Vec::new();
        if !wrong.is_empty() {
            let rows = rows.iter().flatten();
            moved.extend(
                rows.filter(|row| wrong.contains(&row.path))
                    .map(|row| row.path.clone()),
            );
        }
        if !(may_skip && same_key && moved.is_empty()) {
            stale.push(Stale {
                index,
                list,
                depfile: kept.and_then(|kept| kept.depfile),
                wrong: moved,
                same_key,
            });
        }
    }
    let gone: Vec<Vec<u8>> = table
        .chunks
        .keys()
        .filter(|source| expansion.find(source).is_none())
        .cloned()
        .collect();
    Ok(Look {
        stale,
        keys: made,
        gone,
        loose: before.owned.len().saturating_sub(held),
        files,
        left: Vec::new(),
        partial: false,
    })
}

/// Words for why the chunks of `look` are redone, one each, by chunk.
pub(super) fn why(
    stale: &Stale,
    expansion: &Expansion,
    keys: &Keys,
    table: &Table,
    files: &Files,
) -> Vec<String> {
    let chunk = &expansion.chunks[stale.index];
    let Some(kept) = table.chunks.get(&chunk.source.path) else {
        return vec![
            if table.chunks.is_empty() {
                "it has not succeeded in this workspace before"
            } else {
                "it is new, or its last run failed or could not be kept"
            }
            .to_owned(),
        ];
    };
    let mut words: Vec<String> = stale
        .wrong
        .iter()
        .take(3)
        .map(|path| format!("output {} is not as it left it", lossy(path)))
        .collect();
    if !stale.same_key {
        words.extend(keys::changes(keys, stale.index, chunk, table, kept, files));
    }
    words
}
