//! Runs the commands of stale chunks, as many at once as the run has slots for.
//! Does not decide what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_cache::Row;
use larder_graph::FailurePolicy;

use crate::diagnostics;
use crate::execute::{Exit, Spec, Usage};

use super::super::life::Life;
use super::super::life::work::in_order;
use super::super::tree::Fault;
use super::super::{phases, words};
use super::expand::{Expansion, name};
use super::judge::{self, Before};
use super::keys::Keys;
use super::stale::Stale;
use super::sum::After;

/// How the commands of one chunk ended.
pub(super) struct Ran {
    /// Which chunk of the stale ones.
    pub at: usize,
    /// How they ended.
    pub exit: Exit,
    /// What they printed, in the stored form.
    pub log: Vec<u8>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// Variables that may have been missed.
    pub hint: Option<String>,
    /// How long they took.
    pub duration: Duration,
    /// What they used.
    pub usage: Usage,
}

/// So many chunks are run before these are judged and stored: what a kill can cost is bounded.
const SLICE: usize = 1024;
/// After this time no more chunks of a slice are begun.
const WHILE: Duration = Duration::from_secs(15);
/// A slice lasts at least so many times as long as the longest chunk: at its end slots stand idle.
const LONGEST: u32 = 20;

/// Runs the stale chunks, slice by slice, and has them judged.
///
/// # Errors
/// When the files cannot be looked at.
pub(super) fn run(
    life: &mut Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: &[Stale],
    owned: &BTreeMap<Vec<u8>, Row>,
    covers: &(dyn Fn(&[u8]) -> bool + Sync),
    after: &mut After,
) -> Result<(), Fault> {
    let session = life.run.session;
    let clean = session.workspace.tasks[life.task].clean;
    let stops = life.run.policy() == FailurePolicy::Never;
    let failed = AtomicBool::new(false);
    let cancel = life.run.cancel_of(life.task);
    let mut longest = Duration::ZERO;
    let mut begun = 0;
    while begun < stale.len() {
        let slice = &stale[begun..stale.len().min(begun + SLICE)];
        if clean {
            super::clean(life, covers, owned, &of(expansion, slice, owned))?;
        }
        make_folders(life, expansion, slice)?;
        let before = Before::look(life, expansion, slice)?;
        let started = Instant::now();
        let limit = WHILE.max(longest * LONGEST);
        let halted = || cancel.is_raised() || stops && failed.load(Ordering::SeqCst);
        let stop = || halted() || started.elapsed() > limit;
        // Chunks are begun in their order, so those that ran are the first of the slice.
        let mut ran = commands(life, expansion, keys, slice, &failed, &stop);
        for ran in &mut ran {
            life.record.used(&ran.usage);
        }
        life.record.seconds += started.elapsed().as_secs_f64();
        life.ran_since(started);
        session.tree.forget_scans();
        begun += ran.len();
        longest = ran
            .iter()
            .map(|ran| ran.duration)
            .fold(longest, Duration::max);
        let judging = session.timing.span(phases::JUDGE);
        judge::judge(life, expansion, keys, slice, ran, owned, &before, after)?;
        judging.end();
        if halted() {
            break;
        }
    }
    let left = &stale[begun..];
    after.not_begun(
        left.len(),
        of(expansion, left, owned).iter().map(|path| &owned[path]),
    );
    Ok(())
}

/// The owned paths that some chunks declare.
fn of(expansion: &Expansion, chunks: &[Stale], owned: &BTreeMap<Vec<u8>, Row>) -> Vec<Vec<u8>> {
    let indices: BTreeSet<usize> = chunks.iter().map(|stale| stale.index).collect();
    let declared = |path: &&Vec<u8>| {
        let mut chunks = expansion.exact().chunks_of(path);
        chunks.any(|chunk| indices.contains(&chunk))
    };
    owned.keys().filter(declared).cloned().collect()
}

/// Makes the folders of outputs and depfiles, so that no command has to: one process less a chunk.
fn make_folders(life: &Life<'_>, expansion: &Expansion, stale: &[Stale]) -> Result<(), Fault> {
    let mut folders = BTreeSet::new();
    for stale in stale {
        let chunk = &expansion.chunks[stale.index];
        for path in chunk.paths.iter().chain(&chunk.depfile) {
            if let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
                folders.insert(&path[..slash]);
            }
        }
    }
    for folder in folders {
        let folder = life.run.session.path_of(folder);
        std::fs::create_dir_all(&folder).map_err(|error| {
            Fault::Words(format!(
                "the folder {} of its outputs cannot be made: {error}",
                folder.display()
            ))
        })?;
    }
    Ok(())
}

fn commands(
    life: &Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: &[Stale],
    failed: &AtomicBool,
    stop: &(dyn Fn() -> bool + Sync),
) -> Vec<Ran> {
    let run = life.run;
    let session = run.session;
    let templates = session.workspace.tasks[life.task]
        .command
        .as_deref()
        .unwrap_or_default();
    // Environment and folder are the same for all.
    let last = templates.len().saturating_sub(1);
    let specs: Vec<Spec> = templates
        .iter()
        .enumerate()
        .map(|(index, template)| run.command_spec(life.task, template, None, index == last))
        .collect();
    let all = Mutex::new(Vec::with_capacity(stale.len()));
    let indices: Vec<usize> = (0..stale.len()).collect();
    run.chunks.slots.each(&indices, stop, &|at| {
        let index = stale[*at].index;
        let chunk = &expansion.chunks[index];
        let id = name(&life.id, &chunk.within);
        let _about = diagnostics::about(&id);
        let started = Instant::now();
        let call = |command: usize, timeout: Option<Duration>| Spec {
            command: chunk.command(&templates[command]),
            timeout,
            ..specs[command].clone()
        };
        let base = keys.key(index, chunk, None);
        let mut ended = session.timing.measure(phases::COMMANDS, || {
            in_order(run, life.task, &id, base, templates.len(), &call)
        });
        run.sampled(std::mem::take(&mut ended.usage.samples));
        run.show.left(&id);
        if !ended.exit.success() {
            failed.store(true, Ordering::SeqCst);
        }
        let ran = Ran {
            at: *at,
            error: (!ended.exit.success())
                .then(|| ended.error.unwrap_or_else(|| words::exit(ended.exit))),
            exit: ended.exit,
            log: ended.log,
            hint: ended.hint,
            duration: started.elapsed(),
            usage: ended.usage,
        };
        all.lock().unwrap_or_else(PoisonError::into_inner).push(ran);
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|ran| ran.at);
    all
}
