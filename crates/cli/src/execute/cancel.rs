//! The wish to stop, shared by everything that runs: a flag that only rises, with the one who asked.
//! Does not know what is running or how it is stopped.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How urgent the wish to stop is. It only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Ask running commands to end, give them their grace, start nothing new.
    Graceful,
    /// End running commands at once.
    Immediate,
}

type Waker = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    urgency: Option<Urgency>,
    reason: Option<String>,
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

/// A cancellation that clones share.
#[derive(Clone, Default)]
pub struct Cancel {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancel").field(&self.urgency()).finish()
    }
}

impl Cancel {
    /// A cancellation that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cancellation that is raised whenever this one is, and may be raised by itself. It follows as long as the
    /// subscription is kept.
    pub fn child(&self) -> (Cancel, Subscription) {
        let child = Cancel::new();
        let raised = child.clone();
        let subscription = self.subscribe(move || raised.raise("the run was interrupted"));
        if let Some(urgency) = self.urgency() {
            child.raise_to(urgency, "the run was interrupted");
        }
        (child, subscription)
    }

    /// Asks for a stop. The first reason (such as `SIGINT`) stays; asking again makes the stop immediate.
    pub fn raise(&self, reason: &str) {
        let next = match self.urgency() {
            None => Urgency::Graceful,
            Some(_) => Urgency::Immediate,
        };
        self.raise_to(next, reason);
    }

    /// Asks for a stop of at least this urgency.
    pub fn raise_to(&self, urgency: Urgency, reason: &str) {
        let mut state = self.lock();
        state.urgency = state.urgency.max(Some(urgency));
        state.reason.get_or_insert_with(|| reason.to_owned());
        for wake in state.wakers.values() {
            wake();
        }
    }

    /// How urgent the wish is; none while nobody asked.
    pub fn urgency(&self) -> Option<Urgency> {
        self.lock().urgency
    }

    /// Whether somebody asked for a stop.
    pub fn is_raised(&self) -> bool {
        self.urgency().is_some()
    }

    /// Why the stop was asked for first.
    pub fn reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }

    /// Calls `wake` at every later [`raise`](Self::raise), until the answer is dropped.
    ///
    /// `wake` runs under a lock: it must not block and must not use this value. A stop asked for
    /// before this call does not wake: look at [`urgency`](Self::urgency) after subscribing.
    pub fn subscribe(&self, wake: impl Fn() + Send + 'static) -> Subscription {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.wakers.insert(id, Box::new(wake));
        Subscription {
            cancel: self.clone(),
            id,
        }
    }

    // A panic while holding the lock leaves plain, valid data behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a waker registered; see [`Cancel::subscribe`].
#[derive(Debug)]
pub struct Subscription {
    cancel: Cancel,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let waker = self.cancel.lock().wakers.remove(&self.id);
        // Dropped after the lock is released: a waker may own anything.
        drop(waker);
    }
}

/// Signals that are left to whoever looks at the cancellation; one more ends the process wherever it is.
#[cfg(unix)]
const PATIENCE: usize = 2;

/// Raises `cancel` at SIGINT, SIGTERM and SIGHUP: the first is graceful, the next immediate. A third ends the
/// process at once, with the code of an interrupted run.
///
/// Runs a thread for the rest of the process's life; call it once.
///
/// # Errors
/// The system refused to register a handler or to start the thread.
#[cfg(unix)]
pub fn install_signal_handlers(cancel: &Cancel) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let cancel = cancel.clone();
    std::thread::Builder::new()
        .name("larder-signals".into())
        .spawn(move || {
            for (number, signal) in signals.forever().enumerate() {
                if number >= PATIENCE {
                    // As a kill would: all that is on disk stays sound, and the next run tidies up.
                    signal_hook::low_level::exit(super::exit::INTERRUPTED.into());
                }
                cancel.raise(match signal {
                    SIGINT => "SIGINT",
                    SIGTERM => "SIGTERM",
                    _ => "SIGHUP",
                });
            }
        })
        .map(drop)
}

/// Off Unix there is nothing to install: the console ends the whole group of processes by itself.
///
/// # Errors
/// None; the signature is the same everywhere.
#[cfg(not(unix))]
pub fn install_signal_handlers(_cancel: &Cancel) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn urgency_only_rises_and_the_first_reason_stays() {
        let cancel = Cancel::new();
        assert!(!cancel.is_raised());
        let clone = cancel.clone();
        clone.raise("SIGINT");
        assert_eq!(cancel.urgency(), Some(Urgency::Graceful));
        cancel.raise("SIGTERM");
        assert_eq!(clone.urgency(), Some(Urgency::Immediate));
        cancel.raise_to(Urgency::Graceful, "again");
        assert_eq!(cancel.urgency(), Some(Urgency::Immediate));
        assert_eq!(cancel.reason().as_deref(), Some("SIGINT"));
    }

    #[test]
    fn a_child_follows_and_can_be_raised_alone() {
        let parent = Cancel::new();
        let (child, kept) = parent.child();
        let (other, _kept) = parent.child();
        child.raise("alone");
        assert!(!parent.is_raised() && !other.is_raised());
        parent.raise("all");
        assert_eq!(other.urgency(), Some(Urgency::Graceful));
        parent.raise("all");
        assert_eq!(other.urgency(), Some(Urgency::Immediate));
        assert_eq!(child.reason().as_deref(), Some("alone"));
        drop(kept);
        assert_eq!(parent.child().0.urgency(), Some(Urgency::Immediate));
    }

    #[test]
    fn subscribers_wake_until_they_are_dropped() {
        let cancel = Cancel::new();
        let (send, receive) = mpsc::channel();
        let subscription = cancel.subscribe(move || _ = send.send(()));
        cancel.raise("test");
        assert!(receive.try_recv().is_ok());
        drop(subscription);
        cancel.raise("test");
        assert_eq!(receive.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
