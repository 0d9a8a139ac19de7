//! Files that differ in a git range, read with libgit2.
//! Knows nothing of projects.

use std::path::Path;

use git2::{DiffOptions, Repository};

/// Paths relative to the workspace root that differ in `range`: `A...B` is what B changed since it left A;
/// `A` alone is what HEAD and the working tree changed since HEAD left A, untracked files included; an empty
/// range asks for the main branch.
pub(super) fn changed(root: &Path, range: &str) -> Result<Vec<Vec<u8>>, String> {
    let words = |error: git2::Error| error.message().to_owned();
    let repository = Repository::discover(root).map_err(words)?;
    let workdir = repository
        .workdir()
        .ok_or("the repository has no working tree")?;
    let prefix = root
        .canonicalize()
        .ok()
        .and_then(|root| {
            workdir
                .canonicalize()
                .ok()
                .and_then(|workdir| root.strip_prefix(workdir).ok().map(Path::to_owned))
        })
        .unwrap_or_default();
    let mut options = DiffOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    let commit = |name: &str| {
        repository
            .revparse_single(name)
            .and_then(|object| object.peel_to_commit())
            .map_err(words)
    };
    let since = |a: &str, b: &git2::Commit<'_>| -> Result<git2::Tree<'_>, String> {
        let base = repository
            .merge_base(commit(a)?.id(), b.id())
            .map_err(words)?;
        repository
            .find_commit(base)
            .and_then(|commit| commit.tree())
            .map_err(words)
    };
    let diff = if let Some((a, b)) = range.split_once("...") {
        let b = commit(b)?;
        let tree = b.tree().map_err(words)?;
        repository
            .diff_tree_to_tree(Some(&since(a, &b)?), Some(&tree), Some(&mut options))
            .map_err(words)?
    } else {
        let main = ["origin/HEAD", "main", "master"]
            .into_iter()
            .find(|name| repository.revparse_single(name).is_ok());
        let a = if range.is_empty() {
            main.ok_or("there is no origin/HEAD, main or master")?
        } else {
            range
        };
        let tree = since(a, &commit("HEAD")?)?;
        repository
            .diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options))
            .map_err(words)?
    };
    let prefix = prefix.to_string_lossy().replace('\\', "/").into_bytes();
    let mut files = Vec::new();
    for delta in diff.deltas() {
        for side in [delta.old_file(), delta.new_file()] {
            let Some(path) = side.path_bytes() else {
                continue;
            };
            let inside = if prefix.is_empty() {
                Some(path)
            } else {
                path.strip_prefix(prefix.as_slice())
                    .and_then(|rest| rest.strip_prefix(b"/"))
            };
            files.extend(inside.map(<[u8]>::to_vec));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}
