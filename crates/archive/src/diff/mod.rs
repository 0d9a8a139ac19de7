//! Why two entries differ, as data.
//! Does not know words for it, nor which differences matter to anybody.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::format::ArchiveEntry;
use crate::manifests::{FileState, Manifests, TaskManifest};
use crate::run::TaskStatus;

/// One difference. Paths and names are those of the entries.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Difference {
    /// A task took part in one run alone.
    Task {
        /// The task.
        task: String,
        /// Which way.
        change: ItemChange,
    },
    /// A task ended differently.
    Outcome {
        /// The task.
        task: String,
        /// How it ended before.
        before: TaskStatus,
        /// How it ended after.
        after: TaskStatus,
    },
    /// A file that a task read.
    Input {
        /// The task.
        task: String,
        /// The file.
        path: String,
        /// What happened to it.
        change: FileChange,
    },
    /// A file that a task made.
    Output {
        /// The task.
        task: String,
        /// The file.
        path: String,
        /// What happened to it.
        change: FileChange,
    },
    /// What a tool printed.
    Tool {
        /// The task.
        task: String,
        /// The tool's command.
        command: String,
        /// What happened to it.
        change: ItemChange,
    },
    /// A variable. Values are in no entry.
    Variable {
        /// The task.
        task: String,
        /// The variable's name.
        name: String,
        /// What happened to it.
        change: VariableChange,
    },
    /// Another part of the key.
    Part {
        /// The task.
        task: String,
        /// Which part.
        name: String,
        /// What it was; absent where it was not.
        before: Option<String>,
        /// What it is; absent where it is not.
        after: Option<String>,
    },
    /// The commit of a repository.
    Commit {
        /// Its folder.
        path: String,
        /// The commit before.
        before: Option<String>,
        /// The commit after.
        after: Option<String>,
    },
    /// An artifact.
    Artifact {
        /// Its name.
        name: String,
        /// What happened to it.
        change: ItemChange,
    },
    /// A metric.
    Metric {
        /// Its name.
        name: String,
        /// What it was; absent where it was not measured.
        before: Option<f64>,
        /// What it is; absent where it is not measured.
        after: Option<f64>,
    },
    /// How long a task's commands, a phase or a step took. Tasks count that were executed both times.
    Timing {
        /// `task NAME`, `phase NAME` or `archive STEP`.
        name: String,
        /// Seconds before.
        before: f64,
        /// Seconds after.
        after: f64,
    },
}

/// What happened to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemChange {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// It is another.
    Changed,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// Its content is another.
    Content,
    /// Its content is the same, and who may execute it is not.
    Mode,
    /// It is another kind of file.
    Kind,
}

/// What happened to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariableChange {
    /// It came to be declared.
    Declared,
    /// It is no longer declared.
    Undeclared,
    /// It was not set, and is.
    Set,
    /// It was set, and is not.
    Unset,
    /// Its value is another.
    Value,
    /// The two entries keyed their digests with different secrets: whether the value is the same cannot be told.
    Incomparable,
}

/// One of the two entries.
#[derive(Clone, Copy, Debug)]
pub struct DiffSide<'a> {
    /// The entry.
    pub entry: &'a ArchiveEntry,
    /// The manifests from its bundle.
    pub manifests: &'a Manifests,
}

/// All differences between two entries: causes first (inputs, tools, variables, other parts of keys, by task), then what came of them.
pub fn diff(before: DiffSide<'_>, after: DiffSide<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let secrets = (&before.manifests.secret, &after.manifests.secret);
    let comparable = secrets.0.is_some() && secrets.0 == secrets.1;
    let empty = TaskManifest::default();
    let (old, new) = (&before.manifests.tasks, &after.manifests.tasks);
    for (task, change) in changes(old, new, |_, _| Some(ItemChange::Changed)) {
        if change != ItemChange::Changed {
            let task = task.clone();
            found.push(Difference::Task { task, change });
            continue;
        }
        let (old, new) = (
            old.get(task).unwrap_or(&empty),
            new.get(task).unwrap_or(&empty),
        );
        task_differences(task, old, new, comparable, &mut found);
    }
    outcomes(before.entry, after.entry, &mut found);
    results(before.entry, after.entry, &mut found);
    timings(before.entry, after.entry, &mut found);
    found
}

fn task_differences(
    task: &str,
    old: &TaskManifest,
    new: &TaskManifest,
    comparable: bool,
    found: &mut Vec<Difference>,
) {
    let task = || task.to_owned();
    for (path, change) in files(&old.inputs, &new.inputs) {
        let (task, path) = (task(), path.clone());
        found.push(Difference::Input { task, path, change });
    }
    for (command, change) in changes(&old.tools, &new.tools, different) {
        found.push(Difference::Tool {
            task: task(),
            command: command.clone(),
            change,
        });
    }
    let value = |old: &Option<String>, new: &Option<String>| match (old, new) {
        (None, None) => None,
        (None, Some(_)) => Some(VariableChange::Set),
        (Some(_), None) => Some(VariableChange::Unset),
        (Some(_), Some(_)) if !comparable => Some(VariableChange::Incomparable),
        (Some(old), Some(new)) => (old != new).then_some(VariableChange::Value),
    };
    for (name, change) in changes(&old.environment, &new.environment, value) {
        found.push(Difference::Variable {
            task: task(),
            name: name.clone(),
            change,
        });
    }
    for (name, _) in changes(&old.parts, &new.parts, different) {
        found.push(Difference::Part {
            task: task(),
            name: name.clone(),
            before: old.parts.get(name).cloned(),
            after: new.parts.get(name).cloned(),
        });
    }
    for (path, change) in files(&old.outputs, &new.outputs) {
        let (task, path) = (task(), path.clone());
        found.push(Difference::Output { task, path, change });
    }
}

fn outcomes(before: &ArchiveEntry, after: &ArchiveEntry, found: &mut Vec<Difference>) {
    let of = |entry: &ArchiveEntry| -> BTreeMap<String, TaskStatus> {
        let tasks = entry.run.summary().tasks.iter();
        tasks.map(|task| (task.task.clone(), task.status)).collect()
    };
    let (before, after) = (of(before), of(after));
    for (task, &before) in &before {
        match after.get(task) {
            Some(&after) if after != before => found.push(Difference::Outcome {
                task: task.clone(),
                before,
                after,
            }),
            _ => {}
        }
    }
}

fn results(before: &ArchiveEntry, after: &ArchiveEntry, found: &mut Vec<Difference>) {
    let commits = |entry: &ArchiveEntry| -> BTreeMap<String, Option<String>> {
        let commits = entry.commits.iter();
        commits
            .map(|repo| (repo.path.clone(), repo.commit.clone()))
            .collect()
    };
    let (old, new) = (commits(before), commits(after));
    for (path, _) in changes(&old, &new, different) {
        found.push(Difference::Commit {
            path: path.clone(),
            before: old.get(path).cloned().flatten(),
            after: new.get(path).cloned().flatten(),
        });
    }
    let artifacts = |entry: &ArchiveEntry| -> BTreeMap<String, (String, bool)> {
        let artifacts = entry.artifacts.iter();
        artifacts
            .map(|one| (one.name.clone(), (one.blake3.clone(), one.executable)))
            .collect()
    };
    let (old, new) = (artifacts(before), artifacts(after));
    for (name, change) in changes(&old, &new, different) {
        let name = name.clone();
        found.push(Difference::Artifact { name, change });
    }
    let (old, new) = (&before.metrics, &after.metrics);
    for (name, _) in changes(old, new, different) {
        found.push(Difference::Metric {
            name: name.clone(),
            before: old.get(name).copied(),
            after: new.get(name).copied(),
        });
    }
}

fn timings(before: &ArchiveEntry, after: &ArchiveEntry, found: &mut Vec<Difference>) {
    let of = |entry: &ArchiveEntry| -> BTreeMap<String, f64> {
        let tasks = entry.run.summary().tasks.iter();
        let tasks = tasks
            .filter(|task| task.status == TaskStatus::Ran)
            .map(|task| (format!("task {}", task.task), task.seconds));
        let phases = entry.phase_timings.iter();
        let steps = entry.archive_timings.iter();
        tasks
            .chain(phases.map(|(name, &seconds)| (format!("phase {name}"), seconds)))
            .chain(steps.map(|(step, &seconds)| (format!("archive {step}"), seconds)))
            .collect()
    };
    let (before, after) = (of(before), of(after));
    for (name, change) in changes(&before, &after, different) {
        if change == ItemChange::Changed {
            found.push(Difference::Timing {
                name: name.clone(),
                before: before[name],
                after: after[name],
            });
        }
    }
}

fn files<'a>(
    old: &'a BTreeMap<String, FileState>,
    new: &'a BTreeMap<String, FileState>,
) -> Vec<(&'a String, FileChange)> {
    changes(old, new, |old, new| {
        if old.kind != new.kind {
            Some(FileChange::Kind)
        } else if old.digest != new.digest {
            Some(FileChange::Content)
        } else {
            (old.executable != new.executable).then_some(FileChange::Mode)
        }
    })
}

/// What a key that is in one map alone means.
trait Presence {
    const ADDED: Self;
    const REMOVED: Self;
}

impl Presence for ItemChange {
    const ADDED: Self = Self::Added;
    const REMOVED: Self = Self::Removed;
}

impl Presence for FileChange {
    const ADDED: Self = Self::Added;
    const REMOVED: Self = Self::Removed;
}

impl Presence for VariableChange {
    const ADDED: Self = Self::Declared;
    const REMOVED: Self = Self::Undeclared;
}

/// The keys of both maps, in order, under which something changed.
fn changes<'a, V, C: Presence>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
    compare: impl Fn(&V, &V) -> Option<C>,
) -> Vec<(&'a String, C)> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter_map(|key| {
            let change = match (old.get(key), new.get(key)) {
                (None, _) => C::ADDED,
                (_, None) => C::REMOVED,
                (Some(old), Some(new)) => compare(old, new)?,
            };
            Some((key, change))
        })
        .collect()
}

fn different<V: PartialEq>(old: &V, new: &V) -> Option<ItemChange> {
    (old != new).then_some(ItemChange::Changed)
}
