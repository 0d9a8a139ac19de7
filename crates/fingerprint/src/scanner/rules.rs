//! Ignore rules above and in a folder, and the files that git tracks in spite of them.
//! Does not walk, nor match patterns.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{BUFFER, PRIVATE, ScanError, Scanner, Tracked};
use crate::Digest;
use crate::files::{Kind, join, split};
use crate::format::{Fate, Tuple};
use crate::ignores::{SOURCES, Shape};

/// Under this name the memo keeps the digest of the set of tracked files.
const TRACKED: &[u8] = b".git/index/tracked";

/// A folder above which no rules are looked for: the root, or a mount.
#[derive(Default)]
pub(super) struct Top {
    /// The path of the folder: empty, or one component.
    pub(super) path: Vec<u8>,
    pub(super) tracked: Option<Tracked>,
    /// The tracked paths, once they were needed, sorted.
    pub(super) paths: OnceLock<Vec<Vec<u8>>>,
    /// Held while they are read, so that they are read once.
    pub(super) reading: Mutex<()>,
}

impl Scanner {
    /// Reads the ignore files in a folder and below it anew when they are next needed.
    pub fn forget_rules_in(&self, folder: &[u8]) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|path, _| !crate::files::within(path, folder));
    }

    /// Whether a scan of the folder above that honours ignore files enters this folder.
    ///
    /// # Errors
    /// When an ignore file above it cannot be read.
    pub fn enters(&self, folder: &[u8]) -> Result<bool, ScanError> {
        let private = PRIVATE.contains(&split(folder).1);
        let rules = self.rules_above(folder)?;
        Ok(!private && self.fate(&rules, folder, Kind::Folder)? != Fate::Ignored)
    }

    /// The folder above which no rules count for a path.
    fn top_of(&self, path: &[u8]) -> &Top {
        let end = path.iter().position(|byte| *byte == b'/');
        let first = &path[..end.unwrap_or(path.len())];
        let mount = self.mounts.iter().find(|mount| mount.path == first);
        mount.unwrap_or(&self.top)
    }

    /// Whether a scan that honours ignore files would pass a path over, whatever it is scanned from: by a rule for it or for a folder
    /// that it lies in. The rules are those that hold now; the path need not be there.
    ///
    /// # Errors
    /// When an ignore file cannot be read.
    pub fn hides(&self, path: &[u8], kind: Kind) -> Result<bool, ScanError> {
        let top = self.top_of(path).path.len();
        let below = |end: &usize| *end > top;
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ends = slashes.map(|(end, _)| end).chain([path.len()]);
        for end in ends.filter(below) {
            let part = &path[..end];
            let rules = self.rules_in(split(part).0)?;
            let kind = if end == path.len() {
                kind
            } else {
                Kind::Folder
            };
            if self.fate(&rules, part, kind)? == Fate::Ignored {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rules that hold above a folder.
    pub(super) fn rules_above(&self, folder: &[u8]) -> Result<Arc<Shape>, ScanError> {
        let top = self.top_of(folder);
        if top.path == folder {
            self.top_rules(top)
        } else {
            self.rules_in(split(folder).0)
        }
    }

    /// What the rules say of a path.
    pub(crate) fn fate(&self, rules: &Shape, path: &[u8], kind: Kind) -> Result<Fate, ScanError> {
        if !rules.excludes(&*self.files, path, kind == Kind::Folder) {
            return Ok(Fate::Kept);
        }
        let tracked = tracked_paths(self.top_of(path))?;
        let next = tracked.partition_point(|known| known.as_slice() < path);
        if kind != Kind::Folder {
            let found = tracked.get(next).is_some_and(|known| known == path);
            return Ok(if found { Fate::Kept } else { Fate::Ignored });
        }
        let inside = join(path, b"/");
        let inside = &inside[..=path.len()];
        let next = tracked.partition_point(|known| known.as_slice() < inside);
        let found = tracked
            .get(next)
            .is_some_and(|known| known.starts_with(inside));
        Ok(if found { Fate::Buried } else { Fate::Ignored })
    }

    /// The rules above everything: none, but the set of tracked files.
    fn top_rules(&self, top: &Top) -> Result<Arc<Shape>, ScanError> {
        let Some(tracked) = &top.tracked else {
            return Ok(Shape::root([0; 32]));
        };
        let failed = |source| ScanError {
            path: tracked.index.clone(),
            source,
        };
        let Some(stat) = self.stat(&tracked.index, true).map_err(failed)? else {
            return Ok(Shape::root([0; 32]));
        };
        let tuple = Tuple::from(&stat);
        let place = join(&top.path, TRACKED);
        if let Some(digest) = self.memo.digest(&place, tuple) {
            return Ok(Shape::root(digest.0));
        }
        let mut hasher = blake3::Hasher::new();
        for path in tracked_paths(top)? {
            hasher
                .update(&(path.len() as u64).to_le_bytes())
                .update(path);
        }
        let digest = Digest(*hasher.finalize().as_bytes());
        // Believed later by the same rule as any file: the index itself must have been read as it was.
        let mut buffer = vec![0; BUFFER];
        if let Ok(hashed) = self.files.hash(&tracked.index, true, &mut buffer)
            && hashed.after.same_content(&stat)
            && hashed.moment.trusts(stat.ctime_ns.max(stat.mtime_ns))
        {
            self.memo.put_digest(&place, tuple, digest);
        }
        Ok(Shape::root(digest.0))
    }

    /// The rules that hold in a folder, from the root down; read once.
    pub(crate) fn rules_in(&self, folder: &[u8]) -> Result<Arc<Shape>, ScanError> {
        let known = |path: &[u8]| {
            self.rules
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(path)
                .cloned()
        };
        if let Some(rules) = known(folder) {
            return Ok(rules);
        }
        let above = self.rules_above(folder)?;
        let mut own = Vec::new();
        for source in SOURCES {
            let path = join(folder, source);
            let stat = self
                .stat(&path, false)
                .map_err(|source| ScanError { path, source })?;
            if stat.is_some_and(|stat| stat.kind == Kind::File) {
                own.push(source);
            }
        }
        let rules = self.rules_with(&above, folder, &own)?;
        let mut all = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(all.entry(folder.to_vec()).or_insert(rules)))
    }

    /// The rules above a folder with those of its own ignore files.
    pub(super) fn rules_with(
        &self,
        above: &Arc<Shape>,
        folder: &[u8],
        own: &[&'static [u8]],
    ) -> Result<Arc<Shape>, ScanError> {
        let mut digests = Vec::with_capacity(own.len());
        for source in own {
            let path = join(folder, source);
            match self.fingerprint(&path) {
                Ok(Some(print)) => digests.push((*source, print.digest)),
                Ok(None) => {}
                Err(error) => {
                    return Err(ScanError {
                        path,
                        source: io::Error::other(error),
                    });
                }
            }
        }
        Ok(above.with(folder, &digests))
    }
}

fn tracked_paths(top: &Top) -> Result<&[Vec<u8>], ScanError> {
    if let Some(paths) = top.paths.get() {
        return Ok(paths);
    }
    let _reading = top.reading.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(paths) = top.paths.get() {
        return Ok(paths);
    }
    let mut paths = Vec::new();
    if let Some(tracked) = &top.tracked {
        let failed = |source| ScanError {
            path: tracked.index.clone(),
            source,
        };
        paths = (tracked.read)().map_err(failed)?;
        if !top.path.is_empty() {
            for path in &mut paths {
                *path = join(&top.path, path);
            }
        }
        paths.sort_unstable();
    }
    Ok(top.paths.get_or_init(|| paths))
}
