//! Manifests of inputs: what matched, by path, kind, executable bit and digest, and one digest for all.
//! Knows nothing of how the files were found.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RowKind {
    /// A regular file; the digest is of its content.
    File,
    /// A link; the digest is of its text and of the content it leads to, if any.
    Link,
    /// A folder without anything in it.
    EmptyDir,
    /// A file that was named and is not there.
    Absent,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// Path, '/'-separated bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: RowKind,
    /// Whether its owner may execute it; only files have this.
    pub executable: bool,
    /// See [`RowKind`]; zeros where there is nothing to digest.
    pub digest: Digest,
}

impl Row {
    /// The row of a file that was named and is missing.
    pub fn absent(path: &[u8]) -> Self {
        Self {
            path: path.to_vec(),
            kind: RowKind::Absent,
            executable: false,
            digest: Digest::default(),
        }
    }
}

/// The digest of a manifest, in the order given: sort rows by path before. Every part carries its length.
pub fn manifest_digest<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut record = Vec::new();
    for row in rows {
        record.clear();
        record.extend_from_slice(&(row.path.len() as u64).to_le_bytes());
        record.extend_from_slice(&row.path);
        record.push(row.kind as u8);
        record.push(u8::from(row.executable));
        record.extend_from_slice(&row.digest.0);
        hasher.update(&record);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The digest of a link: its text and, when it leads to a file, that file's digest.
pub(crate) fn link_digest(text: &[u8], target: Option<Digest>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&(text.len() as u64).to_le_bytes())
        .update(text);
    if let Some(target) = target {
        hasher.update(&target.0);
    }
    Digest(*hasher.finalize().as_bytes())
}
