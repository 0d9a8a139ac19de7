//! Cookies: events of one's own, which tell that all earlier events were read.
//! Does not wait for them.

use std::io;
use std::path::{Path, PathBuf};

/// One file in a watched folder, which takes a new name for each cookie: that is one event of a name that never was, and
/// costs less than to make and remove a file.
#[derive(Debug)]
pub(super) struct Cookies {
    pub(super) folder: PathBuf,
    /// What all names begin with: no other process has it.
    random: String,
    count: u64,
    current: Option<PathBuf>,
}

impl Cookies {
    /// Cookies in a folder that may not be there yet.
    pub(super) fn new(folder: PathBuf) -> io::Result<Cookies> {
        use std::fmt::Write as _;
        let mut bytes = [0; 12];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let mut random = String::new();
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(random, "{byte:02x}");
        }
        Ok(Cookies {
            folder,
            random,
            count: 0,
            current: None,
        })
    }

    /// Makes the folder, but none above it, and removes what killed processes left there. Who still uses a file of these
    /// makes another one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match std::fs::create_dir(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for entry in std::fs::read_dir(&self.folder)?.flatten() {
            // Left over, it takes a little room and nothing else.
            let _ = std::fs::remove_file(entry.path());
        }
        Ok(())
    }

    /// Lays a cookie: the path whose event is to be waited for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn lay(&mut self) -> io::Result<PathBuf> {
        self.count += 1;
        let path = self.folder.join(format!("{}-{}", self.random, self.count));
        match self.current.take() {
            Some(current) => match std::fs::rename(&current, &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path)?,
                other => other?,
            },
            None => create(&path)?,
        }
        self.current = Some(path.clone());
        Ok(path)
    }
}

fn create(path: &Path) -> io::Result<()> {
    std::fs::File::create_new(path).map(drop)
}

impl Drop for Cookies {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            // As for those that killed processes left.
            let _ = std::fs::remove_file(current);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_cookies_have_one_name_and_one_file_is_there_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cookies");
        let mut cookies = Cookies::new(folder.clone()).unwrap();
        assert_eq!(cookies.lay().unwrap_err().kind(), io::ErrorKind::NotFound);
        cookies.prepare().unwrap();
        let mut laid = std::collections::BTreeSet::new();
        for round in 0..5 {
            let path = cookies.lay().unwrap();
            assert!(path.exists() && laid.insert(path));
            assert_eq!(folder.read_dir().unwrap().count(), 1);
            if round == 2 {
                // Another process makes room.
                Cookies::new(folder.clone()).unwrap().prepare().unwrap();
                assert_eq!(folder.read_dir().unwrap().count(), 0);
            }
        }
        drop(cookies);
        assert_eq!(folder.read_dir().unwrap().count(), 0);
    }
}
