//! What is remembered of one run, as plain data: the run itself, its phases and the tasks that took part.
//! Does not know where it is kept, or what a key is made of.

use serde::{Deserialize, Serialize};

/// One run and what took part in it.
///
/// All durations are nanoseconds of a counter that never goes back; `started` alone is wall time and for people only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Names the run; unique within a history.
    pub id: String,
    /// When it began: nanoseconds of wall time since 1970-01-01T00:00:00Z.
    pub started: i64,
    /// From its start to its end, in nanoseconds.
    pub duration_ns: u64,
    /// The machine it ran on. Durations of different machines are never compared.
    pub host: String,
    /// The commit that was checked out, when there was one.
    pub revision: Option<String>,
    /// The branch that was checked out, when there was one.
    pub branch: Option<String>,
    /// What was asked for, word by word.
    pub request: Vec<String>,
    /// How many tasks could run at once; 0 when it is not known.
    pub workers: u32,
    /// The exit code of the run.
    pub exit_code: u8,
    /// How many tasks were up to date and therefore have no row in `tasks`.
    pub up_to_date: u32,
    /// What the tasks that did not run once took, in nanoseconds: those of `tasks` and those that have no row there.
    pub saved_ns: u64,
    /// The parts of the run itself, in order.
    pub phases: Vec<Phase>,
    /// The tasks that took part, in the order in which they were recorded. Empty where only the run was asked for.
    pub tasks: Vec<TaskRow>,
}

impl RunRow {
    /// How many of its tasks ended in this state; those that have no row were up to date.
    pub fn count(&self, state: CacheState) -> u64 {
        let rows = self.tasks.iter().filter(|task| task.cache == state).count() as u64;
        match state {
            CacheState::UpToDate => rows.saturating_add(u64::from(self.up_to_date)),
            CacheState::Executed | CacheState::Restored => rows,
        }
    }

    /// Whether another run did the same work for the same request: the same tasks executed and restored, by as many workers. Only then can their
    /// phases be compared, since phases grow with the work.
    pub fn is_like(&self, other: &Self) -> bool {
        let work = |run: &Self| {
            let tasks = run.tasks.iter();
            let mut work: Vec<_> = tasks.map(|task| (task.task.clone(), task.cache)).collect();
            work.sort();
            work
        };
        self.request == other.request
            && self.workers == other.workers
            && self.up_to_date == other.up_to_date
            && self.tasks.len() == other.tasks.len()
            && work(self) == work(other)
    }
}

/// A named part of a run that is no task: reading the configuration, planning, writing state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What it is called.
    pub name: String,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
}

/// What one task did in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its name.
    pub task: String,
    /// When it began, in nanoseconds after the start of the run.
    pub start_ns: u64,
    /// How long it took, in nanoseconds: its commands when it was executed, the restore when it was restored.
    pub duration_ns: u64,
    /// User and system time of its process tree, in nanoseconds, where the system tells it.
    pub cpu_ns: Option<u64>,
    /// The largest resident memory of its process tree, in bytes, where the system tells it.
    pub peak_memory: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it was executed at all.
    pub cache: CacheState,
    /// Its key, when one was computed.
    pub key: Option<String>,
    /// Why it ran, or why it did not.
    pub reason: String,
    /// The worker that ran it, counted from 0.
    pub worker: Option<u32>,
    /// The tasks that it waited for.
    pub deps: Vec<String>,
    /// What it once took, in nanoseconds, when it did not run now.
    pub saved_ns: u64,
}

impl TaskRow {
    /// When it ended, in nanoseconds after the start of the run.
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// Whether its duration tells how long the task takes: it was executed and succeeded.
    pub fn is_measure(&self) -> bool {
        self.cache == CacheState::Executed && self.outcome == Outcome::Success
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All went well.
    #[default]
    Success,
    /// It failed by itself.
    Failure,
    /// It was ended from outside before it was done.
    Cancelled,
}

/// What was done for a task's outputs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CacheState {
    /// Its commands ran.
    #[default]
    Executed,
    /// Its outputs were unpacked from a cache.
    Restored,
    /// Its outputs were in place already.
    UpToDate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_alike_that_did_the_same_for_the_same_request() {
        let task = |cache: CacheState| TaskRow {
            task: format!("{cache:?}"),
            cache,
            ..TaskRow::default()
        };
        let run = RunRow {
            request: vec!["build".into()],
            up_to_date: 2,
            tasks: vec![task(CacheState::Executed), task(CacheState::Restored)],
            ..RunRow::default()
        };
        assert_eq!(run.count(CacheState::UpToDate), 2);
        let mut other = run.clone();
        other.tasks.swap(0, 1);
        other.duration_ns = 9;
        assert!(run.is_like(&other));
        other.tasks[0].cache = CacheState::Executed;
        assert!(!run.is_like(&other), "more was executed");
        let mut other = run.clone();
        other.tasks[0].task = "another".into();
        assert!(!run.is_like(&other), "as much, and not the same");
        let other = RunRow {
            workers: 9,
            ..run.clone()
        };
        assert!(!run.is_like(&other));
        let other = RunRow {
            request: vec!["test".into()],
            ..run.clone()
        };
        assert!(!run.is_like(&other));
    }
}
