//! Reads `package.json` of a root and its workspaces: names, edges and scripts.
//! It does not know what the scripts do beyond their names and a few words in them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::render::text;
use super::shape::{Found, Project, Task, good_name};
use super::{InitError, folders, pnpm, read_text};

const MANIFEST: &str = "package.json";

/// Configuration files that tools of a package look for in the root.
const ROOT_FILES: &[&str] = &[
    ".editorconfig",
    ".eslintrc*",
    ".prettierrc*",
    ".swcrc",
    "babel.config.*",
    "biome.json*",
    "eslint.config.*",
    "jest.config.*",
    "jest.preset.*",
    "package.json",
    "pnpm-workspace.yaml",
    "prettier.config.*",
    "tsconfig*.json",
    "vitest.*",
];

/// Scripts that the package manager runs by itself.
const LIFECYCLE: &[&str] = &[
    "dependencies",
    "install",
    "postinstall",
    "postpack",
    "postpublish",
    "postversion",
    "preinstall",
    "prepack",
    "prepare",
    "prepublish",
    "prepublishOnly",
    "preversion",
    "publish",
    "version",
];

/// Adds the packages of `root`, if it has a `package.json`.
pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), InitError> {
    let Some(manifest) = manifest(root, "")? else {
        return Ok(());
    };
    let patterns = match pnpm::packages(root)? {
        Some(patterns) => patterns,
        None => workspaces(&manifest),
    };
    let mut packages = BTreeMap::from([(String::new(), manifest)]);
    for dir in folders::members(root, &patterns, MANIFEST) {
        if let Some(manifest) = self::manifest(root, &dir)? {
            packages.insert(dir, manifest);
        }
    }
    let by_name: BTreeMap<&str, &str> = packages
        .iter()
        .filter_map(|(dir, manifest)| Some((manifest.get("name")?.as_str()?, dir.as_str())))
        .collect();
    let workspace = packages.len() > 1;
    // What the root puts in the place of packages holds for all.
    let tables = ["overrides", "resolutions", "pnpm"];
    let tables = tables.iter().filter_map(|key| packages[""].get(*key));
    let mut overrides = Vec::new();
    tables.for_each(|value| local(value, &mut overrides));
    for (dir, manifest) in &packages {
        let mut project = found.projects.remove(dir).unwrap_or_default();
        project.call(manifest.get("name").and_then(Value::as_str));
        let edges = |tables: &[&str]| {
            let tables = tables
                .iter()
                .filter_map(|key| manifest.get(*key)?.as_object());
            tables
                .flatten()
                .filter_map(|(name, _)| Some((*by_name.get(name.as_str())?).to_owned()))
                .collect::<Vec<String>>()
        };
        project.needs.extend(edges(&[
            "dependencies",
            "optionalDependencies",
            "peerDependencies",
        ]));
        project.also.extend(edges(&["devDependencies"]));
        for path in paths(manifest) {
            project.built_from(dir, path, true);
        }
        for path in overrides
            .iter()
            .filter(|path| folders::normal("", path).is_none())
        {
            project.outside.insert((*path).to_owned());
        }
        let runner = runner(root, dir, &packages[""]);
        let delegates = manifest.contains_key("workspaces") || dir.is_empty() && workspace;
        scripts(&mut project, manifest, runner, delegates);
        if dir.is_empty() && workspace && project.tasks.is_empty() {
            found.notes.append(&mut project.notes);
        } else {
            found.projects.insert(dir.clone(), project);
        }
    }
    if workspace {
        found.global_inputs.extend(ROOT_FILES);
    }
    Ok(())
}

/// The paths that a package's dependencies name in the place of versions.
fn paths(manifest: &Map<String, Value>) -> Vec<&str> {
    let tables = [
        "dependencies",
        "devDependencies",
        "optionalDependencies",
        "peerDependencies",
    ];
    let mut paths = Vec::new();
    let tables = tables.iter().filter_map(|key| manifest.get(*key));
    tables.for_each(|value| local(value, &mut paths));
    paths
}

/// The paths among the texts of a value, at any depth.
fn local<'v>(value: &'v Value, paths: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => {
            let schemes = ["file:", "link:", "portal:", "workspace:"];
            let path = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
            let bare = path.is_none() || text.starts_with("workspace:");
            let path = path.unwrap_or(text);
            let starts = ["./", "../", "/", "~/"];
            let leads = |path: &str| starts.iter().any(|start| path.starts_with(start));
            paths.extend(Some(path).filter(|path| !bare || leads(path)));
        }
        Value::Array(items) => items.iter().for_each(|item| local(item, paths)),
        Value::Object(table) => table.values().for_each(|item| local(item, paths)),
        _ => {}
    }
}

fn manifest(root: &Path, dir: &str) -> Result<Option<Map<String, Value>>, InitError> {
    let path = root.join(dir).join(MANIFEST);
    let Some(text) = read_text(&path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| InitError::Manifest {
            path,
            line: error.line().max(1),
            message: error.to_string(),
        })
}

fn workspaces(manifest: &Map<String, Value>) -> Vec<String> {
    let Some(value) = manifest.get("workspaces") else {
        return Vec::new();
    };
    let list = value
        .as_array()
        .or_else(|| value.get("packages")?.as_array());
    let items = list.into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// The program that runs scripts: by the nearest lock file, else by `packageManager`.
fn runner(root: &Path, dir: &str, top: &Map<String, Value>) -> &'static str {
    let locks = [
        ("pnpm-lock.yaml", "pnpm"),
        ("pnpm-workspace.yaml", "pnpm"),
        ("yarn.lock", "yarn"),
        ("bun.lock", "bun"),
        ("bun.lockb", "bun"),
        ("package-lock.json", "npm"),
    ];
    let start = root.join(dir);
    for folder in start.ancestors().take_while(|at| at.starts_with(root)) {
        if let Some((_, runner)) = locks.iter().find(|(lock, _)| folder.join(lock).is_file()) {
            return runner;
        }
    }
    let manager = top.get("packageManager").and_then(Value::as_str);
    let manager = manager.unwrap_or_default();
    ["pnpm", "yarn", "bun"]
        .into_iter()
        .find(|runner| manager.starts_with(runner))
        .unwrap_or("npm")
}

fn scripts(
    project: &mut Project,
    manifest: &Map<String, Value>,
    runner: &'static str,
    delegates: bool,
) {
    let empty = Map::new();
    let table = manifest.get("scripts").and_then(Value::as_object);
    let table = table.unwrap_or(&empty);
    let mut scripts: Vec<(&str, &str)> = table
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect();
    scripts.sort_unstable();
    let mut left: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, command) in scripts {
        let around = ["pre", "post"].iter().any(|prefix| {
            let of = name.strip_prefix(prefix);
            of.is_some_and(|of| table.contains_key(of))
        });
        let reason = if !good_name(name) {
            "no good names for tasks"
        } else if runs_on(name, command) {
            "they keep running"
        } else if around || LIFECYCLE.contains(&name) {
            "the package manager runs them itself"
        } else if delegates && calls_projects(command) || words(command).any(|w| w == "larder") {
            "they call the scripts of projects"
        } else {
            let kind = name.split(':').next().unwrap_or(name);
            let pure = is_check(name) && !writes(name, command);
            let depends_on: &[&str] = match kind {
                "test" => &["build", "^build"],
                "build" => &["^build"],
                _ if is_check(name) => &["^build"],
                _ => &[],
            };
            project.add(
                "npm",
                name,
                Task {
                    command: [runner, "run", name].map(str::to_owned).to_vec(),
                    pure,
                    note: None,
                    depends_on: depends_on.iter().map(|dep| (*dep).to_owned()).collect(),
                    tools: if !pure {
                        Vec::new()
                    } else if runner == "bun" {
                        vec!["bun --version"]
                    } else {
                        vec!["node --version"]
                    },
                },
            );
            continue;
        };
        left.entry(reason).or_default().push(text(name));
    }
    for (reason, names) in left {
        let names = names.join(", ");
        project
            .notes
            .push(format!("Scripts left out, {reason}: {names}."));
    }
}

fn words(command: &str) -> impl Iterator<Item = &str> {
    command.split(|c: char| c.is_whitespace() || ";&|()\"'".contains(c))
}

/// Whether a script is meant to run until it is stopped.
fn runs_on(name: &str, command: &str) -> bool {
    let first = name.split([':', '-', '.', '_']).next().unwrap_or(name);
    matches!(first, "dev" | "develop" | "preview" | "serve" | "start")
        || name.split([':', '-', '.', '_']).any(|part| part == "watch")
        || words(command).any(|w| matches!(w, "--watch" | "--watchAll" | "nodemon"))
}

/// Whether a script of a workspace's root only runs those of its packages.
fn calls_projects(command: &str) -> bool {
    words(command).any(|word| {
        matches!(
            word,
            "turbo"
                | "lerna"
                | "nx"
                | "wsrun"
                | "workspace"
                | "workspaces"
                | "-r"
                | "-ws"
                | "--recursive"
                | "--workspaces"
        ) || word.starts_with("--filter")
            || word.starts_with("--workspace=")
    })
}

/// Whether a script is by its name one that only looks.
fn is_check(name: &str) -> bool {
    let kinds = [
        "test",
        "lint",
        "check",
        "typecheck",
        "type-check",
        "check-types",
    ];
    let first = name.split(':').next().unwrap_or(name);
    kinds.contains(&first)
        || matches!(
            name,
            "fmt-check" | "fmt:check" | "format-check" | "format:check" | "types:check"
        )
}

/// Whether name or command of a check say that it writes files after all.
fn writes(name: &str, command: &str) -> bool {
    let named = name.split([':', '-']).any(|part| {
        matches!(
            part,
            "fix" | "write" | "update" | "coverage" | "cov" | "report" | "build"
        )
    });
    let flags = [
        "--fix",
        "--write",
        "--apply",
        "--update",
        "--coverage",
        "--cov",
        "--out",
        "--reporter",
        "--junit",
    ];
    named
        || command.contains('>')
        || command.contains("build")
        || words(command).any(|word| {
            flags.iter().any(|flag| word.starts_with(flag))
                || matches!(
                    word,
                    "-u" | "-o" | "-w" | "c8" | "nyc" | "cypress" | "playwright"
                )
        })
}
