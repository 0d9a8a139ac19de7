//! Packs outputs into one deterministic `tar.zst` while it hashes them: read, digest and compress in one pass.
//! Knows nothing of globs or stores: the paths come as a list, the artifact stays a temporary file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use rayon::prelude::*;
use tempfile::{NamedTempFile, TempPath};

use crate::error::Context;
use crate::manifest::{is_plain, split};
use crate::members;
use crate::root::Root;
use crate::search::Search;
use crate::tree::{Look, Stat, StatKind, Tree, Walk, stat_file};
use crate::{ArtifactId, EMPTY_DIR, Error, Kind, Manifest, Result, Row};

/// How to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackOptions {
    /// zstd's level.
    pub level: i32,
    /// zstd's workers for outputs of 4 MiB and more. The bytes do not depend on their number.
    pub threads: u32,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            level: 3,
            threads: 1,
        }
    }
}

/// What was packed.
#[derive(Debug)]
pub struct Packed {
    /// The outputs.
    pub manifest: Manifest,
    /// Their bytes; `None` when there are no outputs, or when they are `inline`.
    pub artifact: Option<Artifact>,
    /// Their bytes where they are few enough to lie in the entry itself; see [`pack_compactly`].
    pub inline: Option<Vec<u8>>,
    /// Whether a file or the text of a link holds one of the byte strings that were looked for.
    pub found: bool,
}

/// A finished artifact in a temporary file.
#[derive(Debug)]
pub struct Artifact {
    /// Its digest.
    pub id: ArtifactId,
    /// Where it lies until this is dropped.
    pub file: TempPath,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Files up to this size are read into memory in parallel; longer ones are streamed.
const SMALL: u64 = 1 << 20;
/// A batch of small files ends at so many bytes or files.
const BATCH: (u64, usize) = (4 << 20, 512);
/// Below so many files threads are not woken to read them.
const FEW: usize = 64;
/// From so many bytes on the encoder gets workers. Part of the format: another value makes other artifacts.
const WORKERS_FROM: u64 = 4 << 20;

/// A path with what a first look found.
struct Item {
    path: Vec<u8>,
    what: What,
}

enum What {
    File(Stat),
    Link(Vec<u8>),
    Dir(u32),
}

/// Items in order: read already, or to be streamed.
enum Piece {
    Read(Vec<(Row, Vec<u8>)>),
    Stream(Vec<u8>, Stat),
}

/// Packs the files, links and empty folders at `paths` below `root`, in sorted order, into a file in `tmp`.
///
/// # Errors
/// [`Error::Unpackable`] for a path that is missing, behind a link or of another kind; [`Error::Changed`] for a file whose
/// stat or length changed between first look and end of reading; otherwise when reading or writing fails.
pub fn pack<'a>(
    root: impl Into<Root<'a>>,
    paths: &[Vec<u8>],
    options: &PackOptions,
    tmp: &Path,
) -> Result<Packed> {
    pack_looking_for(&[], root, paths, options, tmp)
}

/// As [`pack`], and looks for byte strings in all that is packed, such as paths that hold for one place alone: what is
/// read once need not be read again for that.
///
/// # Errors
/// As for [`pack`].
pub fn pack_looking_for<'a>(
    needles: &[Vec<u8>],
    root: impl Into<Root<'a>>,
    paths: &[Vec<u8>],
    options: &PackOptions,
    tmp: &Path,
) -> Result<Packed> {
    pack_compactly(needles, root, paths, options, tmp, 0)
}

/// As [`pack_looking_for`]; an artifact of at most `limit` bytes is not written to a file but given as bytes, for
/// [`Entry::inline`](crate::Entry::inline).
///
/// # Errors
/// As for [`pack`].
pub fn pack_compactly<'a>(
    needles: &[Vec<u8>],
    root: impl Into<Root<'a>>,
    paths: &[Vec<u8>],
    options: &PackOptions,
    tmp: &Path,
    limit: usize,
) -> Result<Packed> {
    let search = Search::new(needles);
    let root = root.into();
    let mut paths = paths.to_vec();
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return Ok(Packed {
            manifest: Vec::new(),
            artifact: None,
            inline: None,
            found: false,
        });
    }
    let tree = Tree::open(root).context("open", root.folder)?;
    let items: Vec<Item> = paths
        .into_iter()
        .map(|path| first_look(&tree, path))
        .collect::<Result<_>>()?;
    let total: u64 = items.iter().map(Item::size).sum();
    let length = members::END.len() as u64 + items.iter().map(Item::packed).sum::<u64>();
    let out = Out {
        tree: &tree,
        search: &search,
        total,
        length,
        options: *options,
    };
    if limit > 0 && total <= SMALL {
        let mut bytes = Vec::new();
        let (manifest, done) = encode_here(&out, items, &mut bytes)?;
        let mut packed = Packed {
            manifest,
            artifact: None,
            inline: None,
            found: search.found(),
        };
        if bytes.len() <= limit {
            packed.inline = Some(bytes);
        } else {
            let mut temp = NamedTempFile::new_in(tmp).context("write in", tmp)?;
            temp.write_all(&bytes).context("write", temp.path())?;
            packed.artifact = Some(Artifact::new(temp, done));
        }
        return Ok(packed);
    }
    let temp = NamedTempFile::new_in(tmp).context("write in", tmp)?;
    let (manifest, done) = if total <= SMALL {
        encode_here(&out, items, &mut temp.as_file())?
    } else {
        let (sender, receiver) = sync_channel(1);
        std::thread::scope(|scope| {
            let mut file = temp.as_file();
            let out = &out;
            let encoder = scope.spawn(move || encode(out, &mut file, receiver));
            let read = read_all(&tree, &search, items, |piece| sender.send(piece).is_ok());
            drop(sender);
            let encoded = encoder
                .join()
                .unwrap_or_else(|_| Err(Error::Other("the encoder's thread died".into())));
            read.and(encoded)
        })?
    };
    Ok(Packed {
        manifest,
        artifact: Some(Artifact::new(temp, done)),
        inline: None,
        found: search.found(),
    })
}

/// Reads and encodes on this thread: what is small is not worth another.
fn encode_here(
    out: &Out<'_>,
    items: Vec<Item>,
    to: &mut dyn Write,
) -> Result<(Manifest, ([u8; 32], u64))> {
    let mut pieces = Vec::new();
    read_all(out.tree, out.search, items, |piece| {
        pieces.push(piece);
        true
    })?;
    encode(out, to, pieces)
}

impl Artifact {
    fn new(temp: NamedTempFile, (digest, bytes): ([u8; 32], u64)) -> Artifact {
        Artifact {
            id: ArtifactId(digest),
            file: temp.into_temp_path(),
            bytes,
        }
    }
}

impl Item {
    fn size(&self) -> u64 {
        match &self.what {
            What::File(stat) => stat.size,
            What::Link(_) | What::Dir(_) => 0,
        }
    }

    /// Bytes it takes in the archive.
    fn packed(&self) -> u64 {
        match &self.what {
            What::File(stat) => members::length(self.path.len(), 0, stat.size),
            What::Link(text) => members::length(self.path.len(), text.len(), 0),
            What::Dir(_) => members::length(self.path.len() + 1, 0, 0),
        }
    }
}

fn first_look(tree: &Tree, path: Vec<u8>) -> Result<Item> {
    if !is_plain(&path) {
        return Err(Error::Unpackable(path));
    }
    // A stat follows links above the path; opening it, which comes before anything is read, does not.
    let stat = tree.stat(&path).context("look at", tree.display(&path))?;
    if let Some(stat) = stat.filter(|stat| stat.kind == StatKind::File) {
        return Ok(Item {
            path,
            what: What::File(stat),
        });
    }
    let what = match tree.look(&path).context("look at", tree.display(&path))? {
        Look::Link(text) => What::Link(text),
        Look::Dir(stat) if is_empty(tree, &path)? => What::Dir(stat.mode),
        _ => return Err(Error::Unpackable(path)),
    };
    Ok(Item { path, what })
}

fn is_empty(tree: &Tree, path: &[u8]) -> Result<bool> {
    let (folder, name) = split(path);
    let look = || match tree.walk(folder, false)? {
        Walk::Found(dir) => dir.is_empty(name),
        Walk::Missing | Walk::Blocked { .. } => Ok(false),
    };
    look().context("list", tree.display(path))
}

/// Reads items in order and hands them on until `next` says stop.
fn read_all(
    tree: &Tree,
    search: &Search<'_>,
    items: Vec<Item>,
    mut next: impl FnMut(Piece) -> bool,
) -> Result<()> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.size();
        let stream = match item.what {
            What::File(stat) if size > SMALL => Some(stat),
            _ => None,
        };
        let full = bytes + size > BATCH.0 || batch.len() == BATCH.1;
        if !batch.is_empty() && (full || stream.is_some()) {
            bytes = 0;
            if !next(read_batch(tree, search, std::mem::take(&mut batch))?) {
                return Ok(());
            }
        }
        if let Some(stat) = stream {
            if !next(Piece::Stream(item.path, stat)) {
                return Ok(());
            }
        } else {
            bytes += size;
            batch.push(item);
        }
    }
    if !batch.is_empty() {
        next(read_batch(tree, search, batch)?);
    }
    Ok(())
}

fn read_batch(tree: &Tree, search: &Search<'_>, batch: Vec<Item>) -> Result<Piece> {
    let read = |item: Item| {
        let (kind, mode, content) = match item.what {
            What::Link(text) => (Kind::Link, 0o777, text),
            What::Dir(mode) => (Kind::EmptyDir, mode, Vec::new()),
            What::File(stat) => {
                let mut file = reopen(tree, &item.path, &stat)?;
                let content =
                    read_whole(&mut file, stat.size).context("read", tree.display(&item.path))?;
                unchanged(tree, &item.path, &file, &stat, content.len() as u64)?;
                (Kind::File, stat.mode, content)
            }
        };
        search.look(&content);
        let digest = match kind {
            Kind::EmptyDir => EMPTY_DIR,
            Kind::File | Kind::Link => *blake3::hash(&content).as_bytes(),
        };
        let row = Row {
            path: item.path,
            kind,
            mode,
            size: content.len() as u64,
            digest,
        };
        Ok((row, content))
    };
    // A run has its own workers; waking more for a few files costs more than reading them.
    let rows: Result<_> = if batch.len() < FEW {
        batch.into_iter().map(read).collect()
    } else {
        batch.into_par_iter().map(read).collect()
    };
    rows.map(Piece::Read)
}

/// As many bytes as the stat said. That the file did not grow, the stat that follows tells.
fn read_whole(file: &mut File, size: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    let mut filled = 0;
    while filled < content.len() {
        match file.read(&mut content[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(filled);
    Ok(content)
}

fn reopen(tree: &Tree, path: &[u8], stat: &Stat) -> Result<File> {
    match tree.look(path).context("open", tree.display(path))? {
        Look::File(file, now) if now == *stat => Ok(file),
        Look::Blocked { .. } => Err(Error::Unpackable(path.to_vec())),
        _ => Err(Error::Changed(path.to_vec())),
    }
}

fn unchanged(tree: &Tree, path: &[u8], file: &File, stat: &Stat, read: u64) -> Result<()> {
    let now = stat_file(file).context("stat", tree.display(path))?;
    if now == *stat && read == stat.size {
        Ok(())
    } else {
        Err(Error::Changed(path.to_vec()))
    }
}

/// What the encoder needs to know.
struct Out<'a> {
    tree: &'a Tree,
    search: &'a Search<'a>,
    /// Bytes of content.
    total: u64,
    /// Bytes of the whole archive. The encoder is told, so that small archives get small tables.
    length: u64,
    options: PackOptions,
}

/// Compresses the pieces as they come; returns the rows, the digest and the length.
fn encode(
    out: &Out<'_>,
    to: &mut dyn Write,
    pieces: impl IntoIterator<Item = Piece>,
) -> Result<(Manifest, ([u8; 32], u64))> {
    let Out { tree, options, .. } = out;
    let here = tree.display(b"");
    let failed = |result: io::Result<()>| result.context("pack", &here);
    let sink = Hashing {
        out: to,
        hasher: blake3::Hasher::new(),
        length: 0,
    };
    let mut zstd = zstd::Encoder::new(sink, options.level).context("pack", &here)?;
    failed(zstd.include_checksum(true))?;
    failed(zstd.set_pledged_src_size(Some(out.length)))?;
    if out.total >= WORKERS_FROM {
        failed(zstd.multithread(options.threads.max(1)))?;
    }
    let mut manifest = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Read(rows) => {
                for (row, content) in rows {
                    failed(members::member(&mut zstd, &row, &content))?;
                    manifest.push(row);
                }
            }
            Piece::Stream(path, stat) => manifest.push(stream(out, &mut zstd, path, &stat)?),
        }
    }
    failed(zstd.write_all(&members::END))?;
    let sink = zstd.finish().context("pack", &here)?;
    Ok((manifest, (*sink.hasher.finalize().as_bytes(), sink.length)))
}

fn stream(to: &Out<'_>, out: &mut impl Write, path: Vec<u8>, stat: &Stat) -> Result<Row> {
    let tree = to.tree;
    let file = reopen(tree, &path, stat)?;
    let mut row = Row {
        path,
        kind: Kind::File,
        mode: stat.mode,
        size: stat.size,
        digest: [0; 32],
    };
    let shown = tree.display(&row.path);
    members::header(out, &row, &[]).context("pack", &shown)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    let mut tail = Vec::new();
    // One byte more than expected shows a file that grew.
    let mut limited = (&file).take(stat.size + 1);
    loop {
        let read = limited.read(&mut buffer).context("read", &shown)?;
        if read == 0 {
            break;
        }
        length += read as u64;
        if length > stat.size {
            return Err(Error::Changed(row.path));
        }
        hasher.update(&buffer[..read]);
        to.search.look_on(&mut tail, &buffer[..read]);
        out.write_all(&buffer[..read]).context("pack", &shown)?;
    }
    unchanged(tree, &row.path, &file, stat, length)?;
    members::pad(out, length).context("pack", &shown)?;
    row.digest = *hasher.finalize().as_bytes();
    Ok(row)
}

/// Passes bytes on and keeps their digest and number.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
    length: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
