//! `larder explain` and `-v` say why.

use crate::early_cutoff::chain;
use crate::sandbox::Sandbox;

#[test]
fn the_edited_file_is_named() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.write("src.txt", "two\n");
    let outcome = sandbox.larder("explain build");
    assert!(outcome.stdout.contains("src.txt"), "{}", outcome.all());
    let run = sandbox.larder("build -v");
    assert!(run.stderr.contains("src.txt"), "{}", run.all());
}

#[test]
fn the_root_cause_comes_first_through_the_graph() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.write("packages/lib/src.txt", "Code\n");
    let outcome = sandbox.larder("explain packages/top#build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let root = outcome
        .stdout
        .find("packages/lib/src.txt")
        .unwrap_or_else(|| panic!("{}", outcome.all()));
    let own = outcome.stdout.rfind("packages/app#build").unwrap();
    assert!(root < own, "{}", outcome.all());
}

#[test]
fn values_of_variables_are_never_stored_or_shown() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"true\"\noutputs = []\nenv = [\"TOKEN\"]\n",
    )]);
    sandbox.larder_env("build --summarize", &[("TOKEN", "hunter2-one")]);
    let outcome = sandbox.larder_env("explain build", &[("TOKEN", "hunter2-two")]);
    assert!(outcome.stdout.contains("TOKEN"), "{}", outcome.all());
    assert!(!outcome.all().contains("hunter2"), "{}", outcome.all());
    let mut stack = vec![sandbox.base().to_owned()];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(7).any(|window| window == b"hunter2"),
                "{}",
                path.display()
            );
        }
    }
}
