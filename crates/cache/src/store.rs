//! The seam to wherever entries and artifacts are kept.
//! Knows nothing of disks or networks; what an implementor must keep is tested by [`crate::contract`].

use std::io::Read;
use std::path::Path;

use crate::{ArtifactId, Entry, Key, Result};

/// What to do when a key already has an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The first result stays.
    First,
    /// The new one takes its place.
    Replace,
}

/// What a put found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// There was no usable entry; this one is stored now.
    Stored,
    /// The key's entry has the same outputs. With [`Put::First`] it was left as it was.
    Same,
    /// The key had other outputs: the task is not deterministic. This is that entry; with [`Put::First`]
    /// it is still the stored one, with [`Put::Replace`] it was replaced. [`crate::diff`] names the files.
    Different(Box<Entry>),
}

/// Where an artifact's bytes come from.
pub enum Source<'a> {
    /// A file that nobody writes to any more. A store may link it instead of copying.
    File(&'a Path),
    /// A stream, read to its end.
    Reader(&'a mut dyn Read),
}

/// Keeps entries under their keys and artifacts under their content digests.
///
/// The safe wrong answer is always "no": a store may forget anything at any time, but whatever `get` returns
/// must be what a `put` stored under exactly that key. Data it cannot trust (corrupt, truncated, of another
/// version) is absent, not an error; errors are for a store that cannot answer. Artifacts need not be verified
/// by `open`: whoever restores them does.
pub trait Store: Send + Sync {
    /// The entry under `key`, if the store has it and its artifact.
    ///
    /// # Errors
    /// When the store cannot answer.
    fn get(&self, key: &Key) -> Result<Option<Entry>>;

    /// Stores an entry whose artifact was saved before.
    ///
    /// # Errors
    /// [`crate::Error::NoArtifact`] when the artifact is not there; otherwise when the store cannot write.
    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome>;

    /// The artifact's bytes, if the store has it.
    ///
    /// # Errors
    /// When the store cannot answer.
    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>>;

    /// Keeps an artifact; one that is already there is left alone.
    ///
    /// # Errors
    /// [`crate::Error::WrongArtifact`] when a stream has another digest (nothing is kept); otherwise when the store cannot write.
    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()>;

    /// Those of `ids` that the store does not have, in the order given.
    ///
    /// # Errors
    /// When the store cannot answer.
    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>>;
}

impl<S: Store + ?Sized> Store for &S {
    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        (**self).get(key)
    }
    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome> {
        (**self).put(key, entry, how)
    }
    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>> {
        (**self).open(id)
    }
    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()> {
        (**self).save(id, source)
    }
    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>> {
        (**self).missing(ids)
    }
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        (**self).get(key)
    }
    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome> {
        (**self).put(key, entry, how)
    }
    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>> {
        (**self).open(id)
    }
    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()> {
        (**self).save(id, source)
    }
    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>> {
        (**self).missing(ids)
    }
}
