//! How changes on disk are noticed: the folders that matter are watched, and events become change sets.
//! Does not know what a change reaches, nor who asks; [`agenda`] alone does, which tells what a watch runs next.
//!
//! # Why nothing is missed
//!
//! Each folder that matters has a watch of its own (see [`plan`]). Three rules of order make the answers sound:
//!
//! 1. A folder is watched *before* it is listed, and the folders found in it are treated the same way. So a folder that is
//!    created in it is either in the list or told by its watch.
//! 2. When something appears where a folder may be, everything below is watched *first*, and only then its path enters
//!    the change set. A path of a change set stands for all below it, and whoever receives the set looks afterwards: what
//!    happened before the watches stood is seen by that look, and what happens later is told.
//! 3. Whoever asks, asks through a cookie: a file is created in a watched folder, and events are read until its own
//!    came. On Linux all watches share one queue, so by then every earlier edit has been told.
//!
//! What cannot be told apart is everything: lost events, too many folders, an ignore file that changed (it decides which
//! folders matter), a set of tracked files that changed (they count although ignored), a root that was moved or replaced. The
//! folders are then found and watched anew *before* that answer is given, by rule 2.
//!
//! A link is told when its own text changes; what it leads to may lie anywhere. So the stat tuples of what all known
//! links lead to are compared whenever a batch is closed.
//!
//! What is mounted below is told by no watch either: the list of mounts is compared as well, where the system has one.
//!
//! Not noticed are writes that the system itself does not tell: through another hard link, through a shared memory mapping
//! while it is mapped, and by another machine on a network file system. A session therefore never goes by what it knows of a
//! file that had several names when it was looked at; a name outside of what is watched that is made later is not noticed.

pub mod agenda;
mod changes;
mod cookie;
mod folders;
#[cfg(target_os = "linux")]
pub mod inotify;
pub mod later;
mod links;
pub mod plan;
#[cfg(any(test, not(target_os = "linux")))]
pub mod portable;
mod scripted;
pub mod settle;
#[cfg(all(test, unix))]
mod tests;
mod tops;
pub mod watcher;

pub use changes::{Changes, OpenError};
pub use later::Later;
pub use scripted::{Script, ScriptedWatcher};
pub use watcher::{Event, Waker, WatchError, Watcher, system};
