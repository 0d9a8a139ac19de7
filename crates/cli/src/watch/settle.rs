//! When a batch of events is done: 20 ms after its last, and at most 200 ms after its first.
//! Does not wait, nor read a clock: it is told the time.

use std::time::{Duration, Instant};

/// A batch closes when nothing came for so long.
pub const QUIET: Duration = Duration::from_millis(20);
/// A batch closes when its first event is so old.
pub const LONGEST: Duration = Duration::from_millis(200);

/// The batch that is being gathered, if any.
#[derive(Debug, Default, Clone, Copy)]
pub struct Settle {
    batch: Option<(Instant, Instant)>,
}

impl Settle {
    /// An event came.
    pub fn event(&mut self, now: Instant) {
        let first = self.batch.map_or(now, |(first, _)| first);
        self.batch = Some((first, now));
    }

    /// When the batch closes if nothing more comes; `None` while there is none.
    pub fn closes_at(&self) -> Option<Instant> {
        self.batch
            .map(|(first, last)| (last + QUIET).min(first + LONGEST))
    }

    /// Whether the batch is done.
    pub fn is_closed(&self, now: Instant) -> bool {
        self.closes_at().is_some_and(|at| at <= now)
    }

    /// Starts anew.
    pub fn clear(&mut self) {
        self.batch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_closes_when_it_is_quiet_and_at_the_latest_when_it_is_old() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut settle = Settle::default();
        assert_eq!(settle.closes_at(), None);
        assert!(!settle.is_closed(at(1000)));
        settle.event(at(0));
        assert_eq!(settle.closes_at(), Some(at(20)));
        assert!(!settle.is_closed(at(19)) && settle.is_closed(at(20)));
        for millis in (15..=180).step_by(15) {
            assert!(!settle.is_closed(at(millis)), "{millis}");
            settle.event(at(millis));
        }
        settle.event(at(195));
        assert_eq!(settle.closes_at(), Some(at(200)));
        assert!(!settle.is_closed(at(199)) && settle.is_closed(at(200)));
        settle.clear();
        assert!(!settle.is_closed(at(1000)));
        settle.event(at(300));
        assert_eq!(settle.closes_at(), Some(at(320)));
    }
}
