//! The watcher of Linux, on inotify itself: one queue, read by whoever waits.
//! Does not know why a folder is watched.
//!
//! The `notify` crate, which other systems use, is not used here for three reasons: version 8 asks for an event whenever
//! a file is opened, so that digesting 16,384 files makes the queue overflow; it follows links; and it takes watches back on a thread
//! of its own, by path, at a moment that cannot be known.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;

use super::watcher::{Event, Waker, WatchError, Watcher};

/// Bytes read at once: some hundred events.
const BUFFER: usize = 16 * 1024;
/// So many events are handed over at once, that a deadline is kept in a flood.
const AT_ONCE: usize = 4096;

/// What is asked for: all that changes, nothing that only looks.
fn wanted() -> WatchFlags {
    WatchFlags::ATTRIB
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::MOVE
        | WatchFlags::DONT_FOLLOW
        | WatchFlags::EXCL_UNLINK
        | WatchFlags::ONLYDIR
}

/// One inotify queue.
#[derive(Debug)]
pub struct Inotify {
    queue: OwnedFd,
    wake: Arc<OwnedFd>,
    watches: HashMap<PathBuf, i32>,
    /// The paths of a watch: more than one while a rename has not been told yet, or where a folder is mounted twice.
    paths: HashMap<i32, Vec<PathBuf>>,
}

impl Inotify {
    /// An empty one.
    ///
    /// # Errors
    /// When this user has too many.
    pub fn new() -> io::Result<Inotify> {
        let queue = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        Ok(Inotify {
            queue: queue.map_err(|error| match error {
                Errno::MFILE => io::Error::other(
                    "you have as many watchers as the system gives you: raise fs.inotify.max_user_instances, or end programs that watch",
                ),
                error => error.into(),
            })?,
            wake: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
            watches: HashMap::new(),
            paths: HashMap::new(),
        })
    }

    /// Takes a path from a watch; the watch itself goes with its last path.
    fn detach(&mut self, watch: i32, folder: &Path) {
        let Some(paths) = self.paths.get_mut(&watch) else {
            return;
        };
        paths.retain(|path| path != folder);
        if paths.is_empty() {
            self.paths.remove(&watch);
            // It is gone already where the folder is.
            let _ = remove_watch(&self.queue, watch);
        }
    }

    fn read(&mut self, events: &mut Vec<Event>) {
        let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER];
        let start = events.len();
        let mut ended = Vec::new();
        let mut reader = Reader::new(&self.queue, &mut buffer);
        while !reader.is_buffer_empty() || events.len() - start < AT_ONCE {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    events.push(Event::Lost(format!(
                        "changes cannot be read from the system: {error}"
                    )));
                    break;
                }
            };
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                let why = "more changed at once than the system could queue (fs.inotify.max_queued_events)";
                events.push(Event::Lost(why.to_owned()));
                continue;
            }
            let Some(folders) = self.paths.get(&event.wd()) else {
                continue;
            };
            if what.contains(ReadFlags::IGNORED) {
                events.extend(folders.iter().cloned().map(Event::Replaced));
                ended.push(event.wd());
                continue;
            }
            let name = event
                .file_name()
                .map(|name| OsStr::from_bytes(name.to_bytes()));
            let told = if what.contains(ReadFlags::ISDIR) {
                Event::Replaced
            } else {
                Event::Written
            };
            for folder in folders {
                // An event of a watched folder itself has no name; its folder above, watched too, tells the same.
                if let Some(name) = name {
                    events.push(told(folder.join(name)));
                }
            }
        }
        for watch in ended {
            for path in self.paths.remove(&watch).into_iter().flatten() {
                if self.watches.get(&path) == Some(&watch) {
                    self.watches.remove(&path);
                }
            }
        }
    }
}

impl Watcher for Inotify {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        let watch = add_watch(&self.queue, folder, wanted()).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => WatchError::Gone,
            Errno::ACCESS => WatchError::Forbidden,
            Errno::NOSPC => WatchError::TooMany,
            error => WatchError::Io(error.into()),
        })?;
        if let Some(before) = self.watches.insert(folder.to_owned(), watch)
            && before != watch
        {
            self.detach(before, folder);
        }
        let paths = self.paths.entry(watch).or_default();
        if !paths.iter().any(|path| path == folder) {
            paths.push(folder.to_owned());
        }
        Ok(())
    }

    fn unwatch(&mut self, folder: &Path) {
        if let Some(watch) = self.watches.remove(folder) {
            self.detach(watch, folder);
        }
    }

    fn receive(&mut self, deadline: Option<Instant>, events: &mut Vec<Event>) {
        let start = events.len();
        while events.len() == start {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut both = [
                PollFd::new(&self.queue, PollFlags::IN),
                PollFd::from_borrowed_fd(std::os::fd::AsFd::as_fd(&*self.wake), PollFlags::IN),
            ];
            match poll(&mut both, timeout.as_ref()) {
                Ok(0) => return,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    events.push(Event::Lost(format!(
                        "changes cannot be waited for: {error}"
                    )));
                    return;
                }
            }
            let ready = both.map(|fd| fd.revents().contains(PollFlags::IN));
            if ready[1] && rustix::io::read(&*self.wake, &mut [0; 8]).is_ok() {
                events.push(Event::Woken);
            }
            if ready[0] {
                self.read(events);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
        }
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(&self.wake);
        Waker::new(move || {
            // It fails only when it is full, which wakes as well.
            let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
        })
    }
}
