//! Holds this repository's own `larder.toml` files against its Cargo packages.
//! It does not run them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use larder::config::{InputItem, Task, Workspace, load};

/// The folder of each package, and the folders of the packages it is built with.
fn packages(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .other_options(["--offline".to_owned(), "--locked".to_owned()])
        .exec()
        .unwrap();
    let root = &metadata.workspace_root;
    let relative = |path: &cargo_metadata::camino::Utf8Path| {
        let path = path.strip_prefix(root).unwrap();
        path.as_str().replace('\\', "/")
    };
    let folder =
        |package: &cargo_metadata::Package| relative(package.manifest_path.parent().unwrap());
    let dependencies = |package: &cargo_metadata::Package| {
        let paths = package
            .dependencies
            .iter()
            .filter_map(|d| d.path.as_deref());
        paths.map(relative).collect()
    };
    let all = metadata.packages.iter();
    all.map(|package| (folder(package), dependencies(package)))
        .collect()
}

fn workspace() -> Workspace {
    load(root(), &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn folder(workspace: &Workspace, project: usize) -> &str {
    std::str::from_utf8(&workspace.projects[project].dir).unwrap()
}

fn task<'a>(workspace: &'a Workspace, project: &str, name: &str) -> &'a Task {
    let mut tasks = workspace.tasks.iter();
    tasks
        .find(|task| folder(workspace, task.project) == project && task.name == name)
        .unwrap_or_else(|| panic!("{project}#{name}"))
}

#[test]
fn projects_depend_on_each_other_as_packages_do() {
    let workspace = workspace();
    let packages = packages(root());
    for (index, project) in workspace.projects.iter().enumerate() {
        let own = folder(&workspace, index);
        // The root is no package.
        let Some(expected) = packages.get(own) else {
            assert!(own.is_empty() || own == ".", "{own}");
            continue;
        };
        let found: BTreeSet<String> = project
            .depends_on
            .iter()
            .map(|&other| folder(&workspace, other).to_owned())
            .collect();
        assert_eq!(&found, expected, "{own}");
    }
    assert_eq!(workspace.projects.len(), packages.len() + 1);
}

#[test]
fn each_package_has_its_checks_and_they_read_what_it_is_built_from() {
    let workspace = workspace();
    for (own, dependencies) in packages(root()) {
        for name in ["clippy", "test", "doc"] {
            let task = task(&workspace, &own, name);
            assert_eq!(task.outputs.as_deref(), Some(&[][..]), "{own}#{name}");
            let inputs = task.inputs.as_deref().unwrap_or(&[InputItem::Default]);
            assert!(inputs.contains(&InputItem::Default), "{own}#{name}");
            let sources = inputs.iter().any(|input| {
                matches!(input, InputItem::Glob(glob)
                    if glob.from_root && !glob.negated && glob.glob == "crates/*/src/**")
            });
            // A library reads no other: an edit of one reruns nothing of another.
            assert_eq!(sources, !dependencies.is_empty(), "{own}#{name}");
        }
    }
}

#[test]
fn only_the_delivered_binary_is_stored() {
    let workspace = workspace();
    let stored: Vec<_> = workspace.tasks.iter().filter(|task| task.store).collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].name, "dist");
}
