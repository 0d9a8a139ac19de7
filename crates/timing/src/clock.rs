//! Moments, and the two clocks that give them: the system's and one that tests move by hand.
//! Does not know what is being timed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// One instant, told twice: by the calendar, for people, and by a counter that never goes back, for durations.
///
/// Serialised as `{ "wall": RFC 3339, "monotonic_ns": integer }`. Moments of different clocks do not compare: the counter's
/// zero is the clock's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// Nanoseconds since 1970-01-01T00:00:00Z; may jump either way when the system's clock is set.
    #[serde(rename = "wall", with = "crate::format::wall")]
    pub wall_ns: i64,
    /// Nanoseconds since the clock's own zero; never less than an earlier reading of the same clock.
    pub monotonic_ns: u64,
}

/// A text that is no RFC 3339 time, or one outside the years 1677 to 2262 that 64-bit nanoseconds reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an RFC 3339 time between the years 1677 and 2262")]
pub struct TimeRangeError {
    /// The text that was refused.
    pub text: String,
}

impl Moment {
    /// The time from `earlier` to this moment by the monotonic counter; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.saturating_sub(earlier.monotonic_ns))
    }

    /// The wall time in UTC as RFC 3339 with nine digits of a second, such as `2023-11-14T22:13:20.000000000Z`.
    pub fn rfc3339(self) -> String {
        rfc3339(self.wall_ns)
    }
}

/// Writes nanoseconds since the epoch as RFC 3339 in UTC.
pub(crate) fn rfc3339(wall_ns: i64) -> String {
    DateTime::<Utc>::from_timestamp_nanos(wall_ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Reads RFC 3339, in any zone, as nanoseconds since the epoch.
pub(crate) fn parse_rfc3339(text: &str) -> Result<i64, TimeRangeError> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .and_then(|time| time.timestamp_nanos_opt())
        .ok_or_else(|| TimeRangeError {
            text: text.to_owned(),
        })
}

/// Tells the time.
///
/// Contract: of two calls in sequence, on any threads, the later never gives a lesser `monotonic_ns`. `wall_ns` promises
/// nothing. A wrong wall time is safe, since only people read it; a wrong counter makes durations wrong.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Moment;

    /// The counter of the present moment alone, which is cheaper to ask for than both.
    fn monotonic_ns(&self) -> u64 {
        self.now().monotonic_ns
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Moment {
        (**self).now()
    }

    fn monotonic_ns(&self) -> u64 {
        (**self).monotonic_ns()
    }
}

/// The system's clock. Its counter starts at zero when it is made.
#[derive(Debug)]
pub struct SystemClock {
    zero: Instant,
}

impl SystemClock {
    /// A clock whose counter starts now.
    pub fn new() -> Self {
        Self {
            zero: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let wall_ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => saturate_i64(after),
            Err(before) => saturate_i64(before.duration()).saturating_neg(),
        };
        Moment {
            wall_ns,
            monotonic_ns: self.monotonic_ns(),
        }
    }

    fn monotonic_ns(&self) -> u64 {
        let since = self.zero.elapsed();
        // In 64 bits all the way: this is most of what a span costs.
        since
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(since.subsec_nanos()))
    }
}

/// Why a [`ManualClock`] refused to move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The asked time lies before the present one.
    #[error("a clock does not go back: it stands at {now_ns} ns and was asked for {asked_ns} ns")]
    Backwards {
        /// Where the clock stands, in nanoseconds since the epoch.
        now_ns: i64,
        /// Where it was asked to go.
        asked_ns: i64,
    },
}

/// A clock that stands still until it is moved. Stricter than the real thing: its wall time does not go back either.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Moment>,
}

impl ManualClock {
    /// A clock that stands at `wall_ns` nanoseconds since the epoch, its counter at zero.
    pub fn at(wall_ns: i64) -> Self {
        Self {
            now: Mutex::new(Moment {
                wall_ns,
                monotonic_ns: 0,
            }),
        }
    }

    /// Moves both readings forward by `by`.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.wall_ns = now.wall_ns.saturating_add(saturate_i64(by));
        now.monotonic_ns = now.monotonic_ns.saturating_add(saturate_u64(by));
    }

    /// Moves the clock forward to `wall_ns`, and its counter by the same amount.
    ///
    /// # Errors
    /// [`ClockError::Backwards`] when `wall_ns` lies before the present; the clock then stays where it is.
    pub fn set(&self, wall_ns: i64) -> Result<(), ClockError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if wall_ns < now.wall_ns {
            return Err(ClockError::Backwards {
                now_ns: now.wall_ns,
                asked_ns: wall_ns,
            });
        }
        now.monotonic_ns = now
            .monotonic_ns
            .saturating_add(wall_ns.abs_diff(now.wall_ns));
        now.wall_ns = wall_ns;
        Ok(())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn saturate_u64(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn saturate_i64(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract of [`Clock`], run by every implementor.
    fn never_goes_back(clock: &dyn Clock) {
        let mut last = clock.now().monotonic_ns;
        for _ in 0..1000 {
            let now = clock.now().monotonic_ns;
            assert!(now >= last);
            last = clock.monotonic_ns();
            assert!(last >= now);
        }
        std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| clock.now().monotonic_ns).join().unwrap();
            assert!(elsewhere >= last);
            assert!(clock.now().monotonic_ns >= elsewhere);
        });
    }

    #[test]
    fn every_clock_keeps_the_contract() {
        never_goes_back(&SystemClock::new());
        never_goes_back(&ManualClock::at(0));
    }

    #[test]
    fn the_system_clock_knows_the_century() {
        assert!(SystemClock::new().now().wall_ns > parse_rfc3339("2020-01-01T00:00:00Z").unwrap());
    }

    #[test]
    fn a_manual_clock_stands_still_and_refuses_to_go_back() {
        let clock = ManualClock::at(100);
        assert_eq!(clock.now(), clock.now());
        clock.advance(Duration::from_nanos(5));
        assert_eq!(
            clock.now(),
            Moment {
                wall_ns: 105,
                monotonic_ns: 5
            }
        );
        assert_eq!(
            clock.set(104),
            Err(ClockError::Backwards {
                now_ns: 105,
                asked_ns: 104
            })
        );
        assert_eq!(
            clock.now(),
            Moment {
                wall_ns: 105,
                monotonic_ns: 5
            }
        );
        clock.set(200).unwrap();
        assert_eq!(
            clock.now(),
            Moment {
                wall_ns: 200,
                monotonic_ns: 100
            }
        );
    }

    #[test]
    fn since_never_underflows() {
        let early = Moment {
            wall_ns: 0,
            monotonic_ns: 1,
        };
        let late = Moment {
            wall_ns: 0,
            monotonic_ns: 4,
        };
        assert_eq!(late.since(early), Duration::from_nanos(3));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
