//! Runs with a background session where it cannot know all: copies of a workspace, hard links, mounts, a session that is stopped.
//! Nothing here is "up to date" that a run without the session would not find so.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::rights::mounting;
use crate::sandbox::{Outcome, Sandbox};
use crate::session::Live;
use crate::watch_faults::flood;

const ONE: &str = "[tasks.build]\ncommand = \"echo $(basename $PWD) >> ../../ran.log; mkdir -p out && cat src/* > out/all\"\ninputs = [\"src/**\"]\noutputs = [\"out/**\"]\n";

/// Runs until nothing is to do and the session says so.
fn settle(live: &Live) {
    for _ in 0..3 {
        let outcome = live.sandbox.larder("run build");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
    }
}

fn is_idle(outcome: &Outcome) -> bool {
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    outcome.stderr.contains("everything is up to date")
}

#[test]
fn the_session_of_a_workspace_does_not_answer_for_a_copy_of_it() {
    let sandbox = Sandbox::new(&[]);
    // So long a path has its socket elsewhere, which a copied file names.
    let long = sandbox.root().join("x".repeat(120));
    let (first, copy) = (long.join("first"), long.join("copy"));
    fs::create_dir_all(first.join("src")).unwrap();
    fs::write(
        first.join("larder.toml"),
        ONE.replace("../../", "../../../../"),
    )
    .unwrap();
    fs::write(first.join("src/a"), "one").unwrap();
    let larder = |root: &Path, line: &str| {
        let mut command = sandbox.command_in(root);
        command.args(line.split(' ')).env("TMPDIR", sandbox.base());
        sandbox.run(&mut command)
    };
    assert_eq!(larder(&first, "session start").code, 0);
    larder(&first, "run build");
    larder(&first, "run build");
    let copied = Command::new("cp").arg("-a").args([&first, &copy]).status();
    assert!(copied.unwrap().success());
    assert_eq!(larder(&copy, "session status").code, 1);
    for _ in 0..3 {
        larder(&copy, "run build");
    }
    fs::write(copy.join("src/a"), "two").unwrap();
    let outcome = larder(&copy, "run build");
    assert_eq!(
        fs::read_to_string(copy.join("out/all")).unwrap(),
        "two",
        "{}",
        outcome.all()
    );
    // Neither does the copy end it, nor take its socket away by having one of its own.
    assert_eq!(larder(&copy, "session start").code, 0);
    assert_eq!(larder(&copy, "session stop").stdout, "stopped\n");
    assert_eq!(larder(&first, "session status").code, 0);
    assert_eq!(larder(&first, "session stop").stdout, "stopped\n");
}

#[test]
fn a_file_that_is_written_by_another_of_its_names_is_seen() {
    let live = Live::new(Sandbox::new(&[
        (
            "larder.toml",
            &format!("[workspace]\nprojects = [\"a\", \"b\"]\n{ONE}"),
        ),
        ("a/src/one", "one"),
        ("b/src/two", "two"),
    ]));
    live.start();
    settle(&live);
    // The link is told of in `b` alone.
    fs::remove_file(live.sandbox.path("b/src/two")).unwrap();
    fs::hard_link(
        live.sandbox.path("a/src/one"),
        live.sandbox.path("b/src/two"),
    )
    .unwrap();
    settle(&live);
    live.sandbox.write("b/src/two", "three");
    settle(&live);
    assert_eq!(live.sandbox.read("a/out/all"), "three");
    assert_eq!(live.sandbox.read("b/out/all"), "three");
    // Of names outside nobody is told.
    let outside = live.sandbox.base().join("outside");
    fs::hard_link(live.sandbox.path("a/src/one"), &outside).unwrap();
    live.sandbox.write("a/src/one", "four");
    settle(&live);
    fs::write(&outside, "five").unwrap();
    live.sandbox.larder("run build");
    assert_eq!(live.sandbox.read("a/out/all"), "five");
}

#[test]
fn an_output_that_is_written_by_another_of_its_names_is_seen() {
    let live = Live::new(Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; cat src > out/all; ln -f out/all ../other\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src", "one"),
    ]));
    live.start();
    settle(&live);
    fs::write(live.sandbox.base().join("other"), "bad").unwrap();
    let outcome = live.sandbox.larder("run build");
    assert!(!is_idle(&outcome), "{}", outcome.all());
    assert_eq!(live.sandbox.read("out/all"), "one");
}

#[test]
fn what_is_mounted_elsewhere_or_later_is_seen() {
    let live = Live::new(Sandbox::new(&[
        ("larder.toml", &ONE.replace("../../", "../")),
        ("src/a", "one"),
    ]));
    live.start();
    settle(&live);
    // The session does not see this mount.
    let over = "mount -t tmpfs none src; echo two > src/a; $LARDER run build; cat out/all";
    let Some(outcome) = mounting("what_is_mounted", &live.sandbox, over) else {
        return;
    };
    assert_eq!(outcome.stdout, "two\n", "{}", outcome.all());
    assert_eq!(live.session("stop").stdout, "stopped\n");
    // This one sees it, but no watch tells.
    let later = "$LARDER session start > /dev/null; for i in 1 2 3; do $LARDER run build; done; mount -t tmpfs none src; echo three > src/a; $LARDER run build; cat out/all; $LARDER session stop > /dev/null";
    let outcome = mounting("what_is_mounted", &live.sandbox, later).unwrap();
    assert_eq!(outcome.stdout, "three\n", "{}", outcome.all());
}

#[test]
fn a_session_that_is_stopped_is_named_and_waited_for_once() {
    let live = Live::new(Sandbox::simple());
    let process = live.start();
    settle(&live);
    kill_process(process, Signal::STOP).unwrap();
    live.sandbox.write("src.txt", "two\n");
    let outcome = live.sandbox.larder("run build");
    assert_eq!(live.sandbox.read("out/result.txt"), "two\n");
    let said = outcome.stderr.matches("does not answer").count();
    assert_eq!(said, 1, "{}", outcome.all());
    let start = live.session("start");
    assert_eq!(start.code, 2, "{}", start.all());
    assert!(
        start.stderr.contains("`larder session stop` ends it"),
        "{}",
        start.all()
    );
    assert_eq!(live.session("stop").stdout, "stopped\n");
}

#[test]
fn whoever_waits_for_the_end_of_a_pipe_does_not_wait_for_the_session() {
    let live = Live::new(Sandbox::simple());
    let mut command = Command::new("sh");
    let larder = live.sandbox.command();
    let variables = larder.get_envs();
    let mut child = command
        .args([
            "-c",
            "exec 9>&1; exec \"$0\" session start > /dev/null 2>&1",
        ])
        .arg(larder.get_program())
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .env("TMPDIR", live.sandbox.base())
        .current_dir(live.sandbox.root())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let (send, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        send.send(pipe.read_to_end(&mut said).map(|_| said))
    });
    assert!(child.wait().unwrap().success());
    let said = ended.recv_timeout(std::time::Duration::from_secs(30));
    assert_eq!(said.expect("the pipe is still held").unwrap(), b"");
    assert_eq!(live.session("status").code, 0);
}

#[test]
fn a_state_that_was_put_back_is_not_gone_by() {
    let live = Live::new(Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; date +%N > out/all\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src", "one"),
    ]));
    live.start();
    settle(&live);
    let state = live.sandbox.path(".larder/state");
    let old = fs::read(&state).unwrap();
    live.sandbox.larder("run build --force");
    settle(&live);
    fs::write(&state, old).unwrap();
    let outcome = live.sandbox.larder("run build");
    assert!(!is_idle(&outcome), "{}", outcome.all());
}

#[test]
fn more_events_than_the_system_queues_hide_no_edit_from_a_run() {
    let live = Live::new(Sandbox::new(&[
        ("larder.toml", &ONE.replace("../../", "../")),
        ("src/a", "one"),
        ("one", ""),
        ("two", ""),
    ]));
    let process = live.start();
    settle(&live);
    kill_process(process, Signal::STOP).unwrap();
    flood(&live.sandbox);
    live.sandbox.write("src/a", "two");
    kill_process(process, Signal::CONT).unwrap();
    let outcome = live.sandbox.larder("run build");
    assert_eq!(live.sandbox.read("out/all"), "two", "{}", outcome.all());
    let log = live.sandbox.read(".larder/session.log");
    assert!(log.contains("than the system could queue"), "{log}");
    settle(&live);
    live.sandbox.write("src/a", "three");
    live.sandbox.larder("run build");
    assert_eq!(live.sandbox.read("out/all"), "three");
}

#[test]
fn a_clock_that_was_set_back_hides_no_edit_from_a_session() {
    let live = Live::new(Sandbox::new(&[
        ("larder.toml", &ONE.replace("../../", "../")),
        ("src/a", "one"),
    ]));
    let source = live.sandbox.path("src/a");
    let date = |time| {
        let file = fs::File::options().write(true).open(&source).unwrap();
        file.set_modified(time).unwrap();
    };
    let year = std::time::Duration::from_hours(24 * 365);
    let future = std::time::SystemTime::now() + year;
    date(future);
    live.start();
    settle(&live);
    for (text, time) in [
        ("two", future - year),
        ("six", future - year),
        ("ten", future),
    ] {
        // The same length, and at last the very time that it had.
        live.sandbox.write("src/a", text);
        date(time);
        let outcome = live.sandbox.larder("run build");
        assert_eq!(live.sandbox.read("out/all"), text, "{}", outcome.all());
        settle(&live);
        assert!(is_idle(&live.sandbox.larder("run build")));
    }
}

#[test]
fn a_disk_that_is_full_or_read_only_under_a_session_hides_no_edit() {
    let sandbox = Sandbox::new(&[]);
    let config = ONE.replace("../../ran.log", "$BASE/ran.log");
    sandbox.write("config", &config);
    let script =
        "mkdir disk; mount -t tmpfs -o size=600k none disk; cp config disk/larder.toml; cd disk
        mkdir src; echo one > src/a
        $LARDER session start > /dev/null
        for i in 1 2 3; do $LARDER run build 2> /dev/null; done
        echo two > src/a
        cat /dev/zero > filler 2> /dev/null || true
        echo full; $LARDER run build 2>&1 | grep -c 'everything is up to date' || true
        rm filler
        $LARDER run build 2> /dev/null; cat out/all
        for i in 1 2; do $LARDER run build 2> /dev/null; done
        echo three > src/a
        cd ..; mount --bind disk disk; mount -o remount,bind,ro disk; cd disk
        echo read-only; $LARDER run build 2>&1 | grep -c 'everything is up to date' || true
        cd ..; umount disk; cd disk
        $LARDER run build 2> /dev/null; cat out/all
        $LARDER session stop";
    let Some(outcome) = mounting("a_disk_that_is_full", &sandbox, script) else {
        return;
    };
    let expected = "full\n0\ntwo\nread-only\n0\nthree\nstopped\n";
    assert_eq!(outcome.stdout, expected, "{}", outcome.all());
}
