//! Commits what is dirty, submodules first.
//! Runs no hook and no filter of another program, signs nothing and pushes nothing.

use std::path::Path;

use git2::{AttrCheckFlags, AttrValue, IndexAddOption, Oid, Repository, RepositoryState};

use super::scan::{self, failed, path_of, scan, submodule_commit};
use super::{RepoError, RepoState};

/// A commit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The repository; empty for the main one.
    pub path: String,
    /// The new commit, as hexadecimal digits.
    pub commit: String,
}

/// Commits every dirty repository among those that `folder` lies in: submodules before what holds them, so that each commit names those
/// that were just made. All that git does not ignore is committed, as by `git add --all`; folders that are repositories, but no submodules,
/// are left out. The author is whom the repository's configuration names.
///
/// All are examined before the first is committed. A repository is refused when it has conflicts, is in the middle of a merge or the
/// like, has a detached HEAD (nothing would keep the commit), is a sparse checkout, wants commits signed, or has changed a file
/// that goes through a filter which only git can run (as Git LFS): there, commit with git.
///
/// # Errors
/// [`RepoError::Unfit`] and [`RepoError::NoAuthor`] before anything is committed; [`RepoError::Commit`] with what was committed before.
pub fn commit_dirty(folder: &Path, message: &str) -> Result<Vec<Committed>, RepoError> {
    let states = scan(folder)?;
    let mut done = Vec::new();
    for state in to_commit(&states)? {
        match one(&state.folder, message) {
            Ok(Some(commit)) => done.push(Committed {
                path: state.path.clone(),
                commit: commit.to_string(),
            }),
            // It only looked dirty.
            Ok(None) => {}
            Err(source) => {
                let path = state.shown().to_owned();
                return Err(RepoError::Commit { path, done, source });
            }
        }
    }
    Ok(done)
}

/// The repositories that [`commit_dirty`] commits, in its order: the dirty ones, and those that hold one.
///
/// # Errors
/// As [`commit_dirty`] before anything is committed.
pub fn to_commit(states: &[RepoState]) -> Result<Vec<&RepoState>, RepoError> {
    let mut dirty: Vec<&RepoState> = states
        .iter()
        .filter(|state| state.head.is_some() && will_change(state, states))
        .collect();
    // What lies within comes after in the scan, so backwards it comes first.
    dirty.reverse();
    for state in &dirty {
        examine(state)?;
    }
    Ok(dirty)
}

/// Whether it is dirty, or will be as soon as what it holds is committed.
fn will_change(state: &RepoState, all: &[RepoState]) -> bool {
    all.iter().any(|other| {
        let within = state.path.is_empty()
            || other
                .path
                .strip_prefix(&state.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        within && other.is_dirty()
    })
}

fn examine(state: &RepoState) -> Result<(), RepoError> {
    let read = |source| failed(&state.folder, source);
    let repository = Repository::open(&state.folder).map_err(read)?;
    let unfit = |why: String| {
        let path = state.shown().to_owned();
        Err(RepoError::Unfit { path, why })
    };
    if repository.state() != RepositoryState::Clean {
        return unfit("a merge, rebase or the like is under way: end it first".into());
    }
    let head = state.head.as_ref();
    if head.is_some_and(|head| head.changes.conflicted > 0) {
        return unfit("it has conflicts: resolve them first".into());
    }
    if head.is_some_and(|head| head.branch.is_none()) {
        return unfit(
            "HEAD is detached, so no branch would keep the commit: `git switch` to one".into(),
        );
    }
    let config = repository.config().map_err(read)?;
    if config.get_bool("core.sparseCheckout").unwrap_or(false) {
        return unfit("it is a sparse checkout: commit with git".into());
    }
    if config.get_bool("commit.gpgSign").unwrap_or(false) {
        return unfit("`commit.gpgSign` wants commits signed: commit with git".into());
    }
    if let Some((path, filter)) = filtered(&repository).map_err(read)? {
        return unfit(format!(
            "`{path}` has `{filter}`, which only git understands: commit with git"
        ));
    }
    if repository.signature().is_err() {
        let folder = state.folder.clone();
        return Err(RepoError::NoAuthor { folder });
    }
    Ok(())
}

/// A changed file with a filter that libgit2 would leave out, and the filter.
fn filtered(repository: &Repository) -> Result<Option<(String, String)>, git2::Error> {
    let mut options = git2::StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .exclude_submodules(true);
    for entry in repository.statuses(Some(&mut options))?.iter() {
        let Some(path) = path_of(entry.path_bytes()) else {
            continue;
        };
        for attribute in ["filter", "working-tree-encoding"] {
            let flags = AttrCheckFlags::FILE_THEN_INDEX;
            let value = repository.get_attr_bytes(&path, attribute, flags)?;
            if let AttrValue::String(value) = AttrValue::from_bytes(value) {
                let filter = format!("{attribute}={value}");
                return Ok(Some((path.display().to_string(), filter)));
            }
        }
    }
    Ok(None)
}

fn one(folder: &Path, message: &str) -> Result<Option<Oid>, git2::Error> {
    let repository = Repository::open(folder)?;
    let mut index = repository.index()?;
    // Folders are submodules, which follow, or repositories that nobody declared.
    let mut files_only = |path: &Path, _: &[u8]| {
        let is_folder = folder
            .join(path)
            .symlink_metadata()
            .is_ok_and(|found| found.is_dir());
        i32::from(is_folder)
    };
    index.add_all(["*"], IndexAddOption::DEFAULT, Some(&mut files_only))?;
    for submodule in repository.submodules()? {
        let Some(id) = submodule_commit(&repository, submodule.path())? else {
            continue;
        };
        if index.get_path(submodule.path(), 0).map(|entry| entry.id) != Some(id) {
            index.add_path(submodule.path())?;
        }
    }
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let who = repository.signature()?;
    let parent = match scan::commit(&repository)? {
        Some(parent) => Some(repository.find_commit(parent)?),
        None => None,
    };
    if parent
        .as_ref()
        .is_some_and(|parent| parent.tree_id() == tree.id())
    {
        return Ok(None);
    }
    let parents: Vec<_> = parent.iter().collect();
    repository
        .commit(Some("HEAD"), &who, &who, message, &tree, &parents)
        .map(Some)
}
