//! The background session: a process that watches one workspace and remembers what changed in it, so that a run need not look.
//! It does not run tasks, nor does it know what a change reaches: whoever asks decides that.
//!
//! A client holds a [`Clock`] of its last question and asks what changed since ([`ask`]). There is never an error in that:
//! where no usable session answers, there is no answer, and the client looks for itself. So it is with a session of
//! another version, one that was started with other values of the variables that stand in the configuration, and one that
//! does not answer in time.
//!
//! It is for systems alone whose watcher keeps all events in one order: elsewhere a cookie would not prove that all edits were told.
//!
//! One process a workspace: it holds a lock as long as it lives. What it leaves behind when it is killed, a
//! socket and a file that names it, means nothing without the lock.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod config;
pub mod format;
#[cfg(unix)]
mod identity;
mod journal;
#[cfg(unix)]
mod log;
#[cfg(unix)]
mod memory;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod server;
#[cfg(unix)]
pub(crate) mod start;
#[cfg(unix)]
mod wire;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::session::changes::ChangeSet;
use crate::watch::watcher::ORDERED;

pub use format::{Clock, Status};
#[cfg(unix)]
pub use memory::Memory;

/// What is said where there is no background session.
pub const UNAVAILABLE: &str =
    "a background session is not available on this system yet\n  `larder run` does without";

/// What became of a call to start one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It watches.
    New(Status),
    /// One was there.
    Already(Status),
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// None.
    Absent,
    /// One of this version.
    Running(Status),
    /// One of another version.
    Foreign {
        /// Its version.
        version: String,
    },
    /// A process holds the lock and does not answer.
    Silent,
}

/// How a session is run.
#[derive(Debug)]
pub struct Options<'a> {
    /// The environment.
    pub env: &'a [(OsString, OsString)],
    /// It ends when nobody asked for so long.
    pub idle: Duration,
    /// Where temporary files go.
    pub temporary: PathBuf,
}

/// What changed in the workspace since a clock, up to now: every edit made before the call is in the answer. `None` when
/// no usable session answers within 2 s.
pub fn ask(
    root: &Path,
    env: &[(OsString, OsString)],
    since: Option<&Clock>,
) -> Option<(Clock, ChangeSet)> {
    #[cfg(unix)]
    return client::ask(root, env, since);
    #[cfg(not(unix))]
    {
        let _ = (root, env, since);
        None
    }
}

/// Looks which session is there.
pub fn find(root: &Path) -> Found {
    #[cfg(unix)]
    return client::find(root);
    #[cfg(not(unix))]
    {
        let _ = root;
        Found::Absent
    }
}

/// Starts a session of the workspace as `program -C ROOT session serve`, and waits until it watches. One of another version is replaced.
///
/// # Errors
/// In words, when it cannot be started.
pub fn start(root: &Path, program: &Path, options: &Options<'_>) -> Result<Started, String> {
    if !ORDERED {
        return Err(UNAVAILABLE.to_owned());
    }
    #[cfg(unix)]
    return start::start(root, program, options);
    #[cfg(not(unix))]
    {
        let _ = (root, program, options);
        Err(UNAVAILABLE.to_owned())
    }
}

/// Ends the session of a workspace and waits until it is gone; whether there was one.
///
/// # Errors
/// In words, when it does not end.
pub fn stop(root: &Path) -> Result<bool, String> {
    #[cfg(unix)]
    return start::stop(root);
    #[cfg(not(unix))]
    {
        let _ = root;
        Ok(false)
    }
}

/// Is the session, in this process, until it retires or is stopped.
///
/// # Errors
/// In words, when it cannot begin, such as when another one holds the lock.
pub fn serve(root: &Path, options: &Options<'_>) -> Result<(), String> {
    if !ORDERED {
        return Err(UNAVAILABLE.to_owned());
    }
    #[cfg(unix)]
    {
        // It outlives the terminal it was started in. A process that leads a group already cannot, and is on its own anyway.
        let _ = rustix::process::setsid();
        server::serve(root, options)
    }
    #[cfg(not(unix))]
    {
        let _ = (root, options);
        Err(UNAVAILABLE.to_owned())
    }
}
