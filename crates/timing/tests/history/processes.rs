//! Several processes write one history, and are killed while they do.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_timing::{History, Options};

use super::run;

const WRITERS: u32 = 8;
const ROUNDS: u32 = 4;
const TASKS: [&str; 6] = [
    "a#build", "a#test", "b#build", "b#test", "c#build", "c#test",
];

fn options() -> Options {
    Options {
        runs_per_task: 100_000,
        busy_timeout: Duration::from_mins(1),
    }
}

/// Not a test of its own: what the other one starts as a process. It records without end and says so after each.
#[test]
fn writer() {
    let Ok(path) = std::env::var("LARDER_TEST_HISTORY") else {
        return;
    };
    let name = std::env::var("LARDER_TEST_WRITER").unwrap();
    let opened = History::open(Path::new(&path), &options()).unwrap();
    let mut out = std::io::stdout().lock();
    if opened.set_aside.is_some() {
        writeln!(out, "\nset aside").unwrap();
    }
    for number in 0.. {
        let id = format!("{name}-{number}");
        opened.history.record(&run(&id, &TASKS)).unwrap();
        // Whoever kills this process has closed its end of the pipe only after it is dead.
        writeln!(out, "\nrecorded {id}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts a writer, kills it after it has said so `times`, and gives all that it said.
fn written_until_killed(path: &Path, name: &str, times: usize) -> Vec<String> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "processes::writer",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("LARDER_TEST_HISTORY", path)
        .env("LARDER_TEST_WRITER", name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        if said.len() == times {
            // The next run is being recorded just now. What is still said comes with the lines after this.
            writer.kill().unwrap();
        }
        // A killed process may have said half a line.
        let Ok(line) = line else { break };
        assert_ne!(line, "set aside");
        if let Some(id) = line.strip_prefix("recorded ") {
            said.push(id.to_owned());
        }
    }
    writer.wait().unwrap();
    assert!(
        said.len() >= times,
        "{name} ended by itself after {} runs",
        said.len()
    );
    said
}

#[test]
fn no_run_is_lost_whose_recording_returned_before_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut acknowledged = BTreeSet::new();
    std::thread::scope(|scope| {
        let path = &path;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let until_killed = |round| {
                        // Some are killed while they open the file, others after several runs.
                        let times = (writer * 7 + round * 5) % 11;
                        written_until_killed(path, &format!("w{writer}-{round}"), times as usize)
                    };
                    (0..ROUNDS).flat_map(until_killed).collect::<Vec<_>>()
                })
            })
            .collect();
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
    });
    let opened = History::open(&path, &options()).unwrap();
    assert_eq!(opened.set_aside, None);
    let runs = opened.history.runs_with_tasks(usize::MAX).unwrap();
    let known: BTreeSet<String> = runs.iter().map(|run| run.id.clone()).collect();
    let lost: Vec<_> = acknowledged.difference(&known).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(
        acknowledged.len() >= 50,
        "{} runs make no proof",
        acknowledged.len()
    );
    // What was recorded without a word being said about it is whole, too.
    for found in &runs {
        assert_eq!(found, &run(&found.id, &TASKS));
    }
    let rows = opened.history.task("a#build", usize::MAX).unwrap();
    assert_eq!(rows.len(), runs.len());
}
