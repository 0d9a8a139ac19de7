//! Reads the packages of a Cargo workspace and their path dependencies.
//! It does not know features, targets or versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::shape::{Found, Task};
use super::{InitError, dig, folders, read_toml, texts};

const MANIFEST: &str = "Cargo.toml";
const TABLES: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];
const BUILDS: &str =
    "Cargo keeps what it builds in its own `target`: this runs every time and costs little.";

/// Adds the packages of `root`, if it has a `Cargo.toml`.
pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), InitError> {
    let Some(top) = read_toml(&root.join(MANIFEST))? else {
        return Ok(());
    };
    let shared = dig(&top, &["workspace", "dependencies"]).and_then(Value::as_table);
    let shared: BTreeMap<String, String> = shared
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let path = value.get("path")?.as_str()?;
            Some((name.clone(), path.to_owned()))
        })
        .collect();
    let patches = patches(&top);
    let excluded: BTreeSet<String> = texts(&top, &["workspace", "exclude"])
        .iter()
        .filter_map(|dir| folders::normal("", dir))
        .collect();
    let mut open = folders::members(root, &texts(&top, &["workspace", "members"]), MANIFEST);
    // A glob must not bring back what `exclude` takes out.
    open.retain(|dir| !folders::is_below(dir, &excluded));
    open.insert(String::new());
    let mut seen = BTreeSet::new();
    while let Some(dir) = open.pop_first() {
        if !seen.insert(dir.clone()) {
            continue;
        }
        let Some(manifest) = read_toml(&root.join(&dir).join(MANIFEST))? else {
            continue;
        };
        if !manifest.contains_key("package") {
            continue;
        }
        let edges = edges(&manifest, &dir, &shared);
        // Path dependencies inside of the workspace are members, listed or not.
        let members = edges
            .iter()
            .filter_map(|edge| folders::normal(edge.0, edge.1));
        open.extend(members.filter(|to| !folders::is_below(to, &excluded)));
        let project = found.projects.entry(dir.clone()).or_default();
        project.call(dig(&manifest, &["package", "name"]).and_then(Value::as_str));
        for (from, path, dev) in edges {
            project.built_from(from, path, dev);
        }
        project.outside.extend(patches.iter().cloned());
        let task = |words: &[&str], pure: bool| Task {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            pure,
            note: (!pure).then_some(BUILDS),
            depends_on: vec!["^build".to_owned()],
            tools: if pure { vec!["rustc -vV"] } else { Vec::new() },
        };
        project.add("cargo", "build", task(&["cargo", "build"], false));
        project.add("cargo", "test", task(&["cargo", "test"], true));
        let clippy = ["cargo", "clippy", "--all-targets"];
        project.add("cargo", "clippy", task(&clippy, true));
    }
    found.global_inputs.extend([
        ".cargo/config.toml",
        ".clippy.toml",
        "Cargo.toml",
        "clippy.toml",
    ]);
    Ok(())
}

/// Paths out of the root that take the place of dependencies of any package.
fn patches(top: &Table) -> BTreeSet<String> {
    let tables = top.get("patch").and_then(Value::as_table);
    let tables = tables.into_iter().flat_map(Table::values);
    let replace = top.get("replace");
    let all = tables.chain(replace).filter_map(Value::as_table);
    all.flat_map(Table::values)
        .filter_map(|value| value.get("path")?.as_str())
        .filter(|path| folders::normal("", path).is_none())
        .map(str::to_owned)
        .collect()
}

/// Path dependencies: the folder the path starts in, the path, and whether only tests need it.
fn edges<'m>(
    manifest: &'m Table,
    dir: &'m str,
    shared: &'m BTreeMap<String, String>,
) -> Vec<(&'m str, &'m str, bool)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = std::iter::once(manifest).chain(
        targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table),
    );
    let mut edges = Vec::new();
    for table in tables {
        for kind in TABLES {
            let dependencies = table.get(kind).and_then(Value::as_table);
            for (name, value) in dependencies.into_iter().flatten() {
                let path = value.get("path").and_then(Value::as_str);
                let inherits = value.get("workspace").and_then(Value::as_bool) == Some(true);
                let to = match path {
                    Some(path) => Some((dir, path)),
                    None if inherits => shared.get(name).map(|path| ("", path.as_str())),
                    None => None,
                };
                edges.extend(to.map(|(from, path)| (from, path, kind == "dev-dependencies")));
            }
        }
    }
    edges
}
