//! Tasks whose inputs are folders as git has them: repositories beside the workspace, and the folder of a tool in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::Sandbox;

const CONFIG: &str = r#"
[workspace]
projects = ["../one", "../two"]
[tasks.index]
command = "echo ${PWD##*/} >> ../ran.log; sh ../ws/tools/index.sh"
inputs = [{ git = "." }, { git = "../ws/tools" }]
outputs = [".index/**"]
"#;

/// A workspace that is a repository with a tool, two repositories beside it, and one run behind it.
fn workspace() -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("larder.toml", CONFIG),
        (
            "tools/index.sh",
            "mkdir -p .index; cat src/* > .index/all\n",
        ),
        ("README.md", "words\n"),
    ]);
    for name in ["one", "two"] {
        let repository = sandbox.base().join(name);
        write(&repository, "src/a", "a\n");
        write(&repository, "src/b", "b\n");
        write(&repository, ".gitignore", "*.tmp\n/.index/\n");
        init(&repository);
    }
    init(&sandbox.root());
    sandbox.larder("index");
    assert_eq!(sandbox.ran(), ["one", "two"]);
    sandbox
}

fn init(folder: &Path) {
    git(folder, &["init", "-q"]);
    git(folder, &["config", "core.autocrlf", "false"]);
    commit(folder, "first");
}

fn commit(folder: &Path, message: &str) {
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
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

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn one(sandbox: &Sandbox) -> PathBuf {
    sandbox.base().join("one")
}

/// Runs, and asserts how both ended and that what ran is what is said to have run.
fn ends(sandbox: &Sandbox, one: &str, two: &str) {
    let statuses = sandbox.statuses("index", 0);
    assert_eq!(
        (
            statuses["one#index"].as_str(),
            statuses["two#index"].as_str()
        ),
        (one, two)
    );
    let ran: Vec<&str> = [("one", one), ("two", two)]
        .iter()
        .filter(|(_, status)| *status == "ran")
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(sandbox.ran(), ran);
}

fn index(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(one(sandbox).join(".index/all")).unwrap()
}

#[test]
fn nothing_runs_while_nothing_changes() {
    let sandbox = workspace();
    ends(&sandbox, "up-to-date", "up-to-date");
    std::fs::remove_dir_all(one(&sandbox).join(".index")).unwrap();
    ends(&sandbox, "restored", "up-to-date");
    assert_eq!(index(&sandbox), "a\nb\n");
}

#[test]
fn an_edit_rebuilds_one_and_taken_back_restores_it() {
    let sandbox = workspace();
    write(&one(&sandbox), "src/a", "A\n");
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "A\nb\n");
    ends(&sandbox, "up-to-date", "up-to-date");
    write(&one(&sandbox), "src/a", "a\n");
    ends(&sandbox, "restored", "up-to-date");
    assert_eq!(index(&sandbox), "a\nb\n");
    std::fs::remove_file(one(&sandbox).join("src/b")).unwrap();
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "a\n");
}

#[test]
fn a_commit_counts_by_its_tree_alone() {
    let sandbox = workspace();
    let one = one(&sandbox);
    git(
        &one,
        &["commit", "-q", "--amend", "--allow-empty", "-m", "words"],
    );
    ends(&sandbox, "up-to-date", "up-to-date");
    commit(&one, "nothing new");
    ends(&sandbox, "up-to-date", "up-to-date");
    git(&one, &["checkout", "-q", "-b", "other"]);
    ends(&sandbox, "up-to-date", "up-to-date");
    write(&one, "src/c", "c\n");
    commit(&one, "another file");
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "a\nb\nc\n");
    // Going back to a commit that was built before restores what it made.
    git(&one, &["checkout", "-q", "HEAD~1"]);
    ends(&sandbox, "restored", "up-to-date");
    assert_eq!(index(&sandbox), "a\nb\n");
}

#[test]
fn an_untracked_file_counts_and_an_ignored_one_does_not() {
    let sandbox = workspace();
    let one = one(&sandbox);
    write(&one, "src.tmp", "ignored\n");
    ends(&sandbox, "up-to-date", "up-to-date");
    write(&one, "src/new", "new\n");
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "a\nb\nnew\n");
    write(&one, "src/new", "newer\n");
    ends(&sandbox, "ran", "up-to-date");
    git(&one, &["add", "src/new"]);
    ends(&sandbox, "up-to-date", "up-to-date");
    git(&one, &["rm", "-q", "-f", "src/new"]);
    ends(&sandbox, "restored", "up-to-date");
}

#[test]
fn an_edit_that_git_was_told_to_overlook_counts() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let sandbox = workspace();
        let one = one(&sandbox);
        git(&one, &["update-index", flag, "src/a"]);
        // The key names the file from now on: that is one run, without a wrong result.
        sandbox.larder("index");
        sandbox.ran();
        write(&one, "src/a", "overlooked\n");
        ends(&sandbox, "ran", "up-to-date");
        assert_eq!(index(&sandbox), "overlooked\nb\n", "{flag}");
        ends(&sandbox, "up-to-date", "up-to-date");
    }
}

#[test]
fn line_ends_that_git_converts_count() {
    let sandbox = workspace();
    let one = one(&sandbox);
    write(&one, ".gitattributes", "* text=auto\n");
    commit(&one, "attributes");
    ends(&sandbox, "ran", "up-to-date");
    write(&one, "src/a", "a\r\n");
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "a\r\nb\n");
    // To git it is the same file, and a commit finds nothing to do.
    commit(&one, "nothing");
    ends(&sandbox, "up-to-date", "up-to-date");
}

#[test]
fn an_edit_of_the_tool_rebuilds_all_and_another_file_of_the_workspace_nothing() {
    let sandbox = workspace();
    sandbox.write("README.md", "other words\n");
    ends(&sandbox, "up-to-date", "up-to-date");
    commit(&sandbox.root(), "words");
    ends(&sandbox, "up-to-date", "up-to-date");
    sandbox.write(
        "tools/index.sh",
        "mkdir -p .index; cat src/b > .index/all\n",
    );
    ends(&sandbox, "ran", "ran");
    assert_eq!(index(&sandbox), "b\n");
}

#[test]
fn a_forced_project_runs_alone_and_its_result_is_kept() {
    let sandbox = workspace();
    let outcome = sandbox.larder_env("index", &[("LARDER_FORCE", "one")]);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.ran(), ["one"]);
    ends(&sandbox, "up-to-date", "up-to-date");
    let outcome = sandbox.larder_env("index", &[("LARDER_FORCE", "onee")]);
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert_eq!(sandbox.ran(), Vec::<String>::new());
}

#[test]
fn a_fresh_clone_of_everything_is_restored_from_the_kept_cache() {
    let sandbox = workspace();
    let next = sandbox.base().join("next");
    std::fs::create_dir(&next).unwrap();
    for name in ["one", "two", "ws"] {
        let from = sandbox.base().join(name);
        git(&next, &["clone", "-q", from.to_str().unwrap()]);
    }
    let mut command = sandbox.command_in(&next.join("ws"));
    let outcome = sandbox.run(command.arg("index"));
    assert!(outcome.stderr.contains("2 restored"), "{}", outcome.all());
    assert!(!next.join("ran.log").exists());
    let restored = std::fs::read_to_string(next.join("one/.index/all")).unwrap();
    assert_eq!(restored, "a\nb\n");
}

#[test]
fn what_git_is_set_not_to_look_at_counts() {
    let sandbox = workspace();
    let one = one(&sandbox);
    let file = one.join("src/a");
    let old = std::fs::metadata(&file).unwrap().modified().unwrap();
    // Git tells such an edit by the change time alone.
    let edit = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let open = std::fs::File::options().write(true).open(&file).unwrap();
        open.set_modified(old).unwrap();
    };
    git(&one, &["config", "core.trustctime", "false"]);
    sandbox.larder("index");
    sandbox.ran();
    edit("B\n");
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "B\nb\n");
}

#[test]
#[cfg(unix)]
fn an_executable_bit_counts_where_git_does_not_look_at_it() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = workspace();
    let one = one(&sandbox);
    git(&one, &["config", "core.fileMode", "false"]);
    sandbox.larder("index");
    sandbox.ran();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(one.join("src/a"), mode).unwrap();
    ends(&sandbox, "ran", "up-to-date");
}

#[test]
fn excludes_of_the_user_do_not_hide_an_untracked_file() {
    let sandbox = workspace();
    // The sandbox's home is its base.
    write(sandbox.base(), ".config/git/ignore", "*.log\n");
    write(&one(&sandbox), "src/new.log", "new\n");
    ends(&sandbox, "ran", "up-to-date");
    assert_eq!(index(&sandbox), "a\nb\nnew\n");
}

#[test]
fn a_tasks_own_outputs_are_not_among_its_inputs() {
    let sandbox = workspace();
    let one = one(&sandbox);
    std::fs::remove_dir_all(one.join(".index")).unwrap();
    write(&one, ".gitignore", "*.tmp\n");
    commit(&one, "outputs are no longer ignored");
    ends(&sandbox, "ran", "up-to-date");
    ends(&sandbox, "up-to-date", "up-to-date");
    std::fs::remove_dir_all(one.join(".index")).unwrap();
    ends(&sandbox, "restored", "up-to-date");
}
