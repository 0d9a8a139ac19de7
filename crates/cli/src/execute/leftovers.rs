//! Commands whose `larder` was killed: how they are found again and ended.
//! Knows nothing of tasks: a command is told from others by a token in its environment.
//!
//! The intent record of a task says which `larder` runs it: the line of `/proc` of that process. Whoever finds the
//! record of a dead one gives the line to [`end`], which ends a process only on proof that it belongs to the task:
//!
//! - its environment holds the token, which names one task of one workspace;
//! - it is of the session of that `larder`: what called `setsid`, a daemon, is left alone, as it is
//!   when a command ends by itself;
//! - it did not start before that `larder` did: what an earlier run left in the background is left alone.
//!
//! A group that one of these leads, or whose leader is gone, belongs to the task too, and all of it is ended, whatever
//! its members made of their environments. Any other process that has dropped the token is not found: nothing proves what it is.
//!
//! Only Linux tells enough of its processes. Elsewhere nothing is recorded and nothing ended.

#[cfg(target_os = "linux")]
mod linux;

use std::io;

#[cfg(target_os = "linux")]
pub use linux::group_lives;

/// What marks the processes of a command.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// The variable that holds a list of tokens, separated by commas.
    pub variable: &'a str,
    /// The token.
    pub token: &'a str,
}

/// The line of `/proc` of this process; nothing where the system has none.
pub fn own() -> Option<String> {
    std::fs::read_to_string("/proc/self/stat").ok()
}

/// Ends what is left of the commands of a `larder` with this line, and returns how many processes that were.
///
/// To be called when that `larder` is known to be dead.
///
/// # Errors
/// When a process does not end, or is this one: it would go on writing.
#[cfg_attr(not(target_os = "linux"), allow(clippy::unnecessary_wraps))]
pub fn end(larder: &str, mark: Mark<'_>) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    return linux::end(larder, mark);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (larder, mark);
        Ok(0)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
