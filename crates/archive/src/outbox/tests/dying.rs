//! A disk in memory that forgets what was not synced, and a fuse that ends a process at its n-th step.
//! Stricter than any file system: of two names that changed, either may be forgotten.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::outbox::disk::Disk;
use crate::{Destination, DestinationError, MemoryDestination, Name};

/// Ends a process at its n-th step that changes or asks anything outside.
pub(super) struct Fuse {
    left: AtomicUsize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The n-th step does not happen, nor does any after it.
    DiesBefore,
    /// The n-th step happens, and none after it.
    DiesAfter,
    /// The n-th step fails, and all others go well.
    Fails,
}

impl Fuse {
    pub(super) fn new(nth: usize, kind: Kind) -> Self {
        let left = AtomicUsize::new(nth);
        Self { left, kind }
    }

    pub(super) fn never() -> Self {
        Self::new(usize::MAX, Kind::Fails)
    }

    /// Whether the step was reached.
    pub(super) fn is_burnt(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn step<T>(&self, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let dead = || io::Error::other("the process is dead");
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match (before, self.kind) {
            (Ok(1), Kind::DiesAfter) => {
                action()?;
                Err(dead())
            }
            (Ok(1), _) => Err(dead()),
            (Ok(_), _) | (Err(_), Kind::Fails) => action(),
            (Err(_), _) => Err(dead()),
        }
    }
}

/// What a process sees of something outside.
pub(super) struct Dying<T> {
    pub(super) inner: Arc<T>,
    pub(super) fuse: Arc<Fuse>,
}

impl Disk for Dying<MemoryDisk> {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn stamp(&self, folder: &Path) -> io::Result<Option<u128>> {
        self.inner.stamp(folder)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        // Whoever is killed meanwhile leaves half of it.
        self.inner.write(path, &content[..content.len() / 2])?;
        self.fuse.step(|| self.inner.write(path, content))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fuse.step(|| self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fuse.step(|| self.inner.remove(path))
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        self.fuse.step(|| self.inner.sync(folder))
    }
}

impl Dying<MemoryDestination> {
    fn step<T>(
        &self,
        action: impl FnOnce() -> Result<T, DestinationError>,
    ) -> Result<T, DestinationError> {
        let mut result = None;
        let stepped = self.fuse.step(|| {
            result = Some(action());
            Ok(())
        });
        match (stepped, result) {
            (Ok(()), Some(result)) => result,
            (stepped, _) => Err(DestinationError::Io {
                action: "reach",
                place: "there".into(),
                cause: stepped.err().unwrap(),
            }),
        }
    }
}

impl Destination for Dying<MemoryDestination> {
    fn put(&self, name: &Name, content: &[u8]) -> Result<(), DestinationError> {
        self.step(|| self.inner.put(name, content))
    }

    fn put_file(&self, name: &Name, file: &Path) -> Result<(), DestinationError> {
        self.step(|| self.inner.put_file(name, file))
    }

    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError> {
        self.step(|| self.inner.get(name))
    }

    fn read_into(&self, name: &Name, to: &mut dyn Write) -> Result<bool, DestinationError> {
        self.step(|| self.inner.read_into(name, to))
    }

    fn list(&self) -> Result<Vec<Name>, DestinationError> {
        self.step(|| self.inner.list())
    }
}

/// Files as they are seen, and the names that changed since their folder was last synced.
#[derive(Default)]
pub(super) struct MemoryDisk(Mutex<Names>);

#[derive(Default)]
struct Names {
    seen: BTreeMap<PathBuf, Vec<u8>>,
    kept: BTreeMap<PathBuf, Vec<u8>>,
    /// In order: a name, and its content, or that it is gone.
    changed: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// So many changes there were.
    changes: u128,
    /// So many files were read.
    reads: usize,
}

impl Names {
    fn set(&mut self, path: &Path, content: Option<Vec<u8>>) {
        self.changes += 1;
        apply(&mut self.seen, path, content.clone());
        self.changed.push((path.to_owned(), content));
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Vec<u8>>, path: &Path, content: Option<Vec<u8>>) {
    match content {
        Some(content) => names.insert(path.to_owned(), content),
        None => names.remove(path),
    };
}

impl MemoryDisk {
    /// The power is cut: of each change that was not synced, `survives` says whether it is kept.
    pub(super) fn cut(&self, mut survives: impl FnMut() -> bool) {
        let mut names = self.0.lock().unwrap();
        for (path, content) in std::mem::take(&mut names.changed) {
            if survives() {
                apply(&mut names.kept, &path, content);
            }
        }
        names.seen = names.kept.clone();
    }

    pub(super) fn reads(&self) -> usize {
        self.0.lock().unwrap().reads
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut names = self.0.lock().unwrap();
        names.reads += 1;
        Ok(names.seen.get(path).cloned())
    }

    fn stamp(&self, _: &Path) -> io::Result<Option<u128>> {
        Ok(Some(self.0.lock().unwrap().changes))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = self.0.lock().unwrap();
        let paths = names.seen.keys();
        Ok(paths
            .filter(|path| path.parent() == Some(folder))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().set(path, Some(content.to_vec()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.0.lock().unwrap();
        let content = names.seen.get(from).cloned();
        let content = content.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        names.set(to, Some(content));
        names.set(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().set(path, None);
        Ok(())
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        let names = &mut *self.0.lock().unwrap();
        let (synced, other) = std::mem::take(&mut names.changed)
            .into_iter()
            .partition(|(path, _)| path.parent() == Some(folder));
        names.changed = other;
        let synced: Vec<(PathBuf, Option<Vec<u8>>)> = synced;
        for (path, content) in synced {
            apply(&mut names.kept, &path, content);
        }
        Ok(())
    }
}
