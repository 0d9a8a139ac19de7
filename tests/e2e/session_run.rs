//! Runs with a background session: that they look at nothing which did not change, and find just what runs without one find.
//! Knows nothing of how the session notices changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Signal, kill_process};

use crate::sandbox::Sandbox;
use crate::session::Live;

/// Two projects, of which `b` needs `a`, and a task that prints.
fn two() -> Live {
    Live::new(Sandbox::new(&[
        (
            "larder.toml",
            r#"
[workspace]
projects = ["a", "b"]

[tasks.build]
command = "echo $(basename $PWD) >> ../../ran.log; echo building; mkdir -p out && cat src/* > out/all; echo $MODE >> out/all"
depends-on = ["^build"]
outputs = ["out/**"]
env = ["MODE"]
"#,
        ),
        ("a/larder.toml", "[project]\nname = \"a\"\n"),
        ("a/src/one", "one\n"),
        ("a/.gitignore", "*.log\nout/\n"),
        (
            "b/larder.toml",
            "[project]\nname = \"b\"\ndepends-on = [\"a\"]\n",
        ),
        ("b/src/two", "two\n"),
        ("b/.gitignore", "out/\n"),
    ]))
}

/// Name, time of change and inode of everything the workspace keeps, but for what the session itself writes.
fn kept(root: &Path) -> BTreeMap<String, (i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.join(".larder")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry
                .path()
                .strip_prefix(root)
                .unwrap()
                .display()
                .to_string();
            if name.contains("cookies") || name.contains("session.log") {
                continue;
            }
            let stat = entry.metadata().unwrap();
            if stat.is_dir() {
                open.push(entry.path());
            } else {
                found.insert(name, (stat.ctime(), stat.ctime_nsec(), stat.ino()));
            }
        }
    }
    found
}

/// What is done to the workspace, in words and in deed, and which tasks run for it.
type Change<'c> = (&'c str, &'c dyn Fn(), &'c [&'c str]);

/// What a run says of its work: how many tasks it looked at and how often it asked the disk.
fn counters(live: &Live) -> (serde_json::Value, serde_json::Value) {
    let outcome = live.sandbox.larder("run build --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let record: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    (record["tasks"].clone(), record["counters"].clone())
}

#[test]
fn where_nothing_changed_nothing_is_looked_at_or_written() {
    let live = two();
    live.start();
    let first = live.sandbox.larder("build");
    assert_eq!(first.code, 0, "{}", first.all());
    assert_eq!(live.sandbox.ran(), ["a", "b"]);
    // What the first made is looked at once, and after that nothing is.
    live.sandbox.larder("build");
    let before = kept(&live.sandbox.root());
    let quiet = live.sandbox.larder("build");
    assert_eq!(kept(&live.sandbox.root()), before);
    assert!(
        quiet
            .stderr
            .contains("everything is up to date (2 tasks: 2 up to date)"),
        "{}",
        quiet.all()
    );
    assert!(
        quiet.stdout.contains("a#build: building"),
        "what it printed is shown again: {}",
        quiet.all()
    );
    let (_, counted) = counters(&live);
    assert_eq!(counted["stat_calls"], 0, "{counted}");
    assert_eq!(counted["folders_listed"], 0, "{counted}");

    let (_, without) = {
        let outcome = live.sandbox.larder("run build --json --no-session");
        let record: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        (record["tasks"].clone(), record["counters"].clone())
    };
    assert!(without["stat_calls"].as_u64().unwrap() > 0, "{without}");
    assert!(live.sandbox.ran().is_empty());
}

#[test]
fn every_change_is_seen_and_only_what_it_reaches_is_looked_at() {
    let live = two();
    let sandbox = &live.sandbox;
    live.start();
    for _ in 0..3 {
        sandbox.larder("build");
    }
    sandbox.ran();
    let changes: [Change<'_>; 7] = [
        ("an edit", &|| sandbox.write("b/src/two", "2\n"), &["b"]),
        (
            "an edit of what both need",
            &|| sandbox.write("a/src/one", "1\n"),
            &["a", "b"],
        ),
        (
            "a file more",
            &|| sandbox.write("b/src/three", "3\n"),
            &["b"],
        ),
        ("an ignored file", &|| sandbox.write("a/x.log", "x"), &[]),
        (
            "the same content",
            &|| sandbox.write("a/src/one", "1\n"),
            &[],
        ),
        ("an output less", &|| sandbox.remove("b/out/all"), &[]),
        (
            "another command",
            &|| {
                let text = sandbox.read("larder.toml");
                sandbox.write(
                    "larder.toml",
                    &text.replace("echo building", "echo otherwise"),
                );
            },
            &["a", "b"],
        ),
    ];
    for (what, change, expected) in changes {
        change();
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{what}: {}", outcome.all());
        assert_eq!(sandbox.ran(), expected, "{what}: {}", outcome.all());
        // What a run without a session finds is that nothing is left to do.
        let check = sandbox.larder("run build --no-session --no-incremental");
        assert!(
            check.stderr.contains("everything is up to date"),
            "{what}: {}",
            check.all()
        );
        assert!(sandbox.exists("b/out/all"), "{what}");
    }
}

#[test]
fn a_declared_variable_with_another_value_is_no_quiet_answer() {
    let live = two();
    live.start();
    let run = |mode: &str| {
        let mut command = live.sandbox.command();
        command.arg("build").env("MODE", mode);
        live.sandbox.run(&mut command)
    };
    for _ in 0..3 {
        run("fast");
    }
    live.sandbox.ran();
    run("slow");
    assert_eq!(live.sandbox.ran(), ["a", "b"]);
    assert_eq!(live.sandbox.read("a/out/all"), "one\nslow\n");
    run("fast");
    assert_eq!(live.sandbox.read("a/out/all"), "one\nfast\n");
    let values = fs::read(live.sandbox.path(".larder/session")).unwrap();
    for value in ["fast", "slow"] {
        assert!(!values.windows(4).any(|part| part == value.as_bytes()));
    }
}

#[test]
fn without_the_session_that_was_everything_is_looked_at() {
    let live = two();
    let session = live.start();
    for _ in 0..3 {
        live.sandbox.larder("build");
    }
    live.sandbox.ran();
    kill_process(session, Signal::KILL).unwrap();
    live.sandbox.write("a/src/one", "while nobody watched\n");
    live.sandbox.larder("build");
    assert_eq!(live.sandbox.ran(), ["a", "b"]);
    // A new one knows nothing of before.
    live.start();
    live.sandbox.write("b/src/two", "before it was asked\n");
    live.sandbox.larder("build");
    assert_eq!(live.sandbox.ran(), ["b"]);
    live.session("stop");
    live.sandbox.write("b/src/two", "after it was stopped\n");
    live.sandbox.larder("build");
    assert_eq!(live.sandbox.ran(), ["b"]);
}

#[test]
fn memo_and_snapshots_may_lie_elsewhere_or_be_left_alone() {
    let sandbox = Sandbox::simple();
    assert_eq!(
        sandbox.larder("build --incremental-cache-dir ../warm").code,
        0
    );
    assert!(sandbox.base().join("warm/memo").exists());
    assert!(!sandbox.exists(".larder/memo"));
    assert!(
        sandbox.exists(".larder/state"),
        "what belongs to the outputs stays with them"
    );
    assert_eq!(sandbox.ran(), ["build"]);
    let record = |line: &str| -> serde_json::Value {
        let outcome = sandbox.larder(line);
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    sandbox.larder("build");
    let cold = record("run build --json --no-incremental");
    assert_eq!(cold["counters"]["memo_hits"], 0, "{cold}");
    assert!(
        cold["counters"]["memo_misses"].as_u64().unwrap() > 0,
        "{cold}"
    );
    assert_eq!(cold["tasks"][0]["status"], "up-to-date");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn chunks_are_redone_by_what_changed_as_without_a_session() {
    let live = Live::new(Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.cc]
foreach = "src/**/*.c"
command = "echo cc {in} >> ../ran.log; cat {in} inc/x.h > {out} && echo '{out}:' {in} inc/x.h > {out}.d"
outputs = ["obj/{in}.o"]
depfile = "{out}.d"

[tasks.build]
command = "echo build >> ../ran.log; find obj -name '*.o' | sort | xargs cat > all"
inputs = []
outputs = ["all"]
depends-on = ["cc"]
"#,
        ),
        (".gitignore", "/src\n/inc\n/obj\n"),
        ("src/a.c", "a\n"),
        ("src/deep/b.c", "b\n"),
        ("inc/x.h", "x\n"),
    ]));
    let sandbox = &live.sandbox;
    live.start();
    for _ in 0..3 {
        sandbox.larder("build");
    }
    sandbox.ran();
    let changes: [(Change<'_>, &str); 7] = [
        (
            (
                "an edit",
                &|| sandbox.write("src/a.c", "A\n"),
                &["cc src/a.c", "build"],
            ),
            "A\nx\nb\nx\n",
        ),
        (
            (
                "a source more, in a new folder",
                &|| sandbox.write("src/new/c.c", "c\n"),
                &["cc src/new/c.c", "build"],
            ),
            "A\nx\nb\nx\nc\nx\n",
        ),
        (
            ("a source less", &|| sandbox.remove("src/deep"), &["build"]),
            "A\nx\nc\nx\n",
        ),
        (
            (
                "another header",
                &|| sandbox.write("inc/x.h", "X\n"),
                &["build", "cc src/a.c", "cc src/new/c.c"],
            ),
            "A\nX\nc\nX\n",
        ),
        (
            ("an object less", &|| sandbox.remove("obj/src/a.c.o"), &[]),
            "A\nX\nc\nX\n",
        ),
        (
            ("the same content", &|| sandbox.write("src/a.c", "A\n"), &[]),
            "A\nX\nc\nX\n",
        ),
        (
            (
                "a source under another name",
                &|| std::fs::rename(sandbox.path("src/new/c.c"), sandbox.path("src/d.c")).unwrap(),
                &["cc src/d.c", "build"],
            ),
            "A\nX\nc\nX\n",
        ),
    ];
    for ((what, change, expected), all) in changes {
        change();
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{what}: {}", outcome.all());
        let (mut ran, mut expected) = (sandbox.ran(), expected.to_vec());
        ran.sort();
        expected.sort_unstable();
        assert_eq!(ran, expected, "{what}: {}", outcome.all());
        assert_eq!(sandbox.read("all"), all, "{what}");
        let check = sandbox.larder("run build --no-session --no-incremental");
        assert!(
            check.stderr.contains("everything is up to date"),
            "{what}: {}",
            check.all()
        );
    }
    assert!(!sandbox.exists("obj/src/deep/b.c.o") && !sandbox.exists("obj/src/new/c.c.o"));
}
