//! `DiskFiles`: the real disk behind the `Files` seam.
//! Knows nothing of ignore rules, memos or keys.

use std::io;
use std::path::Path;

use crate::files::{Files, Hashed, Listed, Stat};

#[cfg_attr(unix, path = "disk/unix.rs")]
#[cfg_attr(not(unix), path = "disk/portable.rs")]
mod system;

/// The files under a root folder on disk. An absolute path is taken as it is.
#[derive(Debug)]
pub struct DiskFiles {
    root: system::Root,
}

impl DiskFiles {
    /// The files under `root`, which must exist; it is held open where the system allows.
    ///
    /// # Errors
    /// When `root` is missing or no folder.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: system::Root::open(root)?,
        })
    }
}

impl DiskFiles {
    /// Makes paths whose first component is `prefix` lie in `folder`. By custom a prefix begins with `..`, which no file of
    /// a sane tree does.
    ///
    /// # Errors
    /// When `folder` is missing or no folder.
    pub fn with_mount(mut self, prefix: &[u8], folder: &Path) -> io::Result<Self> {
        self.root.mount(prefix, folder)?;
        Ok(self)
    }
}

impl Files for DiskFiles {
    fn stat_all(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        follow: bool,
        found: &mut dyn FnMut(usize, io::Result<Option<Stat>>),
    ) {
        self.root.stat_all(folder, names, follow, found);
    }

    fn list(&self, folder: &[u8]) -> io::Result<Option<Listed>> {
        self.root.list(folder)
    }

    fn link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.root.link(path)
    }

    fn hash(&self, path: &[u8], follow: bool, buffer: &mut [u8]) -> io::Result<Hashed> {
        self.root.hash(path, follow, buffer)
    }

    #[cfg(unix)]
    fn hash_in(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        buffer: &mut [u8],
        done: &mut dyn FnMut(usize, io::Result<Hashed>),
    ) {
        self.root.hash_in(folder, names, buffer, done);
    }

    fn read(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.root.read(path)
    }
}

/// Wall clock, nanoseconds since 1970.
fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// Digests what `read` yields; the number of bytes comes with it.
/// Reads to the end. A file that gave as many bytes as its stat said is not asked for more: the stat that
/// follows tells whether it grew. Files without a size (of `/proc`) are read until they give nothing.
fn digest_of(
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    size: u64,
    buffer: &mut [u8],
) -> io::Result<(crate::Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut total = 0;
    while size == 0 || total < size {
        match read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((crate::Digest(*hasher.finalize().as_bytes()), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digested(size: u64, mut pieces: &[&[u8]]) -> (crate::Digest, u64, usize) {
        let mut calls = 0;
        let read = |buffer: &mut [u8]| {
            calls += 1;
            let Some((piece, rest)) = pieces.split_first() else {
                return Ok(0);
            };
            pieces = rest;
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        };
        let (digest, bytes) = digest_of(read, size, &mut [0; 8]).unwrap();
        (digest, bytes, calls)
    }

    #[test]
    fn a_file_of_known_size_is_read_that_far_and_one_without_a_size_to_its_end() {
        let whole = crate::Digest::of(b"abcdef");
        assert_eq!(digested(6, &[b"abc", b"def"]), (whole, 6, 2));
        assert_eq!(digested(0, &[b"abc", b"def"]), (whole, 6, 3));
        // It shrank: the stat after tells.
        assert_eq!(digested(9, &[b"abc", b"def"]), (whole, 6, 3));
        assert_eq!(digested(0, &[]), (crate::Digest::of(b""), 0, 1));
    }

    #[test]
    fn a_digest_is_of_all_bytes_an_interrupted_read_goes_on_and_another_error_ends_it() {
        let steps = |last: io::ErrorKind| {
            let mut steps = vec![
                Err(last),
                Ok(&b"def"[..]),
                Err(io::ErrorKind::Interrupted),
                Ok(b"abc"),
            ];
            move |buffer: &mut [u8]| match steps.pop() {
                Some(Ok(bytes)) => {
                    buffer[..bytes.len()].copy_from_slice(bytes);
                    Ok(bytes.len())
                }
                Some(Err(io::ErrorKind::UnexpectedEof)) | None => Ok(0),
                Some(Err(kind)) => Err(kind.into()),
            }
        };
        let mut buffer = [0; 8];
        let (digest, bytes) =
            digest_of(steps(io::ErrorKind::UnexpectedEof), 0, &mut buffer).unwrap();
        assert_eq!(digest.0, *blake3::hash(b"abcdef").as_bytes());
        assert_eq!(bytes, 6);
        let failed = digest_of(steps(io::ErrorKind::PermissionDenied), 0, &mut buffer).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::PermissionDenied);
    }
}
