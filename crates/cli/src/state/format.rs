//! The serialised form of a workspace's state file, version 5; bytes in `docs/formats.md`.
//! Knows nothing of when it is read or written.

use std::collections::BTreeMap;

use larder_cache::Row;
use serde::{Deserialize, Serialize};

/// First bytes of the file: name and version.
pub(super) const MAGIC: [u8; 8] = *b"LRDSTAT5";

/// The decoded head of a state file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// What is known of each task.
    pub(super) tasks: BTreeMap<String, Record>,
}

/// One task in the head: its state and where its blobs lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) task: super::TaskState,
    pub(super) explanation: Option<Blob>,
    pub(super) log: Option<Blob>,
    pub(super) chunks: Option<Blob>,
    pub(super) attempt: Option<Blob>,
    /// How long its last successful executions took, in milliseconds, the newest last.
    pub(super) recent_ms: Vec<u64>,
}

/// Position of a blob, counted from the end of the head, and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Blob {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) digest: [u8; 32],
}

/// What is known of the last success of a task in this workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Success {
    /// The key it ran or was restored under.
    pub key: [u8; 32],
    /// Digest of its output manifest and its dependencies' closures.
    pub closure: [u8; 32],
    /// Whether its outputs are kept in the cache.
    pub stored: bool,
    /// How long it took when it last ran, in milliseconds.
    pub duration_ms: u64,
    /// The inputs it discovered, where it has a depfile.
    pub discovered: Option<Vec<Vec<u8>>>,
}

/// Where the outputs of a task stand.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskState {
    /// The last success, unless a failure or an interruption followed it.
    pub success: Option<Success>,
    /// Paths a run or restore of this task wrote, relative to the workspace, with what it wrote.
    pub owned: Vec<Row>,
}

/// What an execution read and printed that was not a success which is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The key it ran under.
    pub key: [u8; 32],
    /// The explanation of the key, as bytes; absent where that of the task stands for it.
    pub explanation: Option<Vec<u8>>,
    /// What it printed, in the stored form of a log: under its own name, or those of its chunks that ran and are not kept.
    pub logs: Vec<(String, Vec<u8>)>,
}

/// Encodes a head with its magic, length and checksum.
pub(super) fn encode_head(head: &Head) -> Result<Vec<u8>, postcard::Error> {
    let body = postcard::to_stdvec(head)?;
    let mut bytes = Vec::with_capacity(body.len() + 48);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Length of what precedes the head's body.
pub(super) const PREFIX: usize = 48;

/// Reads the prefix: the body's length and checksum. `None` for anything foreign.
pub(super) fn decode_prefix(bytes: &[u8; PREFIX]) -> Option<(u64, [u8; 32])> {
    let (magic, rest) = bytes.split_at(8);
    let (length, checksum) = rest.split_at(8);
    if magic != MAGIC {
        return None;
    }
    Some((
        u64::from_le_bytes(length.try_into().ok()?),
        checksum.try_into().ok()?,
    ))
}

/// Decodes a head's body after checking it. `None` for anything corrupt.
pub(super) fn decode_head(body: &[u8], checksum: [u8; 32]) -> Option<Head> {
    if *blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    postcard::from_bytes(body).ok()
}
