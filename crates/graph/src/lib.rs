//! Task graphs as plain data: edges both ways, cycles, order, pruning, affected sets, quotients and a schedule.
//! Knows nothing of tasks, files, processes, threads or time: nodes and edges are whatever the caller puts in.
#![doc = ""]
#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod format;
mod graph;
mod id;
mod order;
mod quotient;
mod reach;
mod render;
mod schedule;

pub use graph::{Graph, MissingNode};
pub use id::{NodeId, NodeSet, NodeSetIter};
pub use order::{Cycle, critical_path};
pub use quotient::Quotient;
pub use reach::{Direction, Prune};
pub use render::{to_dot, to_json, to_mermaid};
pub use schedule::{
    FailurePolicy, Link, NotRunning, Outcome, Schedule, ScheduleError, SkipReason, Skipped, Status,
    Step, Wait,
};
