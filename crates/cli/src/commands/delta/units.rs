//! The units of a delta: each task that ran, and each chunk of it, with what it had made before and what it makes now.
//! Does not compare the two, nor write anything.

use std::collections::BTreeSet;

use larder_cache::delta::format::escape;
use larder_cache::{self as cache, Key, Row, Store as _, Unit};

use crate::config::Task;
use crate::session::chunks::{self, Pieces};
use crate::session::life::Done;
use crate::session::{Session, outputs};
use crate::state::Success;

use super::extra::{self, Fields, Files};

/// The units of a task that succeeded.
pub(super) fn units(session: &Session<'_>, task: usize, done: &Done) -> Vec<Unit> {
    let name = &done.record.task;
    let last = session.state.task(name);
    let success = match &done.update {
        Some(update) => update.task.success.as_ref(),
        None => last
            .and_then(|last| last.success.as_ref())
            .filter(|success| success.key == done.key),
    };
    let spec = &session.workspace.tasks[task];
    // What a failed run left is no state that another place could be in.
    let before = last
        .filter(|last| last.success.is_some())
        .map(|last| last.owned.clone());
    if spec.foreach.is_some() {
        let known = match &done.update {
            Some(update) => update
                .chunks
                .clone()
                .map(|known| (known, &update.task.owned)),
            None => session.state.chunks(name).zip(last.map(|last| &last.owned)),
        };
        let now = known.and_then(|(known, owned)| Some((chunks::apart(&known, owned)?, owned)));
        if let Some((now, owned)) = now {
            return of_chunks(session, task, done, success, (before, now, owned));
        }
    }
    let mut extra = Fields::new();
    let vouched = success.and_then(|success| {
        let bound = is_bound(session, spec, &success.key, &done.rows)?;
        Some((success, bound))
    });
    if let Some((success, bound)) = vouched {
        extra::put_success(&mut extra, success);
        explain(&mut extra, done);
        if bound {
            extra::put_root(&mut extra, &session.root_digest);
        }
    }
    vec![Unit {
        name: name.clone(),
        before,
        after: done.rows.to_vec(),
        extra,
    }]
}

/// A unit of the task and one of each chunk that it has or had. Of the task itself are outputs of no chunk that is known.
fn of_chunks(
    session: &Session<'_>,
    task: usize,
    done: &Done,
    success: Option<&Success>,
    (before, now, owned): (Option<Vec<Row>>, Pieces, &Vec<Row>),
) -> Vec<Unit> {
    let name = &done.record.task;
    let spec = &session.workspace.tasks[task];
    let before = before.and_then(|owned| {
        let pieces = chunks::apart(&session.state.chunks(name)?, &owned)?;
        Some((pieces, owned))
    });
    let discovered = now.values().flat_map(|piece| piece.discovered.iter());
    let mut files: Files = discovered.flatten().cloned().collect();
    files.sort_unstable();
    files.dedup();
    let gone = before.iter().flat_map(|(pieces, _)| pieces.keys());
    let sources: BTreeSet<&Vec<u8>> = now.keys().chain(gone).collect();
    let mut units = Vec::new();
    let mut complete = true;
    for source in sources {
        let mut extra = Fields::new();
        extra::put_chunk(&mut extra, name, source, !now.contains_key(source));
        if let Some(piece) = now.get(source) {
            match is_bound(session, spec, &piece.key, &piece.rows) {
                Some(bound) => {
                    extra::put_piece(&mut extra, piece, &files);
                    if bound {
                        extra::put_root(&mut extra, &session.root_digest);
                    }
                }
                None => complete = false,
            }
        }
        let rows = |pieces: &Pieces| {
            let piece = pieces.get(source);
            piece.map(|piece| piece.rows.clone()).unwrap_or_default()
        };
        let within = chunks::within(session, task, source);
        units.push(Unit {
            name: format!("{name}[{}]", escape(within.as_ref().unwrap_or(source))),
            before: before.as_ref().map(|(pieces, _)| rows(pieces)),
            after: rows(&now),
            extra,
        });
    }
    let mut extra = Fields::new();
    extra::put_files(&mut extra, &files);
    if let Some(success) = success.filter(|_| complete) {
        extra::put_success(&mut extra, success);
        explain(&mut extra, done);
    }
    units.push(Unit {
        name: name.clone(),
        before: before.map(|(pieces, owned)| loose(&pieces, &owned)),
        after: loose(&now, owned),
        extra,
    });
    units
}

/// Outputs of a task that no chunk is known to have written.
fn loose(pieces: &Pieces, owned: &[Row]) -> Vec<Row> {
    let written: BTreeSet<&[u8]> = pieces
        .values()
        .flat_map(|piece| piece.rows.iter().map(|row| row.path.as_slice()))
        .collect();
    let rows = owned.iter();
    rows.filter(|row| !written.contains(row.path.as_slice()))
        .cloned()
        .collect()
}

/// Notes what the key of a task that did something was made of. Of one that did nothing, a place in the state before knows
/// it as well.
fn explain(extra: &mut Fields, done: &Done) {
    let update = done.update.as_ref();
    if let Some(explained) = update.and_then(|update| update.explanation.as_ref()) {
        extra::put_explanation(extra, explained);
    }
}

/// Whether outputs hold the path of this workspace, so that they are good here alone; `None` when nobody can tell. The cache
/// knows it of what it keeps; else they are searched.
fn is_bound(session: &Session<'_>, spec: &Task, key: &[u8; 32], rows: &[Row]) -> Option<bool> {
    if spec.relocatable {
        return Some(false);
    }
    let kept = |key: [u8; 32]| {
        let entry = session.store().map(|store| store.get(&Key(key)));
        let Some(Ok(Some(entry))) = entry else {
            return false;
        };
        cache::digest(&entry.manifest) == cache::digest(rows)
    };
    if kept(*key) {
        return Some(false);
    }
    if kept(session.bound(key)) {
        return Some(true);
    }
    let paths: Vec<Vec<u8>> = rows.iter().map(|row| row.path.clone()).collect();
    let searched = cache::pack_looking_for(
        &outputs::places(session),
        session.outputs_root(),
        &paths,
        &session.pack_options(),
        session.paths.state.parent()?,
    );
    let searched = searched.ok()?;
    (cache::digest(&searched.manifest) == cache::digest(rows)).then_some(searched.found)
}
