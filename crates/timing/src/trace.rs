//! A run as a trace in Chrome's event format, which Perfetto, speedscope and `chrome://tracing` open.
//! Does not know where the trace is kept.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::lanes::{Lanes, lanes};
use crate::run::{CacheState, Outcome, RunRow, TaskRow};

/// What a trace is made of.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// The run and its tasks.
    pub run: &'a RunRow,
    /// When its phases were. Without any, those of the run are taken to have followed each other from its start.
    pub phases: &'a [PhaseSpan],
    /// How much memory was in use; may be empty.
    pub memory: &'a [MemorySample],
}

/// When a part of the run itself was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseSpan {
    /// What it is called.
    pub name: String,
    /// When it began, in nanoseconds after the start of the run.
    pub start_ns: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
}

/// The memory in use at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySample {
    /// When it was taken, in nanoseconds after the start of the run.
    pub at_ns: u64,
    /// Resident bytes of all tasks' processes together.
    pub bytes: u64,
}

/// The one process of a trace.
const PROCESS: u32 = 1;
/// The lane of the phases; lanes of tasks follow.
const PHASES: usize = 0;

/// Writes the trace as one JSON object with one event a line.
///
/// It has a lane for the phases and one for each worker, with the tasks as slices that carry key, reason, cache state,
/// outcome, processor time and peak memory; an arrow for each dependency between tasks that took part; and counters of
/// running tasks and of memory. Times are microseconds after the start of the run.
///
/// # Errors
/// What `out` gives.
pub fn chrome(profile: &Profile<'_>, mut out: impl Write) -> io::Result<()> {
    let run = profile.run;
    let about = json!({
        "run": run.id,
        "started": rfc3339(run.started),
        "host": run.host,
        "revision": run.revision,
        "branch": run.branch,
        "request": run.request.join(" "),
    });
    writeln!(
        out,
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":["
    )?;
    let mut first = true;
    for event in events(profile) {
        if !first {
            writeln!(out, ",")?;
        }
        first = false;
        write!(out, "{event}")?;
    }
    writeln!(out, "\n]}}")
}

/// All events: first the names, then the rest by time.
fn events(profile: &Profile<'_>) -> Vec<Value> {
    let run = profile.run;
    let lanes = lanes(&run.tasks, run.workers);
    let mut events = names(run, &lanes);
    let mut timed: Vec<(u64, Value)> = phases(profile);
    for (task, lane) in run.tasks.iter().zip(&lanes.of) {
        timed.push((task.start_ns, slice(task, lane + 1)));
    }
    timed.extend(arrows(&run.tasks, &lanes));
    timed.extend(running(&run.tasks));
    timed.extend(profile.memory.iter().map(|sample| {
        let args = json!({ "bytes": sample.bytes });
        (sample.at_ns, counter("memory", sample.at_ns, &args))
    }));
    // Stable: of events at one moment, slices come before the arrows that bind to them.
    timed.sort_by_key(|(at, _)| *at);
    events.extend(timed.into_iter().map(|(_, event)| event));
    events
}

/// What the process and its lanes are called, and in which order they lie.
fn names(run: &RunRow, lanes: &Lanes) -> Vec<Value> {
    let name = ["larder run".to_owned()]
        .into_iter()
        .chain(run.request.clone());
    let name: Vec<String> = name.collect();
    let mut events = vec![json!({
        "ph": "M", "pid": PROCESS, "tid": PHASES, "name": "process_name", "args": { "name": name.join(" ") },
    })];
    let lanes = ["phases".to_owned()].into_iter().chain(lanes.names.clone());
    for (lane, name) in lanes.enumerate() {
        events.push(json!({
            "ph": "M", "pid": PROCESS, "tid": lane, "name": "thread_name", "args": { "name": name },
        }));
        events.push(json!({
            "ph": "M", "pid": PROCESS, "tid": lane, "name": "thread_sort_index", "args": { "sort_index": lane },
        }));
    }
    events
}

/// The phases as slices of the first lane. One that begins before another ended is shortened to fit into it, since slices
/// of a lane must nest.
fn phases(profile: &Profile<'_>) -> Vec<(u64, Value)> {
    let mut spans = profile.phases.to_vec();
    if spans.is_empty() {
        let mut start_ns = 0;
        for phase in &profile.run.phases {
            spans.push(PhaseSpan {
                name: phase.name.clone(),
                start_ns,
                duration_ns: phase.duration_ns,
            });
            start_ns += phase.duration_ns;
        }
    }
    // Of those that begin together, the longest encloses the others.
    spans.sort_by_key(|span| (span.start_ns, u64::MAX - span.duration_ns));
    let mut open: Vec<u64> = Vec::new();
    let mut events = Vec::new();
    for span in spans {
        open.retain(|end| *end > span.start_ns);
        let mut end = span.start_ns.saturating_add(span.duration_ns);
        if let Some(around) = open.last() {
            end = end.min(*around);
        }
        open.push(end);
        let event = json!({
            "ph": "X", "pid": PROCESS, "tid": PHASES, "cat": "phase", "name": span.name,
            "ts": micros(span.start_ns), "dur": micros(end - span.start_ns),
        });
        events.push((span.start_ns, event));
    }
    events
}

/// One task.
fn slice(task: &TaskRow, lane: usize) -> Value {
    let cache = match task.cache {
        CacheState::Executed => "executed",
        CacheState::Restored => "restored",
        CacheState::UpToDate => "up-to-date",
    };
    let outcome = match task.outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Cancelled => "cancelled",
    };
    let mut args = Map::new();
    args.insert("cache".to_owned(), cache.into());
    args.insert("outcome".to_owned(), outcome.into());
    args.insert("reason".to_owned(), task.reason.clone().into());
    if let Some(key) = &task.key {
        args.insert("key".to_owned(), key.clone().into());
    }
    if let Some(cpu) = task.cpu_ns {
        args.insert("cpu_ms".to_owned(), millis(cpu).into());
    }
    if let Some(peak) = task.peak_memory {
        args.insert("peak_memory_bytes".to_owned(), peak.into());
    }
    if task.saved_ns > 0 {
        args.insert("saved_ms".to_owned(), millis(task.saved_ns).into());
    }
    json!({
        "ph": "X", "pid": PROCESS, "tid": lane, "cat": format!("task,{cache},{outcome}"), "name": task.task,
        "ts": micros(task.start_ns), "dur": micros(task.duration_ns), "args": args,
    })
}

/// An arrow from each task to those that waited for it.
fn arrows(tasks: &[TaskRow], lanes: &Lanes) -> Vec<(u64, Value)> {
    let by_name: HashMap<&str, usize> = tasks
        .iter()
        .enumerate()
        .map(|(at, task)| (task.task.as_str(), at))
        .collect();
    let mut events = Vec::new();
    let mut id = 0_u64;
    for (to, task) in tasks.iter().enumerate() {
        let known = task.deps.iter().filter_map(|dep| by_name.get(dep.as_str()));
        // By a damaged record a task may have begun before what it waited for.
        let earlier = |from: &usize| *from != to && tasks[*from].start_ns <= task.start_ns;
        for from in known.copied().filter(earlier) {
            id += 1;
            // An arrow binds to the slice that is open at its moment, and none is at the very end.
            let dep = &tasks[from];
            let leaves = dep
                .end_ns()
                .saturating_sub(1)
                .min(task.start_ns)
                .max(dep.start_ns);
            let mut arrow = |ph: &str, lane: usize, at: u64| {
                let mut event = json!({
                    "ph": ph, "pid": PROCESS, "tid": lane + 1, "cat": "dependency", "name": "dependency",
                    "id": id, "ts": micros(at),
                });
                if ph == "f" {
                    event["bp"] = "e".into();
                }
                events.push((at, event));
            };
            arrow("s", lanes.of[from], leaves);
            arrow("f", lanes.of[to], task.start_ns);
        }
    }
    events
}

/// How many tasks ran, at each moment at which that changed.
fn running(tasks: &[TaskRow]) -> Vec<(u64, Value)> {
    let mut changes: Vec<(u64, i64)> = tasks
        .iter()
        .filter(|task| task.duration_ns > 0)
        .flat_map(|task| [(task.start_ns, 1), (task.end_ns(), -1)])
        .collect();
    changes.sort_unstable();
    let mut count = 0;
    let mut events: Vec<(u64, Value)> = Vec::new();
    for (at, change) in changes {
        count += change;
        let event = (at, counter("running tasks", at, &json!({ "tasks": count })));
        match events.last_mut() {
            Some(last) if last.0 == at => *last = event,
            _ => events.push(event),
        }
    }
    events
}

fn counter(name: &str, at: u64, args: &Value) -> Value {
    json!({ "ph": "C", "pid": PROCESS, "tid": PHASES, "name": name, "ts": micros(at), "args": args })
}

/// Microseconds, as the format wants them, with the nanoseconds as decimals.
#[allow(clippy::cast_precision_loss)] // Exact for a hundred days.
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[allow(clippy::cast_precision_loss)] // As above.
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
