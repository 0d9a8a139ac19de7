//! What keeps a session from calling up to date what is not, guard by guard: each test fails when its guard is removed or reversed.
//! What a session does at large is tested in `session.rs`.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "session_guards/quiet.rs"]
mod quiet;

use std::fs;

use larder::execute::mux::OutputLogs;
use larder::record::Status;
use larder::session::format::Snapshot;
use larder::session::run::{Beside, Ended, Options};
use larder::session::{ChangeSet, Clock, Run, Session};

use common::{
    Host, NOW, WORKSPACE, alter, changes, git, names, plan, quiet, quiet_in, run, settled, show,
    which,
};

/// A session in which all is known and nothing was told since.
fn warm(host: &Host) -> Session<'_> {
    let mut session = host.load();
    run(&mut session);
    session
        .update(&ChangeSet::everything("the test begins"))
        .unwrap();
    run(&mut session);
    session
}

/// The tasks that changes of these paths reach.
fn reached(session: &mut Session<'_>, paths: &[&str]) -> Vec<String> {
    let affected = session.update(&changes(paths)).unwrap();
    assert!(!affected.reloaded && affected.everything.is_none());
    names(session, &affected)
}

fn run_as(session: &mut Session<'_>, options: &Options) -> Ended {
    session.run(&plan(session), options, &show()).unwrap()
}

type Altered = fn(&mut Snapshot);

#[test]
fn what_git_tracks_from_now_on_is_seen_though_nobody_tells_of_it() {
    let host = Host::new(WORKSPACE);
    git(&host, &["init", "-q"]);
    git(&host, &["add", "a/src"]);
    host.write("b/.gitignore", "out/\nlint.txt\n*.log\n");
    host.write("b/src/x.log", "ignored");
    let mut session = warm(&host);
    assert_eq!(reached(&mut session, &[]), [""; 0]);
    // One that is tracked is no longer ignored.
    git(&host, &["add", "-f", "b/src/x.log"]);
    assert_eq!(reached(&mut session, &[]), ["a#build", "b#build"]);
    assert_eq!(which(&run(&mut session), Status::Ran), ["b#build"]);
    // What is told beside it counts as well.
    git(&host, &["add", "b/src/two"]);
    host.write("a/new.md", "x");
    let found = reached(&mut session, &["a/new.md"]);
    assert!(found.contains(&"a#lint".to_owned()), "{found:?}");
}

#[test]
fn the_configuration_is_read_again_when_what_it_rests_on_may_have_changed() {
    let host = Host::new(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"libs/*\"]\n[tasks.t]\ncommand = \"cat in > out\"\ninputs = [\"in\"]\noutputs = [\"out\"]\n",
        ),
        ("libs/a/in", "1"),
        ("libs/b/in", "1"),
        ("libs/b/larder.toml", "[project]\nname = \"b\"\n"),
        ("elsewhere/x", "1"),
    ]);
    let mut session = warm(&host);
    let everything = ChangeSet::everything("the test");
    assert!(!session.update(&everything).unwrap().reloaded);
    let reloads = |session: &mut Session<'_>, paths: &[&str]| {
        session.update(&changes(paths)).unwrap().reloaded
    };
    // A file may have been written just as it was read: its stat says nothing then.
    assert!(reloads(&mut session, &["libs/b/larder.toml"]));
    assert!(!reloads(&mut session, &["libs", "elsewhere"]));
    // A project more, of which only the folder is told.
    host.write("libs/c/in", "1");
    assert!(reloads(&mut session, &["libs/c"]));
    assert!(session.compiled.task("libs/c#t").is_some());
    // A file of the configuration in a folder that took the place of another.
    host.write("libs/b/larder.toml", "[project]\nname = \"other\"\n");
    assert!(!reloads(&mut session, &["elsewhere/x"]), "nobody told");
    assert!(reloads(&mut session, &["libs/b"]));
    assert!(session.compiled.task("other#t").is_some());
    host.write("libs/b/larder.toml", "[project]\nname = \"third\"\n");
    assert!(session.update(&everything).unwrap().reloaded);
    assert!(session.compiled.task("third#t").is_some());
}

/// One task of which all files are inputs but those that ignore others, and one that takes some by a glob.
const IGNORING: &[(&str, &str)] = &[
    (
        "larder.toml",
        r#"
[tasks.all]
command = "find . -name '*.x' -not -path './.larder/*' | sort > all.txt"
inputs = ["$DEFAULT$", "!.gitignore", "!.larderignore"]
outputs = ["all.txt"]

[tasks.some]
command = "cat docs/*/*.md docs/*/*/*.md > some.txt || true"
inputs = ["docs/**/*.md"]
outputs = ["some.txt"]
"#,
    ),
    (".gitignore", "*.log\n*.txt\ndocs/\n"),
    ("docs/deep/x.md", "1"),
    ("kept/a.x", "1"),
    ("kept/b.log", "1"),
    ("lone/b.log", "1"),
];

#[test]
fn rules_that_change_reach_what_they_show_and_hide() {
    for (file, text) in [
        (".gitignore", "*.txt\ndocs/\n"),
        (".larderignore", "kept/\n"),
        ("kept/.gitignore", "*.x\n"),
    ] {
        let host = Host::new(IGNORING);
        let mut session = warm(&host);
        host.write(file, text);
        assert_eq!(reached(&mut session, &[file]), [".#all"], "{file}");
        assert_eq!(which(&run(&mut session), Status::Ran), [".#all"], "{file}");
    }
    // A file of another name shows nothing.
    let host = Host::new(IGNORING);
    let mut session = warm(&host);
    host.write("kept/b.log", "2");
    assert_eq!(reached(&mut session, &["kept/b.log"]), [""; 0]);
}

#[test]
fn a_folder_stands_for_all_that_lies_or_lay_in_it() {
    let host = Host::new(IGNORING);
    let mut session = warm(&host);
    fs::rename(host.path("docs/deep"), host.path("../away")).unwrap();
    assert_eq!(reached(&mut session, &["docs/deep"]), [".#some"], "gone");
    assert_eq!(which(&run(&mut session), Status::Ran), [".#some"]);
    fs::create_dir_all(host.path("docs/new")).unwrap();
    fs::rename(host.path("../away"), host.path("docs/new/er")).unwrap();
    assert_eq!(reached(&mut session, &["docs/new"]), [".#some"], "new");
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::UpToDate), [".#all"]);
    // A file that is no folder and was none stands for itself.
    host.write("docs/new/file", "x");
    assert_eq!(reached(&mut session, &["docs/new/file"]), [""; 0]);
}

#[test]
fn a_folder_that_became_empty_is_an_input_whatever_it_held() {
    let host = Host::new(IGNORING);
    let mut session = warm(&host);
    fs::remove_file(host.path("kept/b.log")).unwrap();
    assert_eq!(reached(&mut session, &["kept/b.log"]), [""; 0]);
    fs::remove_file(host.path("lone/b.log")).unwrap();
    assert_eq!(reached(&mut session, &["lone/b.log"]), [".#all"]);
    run(&mut session);
    // And back again: nothing but what changed lies in it.
    host.write("lone/b.log", "1");
    assert_eq!(reached(&mut session, &["lone/b.log"]), [".#all"]);
}

#[test]
fn outputs_and_discovered_inputs_are_reached_by_themselves_and_by_their_folders() {
    let host = Host::new(&[
        (
            "larder.toml",
            r#"
[tasks.cc]
command = "mkdir -p out; cat main.c inc/a.h > out/o; echo out/o: inc/a.h > o.d"
inputs = ["main.c"]
outputs = ["out/**"]
depfile = "o.d"

[tasks.other]
command = "cat main.c > other.txt"
inputs = ["main.c"]
outputs = ["other.txt"]
"#,
        ),
        ("main.c", "1"),
        ("inc/a.h", "1"),
        ("inc/b.h", "1"),
        ("include", "1"),
    ]);
    let mut session = warm(&host);
    session.update(&ChangeSet::new()).unwrap();
    run(&mut session);
    assert_eq!(
        session.counters().stat_calls,
        0,
        "all that it reads is told"
    );
    for (path, expected) in [
        ("inc/a.h", &[".#cc"][..]),
        ("inc", &[".#cc"]),
        ("inc/b.h", &[]),
        ("include", &[]),
        ("in", &[]),
    ] {
        let found = reached(&mut session, &[path]);
        assert_eq!(found, expected, "{path}");
        run(&mut session);
    }
    for (path, told, expected) in [
        ("out/o", "out/o", ".#cc"),
        ("out/o", "out", ".#cc"),
        ("other.txt", "other.txt", ".#other"),
    ] {
        let as_left = reached(&mut session, &[told]);
        assert_eq!(as_left, [""; 0], "{told}");
        host.write(path, "altered");
        assert_eq!(reached(&mut session, &[told]), [expected], "{told}");
        run(&mut session);
        session.update(&changes(&[told])).unwrap();
        run(&mut session);
    }
    host.write("inc/a.h", "2");
    session.update(&changes(&["inc/a.h"])).unwrap();
    assert_eq!(which(&run(&mut session), Status::Ran), [".#cc"]);
    assert_eq!(fs::read(host.path("out/o")).unwrap(), b"12");
}

#[test]
fn discovered_files_that_nobody_tells_of_are_looked_at_in_every_run() {
    for (rule, header) in [("*.h\n", "a.h"), ("inc/\n", "inc/a.h"), ("x\n", "../a.h")] {
        let host = Host::new(&[
            (
                "larder.toml",
                &format!(
                    "[tasks.cc]\ncommand = '''cat {header} > o; echo o: {header} > o.d'''\ninputs = []\noutputs = [\"o\"]\ndepfile = \"o.d\"\n"
                ),
            ),
            (".gitignore", rule),
            (header, "1"),
        ]);
        let mut session = warm(&host);
        host.write(header, "changed");
        session.update(&ChangeSet::new()).unwrap();
        let ended = run(&mut session);
        assert_eq!(which(&ended, Status::Ran), [".#cc"], "{header}");
        assert_eq!(fs::read(host.path("o")).unwrap(), b"changed");
    }
}

#[test]
fn git_trees_and_links_among_global_inputs_are_looked_at_in_every_run() {
    let host = Host::new(&[
        (
            "larder.toml",
            r#"
[workspace]
global-inputs = ["link"]

[tasks.t]
command = "cat in > out.txt"
inputs = ["in"]
outputs = ["out.txt"]
"#,
        ),
        ("in", "1"),
        ("../target", "1"),
    ]);
    std::os::unix::fs::symlink("../target", host.path("link")).unwrap();
    let mut session = warm(&host);
    host.write("../target", "2");
    session.update(&ChangeSet::new()).unwrap();
    assert_eq!(which(&run(&mut session), Status::Ran), [".#t"]);

    let host = Host::new(&[
        (
            "larder.toml",
            "[tasks.t]\ncommand = \"cat sub/in > out.txt\"\ninputs = [{ git = \"sub\" }]\noutputs = [\"out.txt\"]\n",
        ),
        ("sub/in", "1"),
    ]);
    git(&host, &["init", "-q"]);
    git(&host, &["add", "sub"]);
    let words = [
        "-c",
        "user.name=x",
        "-c",
        "user.email=x",
        "commit",
        "-qm",
        "x",
    ];
    git(&host, &words);
    let mut session = warm(&host);
    host.write("sub/in", "2");
    session.update(&ChangeSet::new()).unwrap();
    assert_eq!(which(&run(&mut session), Status::Ran), [".#t"]);
}

#[test]
fn what_is_known_gives_way_to_force_and_what_is_never_kept_runs_every_time() {
    let host = Host::new(&[
        (
            "larder.toml",
            r#"
[tasks.kept]
command = "cat in > out.txt"
inputs = ["in"]
outputs = ["out.txt"]

[tasks.always]
command = "true"
inputs = ["in"]
"#,
        ),
        ("in", "1"),
    ]);
    let mut session = warm(&host);
    let both = [".#always", ".#kept"];
    let forced = Options {
        force: Some(Vec::new()),
        ..Options::plain()
    };
    session.update(&ChangeSet::new()).unwrap();
    assert_eq!(which(&run_as(&mut session, &forced), Status::Ran), both);
    session.update(&ChangeSet::new()).unwrap();
    assert_eq!(which(&run(&mut session), Status::Ran), [".#always"]);
}
