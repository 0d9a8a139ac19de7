//! What decided the length of a run: its critical path as it happened, the slack of each task, and what would have been otherwise.
//! Does not know why a task ran, or how long it takes on another day.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{RunRow, TaskRow};

/// What a task had to wait for before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitedFor {
    /// Nothing but the start of the run.
    Start,
    /// A task whose outputs it needs.
    Dependency,
    /// A task that took up its worker.
    Worker,
}

/// A task on the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The index of the task in the run.
    pub task: usize,
    /// What it had waited for: the step before, unless this is the first.
    pub waited_for: WaitedFor,
    /// The time between the end of that and its own start, in nanoseconds: neither work nor a wait for work.
    pub gap_ns: u64,
}

/// What a run's times say about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// The chain that decided when the last task ended, first to last: each began when the one before had ended.
    pub critical_path: Vec<Step>,
    /// The sum of the durations on it, in nanoseconds.
    pub critical_ns: u64,
    /// For each task of the run, how much later it could have ended without making the run longer, in nanoseconds, each worker
    /// keeping its tasks in their order.
    pub slack_ns: Vec<u64>,
    /// The sum of all durations, in nanoseconds.
    pub busy_ns: u64,
    /// From the first start of a task to the last end, in nanoseconds.
    pub span_ns: u64,
    /// How many workers there were: as the run says, or else as many as ran at once.
    pub workers: u32,
    /// The share of the workers' time in `span_ns` in which they were busy, from 0 to 1. 0 for a run without tasks.
    pub efficiency: f64,
    /// What the cache spared, in nanoseconds of work.
    pub saved_ns: u64,
}

/// Finds what decided the length of a run. Dependencies that took no part in the run are passed over.
#[allow(clippy::cast_precision_loss)]
pub fn analyse(run: &RunRow) -> Analysis {
    let tasks = &run.tasks;
    let deps = indices(tasks);
    let blockers = blockers(tasks, &deps);
    let mut critical_path = Vec::new();
    // Of those that ended last, the first recorded.
    let mut at = (0..tasks.len()).rev().max_by_key(|&at| tasks[at].end_ns());
    while let Some(task) = at {
        let (blocker, waited_for) = blockers[task];
        let from = blocker.map_or(first_start(tasks), |blocker| tasks[blocker].end_ns());
        critical_path.push(Step {
            task,
            waited_for,
            gap_ns: tasks[task].start_ns.saturating_sub(from),
        });
        at = blocker;
    }
    critical_path.reverse();
    let last_end = tasks.iter().map(TaskRow::end_ns).max().unwrap_or(0);
    let span_ns = last_end - first_start(tasks).min(last_end);
    let busy_ns = tasks
        .iter()
        .fold(0_u64, |sum, task| sum.saturating_add(task.duration_ns));
    let workers = run.workers.max(most_at_once(tasks));
    let available = span_ns as f64 * f64::from(workers);
    Analysis {
        critical_ns: critical_path.iter().fold(0, |sum, step| {
            tasks[step.task].duration_ns.saturating_add(sum)
        }),
        critical_path,
        slack_ns: slack(tasks, &deps, &blockers, last_end),
        busy_ns,
        span_ns,
        workers,
        efficiency: if available > 0.0 {
            busy_ns as f64 / available
        } else {
            0.0
        },
        saved_ns: run.saved_ns,
    }
}

/// A change to a run, thought through by [`what_if`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The tasks of this name take no time.
    Free(&'a str),
    /// So many workers, at least one.
    Workers(u32),
}

/// A run as it would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIf {
    /// How long the tasks of the run take when they are scheduled anew with the recorded durations, in nanoseconds.
    pub planned_ns: u64,
    /// How long they take so with the change, in nanoseconds. A schedule is not always the best one, so that it may even be longer.
    pub changed_ns: u64,
    /// The run's own duration with that difference applied, in nanoseconds.
    pub run_ns: u64,
}

/// Schedules the tasks of a run again with their recorded durations and a change: always the task first that has the longest chain of
/// tasks behind it, as soon as its dependencies are done and a worker is free.
pub fn what_if(run: &RunRow, change: Change<'_>) -> WhatIf {
    let workers = run.workers.max(most_at_once(&run.tasks)).max(1);
    let durations: Vec<u64> = run.tasks.iter().map(|task| task.duration_ns).collect();
    let deps = indices(&run.tasks);
    let planned_ns = schedule(&durations, &deps, workers);
    let changed_ns = match change {
        Change::Workers(count) => schedule(&durations, &deps, count.max(1)),
        Change::Free(name) => {
            let without =
                |(task, duration): (&TaskRow, u64)| if task.task == name { 0 } else { duration };
            let durations: Vec<u64> = run.tasks.iter().zip(durations).map(without).collect();
            schedule(&durations, &deps, workers)
        }
    };
    WhatIf {
        planned_ns,
        changed_ns,
        run_ns: run
            .duration_ns
            .saturating_add(changed_ns)
            .saturating_sub(planned_ns),
    }
}

/// For each task the indices of its dependencies that took part. Only what began later waited: this also keeps a record that contradicts
/// itself from leading round in circles.
fn indices(tasks: &[TaskRow]) -> Vec<Vec<usize>> {
    let by_name: HashMap<&str, usize> = tasks
        .iter()
        .enumerate()
        .map(|(at, task)| (task.task.as_str(), at))
        .collect();
    let before = |one: usize, other: usize| order(tasks, one) < order(tasks, other);
    tasks
        .iter()
        .enumerate()
        .map(|(at, task)| {
            let deps = task
                .deps
                .iter()
                .filter_map(|dep| by_name.get(dep.as_str()).copied());
            deps.filter(|&dep| before(dep, at)).collect()
        })
        .collect()
}

/// A total order in which what came earlier stands first.
fn order(tasks: &[TaskRow], at: usize) -> (u64, u64, usize) {
    (tasks[at].end_ns(), tasks[at].start_ns, at)
}

fn first_start(tasks: &[TaskRow]) -> u64 {
    tasks.iter().map(|task| task.start_ns).min().unwrap_or(0)
}

/// For each task, the one whose end it waited for.
fn blockers(tasks: &[TaskRow], deps: &[Vec<usize>]) -> Vec<(Option<usize>, WaitedFor)> {
    let mut by_end: Vec<usize> = (0..tasks.len()).collect();
    by_end.sort_by_key(|&at| order(tasks, at));
    let mut by_start: Vec<usize> = (0..tasks.len()).collect();
    by_start.sort_by_key(|&at| (tasks[at].start_ns, order(tasks, at)));
    let mut found = vec![(None, WaitedFor::Start); tasks.len()];
    // The last that ended so far, of each worker.
    let mut last: HashMap<u32, usize> = HashMap::new();
    let mut ended = by_end.iter().copied().peekable();
    for at in by_start {
        while let Some(end) = ended.next_if(|&end| {
            tasks[end].end_ns() <= tasks[at].start_ns && order(tasks, end) < order(tasks, at)
        }) {
            if let Some(worker) = tasks[end].worker {
                last.insert(worker, end);
            }
        }
        let dep = deps[at]
            .iter()
            .copied()
            .filter(|&dep| tasks[dep].end_ns() <= tasks[at].start_ns)
            .max_by_key(|&dep| order(tasks, dep));
        let worker = tasks[at]
            .worker
            .and_then(|worker| last.get(&worker).copied());
        found[at] = match (dep, worker) {
            (Some(dep), Some(worker)) if tasks[worker].end_ns() > tasks[dep].end_ns() => {
                (Some(worker), WaitedFor::Worker)
            }
            (Some(dep), _) => (Some(dep), WaitedFor::Dependency),
            (None, Some(worker)) => (Some(worker), WaitedFor::Worker),
            (None, None) => (None, WaitedFor::Start),
        };
    }
    found
}

/// How much later each task could have ended.
fn slack(
    tasks: &[TaskRow],
    deps: &[Vec<usize>],
    blockers: &[(Option<usize>, WaitedFor)],
    last_end: u64,
) -> Vec<u64> {
    let mut order_of_ends: Vec<usize> = (0..tasks.len()).collect();
    order_of_ends.sort_by_key(|&at| order(tasks, at));
    let mut former = vec![None; tasks.len()];
    let mut of_worker: HashMap<u32, usize> = HashMap::new();
    for &at in &order_of_ends {
        former[at] = tasks[at]
            .worker
            .and_then(|worker| of_worker.insert(worker, at));
    }
    let mut latest_end = vec![last_end; tasks.len()];
    for &at in order_of_ends.iter().rev() {
        let latest_start = latest_end[at].saturating_sub(tasks[at].duration_ns);
        for &before in deps[at].iter().chain(&former[at]) {
            // What lay between a task and the one that it waited for comes again, however late.
            let gap = match blockers[at].0 {
                Some(blocker) if blocker == before => {
                    tasks[at].start_ns.saturating_sub(tasks[before].end_ns())
                }
                _ => 0,
            };
            latest_end[before] = latest_end[before].min(latest_start.saturating_sub(gap));
        }
    }
    latest_end
        .iter()
        .zip(tasks)
        .map(|(latest, task)| latest.saturating_sub(task.end_ns()))
        .collect()
}

/// How many ran at the same time at most. Those without duration count for nothing.
fn most_at_once(tasks: &[TaskRow]) -> u32 {
    let mut edges: Vec<(u64, i64)> = tasks
        .iter()
        .filter(|task| task.duration_ns > 0)
        .flat_map(|task| [(task.start_ns, 1), (task.end_ns(), -1)])
        .collect();
    // Ends sort before starts of the same moment.
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in edges {
        now += step;
        most = most.max(now);
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// How long the tasks take on so many workers. Dependencies lead to no circle.
fn schedule(durations: &[u64], deps: &[Vec<usize>], workers: u32) -> u64 {
    let mut dependents = vec![Vec::new(); durations.len()];
    let mut waiting: Vec<usize> = deps.iter().map(Vec::len).collect();
    for (at, deps) in deps.iter().enumerate() {
        for &dep in deps {
            dependents[dep].push(at);
        }
    }
    let behind = chains(durations, &dependents, &waiting);
    let candidate = |at: usize| (behind[at], Reverse(at));
    let mut ready: BinaryHeap<_> = (0..durations.len())
        .filter(|&at| waiting[at] == 0)
        .map(candidate)
        .collect();
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0_u64;
    loop {
        while running.len() < workers as usize {
            let Some((_, Reverse(at))) = ready.pop() else {
                break;
            };
            running.push(Reverse((now.saturating_add(durations[at]), at)));
        }
        let Some(Reverse((end, at))) = running.pop() else {
            return now;
        };
        now = end;
        for &dependent in &dependents[at] {
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                ready.push(candidate(dependent));
            }
        }
    }
}

/// The longest chain from each task to the end, itself included.
fn chains(durations: &[u64], dependents: &[Vec<usize>], waiting: &[usize]) -> Vec<u64> {
    let mut waiting = waiting.to_vec();
    let mut sorted: Vec<usize> = (0..durations.len())
        .filter(|&at| waiting[at] == 0)
        .collect();
    let mut next = 0;
    while let Some(&at) = sorted.get(next) {
        next += 1;
        for &dependent in &dependents[at] {
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                sorted.push(dependent);
            }
        }
    }
    let mut behind = vec![0; durations.len()];
    for at in sorted.into_iter().rev() {
        let longest: u64 = dependents[at]
            .iter()
            .map(|&dependent| behind[dependent])
            .max()
            .unwrap_or(0);
        behind[at] = durations[at].saturating_add(longest);
    }
    behind
}

#[cfg(test)]
mod tests;
