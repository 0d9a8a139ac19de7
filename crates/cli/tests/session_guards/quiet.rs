//! When a request is answered from what was kept, and when not.
//! What a session goes by is tested beside it.

use super::*;

#[test]
fn a_request_is_not_answered_from_what_was_kept_of_something_else() {
    let host = Host::new(WORKSPACE);
    let words = ["build".into()];
    settled(&host, NOW, &words);
    assert!(quiet(&host, &words).is_some());
    let good = fs::read(host.path(".larder/session")).unwrap();
    let altered: [(&str, Altered); 6] = [
        ("program", |kept| kept.scope.program.push('x')),
        ("platform", |kept| kept.scope.platform.push('x')),
        ("root", |kept| kept.scope.root[0] ^= 1),
        ("options", |kept| kept.scope.options = Some([1; 32])),
        ("state", |kept| kept.state = Some((1, 2, 3, 4))),
        ("indexes", |kept| kept.indexes = vec![Some((1, 2, 3, 4))]),
    ];
    for (what, with) in altered {
        alter(&host, with);
        assert!(quiet(&host, &words).is_none(), "{what}");
        fs::write(host.path(".larder/session"), &good).unwrap();
        assert!(quiet(&host, &words).is_some(), "{what}");
    }
    // A workspace that was moved: its place may stand in what it made.
    let moved = host.root.path().join("moved");
    fs::rename(host.path(""), &moved).unwrap();
    assert!(quiet_in(&host, &moved, &words).is_none());
}

#[test]
fn requests_of_one_moment_are_kept_side_by_side_and_those_of_another_go() {
    let host = Host::new(WORKSPACE);
    let (first, second) = (["build".into()], ["lint".into()]);
    settled(&host, NOW, &first);
    for words in [&second, &first, &second] {
        let mut session = host.load();
        assert_eq!(session.resume(), Some(NOW));
        session.update(&ChangeSet::new()).unwrap();
        session.keep_as_of(NOW, Some(&host.request(words)));
        run(&mut session);
        assert!(quiet(&host, &first).is_some());
    }
    assert!(quiet(&host, &second).is_some());
    let mut count = 0;
    alter(&host, |kept| count = kept.quiet.len());
    assert_eq!(count, 2, "each once");

    // What was quiet then is not so now, as far as anybody knows.
    let mut session = host.load();
    session.resume().unwrap();
    session.update(&changes(&["a/src/one"])).unwrap();
    let later = Clock { tick: 9, ..NOW };
    session.keep_as_of(later, Some(&host.request(&second)));
    run(&mut session);
    assert!(quiet(&host, &second).is_some());
    assert!(quiet(&host, &first).is_none());
}

#[test]
fn nothing_is_quiet_of_which_a_change_would_not_be_told() {
    let task =
        "[tasks.t]\ncommand = \"cat in > out.txt\"\ninputs = [\"in\"]\noutputs = [\"out.txt\"]\n";
    let project = "[project]\nname = \"a\"\n";
    let mounted = format!("[workspace]\nprojects = [\"a\", \"../other\"]\n{task}");
    let awaited = format!("[workspace]\nprojects = [\"a\", \"../libs/*\"]\n{task}");
    let ignored = format!("[workspace]\nprojects = [\"a\"]\n{task}");
    let tools = format!("{task}tools = [\"cat a/larder.toml\"]\n");
    for (what, config, rules) in [
        ("a source that is ignored", &ignored, "a/larder.toml\n"),
        ("a project elsewhere", &mounted, "x\n"),
        ("a folder elsewhere that may get one", &awaited, "x\n"),
        ("output of a tool", &tools, "x\n"),
    ] {
        let host = Host::new(&[
            ("larder.toml", config),
            (".gitignore", rules),
            ("in", "1"),
            ("a/in", "1"),
            ("a/larder.toml", project),
            ("../other/in", "1"),
            ("../libs/file", "1"),
        ]);
        settled(&host, NOW, &[]);
        assert!(quiet(&host, &[]).is_none(), "{what}");
        // Without it the same is quiet.
        host.write(".gitignore", "x\n");
        host.write("larder.toml", &ignored);
        settled(&host, NOW, &[]);
        assert!(quiet(&host, &[]).is_some(), "{what}");
    }
}

/// Writes the state anew while a run goes on, as another process may.
struct Another<'h>(&'h Host);

impl Beside for Another<'_> {
    fn ender(&self) -> Box<dyn Fn()> {
        Box::new(|| ())
    }

    fn go(&mut self, _run: &Run<'_>) {
        let state = self.0.path(".larder/state");
        let bytes = fs::read(&state).unwrap();
        fs::write(self.0.path(".larder/new"), bytes).unwrap();
        fs::rename(self.0.path(".larder/new"), state).unwrap();
    }
}

#[test]
fn nothing_is_quiet_that_another_process_ended_in_the_meantime() {
    let host = Host::new(WORKSPACE);
    let mut session = warm(&host);
    session.update(&ChangeSet::new()).unwrap();
    session.keep_as_of(NOW, Some(&host.request(&[])));
    let plan = plan(&session);
    let ended = session
        .run_beside(&plan, &Options::plain(), &show(), Some(&mut Another(&host)))
        .unwrap();
    assert_eq!(which(&ended, Status::UpToDate).len(), 4);
    assert!(quiet(&host, &[]).is_none());
}

#[test]
fn a_quiet_answer_says_what_the_run_would_have_said() {
    let config = |bytes: usize| {
        format!(
            r#"
[tasks.said]
command = "head -c {bytes} /dev/zero | tr '\\0' x; cat in > out.txt"
inputs = ["in"]
outputs = ["out.txt"]

[tasks.silent]
command = "cat in > silent.txt"
inputs = ["in"]
outputs = ["silent.txt"]

[tasks.all]
depends-on = ["said", "silent"]
"#
        )
    };
    let shown = Options {
        output_logs: Some(OutputLogs::Full),
        ..Options::plain()
    };
    let ask = |host: &Host| {
        let mut session = host.load();
        run_as(&mut session, &shown);
        session.update(&ChangeSet::everything("the test")).unwrap();
        session.keep_as_of(NOW, Some(&host.request(&[])));
        run_as(&mut session, &shown)
    };
    let host = Host::new(&[("larder.toml", &config(1000)), ("in", "1")]);
    let ended = ask(&host);
    let saved = ended.results.values().map(|done| done.record.saved_seconds);
    let saved: f64 = saved.sum();
    let found = quiet(&host, &[]).unwrap();
    assert_eq!((found.tasks, found.groups), (2, 1));
    assert_eq!(found.saved_seconds.to_bits(), saved.to_bits());
    let logs: Vec<_> = found.logs.iter().map(|(task, _, _)| task).collect();
    assert_eq!(logs, [".#said"]);
    assert!(found.logs[0].2.len() >= 1000);

    // So much is not kept twice.
    let host = Host::new(&[("larder.toml", &config(2 << 20)), ("in", "1")]);
    ask(&host);
    assert!(quiet(&host, &[]).is_none());
}
