//! The door on Unix: everything is relative to an open folder, and `O_NOFOLLOW` guards each step.
//! Knows nothing of manifests or ownership.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Look, Stat, StatKind, Walk};
use crate::root::{Root, mount_of};

pub(crate) struct Tree {
    root: OwnedFd,
    path: PathBuf,
    mounts: Vec<Mount>,
}

struct Mount {
    prefix: Vec<u8>,
    folder: OwnedFd,
    path: PathBuf,
}

pub(crate) struct Dir {
    fd: OwnedFd,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

impl Tree {
    /// Opens the root and its mounts; links in their own paths are the caller's business.
    pub(crate) fn open(root: Root<'_>) -> io::Result<Self> {
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            fs::open(path, flags, Mode::empty())
        };
        let mounts = root.mounts.iter().map(|(prefix, path)| {
            Ok(Mount {
                prefix: prefix.clone(),
                folder: open(path)?,
                path: path.clone(),
            })
        });
        Ok(Self {
            root: open(root.folder)?,
            path: root.folder.to_path_buf(),
            mounts: mounts.collect::<io::Result<_>>()?,
        })
    }

    /// The open folder that a path starts at, that folder's own path, and how many bytes of the path led to it.
    fn start(&self, path: &[u8]) -> (&OwnedFd, &Path, usize) {
        match mount_of(&self.mounts, |mount| &mount.prefix, path) {
            Some((mount, skip)) => (&mount.folder, &mount.path, skip),
            None => (&self.root, &self.path, 0),
        }
    }

    /// The path for messages and for moves out of the tree.
    pub(crate) fn display(&self, path: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let (_, start, skip) = self.start(path);
        start.join(std::ffi::OsStr::from_bytes(&path[skip..]))
    }

    /// A path of the tree as one of the system.
    pub(crate) fn relative(path: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(std::ffi::OsStr::from_bytes(path))
    }

    /// Goes to a folder, step by step; with `create`, missing ones are made.
    pub(crate) fn walk(&self, folder: &[u8], create: bool) -> io::Result<Walk> {
        let (start, _, mut done) = self.start(folder);
        let mut fd = fs::openat(start, ".", FOLDER, Mode::empty())?;
        if done == folder.len() {
            return Ok(Walk::Found(Dir { fd }));
        }
        let below = &folder[done..];
        for (index, name) in below.split(|byte| *byte == b'/').enumerate() {
            done += name.len() + usize::from(index > 0);
            let mut next = fs::openat(&fd, name, FOLDER, Mode::empty());
            if create && matches!(next, Err(Errno::NOENT)) {
                match fs::mkdirat(&fd, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                next = fs::openat(&fd, name, FOLDER, Mode::empty());
            }
            fd = match next {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(Walk::Missing),
                Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                    let at = folder[..done].to_vec();
                    return Ok(Walk::Blocked { at });
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Walk::Found(Dir { fd }))
    }

    /// The stat of `path` itself; links above it are followed.
    pub(crate) fn stat(&self, path: &[u8]) -> io::Result<Option<Stat>> {
        let (start, _, skip) = self.start(path);
        match fs::statat(start, &path[skip..], AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(convert(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What lies at `path`, without passing through any link.
    pub(crate) fn look(&self, path: &[u8]) -> io::Result<Look> {
        #[cfg(target_os = "linux")]
        if let Some(look) = self.look_fast(path) {
            return look;
        }
        super::look_slowly(self, path)
    }

    /// One `openat2` for the common cases; anything else is left to the slow look.
    #[cfg(target_os = "linux")]
    fn look_fast(&self, path: &[u8]) -> Option<io::Result<Look>> {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let (start, _, skip) = self.start(path);
        let fd = match fs::openat2(start, &path[skip..], READ, Mode::empty(), resolve) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Some(Ok(Look::Missing)),
            Err(_) => return None,
        };
        let file = File::from(fd);
        Some(stat_fd(&file).map(|stat| match stat.kind {
            StatKind::File => Look::File(file, stat),
            StatKind::Dir => Look::Dir(stat),
            StatKind::Link | StatKind::Other => Look::Other,
        }))
    }
}

impl Dir {
    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(convert(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn open(&self, name: &[u8]) -> io::Result<File> {
        Ok(fs::openat(&self.fd, name, READ, Mode::empty())?.into())
    }

    /// Opens an existing file for writing, without cutting it.
    pub(crate) fn open_write(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fs::openat(&self.fd, name, flags, Mode::empty())?.into())
    }

    /// Makes a new file; one that exists is an error.
    pub(crate) fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600))?.into())
    }

    pub(crate) fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(&self.fd, name, Vec::new())?.into_bytes())
    }

    pub(crate) fn link(&self, text: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(fs::symlinkat(text, &self.fd, name)?)
    }

    pub(crate) fn make_dir(&self, name: &[u8], mode: u32) -> io::Result<()> {
        #[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]
        let mode = Mode::from_raw_mode(mode as rustix::fs::RawMode);
        fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777))?;
        let made = fs::openat(&self.fd, name, FOLDER, Mode::empty())?;
        Ok(fs::fchmod(&made, mode)?)
    }

    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Moves `name` to a path outside; across file systems this fails with `CrossesDevices`.
    pub(crate) fn rename_out(&self, name: &[u8], to: &Path) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, name, fs::CWD, to)?)
    }

    pub(crate) fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes a folder that is empty.
    pub(crate) fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Whether the folder `name` holds nothing.
    pub(crate) fn is_empty(&self, name: &[u8]) -> io::Result<bool> {
        let fd = fs::openat(&self.fd, name, FOLDER, Mode::empty())?;
        for item in fs::Dir::new(fd)? {
            let item = item?;
            if item.file_name() != c"." && item.file_name() != c".." {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The names in this folder.
    pub(crate) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for item in fs::Dir::read_from(&self.fd)? {
            let name = item?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Sets the modification time of `name` itself, be it a link.
    pub(crate) fn touch(&self, name: &[u8], time: SystemTime) -> io::Result<()> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        #[allow(clippy::cast_possible_wrap)]
        let stamp = fs::Timespec {
            tv_sec: since.as_secs() as _,
            tv_nsec: since.subsec_nanos().into(),
        };
        let times = fs::Timestamps {
            last_access: stamp,
            last_modification: stamp,
        };
        Ok(fs::utimensat(
            &self.fd,
            name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}

pub(crate) fn stat_fd(file: impl AsFd) -> io::Result<Stat> {
    Ok(convert(&fs::fstat(file)?))
}

// The types of these fields differ between systems; every value fits.
#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    clippy::cast_lossless
)]
fn convert(stat: &fs::Stat) -> Stat {
    let nanos = |seconds: i128, nanos: i128| seconds * 1_000_000_000 + nanos;
    Stat {
        kind: match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => StatKind::File,
            FileType::Symlink => StatKind::Link,
            FileType::Directory => StatKind::Dir,
            _ => StatKind::Other,
        },
        mode: stat.st_mode as u32 & 0o777,
        size: stat.st_size as u64,
        links: stat.st_nlink as u64,
        tag: [
            stat.st_dev as i128,
            stat.st_ino as i128,
            nanos(stat.st_mtime as i128, stat.st_mtime_nsec as i128),
            nanos(stat.st_ctime as i128, stat.st_ctime_nsec as i128),
        ],
    }
}
