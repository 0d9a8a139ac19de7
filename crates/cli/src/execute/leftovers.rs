//! Commands whose `larder` was killed: how they are recorded, found again and ended.
//! Knows nothing of tasks: a command is told from others by a token in its environment.
//!
//! The first process of a command asks the system to end it when the thread that started it ends, and writes its own
//! line of `/proc` to a record before the command begins, so that no command is ever at work unrecorded. The
//! processes it starts are not ended with it. Whoever comes next gives the record to [`end`], which ends a process
//! only on proof that it belongs to the command:
//!
//! - its environment holds the token, which names one task of one workspace;
//! - it is of the session in which the command was started: what called `setsid`, a daemon, is left alone, as it is
//!   when a command ends by itself;
//! - it did not start before the command did: what an earlier run left in the background is left alone.
//!
//! If one of these is in the command's process group, that group cannot have passed to anybody else, and all of it is
//! ended, whatever its members made of their environments. A process that is in another group, or whose group has no
//! such member, and that has dropped the token is not found: nothing proves what it is.
//!
//! Only Linux tells enough of its processes. Elsewhere nothing is recorded and nothing ended.

#[cfg(target_os = "linux")]
mod linux;

use std::io;

#[cfg(target_os = "linux")]
pub use linux::{group_lives, prepare};

/// What marks the processes of a command.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// The variable that holds a list of tokens, separated by commas.
    pub variable: &'a str,
    /// The token.
    pub token: &'a str,
}

/// Ends what is left of a recorded command, and returns how many processes that were.
///
/// To be called when the `larder` that started it is known to be dead.
///
/// # Errors
/// When a process does not end, or is this one: it would go on writing.
#[cfg_attr(not(target_os = "linux"), allow(clippy::unnecessary_wraps))]
pub fn end(record: &[u8], mark: Mark<'_>) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    return linux::end(record, mark);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (record, mark);
        Ok(0)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
