//! The entry: what an archive keeps of one run. Fields are described in `docs/formats.md`.
//! Does not know where it is kept, nor how anything in it was found out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::gates::GateResult;
use crate::id::EntryId;
use crate::run::RunRecord;
use crate::step::Step;
use crate::time::Time;

/// Version of the entry's layout. Older ones are read, with defaults for what they lack; newer ones are refused.
pub const ENTRY_VERSION: u32 = 1;

/// The durable record of one run. JSON; see [`ArchiveEntry::to_json`] and [`ArchiveEntry::from_json`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArchiveEntry {
    /// [`ENTRY_VERSION`] of the program that wrote it.
    pub version: u32,
    /// Its id.
    pub id: EntryId,
    /// How often it was written: 1, and one more for each later addition, such as the duration of the mirroring.
    #[serde(default = "first")]
    pub revision: u32,
    /// When it was made.
    #[serde(default)]
    pub created: Time,
    /// What asked for it: `manual`, `ci` or another name.
    #[serde(default = "manual")]
    pub trigger: String,
    /// The workspace's name: that of its root folder, without a path.
    #[serde(default)]
    pub workspace: String,
    /// Where it was made.
    #[serde(default)]
    pub host: Host,
    /// Whether the gates let it pass.
    #[serde(default)]
    pub status: EntryStatus,
    /// Whether the gates were left out on request.
    #[serde(default)]
    pub gates_skipped: bool,
    /// The record of the run.
    #[serde(default, rename = "run_record")]
    pub run: RunRecord,
    /// Seconds of the phases of the run.
    #[serde(default)]
    pub phase_timings: BTreeMap<String, f64>,
    /// Seconds of the steps of the upload, as far as they were known when this was written.
    #[serde(default)]
    pub archive_timings: BTreeMap<Step, f64>,
    /// Tags. An entry with one is never pruned.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Quality metrics, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// What the gates said.
    #[serde(default)]
    pub gates: Vec<GateResult>,
    /// What validators found.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The commits of the main repository, which comes first, and of its submodules.
    #[serde(default)]
    pub commits: Vec<RepoCommit>,
    /// The chosen artifacts, by name.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// The bundle; absent in the copy that the bundle itself holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<StoredFile>,
    /// The signed provenance, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<StoredFile>,
    /// Remarks of the user.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Whether an entry passed its gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryStatus {
    /// No gate failed, or none was asked.
    #[default]
    Accepted,
    /// A gate failed: nothing was pushed.
    Rejected,
}

/// Where an entry was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// Its operating system.
    pub os: String,
    /// Its architecture.
    pub arch: String,
    /// Version of the program.
    pub larder: String,
}

/// A commit of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepoCommit {
    /// Its folder, relative to the main repository and '/'-separated; `.` for that one itself.
    pub path: String,
    /// Whether it is a submodule.
    pub submodule: bool,
    /// The commit that was checked out; absent before the first.
    pub commit: Option<String>,
    /// The branch; absent when the head is detached.
    pub branch: Option<String>,
    /// Whether anything differed from the commit.
    pub dirty: bool,
    /// Whether Larder made this commit during the upload.
    pub committed: bool,
}

/// An artifact of an entry, which its bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path in the workspace, '/'-separated.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3, in hexadecimal.
    pub blake3: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// Whether its owner may execute it.
    #[serde(default)]
    pub executable: bool,
}

/// A file that the archive keeps for an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name in the archive, such as `bundles/ID.tar.zst`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3, in hexadecimal.
    pub blake3: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a validator found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The validator's name.
    pub validator: String,
    /// How bad it is.
    pub severity: Severity,
    /// In words.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth a look.
    Warning,
    /// The entry is rejected.
    Error,
}

/// An entry that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A newer program wrote it.
    #[error(
        "the entry has version {found} and this program reads up to {ENTRY_VERSION}: use the version of Larder that wrote it, or a later one"
    )]
    Newer {
        /// Its version.
        found: u64,
    },
    /// It is no entry.
    #[error("this is no archive entry: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// A number in it cannot be written as JSON.
    #[error("`{name}` is {value}, and an entry holds finite numbers alone")]
    NotFinite {
        /// Which number.
        name: String,
        /// Its value.
        value: f64,
    },
}

impl ArchiveEntry {
    /// An entry of which no more is known than its id, its time and the run.
    pub fn new(id: EntryId, created: Time, run: RunRecord) -> Self {
        Self {
            version: ENTRY_VERSION,
            id,
            revision: first(),
            created,
            trigger: manual(),
            workspace: String::new(),
            host: Host::default(),
            status: EntryStatus::default(),
            gates_skipped: false,
            run,
            phase_timings: BTreeMap::new(),
            archive_timings: BTreeMap::new(),
            tags: BTreeSet::new(),
            metrics: BTreeMap::new(),
            gates: Vec::new(),
            findings: Vec::new(),
            commits: Vec::new(),
            artifacts: Vec::new(),
            bundle: None,
            attestation: None,
            notes: Vec::new(),
        }
    }

    /// Reads an entry of this version or an older one.
    ///
    /// # Errors
    /// [`EntryError::Newer`] for one of a newer program, whatever else is in it; [`EntryError::Malformed`] for anything that is no entry.
    pub fn from_json(json: &[u8]) -> Result<Self, EntryError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let malformed = |error: serde_json::Error| EntryError::Malformed {
            why: error.to_string(),
        };
        let Versioned { version } = serde_json::from_slice(json).map_err(malformed)?;
        if version > u64::from(ENTRY_VERSION) {
            return Err(EntryError::Newer { found: version });
        }
        if version == 0 {
            let why = "its version is 0, and versions begin at 1".into();
            return Err(EntryError::Malformed { why });
        }
        serde_json::from_slice(json).map_err(malformed)
    }

    /// The entry as JSON, for people: indented, with a newline at the end.
    ///
    /// # Errors
    /// [`EntryError::NotFinite`] for a number that JSON cannot hold: it would be read as none.
    pub fn to_json(&self) -> Result<Vec<u8>, EntryError> {
        let phases = self.phase_timings.iter();
        let steps = self.archive_timings.iter();
        let numbers = phases
            .map(|(name, value)| (name.clone(), value))
            .chain(steps.map(|(step, value)| (step.to_string(), value)))
            .chain(
                self.metrics
                    .iter()
                    .map(|(name, value)| (name.clone(), value)),
            );
        for (name, &value) in numbers {
            if !value.is_finite() {
                return Err(EntryError::NotFinite { name, value });
            }
        }
        let mut json = serde_json::to_vec_pretty(self).map_err(|error| EntryError::Malformed {
            why: error.to_string(),
        })?;
        json.push(b'\n');
        Ok(json)
    }
}

fn first() -> u32 {
    1
}

fn manual() -> String {
    "manual".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::run::TaskStatus;

    fn run() -> RunRecord {
        RunRecord::new(json!({
            "version": 1, "started": "2026-01-02T03:04:05Z", "wall_seconds": 1.5, "exit_code": 0, "surprise": [1],
            "tasks": [
                { "task": "web#build", "status": "ran", "seconds": 1.25, "key": "00ff" },
                { "task": "docs#build", "status": "teleported" },
            ],
        }))
        .unwrap()
    }

    fn entry() -> ArchiveEntry {
        let mut entry = ArchiveEntry::new(
            EntryId::new(Time::from_nanos(1), 2),
            Time::from_nanos(1),
            run(),
        );
        entry.archive_timings.insert(Step::IndexSave, 0.25);
        entry.archive_timings.insert(Step::Collect, 1.0);
        entry.metrics.insert("coverage".into(), 81.5);
        entry.tags.insert("v1".into());
        entry
    }

    #[test]
    fn what_was_written_is_read() {
        let entry = entry();
        let json = entry.to_json().unwrap();
        assert_eq!(ArchiveEntry::from_json(&json).unwrap(), entry);
        let text = String::from_utf8(json).unwrap();
        assert!(
            text.contains("\"surprise\""),
            "the record is kept whole: {text}"
        );
        let collect = text.find("\"collect\"").unwrap();
        assert!(
            collect < text.find("\"index_save\"").unwrap(),
            "in the order of steps"
        );
    }

    #[test]
    fn an_older_entry_is_read_with_defaults() {
        let old = json!({ "version": 1, "id": entry().id });
        let read = ArchiveEntry::from_json(old.to_string().as_bytes()).unwrap();
        let expected = ArchiveEntry::new(entry().id, Time::default(), RunRecord::default());
        assert_eq!(read, expected);
        assert_eq!(read.trigger, "manual");
    }

    #[test]
    fn a_newer_entry_is_refused_whatever_it_holds() {
        let newer = json!({ "version": 2, "id": 7, "run_record": "another form", "tags": {} });
        let refused = ArchiveEntry::from_json(newer.to_string().as_bytes()).unwrap_err();
        assert!(
            matches!(refused, EntryError::Newer { found: 2 }),
            "{refused}"
        );
        assert!(refused.to_string().contains("version 2"), "{refused}");
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"version":0,"id":"00000000000000000000000000"}"#,
            r#"{"version":-1}"#,
            r#"{"version":1}"#,
            r#"{"version":1,"id":"../x"}"#,
            r#"{"version":1,"id":"00000000000000000000000000","archive_timings":{"lunch":1}}"#,
            r#"{"version":1,"id":"00000000000000000000000000","run_record":{"tasks":5}}"#,
        ] {
            let refused = ArchiveEntry::from_json(bad.as_bytes()).unwrap_err();
            assert!(
                matches!(refused, EntryError::Malformed { .. }),
                "{bad}: {refused}"
            );
        }
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_refused() {
        for value in [f64::NAN, f64::INFINITY] {
            let mut bad = entry();
            bad.metrics.insert("coverage".into(), value);
            let refused = bad.to_json().unwrap_err().to_string();
            assert!(refused.contains("`coverage`"), "{refused}");
        }
    }

    #[test]
    fn an_unknown_end_of_a_task_is_no_pass() {
        let run = run();
        let tasks = &run.summary().tasks;
        assert_eq!(tasks[0].project(), "web");
        assert_eq!(tasks[0].name(), "build");
        assert!(tasks[0].status.passed());
        assert_eq!(tasks[1].status, TaskStatus::Unknown);
        assert!(!tasks[1].status.passed());
    }
}
