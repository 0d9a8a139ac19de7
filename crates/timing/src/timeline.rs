//! The recorder of one run: what ran from when to when, what a cache spared, and the totals.
//! Does not know why a task ran, or whether it succeeded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// A named stretch of time. Both ends come from the same clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What took the time, usually a task.
    pub name: String,
    /// When it began.
    pub start: Moment,
    /// When it ended.
    pub end: Moment,
}

impl Span {
    /// Its length by the monotonic counter; zero when the ends stand the wrong way round.
    pub fn duration(&self) -> Duration {
        self.end.since(self.start)
    }
}

/// Sums over a run, serialised as decimal seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// From the run's start to its end.
    #[serde(rename = "wall_seconds", with = "crate::format::seconds")]
    pub wall: Duration,
    /// The lengths of all spans added up; exceeds `wall` when tasks ran side by side.
    #[serde(rename = "work_seconds", with = "crate::format::seconds")]
    pub work: Duration,
    /// What the tasks that did not run once took: work that was not repeated.
    #[serde(rename = "saved_seconds", with = "crate::format::seconds")]
    pub saved: Duration,
}

/// The spans and savings of one run, in the order they were recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    start: Moment,
    spans: Vec<Span>,
    saved: Vec<(String, Duration)>,
}

impl Timeline {
    /// An empty timeline of a run that began at `start`.
    pub fn new(start: Moment) -> Self {
        Self {
            start,
            spans: Vec::new(),
            saved: Vec::new(),
        }
    }

    /// When the run began.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// Records that `name` ran from `start` to `end`. A name may run more than once: each adds to its seconds.
    pub fn ran(&mut self, name: impl Into<String>, start: Moment, end: Moment) {
        self.spans.push(Span {
            name: name.into(),
            start,
            end,
        });
    }

    /// Records that `name` did not run, and that its last real run took `duration`.
    pub fn saved(&mut self, name: impl Into<String>, duration: Duration) {
        self.saved.push((name.into(), duration));
    }

    /// What ran, in the order it was recorded.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The time each name ran for. Names that only saved time are absent.
    pub fn by_name(&self) -> BTreeMap<&str, Duration> {
        let mut sums = BTreeMap::new();
        for span in &self.spans {
            let sum: &mut Duration = sums.entry(span.name.as_str()).or_default();
            *sum = sum.saturating_add(span.duration());
        }
        sums
    }

    /// The sums of a run that ended at `end`.
    pub fn totals(&self, end: Moment) -> Totals {
        let add = |sum: Duration, next| sum.saturating_add(next);
        Totals {
            wall: end.since(self.start),
            work: self
                .spans
                .iter()
                .map(Span::duration)
                .fold(Duration::ZERO, add),
            saved: self
                .saved
                .iter()
                .map(|(_, saved)| *saved)
                .fold(Duration::ZERO, add),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, ManualClock};

    #[test]
    fn side_by_side_tasks_sum_beyond_the_wall() {
        let clock = ManualClock::at(0);
        let mut timeline = Timeline::new(clock.now());
        let start = clock.now();
        clock.advance(Duration::from_secs(3));
        timeline.ran("a", start, clock.now());
        timeline.ran("b", start, clock.now());
        timeline.saved("c", Duration::from_secs(10));
        let totals = timeline.totals(clock.now());
        assert_eq!(totals.wall, Duration::from_secs(3));
        assert_eq!(totals.work, Duration::from_secs(6));
        assert_eq!(totals.saved, Duration::from_secs(10));
    }

    #[test]
    fn a_name_that_ran_twice_has_the_sum() {
        let mut timeline = Timeline::new(moment(0));
        timeline.ran("a", moment(0), moment(2));
        timeline.ran("a", moment(5), moment(6));
        timeline.ran("b", moment(9), moment(8));
        timeline.saved("c", Duration::from_nanos(4));
        let sums = timeline.by_name();
        assert_eq!(
            sums,
            BTreeMap::from([("a", Duration::from_nanos(3)), ("b", Duration::ZERO)])
        );
        assert_eq!(timeline.spans().len(), 3);
    }

    #[test]
    fn absurd_savings_saturate() {
        let mut timeline = Timeline::new(moment(0));
        timeline.saved("a", Duration::MAX);
        timeline.saved("b", Duration::MAX);
        assert_eq!(timeline.totals(moment(0)).saved, Duration::MAX);
    }

    fn moment(ns: u32) -> Moment {
        Moment {
            wall_ns: i64::from(ns),
            monotonic_ns: u64::from(ns),
        }
    }
}
