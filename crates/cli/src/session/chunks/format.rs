//! The stored form of what is known of a task's chunks, version 2; see `docs/formats.md`.
//! Does not know where it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// First bytes: name and version.
const MAGIC: &[u8; 8] = b"LRDCHNK2";

/// What the last successes of a task's chunks left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    /// Files that chunks discovered, with the digest each had; zeros for a missing one. Sorted, each pair once.
    pub files: Vec<(Vec<u8>, [u8; 32])>,
    /// By the path of the source in the workspace. A chunk that failed is not among them.
    pub chunks: BTreeMap<Vec<u8>, Kept>,
}

/// What the last success of a chunk left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The key it ran or was restored under.
    pub key: [u8; 32],
    /// Digest of its source.
    pub source: [u8; 32],
    /// Chunks and tasks whose results its key holds, besides those that hold for every chunk, with the digests.
    pub deps: Vec<(String, [u8; 32])>,
    /// Which of the task's owned rows it wrote.
    pub rows: Vec<u32>,
    /// Which of the files it discovered, in its order; `None` where it has no depfile.
    pub discovered: Option<Vec<u32>>,
    /// Digest of the depfile that it wrote here, if that is no output.
    pub depfile: Option<[u8; 32]>,
    /// How long it took when it last ran, in milliseconds.
    pub duration_ms: u64,
    /// What it printed, in the stored form of a log; empty for nothing.
    pub log: Vec<u8>,
}

impl Table {
    /// The paths that a chunk discovered.
    pub(super) fn list(&self, kept: &Kept) -> Option<Vec<Vec<u8>>> {
        let path = |at: &u32| {
            let file = self.files.get(usize::try_from(*at).ok()?)?;
            Some(file.0.clone())
        };
        kept.discovered.as_ref()?.iter().map(path).collect()
    }
}

/// Encodes a table; `None` when it cannot be.
pub(super) fn encode(table: &Table) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(postcard::to_stdvec(table).ok()?);
    Some(bytes)
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub(super) fn decode(bytes: &[u8]) -> Option<Table> {
    postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_no_table() {
        let kept = Kept {
            key: [1; 32],
            source: [2; 32],
            deps: vec![("a#b[c]".into(), [3; 32])],
            rows: vec![0, 7],
            discovered: Some(vec![0]),
            depfile: Some([8; 32]),
            duration_ms: 4,
            log: Vec::new(),
        };
        let table = Table {
            files: vec![(b"a.h".to_vec(), [5; 32])],
            chunks: [(b"c\xff".to_vec(), kept.clone())].into(),
        };
        let bytes = encode(&table).unwrap();
        assert_eq!(decode(&bytes), Some(table.clone()));
        assert_eq!(table.list(&kept), Some(vec![b"a.h".to_vec()]));
        let mut newer = bytes.clone();
        newer[7] = b'3';
        assert_eq!(decode(&newer), None);
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        let beyond = Kept {
            discovered: Some(vec![9]),
            ..kept
        };
        assert_eq!(table.list(&beyond), None);
    }
}
