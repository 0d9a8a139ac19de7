//! Which files a task reads, their digests, the key, and what changed in it.
//! Knows nothing of caches, graphs, processes or how anything is worded.
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod apply;
mod change;
mod describe;
mod digest;
mod discovered;
mod disk;
mod files;
mod format;
#[cfg(feature = "git")]
pub mod git;
mod globs;
mod ignores;
mod manifest;
mod memo;
mod memory;
mod scan;
mod scanner;

pub use apply::ChangeSet;
pub use change::{Change, FileChange, How, Setting, diff};
pub use describe::{
    Command, Description, Explanation, Hash, KEY_SCHEMA, Part, Write, bound_key, describe, explain,
    key,
};
pub use digest::{Digest, DigestError, FileFingerprint};
pub use discovered::discovered_key;
pub use disk::DiskFiles;
pub use files::{Files, Hashed, Kind, Listed, Moment, Stat, stat};
pub use globs::{GlobError, Globs};
pub use manifest::{Row, RowKind, manifest_digest};
pub use memo::{Counters, Memo};
pub use memory::{Call, MemoryFiles};
pub use scan::{Entry, Scan};
pub use scanner::{Ignore, ReadError, ScanError, Scanner, Tracked};

/// A path of bytes as the system's own.
// Always something on Unix, where a name is bytes.
#[cfg_attr(unix, allow(clippy::unnecessary_wraps))]
pub(crate) fn path_of(path: &[u8]) -> std::io::Result<&std::path::Path> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(std::path::Path::new(std::ffi::OsStr::from_bytes(path)))
    }
    #[cfg(not(unix))]
    {
        let text = std::str::from_utf8(path).map_err(|_| std::io::ErrorKind::InvalidData)?;
        Ok(std::path::Path::new(text))
    }
}
