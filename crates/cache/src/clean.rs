//! Removes what a task owns and moves what it does not own out of the way: the rules of ownership and rescue.
//! Knows nothing of entries or artifacts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::Context;
use crate::manifest::{is_plain, split};
use crate::root::Root;
use crate::scan::{Held, held};
use crate::tree::{Dir, Tree, Walk};
use crate::{EMPTY_DIR, Error, Result};

/// What a clean may touch.
pub struct Clean<'a> {
    /// The paths that the task wrote last, with the digest of each file or link text, or [`EMPTY_DIR`].
    pub owned: &'a BTreeMap<Vec<u8>, [u8; 32]>,
    /// Whether a path is one of the task's declared outputs; others are left alone even when owned.
    pub allowed: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Where altered files are moved, under their relative path.
    pub rescue: &'a Path,
}

/// What a clean did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cleaned {
    /// Owned paths that are gone now.
    pub deleted: Vec<Vec<u8>>,
    /// Owned paths whose content somebody else changed, and where they are now.
    pub rescued: Vec<(Vec<u8>, PathBuf)>,
}

/// Removes a task's owned outputs below `root`. A path whose content is not what the task last wrote is moved to the
/// rescue folder instead. Folders that this empties are removed when they are themselves among the declared outputs.
///
/// # Errors
/// When reading, removing or moving fails; after the first change as [`Error::Partial`].
pub fn clean<'a>(root: impl Into<Root<'a>>, options: &Clean<'_>) -> Result<Cleaned> {
    let root = root.into();
    let tree = Tree::open(root).context("open", root.folder)?;
    let paths: Vec<_> = options.owned.iter().collect();
    let mut cleaned = Cleaned::default();
    let result = remove_owned(&tree, &paths, options, &mut cleaned);
    finish(result, &cleaned.rescued).map(|()| cleaned)
}

/// An error after which paths have moved names them.
pub(crate) fn finish<T>(result: Result<T>, rescued: &[(Vec<u8>, PathBuf)]) -> Result<T> {
    result.map_err(|source| Error::Partial {
        source: Box::new(source),
        rescued: rescued.to_vec(),
    })
}

/// Deletes those of `paths` that are intact and rescues the altered ones.
pub(crate) fn remove_owned(
    tree: &Tree,
    paths: &[(&Vec<u8>, &[u8; 32])],
    options: &Clean<'_>,
    cleaned: &mut Cleaned,
) -> Result<()> {
    let states: Vec<(&Vec<u8>, &[u8; 32], Held)> = paths
        .par_iter()
        .filter(|(path, _)| is_plain(path) && (options.allowed)(path))
        .map(|(path, digest)| Ok((*path, *digest, held(tree, path, digest)?)))
        .collect::<Result<_>>()?;
    // Backwards, so that what lies in a folder goes before the folder.
    for (path, digest, state) in states.into_iter().rev() {
        match state {
            Held::Gone => continue,
            Held::Intact => {
                if !remove(tree, path, *digest == EMPTY_DIR)? {
                    continue;
                }
                cleaned.deleted.push(path.clone());
            }
            Held::Altered => {
                let place = rescue(tree, path, options.rescue)?;
                cleaned.rescued.push((path.clone(), place));
            }
        }
        prune_parents(tree, path, options.allowed)?;
    }
    cleaned.deleted.sort_unstable();
    Ok(())
}

fn parent(tree: &Tree, path: &[u8]) -> Result<Option<Dir>> {
    match tree
        .walk(split(path).0, false)
        .context("open folder of", tree.display(path))?
    {
        Walk::Found(dir) => Ok(Some(dir)),
        Walk::Missing | Walk::Blocked { .. } => Ok(None),
    }
}

/// Removes a file, link or (if `dir`) an empty folder; false when it is not there or the folder holds something.
pub(crate) fn remove(tree: &Tree, path: &[u8], dir: bool) -> Result<bool> {
    let Some(folder) = parent(tree, path)? else {
        return Ok(false);
    };
    let name = split(path).1;
    let removed = if dir {
        folder.remove_dir(name)
    } else {
        folder.remove_file(name)
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(error).context("remove", tree.display(path)),
    }
}

/// Removes empty folders above `path`, as long as they are declared outputs themselves.
fn prune_parents(tree: &Tree, path: &[u8], allowed: &dyn Fn(&[u8]) -> bool) -> Result<()> {
    let mut folder = split(path).0;
    while !folder.is_empty() && allowed(folder) && remove(tree, folder, true)? {
        folder = split(folder).0;
    }
    Ok(())
}

/// Moves whatever lies at `path` into the rescue folder, under the same relative path with `.1`, `.2`, … if taken.
pub(crate) fn rescue(tree: &Tree, path: &[u8], rescue: &Path) -> Result<PathBuf> {
    let Some(folder) = parent(tree, path)? else {
        return Err(io::Error::from(io::ErrorKind::NotFound)).context("rescue", tree.display(path));
    };
    let wanted = rescue.join(Tree::relative(path));
    let above = wanted.parent().unwrap_or(rescue);
    std::fs::create_dir_all(above).context("create", above)?;
    let name = wanted.file_name().unwrap_or_default().to_owned();
    let mut place = wanted.clone();
    let mut number = 0;
    while place.symlink_metadata().is_ok() {
        number += 1;
        let mut numbered = name.clone();
        numbered.push(format!(".{number}"));
        place = above.join(numbered);
    }
    match folder.rename_out(split(path).1, &place) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_out(&folder, split(path).1, &place).context("rescue", tree.display(path))?;
        }
        moved => moved.context("rescue", tree.display(path))?,
    }
    Ok(place)
}

/// The slow way to move a file or link to another file system. Folders are left where they are, as an error.
fn copy_out(folder: &Dir, name: &[u8], place: &Path) -> io::Result<()> {
    use crate::tree::StatKind;
    match folder.stat(name)?.map(|stat| stat.kind) {
        Some(StatKind::File) => {
            let mut from = folder.open(name)?;
            let mut to = std::fs::File::create_new(place)?;
            io::copy(&mut from, &mut to)?;
            to.set_permissions(from.metadata()?.permissions())?;
            to.sync_all()?;
        }
        #[cfg(unix)]
        Some(StatKind::Link) => {
            use std::os::unix::ffi::OsStringExt;
            let text = std::ffi::OsString::from_vec(folder.read_link(name)?);
            std::os::unix::fs::symlink(text, place)?;
        }
        _ => return Err(io::ErrorKind::CrossesDevices.into()),
    }
    folder.remove_file(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_and_a_folder_that_holds_something_may_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "1").unwrap();
        std::fs::create_dir_all(dir.path().join("full/empty")).unwrap();
        let tree = Tree::open(dir.path().into()).unwrap();
        assert!(!remove(&tree, b"gone", false).unwrap());
        assert!(!remove(&tree, b"gone", true).unwrap());
        assert!(!remove(&tree, b"full", true).unwrap());
        // Neither is what it was taken for: whoever asked is to know that it stays.
        remove(&tree, b"full", false).unwrap_err();
        remove(&tree, b"file", true).unwrap_err();
        assert!(dir.path().join("full/empty").is_dir() && dir.path().join("file").is_file());
        assert!(remove(&tree, b"full/empty", true).unwrap());
        assert!(remove(&tree, b"full", true).unwrap());
        assert!(remove(&tree, b"file", false).unwrap());
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
