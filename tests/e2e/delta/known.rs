//! What a place knows of tasks to which a delta was applied: whether they are up to date, and what changed since.
//! Knows nothing of what lies in a manifest but that no secret does.

use super::{CONFIG, OLD, apply, clone_of, outputs};
use crate::sandbox::Sandbox;

#[test]
fn without_the_caches_word_the_outputs_are_searched_for_the_roots_path() {
    let config = format!(
        "{CONFIG}
[tasks.here]
command = \"echo here >> ../ran.log; pwd > out-of-here\"
inputs = []
outputs = [\"out-of-here\"]
"
    );
    let one = clone_of(&config, &OLD);
    one.larder("pack here --cache=local: --write-delta ../delta");
    let two = clone_of(&config, &OLD);
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stdout.contains(".#here was left alone"),
        "{}",
        outcome.all()
    );
    assert_eq!(outputs(&two), outputs(&one));
    assert_eq!(two.statuses("pack", 0)[".#pack"], "up-to-date");
    assert!(two.ran().is_empty());
    assert!(!two.exists("out-of-here"));
}

#[test]
fn the_next_edit_after_a_delta_is_the_reason_that_is_told() {
    let config = CONFIG.replace(
        "inputs = [\"src/**\"]\n",
        "inputs = [\"src/**\"]\nenv = [\"TOKEN\", \"OTHER\"]\n",
    );
    let env = [("TOKEN", "hunter2")];
    let one = clone_of(&config, &OLD);
    one.larder_env("pack --write-delta ../delta", &env);
    let text = std::fs::read_to_string(one.base().join("delta/manifest.json")).unwrap();
    let secret = std::fs::read(one.path(".larder/secret")).unwrap();
    let told = blake3::keyed_hash(secret[..].try_into().unwrap(), b"hunter2");
    assert!(text.contains("explanation") && !text.contains(told.to_hex().as_str()));
    let two = clone_of(&config, &OLD);
    assert_eq!(apply(&two, &one.base().join("delta")).code, 0);
    let explained =
        |two: &Sandbox, env: &[(&str, &str)]| two.larder_env("explain build", env).stdout;
    assert!(explained(&two, &env).contains("up to date"));
    two.write("src/b", "44 b");
    let told = explained(&two, &env);
    assert_eq!(told, ".#build: would run\n  file src/b was edited\n");
    let told = explained(&two, &[]);
    assert!(told.contains("variable TOKEN changed"), "{told}");
    // What its value was is not told; that nothing else changed is.
    two.write("src/b", "40 b");
    let told = explained(&two, &[("TOKEN", "hunter3")]);
    assert!(told.contains("of which no more is known here"), "{told}");
    two.write("src/b", "44 b");
    let run = two.larder_env("build -v", &env);
    assert!(
        run.stderr.contains("file src/b was edited"),
        "{}",
        run.all()
    );
    assert!(!run.stderr.contains("variable"), "{}", run.all());
}
