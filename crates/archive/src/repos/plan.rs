//! Decides what is pushed where, from what lies on disk.
//! Talks to no remote and runs no program, so what a remote has got since the last fetch is not known.

use std::fmt;
use std::path::PathBuf;

use git2::{Config, ErrorCode, Oid, Repository};

use super::scan::{failed, submodule_commit};
use super::{Head, RepoError, RepoState, Upstream, shown};

/// What is to be done, submodules before what holds them, the main repository last. `Display` gives a line for each.
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
        /// The name of the remote.
        remote: String,
        /// Full names, `here:there`: the branch, then tags. Never with a `+`, so nothing is forced.
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

/// What pushing these repositories comes to. `tags` go along wherever a repository has them.
///
/// The branch that HEAD names goes where `git push` would take it: `branch.*.pushRemote`, `remote.pushDefault`, the upstream and
/// `push.default` count.
///
/// # Errors
/// [`RepoError::Git`] when a repository cannot be read.
pub fn plan(states: &[RepoState], tags: &[String]) -> Result<PushPlan, RepoError> {
    let mut steps = Vec::new();
    for state in states.iter().rev() {
        let action = match &state.head {
            None => Action::Skip(Skipped::NotCheckedOut),
            Some(head) => Repository::open(&state.folder)
                .and_then(|repository| action(&repository, head, tags))
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

fn action(repository: &Repository, head: &Head, tags: &[String]) -> Result<Action, git2::Error> {
    let Some(commit) = &head.commit else {
        return Ok(Action::Skip(Skipped::NoCommit));
    };
    let config = repository.config()?.snapshot()?;
    let Some(fallback) = any_remote(repository)? else {
        return Ok(Action::Skip(Skipped::NoRemote));
    };
    let unpushed = unknown_to(repository, Oid::from_str(commit)?, "*")?;
    let tags = own_tags(repository, tags);
    let Some(branch) = &head.branch else {
        if unpushed > 0 {
            return Ok(Action::Block(Blocked::Detached { unpushed }));
        }
        return Ok(if tags.is_empty() {
            Action::Skip(Skipped::Detached)
        } else {
            push(
                text(&config, "remote.pushDefault").unwrap_or(fallback),
                None,
                tags,
                0,
            )
        });
    };
    let target = match target(&config, branch, fallback, unpushed) {
        Ok(target) => target,
        Err(other) => return Ok(other),
    };
    let commit = Oid::from_str(commit)?;
    let there = match &head.upstream {
        Some(upstream) if target.follows => Some(upstream.clone()),
        // The upstream's remote has lost the branch, or was never asked.
        _ if target.follows => None,
        _ => last_seen(repository, &target, commit)?,
    };
    let commits = match &there {
        Some(Upstream {
            name,
            ahead,
            behind,
        }) if *ahead > 0 && *behind > 0 => {
            return Ok(Action::Block(Blocked::Diverged {
                upstream: name.clone(),
                ahead: *ahead,
                behind: *behind,
            }));
        }
        Some(there) => there.ahead,
        None => unknown_to(repository, commit, &format!("{}/*", target.remote))?,
    };
    let is_there = commits == 0 && there.is_some();
    if is_there && tags.is_empty() {
        return Ok(Action::Skip(Skipped::NothingToPush));
    }
    let refs = format!("refs/heads/{branch}:refs/heads/{}", target.branch);
    if !is_there && let Some(missing) = missing_submodule(repository, commit)? {
        return Ok(Action::Block(missing));
    }
    let refs = (!is_there).then_some(refs);
    Ok(push(target.remote, refs, tags, commits))
}

fn push(remote: String, branch: Option<String>, tags: Vec<String>, commits: usize) -> Action {
    let refs = branch.into_iter().chain(tags).collect();
    Action::Push {
        remote,
        refs,
        commits,
    }
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

/// `origin`, or another remote when there is none of that name.
fn any_remote(repository: &Repository) -> Result<Option<String>, git2::Error> {
    let remotes = repository.remotes()?;
    let names: Vec<&str> = remotes.iter().flatten().collect();
    Ok(names
        .iter()
        .find(|name| **name == "origin")
        .or_else(|| names.first())
        .map(|name| (*name).to_owned()))
}

/// Commits that no branch of these remotes is known to have.
fn unknown_to(repository: &Repository, commit: Oid, remotes: &str) -> Result<usize, git2::Error> {
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
        if inner.find_commit(entry.id()).is_err() || any_remote(&inner)?.is_none() {
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

fn own_tags(repository: &Repository, tags: &[String]) -> Vec<String> {
    tags.iter()
        .map(|tag| format!("refs/tags/{tag}"))
        .filter(|name| repository.find_reference(name).is_ok())
        .map(|name| format!("{name}:{name}"))
        .collect()
}

impl PushPlan {
    /// Whether anything is blocked, so that the main repository would not be pushed.
    pub fn is_blocked(&self) -> bool {
        let mut actions = self.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, Action::Block(_)))
    }
}

impl fmt::Display for PushPlan {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(to, "{}: {}", shown(&step.path), step.action)?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push {
                remote,
                refs,
                commits,
            } => {
                let refs: Vec<&str> = refs.iter().map(|one| short(one)).collect();
                let (refs, plural) = (refs.join(", "), plural(*commits));
                write!(to, "push {refs} to {remote}, {commits} commit{plural}")
            }
            Self::Skip(why) => write!(to, "{why}"),
            Self::Block(why) => write!(to, "cannot be pushed: {why}"),
        }
    }
}

/// A reference as people name it.
fn short(refs: &str) -> &str {
    let here = refs.split_once(':').map_or(refs, |(here, _)| here);
    here.strip_prefix("refs/heads/")
        .or_else(|| here.strip_prefix("refs/tags/"))
        .unwrap_or(here)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl fmt::Display for Skipped {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::NothingToPush => "nothing to push",
            Self::Detached => "nothing to push: HEAD is detached, at a commit that a remote has",
            Self::NoRemote => "nothing to push to: there is no remote",
            Self::NoCommit => "nothing to push: there is no commit yet",
            Self::NotCheckedOut => "nothing to push: the submodule is not checked out",
        })
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detached { unpushed } => write!(
                to,
                "HEAD is detached, and {unpushed} commit{} on no branch of a remote\n  \
                 `git switch -c NAME` keeps them on a branch, which can be pushed",
                if *unpushed == 1 { " is" } else { "s are" }
            ),
            Self::NoUpstream { branch, remote } => write!(
                to,
                "the branch `{branch}` has no upstream\n  \
                 `git push --set-upstream {remote} {branch}` pushes it and gives it one"
            ),
            Self::Diverged {
                upstream,
                ahead,
                behind,
            } => write!(
                to,
                "it has {ahead} commit{} that `{upstream}` lacks, which has {behind} that are not here\n  \
                 `git pull --rebase` or `git pull` brings them together; nothing is forced",
                plural(*ahead)
            ),
            Self::OtherName { branch, upstream } => write!(
                to,
                "the branch `{branch}` follows `{upstream}`, which has another name\n  \
                 `git config push.default upstream` says that this is meant"
            ),
            Self::SubmoduleMissing { submodule, commit } => write!(
                to,
                "it refers to the commit {commit} of `{submodule}`, which is on no branch that is or will be pushed\n  \
                 put it on a branch there and push that, or commit another one here"
            ),
            Self::Nothing => write!(
                to,
                "`push.default` is `nothing`\n  push it by hand, or change that"
            ),
        }
    }
}
