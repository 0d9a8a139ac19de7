//! Reads `pyproject.toml` and workspaces of uv: names, edges, and which tools are at hand.
//! It does not know versions, markers or other build tools.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::shape::{Found, Project, Task};
use super::{InitError, dig, folders, read_toml, texts};

const MANIFEST: &str = "pyproject.toml";

/// Adds the projects of `root`, if it has a `pyproject.toml`.
pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), InitError> {
    let Some(top) = read_toml(&root.join(MANIFEST))? else {
        return Ok(());
    };
    let mut patterns = texts(&top, &["tool", "uv", "workspace", "members"]);
    let excluded = texts(&top, &["tool", "uv", "workspace", "exclude"]);
    patterns.extend(excluded.iter().map(|pattern| format!("!{pattern}")));
    let mut manifests = BTreeMap::new();
    for dir in folders::members(root, &patterns, MANIFEST) {
        if let Some(manifest) = read_toml(&root.join(&dir).join(MANIFEST))? {
            manifests.insert(dir, manifest);
        }
    }
    let workspace = !manifests.is_empty();
    // Sources of the root hold for all members.
    let shared: Vec<String> = sources(&top).map(str::to_owned).collect();
    if top.contains_key("project") || !workspace {
        manifests.insert(String::new(), top);
    }
    let by_name: BTreeMap<String, String> = manifests
        .iter()
        .filter_map(|(dir, manifest)| Some((plain(name(manifest)?), dir.clone())))
        .collect();
    for (dir, manifest) in &manifests {
        let project = found.projects.entry(dir.clone()).or_default();
        project.call(name(manifest));
        let groups = groups(manifest);
        for (group, requirements) in &groups {
            let needed = requirements.iter().filter_map(|name| by_name.get(name));
            if matches!(group, Group::Always | Group::Extra(_)) {
                project.needs.extend(needed.cloned());
            } else {
                project.also.extend(needed.cloned());
            }
        }
        for path in sources(manifest) {
            project.built_from(dir, path, true);
        }
        for path in shared
            .iter()
            .filter(|path| folders::normal("", path).is_none())
        {
            project.outside.insert(path.clone());
        }
        project.outside.extend(files(manifest));
        tasks(project, &groups);
    }
    if workspace {
        found.global_inputs.extend([
            "conftest.py",
            "mypy.ini",
            "pyproject.toml",
            "pytest.ini",
            "ruff.toml",
            "setup.cfg",
            "tox.ini",
        ]);
    }
    Ok(())
}

/// Paths that take the place of requirements.
fn sources(manifest: &Table) -> impl Iterator<Item = &str> {
    let sources = dig(manifest, &["tool", "uv", "sources"]).and_then(Value::as_table);
    let sources = sources.into_iter().flat_map(Table::values);
    // A source may be a list of them, one for each platform.
    let each = sources.flat_map(|source| match source.as_array() {
        Some(list) => list.as_slice(),
        None => std::slice::from_ref(source),
    });
    each.filter_map(|source| source.get("path")?.as_str())
}

/// Requirements of the form `name @ file://…`, of every group.
fn files(manifest: &Table) -> BTreeSet<String> {
    let mut lists = vec![texts(manifest, &["project", "dependencies"])];
    for keys in [
        &["dependency-groups"][..],
        &["project", "optional-dependencies"],
    ] {
        let table = dig(manifest, keys).and_then(Value::as_table);
        let groups = table.into_iter().flat_map(Table::keys);
        lists.extend(groups.map(|group| texts(manifest, &[keys, &[group.as_str()]].concat())));
    }
    let urls = lists
        .iter()
        .flatten()
        .filter_map(|text| text.split_once('@'));
    urls.map(|(_, url)| url.trim())
        .filter(|url| url.starts_with("file:"))
        .map(str::to_owned)
        .collect()
}

fn name(manifest: &Table) -> Option<&str> {
    dig(manifest, &["project", "name"])?.as_str()
}

/// Where a requirement stands, and so what `uv run` has to be told.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Always,
    Dev,
    Named(String),
    Extra(String),
}

/// The names that are required, by group.
fn groups(manifest: &Table) -> BTreeMap<Group, BTreeSet<String>> {
    let mut groups: BTreeMap<Group, BTreeSet<String>> = BTreeMap::new();
    let mut add = |group: Group, requirements: &[String]| {
        let names = requirements.iter().map(|text| plain(requirement(text)));
        groups.entry(group).or_default().extend(names);
    };
    add(
        Group::Always,
        &texts(manifest, &["project", "dependencies"]),
    );
    add(
        Group::Dev,
        &texts(manifest, &["tool", "uv", "dev-dependencies"]),
    );
    let table = |keys: &[&str]| dig(manifest, keys).and_then(Value::as_table);
    for key in table(&["dependency-groups"])
        .into_iter()
        .flat_map(Table::keys)
    {
        let group = if key == "dev" {
            Group::Dev
        } else {
            Group::Named(key.clone())
        };
        add(group, &texts(manifest, &["dependency-groups", key]));
    }
    let extras = table(&["project", "optional-dependencies"]);
    for key in extras.into_iter().flat_map(Table::keys) {
        let requirements = texts(manifest, &["project", "optional-dependencies", key]);
        add(Group::Extra(key.clone()), &requirements);
    }
    groups
}

/// The name in `name[extra]>=1; marker`.
fn requirement(text: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text = text.trim();
    &text[..text.find(|c| !part(c)).unwrap_or(text.len())]
}

/// A name as it is compared: `-`, `_` and `.` are the same, and so are capitals.
fn plain(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn tasks(project: &mut Project, groups: &BTreeMap<Group, BTreeSet<String>>) {
    let known = [
        ("pytest", "test", &["pytest"][..]),
        ("ruff", "lint", &["ruff", "check", "."]),
        ("mypy", "typecheck", &["mypy", "."]),
    ];
    for (tool, task, words) in known {
        let Some((group, _)) = groups.iter().find(|(_, names)| names.contains(tool)) else {
            continue;
        };
        let mut command = vec!["uv".to_owned(), "run".to_owned()];
        match group {
            Group::Always | Group::Dev => {}
            Group::Named(name) => command.extend(["--group".to_owned(), name.clone()]),
            Group::Extra(name) => command.extend(["--extra".to_owned(), name.clone()]),
        }
        command.extend(words.iter().map(|word| (*word).to_owned()));
        project.add(
            "python",
            task,
            Task {
                command,
                pure: true,
                note: None,
                depends_on: vec!["^build".to_owned()],
                tools: Vec::new(),
            },
        );
    }
}
