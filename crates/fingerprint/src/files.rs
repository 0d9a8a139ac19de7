//! The seam to the disk: what a scan asks of a file system.
//! Knows nothing of ignore rules, memos or keys.

use std::io;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A socket, pipe or device; scans pass over it.
    Other,
}

/// The stat tuple of a path. Equal tuples of trusted entries mean equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What lies there.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of content or metadata, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Device number; 0 where the system has none.
    pub dev: u64,
    /// Inode number; 0 where the system has none.
    pub ino: u64,
    /// Permission bits (the low twelve of the mode).
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u64,
}

impl Stat {
    /// Whether both describe one file with one content: everything but mode and link count.
    pub fn same_content(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.dev, self.ino, self.size) == (other.dev, other.ino, other.size)
            && (self.mtime_ns, self.ctime_ns) == (other.mtime_ns, other.ctime_ns)
    }

    /// Whether the owner may execute it.
    pub fn executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

/// When something was read, and how far the time stamps of its file system can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall clock just before the reading, nanoseconds since 1970.
    pub at_ns: i64,
    /// Whether a change after a stat always changes the time stamp (multigrain time stamps).
    pub fine: bool,
}

impl Moment {
    /// How close to the reading a time stamp may lie on a file system with coarse time stamps.
    pub const RACY_NS: i64 = 2_000_000_000;

    /// Whether something changed at `ctime_ns` and read at this moment can be believed later by its
    /// time stamp. A stamp in the future tells of a clock that was set back.
    pub fn trusts(&self, ctime_ns: i64) -> bool {
        if ctime_ns > self.at_ns {
            return false;
        }
        self.fine || self.at_ns.saturating_sub(ctime_ns) >= Self::RACY_NS
    }
}

/// The names in a folder, with the folder's stat before and after they were read.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Stat of the folder before.
    pub before: Stat,
    /// Stat of the folder after.
    pub after: Stat,
    /// When.
    pub moment: Moment,
    /// Names and kinds, in any order, without `.` and `..`.
    pub names: Vec<(Vec<u8>, Kind)>,
}

/// A content's digest, with the file's stat before and after it was read.
#[derive(Clone, Copy, Debug)]
pub struct Hashed {
    /// Stat of the file before.
    pub before: Stat,
    /// Stat of the file after.
    pub after: Stat,
    /// When.
    pub moment: Moment,
    /// Digest of what was read.
    pub digest: Digest,
    /// How many bytes were read.
    pub bytes: u64,
}

/// A tree of files, addressed by '/'-separated bytes relative to its root; the root itself is the empty path.
///
/// The safe wrong answer is an error: it fails the task that asked. A stat, list or digest that is older
/// than the call is never safe.
pub trait Files: Send + Sync {
    /// Stats `names` in `folder` and gives each answer with its index, in order. A missing name, or one
    /// whose parent is missing or no folder, is `None`. Links are described themselves unless `follow`
    /// asks for what they lead to; one that leads nowhere or in a circle is then `None`.
    fn stat_all(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        follow: bool,
        found: &mut dyn FnMut(usize, io::Result<Option<Stat>>),
    );

    /// Lists a folder; `None` when there is none. A link to a folder is no folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self, folder: &[u8]) -> io::Result<Option<Listed>>;

    /// The text of a link.
    ///
    /// # Errors
    /// When there is none or it cannot be read.
    fn link(&self, path: &[u8]) -> io::Result<Vec<u8>>;

    /// Reads a file through `buffer` and digests it. A link is refused unless `follow`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it is missing; [`io::ErrorKind::InvalidInput`] when it is no
    /// regular file; else what the system said.
    fn hash(&self, path: &[u8], follow: bool, buffer: &mut [u8]) -> io::Result<Hashed>;

    /// Digests files of one folder, each as [`hash`](Self::hash) does without following; `done` gets the place of each
    /// among `names` and what came of it. Saves the way to the folder where the system allows.
    fn hash_in(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        buffer: &mut [u8],
        done: &mut dyn FnMut(usize, io::Result<Hashed>),
    ) {
        for (index, name) in names.iter().enumerate() {
            done(index, self.hash(&join(folder, name), false, buffer));
        }
    }

    /// The whole content of a small file, `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>>;
}

/// Stats one path, itself or (with `follow`) what it leads to.
///
/// # Errors
/// When the system cannot say.
pub fn stat(files: &dyn Files, path: &[u8], follow: bool) -> io::Result<Option<Stat>> {
    let mut answer = Ok(None);
    files.stat_all(b"", &[path], follow, &mut |_, stat| answer = stat);
    answer
}

/// `folder` and `name` as one path.
pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if !folder.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A path as its folder and its name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Whether `path` is `folder` or lies in it.
pub(crate) fn within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn a_coarse_stamp_is_trusted_after_two_seconds() {
        let moment = Moment {
            at_ns: 10 * S,
            fine: false,
        };
        assert!(moment.trusts(8 * S));
        assert!(!moment.trusts(8 * S + 1));
        assert!(!moment.trusts(10 * S));
    }

    #[test]
    fn a_fine_stamp_is_trusted_unless_it_lies_in_the_future() {
        let moment = Moment {
            at_ns: 10 * S,
            fine: true,
        };
        assert!(moment.trusts(10 * S));
        assert!(!moment.trusts(10 * S + 1));
    }

    #[test]
    fn within_respects_components() {
        assert!(within(b"a/b", b"a"));
        assert!(within(b"a", b"a"));
        assert!(within(b"a", b""));
        assert!(!within(b"ab", b"a"));
    }
}
