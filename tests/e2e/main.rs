//! End-to-end tests: the real `larder` binary on real folders, one file per behaviour.
//! They know nothing of the code inside; see `sandbox.rs` for how a test stands up a workspace.

#![allow(clippy::unwrap_used)]

mod sandbox;

mod answers;
mod archive;
mod archive_contents;
mod archive_damage;
mod archive_deliveries;
mod archive_gates;
mod archive_git;
mod archive_mirrors;
mod archive_push;
#[cfg(feature = "object-store")]
mod archive_store;
mod bad_config;
mod bad_files;
mod cache_status;
mod clock;
mod config_errors;
mod contracts;
mod damage;
mod delta;
mod depfile;
mod diagnostics;
mod early_cutoff;
mod explain;
mod faults;
mod foreach;
mod foreach_chains;
mod foreach_faults;
mod foreach_filter;
mod foreach_property;
mod git_inputs;
mod graph_filter;
mod hooks;
mod hostile;
mod init;
mod killed;
mod outside;
mod ownership;
mod places;
mod poison;
mod processes;
mod read_only;
mod reboot;
mod request;
mod restore;
mod rights;
mod session;
mod session_faults;
mod session_run;
mod skip;
mod timings;
mod timings_compared;
mod upkeep;
mod waiting;
mod watch;
mod watch_faults;
