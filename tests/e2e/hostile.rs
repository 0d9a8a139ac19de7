//! What a hostile or careless user does, and what must come out right all the same.

use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

#[test]
fn a_file_of_the_user_that_a_task_only_chmods_is_not_taken_for_an_output() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"cat src > out/result; chmod 640 out/*\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src", "1"),
        ("out/user.txt", "precious"),
    ]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stderr.contains("out/user.txt"), "{}", outcome.all());
    sandbox.write("src", "2");
    sandbox.larder("build");
    assert_eq!(sandbox.read("out/user.txt"), "precious");
}

#[test]
fn one_tool_command_under_two_environments_runs_twice() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.a]\ncommand = \"true\"\ntools = [\"echo $FOO\"]\ninputs = []\noutputs = []\n[tasks.b]\ncommand = \"echo b$FOO >> ../ran.log\"\ntools = [\"echo $FOO\"]\npass-through-env = [\"FOO\"]\ndepends-on = [\"a\"]\ninputs = []\noutputs = []\n",
    )]);
    sandbox.larder_env("b", &[("FOO", "1")]);
    sandbox.larder_env("b", &[("FOO", "2")]);
    assert_eq!(sandbox.ran(), ["b1", "b2"]);
}

#[test]
fn a_global_input_that_a_task_writes_is_seen_by_those_after_it() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.install]\ncommand = \"cat version > Cargo.lock\"\ninputs = [\"version\"]\noutputs = []\n[tasks.build]\ncommand = \"mkdir -p out; cat Cargo.lock > out/result\"\ndepends-on = [\"install\"]\ninputs = []\noutputs = [\"out/**\"]\n",
        ),
        ("version", "new"),
        ("Cargo.lock", "old"),
    ]);
    let record = sandbox.record("build", 0);
    let install = record["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["task"] == ".#install")
        .unwrap();
    assert!(
        install["not_stored"]
            .as_str()
            .is_some_and(|why| why.contains("global input")),
        "{install}"
    );
    sandbox.write("Cargo.lock", "old");
    sandbox.larder("build --only");
    assert_eq!(sandbox.read("out/result"), "old");
}

#[test]
fn an_output_may_move_from_one_task_to_another() {
    let config = |a: &str, b: &str, globs: [&str; 2]| {
        format!(
            "[tasks.a]\ncommand = \"mkdir -p out; {a}\"\ninputs = []\noutputs = [\"{}\"]\n[tasks.b]\ncommand = \"mkdir -p out; {b}\"\ninputs = []\noutputs = [\"{}\"]\ndepends-on = [\"a\"]\n",
            globs[0], globs[1]
        )
    };
    let one = config(
        "echo > out/a1; echo > out/x1",
        "echo > out/b2",
        ["out/*1", "out/*2"],
    );
    let two = config(
        "echo > out/a1",
        "echo > out/b2; echo x > out/x1",
        ["out/a1", "out/[bx]*"],
    );
    let sandbox = Sandbox::new(&[("larder.toml", &one)]);
    sandbox.statuses("b", 0);
    sandbox.write("larder.toml", &two);
    let outcome = sandbox.larder("b");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.statuses("b", 0)[".#b"], "up-to-date");
    assert_eq!(sandbox.read("out/x1"), "x\n");
}

/// Two tasks whose globs overlap; what each writes is in `a.txt` and `b.txt`.
fn overlapping() -> Sandbox {
    let task = |name: &str| {
        format!(
            "[tasks.{name}]\ncommand = \"echo {name} >> ../ran.log; mkdir -p out; for f in $(cat {name}.txt); do echo {name} > out/$f; done\"\ninputs = [\"{name}.txt\"]\noutputs = [\"out/*\"]\n"
        )
    };
    Sandbox::new(&[
        (
            "larder.toml",
            &format!(
                "[tasks.a0]\ncommand = \"true\"\noutputs = []\n{}depends-on = [\"a\"]\n{}",
                task("b"),
                task("a")
            ),
        ),
        ("a.txt", "a x"),
        ("b.txt", "b"),
    ])
}

#[test]
fn a_path_that_two_tasks_write_is_an_error_that_names_both() {
    let sandbox = overlapping();
    sandbox.write("b.txt", "b x");
    for status in ["ran", "restored"] {
        let record = sandbox.record("b", 1);
        let tasks = record["tasks"].as_array().unwrap();
        let of = |name: &str| tasks.iter().find(|task| task["task"] == name).unwrap();
        // It is never the first one's fault: what the other one wrote over its output is moved aside.
        assert_eq!(of(".#a")["status"], status, "{record:#}");
        let error = of(".#b")["error"].as_str().unwrap();
        let words = "it writes out/x, which .#a wrote too";
        assert!(error.contains(words), "{error}");
    }
    sandbox.write("b.txt", "b");
    assert_eq!(sandbox.statuses("b", 0)[".#a"], "restored");
    assert_eq!(sandbox.read("out/x"), "a\n");
    assert_eq!(sandbox.read("out/b"), "b\n");
    assert_eq!(sandbox.ran(), ["a", "b", "b", "b"]);
}

#[test]
fn a_path_moves_between_two_tasks_that_both_declare_it() {
    let sandbox = overlapping();
    assert_eq!(sandbox.statuses("b", 0)[".#b"], "ran");
    sandbox.write("a.txt", "a");
    sandbox.write("b.txt", "b x");
    assert_eq!(sandbox.statuses("b", 0)[".#b"], "ran");
    assert_eq!(sandbox.read("out/x"), "b\n");
}

#[test]
fn what_lies_behind_an_edge_that_is_not_transitive_is_an_ordinary_input() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.a]\ncommand = \"mkdir -p ga; cp src ga/x\"\ninputs = [\"src\"]\noutputs = [\"ga/**\"]\n[tasks.b]\ncommand = \"mkdir -p gb; echo > gb/x\"\ninputs = []\noutputs = [\"gb/**\"]\ndepends-on = [\"a\"]\n[tasks.c]\ncommand = \"mkdir -p gc; cp ga/x gc/x\"\ninputs = [\"$DEFAULT$\", \"!src\"]\noutputs = [\"gc/**\"]\ndepends-on = [{ task = \"b\", transitive = false }]\n",
        ),
        ("src", "1"),
    ]);
    sandbox.larder("c");
    sandbox.write("src", "2");
    sandbox.larder("c");
    assert_eq!(sandbox.read("gc/x"), "2");
}

#[test]
fn only_never_skips_after_a_dependency_whose_effect_is_unknown() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.a]\ncommand = \"cp src middle\"\ninputs = [\"src\"]\n[tasks.b]\ncommand = \"mkdir -p out; cp middle out/result\"\ninputs = []\noutputs = [\"out/**\"]\ndepends-on = [\"a\"]\n",
        ),
        ("src", "1"),
    ]);
    sandbox.larder("a");
    sandbox.larder("b --only");
    sandbox.write("src", "2");
    sandbox.larder("a");
    sandbox.larder("b --only");
    assert_eq!(sandbox.read("out/result"), "2");
}

#[test]
fn a_task_that_another_process_has_ended_is_not_run_again_while_that_goes_on() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.a]\ncommand = \"echo a >> ../ran.log; mkdir -p out; cp src out/r\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\nstore = false\n[tasks.b]\ncommand = \"mkfifo ../go; cat ../go\"\ninputs = []\noutputs = []\ndepends-on = [\"a\"]\n",
        ),
        ("src", "1"),
    ]);
    let mut first = sandbox.command().arg("b").spawn().unwrap();
    let fifo = sandbox.base().join("go");
    while !fifo.exists() {
        std::thread::yield_now();
    }
    let statuses = sandbox.statuses("a", 0);
    std::fs::write(&fifo, "go").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(statuses[".#a"], "up-to-date");
    assert_eq!(sandbox.ran(), ["a"]);
}

#[test]
fn a_task_that_another_process_has_ended_is_not_run_again_after_that_is_gone() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.a]\ncommand = \"echo a >> ../ran.log; mkdir -p out; cp src out/r\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\nstore = false\ndepends-on = [\"z\"]\n[tasks.z]\ncommand = \"if [ -e ../go ]; then echo > ../there; cat ../go; fi\"\ninputs = [\"zsrc\"]\noutputs = []\n",
        ),
        ("src", "1"),
        ("zsrc", "1"),
    ]);
    sandbox.larder("a");
    sandbox.write("src", "2");
    sandbox.write("zsrc", "2");
    let go = sandbox.base().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    // It knows the state as it is now, and waits before it comes to `a`.
    let first = sandbox
        .command()
        .args(["a", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while !sandbox.base().join("there").exists() {
        std::thread::yield_now();
    }
    assert_eq!(sandbox.statuses("a --only", 0)[".#a"], "ran");
    std::fs::write(&go, "go").unwrap();
    let output = first.wait_with_output().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let statuses: Vec<_> = record["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["task"].as_str(), task["status"].as_str()))
        .collect();
    assert!(
        statuses.contains(&(Some(".#a"), Some("up-to-date"))),
        "{record}"
    );
    assert_eq!(sandbox.ran(), ["a", "a"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_project_whose_folder_is_no_text_is_like_any_other() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[workspace]\nprojects = [\"packages/*\"]\n[tasks.build]\ncommand = \"mkdir -p out; cat src > out/o\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\n",
    )]);
    let folder = sandbox
        .path("packages")
        .join(std::ffi::OsStr::from_bytes(b"\xff[a]"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("larder.toml"), "[project]\nname = \"odd\"\n").unwrap();
    std::fs::write(folder.join("src"), "one\n").unwrap();
    assert_eq!(sandbox.statuses("build", 0)["odd#build"], "ran");
    assert_eq!(sandbox.statuses("build", 0)["odd#build"], "up-to-date");
    std::fs::remove_dir_all(folder.join("out")).unwrap();
    assert_eq!(sandbox.statuses("build", 0)["odd#build"], "restored");
    assert_eq!(std::fs::read(folder.join("out/o")).unwrap(), b"one\n");
    std::fs::write(folder.join("src"), "two\n").unwrap();
    assert_eq!(sandbox.statuses("build", 0)["odd#build"], "ran");
}
