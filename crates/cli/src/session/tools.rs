//! What a key takes from elsewhere than the workspace's files: outputs of tool commands, trees of git.
//! Does not know what enters a key besides.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use larder_fingerprint::git::GitInput;

use crate::diagnostics::PROCESS;

use super::tree::Fault;
use super::{Session, discovered, run, words};

/// What a tool command printed, or why it failed.
pub(super) type ToolOutput = Result<Vec<u8>, String>;
/// A tool command, the folder it runs in and its environment.
pub(super) type ToolCall = (String, PathBuf, Vec<(OsString, OsString)>);

impl Session<'_> {
    /// The output of a tool command, run once a (command, folder, environment) and run.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn tool(
        &self,
        command: &str,
        folder: &Path,
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Fault> {
        let key = (command.to_owned(), folder.to_owned(), env.to_vec());
        let known = self
            .tools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let result = known.unwrap_or_else(|| {
            let result = self.run_tool(command, folder, env);
            self.tools
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, result.clone());
            result
        });
        result.map_err(Fault::Words)
    }

    fn run_tool(
        &self,
        command: &str,
        folder: &Path,
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, String> {
        let spec = crate::execute::Spec {
            command: crate::execute::Command::Shell(command.into()),
            cwd: folder.to_owned(),
            env: env.to_vec(),
            timeout: None,
            grace: run::GRACE,
            extra_args: Vec::new(),
        };
        let mut output = Vec::new();
        log::debug!(target: PROCESS, "tool `{command}` in {}", folder.display());
        let ended = self
            .executor
            .run(
                &spec,
                &mut |_, bytes| output.extend_from_slice(bytes),
                &self.cancel,
            )
            .map_err(|error| error.to_string())?;
        let exit = ended.exit;
        if exit.success() {
            return Ok(output);
        }
        if exit == crate::execute::Exit::Interrupted {
            return Err("interrupted before it started".to_owned());
        }
        Err(format!(
            "the tool command `{command}` failed ({}), so the key cannot be made:\n{}\n  correct `tools`, or install the tool",
            words::exit(exit),
            String::from_utf8_lossy(&output).trim_end()
        ))
    }

    /// The digest of a git input, relative to a project.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn git_input(
        &self,
        dir: &[u8],
        path: &str,
        left_out: &dyn Fn(&[u8]) -> bool,
    ) -> Result<GitInput, Fault> {
        let folder = self.path_of(dir).join(path);
        let places = discovered::Places {
            root: &self.root,
            mounts: &self.mounts,
        };
        let real = folder.canonicalize().unwrap_or(folder.clone());
        let place = discovered::told(places, &real);
        let inside = |below: &[u8]| match place.as_slice() {
            b"" => left_out(below),
            place => left_out(&[place, b"/", below].concat()),
        };
        larder_fingerprint::git::git_input(&folder, &inside)
            .map_err(|error| Fault::Words(format!("the git input {path} cannot be read: {error}")))
    }
}
