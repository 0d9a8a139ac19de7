//! The index: a summary of every entry in one append-only file, so that listing reads one file and not thousands. `docs/formats.md` has
//! the form.
//! Does not know the entries themselves: whoever reads takes a summary only for an entry that is there, in the revision that is there, so a
//! missing, stale or damaged line costs a look at the entry and is never believed.

mod lines;
mod parallel;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::format::{ArchiveEntry, EntryStatus};
use crate::id::EntryId;
use crate::time::Time;

pub(crate) use lines::{Shapes, append, read, write};
pub use shared::Shared;

/// What a list shows of an entry and filters by. What many entries have in common is in memory once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The entry.
    pub id: EntryId,
    /// Which revision of it.
    pub revision: u32,
    /// When it was made.
    pub created: Time,
    /// What asked for it.
    pub trigger: String,
    /// The workspace's name.
    pub workspace: String,
    /// The machine's name.
    pub host: String,
    /// Whether the gates let it pass.
    pub status: EntryStatus,
    /// Whether the gates were left out on request.
    pub gates_skipped: bool,
    /// Exit code of the run.
    pub exit_code: u8,
    /// How long the run took, in seconds.
    pub wall_seconds: f64,
    /// How long the upload took as far as the entry says, in seconds.
    pub archive_seconds: f64,
    /// Task names as asked for.
    pub request: Shared<Vec<String>>,
    /// The projects whose tasks took part.
    pub projects: Shared<BTreeSet<String>>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Its gates, and whether each was passed.
    pub gates: Shared<BTreeMap<String, bool>>,
    /// The commit of the main repository.
    pub commit: Option<String>,
    /// Whether any repository was dirty.
    pub dirty: bool,
    /// Bytes of its bundle.
    pub bytes: u64,
}

/// What an index file holds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Sorted by id and revision, each of which is there once.
    pub(crate) summaries: Vec<Summary>,
    /// Whether every byte of it can be believed, so that a line may be appended.
    pub(crate) sound: bool,
    /// Its lines that are or were summaries.
    pub(crate) lines: usize,
    /// What it has of what many entries have in common.
    pub(crate) shapes: Shapes,
}

impl Summary {
    /// The summary of an entry.
    pub fn of(entry: &ArchiveEntry) -> Self {
        let run = entry.run.summary();
        Self {
            id: entry.id,
            revision: entry.revision,
            created: entry.created,
            trigger: entry.trigger.clone(),
            workspace: entry.workspace.clone(),
            host: entry.host.name.clone(),
            status: entry.status,
            gates_skipped: entry.gates_skipped,
            exit_code: run.exit_code,
            wall_seconds: run.wall_seconds,
            archive_seconds: entry.archive_timings.values().sum(),
            request: run.request.clone().into(),
            projects: run
                .tasks
                .iter()
                .map(|task| task.project().to_owned())
                .collect::<BTreeSet<_>>()
                .into(),
            tags: entry.tags.clone(),
            gates: entry
                .gates
                .iter()
                .map(|gate| (gate.gate.clone(), gate.passed))
                .collect::<BTreeMap<_, _>>()
                .into(),
            commit: entry.commits.first().and_then(|repo| repo.commit.clone()),
            dirty: entry.commits.iter().any(|repo| repo.dirty),
            bytes: entry.bundle.as_ref().map_or(0, |bundle| bundle.size),
        }
    }

    /// What an index knows it by.
    pub(crate) fn key(&self) -> (EntryId, u32) {
        (self.id, self.revision)
    }

    /// Whether later entries may be compared with it: it passed its gates, rather than having been spared them.
    pub fn is_baseline(&self) -> bool {
        self.status == EntryStatus::Accepted && !self.gates_skipped
    }
}

impl Index {
    /// The summary of a revision.
    pub(crate) fn get(&self, id: EntryId, revision: u32) -> Option<&Summary> {
        let found = self
            .summaries
            .binary_search_by_key(&(id, revision), Summary::key);
        found.ok().map(|at| &self.summaries[at])
    }

    /// How many entries it has summaries of.
    pub(crate) fn entries(&self) -> usize {
        self.summaries
            .chunk_by(|one, other| one.id == other.id)
            .count()
    }
}
