//! The session as a library: what a change set reaches, what stays known, and that no result hangs on either.
//! The program's own commands are tested end to end elsewhere.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use larder::record::Status;
use larder::session::forecast::{Verdict, forecast};
use larder::session::run::Options;
use larder::session::snapshot::{Answer, answer};
use larder::session::{ChangeSet, Clock, Run};
use larder::state::intent;

use common::{Host, NOW, WORKSPACE, changes, git, names, plan, run, settled, show, which};

/// Verdicts of a session that knows nothing but what lies on disk.
fn fresh_verdicts(host: &Host) -> BTreeSet<(String, Verdict)> {
    let session = host.load();
    let (plan, options, show) = (plan(&session), Options::plain(), show());
    let run = Run::new(&session, &plan, &options, &show).unwrap();
    let forecasts = forecast(&run).unwrap();
    forecasts
        .into_iter()
        .map(|forecast| (forecast.id, forecast.verdict))
        .collect()
}

#[test]
fn a_host_tells_what_changed_and_only_that_is_looked_at() {
    let host = Host::new(WORKSPACE);
    let mut session = host.load();
    assert_eq!(which(&run(&mut session), Status::Ran).len(), 4);

    // What the run itself wrote is a change like any other: looked at, and found as it was left.
    let own = changes(&[
        "a/out",
        "a/out/all",
        "b/out/all",
        "a/lint.txt",
        "b/lint.txt",
    ]);
    session.update(&own).unwrap();
    assert_eq!(which(&run(&mut session), Status::UpToDate).len(), 4);

    // Nothing changed: nothing is planned to be looked at, and no file is.
    let affected = session.update(&ChangeSet::new()).unwrap();
    assert!(affected.is_empty());
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::UpToDate).len(), 4);
    assert_eq!(session.counters().stat_calls, 0, "{ended:?}");
    assert_eq!(session.counters().folders_listed, 0);

    // One file: one task, and what its changed output reaches.
    host.write("a/src/one", "other");
    let affected = session.update(&changes(&["a/src/one"])).unwrap();
    assert_eq!(names(&session, &affected), ["a#build"]);
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::Ran), ["a#build", "b#build"]);
    assert_eq!(fs::read(host.path("a/out/all")).unwrap(), b"other");

    // The same content under another time is looked at, and that is all.
    host.write("a/src/one", "other");
    session.update(&own).unwrap();
    let affected = session.update(&changes(&["a/src/one"])).unwrap();
    assert_eq!(names(&session, &affected), ["a#build"]);
    assert_eq!(which(&run(&mut session), Status::UpToDate).len(), 4);

    // What no task reads reaches none: an ignored file, a file that a glob leaves out.
    host.write("a/debug.log", "x");
    host.write("b/out.of.the.way/skip.md", "x");
    let affected = session.update(&changes(&["a/debug.log"])).unwrap();
    assert_eq!(names(&session, &affected), Vec::<String>::new());
}

#[test]
fn each_kind_of_change_reaches_its_tasks_and_no_other() {
    let host = Host::new(WORKSPACE);
    let mut session = host.load();
    run(&mut session);
    session
        .update(&ChangeSet::everything("the test begins"))
        .unwrap();
    assert_eq!(which(&run(&mut session), Status::UpToDate).len(), 4);
    for (path, reached) in [
        ("a/src/new", &["a#build"][..]),
        ("a/README.md", &["a#build", "a#lint"]),
        ("a/skip.md", &["a#build"]),
        ("a/src", &["a#build", "a#lint"]),
        ("a/out/all", &["a#build"]),
        ("a/out", &["a#build", "a#lint"]),
        ("b/lint.txt", &["b#lint"]),
        ("elsewhere", &[]),
        ("a/.gitignore", &["a#build"]),
        ("a/.larderignore", &["a#build", "a#lint"]),
        ("b", &["b#build", "b#lint"]),
        (".git/index", &["a#build", "b#build"]),
        ("shared.lock", &["a#build", "b#build", "a#lint", "b#lint"]),
    ] {
        let affected = session.update(&changes(&[path])).unwrap();
        let mut found = names(&session, &affected);
        found.sort();
        let mut reached = reached.to_vec();
        reached.sort_unstable();
        assert_eq!(found, reached, "{path}");
        assert!(!affected.reloaded, "{path}");
        assert_eq!(affected.everything.is_some(), path == "shared.lock");
        run(&mut session);
    }
}

#[test]
fn a_run_without_an_update_before_it_looks_at_everything() {
    let host = Host::new(WORKSPACE);
    let mut session = host.load();
    run(&mut session);
    session.update(&ChangeSet::new()).unwrap();
    run(&mut session);
    host.write("a/src/one", "unsaid");
    assert_eq!(
        which(&run(&mut session), Status::Ran),
        ["a#build", "b#build"]
    );
}

#[test]
fn another_process_between_two_runs_is_noticed() {
    let host = Host::new(WORKSPACE);
    let mut session = host.load();
    run(&mut session);
    host.write("a/src/one", "by another");
    run(&mut host.load());
    let told = changes(&["a/src/one", "a/out/all", "b/out/all"]);
    session.update(&told).unwrap();
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::UpToDate).len(), 4);
}

#[test]
fn a_record_that_was_left_behind_goes_when_the_state_has_what_it_says() {
    let host = Host::new(WORKSPACE);
    run(&mut host.load());
    let session = host.load();
    let known = session.state.task("a#build").unwrap();
    let intents = &session.paths.intents;
    let record = intent::Intent {
        task: "a#build".to_owned(),
        foreign: Some(BTreeSet::new()),
        larder: None,
    };
    intent::begin(intents, &record).unwrap();
    intent::finish(intents, "a#build", known);
    let ended = run(&mut host.load());
    assert_eq!(which(&ended, Status::UpToDate).len(), 4);
    assert!(!intent::any(intents));
}

#[test]
fn a_changed_configuration_is_read_again_and_a_wrong_one_changes_nothing() {
    let host = Host::new(WORKSPACE);
    let mut session = host.load();
    run(&mut session);
    let good = fs::read_to_string(host.path("larder.toml")).unwrap();
    host.write("larder.toml", "[tasks.build\n");
    let told = changes(&["larder.toml"]);
    let error = session.update(&told).unwrap_err();
    assert!(error.to_string().contains("TOML"), "{error}");
    // Nothing else changed, but the mistake is still there.
    session.update(&ChangeSet::new()).unwrap_err();
    host.write("larder.toml", &good.replace("cat src/*", "cat src/* src/*"));
    let affected = session.update(&ChangeSet::new()).unwrap();
    assert!(affected.reloaded);
    assert_eq!(
        which(&run(&mut session), Status::Ran),
        ["a#build", "b#build"]
    );
    host.write("c/larder.toml", "[project]\nname = \"c\"\n");
    host.write("larder.toml", &good.replace("\"b\"]", "\"b\", \"c\"]"));
    let affected = session.update(&told).unwrap();
    assert!(affected.reloaded);
    assert!(session.compiled.task("c#lint").is_some());
}

#[test]
fn options_of_the_host_enter_every_key() {
    let mut host = Host::new(WORKSPACE);
    run(&mut host.load());
    host.options = Some([1; 32]);
    assert_eq!(which(&run(&mut host.load()), Status::Ran).len(), 4);
    host.options = None;
    let ended = run(&mut host.load());
    assert_eq!(which(&ended, Status::Restored).len(), 4);
}

#[test]
fn a_kept_session_is_taken_over_and_told_what_changed_since() {
    let host = Host::new(WORKSPACE);
    settled(&host, NOW, &[]);
    let mut session = host.load();
    assert_eq!(session.resume(), Some(NOW));
    session.update(&ChangeSet::new()).unwrap();
    assert_eq!(which(&run(&mut session), Status::UpToDate).len(), 4);
    assert_eq!(session.counters().stat_calls, 0);

    host.write("b/src/two", "changed");
    let mut session = host.load();
    session.resume().unwrap();
    let affected = session.update(&changes(&["b/src/two"])).unwrap();
    assert_eq!(names(&session, &affected), ["b#build"]);
    assert_eq!(which(&run(&mut session), Status::Ran), ["b#build"]);

    // Taken over and not told anything, it goes by nothing of it.
    host.write("b/src/two", "unsaid");
    let mut session = host.load();
    session.resume().unwrap();
    assert_eq!(which(&run(&mut session), Status::Ran), ["b#build"]);
}

#[test]
fn a_kept_session_of_something_else_is_purged_and_a_damaged_one_named() {
    let mut host = Host::new(WORKSPACE);
    settled(&host, NOW, &[]);
    let file = host.path(".larder/session");
    let good = fs::read(&file).unwrap();

    host.options = Some([9; 32]);
    assert_eq!(host.load().resume(), None);
    assert!(!file.exists());
    host.options = None;

    fs::write(&file, &good).unwrap();
    let text = fs::read_to_string(host.path("larder.toml")).unwrap();
    host.write(
        "larder.toml",
        &text.replace("mkdir -p out;", "mkdir -p out &&"),
    );
    assert_eq!(host.load().resume(), None);
    assert!(!file.exists());
    host.write("larder.toml", &text);

    fs::write(&file, &good[..good.len() - 1]).unwrap();
    let mut session = host.load();
    assert_eq!(session.resume(), None);
    assert!(
        session.warnings()[0].contains("session is damaged"),
        "{:?}",
        session.warnings()
    );
    assert!(!file.exists());
    session.update(&ChangeSet::new()).unwrap();
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::UpToDate).len(), 4);
    assert!(session.counters().stat_calls > 0);
}

#[test]
fn a_request_is_answered_without_a_session_while_nothing_it_hangs_on_changed() {
    let mut host = Host::new(WORKSPACE);
    host.env.push(("CI".into(), "1".into()));
    host.write(
        "larder.toml",
        &fs::read_to_string(host.path("larder.toml"))
            .unwrap()
            .replace("[workspace]", "[workspace]\nglobal-env = [\"CI\"]"),
    );
    git(&host, &["init", "-q"]);
    git(&host, &["add", "a/src"]);
    let words = ["build".into()];
    settled(&host, NOW, &words);
    let quiet = |host: &Host, words: &[OsString], told: &ChangeSet| {
        let ask = |since: Option<Clock>| {
            assert_eq!(since, Some(NOW));
            Some((Clock { tick: 8, ..NOW }, told.clone()))
        };
        match answer(&host.path(""), None, &host.request(words), &ask).unwrap() {
            Answer::Quiet(quiet) => {
                assert_eq!((quiet.tasks, quiet.groups), (4, 0));
                true
            }
            Answer::Since {
                since,
                clock,
                changes,
            } => {
                assert_eq!((since, clock.tick, &changes), (Some(NOW), 8, told));
                false
            }
        }
    };
    let nothing = ChangeSet::new();
    assert!(quiet(&host, &words, &nothing));
    assert!(!quiet(&host, &words, &changes(&["a/src/one"])));
    assert!(!quiet(&host, &["lint".into()], &nothing));

    host.env.push(("UNSAID".into(), "2".into()));
    assert!(
        quiet(&host, &words, &nothing),
        "a variable that no task declares"
    );
    host.env[1].1 = "2".into();
    assert!(!quiet(&host, &words, &nothing), "a declared variable");
    host.env[1].1 = "1".into();
    assert!(quiet(&host, &words, &nothing));

    git(&host, &["add", "b/src"]);
    assert!(!quiet(&host, &words, &nothing), "what git tracks");
    fs::remove_dir_all(host.path(".git")).unwrap();
    assert!(!quiet(&host, &words, &nothing), "no git any more");
    settled(&host, NOW, &words);
    assert!(quiet(&host, &words, &nothing));

    let session = host.load();
    let record = intent::Intent {
        task: "a#build".to_owned(),
        foreign: None,
        larder: None,
    };
    intent::begin(&session.paths.intents, &record).unwrap();
    assert!(!quiet(&host, &words, &nothing), "a run that was cut off");
    intent::end(&session.paths.intents, "a#build");
    assert!(quiet(&host, &words, &nothing));
    fs::remove_file(&session.paths.state).unwrap();
    assert!(!quiet(&host, &words, &nothing), "no state");
}

#[test]
fn what_nobody_could_tell_of_is_looked_at_again() {
    let files: Vec<(&str, &str)> = vec![
        (
            "larder.toml",
            r#"
[tasks.tool]
command = "echo x > tool.txt"
inputs = ["in"]
outputs = ["tool.txt"]
tools = ["cat version"]

[tasks.link]
command = "cat link > link.txt"
inputs = ["link"]
outputs = ["link.txt"]

[tasks.plain]
command = "cat in > plain.txt"
inputs = ["in"]
outputs = ["plain.txt"]
"#,
        ),
        ("in", "1"),
        ("version", "1"),
        ("../target", "1"),
    ];
    let host = Host::new(&files);
    std::os::unix::fs::symlink("../target", host.path("link")).unwrap();
    settled(&host, NOW, &[]);
    let mut session = host.load();
    session.resume().unwrap();
    host.write("version", "2");
    host.write("../target", "2");
    session.update(&ChangeSet::new()).unwrap();
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::UpToDate), [".#plain"]);
    assert_eq!(which(&ended, Status::Ran), [".#link", ".#tool"]);
}

/// A small generator of numbers: a seed repeats a run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Something happens to the workspace; what was touched is told.
fn happen(host: &Host, random: &mut Random, changes: &mut ChangeSet) {
    let project = ["a", "b"][random.below(2)];
    let file = [
        "src/one",
        "src/two",
        "notes.md",
        "skip.md",
        "deep/er/x.md",
        "deep/y.log",
        "out/all",
        "lint.txt",
        "src/d/e",
    ][random.below(9)];
    let path = format!("{project}/{file}");
    let full = host.path(&path);
    match random.below(7) {
        0..=2 => {
            let parent = full.parent().unwrap();
            if parent.is_file() {
                return;
            }
            let missing = parent
                .ancestors()
                .find(|folder| folder.parent().is_some_and(Path::is_dir) && !folder.exists());
            if let Some(missing) = missing {
                let told = missing.strip_prefix(host.path("")).unwrap();
                changes.add(told.to_str().unwrap());
            }
            if !full.is_dir() {
                host.write(&path, &random.below(3).to_string());
            }
        }
        3 => drop(fs::remove_file(&full)),
        4 => drop(fs::remove_dir_all(&full)),
        5 => {
            // A folder takes another name, and a file may take its place.
            let (from, to) = ("deep", ["moved", "src/d"][random.below(2)]);
            let (from, to) = (format!("{project}/{from}"), format!("{project}/{to}"));
            if fs::rename(host.path(&from), host.path(&to)).is_ok() && random.below(2) == 0 {
                host.write(&from, "a file now");
            }
            changes.add(from);
            changes.add(to);
        }
        _ => {
            let rules = [
                "*.log\nout/\nlint.txt\n",
                "out/\nlint.txt\n",
                "*.md\nout/\nlint.txt\n",
            ];
            let path = format!("{project}/.gitignore");
            host.write(&path, rules[random.below(3)]);
            changes.add(path);
        }
    }
    changes.add(path);
}

#[test]
fn after_any_changes_a_warm_session_knows_what_a_cold_one_finds() {
    for seed in 0..12 {
        let host = Host::new(WORKSPACE);
        let mut random = Random(seed);
        let mut session = host.load();
        run(&mut session);
        let own = changes(&[
            "a/out/all",
            "b/out/all",
            "a/lint.txt",
            "b/lint.txt",
            "a/out",
            "b/out",
        ]);
        let mut told = own.clone();
        for step in 0..12 {
            for _ in 0..random.below(3) {
                happen(&host, &mut random, &mut told);
            }
            session.update(&told).unwrap();
            run(&mut session);
            told = own.clone();
            // What ran now is up to date for a session that remembers nothing; what failed would run again.
            let cold = fresh_verdicts(&host);
            session.update(&told).unwrap();
            let again = run(&mut session);
            for (id, verdict) in &cold {
                let warm = again
                    .results
                    .values()
                    .find(|done| done.record.task == *id)
                    .unwrap();
                let skips = warm.record.status == Status::UpToDate;
                assert_eq!(
                    skips,
                    *verdict == Verdict::UpToDate,
                    "seed {seed}, step {step}: {id} {verdict:?} {:?}",
                    warm.record
                );
            }
            told = own.clone();
        }
    }
}
