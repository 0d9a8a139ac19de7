//! The door elsewhere: paths, with each ancestor checked for links just before use.
//! Knows nothing of manifests or ownership; between check and use a hostile local process could still step in.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Look, Stat, StatKind, Walk};
use crate::root::{Root, mount_of};

pub(crate) struct Tree {
    path: PathBuf,
    mounts: Vec<(Vec<u8>, PathBuf)>,
}

pub(crate) struct Dir {
    path: PathBuf,
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8"))
}

impl Tree {
    pub(crate) fn open(root: Root<'_>) -> io::Result<Self> {
        fs::read_dir(root.folder)?;
        for (_, folder) in root.mounts {
            fs::read_dir(folder)?;
        }
        Ok(Self {
            path: root.folder.to_path_buf(),
            mounts: root.mounts.to_vec(),
        })
    }

    /// The folder that a path starts at, and how many bytes of the path led to it.
    fn start(&self, path: &[u8]) -> (&Path, usize) {
        match mount_of(&self.mounts, |mount| &mount.0, path) {
            Some((mount, skip)) => (&mount.1, skip),
            None => (&self.path, 0),
        }
    }

    pub(crate) fn display(&self, path: &[u8]) -> PathBuf {
        let (start, skip) = self.start(path);
        start.join(String::from_utf8_lossy(&path[skip..]).as_ref())
    }

    /// The stat of `path` itself; links above it are followed.
    pub(crate) fn stat(&self, path: &[u8]) -> io::Result<Option<Stat>> {
        match fs::symlink_metadata(self.display(path)) {
            Ok(meta) => stat_meta(&meta).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A path of the tree as one of the system.
    pub(crate) fn relative(path: &[u8]) -> PathBuf {
        PathBuf::from(String::from_utf8_lossy(path).as_ref())
    }

    pub(crate) fn walk(&self, folder: &[u8], create: bool) -> io::Result<Walk> {
        let (start, mut done) = self.start(folder);
        let mut path = start.to_path_buf();
        if done == folder.len() {
            return Ok(Walk::Found(Dir { path }));
        }
        let below = &folder[done..];
        for (index, name) in below.split(|byte| *byte == b'/').enumerate() {
            done += name.len() + usize::from(index > 0);
            path.push(text(name)?);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => {
                    let at = folder[..done].to_vec();
                    return Ok(Walk::Blocked { at });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !create {
                        return Ok(Walk::Missing);
                    }
                    match fs::create_dir(&path) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                            return Err(error);
                        }
                        _ => {}
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Walk::Found(Dir { path }))
    }

    pub(crate) fn look(&self, path: &[u8]) -> io::Result<Look> {
        super::look_slowly(self, path)
    }
}

impl Dir {
    fn at(&self, name: &[u8]) -> io::Result<PathBuf> {
        Ok(self.path.join(text(name)?))
    }

    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match fs::symlink_metadata(self.at(name)?) {
            Ok(meta) => stat_meta(&meta).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn open(&self, name: &[u8]) -> io::Result<File> {
        File::open(self.at(name)?)
    }

    pub(crate) fn open_write(&self, name: &[u8]) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.at(name)?)
    }

    pub(crate) fn create(&self, name: &[u8]) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.at(name)?)
    }

    pub(crate) fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let target = fs::read_link(self.at(name)?)?;
        Ok(target.to_string_lossy().replace('\\', "/").into_bytes())
    }

    #[cfg(windows)]
    pub(crate) fn link(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        let target = text(target)?.replace('/', "\\");
        let path = self.at(name)?;
        if self.path.join(&target).is_dir() {
            std::os::windows::fs::symlink_dir(target, path)
        } else {
            std::os::windows::fs::symlink_file(target, path)
        }
    }

    #[cfg(not(windows))]
    pub(crate) fn link(&self, _target: &[u8], _name: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn make_dir(&self, name: &[u8], _mode: u32) -> io::Result<()> {
        fs::create_dir(self.at(name)?)
    }

    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        fs::rename(self.at(from)?, self.at(to)?)
    }

    pub(crate) fn rename_out(&self, name: &[u8], to: &Path) -> io::Result<()> {
        fs::rename(self.at(name)?, to)
    }

    pub(crate) fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        let path = self.at(name)?;
        fs::remove_file(&path).or_else(|error| fs::remove_dir(&path).map_err(|_| error))
    }

    pub(crate) fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_dir(self.at(name)?)
    }

    pub(crate) fn is_empty(&self, name: &[u8]) -> io::Result<bool> {
        Ok(fs::read_dir(self.at(name)?)?.next().is_none())
    }

    pub(crate) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for item in fs::read_dir(&self.path)? {
            match item?.file_name().into_string() {
                Ok(name) => names.push(name.into_bytes()),
                Err(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "the name is not UTF-8",
                    ));
                }
            }
        }
        Ok(names)
    }

    /// Only files carry the instant here; links and folders keep their own.
    pub(crate) fn touch(&self, _name: &[u8], _time: SystemTime) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn stat_meta(meta: &Metadata) -> io::Result<Stat> {
    let kind = if meta.is_symlink() {
        StatKind::Link
    } else if meta.is_dir() {
        StatKind::Dir
    } else if meta.is_file() {
        StatKind::File
    } else {
        StatKind::Other
    };
    let modified = meta.modified()?.duration_since(UNIX_EPOCH);
    let nanos = modified.map_or(0, |since| since.as_nanos());
    Ok(Stat {
        kind,
        mode: if meta.permissions().readonly() {
            0o444
        } else {
            0o644
        },
        size: meta.len(),
        links: 1,
        tag: [0, 0, i128::try_from(nanos).unwrap_or(0), 0],
    })
}
