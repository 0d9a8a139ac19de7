//! A session and pruned plans: what stays known of a task holds however much of the graph a run has.
//! The filter itself is tested with the code that prunes, and end to end.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use larder::execute::mux::{Order, OutputLogs};
use larder::execute::{Cancel, ProcessExecutor};
use larder::plan::{Plan, task_id};
use larder::record::Status;
use larder::session::run::Options;
use larder::session::{ChangeSet, Session, Surroundings};
use larder::show::Show;
use larder_timing::SystemClock;

/// `one` makes, `two` passes on, `three` reads.
const CONFIG: &str = r#"
[tasks.one]
command = "cat seed > one.txt"
inputs = ["seed"]
outputs = ["one.txt"]

[tasks.two]
command = "cat one.txt > two.txt"
inputs = []
outputs = ["two.txt"]
depends-on = ["one"]

[tasks.three]
command = "cat one.txt two.txt > three.txt"
inputs = []
outputs = ["three.txt"]
depends-on = ["two"]
"#;

fn status(session: &mut Session<'_>, kept: &[&str]) -> BTreeMap<String, Status> {
    let workspace = &session.workspace;
    let all: BTreeSet<usize> = (0..workspace.tasks.len()).collect();
    let kept = all
        .iter()
        .copied()
        .filter(|&task| kept.contains(&workspace.tasks[task].name.as_str()))
        .collect();
    let plan = Plan::new(workspace, all, false).unwrap();
    let plan = plan.keep(workspace, &kept);
    let options = Options {
        output_logs: Some(OutputLogs::None),
        ..Options::plain()
    };
    let show = Show::new(Order::Stream, false, true, false, None);
    let ended = session.run(&plan, &options, &show).unwrap();
    let results = ended.results.iter();
    results
        .map(|(&task, done)| (task_id(&session.workspace, task), done.record.status))
        .collect()
}

fn told(session: &mut Session<'_>, root: &Path, edits: &[(&str, &str)]) {
    let mut changes = ChangeSet::new();
    for (path, text) in edits {
        fs::write(root.join(path), text).unwrap();
        changes.add(*path);
    }
    session.update(&changes).unwrap();
}

#[test]
fn a_pruned_run_of_a_warm_session_sees_what_lies_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("ws");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("larder.toml"), CONFIG).unwrap();
    fs::write(root.join("seed"), "1\n").unwrap();
    let env: Vec<(OsString, OsString)> = vec![("PATH".into(), std::env::var_os("PATH").unwrap())];
    let (executor, clock) = (ProcessExecutor::default(), SystemClock::new());
    let around = Surroundings {
        env: &env,
        cache_dir: Some(dir.path().join("cache")),
        executor: &executor,
        cancel: Cancel::new(),
        clock: &clock,
        options: None,
        incremental: true,
        incremental_dir: None,
    };
    let mut session = Session::load(&root, around).unwrap();
    let read = || fs::read_to_string(root.join("three.txt")).unwrap();
    let all = ["one", "two", "three"];
    assert!(
        status(&mut session, &all)
            .values()
            .all(|status| *status == Status::Ran)
    );

    // Nothing changed: known with and without its dependencies.
    told(&mut session, &root, &[]);
    assert_eq!(
        status(&mut session, &["three"])[".#three"],
        Status::UpToDate
    );
    // What a task left out is to have made was changed by hand.
    told(&mut session, &root, &[("two.txt", "by hand\n")]);
    assert_eq!(status(&mut session, &["three"])[".#three"], Status::Ran);
    assert_eq!(read(), "1\nby hand\n");
    // And it was changed behind one that is left out, by a task that is not.
    told(&mut session, &root, &[("seed", "2\n")]);
    let ended = status(&mut session, &["one", "three"]);
    assert_eq!(
        (ended[".#one"], ended[".#three"]),
        (Status::Ran, Status::Ran)
    );
    assert_eq!(read(), "2\nby hand\n");
    // The whole graph makes it right again, and then knows it.
    told(&mut session, &root, &[]);
    assert_eq!(status(&mut session, &all)[".#three"], Status::Ran);
    assert_eq!(read(), "2\n2\n");
    told(&mut session, &root, &[]);
    assert!(
        status(&mut session, &all)
            .values()
            .all(|status| *status == Status::UpToDate)
    );
}
