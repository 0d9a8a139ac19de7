//! The programs that take part: builds Larder as it is shipped, and finds peers on PATH.
//! It does not know what they are asked to do.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::profile::SYMBOLS;
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
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()?;
    build_into(root, package, metadata.target_directory.as_std_path(), &[])
}

/// Builds Larder as it is shipped, but with its symbols, into a folder of its own.
pub(crate) fn with_symbols(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    build_into(root, "larder", &root.join("target/profile"), &SYMBOLS)
}

fn build_into(
    root: &Path,
    package: &str,
    target: &Path,
    env: &[(&str, &str)],
) -> Result<PathBuf, Box<dyn Error>> {
    eprintln!("bench: building {package}");
    let status = Command::new(cargo())
        .args(["build", "--release", "--locked", "--quiet", "-p", package])
        .arg("--target-dir")
        .arg(target)
        .envs(env.iter().copied())
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err(format!("{package} could not be built").into());
    }
    Ok(target.join("release").join(package))
}

/// The Cargo that started this.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
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
