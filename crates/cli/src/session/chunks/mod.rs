//! The life of a task with `foreach`: one chunk a source, of which only those are redone that something changed for.
//! Does not know the order of tasks, nor how anything is shown.
//!
//! ```text
//!           sources -> chunks -> what all keys share, once -> a key for each chunk
//!                             |
//!      every chunk has its last key and its outputs, no source is gone? --yes--> up to date
//!                             | no
//!                the task's lock, its intent record: one of each, whatever the number of chunks
//!                             |
//!       outputs of sources that are gone -> deleted;  stale chunks the cache knows -> restored, side by side
//!                             |
//!   by slices: one look -> clean -> commands, side by side -> one look -> each chunk judged and stored by itself
//! ```
//!
//! A chunk fails, or is not kept, alone; a doubt about what all of them read (listed inputs, dependencies) holds for all.

mod edges;
mod exact;
mod expand;
pub(super) mod forecast;
mod format;
mod handed;
mod judge;
mod keys;
mod listed;
mod lived;
mod one;
mod partial;
mod restore;
mod shell;
mod slots;
mod sources;
mod stale;
mod sum;
mod tabled;
mod told;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use larder_cache::{self as cache, Clean, Row};

use crate::diagnostics::{KEY, STATE};
use crate::record::CacheUse;
use crate::state::{State, TaskState, intent};

use super::inputs::Rule;
use super::life::{Done, Life};
use super::outputs::Outputs;
use super::tree::Fault;
use super::{Run, phases};

pub use edges::Users;
pub use exact::Exact;
pub use expand::{declared_by, left_depfiles, within};
pub use handed::{Piece, Pieces, apart, together};
pub use listed::{Listed, listed};
pub use lived::{Lived, as_on_disk};
pub use one::{Discovered, Portrait, portrait};
pub use slots::Slots;
pub use sources::Sources;

/// What the chunks of a run share.
#[derive(Debug)]
pub struct Shared {
    /// How many commands run at once.
    pub slots: Slots,
    lived: Vec<OnceLock<Lived>>,
    /// What was expanded for others before the task was lived.
    guessed: Vec<OnceLock<Option<Arc<Outputs>>>>,
    /// Inputs of tasks that hang on these.
    rules: Vec<OnceLock<Result<Rule, String>>>,
}

impl Shared {
    /// For so many tasks, of which so many run at once.
    pub fn new(tasks: usize, concurrency: NonZeroUsize) -> Shared {
        Shared {
            slots: Slots::new(concurrency),
            lived: (0..tasks).map(|_| OnceLock::new()).collect(),
            guessed: (0..tasks).map(|_| OnceLock::new()).collect(),
            rules: (0..tasks).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The inputs of a task of which some hang on what chunks declare.
    ///
    /// # Errors
    /// When a glob cannot be compiled.
    pub fn rule(
        &self,
        task: usize,
        make: impl FnOnce() -> Result<Rule, Fault>,
    ) -> Result<&Rule, Fault> {
        let rule = self.rules[task].get_or_init(|| make().map_err(|fault| fault.to_string()));
        rule.as_ref().map_err(|message| Fault::words(message))
    }

    /// What the chunks of a task made, once that is known.
    pub fn lived(&self, task: usize) -> Option<&Lived> {
        self.lived.get(task)?.get()
    }

    fn keep(&self, task: usize, lived: Lived) {
        if let Some(slot) = self.lived.get(task) {
            // Each task is lived once.
            let _ = slot.set(lived);
        }
    }
}

/// What the chunks of a task declare: as it was lived, else as its sources are now; `None` where that cannot be known.
pub(super) fn declared(run: &Run<'_>, task: usize) -> Option<Arc<Outputs>> {
    if let Some(lived) = run.chunks.lived(task) {
        return Some(Arc::clone(&lived.outputs));
    }
    let guess = || expand::expand(run, task).ok().map(|made| made.outputs);
    run.chunks.guessed.get(task)?.get_or_init(guess).clone()
}

/// Files that chunks of a task discovered, as their last successes left it.
pub(super) fn discovered(state: &State, id: &str) -> Vec<Vec<u8>> {
    let table = state.chunks(id);
    let table = table.as_deref().and_then(format::decode);
    let files = table.map(|table| table.files).unwrap_or_default();
    files.into_iter().map(|(path, _)| path).collect()
}

/// What the last success of a chunk read and printed.
pub struct Remembered {
    /// The path of its source in the workspace.
    pub source: Vec<u8>,
    /// The digest of its source.
    pub digest: [u8; 32],
    /// What it printed, in the stored form of a log; empty for nothing.
    pub log: Vec<u8>,
}

/// A path with the digest of what lay there; zeros for nothing.
pub type Digested = (Vec<u8>, [u8; 32]);

/// What the state knows of a task's chunks, and of the files that they discovered.
pub fn remembered(state: &State, id: &str) -> (Vec<Remembered>, Vec<Digested>) {
    let table = state.chunks(id);
    let table = table.as_deref().and_then(format::decode);
    let table = table.unwrap_or_default();
    let one = |(source, kept): (Vec<u8>, format::Kept)| Remembered {
        source,
        digest: kept.source,
        log: kept.log,
    };
    (table.chunks.into_iter().map(one).collect(), table.files)
}

/// Takes a task with chunks through its life.
///
/// # Errors
/// When the task as a whole cannot be judged or begun.
pub(super) fn live(life: &mut Life<'_>) -> Result<Done, Fault> {
    let run = life.run;
    let session = run.session;
    let unseen = run.unseen(life.task);
    if let Some(dep) = &unseen {
        life.record.why.push(format!(
            "{dep}, on which it depends, is not part of this run and declares no `outputs`"
        ));
    }
    let may_skip = !run.forced(life.task) && !life.after_failure && unseen.is_none();
    let mut fresh: Option<State> = None;
    let mut held = None;
    loop {
        let state = fresh.as_ref().unwrap_or(&session.state);
        let mut last = state.task(&life.id).cloned().unwrap_or_default();
        let mut table = state.chunks(&life.id);
        let intents = &session.paths.intents;
        let mut interrupted = (fresh.is_some() || session.records_found)
            .then(|| intent::find(intents, &life.id))
            .flatten();
        // Another process ended the task and has not written the state yet.
        let ended = match (&fresh, &interrupted) {
            (Some(_), Some(_)) => intent::finished(intents, &life.id),
            _ => None,
        };
        if let Some(ended) = ended {
            if ended.0 == last && ended.1 == table {
                // It is in the state already: whoever was to remove the record could not.
                intent::end(intents, &life.id);
            }
            (last, table) = ended;
            interrupted = None;
        }
        let table = table
            .as_deref()
            .and_then(format::decode)
            .unwrap_or_default();
        let looking = session.timing.span(phases::FINGERPRINT);
        let expansion = expand::expand(run, life.task)?;
        let keys = keys::Keys::gather(run, life.task, &life.deps, &expansion)?;
        let mut look = stale::look(run, life.task, &expansion, &keys, &table, &last, may_skip)?;
        look.choose(run, life.task, &expansion, true)?;
        looking.end();
        log::debug!(target: KEY, "{} chunks, {} of them stale, {} sources gone", expansion.chunks.len(), look.stale.len(), look.gone.len());
        if interrupted.is_none() && look.is_nothing() && (may_skip || look.partial) {
            let there = partial::on_disk(run, &expansion, &look)?;
            let there = there.unwrap_or_else(|| Arc::new(last.owned));
            return Ok(sum::up_to_date(life, expansion, keys, &look, &table, there));
        }
        if session.cancel.is_raised() {
            return Err(Fault::words("interrupted before it started"));
        }
        // Once taken it is held to the end, over a second look as well.
        let held = match held.take() {
            Some(known) => held.insert(known),
            None => held.insert(life.lock()?),
        };
        if let Some(record) = &interrupted {
            life.end_processes(record)?;
        }
        // The record is asked for first: it goes when the state that replaces it is on disk, so one of the two shows.
        let news =
            || held.waited || intent::find(intents, &life.id).is_some() || session.state.is_stale();
        if fresh.is_none() && news() {
            log::debug!(target: STATE, "read again: another process may have ended the task, or a record stands");
            fresh = Some(State::open(&session.paths.state));
            session.tree.forget_scans();
            continue;
        }
        let old = keys.common.explained_before(state.explanation(&life.id));
        let changes = told::say_why(
            life,
            &expansion,
            &keys,
            &look,
            &table,
            &last,
            old.as_ref(),
            interrupted.is_some(),
        );
        let owned = life.recover(&last, interrupted.as_ref(), Some(&expansion.outputs))?;
        let mut done = redo(life, expansion, keys, look, &table, &last.owned, owned)?;
        if let Some(update) = done.update.as_ref().filter(|_| done.intent) {
            intent::finish(intents, &life.id, &update.task, update.chunks.as_deref());
        }
        done.changes = changes;
        return Ok(done);
    }
}

/// Deletes, restores and runs what has to be.
fn redo(
    life: &mut Life<'_>,
    expansion: expand::Expansion,
    keys: keys::Keys,
    mut look: stale::Look,
    table: &format::Table,
    last: &[Row],
    mut owned: BTreeMap<Vec<u8>, Row>,
) -> Result<Done, Fault> {
    let run = life.run;
    let spec = &run.session.workspace.tasks[life.task];
    intend(life, &expansion, &look, &owned)?;
    let mut after = sum::After::new(&expansion, &keys, &look, table, last);
    after.removed = look.gone.len();
    let wide = Outputs::new(
        super::outputs::project_dir(&run.session.workspace, life.task),
        spec.outputs.as_deref().unwrap_or_default(),
    )?;
    let covers = |path: &[u8]| expansion.outputs.covers(path) || wide.covers(path);
    // What no chunk of today declares or has written goes: its source is gone, or its output is another one.
    let kept = after.paths();
    let folders = wide.prefixes();
    let spared = partial::spared(&look, table, last, &owned);
    let orphans: Vec<Vec<u8>> = owned
        .keys()
        .filter(|path| !kept.contains(path.as_slice()) && !expansion.outputs.covers(path))
        .filter(|path| !spared.contains(path.as_slice()))
        .cloned()
        .collect();
    let gone = look.gone.iter();
    let gone = gone.map(|source| {
        let kept = table.chunks.get(source);
        (source, kept.and_then(|kept| kept.depfile))
    });
    let depfiles = expand::left_depfiles(run.session, life.task, gone, expansion.exact())?;
    let leaving: Vec<Vec<u8>> = orphans.iter().chain(depfiles.keys()).cloned().collect();
    let emptied = folders_of(&leaving, folders);
    let allowed =
        |path: &[u8]| covers(path) || emptied.contains(path) || depfiles.contains_key(path);
    let mut digests = digests_of(&owned, &orphans);
    digests.extend(depfiles.clone());
    clean_all(life, &allowed, &digests)?;
    for path in &orphans {
        owned.remove(path);
    }
    let may_restore = spec.store
        && run.reads()
        && !run.forced(life.task)
        && !life.after_failure
        && run.unseen(life.task).is_none();
    partial::leave(&mut after, &expansion, &look, table, last, &owned);
    let mut stale = std::mem::take(&mut look.stale);
    if spec.store || run.forced(life.task) {
        life.record.cache = CacheUse::Bypassed;
    }
    if may_restore && !stale.is_empty() {
        let partly;
        let restoring = run.session.timing.span(phases::RESTORE);
        (stale, partly) = restore::restore(life, &expansion, &keys, stale, &owned, &mut after);
        restoring.end();
        if partly {
            // What a restore that stopped half-way has left is this task's.
            let begun = intent::find(&run.session.paths.intents, &life.id);
            let known = TaskState {
                success: None,
                owned: owned.into_values().collect(),
            };
            owned = life.recover(&known, begun.as_ref(), Some(&expansion.outputs))?;
        }
        life.record.cache = if stale.is_empty() {
            CacheUse::Hit
        } else {
            CacheUse::Miss
        };
    }
    if !stale.is_empty() {
        work::run(life, &expansion, &keys, &stale, &owned, &covers, &mut after)?;
    }
    let there = partial::on_disk(run, &expansion, &look)?;
    Ok(sum::done(
        life,
        expansion,
        keys,
        after,
        owned.into_keys(),
        there,
    ))
}

/// Writes the intent record. Where every output of the other chunks is one path and in place, as it was just seen to be,
/// nothing of somebody else can lie there, and only what stale chunks declare is looked at again.
fn intend(
    life: &Life<'_>,
    expansion: &expand::Expansion,
    look: &stale::Look,
    owned: &BTreeMap<Vec<u8>, Row>,
) -> Result<(), Fault> {
    let exact = expansion.exact();
    let stale: BTreeSet<usize> = look.stale.iter().map(|stale| stale.index).collect();
    let all = owned.keys().map(|path| exact.sole(path));
    let fresh: BTreeSet<usize> = all
        .clone()
        .flatten()
        .filter(|chunk| !stale.contains(chunk))
        .collect();
    let declared = |chunk: &usize| expansion.chunks[*chunk].paths.len();
    let held = all.flatten().filter(|chunk| fresh.contains(chunk)).count();
    let whole = fresh.len() + stale.len() == expansion.chunks.len()
        && fresh.iter().map(declared).sum::<usize>() == held;
    if !whole {
        return life.intend(Some(&expansion.outputs), owned);
    }
    let tree = &life.run.session.tree;
    let there = exact.list_of(tree, &|chunk| stale.contains(&chunk))?;
    let own = owned
        .iter()
        .filter(|(path, _)| exact.sole(path).is_none_or(|chunk| stale.contains(&chunk)));
    life.intend_over(
        there,
        &own.map(|(path, row)| (path.clone(), row.clone())).collect(),
    )
}

/// The folders that some outputs lie in, below those that every chunk's outputs lie in: made for these outputs, they go with
/// the last of them.
pub fn folders_of(paths: &[Vec<u8>], below: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            let folder = &path[..at];
            let within = |top: &Vec<u8>| {
                !top.is_empty() && folder.starts_with(top) && folder.get(top.len()) == Some(&b'/')
            };
            if below.iter().any(within) {
                folders.insert(folder.to_vec());
            }
        }
    }
    folders
}

/// Removes owned outputs; those that somebody edited are rescued and named.
fn clean(
    life: &mut Life<'_>,
    covers: &(dyn Fn(&[u8]) -> bool + Sync),
    owned: &BTreeMap<Vec<u8>, Row>,
    paths: &[Vec<u8>],
) -> Result<(), Fault> {
    clean_all(life, covers, &digests_of(owned, paths))
}

/// Owned paths with what each held.
fn digests_of(owned: &BTreeMap<Vec<u8>, Row>, paths: &[Vec<u8>]) -> BTreeMap<Vec<u8>, [u8; 32]> {
    let held = |path: &Vec<u8>| Some((path.clone(), owned.get(path)?.digest));
    paths.iter().filter_map(held).collect()
}

/// As [`clean`], of paths with what each held.
fn clean_all(
    life: &mut Life<'_>,
    covers: &(dyn Fn(&[u8]) -> bool + Sync),
    digests: &BTreeMap<Vec<u8>, [u8; 32]>,
) -> Result<(), Fault> {
    if digests.is_empty() {
        return Ok(());
    }
    let session = life.run.session;
    let cleaned = cache::clean(
        session.outputs_root(),
        &Clean {
            owned: digests,
            allowed: covers,
            rescue: &session.paths.rescued,
        },
    )
    .map_err(|error| {
        Fault::words(&format!(
            "the outputs of the last run cannot be removed: {error}"
        ))
    })?;
    life.name_rescued(&cleaned.rescued);
    Ok(())
}
