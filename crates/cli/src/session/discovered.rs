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
        inline: None,
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

/// Depfiles up to this size are read.
const LARGEST: u64 = 64 << 20;

/// Where paths of a list start: the root, and the folders mounted in it.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The root, absolute and without links.
    pub root: &'a Path,
    /// Prefix and folder of each mount.
    pub mounts: &'a [(Vec<u8>, PathBuf)],
}

/// Reads the list that a command left in the depfile at `path`; its relative paths start in `folder`. Both are
/// absolute. The list is sorted, each path once.
///
/// # Errors
/// In words that continue "its depfile …", when it cannot be read, or names a path that cannot be resolved.
pub fn read(places: Places<'_>, folder: &Path, path: &Path) -> Result<List, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read: {error}");
    // A pipe would be waited for without end.
    let stat = path
        .symlink_metadata()
        .map_err(|error| unreadable(&error))?;
    if !stat.is_file() || stat.len() > LARGEST {
        return Err(unreadable(&"it is no file of at most 64 MiB"));
    }
    let text = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let named = depfile::prerequisites(&text).map_err(|error| unreadable(&error))?;
    let mut list = BTreeSet::new();
    for name in named {
        let full = folder.join(super::tree::to_path(Path::new(""), &name));
        let full = without_dots(&full).ok_or_else(|| {
            format!(
                "names {}, where `..` follows a link or a folder that is not there",
                lossy(&name)
            )
        })?;
        list.insert(told(places, &full));
    }
    Ok(list.into_iter().collect())
}

/// The path without `.` and `..`; `None` where the disk does not lead there by that way, as behind a link.
fn without_dots(full: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    let mut climbed = false;
    for component in full.components() {
        match component {
            Component::ParentDir => {
                climbed = true;
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    if climbed {
        let real = |path: &Path| path.parent()?.canonicalize().ok();
        (real(full)? == real(&plain)?).then_some(plain)
    } else {
        Some(plain)
    }
}

/// A path as it stands in a list: relative to the workspace or to one of its mounts, else absolute.
pub fn told(places: Places<'_>, full: &Path) -> Vec<u8> {
    if let Ok(below) = full.strip_prefix(places.root) {
        return slashed(below);
    }
    let mounted = places
        .mounts
        .iter()
        .find_map(|(prefix, folder)| Some((prefix, full.strip_prefix(folder).ok()?)));
    match mounted {
        Some((prefix, below)) if below.as_os_str().is_empty() => prefix.clone(),
        Some((prefix, below)) => [prefix, &b"/"[..], &slashed(below)].concat(),
        None => slashed(full),
    }
}

/// Whether a folder or link on the way to a file was put in its place since a moment, by the clock that stamps files.
///
/// A rename stamps what it moves, but not what lies in that. Names that come and go in a folder stamp it as
/// well, together with its content, so a folder counts only if its content is older.
#[cfg(unix)]
pub fn way_changed(full: &Path, since_ns: i64) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    full.ancestors().skip(1).any(|folder| {
        let Ok(stat) = folder.symlink_metadata() else {
            return true;
        };
        let ns = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000) + rest;
        let moved = ns(stat.ctime(), stat.ctime_nsec()) >= since_ns;
        moved && (stat.is_symlink() || ns(stat.mtime(), stat.mtime_nsec()) < since_ns)
    })
}

/// Elsewhere nothing tells.
#[cfg(not(unix))]
pub fn way_changed(_full: &Path, _since_ns: i64) -> bool {
    false
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
        let text = "o: src/a.c ./src/b.h ../c.h src/../x.h /usr/x.h ";
        let file = root.join("p/o.d");
        let other = dir.path().canonicalize().unwrap().join("other/m.h");
        std::fs::write(
            &file,
            format!("{text}{} {}\n", root.join("q.h").display(), other.display()),
        )
        .unwrap();
        let mount = dir.path().canonicalize().unwrap().join("other");
        let mounts = [(b"..other".to_vec(), mount.clone())];
        let places = Places {
            root: &root,
            mounts: &mounts,
        };
        let list = read(places, &root.join("p"), &file).unwrap();
        let list: Vec<String> = list.iter().map(|path| lossy(path)).collect();
        assert_eq!(
            list,
            [
                "..other/m.h",
                "/usr/x.h",
                "c.h",
                "p/src/a.c",
                "p/src/b.h",
                "p/x.h",
                "q.h"
            ]
        );
        // Where the text says something else than the disk, nothing is guessed.
        for name in ["gone/../a.h", "inc/../x.h"] {
            std::fs::write(&file, format!("o: {name}\n")).unwrap();
            let error = read(places, &root.join("p"), &file).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        let error = read(places, &root.join("p"), &file).unwrap_err();
        assert!(error.contains("no file"), "{error}");
    }
}
