//! Intent records: one small file a task between its first write and the end of the run.
//! Knows nothing of outputs beyond the paths it is given.
//!
//! A later start that finds a record knows that the process died while the task's outputs were in flux: it
//! treats them as unknown, and files there that the record does not list as the task's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TaskState;
use crate::execute::leftovers::{self, Mark};

/// What was true before a task's first write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The task.
    pub task: String,
    /// Files under its output globs that were there before and are not its own; `None`: the record cannot be
    /// read, so nothing there may be taken for the task's own.
    pub foreign: Option<BTreeSet<Vec<u8>>>,
    /// Which process wrote the record; see [`leftovers::own`].
    #[serde(default)]
    pub larder: Option<String>,
}

fn file(folder: &Path, task: &str) -> PathBuf {
    folder.join(blake3::hash(task.as_bytes()).to_hex().as_str())
}

/// Writes the record of one task.
///
/// # Errors
/// When the folder cannot be written.
pub fn begin(folder: &Path, intent: &Intent) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(intent).map_err(std::io::Error::other)?;
    match std::fs::remove_file(result_file(folder, &intent.task)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match std::fs::write(file(folder, &intent.task), &bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            std::fs::write(file(folder, &intent.task), &bytes)
        }
        other => other,
    }
}

/// Ends what the dead process that wrote a task's record left running of it, and returns how many processes that
/// were. To be called under the task's lock, before anything of the task is looked at or written.
///
/// # Errors
/// When something goes on running.
pub fn end_processes(folder: &Path, intent: &Intent, mark: Mark<'_>) -> std::io::Result<usize> {
    if finished(folder, &intent.task).is_some() {
        // The task ended and its record awaits the state: what it left in the background is meant to be there.
        return Ok(0);
    }
    match &intent.larder {
        Some(larder) => leftovers::end(larder, mark),
        None => Ok(0),
    }
}

fn result_file(folder: &Path, task: &str) -> PathBuf {
    file(folder, task).with_extension("done")
}

/// Notes beside the record how the task ended, for a process that comes before the state is written.
///
/// The file is a BLAKE3 digest followed by the task's state, as in the state file, and what is known of its chunks.
pub fn finish(folder: &Path, task: &str, state: &TaskState, chunks: Option<&[u8]>) {
    let Ok(body) = postcard::to_stdvec(&(state, chunks)) else {
        return;
    };
    let mut bytes = blake3::hash(&body).as_bytes().to_vec();
    bytes.extend_from_slice(&body);
    // Without it another process finds the record alone and runs the task once more.
    let _ = std::fs::write(result_file(folder, task), bytes);
}

/// How the task of a record ended, if it did. To be called under the task's lock.
pub fn finished(folder: &Path, task: &str) -> Option<(TaskState, Option<Vec<u8>>)> {
    let bytes = std::fs::read(result_file(folder, task)).ok()?;
    let (digest, body) = bytes.split_first_chunk::<32>()?;
    (blake3::hash(body).as_bytes() == digest)
        .then(|| postcard::from_bytes(body).ok())
        .flatten()
}

/// Removes the record of one task, once the state that replaces it is on disk.
pub fn end(folder: &Path, task: &str) {
    let _ = std::fs::remove_file(result_file(folder, task));
    // A record that stays behind costs one content check at the next start, so a failure here is no fault.
    let _ = std::fs::remove_file(file(folder, task));
}

/// The record a dead process left for this task, if any.
pub fn find(folder: &Path, task: &str) -> Option<Intent> {
    let bytes = std::fs::read(file(folder, task)).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Intent {
        task: task.to_owned(),
        foreign: None,
        larder: None,
    }))
}

/// When the record of a task was written, by the clock that stamps files, in nanoseconds since 1970.
///
/// # Errors
/// When it is not there.
pub fn written_ns(folder: &Path, task: &str) -> std::io::Result<i64> {
    let written = std::fs::metadata(file(folder, task))?.modified()?;
    let since = written
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(std::io::Error::other)?;
    i64::try_from(since.as_nanos()).map_err(std::io::Error::other)
}

/// Whether any record is there at all: one call, so that the usual start pays for no more.
pub fn any(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}
