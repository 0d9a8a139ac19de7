//! Turns old outputs into new ones by a delta, with proof before the first write.
//! Knows nothing of tasks: what each unit may touch and is known to have written comes as values.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use super::{CONTENTS, Delta, UnitDelta};
use crate::error::Context;
use crate::restore::{Modes, bring, validate};
use crate::scan::{Held, held};
use crate::tree::Tree;
use crate::unpack::{Room, Unpacked, unpack};
use crate::{Error, RestoreOptions, Restored, Result, Root, Row, Why};

/// Tells of a path whether it may be touched.
type Rule<'r> = dyn Fn(&[u8]) -> bool + Sync + 'r;

/// What one unit of a delta may touch.
pub struct Target<'a> {
    /// Whether a path is one of the unit's declared outputs.
    pub allowed: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// The paths that the unit is known to have written here, with the digest of each file or link text, or
    /// [`EMPTY_DIR`](crate::EMPTY_DIR): at a path of the delta this may be replaced although the delta does not know it.
    /// Where the delta does not know what the outputs were, those of these that it does not name are deleted.
    pub owned: &'a BTreeMap<Vec<u8>, [u8; 32]>,
}

/// What is to be applied, and how much it may hold.
pub struct ApplyOptions<'a> {
    /// The units to apply, by name; the others are proved and left alone.
    pub units: BTreeMap<&'a str, Target<'a>>,
    /// Where files that are nobody's are moved, under their relative path. Best on the root's file system.
    pub rescue: &'a Path,
    /// A folder for unpacked files that do not fit into `memory`.
    pub stage: &'a Path,
    /// How many bytes of unpacked files may be held in memory.
    pub memory: u64,
    /// The largest sum of file sizes that is applied at all.
    pub max_bytes: u64,
}

impl<'a> ApplyOptions<'a> {
    /// The limits of [`RestoreOptions::new`].
    pub fn new(units: BTreeMap<&'a str, Target<'a>>, rescue: &'a Path) -> Self {
        Self {
            units,
            rescue,
            stage: rescue,
            memory: 256 << 20,
            max_bytes: 1 << 40,
        }
    }
}

/// Makes the outputs below `root` those that the delta in `dir`, whose manifest was [read](super::read_delta), leads to.
///
/// The whole archive is proved first, whether or not anything of it is needed. A path that holds what the delta says it held,
/// what the unit is known to have written, or the new content already, is put right; what else lies at a path that changes or goes
/// is moved to the rescue folder first. Modes are set in all their bits. Folders that this empties are removed when they are
/// allowed themselves. Applying twice does nothing the second time.
///
/// # Errors
/// [`Error::Refused`] and a missing archive mean that nothing was written. A failure after the first change is
/// [`Error::Partial`].
pub fn apply_delta<'a>(
    root: impl Into<Root<'a>>,
    dir: &Path,
    delta: &Delta,
    options: &ApplyOptions<'_>,
) -> Result<Restored> {
    delta.check()?;
    let root = root.into();
    let chosen: Vec<(&UnitDelta, &Target<'_>)> = delta
        .units
        .iter()
        .filter_map(|unit| Some((unit, options.units.get(unit.name.as_str())?)))
        .collect();
    let contents = delta.contents();
    let mut paths = BTreeSet::new();
    for (unit, target) in &chosen {
        for row in unit.new_rows() {
            if !(target.allowed)(&row.path) {
                return Err(Error::refused(&row.path, Why::Undeclared));
            }
            paths.insert(row.path.as_slice());
        }
    }
    let ours: Vec<bool> = contents
        .iter()
        .map(|row| paths.contains(&*row.path))
        .collect();
    let rows: Vec<Row> = contents
        .iter()
        .zip(&ours)
        .filter(|(_, ours)| **ours)
        .map(|(row, _)| row.clone())
        .collect();
    let tree = Tree::open(root).context("open", root.folder)?;
    let owned = owned(&tree, &chosen)?;
    // Thousands of units may share one rule, which need not be asked thousands of times.
    let rules = chosen.iter().map(|(_, target)| target.allowed);
    let mut rules: Vec<&Rule<'_>> = rules.collect();
    rules.dedup_by(|one, two| size_of_val(*one) > 0 && std::ptr::addr_eq(*one, *two));
    let allowed = |path: &[u8]| paths.contains(path) || rules.iter().any(|allowed| allowed(path));
    let restore = RestoreOptions {
        allowed: &allowed,
        owned: &owned,
        rescue: options.rescue,
        stage: options.stage,
        memory: options.memory,
        max_bytes: options.max_bytes,
    };
    validate(&rows, &restore)?;
    bring(&tree, &rows, &restore, Modes::All, |wanted| {
        let mut wanted = wanted.iter().copied();
        let all: Vec<bool> = ours
            .iter()
            .map(|ours| *ours && wanted.next().unwrap_or(false))
            .collect();
        let Some(mut unpacked) = proved(dir, delta, &contents, &all, options)? else {
            return Ok(None);
        };
        let mut ours = ours.iter();
        unpacked
            .bodies
            .retain(|_| ours.next().copied().unwrap_or(false));
        Ok(Some(unpacked))
    })
}

/// Reads the archive to its end.
fn proved(
    dir: &Path,
    delta: &Delta,
    contents: &[Row],
    wanted: &[bool],
    options: &ApplyOptions<'_>,
) -> Result<Option<Unpacked>> {
    let Some((id, _)) = delta.archive else {
        return Ok(None);
    };
    let path = dir.join(CONTENTS);
    let mut file = File::open(&path).context("open", &path)?;
    let room = Room {
        memory: options.memory,
        stage: options.stage,
    };
    unpack(&mut file, &id, contents, wanted, &room).map(Some)
}

/// What may be replaced or deleted, with the content that makes it so.
fn owned(tree: &Tree, chosen: &[(&UnitDelta, &Target<'_>)]) -> Result<BTreeMap<Vec<u8>, [u8; 32]>> {
    let mut owned = BTreeMap::new();
    for (unit, target) in chosen {
        for row in unit.old_rows() {
            let known = target.owned.get(&row.path);
            let digest = match known.filter(|known| **known != row.digest) {
                // This place is at another state than the one the delta was made from.
                Some(known) if held(tree, &row.path, &row.digest)? != Held::Intact => known,
                _ => &row.digest,
            };
            owned.insert(row.path.clone(), *digest);
        }
    }
    for (unit, target) in chosen {
        let paths: BTreeSet<&[u8]> = unit.new_rows().map(|row| &*row.path).collect();
        for (path, digest) in target.owned {
            if unit.before.is_none() || paths.contains(&**path) {
                owned.entry(path.clone()).or_insert(*digest);
            }
        }
    }
    Ok(owned)
}
