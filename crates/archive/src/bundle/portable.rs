//! A folder whose parts are checked for links just before use. Between the check and the use another process can change them.
//! Does not know what is written there. Was never run: it is for systems without descriptors of folders.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::{parent, temporary_in};

/// An open folder.
pub(super) struct Tree {
    root: PathBuf,
}

/// What is at a path.
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// A regular file, open for reading.
    File { file: File, executable: bool },
    /// Something that is not replaced, at the path or above it.
    Other,
}

impl Tree {
    /// Opens the folder; links that lead to it are the caller's.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        Ok(Self { root })
    }

    /// What is at `name`. No file is executable here.
    pub(super) fn look(&self, name: &str) -> io::Result<Found> {
        let mut path = self.root.clone();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(found) if parts.peek().is_some() && found.is_dir() => {}
                Ok(found) if parts.peek().is_none() && found.is_file() => {
                    let file = File::open(&path)?;
                    let executable = false;
                    return Ok(Found::File { file, executable });
                }
                Ok(_) => return Ok(Found::Other),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Found::Absent)
    }

    /// Writes a file under a temporary name beside its own, syncs it, and renames it to `name`. Missing folders are made.
    pub(super) fn put(
        &self,
        name: &str,
        _executable: bool,
        write: &mut dyn FnMut(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        if matches!(self.look(name)?, Found::Other) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let path: PathBuf = self.root.join(name.split('/').collect::<PathBuf>());
        let folder = parent(&path);
        fs::create_dir_all(folder)?;
        let mut file = temporary_in(folder)?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|refused| refused.error)?;
        Ok(())
    }
}
