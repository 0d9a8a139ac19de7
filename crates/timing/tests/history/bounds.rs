//! A history does not grow beyond its bounds.

use super::{opened, run};

#[test]
fn each_task_keeps_its_last_runs_and_runs_without_tasks_go() {
    let dir = tempfile::tempdir().unwrap();
    let history = opened(&dir.path().join("history.db"), 3);
    history.record(&run("rare", &["rare"])).unwrap();
    for at in 0..10 {
        history
            .record(&run(&format!("r{at}"), &["often", "always"]))
            .unwrap();
    }
    let ids = |name: &str| {
        history
            .task(name, 99)
            .unwrap()
            .into_iter()
            .map(|(run, _)| run.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("often"), ["r9", "r8", "r7"]);
    assert_eq!(ids("always"), ["r9", "r8", "r7"]);
    assert_eq!(
        ids("rare"),
        ["rare"],
        "a task that seldom runs keeps what is known of it"
    );
    let runs: Vec<String> = history
        .runs(99)
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    assert_eq!(runs, ["r9", "r8", "r7", "rare"]);
}

#[test]
fn runs_that_never_had_tasks_stay_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let history = opened(&dir.path().join("history.db"), 3);
    for at in 0..10 {
        history.record(&run(&format!("r{at}"), &[])).unwrap();
    }
    let runs: Vec<String> = history
        .runs(99)
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    assert_eq!(runs, ["r9", "r8", "r7"]);
}

#[test]
fn a_task_that_is_no_more_is_forgotten_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let history = opened(&dir.path().join("history.db"), 2);
    history.record(&run("gone", &["gone"])).unwrap();
    for at in 0..39 {
        history.record(&run(&format!("r{at}"), &["often"])).unwrap();
    }
    assert_eq!(history.tasks().unwrap(), ["gone", "often"]);
    history.record(&run("last", &["often"])).unwrap();
    assert_eq!(history.tasks().unwrap(), ["often"]);
    assert_eq!(history.run("gone").unwrap(), None);
}

#[test]
fn a_lower_bound_holds_from_the_next_run_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    for at in 0..6 {
        opened(&path, 9)
            .record(&run(&format!("r{at}"), &["t"]))
            .unwrap();
    }
    let history = opened(&path, 2);
    assert_eq!(history.task("t", 99).unwrap().len(), 6);
    history.record(&run("last", &["t"])).unwrap();
    assert_eq!(history.task("t", 99).unwrap().len(), 2);
}

/// The bytes of the file and of its log.
fn size(path: &std::path::Path) -> u64 {
    ["", "-wal"]
        .map(|suffix| {
            std::fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |meta| meta.len())
        })
        .iter()
        .sum()
}

#[test]
fn the_file_stops_growing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let history = opened(&path, 4);
    let tasks: Vec<String> = (0..100).map(|at| format!("p{at}#build")).collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut sizes = Vec::new();
    for at in 0..120 {
        let mut run = run(&format!("r{at}"), &tasks);
        // Names, reasons and dependencies that never come again must not pile up either.
        run.tasks[0].task = format!("once#{at}");
        run.tasks[1].deps = vec![format!("dep#{at}")];
        history.record(&run).unwrap();
        sizes.push(size(&path));
    }
    let (early, late) = (
        sizes[30..75].iter().max().unwrap(),
        sizes[75..].iter().max().unwrap(),
    );
    assert!(late <= &(early + early / 8), "{early} then {late}");
}
