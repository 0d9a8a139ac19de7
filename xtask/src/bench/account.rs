//! What Larder says of its own run, read from its record.
//! It knows only the fields that the harness checks.

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
    tasks: Vec<TaskAccount>,
    warnings: Vec<String>,
    counters: Counters,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct TaskAccount {
    task: String,
    status: String,
    warnings: Vec<String>,
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

    /// Whether the run did just this: so many tasks with that status, every other one up to date, and no complaint.
    pub(crate) fn claims(&self, status: &str, many: usize) -> Result<(), String> {
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
        if let Some(words) = self.warnings.iter().chain(complaints).next() {
            return Err(format!("it warned: {words}"));
        }
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
            "started": "now", "exit_code": 0, "tasks": tasks.collect::<Vec<_>>(), "warnings": [],
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
        let mut warned = account(&["ran"]);
        warned.tasks[0].warnings.push("not stored".to_owned());
        assert!(warned.claims("ran", 1).is_err());
    }
}
