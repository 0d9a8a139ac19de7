#![doc = include_str!("../README.md")]
//!
//! What this crate does not know: how a task is run, what a key is made of, or where a cache lies. It takes times and tells what they mean.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "charts")]
pub mod charts;
mod clock;
mod context;
mod estimate;
mod flaky;
mod format;
#[cfg(feature = "history")]
pub mod history;
mod lanes;
mod path;
mod regression;
pub mod report;
mod run;
mod summary;
pub mod trace;

pub use clock::{Clock, ClockError, ManualClock, Moment, SystemClock, TimeRangeError};
pub use context::{Span, SpanId, SpanRow, TimingContext};
pub use estimate::median;
pub use flaky::{Flaky, flaky};
#[cfg(feature = "history")]
pub use history::{History, HistoryError, Opened, Options};
pub use path::{Analysis, Change, Step, WaitedFor, WhatIf, analyse, what_if};
pub use regression::{Comparison, Level, Rule, Verdict, check, compare, measures, phase_measures};
pub use run::{CacheState, Outcome, Phase, RunRow, TaskRow};
pub use summary::{format_duration, measured, timing_summary};
