//! The history as its users see it: what comes back, what is forgotten, and what happens to files that are none.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bounds;
mod faults;
mod processes;
mod rows;

use std::path::Path;

use larder_timing::{CacheState, History, Opened, Options, Outcome, Phase, RunRow, TaskRow};

fn open(path: &Path) -> Opened {
    History::open(path, &Options::default()).unwrap()
}

fn opened(path: &Path, runs_per_task: u32) -> History {
    let options = Options {
        runs_per_task,
        ..Options::default()
    };
    let opened = History::open(path, &options).unwrap();
    assert_eq!(opened.set_aside, None);
    opened.history
}

/// A run in which every field says something.
fn run(id: &str, tasks: &[&str]) -> RunRow {
    RunRow {
        id: id.into(),
        started: 1_700_000_000_000_000_001,
        duration_ns: 5_000_000_007,
        host: "anvil".into(),
        revision: Some("5f2c0e1d".into()),
        branch: Some("main".into()),
        request: vec!["build".into(), "test \"it\"".into()],
        workers: 4,
        exit_code: 1,
        up_to_date: 12,
        saved_ns: 9_000_000_000,
        phases: vec![
            Phase {
                name: "plan".into(),
                duration_ns: 3,
            },
            Phase {
                name: "write".into(),
                duration_ns: 4,
            },
        ],
        tasks: tasks
            .iter()
            .enumerate()
            .map(|(at, name)| task(name, at))
            .collect(),
    }
}

fn task(name: &str, at: usize) -> TaskRow {
    TaskRow {
        task: name.into(),
        start_ns: 10 + at as u64,
        duration_ns: 1_000 + at as u64,
        cpu_ns: Some(900),
        peak_memory: Some(1 << 30),
        outcome: [Outcome::Success, Outcome::Failure, Outcome::Cancelled][at % 3],
        cache: [
            CacheState::Executed,
            CacheState::Restored,
            CacheState::UpToDate,
        ][at % 3],
        key: Some(format!("{at:064x}")),
        reason: "src/ä.ts changed".into(),
        worker: Some(3),
        deps: vec!["ui#build".into(), "it's \"quoted\"".into()],
        saved_ns: 77,
    }
}
