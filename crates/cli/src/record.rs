//! The run record: the JSON account of one run. Fields are documented in `docs/formats.md`.
//! Does not know how it was gathered or where it is kept.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::execute::Usage;
use crate::select::prune::LeftOut;

/// Version of the record's layout.
pub const VERSION: u32 = 1;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its outputs were already in place.
    UpToDate,
    /// Its outputs were unpacked from an artifact.
    Restored,
    /// It was executed and succeeded.
    Ran,
    /// It was executed and failed, or could not be started.
    Failed,
    /// It was not started: something failed or the run was interrupted.
    Skipped,
    /// It has no command and stands for its dependencies.
    Group,
}

/// What the cache did for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheUse {
    /// The result was there.
    Hit,
    /// It was not.
    Miss,
    /// It was not looked for: forced, or reading switched off.
    Bypassed,
    /// The task can have no entry.
    Off,
}

/// One task of a run.
#[derive(Debug, Clone, Serialize)]
pub struct TaskRecord {
    /// `project#task`.
    pub task: String,
    /// How it ended.
    pub status: Status,
    /// Its key, in hexadecimal.
    pub key: Option<String>,
    /// What the cache did.
    pub cache: CacheUse,
    /// Time of its commands in this run, in seconds; 0 when none ran.
    pub seconds: f64,
    /// Time its last run took that did not have to be spent again, in seconds.
    pub saved_seconds: f64,
    /// Why it ran, or why it could be skipped.
    pub why: Vec<String>,
    /// Whether the result was put into the cache.
    pub stored: bool,
    /// Why it was not, where it might have been.
    pub not_stored: Option<String>,
    /// The exit code that stands for its end, if it was executed.
    pub exit_code: Option<u8>,
    /// What went wrong.
    pub error: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// When its commands began, or it was begun to be restored, in seconds since the run began. Absent if it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_seconds: Option<f64>,
    /// When its commands ended, or it was restored, in seconds since the run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_seconds: Option<f64>,
    /// Which worker, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// So long it waited for another process that had the task, in seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub waited_seconds: f64,
    /// Processor time of its commands, in seconds, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// The most memory that one of its commands held with all that it started, in bytes, where that could be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// What became of its chunks, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunkCounts>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so.
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// What became of the chunks of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChunkCounts {
    /// All that there are now.
    pub total: usize,
    /// Those whose outputs were in place.
    pub up_to_date: usize,
    /// Those that came from the cache.
    pub restored: usize,
    /// Those that ran and succeeded.
    pub ran: usize,
    /// Those that ran and failed.
    pub failed: usize,
    /// Those of sources that are gone: their outputs were deleted.
    pub removed: usize,
    /// Those that would be redone, but a graph filter left them as they are.
    pub left_out: usize,
}

impl TaskRecord {
    /// A record with nothing said yet.
    pub fn new(task: String, status: Status) -> TaskRecord {
        TaskRecord {
            task,
            status,
            key: None,
            cache: CacheUse::Off,
            seconds: 0.0,
            saved_seconds: 0.0,
            why: Vec::new(),
            stored: false,
            not_stored: None,
            exit_code: None,
            error: None,
            warnings: Vec::new(),
            start_seconds: None,
            end_seconds: None,
            worker: None,
            waited_seconds: 0.0,
            cpu_seconds: None,
            peak_memory: None,
            chunks: None,
        }
    }

    /// Adds what commands of the task used.
    pub fn used(&mut self, usage: &Usage) {
        if let Some(cpu) = usage.cpu {
            *self.cpu_seconds.get_or_insert(0.0) += cpu.as_secs_f64();
        }
        self.peak_memory = self.peak_memory.max(usage.peak_memory);
    }
}

/// What went wrong with a run as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct RunError {
    /// `task-failed`, `interrupted`, `usage` or `configuration`.
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

/// Work counted during a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    /// Files and folders looked at.
    pub stat_calls: u64,
    /// Folders listed.
    pub folders_listed: u64,
    /// Content bytes hashed.
    pub bytes_hashed: u64,
    /// Digests taken from the stat memo.
    pub memo_hits: u64,
    /// Digests the memo did not hold.
    pub memo_misses: u64,
    /// State files written.
    pub state_writes: u64,
    /// Bytes written by restores.
    pub bytes_restored: u64,
    /// Faults of the cache that cost work but no task.
    pub cache_faults: u64,
    /// Largest memory of the process so far, in bytes; 0 where the system does not tell.
    pub peak_memory: u64,
}

/// The account of one run.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Version of the program.
    pub larder: &'static str,
    /// When it started, RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub wall_seconds: f64,
    /// Task names as asked for.
    pub request: Vec<String>,
    /// Exit code of the run.
    pub exit_code: u8,
    /// What went wrong, if anything.
    pub error: Option<RunError>,
    /// Tasks whose result was there.
    pub cache_hit: usize,
    /// Tasks whose result had to be made.
    pub cache_miss: usize,
    /// Sum of the seconds of tasks that were executed.
    pub rebuild_seconds: f64,
    /// Sum of the seconds that did not have to be spent again.
    pub saved_seconds: f64,
    /// What each phase of the run took over all threads, in seconds; phases that took no time are left out.
    pub phases: BTreeMap<String, f64>,
    /// The tasks, by name.
    pub tasks: Vec<TaskRecord>,
    /// The tasks that a graph filter left out; the field is absent where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Warnings about the run as a whole.
    pub warnings: Vec<String>,
    /// Work counted.
    pub counters: Counters,
    /// What `--show-cache` shows: printed, not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_cache: Option<serde_json::Value>,
}

/// Largest memory of this process so far, in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
