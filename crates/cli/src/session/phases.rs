//! What the work of a run is divided into, and how much of it each part took.
//! Does not know how it is shown.

use std::collections::BTreeMap;

use larder_timing::{Phase, SpanRow};

/// Reading the configuration, the state and the memo.
pub const LOAD: &str = "load";
/// From the request to the graph.
pub const PLAN: &str = "plan";
/// Finding inputs and outputs, digesting them, making keys.
pub const FINGERPRINT: &str = "fingerprint";
/// Asking the cache and unpacking what it has.
pub const RESTORE: &str = "restore";
/// The commands of tasks.
pub const COMMANDS: &str = "commands";
/// Looking at inputs and outputs again after the commands.
pub const JUDGE: &str = "judge";
/// Packing results and putting them into the cache.
pub const STORE: &str = "store";
/// Writing what later runs go by.
pub const REMEMBER: &str = "remember";

/// The parts in the order in which they come.
const ALL: [&str; 8] = [
    LOAD,
    PLAN,
    FINGERPRINT,
    RESTORE,
    COMMANDS,
    JUDGE,
    STORE,
    REMEMBER,
];

/// What each part took, over all threads; a part within another counts there alone. Parts that took no time are left out.
pub fn phases(spans: &[SpanRow]) -> Vec<Phase> {
    let mut within: BTreeMap<_, u64> = BTreeMap::new();
    for span in spans {
        if let Some(parent) = span.parent {
            *within.entry(parent).or_default() += span.duration_ns;
        }
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for span in spans {
        let others = within.get(&span.id).copied().unwrap_or(0);
        *sums.entry(&span.name).or_default() += span.duration_ns.saturating_sub(others);
    }
    let phase = |name: &str| {
        let duration_ns = sums.get(name).copied().filter(|ns| *ns > 0)?;
        Some(Phase {
            name: name.to_owned(),
            duration_ns,
        })
    };
    ALL.into_iter().filter_map(phase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_timing::{ManualClock, TimingContext};
    use std::time::Duration;

    #[test]
    fn a_part_within_another_counts_once() {
        let clock = ManualClock::at(0);
        let timing = TimingContext::new(&clock);
        let tick = || clock.advance(Duration::from_nanos(10));
        for _ in 0..2 {
            let _judge = timing.span(JUDGE);
            tick();
            timing.measure(STORE, || {
                tick();
                tick();
            });
        }
        timing.measure(LOAD, || ());
        let told: Vec<_> = phases(&timing.take())
            .into_iter()
            .map(|phase| (phase.name, phase.duration_ns))
            .collect();
        assert_eq!(told, [(JUDGE.to_owned(), 20), (STORE.to_owned(), 40)]);
    }
}
