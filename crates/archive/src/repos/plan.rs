//! Decides what is pushed where, from what lies on disk.
//! Talks to no remote and runs no program, so what a remote has got since the last fetch is not known.

use std::path::PathBuf;

use git2::{Config, ErrorCode, Oid, Repository};

use super::scan::{failed, submodule_commit};
use super::{Head, RepoError, RepoState, Upstream};

/// What is to be done, submodules before what holds them, the main repository last. `Display` gives a line for each, and says so where
/// one is not pushed since another cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushPlan {
    /// One for each repository.
    pub steps: Vec<PushStep>,
}

/// What is to be done with one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushStep {
    /// The repository; empty for the main one.
    pub path: String,
    /// Its folder on disk.
    pub folder: PathBuf,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done with one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Push these references there.
    Push {
        /// The name of the remote, or its URL.
        remote: String,
        /// What here, and the full name there: `COMMIT:refs/heads/main`, or the same tag on both sides. Never with a `+`, so nothing
        /// is forced.
        refs: Vec<String>,
        /// Commits that the remote lacks, as far as is known here.
        commits: usize,
    },
    /// There is nothing to do.
    Skip(Skipped),
    /// It cannot be pushed, so what holds it is not pushed either.
    Block(Blocked),
}

/// Why there is nothing to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// A remote has all commits.
    NothingToPush,
    /// HEAD is detached, at a commit that a remote has.
    Detached,
    /// There is no remote.
    NoRemote,
    /// There is no commit yet.
    NoCommit,
    /// The submodule is not checked out.
    NotCheckedOut,
}

/// Why a push would be refused, or would not be what anyone meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// HEAD is detached, at commits that no remote has.
    Detached {
        /// How many.
        unpushed: usize,
    },
    /// The branch has no upstream, and the configuration of git does not say where it goes.
    NoUpstream {
        /// The branch.
        branch: String,
        /// A remote that it could go to.
        remote: String,
    },
    /// The branch and its upstream have each what the other lacks.
    Diverged {
        /// Such as `origin/main`.
        upstream: String,
        /// Commits here that are not there.
        ahead: usize,
        /// Commits there that are not here.
        behind: usize,
    },
    /// The upstream has another name than the branch, and `push.default` does not say that this is meant.
    OtherName {
        /// The branch.
        branch: String,
        /// The name of its upstream at the remote.
        upstream: String,
    },
    /// It refers to a commit of a submodule that would be on no branch of its remotes, even after this plan.
    SubmoduleMissing {
        /// The submodule, by its path in this repository.
        submodule: String,
        /// The commit, as hexadecimal digits.
        commit: String,
    },
    /// `push.default` is `nothing`.
    Nothing,
}

/// What pushing the commits of these states comes to, each by its digits: what a branch gets meanwhile is not pushed. `coming` are the
/// paths of repositories that will have one more commit by then, which has no digits yet.
///
/// The branch goes where `git push` would take it: `branch.*.pushRemote`, `remote.pushDefault`, the upstream and `push.default` count.
///
/// # Errors
/// [`RepoError::Git`] when a repository cannot be read.
pub fn plan(states: &[RepoState], coming: &[String]) -> Result<PushPlan, RepoError> {
    steps(states, &|repository, state, head| {
        action(repository, head, coming.contains(&state.path))
    })
}

/// What pushing a tag that all these repositories have or will have comes to. Meant for after their branches were pushed.
///
/// # Errors
/// [`RepoError::Git`] when a repository cannot be read.
pub fn plan_tag(states: &[RepoState], coming: &[String], tag: &str) -> Result<PushPlan, RepoError> {
    let name = format!("refs/tags/{tag}");
    steps(states, &|repository, state, head| {
        if head.commit.is_none() && !coming.contains(&state.path) {
            return Ok(Action::Skip(Skipped::NoCommit));
        }
        let config = repository.config()?.snapshot()?;
        let branch = head.branch.as_deref();
        Ok(match any_remote(repository, &config, branch)? {
            None => Action::Skip(Skipped::NoRemote),
            Some(remote) => Action::Push {
                remote,
                refs: vec![format!("{name}:{name}")],
                commits: 0,
            },
        })
    })
}

type Decide<'a> = &'a dyn Fn(&Repository, &RepoState, &Head) -> Result<Action, git2::Error>;

fn steps(states: &[RepoState], decide: Decide<'_>) -> Result<PushPlan, RepoError> {
    let mut steps = Vec::new();
    for state in states.iter().rev() {
        let action = match &state.head {
            None => Action::Skip(Skipped::NotCheckedOut),
            Some(head) => Repository::open(&state.folder)
                .and_then(|repository| decide(&repository, state, head))
                .map_err(|source| failed(&state.folder, source))?,
        };
        steps.push(PushStep {
            path: state.path.clone(),
            folder: state.folder.clone(),
            action,
        });
    }
    Ok(PushPlan { steps })
}

fn action(repository: &Repository, head: &Head, coming: bool) -> Result<Action, git2::Error> {
    let commit = head.commit.as_deref().map(Oid::from_str).transpose()?;
    if commit.is_none() && !coming {
        return Ok(Action::Skip(Skipped::NoCommit));
    }
    let more = usize::from(coming);
    let config = repository.config()?.snapshot()?;
    let Some(fallback) = any_remote(repository, &config, head.branch.as_deref())? else {
        return Ok(Action::Skip(Skipped::NoRemote));
    };
    let unpushed = unknown_to(repository, commit, "*")? + more;
    let Some(branch) = &head.branch else {
        return Ok(if unpushed > 0 {
            Action::Block(Blocked::Detached { unpushed })
        } else {
            Action::Skip(Skipped::Detached)
        });
    };
    let target = match target(&config, branch, fallback, unpushed) {
        Ok(target) => target,
        Err(other) => return Ok(other),
    };
    let is_named = repository.find_remote(&target.remote).is_ok();
    let there = match (&head.upstream, commit) {
        (Some(upstream), _) if target.follows => Some(upstream.clone()),
        // The upstream's remote has lost the branch, or was never asked; of a mere URL nothing is ever seen.
        (_, Some(commit)) if !target.follows && is_named => last_seen(repository, &target, commit)?,
        _ => None,
    };
    let commits = match &there {
        Some(Upstream {
            name,
            ahead,
            behind,
        }) if *ahead + more > 0 && *behind > 0 => {
            return Ok(Action::Block(Blocked::Diverged {
                upstream: name.clone(),
                ahead: *ahead + more,
                behind: *behind,
            }));
        }
        Some(there) => there.ahead + more,
        None if is_named => unknown_to(repository, commit, &format!("{}/*", target.remote))? + more,
        None => unpushed,
    };
    if commits == 0 && there.is_some() {
        return Ok(Action::Skip(Skipped::NothingToPush));
    }
    let here = match commit {
        // Such a commit names what its submodules are at, so none is missing.
        _ if coming => format!("refs/heads/{branch}"),
        Some(commit) => {
            if let Some(missing) = missing_submodule(repository, commit)? {
                return Ok(Action::Block(missing));
            }
            commit.to_string()
        }
        None => return Ok(Action::Skip(Skipped::NoCommit)),
    };
    Ok(Action::Push {
        refs: vec![format!("{here}:refs/heads/{}", target.branch)],
        remote: target.remote,
        commits,
    })
}

struct Target {
    remote: String,
    /// Its name at the remote.
    branch: String,
    /// Whether that is the upstream.
    follows: bool,
}

/// Where the branch goes, or what is done in its place.
fn target(
    config: &Config,
    branch: &str,
    fallback: String,
    unpushed: usize,
) -> Result<Target, Action> {
    let block = |why| Err(Action::Block(why));
    let mode = text(config, "push.default").unwrap_or_else(|| "simple".into());
    if mode == "nothing" {
        return block(Blocked::Nothing);
    }
    // A branch that follows another one here goes nowhere.
    let own = text(config, &format!("branch.{branch}.remote")).filter(|remote| remote != ".");
    let elsewhere = text(config, &format!("branch.{branch}.pushRemote"))
        .or_else(|| text(config, "remote.pushDefault"))
        .filter(|remote| Some(remote) != own.as_ref());
    if let Some(remote) = elsewhere {
        return Ok(Target {
            remote,
            branch: branch.to_owned(),
            follows: false,
        });
    }
    let merge = text(config, &format!("branch.{branch}.merge"));
    let upstream = merge
        .as_deref()
        .and_then(|name| name.strip_prefix("refs/heads/"))
        .filter(|_| own.is_some());
    let same_name = matches!(mode.as_str(), "current" | "matching");
    match (own, upstream) {
        (Some(remote), Some(upstream)) if !same_name => {
            if upstream != branch && mode == "simple" {
                return block(Blocked::OtherName {
                    branch: branch.to_owned(),
                    upstream: upstream.to_owned(),
                });
            }
            Ok(Target {
                remote,
                branch: upstream.to_owned(),
                follows: true,
            })
        }
        (own, upstream) => {
            let sets_up = config.get_bool("push.autoSetupRemote").unwrap_or(false);
            if upstream.is_none() && !same_name && !sets_up {
                return if unpushed == 0 {
                    Err(Action::Skip(Skipped::NothingToPush))
                } else {
                    block(Blocked::NoUpstream {
                        branch: branch.to_owned(),
                        remote: own.unwrap_or(fallback),
                    })
                };
            }
            Ok(Target {
                remote: own.unwrap_or(fallback),
                branch: branch.to_owned(),
                follows: upstream == Some(branch),
            })
        }
    }
}

fn text(config: &Config, name: &str) -> Option<String> {
    config
        .get_string(name)
        .ok()
        .filter(|value| !value.is_empty())
}

/// The remote that git would push to, or else one that it could: `origin`, or another when there is none of that name. A remote may be
/// given by its URL alone.
fn any_remote(
    repository: &Repository,
    config: &Config,
    branch: Option<&str>,
) -> Result<Option<String>, git2::Error> {
    let of_branch = |what: &str| text(config, &format!("branch.{}.{what}", branch?));
    let told = of_branch("pushRemote")
        .or_else(|| text(config, "remote.pushDefault"))
        // A branch that follows another one here goes nowhere.
        .or_else(|| of_branch("remote").filter(|remote| remote != "."));
    if told.is_some() {
        return Ok(told);
    }
    let remotes = repository.remotes()?;
    let names: Vec<&str> = remotes.iter().flatten().collect();
    Ok(names
        .iter()
        .find(|name| **name == "origin")
        .or_else(|| names.first())
        .map(|name| (*name).to_owned()))
}

/// Commits that no branch of these remotes is known to have; none before the first commit.
fn unknown_to(
    repository: &Repository,
    commit: Option<Oid>,
    remotes: &str,
) -> Result<usize, git2::Error> {
    let Some(commit) = commit else {
        return Ok(0);
    };
    let mut walk = repository.revwalk()?;
    walk.push(commit)?;
    walk.hide_glob(&format!("refs/remotes/{remotes}"))?;
    let mut count = 0;
    for id in walk {
        id?;
        count += 1;
    }
    Ok(count)
}

/// The branch at its remote when it was last seen; `None` when it never was.
fn last_seen(
    repository: &Repository,
    target: &Target,
    commit: Oid,
) -> Result<Option<Upstream>, git2::Error> {
    let name = format!("{}/{}", target.remote, target.branch);
    let there = match repository.find_reference(&format!("refs/remotes/{name}")) {
        Ok(found) => found.peel_to_commit()?.id(),
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (ahead, behind) = repository.graph_ahead_behind(commit, there)?;
    Ok(Some(Upstream {
        name,
        ahead,
        behind,
    }))
}

/// A submodule at a commit that no remote would have. What is not checked out, has no remote or does not know the commit tells nothing.
fn missing_submodule(repository: &Repository, commit: Oid) -> Result<Option<Blocked>, git2::Error> {
    let tree = repository.find_commit(commit)?.tree()?;
    for submodule in repository.submodules()? {
        let (Ok(entry), Some(head)) = (
            tree.get_path(submodule.path()),
            submodule_commit(repository, submodule.path())?,
        ) else {
            continue;
        };
        let inner = submodule.open()?;
        if inner.find_commit(entry.id()).is_err() || inner.remotes()?.is_empty() {
            continue;
        }
        let mut walk = inner.revwalk()?;
        walk.push(entry.id())?;
        walk.hide_glob("refs/remotes/*")?;
        // The branch there goes before, or stops this one.
        walk.hide(head)?;
        if walk.next().is_some() {
            return Ok(Some(Blocked::SubmoduleMissing {
                submodule: submodule.path().to_string_lossy().into_owned(),
                commit: entry.id().to_string(),
            }));
        }
    }
    Ok(None)
}

impl PushPlan {
    /// The steps of repositories that lie in that of the step `at`.
    pub(super) fn within(&self, at: usize) -> impl Iterator<Item = usize> {
        let outer = &self.steps[at].path;
        (0..self.steps.len()).filter(move |&other| {
            let inner = &self.steps[other].path;
            other != at
                && (outer.is_empty()
                    || inner
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.starts_with('/')))
        })
    }

    /// The paths of repositories that cannot be pushed and lie in that of the step `at`, which is then not pushed either.
    pub fn blocked_within(&self, at: usize) -> Vec<&str> {
        self.within(at)
            .map(|other| &self.steps[other])
            .filter(|step| matches!(step.action, Action::Block(_)))
            .map(|step| step.path.as_str())
            .collect()
    }

    /// Whether anything is blocked, so that the main repository would not be pushed.
    pub fn is_blocked(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, Action::Block(_)))
    }
}
