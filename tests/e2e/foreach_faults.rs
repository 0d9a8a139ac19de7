//! What must not be kept of a chunk, and runs that are cut off.

use std::io::Read as _;
use std::process::Command;

use crate::sandbox::Sandbox;

/// A task over `src/*.c` whose command ends in `rest`.
fn with(rest: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[("src/a.c", "a\n"), ("src/b.c", "b\n")]);
    sandbox.write(
        "larder.toml",
        &format!(
            "[tasks.cc]\nforeach = \"src/*.c\"\ncommand = '''echo cc {{stem}} >> ../ran.log; {rest}'''\noutputs = [\"out/{{stem}}.o\"]\n{more}"
        ),
    );
    sandbox
}

/// The chunk of `b` is not kept for the reason given, that of `a` is.
fn refused(sandbox: &Sandbox, reason: &str) {
    let outcome = sandbox.larder("cc");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome
            .stderr
            .contains(&format!("[src/b.c]: not stored: {reason}")),
        "{}",
        outcome.all()
    );
    assert_eq!(sandbox.ran(), ["cc a", "cc b"]);
    let record = sandbox.record("cc", 0);
    let task = &record["tasks"][0];
    assert_eq!(task["chunks"]["up_to_date"], 1, "{record:#}");
    assert_eq!(task["stored"], false, "{record:#}");
    assert!(
        task["not_stored"].as_str().unwrap().contains(reason),
        "{record:#}"
    );
    assert_eq!(sandbox.ran(), ["cc b"]);
}

#[test]
fn a_chunk_that_makes_nothing_is_not_kept() {
    let sandbox = with("case {stem} in a) cat {in} > {out};; esac", "");
    refused(&sandbox, "its output \"out/b.o\" matches nothing");
}

#[test]
fn a_chunk_whose_source_is_written_is_not_kept() {
    let sandbox = with(
        "cat {in} > {out}; case {stem} in b) cat {in} > t; cat t > {in};; esac",
        "",
    );
    refused(&sandbox, "its source src/b.c was written while it ran");
}

#[test]
fn a_file_of_somebody_else_where_a_chunk_writes_is_not_its_own() {
    let sandbox = with("case {stem} in a) cat {in} > {out};; esac", "");
    sandbox.write("out/b.o", "mine\n");
    refused(
        &sandbox,
        "out/b.o lies where it writes but was not written by it",
    );
    assert_eq!(sandbox.read("out/b.o"), "mine\n");
}

#[test]
fn a_listed_input_that_changes_holds_for_all() {
    let sandbox = with(
        "cat {in} > {out}; case {stem} in b) echo >> all.h;; esac",
        "inputs = [\"all.h\"]\n",
    );
    sandbox.write("all.h", "1\n");
    let outcome = sandbox.larder("cc");
    assert!(
        outcome
            .stderr
            .contains("not stored: its input all.h was written while it ran"),
        "{}",
        outcome.all()
    );
    sandbox.ran();
    // Nothing was kept under the key that it began with either.
    sandbox.write("all.h", "1\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc a", "cc b"]);
}

#[test]
fn another_tasks_output_is_not_taken() {
    let sandbox = with(
        "cat {in} > {out}",
        "\n[tasks.other]\ncommand = \"mkdir -p out; echo > out/b.o\"\ninputs = []\noutputs = [\"out/b.*\"]\n",
    );
    sandbox.larder("other");
    let outcome = sandbox.larder("cc --continue=always");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("out/b.o, which .#other wrote too"),
        "{}",
        outcome.all()
    );
}

#[test]
fn a_timeout_holds_for_each_chunk() {
    let sandbox = with(
        "cat {in} > {out}; case {stem} in b) sleep 60;; esac",
        "timeout = \"1s\"\n",
    );
    let outcome = sandbox.larder("cc --continue=always");
    assert_eq!(outcome.code, 124, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("[src/b.c]: ran into its timeout"),
        "{}",
        outcome.all()
    );
    sandbox.ran();
    sandbox.larder("cc --continue=always");
    assert_eq!(sandbox.ran(), ["cc b"]);
}

#[test]
fn results_bound_to_the_root_are_restored_there_alone() {
    let sandbox = with("pwd > {out}", "");
    let outcome = sandbox.larder("cc");
    assert!(outcome.stderr.contains("bound to it"), "{}", outcome.all());
    sandbox.ran();
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn a_result_that_is_not_to_be_stored_is_checked_in_place() {
    let sandbox = with("cat {in} > {out}", "store = false\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    sandbox.ran();
    sandbox.remove("out/b.o");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc b"]);
}

/// A task whose chunk of `b` waits when it runs first, and `larder` at that moment.
fn at_work() -> (Sandbox, std::process::Child) {
    let sandbox = with(
        "echo half > {out}; if [ -e ../first ] && [ {stem} = b ]; then echo ready > ../ready; cat ../go; fi; cat {in} > {out}",
        "",
    );
    std::fs::write(sandbox.base().join("first"), "").unwrap();
    for name in ["ready", "go"] {
        let path = sandbox.base().join(name);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let larder = sandbox
        .command()
        .args(["cc", "--concurrency=1"])
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::fs::File::open(sandbox.base().join("ready"))
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "ready\n");
    std::fs::remove_file(sandbox.base().join("first")).unwrap();
    (sandbox, larder)
}

#[test]
fn an_interrupted_run_keeps_the_chunks_that_ended() {
    let (sandbox, mut larder) = at_work();
    let pid = rustix::process::Pid::from_child(&larder);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(larder.wait().unwrap().code(), Some(130));
    sandbox.ran();
    let record = sandbox.record("cc", 0);
    assert_eq!(record["tasks"][0]["chunks"]["up_to_date"], 1, "{record:#}");
    assert_eq!(sandbox.ran(), ["cc b"]);
    assert_eq!(sandbox.read("out/b.o"), "b\n");
}

#[test]
fn what_a_killed_run_left_is_not_believed() {
    let (sandbox, mut larder) = at_work();
    larder.kill().unwrap();
    larder.wait().unwrap();
    sandbox.ran();
    let record = sandbox.record("cc", 0);
    assert_eq!(record["tasks"][0]["status"], "ran", "{record:#}");
    let why = record["tasks"][0]["why"].to_string();
    assert!(why.contains("its last run was cut off"), "{why}");
    assert_eq!(sandbox.ran(), ["cc a", "cc b"]);
    assert_eq!(sandbox.read("out/a.o"), "a\n");
    assert_eq!(sandbox.read("out/b.o"), "b\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
}

#[test]
fn a_killed_run_keeps_what_was_judged_before() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.cc]\nforeach = \"src/*.c\"\ncommand = \"if [ {stem} = z ] && [ -e ../ready ]; then echo > ../ready; cat ../go; fi; cat {in} > {out}\"\noutputs = [\"out/{stem}.o\"]\n",
    )]);
    for number in 0..1100 {
        sandbox.write(&format!("src/f{number}.c"), "x\n");
    }
    sandbox.write("src/z.c", "z\n");
    for name in ["ready", "go"] {
        let path = sandbox.base().join(name);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let mut larder = sandbox.command().arg("cc").spawn().unwrap();
    std::fs::read(sandbox.base().join("ready")).unwrap();
    larder.kill().unwrap();
    larder.wait().unwrap();
    std::fs::remove_file(sandbox.base().join("ready")).unwrap();
    let record = sandbox.record("cc", 0);
    let chunks = &record["tasks"][0]["chunks"];
    assert_eq!(chunks["restored"], 1024, "{record:#}");
    assert_eq!(chunks["ran"], 77, "{record:#}");
    assert_eq!(sandbox.read("out/z.o"), "z\n");
    assert_eq!(sandbox.read("out/f1099.o"), "x\n");
}

#[test]
fn a_damaged_state_costs_work_and_nothing_else() {
    let sandbox = with("cat {in} > {out}", "");
    sandbox.larder("cc");
    sandbox.ran();
    // The table of chunks lies at the end: one byte of it differs.
    let path = sandbox.path(".larder/state");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(sandbox.read("out/a.o"), "a\n");
}
