//! The store in a local folder, shared by processes and workspaces.
//! Knows nothing of what a task is; upkeep of the folder is in [`crate::Prune`].

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;

use crate::error::Context;
use crate::{ArtifactId, Entry, Error, Key, Put, PutOutcome, Result, Source, Store, diff, format};

/// Entries and artifacts in a folder. `FORMAT.md` says where they lie.
///
/// Everything appears by one atomic rename or link, the artifact before its entry. Files that cannot be
/// trusted are moved to the folder `quarantine` and count as absent. As long as the value lives it holds a
/// lease, so that no prune of another process takes what was used since (see [`crate::Prune`]).
#[derive(Debug)]
pub struct DiskStore {
    dir: PathBuf,
    started: SystemTime,
    /// Absent in a store that may only be read: what is used there is held by nobody, and a prune by
    /// somebody who may write makes it a miss.
    lease: Option<(File, PathBuf)>,
}

/// The folder of this layout's version.
pub(crate) const LAYOUT: &str = "v1";

impl DiskStore {
    /// Opens the store in `dir`, which is made if missing. One that is there and may only be read is opened all
    /// the same.
    ///
    /// # Errors
    /// When the folders cannot be made or the lease cannot be written, unless that is for want of rights or room.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let top = dir.as_ref();
        let dir = top.join(LAYOUT);
        let lease = match take_lease(top, &dir) {
            Ok(lease) => Some(lease),
            Err(Error::Io { source, .. }) if only_to_be_read(&source) && dir.is_dir() => None,
            Err(error) => return Err(error),
        };
        let mut store = Self {
            dir,
            started: SystemTime::now(),
            lease,
        };
        store.renew()?;
        Ok(store)
    }

    /// Gives up the hold on everything used so far: a long-lived process says so between its runs.
    ///
    /// # Errors
    /// When the lease cannot be dated.
    pub fn renew(&mut self) -> Result<()> {
        let now = SystemTime::now();
        if let Some((lease, path)) = &self.lease {
            lease.set_modified(now).context("date", path)?;
        }
        self.started = now;
        Ok(())
    }

    /// A folder on the store's file system for artifacts in the making: [`Source::File`] from here is linked, not copied.
    pub fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn entry_path(&self, key: &Key) -> PathBuf {
        fan(&self.dir.join("entries"), &key.to_string())
    }

    pub(crate) fn artifact_path(&self, id: &ArtifactId) -> PathBuf {
        fan(&self.dir.join("artifacts"), &id.to_string())
    }

    /// Moves a file that cannot be trusted out of the way, under its name without the fan-out.
    pub(crate) fn quarantine(&self, path: &Path) {
        let part = |path: Option<&Path>| {
            path.and_then(Path::file_name)
                .unwrap_or_default()
                .to_owned()
        };
        let mut name = part(path.parent());
        name.push(part(Some(path)));
        if fs::rename(path, self.dir.join("quarantine").join(name)).is_err() {
            // Absent already, or not ours to move: reading it again will find it untrusted again.
            let _ = fs::remove_file(path);
        }
    }

    /// The intact entry under `key` and the open file, whatever became of its artifact.
    fn read(&self, key: &Key) -> Result<Option<(Entry, File)>> {
        let path = self.entry_path(key);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if absent(&error) => return Ok(None),
            Err(error) => return Err(error).context("open", path),
        };
        let mut bytes = Vec::new();
        match file.read_to_end(&mut bytes) {
            Ok(_) => {}
            // A folder in the entry's place, for one: not an entry.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.quarantine(&path);
                return Ok(None);
            }
            Err(error) => return Err(error).context("read", path),
        }
        let entry = format::decode(key, &bytes);
        if entry.is_none() {
            self.quarantine(&path);
        }
        Ok(entry.map(|entry| (entry, file)))
    }

    fn has(&self, id: &ArtifactId) -> bool {
        self.artifact_path(id).is_file()
    }

    /// Notes that a file is in use. Once per lease is enough to hold it.
    fn touch(&self, file: &File) {
        let modified = file.metadata().and_then(|meta| meta.modified());
        if modified.is_ok_and(|time| time < self.started) {
            // In a store that may only be read this fails, and nothing is lost but the order of use.
            let _ = file.set_modified(SystemTime::now());
        }
    }

    fn temp(&self) -> Result<NamedTempFile> {
        let tmp = self.tmp();
        NamedTempFile::new_in(&tmp).context("write in", tmp)
    }

    /// Copies a stream into a temporary file and proves its digest.
    fn spool(&self, id: &ArtifactId, from: &mut dyn Read) -> Result<NamedTempFile> {
        let mut temp = self.temp()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("read artifact for", temp.path()),
            };
            hasher.update(&buffer[..read]);
            temp.write_all(&buffer[..read])
                .context("write", temp.path())?;
        }
        if hasher.finalize() == id.0 {
            Ok(temp)
        } else {
            Err(Error::WrongArtifact(*id))
        }
    }
}

/// Makes the folders of a store and the lease of this process in it.
fn take_lease(top: &Path, dir: &Path) -> Result<(File, PathBuf)> {
    for part in ["entries", "artifacts", "tmp", "leases", "quarantine"] {
        let path = dir.join(part);
        fs::create_dir_all(&path).context("create", &path)?;
    }
    let tag = top.join("CACHEDIR.TAG");
    if !tag.exists() {
        // Only a courtesy to backup programs.
        let _ = fs::write(tag, "Signature: 8a477f597d28d172789f06886806bc55\n");
    }
    let leases = dir.join("leases");
    NamedTempFile::new_in(&leases)
        .and_then(|file| {
            match file.as_file().lock() {
                // Without locks a prune elsewhere may take what is used here: a miss, nothing worse.
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
            file.keep().map_err(|error| error.error)
        })
        .context("write a lease in", &leases)
}

/// Whether a write failed for want of rights or room.
fn only_to_be_read(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
    )
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.lease {
            // A lease left behind is not locked and therefore means nothing.
            let _ = fs::remove_file(path);
        }
    }
}

impl Store for DiskStore {
    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        let Some((entry, file)) = self.read(key)? else {
            return Ok(None);
        };
        if let Some(id) = &entry.artifact {
            match File::open(self.artifact_path(id)) {
                Ok(artifact) => self.touch(&artifact),
                Err(error) if absent(&error) => return Ok(None),
                Err(error) => return Err(error).context("open", self.artifact_path(id)),
            }
        }
        self.touch(&file);
        Ok(Some(entry))
    }

    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome> {
        if let Some(id) = entry.artifact
            && !self.has(&id)
        {
            return Err(Error::NoArtifact(id));
        }
        let path = self.entry_path(key);
        let mut temp = self.temp()?;
        temp.write_all(&format::encode(key, entry))
            .context("write", temp.path())?;
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).context("create", folder)?;
        if how == Put::First {
            match temp.persist_noclobber(&path) {
                Ok(_) => return Ok(PutOutcome::Stored),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    temp = error.file;
                }
                Err(error) => return Err(error.error).context("store", path),
            }
        }
        let first = self.read(key)?.map(|(first, _)| first);
        let usable = first
            .as_ref()
            .is_some_and(|first| first.artifact.is_none_or(|id| self.has(&id)));
        if how == Put::Replace || !usable {
            temp.persist(&path)
                .map_err(|error| error.error)
                .context("store", path)?;
        }
        Ok(match first.filter(|_| usable) {
            None => PutOutcome::Stored,
            Some(first) if diff(&first.manifest, &entry.manifest).is_empty() => PutOutcome::Same,
            Some(first) => PutOutcome::Different(Box::new(first)),
        })
    }

    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>> {
        let path = self.artifact_path(id);
        match File::open(&path) {
            Ok(file) => {
                self.touch(&file);
                Ok(Some(Box::new(Proving {
                    file,
                    hasher: blake3::Hasher::new(),
                    id: *id,
                    path,
                    quarantine: self.dir.join("quarantine"),
                })))
            }
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error).context("open", path),
        }
    }

    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()> {
        let path = self.artifact_path(id);
        if let Ok(file) = File::open(&path) {
            self.touch(&file);
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).context("create", folder)?;
        let temp = match source {
            Source::File(file) if fs::hard_link(file, &path).is_ok() => return Ok(()),
            Source::File(file) => {
                let mut reader = File::open(file).context("open", file)?;
                self.spool(id, &mut reader)?
            }
            Source::Reader(reader) => self.spool(id, reader)?,
        };
        match temp.persist_noclobber(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error).context("store", path),
        }
    }

    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>> {
        Ok(ids.iter().copied().filter(|id| !self.has(id)).collect())
    }
}

/// Reads an artifact; one that turns out at its end to have another digest is taken out of the store, so that
/// the next save mends it.
struct Proving {
    file: File,
    hasher: blake3::Hasher,
    id: ArtifactId,
    path: PathBuf,
    quarantine: PathBuf,
}

impl Read for Proving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.hasher.finalize() != self.id.0 {
            // Another process may have been quicker; either way it is gone.
            let _ = fs::rename(&self.path, self.quarantine.join(self.id.to_string()));
        }
        Ok(read)
    }
}

/// Whether a lease is still held by a living process.
pub(crate) fn is_held(lease: &File) -> bool {
    matches!(lease.try_lock(), Err(TryLockError::WouldBlock))
}

fn fan(folder: &Path, hex: &str) -> PathBuf {
    folder.join(&hex[..2]).join(&hex[2..])
}

fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
