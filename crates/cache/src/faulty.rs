//! A store that fails when told to, for tests.
//! Knows nothing of the store it wraps.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{ArtifactId, Entry, Error, Key, Put, PutOutcome, Result, Source, Store};

/// Passes calls on, except that the n-th fails (and, if so made, all after it). Readers are not counted.
pub struct Faulty<S> {
    inner: S,
    calls: AtomicU64,
    nth: u64,
    after: bool,
}

impl<S: Store> Faulty<S> {
    /// Fails the `nth` call alone, counted from 1; 0 fails none.
    pub fn nth(inner: S, nth: u64) -> Self {
        Self {
            inner,
            calls: AtomicU64::new(0),
            nth,
            after: false,
        }
    }

    /// Fails the `nth` call, counted from 1, and all after it.
    pub fn from_nth(inner: S, nth: u64) -> Self {
        Self {
            after: true,
            ..Self::nth(inner, nth)
        }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn count(&self) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if call == self.nth || (self.after && call > self.nth) {
            return Err(Error::Other(format!("call {call} was told to fail")));
        }
        Ok(())
    }
}

impl<S: Store> Store for Faulty<S> {
    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.count()?;
        self.inner.get(key)
    }
    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome> {
        self.count()?;
        self.inner.put(key, entry, how)
    }
    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>> {
        self.count()?;
        self.inner.open(id)
    }
    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()> {
        self.count()?;
        self.inner.save(id, source)
    }
    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>> {
        self.count()?;
        self.inner.missing(ids)
    }
}
