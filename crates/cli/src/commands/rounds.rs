//! Rounds of runs that follow each other because files changed while tasks ran: tasks may change what they read themselves, for ever.
//! Does not know tasks, nor who changed the files.

use std::time::Duration;

/// So many runs in a row may be stopped for a change; the next one may end, or none ever would.
const STOPS: u32 = 3;
/// So many runs in a row may follow each other at once.
const ROUNDS: u32 = 5;
/// The longest pause before a run is a second doubled so often.
const DOUBLED: u32 = 9;

/// Runs in a row, each of which did something because files changed during the one before.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    stopped: u32,
    finished: u32,
}

impl Rounds {
    /// A run ended. `acted`: it did something; `stopped`: it was stopped for a change.
    pub(super) fn ended(&mut self, acted: bool, stopped: bool) {
        if stopped {
            self.stopped += 1;
        } else if acted {
            self.finished += 1;
        } else {
            self.rest();
        }
    }

    /// Nothing was left to do: what changes from here on, no task changed.
    pub(super) fn rest(&mut self) {
        *self = Rounds::default();
    }

    /// Whether the next run may be stopped for a change.
    pub(super) fn may_stop(&self) -> bool {
        self.stopped < STOPS
    }

    /// How long the next run waits. No change is lost by that: a later one ends the pause.
    pub(super) fn pause(&self) -> Option<Duration> {
        let more = self.finished.checked_sub(ROUNDS)?;
        Some(Duration::from_secs(1 << more.min(DOUBLED)))
    }

    /// Whether this is the first pause of them all.
    pub(super) fn is_first_pause(&self) -> bool {
        self.finished == ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_runs_follow_each_other_and_stops_have_an_end() {
        let mut rounds = Rounds::default();
        let mut pauses = Vec::new();
        for _ in 0..20 {
            rounds.ended(true, false);
            pauses.push(rounds.pause().map_or(0, |pause| pause.as_secs()));
        }
        assert_eq!(pauses[..8], [0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(pauses[19], 512);
        rounds.ended(false, false);
        assert_eq!(rounds.pause(), None);
        for _ in 0..3 {
            assert!(rounds.may_stop());
            rounds.ended(true, true);
        }
        assert!(!rounds.may_stop() && rounds.pause().is_none());
        rounds.rest();
        assert!(rounds.may_stop());
    }
}
