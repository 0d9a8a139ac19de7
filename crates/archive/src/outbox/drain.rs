//! Empties an outbox: one process at a time, one delivery after the other, again and again until all has arrived or nothing more can be done.
//! Does not know how it came to be started, nor what a destination is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::format::{Failure, Record};
use super::pace::{Backoff, Pace, milliseconds};
use super::send::{Tried, send, tried};
use super::{AT_WORK, DONE, FAILED, LOCK, Outbox, OutboxError, PENDING, UNFINISHED, failed};
use crate::destination::{Destination, DestinationError};
use crate::durable::lock_file;

/// While a drain waits for the next try, it looks so often for new deliveries.
const LOOK: Duration = Duration::from_secs(1);

/// How a drain behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOptions {
    /// How long to wait between tries.
    pub backoff: Backoff,
    /// It goes on for so long while nothing arrives; then it ends, and what is pending waits for the next drain. Zero tries each once.
    pub patience: Duration,
    /// Failures in a row after which a delivery is given up; `None` never gives up.
    pub tries: Option<u32>,
}

impl Default for DrainOptions {
    /// An hour of patience, and no end of tries.
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            patience: Duration::from_hours(1),
            tries: None,
        }
    }
}

/// How a drain ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Another process drains this outbox, and will see all that was noted before this call.
    Busy,
    /// It did what could be done, or was cancelled.
    Ended {
        /// Deliveries that arrived.
        arrived: usize,
        /// Deliveries that were given up.
        failed: usize,
        /// Deliveries that are still pending.
        pending: usize,
    },
}

/// A destination by its id; `None` when none of this id is configured.
pub type Open<'a> = dyn Fn(&str) -> Result<Option<Box<dyn Destination>>, DestinationError> + 'a;

/// Delivers what is pending, in the order it was noted; blocks meanwhile. Each object is put, read back, and noted as arrived when its
/// digest is right; what is there already with the right digest counts as arrived. What fails is tried again, later each time;
/// what a repetition cannot mend is given up, and [`Outbox::status`] says why. May be killed at any moment: the next drain goes on.
///
/// # Errors
/// [`OutboxError::Io`] when the outbox itself cannot be read or written. Errors of destinations are no errors of the drain.
pub fn drain(
    outbox: &Outbox,
    open: &Open<'_>,
    pace: &dyn Pace,
    options: &DrainOptions,
    cancel: &AtomicBool,
) -> Result<Drained, OutboxError> {
    let mut drain = Drain {
        outbox,
        open,
        pace,
        options,
        cancel,
        opened: BTreeMap::new(),
        later: BTreeMap::new(),
        progress: pace.now(),
        arrived: 0,
        failed: 0,
    };
    loop {
        let Some(lock) = lock(outbox)? else {
            return Ok(Drained::Busy);
        };
        let at_work = at_work(outbox)?;
        drain.sweep()?;
        let left = drain.rounds()?;
        drop(at_work);
        drop(lock);
        // What was noted while the lock was held found it taken, and counts on this drain.
        let pending: BTreeSet<String> = outbox.list(PENDING)?.into_iter().collect();
        if pending.is_subset(&left) || cancel.load(Ordering::Relaxed) {
            return Ok(Drained::Ended {
                arrived: drain.arrived,
                failed: drain.failed,
                pending: pending.len(),
            });
        }
    }
}

fn lock(outbox: &Outbox) -> Result<Option<File>, OutboxError> {
    let path: PathBuf = outbox.folder.join(LOCK);
    let file = lock_file(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(failed("lock", &path)(cause)),
    }
}

/// Tells others that this process drains; they only ever take a look.
fn at_work(outbox: &Outbox) -> Result<File, OutboxError> {
    let path = outbox.folder.join(AT_WORK);
    let file = lock_file(&path).map_err(failed("open", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(file)
}

struct Drain<'a> {
    outbox: &'a Outbox,
    open: &'a Open<'a>,
    pace: &'a dyn Pace,
    options: &'a DrainOptions,
    cancel: &'a AtomicBool,
    opened: BTreeMap<String, Box<dyn Destination>>,
    /// Destinations that failed: when they are tried again, and with which delivery they failed.
    later: BTreeMap<String, (u64, String)>,
    /// When something last arrived, or the drain began.
    progress: u64,
    arrived: usize,
    failed: usize,
}

impl Drain<'_> {
    /// Goes on until nothing is due that patience would wait for; gives the names that are left.
    fn rounds(&mut self) -> Result<BTreeSet<String>, OutboxError> {
        loop {
            let seen = self.stamp()?;
            let (left, next) = self.round()?;
            if self.cancel.load(Ordering::Relaxed) || left.is_empty() {
                return Ok(left);
            }
            // All that is left is damaged.
            let Some(next) = next else { return Ok(left) };
            loop {
                let now = self.pace.now();
                let end = self
                    .progress
                    .saturating_add(milliseconds(self.options.patience));
                // A clock that went back makes waits long, but none is longer than the cap.
                let wait = next
                    .saturating_sub(now)
                    .min(milliseconds(self.options.backoff.cap));
                if now >= end || now.saturating_add(wait) > end {
                    return Ok(left);
                }
                let look = Duration::from_millis(wait).min(LOOK);
                self.pace.wait(look, self.cancel);
                let is_due = look.as_millis() >= u128::from(wait) || self.pace.now() < now;
                if is_due || self.cancel.load(Ordering::Relaxed) {
                    break;
                }
                let stamp = self.stamp()?;
                if stamp.is_none() || stamp != seen {
                    break;
                }
            }
        }
    }

    fn stamp(&self) -> Result<Option<u128>, OutboxError> {
        let folder = self.outbox.folder.join(PENDING);
        let stamp = self.outbox.disk.stamp(&folder);
        stamp.map_err(failed("look at", &folder))
    }

    /// Tries each that is due; gives the names that are left, and when the first of them is due.
    fn round(&mut self) -> Result<(BTreeSet<String>, Option<u64>), OutboxError> {
        let mut left = BTreeSet::new();
        let mut pending = Vec::new();
        for name in self.outbox.list(PENDING)? {
            match self.outbox.read(PENDING, &name)? {
                Some(Ok(record)) => pending.push((record.enqueued, name, record)),
                Some(Err(_)) => {
                    left.insert(name);
                }
                None => {}
            }
        }
        pending.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        if pending.iter().any(|(_, _, record)| self.is_due(record)) {
            // Whoever noted it may have died before its sync; what is sent may not be forgotten here.
            self.outbox.sync(&self.outbox.folder.join(PENDING))?;
        }
        let mut next: Option<u64> = None;
        for (_, name, mut record) in pending {
            if matches!(self.outbox.read(DONE, &name)?, Some(Ok(_))) {
                // Killed between the two steps of its end.
                self.outbox.sync(&self.outbox.folder.join(DONE))?;
                self.outbox.remove(PENDING, &name)?;
                continue;
            }
            if let Some((until, of)) = self.later.get(&record.destination)
                && *of == name
                && *until != record.next_try
            {
                // Somebody asked to try again at once.
                self.later.remove(&record.destination);
            }
            if !self.cancel.load(Ordering::Relaxed) && self.is_due(&record) {
                self.attempt(&name, &mut record)?;
            }
            if record.finished.is_none() {
                let due = self.due(&record);
                next = Some(next.map_or(due, |next| next.min(due)));
                left.insert(name);
            }
        }
        Ok((left, next))
    }

    fn due(&self, record: &Record) -> u64 {
        let destination = self.later.get(&record.destination);
        record
            .next_try
            .max(destination.map_or(0, |(until, _)| *until))
    }

    fn is_due(&self, record: &Record) -> bool {
        let now = self.pace.now();
        let due = self.due(record);
        // Farther off than any wait: the clock went back.
        due <= now || due - now > milliseconds(self.options.backoff.cap)
    }

    fn attempt(&mut self, name: &str, record: &mut Record) -> Result<(), OutboxError> {
        let tried = match self.destination(&record.destination) {
            Ok(()) => {
                let destination = &self.opened[&record.destination];
                let (pace, cancel) = (self.pace, self.cancel);
                send(self.outbox, name, record, &**destination, pace, cancel)?
            }
            Err(tried) => tried,
        };
        let now = self.pace.now();
        match tried {
            Tried::Cancelled => Ok(()),
            Tried::Arrived => {
                record.attempts = 0;
                record.last_error = None;
                self.arrived += 1;
                self.progress = now;
                self.finish(DONE, name, record)
            }
            Tried::Never(failure, said) => {
                record.last_error = said.or_else(|| record.last_error.take());
                self.give_up(name, record, failure)
            }
            Tried::Later(said) => {
                record.last_error = Some(said);
                record.attempts = record.attempts.saturating_add(1);
                if self
                    .options
                    .tries
                    .is_some_and(|most| record.attempts >= most)
                {
                    return self.give_up(name, record, Failure::TooManyTries);
                }
                let backoff = &self.options.backoff;
                let delay = backoff.delay(record.attempts, self.pace.random());
                record.next_try = now.saturating_add(delay);
                // Others of this destination would only fail as well.
                let until = (record.next_try, name.to_owned());
                self.later.insert(record.destination.clone(), until);
                self.opened.remove(&record.destination);
                self.outbox.write(PENDING, name, record)
            }
        }
    }

    fn give_up(
        &mut self,
        name: &str,
        record: &mut Record,
        failure: Failure,
    ) -> Result<(), OutboxError> {
        record.failure = Some(failure);
        self.failed += 1;
        self.finish(FAILED, name, record)
    }

    /// Moves a delivery on, so that it is in one of the two places at every moment, and in the new one for good.
    fn finish(&self, state: &str, name: &str, record: &mut Record) -> Result<(), OutboxError> {
        record.finished = Some(self.pace.now());
        self.outbox.write(state, name, record)?;
        self.outbox.sync(&self.outbox.folder.join(state))?;
        self.outbox.remove(PENDING, name)
    }

    /// Makes sure that the destination is open.
    fn destination(&mut self, id: &str) -> Result<(), Tried> {
        if self.opened.contains_key(id) {
            return Ok(());
        }
        match (self.open)(id) {
            Ok(Some(destination)) => {
                self.opened.insert(id.to_owned(), destination);
                Ok(())
            }
            Ok(None) => Err(Tried::Never(Failure::NotConfigured, None)),
            Err(error) => Err(tried(&error)),
        }
    }

    /// Removes what killed processes left half written. A process that is at work writes its file anew if it is gone.
    fn sweep(&self) -> Result<(), OutboxError> {
        for name in self.outbox.list(UNFINISHED)? {
            self.outbox.remove(UNFINISHED, &name)?;
        }
        Ok(())
    }
}
