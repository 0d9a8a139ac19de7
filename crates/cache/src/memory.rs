//! The store in memory, for tests: stricter than a disk.
//! Knows nothing of files, except to read an artifact that is given as one.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Context;
use crate::{ArtifactId, Entry, Error, Key, Put, PutOutcome, Result, Source, Store, diff, format};

/// Keeps everything in memory. Stricter than [`crate::DiskStore`]: every artifact's digest is proved when it is saved,
/// and entries pass through their byte format both ways.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<Key, Vec<u8>>,
    artifacts: BTreeMap<ArtifactId, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces an artifact's bytes by any others, as a fault of the medium would.
    pub fn corrupt(&self, id: &ArtifactId, bytes: Vec<u8>) {
        self.kept().artifacts.insert(*id, bytes);
    }

    /// Forgets an artifact.
    pub fn forget(&self, id: &ArtifactId) {
        self.kept().artifacts.remove(id);
    }
}

impl Kept {
    fn entry(&self, key: &Key) -> Option<Entry> {
        let entry = format::decode(key, self.entries.get(key)?)?;
        let there = |id| self.artifacts.contains_key(&id);
        entry.artifact.is_none_or(there).then_some(entry)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(self.kept().entry(key))
    }

    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome> {
        let mut kept = self.kept();
        if let Some(id) = entry.artifact
            && !kept.artifacts.contains_key(&id)
        {
            return Err(Error::NoArtifact(id));
        }
        let first = kept.entry(key);
        if how == Put::Replace || first.is_none() {
            kept.entries.insert(*key, format::encode(key, entry));
        }
        Ok(match first {
            None => PutOutcome::Stored,
            Some(first) if diff(&first.manifest, &entry.manifest).is_empty() => PutOutcome::Same,
            Some(first) => PutOutcome::Different(Box::new(first)),
        })
    }

    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>> {
        let bytes = self.kept().artifacts.get(id).cloned();
        Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read + Send>))
    }

    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()> {
        let bytes = match source {
            Source::File(path) => std::fs::read(path).context("read", path)?,
            Source::Reader(reader) => {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).context("read", "artifact")?;
                bytes
            }
        };
        if blake3::hash(&bytes) != id.0 {
            return Err(Error::WrongArtifact(*id));
        }
        self.kept().artifacts.entry(*id).or_insert(bytes);
        Ok(())
    }

    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>> {
        let kept = self.kept();
        let absent = |id: &ArtifactId| !kept.artifacts.contains_key(id);
        Ok(ids.iter().copied().filter(absent).collect())
    }
}
