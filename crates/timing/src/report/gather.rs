//! Makes the data of a report from a history of runs.
//! Does not know where the history is kept, nor what time it is.

use std::collections::BTreeMap;

use super::data::{LastRun, LastTask, Regressed, ReportData, RunSummary, Slow, WhatIfRow, Window};
use crate::clock::rfc3339;
use crate::lanes::lanes;
use crate::{
    CacheState, Change, Outcome, Rule, RunRow, Verdict, analyse, check, flaky, median, what_if,
};

/// The version of [`ReportData`] as JSON.
pub const FORMAT: u32 = 1;

/// How many of the last runs a window may hold; one more window holds all.
const WINDOWS: [usize; 3] = [10, 25, 100];
const SLOWEST: usize = 20;
const WHAT_IFS: usize = 6;

/// Where a report comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What the workspace is called.
    pub workspace: &'a str,
    /// When the report is made, in nanoseconds since 1970-01-01T00:00:00Z.
    pub generated: i64,
    /// The runs, oldest first.
    pub runs: &'a [RunRow],
    /// How many of the last durations of a task are compared with those before them.
    pub recent: usize,
    /// What counts as slower.
    pub rule: Rule,
}

impl ReportData {
    /// Finds all that a report says.
    pub fn of(source: &Source<'_>) -> Self {
        let runs: Vec<RunSummary> = source.runs.iter().map(summary).collect();
        let last = source.runs.last();
        let host = last.map_or("", |run| run.host.as_str());
        let series = Series::of(source.runs, host);
        Self {
            format: FORMAT,
            workspace: source.workspace.to_owned(),
            generated: rfc3339(source.generated),
            windows: windows(&runs),
            runs,
            last: last.map(last_run),
            slowest: series.slowest(),
            regressed: series.regressed(source),
            flaky: flaky(source.runs.iter().flat_map(|run| &run.tasks)),
            what_if: last.map(what_ifs).unwrap_or_default(),
            uploads: Vec::new(),
        }
    }
}

fn summary(run: &RunRow) -> RunSummary {
    let count = |cache| run.tasks.iter().filter(|task| task.cache == cache).count();
    let executed = count(CacheState::Executed);
    let restored = count(CacheState::Restored);
    let up_to_date = count(CacheState::UpToDate) + run.up_to_date as usize;
    let failed = run
        .tasks
        .iter()
        .filter(|task| task.outcome != Outcome::Success);
    RunSummary {
        id: run.id.clone(),
        started: rfc3339(run.started),
        duration_ns: run.duration_ns,
        work_ns: sum(run.tasks.iter().map(|task| task.duration_ns)),
        saved_ns: run.saved_ns,
        executed,
        restored,
        up_to_date,
        failed: failed.count(),
        hit_rate: share(restored + up_to_date, executed + restored + up_to_date),
        exit_code: run.exit_code,
        host: run.host.clone(),
        revision: run.revision.clone(),
        branch: run.branch.clone(),
        request: run.request.join(" "),
        phases: run.phases.clone(),
    }
}

fn windows(runs: &[RunSummary]) -> Vec<Window> {
    let mut sizes: Vec<usize> = WINDOWS
        .into_iter()
        .filter(|size| *size < runs.len())
        .collect();
    sizes.push(runs.len());
    let window = |size: usize| {
        let runs = &runs[runs.len() - size..];
        let hits: usize = runs.iter().map(|run| run.restored + run.up_to_date).sum();
        let tasks: usize = hits + runs.iter().map(|run| run.executed).sum::<usize>();
        let durations: Vec<u64> = runs.iter().map(|run| run.duration_ns).collect();
        Window {
            runs: size,
            median_ns: median(&durations),
            hit_rate: share(hits, tasks),
            saved_ns: sum(runs.iter().map(|run| run.saved_ns)),
            failed: runs.iter().filter(|run| run.exit_code != 0).count(),
        }
    };
    sizes.into_iter().map(window).collect()
}

fn last_run(run: &RunRow) -> LastRun {
    let analysis = analyse(run);
    let lanes = lanes(&run.tasks, run.workers);
    let mut order: Vec<usize> = (0..run.tasks.len()).collect();
    order.sort_by_key(|at| (run.tasks[*at].start_ns, *at));
    let place = |at: usize| {
        analysis
            .critical_path
            .iter()
            .position(|step| step.task == at)
    };
    let task = |at: usize| {
        let task = &run.tasks[at];
        LastTask {
            task: task.task.clone(),
            start_ns: task.start_ns,
            duration_ns: task.duration_ns,
            lane: lanes.of[at],
            outcome: task.outcome,
            cache: task.cache,
            reason: task.reason.clone(),
            key: task.key.clone(),
            cpu_ns: task.cpu_ns,
            peak_memory: task.peak_memory,
            saved_ns: task.saved_ns,
            slack_ns: analysis.slack_ns.get(at).copied().unwrap_or(0),
            critical: place(at).map(|place| place + 1),
        }
    };
    LastRun {
        id: run.id.clone(),
        workers: analysis.workers,
        critical_ns: analysis.critical_ns,
        span_ns: analysis.span_ns,
        busy_ns: analysis.busy_ns,
        efficiency: analysis.efficiency,
        tasks: order.into_iter().map(task).collect(),
        lanes: lanes.names,
    }
}

/// The durations of each task on one machine, and of each phase in the runs that did as much as the last one, oldest first.
struct Series<'a> {
    tasks: BTreeMap<&'a str, Vec<u64>>,
    phases: BTreeMap<&'a str, Vec<u64>>,
}

impl<'a> Series<'a> {
    fn of(runs: &'a [RunRow], host: &str) -> Self {
        let mut series = Self {
            tasks: BTreeMap::new(),
            phases: BTreeMap::new(),
        };
        for run in runs.iter().filter(|run| run.host == host) {
            for task in run.tasks.iter().filter(|task| task.is_measure()) {
                series
                    .tasks
                    .entry(&task.task)
                    .or_default()
                    .push(task.duration_ns);
            }
            // Phases grow with the work.
            if !runs.last().is_some_and(|last| run.is_like(last)) {
                continue;
            }
            let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
            for phase in &run.phases {
                let sum = sums.entry(&phase.name).or_default();
                *sum = sum.saturating_add(phase.duration_ns);
            }
            for (phase, sum) in sums {
                series.phases.entry(phase).or_default().push(sum);
            }
        }
        series
    }

    fn slowest(&self) -> Vec<Slow> {
        let slow = |(task, durations): (&&str, &Vec<u64>)| Slow {
            task: (*task).to_owned(),
            median_ns: median(durations),
            last_ns: durations.last().copied().unwrap_or(0),
            executions: durations.len(),
        };
        let mut all: Vec<Slow> = self.tasks.iter().map(slow).collect();
        all.sort_by_key(|slow| u64::MAX - slow.median_ns);
        all.truncate(SLOWEST);
        all
    }

    fn regressed(&self, source: &Source<'_>) -> Vec<Regressed> {
        let tasks = self.tasks.iter().map(|entry| (entry, false));
        let phases = self.phases.iter().map(|entry| (entry, true));
        let mut found: Vec<Regressed> = tasks
            .chain(phases)
            .map(|((name, durations), phase)| Regressed {
                name: (*name).to_owned(),
                phase,
                comparison: check(durations, source.recent, &source.rule),
            })
            .filter(|found| found.comparison.verdict == Verdict::Slower)
            .collect();
        let lost = |found: &Regressed| {
            let comparison = &found.comparison;
            comparison
                .after
                .median_ns
                .saturating_sub(comparison.before.median_ns)
        };
        found.sort_by_key(|found| u64::MAX - lost(found));
        found
    }
}

/// The tasks on the critical path whose disappearance would help most, and twice as many workers.
fn what_ifs(run: &RunRow) -> Vec<WhatIfRow> {
    let analysis = analyse(run);
    let mut steps: Vec<usize> = analysis
        .critical_path
        .iter()
        .map(|step| step.task)
        .collect();
    steps.sort_by_key(|at| u64::MAX - run.tasks[*at].duration_ns);
    // Each answer schedules the whole run anew: only the longest steps are worth it.
    steps.truncate(2 * WHAT_IFS);
    let mut rows: Vec<WhatIfRow> = Vec::new();
    for at in steps {
        let task = run.tasks[at].task.clone();
        if rows.iter().all(|row| row.task.as_ref() != Some(&task)) {
            let answer = what_if(run, Change::Free(&task));
            rows.push(row(run, Some(task), None, answer.run_ns));
        }
    }
    if analysis.workers > 0 {
        let workers = analysis.workers.saturating_mul(2);
        let answer = what_if(run, Change::Workers(workers));
        rows.push(row(run, None, Some(workers), answer.run_ns));
    }
    rows.retain(|row| row.gain_ns > 0);
    rows.sort_by_key(|row| u64::MAX - row.gain_ns);
    rows.truncate(WHAT_IFS);
    rows
}

fn row(run: &RunRow, task: Option<String>, workers: Option<u32>, run_ns: u64) -> WhatIfRow {
    WhatIfRow {
        task,
        workers,
        run_ns,
        gain_ns: run.duration_ns.saturating_sub(run_ns),
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

#[allow(clippy::cast_precision_loss)] // Counts of tasks.
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskRow;

    fn run(id: usize, tasks: Vec<TaskRow>) -> RunRow {
        RunRow {
            id: format!("r{id}"),
            duration_ns: 100 + id as u64,
            host: "here".to_owned(),
            workers: 2,
            up_to_date: 1,
            saved_ns: 7,
            tasks,
            ..RunRow::default()
        }
    }

    fn task(name: &str, start_ns: u64, duration_ns: u64, cache: CacheState) -> TaskRow {
        TaskRow {
            task: name.to_owned(),
            start_ns,
            duration_ns,
            cache,
            worker: Some(0),
            ..TaskRow::default()
        }
    }

    fn report(runs: &[RunRow]) -> ReportData {
        ReportData::of(&Source {
            workspace: "w",
            generated: 0,
            runs,
            recent: 5,
            rule: Rule::default(),
        })
    }

    #[test]
    fn nothing_gives_an_empty_report() {
        let data = report(&[]);
        assert_eq!(
            (data.runs.len(), data.last, data.windows.len()),
            (0, None, 1)
        );
        assert_eq!(data.windows[0], Window::default());
        assert_eq!(data.generated, "1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn counts_and_shares_follow_from_the_rows() {
        let mut failed = task("c", 60, 10, CacheState::Executed);
        failed.outcome = Outcome::Failure;
        let tasks = vec![
            task("b", 50, 10, CacheState::Restored),
            task("a", 0, 50, CacheState::Executed),
            failed,
        ];
        let data = report(&[run(0, Vec::new()), run(1, tasks)]);
        let last = &data.runs[1];
        assert_eq!(
            (last.executed, last.restored, last.up_to_date, last.failed),
            (2, 1, 1, 1)
        );
        assert_eq!((last.work_ns, last.hit_rate), (70, Some(0.5)));
        assert_eq!(data.windows.len(), 1);
        assert_eq!(
            (data.windows[0].median_ns, data.windows[0].hit_rate),
            (100, Some(0.6))
        );
        assert_eq!(data.windows[0].saved_ns, 14);
        let last = data.last.unwrap();
        let places: Vec<_> = last
            .tasks
            .iter()
            .map(|task| (task.task.as_str(), task.critical))
            .collect();
        assert_eq!(places, [("a", Some(1)), ("b", Some(2)), ("c", Some(3))]);
        // What failed or was restored tells nothing about how long a task takes.
        assert_eq!(data.slowest.len(), 1);
        assert_eq!(
            (data.slowest[0].task.as_str(), data.slowest[0].median_ns),
            ("a", 50)
        );
    }

    #[test]
    fn another_machine_is_not_compared() {
        let mut runs: Vec<RunRow> = (0..30)
            .map(|at| {
                run(
                    at,
                    vec![task("a", 0, 1000 + at as u64 % 3, CacheState::Executed)],
                )
            })
            .collect();
        for run in &mut runs[25..] {
            run.tasks[0].duration_ns *= 2;
        }
        let data = report(&runs);
        assert_eq!(data.regressed.len(), 1);
        assert!((data.regressed[0].comparison.change - 1.0).abs() < 0.01);
        assert_eq!(
            data.windows
                .iter()
                .map(|window| window.runs)
                .collect::<Vec<_>>(),
            [10, 25, 30]
        );
        for run in &mut runs[..25] {
            run.host = "elsewhere".to_owned();
        }
        assert_eq!(report(&runs).regressed, []);
    }
}
