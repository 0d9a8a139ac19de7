//! What a change set reaches, and what stays known.
//! Does not know what is kept for later sessions.

use super::*;

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
        ("a/out/all", &[]),
        ("a/out", &["a#lint"]),
        ("b/lint.txt", &[]),
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
fn an_output_that_is_not_as_its_task_left_it_reaches_that_task() {
    let host = Host::new(WORKSPACE);
    let mut session = host.load();
    run(&mut session);
    session.update(&ChangeSet::new()).unwrap();
    run(&mut session);
    for (what, change) in [
        (
            "gone",
            &(|| fs::remove_file(host.path("a/out/all")).unwrap()) as &dyn Fn(),
        ),
        ("other", &|| host.write("a/out/all", "2")),
        ("other type", &|| {
            fs::remove_file(host.path("a/out/all")).unwrap();
            fs::create_dir(host.path("a/out/all")).unwrap();
        }),
    ] {
        change();
        let affected = session.update(&changes(&["a/out/all"])).unwrap();
        assert!(
            names(&session, &affected).contains(&"a#build".to_owned()),
            "{what}"
        );
        assert_eq!(
            which(&run(&mut session), Status::Restored),
            ["a#build"],
            "{what}"
        );
        assert_eq!(fs::read(host.path("a/out/all")).unwrap(), b"1", "{what}");
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
    intent::finish(intents, "a#build", known, None);
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
fn a_folder_that_is_moved_into_one_of_outputs_may_hold_inputs() {
    let host = Host::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; cat $(find . -name '*.c' -not -path './.larder/*') > out/all.o\"\noutputs = [\"out/*.o\"]\n",
        ),
        ("one.c", "1"),
    ]);
    let mut session = host.load();
    run(&mut session);
    session.update(&changes(&["out", "out/all.o"])).unwrap();
    assert_eq!(which(&run(&mut session), Status::UpToDate), [".#build"]);
    host.write("out/sub/two.c", "2");
    let affected = session.update(&changes(&["out/sub"])).unwrap();
    assert_eq!(names(&session, &affected), [".#build"]);
    assert_eq!(which(&run(&mut session), Status::Ran), [".#build"]);
}
