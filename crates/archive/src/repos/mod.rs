//! The repositories a run belongs to: the main one and its submodules, read, committed and tagged through libgit2, pushed by git itself.
//! Does not know what is archived; knows no terminal, no home and no environment but what it is given.

mod archived;
mod commit;
mod failure;
mod plan;
mod process;
mod push;
mod scan;
mod tag;
mod words;

use std::path::PathBuf;

pub use archived::{Moved, Spot, archived, moved};
pub use commit::{Committed, commit_dirty, to_commit};
pub use failure::{PushFailure, Rejection};
pub use plan::{Action, Blocked, PushPlan, PushStep, Skipped, plan, plan_tag};
pub use process::Stop;
pub use push::{Git, Outcome, PushReport, Pushed, push};
pub use scan::scan;
pub use tag::{Tagged, check_tag, tag, untag};

/// One repository as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoState {
    /// Where it lies in the main repository, `/`-separated; empty for the main repository itself.
    pub path: String,
    /// Its folder on disk.
    pub folder: PathBuf,
    /// What is known of it; `None` when it is a submodule that is not checked out.
    pub head: Option<Head>,
}

/// What a repository that is checked out has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The commit at HEAD, as hexadecimal digits; `None` before the first commit.
    pub commit: Option<String>,
    /// The branch that HEAD names; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// What differs from the commit at HEAD.
    pub changes: Changes,
    /// What the branch follows; `None` without an upstream, and where that upstream is not known here.
    pub upstream: Option<Upstream>,
}

/// How many paths differ from the commit at HEAD. One path may count as staged and as unstaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Paths that the index has otherwise than HEAD.
    pub staged: usize,
    /// Paths that the disk has otherwise than the index; a submodule at another commit counts.
    pub unstaged: usize,
    /// Files that git neither tracks nor ignores. A folder that is a repository of its own, but no submodule, is left out.
    pub untracked: usize,
    /// Paths with a conflict of a merge.
    pub conflicted: usize,
}

/// What a branch follows, as far as was seen by the last fetch or push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Such as `origin/main`.
    pub name: String,
    /// Commits here that are not there.
    pub ahead: usize,
    /// Commits there that are not here.
    pub behind: usize,
}

impl RepoState {
    /// Whether anything differs from the commit at HEAD. What is not checked out is not dirty.
    pub fn is_dirty(&self) -> bool {
        self.head
            .as_ref()
            .is_some_and(|head| head.changes != Changes::default())
    }

    /// The path as people read it: `.` for the main repository.
    pub fn shown(&self) -> &str {
        shown(&self.path)
    }
}

/// Why repositories could not be read, committed or tagged.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// Git's own data could not be read or written.
    #[error("cannot {action} the repository `{}`", folder.display())]
    Git {
        /// What was tried, as a verb.
        action: &'static str,
        /// The repository's folder.
        folder: PathBuf,
        /// What git's library said.
        source: git2::Error,
    },
    /// Nobody is named as the author of commits and tags.
    #[error(
        "nobody is named as the author in `{}`\n  set `git config user.name` and `git config user.email`",
        folder.display()
    )]
    NoAuthor {
        /// The repository's folder.
        folder: PathBuf,
    },
    /// This repository cannot be committed here. Nothing was committed anywhere.
    #[error("`{path}` cannot be committed: {why}\n  nothing was committed in any repository")]
    Unfit {
        /// The repository, `.` for the main one.
        path: String,
        /// Why, and what to do.
        why: String,
    },
    /// A commit failed after others were made. They stay, and the next call goes on from there.
    #[error("cannot commit `{path}`{}", after(done))]
    Commit {
        /// The repository, `.` for the main one.
        path: String,
        /// The commits that were made before.
        done: Vec<Committed>,
        /// What git's library said.
        source: git2::Error,
    },
    /// The tag names another commit. Tags are never moved.
    #[error("the tag `{tag}` of `{path}` is at another commit, {at}\n  choose another name")]
    TagExists {
        /// The tag.
        tag: String,
        /// The repository, `.` for the main one.
        path: String,
        /// The commit it names.
        at: String,
    },
    /// This is no name for a tag.
    #[error("`{tag}` is no name that git allows for a tag")]
    TagName {
        /// The refused name.
        tag: String,
    },
    /// There is no commit that could be tagged.
    #[error("`{path}` has no commit that could be tagged")]
    NothingToTag {
        /// The repository, `.` for the main one.
        path: String,
    },
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

fn after(done: &[Committed]) -> String {
    if done.is_empty() {
        return String::new();
    }
    let paths: Vec<_> = done.iter().map(|one| shown(&one.path)).collect();
    format!("; committed before it, and kept: {}", paths.join(", "))
}
