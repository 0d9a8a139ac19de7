//! Inputs that a command found by itself: the lists known for a base key, and the list of a run that ended.
//! Does not know what else enters a key, nor whether a result is kept.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use larder_cache::{Entry, Key, Provenance, Put, Store};
use larder_fingerprint::{ReadError, Row, RowKind};

use super::depfile;
use super::format::{self, List};
use super::tree::{Fault, Tree, lossy};

/// So many lists are kept for one base key: as many states of the sources can be gone back to.
const KEPT: usize = 16;

/// The files of a list as they are now, in its order.
///
/// # Errors
/// When one cannot be read, or does not hold still.
pub fn rows(tree: &Tree, list: &[Vec<u8>]) -> Result<Vec<Row>, Fault> {
    let row = |path: &Vec<u8>| {
        let print = match tree.scanner().fingerprint(path) {
            // It was written between two looks: the second decides.
            Err(ReadError::Changed { .. } | ReadError::Vanished { .. }) => {
                tree.scanner().fingerprint(path)
            }
            other => other,
        };
        Ok(print?.map_or_else(
            || Row::absent(path),
            |print| Row {
                path: path.clone(),
                kind: RowKind::File,
                executable: false,
                digest: print.digest,
            },
        ))
    };
    list.iter().map(row).collect()
}

/// Where the lists of a base key are kept.
fn place(base: &[u8; 32]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"larder discovered lists 1\n").update(base);
    Key(*hasher.finalize().as_bytes())
}

/// The lists that the cache knows for a base key, newest first.
///
/// # Errors
/// In words, when the cache cannot be read.
pub fn known(store: &dyn Store, base: &[u8; 32]) -> Result<Vec<List>, String> {
    let entry = store.get(&place(base)).map_err(|error| error.to_string())?;
    Ok(entry
        .and_then(|entry| format::decode(&entry.note))
        .unwrap_or_default())
}

/// Puts a list before those known for a base key. Of two processes that do so at once one is forgotten: its result is
/// then not found, and made anew.
///
/// # Errors
/// In words, when the cache cannot be read or written.
pub fn keep(
    store: &dyn Store,
    base: &[u8; 32],
    list: &List,
    provenance: Provenance,
) -> Result<(), String> {
    let mut lists = known(store, base)?;
    if lists.first() == Some(list) {
        return Ok(());
    }
    lists.retain(|known| known != list);
    lists.insert(0, list.clone());
    lists.truncate(KEPT);
    let Some(note) = format::encode(&lists) else {
        return Err("its list of discovered inputs cannot be encoded".to_owned());
    };
    let entry = Entry {
        manifest: Vec::new(),
        artifact: None,
        log: Vec::new(),
        duration_ms: 0,
        provenance,
        root: None,
        note,
    };
    store
        .put(&place(base), &entry, Put::Replace)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Reads the list that a command left in the depfile at `path`; its relative paths start in `folder`. Both are
/// absolute. The list is sorted, each path once.
///
/// # Errors
/// In words that continue "its depfile …", when it cannot be read, or names a path that cannot be resolved.
pub fn read(root: &Path, folder: &Path, path: &Path) -> Result<List, String> {
    let text = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let named =
        depfile::prerequisites(&text).map_err(|error| format!("cannot be read: {error}"))?;
    let mut list = BTreeSet::new();
    for name in named {
        let resolved = resolve(root, folder, &super::tree::to_path(Path::new(""), &name));
        list.insert(resolved.ok_or_else(|| {
            format!(
                "names {}, which lies in no folder that can be found",
                lossy(&name)
            )
        })?);
    }
    Ok(list.into_iter().collect())
}

/// A path relative to the root where it lies below, else absolute. `..` is resolved on disk: behind a link it does not lead
/// back to where the text says.
fn resolve(root: &Path, folder: &Path, name: &Path) -> Option<Vec<u8>> {
    let full = folder.join(name);
    let climbs = full
        .components()
        .any(|component| component == Component::ParentDir);
    let full = if climbs {
        let parent = full.parent()?.canonicalize().ok()?;
        parent.join(full.file_name()?)
    } else {
        // Joining takes out each `.`.
        full.components().collect::<PathBuf>()
    };
    let path = full.strip_prefix(root).unwrap_or(&full);
    Some(slashed(path))
}

#[cfg(unix)]
fn slashed(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

#[cfg(not(unix))]
fn slashed(path: &Path) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_cache::MemoryStore;

    #[test]
    fn lists_are_kept_newest_first_and_bounded() {
        let store = MemoryStore::new();
        let base = [7; 32];
        let list = |number: usize| vec![format!("{number}.h").into_bytes()];
        for number in 0..KEPT + 3 {
            keep(&store, &base, &list(number), Provenance::default()).unwrap();
        }
        keep(&store, &base, &list(KEPT), Provenance::default()).unwrap();
        let known = known(&store, &base).unwrap();
        assert_eq!(known.len(), KEPT);
        assert_eq!(known[..2], [list(KEPT), list(KEPT + 2)]);
        assert_eq!(known[KEPT - 1], list(3));
        assert_eq!(super::known(&store, &[8; 32]).unwrap(), Vec::<List>::new());
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_told_from_the_root_and_dots_are_followed_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("ws");
        std::fs::create_dir_all(root.join("p/src")).unwrap();
        std::fs::create_dir_all(root.join("deep/er/inc")).unwrap();
        std::os::unix::fs::symlink("../deep/er/inc", root.join("p/inc")).unwrap();
        let text = "o: src/a.c ./src/b.h ../c.h inc/../x.h /usr/x.h ";
        let file = root.join("p/o.d");
        std::fs::write(&file, format!("{text}{}\n", root.join("q.h").display())).unwrap();
        let list = read(&root, &root.join("p"), &file).unwrap();
        let list: Vec<String> = list.iter().map(|path| lossy(path)).collect();
        assert_eq!(
            list,
            [
                "/usr/x.h",
                "c.h",
                "deep/er/x.h",
                "p/src/a.c",
                "p/src/b.h",
                "q.h"
            ]
        );
        std::fs::write(&file, "o: gone/../a.h\n").unwrap();
        let error = read(&root, &root.join("p"), &file).unwrap_err();
        assert!(error.contains("gone/../a.h"), "{error}");
    }
}
