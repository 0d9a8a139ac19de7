//! The stat memo: what folders held and what files digested to, as long as their stat tuples stay the same.
//! Knows nothing of walking or of ignore rules; it keeps what the scanner tells it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rayon::slice::ParallelSliceMut as _;

use crate::Digest;
use crate::files::{Kind, split};
use crate::format::{Builder, Fate, FolderRecord, NameRecord, Tuple, View};

const SHARDS: usize = 16;

/// A stat tuple and the digest that belongs to it.
type Fact = (Tuple, Digest);

/// A fact of this run with the folder and name it belongs to.
type NewFact<'a> = (&'a [u8], &'a [u8], &'a Fact);

/// Facts of earlier runs, mapped from a file, and the new ones of this run above them.
#[derive(Debug)]
pub struct Memo {
    base: Base,
    /// There was a file that is damaged.
    damaged: bool,
    config: [u8; 32],
    /// Folders listed in this run; `None` for one that is gone.
    listings: RwLock<HashMap<Vec<u8>, Option<Arc<Listing>>>>,
    /// Files digested in this run.
    facts: [Mutex<HashMap<Vec<u8>, Fact>>; SHARDS],
    hasher: RandomState,
    dirty: AtomicBool,
    pub(crate) counters: Counting,
}

/// A full listing of a folder, sorted by name.
#[derive(Debug)]
pub(crate) struct Listing {
    /// `None` when it was made too soon after the folder changed to be believed later.
    pub(crate) tuple: Option<Tuple>,
    pub(crate) shape: [u8; 32],
    pub(crate) names: Vec<(Box<[u8]>, Kind, Fate)>,
}

/// What was asked of the disk, and what the memo saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Paths stated.
    pub stat_calls: u64,
    /// Digests that the memo knew.
    pub memo_hits: u64,
    /// Digests that it did not.
    pub memo_misses: u64,
    /// Bytes read and hashed.
    pub bytes_hashed: u64,
    /// Folders whose names were read from the disk.
    pub folders_listed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) stat_calls: AtomicU64,
    pub(crate) memo_hits: AtomicU64,
    pub(crate) memo_misses: AtomicU64,
    pub(crate) bytes_hashed: AtomicU64,
    pub(crate) folders_listed: AtomicU64,
}

#[derive(Debug)]
enum Base {
    Empty,
    #[cfg(unix)]
    Mapped(memmap2::Mmap),
    #[cfg(not(unix))]
    Read(Vec<u8>),
}

impl Memo {
    /// A memo that knows nothing.
    pub fn empty(config: [u8; 32]) -> Self {
        Self {
            base: Base::Empty,
            damaged: false,
            config,
            listings: RwLock::default(),
            facts: Default::default(),
            hasher: RandomState::new(),
            dirty: AtomicBool::new(false),
            counters: Counting::default(),
        }
    }

    /// The memo at `path`. One that is missing, damaged, of another version, or made under another `config`
    /// (the digest of the configuration that shapes what is scanned) is an empty memo.
    pub fn open(path: &Path, config: [u8; 32]) -> Self {
        let found = read(path);
        log::debug!(target: "larder::memo", "{}: {}", path.display(), crate::format::told(found.as_ref().map(Base::bytes), &config));
        let damaged = found
            .as_ref()
            .is_some_and(|base| crate::format::is_damaged(base.bytes(), &config));
        let base = found.filter(|base| View::check(base.bytes(), &config).is_some());
        Self {
            base: base.unwrap_or(Base::Empty),
            damaged,
            ..Self::empty(config)
        }
    }

    /// Whether the file that it was opened from is damaged, so that nothing of it is used.
    pub fn was_damaged(&self) -> bool {
        self.damaged
    }

    /// Whether [`save`](Self::save) would write anything new.
    pub fn dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    /// How many folders, and how many names in them, the file holds that this memo was opened from.
    pub fn held(&self) -> (usize, usize) {
        self.view().counts()
    }

    /// The counters of this run.
    pub fn counters(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            stat_calls: get(&self.counters.stat_calls),
            memo_hits: get(&self.counters.memo_hits),
            memo_misses: get(&self.counters.memo_misses),
            bytes_hashed: get(&self.counters.bytes_hashed),
            folders_listed: get(&self.counters.folders_listed),
        }
    }

    /// Writes the memo to a new file beside `path` and renames it there; does nothing when nothing changed.
    /// Not synced: a file lost or torn by a power cut is read as an empty memo.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is then still in place.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if !self.dirty.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.write(path).inspect_err(|_| self.mark_dirty())
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = Path::new(&temporary);
        let bytes = self.merged().finish(&self.config);
        let written = std::fs::File::create(temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(temporary, path));
        if written.is_err() {
            // What failed is reported; a left-over temporary file is harmless.
            let _ = std::fs::remove_file(temporary);
        }
        written
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::again(self.base.bytes())
    }

    pub(crate) fn listing(&self, folder: &[u8]) -> Option<Arc<Listing>> {
        let listings = self.listings.read().unwrap_or_else(PoisonError::into_inner);
        if listings.is_empty() {
            return None;
        }
        listings.get(folder).cloned().flatten()
    }

    pub(crate) fn put_listing(&self, folder: &[u8], listing: Option<Arc<Listing>>) {
        if listing.is_none() && self.view().find_folder(folder).is_none() {
            return;
        }
        self.mark_dirty();
        let mut listings = self
            .listings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listings.insert(folder.to_vec(), listing);
    }

    /// The digest of a file (of what a link leads to) if its stat tuple is still the one it was read with.
    pub(crate) fn digest(&self, path: &[u8], tuple: Tuple) -> Option<Digest> {
        let known = self.shard(path).get(path).copied().or_else(|| {
            let (folder, name) = split(path);
            let view = self.view();
            let folder = view.find_folder(folder)?;
            view.name(view.find_name(&folder, name)?)?.known
        });
        known
            .filter(|(known, _)| *known == tuple)
            .map(|(_, digest)| digest)
    }

    /// As [`digest`](Self::digest), through the index of a record of the mapped file.
    pub(crate) fn digest_at(&self, index: u32, tuple: Tuple) -> Option<Digest> {
        let (known, digest) = self.view().name(index as usize)?.known?;
        (known == tuple).then_some(digest)
    }

    pub(crate) fn put_digest(&self, path: &[u8], tuple: Tuple, digest: Digest) {
        self.mark_dirty();
        self.shard(path).insert(path.to_vec(), (tuple, digest));
    }

    fn shard(&self, path: &[u8]) -> MutexGuard<'_, HashMap<Vec<u8>, (Tuple, Digest)>> {
        let hash = usize::try_from(self.hasher.hash_one(path) & 0xffff).unwrap_or(0);
        self.facts[hash % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }

    /// The mapped facts with those of this run above them, less what is gone.
    fn merged(&self) -> Builder {
        let view = self.view();
        let listings = self.listings.read().unwrap_or_else(PoisonError::into_inner);
        let shards: Vec<_> = (self.facts.iter())
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let mut facts: Vec<NewFact<'_>> = shards
            .iter()
            .flat_map(|shard| shard.iter())
            .map(|(path, fact)| {
                let (folder, name) = split(path);
                (folder, name, fact)
            })
            .collect();
        facts.par_sort_unstable_by_key(|(folder, name, _)| (*folder, *name));
        let fresh: HashMap<&[u8], &[NewFact<'_>]> = facts
            .chunk_by(|a, b| a.0 == b.0)
            .map(|group| (group[0].0, group))
            .collect();
        let mut folders: BTreeMap<&[u8], Option<FolderRecord<'_>>> = BTreeMap::new();
        for index in 0..view.folder_count() {
            if let Some(record) = view.folder(index) {
                folders.insert(record.path, Some(record));
            }
        }
        for path in fresh
            .keys()
            .copied()
            .chain(listings.keys().map(Vec::as_slice))
        {
            folders.entry(path).or_default();
        }
        let mut builder = Builder::default();
        let mut gone: HashSet<&[u8]> = HashSet::new();
        for (path, record) in folders {
            if vanished(path, &listings, &gone) {
                gone.insert(path);
                continue;
            }
            let new = fresh.get(path).copied().unwrap_or_default();
            let listing = listings.get(path).and_then(Option::as_deref);
            if !merge_folder(&mut builder, path, view, record, listing, new) {
                break;
            }
        }
        builder
    }
}

/// Whether this run saw that a folder or one above it is no longer there.
fn vanished(
    path: &[u8],
    listings: &HashMap<Vec<u8>, Option<Arc<Listing>>>,
    gone: &HashSet<&[u8]>,
) -> bool {
    // What lies outside the root is in none of its listings.
    if path.first() == Some(&b'/') {
        return false;
    }
    // Nor is a mount, whose prefix begins like this.
    let mounted = |path: &[u8]| path.starts_with(b"..") && !path.contains(&b'/');
    let mut path = path;
    loop {
        if gone.contains(path) || listings.get(path).is_some_and(Option::is_none) {
            return true;
        }
        if path.is_empty() || mounted(path) {
            return false;
        }
        let (parent, name) = split(path);
        if let Some(Some(listing)) = listings.get(parent) {
            let found = listing
                .names
                .binary_search_by(|(known, _, _)| known.as_ref().cmp(name));
            // Facts under a pseudo-folder (a file's path) stay with their file.
            if found.is_err() {
                return true;
            }
        }
        path = parent;
    }
}

/// Writes one folder: names of its newest listing, digests of this run before older ones.
fn merge_folder(
    builder: &mut Builder,
    path: &[u8],
    view: View<'_>,
    record: Option<FolderRecord<'_>>,
    listing: Option<&Listing>,
    new: &[NewFact<'_>],
) -> bool {
    let old = |name: &[u8]| {
        let record = record.as_ref()?;
        view.name(view.find_name(record, name)?)?.known
    };
    if let Some(listing) = listing {
        return builder.folder(path, listing.tuple, &listing.shape, listing.names.len())
            && listing.names.iter().all(|(name, kind, fate)| {
                let known = (new.binary_search_by_key(&name.as_ref(), |(_, name, _)| *name))
                    .map_or_else(|_| old(name), |index| Some(*new[index].2));
                builder.name(&NameRecord {
                    name,
                    kind: *kind,
                    fate: *fate,
                    known,
                })
            });
    }
    let mut names: BTreeMap<&[u8], NameRecord<'_>> = BTreeMap::new();
    if let Some(record) = &record {
        for index in record.first..record.first.saturating_add(record.count) {
            if let Some(name) = view.name(index as usize) {
                names.insert(name.name, name);
            }
        }
    }
    let mut tuple = record.and_then(|record| record.tuple);
    let shape = record.map_or([0; 32], |record| record.shape);
    for (_, name, known) in new {
        let entry = names.entry(name).or_insert_with(|| {
            // A name the listing lacks: the listing is not full any more.
            tuple = None;
            NameRecord {
                name,
                kind: Kind::File,
                fate: Fate::Kept,
                known: None,
            }
        });
        entry.known = Some(**known);
    }
    builder.folder(path, tuple, &shape, names.len())
        && names.values().all(|name| builder.name(name))
}

impl Base {
    fn bytes(&self) -> &[u8] {
        match self {
            Base::Empty => &[],
            #[cfg(unix)]
            Base::Mapped(map) => map,
            #[cfg(not(unix))]
            Base::Read(bytes) => bytes,
        }
    }
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn read(path: &Path) -> Option<Base> {
    let file = std::fs::File::open(path).ok()?;
    // SAFETY: a memo file is only ever replaced by rename, never written or cut in place, so the mapped
    // bytes stay as they are for as long as the map holds the file.
    let map = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    Some(Base::Mapped(map))
}

#[cfg(not(unix))]
fn read(path: &Path) -> Option<Base> {
    // A mapped file could not be replaced here.
    std::fs::read(path).ok().map(Base::Read)
}
