//! Runs the commands of stale chunks, as many at once as the run has slots for.
//! Does not decide what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_cache::Row;
use larder_graph::FailurePolicy;

use crate::diagnostics;
use crate::execute::{Exit, Spec};

use super::super::life::Life;
use super::super::life::work::in_order;
use super::super::tree::Fault;
use super::super::words;
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
}

/// Runs the stale chunks and has them judged.
///
/// # Errors
/// When the files cannot be looked at.
#[allow(clippy::too_many_arguments)] // One call; a struct would only rename the list.
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
    let spec = &session.workspace.tasks[life.task];
    let indices: BTreeSet<usize> = stale.iter().map(|stale| stale.index).collect();
    if spec.clean {
        let own: Vec<Vec<u8>> = owned
            .keys()
            .filter(|path| {
                expansion
                    .exact()
                    .chunks_of(path)
                    .any(|chunk| indices.contains(&chunk))
            })
            .cloned()
            .collect();
        super::clean(life, covers, owned, &own)?;
    }
    make_folders(life, expansion, stale)?;
    let before = Before::look(life, expansion, stale)?;
    let started = Instant::now();
    let ran = commands(life, expansion, keys, stale);
    life.record.seconds = started.elapsed().as_secs_f64();
    session.tree.forget_scans();
    judge::judge(life, expansion, keys, stale, ran, owned, &before, after)
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

fn commands(life: &Life<'_>, expansion: &Expansion, keys: &Keys, stale: &[Stale]) -> Vec<Ran> {
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
    let stops = run.policy() == FailurePolicy::Never;
    let failed = AtomicBool::new(false);
    let cancel = run.cancel_of(life.task);
    let stop = || cancel.is_raised() || stops && failed.load(Ordering::SeqCst);
    let all = Mutex::new(Vec::with_capacity(stale.len()));
    let indices: Vec<usize> = (0..stale.len()).collect();
    run.chunks.slots.each(&indices, &stop, &|at| {
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
        let ended = in_order(run, life.task, &id, base, templates.len(), &call);
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
        };
        all.lock().unwrap_or_else(PoisonError::into_inner).push(ran);
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|ran| ran.at);
    all
}
