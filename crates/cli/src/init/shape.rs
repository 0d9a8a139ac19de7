//! What was found of projects, tasks and edges, and how that becomes one workspace.
//! It does not know the manifests it comes from, nor TOML.

use std::collections::{BTreeMap, BTreeSet};

use super::folders;

/// Everything that the readers found; folders are '/'-separated, the root is the empty text.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By folder.
    pub(super) projects: BTreeMap<String, Project>,
    /// Files of the root that tasks of every project read.
    pub(super) global_inputs: BTreeSet<&'static str>,
    /// Remarks for the head of the root's file.
    pub(super) notes: Vec<String>,
}

/// One project.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// Its name, unless that is its path.
    pub(super) name: Option<String>,
    pub(super) tasks: BTreeMap<String, Task>,
    /// Folders of projects it is built from.
    pub(super) needs: BTreeSet<String>,
    /// Folders of projects that only its tests and tools need: these may form circles.
    pub(super) also: BTreeSet<String>,
    /// Paths it is built from that lead out of the root, as they are written.
    pub(super) outside: BTreeSet<String>,
    /// Remarks for the head of its file.
    pub(super) notes: Vec<String>,
}

/// One task.
#[derive(Debug, Default)]
pub(super) struct Task {
    pub(super) command: Vec<String>,
    /// Whether it is sure to create no file.
    pub(super) pure: bool,
    /// A line above the table.
    pub(super) note: Option<&'static str>,
    pub(super) depends_on: Vec<String>,
    pub(super) tools: Vec<&'static str>,
}

/// Said of every task whose outputs are not known.
pub(super) const ADD_OUTPUTS: &str =
    "Runs every time. Add the files it creates, as in outputs = [\"dist/**\"], to keep them.";
const NOTHING_TO_BUILD: &str =
    "Nothing to build: through this task the project's files count for those that use it.";

const NOT_KEPT: &str =
    "Runs every time: files that do not count enter it, as said at the head of this file.";

impl Project {
    /// Adds an edge to the folder that a path leads to, seen from the folder `dir`.
    pub(super) fn built_from(&mut self, dir: &str, path: &str, only_tests: bool) {
        let home = path.starts_with('~');
        match folders::normal(dir, path).filter(|_| !home) {
            Some(to) if only_tests => self.also.insert(to),
            Some(to) => self.needs.insert(to),
            None => self.outside.insert(path.to_owned()),
        };
    }

    /// Adds a task; when another tool has the name, under `tool-name`.
    pub(super) fn add(&mut self, tool: &str, name: &str, task: Task) {
        let name = if self.tasks.contains_key(name) {
            format!("{tool}-{name}")
        } else {
            name.to_owned()
        };
        self.tasks.entry(name).or_insert(task);
    }

    /// Sets the name, unless another tool did.
    pub(super) fn call(&mut self, name: Option<&str>) {
        if self.name.is_none() {
            self.name = name.filter(|name| good_name(name)).map(str::to_owned);
        }
    }
}

/// Whether the configuration takes it as a name of a project or task.
pub(super) fn good_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['^', '!', '-', '$'])
        && !name.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control())
}

/// Makes it a workspace: names are unique, edges form no circle and lead to projects, and every
/// project that others use has a `build`.
pub(super) fn settle(mut found: Found) -> Found {
    let dirs: BTreeSet<String> = found.projects.keys().cloned().collect();
    name(&mut found);
    keep_nothing_of_unseen(&mut found);
    let mut used = BTreeSet::new();
    for (dir, project) in &mut found.projects {
        project.needs.retain(|to| to != dir && dirs.contains(to));
        project.also.retain(|to| to != dir && dirs.contains(to));
        used.extend(project.needs.iter().chain(&project.also).cloned());
    }
    for dir in &used {
        if let Some(project) = found.projects.get_mut(dir) {
            project.tasks.entry("build".to_owned()).or_insert(Task {
                command: vec!["true".to_owned()],
                note: Some(NOTHING_TO_BUILD),
                depends_on: vec!["^build".to_owned()],
                ..Task::default()
            });
        }
    }
    break_circles(&mut found);
    let builds = found
        .projects
        .values()
        .any(|p| p.tasks.contains_key("build"));
    for project in found.projects.values_mut() {
        for task in project.tasks.values_mut() {
            task.depends_on
                .retain(|dep| builds || !matches!(dep.as_str(), "build" | "^build"));
        }
    }
    found
}

/// The name by which other projects refer to one.
pub(super) fn reference(found: &Found, dir: &str) -> String {
    let name = found.projects.get(dir).and_then(|p| p.name.as_deref());
    match (name, dir) {
        (Some(name), _) => name.to_owned(),
        (None, "") => ".".to_owned(),
        (None, dir) => dir.to_owned(),
    }
}

/// Takes the outputs from tasks of projects that are built from files of no project: an edit there
/// would be a hit.
fn keep_nothing_of_unseen(found: &mut Found) {
    let dirs: BTreeSet<String> = found.projects.keys().cloned().collect();
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open = Vec::new();
    for (dir, project) in &mut found.projects {
        for to in project.needs.iter().chain(&project.also) {
            if dirs.contains(to) {
                users.entry(to.clone()).or_default().push(dir.clone());
            } else if !(dir.is_empty() || folders::is_below(to, &BTreeSet::from([dir.clone()]))) {
                project.outside.insert(to.clone());
            }
        }
        open.extend(
            project
                .outside
                .iter()
                .map(|path| (dir.clone(), path.clone())),
        );
    }
    while let Some((dir, path)) = open.pop() {
        for user in users.get(&dir).into_iter().flatten() {
            let known = found.projects.get_mut(user);
            if known.is_some_and(|user| user.outside.insert(path.clone())) {
                open.push((user.clone(), path.clone()));
            }
        }
    }
    for project in found.projects.values_mut() {
        if project.outside.is_empty() {
            continue;
        }
        let paths: Vec<String> = project
            .outside
            .iter()
            .map(|path| super::render::text(path))
            .collect();
        project.notes.push(format!(
            "Built from what is no project here, so that its files do not count: {}.",
            paths.join(", ")
        ));
        project.notes.push("To keep results, add it to `projects` and `depends-on`; only then give tasks `outputs`.".to_owned());
        for task in project.tasks.values_mut() {
            if task.pure || task.note.is_none() {
                task.note = Some(NOT_KEPT);
            }
            task.pure = false;
        }
    }
}

fn name(found: &mut Found) {
    let dirs: BTreeSet<String> = found.projects.keys().cloned().collect();
    let mut taken = BTreeSet::from([".".to_owned()]);
    for (dir, project) in &mut found.projects {
        project.name = project
            .name
            .take()
            .filter(|name| name != dir && !dirs.contains(name) && taken.insert(name.clone()));
    }
}

/// Keeps the edges that close no circle. An edge that would is left to the tasks whose results
/// are kept: they wait for the other project's `build` by name.
fn break_circles(found: &mut Found) {
    let mut kept: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut left = Vec::new();
    let hard = found.projects.iter().map(|(dir, p)| (dir, &p.needs));
    let soft = found.projects.iter().map(|(dir, p)| (dir, &p.also));
    for (from, all) in hard.chain(soft) {
        for to in all {
            if reaches(&kept, to, from) {
                left.push((from.clone(), to.clone()));
            } else {
                kept.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    for (from, to) in left {
        let to = reference(found, &to);
        let Some(project) = found.projects.get_mut(&from) else {
            continue;
        };
        project.notes.push(format!(
            "Not in depends-on, since that would close a circle: {}.",
            super::render::text(&to)
        ));
        for task in project.tasks.values_mut().filter(|task| task.pure) {
            let dep = format!("{to}#build");
            if !task.depends_on.contains(&dep) {
                task.depends_on.push(dep);
            }
        }
    }
    for (dir, project) in &mut found.projects {
        project.needs = kept.remove(dir).unwrap_or_default();
        project.also.clear();
    }
}

fn reaches(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(edges.get(at).into_iter().flatten().map(String::as_str));
        }
    }
    false
}
