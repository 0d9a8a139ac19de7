//! The entry as the steps of an upload make it, part by part.
//! Does not know how any part was found out.

use std::collections::{BTreeMap, BTreeSet};

use larder_archive::{ArchiveEntry, EntryStatus, GateResult, Host, RunSummary, Time, Upload};
use serde::{Deserialize, Serialize};

use crate::config::ArchiveSettings;

use super::collect::Collected;
use super::measure::Scores;
use super::repositories::Repositories;

/// What the step `entry_creation` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Created {
    pub(super) at: Time,
    pub(super) workspace: String,
    pub(super) host: Host,
    pub(super) phases: BTreeMap<String, f64>,
}

/// What the step `tagging` gives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tags {
    pub(super) entry: BTreeSet<String>,
}

/// What the step `gate_validation` gives.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub(super) status: EntryStatus,
    pub(super) skipped: bool,
    pub(super) gates: Vec<GateResult>,
}

/// What is known of an entry so far.
pub(super) struct Parts<'p> {
    pub(super) collected: &'p Collected,
    pub(super) created: &'p Created,
    pub(super) scores: Option<&'p Scores>,
    pub(super) repositories: Option<&'p Repositories>,
    pub(super) tags: Option<&'p Tags>,
    pub(super) verdict: Option<&'p Verdict>,
}

/// Where the entry is made.
pub(super) fn created(
    root: &std::path::Path,
    settings: &ArchiveSettings,
    run: &RunSummary,
) -> Created {
    Created {
        at: now(),
        workspace: workspace(root, settings),
        host: Host {
            name: host_name(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            larder: env!("CARGO_PKG_VERSION").to_owned(),
        },
        phases: run.phases.clone(),
    }
}

/// What entries call the workspace.
pub(super) fn workspace(root: &std::path::Path, settings: &ArchiveSettings) -> String {
    let folder = root.file_name();
    let folder = folder.map(|name| name.to_string_lossy().into_owned());
    settings.name.clone().or(folder).unwrap_or_default()
}

/// The moment, by the clock of the wall.
pub(super) fn now() -> Time {
    Time::from_nanos(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0))
}

#[cfg(unix)]
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    String::new()
}

/// The entry, as far as it is known.
pub(super) fn entry(upload: &Upload<'_>, parts: &Parts<'_>) -> ArchiveEntry {
    let Parts {
        collected,
        created,
        scores,
        repositories,
        tags,
        verdict,
    } = parts;
    let id = upload.journal().id;
    let mut entry = ArchiveEntry::new(id, created.at, collected.run.clone());
    entry.trigger.clone_from(&collected.asked.trigger);
    entry.workspace.clone_from(&created.workspace);
    entry.host = created.host.clone();
    entry.phase_timings = created.phases.clone();
    entry.archive_timings = upload.timings();
    entry.artifacts.clone_from(&collected.artifacts);
    entry.findings.clone_from(&collected.findings);
    entry.notes.clone_from(&collected.asked.notes);
    if let Some(scores) = scores {
        entry.metrics.clone_from(&scores.metrics);
        entry.findings.extend(scores.findings.iter().cloned());
    }
    if let Some(repositories) = repositories {
        entry.commits.clone_from(&repositories.commits);
        entry.findings.extend(repositories.findings.iter().cloned());
    }
    if let Some(tags) = tags {
        entry.tags.clone_from(&tags.entry);
    }
    if let Some(verdict) = verdict {
        entry.status = verdict.status;
        entry.gates_skipped = verdict.skipped;
        entry.gates.clone_from(&verdict.gates);
    }
    entry
}
