//! The whole life of one cached step, for those who use this crate alone.
//! Knows nothing of how the key came about or what the build does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::error::Context;
use crate::manifest::is_plain;
use crate::tree::{Dir, Look, Tree, Walk};
use crate::{
    Clean, Difference, Entry, Error, Key, Manifest, PackOptions, Provenance, Put, PutOutcome,
    RestoreOptions, Result, Source, Store, clean, diff, format, pack, restore,
};

/// What a build makes, and where its state is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// Files, links and folders below the build's folder, `/`-separated. A folder stands for all it holds.
    pub paths: &'a [&'a str],
    /// A folder of this build alone: it keeps what the build owns, rescued files and temporary ones.
    /// Best on the file system of the build's folder, and outside of it or ignored by it.
    pub state: &'a Path,
    /// For the entry's provenance.
    pub name: &'a str,
}

/// How the outputs came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Whether they came from the store (or were in place already).
    pub hit: bool,
    /// What they are.
    pub manifest: Manifest,
    /// Files that were not the build's own, and where they were moved.
    pub rescued: Vec<(Vec<u8>, PathBuf)>,
    /// Where the outputs differ from the first result under this key, which stays stored.
    pub differences: Vec<Difference>,
    /// Why the store could not be used or filled; the outputs are right regardless.
    pub warnings: Vec<String>,
}

/// Why there are no outputs.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E> {
    /// The build's own error.
    #[error(transparent)]
    Build(E),
    /// The folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] Error),
}

/// Restores the outputs of `key` to `dir`, or calls `build` and stores what it made.
///
/// A store that fails costs only time: it becomes a warning. Before `build` runs, the outputs of the last call are removed;
/// files that somebody else wrote or changed in their place are moved to `rescued` in the state folder.
///
/// # Errors
/// The error of `build`, after which nothing is stored; or a folder that cannot be read or written.
pub fn get_or_build<E>(
    store: &dyn Store,
    key: &Key,
    dir: &Path,
    outputs: &Outputs<'_>,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Build, BuildError<E>> {
    let rescue = outputs.state.join("rescued");
    fs::create_dir_all(&rescue).context("create", &rescue)?;
    let memory = outputs.state.join("owned");
    let owned = recall(&memory);
    let allowed = |path: &[u8]| {
        outputs.paths.iter().any(|output| {
            let rest = path.strip_prefix(output.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    };
    let mut done = Build {
        hit: false,
        manifest: Vec::new(),
        rescued: Vec::new(),
        differences: Vec::new(),
        warnings: Vec::new(),
    };
    match store.get(key) {
        Ok(Some(entry)) => {
            let options = RestoreOptions::new(&allowed, &owned, &rescue);
            match restore(dir, &entry, store, &options) {
                Ok(restored) => {
                    remember(&memory, &entry.manifest)?;
                    done.hit = true;
                    done.manifest = entry.manifest;
                    done.rescued = restored.rescued;
                    return Ok(done);
                }
                Err(error) => {
                    if let Error::Partial { rescued, .. } = &error {
                        done.rescued.clone_from(rescued);
                    }
                    done.warnings.push(error.to_string());
                }
            }
        }
        Ok(None) => {}
        Err(error) => done.warnings.push(error.to_string()),
    }
    let options = Clean {
        owned: &owned,
        allowed: &allowed,
        rescue: &rescue,
    };
    done.rescued.append(&mut clean(dir, &options)?.rescued);
    let begin = Instant::now();
    build(dir).map_err(BuildError::Build)?;
    let duration = begin.elapsed();
    let paths = collect(dir, outputs.paths)?;
    let packed = pack(dir, &paths, &PackOptions::default(), outputs.state)?;
    remember(&memory, &packed.manifest)?;
    let entry = Entry {
        artifact: packed.artifact.as_ref().map(|artifact| artifact.id),
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        provenance: Provenance {
            task: outputs.name.to_owned(),
            created_ns: now(),
            extra: BTreeMap::new(),
        },
        ..blank(packed.manifest)
    };
    let saved = packed.artifact.as_ref().map_or(Ok(()), |artifact| {
        store.save(&artifact.id, Source::File(&artifact.file))
    });
    match saved.and_then(|()| store.put(key, &entry, Put::First)) {
        Ok(PutOutcome::Different(first)) => {
            done.differences = diff(&first.manifest, &entry.manifest);
        }
        Ok(PutOutcome::Stored | PutOutcome::Same) => {}
        Err(error) => done.warnings.push(error.to_string()),
    }
    done.manifest = entry.manifest;
    Ok(done)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(0))
}

fn blank(manifest: Manifest) -> Entry {
    Entry {
        manifest,
        artifact: None,
        inline: None,
        log: Vec::new(),
        duration_ms: 0,
        provenance: Provenance::default(),
        root: None,
        note: Vec::new(),
    }
}

/// The key under which the state file holds its manifest: it is an entry like any other.
const STATE: Key = Key([0; 32]);

fn recall(memory: &Path) -> BTreeMap<Vec<u8>, [u8; 32]> {
    // Unreadable state owns nothing, so everything in the way is rescued rather than lost.
    let entry = fs::read(memory)
        .ok()
        .and_then(|bytes| format::decode(&STATE, &bytes));
    let rows = entry.map(|entry| entry.manifest).unwrap_or_default();
    rows.into_iter().map(|row| (row.path, row.digest)).collect()
}

fn remember(memory: &Path, manifest: &Manifest) -> Result<()> {
    let bytes = format::encode(&STATE, &blank(manifest.clone()));
    let folder = memory.parent().unwrap_or(Path::new(""));
    let temp = tempfile::NamedTempFile::new_in(folder).context("write in", folder)?;
    fs::write(temp.path(), bytes).context("write", temp.path())?;
    temp.persist(memory)
        .map_err(|error| error.error)
        .context("write", memory)?;
    Ok(())
}

/// Every file, link and empty folder at or below the outputs.
fn collect(root: &Path, outputs: &[&str]) -> Result<Vec<Vec<u8>>> {
    let tree = Tree::open(root.into()).context("open", root)?;
    let mut found = Vec::new();
    let mut open: Vec<Vec<u8>> = outputs
        .iter()
        .map(|path| path.as_bytes().to_vec())
        .collect();
    while let Some(path) = open.pop() {
        if !is_plain(&path) {
            return Err(Error::Unpackable(path));
        }
        match tree.look(&path).context("look at", tree.display(&path))? {
            Look::Dir(_) => {
                let names = match tree.walk(&path, false).and_then(|walk| names(&walk)) {
                    Ok(names) => names,
                    Err(error) => return Err(error).context("list", tree.display(&path)),
                };
                if names.is_empty() {
                    found.push(path);
                    continue;
                }
                for name in names {
                    open.push([&path[..], b"/", &name].concat());
                }
            }
            // Missing ones and strange ones are for `pack` to refuse.
            _ => found.push(path),
        }
    }
    Ok(found)
}

fn names(walk: &Walk) -> std::io::Result<Vec<Vec<u8>>> {
    match walk {
        Walk::Found(dir) => Dir::names(dir),
        Walk::Missing | Walk::Blocked { .. } => Ok(Vec::new()),
    }
}
