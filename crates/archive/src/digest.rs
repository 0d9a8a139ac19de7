//! Size, BLAKE3 and SHA-256 of a stream, taken in one pass.
//! Does not know what the bytes mean.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Bytes read at once.
const BLOCK: usize = 128 * 1024;

/// Size and digests of some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Bytes.
    pub size: u64,
    /// BLAKE3, in hexadecimal.
    pub blake3: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Passes bytes on and digests them.
pub(crate) struct Digesting<T> {
    pub(crate) inner: T,
    size: u64,
    pub(crate) blake3: blake3::Hasher,
    sha256: Sha256,
}

impl Digests {
    /// Those of bytes in memory.
    pub fn of(content: &[u8]) -> Self {
        let mut digesting = Digesting::new(io::sink());
        digesting.take(content);
        digesting.finish().1
    }

    /// Those of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut digesting = Digesting::new(io::sink());
        copy(&mut File::open(path)?, &mut digesting)?;
        Ok(digesting.finish().1)
    }
}

impl<T> Digesting<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            size: 0,
            blake3: blake3::Hasher::new(),
            sha256: Sha256::new(),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.blake3.update(bytes);
        self.sha256.update(bytes);
    }

    pub(crate) fn finish(self) -> (T, Digests) {
        let digests = Digests {
            size: self.size,
            blake3: self.blake3.finalize().to_hex().to_string(),
            sha256: hex(&self.sha256.finalize()),
        };
        (self.inner, digests)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.take(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.take(&into[..read]);
        Ok(read)
    }
}

/// Copies all, in large blocks.
pub(crate) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut copied = 0;
    loop {
        let read = match from.read(&mut block) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&block[..read])?;
        copied += read as u64;
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let digests = Digests::of(b"abc");
        assert_eq!(digests.size, 3);
        assert_eq!(
            digests.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            digests.blake3,
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        );
    }

    #[test]
    fn a_file_and_its_content_have_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(file.path(), &content).unwrap();
        assert_eq!(
            Digests::of_file(file.path()).unwrap(),
            Digests::of(&content)
        );
    }
}
