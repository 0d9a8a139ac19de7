//! A cookie: a file whose event tells that all earlier events were read.
//! Does not wait for it.

use std::io;
use std::path::{Path, PathBuf};

/// A file that is removed when this goes.
#[derive(Debug)]
pub(super) struct Cookie {
    pub(super) path: PathBuf,
}

impl Cookie {
    /// Creates one of a name that no other has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn new(folder: &Path) -> io::Result<Cookie> {
        use std::fmt::Write as _;
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut name = String::new();
        for byte in random {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let path = folder.join(name);
        std::fs::File::create_new(&path)?;
        Ok(Cookie { path })
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        // Left over, it would only take a little room; the next one who watches removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the folder of cookies, but none above it, and removes what killed processes left there.
///
/// # Errors
/// When it cannot be made.
pub(super) fn folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for entry in std::fs::read_dir(folder)?.flatten() {
        // One that is still in use has told its event already.
        let _ = std::fs::remove_file(entry.path());
    }
    Ok(())
}
