//! Restores chunks from the cache, many side by side.
//! Does not run commands, nor decide which chunks are stale.

use std::collections::BTreeMap;

use larder_cache::{self as cache, Entry, Key, RestoreOptions, Row, Store as _};
use larder_fingerprint::Row as InputRow;
use rayon::prelude::*;

use crate::diagnostics::{self, CACHE};

use super::super::discovered;
use super::super::life::{Life, hex};
use super::expand::{Expansion, name};
use super::keys::Keys;
use super::stale::Stale;
use super::sum::{After, New};

/// What came of the attempt to restore a chunk.
enum Tried {
    Restored(Box<(New, cache::Restored)>),
    /// The cache has no result; faults are told.
    Missed(Vec<String>),
}

/// Restores those of `stale` that the cache has a result for; answers the rest, and whether a restore may have stopped
/// half-way.
pub(super) fn restore(
    life: &mut Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: Vec<Stale>,
    owned: &BTreeMap<Vec<u8>, Row>,
    after: &mut After,
) -> (Vec<Stale>, bool) {
    let session = life.run.session;
    if session.store().is_none() {
        return (stale, false);
    }
    let mut apart: BTreeMap<usize, BTreeMap<Vec<u8>, [u8; 32]>> = BTreeMap::new();
    for (path, row) in owned {
        for chunk in expansion.exact().chunks_of(path) {
            let own = apart.entry(chunk).or_default();
            own.insert(path.clone(), row.digest);
        }
    }
    let nothing = BTreeMap::new();
    let shared: &Life<'_> = life;
    let tried: Vec<Tried> = stale
        .par_iter()
        .map(|stale| {
            if session.cancel.is_raised() {
                return Tried::Missed(Vec::new());
            }
            let own = apart.get(&stale.index).unwrap_or(&nothing);
            one(shared, expansion, keys, stale, own)
        })
        .collect();
    session.tree.forget_scans();
    let (mut left, mut partly) = (Vec::new(), false);
    for (stale, tried) in stale.into_iter().zip(tried) {
        match tried {
            Tried::Restored(done) => {
                let (new, restored) = *done;
                session.count_restored(restored.bytes);
                life.name_rescued(&restored.rescued);
                let own = apart.get(&stale.index).unwrap_or(&nothing);
                life.run.claim(&life.id, own.keys(), &new.rows);
                after.restored(expansion, stale.index, new);
            }
            Tried::Missed(faults) => {
                partly |= !faults.is_empty();
                for fault in faults {
                    session.cache_fault(&mut life.record, &fault);
                }
                left.push(stale);
            }
        }
    }
    (left, partly)
}

fn one(
    life: &Life<'_>,
    expansion: &Expansion,
    keys: &Keys,
    stale: &Stale,
    own: &BTreeMap<Vec<u8>, [u8; 32]>,
) -> Tried {
    let session = life.run.session;
    let chunk = &expansion.chunks[stale.index];
    let mut faults = Vec::new();
    let Some(store) = session.store() else {
        return Tried::Missed(faults);
    };
    let mut candidates: Vec<([u8; 32], Option<Vec<InputRow>>)> = Vec::new();
    let base = keys.key(stale.index, chunk, None);
    if chunk.depfile.is_none() {
        candidates.push((base, None));
    } else {
        match discovered::known(store, &base) {
            Ok(lists) => {
                for list in lists {
                    // A list whose files cannot be read leads to no result.
                    let Ok(rows) = discovered::rows(&session.tree, &list) else {
                        continue;
                    };
                    candidates.push((keys.key(stale.index, chunk, Some(&rows)), Some(rows)));
                }
            }
            Err(error) => faults.push(format!("the cache cannot be read: {error}")),
        }
    }
    for (key, discovered) in candidates {
        for candidate in [Key(key), Key(session.bound(&key))] {
            let found = store.get(&candidate);
            log::debug!(target: CACHE, "lookup {}: {}", hex(&candidate.0), diagnostics::found(&found));
            let entry = match found {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(error) => {
                    faults.push(format!("the cache cannot be read: {error}"));
                    continue;
                }
            };
            let elsewhere = entry.root.is_some_and(|root| root != session.root_digest);
            if elsewhere || life.run.clash(&life.id, &entry.manifest).is_some() {
                // What another task made stays; the run of the commands will tell.
                continue;
            }
            match put(life, expansion, stale.index, &entry, own) {
                Ok(restored) => {
                    let new = New {
                        key,
                        rows: entry.manifest,
                        discovered,
                        depfile: stale.depfile,
                        duration_ms: entry.duration_ms,
                        log: entry.log,
                        ..New::of(chunk, keys, stale.index)
                    };
                    return Tried::Restored(Box::new((new, restored)));
                }
                Err(error) => faults.push(format!(
                    "a cached result of {} cannot be restored: {error}",
                    name(&life.id, &chunk.within)
                )),
            }
        }
    }
    Tried::Missed(faults)
}

fn put(
    life: &Life<'_>,
    expansion: &Expansion,
    index: usize,
    entry: &Entry,
    own: &BTreeMap<Vec<u8>, [u8; 32]>,
) -> cache::Result<cache::Restored> {
    let session = life.run.session;
    let allowed = |path: &[u8]| {
        expansion
            .exact()
            .chunks_of(path)
            .any(|chunk| chunk == index)
    };
    let options = RestoreOptions::new(&allowed, own, &session.paths.rescued);
    let store = session.store();
    let none = larder_cache::MemoryStore::new();
    let store: &dyn cache::Store = match store {
        Some(store) => store,
        None => &none,
    };
    cache::restore(session.outputs_root(), entry, store, &options)
}
