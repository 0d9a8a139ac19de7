//! The disk of a Unix system, through paths relative to open folders.
//! Knows nothing beyond single calls: no walking, no memo.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::RwLock;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{digest_of, now_ns};
use crate::files::{Hashed, Kind, Listed, Moment, Stat, join};

/// From this many names on, opening their folder is cheaper than walking its path for each.
const WORTH_OPENING: usize = 8;

/// The same for reading, where each name walks the path but once.
const WORTH_OPENING_TO_READ: usize = 3;

#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    mounts: Vec<(Vec<u8>, OwnedFd)>,
    /// Devices seen, and whether their time stamps are multigrain.
    fine: RwLock<Vec<(u64, bool)>>,
}

impl Root {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: open_root(root)?,
            mounts: Vec::new(),
            fine: RwLock::default(),
        })
    }

    pub(super) fn mount(&mut self, prefix: &[u8], folder: &Path) -> io::Result<()> {
        self.mounts.push((prefix.to_vec(), open_root(folder)?));
        Ok(())
    }

    /// The open folder that a path starts at, and the rest of the path.
    fn start<'p>(&self, path: &'p [u8]) -> (BorrowedFd<'_>, &'p [u8]) {
        // The usual case costs nothing.
        if !self.mounts.is_empty() {
            let end = path.iter().position(|byte| *byte == b'/');
            let (first, rest) = match end {
                Some(end) => (&path[..end], &path[end + 1..]),
                None => (path, &b""[..]),
            };
            if let Some((_, folder)) = self.mounts.iter().find(|(prefix, _)| prefix == first) {
                return (folder.as_fd(), rest);
            }
        }
        (self.folder.as_fd(), path)
    }

    fn stat_one(&self, path: &[u8], flags: AtFlags) -> io::Result<Option<Stat>> {
        let (start, path) = self.start(path);
        stat_at(start, or_dot(path), flags)
    }

    pub(super) fn stat_all(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        follow: bool,
        found: &mut dyn FnMut(usize, io::Result<Option<Stat>>),
    ) {
        let flags = if follow {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        };
        if names.len() >= WORTH_OPENING && !folder.is_empty() {
            let opened = self.open_at(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW);
            if let Ok(opened) = opened {
                for (index, name) in names.iter().enumerate() {
                    found(index, stat_at(opened.as_fd(), name, flags));
                }
                return;
            }
        }
        let mut path = folder.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        let base = path.len();
        for (index, name) in names.iter().enumerate() {
            path.truncate(base);
            path.extend_from_slice(name);
            found(index, self.stat_one(&path, flags));
        }
    }

    pub(super) fn list(&self, folder: &[u8]) -> io::Result<Option<Listed>> {
        let at_ns = now_ns();
        let opened = match self.open_at(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let before = convert(&rustix::fs::fstat(&opened)?);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let path = join(folder, name);
                    let stat = self.stat_one(&path, AtFlags::SYMLINK_NOFOLLOW)?;
                    match stat {
                        Some(stat) => stat.kind,
                        None => continue,
                    }
                }
                known => kind_of(known),
            };
            names.push((name.to_vec(), kind));
        }
        let after = convert(&rustix::fs::fstat(&opened)?);
        let fine = self.fine(before.dev, opened.as_fd());
        Ok(Some(Listed {
            before,
            after,
            moment: Moment { at_ns, fine },
            names,
        }))
    }

    pub(super) fn link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (start, path) = self.start(path);
        Ok(rustix::fs::readlinkat(start, path, Vec::new())?.into_bytes())
    }

    pub(super) fn hash(&self, path: &[u8], follow: bool, buffer: &mut [u8]) -> io::Result<Hashed> {
        let (start, path) = self.start(path);
        self.hash_at(start, path, follow, buffer)
    }

    pub(super) fn hash_in(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        buffer: &mut [u8],
        done: &mut dyn FnMut(usize, io::Result<Hashed>),
    ) {
        if names.len() >= WORTH_OPENING_TO_READ && !folder.is_empty() {
            let opened = self.open_at(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW);
            if let Ok(opened) = opened {
                for (index, name) in names.iter().enumerate() {
                    done(index, self.hash_at(opened.as_fd(), name, false, buffer));
                }
                return;
            }
        }
        for (index, name) in names.iter().enumerate() {
            done(index, self.hash(&join(folder, name), false, buffer));
        }
    }

    fn hash_at(
        &self,
        start: BorrowedFd<'_>,
        path: &[u8],
        follow: bool,
        buffer: &mut [u8],
    ) -> io::Result<Hashed> {
        let at_ns = now_ns();
        // Not blocking: a pipe put in the file's place must not hang the run.
        let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let file = match rustix::fs::openat(start, or_dot(path), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::LOOP) => return Err(io::ErrorKind::InvalidInput.into()),
            Err(Errno::NOTDIR) => return Err(io::ErrorKind::NotFound.into()),
            Err(error) => return Err(error.into()),
        };
        let before = convert(&rustix::fs::fstat(&file)?);
        if before.kind != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (digest, bytes) = digest_of(
            |buffer| Ok(rustix::io::read(&file, &mut *buffer)?),
            before.size,
            buffer,
        )?;
        let after = convert(&rustix::fs::fstat(&file)?);
        let multigrain = self.fine(before.dev, file.as_fd());
        Ok(Hashed {
            before,
            after,
            moment: Moment {
                at_ns,
                fine: multigrain,
            },
            digest,
            bytes,
        })
    }

    pub(super) fn read(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open_at(path, OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut content = Vec::new();
        io::Read::read_to_end(&mut std::fs::File::from(file), &mut content)?;
        Ok(Some(content))
    }

    fn open_at(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let (start, path) = self.start(path);
        rustix::fs::openat(start, or_dot(path), flags | OFlags::CLOEXEC, Mode::empty())
    }

    fn fine(&self, dev: u64, file: BorrowedFd<'_>) -> bool {
        if let Ok(known) = self.fine.read()
            && let Some((_, fine)) = known.iter().find(|(known, _)| *known == dev)
        {
            return *fine;
        }
        let answer = multigrain(file);
        if let Ok(mut known) = self.fine.write() {
            known.push((dev, answer));
        }
        answer
    }
}

fn open_root(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

fn or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

fn stat_at(folder: BorrowedFd<'_>, path: &[u8], flags: AtFlags) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(folder, path, flags) {
        Ok(stat) => Ok(Some(convert(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) if !flags.contains(AtFlags::SYMLINK_NOFOLLOW) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Link,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    }
}

// The fields' widths differ from system to system.
#[allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_lossless,
    clippy::unnecessary_cast,
    clippy::useless_conversion
)]
fn convert(stat: &rustix::fs::Stat) -> Stat {
    let nanoseconds =
        |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Stat {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        size: stat.st_size as u64,
        mtime_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        dev: stat.st_dev as u64,
        ino: stat.st_ino as u64,
        mode: (stat.st_mode as u32) & 0o7777,
        nlink: stat.st_nlink as u64,
    }
}

/// Whether the kernel gives each change after a stat a time stamp of its own on this file's file system.
#[cfg(target_os = "linux")]
fn multigrain(file: BorrowedFd<'_>) -> bool {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const TMPFS: u64 = 0x0102_1994;
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || {
        numbers
            .next()
            .and_then(|n| n.parse::<u32>().ok())
            .unwrap_or(0)
    };
    if (number(), number()) < (6, 13) {
        return false;
    }
    let Ok(statfs) = rustix::fs::fstatfs(file) else {
        return false;
    };
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let magic = (statfs.f_type as u64) & 0xffff_ffff;
    matches!(magic, EXT4 | XFS | BTRFS | TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn multigrain(_: BorrowedFd<'_>) -> bool {
    false
}
