//! `Scanner`: walks subtrees and digests files through the memo, for one run.
//! Knows nothing of tasks, globs or keys.

mod rules;
mod walk;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rayon::prelude::*;

use crate::Digest;
use crate::digest::FileFingerprint;
use crate::files::{Files, Hashed, Kind, Stat, join, split, stat};
use crate::format::Tuple;
use crate::ignores::Shape;
use crate::manifest::{Row, RowKind, link_digest};
use crate::memo::Memo;
use crate::scan::{Entry, NO_HINT, Scan};

use rules::Top;
use walk::Todo;

/// From this many folders on, threads are worth waking.
const PARALLEL: usize = 32;
/// From this many files to read on, threads are worth waking.
const PARALLEL_FILES: usize = 256;
/// From this many bytes to read on, too.
const PARALLEL_BYTES: u64 = 2 << 20;
/// From this many entries on, threads are worth waking to ask the memo.
const PARALLEL_LOOKS: usize = 8192;
const BUFFER: usize = 256 * 1024;
/// Folders no scan enters, and files of that name it passes over.
const PRIVATE: [&[u8]; 2] = [b".git", b".larder"];

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
    top: Top,
    mounts: Vec<Top>,
    /// Rules of the folders above those scanned.
    rules: Mutex<HashMap<Vec<u8>, Arc<Shape>>>,
}

impl Scanner {
    /// A scanner over `files` that starts from what `memo` knows.
    pub fn new(files: Arc<dyn Files>, memo: Memo) -> Self {
        Self {
            files,
            memo,
            top: Top::default(),
            mounts: Vec::new(),
            rules: Mutex::default(),
        }
    }

    /// Makes files that git tracks count although ignore rules exclude them.
    #[must_use]
    pub fn with_tracked(mut self, tracked: Tracked) -> Self {
        self.top.tracked = Some(tracked);
        self
    }

    /// Makes the folder `prefix`, one component that its files answer to, a root of its own: rules above it do not count, and
    /// git tracks in it what `tracked` says. Paths that `tracked` reads are relative to that folder.
    #[must_use]
    pub fn with_mount(mut self, prefix: &[u8], tracked: Option<Tracked>) -> Self {
        self.mounts.push(Top {
            path: prefix.to_vec(),
            tracked,
            ..Top::default()
        });
        self
    }

    /// The memo, to save it or to read its counters.
    pub fn memo(&self) -> &Memo {
        &self.memo
    }

    /// Whether a path is known to have been a folder: in this run, or when the memo was written.
    pub fn knows_folder(&self, path: &[u8]) -> bool {
        self.memo.listing(path).is_some() || self.memo.view().find_folder(path).is_some()
    }

    /// The files it scans.
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Reads the ignore files above scanned folders anew when they are next needed.
    pub fn forget_rules(&mut self) {
        self.rules = Mutex::default();
        for top in self.mounts.iter_mut().chain([&mut self.top]) {
            top.paths = OnceLock::new();
        }
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
            Ignore::Honour => Some(self.rules_above(under)?),
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
        let known: Vec<_> = if entries.len() < PARALLEL_LOOKS {
            entries.iter().map(|entry| self.remembered(entry)).collect()
        } else {
            let known = entries.par_iter().with_min_len(1024);
            known.map(|entry| self.remembered(entry)).collect()
        };
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
        if misses == 0 {
            return known.into_iter().flatten().map(Ok).collect();
        }
        let mut missing: Vec<(usize, &Entry<'_>)> = (entries.iter().enumerate())
            .filter(|(index, _)| known[*index].is_none())
            .collect();
        missing.sort_by_key(|(_, entry)| entry.path);
        // A run has its own workers; waking more for a few small files costs more than reading them.
        let alone = misses < PARALLEL_FILES && (misses < 2 || bytes < PARALLEL_BYTES);
        let groups = together(&missing);
        let fresh: Vec<Vec<_>> = if alone {
            groups.iter().map(|group| self.fresh_in(group)).collect()
        } else {
            let groups = groups.par_iter();
            groups.map(|group| self.fresh_in(group)).collect()
        };
        let mut digests: Vec<Result<Digest, ReadError>> = known
            .into_iter()
            .map(|known| Ok(known.unwrap_or_default()))
            .collect();
        for (index, digest) in fresh.into_iter().flatten() {
            digests[index] = digest;
        }
        digests
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

    /// Reads entries of one folder, each with a number that goes with its digest.
    fn fresh_in(&self, group: &[(usize, &Entry<'_>)]) -> Vec<(usize, Result<Digest, ReadError>)> {
        let is_file = |(_, entry): &&(usize, &Entry<'_>)| entry.stat.kind != Kind::Link;
        let (files, links): (Vec<_>, Vec<_>) = group.iter().partition(is_file);
        let mut digests: Vec<_> = (links.iter())
            .map(|(index, entry)| (*index, self.fresh(entry)))
            .collect();
        let folder = files
            .first()
            .map_or(&b""[..], |(_, file)| split(file.path).0);
        let names: Vec<&[u8]> = files.iter().map(|(_, file)| split(file.path).1).collect();
        self.count(&self.memo.counters.memo_misses, names.len() as u64);
        with_buffer(|buffer| {
            self.files
                .hash_in(folder, &names, buffer, &mut |at, hashed| {
                    let (index, file) = files[at];
                    digests.push((index, self.judge(file.path, &file.stat, hashed)));
                });
        });
        digests
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
        let hashed = with_buffer(|buffer| self.files.hash(path, follow, buffer));
        self.judge(path, stat, hashed)
    }

    /// The digest of a file that was read, if it held still; remembered, if its stamp can be believed.
    fn judge(
        &self,
        path: &[u8],
        stat: &Stat,
        hashed: io::Result<Hashed>,
    ) -> Result<Digest, ReadError> {
        let owned = || path.to_vec();
        let hashed = hashed.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ReadError::Vanished { path: owned() },
            io::ErrorKind::InvalidInput => ReadError::Changed { path: owned() },
            _ => ReadError::Io {
                path: owned(),
                source,
            },
        })?;
        self.count(&self.memo.counters.bytes_hashed, hashed.bytes);
        if !hashed.before.same_content(stat) || !hashed.after.same_content(stat) {
            return Err(ReadError::Changed { path: owned() });
        }
        if hashed.moment.trusts(stat.ctime_ns.max(stat.mtime_ns)) {
            self.memo.put_digest(path, Tuple::from(stat), hashed.digest);
        }
        Ok(hashed.digest)
    }
}

/// Lends a thread's buffer.
fn with_buffer<T>(with: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    }
    READ.with_borrow_mut(|buffer| with(buffer))
}

/// Splits sorted entries into groups of one folder each, none so large that a thread has it long for itself.
fn together<'g, 'e>(sorted: &'g [(usize, &'e Entry<'e>)]) -> Vec<&'g [(usize, &'e Entry<'e>)]> {
    let folder = |entry: &(usize, &'e Entry<'e>)| split(entry.1.path).0;
    let mut groups = Vec::new();
    for group in sorted.chunk_by(|a, b| folder(a) == folder(b)) {
        let mut start = 0;
        let mut bytes = 0;
        for (at, (_, entry)) in group.iter().enumerate() {
            if at > start
                && (at - start == PARALLEL_FILES || bytes + entry.stat.size > PARALLEL_BYTES)
            {
                groups.push(&group[start..at]);
                (start, bytes) = (at, 0);
            }
            bytes += entry.stat.size;
        }
        groups.push(&group[start..]);
    }
    groups
}
