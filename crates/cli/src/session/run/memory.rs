//! The memory of a run's commands over time.
//! Does not know how it is measured, nor which task a command belongs to.

use std::time::{Duration, Instant};

use crate::execute::usage::Sample;

/// What was seen of the memory of one task's commands, and when they were over.
#[derive(Debug)]
pub(super) struct Samples {
    /// Oldest first.
    pub(super) samples: Vec<Sample>,
    /// When they were over.
    pub(super) ended: Instant,
}

/// The sum over all commands at each moment at which one of them was looked at or was over.
pub(super) fn together(began: Instant, all: &[Samples]) -> Vec<(Duration, u64)> {
    let mut events: Vec<(Instant, usize, u64)> = Vec::new();
    for (which, of) in all.iter().enumerate() {
        events.extend(
            of.samples
                .iter()
                .map(|sample| (sample.at, which, sample.bytes)),
        );
        if !of.samples.is_empty() {
            events.push((of.ended, which, 0));
        }
    }
    events.sort_unstable();
    let mut held = vec![0; all.len()];
    let mut sum = 0_u64;
    let mut told = Vec::with_capacity(events.len());
    for (at, which, bytes) in events {
        sum = sum - held[which] + bytes;
        held[which] = bytes;
        told.push((at.saturating_duration_since(began), sum));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_commands_that_run_together_adds_up_until_they_end() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let of = |samples: &[(u64, u64)], ended: u64| Samples {
            samples: samples
                .iter()
                .map(|&(ms, bytes)| Sample { at: at(ms), bytes })
                .collect(),
            ended: at(ended),
        };
        let all = [of(&[(1, 10), (5, 30)], 7), of(&[(2, 100)], 6), of(&[], 9)];
        let told: Vec<_> = together(began, &all)
            .into_iter()
            .map(|(after, sum)| (after.as_millis(), sum))
            .collect();
        assert_eq!(told, [(1, 10), (2, 110), (5, 130), (6, 30), (7, 0)]);
    }
}
