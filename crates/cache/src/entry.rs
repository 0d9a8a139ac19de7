//! What the store holds under a key.
//! Knows nothing of how it is written down (see [`crate::format`]).

use std::collections::BTreeMap;

use crate::{ArtifactId, Manifest};

/// The result of one successful run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The outputs.
    pub manifest: Manifest,
    /// Where their bytes are; `None` when there are no outputs, or when they are `inline`.
    pub artifact: Option<ArtifactId>,
    /// The artifact itself, where it is small enough to cost no file of its own.
    pub inline: Option<Vec<u8>>,
    /// The captured output, as the caller encodes it.
    pub log: Vec<u8>,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// Where the result came from; for reports, never compared.
    pub provenance: Provenance,
    /// Digest of the root that the outputs are bound to, if they hold its absolute path.
    pub root: Option<[u8; 32]>,
    /// Data of the caller, not looked into.
    pub note: Vec<u8>,
}

/// Where an entry came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    /// The task's name.
    pub task: String,
    /// When the entry was made: nanoseconds since 1970 UTC.
    pub created_ns: i64,
    /// Anything else worth telling.
    pub extra: BTreeMap<String, String>,
}
