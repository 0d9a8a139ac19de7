//! Every exit code of `larder`, in one place.
//! Does not know which tasks ran or why they failed.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | every requested task succeeded, was restored or was up to date |
//! | n | the highest code of the failed tasks |
//! | 1 | an archive upload was rejected by its gates, or a verification found damage |
//! | 2 | usage or configuration error, or what was asked for cannot be written to standard output; a task may exit with 2 as well, `error.kind` in the run record tells them apart |
//! | 3 | a step of an archive upload failed, or a mirror did not get what it should: what was done is kept, and it can be resumed |
//! | 124 | a task ran into its timeout |
//! | 128 + n | a task was ended by signal n |
//! | 130 | the run was interrupted (Ctrl-C, SIGTERM, SIGHUP); a third signal ends it wherever it is |

/// Everything that was asked for succeeded.
pub const SUCCESS: u8 = 0;
/// The command line or the configuration is wrong.
pub const USAGE: u8 = 2;
/// An archive upload was rejected by its gates, or a verification found damage.
pub const REJECTED: u8 = 1;
/// A step of an archive upload failed, or a mirror did not get what it should.
pub const UNFINISHED: u8 = 3;
/// A task ran into its timeout.
pub const TIMED_OUT: u8 = 124;
/// Added to the number of the signal that ended a task.
pub const SIGNAL_BASE: u8 = 128;
/// The run was interrupted.
pub const INTERRUPTED: u8 = 130;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It ended by itself with this code; 0 is success.
    Code(i32),
    /// A signal that did not come from the executor ended it.
    Signal(i32),
    /// The executor ended it at its timeout.
    TimedOut,
    /// The executor ended it, or did not start it, because the run was cancelled.
    Interrupted,
}

impl Exit {
    /// Whether the command did what was asked of it.
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }

    /// The exit code that stands for this end, by the table above.
    ///
    /// Codes beyond 0..=255 (possible off Unix) become 255, so that a failure never reads as success.
    pub fn exit_code(self) -> u8 {
        match self {
            Exit::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
            Exit::Signal(signal) => {
                u8::try_from(signal).map_or(u8::MAX, |signal| SIGNAL_BASE.saturating_add(signal))
            }
            Exit::TimedOut => TIMED_OUT,
            Exit::Interrupted => INTERRUPTED,
        }
    }
}

/// The exit code of a run: the highest of its tasks', 0 for none.
pub fn highest(exits: impl IntoIterator<Item = Exit>) -> u8 {
    exits
        .into_iter()
        .map(Exit::exit_code)
        .max()
        .unwrap_or(SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        assert_eq!(Exit::Code(0).exit_code(), 0);
        assert_eq!(Exit::Code(7).exit_code(), 7);
        assert_eq!(Exit::Code(256).exit_code(), 255);
        assert_eq!(Exit::Code(-1).exit_code(), 255);
        assert_eq!(Exit::Signal(9).exit_code(), 137);
        assert_eq!(Exit::Signal(15).exit_code(), 143);
        assert_eq!(Exit::TimedOut.exit_code(), 124);
        assert_eq!(Exit::Interrupted.exit_code(), 130);
        assert_eq!(
            highest([Exit::Code(3), Exit::Signal(2), Exit::Code(0)]),
            130
        );
        assert_eq!(highest([]), 0);
        assert!(Exit::Code(0).success() && !Exit::TimedOut.success());
    }
}
