//! Which paths changed at which tick, in bounded memory.
//! Does not notice changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::session::changes::ChangeSet;

use super::format::Clock;

/// So many paths are remembered; for clocks older than those forgotten, the answer is everything.
pub(super) const LIMIT: usize = 100_000;

/// The last tick of each changed path.
#[derive(Debug)]
pub(super) struct Journal {
    instance: [u8; 16],
    tick: u64,
    /// Of changes up to this tick, nothing is known any more.
    floor: u64,
    /// Why.
    why: String,
    ticks: HashMap<Arc<[u8]>, u64>,
    order: BTreeSet<(u64, Arc<[u8]>)>,
    limit: usize,
}

impl Journal {
    /// Knows nothing of what was before.
    pub(super) fn new(instance: [u8; 16], limit: usize) -> Journal {
        Journal {
            instance,
            tick: 1,
            floor: 0,
            why: String::new(),
            ticks: HashMap::new(),
            order: BTreeSet::new(),
            limit,
        }
    }

    /// Now.
    pub(super) fn clock(&self) -> Clock {
        Clock {
            instance: self.instance,
            tick: self.tick,
        }
    }

    /// How many paths are remembered.
    pub(super) fn len(&self) -> usize {
        self.ticks.len()
    }

    /// A batch of changes came.
    pub(super) fn record(&mut self, changes: &ChangeSet) {
        if changes.is_empty() {
            return;
        }
        self.tick += 1;
        if let Some(why) = changes.why_everything() {
            self.ticks.clear();
            self.order.clear();
            self.floor = self.tick;
            why.clone_into(&mut self.why);
            return;
        }
        for path in changes.paths() {
            let path: Arc<[u8]> = path.into();
            if let Some(before) = self.ticks.insert(Arc::clone(&path), self.tick) {
                self.order.remove(&(before, Arc::clone(&path)));
            }
            self.order.insert((self.tick, path));
        }
        while self.order.len() > self.limit {
            let Some((tick, path)) = self.order.pop_first() else {
                return;
            };
            self.ticks.remove(&path);
            self.floor = tick;
            self.why = format!("more than {} paths changed since", self.limit);
        }
    }

    /// What changed since a clock.
    pub(super) fn since(&self, clock: Option<&Clock>) -> ChangeSet {
        let Some(clock) = clock else {
            return ChangeSet::everything("the background session is asked for the first time");
        };
        if clock.instance != self.instance || clock.tick > self.tick {
            return ChangeSet::everything("the background session is another one than before");
        }
        if clock.tick < self.floor {
            return ChangeSet::everything(self.why.clone());
        }
        let mut changes = ChangeSet::new();
        let none: Arc<[u8]> = Arc::new([]);
        for (_, path) in self.order.range((clock.tick + 1, none)..) {
            changes.add(path.to_vec());
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> ChangeSet {
        let mut set = ChangeSet::new();
        for path in paths {
            set.add(*path);
        }
        set
    }

    #[test]
    fn what_changed_since_a_clock_is_told_and_no_more() {
        let mut journal = Journal::new([1; 16], 10);
        let start = journal.clock();
        assert!(journal.since(None).why_everything().is_some());
        assert!(journal.since(Some(&start)).is_empty());
        journal.record(&set(&[]));
        assert_eq!(journal.clock(), start, "nothing changed");
        journal.record(&set(&["a", "b"]));
        let middle = journal.clock();
        journal.record(&set(&["b", "c", ""]));
        assert_eq!(journal.since(Some(&start)), set(&["", "a", "b", "c"]));
        assert_eq!(journal.since(Some(&middle)), set(&["", "b", "c"]));
        assert!(journal.since(Some(&journal.clock())).is_empty());
        assert_eq!(journal.len(), 4);
    }

    #[test]
    fn clocks_of_others_and_of_the_future_are_everything() {
        let journal = Journal::new([1; 16], 10);
        for (instance, tick) in [([2; 16], 1), ([1; 16], 2), ([1; 16], u64::MAX)] {
            let told = journal.since(Some(&Clock { instance, tick }));
            assert!(told.why_everything().unwrap().contains("another"));
        }
    }

    #[test]
    fn everything_counts_for_all_clocks_before_it_and_none_after() {
        let mut journal = Journal::new([1; 16], 10);
        let start = journal.clock();
        journal.record(&set(&["a"]));
        journal.record(&ChangeSet::everything("it was lost"));
        let after = journal.clock();
        assert_eq!(
            journal.since(Some(&start)).why_everything(),
            Some("it was lost")
        );
        assert!(journal.since(Some(&after)).is_empty());
        journal.record(&set(&["b"]));
        assert_eq!(journal.since(Some(&after)), set(&["b"]));
    }

    #[test]
    fn what_is_forgotten_for_want_of_room_is_everything_for_older_clocks_alone() {
        let mut journal = Journal::new([1; 16], 3);
        let start = journal.clock();
        journal.record(&set(&["a", "b"]));
        let second = journal.clock();
        journal.record(&set(&["c", "d"]));
        assert_eq!(journal.len(), 3);
        assert!(journal.since(Some(&start)).why_everything().is_some());
        assert_eq!(journal.since(Some(&second)), set(&["c", "d"]));
        for _ in 0..100 {
            journal.record(&set(&["c"]));
        }
        assert_eq!(
            journal.since(Some(&second)),
            set(&["c", "d"]),
            "a path is kept once"
        );
    }
}
