//! Inputs that a command names in its depfile enter the next key.

use crate::sandbox::Sandbox;

/// A compiler of one file: it copies `main.c` and what that includes, and says so in `o.d`.
const CC: &str = "echo cc >> $RAN; mkdir -p out; cat main.c $(sed -n 's/^#include //p' main.c) > out/o; echo out/o: main.c $(sed -n 's/^#include //p' main.c) > o.d";

fn config(command: &str, rest: &str) -> String {
    let command = command.replace("$RAN", "../ran.log");
    format!(
        "[tasks.cc]\ncommand = '''{command}'''\ninputs = [\"main.c\"]\noutputs = [\"out/**\"]\ndepfile = \"o.d\"\n{rest}"
    )
}

fn compiler() -> Sandbox {
    Sandbox::new(&[
        ("larder.toml", &config(CC, "")),
        ("main.c", "#include a.h\ncode\n"),
        ("a.h", "a\n"),
        ("b.h", "b\n"),
    ])
}

#[test]
fn a_discovered_file_is_an_input() {
    let sandbox = compiler();
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    sandbox.write("b.h", "nobody reads this\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    assert_eq!(sandbox.ran(), ["cc"]);
    sandbox.write("a.h", "A\n");
    let why = sandbox.larder("explain cc");
    assert!(why.stdout.contains("a.h"), "{}", why.all());
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    assert_eq!(sandbox.read("out/o"), "#include a.h\ncode\nA\n");
    sandbox.remove("a.h");
    sandbox.write("main.c", "#include b.h\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    // The list is another one now: what is read no more does not count.
    sandbox.write("a.h", "nobody reads this\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    sandbox.write("b.h", "B\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
}

#[test]
fn each_known_list_leads_to_its_result() {
    let sandbox = compiler();
    sandbox.larder("cc");
    sandbox.write("a.h", "A\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc", "cc"]);
    // Back to the first content, with another list in between.
    sandbox.write("main.c", "#include b.h\n");
    sandbox.larder("cc");
    sandbox.write("main.c", "#include a.h\ncode\n");
    sandbox.write("a.h", "a\n");
    sandbox.ran();
    let dry = sandbox.larder("cc --dry");
    assert!(dry.stdout.contains("would be restored"), "{}", dry.all());
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert_eq!(sandbox.read("out/o"), "#include a.h\ncode\na\n");
    // A workspace without any state knows the list from the cache.
    sandbox.remove(".larder");
    sandbox.remove("out");
    sandbox.remove("o.d");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn a_file_outside_of_the_workspace_counts_too() {
    let sandbox = compiler();
    let outside = sandbox.base().join("sys.h");
    std::fs::write(&outside, "sys\n").unwrap();
    sandbox.write("main.c", &format!("#include {}\n", outside.display()));
    sandbox.larder("cc");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    std::fs::write(&outside, "SYS\n").unwrap();
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    assert!(sandbox.read("out/o").ends_with("SYS\n"));
}

/// Runs a command in place of the compiler; its result must not be kept, for the reason given.
fn refused(command: &str, reason: &str) {
    let sandbox = compiler();
    sandbox.larder("cc");
    sandbox.write("larder.toml", &config(command, ""));
    for _ in 0..2 {
        let outcome = sandbox.larder("cc");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert!(outcome.stderr.contains(reason), "{}", outcome.all());
        assert_eq!(
            outcome.stderr.matches("warning: not stored").count(),
            1,
            "{}",
            outcome.all()
        );
    }
}

#[test]
fn without_a_depfile_of_this_run_nothing_is_stored() {
    refused(
        "mkdir -p out; echo > out/o",
        "its depfile o.d is of an earlier run",
    );
    refused(
        "mkdir -p out; echo > out/o; rm -f o.d",
        "it did not write its depfile o.d",
    );
    refused(
        "mkdir -p out; echo > out/o; echo nonsense > o.d",
        "its depfile o.d cannot be read: line 1 is no rule",
    );
    refused(
        "mkdir -p out; echo > out/o; : > o.d",
        "its depfile o.d cannot be read",
    );
}

#[test]
fn a_discovered_file_that_is_written_meanwhile_is_not_trusted() {
    // The command writes it before anybody knows that it is read, then when it is known.
    refused(
        "mkdir -p out; echo new > b.h; cat b.h > out/o; echo out/o: b.h > o.d",
        "b.h, which it read, was written while it ran",
    );
    refused(
        "mkdir -p out; echo new > a.h; cat a.h > out/o; echo out/o: a.h > o.d",
        "a.h, which it read, was written while it ran",
    );
}

#[test]
fn what_it_makes_itself_and_its_depfile_may_be_named_there() {
    let sandbox = compiler();
    let command = "echo cc >> $RAN; mkdir -p out; sed s/a/g/ a.h > out/gen.h; cat main.c out/gen.h > out/o; echo out/o: main.c a.h out/gen.h o.d > o.d";
    sandbox.write("larder.toml", &config(command, ""));
    assert_eq!(sandbox.record("cc", 0)["tasks"][0]["stored"], true);
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    sandbox.remove("out");
    sandbox.remove("o.d");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert_eq!(sandbox.ran(), ["cc"]);
    sandbox.write("a.h", "abc\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    assert_eq!(sandbox.read("out/o"), "#include a.h\ncode\ngbc\n");
}

#[test]
fn beside_what_a_dependency_made_a_discovered_file_is_judged_all_the_same() {
    let sandbox = compiler();
    // Dated as if it were written after the command began, which says nothing about what a dependency made.
    let rest = "depends-on = [\"gen\"]\n[tasks.gen]\ncommand = \"echo g > gen.h; touch -d 2099-01-01 gen.h\"\ninputs = []\noutputs = [\"gen.h\"]\n";
    sandbox.write("larder.toml", &config(CC, rest));
    sandbox.write("main.c", "#include gen.h\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    let writer = "mkdir -p out; echo new > b.h; cat b.h gen.h > out/o; echo out/o: b.h gen.h > o.d";
    sandbox.write("larder.toml", &config(writer, rest));
    let outcome = sandbox.larder("cc");
    let reason = "b.h, which it read, was written while it ran";
    assert!(outcome.stderr.contains(reason), "{}", outcome.all());
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
}

#[test]
fn a_discovered_output_of_a_task_it_does_not_depend_on_is_told() {
    let sandbox = compiler();
    let gen_task =
        "[tasks.gen]\ncommand = \"echo g > gen.h\"\ninputs = []\noutputs = [\"gen.h\"]\n";
    sandbox.write("larder.toml", &config(CC, gen_task));
    sandbox.write("main.c", "#include gen.h\n");
    sandbox.larder("gen");
    let outcome = sandbox.larder("cc");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("gen.h is an output of .#gen"),
        "{}",
        outcome.all()
    );
    assert!(outcome.stderr.contains("not stored"), "{}", outcome.all());
    sandbox.write(
        "larder.toml",
        &config(CC, &format!("depends-on = [\"gen\"]\n{gen_task}")),
    );
    sandbox.larder("cc");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
}

#[test]
fn results_from_before_there_was_a_depfile_are_not_taken() {
    let sandbox = compiler();
    let with = sandbox.read("larder.toml");
    sandbox.write("larder.toml", &with.replace("depfile = \"o.d\"\n", ""));
    sandbox.larder("cc");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    sandbox.write("larder.toml", &with);
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    sandbox.write("larder.toml", &with.replace("depfile = \"o.d\"\n", ""));
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
}
