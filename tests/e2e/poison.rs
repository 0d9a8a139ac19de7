//! Results made from something else than the key says must not be kept: what was read changed behind Larder's back.
//! Fifos and the tasks themselves synchronise, never the clock.

use std::process::Command;

use crate::sandbox::{Outcome, Sandbox};

fn fifo(sandbox: &Sandbox, name: &str) {
    let status = Command::new("mkfifo")
        .arg(sandbox.base().join(name))
        .status()
        .unwrap();
    assert!(status.success());
}

/// Runs `line` while the task says that it is at `ready` and waits at `go`; `meanwhile` happens in between.
fn run_with(sandbox: &Sandbox, line: &str, meanwhile: impl FnOnce()) -> Outcome {
    fifo(sandbox, "ready");
    fifo(sandbox, "go");
    let mut command = sandbox.command();
    command.args(line.split(' '));
    let outcome = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&mut command));
        std::fs::read(sandbox.base().join("ready")).unwrap();
        meanwhile();
        std::fs::write(sandbox.base().join("go"), "go\n").unwrap();
        run.join().unwrap()
    });
    for name in ["ready", "go"] {
        std::fs::remove_file(sandbox.base().join(name)).unwrap();
    }
    outcome
}

/// The words that make a task stop until it is told to go on.
const STOP: &str = "echo > ../ready; read x < ../go";

fn not_stored(outcome: &Outcome, reason: &str) {
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stderr.contains("not stored"), "{}", outcome.all());
    assert!(outcome.stderr.contains(reason), "{}", outcome.all());
}

#[test]
fn an_output_of_a_dependency_that_changed_before_its_dependent_began() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            &format!(
                "[tasks.a]\ncommand = \"cat s > d\"\ninputs = [\"s\"]\noutputs = [\"d\"]\n[tasks.c]\ncommand = \"{STOP}\"\ndepends-on = [\"a\"]\ninputs = [\"c\"]\noutputs = []\n[tasks.b]\ncommand = \"cat d > y\"\ndepends-on = [\"a\", \"c\"]\ninputs = [\"bs\"]\noutputs = [\"y\"]\n"
            ),
        ),
        ("s", "good\n"),
        ("c", "1\n"),
        ("bs", "1\n"),
    ]);
    let outcome = run_with(&sandbox, "b", || sandbox.write("d", "EDIT\n"));
    not_stored(&outcome, "d, which .#a made, changed before it began");
    assert_eq!(sandbox.read("y"), "EDIT\n");
    sandbox.larder("a");
    let statuses = sandbox.statuses("b --only", 0);
    assert_eq!(statuses[".#b"], "ran");
    assert_eq!(sandbox.read("y"), "good\n");
}

#[test]
fn a_stray_file_among_the_outputs_of_a_dependency() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"a\", \"b\"]\n[tasks.build]\ndepends-on = [\"^build\"]\noutputs = [\"dist/**\"]\n",
        ),
        (
            "a/larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p dist; cp src dist/x\"\n",
        ),
        ("a/src", "1\n"),
        (
            "b/larder.toml",
            "[project]\ndepends-on = [\"a\"]\n[tasks.build]\ncommand = \"mkdir -p dist; cat ../a/dist/* > dist/y\"\n",
        ),
        ("b/src", "1\n"),
    ]);
    sandbox.larder("build");
    sandbox.write("a/dist/zz", "stray\n");
    sandbox.write("b/src", "2\n");
    let outcome = sandbox.larder("build");
    not_stored(&outcome, "a/dist/zz lies under the `outputs` of a#build");
    assert_eq!(sandbox.read("b/dist/y"), "1\nstray\n");
    sandbox.remove("a/dist/zz");
    assert_eq!(sandbox.statuses("build", 0)["b#build"], "ran");
    assert_eq!(sandbox.read("b/dist/y"), "1\n");
}

#[test]
fn a_global_input_that_was_another_one_for_a_moment() {
    let config = format!(
        "[workspace]\nglobal-inputs = [\"g\"]\n[tasks.t]\ncommand = \"{STOP}; cat g > o; {STOP}\"\ninputs = []\noutputs = [\"o\"]\n"
    );
    other_for_a_moment(&config, "g", "the global input g was written while it ran");
}

#[test]
fn a_git_input_that_was_another_one_for_a_moment() {
    let config = format!(
        "[tasks.t]\ncommand = \"{STOP}; cat sub/g > o; {STOP}\"\ninputs = [{{ git = \"sub\" }}]\noutputs = [\"o\"]\n"
    );
    other_for_a_moment(&config, "sub/g", "its input sub was written while it ran");
}

fn other_for_a_moment(config: &str, file: &str, reason: &str) {
    let sandbox = Sandbox::new(&[("larder.toml", config), (file, "A\n")]);
    for words in [&["init", "-q"][..], &["add", "."]] {
        let status = Command::new("git")
            .args(words)
            .current_dir(sandbox.root())
            .status();
        assert!(status.unwrap().success());
    }
    fifo(&sandbox, "ready");
    fifo(&sandbox, "go");
    let mut command = sandbox.command();
    command.arg("t");
    let outcome = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&mut command));
        for text in ["B\n", "A\n"] {
            std::fs::read(sandbox.base().join("ready")).unwrap();
            sandbox.write(file, text);
            std::fs::write(sandbox.base().join("go"), "go\n").unwrap();
        }
        run.join().unwrap()
    });
    not_stored(&outcome, reason);
    assert_eq!(sandbox.read("o"), "B\n");
}

#[test]
fn a_discovered_file_whose_folder_was_swapped() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            &format!(
                "[tasks.c]\ncommand = \"cat inc/h > o; echo o: inc/h > c.d; {STOP}\"\ninputs = []\noutputs = [\"o\"]\ndepfile = \"c.d\"\n"
            ),
        ),
        ("inc/h", "OLD\n"),
        ("inc.new/h", "NEW\n"),
    ]);
    let outcome = run_with(&sandbox, "c", || {
        std::fs::rename(sandbox.path("inc"), sandbox.path("inc.old")).unwrap();
        std::fs::rename(sandbox.path("inc.new"), sandbox.path("inc")).unwrap();
    });
    not_stored(&outcome, "inc/h, which it read, was written while it ran");
}

#[test]
fn lists_of_discovered_files_that_hold_the_same_in_another_order() {
    let command = "cat m $(cat m) > out; echo \"out: m $(cat m)\" > c.d";
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            &format!(
                "[tasks.c]\ncommand = '{command}'\ninputs = []\noutputs = [\"out\"]\ndepfile = \"c.d\"\n"
            ),
        ),
        ("a", "z"),
        ("m", "a"),
        ("z", "a"),
    ]);
    sandbox.larder("c");
    assert_eq!(sandbox.read("out"), "az");
    sandbox.write("m", "z");
    let outcome = sandbox.larder("c");
    assert_eq!(sandbox.read("out"), "za");
    assert!(
        !outcome.stderr.contains("deterministic"),
        "{}",
        outcome.all()
    );
    sandbox.remove(".larder");
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("c", 0)[".#c"], "restored");
    assert_eq!(sandbox.read("out"), "za");
}

#[test]
fn a_depfile_that_is_a_pipe_is_not_waited_for() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.c]\ncommand = \"echo x > out; mkfifo c.d\"\ninputs = []\noutputs = [\"out\"]\ndepfile = \"c.d\"\n",
    )]);
    not_stored(&sandbox.larder("c"), "its depfile c.d");
}

#[test]
fn a_list_that_is_not_known_says_nothing_of_its_files() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.c]\ncommand = \"test ! -e fail; cat h > o; echo o: h > c.d\"\ninputs = [\"i\"]\noutputs = [\"o\"]\ndepfile = \"c.d\"\n",
        ),
        ("h", "1\n"),
        ("i", "1\n"),
    ]);
    sandbox.larder("c");
    sandbox.write("i", "2\n");
    sandbox.write(
        "larder.toml",
        &sandbox.read("larder.toml").replace("o: h", "nonsense"),
    );
    sandbox.larder("c");
    let why = sandbox.larder("explain c");
    assert!(!why.stdout.contains("removed"), "{}", why.all());
}

/// A file dated in the future was not written while the command ran.
#[test]
fn a_discovered_file_of_tomorrow() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.c]\ncommand = \"cat h > o; echo o: h > c.d\"\ninputs = []\noutputs = [\"o\"]\ndepfile = \"c.d\"\n",
        ),
        ("h", "1\n"),
    ]);
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
    std::fs::File::options()
        .write(true)
        .open(sandbox.path("h"))
        .unwrap()
        .set_modified(tomorrow)
        .unwrap();
    sandbox.larder("c");
    assert_eq!(sandbox.statuses("c", 0)[".#c"], "up-to-date");
}

#[test]
fn a_run_that_ends_leaves_the_record_of_another_one_alone() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.t]\ncommand = \"if [ -s d ]; then echo > ../ready2; read x < ../go2; fi; cat i > o\"\ninputs = [\"i\", \"d\"]\noutputs = [\"o\"]\n[tasks.long]\ncommand = \"echo > ../ready; read x < ../go\"\ndepends-on = [\"t\"]\ninputs = []\noutputs = []\n",
        ),
        ("i", "1\n"),
        ("d", ""),
    ]);
    for name in ["ready2", "go2"] {
        fifo(&sandbox, name);
    }
    let mut second = None;
    run_with(&sandbox, "long", || {
        // The first run has ended `t` and is at `long`: the second one takes `t` over.
        sandbox.write("d", "wait\n");
        sandbox.write("i", "2\n");
        second = Some(sandbox.command().arg("t").spawn().unwrap());
        std::fs::read(sandbox.base().join("ready2")).unwrap();
    });
    // The first one is over; the second one is killed in the middle of `t`.
    let mut second = second.unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    sandbox.write("d", "");
    sandbox.write("i", "3\n");
    let outcome = sandbox.larder("t -v");
    assert!(outcome.stderr.contains("cut off"), "{}", outcome.all());
    assert_eq!(sandbox.read("o"), "3\n");
    assert_eq!(sandbox.statuses("t", 0)[".#t"], "up-to-date");
}

#[cfg(unix)]
#[test]
fn the_workspaces_path_spelled_by_way_of_a_link() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[workspace]\nenv-mode = \"loose\"\n[tasks.w]\ncommand = \"pwd -L > o\"\ninputs = []\noutputs = [\"o\"]\n",
    )]);
    let link = sandbox.base().join("link");
    std::os::unix::fs::symlink(sandbox.root(), &link).unwrap();
    let outcome = sandbox.run(sandbox.command_in(&link).arg("w").env("PWD", &link));
    assert!(outcome.stderr.contains("bound to it"), "{}", outcome.all());
    let root = sandbox.root().canonicalize().unwrap();
    assert_eq!(sandbox.read("o"), format!("{}\n", root.display()));
}
