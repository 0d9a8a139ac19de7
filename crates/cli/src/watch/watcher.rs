//! The seam to the system's own notice of changes: watch a folder, receive what happens in it.
//! Does not know a workspace, which folders matter, or how events are gathered.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What a watcher tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The file at this path was written, its rights or times were set, or a file appeared there or went.
    Written(PathBuf),
    /// As [`Written`](Event::Written), but the path may be a folder, or may have been one: what lies there and below may be all
    /// new, and watches on it may be gone or lead elsewhere.
    Replaced(PathBuf),
    /// Events were lost: anything may have changed. It says why.
    Lost(String),
    /// The [`Waker`] was used.
    Woken,
}

/// Why a folder is not watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Nothing lies there, or a file or a link does.
    #[error("there is no folder")]
    Gone,
    /// Its rights forbid it.
    #[error("permission denied")]
    Forbidden,
    /// The system watches no more folders for this user.
    #[error("the system's limit of watched folders is reached")]
    TooMany,
    /// The system refused for another reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Ends a wait of [`Watcher::receive`] from any thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// One that does this when it is used.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker(Arc::new(wake))
    }

    /// Makes the watcher tell [`Event::Woken`], once for any number of uses before it did.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Waker")
    }
}

/// Tells what happens in folders.
///
/// The contract, which every implementor is tested against:
/// - Folders are watched one by one, by an absolute path without links. From the return of [`watch`](Watcher::watch) on,
///   whatever is created, written, removed, renamed or given other rights or times *directly* in the folder is told, in
///   paths that begin with the folder as it was given; what lies deeper is not.
/// - To read, to list or to stat a file tells nothing.
/// - A watch stays with the folder when that is renamed, and goes on telling the path it was given, until it is taken
///   back. It ends when the folder is removed or its file system is unmounted, which tells the folder itself as
///   [`Event::Replaced`]. To watch a path again is to watch what lies there now.
/// - A folder that was created or renamed into place is told as [`Event::Replaced`]; so may be anything else.
/// - Events come in the order in which things happened, in all folders together where [`ORDERED`] says so.
/// - What cannot be told is told as [`Event::Lost`].
pub trait Watcher: Send {
    /// Watches a folder. Links are not followed.
    ///
    /// # Errors
    /// When there is no folder, it may not be read, or the system refuses.
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError>;

    /// Takes the watch of a path back; what is not watched is no error. Events that are under way may still come.
    fn unwatch(&mut self, folder: &Path);

    /// Appends what happened to `events`; waits until there is something, or the deadline.
    fn receive(&mut self, deadline: Option<Instant>, events: &mut Vec<Event>);

    /// What ends a wait.
    fn waker(&self) -> Waker;
}

/// Whether the system's watcher keeps events of different folders in order. Where it does not, a cookie proves less.
pub const ORDERED: bool = cfg!(target_os = "linux");

/// The watcher of this system.
///
/// # Errors
/// When the system gives none, such as when this user has too many.
pub fn system() -> io::Result<Box<dyn Watcher>> {
    #[cfg(target_os = "linux")]
    return Ok(Box::new(super::inotify::Inotify::new()?));
    #[cfg(not(target_os = "linux"))]
    return Ok(Box::new(super::portable::Portable::new()?));
}
