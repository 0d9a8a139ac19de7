//! Deltas: what turns the outputs of one build into those of the next, as a folder that can be carried elsewhere.
//! Knows nothing of tasks or keys: outputs come in named units, and what else belongs to a unit is the caller's text.
//!
//! A delta is complete when its manifest is there, which is written last. Reading one proves the manifest against the
//! checksum in it; applying one proves the archive against the manifest, before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::Context;
use crate::manifest::is_plain;
use crate::{ArtifactId, EMPTY_DIR, Error, Kind, Manifest, Result, Row, Why};

mod apply;
pub mod format;
mod write;

pub use apply::{ApplyOptions, Target, apply_delta};
pub use write::write_delta;

/// The name of the manifest in a delta's folder.
pub const MANIFEST: &str = "manifest.json";
/// The name of the archive in a delta's folder; there is none when nothing was added or changed.
pub const CONTENTS: &str = "contents.tar.zst";

/// What one unit's outputs were and are, to write a delta of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// A name that no other unit of the delta has.
    pub name: String,
    /// What its outputs were; `None` when nobody knows, which makes all of them added.
    pub before: Option<Manifest>,
    /// What its outputs are.
    pub after: Manifest,
    /// Whatever else the caller wants to find in the delta again.
    pub extra: BTreeMap<String, String>,
}

/// A unit that a delta does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why it was left out, in words.
    pub why: String,
}

/// A delta's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Digest and length of the archive, unless nothing was added or changed.
    pub archive: Option<(ArtifactId, u64)>,
    /// The units, by name in order.
    pub units: Vec<UnitDelta>,
    /// What it does not hold, by name in order.
    pub left_out: Vec<LeftOut>,
}

/// How one unit's outputs became others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDelta {
    /// Its name.
    pub name: String,
    /// The [digest](crate::digest) of its outputs before; `None` when they were not known.
    pub before: Option<[u8; 32]>,
    /// The digest of its outputs now.
    pub after: [u8; 32],
    /// How many outputs are as they were, in every bit of their modes.
    pub unchanged: u64,
    /// Outputs that were not there before.
    pub added: Manifest,
    /// Outputs that are not as they were: the row before and the row now.
    pub changed: Vec<(Row, Row)>,
    /// Outputs that are there no more.
    pub removed: Manifest,
    /// What the caller noted of the unit.
    pub extra: BTreeMap<String, String>,
}

impl UnitDelta {
    /// The rows that were, of the paths at which something changed.
    pub fn old_rows(&self) -> impl Iterator<Item = &Row> {
        let changed = self.changed.iter().map(|(before, _)| before);
        changed.chain(&self.removed)
    }

    /// The rows that are, of the paths at which something changed: those that the archive holds.
    pub fn new_rows(&self) -> impl Iterator<Item = &Row> {
        let changed = self.changed.iter().map(|(_, after)| after);
        changed.chain(&self.added)
    }

    /// Whether no output differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Delta {
    /// What the archive holds, in its order: the rows of all units, by path.
    pub fn contents(&self) -> Manifest {
        let mut rows: Manifest = self
            .units
            .iter()
            .flat_map(UnitDelta::new_rows)
            .cloned()
            .collect();
        rows.sort_unstable_by(|one, two| one.path.cmp(&two.path));
        rows
    }

    /// How many outputs were added, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.units.iter().fold((0, 0, 0), |sum, unit| {
            (
                sum.0 + unit.added.len(),
                sum.1 + unit.changed.len(),
                sum.2 + unit.removed.len(),
            )
        })
    }

    /// Refuses what no writer of deltas writes: paths that lead outside, rows that no disk can hold, the same path twice.
    pub(crate) fn check(&self) -> Result<()> {
        let sorted = self.units.is_sorted_by(|one, two| one.name < two.name);
        let left_out = self.left_out.is_sorted_by(|one, two| one.name < two.name);
        if !sorted || !left_out {
            return Err(manifest_refused("units out of order"));
        }
        let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
        for unit in &self.units {
            let complete = unit.changed.is_empty() && unit.removed.is_empty();
            if unit.before.is_none() && !(complete && unit.unchanged == 0) {
                return Err(manifest_refused("more is said than was known"));
            }
            for list in [&unit.added, &unit.removed] {
                sound(list.iter())?;
            }
            sound(unit.changed.iter().map(|(before, _)| before))?;
            sound(unit.changed.iter().map(|(_, after)| after))?;
            for (before, after) in &unit.changed {
                if before.path != after.path || before == after {
                    return Err(Error::refused(&after.path, Why::Disorder));
                }
            }
            let twice = unit
                .old_rows()
                .find(|row| !old.insert(row.path.as_slice()))
                .or_else(|| unit.new_rows().find(|row| !new.insert(row.path.as_slice())));
            if let Some(row) = twice {
                return Err(Error::refused(&row.path, Why::Disorder));
            }
        }
        // Within one unit what was there before is changed, not removed and added.
        for unit in &self.units {
            let gone: BTreeSet<&[u8]> = unit.removed.iter().map(|row| &*row.path).collect();
            if let Some(row) = unit.added.iter().find(|row| gone.contains(&*row.path)) {
                return Err(Error::refused(&row.path, Why::Disorder));
            }
        }
        if self.archive.is_some() == new.is_empty() {
            return Err(manifest_refused(
                "contents without an archive, or the reverse",
            ));
        }
        Ok(())
    }
}

/// Refuses rows that are out of order, or that mean nothing.
fn sound<'r>(rows: impl Iterator<Item = &'r Row>) -> Result<()> {
    let mut last: Option<&Row> = None;
    for row in rows {
        if !is_plain(&row.path) {
            return Err(Error::refused(&row.path, Why::BadPath));
        }
        let right = match row.kind {
            Kind::File => row.mode <= 0o777,
            Kind::Link => row.mode == 0o777,
            Kind::EmptyDir => row.mode <= 0o777 && row.size == 0 && row.digest == EMPTY_DIR,
        };
        if !right || last.is_some_and(|last| last.path >= row.path) {
            return Err(Error::refused(&row.path, Why::Disorder));
        }
        last = Some(row);
    }
    Ok(())
}

fn manifest_refused(what: &'static str) -> Error {
    Error::refused(MANIFEST.as_bytes(), Why::Manifest(what))
}

/// Reads the manifest of the delta in `dir` and proves it whole. The archive is proved when it is [applied](apply_delta).
///
/// # Errors
/// [`Error::Refused`] when it is damaged, of another version, or no manifest of a delta; otherwise when it cannot be read,
/// as when the delta was never completed.
pub fn read_delta(dir: &Path) -> Result<Delta> {
    let path = dir.join(MANIFEST);
    let bytes = std::fs::read(&path).context("read", &path)?;
    format::decode(&bytes)
}
