//! `LARDER_LOG`: what it writes, where, and what it keeps to itself.

use crate::sandbox::Sandbox;

fn secretive() -> Sandbox {
    Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p out; cat src.txt > out/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\nenv = [\"TOKEN\"]\npass-through-env = [\"PASSED\"]\ntools = [\"echo tool\"]\n",
        ),
        ("src.txt", "one\n"),
    ])
}

/// The lines of one part, without their times.
fn lines(stderr: &str, part: &str) -> Vec<String> {
    let of_part = stderr.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_time, _level) = (words.next()?, words.next()?);
        (words.next()? == part).then(|| words.collect::<Vec<_>>().join(" "))
    });
    of_part.collect()
}

#[test]
fn each_decision_is_written_to_standard_error_with_its_task() {
    let sandbox = Sandbox::simple();
    let first = sandbox.larder_env("build", &[("LARDER_LOG", "debug")]);
    assert_eq!(first.code, 0, "{}", first.all());
    assert_eq!(
        first.stdout, ".#build: building\n",
        "the output of tasks alone"
    );
    let part = |part| lines(&first.stderr, part);
    let says = |lines: &[String], words: &str| {
        assert!(
            lines.iter().any(|line| line.contains(words)),
            "{words}: {lines:#?}"
        );
    };
    says(&part("config"), "read again");
    says(&part("memo"), "there is none");
    says(&part("key"), ".#build: ");
    says(&part("lock"), "taken at once");
    says(&part("cache"), "no entry");
    says(&part("cache"), "packed 1 path");
    says(&part("cache"), "it is new");
    says(&part("process"), "ended: Ok(Code(0))");
    says(&part("state"), "intent record written");
    says(&part("state"), "1 tasks written");
    says(&part("task"), ".#build: ran");

    sandbox.remove("out");
    let second = sandbox.larder_env("build", &[("LARDER_LOG", "debug")]);
    says(&lines(&second.stderr, "memo"), "opened, ");
    says(&lines(&second.stderr, "cache"), "restored: ");

    let third = sandbox.larder_env("build", &[("LARDER_LOG", "info")]);
    assert!(
        lines(&third.stderr, "task")[0].starts_with(".#build: up to date"),
        "{}",
        third.all()
    );
    assert!(lines(&third.stderr, "key").is_empty(), "{}", third.all());
}

#[test]
fn a_part_can_be_asked_for_alone() {
    let sandbox = Sandbox::simple();
    let outcome = sandbox.larder_env("build", &[("LARDER_LOG", "lock=debug")]);
    assert_eq!(lines(&outcome.stderr, "lock").len(), 1, "{}", outcome.all());
    for part in ["config", "key", "cache", "task"] {
        assert!(lines(&outcome.stderr, part).is_empty(), "{}", outcome.all());
    }
}

#[test]
fn no_level_writes_the_value_of_a_variable() {
    let sandbox = secretive();
    let env = [
        ("LARDER_LOG", "trace"),
        ("TOKEN", "hunter2-declared"),
        ("PASSED", "hunter2-passed"),
        ("OTHER", "hunter2-other"),
    ];
    let outcome = sandbox.larder_env("build", &env);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let variables = lines(&outcome.stderr, "process").join("\n");
    assert!(variables.contains("TOKEN"), "{}", outcome.all());
    assert!(variables.contains("PASSED"), "{}", outcome.all());
    assert!(!outcome.all().contains("hunter2"), "{}", outcome.all());
}

#[test]
fn a_value_that_is_not_understood_is_a_mistake_and_an_empty_one_is_none() {
    let sandbox = Sandbox::simple();
    let outcome = sandbox.larder_env("build", &[("LARDER_LOG", "loud")]);
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("LARDER_LOG=loud"),
        "{}",
        outcome.all()
    );
    assert!(
        outcome.stderr.contains("LARDER_LOG=debug"),
        "{}",
        outcome.all()
    );
    assert!(!sandbox.exists("out"), "nothing ran");
    let outcome = sandbox.larder_env("build", &[("LARDER_LOG", "")]);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
}
