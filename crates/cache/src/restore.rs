//! Brings the outputs of an entry back to disk, with proof before the first write.
//! Knows nothing of keys, tasks or globs: what may be written and what is owned come as values.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use crate::clean::{Clean, Cleaned, finish, remove, remove_owned, rescue};
use crate::error::Context;
use crate::manifest::{is_plain, split};
use crate::root::Root;
use crate::scan::{Compared, Held, compare, held};
use crate::tree::{Dir, Stat, Tree, Walk};
use crate::unpack::{Body, Room, Unpacked, unpack};
use crate::{ArtifactId, EMPTY_DIR, Entry, Error, Kind, Result, Row, Store, Why};

mod write;

use write::write;

/// What a restore may touch, and how much it may hold.
pub struct RestoreOptions<'a> {
    /// Whether a path is one of the declared outputs.
    pub allowed: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// The paths that this task wrote last, with the digest of each file or link text, or [`EMPTY_DIR`].
    pub owned: &'a BTreeMap<Vec<u8>, [u8; 32]>,
    /// Where files that are not the task's are moved, under their relative path. Best on the root's file system.
    pub rescue: &'a Path,
    /// A folder for unpacked files that do not fit into `memory`.
    pub stage: &'a Path,
    /// How many bytes of unpacked files may be held in memory.
    pub memory: u64,
    /// The largest sum of file sizes that is restored at all.
    pub max_bytes: u64,
}

impl<'a> RestoreOptions<'a> {
    /// 256 MiB of memory, a stage in the rescue folder, 1 TiB at most.
    pub fn new(
        allowed: &'a (dyn Fn(&[u8]) -> bool + Sync),
        owned: &'a BTreeMap<Vec<u8>, [u8; 32]>,
        rescue: &'a Path,
    ) -> Self {
        Self {
            allowed,
            owned,
            rescue,
            stage: rescue,
            memory: 256 << 20,
            max_bytes: 1 << 40,
        }
    }
}

/// What a restore did. Afterwards the disk matches the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Paths that were written, or whose mode was set; sorted.
    pub written: Vec<Vec<u8>>,
    /// How many rows were right already.
    pub kept: usize,
    /// Owned paths that the manifest does not name and that are gone now.
    pub deleted: Vec<Vec<u8>>,
    /// Paths whose content was not the task's, and where they were moved.
    pub rescued: Vec<(Vec<u8>, PathBuf)>,
    /// Bytes of the files that were written.
    pub bytes: u64,
}

/// What to do for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Keep,
    Mode,
    /// Write to where nothing is.
    Create,
    /// Write over the task's own file, in place if the stat allows.
    Overwrite(Option<Stat>),
    /// Move away what is there, then write.
    Rescue,
}

/// Makes the outputs below `root` those of `entry`.
///
/// Where the disk matches already nothing is written, and when all of it does the artifact is not even opened.
/// Otherwise the whole artifact is proved first. Files are written in parallel; those written get one modification time, the start of
/// the restore. Owned paths that the manifest does not name are deleted last; what is not the task's is moved to the rescue folder first.
///
/// # Errors
/// [`Error::NoArtifact`] and [`Error::Refused`] mean a miss, with nothing written. A failure after the first change
/// is [`Error::Partial`].
pub fn restore<'a>(
    root: impl Into<Root<'a>>,
    entry: &Entry,
    store: &dyn Store,
    options: &RestoreOptions<'_>,
) -> Result<Restored> {
    let root = root.into();
    let rows = &entry.manifest;
    validate(rows, options)?;
    let tree = Tree::open(root).context("open", root.folder)?;
    bring(&tree, rows, options, Modes::Executable, |wanted| {
        if !wanted.contains(&true) {
            return Ok(None);
        }
        let (id, mut reader): (ArtifactId, Box<dyn Read + Send + '_>) =
            match (&entry.inline, entry.artifact) {
                // What stands in the entry was proved with it.
                (Some(bytes), _) => (
                    ArtifactId(*blake3::hash(bytes).as_bytes()),
                    Box::new(&bytes[..]),
                ),
                (None, None) => return Err(Error::refused(b"", Why::NoArtifact)),
                (None, Some(id)) => match store.open(&id)? {
                    Some(reader) => (id, reader),
                    None => return Err(Error::NoArtifact(id)),
                },
            };
        let room = Room {
            memory: options.memory,
            stage: options.stage,
        };
        unpack(&mut *reader, &id, rows, wanted, &room).map(Some)
    })
}

/// How much of a mode has to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modes {
    /// Whether a file may be executed.
    Executable,
    /// All permission bits, of empty folders too.
    All,
}

/// Makes the disk hold the valid `rows`. The bodies of those that are wanted come from `fetch`, which is asked before
/// the first write and may refuse.
pub(crate) fn bring(
    tree: &Tree,
    rows: &[Row],
    options: &RestoreOptions<'_>,
    modes: Modes,
    fetch: impl FnOnce(&[bool]) -> Result<Option<Unpacked>>,
) -> Result<Restored> {
    let now = SystemTime::now();
    let (steps, blocked) = plan(tree, rows, options, modes)?;
    let wanted: Vec<bool> = steps
        .iter()
        .map(|step| !matches!(step, Step::Keep | Step::Mode))
        .collect();
    let unpacked = fetch(&wanted)?;
    let bodies = unpacked.as_ref().map_or(&[][..], |done| &done.bodies);
    let mut done = Restored::default();
    let made_anew = match modes {
        Modes::All => remove_empty_folders(tree, rows, options, &mut done),
        Modes::Executable => Ok(()),
    };
    let result = made_anew.and_then(|()| {
        apply(
            tree, rows, &steps, &blocked, bodies, now, options, &mut done,
        )
    });
    finish(result, &done.rescued).map(|()| done)
}

/// Removes owned folders that were empty and shall not be: one that is to hold something is made anew, with the mode that
/// a new folder has.
fn remove_empty_folders(
    tree: &Tree,
    rows: &[Row],
    options: &RestoreOptions<'_>,
    done: &mut Restored,
) -> Result<()> {
    let empty = options.owned.iter().filter(|(path, digest)| {
        **digest == EMPTY_DIR && holds(rows, path) && is_plain(path) && (options.allowed)(path)
    });
    for (path, _) in empty {
        if matches!(tree.look(path), Ok(crate::tree::Look::Dir(_))) && remove(tree, path, true)? {
            done.deleted.push(path.clone());
        }
    }
    Ok(())
}

/// Whether a row lies below `folder`.
fn holds(rows: &[Row], folder: &[u8]) -> bool {
    let below = [folder, b"/"].concat();
    let at = rows.partition_point(|row| row.path < below);
    rows.get(at).is_some_and(|row| row.path.starts_with(&below))
}

/// Refuses manifests that could reach outside, or that no disk can hold.
pub(crate) fn validate(rows: &[Row], options: &RestoreOptions<'_>) -> Result<()> {
    let mut total = 0_u64;
    let mut folded = BTreeSet::new();
    let leaves: BTreeSet<&[u8]> = rows.iter().map(|row| &*row.path).collect();
    for (index, row) in rows.iter().enumerate() {
        let refuse = |why| Err(Error::refused(&row.path, why));
        if !is_plain(&row.path) {
            return refuse(Why::BadPath);
        }
        if !(options.allowed)(&row.path) {
            return refuse(Why::Undeclared);
        }
        let mut folder = split(&row.path).0;
        while !folder.is_empty() {
            if leaves.contains(folder) {
                return refuse(Why::Disorder);
            }
            folder = split(folder).0;
        }
        if index > 0 && rows[index - 1].path >= row.path {
            return refuse(Why::Disorder);
        }
        if clashes(&mut folded, &row.path) {
            return refuse(Why::Disorder);
        }
        total = total.saturating_add(row.size);
        if total > options.max_bytes {
            return refuse(Why::TooLarge);
        }
    }
    Ok(())
}

/// Whether a path and an earlier one are one file because the system does not tell case apart: only one could be right.
fn clashes(folded: &mut BTreeSet<String>, path: &[u8]) -> bool {
    cfg!(any(windows, target_os = "macos"))
        && !folded.insert(String::from_utf8_lossy(path).to_lowercase())
}

/// A step for each row, and the owned files or links that stand where folders must be.
fn plan(
    tree: &Tree,
    rows: &[Row],
    options: &RestoreOptions<'_>,
    modes: Modes,
) -> Result<(Vec<Step>, BTreeSet<Vec<u8>>)> {
    let steps: Vec<(Step, Option<Vec<u8>>)> = rows
        .par_iter()
        .map(|row| {
            let (compared, stat) = compare(tree, row)?;
            Ok(match compared {
                Compared::Equal if modes == Modes::All && other_mode(row, stat) => {
                    (Step::Mode, None)
                }
                Compared::Equal => (Step::Keep, None),
                Compared::Mode => (Step::Mode, None),
                Compared::Missing => (Step::Create, None),
                Compared::Blocked(at) => (Step::Create, Some(at)),
                Compared::Differs => {
                    let owned = match options.owned.get(&row.path) {
                        Some(digest) => held(tree, &row.path, digest)? == Held::Intact,
                        None => false,
                    };
                    let step = if owned {
                        Step::Overwrite(stat)
                    } else {
                        Step::Rescue
                    };
                    (step, None)
                }
            })
        })
        .collect::<Result<_>>()?;
    let blocked: BTreeSet<Vec<u8>> = steps.iter().filter_map(|(_, at)| at.clone()).collect();
    for at in &blocked {
        if !is_owned(tree, at, options)? && is_link(tree, at)? {
            return Err(Error::refused(at, Why::ThroughLink));
        }
    }
    Ok((steps.into_iter().map(|(step, _)| step).collect(), blocked))
}

/// Links have no mode of their own.
fn other_mode(row: &Row, stat: Option<Stat>) -> bool {
    cfg!(unix) && stat.is_some_and(|stat| stat.mode != row.mode)
}

fn is_owned(tree: &Tree, path: &[u8], options: &RestoreOptions<'_>) -> Result<bool> {
    Ok(match options.owned.get(path) {
        Some(digest) => held(tree, path, digest)? == Held::Intact,
        None => false,
    })
}

fn is_link(tree: &Tree, path: &[u8]) -> Result<bool> {
    let look = tree.look(path).context("look at", tree.display(path))?;
    Ok(matches!(look, crate::tree::Look::Link(_)))
}

#[allow(clippy::too_many_arguments)] // One call; a struct would only rename the list.
fn apply(
    tree: &Tree,
    rows: &[Row],
    steps: &[Step],
    blocked: &BTreeSet<Vec<u8>>,
    bodies: &[Option<Body>],
    now: SystemTime,
    options: &RestoreOptions<'_>,
    done: &mut Restored,
) -> Result<()> {
    for at in blocked {
        make_way(tree, at, options, done)?;
    }
    for (row, step) in rows.iter().zip(steps) {
        match step {
            // Only a file can be written over.
            Step::Rescue | Step::Overwrite(None) => make_way(tree, &row.path, options, done)?,
            Step::Overwrite(Some(_)) if row.kind != Kind::File => {
                make_way(tree, &row.path, options, done)?;
            }
            _ => {}
        }
    }
    let work: Vec<usize> = (0..rows.len())
        .filter(|index| steps[*index] != Step::Keep)
        .collect();
    work.par_chunks(64).try_for_each(|chunk| {
        let mut last: Option<(&[u8], Dir)> = None;
        chunk.iter().try_for_each(|index| {
            let row = &rows[*index];
            let folder = split(&row.path).0;
            if last.as_ref().is_none_or(|(at, _)| *at != folder) {
                last = Some((folder, enter(tree, folder)?));
            }
            let Some((_, dir)) = &last else {
                return Ok(());
            };
            let body = bodies.get(*index).and_then(Option::as_ref);
            write(dir, row, &steps[*index], body, now).context("write", tree.display(&row.path))
        })
    })?;
    done.kept = rows.len() - work.len();
    done.written = work.iter().map(|index| rows[*index].path.clone()).collect();
    done.bytes = work
        .iter()
        .filter(|index| rows[**index].kind == Kind::File && steps[**index] != Step::Mode)
        .map(|index| rows[*index].size)
        .sum();
    delete_strays(tree, rows, options, done)
}

fn enter(tree: &Tree, folder: &[u8]) -> Result<Dir> {
    match tree
        .walk(folder, true)
        .context("create", tree.display(folder))?
    {
        Walk::Found(dir) => Ok(dir),
        // Somebody put something there since the plan was made.
        Walk::Missing => Err(io::Error::from(io::ErrorKind::NotFound)),
        Walk::Blocked { .. } => Err(io::Error::from(io::ErrorKind::NotADirectory)),
    }
    .context("create", tree.display(folder))
}

/// Clears a path for something else: the task's own content is removed, anything else is rescued.
fn make_way(
    tree: &Tree,
    path: &[u8],
    options: &RestoreOptions<'_>,
    done: &mut Restored,
) -> Result<()> {
    // A folder in the way may consist of owned paths only.
    let mut prefix = path.to_vec();
    prefix.push(b'/');
    let below: Vec<_> = options
        .owned
        .range(prefix.clone()..)
        .take_while(|(below, _)| below.starts_with(&prefix))
        .collect();
    for (below, digest) in below.into_iter().rev() {
        if (options.allowed)(below) && held(tree, below, digest)? == Held::Intact {
            if remove(tree, below, *digest == EMPTY_DIR)? {
                done.deleted.push(below.clone());
            }
            let mut folder = split(below).0;
            while folder.len() > path.len() && remove(tree, folder, true)? {
                folder = split(folder).0;
            }
        }
    }
    let look = tree.look(path).context("look at", tree.display(path))?;
    let gone = match look {
        crate::tree::Look::Missing | crate::tree::Look::Blocked { .. } => true,
        // An empty folder holds nothing to lose.
        crate::tree::Look::Dir(_) => remove(tree, path, true)?,
        _ if is_owned(tree, path, options)? => remove(tree, path, false)?,
        _ => false,
    };
    if !gone {
        let place = rescue(tree, path, options.rescue)?;
        done.rescued.push((path.to_vec(), place));
    }
    Ok(())
}

fn delete_strays(
    tree: &Tree,
    rows: &[Row],
    options: &RestoreOptions<'_>,
    done: &mut Restored,
) -> Result<()> {
    let named = |path: &[u8]| {
        rows.binary_search_by(|row| (*row.path).cmp(path)).is_ok() || holds(rows, path)
    };
    let strays: Vec<_> = options
        .owned
        .iter()
        .filter(|(path, _)| !named(path))
        .collect();
    // A folder that the manifest names stays, even when its last stray goes.
    let allowed = |path: &[u8]| (options.allowed)(path) && !named(path);
    let clean = Clean {
        owned: options.owned,
        allowed: &allowed,
        rescue: options.rescue,
    };
    let mut cleaned = Cleaned::default();
    let result = remove_owned(tree, &strays, &clean, &mut cleaned);
    done.deleted.append(&mut cleaned.deleted);
    done.deleted.sort_unstable();
    done.rescued.append(&mut cleaned.rescued);
    result
}
