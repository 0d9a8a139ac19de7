//! Judges the chunks that ran: what each wrote, whether what it read held still, and whether it may be kept.
//! Does not run anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use larder_cache::Row;
use larder_fingerprint::{Row as InputRow, RowKind};
use rayon::prelude::*;

use super::super::life::Life;
use super::super::life::judge::{Known, Stats, silent_words, wrote};
use super::super::life::keep::{Finished, keep};
use super::super::life::work::clash_words;
use super::super::tree::{Fault, Seen, Tree, View, lossy};
use super::expand::{Expansion, both, name};
use super::keys::Keys;
use super::stale::Stale;
use super::sum::{After, New};
use super::work::Ran;

/// An artifact up to this size lies in its entry: a chunk costs one file.
const INLINE: usize = 64 << 10;

/// What was seen just before the commands of any chunk were started.
pub(super) struct Before {
    outputs: View,
    dependencies: Vec<View>,
    unsound: Option<String>,
    discovered: HashMap<Vec<u8>, Option<Seen>>,
    depfiles: HashMap<Vec<u8>, Option<Seen>>,
    begun_ns: i64,
}

impl Before {
    /// Looks once, for all of them. To be called when the intent record is written.
    ///
    /// # Errors
    /// When a file cannot be looked at.
    pub(super) fn look(
        life: &Life<'_>,
        expansion: &Expansion,
        stale: &[Stale],
    ) -> Result<Before, Fault> {
        let run = life.run;
        let handed = run.handed_on(life.task, &life.deps)?;
        let dependencies = life.views(&handed)?;
        let unsound = life.unlike_the_key(&handed, &dependencies)?;
        let mut lists: Vec<Vec<u8>> = stale
            .iter()
            .filter_map(|stale| stale.list.as_ref())
            .flatten()
            .cloned()
            .collect();
        lists.sort_unstable();
        lists.dedup();
        let depfiles: Vec<Vec<u8>> = stale
            .iter()
            .filter_map(|stale| expansion.chunks[stale.index].depfile.clone())
            .collect();
        let begun_ns = if depfiles.is_empty() {
            0
        } else {
            crate::state::intent::written_ns(&run.session.paths.intents, &life.id)
                .map_err(|error| Fault::words(&format!("an intent record is gone: {error}")))?
        };
        Ok(Before {
            outputs: of_stale(expansion, stale, &run.session.tree)?,
            dependencies,
            unsound,
            discovered: life.stats(lists)?.into_iter().collect(),
            depfiles: life.stats(depfiles)?.into_iter().collect(),
            begun_ns,
        })
    }
}

/// Judges all chunks that ran, stores what may be kept, and enters everything in `after`.
///
/// # Errors
/// When the files cannot be looked at.
#[allow(clippy::too_many_arguments)] // One call; a struct would only rename the list.
pub(super) fn judge(
    life: &mut Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: &[Stale],
    ran: Vec<Ran>,
    owned: &BTreeMap<Vec<u8>, Row>,
    before: &Before,
    after: &mut After,
) -> Result<(), Fault> {
    let run = life.run;
    let session = run.session;
    let spec = &session.workspace.tasks[life.task];
    let view = of_stale(expansion, stale, &session.tree)?;
    // Chunks of which something lies there, by what they declare.
    let indices: BTreeMap<usize, usize> = ran
        .iter()
        .enumerate()
        .map(|(at, ran)| (stale[ran.at].index, at))
        .collect();
    let of_ran = |path: &[u8]| {
        let mut chunks = expansion.exact().chunks_of(path);
        chunks.find_map(|chunk| indices.get(&chunk).copied())
    };
    let written = session.tree.rows(&view, &|path, seen| {
        of_ran(path).is_some()
            && (wrote(before.outputs.seen.get(path), seen)
                || (!spec.clean && owned.contains_key(path)))
    })?;
    let mut results: Vec<Found> = ran.into_iter().map(Found::new).collect();
    for (path, seen) in &view.seen {
        let Some(at) = of_ran(path) else { continue };
        if !wrote(before.outputs.seen.get(path), seen) && !owned.contains_key(path) {
            results[at].foreign.push(path.clone());
        }
    }
    let mut all = Vec::new();
    for row in written {
        let makers: Vec<usize> = expansion.exact().chunks_of(&row.path).take(2).collect();
        if let [one, two] = makers[..] {
            let fault = both(
                &row.path,
                &expansion.chunks[one].within,
                &expansion.chunks[two].within,
            );
            for chunk in [one, two] {
                if let Some(at) = indices.get(&chunk) {
                    results[*at].fail(fault.to_string());
                }
            }
        }
        if let Some(at) = of_ran(&row.path) {
            if let Some(clash) = run.clash(&life.id, std::slice::from_ref(&row)) {
                // What another task made stays that one's.
                results[at].fail(clash_words(&clash));
                continue;
            }
            all.push(row.clone());
            results[at].rows.push(row);
        }
    }
    let gone: Vec<&Vec<u8>> = owned.keys().filter(|path| of_ran(path).is_some()).collect();
    run.claim(&life.id, gone.into_iter(), &all);
    let shared = if life.after_failure {
        Some("a task it follows failed".to_owned())
    } else {
        life.misread(
            &keys.common,
            &all,
            (before.unsound.as_ref(), before.dependencies.as_slice()),
        )?
    };
    let moved = sources_that_moved(life, expansion, stale, &results)?;
    let this: &Life<'_> = life;
    let judged: Vec<Judged> = results
        .into_par_iter()
        .map(|found| {
            let index = stale[found.ran.at].index;
            finish(
                this,
                expansion,
                keys,
                stale,
                found,
                before,
                shared.as_ref(),
                moved.contains(&index),
            )
        })
        .collect::<Result<_, Fault>>()?;
    for judged in judged {
        after.ran(life, expansion, judged, shared.is_some());
    }
    Ok(())
}

/// What lies under the outputs of stale chunks now.
fn of_stale(expansion: &Expansion, stale: &[Stale], tree: &Tree) -> Result<View, Fault> {
    let chosen: BTreeSet<usize> = stale.iter().map(|stale| stale.index).collect();
    expansion
        .exact()
        .list_of(tree, &|chunk| chosen.contains(&chunk))
}

/// A chunk that ran, and what was found of it.
struct Found {
    ran: Ran,
    rows: Vec<Row>,
    foreign: Vec<Vec<u8>>,
}

impl Found {
    fn new(ran: Ran) -> Found {
        Found {
            ran,
            rows: Vec::new(),
            foreign: Vec::new(),
        }
    }

    fn fail(&mut self, message: String) {
        if self.ran.exit.success() {
            self.ran.exit = crate::execute::Exit::Code(1);
            self.ran.error = Some(message);
        }
    }
}

/// A chunk that ran, judged.
pub(super) struct Judged {
    /// Which chunk.
    pub index: usize,
    /// How its commands ended.
    pub ran: Ran,
    /// What is known of it now; only what it wrote, where it must not be kept.
    pub new: New,
    /// Whether it succeeded and may be skipped from now on.
    pub kept: bool,
    /// Whether it is in the cache.
    pub stored: bool,
    /// Why it must not be kept, if that is its own fault.
    pub reason: Option<String>,
    /// A fault of the cache.
    pub fault: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Sources that changed while commands ran, by chunk.
fn sources_that_moved(
    life: &Life<'_>,
    expansion: &Expansion,
    stale: &[Stale],
    results: &[Found],
) -> Result<BTreeSet<usize>, Fault> {
    let scanner = life.run.session.tree.scanner();
    let of: Vec<usize> = results
        .iter()
        .map(|found| stale[found.ran.at].index)
        .collect();
    let paths: Vec<&[u8]> = of
        .iter()
        .map(|index| expansion.chunks[*index].source.path.as_slice())
        .collect();
    let scan = scanner.look(&paths)?;
    let mut moved = BTreeSet::new();
    for (index, path) in of.into_iter().zip(paths) {
        let chunk = &expansion.chunks[index];
        let same = match scan.get(path) {
            Some(entry) if entry.stat == chunk.stat => {
                // What a link leads to shows in no stat of its own.
                entry.kind() != RowKind::Link
                    || scanner
                        .rows(&[entry])
                        .is_ok_and(|rows| rows.first() == Some(&chunk.source))
            }
            _ => false,
        };
        if !same {
            moved.insert(index);
        }
    }
    Ok(moved)
}

#[allow(clippy::too_many_arguments)] // One call; a struct would only rename the list.
fn finish(
    life: &Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: &[Stale],
    found: Found,
    before: &Before,
    shared: Option<&String>,
    moved: bool,
) -> Result<Judged, Fault> {
    let run = life.run;
    let spec = &run.session.workspace.tasks[life.task];
    let Found { ran, rows, foreign } = found;
    let index = stale[ran.at].index;
    let chunk = &expansion.chunks[index];
    let duration_ms = u64::try_from(ran.duration.as_millis()).unwrap_or(u64::MAX);
    let mut judged = Judged {
        index,
        new: New {
            rows,
            duration_ms,
            log: ran.log.clone(),
            ..New::of(chunk, keys, index)
        },
        ran,
        kept: false,
        stored: false,
        reason: None,
        fault: None,
        warnings: Vec::new(),
    };
    if !judged.ran.exit.success() || shared.is_some() {
        return Ok(judged);
    }
    judged.reason = unkeepable(expansion, index, &judged.new.rows, &foreign, moved);
    if judged.reason.is_some() {
        return Ok(judged);
    }
    if let Some(depfile) = &chunk.depfile {
        match discovered(
            life,
            expansion,
            keys,
            &stale[judged.ran.at],
            depfile,
            &judged.new.rows,
            before,
        )? {
            Ok(rows) => {
                judged.new.discovered = Some(rows);
                judged.new.depfile = written(life, expansion, depfile);
            }
            Err(reason) => {
                judged.reason = Some(reason);
                return Ok(judged);
            }
        }
    }
    judged.kept = true;
    judged.new.key = keys.key(index, chunk, judged.new.discovered.as_deref());
    if spec.store && run.writes() {
        let list = judged.new.discovered.as_ref();
        let list = list.map(|rows| rows.iter().map(|row| row.path.clone()).collect());
        let result = Finished {
            id: &name(&life.id, &chunk.within),
            chunk: Some(lossy(&chunk.within)),
            task: life.task,
            rows: &judged.new.rows,
            log: &judged.new.log,
            duration_ms,
            key: judged.new.key,
            discovered: list.map(|list| (keys.key(index, chunk, None), list)),
            inline: INLINE,
        };
        match keep(run, &result) {
            Ok((stored, warnings)) => {
                judged.stored = stored;
                judged.warnings = warnings;
            }
            Err(fault) => judged.fault = Some(fault),
        }
    }
    Ok(judged)
}

/// The digest of a depfile that a chunk just wrote, unless it is an output: it goes with the chunk.
fn written(life: &Life<'_>, expansion: &Expansion, depfile: &[u8]) -> Option<[u8; 32]> {
    if expansion.exact().covers(depfile) {
        return None;
    }
    // One that cannot be read any more is nobody's.
    let bytes = std::fs::read(life.run.session.path_of(depfile)).ok()?;
    Some(*blake3::hash(&bytes).as_bytes())
}

/// Why the result of one chunk must not be kept, if it must not.
fn unkeepable(
    expansion: &Expansion,
    index: usize,
    rows: &[Row],
    foreign: &[Vec<u8>],
    moved: bool,
) -> Option<String> {
    let chunk = &expansion.chunks[index];
    if moved {
        let path = lossy(&chunk.source.path);
        return Some(format!(
            "its source {path} was written while it ran, by the command or by somebody else"
        ));
    }
    if let Some(first) = foreign.first() {
        return Some(format!(
            "{} lies where it writes but was not written by it; remove it",
            lossy(first)
        ));
    }
    if let Some(globs) = expansion.exact().globs_of(index) {
        let silent = globs.unmatched(&rows.iter().map(|row| row.path.as_slice()));
        return silent.first().map(|glob| silent_words(glob));
    }
    let made = |path: &&Vec<u8>| {
        let below = [path.as_slice(), b"/"].concat();
        rows.iter()
            .any(|row| row.path == **path || row.path.starts_with(&below))
    };
    let missing = chunk.paths.iter().find(|path| !made(path));
    missing.map(|path| silent_words(&lossy(path)))
}

#[allow(clippy::type_complexity)]
fn discovered(
    life: &Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: &Stale,
    depfile: &[u8],
    rows: &[Row],
    before: &Before,
) -> Result<Result<Vec<InputRow>, String>, Fault> {
    let source = &expansion.chunks[stale.index].source.path;
    let inputs = &keys.common.inputs.rows;
    let exact = expansion.exact();
    let stats: Stats = stale
        .list
        .iter()
        .flatten()
        .map(|path| (path.clone(), before.discovered.get(path).copied().flatten()))
        .collect();
    let found = life.discovered(
        depfile,
        &Known {
            depfile: before.depfiles.get(depfile).and_then(Option::as_ref),
            stats: &stats,
            dependencies: &before.dependencies,
            begun_ns: before.begun_ns,
        },
        // What it makes itself follows from the rest; what is an input in any case is in the key already.
        &|named| {
            named == source.as_slice()
                || rows
                    .binary_search_by(|row| row.path.as_slice().cmp(named))
                    .is_ok()
                || inputs
                    .binary_search_by(|row| row.path.as_slice().cmp(named))
                    .is_ok()
        },
    )?;
    // Chunks of one task have no order: which content was read is chance.
    let of_another = |row: &&InputRow| exact.covers(&row.path);
    match found
        .as_ref()
        .ok()
        .and_then(|rows| rows.iter().find(of_another))
    {
        Some(row) => Ok(Err(format!(
            "it reads {}, which another chunk of the same task makes; let a task of its own make that",
            lossy(&row.path)
        ))),
        None => Ok(found),
    }
}
