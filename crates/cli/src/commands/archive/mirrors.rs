//! Mirrors: entries are noted in an outbox, and a process that outlives the command brings them there.
//! Does not know how a delivery is made, nor when it counts as arrived.

mod complete;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_archive::outbox::{
    Delivery, DrainOptions, Drained, Object, Outbox, OutboxError, Pace, Record, Status, SystemPace,
    drain,
};
use larder_archive::{
    Archive, ArchiveEntry, ArchiveError, Destination as _, DirectoryDestination, Durability,
    EntryId, Name, seal_entry,
};

use crate::config::MirrorSettings;

use super::super::cache::count;
use super::{assemble, words};

/// Copies of entries on their way: the entry itself may get further revisions meanwhile, and old ones go.
const OUTGOING: &str = "outgoing";
/// So many deliveries are remembered after they were made.
const REMEMBERED: usize = 1000;
/// So often is looked whether another process is done.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of what background processes said that are kept.
const WORDS: u64 = 64 * 1024;
/// Lines of it that are shown.
const LINES: usize = 6;

/// Where mirrors are, and what they need to be reached.
pub(super) struct Mirrors<'m> {
    pub(super) archive: &'m Archive,
    pub(super) settings: &'m BTreeMap<String, MirrorSettings>,
    pub(super) root: &'m Path,
    pub(super) env: &'m [(OsString, OsString)],
}

impl Mirrors<'_> {
    /// The outbox; `None` where nothing was ever noted.
    fn existing(&self) -> Result<Option<Outbox>, String> {
        let folder = self.archive.root().join("outbox");
        match std::fs::metadata(&folder) {
            Ok(_) => self.outbox().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Taken for an empty one, it would let a prune take what is on its way.
            Err(error) => Err(format!("{} cannot be read: {error}", folder.display())),
        }
    }

    fn outbox(&self) -> Result<Outbox, String> {
        let root = self.archive.root();
        Outbox::open(root.join("outbox"), root).map_err(|error| words(&error))
    }

    /// Notes an entry for every mirror. Once this gave `Ok`, it gets there sooner or later. The same again is harmless.
    pub(super) fn note(&self, entry: &ArchiveEntry) -> Result<Vec<String>, String> {
        if self.settings.is_empty() {
            return Ok(Vec::new());
        }
        self.check()?;
        let outbox = self.outbox()?;
        let objects = self.objects(entry)?;
        let now = milliseconds();
        for name in self.settings.keys() {
            let delivery = Delivery {
                entry: entry.id.to_string(),
                destination: name.clone(),
                objects: objects.clone(),
            };
            match outbox.enqueue(&delivery, now) {
                // Of another revision: `sync` was faster, and an entry's revisions say the same of the run.
                Ok(_) | Err(OutboxError::Differs { .. }) => {}
                Err(error) => return Err(words(&error)),
            }
        }
        Ok(self.settings.keys().cloned().collect())
    }

    /// What is delivered of an entry: the entry itself comes last, so that it is seen only with all it names.
    fn objects(&self, entry: &ArchiveEntry) -> Result<Vec<Object>, String> {
        let name = |text: String| Name::new(text).map_err(|error| error.to_string());
        let mut objects = Vec::new();
        for file in entry.bundle.iter().chain(&entry.attestation) {
            objects.push(Object {
                name: name(file.name.clone())?,
                source: name(file.name.clone())?,
                digest: file.blake3.clone(),
                size: file.size,
            });
        }
        let bytes = seal_entry(entry).map_err(|error| words(&error))?;
        let file = name(format!("{}.{}.json", entry.id, entry.revision))?;
        DirectoryDestination::open(self.archive.root().join(OUTGOING), Durability::Synced)
            .and_then(|outgoing| outgoing.put(&file, &bytes))
            .map_err(|error| words(&error))?;
        objects.push(Object {
            name: name(Archive::entry_name(entry.id, entry.revision))?,
            source: name(format!("{OUTGOING}/{file}"))?,
            digest: blake3::hash(&bytes).to_hex().to_string(),
            size: bytes.len() as u64,
        });
        Ok(objects)
    }

    /// What is pending, done and failed.
    pub(super) fn status(&self) -> Result<Status, String> {
        match self.existing()? {
            Some(outbox) => outbox.status().map_err(|error| words(&error)),
            None => Ok(Status::default()),
        }
    }

    /// Whether anything is to be delivered.
    pub(super) fn is_pending(&self) -> bool {
        let pending = |outbox: Outbox| outbox.is_empty().is_ok_and(|empty| !empty);
        self.existing().ok().flatten().is_some_and(pending)
    }

    /// Makes what failed pending again, and what waits due.
    pub(super) fn retry(&self) -> Result<(), String> {
        if let Some(outbox) = self.existing()? {
            outbox.retry().map_err(|error| words(&error))?;
        }
        Ok(())
    }

    /// Delivers in this process: all once, and then again until `patience` is at its end. Another process that is at it sees what
    /// was noted before; it is waited for where `stay` says so: until everything was tried, or with patience until it arrived. `tell` is
    /// called now and then while something is waited for.
    pub(super) fn deliver(
        &self,
        patience: Duration,
        stay: bool,
        cancel: &AtomicBool,
        tell: &(dyn Fn() + Sync),
    ) -> Result<(), String> {
        let Some(outbox) = self.existing()? else {
            return Ok(());
        };
        let mut is_mine = false;
        // What arrived at the first try is written down before anything is waited for.
        for patience in [Duration::ZERO, patience] {
            let options = DrainOptions {
                patience,
                ..DrainOptions::default()
            };
            loop {
                let open = |name: &str| self.open(name);
                let pace = Telling(tell);
                let drained = drain(&outbox, &open, &pace, &options, cancel);
                let drained = drained.map_err(|error| words(&error))?;
                is_mine = drained != Drained::Busy;
                if is_mine || !stay || cancel.load(Ordering::Relaxed) {
                    break;
                }
                let status = outbox.status().map_err(|error| words(&error))?;
                let waits = if patience.is_zero() {
                    is_untried(&status)
                } else {
                    !status.pending.is_empty()
                };
                if !waits {
                    break;
                }
                tell();
                std::thread::sleep(TICK);
            }
            if is_mine {
                self.mend(&outbox)?;
            }
            self.settle(&outbox)?;
        }
        if is_mine {
            // What others said before their end does not matter any more.
            let log = File::options().write(true).open(self.log());
            let _ = log.and_then(|log| log.set_len(0));
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.archive.root().join("outbox/log")
    }

    /// Whether a process delivers just now; else, what the last one said that came to a bad end.
    pub(super) fn background(&self) -> Result<(bool, Option<String>), String> {
        let Some(outbox) = self.existing()? else {
            return Ok((false, None));
        };
        if outbox.is_drained().map_err(|error| words(&error))? {
            return Ok((true, None));
        }
        let said = std::fs::read(self.log()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        Ok((false, Some(last).filter(|last| !last.is_empty())))
    }

    /// The mirrors that an entry did not get to, each with why.
    pub(super) fn missing(&self, id: EntryId) -> Result<BTreeMap<String, String>, String> {
        let (status, id) = (self.status()?, id.to_string());
        let open = status.pending.iter().chain(&status.failed);
        let open = open.filter(|record| record.entry == id);
        Ok(open
            .map(|record| {
                // The first of a mirror is tried; the others wait for it.
                let same = |other: &&Record| other.destination == record.destination;
                let first = status.pending.iter().filter(same);
                let first = first.max_by_key(|other| other.attempts).unwrap_or(record);
                let said = first.last_error.as_deref().unwrap_or_default();
                let said = said.lines().next().unwrap_or_default();
                let why = match (&record.failure, first.attempts) {
                    (Some(failure), _) => failure.to_string(),
                    (None, 0) => "it is not there yet".to_owned(),
                    (None, tries) => {
                        format!("{} failed: {said}", count(tries as usize, "try", "tries"))
                    }
                };
                (record.destination.clone(), why)
            })
            .collect())
    }

    /// Starts the background process if something is pending and none is at work: the last one may have been killed, or have
    /// lost its patience. Where a store cannot even be opened, as without the credentials that the upload had, it would only give up.
    pub(super) fn wake(&self) {
        let pending = self.archive.root().join("outbox/pending");
        let is_empty = || std::fs::read_dir(pending).map_or(true, |mut all| all.next().is_none());
        if self.settings.is_empty() || is_empty() {
            return;
        }
        let drained = self.outbox().map(|outbox| outbox.is_drained());
        if !matches!(drained, Ok(Ok(false))) {
            return;
        }
        let is_shut = |(name, settings): (&String, &MirrorSettings)| {
            matches!(settings, MirrorSettings::Store { .. }) && self.open(name).is_err()
        };
        if self.settings.iter().any(is_shut) {
            return;
        }
        if let Err(why) = self.start() {
            log::debug!("nothing is mirrored now: {why}");
        }
    }

    /// Writes into entries how long their mirroring took, and removes copies that nobody needs any more.
    fn settle(&self, outbox: &Outbox) -> Result<(), String> {
        let outgoing = self.archive.root().join(OUTGOING);
        let Ok(files) = std::fs::read_dir(&outgoing) else {
            return Ok(());
        };
        // What cannot be swept now is swept another time.
        let _ = DirectoryDestination::open(&outgoing, Durability::Process)
            .and_then(|outgoing| outgoing.sweep());
        let status = outbox.status().map_err(|error| words(&error))?;
        let open: BTreeSet<&str> = status
            .pending
            .iter()
            .chain(&status.failed)
            .map(|record| record.entry.as_str())
            .collect();
        for file in files.filter_map(Result::ok) {
            let name = file.file_name();
            let Some(id) = name.to_str().and_then(|name| name.split('.').next()) else {
                continue;
            };
            let done: Vec<&Record> = status.done.iter().filter(|one| one.entry == id).collect();
            let Ok(entry) = id.parse::<EntryId>() else {
                continue;
            };
            if !done.is_empty() {
                let noted = self
                    .archive
                    .amend(entry, |entry| note_durations(entry, &done));
                match noted {
                    // It was pruned, or its copy here is damaged: the mirror has it all the same.
                    Ok(_) | Err(ArchiveError::Missing { .. } | ArchiveError::Entry { .. }) => {}
                    Err(error) => return Err(words(&error)),
                }
            }
            if !done.is_empty() && !open.contains(id) {
                // One that stays is removed by the next drain.
                let _ = std::fs::remove_file(file.path());
            }
        }
        outbox
            .forget_done(REMEMBERED)
            .map(|_| ())
            .map_err(|error| words(&error))
    }

    /// Starts a process that delivers what is pending, and does not wait for it.
    pub(super) fn start(&self) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let log = self.log();
        // Another one may be writing there.
        let said = File::options().create(true).append(true).open(&log);
        let said = said.and_then(|said| {
            if said.metadata()?.len() > WORDS {
                said.set_len(0)?;
            }
            Ok(said)
        });
        let said = said.map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        let mut command = Command::new(program);
        #[cfg(unix)]
        crate::daemon::start::keep_none(&mut command);
        command
            .arg("-C")
            .arg(self.root)
            .args(["archive", "--dir"])
            .arg(self.archive.root())
            .arg("drain")
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env_remove(crate::session::lock::ANCESTORS)
            .env_remove("LARDER_LOG")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said);
        command
            .spawn()
            .map(|_| ())
            .map_err(|error| format!("the background process cannot be started: {error}"))
    }
}

/// Whether a mirror is among the pending that nothing was tried with: after one failure the others wait.
fn is_untried(status: &Status) -> bool {
    let records = || status.pending.iter();
    let tried = records().filter(|record| record.attempts > 0);
    let tried: BTreeSet<&str> = tried.map(|record| record.destination.as_str()).collect();
    records().any(|record| !tried.contains(record.destination.as_str()))
}

/// The clock of this machine, that tells of waits.
struct Telling<'t>(&'t (dyn Fn() + Sync));

impl Pace for Telling<'_> {
    fn now(&self) -> u64 {
        SystemPace.now()
    }

    fn wait(&self, time: Duration, cancel: &AtomicBool) {
        (self.0)();
        SystemPace.wait(time, cancel);
    }

    fn random(&self) -> u64 {
        SystemPace.random()
    }
}

/// Seconds from the note to the arrival, a metric a mirror.
#[allow(clippy::cast_precision_loss)] // Milliseconds of a delivery are far below 2^53.
fn note_durations(entry: &mut ArchiveEntry, done: &[&Record]) {
    for record in done {
        let Some(finished) = record.finished else {
            continue;
        };
        let seconds = finished.saturating_sub(record.enqueued) as f64 / 1000.0;
        let name = format!("mirror.{}.seconds", record.destination);
        entry.metrics.entry(name).or_insert(seconds);
    }
}

fn milliseconds() -> u64 {
    u64::try_from(assemble::now().nanos() / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_that_cannot_be_looked_at_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let settings = BTreeMap::new();
        let held = |archive: &str| {
            let archive = Archive::new(folder.path().join(archive));
            let mirrors = Mirrors {
                archive: &archive,
                settings: &settings,
                root: folder.path(),
                env: &[],
            };
            mirrors.held()
        };
        assert!(!held("none").unwrap().contains("any"));
        assert!(held("file/archive").is_err_and(|why| why.contains("outbox")));
    }
}
