//! Writes the workspace as the texts of `larder.toml` files.
//! It does not know where the projects were found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::shape::{ADD_OUTPUTS, Found, Project, Task, reference};
use super::{NewFile, folders};
use crate::config::{DEFAULT_GLOBAL_INPUTS, FILE_NAME};

const EXAMPLE: &str = r#"# The configuration of Larder: which folders are projects, and which tasks they have.

# The root of the workspace. Without `projects` the root is the only project.
[workspace]
# projects = ["packages/*"]

# `larder run hello` runs this command, and skips it while no file of the project changes.
[tasks.hello]
command = "echo hello"
# The command creates no files. List those that yours creates, as in outputs = ["dist/**"].
outputs = []
"#;

/// The files, the root's first.
pub(super) fn files(root: &Path, found: &Found) -> Vec<NewFile> {
    if found.projects.is_empty() {
        let mut text = String::new();
        notes(&mut text, &found.notes);
        blank(&mut text);
        text.push_str(EXAMPLE);
        return vec![file("", text)];
    }
    let defaults = defaults(found);
    let mut files = vec![file("", root_text(root, found, &defaults))];
    for (dir, project) in found.projects.iter().filter(|(dir, _)| !dir.is_empty()) {
        let mut text = String::new();
        notes(&mut text, &project.notes);
        project_table(&mut text, found, project);
        for (name, task) in &project.tasks {
            let default = defaults.get(name.as_str());
            let mut own: Vec<&String> = task.depends_on.iter().collect();
            // In the file of a project a task that it lacks would be an error.
            own.retain(|dep| *dep != "build" || project.tasks.contains_key("build"));
            let inherited =
                default == Some(&task.depends_on) || default.is_none() && own.is_empty();
            task_head(&mut text, name, task);
            if !inherited {
                let _ = writeln!(text, "depends-on = {}", list(own));
            }
            task_tail(&mut text, task, true);
        }
        if text.is_empty() {
            text.push_str("# This project has no tasks of its own.\n");
        }
        files.push(file(dir, text.trim_start_matches('\n').to_owned()));
    }
    files
}

/// What each task of the root's file has as `depends-on`, whether or not the root has the task.
fn defaults(found: &Found) -> BTreeMap<String, Vec<String>> {
    let mut by_name: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
    for (name, task) in found.projects.values().flat_map(|p| &p.tasks) {
        by_name.entry(name).or_default().push(task);
    }
    let own = found.projects.get("");
    let mut defaults = BTreeMap::new();
    for (name, tasks) in by_name {
        let first = &tasks[0].depends_on;
        if let Some(task) = own.and_then(|own| own.tasks.get(name)) {
            defaults.insert(name.to_owned(), task.depends_on.clone());
        } else if !first.is_empty() && tasks.iter().all(|task| task.depends_on == *first) {
            defaults.insert(name.to_owned(), first.clone());
        }
    }
    defaults
}

fn root_text(root: &Path, found: &Found, defaults: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = String::new();
    let own = found.projects.get("");
    let alone = own.is_some() && found.projects.len() == 1;
    let mut remarks = found.notes.clone();
    remarks.extend(own.into_iter().flat_map(|own| own.notes.iter().cloned()));
    notes(&mut text, &remarks);
    blank(&mut text);
    text.push_str("[workspace]\n");
    if !alone {
        let dirs: BTreeSet<String> = found.projects.keys().cloned().collect();
        let patterns = folders::patterns(root, &dirs);
        let _ = writeln!(text, "projects = {}", list(&patterns));
        if !found.global_inputs.is_empty() {
            let mut globs = found.global_inputs.clone();
            globs.extend(
                DEFAULT_GLOBAL_INPUTS
                    .iter()
                    .filter(|name| root.join(name).is_file()),
            );
            text.push_str("# Files of the root that count for every task.\n");
            let _ = writeln!(text, "global-inputs = {}", list(globs));
        }
    }
    if let Some(own) = own {
        project_table(&mut text, found, own);
    }
    for (name, depends_on) in defaults {
        let task = own.and_then(|own| own.tasks.get(name));
        match task {
            Some(task) => task_head(&mut text, name, task),
            None => {
                let _ = writeln!(text, "\n[tasks.{}]", key(name));
            }
        }
        if !depends_on.is_empty() {
            let _ = writeln!(text, "depends-on = {}", list(depends_on));
        }
        if let Some(task) = task {
            if !alone {
                text.push_str("projects = [\".\"]\n");
            }
            // Other projects start from this table: what does not hold for them is not said.
            let shared = found
                .projects
                .values()
                .filter_map(|p| p.tasks.get(name))
                .all(|other| other.pure);
            task_tail(&mut text, task, shared);
        }
    }
    text
}

fn project_table(text: &mut String, found: &Found, project: &Project) {
    if project.name.is_none() && project.needs.is_empty() {
        return;
    }
    text.push_str("\n[project]\n");
    if let Some(name) = &project.name {
        let _ = writeln!(text, "name = {}", quoted(name));
    }
    if !project.needs.is_empty() {
        let names: BTreeSet<String> = project
            .needs
            .iter()
            .map(|dir| reference(found, dir))
            .collect();
        let _ = writeln!(text, "depends-on = {}", list(&names));
    }
}

fn task_head(text: &mut String, name: &str, task: &Task) {
    text.push('\n');
    if let Some(note) = task.note {
        let _ = writeln!(text, "# {note}");
    }
    let _ = writeln!(text, "[tasks.{}]", key(name));
    let plain = |word: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@=,+".contains(c);
        !word.is_empty() && word.chars().all(plain)
    };
    let command = if task.command.iter().all(plain) {
        quoted(&task.command.join(" "))
    } else {
        list(&task.command)
    };
    let _ = writeln!(text, "command = {command}");
}

fn task_tail(text: &mut String, task: &Task, say_outputs: bool) {
    if !task.tools.is_empty() {
        let _ = writeln!(text, "tools = {}", list(&task.tools));
    }
    if task.pure && say_outputs {
        text.push_str("outputs = []\n");
    } else if task.note.is_none() {
        let _ = writeln!(text, "# {ADD_OUTPUTS}");
    }
}

fn notes(text: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "# {note}");
    }
}

/// An empty line, unless the text begins here.
fn blank(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

fn file(dir: &str, text: String) -> NewFile {
    let path = PathBuf::from(dir).join(FILE_NAME);
    NewFile { path, text }
}

fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| quoted(i.as_ref())).collect();
    let line = format!("[{}]", items.join(", "));
    if line.len() <= 80 {
        return line;
    }
    format!("[\n    {},\n]", items.join(",\n    "))
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A name inside of a comment: on one line whatever it holds.
pub(super) fn text(name: &str) -> String {
    if name.chars().any(char::is_control) {
        quoted(name)
    } else {
        name.to_owned()
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
