//! Reads the main repository and its submodules, nested ones too.
//! Changes nothing, runs no program and talks to no remote.

use std::path::Path;

use git2::{BranchType, ErrorCode, IndexEntryExtendedFlag, Oid, Repository, Status, StatusOptions};

use super::{Changes, Head, RepoError, RepoState, Upstream};

/// The repository that `folder` lies in, then its submodules sorted by path, each before its own submodules. Empty when `folder` lies
/// in no repository. Changed content of files that go through filters of other programs (as Git LFS) may be seen where only
/// their times differ.
///
/// # Errors
/// [`RepoError::Git`] when a repository cannot be read.
pub fn scan(folder: &Path) -> Result<Vec<RepoState>, RepoError> {
    let main = match Repository::discover(folder) {
        Ok(main) => main,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(folder, source)),
    };
    let Some(folder) = main.workdir() else {
        // A bare repository has no files that a run could have read.
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    one(&main, folder, "", &mut found)?;
    Ok(found)
}

fn one(
    repository: &Repository,
    folder: &Path,
    path: &str,
    found: &mut Vec<RepoState>,
) -> Result<(), RepoError> {
    let head = head(repository).map_err(|source| failed(folder, source))?;
    found.push(RepoState {
        path: path.to_owned(),
        folder: folder.to_owned(),
        head: Some(head),
    });
    let mut submodules = repository
        .submodules()
        .map_err(|source| failed(folder, source))?;
    submodules.sort_by(|a, b| a.path().cmp(b.path()));
    for submodule in submodules {
        let inner = folder.join(submodule.path());
        let name = submodule.path().to_string_lossy().replace('\\', "/");
        let path = if path.is_empty() {
            name
        } else {
            format!("{path}/{name}")
        };
        // `Submodule::open` would find a repository that lies further out.
        if inner.join(".git").symlink_metadata().is_ok() {
            let repository = Repository::open(&inner).map_err(|source| failed(&inner, source))?;
            one(&repository, &inner, &path, found)?;
        } else {
            found.push(RepoState {
                path,
                folder: inner,
                head: None,
            });
        }
    }
    Ok(())
}

fn head(repository: &Repository) -> Result<Head, git2::Error> {
    let branch = branch(repository)?;
    let commit = commit(repository)?;
    let upstream = match (&branch, commit) {
        (Some(branch), Some(commit)) => upstream(repository, branch, commit)?,
        _ => None,
    };
    Ok(Head {
        commit: commit.map(|id| id.to_string()),
        branch,
        changes: changes(repository)?,
        upstream,
    })
}

/// The commit at HEAD; `None` before the first.
pub(super) fn commit(repository: &Repository) -> Result<Option<Oid>, git2::Error> {
    match repository.head() {
        Ok(head) => head.peel_to_commit().map(|commit| Some(commit.id())),
        Err(error) if error.code() == ErrorCode::UnbornBranch => Ok(None),
        Err(error) => Err(error),
    }
}

/// The branch that HEAD names, also before its first commit.
pub(super) fn branch(repository: &Repository) -> Result<Option<String>, git2::Error> {
    let head = repository.find_reference("HEAD")?;
    let target = head.symbolic_target_bytes();
    Ok(target
        .and_then(|name| name.strip_prefix(b"refs/heads/"))
        .map(|name| String::from_utf8_lossy(name).into_owned()))
}

fn upstream(
    repository: &Repository,
    branch: &str,
    commit: Oid,
) -> Result<Option<Upstream>, git2::Error> {
    // A remote may be given by its URL or path. Then nothing is known here of what it has.
    let config = repository.config()?.snapshot()?;
    if let Ok(remote) = config.get_string(&format!("branch.{branch}.remote"))
        && remote != "."
        && repository.find_remote(&remote).is_err()
    {
        return Ok(None);
    }
    let branch = repository.find_branch(branch, BranchType::Local)?;
    let upstream = match branch.upstream() {
        Ok(upstream) => upstream,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let there = upstream.get().peel_to_commit()?.id();
    let (ahead, behind) = repository.graph_ahead_behind(commit, there)?;
    Ok(Some(Upstream {
        name: String::from_utf8_lossy(upstream.name_bytes()?).into_owned(),
        ahead,
        behind,
    }))
}

fn changes(repository: &Repository) -> Result<Changes, git2::Error> {
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .exclude_submodules(true);
    let index = repository.index()?;
    let staged = Status::INDEX_NEW
        | Status::INDEX_MODIFIED
        | Status::INDEX_DELETED
        | Status::INDEX_RENAMED
        | Status::INDEX_TYPECHANGE;
    let unstaged = Status::WT_MODIFIED
        | Status::WT_DELETED
        | Status::WT_TYPECHANGE
        | Status::WT_RENAMED
        | Status::WT_UNREADABLE;
    let mut changes = Changes::default();
    for entry in repository.statuses(Some(&mut options))?.iter() {
        let status = entry.status();
        // What a sparse checkout leaves out is not deleted.
        let skipped =
            status.contains(Status::WT_DELETED) && is_left_out(&index, entry.path_bytes());
        changes.staged += usize::from(status.intersects(staged));
        changes.unstaged += usize::from(status.intersects(unstaged) && !skipped);
        changes.conflicted += usize::from(status.is_conflicted());
        // A repository of its own ends in a slash.
        let foreign = entry.path_bytes().ends_with(b"/");
        changes.untracked += usize::from(status.is_wt_new() && !foreign);
    }
    submodules(repository, &index, &mut changes)?;
    Ok(changes)
}

fn is_left_out(index: &git2::Index, path: &[u8]) -> bool {
    let flag = IndexEntryExtendedFlag::SKIP_WORKTREE.bits();
    path_of(path)
        .and_then(|path| index.get_path(&path, 0))
        .is_some_and(|entry| entry.flags_extended & flag != 0)
}

/// Submodules count by their commit alone; what is dirty in them is told of them.
fn submodules(
    repository: &Repository,
    index: &git2::Index,
    changes: &mut Changes,
) -> Result<(), git2::Error> {
    let tree = match commit(repository)? {
        Some(commit) => Some(repository.find_commit(commit)?.tree()?),
        None => None,
    };
    for submodule in repository.submodules()? {
        let indexed = index.get_path(submodule.path(), 0).map(|entry| entry.id);
        let committed = tree
            .as_ref()
            .and_then(|tree| tree.get_path(submodule.path()).ok())
            .map(|entry| entry.id());
        changes.staged += usize::from(indexed != committed);
        if let Some(there) = submodule_commit(repository, submodule.path())? {
            changes.unstaged += usize::from(indexed != Some(there));
        }
    }
    Ok(())
}

/// The commit at HEAD of a submodule; `None` when it is not checked out or has none.
pub(super) fn submodule_commit(
    repository: &Repository,
    path: &Path,
) -> Result<Option<Oid>, git2::Error> {
    let Some(folder) = repository.workdir().map(|root| root.join(path)) else {
        return Ok(None);
    };
    if folder.join(".git").symlink_metadata().is_err() {
        return Ok(None);
    }
    commit(&Repository::open(folder)?)
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)]
pub(super) fn path_of(bytes: &[u8]) -> Option<std::path::PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
pub(super) fn path_of(bytes: &[u8]) -> Option<std::path::PathBuf> {
    std::str::from_utf8(bytes).ok().map(Into::into)
}

pub(super) fn failed(folder: &Path, source: git2::Error) -> RepoError {
    RepoError::Git {
        action: "read",
        folder: folder.to_owned(),
        source,
    }
}
