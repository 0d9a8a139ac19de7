//! `larder archive upload` and real git repositories: a main one with submodules and bare remotes on disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};

const CONFIG: &str = r#"
[workspace]
[tasks.build]
command = "mkdir -p dist; cat src.txt > dist/result.txt"
inputs = ["src.txt"]
outputs = ["dist/**"]
[archive]
artifacts = ["dist/**"]
"#;
const SUBMODULES: [&str; 3] = ["a", "b", "c"];

pub(crate) fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn remote(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.base().join(format!("{name}.git"))
}

/// A workspace with three submodules, each with a bare remote, everything pushed; one run behind it.
pub(crate) fn workspace(archive: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("larder.toml", &format!("{CONFIG}{archive}")),
        ("src.txt", "one\n"),
        (".gitignore", "/dist/\n"),
    ]);
    let root = sandbox.root();
    git(&root, &["init", "-q", "-b", "main"]);
    for name in SUBMODULES {
        let seed = sandbox.base().join(format!("seed-{name}"));
        std::fs::create_dir(&seed).unwrap();
        git(&seed, &["init", "-q", "-b", "main"]);
        git(&seed, &["commit", "-q", "--allow-empty", "-m", "first"]);
        let bare = remote(&sandbox, name);
        git(
            sandbox.base(),
            &[
                "clone",
                "-q",
                "--bare",
                seed.to_str().unwrap(),
                bare.to_str().unwrap(),
            ],
        );
        let path = format!("sub/{name}");
        git(
            &root,
            &["submodule", "--quiet", "add", bare.to_str().unwrap(), &path],
        );
        author(&root.join(path));
    }
    author(&root);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "first"]);
    git(
        sandbox.base(),
        &["init", "-q", "--bare", "-b", "main", "main.git"],
    );
    git(
        &root,
        &[
            "remote",
            "add",
            "origin",
            remote(&sandbox, "main").to_str().unwrap(),
        ],
    );
    git(&root, &["push", "-q", "--set-upstream", "origin", "main"]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    sandbox
}

fn author(folder: &Path) {
    git(folder, &["config", "user.name", "t"]);
    git(folder, &["config", "user.email", "t@example.org"]);
}

/// A new commit in a submodule, and in the main repository.
pub(crate) fn advance(sandbox: &Sandbox, name: &str) {
    let folder = sandbox.path(&format!("sub/{name}"));
    std::fs::write(folder.join("new.txt"), "new\n").unwrap();
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "-q", "-m", "second"]);
    git(&sandbox.root(), &["add", "."]);
    git(&sandbox.root(), &["commit", "-q", "-m", name]);
}

pub(crate) fn hook(sandbox: &Sandbox, name: &str, text: &str) {
    let path = remote(sandbox, name).join("hooks/pre-receive");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    let mut rights = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o755);
    std::fs::set_permissions(&path, rights).unwrap();
}

pub(crate) fn head(folder: &Path) -> String {
    git(folder, &["rev-parse", "HEAD"])
}

/// The commit of the branch at the remote.
pub(crate) fn pushed(sandbox: &Sandbox, name: &str) -> String {
    git(&remote(sandbox, name), &["rev-parse", "main"])
}

pub(crate) fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", outcome.all()))
}

#[test]
fn commits_of_all_repositories_are_in_the_entry() {
    let sandbox = workspace("");
    std::fs::write(sandbox.path("sub/b/dirty"), "").unwrap();
    git(&sandbox.path("sub/c"), &["checkout", "-q", "--detach"]);
    let outcome = sandbox.larder("archive upload --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let commits = json(&outcome)["entry"]["commits"].clone();
    let row = |at: usize| {
        let one = &commits[at];
        (
            one["path"].as_str().unwrap().to_owned(),
            one["submodule"].as_bool().unwrap(),
            one["dirty"].as_bool().unwrap(),
        )
    };
    assert_eq!(row(0), (".".into(), false, false));
    assert_eq!(row(1), ("sub/a".into(), true, false));
    assert_eq!(row(2), ("sub/b".into(), true, true));
    assert_eq!(commits[0]["commit"], head(&sandbox.root()).as_str());
    assert_eq!(commits[3]["branch"], Value::Null);
    // Off by default: nothing was committed, and nothing pushed.
    assert_eq!(head(&sandbox.root()), pushed(&sandbox, "main"));
    assert_eq!(json(&outcome)["pushes"], serde_json::json!([]));
}

#[test]
fn what_passed_its_gates_is_committed_tagged_and_pushed() {
    let sandbox = workspace(
        "git = { push = true, commit = true, message = \"kept as {id}\", tag = \"run-{id}\" }\n",
    );
    std::fs::write(sandbox.path("sub/a/new.txt"), "new\n").unwrap();
    std::fs::write(sandbox.path("README"), "words\n").unwrap();
    let before = head(&sandbox.root());
    let dry = sandbox.larder("archive upload --dry");
    assert!(dry.stdout.contains("commit    sub/a\n"), "{}", dry.all());
    assert_eq!(head(&sandbox.root()), before);

    let outcome = sandbox.larder("archive upload --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let value = json(&outcome);
    let id = value["entry"]["id"].as_str().unwrap();
    assert_ne!(head(&sandbox.root()), before);
    assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));
    assert_eq!(pushed(&sandbox, "a"), head(&sandbox.path("sub/a")));
    assert_eq!(value["entry"]["commits"][0]["committed"], true);
    assert_eq!(value["entry"]["commits"][0]["dirty"], false);
    assert_eq!(value["entry"]["commits"][1]["committed"], true);
    assert_eq!(value["entry"]["commits"][2]["committed"], false);
    let message = git(&sandbox.root(), &["log", "-1", "--format=%s"]);
    assert_eq!(message, format!("kept as {id}"));
    let tag = format!("run-{id}^{{commit}}");
    assert_eq!(
        git(&remote(&sandbox, "main"), &["rev-parse", &tag]),
        head(&sandbox.root())
    );
    assert_eq!(
        git(&remote(&sandbox, "b"), &["rev-parse", &tag]),
        head(&sandbox.path("sub/b"))
    );
    // Submodules come before what holds them.
    let order: Vec<&str> = value["pushes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(order.last(), Some(&"."));
}

#[test]
fn a_rejected_entry_pushes_and_tags_nothing() {
    let sandbox = workspace(
        "git = { push = true, tag = \"run-{id}\" }\ngates.tasks = [\"lint\"]\n[tasks.lint]\ncommand = \"true\"\n",
    );
    advance(&sandbox, "a");
    let before = pushed(&sandbox, "main");
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert_eq!(pushed(&sandbox, "main"), before);
    assert_eq!(git(&sandbox.root(), &["tag"]), "");
}

#[test]
fn a_refused_push_names_its_step_and_the_upload_goes_on_later() {
    let sandbox = workspace("git.push = true\n");
    advance(&sandbox, "a");
    advance(&sandbox, "b");
    advance(&sandbox, "c");
    hook(&sandbox, "a", "echo not on Fridays >&2; exit 1");
    std::fs::rename(remote(&sandbox, "c"), sandbox.base().join("gone")).unwrap();
    let main = pushed(&sandbox, "main");
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    // The errors of all are told together, and the main repository stayed.
    for words in [
        "step `sync` failed",
        "sub/a: not pushed",
        "not on Fridays",
        "sub/b: pushed",
        "sub/c: not pushed",
        ".: not pushed",
        "--resume",
    ] {
        assert!(
            outcome.stderr.contains(words),
            "{words}\n{}",
            outcome.stderr
        );
    }
    assert_eq!(pushed(&sandbox, "b"), head(&sandbox.path("sub/b")));
    assert_eq!(pushed(&sandbox, "main"), main);
    let listed = json(&sandbox.larder("archive list --json"));
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);

    // Mended, it goes on where it was, and is one entry still.
    hook(&sandbox, "a", "exit 0");
    std::fs::rename(sandbox.base().join("gone"), remote(&sandbox, "c")).unwrap();
    let outcome = sandbox.larder("archive upload --resume --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(json(&outcome)["entry"]["id"], listed["entries"][0]["id"]);
    assert!(outcome.stderr.contains("done before"), "{}", outcome.stderr);
    for name in SUBMODULES {
        assert_eq!(
            pushed(&sandbox, name),
            head(&sandbox.path(&format!("sub/{name}")))
        );
    }
    assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));
    let outcome = sandbox.larder("archive upload --resume");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
}

#[test]
fn an_upload_of_the_same_run_goes_on_by_itself() {
    let sandbox = workspace("git.push = true\n");
    advance(&sandbox, "a");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    hook(&sandbox, "main", "exit 0");
    assert_eq!(sandbox.larder("archive upload").code, 0);
    assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));
    let listed = json(&sandbox.larder("archive list --json"));
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_diverged_branch_is_never_forced() {
    let sandbox = workspace("git.push = true\n");
    let other = sandbox.base().join("other");
    let main = remote(&sandbox, "main");
    git(
        sandbox.base(),
        &[
            "clone",
            "-q",
            main.to_str().unwrap(),
            other.to_str().unwrap(),
        ],
    );
    git(&other, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    git(&other, &["push", "-q"]);
    let theirs = pushed(&sandbox, "main");
    git(
        &sandbox.root(),
        &["commit", "-q", "--allow-empty", "-m", "ours"],
    );
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(outcome.stderr.contains("git pull"), "{}", outcome.stderr);
    assert_eq!(pushed(&sandbox, "main"), theirs);
    // Given up on request.
    let id = json(&sandbox.larder("archive list --json"))["entries"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let outcome = sandbox.larder(&format!("archive upload --forget {id}"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let words = format!("entry {id} stays in the archive; not all of it was pushed");
    assert!(outcome.stdout.contains(&words), "{}", outcome.all());
    assert_eq!(sandbox.larder("archive upload --resume").code, 2);
}
