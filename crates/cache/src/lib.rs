//! Build cache entries and `tar.zst` artifacts: store, pack, restore, prune and verify.
//! Knows nothing of tasks, globs, keys' ingredients, networks or terminals: paths, digests and folders come as values.
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]
// Short plain words (`tree`, `temp`, `row`, `rows`) are alike; longer ones would not read better.
#![allow(clippy::similar_names)]

mod build;
mod clean;
pub mod contract;
pub mod delta;
mod disk;
mod entry;
mod error;
mod faulty;
pub mod format;
mod id;
mod layered;
mod manifest;
mod members;
mod memory;
mod pack;
mod prune;
mod restore;
mod root;
mod scan;
mod search;
mod store;
mod tree;
mod unpack;

pub use build::{Build, BuildError, Outputs, get_or_build};
pub use clean::{Clean, Cleaned, clean};
pub use delta::{
    ApplyOptions, Delta, LeftOut, Target, Unit, UnitDelta, apply_delta, read_delta, write_delta,
};
pub use disk::DiskStore;
pub use entry::{Entry, Provenance};
pub use error::{Error, Refusal, Result, Why};
pub use faulty::Faulty;
pub use id::{ArtifactId, Key, ParseHexError};
pub use layered::{Layer, Layered, Warning};
pub use manifest::{Difference, EMPTY_DIR, Kind, Manifest, Row, diff, digest};
pub use memory::MemoryStore;
pub use pack::{Artifact, PackOptions, Packed, pack, pack_compactly, pack_looking_for};
pub use prune::{Limits, Prune, Pruned, Status, TaskSize, Verified};
pub use restore::{RestoreOptions, Restored, restore};
pub use root::Root;
pub use scan::{Mismatch, matches};
pub use store::{Put, PutOutcome, Source, Store};
