//! End-to-end tests: the real `larder` binary on real folders, one file per behaviour.
//! They know nothing of the code inside; see `sandbox.rs` for how a test stands up a workspace.

#![allow(clippy::unwrap_used)]

mod sandbox;

mod config_errors;
mod contracts;
mod depfile;
mod diagnostics;
mod early_cutoff;
mod explain;
mod faults;
mod hooks;
mod hostile;
mod init;
mod killed;
mod outside;
mod ownership;
mod processes;
mod request;
mod restore;
mod skip;
mod upkeep;
