//! What was recorded comes back as it was, by each way of asking.

use std::time::Duration;

use larder_timing::{CacheState, HistoryError, Outcome, RunRow, TaskRow};

use super::{open, opened, run, task};

#[test]
fn every_field_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let full = run("a1", &["web#build", "web#test", "ui#build"]);
    let bare = RunRow {
        id: "b2".into(),
        tasks: vec![TaskRow {
            task: "web#build".into(),
            ..TaskRow::default()
        }],
        ..RunRow::default()
    };
    let opened = open(&path);
    assert_eq!(opened.set_aside, None);
    opened.history.record(&full).unwrap();
    opened.history.record(&bare).unwrap();
    drop(opened);

    let history = open(&path).history;
    assert_eq!(history.run("a1").unwrap().unwrap(), full);
    assert_eq!(history.last().unwrap().unwrap(), bare);
    let meta = |run: &RunRow| RunRow {
        tasks: vec![],
        ..run.clone()
    };
    assert_eq!(
        history.runs(usize::MAX).unwrap(),
        [meta(&bare), meta(&full)]
    );
    assert_eq!(history.runs(1).unwrap(), [meta(&bare)]);
    assert_eq!(
        history.task("web#build", 10).unwrap(),
        [
            (meta(&bare), bare.tasks[0].clone()),
            (meta(&full), full.tasks[0].clone())
        ]
    );
    assert_eq!(history.task("web#build", 1).unwrap().len(), 1);
    assert_eq!(history.task("no#such", 10).unwrap(), []);
    assert_eq!(
        history.tasks().unwrap(),
        ["ui#build", "web#build", "web#test"]
    );
}

#[test]
fn an_empty_history_answers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir.path().join("history.db")).history;
    assert_eq!(history.last().unwrap(), None);
    assert_eq!(history.run("").unwrap(), None);
    assert_eq!(history.runs(5).unwrap(), []);
    assert_eq!(history.tasks().unwrap(), Vec::<String>::new());
}

#[test]
fn runs_are_found_by_prefix_revision_and_branch() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir.path().join("history.db")).history;
    for (id, revision, branch) in [
        ("ab", "1111aa", "main"),
        ("abc", "1111bb", "main"),
        ("b_c", "2222", "topic"),
    ] {
        let mut run = run(id, &[]);
        run.revision = Some(revision.into());
        run.branch = Some(branch.into());
        history.record(&run).unwrap();
    }
    let id = |prefix: &str| history.run(prefix).map(|run| run.map(|run| run.id));
    assert_eq!(id("abc").unwrap().as_deref(), Some("abc"));
    assert_eq!(
        id("ab").unwrap().as_deref(),
        Some("ab"),
        "a whole id is meant, although it begins another"
    );
    assert_eq!(id("b").unwrap().as_deref(), Some("b_c"));
    assert_eq!(id("b%").unwrap(), None, "no pattern");
    assert_eq!(id("x").unwrap(), None);
    match id("a").unwrap_err() {
        HistoryError::Ambiguous { prefix, ids } => {
            assert_eq!(
                (prefix.as_str(), ids),
                ("a", vec!["abc".to_owned(), "ab".to_owned()])
            );
        }
        other => panic!("{other}"),
    }
    let ids = |runs: Vec<RunRow>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(
        ids(history.runs_of_revision("1111", 9).unwrap()),
        ["abc", "ab"]
    );
    assert_eq!(ids(history.runs_of_revision("1111aa", 9).unwrap()), ["ab"]);
    assert_eq!(ids(history.runs_of_branch("topic", 9).unwrap()), ["b_c"]);
    assert_eq!(ids(history.runs_of_branch("top", 9).unwrap()), [""; 0]);
}

#[test]
fn a_run_recorded_again_replaces_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir.path().join("history.db")).history;
    history.record(&run("a", &["old", "kept"])).unwrap();
    let again = run("a", &["kept", "new", "new"]);
    history.record(&again).unwrap();
    assert_eq!(history.runs(9).unwrap().len(), 1);
    assert_eq!(
        history.last().unwrap().unwrap(),
        again,
        "a task may stand in a run twice"
    );
    assert_eq!(history.tasks().unwrap(), ["kept", "new"]);
}

#[test]
fn absurd_numbers_stay_the_largest() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir.path().join("history.db")).history;
    let mut absurd = run("a", &["t"]);
    absurd.duration_ns = u64::MAX;
    absurd.tasks[0].start_ns = u64::MAX;
    history.record(&absurd).unwrap();
    let back = history.last().unwrap().unwrap();
    assert_eq!(back.duration_ns, i64::MAX.unsigned_abs());
    assert_eq!(back.tasks[0].start_ns, i64::MAX.unsigned_abs());
    assert_eq!(
        back.tasks[0].end_ns(),
        i64::MAX.unsigned_abs() + task("t", 0).duration_ns
    );
}

#[test]
fn whole_runs_come_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir.path().join("history.db")).history;
    let (one, two) = (run("one", &["a", "b"]), run("two", &["b"]));
    history.record(&one).unwrap();
    history.record(&two).unwrap();
    assert_eq!(history.runs_with_tasks(9).unwrap(), [two.clone(), one]);
    assert_eq!(history.runs_with_tasks(1).unwrap(), [two]);
}

#[test]
fn an_estimate_is_the_median_of_the_last_nine_executions_that_succeeded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let history = opened(&path, 3);
    let mut record = {
        let mut id = 0;
        move |duration_ns, outcome, cache| {
            let mut run = run(&format!("r{id}"), &["t"]);
            id += 1;
            run.tasks[0] = TaskRow {
                duration_ns,
                outcome,
                cache,
                ..run.tasks[0].clone()
            };
            history.record(&run).unwrap();
        }
    };
    record(900, Outcome::Failure, CacheState::Executed);
    let estimate = || opened(&path, 3).estimates().unwrap().get("t").copied();
    assert_eq!(estimate(), None);
    for duration in [1_000, 1_000, 1, 2, 3, 4, 5, 6, 7, 8, 9] {
        record(duration, Outcome::Success, CacheState::Executed);
        record(5_000, Outcome::Success, CacheState::Restored);
        record(5_000, Outcome::Cancelled, CacheState::Executed);
    }
    assert_eq!(estimate(), Some(Duration::from_nanos(5)));
}
