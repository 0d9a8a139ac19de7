#![doc = include_str!("../README.md")]
//!
//! What this crate does not know: how tasks are run, how metrics are measured, and where anything lies but the folders it is given.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agree;
#[cfg(feature = "attest")]
pub mod attest;
mod bundle;
#[cfg(test)]
mod contract;
mod destination;
mod diff;
mod digest;
mod directory;
mod durable;
mod faulty;
mod filter;
mod folder;
mod format;
mod gates;
mod id;
mod index;
mod manifests;
mod memory;
mod name;
#[cfg(feature = "object-store")]
pub mod object;
pub mod outbox;
#[cfg(feature = "git")]
pub mod repos;
mod retention;
mod run;
mod step;
mod time;
mod upload;
mod validate;

pub use bundle::{
    ARTIFACTS, Bundle, BundleError, Checked, Extra, Extracted, MANIFESTS, Member, Overwrite, Plan,
    RECORD, artifact, extract_artifacts, members, pack, plan_artifacts, read_member, verify_bundle,
};
pub use destination::{Destination, DestinationError};
pub use diff::{DiffSide, Difference, FileChange, ItemChange, VariableChange, diff};
pub use digest::Digests;
pub use directory::{DirectoryDestination, Durability, prune_oldest};
pub use faulty::{Fault, Faulty};
pub use filter::{Filter, last_accepted};
pub use folder::{
    Archive, ArchiveError, Attest, FileFault, Listing, Newest, Pruned, Verified, open_entry,
    seal_entry,
};
pub use format::{
    ArchiveEntry, Artifact, ENTRY_VERSION, EntryError, EntryStatus, Finding, Host, RepoCommit,
    Severity, StoredFile,
};
pub use gates::{
    Change, ChangeError, GateInput, GateResult, GatesConfig, MetricConfig, Regressions, Side,
    TimingRegression, evaluate, metric_of_json, metric_of_output, verdict,
};
pub use id::{EntryId, IdError};
pub use index::{Shared, Summary};
pub use manifests::{FileKind, FileState, MANIFESTS_VERSION, Manifests, TaskManifest};
pub use memory::MemoryDestination;
pub use name::{Name, NameError};
pub use retention::{Retention, plan_prune};
pub use run::{RunError, RunRecord, RunSummary, TaskStatus, TaskSummary};
pub use step::Step;
pub use time::{Time, TimeError};
pub use upload::{
    Cause, Done, Elapsed, Failure, Journal, Pending, StepError, Unreadable, Upload, UploadError,
    pending,
};
pub use validate::{Context, Report, RequiredFiles, SizeBudget, TimingValidator, Validator};
