//! What a plan says to people.
//! Decides nothing.

use std::fmt;

use super::failure::without_secrets;
use super::plan::{Action, Blocked, PushPlan, Skipped};
use super::shown;

impl fmt::Display for PushPlan {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            let path = shown(&step.path);
            let blocked = self.blocked_within(at);
            if matches!(step.action, Action::Push { .. }) && !blocked.is_empty() {
                let blocked = blocked.join(", ");
                writeln!(to, "{path}: not pushed, since these cannot be: {blocked}")?;
            } else {
                writeln!(to, "{path}: {}", step.action)?;
            }
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
                let names: Vec<&str> = refs.iter().map(|one| short(one)).collect();
                let remote = without_secrets(remote);
                write!(to, "push {} to {remote}", names.join(", "))?;
                if refs.iter().any(|one| one.contains(":refs/heads/")) {
                    write!(to, ", {commits} commit{}", plural(*commits))?;
                }
                Ok(())
            }
            Self::Skip(why) => write!(to, "{why}"),
            Self::Block(why) => write!(to, "cannot be pushed: {why}"),
        }
    }
}

/// A reference as people name it: what it is called there.
fn short(refs: &str) -> &str {
    let there = refs.rsplit_once(':').map_or(refs, |(_, there)| there);
    there
        .strip_prefix("refs/heads/")
        .or_else(|| there.strip_prefix("refs/tags/"))
        .unwrap_or(there)
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
                 `git push --set-upstream {} {branch}` pushes it and gives it one",
                without_secrets(remote)
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
