//! Keeps a resolved workspace between runs, and tells by stats alone whether it still holds.
//! It does not know how it was resolved.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::Variables;
use super::discover::{full_path, stat};
use super::format::{Source, SourceKind, Workspace};

/// Goes up with every change of the resolved types or of their meaning.
const VERSION: u32 = 7;
const MAGIC: &[u8; 8] = b"LRDRCONF";
/// Magic, version, digest of the rest.
const HEADER: usize = 8 + 4 + 32;
/// A change this close to the reading may have come after it with the same stat.
const RACY_NS: i64 = 2_000_000_000;

/// Writes the workspace atomically. Returns whether it was written: it is not when a source
/// changed within two seconds of being read, since a later change might not show in its stat.
///
/// # Errors
/// What the file system says; nothing is left half written.
pub fn save_snapshot(path: &Path, workspace: &Workspace) -> io::Result<bool> {
    let racy = |source: &Source| {
        source.kind != SourceKind::Folder
            && source.stat.is_some_and(|stat| {
                stat.mtime_ns.max(stat.ctime_ns) > workspace.read_at_ns.saturating_sub(RACY_NS)
            })
    };
    if workspace.sources.iter().any(racy) {
        return Ok(false);
    }
    let body =
        postcard::to_stdvec(&(env!("CARGO_PKG_VERSION"), workspace)).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(true)
}

/// Reads a workspace back if nothing that it rests on has changed; any doubt gives `None`.
pub fn load_snapshot(path: &Path, root: &Path, variables: &Variables<'_>) -> Option<Workspace> {
    let bytes = fs::read(path).ok()?;
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, rest) = header.split_at(8);
    let (version, digest) = rest.split_at(4);
    if magic != MAGIC || version != VERSION.to_le_bytes() || digest != blake3::hash(body).as_bytes()
    {
        return None;
    }
    let (program, workspace): (&str, Workspace) = postcard::from_bytes(body).ok()?;
    (program == env!("CARGO_PKG_VERSION") && holds(&workspace, root, variables))
        .then_some(workspace)
}

/// Whether a file was a snapshot of this version before something was cut off or altered.
pub fn is_damaged(path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else {
        return false;
    };
    let Some((header, body)) = bytes.split_at_checked(HEADER) else {
        return true;
    };
    let (magic, rest) = header.split_at(8);
    let (version, digest) = rest.split_at(4);
    magic == MAGIC && version == VERSION.to_le_bytes() && digest != blake3::hash(body).as_bytes()
}

/// Whether everything that a workspace was resolved from has the stat it had, and every variable its value.
pub fn holds(workspace: &Workspace, root: &Path, variables: &Variables<'_>) -> bool {
    let same = |(name, digest): &(String, Option<[u8; 32]>)| {
        variables(name).as_deref().map(digest_of) == *digest
    };
    workspace
        .sources
        .iter()
        .all(|source| unchanged(source, root))
        && workspace.variables.iter().all(same)
}

/// The digest of a variable's value: the value itself is not kept.
pub(super) fn digest_of(value: &str) -> [u8; 32] {
    *blake3::hash(value.as_bytes()).as_bytes()
}

fn unchanged(source: &Source, root: &Path) -> bool {
    let now = stat(&full_path(root, &source.path));
    match source.kind {
        SourceKind::File | SourceKind::Listing => now == source.stat,
        SourceKind::Folder => {
            now.is_some_and(|stat| stat.folder) == source.stat.is_some_and(|stat| stat.folder)
        }
    }
}
