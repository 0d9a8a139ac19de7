//! Merges the tables of root and projects into tasks.
//! It does not know how names in `depends-on` and hooks are looked up.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;

use super::format::{Command, InputItem, Project, Task, Workspace};
use super::items::{command, inherit, input, refuse_inherit, variables};
use super::mounts::{default_name, is_outside};
use super::parse::{Cx, S};
use super::report::{At, FileText, Report, known_names, location};
use super::syntax::{CommandValue, InputValue, ProjectFile, RootFile, TaskTable};
use super::template::outputs;
use super::{archive, edges, outputs, settings};

/// A project as found: its folder and what its file says.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) dir: Vec<u8>,
    pub(super) name: String,
    pub(super) file: ProjectFile,
}

impl Member {
    pub(super) fn new(dir: Vec<u8>, file: ProjectFile) -> Self {
        let given = file.project.as_ref().and_then(|p| p.value.name.as_ref());
        let name = match given {
            Some(name) => name.value.clone(),
            None if dir.is_empty() => ".".to_owned(),
            None if is_outside(&dir) => default_name(&dir),
            None => String::from_utf8_lossy(&dir).into_owned(),
        };
        Self { dir, name, file }
    }

    fn task(&self, name: &str) -> Option<(&S<String>, &TaskTable)> {
        find(self.file.tasks.as_ref(), name)
    }

    fn name_at(&self) -> Option<At> {
        let name = self.file.project.as_ref()?.value.name.as_ref()?;
        Some(name.at)
    }
}

type Tables = S<super::parse::Named<S<TaskTable>>>;

fn find<'t>(tables: Option<&'t Tables>, name: &str) -> Option<(&'t S<String>, &'t TaskTable)> {
    let tables = tables?;
    tables
        .value
        .0
        .iter()
        .find(|(key, _)| key.value == name)
        .map(|(key, table)| (key, &table.value))
}

fn entries(tables: Option<&Tables>) -> impl Iterator<Item = (&S<String>, &TaskTable)> {
    tables.into_iter().flat_map(|tables| {
        tables
            .value
            .0
            .iter()
            .map(|(key, table)| (key, &table.value))
    })
}

/// A merged task before its names are looked up.
pub(super) struct Merged {
    pub(super) table: TaskTable,
    pub(super) at: At,
}

/// Puts everything together. The result is only good when no error was reported.
pub(super) fn resolve(
    root: &RootFile,
    members: &[Member],
    files: &[FileText],
    cx: &mut Cx,
) -> Workspace {
    let projects = projects(root, members, cx);
    let mut tasks = Vec::new();
    let mut merged_tables = Vec::new();
    let applies = root_tasks(root, members, cx);
    check_tables(root, members, cx);
    for (index, member) in members.iter().enumerate() {
        let mut names: BTreeSet<&str> = entries(member.file.tasks.as_ref())
            .map(|(key, _)| key.value.as_str())
            .collect();
        names.extend(
            applies
                .iter()
                .filter(|(_, on)| on[index])
                .map(|(name, _)| *name),
        );
        for name in names {
            let merged = merge(find(root.tasks.as_ref(), name), member.task(name));
            tasks.push(task(index, name, &merged, files, cx));
            merged_tables.push(merged);
        }
    }
    let mut workspace = Workspace {
        projects,
        tasks,
        settings: settings::settings(root, cx),
        before_all: Vec::new(),
        after_all: Vec::new(),
        mounts: Vec::new(),
        variables: Vec::new(),
        sources: Vec::new(),
        read_at_ns: 0,
    };
    outputs::same_outputs(&workspace, &merged_tables, cx);
    let gates = root.archive.as_ref();
    let gates = gates.map_or_else(Vec::new, |archive| archive::gated(&archive.value));
    let hooks = root.hooks.as_ref();
    edges::connect(&mut workspace, &merged_tables, hooks, &gates, cx);
    workspace
}

fn projects(root: &RootFile, members: &[Member], cx: &mut Cx) -> Vec<Project> {
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_dir: BTreeMap<String, usize> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        by_dir.insert(String::from_utf8_lossy(&member.dir).into_owned(), index);
        project_name(member, cx);
        if let Some(other) = by_name.insert(&member.name, index) {
            duplicate(&members[other], member, cx);
        }
    }
    if let Some(project) = &root.project
        && !members.iter().any(|member| member.dir.is_empty())
    {
        cx.report(
            Report::new(project.at, "the root is not a project", "")
                .help("add \".\" to `projects` in `[workspace]`"),
        );
    }
    let names: Vec<&str> = by_name.keys().copied().collect();
    let mut projects = Vec::new();
    for member in members {
        let wanted = member
            .file
            .project
            .as_ref()
            .and_then(|p| p.value.depends_on.as_ref());
        let mut depends_on = Vec::new();
        for item in wanted.iter().flat_map(|wanted| &wanted.value) {
            let text = item.value.as_str();
            match by_name.get(text).or_else(|| by_dir.get(text)) {
                Some(found) => depends_on.push(*found),
                None => cx.report(
                    Report::new(item.at, format!("there is no project `{text}`"), "")
                        .help(known_names(text, "projects", names.iter().copied())),
                ),
            }
        }
        depends_on.sort_unstable();
        depends_on.dedup();
        projects.push(Project {
            name: member.name.clone(),
            dir: member.dir.clone(),
            depends_on,
        });
    }
    projects
}

fn project_name(member: &Member, cx: &mut Cx) {
    match member.name_at() {
        Some(at) if !good_name(&member.name) => cx.report(
            Report::new(at, "bad name of a project", "")
                .help("it has to be without spaces, `#`, and `^` or `!` at the start"),
        ),
        None if std::str::from_utf8(&member.dir).is_err() => cx.report(
            Report::nowhere(format!("the folder `{}` has no readable name", member.name))
                .help("give the project one: `[project] name = \"…\"` in its `larder.toml`"),
        ),
        _ => {}
    }
}

fn good_name(name: &str) -> bool {
    !name.starts_with(['^', '!', '-', '$'])
        && !name.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control())
}

fn duplicate(first: &Member, second: &Member, cx: &mut Cx) {
    let title = format!("two projects are called `{}`", second.name);
    let folder = |member: &Member| String::from_utf8_lossy(&member.dir).into_owned();
    let mut places = [second, first]
        .into_iter()
        .filter_map(|member| Some((member.name_at()?, folder(member))));
    let report = match places.next() {
        Some((at, dir)) => Report::new(at, title, format!("the name of `{dir}`")),
        None => Report::nowhere(title),
    };
    let report = match places.next() {
        Some((at, dir)) => report.also(at, format!("the name of `{dir}`")),
        None => report,
    };
    cx.report(report.help("give one of them another `name`"));
}

/// For each task of the root: which projects have it because of the root's table.
fn root_tasks<'r>(
    root: &'r RootFile,
    members: &[Member],
    cx: &mut Cx,
) -> BTreeMap<&'r str, Vec<bool>> {
    let mut applies = BTreeMap::new();
    for (key, table) in entries(root.tasks.as_ref()) {
        let chosen = chosen(table, members, cx);
        let own: Vec<&TaskTable> = members
            .iter()
            .filter_map(|member| member.task(&key.value))
            .map(|(_, table)| table)
            .collect();
        let group = table.depends_on.is_some() || table.before.is_some();
        let everywhere = has_command(table) || group && !own.iter().any(|table| has_command(table));
        if !everywhere && own.is_empty() {
            cx.report(
                Report::new(key.at, format!("task `{}` does nothing", key.value), "")
                    .help("give it a `command` or `depends-on`; without, it holds defaults for projects that define it, and none does"),
            );
        }
        applies.insert(
            key.value.as_str(),
            chosen.into_iter().map(|on| on && everywhere).collect(),
        );
    }
    applies
}

fn has_command(table: &TaskTable) -> bool {
    table.command.is_some() || table.commands.is_some()
}

/// Which projects the `projects` of a root task name.
fn chosen(table: &TaskTable, members: &[Member], cx: &mut Cx) -> Vec<bool> {
    let Some(patterns) = &table.projects else {
        return vec![true; members.len()];
    };
    let mut on = vec![false; members.len()];
    for pattern in &patterns.value {
        let (value, body) = match pattern.value.strip_prefix('!') {
            Some(body) => (false, body),
            None => (true, pattern.value.as_str()),
        };
        let body = body
            .strip_prefix("./")
            .unwrap_or(body)
            .trim_end_matches('/');
        let matcher = match GlobBuilder::new(body).literal_separator(true).build() {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => {
                cx.report(Report::new(
                    pattern.at,
                    "bad glob",
                    error.kind().to_string(),
                ));
                continue;
            }
        };
        let mut any = false;
        for (slot, member) in on.iter_mut().zip(members) {
            let dir = String::from_utf8_lossy(&member.dir);
            let root = body == "." && member.dir.is_empty();
            if root || member.name == body || matcher.is_match(dir.as_ref()) {
                *slot = value;
                any = true;
            }
        }
        if !any {
            let report = Report::new(pattern.at, format!("no project matches `{body}`"), "");
            cx.report(if body == "." {
                report.help("add \".\" to `projects` in `[workspace]`")
            } else {
                report.help(known_names(
                    body,
                    "projects",
                    members.iter().map(|m| m.name.as_str()),
                ))
            });
        }
    }
    on
}

/// What can be told from one table alone.
fn check_tables(root: &RootFile, members: &[Member], cx: &mut Cx) {
    let own = members
        .iter()
        .flat_map(|member| entries(member.file.tasks.as_ref()).map(|entry| (false, entry)));
    let all = entries(root.tasks.as_ref())
        .map(|entry| (true, entry))
        .chain(own);
    for (in_root, (key, table)) in all {
        if !good_name(&key.value) || key.value.is_empty() {
            cx.report(
                Report::new(key.at, "bad name of a task", "")
                    .help("it has to be without spaces, `#`, and `^` or `!` at the start"),
            );
        }
        if let (Some(one), Some(many)) = (&table.command, &table.commands) {
            cx.report(
                Report::new(many.at, "both `command` and `commands`", "")
                    .also(one.at, "and this")
                    .help("keep one of them"),
            );
        }
        if in_root {
            refuse_inherit(table.depends_on.as_ref(), cx);
            refuse_inherit(table.inputs.as_ref(), cx);
            refuse_inherit(table.commands.as_ref(), cx);
            refuse_inherit(table.before.as_ref(), cx);
            refuse_inherit(table.after.as_ref(), cx);
            for list in [
                &table.outputs,
                &table.env,
                &table.pass_through_env,
                &table.tools,
            ] {
                refuse_inherit(list.as_ref(), cx);
            }
        } else if let Some(projects) = &table.projects {
            cx.report(
                Report::new(projects.at, "`projects` in the file of a project", "")
                    .help("it belongs to tasks of the root's `larder.toml`"),
            );
        }
    }
}

/// The project's table over the root's, key by key.
fn merge(root: Option<(&S<String>, &TaskTable)>, own: Option<(&S<String>, &TaskTable)>) -> Merged {
    let at = own.or(root).map_or_else(At::default, |(key, _)| key.at);
    let empty = TaskTable::default();
    let root = root.map_or(&empty, |(_, table)| table);
    let own = own.map_or(&empty, |(_, table)| table);
    let (command, commands) = if has_command(own) {
        (
            own.command.as_ref().map(|value| argv_over(root, value)),
            own.commands.as_ref().and_then(|own| {
                let single = root.command.iter().map(|command| command.value.clone());
                inherit(
                    root.commands.as_ref(),
                    Some(own),
                    &single.collect::<Vec<_>>(),
                )
            }),
        )
    } else {
        (root.command.clone(), root.commands.clone())
    };
    let default = [InputValue::Glob("$DEFAULT$".to_owned())];
    macro_rules! over {
        ($($key:ident),*; $($list:ident),*) => {
            TaskTable {
                projects: None,
                command,
                commands,
                inputs: inherit(root.inputs.as_ref(), own.inputs.as_ref(), &default),
                $($key: own.$key.clone().or_else(|| root.$key.clone()),)*
                $($list: inherit(root.$list.as_ref(), own.$list.as_ref(), &[]),)*
            }
        };
    }
    let table = over!(depfile, foreach, output_logs, timeout, clean, store, relocatable, platform_independent;
        depends_on, outputs, env, pass_through_env, tools, before, after);
    Merged { table, at }
}

/// An argv whose `$INHERIT$` stands for the root's arguments.
fn argv_over(root: &TaskTable, own: &S<CommandValue>) -> S<CommandValue> {
    let CommandValue::Argv(items) = &own.value else {
        return own.clone();
    };
    let base = match root.command.as_ref().map(|command| &command.value) {
        Some(CommandValue::Argv(base)) => Some(S {
            value: base.clone(),
            at: own.at,
        }),
        _ => return own.clone(),
    };
    let own_items = S {
        value: items.clone(),
        at: own.at,
    };
    let joined = inherit(base.as_ref(), Some(&own_items), &[]);
    S {
        value: CommandValue::Argv(joined.map_or_else(Vec::new, |joined| joined.value)),
        at: own.at,
    }
}

fn task(project: usize, name: &str, merged: &Merged, files: &[FileText], cx: &mut Cx) -> Task {
    let table = &merged.table;
    let command = commands(table, cx);
    if command.is_none() {
        check_group(name, merged, cx);
    }
    let inputs = table.inputs.as_ref().map(|items| {
        let items = items.value.iter().filter_map(|item| input(item, cx));
        items.collect::<Vec<InputItem>>()
    });
    let (outputs, depfile, foreach) = outputs(table, command.as_deref().unwrap_or_default(), cx);
    let flag = |flag: &Option<S<bool>>, default: bool| flag.as_ref().map_or(default, |f| f.value);
    Task {
        project,
        name: name.to_owned(),
        command,
        deps: Vec::new(),
        inputs,
        outputs,
        depfile,
        foreach,
        env: variables(table.env.as_ref(), cx),
        pass_through_env: variables(table.pass_through_env.as_ref(), cx),
        tools: texts(table.tools.as_ref()),
        output_logs: table
            .output_logs
            .as_ref()
            .map(|o| o.value)
            .unwrap_or_default(),
        timeout_secs: table.timeout.as_ref().map(|timeout| timeout.value.0),
        clean: flag(&table.clean, true),
        store: flag(&table.store, true),
        relocatable: flag(&table.relocatable, false),
        platform_independent: flag(&table.platform_independent, false),
        location: location(merged.at, files),
    }
}

fn commands(table: &TaskTable, cx: &mut Cx) -> Option<Vec<Command>> {
    if let Some(one) = &table.command {
        return Some(vec![command(&one.value, cx)]);
    }
    let many = table.commands.as_ref()?;
    let many = many.value.iter();
    Some(many.map(|item| command(&item.value, cx)).collect())
}

fn texts(items: Option<&S<Vec<S<String>>>>) -> Vec<String> {
    let items = items.iter().flat_map(|items| &items.value);
    items.map(|item| item.value.clone()).collect()
}

/// A group has no keys that speak of a command.
fn check_group(name: &str, merged: &Merged, cx: &mut Cx) {
    let table = &merged.table;
    macro_rules! given {
        ($($key:ident),*) => {
            [$((stringify!($key), table.$key.as_ref().map(|key| key.at))),*]
        };
    }
    let keys = given!(
        inputs,
        outputs,
        depfile,
        foreach,
        env,
        pass_through_env,
        tools,
        output_logs,
        timeout,
        clean,
        store,
        relocatable,
        platform_independent
    );
    for (key, at) in keys {
        let Some(at) = at else { continue };
        let key = key.replace('_', "-");
        cx.report(
            Report::new(
                at,
                format!("`{key}` in a group"),
                "says nothing without a command",
            )
            .also(merged.at, format!("`{name}` has no command"))
            .help(format!("give `{name}` a `command`, or remove `{key}`")),
        );
    }
    if table.depends_on.is_none() && table.before.is_none() {
        cx.report(
            Report::new(merged.at, format!("task `{name}` does nothing"), "")
                .help("give it a `command` or `depends-on`"),
        );
    }
}
