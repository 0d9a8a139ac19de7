//! Looks up the names in `depends-on` and hooks and makes edges of them.
//! It does not know cycles: the graph finds those.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{Dep, DepKind, Workspace};
use super::merge::Merged;
use super::parse::{Cx, S};
use super::report::{At, Report, known_names};
use super::syntax::{DepValue, HooksTable};

/// `project#task`.
pub(super) fn full_name(workspace: &Workspace, task: usize) -> String {
    let task = &workspace.tasks[task];
    format!("{}#{}", workspace.projects[task.project].name, task.name)
}

/// Fills `deps` of every task, `before_all` and `after_all`. `gates` are names of tasks that stand for themselves.
pub(super) fn connect(
    workspace: &mut Workspace,
    merged: &[Merged],
    hooks: Option<&S<HooksTable>>,
    gates: &[&S<String>],
    cx: &mut Cx,
) {
    let lookup = Lookup::new(workspace);
    let mut deps: Vec<BTreeMap<usize, DepKind>> = vec![BTreeMap::new(); merged.len()];
    let mut said: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (index, Merged { table, .. }) in merged.iter().enumerate() {
        let project = workspace.tasks[index].project;
        let first = table.depends_on.iter().chain(&table.before);
        for item in first.flat_map(|items| &items.value) {
            let (name, transitive) = item.value.parts();
            for found in lookup.find(project, name, item.at, &mut said, cx) {
                add(&mut deps[index], found, DepKind::Needs { transitive });
            }
        }
        for item in table.after.iter().flat_map(|items| &items.value) {
            let (name, _) = item.value.parts();
            if let DepValue::Options(options) = &item.value
                && let Some(flag) = &options.transitive
            {
                cx.report(Report::new(
                    flag.at,
                    "`transitive` in `after`",
                    "has no meaning here",
                ));
            }
            for found in lookup.find(project, name, item.at, &mut said, cx) {
                add(&mut deps[found], index, DepKind::After);
            }
        }
    }
    let mut named = |items: Option<&S<Vec<S<String>>>>| -> Vec<usize> {
        let mut found: Vec<usize> = items
            .iter()
            .flat_map(|items| &items.value)
            .flat_map(|item| lookup.hook(&item.value, item.at, cx))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    let before_all = named(hooks.and_then(|hooks| hooks.value.before_all.as_ref()));
    let after_all = named(hooks.and_then(|hooks| hooks.value.after_all.as_ref()));
    // A gate looks at the tasks of a run by their names; that a name leads somewhere is seen here.
    for name in gates {
        lookup.hook(&name.value, name.at, cx);
    }
    around(&mut deps, &before_all, &after_all);
    for (task, deps) in workspace.tasks.iter_mut().zip(deps) {
        task.deps = deps
            .into_iter()
            .map(|(task, kind)| Dep { task, kind })
            .collect();
    }
    workspace.before_all = before_all;
    workspace.after_all = after_all;
}

/// Keeps one edge a pair: the strongest.
fn add(deps: &mut BTreeMap<usize, DepKind>, task: usize, kind: DepKind) {
    let rank = |kind: DepKind| match kind {
        DepKind::Needs { transitive: true } => 0,
        DepKind::Needs { transitive: false } => 1,
        DepKind::After => 2,
        DepKind::AfterAll => 3,
    };
    let slot = deps.entry(task).or_insert(kind);
    if rank(kind) < rank(*slot) {
        *slot = kind;
    }
}

/// Adds the edges of `[hooks]`: every task waits for `before_all`, except those in its closure and
/// the `after_all` tasks; those follow every task outside of their own closure.
fn around(deps: &mut [BTreeMap<usize, DepKind>], before_all: &[usize], after_all: &[usize]) {
    let exempt = closure(deps, before_all);
    let last = closure(deps, after_all);
    for (index, deps) in deps.iter_mut().enumerate() {
        if !exempt.contains(&index) && !after_all.contains(&index) {
            for hook in before_all {
                add(deps, *hook, DepKind::Needs { transitive: true });
            }
        }
    }
    for hook in after_all {
        for index in (0..deps.len()).filter(|index| !last.contains(index)) {
            add(&mut deps[*hook], index, DepKind::AfterAll);
        }
    }
}

/// The tasks and everything they wait for.
fn closure(deps: &[BTreeMap<usize, DepKind>], tasks: &[usize]) -> BTreeSet<usize> {
    let mut seen: BTreeSet<usize> = tasks.iter().copied().collect();
    let mut open: Vec<usize> = tasks.to_vec();
    while let Some(task) = open.pop() {
        for dep in deps[task].keys() {
            if seen.insert(*dep) {
                open.push(*dep);
            }
        }
    }
    seen
}

/// Tasks by project and name.
struct Lookup {
    projects: Vec<String>,
    dirs: Vec<String>,
    depends_on: Vec<Vec<usize>>,
    tasks: Vec<BTreeMap<String, usize>>,
    names: BTreeSet<String>,
}

impl Lookup {
    fn new(workspace: &Workspace) -> Self {
        let mut tasks = vec![BTreeMap::new(); workspace.projects.len()];
        for (index, task) in workspace.tasks.iter().enumerate() {
            tasks[task.project].insert(task.name.clone(), index);
        }
        let projects = &workspace.projects;
        Self {
            projects: projects.iter().map(|p| p.name.clone()).collect(),
            dirs: projects
                .iter()
                .map(|p| String::from_utf8_lossy(&p.dir).into_owned())
                .collect(),
            depends_on: projects.iter().map(|p| p.depends_on.clone()).collect(),
            tasks,
            names: workspace.tasks.iter().map(|t| t.name.clone()).collect(),
        }
    }

    /// The tasks that a name in a task of `project` refers to.
    fn find(
        &self,
        project: usize,
        text: &str,
        at: At,
        said: &mut BTreeSet<(usize, usize)>,
        cx: &mut Cx,
    ) -> Vec<usize> {
        // A name in the root's table is looked up for every project, but wrong only once.
        let mut say = |report: Report| {
            if said.insert((at.file, at.start)) {
                cx.report(report);
            }
        };
        if let Some(name) = text.strip_prefix('^') {
            if !self.names.contains(name) {
                say(self.no_task(name, at));
            }
            return self.upstream(project, name);
        }
        if text.contains('#') {
            return match self.exact(text, at) {
                Ok(task) => vec![task],
                Err(report) => {
                    say(report);
                    Vec::new()
                }
            };
        }
        if let Some(task) = self.tasks[project].get(text) {
            return vec![*task];
        }
        if !self.names.contains(text) {
            say(self.no_task(text, at));
        } else if at.file != 0 {
            let known = self.tasks[project].keys().map(String::as_str);
            say(Report::new(
                at,
                format!("`{}` has no task `{text}`", self.projects[project]),
                "",
            )
            .help(self.elsewhere(text))
            .help(known_names(text, "its tasks", known)));
        }
        Vec::new()
    }

    /// The tasks that a name in `[hooks]` refers to.
    fn hook(&self, text: &str, at: At, cx: &mut Cx) -> Vec<usize> {
        if text.contains('#') {
            return match self.exact(text, at) {
                Ok(task) => vec![task],
                Err(report) => {
                    cx.report(report);
                    Vec::new()
                }
            };
        }
        if !self.names.contains(text) {
            cx.report(self.no_task(text, at));
        }
        let found = self.tasks.iter().filter_map(|tasks| tasks.get(text));
        found.copied().collect()
    }

    fn exact(&self, text: &str, at: At) -> Result<usize, Report> {
        let (project, name) = text.split_once('#').unwrap_or((text, ""));
        let found = self
            .projects
            .iter()
            .position(|known| known == project)
            .or_else(|| self.dirs.iter().position(|known| known == project));
        let Some(found) = found else {
            let known = self.projects.iter().map(String::as_str);
            return Err(
                Report::new(at, format!("there is no project `{project}`"), "")
                    .help(known_names(project, "projects", known)),
            );
        };
        self.tasks[found].get(name).copied().ok_or_else(|| {
            let known = self.tasks[found].keys().map(String::as_str);
            Report::new(at, format!("`{project}` has no task `{name}`"), "").help(known_names(
                name,
                "its tasks",
                known,
            ))
        })
    }

    /// `^name`: in the projects that this one depends on, through those that lack it.
    fn upstream(&self, project: usize, name: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([project]);
        let mut open = self.depends_on[project].clone();
        while let Some(next) = open.pop() {
            if !seen.insert(next) {
                continue;
            }
            match self.tasks[next].get(name) {
                Some(task) => found.push(*task),
                None => open.extend(&self.depends_on[next]),
            }
        }
        found
    }

    fn no_task(&self, name: &str, at: At) -> Report {
        let known = self.names.iter().map(String::as_str);
        Report::new(at, format!("no project has a task `{name}`"), "")
            .help(known_names(name, "tasks", known))
    }

    fn elsewhere(&self, name: &str) -> String {
        let owner = self.tasks.iter().position(|tasks| tasks.contains_key(name));
        owner.map_or_else(String::new, |owner| {
            format!(
                "another project's task is written `{}#{name}`",
                self.projects[owner]
            )
        })
    }
}
