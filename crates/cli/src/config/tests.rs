//! Tests of the configuration, and the small workspace they share.
//! It does not know anything but the public functions.

mod archive;
mod errors;
mod errors_between_files;
mod foreach;
mod outside;
mod resolving;
mod schema;
mod snapshots;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{ConfigError, DepKind, Workspace};

/// Reads a workspace without any variables around it.
fn load(root: &Path) -> Result<Workspace, ConfigError> {
    super::load(root, &|_| None)
}

/// A folder with the given files; a path that ends in `/` is a folder.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), files);
    root
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let full = root.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).unwrap();
        } else {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, text).unwrap();
        }
    }
}

fn loaded(files: &[(&str, &str)]) -> Workspace {
    let root = tree(files);
    match load(root.path()) {
        Ok(workspace) => workspace,
        Err(error) => panic!("{error}"),
    }
}

/// What the user sees.
fn refused(files: &[(&str, &str)]) -> String {
    let root = tree(files);
    let shown = load(root.path()).unwrap_err().to_string();
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
    shown
}

fn name(workspace: &Workspace, task: usize) -> String {
    let task = &workspace.tasks[task];
    format!("{}#{}", workspace.projects[task.project].name, task.name)
}

fn task(workspace: &Workspace, wanted: &str) -> usize {
    (0..workspace.tasks.len())
        .find(|task| name(workspace, *task) == wanted)
        .unwrap_or_else(|| panic!("there is no {wanted}"))
}

/// The edges of a task, each as its mark and the task's name.
fn deps(workspace: &Workspace, wanted: &str) -> Vec<String> {
    workspace.tasks[task(workspace, wanted)]
        .deps
        .iter()
        .map(|dep| {
            let mark = match dep.kind {
                DepKind::Needs { transitive: true } => "",
                DepKind::Needs { transitive: false } => "alone ",
                DepKind::After => "after ",
                DepKind::AfterAll => "after-all ",
            };
            format!("{mark}{}", name(workspace, dep.task))
        })
        .collect()
}

fn task_names(workspace: &Workspace) -> Vec<String> {
    (0..workspace.tasks.len())
        .map(|task| name(workspace, task))
        .collect()
}
