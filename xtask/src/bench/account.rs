//! What Larder says of its own run, read from its record.
//! It knows only the fields that the harness checks.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// The part of a run record that matters here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Account {
    /// When the run started: tells records apart.
    pub(crate) started: String,
    exit_code: u8,
    cache_hit: usize,
    cache_miss: usize,
    tasks: Vec<TaskAccount>,
    warnings: Vec<String>,
    counters: Counters,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct TaskAccount {
    task: String,
    status: String,
    warnings: Vec<String>,
    #[serde(default)]
    chunks: Option<Chunks>,
}

/// What became of the chunks of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Chunks {
    pub(crate) total: usize,
    pub(crate) up_to_date: usize,
    pub(crate) restored: usize,
    pub(crate) ran: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Counters {
    cache_faults: u64,
    bytes_hashed: u64,
}

impl Account {
    /// The record of the last run in the workspace at `root`.
    pub(crate) fn read(root: &Path) -> io::Result<Account> {
        let path = root.join(".larder/last-run.json");
        serde_json::from_slice(&fs::read(&path)?)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    }

    /// How many tasks ended so.
    pub(crate) fn count(&self, status: &str) -> usize {
        self.tasks
            .iter()
            .filter(|task| task.status == status)
            .count()
    }

    /// Bytes it digested.
    pub(crate) fn bytes_hashed(&self) -> u64 {
        self.counters.bytes_hashed
    }

    /// The share of tasks whose result was there.
    // Tasks are few.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn hit_ratio(&self) -> Option<f64> {
        let all = self.cache_hit + self.cache_miss;
        (all > 0).then(|| self.cache_hit as f64 / all as f64)
    }

    /// What became of all chunks.
    pub(crate) fn chunks(&self) -> Chunks {
        let mut sum = Chunks::default();
        for one in self.tasks.iter().filter_map(|task| task.chunks) {
            sum.total += one.total;
            sum.up_to_date += one.up_to_date;
            sum.restored += one.restored;
            sum.ran += one.ran;
        }
        sum
    }

    /// Whether just these tasks ran, every other one was up to date, and there is no complaint.
    pub(crate) fn ran_just(&self, wanted: &BTreeSet<String>) -> Result<(), String> {
        self.claims("ran", wanted.len())?;
        let ran = self.tasks.iter().filter(|task| task.status == "ran");
        match ran.map(|task| &task.task).find(|id| !wanted.contains(*id)) {
            Some(id) => Err(format!("{id} ran, which no edit reaches")),
            None => Ok(()),
        }
    }

    /// Whether there is nothing to complain of.
    pub(crate) fn is_clean(&self) -> Result<(), String> {
        if self.exit_code != 0 {
            return Err(format!("it ended with {}", self.exit_code));
        }
        if self.counters.cache_faults > 0 {
            return Err(format!(
                "{} faults of the cache",
                self.counters.cache_faults
            ));
        }
        let complaints = self.tasks.iter().flat_map(|task| &task.warnings);
        match self.warnings.iter().chain(complaints).next() {
            Some(words) => Err(format!("it warned: {words}")),
            None => Ok(()),
        }
    }

    /// Whether the run did just this: so many tasks with that status, every other one up to date, and no complaint.
    pub(crate) fn claims(&self, status: &str, many: usize) -> Result<(), String> {
        self.is_clean()?;
        let found = self.count(status);
        if found != many {
            return Err(format!("{found} tasks {status}, not {many}"));
        }
        let other = self
            .tasks
            .iter()
            .find(|task| task.status != status && task.status != "up-to-date");
        match other {
            Some(task) => Err(format!("{} is {}", task.task, task.status)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(statuses: &[&str]) -> Account {
        let tasks = statuses.iter().map(
            |status| serde_json::json!({ "task": "a#build", "status": status, "warnings": [] }),
        );
        let record = serde_json::json!({
            "started": "now", "exit_code": 0, "cache_hit": 3, "cache_miss": 1, "tasks": tasks.collect::<Vec<_>>(), "warnings": [],
            "counters": { "cache_faults": 0, "bytes_hashed": 7 },
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_run_that_did_something_else_is_found_out() {
        let ran = account(&["ran", "up-to-date", "ran"]);
        assert_eq!(ran.claims("ran", 2), Ok(()));
        assert!(ran.claims("ran", 3).is_err());
        assert!(ran.claims("up-to-date", 1).is_err(), "two ran beside it");
        assert!(account(&["ran", "failed"]).claims("ran", 1).is_err());
        let one = ["a#build".to_owned()].into();
        assert_eq!(account(&["up-to-date", "ran"]).ran_just(&one), Ok(()));
        let other = ["b#build".to_owned()].into();
        assert!(account(&["up-to-date", "ran"]).ran_just(&other).is_err());
        let mut warned = account(&["ran"]);
        warned.tasks[0].warnings.push("not stored".to_owned());
        assert!(warned.claims("ran", 1).is_err());
    }
}
