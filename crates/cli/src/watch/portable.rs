//! The watcher of systems other than Linux, on the `notify` crate, folder by folder.
//! Does not know why a folder is watched.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Instant;

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::watcher::{Event, Waker, WatchError, Watcher};

/// So many events wait to be received; beyond, they are lost and that is told.
const QUEUE: usize = 65_536;

/// The watcher that `notify` recommends for the system.
#[derive(Debug)]
pub struct Portable {
    inner: RecommendedWatcher,
    queue: Receiver<Event>,
    sender: SyncSender<Event>,
    full: Arc<AtomicBool>,
    watched: HashSet<PathBuf>,
}

impl Portable {
    /// An empty one.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn new() -> io::Result<Portable> {
        let (sender, queue) = mpsc::sync_channel(QUEUE);
        let full = Arc::new(AtomicBool::new(false));
        let (into, overflow) = (sender.clone(), Arc::clone(&full));
        let put = move |event| {
            if let Err(TrySendError::Full(_)) = into.try_send(event) {
                overflow.store(true, Ordering::SeqCst);
            }
        };
        let inner = notify::recommended_watcher(move |told: notify::Result<notify::Event>| {
            translated(told).into_iter().for_each(&put);
        });
        Ok(Portable {
            inner: inner.map_err(io::Error::other)?,
            queue,
            sender,
            full,
            watched: HashSet::new(),
        })
    }

    fn drain(&mut self, events: &mut Vec<Event>) {
        while let Ok(event) = self.queue.try_recv() {
            self.put(event, events);
        }
        if self.full.swap(false, Ordering::SeqCst) {
            events.push(Event::Lost(
                "more changed at once than could be queued".to_owned(),
            ));
        }
    }

    /// Hands an event over, unless it is of something that lies deeper than a watched folder's entries.
    fn put(&mut self, event: Event, events: &mut Vec<Event>) {
        if let Event::Replaced(path) | Event::Written(path) = &event {
            let itself = self.watched.contains(path);
            let above = path
                .parent()
                .is_some_and(|folder| self.watched.contains(folder));
            if !itself && !above {
                return;
            }
        }
        events.push(event);
    }
}

/// What `notify` tells, in the words of the seam.
fn translated(told: notify::Result<notify::Event>) -> Vec<Event> {
    let event = match told {
        Ok(event) if event.need_rescan() => {
            return vec![Event::Lost(
                "the system lost count of what changed".to_owned(),
            )];
        }
        Ok(event) => event,
        Err(error) => return vec![Event::Lost(format!("changes cannot be read: {error}"))],
    };
    let kind: fn(PathBuf) -> Event = match event.kind {
        EventKind::Access(access) if !writes(access) => return Vec::new(),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => Event::Written,
        _ => Event::Replaced,
    };
    event.paths.into_iter().map(kind).collect()
}

fn writes(access: notify::event::AccessKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    matches!(access, AccessKind::Close(AccessMode::Write))
}

impl Watcher for Portable {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        let stat = folder.symlink_metadata().map_err(error_of)?;
        if !stat.is_dir() {
            return Err(WatchError::Gone);
        }
        // The same path may be another folder by now.
        self.unwatch(folder);
        self.inner
            .watch(folder, RecursiveMode::NonRecursive)
            .map_err(|error| match error.kind {
                notify::ErrorKind::MaxFilesWatch => WatchError::TooMany,
                notify::ErrorKind::PathNotFound => WatchError::Gone,
                notify::ErrorKind::Io(source) => error_of(source),
                _ => WatchError::Io(io::Error::other(error)),
            })?;
        self.watched.insert(folder.to_owned());
        Ok(())
    }

    fn unwatch(&mut self, folder: &Path) {
        if self.watched.remove(folder) {
            // It is gone already where the folder is.
            let _ = self.inner.unwatch(folder);
        }
    }

    fn receive(&mut self, deadline: Option<Instant>, events: &mut Vec<Event>) {
        let start = events.len();
        self.drain(events);
        while events.len() == start {
            let first = match deadline {
                None => self
                    .queue
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(deadline) => self
                    .queue
                    .recv_timeout(deadline.saturating_duration_since(Instant::now())),
            };
            match first {
                Ok(event) => self.put(event, events),
                Err(_) => return,
            }
            self.drain(events);
        }
    }

    fn waker(&self) -> Waker {
        let sender = self.sender.clone();
        // When it is full there is something to receive.
        Waker::new(move || drop(sender.try_send(Event::Woken)))
    }
}

fn error_of(error: io::Error) -> WatchError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => WatchError::Gone,
        io::ErrorKind::PermissionDenied => WatchError::Forbidden,
        _ => WatchError::Io(error),
    }
}
