#![doc = include_str!("../README.md")]
//!
//! What this crate does not know: how tasks are run, how metrics are measured, and where anything lies but the folders it is given.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(test)]
mod contract;
mod destination;
mod directory;
mod faulty;
mod format;
mod gates;
mod id;
mod memory;
mod name;
mod run;
mod step;
mod time;
mod validate;

pub use destination::{Destination, DestinationError};
pub use directory::{DirectoryDestination, Durability, prune_oldest};
pub use faulty::{Fault, Faulty};
pub use format::{
    ArchiveEntry, Artifact, ENTRY_VERSION, EntryError, EntryStatus, Finding, Host, RepoCommit,
    Severity, StoredFile,
};
pub use gates::{
    Change, ChangeError, GateResult, GatesConfig, MetricConfig, Regressions, Side, TimingRegression,
};
pub use id::{EntryId, IdError};
pub use memory::MemoryDestination;
pub use name::{Name, NameError};
pub use run::{RunError, RunRecord, RunSummary, TaskStatus, TaskSummary};
pub use step::Step;
pub use time::{Time, TimeError};
pub use validate::{Context, Report, RequiredFiles, SizeBudget, TimingValidator, Validator};
