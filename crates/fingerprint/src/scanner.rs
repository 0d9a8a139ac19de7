//! `Scanner`: walks subtrees and digests files through the memo, for one run.
//! Knows nothing of tasks, globs or keys.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use crate::Digest;
use crate::digest::FileFingerprint;
use crate::files::{Files, Kind, Stat, join, split, stat};
use crate::format::{Fate, Tuple};
use crate::ignores::{SOURCES, Shape};
use crate::manifest::{Row, RowKind, link_digest};
use crate::memo::{Listing, Memo};
use crate::scan::{Entry, NO_HINT, Scan};

/// From this many folders on, threads are worth waking.
const PARALLEL: usize = 32;
/// From this many files to read on, threads are worth waking.
const PARALLEL_FILES: usize = 256;
/// From this many bytes to read on, too.
const PARALLEL_BYTES: u64 = 2 << 20;
const BUFFER: usize = 256 * 1024;
/// Folders no scan enters, and files of that name it passes over.
const PRIVATE: [&[u8]; 2] = [b".git", b".larder"];
/// Under this name the memo keeps the digest of the set of tracked files.
const TRACKED: &[u8] = b".git/index/tracked";

/// Whether ignore files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignore {
    /// What `.gitignore` and `.larderignore` files exclude is left out, unless git tracks it.
    Honour,
    /// Everything is seen, except `.git` and `.larder`.
    Never,
}

/// Why a subtree could not be scanned.
#[derive(Debug, thiserror::Error)]
#[error("cannot scan `{}`", String::from_utf8_lossy(path))]
pub struct ScanError {
    /// The path that could not be read.
    pub path: Vec<u8>,
    /// Why.
    pub source: io::Error,
}

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was scanned and is gone.
    #[error("`{}` vanished while it was read", String::from_utf8_lossy(path))]
    Vanished {
        /// The file.
        path: Vec<u8>,
    },
    /// It changed after it was scanned, or while it was read.
    #[error("`{}` changed while it was read", String::from_utf8_lossy(path))]
    Changed {
        /// The file.
        path: Vec<u8>,
    },
    /// The system refused.
    #[error("cannot read `{}`", String::from_utf8_lossy(path))]
    Io {
        /// The file.
        path: Vec<u8>,
        /// Why.
        source: io::Error,
    },
}

/// The files git tracks, read only when an ignore rule has to be judged anew.
pub struct Tracked {
    /// Path of git's index, absolute or relative to the root of the files.
    pub index: Vec<u8>,
    /// Reads the tracked paths, relative to the root of the files, in any order.
    #[allow(clippy::type_complexity)]
    pub read: Box<dyn Fn() -> io::Result<Vec<Vec<u8>>> + Send + Sync>,
}

/// Scans and digests for one run; remembers in its memo. Share it between threads.
///
/// The rules of ignore files above a scanned folder are read once: start another scanner, or call
/// [`forget_rules`](Self::forget_rules), when they may have changed.
pub struct Scanner {
    files: Arc<dyn Files>,
    memo: Memo,
    tracked: Option<Tracked>,
    tracked_paths: OnceLock<Vec<Vec<u8>>>,
    /// Rules of the folders above those scanned.
    rules: Mutex<HashMap<Vec<u8>, Arc<Shape>>>,
}

/// A folder to be walked.
struct Todo {
    path: Vec<u8>,
    stat: Stat,
    /// The rules of the folder above; `None` when none count.
    rules: Option<Arc<Shape>>,
}

impl Scanner {
    /// A scanner over `files` that starts from what `memo` knows.
    pub fn new(files: Arc<dyn Files>, memo: Memo) -> Self {
        Self {
            files,
            memo,
            tracked: None,
            tracked_paths: OnceLock::new(),
            rules: Mutex::default(),
        }
    }

    /// Makes files that git tracks count although ignore rules exclude them.
    #[must_use]
    pub fn with_tracked(mut self, tracked: Tracked) -> Self {
        self.tracked = Some(tracked);
        self
    }

    /// The memo, to save it or to read its counters.
    pub fn memo(&self) -> &Memo {
        &self.memo
    }

    /// The files it scans.
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Reads the ignore files above scanned folders anew when they are next needed.
    pub fn forget_rules(&mut self) {
        self.rules = Mutex::default();
        self.tracked_paths = OnceLock::new();
    }

    /// What lies under a folder; a file's own path gives that file, a missing one nothing. The folder itself is
    /// taken even if an ignore rule excludes it. Links are not followed, and nothing in `.git` or `.larder` is seen.
    ///
    /// # Errors
    /// When something there cannot be read.
    pub fn scan(&self, under: &[u8], ignore: Ignore) -> Result<Scan, ScanError> {
        let honour = ignore == Ignore::Honour;
        let mut scan = Scan {
            under: under.to_vec(),
            honour,
            ..Scan::default()
        };
        let failed = |source| ScanError {
            path: under.to_vec(),
            source,
        };
        let Some(stat) = self.stat(under, false).map_err(failed)? else {
            self.memo.put_listing(under, None);
            return Ok(scan);
        };
        match stat.kind {
            Kind::Folder => {}
            Kind::Other => return Ok(scan),
            Kind::File | Kind::Link => {
                let text = self.link_text(under, &stat).map_err(failed)?;
                scan.push(b"", under, &text, stat, NO_HINT);
                return Ok(scan);
            }
        }
        let rules = match ignore {
            Ignore::Never => None,
            Ignore::Honour if under.is_empty() => Some(self.top_rules()?),
            Ignore::Honour => Some(self.rules_in(split(under).0)?),
        };
        let mut level = vec![Todo {
            path: under.to_vec(),
            stat,
            rules,
        }];
        while !level.is_empty() {
            let parts: Vec<_> = if level.len() < PARALLEL {
                level
                    .iter()
                    .map(|todo| self.walk(todo))
                    .collect::<Result<_, _>>()?
            } else {
                level
                    .par_iter()
                    .map(|todo| self.walk(todo))
                    .collect::<Result<_, _>>()?
            };
            level = Vec::new();
            for (part, below) in parts {
                scan.absorb(&part);
                level.extend(below);
            }
        }
        scan.sort();
        Ok(scan)
    }

    /// The given paths alone, as a scan: one stat each and no listing. Missing ones are not in it; a folder is, whatever
    /// it holds.
    ///
    /// # Errors
    /// When one of them cannot be looked at.
    pub fn look(&self, paths: &[&[u8]]) -> Result<Scan, ScanError> {
        let mut sorted: Vec<(&[u8], &[u8])> = paths.iter().map(|path| split(path)).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut scan = Scan::default();
        self.count(&self.memo.counters.stat_calls, sorted.len() as u64);
        for group in sorted.chunk_by(|a, b| a.0 == b.0) {
            let folder = group[0].0;
            let names: Vec<&[u8]> = group.iter().map(|(_, name)| *name).collect();
            let mut failure = None;
            self.files
                .stat_all(folder, &names, false, &mut |index, stat| {
                    let name = names[index];
                    let failed = |source| ScanError {
                        path: join(folder, name),
                        source,
                    };
                    match stat {
                        Ok(None) => {}
                        Ok(Some(stat)) => match self.link_text(&join(folder, name), &stat) {
                            Ok(text) => scan.push(folder, name, &text, stat, NO_HINT),
                            Err(source) => failure = Some(failed(source)),
                        },
                        Err(source) => failure = Some(failed(source)),
                    }
                });
            failure.map_or(Ok(()), Err)?;
        }
        scan.sort();
        Ok(scan)
    }

    /// The digest of an entry's content; of a link, of its text and what it leads to; of an empty folder, zeros.
    ///
    /// # Errors
    /// When it vanished, changed since it was scanned, or cannot be read.
    pub fn digest(&self, entry: &Entry<'_>) -> Result<Digest, ReadError> {
        if let Some(digest) = self.remembered(entry) {
            self.count(&self.memo.counters.memo_hits, 1);
            return Ok(digest);
        }
        self.fresh(entry)
    }

    /// The digests of many entries, in their order, read in parallel.
    pub fn digests(&self, entries: &[Entry<'_>]) -> Vec<Result<Digest, ReadError>> {
        let known: Vec<_> = entries.iter().map(|entry| self.remembered(entry)).collect();
        let (mut misses, mut bytes) = (0, 0);
        for (entry, _) in entries
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
        {
            misses += 1;
            bytes += entry.stat.size;
        }
        self.count(&self.memo.counters.memo_hits, (known.len() - misses) as u64);
        let digest = |(entry, known): (&Entry<'_>, Option<Digest>)| match known {
            Some(digest) => Ok(digest),
            None => self.fresh(entry),
        };
        // A run has its own workers; waking more for a few small files costs more than reading them.
        if misses < PARALLEL_FILES && (misses < 2 || bytes < PARALLEL_BYTES) {
            return entries.iter().zip(known).map(digest).collect();
        }
        entries.par_iter().zip(known).map(digest).collect()
    }

    /// Manifest rows of entries, in their order.
    ///
    /// # Errors
    /// The first error of [`digests`](Self::digests).
    pub fn rows(&self, entries: &[Entry<'_>]) -> Result<Vec<Row>, ReadError> {
        let row = |(entry, digest): (&Entry<'_>, Result<Digest, ReadError>)| {
            let kind = entry.kind();
            let executable = kind == RowKind::File && entry.stat.executable();
            Ok(Row {
                path: entry.path.to_vec(),
                kind,
                executable,
                digest: digest?,
            })
        };
        entries.iter().zip(self.digests(entries)).map(row).collect()
    }

    /// The fingerprint of one path, followed through links; `None` when there is no file.
    ///
    /// # Errors
    /// When it changed while it was read, or cannot be read.
    pub fn fingerprint(&self, path: &[u8]) -> Result<Option<FileFingerprint>, ReadError> {
        let failed = |source| ReadError::Io {
            path: path.to_vec(),
            source,
        };
        let stat = self.stat(path, true).map_err(failed)?;
        let Some(stat) = stat.filter(|stat| stat.kind == Kind::File) else {
            return Ok(None);
        };
        let digest = self.content(path, &stat, true)?;
        Ok(Some(FileFingerprint {
            digest,
            size: stat.size,
            mtime: stat.mtime_ns,
            ctime: stat.ctime_ns,
            inode: stat.ino,
            mode: stat.mode,
        }))
    }

    pub(crate) fn stat(&self, path: &[u8], follow: bool) -> io::Result<Option<Stat>> {
        self.count(&self.memo.counters.stat_calls, 1);
        stat(&*self.files, path, follow)
    }

    #[allow(clippy::unused_self)]
    fn count(&self, counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// What the memo knows of a regular file or an empty folder; a link must always be looked through.
    fn remembered(&self, entry: &Entry<'_>) -> Option<Digest> {
        match entry.stat.kind {
            Kind::Folder => Some(Digest::default()),
            Kind::Link | Kind::Other => None,
            Kind::File => {
                let tuple = Tuple::from(&entry.stat);
                if entry.hint != NO_HINT
                    && let Some(digest) = self.memo.digest_at(entry.hint, tuple)
                {
                    return Some(digest);
                }
                self.memo.digest(entry.path, tuple)
            }
        }
    }

    fn fresh(&self, entry: &Entry<'_>) -> Result<Digest, ReadError> {
        if entry.stat.kind != Kind::Link {
            self.count(&self.memo.counters.memo_misses, 1);
            return self.read(entry.path, &entry.stat, false);
        }
        let failed = |source| ReadError::Io {
            path: entry.path.to_vec(),
            source,
        };
        let target = self.stat(entry.path, true).map_err(failed)?;
        let target = target.filter(|stat| stat.kind == Kind::File);
        let target = target
            .map(|stat| self.content(entry.path, &stat, true))
            .transpose()?;
        Ok(link_digest(entry.link, target))
    }

    fn content(&self, path: &[u8], stat: &Stat, follow: bool) -> Result<Digest, ReadError> {
        if let Some(digest) = self.memo.digest(path, Tuple::from(stat)) {
            self.count(&self.memo.counters.memo_hits, 1);
            return Ok(digest);
        }
        self.count(&self.memo.counters.memo_misses, 1);
        self.read(path, stat, follow)
    }

    fn read(&self, path: &[u8], stat: &Stat, follow: bool) -> Result<Digest, ReadError> {
        thread_local! {
            static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
        }
        let hashed = READ.with_borrow_mut(|buffer| self.files.hash(path, follow, buffer));
        let path = || path.to_vec();
        let hashed = hashed.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ReadError::Vanished { path: path() },
            io::ErrorKind::InvalidInput => ReadError::Changed { path: path() },
            _ => ReadError::Io {
                path: path(),
                source,
            },
        })?;
        self.count(&self.memo.counters.bytes_hashed, hashed.bytes);
        if !hashed.before.same_content(stat) || !hashed.after.same_content(stat) {
            return Err(ReadError::Changed { path: path() });
        }
        if hashed.moment.trusts(stat.ctime_ns.max(stat.mtime_ns)) {
            self.memo
                .put_digest(&path(), Tuple::from(stat), hashed.digest);
        }
        Ok(hashed.digest)
    }

    /// One folder: its entries, and the folders below.
    fn walk(&self, todo: &Todo) -> Result<(Scan, Vec<Todo>), ScanError> {
        let failed = |source| ScanError {
            path: todo.path.clone(),
            source,
        };
        let mut part = Scan::default();
        let mut below = Vec::new();
        let tuple = Tuple::from(&todo.stat);
        let known = self
            .memo
            .listing(&todo.path)
            .filter(|listing| listing.tuple == Some(tuple));
        let view = self.memo.view();
        let record = match known {
            Some(_) => None,
            None => view
                .find_folder(&todo.path)
                .filter(|record| record.tuple == Some(tuple)),
        };
        let fresh = known.is_none();
        let listing = match (known, record) {
            (Some(listing), _) => Some(listing),
            (None, Some(_)) => None,
            (None, None) => match self.list(&todo.path).map_err(failed)? {
                Some(listing) => Some(listing),
                None => return Ok((part, below)),
            },
        };
        let mut names: Vec<(&[u8], Kind, Fate, u32)> = match (&listing, &record) {
            (Some(listing), _) => {
                let names = listing.names.iter();
                names
                    .map(|(name, kind, fate)| (&**name, *kind, *fate, NO_HINT))
                    .collect()
            }
            (None, Some(record)) => (record.first..record.first.saturating_add(record.count))
                .filter_map(|index| view.name(index as usize).map(|name| (index, name)))
                .map(|(index, name)| (name.name, name.kind, name.fate, index))
                .collect(),
            (None, None) => Vec::new(),
        };
        let shape = listing.as_ref().map_or_else(
            || record.map_or([0; 32], |record| record.shape),
            |listing| listing.shape,
        );
        let rules = match &todo.rules {
            None => None,
            Some(above) => {
                let own = |source: &&'static [u8]| {
                    let known = names.binary_search_by(|(name, ..)| (*name).cmp(*source));
                    known.is_ok_and(|index| names[index].1 == Kind::File)
                };
                let own: Vec<_> = SOURCES.into_iter().filter(own).collect();
                Some(self.rules_with(above, &todo.path, &own)?)
            }
        };
        let mut judged = shape;
        if let Some(rules) = &rules
            && rules.digest != shape
        {
            for (name, kind, fate, _) in &mut names {
                *fate = self.fate(rules, &join(&todo.path, name), *kind)?;
            }
            judged = rules.digest;
        }
        if judged != shape || (listing.is_some() && fresh) {
            let tuple = listing
                .as_ref()
                .map_or(Some(tuple), |listing| listing.tuple);
            let names = names
                .iter()
                .map(|(name, kind, fate, _)| ((*name).into(), *kind, *fate))
                .collect();
            self.memo.put_listing(
                &todo.path,
                Some(Arc::new(Listing {
                    tuple,
                    shape: judged,
                    names,
                })),
            );
        }
        self.stat_names(todo, rules.as_ref(), names, &mut part, &mut below)?;
        Ok((part, below))
    }

    /// Stats the names that count, and tells entries from folders below.
    fn stat_names(
        &self,
        todo: &Todo,
        rules: Option<&Arc<Shape>>,
        mut names: Vec<(&[u8], Kind, Fate, u32)>,
        part: &mut Scan,
        below: &mut Vec<Todo>,
    ) -> Result<(), ScanError> {
        if names.is_empty() && !todo.path.is_empty() {
            part.push(&todo.path, b"", b"", todo.stat, NO_HINT);
            return Ok(());
        }
        names.retain(|(name, kind, fate, _)| {
            *kind != Kind::Other
                && (rules.is_none() || *fate != Fate::Ignored)
                && !PRIVATE.contains(name)
        });
        part.records.reserve(names.len());
        part.arena.reserve(
            names
                .iter()
                .map(|(name, ..)| todo.path.len() + 1 + name.len())
                .sum(),
        );
        let plain: Vec<&[u8]> = names.iter().map(|(name, ..)| *name).collect();
        self.count(&self.memo.counters.stat_calls, plain.len() as u64);
        let mut failure = None;
        self.files
            .stat_all(&todo.path, &plain, false, &mut |index, stat| {
                let (name, _, fate, hint) = names[index];
                let stat = match stat {
                    Ok(Some(stat)) => stat,
                    Ok(None) => return,
                    Err(source) => {
                        failure = Some(ScanError {
                            path: join(&todo.path, name),
                            source,
                        });
                        return;
                    }
                };
                match stat.kind {
                    Kind::File => part.push(&todo.path, name, b"", stat, hint),
                    Kind::Link => match self.link_text(&join(&todo.path, name), &stat) {
                        Ok(text) => part.push(&todo.path, name, &text, stat, hint),
                        Err(source) => {
                            failure = Some(ScanError {
                                path: join(&todo.path, name),
                                source,
                            });
                        }
                    },
                    Kind::Folder => {
                        let bury = |rules: &Arc<Shape>| match fate {
                            Fate::Buried => rules.bury(),
                            Fate::Kept | Fate::Ignored => Arc::clone(rules),
                        };
                        let rules = rules.map(bury);
                        below.push(Todo {
                            path: join(&todo.path, name),
                            stat,
                            rules,
                        });
                    }
                    Kind::Other => {}
                }
            });
        failure.map_or(Ok(()), Err)
    }

    fn link_text(&self, path: &[u8], stat: &Stat) -> io::Result<Vec<u8>> {
        if stat.kind == Kind::Link {
            self.files.link(path)
        } else {
            Ok(Vec::new())
        }
    }

    /// Reads a folder's names; believed later only if it stood still and long enough.
    fn list(&self, folder: &[u8]) -> io::Result<Option<Arc<Listing>>> {
        self.count(&self.memo.counters.folders_listed, 1);
        let Some(listed) = self.files.list(folder)? else {
            return Ok(None);
        };
        let stamp = listed.before.ctime_ns.max(listed.before.mtime_ns);
        let still = listed.before.same_content(&listed.after) && listed.moment.trusts(stamp);
        let mut names: Vec<_> = listed
            .names
            .into_iter()
            .map(|(name, kind)| (name.into_boxed_slice(), kind, Fate::Kept))
            .collect();
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let tuple = still.then(|| Tuple::from(&listed.before));
        Ok(Some(Arc::new(Listing {
            tuple,
            shape: [0; 32],
            names,
        })))
    }

    /// What the rules say of a path.
    pub(crate) fn fate(&self, rules: &Shape, path: &[u8], kind: Kind) -> Result<Fate, ScanError> {
        if !rules.excludes(&*self.files, path, kind == Kind::Folder) {
            return Ok(Fate::Kept);
        }
        let tracked = self.tracked_paths()?;
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

    fn tracked_paths(&self) -> Result<&[Vec<u8>], ScanError> {
        if let Some(paths) = self.tracked_paths.get() {
            return Ok(paths);
        }
        let mut paths = Vec::new();
        if let Some(tracked) = &self.tracked {
            let failed = |source| ScanError {
                path: tracked.index.clone(),
                source,
            };
            paths = (tracked.read)().map_err(failed)?;
            paths.sort_unstable();
        }
        Ok(self.tracked_paths.get_or_init(|| paths))
    }

    /// The rules above everything: none, but the set of tracked files.
    fn top_rules(&self) -> Result<Arc<Shape>, ScanError> {
        let Some(tracked) = &self.tracked else {
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
        if let Some(digest) = self.memo.digest(TRACKED, tuple) {
            return Ok(Shape::root(digest.0));
        }
        let mut hasher = blake3::Hasher::new();
        for path in self.tracked_paths()? {
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
            self.memo.put_digest(TRACKED, tuple, digest);
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
        let above = if folder.is_empty() {
            self.top_rules()?
        } else {
            self.rules_in(split(folder).0)?
        };
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
    fn rules_with(
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
