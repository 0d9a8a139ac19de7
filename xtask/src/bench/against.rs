//! The program that Larder is compared with: of another revision, built here, or any file.
//! It measures nothing.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::programs::cargo;
use super::tools::{self, Kind, Tool};

/// The other program.
#[derive(Debug, Clone)]
pub(crate) struct Against {
    pub(crate) tool: Tool,
    /// What it is, in words.
    pub(crate) words: String,
}

/// Finds or builds it: `what` is a file, or else a revision of this repository.
pub(crate) fn find(root: &Path, what: &str) -> Result<Against, Box<dyn Error>> {
    let file = Path::new(what);
    let (program, words) = if file.is_file() {
        (file.canonicalize()?, what.to_owned())
    } else {
        let commit = commit(root, what)?;
        let words = format!("{what} ({})", &commit[..12.min(commit.len())]);
        (build(root, &commit)?, words)
    };
    let version =
        tools::version(&program).ok_or_else(|| format!("{what} does not tell its version"))?;
    let kind = Kind::Against;
    let tool = Tool {
        kind,
        program,
        version,
    };
    Ok(Against { tool, words })
}

/// The commit that a revision stands for.
fn commit(root: &Path, revision: &str) -> Result<String, Box<dyn Error>> {
    let wanted = format!("{revision}^{{commit}}");
    let args = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &wanted,
    ];
    let output = Command::new("git").args(args).current_dir(root).output()?;
    if !output.status.success() {
        return Err(
            format!("{revision} is neither a file nor a revision of this repository").into(),
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Builds a commit in a worktree of its own, unless it was built before. The worktree is removed again; what the build left
/// besides is kept for the next commit.
fn build(root: &Path, commit: &str) -> Result<PathBuf, Box<dyn Error>> {
    let place = root.join("target/against");
    let program = place.join(format!("larder-{commit}"));
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("bench: building larder of {commit}");
    let tree = place.join("tree");
    remove_tree(root, &tree);
    let (git, cargo) = (OsStr::new("git"), cargo());
    let add = ["worktree", "add", "--quiet", "--force", "--detach"].map(OsStr::new);
    let mut add = Vec::from(add);
    add.extend([tree.as_os_str(), OsStr::new(commit)]);
    run(git, &add, root)?;
    let target = place.join("target");
    let mut build = [
        "build",
        "--release",
        "--locked",
        "--quiet",
        "-p",
        "larder",
        "--target-dir",
    ]
    .map(OsStr::new)
    .to_vec();
    build.push(target.as_os_str());
    let ended = run(&cargo, &build, &tree);
    remove_tree(root, &tree);
    ended?;
    // Under its name it is there only when it is whole.
    let part = place.join("larder.part");
    fs::copy(target.join("release/larder"), &part)?;
    fs::rename(part, &program)?;
    Ok(program)
}

/// Takes a worktree away; one that is not there is fine.
fn remove_tree(root: &Path, tree: &Path) {
    let args = ["worktree", "remove", "--force"].map(OsStr::new);
    let mut args = Vec::from(args);
    args.push(tree.as_os_str());
    // What is left behind, by a process that was killed too, `worktree add --force` would complain of.
    let _ = run(OsStr::new("git"), &args, root);
    let _ = fs::remove_dir_all(tree);
}

fn run(program: &OsStr, args: &[&OsStr], folder: &Path) -> Result<Output, Box<dyn Error>> {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()?;
    if output.status.success() {
        return Ok(output);
    }
    let (name, words) = (program.display(), String::from_utf8_lossy(&output.stderr));
    Err(format!("{name} failed in {}: {words}", folder.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_and_no_revision_is_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let error = find(root, "no-such-revision").unwrap_err().to_string();
        assert!(error.contains("neither a file nor a revision"), "{error}");
        let error = find(root, "--help").unwrap_err().to_string();
        assert!(error.contains("neither a file nor a revision"), "{error}");
    }
}
