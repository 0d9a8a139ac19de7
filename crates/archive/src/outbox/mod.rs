//! Deliveries that survive anything but the loss of the disk: noted before they are acknowledged, and kept until what arrived is proven.
//! Does not know what is delivered, nor how destinations work; starts no process, and looks at no clock but the one it is given.

mod disk;
mod drain;
mod format;
mod pace;
mod send;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub use drain::{DrainOptions, Drained, Open, drain};
pub use format::{Failure, Object, Part, Record, Sent};
pub use pace::{Backoff, Pace, SystemPace};

use crate::name::Name;
use disk::{Disk, RealDisk};
use format::Unreadable;

/// What is not delivered yet.
const PENDING: &str = "pending";
/// What was delivered.
const DONE: &str = "done";
/// What cannot be delivered until somebody mends it.
const FAILED: &str = "failed";
/// Files of unfinished writes.
const UNFINISHED: &str = "unfinished";
/// Hexadecimal digits of a destination in the name of a file.
const DIGITS: usize = 16;
/// Locked by whoever drains.
const LOCK: &str = "lock";
/// Locked by whoever drains as well: to look at the other one would keep a drain away that begins meanwhile.
const AT_WORK: &str = "at-work";

/// A folder of deliveries. Any number of processes may use it at a time; one drains.
pub struct Outbox {
    folder: PathBuf,
    sources: PathBuf,
    disk: Box<dyn Disk>,
}

/// An entry on its way to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The entry's id.
    pub entry: String,
    /// The destination's id, of the caller's choice.
    pub destination: String,
    /// What is delivered, in this order: each only after those before it have arrived. What makes the entry visible comes last.
    pub objects: Vec<Object>,
}

/// What [`Outbox::enqueue`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is pending now, and survives a power cut.
    Pending,
    /// The same was delivered before.
    Done,
}

/// What an outbox holds, each sorted by when it was noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What is not delivered yet, with the last error and the time of the next try.
    pub pending: Vec<Record>,
    /// What was delivered, with durations.
    pub done: Vec<Record>,
    /// What cannot be delivered until somebody mends it, and why.
    pub failed: Vec<Record>,
    /// Files that are no records of this version, and why. They are left alone, and what they were about counts as not delivered.
    pub damaged: Vec<Damaged>,
}

/// A file among the deliveries that cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// The entry it was about, where its name tells. To note the delivery anew replaces the file.
    pub entry: Option<String>,
    /// Whether another version of this program may read it: then it is to be left to that one.
    pub foreign: bool,
    /// What its name says of the destination.
    destination: String,
}

impl Damaged {
    fn new(path: PathBuf, name: &str, why: Unreadable) -> Self {
        let parts = name.rsplit_once('@');
        let is_digest =
            |text: &str| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parts = parts.filter(|(entry, digest)| !entry.is_empty() && is_digest(digest));
        Self {
            path,
            why: why.to_string(),
            entry: parts.map(|(entry, _)| entry.to_owned()),
            foreign: why != Unreadable::Damaged,
            destination: parts
                .map(|(_, digest)| digest.to_owned())
                .unwrap_or_default(),
        }
    }

    /// Whether it was about a delivery to this destination, as far as its name tells.
    pub fn is_for(&self, destination: &str) -> bool {
        self.destination == short_digest(destination)
    }
}

/// Why an outbox could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The disk failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The id of an entry or destination is no name for a file, or nothing is to be delivered.
    #[error("`{what}` cannot be delivered: {why}")]
    Invalid {
        /// The refused text.
        what: String,
        /// Why.
        why: String,
    },
    /// Another delivery of this entry to this destination was noted before.
    #[error("`{entry}` goes to `{destination}` already, with other content")]
    Differs {
        /// The entry.
        entry: String,
        /// The destination.
        destination: String,
    },
}

impl Outbox {
    /// Opens the folder, creating it where it is missing. What is delivered are files under `sources`.
    ///
    /// # Errors
    /// [`OutboxError::Io`] when it can neither be found nor created.
    pub fn open(
        folder: impl Into<PathBuf>,
        sources: impl Into<PathBuf>,
    ) -> Result<Self, OutboxError> {
        let outbox = Self::over(folder.into(), sources.into(), Box::new(RealDisk));
        for name in [PENDING, DONE, FAILED, UNFINISHED] {
            let path = outbox.folder.join(name);
            std::fs::create_dir_all(&path).map_err(failed("create", &path))?;
        }
        outbox.sync(&outbox.folder)?;
        if let Some(parent) = outbox.folder.parent().filter(|path| *path != Path::new("")) {
            outbox.sync(parent)?;
        }
        Ok(outbox)
    }

    fn over(folder: PathBuf, sources: PathBuf, disk: Box<dyn Disk>) -> Self {
        Self {
            folder,
            sources,
            disk,
        }
    }

    /// Notes a delivery. Once this gave `Ok`, it is delivered sooner or later, whatever happens to this process or machine; until
    /// then it may be. The same again is harmless; one that failed before is pending again. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`OutboxError::Invalid`], [`OutboxError::Differs`]; [`OutboxError::Io`] when it could not be noted, or perhaps was not.
    pub fn enqueue(&self, delivery: &Delivery, now: u64) -> Result<Enqueued, OutboxError> {
        let name = file_name(&delivery.entry, &delivery.destination)?;
        if delivery.objects.is_empty() {
            return Err(invalid(&delivery.entry, "it has no objects"));
        }
        let record = Record::new(delivery, now);
        for state in [DONE, PENDING] {
            let Some(Ok(there)) = self.read(state, &name)? else {
                continue;
            };
            if !there.is_of(delivery) {
                return Err(OutboxError::Differs {
                    entry: delivery.entry.clone(),
                    destination: delivery.destination.clone(),
                });
            }
            // Whoever wrote it may have died before its sync.
            self.sync(&self.folder.join(state))?;
            return Ok(if state == DONE {
                Enqueued::Done
            } else {
                Enqueued::Pending
            });
        }
        self.write(PENDING, &name, &record)?;
        self.sync(&self.folder.join(PENDING))?;
        self.remove(FAILED, &name)?;
        Ok(Enqueued::Pending)
    }

    /// Notes a delivery even if it was made before: for a destination that has lost it.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    pub fn enqueue_again(&self, delivery: &Delivery, now: u64) -> Result<(), OutboxError> {
        let name = file_name(&delivery.entry, &delivery.destination)?;
        if self.read(DONE, &name)?.is_some() {
            self.remove(DONE, &name)?;
            // What is done is believed before what is pending.
            self.sync(&self.folder.join(DONE))?;
        }
        self.enqueue(delivery, now).map(|_| ())
    }

    /// Forgets a delivery that is pending or failed.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    pub fn give_up(&self, entry: &str, destination: &str) -> Result<(), OutboxError> {
        let name = file_name(entry, destination)?;
        self.remove(PENDING, &name)?;
        self.remove(FAILED, &name)
    }

    /// Whether a process drains. One that begins just now may be missed.
    ///
    /// # Errors
    /// [`OutboxError::Io`] when that cannot be found out.
    pub fn is_drained(&self) -> Result<bool, OutboxError> {
        let path = self.folder.join(AT_WORK);
        let file = match File::open(&path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.map_err(failed("open", &path))?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(cause)) => Err(failed("lock", &path)(cause)),
        }
    }

    /// What is pending, done and failed.
    ///
    /// # Errors
    /// [`OutboxError::Io`] when it cannot be read.
    pub fn status(&self) -> Result<Status, OutboxError> {
        let mut status = Status::default();
        // In the order of belief: after a crash a delivery may be in two places.
        let mut seen = BTreeSet::new();
        for state in [DONE, PENDING, FAILED] {
            for name in self.list(state)? {
                let records = match state {
                    DONE => &mut status.done,
                    PENDING => &mut status.pending,
                    _ => &mut status.failed,
                };
                if seen.contains(&name) {
                    continue;
                }
                match self.read(state, &name)? {
                    Some(Ok(record)) => records.push(record),
                    // What it is about may stand elsewhere as well.
                    Some(Err(why)) => {
                        let path = self.folder.join(state).join(&name);
                        status.damaged.push(Damaged::new(path, &name, why));
                        continue;
                    }
                    // It went on to another state just now.
                    None => continue,
                }
                seen.insert(name);
            }
        }
        for records in [&mut status.pending, &mut status.done, &mut status.failed] {
            records.sort_by(|a, b| (a.enqueued, &a.entry).cmp(&(b.enqueued, &b.entry)));
        }
        Ok(status)
    }

    /// Makes all that failed pending again, and what waits for its next try due; gives how many. For when somebody mended the cause.
    ///
    /// # Errors
    /// [`OutboxError::Io`] when a record cannot be written; those before it stay pending.
    pub fn retry(&self) -> Result<usize, OutboxError> {
        let mut count = 0;
        for state in [PENDING, FAILED] {
            for name in self.list(state)? {
                let Some(Ok(mut record)) = self.read(state, &name)? else {
                    continue;
                };
                let is_due = record.failure.is_none() && record.next_try == 0;
                let is_done = matches!(self.read(DONE, &name)?, Some(Ok(_)));
                if !is_due && !is_done {
                    record.attempts = 0;
                    record.next_try = 0;
                    record.failure = None;
                    self.write(PENDING, &name, &record)?;
                    self.sync(&self.folder.join(PENDING))?;
                    count += 1;
                }
                if state == FAILED {
                    self.remove(FAILED, &name)?;
                }
            }
        }
        Ok(count)
    }

    /// Forgets all deliveries that are done but the last `keep`, and gives how many. The same delivery could be noted again
    /// afterwards, and would be found at its destination.
    ///
    /// # Errors
    /// [`OutboxError::Io`] when the folder cannot be read or a record cannot be deleted.
    pub fn forget_done(&self, keep: usize) -> Result<usize, OutboxError> {
        let mut done = self.status()?.done;
        done.sort_by_key(|record| record.finished);
        done.truncate(done.len().saturating_sub(keep));
        for record in &done {
            self.remove(DONE, &file_name(&record.entry, &record.destination)?)?;
        }
        Ok(done.len())
    }

    /// Whether nothing is pending, as far as a list of names tells.
    ///
    /// # Errors
    /// [`OutboxError::Io`] when the folder cannot be read.
    pub fn is_empty(&self) -> Result<bool, OutboxError> {
        Ok(self.list(PENDING)?.is_empty())
    }

    fn source(&self, name: &Name) -> PathBuf {
        let mut path = self.sources.clone();
        path.extend(name.components());
        path
    }

    fn list(&self, state: &str) -> Result<Vec<String>, OutboxError> {
        let folder = self.folder.join(state);
        self.disk.list(&folder).map_err(failed("list", &folder))
    }

    fn read(
        &self,
        state: &str,
        name: &str,
    ) -> Result<Option<Result<Record, Unreadable>>, OutboxError> {
        let path = self.folder.join(state).join(name);
        let content = self.disk.read(&path).map_err(failed("read", &path))?;
        Ok(content.map(|content| Record::decode(&content)))
    }

    /// Replaces a record as a whole. The name may not survive a power cut before [`Self::sync`]; the content does with it.
    fn write(&self, state: &str, name: &str, record: &Record) -> Result<(), OutboxError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(state).join(name);
        let unfinished = format!("{}-{count}-{name}", std::process::id());
        let unfinished = self.folder.join(UNFINISHED).join(unfinished);
        let mut tries = 0;
        loop {
            self.disk
                .write(&unfinished, &record.encode())
                .map_err(failed("write", &unfinished))?;
            match self.disk.rename(&unfinished, &path) {
                // A drain that begins takes it for one of a killed process.
                Err(cause) if cause.kind() == ErrorKind::NotFound && tries < 9 => tries += 1,
                result => return result.map_err(failed("create", &path)),
            }
        }
    }

    fn remove(&self, state: &str, name: &str) -> Result<(), OutboxError> {
        let path = self.folder.join(state).join(name);
        self.disk.remove(&path).map_err(failed("delete", &path))
    }

    fn sync(&self, folder: &Path) -> Result<(), OutboxError> {
        self.disk.sync(folder).map_err(failed("sync", folder))
    }
}

/// The file of a delivery. Destinations have ids of any form, so their digest stands there.
fn file_name(entry: &str, destination: &str) -> Result<String, OutboxError> {
    if entry.is_empty() {
        return Err(invalid(entry, "it has no id"));
    }
    let name = format!("{entry}@{}", short_digest(destination));
    match Name::new(name.clone()) {
        Ok(_) if !entry.contains('/') => Ok(name),
        Ok(_) => Err(invalid(entry, "its id holds a slash")),
        Err(error) => Err(invalid(entry, error.why)),
    }
}

fn short_digest(destination: &str) -> String {
    blake3::hash(destination.as_bytes()).to_hex()[..DIGITS].to_owned()
}

fn invalid(what: &str, why: &str) -> OutboxError {
    OutboxError::Invalid {
        what: what.to_owned(),
        why: why.to_owned(),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutboxError {
    let path = path.to_owned();
    move |cause| OutboxError::Io {
        action,
        path,
        cause,
    }
}
