//! The disk of any system the standard library knows. Names must be UTF-8.
//! Knows nothing beyond single calls: no walking, no memo.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{digest_of, now_ns};
use crate::files::{Hashed, Kind, Listed, Moment, Stat, join};

#[derive(Debug)]
pub(super) struct Root {
    folder: PathBuf,
    mounts: Vec<(Vec<u8>, PathBuf)>,
}

impl Root {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        std::fs::read_dir(root)?;
        Ok(Self {
            folder: root.to_owned(),
            mounts: Vec::new(),
        })
    }

    pub(super) fn mount(&mut self, prefix: &[u8], folder: &Path) -> io::Result<()> {
        std::fs::read_dir(folder)?;
        self.mounts.push((prefix.to_vec(), folder.to_owned()));
        Ok(())
    }

    pub(super) fn stat_all(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        follow: bool,
        found: &mut dyn FnMut(usize, io::Result<Option<Stat>>),
    ) {
        for (index, name) in names.iter().enumerate() {
            found(index, self.stat(&join(folder, name), follow));
        }
    }

    fn stat(&self, path: &[u8], follow: bool) -> io::Result<Option<Stat>> {
        let path = self.path(path)?;
        let metadata = if follow {
            std::fs::metadata(path)
        } else {
            std::fs::symlink_metadata(path)
        };
        match metadata {
            Ok(metadata) => Ok(Some(convert(&metadata))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn list(&self, folder: &[u8]) -> io::Result<Option<Listed>> {
        let at_ns = now_ns();
        let Some(before) = self
            .stat(folder, false)?
            .filter(|stat| stat.kind == Kind::Folder)
        else {
            return Ok(None);
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(folder)?)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| not_utf8())?;
            names.push((name.into_bytes(), kind_of(entry.file_type()?)));
        }
        let Some(after) = self.stat(folder, false)? else {
            return Ok(None);
        };
        Ok(Some(Listed {
            before,
            after,
            moment: Moment { at_ns, fine: false },
            names,
        }))
    }

    pub(super) fn link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let text = std::fs::read_link(self.path(path)?)?;
        let text = text
            .into_os_string()
            .into_string()
            .map_err(|_| not_utf8())?;
        Ok(text.into_bytes())
    }

    pub(super) fn hash(&self, path: &[u8], follow: bool, buffer: &mut [u8]) -> io::Result<Hashed> {
        let at_ns = now_ns();
        let full = self.path(path)?;
        if !follow && std::fs::symlink_metadata(&full)?.is_symlink() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut file = std::fs::File::open(full)?;
        let before = convert(&file.metadata()?);
        if before.kind != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (digest, bytes) = digest_of(|buffer| file.read(buffer), before.size, buffer)?;
        let after = convert(&file.metadata()?);
        Ok(Hashed {
            before,
            after,
            moment: Moment { at_ns, fine: false },
            digest,
            bytes,
        })
    }

    pub(super) fn read(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path(path)?) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, path: &[u8]) -> io::Result<PathBuf> {
        let end = path.iter().position(|byte| *byte == b'/');
        let first = &path[..end.unwrap_or(path.len())];
        let mount = self.mounts.iter().find(|(prefix, _)| prefix == first);
        let (start, rest) = match mount {
            Some((_, folder)) => (folder, &path[end.map_or(path.len(), |end| end + 1)..]),
            None => (&self.folder, path),
        };
        Ok(start.join(std::str::from_utf8(rest).map_err(|_| not_utf8())?))
    }
}

fn not_utf8() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8")
}

fn kind_of(kind: std::fs::FileType) -> Kind {
    if kind.is_symlink() {
        Kind::Link
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}

fn convert(metadata: &Metadata) -> Stat {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mtime_ns = since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    Stat {
        kind: kind_of(metadata.file_type()),
        size: metadata.len(),
        mtime_ns,
        ctime_ns: mtime_ns,
        dev: 0,
        ino: 0,
        mode: if metadata.permissions().readonly() {
            0o444
        } else {
            0o644
        },
        nlink: 1,
    }
}
