#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod digest;
mod disk;
mod files;
mod format;
mod globs;
mod ignores;
mod manifest;
mod memo;
mod memory;
mod scan;
mod scanner;

pub use digest::{Digest, DigestError, FileFingerprint};
pub use disk::DiskFiles;
pub use files::{Files, Hashed, Kind, Listed, Moment, Stat, stat};
pub use globs::{GlobError, Globs};
pub use manifest::{Row, RowKind, manifest_digest};
pub use memo::{Counters, Memo};
pub use memory::{Call, MemoryFiles};
pub use scan::{Entry, Scan};
pub use scanner::{Ignore, ReadError, ScanError, Scanner, Tracked};

/// A path of bytes as the system's own.
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
