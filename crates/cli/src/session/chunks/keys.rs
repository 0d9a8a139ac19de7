//! The keys of chunks: what holds for all of them made once, and for each what is its own.
//! Does not compare keys with earlier ones, nor run anything.
//!
//! A chunk's key is made by the same walk as a task's. What every chunk shares (commands, listed inputs, variables, tools,
//! tasks it depends on) is described once, and that description's key stands for it in each chunk's own.

use std::collections::HashMap;

use larder_fingerprint::{self as fingerprint, Description, Digest, Row};
use rayon::prelude::*;

use super::super::Run;
use super::super::describe::{self, Basis, DepResult};
use super::super::discovered;
use super::super::format::List;
use super::super::life::hex;
use super::super::tree::{Fault, lossy};
use super::expand::{Chunk, Expansion};
use super::format::{Kept, Table};
use super::lived::Lived;

/// Names with digests.
type Named = Vec<(String, [u8; 32])>;

/// What the keys of a task's chunks are made of, at one moment.
#[derive(Debug)]
pub(super) struct Keys {
    /// What holds for every chunk.
    pub common: Basis,
    /// Its key.
    pub shared: [u8; 32],
    task: String,
    /// For each chunk, what of its dependencies enters its key besides what holds for every chunk.
    pub deps: Vec<Named>,
    /// The same as `deps`, as it enters closures.
    closures: Vec<Named>,
}

/// Files that were discovered, as they are now.
pub(super) type Files = HashMap<Vec<u8>, Row>;

impl Keys {
    /// Gathers everything for the chunks of a task that depends on `deps`.
    ///
    /// # Errors
    /// As for a task's own key.
    pub(super) fn gather(
        run: &Run<'_>,
        task: usize,
        deps: &[DepResult],
        expansion: &Expansion,
    ) -> Result<Keys, Fault> {
        let (mut chunked, mut whole) = (Vec::new(), Vec::new());
        for dep in deps {
            match run.chunks.lived_named(&dep.id) {
                Some(lived) => chunked.push((dep, lived)),
                None => whole.push(dep.clone()),
            }
        }
        let common = run.basis(task, &whole)?;
        let shared = common.key();
        let mut keyed = Vec::with_capacity(expansion.chunks.len());
        let mut closures = Vec::with_capacity(expansion.chunks.len());
        for chunk in &expansion.chunks {
            let of = |(dep, lived): &(&DepResult, &Lived)| {
                let (id, manifest, closure) = match lived.maker(&chunk.source.path) {
                    Some(made) => (&made.id, made.manifest, made.closure),
                    None => (&dep.id, dep.manifest, dep.closure),
                };
                let digest = if dep.transitive { closure } else { manifest };
                ((id.clone(), digest), (id.clone(), closure))
            };
            let (mut in_key, mut in_closure): (Named, Named) = chunked.iter().map(of).unzip();
            in_closure.extend(whole.iter().map(|dep| (dep.id.clone(), dep.closure)));
            in_key.sort();
            in_closure.sort();
            keyed.push(in_key);
            closures.push(in_closure);
        }
        Ok(Keys {
            common,
            shared,
            task: run.id(task),
            deps: keyed,
            closures,
        })
    }

    /// The key of a chunk; without what it discovered it is the base key.
    pub(super) fn key(&self, index: usize, chunk: &Chunk, discovered: Option<&[Row]>) -> [u8; 32] {
        let identity = format!("{}\0{}", self.task, lossy(&chunk.within));
        let shared = hex(&self.shared);
        let dependencies: Vec<(&str, Digest)> = self.deps[index]
            .iter()
            .map(|(id, digest)| (id.as_str(), Digest(*digest)))
            .collect();
        fingerprint::key(&Description {
            identity: &identity,
            commands: &[],
            arguments: &[],
            inputs: std::slice::from_ref(&chunk.source),
            global_inputs: &[],
            dependencies: &dependencies,
            env: &[],
            tools: &[],
            git_inputs: &[],
            outputs: None,
            discovered,
            platform: None,
            salt: &shared,
        })
        .0
    }

    /// The closure digest of a chunk.
    pub(super) fn closure(&self, index: usize, manifest: &[u8; 32]) -> [u8; 32] {
        let deps = self.closures[index].iter();
        describe::closure_over(
            manifest,
            deps.map(|(id, closure)| (id.as_str(), *closure)).collect(),
        )
    }

    /// The key that stands for the task as a whole.
    pub(super) fn whole(&self, keys: &[[u8; 32]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"larder foreach 1\n").update(&self.shared);
        for key in keys {
            hasher.update(key);
        }
        *hasher.finalize().as_bytes()
    }
}

/// The files that are named in `lists` as they are now, each looked at once.
///
/// # Errors
/// When one cannot be read.
pub(super) fn files<'l>(
    run: &Run<'_>,
    lists: impl Iterator<Item = &'l List>,
) -> Result<Files, Fault> {
    let mut paths: Vec<Vec<u8>> = lists.flatten().cloned().collect();
    paths.sort_unstable();
    paths.dedup();
    let rows: Vec<Vec<Row>> = paths
        .par_chunks(256)
        .map(|paths| discovered::rows(&run.session.tree, paths))
        .collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .flatten()
        .map(|row| (row.path.clone(), row))
        .collect())
}

/// The rows of a list.
pub(super) fn rows_of(list: &List, files: &Files) -> Option<Vec<Row>> {
    list.iter().map(|path| files.get(path).cloned()).collect()
}

/// What changed for a chunk since its last success, in words. Changes that hold for every chunk are not among them.
pub(super) fn changes(
    keys: &Keys,
    index: usize,
    chunk: &Chunk,
    table: &Table,
    kept: &Kept,
    files: &Files,
) -> Vec<String> {
    let mut words = Vec::new();
    if kept.source != chunk.source.digest.0 {
        words.push(format!("file {} was edited", lossy(&chunk.source.path)));
    }
    for (id, digest) in &keys.deps[index] {
        match kept.deps.iter().find(|(known, _)| known == id) {
            Some((_, was)) if was == digest => {}
            _ => words.push(format!("the outputs of {id} changed")),
        }
    }
    for at in kept.discovered.iter().flatten() {
        let known = usize::try_from(*at).ok().and_then(|at| table.files.get(at));
        let Some((path, was)) = known else { continue };
        match files.get(path) {
            Some(now) if now.digest.0 == *was => {}
            Some(now) if now.kind == fingerprint::RowKind::Absent => {
                words.push(format!("file {} was removed", lossy(path)));
            }
            _ => words.push(format!("file {} was edited", lossy(path))),
        }
    }
    words
}

impl super::Shared {
    /// What a task with chunks made, by the task's name.
    fn lived_named(&self, id: &str) -> Option<&Lived> {
        self.lived
            .iter()
            .filter_map(std::sync::OnceLock::get)
            .find(|lived| lived.id == id)
    }
}
