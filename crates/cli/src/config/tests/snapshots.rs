//! When a kept workspace still holds, and when there is doubt.
//! It does not know how it was resolved.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::{Workspace, load_snapshot, save_snapshot};
use super::{load, tree, write};

const FILES: &[(&str, &str)] = &[
    (
        "larder.toml",
        r#"
[workspace]
projects = ["packages/*", "tools"]
[cache]
max-size = "1GB"
[tasks]
t = { command = "x", inputs = ["$DEFAULT$", "!x", { git = "../s" }], after = ["u"] }
u = { command = ["a", "b"], outputs = ["o/**"], output-logs = "none", timeout = "1m" }
g = { depends-on = [{ task = "t", transitive = false }, "u"] }
[hooks]
after-all = ["tools#u"]
"#,
    ),
    ("packages/a/larder.toml", ""),
    ("packages/b/", ""),
    ("tools/", ""),
];

/// Something that happens to a workspace.
type Change = fn(&Path);

/// A workspace whose files count as old, kept in a snapshot.
fn kept() -> (TempDir, Workspace) {
    let root = tree(FILES);
    let mut workspace = load(root.path()).unwrap();
    // Ten seconds go by.
    workspace.read_at_ns += 10_000_000_000;
    assert!(save_snapshot(&snapshot(root.path()), &workspace).unwrap());
    (root, workspace)
}

fn snapshot(root: &Path) -> std::path::PathBuf {
    root.join("snapshot")
}

fn still(root: &TempDir) -> Option<Workspace> {
    load_snapshot(&snapshot(root.path()), root.path(), &|_| None)
}

#[test]
fn unchanged_sources_give_the_same_workspace() {
    let (root, workspace) = kept();
    assert_eq!(still(&root), Some(workspace));
}

#[test]
fn files_that_do_not_matter_may_change() {
    let (root, workspace) = kept();
    write(
        root.path(),
        &[("packages/a/src/x", "1"), ("tools/new", "1"), ("y", "1")],
    );
    assert_eq!(still(&root), Some(workspace));
}

#[test]
fn every_change_that_matters_is_seen() {
    let changes: &[(&str, Change)] = &[
        ("root edited", |root| {
            write(root, &[("larder.toml", "[tasks.t]\ncommand = \"y\"")]);
        }),
        ("project edited", |root| {
            write(root, &[("packages/a/larder.toml", "#")]);
        }),
        ("file added", |root| {
            write(root, &[("packages/b/larder.toml", "")]);
        }),
        ("file added in a named folder", |root| {
            write(root, &[("tools/larder.toml", "")]);
        }),
        ("file removed", |root| {
            fs::remove_file(root.join("packages/a/larder.toml")).unwrap();
        }),
        ("project added", |root| write(root, &[("packages/c/", "")])),
        ("project removed", |root| {
            fs::remove_dir(root.join("packages/b")).unwrap();
        }),
        ("named folder removed", |root| {
            fs::remove_dir(root.join("tools")).unwrap();
        }),
        ("folder became a file", |root| {
            fs::remove_dir(root.join("tools")).unwrap();
            write(root, &[("tools", "")]);
        }),
        ("same text, another file", |root| {
            fs::copy(root.join("larder.toml"), root.join("copy")).unwrap();
            fs::rename(root.join("copy"), root.join("larder.toml")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (root, _) = kept();
        change(root.path());
        assert_eq!(still(&root), None, "{what}");
    }
}

#[test]
fn a_source_changed_just_before_reading_is_not_trusted() {
    let root = tree(FILES);
    let workspace = load(root.path()).unwrap();
    assert!(!save_snapshot(&snapshot(root.path()), &workspace).unwrap());
    assert_eq!(still(&root), None);
}

#[test]
fn an_edit_between_reading_and_saving_is_seen() {
    let root = tree(FILES);
    let mut workspace = load(root.path()).unwrap();
    workspace.read_at_ns += 10_000_000_000;
    write(root.path(), &[("packages/a/larder.toml", "# edited")]);
    assert!(save_snapshot(&snapshot(root.path()), &workspace).unwrap());
    assert_eq!(still(&root), None);
}

#[test]
fn a_damaged_or_missing_snapshot_is_none() {
    let (root, _) = kept();
    let path = snapshot(root.path());
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!(still(&root), None, "bit of byte {at}");
        fs::write(&path, &good[..at]).unwrap();
        assert_eq!(still(&root), None, "cut at {at}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(still(&root), None);
}
