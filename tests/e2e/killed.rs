//! `larder` killed in the middle of a task: what the task started must not write over later results.
//! Fifos synchronise: a process that waits at one can be told by whether the fifo has a reader.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

fn fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

/// Whether a process waits at the fifo, or had already opened it.
fn has_reader(path: &Path) -> bool {
    std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .is_ok()
}

/// Starts `larder build`, waits until the task says it is at work, and kills `larder` alone.
fn kill_at_work(sandbox: &Sandbox) {
    let ready = sandbox.base().join("ready");
    fifo(&ready);
    fifo(&sandbox.base().join("go"));
    let mut larder = sandbox.command().arg("build").spawn().unwrap();
    let mut said = String::new();
    std::fs::File::open(ready)
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "ready\n");
    larder.kill().unwrap();
    larder.wait().unwrap();
}

/// The task: in its first run it waits in `body` with half a result on disk; in later ones it does not wait.
fn sandbox(body: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            &format!(
                "[tasks.build]\ncommand = \"\"\"mkdir -p out; echo half > out/r; if [ -e ../first ]; then {body}; fi; cat s > out/r\"\"\"\ninputs = [\"s\"]\noutputs = [\"out/**\"]\n"
            ),
        ),
        ("s", "one\n"),
    ]);
    std::fs::write(sandbox.base().join("first"), "").unwrap();
    sandbox
}

fn run_again(sandbox: &Sandbox) {
    std::fs::remove_file(sandbox.base().join("first")).unwrap();
    sandbox.write("s", "two\n");
    let record = sandbox.record("build", 0);
    let task = &record["tasks"][0];
    assert_eq!(task["status"], "ran", "{record:#}");
    assert_eq!(task["stored"], true, "{record:#}");
    assert_eq!(sandbox.read("out/r"), "two\n");
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("out/r"), "two\n");
}

#[test]
fn what_a_killed_run_left_at_work_is_ended_before_the_task_starts_again() {
    // A process below the task's own shell, which does not die with `larder`.
    let sandbox = sandbox("sh -c 'echo ready > ../ready; read x < ../go; cat s > out/r'");
    kill_at_work(&sandbox);
    run_again(&sandbox);
    let go = sandbox.base().join("go");
    assert!(
        !has_reader(&go),
        "the leftover would go on and write out/r as soon as it may"
    );
}

#[test]
fn a_leftover_that_dropped_the_token_goes_with_its_group() {
    let waits = "echo ready > ../ready; read x < ../go; cat s > out/r";
    let sandbox = sandbox(&format!(
        "(trap '' TERM; env -i sh -c '{waits}' & read x < ../stay)"
    ));
    fifo(&sandbox.base().join("stay"));
    kill_at_work(&sandbox);
    run_again(&sandbox);
    assert!(!has_reader(&sandbox.base().join("go")));
    assert!(!has_reader(&sandbox.base().join("stay")));
}

#[test]
fn what_a_finished_task_left_in_the_background_stays_though_its_record_still_stands() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.serve]\ncommand = \"echo ready > ../ready; read x < ../go; sh -c 'echo $$ > ../pid; read x < ../stay' > /dev/null 2>&1 & wait_for=../pid; while [ ! -s $wait_for ]; do sleep 0.01; done; echo done > out.txt\"\ninputs = []\noutputs = [\"out.txt\"]\n[tasks.long]\ndepends-on = [\"serve\"]\ncommand = \"read x < ../end\"\noutputs = []\n",
    )]);
    let path = |name: &str| sandbox.base().join(name);
    for name in ["ready", "go", "stay", "end"] {
        fifo(&path(name));
    }
    // The first process goes on with another task, so that its state is not written yet.
    let mut first = sandbox.command().arg("long").spawn().unwrap();
    std::fs::read(path("ready")).unwrap();
    let mut second = sandbox
        .command()
        .arg("serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("waiting"));
    std::fs::write(path("go"), "\n").unwrap();
    for line in said {
        line.unwrap();
    }
    assert!(second.wait().unwrap().success());
    let pid = std::fs::read_to_string(path("pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(
        stat.is_ok_and(|line| !line.contains(") Z ")),
        "it was ended"
    );
    std::fs::write(path("stay"), "\n").unwrap();
    std::fs::write(path("end"), "\n").unwrap();
    assert!(first.wait().unwrap().success());
}

#[test]
fn another_task_of_the_same_workspace_is_not_taken_for_a_leftover() {
    let sandbox = sandbox("sh -c 'echo ready > ../ready; read x < ../go; cat s > out/r'");
    let config = sandbox.read("larder.toml");
    sandbox.write(
        "larder.toml",
        &format!(
            "{config}[tasks.other]\ncommand = \"echo ready > ../other-ready; read x < ../other-go; echo done > other.txt\"\ninputs = []\noutputs = [\"other.txt\"]\n"
        ),
    );
    let (ready, go) = (
        sandbox.base().join("other-ready"),
        sandbox.base().join("other-go"),
    );
    fifo(&ready);
    fifo(&go);
    kill_at_work(&sandbox);
    let mut other = sandbox.command().arg("other").spawn().unwrap();
    std::fs::read(ready).unwrap();
    run_again(&sandbox);
    std::fs::write(go, "\n").unwrap();
    assert!(other.wait().unwrap().success());
    assert_eq!(sandbox.read("other.txt"), "done\n");
}
