//! Sessions that are kept for later ones, and requests that are answered from them.
//! Does not know who tells changes.

use super::*;

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

#[test]
fn what_is_damaged_of_memo_and_configuration_is_named_in_the_first_run() {
    let host = Host::new(WORKSPACE);
    run(&mut host.load());
    for name in ["memo", "workspace", "session"] {
        let file = host.path(".larder").join(name);
        // A snapshot of the configuration is not kept so soon after an edit.
        let mut bytes = fs::read(&file).unwrap_or_default();
        bytes.pop();
        if bytes.is_empty() {
            bytes = b"LRD".to_vec();
        }
        fs::write(&file, &bytes).unwrap();
        let mut session = host.load();
        session.resume();
        let ended = run(&mut session);
        assert_eq!(which(&ended, Status::UpToDate).len(), 4, "{name}");
        let warnings = session.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains(&format!("{name} is damaged")),
            "{name}: {warnings:?}"
        );
        run(&mut session);
        assert!(session.warnings().is_empty(), "{name}: said once");
        fs::remove_file(&file).unwrap_or_default();
    }
}
