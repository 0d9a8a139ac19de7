//! Uploads: steps that are timed, named when they fail, and not done twice when an upload is resumed.
//! Does not know what a step does, nor any clock: whoever calls gives both.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::folder::{Archive, ArchiveError};
use crate::id::EntryId;
use crate::step::Step;
use crate::time::Time;

/// Version of the journal. Another one is refused.
const VERSION: u32 = 1;

/// Time that never goes back, since a moment of the caller's choice.
pub type Elapsed<'a> = &'a dyn Fn() -> Duration;

/// An upload under way, held by one process at a time.
pub struct Upload<'a> {
    path: PathBuf,
    journal: Journal,
    elapsed: Elapsed<'a>,
    /// Locked while this lives; the system lets go of it when the process dies.
    _lock: fs::File,
}

/// What is kept of an upload under way, in `uploads/ID.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// 1.
    pub version: u32,
    /// The id that its entry has or will have.
    pub id: EntryId,
    /// When it began.
    pub begun: Time,
    /// The steps that are done.
    pub done: BTreeMap<Step, Done>,
    /// The step that failed last, until it succeeds.
    pub failed: Option<Failure>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it gave.
    pub result: serde_json::Value,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why, in words.
    pub why: String,
    /// How long it took to fail, in seconds.
    pub seconds: f64,
    /// Whether trying again cannot help, so that the upload has to be given up.
    #[serde(default)]
    pub lasting: bool,
}

/// What a step that fails says of that.
pub trait Cause: fmt::Display + fmt::Debug {
    /// Whether trying again cannot help: what the step needs is not there any more.
    fn is_lasting(&self) -> bool {
        false
    }
}

impl Cause for String {}
impl Cause for &str {}

/// What [`pending`] finds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pending {
    /// The uploads that have begun and are not finished, oldest first.
    pub journals: Vec<Journal>,
    /// Journals that cannot be used, sorted by path. Each stands for an upload that is not finished.
    pub unreadable: Vec<Unreadable>,
}

/// A journal that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its file.
    pub path: PathBuf,
    /// The upload, as the file is named; `None` when that is no id.
    pub id: Option<EntryId>,
    /// Why not.
    pub why: String,
}

/// Why a step did not give its result.
#[derive(Debug, thiserror::Error)]
pub enum StepError<E: fmt::Display + fmt::Debug> {
    /// It failed.
    #[error("step `{step}` failed: {cause}; what was done before is kept")]
    Failed {
        /// The step.
        step: Step,
        /// Why.
        cause: E,
    },
    /// A step that comes after it is done already.
    #[error(
        "step `{step}` cannot follow `{later}`, which is done: this is a mistake in the program"
    )]
    Order {
        /// The step.
        step: Step,
        /// The later one.
        later: Step,
    },
    /// The journal could not be written or does not hold what it should.
    #[error("step `{step}`: {cause}")]
    Journal {
        /// The step.
        step: Step,
        /// Why not.
        cause: UploadError,
    },
}

/// Why an upload could not begin, be resumed or be finished.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Another process is at it.
    #[error("the upload {id} is being worked on by another process")]
    Busy {
        /// Its id.
        id: EntryId,
    },
    /// There is none.
    #[error("no upload {id} is under way")]
    Missing {
        /// The id.
        id: EntryId,
    },
    /// The journal cannot be used.
    #[error("the journal `{}` cannot be used: {why}", path.display())]
    Malformed {
        /// Its file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl<'a> Upload<'a> {
    /// Begins an upload, or resumes it if it has begun.
    ///
    /// # Errors
    /// [`UploadError::Busy`] while another process has it; [`UploadError::Malformed`]; [`UploadError::Archive`].
    pub fn begin(
        archive: &Archive,
        id: EntryId,
        begun: Time,
        elapsed: Elapsed<'a>,
    ) -> Result<Self, UploadError> {
        archive.prepare()?;
        let lock = hold(archive, id)?;
        let path = journal_path(archive, id);
        let journal = read(&path)?.unwrap_or_else(|| Journal {
            version: VERSION,
            id,
            begun,
            done: BTreeMap::new(),
            failed: None,
        });
        let upload = Self {
            path,
            journal,
            elapsed,
            _lock: lock,
        };
        upload.write()?;
        Ok(upload)
    }

    /// Resumes an upload that has begun.
    ///
    /// # Errors
    /// [`UploadError::Missing`] if it has not, or is finished; else as [`Self::begin`].
    pub fn resume(
        archive: &Archive,
        id: EntryId,
        elapsed: Elapsed<'a>,
    ) -> Result<Self, UploadError> {
        let path = journal_path(archive, id);
        if !path.exists() {
            return Err(UploadError::Missing { id });
        }
        let lock = hold(archive, id)?;
        // Whoever held it before may have finished it.
        let journal = read(&path)?.ok_or(UploadError::Missing { id })?;
        Ok(Self {
            path,
            journal,
            elapsed,
            _lock: lock,
        })
    }

    /// What is known of it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Seconds of the steps that are done, for [`crate::ArchiveEntry::archive_timings`].
    pub fn timings(&self) -> BTreeMap<Step, f64> {
        let done = self.journal.done.iter();
        done.map(|(&step, done)| (step, done.seconds)).collect()
    }

    /// Does a step, unless it is done, and gives its result. A step is written down after it was done: killed in between, it is done
    /// again, so its effects have to be repeatable.
    ///
    /// # Errors
    /// [`StepError::Failed`] names the step; the failure is written down, and what was done before is kept.
    pub fn step<T, E>(
        &mut self,
        step: Step,
        run: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, StepError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Cause,
    {
        let journal = |cause| StepError::Journal { step, cause };
        if let Some(done) = self.journal.done.get(&step) {
            return T::deserialize(&done.result).map_err(|error| journal(self.malformed(&error)));
        }
        if let Some((&later, _)) = self.journal.done.range(step..).next() {
            return Err(StepError::Order { step, later });
        }
        let start = (self.elapsed)();
        let result = run(self);
        let seconds = (self.elapsed)().saturating_sub(start).as_secs_f64();
        match result {
            Ok(result) => {
                let value = serde_json::to_value(&result);
                let value = value.map_err(|error| journal(self.malformed(&error)))?;
                self.journal.failed = None;
                let done = Done {
                    seconds,
                    result: value,
                };
                self.journal.done.insert(step, done);
                self.write().map_err(journal)?;
                Ok(result)
            }
            Err(cause) => {
                self.journal.failed = Some(Failure {
                    step,
                    why: cause.to_string(),
                    seconds,
                    lasting: cause.is_lasting(),
                });
                // The step's own error is the one to tell; without its line in the journal the upload is resumed all the same.
                let _ = self.write();
                Err(StepError::Failed { step, cause })
            }
        }
    }

    /// Ends the upload: its journal goes.
    ///
    /// # Errors
    /// [`UploadError::Archive`] when it cannot be deleted.
    pub fn finish(self) -> Result<(), UploadError> {
        delete(&self.path)
    }

    /// Gives the upload up: its journal goes, and what it packed unless its entry is there.
    ///
    /// # Errors
    /// [`UploadError::Archive`] when something cannot be deleted.
    pub fn give_up(self, archive: &Archive) -> Result<(), UploadError> {
        // The journal goes last: while it is there, what lies about is known for unfinished.
        archive.discard(self.journal.id)?;
        delete(&self.path)
    }

    /// As [`Self::give_up`], whatever the journal holds.
    ///
    /// # Errors
    /// [`UploadError::Missing`] if there is none; [`UploadError::Busy`] while another process has it; [`UploadError::Archive`].
    pub fn forget(archive: &Archive, id: EntryId) -> Result<(), UploadError> {
        let path = journal_path(archive, id);
        if path.symlink_metadata().is_err() {
            return Err(UploadError::Missing { id });
        }
        let _lock = hold(archive, id)?;
        archive.discard(id)?;
        delete(&path)
    }

    fn write(&self) -> Result<(), UploadError> {
        let mut json =
            serde_json::to_vec_pretty(&self.journal).map_err(|error| self.malformed(&error))?;
        json.push(b'\n');
        durable::replace(&self.path, &json).map_err(|cause| failed("write", &self.path, cause))
    }

    fn malformed(&self, why: &dyn fmt::Display) -> UploadError {
        malformed(&self.path, why)
    }
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("Upload").field(&self.journal).finish()
    }
}

/// The uploads that are not finished. One may be held by a process that is just doing it.
///
/// # Errors
/// [`ArchiveError::Io`] when the folder cannot be read.
pub fn pending(archive: &Archive) -> Result<Pending, ArchiveError> {
    let folder = archive.root().join("uploads");
    let broken = |cause| ArchiveError::Io {
        action: "list",
        path: folder.clone(),
        cause,
    };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pending::default()),
        other => other.map_err(broken)?,
    };
    let mut pending = Pending::default();
    for entry in entries {
        let path = entry.map_err(broken)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read(&path) {
            Ok(journal) => pending.journals.extend(journal),
            Err(error) => pending.unreadable.push(Unreadable {
                id: path
                    .file_stem()
                    .and_then(|name| name.to_str()?.parse().ok()),
                why: match error {
                    UploadError::Malformed { why, .. } => why,
                    UploadError::Archive(ArchiveError::Io { cause, .. }) => cause.to_string(),
                    other => other.to_string(),
                },
                path,
            }),
        }
    }
    pending.journals.sort_by_key(|journal| journal.id);
    pending.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(pending)
}

impl Pending {
    /// The ids of all, those whose journals cannot be used as well. Their entries, if there are any yet, are still to be pushed.
    pub fn ids(&self) -> BTreeSet<EntryId> {
        let read = self.journals.iter().map(|journal| journal.id);
        let unreadable = self.unreadable.iter().filter_map(|one| one.id);
        read.chain(unreadable).collect()
    }
}

/// Deletes a journal and its lock, which the caller holds.
fn delete(path: &Path) -> Result<(), UploadError> {
    let removed = durable::remove(path)
        .and_then(|_| durable::remove(&path.with_extension("lock")))
        .and_then(|_| durable::sync_folder(durable::parent(path)));
    removed.map_err(|cause| failed("delete", path, cause))
}

fn journal_path(archive: &Archive, id: EntryId) -> PathBuf {
    archive.root().join("uploads").join(format!("{id}.json"))
}

/// Takes the lock of an upload. Its file is deleted when an upload ends, so the one that was locked has to be the one that is there.
fn hold(archive: &Archive, id: EntryId) -> Result<fs::File, UploadError> {
    let path = journal_path(archive, id).with_extension("lock");
    let broken = |cause| failed("lock", &path, cause);
    loop {
        let file = durable::lock_file(&path).map_err(broken)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path).map_err(broken)? => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UploadError::Busy { id }),
            Err(TryLockError::Error(cause)) => return Err(broken(cause)),
        }
    }
}

/// Whether `path` still leads to the open file.
#[cfg(unix)]
fn is_at(file: &fs::File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // The same form as on Unix.
fn is_at(_: &fs::File, path: &Path) -> io::Result<bool> {
    Ok(path.exists())
}

#[derive(Deserialize)]
struct Format {
    version: u32,
}

fn read(path: &Path) -> Result<Option<Journal>, UploadError> {
    let Some(json) = durable::read(path).map_err(|cause| failed("read", path, cause))? else {
        return Ok(None);
    };
    // The version first: the rest of another one may have another form.
    let format: Format = serde_json::from_slice(&json).map_err(|error| malformed(path, &error))?;
    if format.version != VERSION {
        let why = format!(
            "it has version {}, of another version of Larder",
            format.version
        );
        return Err(malformed(path, &why));
    }
    let journal = serde_json::from_slice(&json).map_err(|error| malformed(path, &error))?;
    Ok(Some(journal))
}

fn malformed(path: &Path, why: &dyn fmt::Display) -> UploadError {
    let (path, why) = (path.to_owned(), why.to_string());
    UploadError::Malformed { path, why }
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> UploadError {
    let path = path.to_owned();
    ArchiveError::Io {
        action,
        path,
        cause,
    }
    .into()
}
