//! Time for a drain: the clock, waiting, and how long between tries.
//! Does not know what is tried.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So often a wait looks whether it is cancelled.
const TICK: Duration = Duration::from_millis(50);

/// A clock that can wait, and chance.
pub trait Pace: Send + Sync {
    /// Milliseconds since 1970.
    fn now(&self) -> u64;
    /// Waits so long, or until it is cancelled.
    fn wait(&self, time: Duration, cancel: &AtomicBool);
    /// A random number, all equally likely.
    fn random(&self) -> u64;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPace;

impl Pace for SystemPace {
    fn now(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        milliseconds(since)
    }

    fn wait(&self, time: Duration, cancel: &AtomicBool) {
        let end = Instant::now() + time;
        while !cancel.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    fn random(&self) -> u64 {
        // Without chance the longest wait is right.
        getrandom::u64().unwrap_or(u64::MAX)
    }
}

/// How long to wait between tries: exponential backoff with full jitter, a random time between nothing and a bound that doubles with
/// each failure. Many that failed together so come back one by one.
///
/// Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015:
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound after the first failure.
    pub base: Duration,
    /// What the bound never exceeds.
    pub cap: Duration,
}

impl Default for Backoff {
    /// From two seconds to ten minutes.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(2),
            cap: Duration::from_mins(10),
        }
    }
}

impl Backoff {
    /// The wait after so many failures, in milliseconds.
    pub fn delay(&self, failures: u32, random: u64) -> u64 {
        let doubled = 1_u64
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u64::MAX);
        let bound = milliseconds(self.base)
            .saturating_mul(doubled)
            .min(milliseconds(self.cap));
        // The high bits, scaled to the bound: no remainder prefers small numbers.
        let scaled = (u128::from(random) * (u128::from(bound) + 1)) >> 64;
        u64::try_from(scaled).unwrap_or(bound)
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_chance_takes_all_below() {
        let backoff = Backoff {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(1),
        };
        let bounds = [1, 2, 3, 4, 5, 64, 65, u32::MAX].map(|n| backoff.delay(n, u64::MAX));
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000, 1000, 1000]);
        assert_eq!(backoff.delay(3, 0), 0);
        assert_eq!(backoff.delay(3, u64::MAX / 2), 200);
    }

    #[test]
    fn a_cancelled_wait_ends() {
        let cancel = AtomicBool::new(true);
        SystemPace.wait(Duration::MAX / 4, &cancel);
    }
}
