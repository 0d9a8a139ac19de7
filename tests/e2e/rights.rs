//! Runs `larder` as somebody who may not do everything, or among mounts of its own: root reads and writes what nobody else may.
//! Knows nothing of the behaviours under test.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::{Outcome, Sandbox};

/// An identity that owns nothing.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says on the terminal that a test could not be run here, and why. Print macros would be swallowed by the harness.
pub(crate) fn skipped(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives a whole folder to the identity that [`larder_without_rights`] takes.
pub(crate) fn give_away(path: &Path) {
    if !is_root() {
        return;
    }
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

/// Runs `larder` without the rights of root, if the tests have them.
pub(crate) fn larder_without_rights(sandbox: &Sandbox, line: &str) -> Outcome {
    let mut command = sandbox.command();
    command.args(line.split(' '));
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    sandbox.run(&mut command)
}

/// Runs a script that may mount, in a mount namespace of its own. `None`, said on the terminal, where that is not permitted.
pub(crate) fn mounting(test: &str, sandbox: &Sandbox, script: &str) -> Option<Outcome> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ec", script]);
        command
    };
    let probe = unshare("mount -t tmpfs none /mnt")
        .stderr(Stdio::piped())
        .output();
    let reason = match probe {
        Err(error) => format!("unshare: {error}"),
        Ok(output) if !output.status.success() => {
            String::from_utf8_lossy(&output.stderr).trim().to_owned()
        }
        Ok(_) => {
            let mut command = unshare(script);
            let larder = sandbox.command();
            command
                .env_clear()
                .envs(
                    larder
                        .get_envs()
                        .filter_map(|(name, value)| Some((name, value?))),
                )
                .env("LARDER", larder.get_program())
                .env("BASE", sandbox.base())
                .current_dir(sandbox.root());
            return Some(sandbox.run(&mut command));
        }
    };
    skipped(test, &format!("nothing may be mounted here ({reason})"));
    None
}
