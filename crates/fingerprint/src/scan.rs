//! `Scan`: an immutable, sorted picture of a subtree.
//! Knows nothing of how it was taken.

use rayon::prelude::*;

use crate::Globs;
use crate::files::{Kind, Stat, within};
use crate::manifest::RowKind;

/// No record of the mapped memo belongs to the entry.
pub(crate) const NO_HINT: u32 = u32::MAX;

/// From this many entries on, threads are worth waking to choose among them.
const PARALLEL: usize = 8192;
/// So many a thread takes at a time.
const CHUNK: usize = 2048;

/// What lay under a folder, sorted by path: files, links and folders with nothing in them.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub(crate) under: Vec<u8>,
    pub(crate) honour: bool,
    /// Paths, each followed by its link's text.
    pub(crate) arena: Vec<u8>,
    pub(crate) records: Vec<Record>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) start: usize,
    pub(crate) path: u32,
    pub(crate) link: u32,
    pub(crate) hint: u32,
    pub(crate) stat: Stat,
}

/// One path of a scan.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'s> {
    /// Relative to the root of the files, not to the scanned folder.
    pub path: &'s [u8],
    /// Its stat tuple when it was scanned.
    pub stat: Stat,
    /// A link's text; empty for all else.
    pub link: &'s [u8],
    pub(crate) hint: u32,
}

impl Entry<'_> {
    /// The kind of its row in a manifest. A folder is in a scan only when it is empty.
    pub fn kind(&self) -> RowKind {
        match self.stat.kind {
            Kind::Link => RowKind::Link,
            Kind::Folder => RowKind::EmptyDir,
            Kind::File | Kind::Other => RowKind::File,
        }
    }
}

impl Scan {
    /// The folder (or file) that was scanned.
    pub fn under(&self) -> &[u8] {
        &self.under
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All entries, sorted by path.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        self.records.iter().map(|record| self.entry(record))
    }

    /// The entry of a path.
    pub fn get(&self, path: &[u8]) -> Option<Entry<'_>> {
        let index = self
            .records
            .binary_search_by(|record| self.path(record).cmp(path))
            .ok()?;
        Some(self.entry(&self.records[index]))
    }

    /// The entries whose path, relative to `base`, the globs match. What lies outside `base` is left out.
    pub fn matching(&self, globs: &Globs, base: &[u8]) -> Vec<Entry<'_>> {
        let skip = if base.is_empty() { 0 } else { base.len() + 1 };
        let matches = |entry: &Entry<'_>| {
            within(entry.path, base)
                && entry
                    .path
                    .get(skip..)
                    .is_some_and(|inside| globs.is_match(inside))
        };
        self.iter().filter(matches).collect()
    }

    /// The entries that `wanted` takes, in their order; asked on all processors where there are many.
    pub fn select(&self, wanted: impl Fn(&Entry<'_>) -> bool + Sync) -> Vec<Entry<'_>> {
        if self.records.len() < PARALLEL {
            return self.iter().filter(wanted).collect();
        }
        let parts: Vec<Vec<Entry<'_>>> = self
            .records
            .par_chunks(CHUNK)
            .map(|part| {
                let entries = part.iter().map(|record| self.entry(record));
                entries.filter(|entry| wanted(entry)).collect()
            })
            .collect();
        parts.concat()
    }

    pub(crate) fn path(&self, record: &Record) -> &[u8] {
        &self.arena[record.start..record.start + record.path as usize]
    }

    fn entry(&self, record: &Record) -> Entry<'_> {
        let end = record.start + record.path as usize;
        Entry {
            path: &self.arena[record.start..end],
            stat: record.stat,
            link: &self.arena[end..end + record.link as usize],
            hint: record.hint,
        }
    }

    #[allow(clippy::similar_names)]
    pub(crate) fn push(&mut self, folder: &[u8], name: &[u8], link: &[u8], stat: Stat, hint: u32) {
        let start = self.arena.len();
        self.arena.extend_from_slice(folder);
        if !folder.is_empty() && !name.is_empty() {
            self.arena.push(b'/');
        }
        self.arena.extend_from_slice(name);
        // Paths and link texts are bounded by the system far below 4 GiB.
        let path = u32::try_from(self.arena.len() - start).unwrap_or(u32::MAX);
        self.arena.extend_from_slice(link);
        let link = u32::try_from(link.len()).unwrap_or(u32::MAX);
        self.records.push(Record {
            start,
            path,
            link,
            hint,
            stat,
        });
    }

    /// Takes over another part's entries.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let base = self.arena.len();
        self.arena.extend_from_slice(&other.arena);
        self.records
            .extend(other.records.iter().map(|record| Record {
                start: record.start + base,
                ..*record
            }));
    }

    pub(crate) fn sort(&mut self) {
        let arena = &self.arena;
        let path = |record: &Record| &arena[record.start..record.start + record.path as usize];
        if self.records.is_sorted_by(|a, b| path(a) <= path(b)) {
            return;
        }
        if self.records.len() < PARALLEL {
            self.records.sort_unstable_by(|a, b| path(a).cmp(path(b)));
        } else {
            self.records
                .par_sort_unstable_by(|a, b| path(a).cmp(path(b)));
        }
    }
}
