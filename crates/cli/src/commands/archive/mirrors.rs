//! Mirrors: entries are noted in an outbox, and a process that outlives the command brings them there.
//! Does not know how a delivery is made, nor when it counts as arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_archive::outbox::{
    Delivery, DrainOptions, Drained, Object, Outbox, Record, Status, SystemPace, drain,
};
use larder_archive::{
    Archive, ArchiveEntry, ArchiveError, Destination, DestinationError, DirectoryDestination,
    Durability, EntryId, Name, seal_entry,
};

use crate::config::MirrorSettings;

use super::{assemble, store, words};

/// Copies of entries on their way: the entry itself may get further revisions meanwhile, and old ones go.
const OUTGOING: &str = "outgoing";
/// So many deliveries are remembered after they were made.
const REMEMBERED: usize = 1000;
/// So often is looked whether another process is done.
const TICK: Duration = Duration::from_millis(100);

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
        let outbox = self.outbox()?;
        let objects = self.objects(entry)?;
        let now = milliseconds();
        for name in self.settings.keys() {
            let delivery = Delivery {
                entry: entry.id.to_string(),
                destination: name.clone(),
                objects: objects.clone(),
            };
            outbox
                .enqueue(&delivery, now)
                .map_err(|error| words(&error))?;
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
        let file = name(format!("{}.json", entry.id))?;
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
    /// was noted before; it is waited for where `stay` says so: until everything was tried, or with patience until it arrived.
    pub(super) fn deliver(
        &self,
        patience: Duration,
        stay: bool,
        cancel: &AtomicBool,
    ) -> Result<(), String> {
        let Some(outbox) = self.existing()? else {
            return Ok(());
        };
        // What arrived at the first try is written down before anything is waited for.
        for patience in [Duration::ZERO, patience] {
            let options = DrainOptions {
                patience,
                ..DrainOptions::default()
            };
            loop {
                let open = |name: &str| self.open(name);
                let drained = drain(&outbox, &open, &SystemPace, &options, cancel)
                    .map_err(|error| words(&error))?;
                if drained != Drained::Busy || !stay || cancel.load(Ordering::Relaxed) {
                    break;
                }
                let status = outbox.status().map_err(|error| words(&error))?;
                let untried = |record: &Record| record.attempts == 0;
                let waits = if patience.is_zero() {
                    status.pending.iter().any(untried)
                } else {
                    !status.pending.is_empty()
                };
                if !waits {
                    break;
                }
                std::thread::sleep(TICK);
            }
            self.settle(&outbox)?;
        }
        Ok(())
    }

    /// The place of a mirror.
    fn open(&self, name: &str) -> Result<Option<Box<dyn Destination>>, DestinationError> {
        let Some(settings) = self.settings.get(name) else {
            return Ok(None);
        };
        match settings {
            MirrorSettings::Folder(folder) => {
                let folder = self.folder(folder);
                let above = folder.parent().unwrap_or(&folder);
                if !above.is_dir() {
                    // A share that is not mounted: its folder would be made on this disk.
                    let why = "the folder above it is not there";
                    return Err(DestinationError::Io {
                        action: "create",
                        place: folder.display().to_string(),
                        cause: io::Error::new(io::ErrorKind::NotFound, why),
                    });
                }
                let place = DirectoryDestination::open(folder, Durability::Synced)?;
                Ok(Some(Box::new(place)))
            }
            MirrorSettings::Store {
                location,
                endpoint,
                region,
            } => {
                let given = [("endpoint", endpoint), ("region", region)];
                store::open(location, &given, self.env).map(Some)
            }
        }
    }

    /// A folder as it is written in the configuration, on disk.
    fn folder(&self, text: &str) -> PathBuf {
        let home = self.env.iter().find(|(name, _)| name == "HOME");
        match (text.strip_prefix("~/"), home) {
            (Some(rest), Some((_, home))) => Path::new(home).join(rest),
            _ => self.root.join(text),
        }
    }

    /// Writes into entries how long their mirroring took, and removes copies that nobody needs any more.
    fn settle(&self, outbox: &Outbox) -> Result<(), String> {
        let outgoing = self.archive.root().join(OUTGOING);
        let Ok(files) = std::fs::read_dir(&outgoing) else {
            return Ok(());
        };
        let status = outbox.status().map_err(|error| words(&error))?;
        let open: BTreeSet<&str> = status
            .pending
            .iter()
            .chain(&status.failed)
            .map(|record| record.entry.as_str())
            .collect();
        for file in files.filter_map(Result::ok) {
            let name = file.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
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

    /// Entries that are still to be mirrored, or could not be.
    pub(super) fn held(&self) -> Result<BTreeSet<String>, String> {
        let status = self.status()?;
        let records = status.pending.into_iter().chain(status.failed);
        Ok(records.map(|record| record.entry).collect())
    }

    /// Starts a process that delivers what is pending, and does not wait for it.
    pub(super) fn start(&self) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let log = self.archive.root().join("outbox/log");
        let said = std::fs::File::create(&log)
            .map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
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
        assert_eq!(held("none"), Ok(BTreeSet::new()));
        assert!(held("file/archive").unwrap_err().contains("outbox"));
    }
}
