//! Real repositories with submodules and bare remotes on disk: what is read, committed, tagged and pushed.
//! Does not look at the code inside.
#![cfg(all(feature = "git", unix))]
#![allow(clippy::unwrap_used)]

mod commit;
mod push;
mod rules;
mod sandbox;
mod scan;
