//! The `larder` command line as a library: [`main`] is the whole program, given its surroundings as values.
//! Does not read the environment itself, nor exit: the binary does both.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod args;
mod commands;
pub mod config;
pub mod daemon;
pub mod diagnostics;
pub mod execute;
pub mod history;
pub mod init;
pub mod plan;
pub mod record;
pub mod select;
pub mod session;
pub mod show;
pub mod state;
pub mod watch;

pub use commands::{World, main};

/// The command line's definition, for help, completions and the reference.
pub fn command() -> clap::Command {
    <args::Cli as clap::CommandFactory>::command()
}
