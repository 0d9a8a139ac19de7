//! Faults of the cache and of timing cost work, never a wrong result.

use crate::sandbox::{Sandbox, files};

#[test]
fn a_corrupt_cache_is_a_miss() {
    for keep in [0, 10] {
        let sandbox = Sandbox::simple();
        sandbox.larder("build");
        sandbox.remove("out");
        for file in files(&sandbox.cache()) {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..bytes.len().min(keep)]).unwrap();
        }
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
        assert_eq!(sandbox.read("out/result.txt"), "one\n");
    }
}

#[test]
fn corrupt_state_never_skips_wrongly() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    for file in files(&sandbox.path(".larder")) {
        std::fs::write(file, b"garbage").unwrap();
    }
    sandbox.write("src.txt", "two\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/result.txt"), "two\n");
}

#[test]
fn a_cache_that_cannot_be_written_degrades_with_a_warning() {
    let sandbox = Sandbox::simple();
    std::fs::write(sandbox.cache(), "a file where the folder should be").unwrap();
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stderr.contains("warning"), "{}", outcome.all());
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
}

#[test]
fn an_input_edited_during_the_run_is_not_stored() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; cat src.txt > out.txt; echo edited > src.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("src.txt", "one\n"),
    ]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("its input src.txt") && outcome.stderr.contains("while it ran"),
        "{}",
        outcome.all()
    );
    sandbox.write("src.txt", "one\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
}

#[test]
fn a_declared_output_that_is_not_made_is_warned_and_not_stored() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"echo ran >> ../ran.log\"\noutputs = [\"dist/**\"]\n",
    )]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.contains("dist/**"), "{}", outcome.all());
    sandbox.larder("build");
    assert_eq!(sandbox.ran().len(), 2);
}

#[test]
fn a_killed_run_leaves_nothing_that_is_believed() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; echo half > out/result.txt; if [ -e ../kill ]; then kill -9 $PPID; fi; cat src.txt > out/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src.txt", "one\n"),
    ]);
    std::fs::write(sandbox.base().join("kill"), "").unwrap();
    let killed = sandbox.larder("build");
    assert_eq!(killed.code, -1, "{}", killed.all());
    std::fs::remove_file(sandbox.base().join("kill")).unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    assert_eq!(
        sandbox.statuses("build", 0)[".#build"],
        "up-to-date",
        "the half-written file was the task's own"
    );
}

#[test]
fn after_a_killed_run_its_own_files_go_and_the_users_stay() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; if [ -e ../kill ]; then echo half > out/half; kill -9 $PPID; fi; cat src.txt > out/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src.txt", "one\n"),
        ("out/mine.txt", "mine"),
    ]);
    std::fs::write(sandbox.base().join("kill"), "").unwrap();
    for _ in 0..2 {
        // A second killed run inherits what the first one left.
        assert_eq!(sandbox.larder("build").code, -1);
        assert!(sandbox.exists("out/half"));
    }
    std::fs::remove_file(sandbox.base().join("kill")).unwrap();
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.read("out/mine.txt"), "mine");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    assert!(!sandbox.exists("out/half"), "{}", outcome.all());
    assert!(outcome.stderr.contains("out/mine.txt"), "{}", outcome.all());
}

#[test]
fn a_killed_run_is_noticed_though_every_known_output_is_in_place() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; if [ -e ../kill ]; then echo half > out/half; kill -9 $PPID; exit 1; fi; cat src.txt > out/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\nclean = false\n",
        ),
        ("src.txt", "one\n"),
    ]);
    sandbox.larder("build");
    std::fs::write(sandbox.base().join("kill"), "").unwrap();
    sandbox.write("src.txt", "two\n");
    assert_eq!(sandbox.larder("build").code, -1);
    std::fs::remove_file(sandbox.base().join("kill")).unwrap();
    sandbox.write("src.txt", "one\n");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    assert!(!sandbox.exists("out/half"), "the killed run's file is gone");
}

#[test]
fn a_task_may_not_wait_for_its_own_ancestor() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"$LARDER run build\"\noutputs = []\nenv = [\"LARDER\"]\n",
    )]);
    let program = env!("CARGO_BIN_EXE_larder-dup");
    let outcome = sandbox.larder_env("build", &[("LARDER", program)]);
    assert_ne!(outcome.code, 0);
    assert!(outcome.all().contains("ancestor"), "{}", outcome.all());
}

#[test]
fn a_cache_over_its_bound_is_trimmed_once_a_day_after_a_store() {
    let sandbox = Sandbox::simple();
    let config = sandbox.read("larder.toml");
    sandbox.write(
        "larder.toml",
        &format!("[cache]\nmax-size = \"1B\"\n{config}"),
    );
    sandbox.larder("build");
    std::fs::remove_file(sandbox.cache().join("last-prune")).unwrap();
    // As if an hour had gone by: what was used a moment ago is left alone.
    for file in files(&sandbox.cache()) {
        let hour = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        std::fs::File::open(file)
            .unwrap()
            .set_modified(hour)
            .unwrap();
    }
    sandbox.write("src.txt", "two\n");
    sandbox.larder("build");
    let stamp = sandbox.cache().join("last-prune");
    assert!(stamp.exists());
    let outcome = sandbox.larder("cache status --json");
    let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        status["entries"],
        1,
        "what this run holds stays, the rest goes\n{}",
        outcome.all()
    );
}

#[test]
fn an_input_written_again_with_equal_content_is_not_stored() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; cat src.txt > out.txt; echo one > src.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("src.txt", "one\n"),
    ]);
    sandbox.larder("build");
    sandbox.larder("build");
    assert_eq!(sandbox.ran().len(), 2);
}

#[test]
fn a_dependencys_output_that_changes_during_the_run_is_not_stored() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.a]\ncommand = \"echo a > a.txt\"\ninputs = []\noutputs = [\"a.txt\"]\n[tasks.b]\ndepends-on = [\"a\"]\ncommand = \"echo b >> ../ran.log; cat a.txt > b.txt; echo more >> a.txt\"\ninputs = []\noutputs = [\"b.txt\"]\n",
    )]);
    let outcome = sandbox.larder("b");
    assert!(outcome.stderr.contains("a.txt"), "{}", outcome.all());
    sandbox.larder("b");
    assert_eq!(sandbox.ran(), ["b", "b"]);
}
