//! The rules that compilers do not check: gathers the repository's files and asks each rule.
//! Each rule is a pure function over names and texts; only this file touches the disk.

mod layout;
mod lexer;
mod purity;
mod readme;
mod star;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::docs;

/// One breach of a rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Path relative to the root, `/`-separated.
    path: String,
    /// Line, from 1, when the breach has one.
    line: Option<usize>,
    message: String,
}

impl Violation {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            message: message.into(),
        }
    }

    fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            ..Self::new(path, message)
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// A Rust file of the repository.
#[derive(Debug)]
struct RustFile {
    path: String,
    text: String,
}

/// Every violation in the repository at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>, Box<dyn Error>> {
    let tracked = tracked(root)?;
    let mut files = Vec::new();
    for path in tracked.iter().filter(|path| is_rust(path)) {
        // A file deleted but not yet committed is still listed.
        if let Some(text) = read(root, path)? {
            files.push(RustFile {
                path: path.clone(),
                text,
            });
        }
    }

    let mut found = star::check(&packages(root)?);
    found.extend(layout::stray(&tracked));
    for file in &files {
        found.extend(layout::first_line(file));
        found.extend(purity::check(file));
    }
    found.extend(layout::length(&files, layout::LONG));

    let command = docs::command();
    found.extend(
        docs::without_help(&command)
            .into_iter()
            .map(|name| Violation::new(docs::PATH, format!("`{name}` has no help text"))),
    );
    if read(root, docs::PATH)?.as_deref() != Some(docs::reference(&command).as_str()) {
        found.push(Violation::new(
            docs::PATH,
            "is stale: run `cargo xtask docs`",
        ));
    }

    let readme = read(root, "README.md")?.unwrap_or_default();
    let script = read(root, ".ci/run")?.unwrap_or_default();
    found.extend(readme::check(&readme, &script));
    Ok(found)
}

/// The names git tracks, relative to the root.
fn tracked(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// The packages of the workspace and what they depend on. Neither the network nor the lock file
/// is needed for that.
fn packages(root: &Path) -> Result<Vec<star::Package>, Box<dyn Error>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .other_options(["--offline".to_owned(), "--locked".to_owned()])
        .exec()?;
    Ok(metadata
        .packages
        .into_iter()
        .map(|package| star::Package {
            name: package.name.to_string(),
            dependencies: package.dependencies.into_iter().map(|d| d.name).collect(),
        })
        .collect())
}

/// A file's text with plain line ends, or `None` when it is missing.
fn read(root: &Path, path: &str) -> io::Result<Option<String>> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text.replace("\r\n", "\n"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ext| ext == "rs")
}
