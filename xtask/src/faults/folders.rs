//! Removes and copies whole folders.
//! Knows nothing of what lies in them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Removes a folder with all it holds; one that is not there is removed.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies a folder with its links and modes.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&path, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(path)?, target)?;
        } else {
            fs::copy(path, target)?;
        }
    }
    Ok(())
}
