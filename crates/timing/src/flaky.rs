//! Tasks that succeed and fail under one key: what they do does not follow from what they read.
//! Does not know why they fail.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{CacheState, Outcome, TaskRow};

/// A task that had different outcomes under the same key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flaky {
    /// Its name.
    pub task: String,
    /// Under how many keys it both succeeded and failed.
    pub keys: usize,
    /// How often it failed under keys under which it can succeed.
    pub failures: usize,
    /// How often it was executed under those keys.
    pub executions: usize,
    /// `failures` of `executions`, from 0 to 1.
    pub rate: f64,
}

/// The tasks that failed under a key under which they also succeeded, the most unreliable first.
///
/// Only executions count. A key under which a task always failed says that it is broken, not that it is flaky, and is left out of the
/// rate. What was cancelled has no outcome of its own.
#[allow(clippy::cast_precision_loss)]
pub fn flaky<'a>(rows: impl IntoIterator<Item = &'a TaskRow>) -> Vec<Flaky> {
    // Of each task and key: how often it succeeded and failed.
    let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for row in rows {
        let Some(key) = row
            .key
            .as_deref()
            .filter(|_| row.cache == CacheState::Executed)
        else {
            continue;
        };
        let (successes, failures) = counts.entry((&row.task, key)).or_default();
        match row.outcome {
            Outcome::Success => *successes += 1,
            Outcome::Failure => *failures += 1,
            Outcome::Cancelled => {}
        }
    }
    let tasks: BTreeSet<&str> = counts.keys().map(|(task, _)| *task).collect();
    let mut found: Vec<Flaky> = tasks
        .into_iter()
        .filter_map(|task| {
            let keys = counts
                .range((task, "")..)
                .take_while(|((name, _), _)| *name == task)
                .map(|(_, counts)| *counts)
                .filter(|(successes, _)| *successes > 0);
            let (mut both, mut failures, mut executions) = (0, 0, 0);
            for (good, bad) in keys {
                both += usize::from(bad > 0);
                failures += bad;
                executions += good + bad;
            }
            (both > 0).then(|| Flaky {
                task: task.to_owned(),
                keys: both,
                failures,
                executions,
                rate: failures as f64 / executions as f64,
            })
        })
        .collect();
    found.sort_by(|one, other| other.rate.total_cmp(&one.rate));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(task: &str, key: Option<&str>, outcome: Outcome, cache: CacheState) -> TaskRow {
        TaskRow {
            task: task.into(),
            key: key.map(str::to_owned),
            outcome,
            cache,
            ..TaskRow::default()
        }
    }

    #[test]
    fn the_same_key_with_both_outcomes_is_flaky() {
        use CacheState::{Executed, Restored};
        use Outcome::{Cancelled, Failure, Success};
        let rows = [
            row("flaky", Some("1"), Failure, Executed),
            row("flaky", Some("1"), Success, Executed),
            row("flaky", Some("2"), Success, Executed),
            row("flaky", Some("3"), Failure, Executed),
            row("worse", Some("1"), Failure, Executed),
            row("worse", Some("1"), Failure, Executed),
            row("worse", Some("1"), Success, Executed),
            row("broken", Some("1"), Failure, Executed),
            row("broken then mended", Some("1"), Failure, Executed),
            row("broken then mended", Some("2"), Success, Executed),
            row("restored", Some("1"), Failure, Executed),
            row("restored", Some("1"), Success, Restored),
            row("cancelled", Some("1"), Cancelled, Executed),
            row("cancelled", Some("1"), Success, Executed),
            row("no key", None, Failure, Executed),
            row("no key", None, Success, Executed),
        ];
        let found = flaky(&rows);
        let told: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    found.task.as_str(),
                    found.keys,
                    found.failures,
                    found.executions,
                )
            })
            .collect();
        assert_eq!(told, [("worse", 1, 2, 3), ("flaky", 1, 1, 3)]);
        assert!((found[1].rate - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(flaky(&[]), []);
    }
}
