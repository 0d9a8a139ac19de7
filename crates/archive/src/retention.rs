//! Retention: which entries may go.
//! Does not know how they are removed, nor what time it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::EntryId;
use crate::index::Summary;
use crate::time::Time;

/// What is kept of the entries without tags. An entry goes when any of the bounds says so; without bounds, none does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retention {
    /// So many of the newest.
    pub count: Option<usize>,
    /// Those that are no older, in seconds.
    pub age_seconds: Option<f64>,
    /// The newest whose bundles together have no more bytes.
    pub bytes: Option<u64>,
}

/// The entries that may go, oldest first. Never among them: entries with tags, which no bound counts either; the last accepted entry of a
/// workspace, for gates compare with it; and those that `held` names, such as entries that are still to be mirrored.
pub fn plan_prune(
    summaries: &[Summary],
    retention: &Retention,
    now: Time,
    held: &dyn Fn(EntryId) -> bool,
) -> Vec<EntryId> {
    let mut newest: Vec<&Summary> = summaries.iter().collect();
    newest.sort_by_key(|summary| std::cmp::Reverse(summary.id));
    let mut baselines = BTreeMap::new();
    for summary in &newest {
        if summary.is_baseline() {
            baselines
                .entry(summary.workspace.as_str())
                .or_insert(summary.id);
        }
    }
    let baselines: BTreeSet<EntryId> = baselines.into_values().collect();
    let (mut count, mut bytes, mut full) = (0, 0_u64, false);
    let mut gone = Vec::new();
    for summary in newest {
        if !summary.tags.is_empty() {
            continue;
        }
        count += 1;
        bytes = bytes.saturating_add(summary.bytes);
        // What is older than the first that does not fit goes as well: no gaps for the sake of small entries.
        full |= retention.bytes.is_some_and(|most| bytes > most);
        let aged = retention
            .age_seconds
            .is_some_and(|most| now.seconds_since(summary.created) > most);
        let goes = full || aged || retention.count.is_some_and(|most| count > most);
        if goes && !baselines.contains(&summary.id) && !held(summary.id) {
            gone.push(summary.id);
        }
    }
    gone.reverse();
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{ArchiveEntry, EntryStatus};
    use crate::run::RunRecord;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    /// Entries of the seconds 0, 1, 2, …, of 10 bytes each.
    fn entries(count: i64) -> Vec<Summary> {
        (0..count)
            .map(|second| {
                let time = Time::from_nanos(second * SECOND);
                let entry = ArchiveEntry::new(EntryId::new(time, 1), time, RunRecord::default());
                let mut summary = Summary::of(&entry);
                summary.bytes = 10;
                summary
            })
            .collect()
    }

    /// The seconds of what would go at second 10.
    fn gone(entries: &[Summary], retention: Retention) -> Vec<i64> {
        plan_prune(entries, &retention, Time::from_nanos(10 * SECOND), &|_| {
            false
        })
        .iter()
        .map(|id| id.time().nanos() / SECOND)
        .collect()
    }

    #[test]
    fn each_bound_takes_the_oldest() {
        let all = entries(5);
        assert!(gone(&all, Retention::default()).is_empty());
        let count = Retention {
            count: Some(3),
            ..Retention::default()
        };
        assert_eq!(gone(&all, count), [0, 1]);
        let age = Retention {
            age_seconds: Some(8.0),
            ..Retention::default()
        };
        assert_eq!(gone(&all, age), [0, 1], "exactly 8 seconds may stay");
        let size = Retention {
            bytes: Some(39),
            ..Retention::default()
        };
        assert_eq!(gone(&all, size), [0, 1]);
        let nothing = Retention {
            count: Some(0),
            ..Retention::default()
        };
        assert_eq!(gone(&all, nothing), [0, 1, 2, 3], "the baseline stays");
    }

    #[test]
    fn tagged_held_and_last_accepted_entries_stay() {
        let mut all = entries(5);
        all[0].tags.insert("v1".into());
        all[4].status = EntryStatus::Rejected;
        all[1].workspace = "other".into();
        let nothing = Retention {
            count: Some(0),
            age_seconds: Some(0.0),
            bytes: Some(0),
        };
        assert_eq!(gone(&all, nothing), [2, 4]);
        let held = all[2].id;
        let left = plan_prune(&all, &nothing, Time::from_nanos(10 * SECOND), &|id| {
            id == held
        });
        assert_eq!(left, [all[4].id]);
    }

    #[test]
    fn a_large_entry_leaves_no_gap() {
        let mut all = entries(4);
        all[2].bytes = 1000;
        let size = Retention {
            bytes: Some(100),
            ..Retention::default()
        };
        assert_eq!(gone(&all, size), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn nothing_that_has_to_stay_goes(count in 0..6_usize, tags: [bool; 6], rejected: [bool; 6], bytes in 0..80_u64) {
            let mut all = entries(6);
            for (at, summary) in all.iter_mut().enumerate() {
                if tags[at] { summary.tags.insert("t".into()); }
                if rejected[at] { summary.status = EntryStatus::Rejected; }
            }
            let retention = Retention { count: Some(count), age_seconds: None, bytes: Some(bytes) };
            let gone = gone(&all, retention);
            for second in 0..6_usize {
                let went = gone.contains(&i64::try_from(second).unwrap());
                prop_assert!(!(went && tags[second]));
                let newer = (second..6).filter(|&one| !tags[one]).count();
                let fits = newer <= count && 10 * newer as u64 <= bytes;
                prop_assert!(!(went && fits));
                let baseline = (0..6).rev().find(|&one| !rejected[one]) == Some(second);
                prop_assert_eq!(went, !fits && !tags[second] && !baseline);
            }
        }
    }
}
