//! The place where everything of the campaign happens, and what all starts have in common.
//! Knows nothing of what a start holds, nor of faults.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::folders::{clear, copy};
use super::orphans;

/// A state of the place, a command that is struck in it, and what must hold afterwards.
pub(super) trait Start {
    /// One word.
    fn name(&self) -> &'static str;

    /// The words after `larder` of the command that is struck.
    fn args(&self) -> &'static [&'static str];

    /// Fills the empty place with what the command starts from.
    fn prepare(&self) -> io::Result<()>;

    /// Whether the command is struck so: `kill`, or the name of an error.
    fn takes(&self, how: &str) -> bool {
        let _ = how;
        true
    }

    /// A folder of the place that can be on a small disk while the command is struck.
    fn disk(&self) -> Option<&'static str> {
        None
    }

    /// What is wrong right after a command that said it succeeded; `said` is all that it printed.
    fn after_success(&self, said: &str) -> io::Result<Option<String>>;

    /// What is wrong after a fault and after what people would do next.
    fn heals(&self, said: &str) -> io::Result<Option<String>>;
}

/// Folders of the campaign: one template for each start, and the place where each command happens.
pub(super) struct Place {
    larder: PathBuf,
    base: PathBuf,
}

impl Place {
    pub(super) fn new(larder: &Path, base: &Path) -> Place {
        Place {
            larder: larder.to_owned(),
            base: base.to_owned(),
        }
    }

    /// The folder of the campaign.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The folder in which all changes of a command lie.
    pub(super) fn dir(&self) -> PathBuf {
        self.base.join("place")
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.dir().join("ws")
    }

    /// `larder` on the workspace of the place, with a cleared environment; `prefix` is a program to run it under.
    pub(super) fn command(&self, prefix: &[String], args: &[&str]) -> Command {
        let larder = self.larder.to_string_lossy().into_owned();
        let line: Vec<&str> = prefix
            .iter()
            .map(String::as_str)
            .chain([larder.as_str()])
            .collect();
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .env("LARDER_CACHE_DIR", self.dir().join("cache"))
            // One thread does nearly all, so that a place in a run is the same in the next.
            .env("RAYON_NUM_THREADS", "1")
            .current_dir(self.workspace())
            .stdin(Stdio::null());
        command
    }

    pub(super) fn larder(&self, args: &[&str]) -> io::Result<Output> {
        self.command(&[], args).output()
    }

    /// Runs `larder` where nothing may fail, and gives what it printed.
    pub(super) fn succeeds(&self, args: &[&str]) -> io::Result<String> {
        let output = self.larder(args)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let why = format!("`larder {}`: {}", args.join(" "), stderr(&output));
        Err(io::Error::other(why))
    }

    /// Makes the template of a start.
    pub(super) fn prepare(&self, start: &dyn Start) -> io::Result<()> {
        clear(&self.dir())?;
        fs::create_dir_all(self.workspace())?;
        start.prepare()?;
        orphans::wait()?;
        copy(&self.dir(), &self.base.join(start.name()))
    }

    /// Puts the place into the state that a start begins with.
    pub(super) fn reset(&self, start: &dyn Start) -> io::Result<()> {
        clear(&self.dir())?;
        copy(&self.base.join(start.name()), &self.dir())
    }
}

/// What a command said of its failures.
pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
