//! The programs that take part: builds Larder as it is shipped, and finds peers on PATH.
//! It does not know what they are asked to do.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{self, Kind, PEERS, Tool};

/// The program to measure.
pub(crate) fn larder(root: &Path, given: Option<&Path>) -> Result<Tool, Box<dyn Error>> {
    let program = match given {
        Some(program) => program.canonicalize()?,
        None => build(root, "larder")?,
    };
    let version = tools::version(&program).ok_or("larder does not tell its version")?;
    Ok(Tool {
        kind: Kind::Larder,
        program,
        version,
    })
}

/// Builds a program of this workspace as it is shipped.
pub(crate) fn build(root: &Path, package: &str) -> Result<PathBuf, Box<dyn Error>> {
    eprintln!("bench: building {package}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "-p", package])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err(format!("{package} could not be built").into());
    }
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()?;
    Ok(metadata
        .target_directory
        .join("release")
        .join(package)
        .into_std_path_buf())
}

/// The peers that were asked for and are there.
pub(crate) fn peers(asked: &[String], search: &[PathBuf]) -> Result<Vec<Tool>, Box<dyn Error>> {
    let all = asked.iter().any(|name| name == "all");
    let known = |name: &String| name == "all" || PEERS.iter().any(|kind| kind.name() == name);
    if let Some(name) = asked.iter().find(|name| !known(name)) {
        return Err(format!("there is no peer {name}").into());
    }
    let mut found = Vec::new();
    for kind in PEERS {
        if !all && !asked.iter().any(|name| name == kind.name()) {
            continue;
        }
        if let Some(tool) = tools::find(*kind, search) {
            if *kind == Kind::Ninja && is_script(&tool.program) {
                let place = tool.program.display();
                eprintln!(
                    "bench: {place} is a script that starts ninja: what that takes is measured as well"
                );
            }
            found.push(tool);
        } else {
            eprintln!("bench: {} is not on PATH: left out", kind.name());
        }
    }
    Ok(found)
}

/// Whether a program is a text that an interpreter reads, as version managers put in front of programs.
fn is_script(program: &Path) -> bool {
    std::fs::read(program).is_ok_and(|bytes| bytes.starts_with(b"#!"))
}

/// The folders of PATH.
pub(crate) fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}
