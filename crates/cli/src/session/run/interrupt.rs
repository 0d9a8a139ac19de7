//! Stopping single tasks of a run whose inputs changed while they are at work.
//! Does not know how changes are noticed, nor who runs the tasks again.

use std::collections::BTreeSet;

use crate::execute::{Cancel, cancel::Subscription};
use crate::record::Status;

use super::super::changes::ChangeSet;
use super::super::tree::lossy;
use super::{Run, lock};

/// So far, in nanoseconds, the clock that stamps files may lag behind the one that is asked.
const LAG_NS: i64 = 10_000_000;

impl Run<'_> {
    /// Stops the tasks at work that a change made stale: what they make is not of these inputs. Changes that tasks of this
    /// run may have made are not meant.
    pub fn interrupt(&self, changes: &ChangeSet) {
        let at_work = lock(&self.at_work).clone();
        if at_work.is_empty() || changes.why_everything().is_some() {
            return;
        }
        let acted = |task: &usize| {
            let done = self.done[*task].get();
            done.map_or(at_work.contains_key(task), |done| {
                !matches!(done.record.status, Status::UpToDate | Status::Group)
            })
        };
        let made: BTreeSet<usize> = self.plan.nodes.keys().copied().filter(acted).collect();
        for (task, (begun_ns, cancel)) in &at_work {
            if let Some(path) = self.session.stale(*task, *begun_ns, changes, &made) {
                lock(&self.stale).entry(*task).or_insert(path);
                cancel.raise("its inputs changed");
            }
        }
    }

    /// Why a task was stopped, in words, if [`interrupt`](Self::interrupt) did it.
    pub fn stopped(&self, task: usize) -> Option<String> {
        let stale = lock(&self.stale);
        let path = stale.get(&task)?;
        Some(format!("stopped, as {} changed while it ran", lossy(path)))
    }

    /// What stops a task while it is at work; kept as long as it is.
    pub(super) fn at_work(&self, task: usize) -> AtWork<'_> {
        let (cancel, subscription) = self.session.cancel.child();
        // The clock that stamps files lags behind.
        let begun_ns = self.session.now_ns().saturating_sub(LAG_NS);
        lock(&self.at_work).insert(task, (begun_ns, cancel));
        AtWork {
            run: self,
            task,
            _subscription: subscription,
        }
    }

    /// What stops the commands of a task.
    pub fn cancel_of(&self, task: usize) -> Cancel {
        let known = lock(&self.at_work).get(&task).cloned();
        known.map_or_else(|| self.session.cancel.clone(), |(_, cancel)| cancel)
    }
}

/// A task is at work until this is dropped.
pub(super) struct AtWork<'r> {
    run: &'r Run<'r>,
    task: usize,
    _subscription: Subscription,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        lock(&self.run.at_work).remove(&self.task);
    }
}
