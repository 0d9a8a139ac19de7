//! What a workspace remembers between runs: last successes, ownership, explanations, logs.
//! Does not know how a task is run or a key is made.
//!
//! One file, `.larder/state`, replaced atomically once at the end of a run that changed anything.
//! The head (small, decoded at every start) comes first; explanations and logs follow as blobs that are
//! read only when asked for. Whatever cannot be read or proven is treated as absent, which costs
//! a run and never a wrong result. See [`intent`] for what a killed run leaves.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

mod format;
pub mod intent;

pub use format::{Attempt, Success, TaskState};
use format::{Blob, Head, Record};

/// A task's new state, to be written at the end of the run.
#[derive(Debug, Clone)]
pub struct Update {
    /// The state.
    pub task: TaskState,
    /// The explanation of the key, as bytes; `None` keeps the last success's.
    pub explanation: Option<Vec<u8>>,
    /// The captured log, as bytes; `None` keeps the last success's.
    pub log: Option<Vec<u8>>,
    /// What is known of its chunks, as bytes; `None` where it has none.
    pub chunks: Option<Vec<u8>>,
    /// How long its commands took, in milliseconds, if they ran and succeeded.
    pub ran_ms: Option<u64>,
    /// What the execution read and printed, if it was not a success that is kept.
    pub attempt: Option<Attempt>,
}

/// So many durations of a task are remembered.
const RECENT: usize = 9;

/// The state file of one workspace, as read at the start of a run.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    head: Head,
    blobs_at: u64,
    file: Option<Mutex<File>>,
}

impl State {
    /// Reads the state; a missing, foreign or corrupt file is an empty state.
    pub fn open(path: &Path) -> State {
        read(path).unwrap_or_else(|| State {
            path: path.to_owned(),
            head: Head::default(),
            blobs_at: 0,
            file: None,
        })
    }

    /// Whether the file was replaced since it was read.
    pub fn is_stale(&self) -> bool {
        // Two states may be written within one tick of the clock that stamps files, and be of one length.
        let stamp = |metadata: std::fs::Metadata| {
            let (modified, length) = (metadata.modified().ok(), metadata.len());
            (modified, length, number(&metadata))
        };
        let read = self.file.as_ref().and_then(|file| {
            let file = file.lock().ok()?;
            file.metadata().ok().map(stamp)
        });
        read != std::fs::metadata(&self.path).ok().map(stamp)
    }

    /// What is known of a task.
    pub fn task(&self, id: &str) -> Option<&TaskState> {
        self.head.tasks.get(id).map(|record| &record.task)
    }

    /// All tasks, by name.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &TaskState)> {
        self.head
            .tasks
            .iter()
            .map(|(id, record)| (id.as_str(), &record.task))
    }

    /// The explanation of a task's last success.
    pub fn explanation(&self, id: &str) -> Option<Vec<u8>> {
        self.blob(self.head.tasks.get(id)?.explanation?)
    }

    /// The log of a task's last success.
    pub fn log(&self, id: &str) -> Option<Vec<u8>> {
        self.blob(self.head.tasks.get(id)?.log?)
    }

    /// Whether a log of a task's last success is kept, readable or not.
    pub fn has_log(&self, id: &str) -> bool {
        let record = self.head.tasks.get(id);
        record.is_some_and(|record| record.log.is_some())
    }

    /// What is known of a task's chunks.
    pub fn chunks(&self, id: &str) -> Option<Vec<u8>> {
        self.blob(self.head.tasks.get(id)?.chunks?)
    }

    /// What a task's last execution read and printed, if it was not a success that is kept: it failed, or may not be skipped.
    pub fn attempt(&self, id: &str) -> Option<Attempt> {
        let bytes = self.blob(self.head.tasks.get(id)?.attempt?)?;
        postcard::from_bytes(&bytes).ok()
    }

    /// How long a task's last successful executions took, in milliseconds, the newest last.
    pub fn recent_ms(&self, id: &str) -> &[u64] {
        let record = self.head.tasks.get(id);
        record.map_or(&[], |record| &record.recent_ms)
    }

    fn blob(&self, blob: Blob) -> Option<Vec<u8>> {
        let mut file = self.file.as_ref()?.lock().ok()?;
        file.seek(SeekFrom::Start(self.blobs_at.checked_add(blob.offset)?))
            .ok()?;
        // A length beyond the file is corruption: `take` bounds what is read, the digest decides.
        let mut bytes = Vec::new();
        (&mut *file)
            .take(blob.length)
            .read_to_end(&mut bytes)
            .ok()?;
        (*blake3::hash(&bytes).as_bytes() == blob.digest).then_some(bytes)
    }

    /// Writes `updates` over what the file holds now and replaces it atomically.
    ///
    /// The file is read again under a lock, so that two processes in one workspace keep each other's tasks.
    /// Tasks that `keep` refuses are dropped with their blobs, unless they still own outputs.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(
        path: &Path,
        updates: &HashMap<String, Update>,
        keep: &dyn Fn(&str) -> bool,
    ) -> std::io::Result<()> {
        let lock = File::create(path.with_extension("lock"))?;
        lock.lock()?;
        let old = State::open(path);
        let mut head = Head {
            tasks: BTreeMap::new(),
        };
        let mut blobs: Vec<u8> = Vec::new();
        let mut add = |bytes: Vec<u8>| {
            let blob = Blob {
                offset: blobs.len() as u64,
                length: bytes.len() as u64,
                digest: *blake3::hash(&bytes).as_bytes(),
            };
            blobs.extend_from_slice(&bytes);
            blob
        };
        for (id, record) in &old.head.tasks {
            if updates.contains_key(id) || !keep(id) && record.task.owned.is_empty() {
                continue;
            }
            let explanation = old.explanation(id).map(&mut add);
            let log = old.log(id).map(&mut add);
            let chunks = old.chunks(id).map(&mut add);
            let attempt = record.attempt.and_then(|blob| old.blob(blob));
            head.tasks.insert(
                id.clone(),
                Record {
                    task: record.task.clone(),
                    explanation,
                    log,
                    chunks,
                    attempt: attempt.map(&mut add),
                    recent_ms: record.recent_ms.clone(),
                },
            );
        }
        for (id, update) in updates {
            let explanation = update
                .explanation
                .clone()
                .or_else(|| old.explanation(id))
                .map(&mut add);
            // A task that printed nothing has no log: reading one for each would be work in every run.
            let log = update.log.clone().or_else(|| old.log(id));
            let log = log.filter(|log| !log.is_empty()).map(&mut add);
            // They tell of the rows that are written with them, and of no earlier ones.
            let chunks = update.chunks.clone().map(&mut add);
            let attempt = update.attempt.as_ref();
            let attempt = attempt.and_then(|attempt| postcard::to_stdvec(attempt).ok());
            let mut recent_ms = old.recent_ms(id).to_vec();
            recent_ms.extend(update.ran_ms);
            recent_ms.drain(..recent_ms.len().saturating_sub(RECENT));
            head.tasks.insert(
                id.clone(),
                Record {
                    task: update.task.clone(),
                    explanation,
                    log,
                    chunks,
                    attempt: attempt.map(&mut add),
                    recent_ms,
                },
            );
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let encoded = format::encode_head(&head).map_err(std::io::Error::other)?;
        file.write_all(&encoded)?;
        file.write_all(&blobs)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

fn read(path: &Path) -> Option<State> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut prefix = [0; format::PREFIX];
    file.read_exact(&mut prefix).ok()?;
    let (length, checksum) = format::decode_prefix(&prefix)?;
    if length > size {
        return None;
    }
    let mut body = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut body).ok()?;
    Some(State {
        path: path.to_owned(),
        head: format::decode_head(&body, checksum)?,
        blobs_at: format::PREFIX as u64 + length,
        file: Some(Mutex::new(file)),
    })
}

/// Tells a file from another one that took its place while it is open; nothing does on some systems.
#[cfg(unix)]
fn number(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(key: u8, log: &[u8]) -> Update {
        Update {
            task: TaskState {
                success: Some(Success {
                    key: [key; 32],
                    closure: [1; 32],
                    stored: true,
                    duration_ms: 7,
                    discovered: None,
                }),
                owned: Vec::new(),
            },
            explanation: Some(b"why".to_vec()),
            log: Some(log.to_vec()),
            chunks: Some(b"table".to_vec()),
            ran_ms: Some(u64::from(key)),
            attempt: None,
        }
    }

    #[test]
    fn an_attempt_is_remembered_until_the_task_is_run_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let save = |id: &str, update: Update| {
            State::save(&path, &HashMap::from([(id.into(), update)]), &|_| true).unwrap();
        };
        let attempt = Attempt {
            key: [9; 32],
            explanation: Some(b"read".to_vec()),
            logs: vec![("a".into(), b"no".to_vec())],
        };
        let mut failed = update(1, b"");
        failed.task.success = None;
        failed.attempt = Some(attempt.clone());
        save("a", failed);
        save("b", update(2, b""));
        assert_eq!(State::open(&path).attempt("a"), Some(attempt));
        assert_eq!(State::open(&path).attempt("b"), None);
        save("a", update(3, b""));
        assert_eq!(State::open(&path).attempt("a"), None);
    }

    #[test]
    fn two_writers_keep_each_others_tasks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        State::save(
            &path,
            &HashMap::from([("a".into(), update(1, b"one"))]),
            &|_| true,
        )
        .unwrap();
        State::save(
            &path,
            &HashMap::from([("b".into(), update(2, b"two"))]),
            &|_| true,
        )
        .unwrap();
        let state = State::open(&path);
        assert_eq!(
            state.task("a").unwrap().success.as_ref().unwrap().key,
            [1; 32]
        );
        assert_eq!(state.log("a").unwrap(), b"one");
        assert_eq!(state.log("b").unwrap(), b"two");
    }

    #[test]
    fn the_newest_durations_are_remembered_and_survive_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let save = |update: Update| {
            State::save(&path, &HashMap::from([("a".into(), update)]), &|_| true).unwrap();
        };
        for ms in 1..=12 {
            save(update(ms, b""));
        }
        let mut failed = update(13, b"");
        failed.task.success = None;
        failed.ran_ms = None;
        save(failed);
        assert_eq!(
            State::open(&path).recent_ms("a"),
            [4, 5, 6, 7, 8, 9, 10, 11, 12]
        );
        assert!(State::open(&path).recent_ms("b").is_empty());
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_an_absent_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        State::save(
            &path,
            &HashMap::from([("a".into(), update(1, b"one"))]),
            &|_| true,
        )
        .unwrap();
        let whole = std::fs::read(&path).unwrap();
        let truth = State::open(&path);
        for at in 0..whole.len() {
            for bytes in [whole[..at].to_vec(), {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x40;
                bytes
            }] {
                std::fs::write(&path, bytes).unwrap();
                let state = State::open(&path);
                assert!(state.task("a").is_none() || state.task("a") == truth.task("a"));
                assert!(state.log("a").is_none_or(|log| log == b"one"), "byte {at}");
                assert!(state.chunks("a").is_none_or(|table| table == b"table"));
                assert!(
                    state.explanation("a").is_none_or(|log| log == b"why"),
                    "byte {at}"
                );
            }
        }
    }
}
