//! Proves an artifact against its digest and manifest, and keeps the bodies that are wanted, before anything is written.
//! Knows nothing of what lies on disk: it writes only into a stage of its own.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tempfile::TempDir;

use crate::error::Context;
use crate::{ArtifactId, Error, Kind, Result, Row, Why};

/// The bodies that were asked for, by row.
pub(crate) struct Unpacked {
    pub(crate) bodies: Vec<Option<Body>>,
    /// Where staged bodies lie until this is dropped.
    _stage: Option<TempDir>,
}

pub(crate) enum Body {
    Memory(Vec<u8>),
    Staged(PathBuf),
}

/// How much may be held.
pub(crate) struct Room<'a> {
    pub(crate) memory: u64,
    pub(crate) stage: &'a Path,
}

/// Reads the whole artifact. Every member must be the manifest's row in its place, with its kind, mode, size and digest.
/// On any error the reader is drained, so that a store that proves its files while reading sees their end.
pub(crate) fn unpack(
    reader: &mut dyn Read,
    id: &ArtifactId,
    rows: &[Row],
    wanted: &[bool],
    room: &Room<'_>,
) -> Result<Unpacked> {
    let mut source = Hashing {
        inner: reader,
        hasher: blake3::Hasher::new(),
    };
    let unpacked = members(&mut source, rows, wanted, room);
    // An unreadable rest leaves the digest wrong, which is the answer then.
    let _ = io::copy(&mut source, &mut io::sink());
    if source.hasher.finalize() != id.0 {
        return Err(Error::refused(b"", Why::WrongDigest));
    }
    unpacked
}

fn garbage(error: &io::Error) -> Error {
    if error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Overrun>)
    {
        Error::refused(b"", Why::TooLarge)
    } else {
        Error::refused(b"", Why::Garbage(error.to_string()))
    }
}

fn members(
    source: &mut dyn Read,
    rows: &[Row],
    wanted: &[bool],
    room: &Room<'_>,
) -> Result<Unpacked> {
    let zstd = zstd::Decoder::new(source).map_err(|error| garbage(&error))?;
    let mut archive = tar::Archive::new(Bounded {
        inner: zstd,
        left: bound(rows),
    });
    let mut stage = None;
    let mut bodies = Vec::with_capacity(rows.len());
    let mut held = 0;
    let mut buffer = vec![0; 64 * 1024];
    {
        let mut entries = archive.entries().map_err(|error| garbage(&error))?;
        for (row, wanted) in rows.iter().zip(wanted) {
            let mut entry = match entries.next() {
                Some(entry) => entry.map_err(|error| garbage(&error))?,
                None => return Err(Error::refused(&row.path, Why::Member("missing"))),
            };
            let link = head(&entry, row)?;
            let fits = held + row.size <= room.memory;
            let body = match row.kind {
                Kind::EmptyDir => Some(Body::Memory(Vec::new())),
                Kind::Link => {
                    let right = *blake3::hash(&link).as_bytes() == row.digest;
                    check(row, right && link.len() as u64 == row.size, "link text")?;
                    Some(Body::Memory(link))
                }
                Kind::File if *wanted && fits => {
                    held += row.size;
                    let mut content = Vec::with_capacity(usize::try_from(row.size).unwrap_or(0));
                    let read = entry.read_to_end(&mut content);
                    read.map_err(|error| garbage(&error))?;
                    Some(Body::Memory(content))
                }
                Kind::File if *wanted => {
                    let folder = match &stage {
                        Some(folder) => folder,
                        None => stage.insert(make_stage(room.stage)?),
                    };
                    let path = folder.path().join(bodies.len().to_string());
                    let mut file = std::fs::File::create(&path).context("stage in", &path)?;
                    content_of(&mut entry, row, &mut buffer, &mut file, Some(&path))?;
                    Some(Body::Staged(path))
                }
                Kind::File => {
                    content_of(&mut entry, row, &mut buffer, &mut io::sink(), None)?;
                    None
                }
            };
            bodies.push(body);
        }
        if let Some(more) = entries.next() {
            more.map_err(|error| garbage(&error))?;
            return Err(Error::refused(b"", Why::Member("one too many")));
        }
    }
    rows.par_iter().zip(&bodies).try_for_each(|(row, body)| {
        let right = match body {
            Some(Body::Memory(content)) if row.kind == Kind::File => {
                content.len() as u64 == row.size && blake3::hash(content) == row.digest
            }
            _ => true,
        };
        check(row, right, "content")
    })?;
    // The rest must be padding; reading it to the end makes zstd check its own checksum.
    let mut rest = archive.into_inner();
    loop {
        let read = rest.read(&mut buffer).map_err(|error| garbage(&error))?;
        if read == 0 {
            break;
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Err(Error::refused(b"", Why::Member("data after the end")));
        }
    }
    Ok(Unpacked {
        bodies,
        _stage: stage,
    })
}

fn make_stage(folder: &Path) -> Result<TempDir> {
    std::fs::create_dir_all(folder).context("create", folder)?;
    TempDir::new_in(folder).context("stage in", folder)
}

fn check(row: &Row, right: bool, what: &'static str) -> Result<()> {
    if right {
        Ok(())
    } else {
        Err(Error::refused(&row.path, Why::Member(what)))
    }
}

/// Checks a member's header against its row; returns the text of a link.
fn head(entry: &tar::Entry<'_, impl Read>, row: &Row) -> Result<Vec<u8>> {
    let header = entry.header();
    let kind = match header.entry_type() {
        tar::EntryType::Regular => Some(Kind::File),
        tar::EntryType::Symlink => Some(Kind::Link),
        tar::EntryType::Directory => Some(Kind::EmptyDir),
        _ => None,
    };
    let name = entry.path_bytes();
    let name = match row.kind {
        Kind::EmptyDir => name.strip_suffix(b"/").unwrap_or(&name),
        Kind::File | Kind::Link => &name,
    };
    check(row, name == row.path, "path")?;
    check(row, kind == Some(row.kind), "kind")?;
    let mode = header.mode().map_err(|error| garbage(&error))?;
    check(row, mode == row.mode && mode <= 0o777, "mode")?;
    let size = if row.kind == Kind::File { row.size } else { 0 };
    check(row, entry.size() == size, "size")?;
    let link = entry.link_name_bytes();
    check(row, row.kind == Kind::Link || link.is_none(), "kind")?;
    Ok(link.unwrap_or_default().into_owned())
}

fn content_of(
    entry: &mut impl Read,
    row: &Row,
    buffer: &mut [u8],
    out: &mut dyn Write,
    staged: Option<&Path>,
) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut length = 0;
    loop {
        let read = entry.read(buffer).map_err(|error| garbage(&error))?;
        if read == 0 {
            break;
        }
        length += read as u64;
        hasher.update(&buffer[..read]);
        out.write_all(&buffer[..read])
            .context("stage", staged.unwrap_or(Path::new("memory")))?;
    }
    check(
        row,
        length == row.size && hasher.finalize() == row.digest,
        "content",
    )
}

/// The most bytes that an honest archive of these rows can unpack to.
fn bound(rows: &[Row]) -> u64 {
    // Header, padding, and a long name and link text with headers and padding of their own.
    let row = |row: &Row| row.size.saturating_add(row.path.len() as u64 + 8 * 512);
    rows.iter().map(row).fold(64 * 1024, u64::saturating_add)
}

/// The archive goes on longer than its manifest can explain.
#[derive(Debug, thiserror::Error)]
#[error("longer than its manifest allows")]
struct Overrun;

struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(Overrun)),
        }
        Ok(read)
    }
}

struct Hashing<'a> {
    inner: &'a mut dyn Read,
    hasher: blake3::Hasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PackOptions, pack};

    #[test]
    fn content_that_is_not_its_rows_is_refused_wherever_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "content").unwrap();
        let paths = [b"a".to_vec()];
        let packed = pack(dir.path(), &paths, &PackOptions::default(), dir.path()).unwrap();
        let (mut rows, artifact) = (packed.manifest, packed.artifact.unwrap());
        rows[0].digest[0] ^= 1;
        for (memory, wanted) in [(100, true), (0, true), (0, false)] {
            let mut file = std::fs::File::open(&artifact.file).unwrap();
            let stage = &dir.path().join("stage");
            let room = Room { memory, stage };
            let refused = unpack(&mut file, &artifact.id, &rows, &[wanted], &room);
            let Err(Error::Refused(refusal)) = refused else {
                panic!("taken with {memory} bytes of memory, wanted: {wanted}");
            };
            assert_eq!(refusal.why, Why::Member("content"));
        }
    }

    #[test]
    fn what_is_wanted_is_held_up_to_the_limit_and_staged_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<Vec<u8>> = [b"a", b"b", b"c", b"d", b"e"]
            .map(|path| path.to_vec())
            .into();
        for name in ["a", "b", "c", "d", "e"] {
            std::fs::write(dir.path().join(name), format!("content of {name}")).unwrap();
        }
        let packed = pack(dir.path(), &paths, &PackOptions::default(), dir.path()).unwrap();
        let (rows, artifact) = (packed.manifest, packed.artifact.unwrap());
        let size = rows[0].size;
        let unpacked = |memory, wanted: [bool; 5]| {
            let mut file = std::fs::File::open(&artifact.file).unwrap();
            let stage = &dir.path().join("stage");
            let room = Room { memory, stage };
            let unpacked = unpack(&mut file, &artifact.id, &rows, &wanted, &room).unwrap();
            let body = |(at, body): (usize, &Option<Body>)| {
                let name = ["a", "b", "c", "d", "e"][at];
                let right = format!("content of {name}").into_bytes();
                match body {
                    Some(Body::Memory(content)) => {
                        assert_eq!(*content, right);
                        'm'
                    }
                    Some(Body::Staged(path)) => {
                        assert_eq!(std::fs::read(path).unwrap(), right);
                        's'
                    }
                    None => '-',
                }
            };
            let bodies: String = unpacked.bodies.iter().enumerate().map(body).collect();
            (bodies, stage.exists())
        };
        let some = [true, false, true, true, true];
        assert_eq!(unpacked(4 * size, some), ("m-mmm".to_owned(), false));
        assert_eq!(unpacked(2 * size, some), ("m-mss".to_owned(), true));
        assert_eq!(unpacked(2 * size - 1, some), ("m-sss".to_owned(), true));
        assert_eq!(unpacked(0, [false; 5]), ("-----".to_owned(), true));
    }
}
