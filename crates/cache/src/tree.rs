//! A folder seen through a door that never follows links: look, read, create, replace and remove below a root.
//! Knows nothing of manifests or ownership.

use std::fs::File;
use std::io;

#[cfg(not(unix))]
mod portable;
#[cfg(not(unix))]
pub(crate) use portable::{Dir, Tree};
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{Dir, Tree};

/// What `stat` says about a path, without following a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: StatKind,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) links: u64,
    /// Device, inode and times: equal before and after means the file was left alone.
    pub(crate) tag: [i128; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatKind {
    File,
    Link,
    Dir,
    Other,
}

/// What lies at a relative path.
pub(crate) enum Look {
    Missing,
    /// An ancestor is not a folder.
    Blocked {
        at: Vec<u8>,
    },
    File(File, Stat),
    Link(Vec<u8>),
    Dir(Stat),
    Other,
}

/// The way to a folder.
pub(crate) enum Walk {
    Found(Dir),
    Missing,
    /// This ancestor, or the folder itself, is not a folder.
    Blocked {
        at: Vec<u8>,
    },
}

pub(crate) fn stat_file(file: &File) -> io::Result<Stat> {
    #[cfg(unix)]
    return unix::stat_fd(file);
    #[cfg(not(unix))]
    return portable::stat_meta(&file.metadata()?);
}

/// The look at `path` that goes folder by folder.
pub(crate) fn look_slowly(tree: &Tree, path: &[u8]) -> io::Result<Look> {
    let (folder, name) = crate::manifest::split(path);
    let dir = match tree.walk(folder, false)? {
        Walk::Found(dir) => dir,
        Walk::Missing => return Ok(Look::Missing),
        Walk::Blocked { at } => return Ok(Look::Blocked { at }),
    };
    let Some(stat) = dir.stat(name)? else {
        return Ok(Look::Missing);
    };
    Ok(match stat.kind {
        StatKind::File => {
            let file = dir.open(name)?;
            let stat = stat_file(&file)?;
            if stat.kind == StatKind::File {
                Look::File(file, stat)
            } else {
                Look::Other
            }
        }
        StatKind::Link => Look::Link(dir.read_link(name)?),
        StatKind::Dir => Look::Dir(stat),
        StatKind::Other => Look::Other,
    })
}
