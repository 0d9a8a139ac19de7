//! Two processes in one workspace, and a run that is told to stop.

use std::path::Path;

use crate::sandbox::Sandbox;

/// Waits for a file that another process makes. It gives up after a minute, so that a fault is no hang.
pub(crate) fn wait_for(path: &Path) {
    let started = std::time::Instant::now();
    while !path.exists() {
        assert!(
            started.elapsed().as_secs() < 60,
            "{} never came",
            path.display()
        );
        std::thread::yield_now();
    }
}

#[test]
fn the_same_task_in_two_processes_runs_once() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo build >> ../ran.log; while [ ! -e ../go ]; do sleep 0.01; done; cat src.txt > out.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("src.txt", "one\n"),
    ]);
    let mut first = sandbox.command().arg("build").spawn().unwrap();
    wait_for(&sandbox.base().join("ran.log"));
    let mut second = sandbox.command().arg("build").spawn().unwrap();
    std::fs::write(sandbox.base().join("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    assert_eq!(sandbox.ran(), ["build"]);
    assert_eq!(sandbox.read("out.txt"), "one\n");
}

#[test]
fn a_terminated_run_ends_its_tasks_keeps_what_is_done_and_says_130() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.quick]\ncommand = \"echo quick >> ../ran.log; echo done > quick.txt\"\noutputs = [\"quick.txt\"]\n[tasks.slow]\ndepends-on = [\"quick\"]\ncommand = \"echo $$ > ../pid.tmp; mv ../pid.tmp ../pid; exec sleep 1000\"\noutputs = []\n",
    )]);
    let mut child = sandbox.command().arg("slow").spawn().unwrap();
    let pid = sandbox.base().join("pid");
    wait_for(&pid);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let task = std::fs::read_to_string(pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let task = rustix::process::Pid::from_raw(task).unwrap();
    assert!(
        rustix::process::test_kill_process(task).is_err(),
        "the task's process is gone"
    );
    assert_eq!(sandbox.ran(), ["quick"]);
    assert_eq!(sandbox.statuses("quick", 0)[".#quick"], "up-to-date");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn two_clones_that_store_one_result_at_once_share_it_and_both_are_right() {
    let make = || {
        Sandbox::new(&[
            (
                "larder.toml",
                "[tasks.build]\ncommand = \"echo build >> ../ran.log; while [ ! -e ../go ]; do sleep 0.01; done; mkdir -p out; cat src.txt > out/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\n",
            ),
            ("src.txt", "one\n"),
        ])
    };
    let (one, two) = (make(), make());
    let start = |sandbox: &Sandbox| {
        let mut command = sandbox.command();
        command.arg("build").env("LARDER_CACHE_DIR", one.cache());
        command.spawn().unwrap()
    };
    let mut runs = [start(&one), start(&two)];
    for sandbox in [&one, &two] {
        wait_for(&sandbox.base().join("ran.log"));
    }
    for sandbox in [&one, &two] {
        std::fs::write(sandbox.base().join("go"), "").unwrap();
    }
    for run in &mut runs {
        assert!(run.wait().unwrap().success());
    }
    let status = one.larder("cache status --json");
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["entries"], 1);
    assert_eq!(one.larder("cache verify").code, 0);
    for sandbox in [&one, &two] {
        assert_eq!(sandbox.ran(), ["build"]);
        assert_eq!(sandbox.read("out/result.txt"), "one\n");
        sandbox.remove("out");
        let mut command = sandbox.command();
        command.arg("build").env("LARDER_CACHE_DIR", one.cache());
        assert_eq!(sandbox.run(&mut command).code, 0);
        assert_eq!(sandbox.read("out/result.txt"), "one\n");
        assert!(sandbox.ran().is_empty());
    }
}
