//! A user's file is never lost, and a task's stale files do not stay.

use crate::sandbox::Sandbox;

fn names() -> Sandbox {
    Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; mkdir -p out; for name in $(cat names); do echo $name > out/$name; done\"\ninputs = [\"names\"]\noutputs = [\"out/**\"]\n",
        ),
        ("names", "a b\n"),
    ])
}

fn rescued(sandbox: &Sandbox) -> Vec<String> {
    fn visit(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    visit(&sandbox.path(".larder/rescued"), &mut found);
    found
}

#[test]
fn stale_outputs_go_before_a_run_and_on_a_restore() {
    let sandbox = names();
    sandbox.larder("build");
    sandbox.write("names", "b c\n");
    sandbox.larder("build");
    assert!(!sandbox.exists("out/a"));
    assert!(sandbox.exists("out/c"));
    sandbox.write("names", "a b\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert!(sandbox.exists("out/a"));
    assert!(!sandbox.exists("out/c"));
}

#[test]
fn an_output_the_user_edited_is_rescued_and_named() {
    let sandbox = names();
    sandbox.larder("build");
    sandbox.write("out/a", "precious");
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.read("out/a"), "a\n");
    assert_eq!(rescued(&sandbox), ["precious"]);
    assert!(
        outcome.stderr.contains("out/a") && outcome.stderr.contains("rescued"),
        "{}",
        outcome.all()
    );
    sandbox.write("out/b", "dear");
    sandbox.write("names", "c\n");
    sandbox.larder("build");
    assert!(rescued(&sandbox).contains(&"dear".to_owned()));
}

#[test]
fn a_file_the_run_did_not_write_stays_and_makes_the_result_uncacheable() {
    let sandbox = names();
    sandbox.write("out/mine.txt", "mine");
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stderr.contains("out/mine.txt"), "{}", outcome.all());
    assert_eq!(sandbox.read("out/mine.txt"), "mine");
    sandbox.larder("build");
    assert_eq!(sandbox.ran().len(), 2);
    assert_eq!(sandbox.read("out/mine.txt"), "mine");
}

#[test]
fn a_restore_moves_a_foreign_file_aside_before_it_takes_its_place() {
    let sandbox = names();
    sandbox.larder("build");
    let fresh = names();
    fresh.write("out/a", "foreign");
    let mut command = fresh.command();
    command
        .args(["build"])
        .env("LARDER_CACHE_DIR", sandbox.cache());
    let outcome = fresh.run(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(fresh.read("out/a"), "a\n");
    assert_eq!(rescued(&fresh), ["foreign"]);
}

#[test]
fn clean_false_leaves_the_outputs_for_the_tool() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; cat src.txt >> out/log\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\nclean = false\n",
        ),
        ("src.txt", "1\n"),
    ]);
    sandbox.larder("build");
    sandbox.write("src.txt", "2\n");
    sandbox.larder("build");
    assert_eq!(sandbox.read("out/log"), "1\n2\n");
}

#[test]
fn a_different_second_result_is_reported_and_the_first_stays() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"date +%N > stamp\"\noutputs = [\"stamp\"]\n",
    )]);
    sandbox.larder("build");
    let first = sandbox.read("stamp");
    std::fs::remove_dir_all(sandbox.path(".larder")).unwrap();
    sandbox.remove("stamp");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("stamp"), first);
    let forced = sandbox.larder("build --force");
    assert!(
        forced.stderr.contains("not deterministic") && forced.stderr.contains("stamp"),
        "{}",
        forced.all()
    );
}

#[test]
fn an_output_the_user_edited_outlives_a_run_that_ended_before_it_could_rescue_it() {
    for (source, status) in [("a b\n", "restored"), ("a c\n", "ran")] {
        let sandbox = names();
        sandbox.larder("build");
        sandbox.write("out/a", "precious");
        sandbox.write("names", source);
        // A file in the place of the rescue folder stops the run where a kill would: its intent record stays.
        sandbox.write(".larder/rescued", "");
        let stopped = sandbox.larder("build");
        assert_eq!(stopped.code, 1, "{}", stopped.all());
        assert_eq!(sandbox.read("out/a"), "precious");
        sandbox.remove(".larder/rescued");
        assert_eq!(sandbox.statuses("build", 0)[".#build"], status);
        assert_eq!(sandbox.read("out/a"), "a\n");
        assert_eq!(rescued(&sandbox), ["precious"]);
    }
}
