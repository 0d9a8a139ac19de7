#![doc = include_str!("../README.md")]
//!
//! What this crate does not know: tasks, keys or caches. It takes names and moments, and gives durations.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clock;
mod format;
mod path;
mod timeline;

pub use clock::{Clock, ClockError, ManualClock, Moment, SystemClock, TimeRangeError};
pub use path::{CriticalPath, PathError, Step, critical_path};
pub use timeline::{Span, Timeline, Totals};
