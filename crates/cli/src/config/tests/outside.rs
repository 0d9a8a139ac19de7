//! Projects that lie outside of the root: their places, names and the variables that lead there.
//! It does not know how such projects are run.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::super::{Workspace, load_snapshot, save_snapshot};
use super::{load, tree};

/// `ws` is the root; beside it lie `django` and `mono` with `mono/sub`.
fn beside(toml: &str) -> TempDir {
    tree(&[
        ("ws/larder.toml", toml),
        ("ws/in/x", ""),
        ("django/a.py", ""),
        ("mono/sub/x", ""),
    ])
}

fn places(workspace: &Workspace) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let projects = workspace.projects.iter();
    let projects = projects.map(|project| format!("{} in {}", project.name, text(&project.dir)));
    let mounts = workspace.mounts.iter();
    let mounts = mounts.map(|mount| format!("{} -> {}", text(&mount.prefix), text(&mount.folder)));
    projects.chain(mounts).collect()
}

#[test]
fn a_project_outside_is_called_by_its_folder_and_has_a_place_of_its_own() {
    let dir =
        beside("[workspace]\nprojects = [\"../django\", \"../mono\", \"../mono/sub\", \"in\"]");
    let workspace = load(&dir.path().join("ws")).unwrap();
    assert_eq!(
        places(&workspace),
        [
            "django in ..django",
            "mono in ..mono",
            "sub in ..mono/sub",
            "in in in",
            "..django -> ../django",
            "..mono -> ../mono",
        ]
    );
    let folders: Vec<String> = (0..4).map(|index| workspace.folder_of(index)).collect();
    assert_eq!(folders, ["../django", "../mono", "../mono/sub", "in"]);
}

#[test]
fn a_variable_leads_anywhere_and_is_watched() {
    let dir = beside("[workspace]\nprojects = [\"$DJANGO\", \"${SOURCES}/mo*\"]");
    let root = dir.path().join("ws");
    let real = dir.path().canonicalize().unwrap();
    let real = real.to_str().unwrap();
    let around = |django: &str| {
        let (django, sources) = (django.to_owned(), real.to_owned());
        move |name: &str| match name {
            "DJANGO" => Some(django.clone()),
            "SOURCES" => Some(sources.clone()),
            _ => None,
        }
    };
    let here = around(&format!("{real}/django"));
    let mut workspace = super::super::load(&root, &here).unwrap();
    assert_eq!(
        places(&workspace),
        [
            "django in ..django".to_owned(),
            "mono in ..mono".to_owned(),
            format!("..django -> {real}/django"),
            format!("..mono -> {real}/mono"),
        ]
    );
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("snapshot");
    // Long after the files were written, so that the snapshot is kept.
    workspace.read_at_ns += 60_000_000_000;
    assert!(save_snapshot(&file, &workspace).unwrap());
    let again = |django: &str| load_snapshot(&file, &root, &around(django)).is_some();
    assert!(again(&format!("{real}/django")));
    assert!(!again(&format!("{real}/mono")));
    assert!(load_snapshot(&file, &root, &|_| None).is_none());
    // A variable that leads into the workspace names a project like any other.
    let workspace = super::super::load(&root, &around(&format!("{real}/ws/in"))).unwrap();
    assert_eq!(places(&workspace)[1], "in in in");
}

fn refused(dir: &TempDir) -> String {
    load(&dir.path().join("ws")).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_placed_is_told() {
    let dir = beside("[workspace]\nprojects = [\"$DJANGO\", \"$\", \"$A-B/x\"]");
    assert_snapshot!(refused(&dir), @r##"
error: the variable `DJANGO` is not set
 --> larder.toml:2:13
  |
2 | projects = ["$DJANGO", "$", "$A-B/x"]
  |             ^^^^^^^^^
  |
  = help: set it to the folder, as in `DJANGO=/path larder …`

error: unknown name `$`
 --> larder.toml:2:24
  |
2 | projects = ["$DJANGO", "$", "$A-B/x"]
  |                        ^^^
  |
  = help: a path may begin with a variable, as in "$DJANGO" or
          "${SOURCES}/django"

error: unknown name `$A-B`
 --> larder.toml:2:29
  |
2 | projects = ["$DJANGO", "$", "$A-B/x"]
  |                             ^^^^^^^^
  |
  = help: a path may begin with a variable, as in "$DJANGO" or
          "${SOURCES}/django"
"##);
    let dir = beside("[workspace]\nprojects = [\"..\"]");
    assert_snapshot!(refused(&dir), @r##"
error: the project in `..` holds the workspace itself
 |
 = help: make that folder the root, or take it out of `projects`
"##);
    let dir = beside("[workspace]\nprojects = [\"../django\"]");
    fs::create_dir(dir.path().join("ws/..django")).unwrap();
    assert_snapshot!(refused(&dir), @r##"
error: the place of the project in `../django` is taken
 |
 = help: its files would be called `..django/…` in the workspace: give it
         another `name`
"##);
}

#[cfg(unix)]
#[test]
fn a_folder_is_one_project_whatever_leads_to_it() {
    let shown = |projects: &str| {
        let dir = beside(&format!("[workspace]\nprojects = [{projects}]"));
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(dir.path().join(to), dir.path().join(at)).unwrap();
        };
        link("ws/in", "linked");
        link("django", "again");
        link("ws/in", "ws/same");
        let error = load(&dir.path().join("ws")).unwrap_err().to_string();
        error.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let shown = [
        shown("\"in\", \"../linked\""),
        shown("\"../linked\""),
        shown("\"../ws/in\""),
        shown("\"in\", \"same\""),
        shown("\"../django\", \"../again\""),
    ];
    assert_snapshot!(shown.join("\n"), @"
    error: `../linked` and `in` are the same folder
     |
     = help: take one of them out of `projects`
    error: the project in `../linked` lies inside of the workspace, in `in`
     |
     = help: write `in` in `projects`
    error: the project in `../ws/in` lies inside of the workspace, in `in`
     |
     = help: write `in` in `projects`
    error: `in` and `same` are the same folder
     |
     = help: take one of them out of `projects`
    error: `../again` and `../django` are the same folder
     |
     = help: take one of them out of `projects`
    ");
}
