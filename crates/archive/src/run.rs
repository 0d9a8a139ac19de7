//! The record of a run inside an entry: kept as it came, with a typed view of the fields that an archive asks for.
//! Does not know the rest of the record, and keeps it all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// A run record as JSON, and what was read from it. Serialised as the JSON alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRecord {
    json: Value,
    summary: RunSummary,
}

/// A run record that does not hold what an archive asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of the run cannot be read: {why}")]
pub struct RunError {
    /// What is wrong.
    pub why: String,
}

/// What an archive reads in a run record. Fields that a record lacks have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Version of the program.
    pub larder: String,
    /// When the run started, RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub wall_seconds: f64,
    /// Task names as asked for.
    pub request: Vec<String>,
    /// Its exit code.
    pub exit_code: u8,
    /// Tasks whose result was there.
    pub cache_hit: u64,
    /// Tasks whose result had to be made.
    pub cache_miss: u64,
    /// Sum of the seconds of tasks that were executed.
    pub rebuild_seconds: f64,
    /// Sum of the seconds that did not have to be spent again.
    pub saved_seconds: f64,
    /// Seconds that each phase of the run took, over all threads.
    pub phases: BTreeMap<String, f64>,
    /// The tasks, by name.
    pub tasks: Vec<TaskSummary>,
}

/// One task of a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TaskSummary {
    /// `project#task`.
    pub task: String,
    /// How it ended.
    pub status: TaskStatus,
    /// Its key, in hexadecimal.
    #[serde(default)]
    pub key: Option<String>,
    /// Time of its commands in this run, in seconds.
    #[serde(default)]
    pub seconds: f64,
    /// Time that did not have to be spent again, in seconds.
    #[serde(default)]
    pub saved_seconds: f64,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskStatus {
    /// Its outputs were already in place.
    UpToDate,
    /// Its outputs came from the cache.
    Restored,
    /// It was executed and succeeded.
    Ran,
    /// It was executed and failed, or could not be started.
    Failed,
    /// It was not started.
    Skipped,
    /// It has no command and stands for its dependencies.
    Group,
    /// Something this version does not know. It never counts as passed.
    #[serde(other)]
    Unknown,
}

impl RunRecord {
    /// Takes the record of a run, as its program wrote it.
    ///
    /// # Errors
    /// When a field that archives ask for has another type.
    pub fn new(json: Value) -> Result<Self, RunError> {
        if json.is_null() {
            return Ok(Self::default());
        }
        let summary = RunSummary::deserialize(&json).map_err(|error| RunError {
            why: error.to_string(),
        })?;
        Ok(Self { json, summary })
    }

    /// The record, whole; `null` in an entry without a run.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// What archives ask for.
    pub fn summary(&self) -> &RunSummary {
        &self.summary
    }
}

impl TaskSummary {
    /// The project's name: what stands before `#`.
    pub fn project(&self) -> &str {
        self.task
            .rsplit_once('#')
            .map_or("", |(project, _)| project)
    }

    /// The task's name within its project.
    pub fn name(&self) -> &str {
        self.task
            .rsplit_once('#')
            .map_or(self.task.as_str(), |(_, name)| name)
    }
}

impl TaskStatus {
    /// Whether the task's result is good: in place, from the cache, or made. A group is no result.
    pub fn passed(self) -> bool {
        matches!(self, Self::UpToDate | Self::Restored | Self::Ran)
    }

    /// Whether its commands were executed in the run.
    pub fn was_executed(self) -> bool {
        matches!(self, Self::Ran | Self::Failed)
    }
}

impl Serialize for RunRecord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(to)
    }
}

impl<'de> Deserialize<'de> for RunRecord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(Value::deserialize(from)?).map_err(D::Error::custom)
    }
}
