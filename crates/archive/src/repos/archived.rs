//! Compares repositories with the commits that an entry names.
//! Changes nothing, and reads no repository itself.

use std::fmt;

use super::RepoState;
use crate::RepoCommit;

/// A repository that is elsewhere than an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its path as people read it: `.` for the main repository.
    pub path: String,
    /// Where the entry has it.
    pub was: Spot,
    /// Where it is; `None` when it is not there or not checked out any more.
    pub is: Option<Spot>,
}

/// Where the HEAD of a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The commit, as hexadecimal digits; `None` before the first.
    pub commit: Option<String>,
    /// The branch; `None` when HEAD is detached.
    pub branch: Option<String>,
}

/// The repositories whose commit is not what the entry names, or on another branch. A detached HEAD may have got a branch since.
pub fn moved(states: &[RepoState], commits: &[RepoCommit]) -> Vec<Moved> {
    let named = commits.iter().filter(|one| one.commit.is_some());
    let moved = named.filter_map(|one| {
        let was = Spot {
            commit: one.commit.clone(),
            branch: one.branch.clone(),
        };
        let head = state_of(states, one).and_then(|state| state.head.as_ref());
        let is = head.map(|head| Spot {
            commit: head.commit.clone(),
            branch: head.branch.clone(),
        });
        let stays = is.as_ref().is_some_and(|is| {
            is.commit == was.commit && (was.branch.is_none() || is.branch == was.branch)
        });
        let path = one.path.clone();
        (!stays).then_some(Moved { path, was, is })
    });
    moved.collect()
}

/// The repositories that the entry names, in the order of `states`, each at the commit that it names.
pub fn archived(states: &[RepoState], commits: &[RepoCommit]) -> Vec<RepoState> {
    let mut found = Vec::new();
    for state in states {
        let Some(one) = commits.iter().find(|one| one.path == state.shown()) else {
            continue;
        };
        let mut state = state.clone();
        match (&mut state.head, &one.commit) {
            (Some(head), Some(commit)) => head.commit = Some(commit.clone()),
            (None, _) => {}
            // What it has got since is not the entry's.
            (Some(_), None) => continue,
        }
        found.push(state);
    }
    found
}

fn state_of<'s>(states: &'s [RepoState], one: &RepoCommit) -> Option<&'s RepoState> {
    states.iter().find(|state| state.shown() == one.path)
}

impl fmt::Display for Moved {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: the entry has it at {}", self.path, self.was)?;
        match &self.is {
            Some(is) => write!(to, ", and it is at {is}"),
            None => write!(to, ", and it is not checked out"),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.commit {
            // As many digits as tell it from others.
            Some(commit) => write!(to, "{}", commit.get(..12).unwrap_or(commit))?,
            None => write!(to, "no commit")?,
        }
        match &self.branch {
            Some(branch) => write!(to, " of `{branch}`"),
            None => write!(to, ", detached"),
        }
    }
}
