//! The archive's folder: entries, bundles, attestations, the index, and the journals of uploads under way.
//! Does not know destinations: what is mirrored, and when, is not its affair.

mod prune;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod verify;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, BundleError, pack};
use crate::digest::Digests;
use crate::durable::{self, TEMPORARY, lock_file, sync_folder, temporary_in};
use crate::format::{ArchiveEntry, EntryError, StoredFile};
use crate::id::EntryId;
use crate::index::{self, Index, Summary};

pub use prune::Pruned;
pub use read::{Listing, Newest};
pub use seal::{open_entry, seal_entry};
pub use verify::{FileFault, Verified};

/// What keeps an archive inside a repository out of it.
const IGNORED: &[u8] =
    b"# An archive of Larder is a copy for later and changes with every upload: it does not belong to the repository around it.\n*\n";
/// Dead lines that the index may have beside as many as live ones, before it is written anew.
const SLACK: usize = 256;

/// An archive in a folder. Any number of processes may use it at once: one writes at a time, and readers wait for nobody.
#[derive(Clone, Debug)]
pub struct Archive {
    root: PathBuf,
}

/// Why the archive did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// There is no such entry.
    #[error("the archive has no entry {id}")]
    Missing {
        /// Its id.
        id: EntryId,
    },
    /// Another entry has the id.
    #[error("the archive has an entry {id} already, with another content")]
    Exists {
        /// The id.
        id: EntryId,
    },
    /// An entry cannot be read or written.
    #[error("the entry `{}` cannot be used: {cause}", path.display())]
    Entry {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: EntryError,
    },
    /// The bundle failed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The provenance could not be signed.
    #[error("the entry {id} cannot be attested: {why}")]
    Attest {
        /// The entry.
        id: EntryId,
        /// Why not.
        why: String,
    },
}

/// Makes the attestation of an entry whose bundle is known.
pub type Attest<'a> = &'a dyn Fn(&ArchiveEntry) -> Result<Vec<u8>, String>;

impl Archive {
    /// The archive in `root`. Nothing is created before something is kept.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file that the archive keeps lies, such as the one a [`StoredFile`] names; `None` for a name that leads elsewhere.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let name = crate::name::Name::new(name).ok()?;
        Some(
            name.components()
                .fold(self.root.clone(), |path, part| path.join(part)),
        )
    }

    /// The name of the file of one revision of an entry. A revision never changes, so its name may be put at a destination.
    pub fn entry_name(id: EntryId, revision: u32) -> String {
        format!("entries/{id}.{revision}.json")
    }

    /// The name of an entry's bundle.
    pub fn bundle_name(id: EntryId) -> String {
        format!("bundles/{id}.tar.zst")
    }

    /// The name of an entry's attestation.
    pub fn attestation_name(id: EntryId) -> String {
        format!("attestations/{id}.dsse.json")
    }

    /// Keeps an entry: packs its bundle, attests it where that is asked for, writes the entry and its line of the index. Afterwards all
    /// of it would survive a power cut. It may be repeated after any failure or kill: an entry that is there under this id is given back
    /// as it is, and what was written without its entry is written anew.
    ///
    /// # Errors
    /// Those of [`pack`], of `attest`, and of [`Self::save`]. Nothing is listed then, unless the index alone failed.
    pub fn keep(
        &self,
        bundle: &Bundle<'_>,
        attest: Option<Attest<'_>>,
    ) -> Result<ArchiveEntry, ArchiveError> {
        let mut entry = bundle.entry.clone();
        let id = entry.id;
        if let Some(there) = self.entry(id)? {
            self.save(&there)?;
            return Ok(there);
        }
        self.prepare()?;
        let name = Self::bundle_name(id);
        entry.bundle = Some(stored(name.clone(), pack(bundle, &self.root.join(&name))?));
        entry.attestation = None;
        if let Some(attest) = attest {
            let envelope = attest(&entry).map_err(|why| ArchiveError::Attest { id, why })?;
            let name = Self::attestation_name(id);
            let path = self.root.join(&name);
            durable::replace(&path, &envelope).map_err(|cause| failed("write", &path, cause))?;
            entry.attestation = Some(stored(name, Digests::of(&envelope)));
        }
        self.save(&entry)?;
        Ok(entry)
    }

    /// Writes an entry, and its line of the index. The same again is harmless.
    ///
    /// # Errors
    /// [`ArchiveError::Exists`] when another content is there; [`ArchiveError::Entry`] for one that JSON cannot hold; [`ArchiveError::Io`].
    pub fn save(&self, entry: &ArchiveEntry) -> Result<(), ArchiveError> {
        self.prepare()?;
        let _lock = self.lock()?;
        self.write_entry(entry)?;
        self.append(&Summary::of(entry))
    }

    /// Changes an entry by writing its next revision. The last revision before stays, for those who are just reading it; so does a damaged
    /// one, for those who look into it. What the bundle holds of the entry is there for good: a change to anything but `archive_timings`
    /// and metrics named `mirror.*` is damage to whoever verifies.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`]; [`ArchiveError::Entry`] when no revision can be read, or a newer program wrote one; [`ArchiveError::Io`];
    /// else as [`Self::save`].
    pub fn amend(
        &self,
        id: EntryId,
        change: impl FnOnce(&mut ArchiveEntry),
    ) -> Result<ArchiveEntry, ArchiveError> {
        self.prepare()?;
        let _lock = self.lock()?;
        let revisions = self.revisions_of(id)?;
        let mut found = self.latest(&revisions)?;
        // What a newer program added would be lost.
        let newer = |error: &ArchiveError| {
            let ArchiveError::Entry { cause, .. } = error else {
                return false;
            };
            matches!(cause, EntryError::Newer { .. })
        };
        if let Some(at) = found.faults.iter().position(newer) {
            return Err(found.faults.swap_remove(at));
        }
        let Some(before) = found.entry else {
            let fault = found.faults.drain(..).next();
            return Err(fault.unwrap_or(ArchiveError::Missing { id }));
        };
        let mut entry = before.clone();
        change(&mut entry);
        (entry.id, entry.revision) = (id, before.revision);
        if entry == before {
            return Ok(entry);
        }
        let greatest = revisions.last().map_or(before.revision, |last| last.1);
        entry.revision = greatest.saturating_add(1);
        self.write_entry(&entry)?;
        for &(_, old) in revisions.iter().filter(|one| one.1 < before.revision) {
            if self.read_entry(id, old).is_ok() {
                self.remove(&Self::entry_name(id, old))?;
            }
        }
        self.append(&Summary::of(&entry))?;
        Ok(entry)
    }

    /// Writes the index anew from the entries.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn rebuild(&self) -> Result<Listing, ArchiveError> {
        self.prepare()?;
        let _lock = self.lock()?;
        self.write_index(Index::default())
    }

    /// Appends what a sound index lacks: this summary, and those of entries that others brought into the folder; else writes all of it anew.
    /// The caller holds the lock.
    fn append(&self, summary: &Summary) -> Result<(), ArchiveError> {
        let mut index = self.read_index()?;
        if !index.sound || index.lines > 2 * index.entries() + SLACK {
            return self.write_index(index).map(|_| ());
        }
        let mut lines = Vec::new();
        let mut shapes = std::mem::take(&mut index.shapes);
        if index.get(summary.id, summary.revision) != Some(summary) {
            index::append(summary, &mut shapes, &mut lines);
        }
        let found = self.summaries(&self.files()?, index)?;
        for at in found.unknown {
            let unknown = &found.listing.summaries[at];
            if unknown != summary {
                index::append(unknown, &mut shapes, &mut lines);
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.root.join("index");
        let append = || {
            let mut file = fs::File::options().append(true).open(&path)?;
            file.write_all(&lines)?;
            file.sync_data()
        };
        append().map_err(|cause| failed("append to", &path, cause))
    }

    /// Writes the index anew, with what the one before knew. The caller holds the lock.
    fn write_index(&self, before: Index) -> Result<Listing, ArchiveError> {
        let listing = self.summaries(&self.files()?, before)?.listing;
        let path = self.root.join("index");
        durable::replace(&path, &index::write(&listing.summaries))
            .map_err(|cause| failed("write", &path, cause))?;
        Ok(listing)
    }

    /// Creates the file of a revision, whole or not at all. The caller holds the lock.
    fn write_entry(&self, entry: &ArchiveEntry) -> Result<(), ArchiveError> {
        let path = self.root.join(Self::entry_name(entry.id, entry.revision));
        let bytes = seal_entry(entry).map_err(|cause| ArchiveError::Entry {
            path: path.clone(),
            cause,
        })?;
        let write = || {
            let mut file = temporary_in(durable::parent(&path))?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&path) {
                Err(refused) if refused.error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(refused.error);
                }
                Err(_) if fs::read(&path)? != bytes => return Ok(false),
                _ => {}
            }
            sync_folder(durable::parent(&path))?;
            Ok(true)
        };
        match write() {
            Ok(true) => Ok(()),
            Ok(false) => Err(ArchiveError::Exists { id: entry.id }),
            Err(cause) => Err(failed("write", &path, cause)),
        }
    }

    /// Removes what was packed for an entry that never came about. Whoever calls holds the lock of its upload.
    pub(crate) fn discard(&self, id: EntryId) -> Result<(), ArchiveError> {
        // A damaged entry is one all the same.
        if self.files()?.iter().any(|(there, _)| *there == id) {
            return Ok(());
        }
        self.remove(&Self::attestation_name(id))?;
        self.remove(&Self::bundle_name(id))?;
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<bool, ArchiveError> {
        let path = self.root.join(name);
        durable::remove(&path).map_err(|cause| failed("delete", &path, cause))
    }

    fn lock(&self) -> Result<fs::File, ArchiveError> {
        let path = self.root.join("index.lock");
        let lock = lock_file(&path).and_then(|file| file.lock().map(|()| file));
        lock.map_err(|cause| failed("lock", &path, cause))
    }

    /// Makes the folders. A folder that did not exist, or was empty, is told to git as none of its business, once.
    pub(crate) fn prepare(&self) -> Result<(), ArchiveError> {
        let path = self.root.join(".gitignore");
        let broken = |cause| failed("create", &path, cause);
        let is_new = match fs::read_dir(&self.root) {
            // Whoever was killed in here before left an unfinished file at most.
            Ok(mut entries) => entries.all(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(TEMPORARY))
            }),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_new {
            fs::create_dir_all(&self.root).map_err(broken)?;
            durable::replace(&path, IGNORED).map_err(broken)?;
        }
        for name in ["entries", "bundles", "attestations", "uploads"] {
            let path = self.root.join(name);
            if path.is_dir() {
                continue;
            }
            fs::create_dir_all(&path)
                .and_then(|()| sync_folder(&self.root))
                .and_then(|()| sync_folder(durable::parent(&self.root)))
                .map_err(|cause| failed("create", &path, cause))?;
        }
        Ok(())
    }
}

fn stored(name: String, digests: Digests) -> StoredFile {
    StoredFile {
        name,
        size: digests.size,
        blake3: digests.blake3,
        sha256: digests.sha256,
    }
}

/// Id and revision of a file's name; only the one name that is written for them.
fn revision_of(name: &str) -> Option<(EntryId, u32)> {
    let (id, revision) = name.strip_suffix(".json")?.split_once('.')?;
    let canonical = revision.bytes().all(|byte| byte.is_ascii_digit())
        && !revision.starts_with('0')
        && !id.bytes().any(|byte| byte.is_ascii_lowercase());
    if !canonical {
        return None;
    }
    Some((id.parse().ok()?, revision.parse().ok()?))
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> ArchiveError {
    let path = path.to_owned();
    ArchiveError::Io {
        action,
        path,
        cause,
    }
}

/// An error with all its causes.
fn words(error: &ArchiveError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}
