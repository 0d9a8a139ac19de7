//! How many commands run at once: a slot for each, shared by tasks and by the chunks of one task.
//! Does not know what is done in a slot.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The slots of a run.
#[derive(Debug)]
pub struct Slots {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Debug)]
struct Counts {
    free: usize,
    /// Tasks that wait for a slot: they come before further chunks.
    tasks: usize,
    /// Threads that wait. Where there are none nobody is woken: that would be a call of the system for every task.
    waiting: usize,
}

/// Gives a slot back when it is dropped.
struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.give();
    }
}

impl Slots {
    /// So many slots, all free.
    pub fn new(count: NonZeroUsize) -> Slots {
        Slots {
            counts: Mutex::new(Counts {
                free: count.get(),
                tasks: 0,
                waiting: 0,
            }),
            changed: Condvar::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Two numbers are valid after a panic elsewhere.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, mut counts: MutexGuard<'g, Counts>) -> MutexGuard<'g, Counts> {
        counts.waiting += 1;
        let mut counts = self
            .changed
            .wait(counts)
            .unwrap_or_else(PoisonError::into_inner);
        counts.waiting -= 1;
        counts
    }

    /// Wakes those that wait, after a change.
    fn changed(&self, counts: MutexGuard<'_, Counts>) {
        let waiting = counts.waiting > 0;
        drop(counts);
        if waiting {
            self.changed.notify_all();
        }
    }

    /// Waits for a slot for a task.
    pub fn take(&self) {
        let mut counts = self.counts();
        counts.tasks += 1;
        while counts.free == 0 {
            counts = self.wait(counts);
        }
        counts.tasks -= 1;
        counts.free -= 1;
        // Chunks stand back as long as a task waits.
        self.changed(counts);
    }

    /// Frees a slot.
    pub fn give(&self) {
        let mut counts = self.counts();
        counts.free += 1;
        self.changed(counts);
    }

    /// Waits for a slot that no task wants.
    fn take_spare(&self) -> Slot<'_> {
        let mut counts = self.counts();
        while counts.free == 0 || counts.tasks > 0 {
            counts = self.wait(counts);
        }
        counts.free -= 1;
        Slot(self)
    }

    fn wanted(&self) -> bool {
        self.counts().tasks > 0
    }

    /// Does something with each item, as many at once as there are slots free, until `stop` says so. To be called by
    /// a holder of a slot, which is used as well. A task that becomes ready gets the next slot that an item leaves.
    pub(super) fn each<T: Sync>(
        &self,
        items: &[T],
        stop: &(dyn Fn() -> bool + Sync),
        act: &(dyn Fn(&T) + Sync),
    ) {
        let next = AtomicUsize::new(0);
        let over = || next.load(Ordering::SeqCst) >= items.len() || stop();
        self.give();
        std::thread::scope(|scope| {
            while !over() {
                let slot = self.take_spare();
                if over() {
                    break;
                }
                let next = &next;
                scope.spawn(move || {
                    let _slot = slot;
                    while !stop() {
                        let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) else {
                            break;
                        };
                        act(item);
                        if self.wanted() {
                            break;
                        }
                    }
                });
            }
        });
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_never_more_at_once_than_there_are_slots() {
        for slots in [1, 3] {
            let shared = Slots::new(NonZeroUsize::new(slots).unwrap());
            let (now, most, sum) = (
                AtomicUsize::new(0),
                AtomicUsize::new(0),
                AtomicUsize::new(0),
            );
            let items: Vec<usize> = (1..=100).collect();
            let act = |item: &usize| {
                let at_once = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(at_once, Ordering::SeqCst);
                std::thread::yield_now();
                sum.fetch_add(*item, Ordering::SeqCst);
                now.fetch_sub(1, Ordering::SeqCst);
            };
            // Two tasks with chunks and one without.
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        shared.take();
                        shared.each(&items, &|| false, &act);
                        shared.give();
                    });
                }
                scope.spawn(|| {
                    shared.take();
                    act(&1);
                    shared.give();
                });
            });
            assert_eq!(sum.load(Ordering::SeqCst), 2 * 5050 + 1);
            assert!(most.load(Ordering::SeqCst) <= slots);
            assert_eq!(shared.counts().free, slots);
        }
    }

    #[test]
    fn nothing_begins_after_a_stop() {
        let shared = Slots::new(NonZeroUsize::MIN);
        let done = AtomicUsize::new(0);
        shared.take();
        let stop = || done.load(Ordering::SeqCst) == 2;
        shared.each(&[(); 9], &stop, &|()| {
            done.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }
}
