//! What is remembered of runs, compared and checked.

use larder_timing::history::{History, Options};
use larder_timing::{Outcome as Ended, Phase, RunRow, TaskRow};
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::timings::refused;

/// A history of one task with the given durations in milliseconds, a run each, the later half on another branch.
fn history(sandbox: &Sandbox, before: &[u64], after: &[u64]) {
    let opened = History::open(&sandbox.path("other.db"), &Options::default()).unwrap();
    let all = before
        .iter()
        .map(|ms| ("main", ms))
        .chain(after.iter().map(|ms| ("topic", ms)));
    for (at, (branch, &ms)) in all.enumerate() {
        let run = RunRow {
            id: format!("run-{at:03}"),
            started: 1_700_000_000_000_000_000 + i64::try_from(at).unwrap() * 60_000_000_000,
            duration_ns: ms * 1_000_000,
            host: "h".into(),
            revision: Some(format!("{at:040x}")),
            branch: Some(branch.into()),
            request: vec!["build".into()],
            workers: 2,
            phases: vec![Phase {
                name: "commands".into(),
                duration_ns: ms * 1_000_000,
            }],
            tasks: vec![TaskRow {
                task: "web#build".into(),
                duration_ns: ms * 1_000_000,
                outcome: Ended::Success,
                ..TaskRow::default()
            }],
            ..RunRow::default()
        };
        opened.history.record(&run).unwrap();
    }
}

const STEADY: [u64; 12] = [
    1000, 1010, 990, 1005, 995, 1002, 998, 1007, 993, 1001, 999, 1004,
];

#[test]
fn a_regression_fails_the_check_and_noise_does_not() {
    let sandbox = Sandbox::simple();
    history(&sandbox, &STEADY, &[1003, 996, 1008, 992, 1000]);
    let check = sandbox.larder("timings check --history other.db");
    assert_eq!(check.code, 0, "{}", check.all());
    let sandbox = Sandbox::simple();
    history(&sandbox, &STEADY, &[1200, 1190, 1210, 1205, 1195]);
    let check = sandbox.larder("timings check --history other.db");
    assert_eq!(check.code, 1, "{}", check.all());
    insta::assert_snapshot!("check_of_a_regression", check.stdout);
    assert_eq!(
        sandbox
            .larder("timings check --history other.db --fail-above 30%")
            .code,
        0
    );
    let json = sandbox.larder("timings check --history other.db --json");
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let task = &json["tasks"][0];
    assert_eq!(
        (&task["name"], &task["verdict"], &task["regressed"]),
        (&"web#build".into(), &"slower".into(), &true.into())
    );
    assert!(
        (task["change"].as_f64().unwrap() - 0.2).abs() < 0.02,
        "{task:#}"
    );
}

#[test]
fn branches_are_put_side_by_side_also_as_markdown() {
    let sandbox = Sandbox::simple();
    history(&sandbox, &STEADY, &[1200, 1190, 1210, 1205, 1195]);
    let compared = sandbox.larder("timings compare main topic --history other.db");
    assert_eq!(
        compared.code,
        0,
        "a comparison is no check: {}",
        compared.all()
    );
    insta::assert_snapshot!("compare_of_branches", compared.stdout);
    let markdown = sandbox.larder("timings compare main topic --history other.db --markdown");
    insta::assert_snapshot!("compare_as_markdown", markdown.stdout);
    let runs = sandbox.larder("timings compare last~1 run-016 --history other.db --json");
    let runs: Value = serde_json::from_str(&runs.stdout).unwrap();
    assert_eq!(runs["tasks"][0]["verdict"], "too-few", "{runs:#}");
    assert_eq!(runs["tasks"][0]["before"]["median_ns"], 1_205_000_000_u64);
}

#[test]
fn what_is_not_remembered_is_an_error_that_helps() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    let task = refused(&sandbox, "timings show .#biuld");
    assert!(task.contains("did you mean `.#build`"), "{task}");
    let run = refused(&sandbox, "timings compare nowhere last");
    assert!(
        run.contains("no remembered run is `nowhere`") && run.contains("the newest run is"),
        "{run}"
    );
    let percent = refused(&sandbox, "timings check --fail-above fast");
    assert!(percent.contains("--fail-above 5%"), "{percent}");
    let file = refused(&sandbox, "timings show --history nowhere.db");
    assert!(file.contains("there is no history at"), "{file}");
}

#[test]
fn reading_changes_no_file_of_somebody_else() {
    let sandbox = Sandbox::simple();
    sandbox.write("notes.txt", "important notes\n");
    let told = refused(&sandbox, "timings show --history notes.txt");
    assert!(told.contains("is no history of runs"), "{told}");
    assert_eq!(sandbox.read("notes.txt"), "important notes\n");
    assert!(!sandbox.exists("notes.txt.aside-1") && !sandbox.exists("notes.txt-wal"));
}

/// A history of runs whose tasks, workers and machines differ as the caller says.
fn some_runs(sandbox: &Sandbox, runs: impl Iterator<Item = RunRow>) {
    let opened = History::open(&sandbox.path("other.db"), &Options::default()).unwrap();
    for (at, run) in runs.enumerate() {
        let run = RunRow {
            id: format!("run-{at:03}"),
            started: 1_700_000_000_000_000_000 + i64::try_from(at).unwrap() * 60_000_000_000,
            request: vec!["build".into()],
            ..run
        };
        opened.history.record(&run).unwrap();
    }
}

fn one_task(task: &str, ms: u64) -> RunRow {
    RunRow {
        duration_ns: ms * 1_000_000,
        host: "h".into(),
        workers: 2,
        phases: vec![Phase {
            name: "commands".into(),
            duration_ns: ms * 1_000_000,
        }],
        tasks: vec![TaskRow {
            task: task.into(),
            duration_ns: ms * 1_000_000,
            ..TaskRow::default()
        }],
        ..RunRow::default()
    }
}

#[test]
fn other_work_other_machines_and_old_news_are_no_regression() {
    // Another project was edited: its task takes longer, and nothing became slower.
    let sandbox = Sandbox::simple();
    let runs = STEADY
        .iter()
        .chain(&STEADY)
        .map(|ms| one_task("lib#build", ms / 10));
    some_runs(
        &sandbox,
        runs.chain([900, 905, 895, 902, 898].map(|ms| one_task("app#build", ms))),
    );
    let check = sandbox.larder("timings check --history other.db");
    assert_eq!(check.code, 0, "{}", check.all());
    assert!(
        check.stdout.contains("nothing could be judged"),
        "{}",
        check.all()
    );
    // What became slower long ago and did not run since is no news.
    let sandbox = Sandbox::simple();
    let slow = [130, 131, 129, 132, 128].map(|ms| one_task("old#build", ms));
    let later = STEADY
        .iter()
        .chain(&STEADY)
        .map(|ms| one_task("new#build", ms / 10));
    let runs = STEADY.iter().map(|ms| one_task("old#build", ms / 10));
    some_runs(&sandbox, runs.chain(slow).chain(later));
    let check = sandbox.larder("timings check --history other.db");
    assert_eq!(check.code, 0, "{}", check.all());
    assert!(!check.stdout.contains("old#build"), "{}", check.all());
    // Runs of another machine do not vanish silently.
    let sandbox = Sandbox::simple();
    let branch = |branch: &str, host: &str, ms: u64| RunRow {
        branch: Some(branch.into()),
        host: host.into(),
        ..one_task("web#build", ms)
    };
    let main = STEADY.iter().map(|ms| branch("main", "ci-7", *ms));
    some_runs(
        &sandbox,
        main.chain((0..5).map(|_| branch("topic", "here", 2000))),
    );
    let compared = sandbox.larder("timings compare main topic --history other.db");
    assert!(
        compared
            .stdout
            .contains("12 runs of main left out: not measured on here"),
        "{}",
        compared.all()
    );
    assert!(
        compared.stdout.contains("nothing could be judged"),
        "{}",
        compared.all()
    );
}
