//! The `larder` command line as a library.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
