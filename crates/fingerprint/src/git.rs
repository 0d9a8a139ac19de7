//! What git knows: the files it tracks, and the digest of a folder as a git input.
//! Knows nothing of keys; talks to no remote and runs no program.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use git2::{Repository, Status, StatusOptions};

use crate::Digest;
use crate::files::within;
use crate::manifest::{Row, RowKind, manifest_digest};
use crate::scanner::{Ignore, ReadError, ScanError, Scanner, Tracked};

/// Why a git input has no digest.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Git's own data could not be read.
    #[error("cannot read the git repository of `{}`", folder.display())]
    Git {
        /// The folder that was asked for.
        folder: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// The folder could not be opened.
    #[error("cannot open `{}`", folder.display())]
    Open {
        /// The folder that was asked for.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder could not be walked.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The files git tracks below `root`, for [`Scanner::with_tracked`]; `None` where there is no repository or no
/// index. Neither repository nor index is read here.
pub fn tracked(root: &Path) -> Option<Tracked> {
    let root = root.canonicalize().ok()?;
    let git = root
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|git| git.exists())?;
    let index = git_folder(&git)?.join("index");
    if !index.exists() {
        return None;
    }
    let path = bytes_of(&index)?;
    let read = move || tracked_paths(&root).map_err(io::Error::other);
    Some(Tracked {
        index: path,
        read: Box::new(read),
    })
}

/// A folder given as git input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GitInput {
    /// What it holds; this enters the key.
    pub digest: Digest,
    /// Digest of the stat tuples that its files had before they were read: another one means that somebody wrote there,
    /// even if the content is the same again. It is good for one machine and moment.
    pub stamp: Digest,
}

/// A folder as git and the disk have it: the tree at HEAD, and the content of every file that may
/// differ from it, untracked ones included. Files that git is told to assume unchanged or to skip, and files that
/// pass through filters or line-end conversion, are compared by content. Outside a repository, a plain walk.
///
/// What differs and is `left_out`, by its path in the folder, does not count: what a task makes itself is none of its inputs.
///
/// # Errors
/// When the repository or a file cannot be read.
pub fn git_input(folder: &Path, left_out: &dyn Fn(&[u8]) -> bool) -> Result<GitInput, GitError> {
    let opened = |source| GitError::Open {
        folder: folder.to_owned(),
        source,
    };
    let failed = |source| GitError::Git {
        folder: folder.to_owned(),
        source,
    };
    let real = folder.canonicalize().map_err(opened)?;
    let files = std::sync::Arc::new(crate::DiskFiles::open(&real).map_err(opened)?);
    let scanner = Scanner::new(files, crate::Memo::empty([0; 32]));
    let repository = match Repository::discover(&real) {
        Ok(repository) => repository,
        Err(error) if error.code() == git2::ErrorCode::NotFound => {
            return walked(&scanner, left_out);
        }
        Err(error) => return Err(failed(error)),
    };
    let Some(prefix) = inside(&repository, &real) else {
        return walked(&scanner, left_out);
    };
    let tree = tree_at_head(&repository, &prefix).map_err(failed)?;
    let mut differing: BTreeSet<Vec<u8>> = differing(&repository, &prefix)
        .map_err(failed)?
        .iter()
        .map(|path| below(path, &prefix).to_vec())
        .collect();
    // Which tracked files there are, git says by its own rules; their stats are taken before any of them is read.
    let mut paths = tracked_below(&repository, &prefix).map_err(failed)?;
    let tracked: BTreeSet<&[u8]> = paths.iter().map(Vec::as_slice).collect();
    let hidden = hidden(&repository, &prefix, &tracked, &differing)?;
    differing.extend(hidden);
    paths.extend(differing.iter().cloned());
    paths.retain(|path| !path.is_empty() && !left_out(path));
    let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
    let stamp = stamp(scanner.look(&paths)?.iter());
    let mut rows = Vec::new();
    for path in &differing {
        row_of(&scanner, path, left_out, &mut rows)?;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"git 1");
    match tree {
        Some(tree) => hasher.update(&[1]).update(tree.as_bytes()),
        None => hasher.update(&[0]),
    };
    hasher.update(&manifest_digest(&rows).0);
    Ok(GitInput {
        digest: Digest(*hasher.finalize().as_bytes()),
        stamp,
    })
}

fn stamp<'s>(entries: impl Iterator<Item = crate::Entry<'s>>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for entry in entries.filter(|entry| entry.stat.kind != crate::Kind::Folder) {
        let stat = &entry.stat;
        hasher.update(&(entry.path.len() as u64).to_le_bytes());
        hasher.update(entry.path);
        for number in [stat.size, stat.ino, stat.dev, u64::from(stat.mode)] {
            hasher.update(&number.to_le_bytes());
        }
        for time in [stat.mtime_ns, stat.ctime_ns] {
            hasher.update(&time.to_le_bytes());
        }
    }
    Digest(*hasher.finalize().as_bytes())
}

fn walked(scanner: &Scanner, left_out: &dyn Fn(&[u8]) -> bool) -> Result<GitInput, GitError> {
    let scan = scanner.scan(b"", Ignore::Honour)?;
    let entries: Vec<_> = scan.iter().filter(|entry| !left_out(entry.path)).collect();
    let rows = scanner.rows(&entries)?;
    let rows = manifest_digest(&rows);
    let digest = *blake3::Hasher::new()
        .update(b"walk 1")
        .update(&rows.0)
        .finalize()
        .as_bytes();
    Ok(GitInput {
        digest: Digest(digest),
        stamp: stamp(entries.into_iter()),
    })
}

/// A differing path as it lies on disk: a file, a link, nothing, or a folder (a nested repository) with all it holds.
fn row_of(
    scanner: &Scanner,
    path: &[u8],
    left_out: &dyn Fn(&[u8]) -> bool,
    rows: &mut Vec<Row>,
) -> Result<(), GitError> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let scan = scanner.scan(path, Ignore::Honour)?;
    if scan.is_empty() {
        if !left_out(path) {
            rows.push(Row::absent(path));
        }
        return Ok(());
    }
    let entries: Vec<_> = scan.iter().filter(|entry| !left_out(entry.path)).collect();
    rows.extend(scanner.rows(&entries)?);
    Ok(())
}

/// Paths, relative to the repository, whose content on disk may not be the one at HEAD.
fn differing(repository: &Repository, prefix: &[u8]) -> Result<BTreeSet<Vec<u8>>, git2::Error> {
    let mut paths = BTreeSet::new();
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .include_ignored(false);
    options.no_refresh(true).disable_pathspec_match(true);
    if !prefix.is_empty()
        && let Ok(prefix) = crate::path_of(prefix)
    {
        options.pathspec(prefix);
    }
    for entry in repository.statuses(Some(&mut options))?.iter() {
        if entry.status() != Status::CURRENT && entry.status() != Status::IGNORED {
            paths.insert(entry.path_bytes().to_vec());
        }
    }
    let converts = repository
        .config()?
        .get_string("core.autocrlf")
        .is_ok_and(|value| value != "false")
        || overlooks(&repository.config()?);
    let index = repository.index()?;
    for entry in index.iter().filter(|entry| within(&entry.path, prefix)) {
        let assumed = entry.flags & git2::IndexEntryFlag::VALID.bits() != 0;
        let skipped =
            entry.flags_extended & git2::IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0;
        // A commit id at this path: what lies in the folder is another repository's.
        let linked = entry.mode == 0o160_000;
        if assumed || skipped || linked || converts || filtered(repository, &entry.path)? {
            paths.insert(entry.path);
        }
    }
    Ok(paths)
}

/// Untracked files, relative to the prefix, that git passes over by excludes of the user's own: only ignore files in the
/// tree count. They are walked from the root of the work tree, as ignore files above the folder count too.
fn hidden(
    repository: &Repository,
    prefix: &[u8],
    tracked: &BTreeSet<&[u8]>,
    differing: &BTreeSet<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, GitError> {
    let Some(root) = repository.workdir() else {
        return Ok(Vec::new());
    };
    let opened = |source| GitError::Open {
        folder: root.to_owned(),
        source,
    };
    let files = std::sync::Arc::new(crate::DiskFiles::open(root).map_err(opened)?);
    let scan = Scanner::new(files, crate::Memo::empty([0; 32])).scan(prefix, Ignore::Honour)?;
    // A nested repository stands for all it holds, with a slash at its end or without.
    let nested = |path: &[u8]| {
        let mut ends = (0..path.len()).filter(|end| path[*end] == b'/');
        ends.any(|end| differing.contains(&path[..end]) || differing.contains(&path[..=end]))
    };
    Ok(scan
        .iter()
        .filter(|entry| matches!(entry.kind(), RowKind::File | RowKind::Link))
        .map(|entry| below(entry.path, prefix))
        .filter(|path| !tracked.contains(path) && !differing.contains(*path) && !nested(path))
        .map(<[u8]>::to_vec)
        .collect())
}

/// Whether git is set to take a file for unchanged on fewer grounds than it could.
fn overlooks(config: &git2::Config) -> bool {
    let off = |name| config.get_bool(name).is_ok_and(|on| !on);
    off("core.trustctime") || off("core.fileMode")
}

/// Whether what is on disk is not, byte for byte, what git stores.
fn filtered(repository: &Repository, path: &[u8]) -> Result<bool, git2::Error> {
    let Ok(path) = crate::path_of(path) else {
        return Ok(true);
    };
    for name in [
        "filter",
        "text",
        "eol",
        "crlf",
        "ident",
        "working-tree-encoding",
    ] {
        let value = repository.get_attr_bytes(path, name, git2::AttrCheckFlags::FILE_THEN_INDEX)?;
        let value = git2::AttrValue::from_bytes(value);
        if !matches!(value, git2::AttrValue::Unspecified | git2::AttrValue::False) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn tree_at_head(repository: &Repository, prefix: &[u8]) -> Result<Option<git2::Oid>, git2::Error> {
    let head = match repository.head() {
        Ok(head) => head.peel_to_tree()?,
        Err(error)
            if matches!(
                error.code(),
                git2::ErrorCode::UnbornBranch | git2::ErrorCode::NotFound
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if prefix.is_empty() {
        return Ok(Some(head.id()));
    }
    let Ok(path) = crate::path_of(prefix) else {
        return Ok(None);
    };
    match head.get_path(path) {
        Ok(entry) => Ok(Some(entry.id())),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A folder's path within a repository's work tree.
fn inside(repository: &Repository, folder: &Path) -> Option<Vec<u8>> {
    let root = repository.workdir()?.canonicalize().ok()?;
    bytes_of(folder.strip_prefix(root).ok()?)
}

fn tracked_paths(root: &Path) -> Result<Vec<Vec<u8>>, git2::Error> {
    let repository = Repository::discover(root)?;
    let Some(prefix) = inside(&repository, root) else {
        return Ok(Vec::new());
    };
    tracked_below(&repository, &prefix)
}

/// The paths that git tracks below a prefix, relative to it.
fn tracked_below(repository: &Repository, prefix: &[u8]) -> Result<Vec<Vec<u8>>, git2::Error> {
    let index = repository.index()?;
    let entries = index.iter().filter(|entry| within(&entry.path, prefix));
    Ok(entries
        .map(|entry| below(&entry.path, prefix).to_vec())
        .collect())
}

/// A path of the repository as seen from a prefix that it lies in.
fn below<'p>(path: &'p [u8], prefix: &[u8]) -> &'p [u8] {
    let skip = prefix.len() + usize::from(!prefix.is_empty());
    path.get(skip..).unwrap_or(b"")
}

/// Where git keeps its data: `.git` itself, or the folder that a file of that name points to.
fn git_folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = std::fs::read_to_string(git).ok()?;
    Some(git.parent()?.join(text.strip_prefix("gitdir:")?.trim()))
}

// Always something on Unix, where a name is bytes.
#[cfg_attr(unix, allow(clippy::unnecessary_wraps))]
fn bytes_of(path: &Path) -> Option<Vec<u8>> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Some(path.as_os_str().as_bytes().to_vec())
    }
    #[cfg(not(unix))]
    {
        path.to_str()
            .map(|text| text.replace('\\', "/").into_bytes())
    }
}
