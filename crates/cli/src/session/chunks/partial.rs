//! A run of some chunks of a task, which leaves the others as they are.
//! Does not know why these were chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use larder_cache::Row;
use larder_fingerprint::{Digest, Row as InputRow, RowKind};

use super::super::Run;
use super::super::tree::Fault;
use super::expand::Expansion;
use super::format::{Kept, Table};
use super::stale::{self, Look};
use super::sum::{After, New};

/// What those that come after are handed of a task of which only some chunks were meant: what lies on disk. `None` where
/// all were.
///
/// # Errors
/// When it cannot be read.
pub(super) fn on_disk(
    run: &Run<'_>,
    expansion: &Expansion,
    look: &Look,
) -> Result<Option<Arc<Vec<Row>>>, Fault> {
    if !look.partial {
        return Ok(None);
    }
    let tree = &run.session.tree;
    let view = expansion.outputs.list(tree)?;
    Ok(Some(Arc::new(tree.rows(&view, &|_, _| true)?)))
}

/// Owned paths that are not deleted although no chunk of today made them: all but those of chosen sources that are gone.
pub(super) fn spared<'o>(
    look: &Look,
    table: &Table,
    last: &[Row],
    owned: &'o BTreeMap<Vec<u8>, Row>,
) -> BTreeSet<&'o [u8]> {
    if !look.partial {
        return BTreeSet::new();
    }
    let gone = look
        .gone
        .iter()
        .filter_map(|source| table.chunks.get(source));
    let gone: BTreeSet<&[u8]> = gone
        .filter_map(|kept| stale::rows(kept, last))
        .flatten()
        .map(|row| row.path.as_slice())
        .collect();
    let paths = owned.keys().map(Vec::as_slice);
    paths.filter(|path| !gone.contains(path)).collect()
}

/// Enters what is left as it is: what was known of these chunks stays known, and what they own stays the task's.
pub(super) fn leave(
    after: &mut After,
    expansion: &Expansion,
    look: &Look,
    table: &Table,
    last: &[Row],
    owned: &BTreeMap<Vec<u8>, Row>,
) {
    if !look.partial {
        return;
    }
    let redone: BTreeSet<usize> = look.stale.iter().map(|stale| stale.index).collect();
    let others = owned.iter().filter(|(path, _)| {
        let mut makers = expansion.exact().chunks_of(path);
        !makers.any(|chunk| redone.contains(&chunk))
    });
    let known = |source: &Vec<u8>| {
        let kept = table.chunks.get(source)?;
        let rows = stale::rows(kept, last)?;
        Some(New {
            key: kept.key,
            source: kept.source,
            deps: kept.deps.clone(),
            rows: rows.into_iter().cloned().collect(),
            discovered: discovered(kept, table),
            depfile: kept.depfile,
            duration_ms: kept.duration_ms,
            log: kept.log.clone(),
        })
    };
    let mut left = BTreeMap::new();
    for stale in &look.left {
        let source = &expansion.chunks[stale.index].source.path;
        left.extend(known(source).map(|new| (stale.index, new)));
    }
    let is_left =
        |source: &&Vec<u8>| expansion.find(source).is_none() && !look.gone.contains(source);
    let gone = table.chunks.keys().filter(is_left);
    let gone = gone.filter_map(|source| Some((source.clone(), known(source)?)));
    after.leave(
        look.left.len(),
        left,
        gone.collect(),
        others.map(|(_, row)| row.clone()).collect(),
    );
}

/// What a chunk discovered, with the digests that it read.
fn discovered(kept: &Kept, table: &Table) -> Option<Vec<InputRow>> {
    // Path and digest are what is remembered of it.
    let row = |at: &u32| {
        let (path, digest) = table.files.get(usize::try_from(*at).ok()?)?;
        Some(InputRow {
            path: path.clone(),
            kind: RowKind::File,
            executable: false,
            digest: Digest(*digest),
        })
    };
    kept.discovered.as_ref()?.iter().map(row).collect()
}
