//! Runs one command: environment, process group, captured output, cancellation, exit.
//! Knows nothing of tasks, keys, caches or the order in which commands run.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cancel;
pub mod concurrency;
pub mod environment;
pub mod exit;
pub mod leftovers;
pub mod log;
pub mod mux;
pub mod process;
pub mod scripted;
pub mod usage;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use cancel::{Cancel, Urgency, install_signal_handlers};
pub use environment::{Env, Mode, environment, failure_hint};
pub use exit::Exit;
pub use log::Log;
pub use mux::{Lane, Mux, Order, Outcome, OutputLogs, Sinks};
pub use process::{ProcessExecutor, SpawnError};
pub use usage::{End, Usage};

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line for `sh -c`, whatever the user's own shell is.
    Shell(OsString),
    /// A program and its arguments, run without a shell. An empty list is an error.
    Argv(Vec<OsString>),
}

/// One command with everything it may see. Nothing is inherited from this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What to execute.
    pub command: Command,
    /// The folder it runs in; absolute.
    pub cwd: PathBuf,
    /// The complete environment.
    pub env: Vec<(OsString, OsString)>,
    /// The longest time the command may take; none means no limit.
    pub timeout: Option<Duration>,
    /// How long a process group may tidy up between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Appended to the command: quoted for `sh` after a shell line, as they are after an argv.
    pub extra_args: Vec<String>,
}

/// Runs commands. One value serves any number of threads.
///
/// Contract:
/// - `output` receives every byte the command wrote until it ended, in order within each stream,
///   and is never called after `run` has returned.
/// - When `run` returns, no process of a command that was cancelled or timed out is left in its group.
/// - A command that could not be started is an error; one that ran and failed is an [`Exit`].
/// - Once `cancel` is raised, `run` starts nothing and answers [`Exit::Interrupted`].
pub trait Executor: Send + Sync {
    /// Runs `spec` to its end and hands over the output as it arrives. Answers how it ended and what it used.
    ///
    /// # Errors
    /// The command could not be started (see [`SpawnError`]) or the system refused to watch it.
    fn run(
        &self,
        spec: &Spec,
        output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        cancel: &Cancel,
    ) -> io::Result<End>;
}

/// Quotes `text` as one word of a POSIX shell line.
///
/// Words of harmless characters stay as they are, so that a printed command reads well.
pub fn quote_for_sh(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The program and arguments that a spec comes down to, extra arguments included.
pub fn argv(spec: &Spec) -> Vec<OsString> {
    match &spec.command {
        Command::Shell(line) => {
            // What is no text may hold a name at its end, which is not to be trimmed.
            let mut line = match line.to_str() {
                Some(text) => OsString::from(text.trim_end()),
                None => line.clone(),
            };
            for arg in &spec.extra_args {
                line.push(" ");
                line.push(quote_for_sh(arg));
            }
            vec!["sh".into(), "-c".into(), line]
        }
        Command::Argv(words) => {
            let extra = spec.extra_args.iter().map(OsString::from);
            words.iter().cloned().chain(extra).collect()
        }
    }
}
