//! What a session knows of its tasks without looking: those that were found up to date, or made so, and what that
//! rests on besides files.
//! Does not know how changes are noticed.

use serde::{Deserialize, Serialize};

/// What a task was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Digest of all that enters its key besides files; see [`Parts::digest`](super::describe::Parts::digest).
    pub parts: [u8; 32],
    /// The key of its last success.
    pub key: [u8; 32],
}

/// The tasks of a session, by index.
#[derive(Debug)]
pub(super) struct Warm {
    known: Vec<Option<Known>>,
    /// What was last known of each, whatever reached it since.
    last: Vec<Option<Known>>,
    /// Whether somebody vouches that nothing changed but what the session was told of since its last run.
    vouched: bool,
}

impl Warm {
    /// Nothing is known.
    pub(super) fn new(tasks: usize) -> Warm {
        Warm {
            known: vec![None; tasks],
            last: vec![None; tasks],
            vouched: false,
        }
    }

    /// What is known of a task, as long as it holds.
    pub(super) fn known(&self, task: usize) -> Option<Known> {
        self.known[task].filter(|_| self.vouched)
    }

    /// What was last known of a task: whether it holds has to be found out.
    pub(super) fn last(&self, task: usize) -> Option<Known> {
        self.last[task]
    }

    /// From here on what is known holds: all changes since it was found out were told.
    pub(super) fn vouch(&mut self) {
        self.vouched = true;
    }

    /// Whether somebody told what changed before this run.
    pub(super) fn is_vouched(&self) -> bool {
        self.vouched
    }

    /// Takes over what an earlier session knew of a task.
    pub(super) fn take(&mut self, task: usize, known: Known) {
        self.known[task] = Some(known);
    }

    /// A task has to be looked at again.
    pub(super) fn forget(&mut self, task: usize) {
        self.known[task] = None;
    }

    /// A run ended. What it found out holds when the next changes are told.
    pub(super) fn ended(&mut self, found: impl IntoIterator<Item = (usize, Option<Known>)>) {
        for (task, known) in found {
            self.known[task] = known;
            self.last[task] = known.or(self.last[task]);
        }
        self.vouched = false;
    }

    /// All that is known.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, Known)> + '_ {
        let known = self.known.iter().enumerate();
        known.filter_map(|(task, known)| Some((task, (*known)?)))
    }
}
