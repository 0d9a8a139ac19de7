//! One project: what makes a task run and what lets it be skipped.

use crate::sandbox::Sandbox;

#[test]
fn a_second_run_is_up_to_date_and_runs_nothing() {
    let sandbox = Sandbox::simple();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.ran(), ["build"]);
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
}

#[test]
fn an_edit_runs_the_task_again_and_undoing_it_restores() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.write("src.txt", "two\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/result.txt"), "two\n");
    sandbox.write("src.txt", "one\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    assert_eq!(sandbox.ran(), ["build", "build"]);
}

#[test]
fn an_edit_of_equal_size_right_after_the_run_is_seen() {
    let sandbox = Sandbox::simple();
    for round in 0..20 {
        let text = format!("{round:03}\n");
        sandbox.write("src.txt", &text);
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(sandbox.read("out/result.txt"), text);
    }
    assert_eq!(sandbox.ran().len(), 20);
}

#[test]
fn touching_every_file_runs_nothing() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.ran();
    sandbox.write("src.txt", "one\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn declared_variables_enter_the_key_and_undeclared_ones_do_not_reach_the_task() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"echo ran >> ../ran.log; echo \\\"${MODE-unset} ${OTHER-unset}\\\" > out.txt\"\noutputs = [\"out.txt\"]\nenv = [\"MODE\"]\n",
    )]);
    let run = |env: &[(&str, &str)]| {
        let outcome = sandbox.larder_env("build", env);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        sandbox.read("out.txt")
    };
    assert_eq!(run(&[("OTHER", "x")]), "unset unset\n");
    assert_eq!(run(&[("MODE", "")]), " unset\n");
    assert_eq!(run(&[("MODE", "fast")]), "fast unset\n");
    assert_eq!(sandbox.ran().len(), 3, "unset and empty differ");
    assert_eq!(run(&[("MODE", "fast"), ("OTHER", "y")]), "fast unset\n");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn the_command_its_arguments_and_tools_enter_the_key() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    let config = sandbox.read("larder.toml");
    sandbox.write(
        "larder.toml",
        &config.replace("echo building", "echo Building"),
    );
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.statuses("build -- src.txt", 0)[".#build"], "ran");
    sandbox.write(
        "larder.toml",
        &format!("{config}tools = [\"cat ../version\"]\n"),
    );
    let failing = sandbox.larder("build");
    assert_ne!(failing.code, 0, "a failing tool command is an error");
    std::fs::write(sandbox.base().join("version"), "1").unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    std::fs::write(sandbox.base().join("version"), "2").unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
}

#[test]
fn a_failed_task_is_not_cached_and_its_exit_code_is_the_runs() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"echo ran >> ../ran.log; exit 7\"\noutputs = []\n",
    )]);
    assert_eq!(sandbox.statuses("build", 7)[".#build"], "failed");
    assert_eq!(sandbox.statuses("build", 7)[".#build"], "failed");
    assert_eq!(sandbox.ran().len(), 2);
}

#[test]
fn undeclared_outputs_are_never_cached_and_the_line_to_add_is_named() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"echo ran >> ../ran.log\"\n",
    )]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.contains("outputs = []"), "{}", outcome.all());
    sandbox.larder("build");
    assert_eq!(sandbox.ran().len(), 2);
}

#[test]
fn default_inputs_honour_gitignore_and_explicit_globs_do_not() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.all]\ncommand = \"echo all >> ../ran.log\"\noutputs = []\n[tasks.some]\ncommand = \"echo some >> ../ran.log\"\ninputs = [\"**/*.gen\"]\noutputs = []\n",
        ),
        (".gitignore", "*.gen\n"),
        (".dotfile", "1"),
        ("a.gen", "1"),
    ]);
    sandbox.larder("all some");
    sandbox.ran();
    sandbox.write("a.gen", "2");
    sandbox.larder("all some");
    assert_eq!(sandbox.ran(), ["some"]);
    sandbox.write(".dotfile", "2");
    sandbox.larder("all some");
    assert_eq!(sandbox.ran(), ["all"]);
    sandbox.write("new file", "");
    sandbox.larder("all some");
    assert_eq!(sandbox.ran(), ["all"]);
}

#[test]
fn a_run_in_which_nothing_ran_writes_one_state_file() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    let stamp = |name: &str| {
        std::fs::metadata(sandbox.path(".larder").join(name))
            .unwrap()
            .modified()
            .unwrap()
    };
    sandbox.larder("build");
    let files: Vec<String> = std::fs::read_dir(sandbox.path(".larder"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let before: Vec<_> = files
        .iter()
        .map(|name| (name.clone(), stamp(name)))
        .collect();
    sandbox.larder("build");
    let changed: Vec<&str> = before
        .iter()
        .filter(|(name, time)| stamp(name) != *time)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(changed, ["last-run.json"]);
}

#[test]
fn an_empty_folder_that_outputs_go_to_is_no_input() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p gen/dist; cat src > gen/dist/out\"\noutputs = [\"gen/dist/**\"]\n",
        ),
        ("src", "one\n"),
    ]);
    // As a run that was cut off, or a clean, leaves it.
    std::fs::create_dir_all(sandbox.path("gen/dist")).unwrap();
    let outcome = sandbox.larder("build");
    assert!(!outcome.stderr.contains("not stored"), "{}", outcome.all());
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    sandbox.remove("gen");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
}
