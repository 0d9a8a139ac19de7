//! Several stores as one: the first is the nearest, and what a further one knows is brought nearer.
//! Knows nothing of what the layers are; their failures are warnings.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use crate::{ArtifactId, Entry, Error, Key, Put, PutOutcome, Result, Source, Store};

/// One store of a [`Layered`].
pub struct Layer {
    /// For warnings.
    pub name: String,
    /// The store.
    pub store: Box<dyn Store>,
    /// Whether entries may come from it.
    pub read: bool,
    /// Whether results go to it.
    pub write: bool,
}

/// A layer failed and was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The layer's name.
    pub layer: String,
    /// What was tried.
    pub action: &'static str,
    /// Its error.
    pub cause: String,
}

/// Stores in order of nearness. A layer that fails is passed over: reads never fail because of a layer, writes only when all do; it finds or
/// keeps less, and [`Layered::take_warnings`] tells.
pub struct Layered {
    layers: Vec<Layer>,
    warnings: Mutex<Vec<Warning>>,
}

/// More warnings than this are not kept: a layer that is down would say the same for each task.
const MOST_WARNINGS: usize = 64;

impl Layered {
    /// The nearest layer first.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self {
            layers,
            warnings: Mutex::default(),
        }
    }

    /// The failures since the last call.
    pub fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn warn(&self, layer: &Layer, action: &'static str, cause: &Error) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < MOST_WARNINGS {
            warnings.push(Warning {
                layer: layer.name.clone(),
                action,
                cause: cause.to_string(),
            });
        }
    }

    /// The value, or a warning and `None`.
    fn tried<T>(&self, layer: &Layer, action: &'static str, result: Result<T>) -> Option<T> {
        result
            .inspect_err(|error| self.warn(layer, action, error))
            .ok()
    }

    fn readable(&self) -> impl Iterator<Item = (usize, &Layer)> {
        let layers = self.layers.iter().enumerate();
        layers.filter(|(_, layer)| layer.read)
    }

    fn writable(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.write)
    }

    /// Copies an entry and its artifact from a layer to the nearer ones; false when the artifact cannot be had.
    fn bring_nearer(&self, from: usize, key: &Key, entry: &Entry) -> bool {
        let source = &self.layers[from];
        for layer in self.layers[..from].iter().filter(|layer| layer.write) {
            if let Some(id) = entry.artifact {
                let Some(artifact) = self.tried(source, "open", source.store.open(&id)) else {
                    return false;
                };
                let Some(mut reader) = artifact else {
                    return false;
                };
                match layer.store.save(&id, Source::Reader(&mut reader)) {
                    Ok(()) => {}
                    Err(error @ Error::WrongArtifact(_)) => {
                        self.warn(source, "open", &error);
                        return false;
                    }
                    Err(error) => {
                        self.warn(layer, "save", &error);
                        continue;
                    }
                }
            }
            self.tried(layer, "put", layer.store.put(key, entry, Put::First));
        }
        true
    }
}

impl Store for Layered {
    /// The first layer's answer wins; one from further away is copied to the nearer layers first.
    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        for (at, layer) in self.readable() {
            let found = self.tried(layer, "get", layer.store.get(key)).flatten();
            if let Some(entry) = found
                && self.bring_nearer(at, key, &entry)
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Puts into every writable layer; the nearest that answers decides the outcome.
    ///
    /// # Errors
    /// When no layer could store it although one should have: the nearest layer's error.
    fn put(&self, key: &Key, entry: &Entry, how: Put) -> Result<PutOutcome> {
        let mut outcome = None;
        let mut failure: Option<Error> = None;
        for layer in self.writable() {
            match layer.store.put(key, entry, how) {
                Ok(done) => {
                    // What a nearer layer calls new may still differ from a further one's first.
                    if matches!(outcome, None | Some(PutOutcome::Stored)) {
                        outcome = Some(done);
                    }
                }
                Err(error) => {
                    // A miss is the caller's doing, or was told when the artifact could not be saved.
                    if !error.is_miss() {
                        self.warn(layer, "put", &error);
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        match (outcome, failure) {
            (Some(outcome), _) => Ok(outcome),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(PutOutcome::Stored),
        }
    }

    fn open(&self, id: &ArtifactId) -> Result<Option<Box<dyn Read + Send>>> {
        for (_, layer) in self.readable() {
            let found = self.tried(layer, "open", layer.store.open(id)).flatten();
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Saves into every writable layer. A stream goes to the nearest, the others read it from there.
    ///
    /// # Errors
    /// When no layer could keep it although one should have: the nearest layer's error.
    fn save(&self, id: &ArtifactId, source: Source<'_>) -> Result<()> {
        let mut stream = match source {
            Source::File(path) => {
                return self.save_each(|layer| layer.store.save(id, Source::File(path)));
            }
            Source::Reader(reader) => Some(reader),
        };
        let mut kept: Option<&Layer> = None;
        self.save_each(|layer| {
            if let Some(first) = stream.take() {
                layer.store.save(id, Source::Reader(first))?;
                kept = Some(layer);
                return Ok(());
            }
            let copy = match kept {
                Some(layer) => layer.store.open(id)?,
                None => None,
            };
            let mut copy = copy.ok_or(Error::NoArtifact(*id))?;
            layer.store.save(id, Source::Reader(&mut copy))
        })
    }

    /// What any writable layer lacks.
    fn missing(&self, ids: &[ArtifactId]) -> Result<Vec<ArtifactId>> {
        let mut lacking = std::collections::BTreeSet::new();
        for layer in self.writable() {
            let answer = self.tried(layer, "missing", layer.store.missing(ids));
            lacking.extend(answer.unwrap_or_default());
        }
        let lacks = |id: &ArtifactId| lacking.contains(id);
        Ok(ids.iter().copied().filter(lacks).collect())
    }
}

impl Layered {
    fn save_each<'a>(&'a self, mut save: impl FnMut(&'a Layer) -> Result<()>) -> Result<()> {
        let mut kept = false;
        let mut failure: Option<Error> = None;
        for layer in self.writable() {
            match save(layer) {
                Ok(()) => kept = true,
                Err(error) => {
                    if !error.is_miss() {
                        self.warn(layer, "save", &error);
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) if !kept => Err(error),
            _ => Ok(()),
        }
    }
}
