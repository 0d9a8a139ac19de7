//! Which runs are meant: `last`, `last~2`, the beginning of a run's id, a branch, or a commit.
//! Does not know what is done with them.

use std::path::Path;

use larder_timing::history::{History, HistoryError};
use larder_timing::{RunRow, TaskRow};

use super::super::Usage;

/// The most runs of a branch or a commit that are compared.
const MOST: usize = 200;

/// Some runs, by what they have in common.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What was asked for.
    pub(super) name: String,
    /// The runs with their tasks, newest first; at least one.
    pub(super) runs: Vec<RunRow>,
}

impl Chosen {
    /// Rows of a task in these runs, newest first, as the history gives them.
    pub(super) fn rows(&self, task: &str) -> Vec<(RunRow, TaskRow)> {
        let found = self.runs.iter().filter_map(|run| {
            let row = run.tasks.iter().find(|row| row.task == task)?;
            let bare = RunRow {
                tasks: Vec::new(),
                ..run.clone()
            };
            Some((bare, row.clone()))
        });
        found.collect()
    }
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
pub(super) fn failed(error: HistoryError) -> Usage {
    Usage::new(error)
}

/// The one run that is meant, with its tasks.
pub(super) fn one(history: &History, root: &Path, name: &str) -> Result<RunRow, Usage> {
    let mut chosen = choose(history, root, name)?;
    Ok(chosen.runs.swap_remove(0))
}

/// The runs of the branch that is checked out or, without one, of the commit.
pub(super) fn current(history: &History, root: &Path) -> Result<Chosen, Usage> {
    let branch = git2::Repository::discover(root)
        .ok()
        .and_then(|repository| {
            let head = repository.head().ok()?;
            head.is_branch()
                .then(|| head.shorthand().map(str::to_owned))?
        });
    if let Some(branch) = branch
        && let Ok(chosen) = choose(history, root, &branch)
    {
        return Ok(chosen);
    }
    choose(history, root, "HEAD")
}

/// The runs that are meant.
pub(super) fn choose(history: &History, root: &Path, name: &str) -> Result<Chosen, Usage> {
    let bare = if let Some(back) = steps_back(name) {
        history
            .runs(back.saturating_add(1))
            .map_err(failed)?
            .drain(..)
            .nth(back)
            .into_iter()
            .collect()
    } else {
        // A whole name goes before the beginning of another one.
        let of_branch = history.runs_of_branch(name, MOST).map_err(failed)?;
        if of_branch.is_empty()
            && let Some(run) = history.run(name).map_err(failed)?
        {
            return Ok(Chosen {
                name: name.to_owned(),
                runs: vec![run],
            });
        }
        match commit(root, name) {
            _ if !of_branch.is_empty() => of_branch,
            Some(commit) => history.runs_of_revision(&commit, MOST).map_err(failed)?,
            None => Vec::new(),
        }
    };
    let mut runs = Vec::with_capacity(bare.len());
    for run in bare {
        // Another process may have let it go meanwhile.
        runs.extend(history.run(&run.id).map_err(failed)?);
    }
    if runs.is_empty() {
        return Err(unknown(history, name));
    }
    Ok(Chosen {
        name: name.to_owned(),
        runs,
    })
}

fn unknown(history: &History, name: &str) -> Usage {
    let newest = history.runs(1).unwrap_or_default();
    let example = newest.first().map_or_else(String::new, |run| {
        format!("\n  the newest run is {}, made {}", run.id, on(run))
    });
    Usage::new(format!(
        "no remembered run is `{name}`: write `last`, `last~1`, the beginning of a run's id, a branch or a commit{example}"
    ))
}

/// On what a run was made.
pub(super) fn on(run: &RunRow) -> String {
    let commit = run
        .revision
        .as_deref()
        .map(|commit| &commit[..commit.len().min(10)]);
    match (&run.branch, commit) {
        (Some(branch), Some(commit)) => format!("on {branch} at {commit}"),
        (None, Some(commit)) => format!("at {commit}"),
        (Some(branch), None) => format!("on {branch}"),
        (None, None) => "outside of git".to_owned(),
    }
}

/// `last` is 0, `last~1` is 1.
fn steps_back(name: &str) -> Option<usize> {
    match name.strip_prefix("last")? {
        "" => Some(0),
        rest => rest.strip_prefix('~')?.parse().ok(),
    }
}

/// The commit that git knows under a name.
fn commit(root: &Path, name: &str) -> Option<String> {
    let repository = git2::Repository::discover(root).ok()?;
    let object = repository.revparse_single(name).ok()?;
    let commit = object.peel_to_commit().ok()?;
    Some(commit.id().to_string())
}

#[cfg(test)]
mod tests {
    use super::steps_back;

    #[test]
    fn only_last_and_its_steps_are_places() {
        let read = [
            "last", "last~0", "last~12", "lastly", "last~", "last~x", "main",
        ]
        .map(steps_back);
        assert_eq!(read, [Some(0), Some(0), Some(12), None, None, None, None]);
    }
}
