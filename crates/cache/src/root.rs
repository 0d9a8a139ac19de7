//! Where the relative paths of manifests lie on disk.
//! Knows nothing of what lies there.

use std::path::{Path, PathBuf};

/// A folder, and other folders whose files have paths in it.
///
/// A path whose first component is the prefix of a mount lies in that mount's folder; every other one below the root. A
/// plain `&Path` is a root without mounts.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// The folder that paths start at.
    pub folder: &'a Path,
    /// Prefix (one component) and folder of each mount.
    pub mounts: &'a [(Vec<u8>, PathBuf)],
}

impl<'a> From<&'a Path> for Root<'a> {
    fn from(folder: &'a Path) -> Self {
        Self {
            folder,
            mounts: &[],
        }
    }
}

impl<'a> From<&'a PathBuf> for Root<'a> {
    fn from(folder: &'a PathBuf) -> Self {
        folder.as_path().into()
    }
}

/// The mount that a path lies in, and how many of its bytes belong to the prefix.
pub(crate) fn mount_of<'m, T>(
    mounts: &'m [T],
    prefix: impl Fn(&T) -> &[u8],
    path: &[u8],
) -> Option<(&'m T, usize)> {
    // The usual case costs nothing.
    if mounts.is_empty() {
        return None;
    }
    let end = path.iter().position(|byte| *byte == b'/');
    let first = &path[..end.unwrap_or(path.len())];
    let mount = mounts.iter().find(|mount| prefix(mount) == first)?;
    Some((mount, end.map_or(path.len(), |end| end + 1)))
}
