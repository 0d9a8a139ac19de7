//! The `larder` binary: gathers the process's surroundings, hands them to the library, exits.
//! It knows nothing of what the library does with them.

use std::io::IsTerminal as _;
use std::process::ExitCode;

// Without a current folder there is no library call to hand the message to.
#[allow(clippy::print_stderr)]
pub(crate) fn main() -> ExitCode {
    let cwd = match std::env::current_dir() {
        Ok(cwd) => cwd,
        Err(error) => {
            eprintln!(
                "larder: the current folder cannot be read: {error}\n  change to a folder that exists and try again"
            );
            return ExitCode::from(2);
        }
    };
    let world = larder::World {
        args: std::env::args_os().collect(),
        env: std::env::vars_os().collect(),
        cwd,
        stdout_terminal: std::io::stdout().is_terminal(),
        stderr_terminal: std::io::stderr().is_terminal(),
    };
    ExitCode::from(larder::main(&world))
}
