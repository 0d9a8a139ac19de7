//! The index: a summary of every entry in one append-only file, so that listing reads one file and not thousands. `docs/formats.md` has
//! the form.
//! Does not know the entries themselves: whoever reads takes a summary only for an entry that is there, in the revision that is there, so a
//! missing, stale or damaged line costs a look at the entry and is never believed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::format::{ArchiveEntry, EntryStatus};
use crate::id::EntryId;
use crate::time::Time;

/// Version of the index. Another one is read as empty, and written anew.
const VERSION: u32 = 1;
/// Hexadecimal digits of the digest that a line begins with.
const DIGITS: usize = 16;

/// What a list shows of an entry and filters by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub request: Vec<String>,
    /// The projects whose tasks took part.
    pub projects: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Its gates, and whether each was passed.
    pub gates: BTreeMap<String, bool>,
    /// The commit of the main repository.
    pub commit: Option<String>,
    /// Whether any repository was dirty.
    pub dirty: bool,
    /// Bytes of its bundle.
    pub bytes: u64,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "larder-archive-index")]
    version: u32,
}

/// What an index file holds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Sorted by id and revision, each of which is there once.
    pub(crate) summaries: Vec<Summary>,
    /// Whether every byte of it can be believed, so that a line may be appended.
    pub(crate) sound: bool,
    /// Its lines without the first one.
    pub(crate) lines: usize,
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
            request: run.request.clone(),
            projects: run
                .tasks
                .iter()
                .map(|task| task.project().to_owned())
                .collect(),
            tags: entry.tags.clone(),
            gates: entry
                .gates
                .iter()
                .map(|gate| (gate.gate.clone(), gate.passed))
                .collect(),
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

/// Reads an index. Lines that are not as they were written are left out.
pub(crate) fn read(bytes: &[u8]) -> Index {
    let mut index = Index {
        sound: bytes.ends_with(b"\n"),
        ..Index::default()
    };
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = body.split(|&byte| byte == b'\n');
    let header = lines.next().and_then(content);
    let header = header.and_then(|json| serde_json::from_slice::<Header>(json).ok());
    if header.is_none_or(|header| header.version != VERSION) {
        return Index::default();
    }
    for line in lines {
        index.lines += 1;
        match content(line).and_then(|json| serde_json::from_slice::<Summary>(json).ok()) {
            Some(summary) => index.summaries.push(summary),
            None => index.sound = false,
        }
    }
    if !index
        .summaries
        .is_sorted_by(|one, next| one.key() < next.key())
    {
        // Of lines for the same revision the last one counts: the sort is stable, and what is dropped is the one before.
        index.summaries.sort_by_key(Summary::key);
        index.summaries.reverse();
        index.summaries.dedup_by_key(|summary| summary.key());
        index.summaries.reverse();
    }
    index
}

/// A whole index of these summaries.
pub(crate) fn write<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Vec<u8> {
    let mut bytes = line(&Header { version: VERSION });
    for summary in summaries {
        bytes.extend(line(summary));
    }
    bytes
}

/// A line, with its digest before and a newline behind.
pub(crate) fn line(content: &impl Serialize) -> Vec<u8> {
    // Summaries and headers have no maps with keys other than text; numbers that are not finite become null, and the line is left out
    // by whoever reads it.
    let json = serde_json::to_vec(content).unwrap_or_default();
    let mut line = digits(&json).into_bytes();
    line.push(b' ');
    line.extend(json);
    line.push(b'\n');
    line
}

fn content(line: &[u8]) -> Option<&[u8]> {
    let (before, json) = line.split_at_checked(DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    (before == &blake3::hash(json).to_hex().as_bytes()[..DIGITS]).then_some(json)
}

fn digits(json: &[u8]) -> String {
    blake3::hash(json).to_hex()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunRecord;

    fn summaries() -> Vec<Summary> {
        (0..3)
            .map(|n| {
                let time = Time::from_nanos(n * 1_000_000_000);
                let mut entry =
                    ArchiveEntry::new(EntryId::new(time, 0), time, RunRecord::default());
                entry.tags.insert(format!("line\n{n}"));
                Summary::of(&entry)
            })
            .collect()
    }

    fn found(bytes: &[u8]) -> (Vec<Summary>, bool) {
        let index = read(bytes);
        (index.summaries, index.sound)
    }

    #[test]
    fn what_was_written_is_read() {
        let all = summaries();
        assert_eq!(found(&write(&all)), (all, true));
        assert_eq!(found(&write([])), (vec![], true));
    }

    #[test]
    fn damage_is_seen_and_never_believed() {
        let all = summaries();
        let whole = write(&all);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let (some, sound) = found(&bytes);
                assert!(!sound, "bit {bit} of byte {at}");
                assert!(some.iter().all(|one| all.contains(one)));
                assert!(some.len() < all.len());
            }
        }
    }

    #[test]
    fn an_index_cut_anywhere_holds_its_whole_lines() {
        let all = summaries();
        let whole = write(&all);
        let ends: Vec<usize> = whole
            .iter()
            .enumerate()
            .filter(|&(_, &byte)| byte == b'\n')
            .map(|(at, _)| at + 1)
            .collect();
        for length in 0..whole.len() {
            let (some, sound) = found(&whole[..length]);
            assert_eq!(sound, ends.contains(&length), "cut at {length}");
            // A line that lacks its newline alone is whole.
            let lines = ends.iter().filter(|&&end| end <= length + 1).count();
            assert_eq!(some, all[..lines.saturating_sub(1)], "cut at {length}");
        }
    }

    #[test]
    fn the_last_line_for_a_revision_counts_wherever_it_is() {
        let all = summaries();
        let later = Summary {
            exit_code: 9,
            ..all[1].clone()
        };
        let lines = [&all[2], &all[1], &all[0], &later, &all[2]];
        let (found, sound) = found(&write(lines));
        assert!(sound);
        assert_eq!(found, [all[0].clone(), later.clone(), all[2].clone()]);
        let index = read(&write(lines));
        assert_eq!((index.lines, index.entries()), (5, 3));
        assert_eq!(index.get(later.id, 1), Some(&later));
        assert_eq!(index.get(later.id, 2), None);
    }

    #[test]
    fn another_version_is_read_as_empty() {
        let mut bytes = line(&Header { version: 2 });
        bytes.extend(line(&summaries()[0]));
        assert_eq!(found(&bytes), (vec![], false));
        assert_eq!(found(b""), (vec![], false));
        assert_eq!(found(&[0; 4096]), (vec![], false));
    }
}
