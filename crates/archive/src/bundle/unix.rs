//! A folder that is walked by descriptors, so that no link in it is ever followed, whoever changes it meanwhile.
//! Does not know what is written there.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An open folder.
pub(super) struct Tree {
    root: OwnedFd,
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
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, root, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// What is at `name`.
    pub(super) fn look(&self, name: &str) -> io::Result<Found> {
        let (folders, last) = split(name);
        let mut folder = self.root.try_clone()?;
        for part in folders {
            folder = match openat(&folder, part, FOLDER, Mode::empty()) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => return Ok(Found::Absent),
                Err(Errno::LOOP | Errno::NOTDIR) => return Ok(Found::Other),
                Err(error) => return Err(error.into()),
            };
        }
        // Without blocking: what is there may be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&folder, last, flags, Mode::empty()) {
            Ok(file) => {
                use std::os::unix::fs::PermissionsExt;
                let file = File::from(file);
                let found = file.metadata()?;
                if !found.is_file() {
                    return Ok(Found::Other);
                }
                let executable = found.permissions().mode() & 0o100 != 0;
                Ok(Found::File { file, executable })
            }
            Err(Errno::NOENT) => Ok(Found::Absent),
            Err(Errno::LOOP | Errno::NXIO) => Ok(Found::Other),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file under a temporary name beside its own, syncs it, and renames it to `name`; a link there is replaced, never followed.
    /// Missing folders are made.
    pub(super) fn put(
        &self,
        name: &str,
        executable: bool,
        write: &mut dyn FnMut(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let (folders, last) = split(name);
        let mut folder = self.root.try_clone()?;
        for part in folders {
            match mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = openat(&folder, part, FOLDER, Mode::empty())?;
        }
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let temporary = format!(
            "{}{}",
            crate::durable::TEMPORARY,
            crate::digest::hex(&random)
        );
        let mut file = File::from(openat(&folder, temporary.as_str(), flags, mode)?);
        let placed = write(&mut file)
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(&folder, temporary.as_str(), &folder, last)?));
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = unlinkat(&folder, temporary.as_str(), AtFlags::empty());
        }
        placed
    }
}

fn split(name: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, last) = name.rsplit_once('/').unwrap_or(("", name));
    (folders.split('/').filter(|part| !part.is_empty()), last)
}
