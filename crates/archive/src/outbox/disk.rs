//! The seam below an outbox: the few things that it does to a disk, each one step of a crash.
//! Does not know what the files mean.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::directory::sync_folder;

/// No file system counts in longer ticks.
const SETTLED: Duration = Duration::from_secs(3);

/// What an outbox does to a disk.
///
/// - `write` makes a file; its content survives a power cut as soon as its name does.
/// - `rename` replaces; `remove` of what is missing is fine. Of each of their effects a power cut leaves all or nothing, in any order, unless
///   `sync` of the folder came between.
pub(crate) trait Disk: Send + Sync {
    /// The content of a file; `None` when it is missing.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// The names in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A number that is another one once a name in the folder changed; `None` where that cannot be told yet.
    fn stamp(&self, folder: &Path) -> io::Result<Option<u128>>;
    /// Makes a file and syncs it.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Gives a file another name, in whose place there may be one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Syncs the names in a folder.
    fn sync(&self, folder: &Path) -> io::Result<()>;
}

/// The disk of this machine.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            // What is no text was not written here.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn stamp(&self, folder: &Path) -> io::Result<Option<u128>> {
        let modified = fs::metadata(folder)?.modified()?;
        // Within a tick of the file system's clock there may be a second change.
        let settled = modified.elapsed().is_ok_and(|age| age > SETTLED);
        let since = modified.duration_since(UNIX_EPOCH).ok();
        Ok(since.filter(|_| settled).map(|since| since.as_nanos()))
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)
    }
}
