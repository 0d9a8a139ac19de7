//! A plausible history of runs, made up by arithmetic: the same one each time.
//! Does not know what is done with it.
#![allow(dead_code)] // Each test takes what it needs.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // Of small numbers.

use std::collections::BTreeMap;

use larder_timing::{CacheState, Outcome, Phase, RunRow, TaskRow};

/// Fifteen projects with four tasks each.
const PROJECTS: [&str; 15] = [
    "core",
    "proto",
    "codec",
    "storage",
    "net",
    "auth",
    "billing",
    "search",
    "mailer",
    "gateway",
    "admin-console",
    "mobile-api",
    "reports",
    "web",
    "end-to-end",
];
const KINDS: [(&str, u64); 4] = [
    ("lint", 900),
    ("build", 6_000),
    ("test", 9_000),
    ("docs", 1_500),
];
const WORKERS: usize = 4;
const MS: u64 = 1_000_000;
/// 2026-11-01T08:00:00Z.
const FIRST: i64 = 1_793_520_000_000_000_000;

/// A source of numbers without any surprise: splitmix64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Twenty runs of sixty tasks on four workers, oldest first.
pub(crate) fn plausible() -> Vec<RunRow> {
    history(20)
}

/// So many runs of sixty tasks.
pub(crate) fn history(runs: usize) -> Vec<RunRow> {
    let mut dice = Dice::new(7);
    (0..runs).map(|at| run(at, runs, &mut dice)).collect()
}

fn run(at: usize, runs: usize, dice: &mut Dice) -> RunRow {
    // The first run finds an empty cache, and so does one in the middle; all others touch a few projects.
    let cold = at == 0 || at == runs / 2;
    let mut touched: Vec<bool> = PROJECTS.iter().map(|_| cold || dice.roll(7) == 0).collect();
    // Somebody works on the search all the time.
    touched[7] = true;
    let fails = at % 9 == 6;
    let mut free = [140 * MS; WORKERS];
    let mut ends = BTreeMap::new();
    let mut dirty = [false; PROJECTS.len()];
    let (mut tasks, mut up_to_date, mut saved) = (Vec::new(), 0, 0);
    for (project, name) in PROJECTS.iter().enumerate() {
        let below: Vec<usize> = below(project);
        dirty[project] = touched[project] || below.iter().any(|dep| dirty[*dep] && dep % 3 != 0);
        for (kind, base) in KINDS {
            let task = format!("{name}#{kind}");
            let deps = deps(name, kind, &below);
            let wobble = 900 + dice.roll(200);
            let grown = if task == "search#test" && at + 5 >= runs {
                3
            } else {
                1
            };
            let long = base * MS * (3 + (project as u64 * 5) % 7) / 6 * wobble / 1000 * grown;
            if !dirty[project] && dice.roll(4) > 0 {
                up_to_date += 1;
                saved += long;
                ends.insert(task, 0);
                continue;
            }
            let executed = dirty[project];
            let ready = deps
                .iter()
                .filter_map(|dep| ends.get(dep))
                .max()
                .copied()
                .unwrap_or(0);
            let worker = (0..WORKERS)
                .min_by_key(|worker| free[*worker].max(ready))
                .unwrap_or(0);
            let start_ns = free[worker].max(ready);
            let duration_ns = if executed {
                long
            } else {
                (20 + dice.roll(160)) * MS
            };
            free[worker] = start_ns + duration_ns + MS;
            ends.insert(task.clone(), free[worker]);
            // This test reads the clock of the day: it fails now and then, under a key under which it succeeds too.
            let flaky = task == "search#lint";
            let failed = flaky && at % 6 == 2 || fails && task == "search#test";
            let key = if flaky { 1 << 60 } else { dice.roll(u64::MAX) };
            saved += if executed { 0 } else { long };
            tasks.push(TaskRow {
                task,
                start_ns,
                duration_ns,
                cpu_ns: executed.then(|| duration_ns * (70 + dice.roll(60)) / 100),
                peak_memory: executed.then(|| (80 + dice.roll(700)) << 20),
                outcome: if failed {
                    Outcome::Failure
                } else {
                    Outcome::Success
                },
                cache: if executed {
                    CacheState::Executed
                } else {
                    CacheState::Restored
                },
                key: Some(format!("{key:016x}")),
                reason: if executed {
                    "inputs changed"
                } else {
                    "found in the cache"
                }
                .to_owned(),
                worker: u32::try_from(worker).ok(),
                deps,
                saved_ns: if executed { 0 } else { long },
            });
        }
    }
    let work = free.into_iter().max().unwrap_or(0) - 140 * MS;
    let phase = |name: &str, duration_ns| Phase {
        name: name.to_owned(),
        duration_ns,
    };
    let phases = vec![
        phase("configuration", (8 + dice.roll(6)) * MS),
        phase("scan", (60 + dice.roll(30)) * MS),
        phase("plan", (20 + dice.roll(10)) * MS),
        phase("tasks", work),
        phase("record", (30 + dice.roll(20)) * MS),
    ];
    RunRow {
        id: format!("run-{at:04}"),
        started: FIRST + at as i64 * 7_000_000_000_000 + dice.roll(3_000_000_000_000) as i64,
        duration_ns: phases.iter().map(|phase| phase.duration_ns).sum(),
        host: "builder".to_owned(),
        revision: Some(format!("{:012x}", dice.roll(1 << 48))),
        branch: Some("main".to_owned()),
        request: vec!["build".to_owned(), "test".to_owned()],
        workers: WORKERS as u32,
        exit_code: u8::from(tasks.iter().any(|task| task.outcome == Outcome::Failure)),
        up_to_date,
        saved_ns: saved,
        phases,
        tasks,
    }
}

/// The projects that one rests on: up to two of those before it.
fn below(project: usize) -> Vec<usize> {
    let mut below = vec![project / 2, project.saturating_sub(3)];
    below.retain(|dep| *dep < project);
    below.dedup();
    below
}

fn deps(name: &str, kind: &str, below: &[usize]) -> Vec<String> {
    match kind {
        "build" => below
            .iter()
            .map(|dep| format!("{}#build", PROJECTS[*dep]))
            .collect(),
        "test" | "docs" => vec![format!("{name}#build")],
        _ => Vec::new(),
    }
}
