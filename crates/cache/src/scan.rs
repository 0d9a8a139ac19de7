//! Compares what lies on disk with manifests and with digests of what a task last wrote.
//! Knows nothing of archives or stores, and writes nothing.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};

use rayon::prelude::*;

use crate::error::Context;
use crate::root::Root;
use crate::tree::{Look, Tree};
use crate::{EMPTY_DIR, Kind, Result, Row};

/// How a path on disk differs from its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Nothing is there.
    Missing(Vec<u8>),
    /// Something else, or other content, is there.
    Differs(Vec<u8>),
    /// The content is right, the executable bit is not.
    Mode(Vec<u8>),
}

/// Every row that the disk does not match, in order; empty when all outputs are in place.
/// Paths that no row names are not looked at, and an [`Kind::EmptyDir`] row asks only for a folder.
///
/// # Errors
/// When the root or a file cannot be read.
pub fn matches<'a>(root: impl Into<Root<'a>>, manifest: &[Row]) -> Result<Vec<Mismatch>> {
    let root = root.into();
    let tree = Tree::open(root).context("open", root.folder)?;
    let found: Vec<Option<Mismatch>> = manifest
        .par_iter()
        .map(|row| {
            let (found, _) = compare(&tree, row)?;
            Ok(match found {
                Compared::Equal => None,
                Compared::Mode => Some(Mismatch::Mode(row.path.clone())),
                Compared::Missing => Some(Mismatch::Missing(row.path.clone())),
                Compared::Differs | Compared::Blocked(_) => {
                    Some(Mismatch::Differs(row.path.clone()))
                }
            })
        })
        .collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compared {
    Equal,
    Mode,
    Missing,
    Differs,
    Blocked(Vec<u8>),
}

/// The comparison, and the stat of the regular file, or of the folder that is as the row says.
pub(crate) fn compare(tree: &Tree, row: &Row) -> Result<(Compared, Option<crate::tree::Stat>)> {
    let look = tree
        .look(&row.path)
        .context("look at", tree.display(&row.path))?;
    Ok(match look {
        Look::Missing => (Compared::Missing, None),
        Look::Blocked { at } => (Compared::Blocked(at), None),
        Look::File(mut file, stat) => {
            let same = row.kind == Kind::File
                && stat.size == row.size
                && hash(&mut file).context("read", tree.display(&row.path))?
                    == (row.digest, row.size);
            let mode = !cfg!(unix) || (stat.mode & 0o111 != 0) == row.executable();
            let found = match (same, mode) {
                (true, true) => Compared::Equal,
                (true, false) => Compared::Mode,
                (false, _) => Compared::Differs,
            };
            (found, Some(stat))
        }
        Look::Link(text)
            if row.kind == Kind::Link && *blake3::hash(&text).as_bytes() == row.digest =>
        {
            (Compared::Equal, None)
        }
        Look::Dir(stat) if row.kind == Kind::EmptyDir => (Compared::Equal, Some(stat)),
        Look::Link(_) | Look::Dir(_) | Look::Other => (Compared::Differs, None),
    })
}

/// Whether a path still is what a task left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing is there, or a folder instead of a file, or something in place of its parent folder.
    Gone,
    /// The very content.
    Intact,
    /// Other content, or another kind of thing.
    Altered,
}

/// Compares a path with the digest that its owner recorded.
pub(crate) fn held(tree: &Tree, path: &[u8], digest: &[u8; 32]) -> Result<Held> {
    let look = tree.look(path).context("look at", tree.display(path))?;
    let intact = match look {
        Look::Missing | Look::Blocked { .. } => return Ok(Held::Gone),
        Look::File(mut file, _) => {
            hash(&mut file).context("read", tree.display(path))?.0 == *digest
        }
        Look::Link(text) => blake3::hash(&text).as_bytes() == digest,
        // A folder where the task had a file is somebody else's; the file is gone.
        Look::Dir(_) if *digest != EMPTY_DIR => return Ok(Held::Gone),
        Look::Dir(_) => true,
        Look::Other => false,
    };
    Ok(if intact { Held::Intact } else { Held::Altered })
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Digest and length of what a file holds from here on.
pub(crate) fn hash(file: &mut File) -> io::Result<([u8; 32], u64)> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(256 * 1024, 0);
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        loop {
            match file.read(buffer) {
                Ok(0) => return Ok((*hasher.finalize().as_bytes(), length)),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })
}
