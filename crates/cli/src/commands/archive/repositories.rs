//! The repositories of a run: read, committed, tagged and pushed as the configuration says.
//! Does not know how git does any of it.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;

use larder_archive::repos::{
    Git, Outcome, PushPlan, PushReport, Pushed, RepoState, Stop, archived, check_tag, commit_dirty,
    moved, plan, plan_tag, push, scan, tag, to_commit, untag,
};
use larder_archive::{ArchiveEntry, EntryId, Finding, RepoCommit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::GitSettings;
use crate::execute::{Cancel, Urgency};

use super::unfinished::Trouble;
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

/// What would be committed, pushed and tagged.
#[derive(Default)]
pub(super) struct Foreseen {
    /// Whether there is any repository.
    pub(super) any: bool,
    /// The paths that get a commit, in this order.
    pub(super) commits: Vec<String>,
    pub(super) pushes: Option<PushPlan>,
    /// What is pushed once all branches are.
    pub(super) tags: Option<PushPlan>,
    /// Why the upload would fail before it pushes anything.
    pub(super) refused: Option<String>,
}

/// What the steps `repo_commits` and `sync` would do now.
pub(super) fn foresee(
    root: &Path,
    settings: &GitSettings,
    id: EntryId,
) -> Result<Foreseen, String> {
    let states = scan(root).map_err(|error| words(&error))?;
    let mut foreseen = Foreseen {
        any: !states.is_empty(),
        ..Foreseen::default()
    };
    if settings.commit {
        match to_commit(&states) {
            Ok(dirty) => foreseen.commits = dirty.iter().map(|one| one.path.clone()).collect(),
            Err(error) => {
                foreseen.refused = Some(words(&error));
                return Ok(foreseen);
            }
        }
    }
    let coming = &foreseen.commits;
    if let Some(text) = &settings.tag
        && let Err(error) = check_tag(&states, &with_id(text, id))
    {
        foreseen.refused = Some(words(&error));
        return Ok(foreseen);
    }
    if settings.push {
        let pushes = plan(&states, coming).map_err(|error| words(&error))?;
        if let Some(text) = settings.tag.as_ref().filter(|_| !pushes.is_blocked()) {
            let tags = plan_tag(&states, coming, text).map_err(|error| words(&error))?;
            foreseen.tags = Some(tags);
        }
        foreseen.pushes = Some(pushes);
    }
    Ok(foreseen)
}

/// What pushes need from around them.
pub(super) struct Surroundings<'s> {
    pub(super) root: &'s Path,
    pub(super) env: &'s [(OsString, OsString)],
    pub(super) cancel: &'s Cancel,
}

/// Pushes the commits that the entry names and no others, submodules side by side; then tags them and pushes the tags. When anything
/// fails, no tag stays that this made and no remote has.
pub(super) fn sync(
    around: &Surroundings<'_>,
    settings: &GitSettings,
    entry: &ArchiveEntry,
) -> Result<Vec<Value>, Trouble> {
    let name = settings.tag.as_ref().map(|tag| with_id(tag, entry.id));
    if !settings.push && name.is_none() {
        return Ok(Vec::new());
    }
    let found = scan(around.root).map_err(|error| words(&error))?;
    let states = archived(&found, &entry.commits);
    if settings.push {
        left(&found, entry)?;
    }
    if let Some(name) = &name {
        check_tag(&states, name).map_err(|error| words(&error))?;
    }
    let mut told = Vec::new();
    if settings.push {
        let plan = plan(&states, &[]).map_err(|error| words(&error))?;
        let report = around.push(&plan, settings)?;
        told = report.steps;
    }
    if let Some(name) = &name {
        let made = tag_all(&states, name, &format!("Archive entry {}", entry.id))?;
        let pushed = if settings.push {
            let plan = plan_tag(&states, &[], name).map_err(|error| words(&error))?;
            around.run(&plan, settings)
        } else {
            PushReport { steps: Vec::new() }
        };
        if !pushed.is_success() {
            for state in made {
                let of = |one: &&Pushed| one.path == state.path;
                let is_there = pushed.steps.iter().find(of).map(|one| &one.outcome);
                if is_there != Some(&Outcome::Pushed) {
                    untag(state, name).map_err(|error| words(&error))?;
                }
            }
            return Err(around.not_pushed(&pushed));
        }
        // Both reports have the same repositories in the same order.
        for (one, tag) in told.iter_mut().zip(pushed.steps) {
            one.duration += tag.duration;
            if tag.outcome == Outcome::Pushed {
                one.outcome = tag.outcome;
            }
        }
    }
    Ok(told.iter().map(value).collect())
}

/// Fails if a repository is not where the entry has it: what it has now was not archived, and passed no gate.
fn left(found: &[RepoState], entry: &ArchiveEntry) -> Result<(), Trouble> {
    let moved = moved(found, &entry.commits);
    if moved.is_empty() {
        return Ok(());
    }
    let mut why =
        "nothing was pushed, since repositories left the commits that were archived".to_owned();
    for one in moved {
        why = format!("{why}\n{one}");
    }
    Err(Trouble { why, lasting: true })
}

/// Tags all, or none. Gives those that were not tagged before.
fn tag_all<'s>(
    states: &'s [RepoState],
    name: &str,
    message: &str,
) -> Result<Vec<&'s RepoState>, String> {
    let mut made = Vec::new();
    for state in states {
        let head = state.head.as_ref();
        if head.is_none_or(|head| head.commit.is_none()) {
            continue;
        }
        match tag(state, name, message) {
            Ok(tagged) if tagged.created => made.push(state),
            Ok(_) => {}
            Err(error) => {
                for state in made {
                    // The first fault is the one to tell.
                    let _ = untag(state, name);
                }
                return Err(words(&error));
            }
        }
    }
    Ok(made)
}

impl Surroundings<'_> {
    fn push(&self, plan: &PushPlan, settings: &GitSettings) -> Result<PushReport, Trouble> {
        let report = self.run(plan, settings);
        if report.is_success() {
            Ok(report)
        } else {
            Err(self.not_pushed(&report))
        }
    }

    fn run(&self, plan: &PushPlan, settings: &GitSettings) -> PushReport {
        let git = Git {
            program: "git".into(),
            environment: self.env.to_vec(),
            own_group: !has_terminal(),
        };
        let workers = NonZeroUsize::new(settings.workers.into()).unwrap_or(NonZeroUsize::MIN);
        push(plan, &git, workers, &|| match self.cancel.urgency() {
            None => Stop::Not,
            Some(Urgency::Graceful) => Stop::Soon,
            Some(Urgency::Immediate) => Stop::Now,
        })
    }

    fn not_pushed(&self, report: &PushReport) -> Trouble {
        // A terminal interrupts git as well, which then has its own words for that.
        if self.cancel.is_raised() {
            return "interrupted".to_owned().into();
        }
        let diverged: Vec<&str> = report
            .steps
            .iter()
            .filter(|step| step.outcome.is_diverged())
            .map(|step| step.path.as_str())
            .collect();
        let mut why = format!("not all was pushed\n{}", report.to_string().trim_end());
        if diverged.iter().any(|path| !path.is_empty()) {
            why.push_str(
                "\nwhat holds a submodule has to commit the one that this gives: `git add` it there and `git commit`",
            );
        }
        Trouble {
            why,
            lasting: !diverged.is_empty(),
        }
    }
}

/// Whether a terminal listens to this process, so that git may ask there for a password, and an interrupt reaches git as well.
#[cfg(unix)]
fn has_terminal() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    let front = rustix::termios::tcgetpgrp(&terminal);
    front.is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn has_terminal() -> bool {
    true
}

/// What became of one repository, for programs.
fn value(step: &Pushed) -> Value {
    let (outcome, why) = match &step.outcome {
        Outcome::Pushed => ("pushed", None),
        Outcome::Skipped(why) => ("skipped", Some(why.to_string())),
        Outcome::Blocked(why) => ("blocked", Some(why.to_string())),
        Outcome::Failed(why) => ("failed", Some(why.to_string())),
        Outcome::Interrupted => ("interrupted", None),
        Outcome::NotTried { because } => ("not-tried", Some(because.join(", "))),
    };
    json!({
        "path": shown(&step.path),
        "outcome": outcome,
        "why": why,
        "seconds": step.duration.as_secs_f64(),
    })
}

pub(super) fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
