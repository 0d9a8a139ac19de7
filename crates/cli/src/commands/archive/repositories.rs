//! The repositories of a run: read, committed, tagged and pushed as the configuration says.
//! Does not know how git does any of it.

use std::num::NonZeroUsize;
use std::path::Path;

use larder_archive::repos::{
    self, Git, Outcome, PushPlan, PushReport, RepoState, commit_dirty, push, scan,
};
use larder_archive::{EntryId, Finding, RepoCommit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::GitSettings;

use super::words;

/// What the step `repo_commits` gives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Repositories {
    pub(super) commits: Vec<RepoCommit>,
    /// Why the commits may not be what was built.
    #[serde(default)]
    pub(super) findings: Vec<Finding>,
}

/// Reads the commits of all repositories; commits dirty ones before, where that is wanted.
pub(super) fn commits(
    root: &Path,
    settings: &GitSettings,
    id: EntryId,
) -> Result<Repositories, String> {
    let mut made = Vec::new();
    if settings.commit {
        let message = with_id(&settings.message, id);
        made = commit_dirty(root, &message).map_err(|error| words(&error))?;
    }
    let states = scan(root).map_err(|error| words(&error))?;
    let commits = states.iter().map(|state| {
        let head = state.head.as_ref();
        RepoCommit {
            path: state.shown().to_owned(),
            submodule: !state.path.is_empty(),
            commit: head.and_then(|head| head.commit.clone()),
            branch: head.and_then(|head| head.branch.clone()),
            dirty: state.is_dirty(),
            committed: made.iter().any(|one| one.path == state.path),
        }
    });
    Ok(Repositories {
        commits: commits.collect(),
        findings: Vec::new(),
    })
}

/// A text of the configuration with the entry's id in it.
pub(super) fn with_id(text: &str, id: EntryId) -> String {
    text.replace("{id}", &id.to_string())
}

/// What would be committed: the repositories that are dirty, or hold one that is.
pub(super) fn dirty(root: &Path) -> Result<Vec<RepoState>, String> {
    let states = scan(root).map_err(|error| words(&error))?;
    Ok(states.into_iter().filter(RepoState::is_dirty).collect())
}

/// What pushing comes to.
pub(super) fn plan(root: &Path, tag: Option<&str>) -> Result<PushPlan, String> {
    let states = scan(root).map_err(|error| words(&error))?;
    let tags: Vec<String> = tag.map(str::to_owned).into_iter().collect();
    repos::plan(&states, &tags).map_err(|error| words(&error))
}

/// Tags every repository that has a commit.
pub(super) fn tag(root: &Path, name: &str, message: &str) -> Result<(), String> {
    for state in scan(root).map_err(|error| words(&error))? {
        let has_commit = state
            .head
            .as_ref()
            .is_some_and(|head| head.commit.is_some());
        if has_commit {
            repos::tag(&state, name, message).map_err(|error| words(&error))?;
        }
    }
    Ok(())
}

/// Pushes all, submodules side by side.
pub(super) fn push_all(
    root: &Path,
    tag: Option<&str>,
    workers: u8,
    env: &[(std::ffi::OsString, std::ffi::OsString)],
) -> Result<PushReport, String> {
    let plan = plan(root, tag)?;
    let git = Git {
        program: "git".into(),
        environment: env.to_vec(),
    };
    let workers = NonZeroUsize::new(workers.into()).unwrap_or(NonZeroUsize::MIN);
    Ok(push(&plan, &git, workers))
}

/// A report for programs.
pub(super) fn report_value(report: &PushReport) -> Vec<Value> {
    let steps = report.steps.iter().map(|step| {
        let (outcome, why) = match &step.outcome {
            Outcome::Pushed => ("pushed", None),
            Outcome::Skipped(why) => ("skipped", Some(why.to_string())),
            Outcome::Blocked(why) => ("blocked", Some(why.to_string())),
            Outcome::Failed(why) => ("failed", Some(why.to_string())),
            Outcome::NotTried { because } => ("not-tried", Some(because.join(", "))),
        };
        json!({
            "path": shown(&step.path),
            "outcome": outcome,
            "why": why,
            "seconds": step.duration.as_secs_f64(),
        })
    });
    steps.collect()
}

pub(super) fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
