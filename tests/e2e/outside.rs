//! Projects that lie outside of the workspace, as repositories of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::Sandbox;

/// A workspace whose only project is the repository `../other`, with a task that indexes its files.
fn workspace() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[workspace]\nprojects = [\"../other\"]\n[tasks.index]\ncommand = \"echo index >> ../ran.log; mkdir -p gen; cat src/* > gen/index\"\noutputs = [\"gen/**\"]\n",
    )]);
    let other = sandbox.base().join("other");
    std::fs::create_dir_all(other.join("src")).unwrap();
    for (path, text) in [
        ("src/a", "a\n"),
        ("src/b", "b\n"),
        (".gitignore", "*.tmp\n"),
        ("src/kept.tmp", "kept\n"),
    ] {
        std::fs::write(other.join(path), text).unwrap();
    }
    git(&other, &["init", "-q"]);
    git(&other, &["add", "-f", "."]);
    git(&other, &["commit", "-q", "-m", "one"]);
    (sandbox, other)
}

fn git(folder: &Path, words: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(words)
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(status.success(), "{words:?}");
}

#[test]
fn it_is_built_skipped_and_restored_like_any_other() {
    let (sandbox, other) = workspace();
    assert_eq!(sandbox.statuses("index", 0)["other#index"], "ran");
    assert_eq!(sandbox.statuses("index", 0)["other#index"], "up-to-date");
    let index = other.join("gen/index");
    assert_eq!(std::fs::read_to_string(&index).unwrap(), "a\nb\nkept\n");
    std::fs::remove_dir_all(other.join("gen")).unwrap();
    assert_eq!(sandbox.statuses("index", 0)["other#index"], "restored");
    assert_eq!(std::fs::read_to_string(&index).unwrap(), "a\nb\nkept\n");
    assert_eq!(sandbox.ran(), ["index"]);
    // Rules of its own repository count, and so does what git tracks in spite of them.
    std::fs::write(other.join("src/new.tmp"), "ignored\n").unwrap();
    assert_eq!(sandbox.statuses("index", 0)["other#index"], "up-to-date");
    std::fs::write(other.join("src/kept.tmp"), "KEPT\n").unwrap();
    assert_eq!(sandbox.statuses("index", 0)["other#index"], "ran");
    // Nothing of it landed in the workspace.
    let mut names: Vec<_> = std::fs::read_dir(sandbox.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".larder", "larder.toml"]);
}

#[test]
fn another_workspace_with_another_copy_elsewhere_shares_its_results() {
    let (sandbox, other) = workspace();
    sandbox.larder("index");
    let copy = sandbox.base().join("deep/er/other");
    std::fs::create_dir_all(&copy).unwrap();
    let status = Command::new("cp")
        .args(["-a", "-T"])
        .args([other.join("src"), copy.join("src")])
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::copy(other.join(".gitignore"), copy.join(".gitignore")).unwrap();
    let clone = sandbox.base().join("clone");
    std::fs::create_dir(&clone).unwrap();
    let config = sandbox.read("larder.toml").replace("../other", "$OTHER");
    std::fs::write(clone.join("larder.toml"), config).unwrap();
    git(&copy, &["init", "-q"]);
    git(&copy, &["add", "-f", "."]);
    let mut command = sandbox.command_in(&clone);
    let outcome = sandbox.run(command.args(["index"]).env("OTHER", &copy));
    assert!(outcome.stderr.contains("1 restored"), "{}", outcome.all());
    assert_eq!(
        std::fs::read_to_string(copy.join("gen/index")).unwrap(),
        "a\nb\nkept\n"
    );
    let outcome = sandbox.run(sandbox.command_in(&clone).args(["index"]));
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("`OTHER` is not set"),
        "{}",
        outcome.all()
    );
}

#[test]
fn a_users_file_there_is_rescued_into_the_workspace() {
    let (sandbox, other) = workspace();
    sandbox.larder("index");
    std::fs::write(other.join("gen/index"), "mine\n").unwrap();
    let outcome = sandbox.larder("index");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(
        std::fs::read_to_string(other.join("gen/index")).unwrap(),
        "a\nb\nkept\n"
    );
    assert_eq!(sandbox.read(".larder/rescued/..other/gen/index"), "mine\n");
}

#[test]
fn a_result_that_holds_its_path_is_bound_to_the_place() {
    let (sandbox, other) = workspace();
    let config = sandbox.read("larder.toml").replace("cat src/* >", "pwd >");
    sandbox.write("larder.toml", &config);
    let outcome = sandbox.larder("index");
    assert!(outcome.stderr.contains("bound to it"), "{}", outcome.all());
    std::fs::remove_dir_all(other.join("gen")).unwrap();
    assert_eq!(sandbox.statuses("index", 0)["other#index"], "restored");
}

#[test]
fn a_folder_that_was_listed_before_it_was_mounted_is_forgotten_by_nobody() {
    // The root's own listing does not hold the mount: its facts must stay in the memo all the same.
    let (sandbox, _) = workspace();
    let config = sandbox
        .read("larder.toml")
        .replace("[\"../other\"]", "[\".\", \"../other\"]");
    sandbox.write("larder.toml", &config);
    sandbox.write("src/x", "x\n");
    sandbox.larder("index");
    let record = sandbox.record("index", 0);
    assert_eq!(record["counters"]["bytes_hashed"], 0, "{record:#}");
}
