//! Waits that have to end: for another process's task, in a circle of nested runs, and where no signal is looked for.

use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::Sandbox;

/// Looks until something is there. It gives up after a minute, so that a fault is no hang.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    let found = |child: &mut Child| {
        let started = Instant::now();
        while started.elapsed() < Duration::from_mins(1) {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    };
    found(child).unwrap_or_else(|| {
        child.kill().unwrap();
        panic!("it waits for ever");
    })
}

fn says(path: &Path, words: &str) -> Option<()> {
    let text = std::fs::read_to_string(path).ok()?;
    text.contains(words).then_some(())
}

#[test]
fn a_wait_for_another_process_ends_with_a_signal() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.slow]\ncommand = \"echo slow >> ../ran.log; while [ ! -e ../go ]; do sleep 0.01; done\"\noutputs = []\n",
    )]);
    let mut first = sandbox.command().arg("slow").spawn().unwrap();
    let log = sandbox.base().join("ran.log");
    until("the task runs", || says(&log, "slow"));
    for signal in [Signal::INT, Signal::TERM] {
        let told = sandbox.base().join(format!("told-{}", signal.as_raw()));
        let stderr = std::fs::File::create(&told).unwrap();
        let mut second = sandbox
            .command()
            .arg("slow")
            .stderr(stderr)
            .spawn()
            .unwrap();
        until("it waits", || {
            says(&told, "waiting for another larder process")
        });
        kill_process(Pid::from_child(&second), signal).unwrap();
        assert_eq!(ended(&mut second).code(), Some(130));
        assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    }
    std::fs::write(sandbox.base().join("go"), "").unwrap();
    assert!(ended(&mut first).success());
    assert_eq!(sandbox.ran(), ["slow"]);
}

#[test]
fn nested_runs_that_wait_in_a_circle_end() {
    let sandbox = Sandbox::new(&[]);
    let command = sandbox.command();
    let larder = command.get_program().to_str().unwrap();
    let task = |own: &str, other: &str| {
        format!(
            "[tasks.{own}]\ncommand = \"touch ../{own}; while [ ! -e ../{other} ]; do sleep 0.01; done; {larder} {other}\"\noutputs = []\n"
        )
    };
    sandbox.write("larder.toml", &(task("a", "b") + &task("b", "a")));
    for words in [&["a", "b"][..], &["b", "a"]] {
        let told = sandbox.base().join("told");
        let stdout = std::fs::File::create(&told).unwrap();
        let mut command = sandbox.command();
        command
            .args(words)
            .stderr(stdout.try_clone().unwrap())
            .stdout(stdout);
        // Both run at once, whatever the machine has.
        let mut child = command.arg("--concurrency=2").spawn().unwrap();
        assert!(!ended(&mut child).success());
        let text = std::fs::read_to_string(&told).unwrap();
        assert!(text.contains("waiting would never end"), "{text}");
    }
    // Nothing is left of the waits.
    let waits = std::fs::read_dir(sandbox.path(".larder/locks/waits")).unwrap();
    assert_eq!(waits.count(), 0);
}

#[test]
fn nested_runs_beside_each_other_wait_their_turn() {
    let sandbox = Sandbox::new(&[]);
    let command = sandbox.command();
    let larder = command.get_program().to_str().unwrap();
    let text = format!(
        "[tasks.a]\ncommand = \"{larder} c\"\noutputs = []\n[tasks.b]\ncommand = \"{larder} c\"\noutputs = []\n\
         [tasks.c]\ncommand = \"echo c >> ../ran.log; sleep 0.2\"\noutputs = []\n"
    );
    sandbox.write("larder.toml", &text);
    let outcome = sandbox.larder("a b --concurrency=2");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.ran(), ["c"]);
}

#[test]
fn signals_end_it_even_where_nobody_listens() {
    let sandbox = Sandbox::new(&[("larder.toml", "[workspace]\nprojects = [\"p\"]\n")]);
    std::fs::create_dir(sandbox.path("p")).unwrap();
    let fifo = sandbox.path("p/larder.toml");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let mut command = sandbox.command();
    command.args(["run", "x"]).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let id = Pid::from_child(&child);
    // Opening the other end succeeds once `larder` sits in its read, and keeps it there.
    let _writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    let status = until("it ends", || {
        // Signals that arrive together count once.
        let _ = kill_process(id, Signal::INT);
        child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_signal_while_a_tool_is_asked_blames_no_tool() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.a]\ncommand = \"true\"\ntools = [\"touch ../asked; exec sleep 60\"]\noutputs = []\n",
    )]);
    let told = sandbox.base().join("told");
    let stderr = std::fs::File::create(&told).unwrap();
    let mut child = sandbox.command().arg("a").stderr(stderr).spawn().unwrap();
    let asked = sandbox.base().join("asked");
    until("the tool runs", || asked.exists().then_some(()));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(130));
    let text = std::fs::read_to_string(&told).unwrap();
    assert!(text.contains("interrupted before it started"), "{text}");
    assert!(!text.contains("correct `tools`"), "{text}");
}
