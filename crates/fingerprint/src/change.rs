//! What changed between two explanations, as data.
//! Knows nothing of how a change is worded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::describe::Explanation;
use crate::manifest::{Row, RowKind};

/// One difference that gave a task another key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The key's form is another version's; nothing else is compared then.
    Schema {
        /// The version before.
        old: u32,
        /// The version now.
        new: u32,
    },
    /// A file that was no input is one.
    FileAdded(FileChange),
    /// A file that was an input is none any more.
    FileRemoved(FileChange),
    /// A file's content (a link's text or what it leads to) or kind.
    FileEdited(FileChange),
    /// A file's executable bit alone.
    FileMode(FileChange),
    /// A declared variable.
    Variable {
        /// Its name; its value is never known.
        name: String,
        /// What happened to it.
        how: How,
    },
    /// The commands or extra arguments.
    Command {
        /// Each command's words, then the extra arguments, before.
        old: Vec<Vec<String>>,
        /// The same now.
        new: Vec<Vec<String>>,
    },
    /// What a tool prints.
    Tool {
        /// The tool's command.
        command: String,
        /// What happened to it.
        how: How,
    },
    /// The outputs of a dependency.
    Dependency {
        /// The dependency.
        task: String,
        /// What happened to it.
        how: How,
    },
    /// A folder given as git input.
    GitInput {
        /// The folder.
        path: String,
        /// What happened to it.
        how: How,
    },
    /// Another setting.
    Configuration {
        /// Which one.
        what: Setting,
    },
    /// Operating system or architecture, or whether they count.
    Platform {
        /// Before.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
}

/// A file that changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileChange {
    /// Its path; bytes, for it may be no text.
    pub path: Vec<u8>,
    /// Whether it is an input of every task.
    pub global: bool,
}

/// What happened to a named part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value (or is set now, or unset).
    Changed,
}

/// A setting that enters a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// The project's path or name, the task's name, the chunk's path.
    Identity,
    /// The declared output globs.
    Outputs,
    /// The salt.
    Salt,
}

/// All that changed, files first by path. Empty exactly when both explain the same key (as far as keyed
/// hashes of variables tell).
pub fn diff(old: &Explanation, new: &Explanation) -> Vec<Change> {
    if old.schema != new.schema {
        return vec![Change::Schema {
            old: old.schema,
            new: new.schema,
        }];
    }
    let mut changes = Vec::new();
    files(&old.inputs, &new.inputs, false, &mut changes);
    files(&old.global_inputs, &new.global_inputs, true, &mut changes);
    files(&old.discovered, &new.discovered, false, &mut changes);
    named(&old.dependencies, &new.dependencies, |task, how| {
        changes.push(Change::Dependency { task, how });
    });
    named(&old.git_inputs, &new.git_inputs, |path, how| {
        changes.push(Change::GitInput { path, how });
    });
    let untold = Some(&Some(Explanation::UNTOLD));
    named(&old.env, &new.env, |name, how| {
        let is_set = matches!(new.env.get(&name), Some(Some(_)));
        if !(is_set && old.env.get(&name) == untold) {
            changes.push(Change::Variable { name, how });
        }
    });
    named(&old.tools, &new.tools, |command, how| {
        changes.push(Change::Tool { command, how });
    });
    if (&old.commands, &old.arguments) != (&new.commands, &new.arguments) {
        changes.push(Change::Command {
            old: words(old),
            new: words(new),
        });
    }
    for (what, same) in [
        (Setting::Identity, old.identity == new.identity),
        (Setting::Outputs, old.outputs == new.outputs),
        (Setting::Salt, old.salt == new.salt),
    ] {
        if !same {
            changes.push(Change::Configuration { what });
        }
    }
    if old.platform != new.platform {
        changes.push(Change::Platform {
            old: old.platform.clone(),
            new: new.platform.clone(),
        });
    }
    changes
}

fn words(explanation: &Explanation) -> Vec<Vec<String>> {
    let commands = explanation.commands.iter().map(|(_, words)| words.clone());
    commands.chain([explanation.arguments.clone()]).collect()
}

fn named<V: PartialEq>(
    old: &BTreeMap<String, V>,
    new: &BTreeMap<String, V>,
    mut tell: impl FnMut(String, How),
) {
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        match (old.get(name), new.get(name)) {
            (None, _) => tell(name.clone(), How::Added),
            (_, None) => tell(name.clone(), How::Removed),
            (Some(a), Some(b)) if a != b => tell(name.clone(), How::Changed),
            _ => {}
        }
    }
}

fn files(old: &[Row], new: &[Row], global: bool, changes: &mut Vec<Change>) {
    let map = |rows: &[Row]| -> BTreeMap<Vec<u8>, (RowKind, bool, Digest)> {
        rows.iter()
            .map(|row| (row.path.clone(), (row.kind, row.executable, row.digest)))
            .collect()
    };
    let (old, new) = (map(old), map(new));
    let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for path in paths {
        let file = || FileChange {
            path: path.clone(),
            global,
        };
        // A file recorded as absent that appears was added for all who read the story, and the other way round.
        let (before, after) = (old.get(path), new.get(path));
        let there =
            |row: Option<&(RowKind, bool, Digest)>| row.is_some_and(|row| row.0 != RowKind::Absent);
        match (before, after) {
            (before, after) if before == after => {}
            (before, after) if !there(before) && there(after) => {
                changes.push(Change::FileAdded(file()));
            }
            (before, after) if there(before) && !there(after) => {
                changes.push(Change::FileRemoved(file()));
            }
            (Some(a), Some(b)) if (a.0, a.2) == (b.0, b.2) => {
                changes.push(Change::FileMode(file()));
            }
            (Some(_), Some(_)) => changes.push(Change::FileEdited(file())),
            // Named now, or not any more, and missing all the same.
            (None, _) => changes.push(Change::FileAdded(file())),
            (_, None) => changes.push(Change::FileRemoved(file())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::{Command, Description, explain};

    fn row(path: &str, content: &str, executable: bool) -> Row {
        Row {
            path: path.into(),
            kind: RowKind::File,
            executable,
            digest: Digest::of(content.as_bytes()),
        }
    }

    fn changes(old: &Description<'_>, new: &Description<'_>) -> Vec<Change> {
        let (old, new) = (explain(old, &[1; 32]), explain(new, &[1; 32]));
        assert_eq!(diff(&old, &old), []);
        diff(&old, &new)
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let empty = Description::default();
        let file = |path: &str, global| FileChange {
            path: path.into(),
            global,
        };
        let old = [
            row("a", "1", false),
            row("b", "1", false),
            row("c", "1", false),
            Row::absent(b"e"),
        ];
        let new = [
            row("b", "2", false),
            row("c", "1", true),
            row("d", "1", false),
            row("e", "", false),
        ];
        assert_eq!(
            changes(
                &Description {
                    inputs: &old,
                    ..empty.clone()
                },
                &Description {
                    inputs: &new,
                    global_inputs: &new[..1],
                    ..empty.clone()
                }
            ),
            [
                Change::FileRemoved(file("a", false)),
                Change::FileEdited(file("b", false)),
                Change::FileMode(file("c", false)),
                Change::FileAdded(file("d", false)),
                Change::FileAdded(file("e", false)),
                Change::FileAdded(file("b", true)),
            ]
        );
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        let cases: [(Description<'_>, Description<'_>, Change); 9] = [
            (
                Description {
                    env: &[(b"V", None)],
                    ..empty.clone()
                },
                Description {
                    env: &[(b"V", Some(b""))],
                    ..empty.clone()
                },
                Change::Variable {
                    name: "V".into(),
                    how: How::Changed,
                },
            ),
            (
                Description {
                    dependencies: &[("x", one)],
                    ..empty.clone()
                },
                Description {
                    dependencies: &[("x", two)],
                    ..empty.clone()
                },
                Change::Dependency {
                    task: "x".into(),
                    how: How::Changed,
                },
            ),
            (
                empty.clone(),
                Description {
                    git_inputs: &[("x", one)],
                    ..empty.clone()
                },
                Change::GitInput {
                    path: "x".into(),
                    how: How::Added,
                },
            ),
            (
                Description {
                    tools: &[("cc", b"1")],
                    ..empty.clone()
                },
                empty.clone(),
                Change::Tool {
                    command: "cc".into(),
                    how: How::Removed,
                },
            ),
            (
                empty.clone(),
                Description {
                    commands: &[Command {
                        shell: true,
                        words: &["x"],
                    }],
                    ..empty.clone()
                },
                Change::Command {
                    old: vec![vec![]],
                    new: vec![vec!["x".into()], vec![]],
                },
            ),
            (
                empty.clone(),
                Description {
                    outputs: Some(&[]),
                    ..empty.clone()
                },
                Change::Configuration {
                    what: Setting::Outputs,
                },
            ),
            (
                empty.clone(),
                Description {
                    salt: "x",
                    ..empty.clone()
                },
                Change::Configuration {
                    what: Setting::Salt,
                },
            ),
            (
                empty.clone(),
                Description {
                    identity: "x",
                    ..empty.clone()
                },
                Change::Configuration {
                    what: Setting::Identity,
                },
            ),
            (
                empty.clone(),
                Description {
                    platform: Some("x"),
                    ..empty.clone()
                },
                Change::Platform {
                    old: None,
                    new: Some("x".into()),
                },
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(changes(&old, &new), [expected]);
        }
        let old = Explanation {
            schema: 9,
            ..explain(&empty, &[1; 32])
        };
        assert_eq!(
            diff(&old, &explain(&empty, &[1; 32])),
            [Change::Schema { old: 9, new: 1 }]
        );
    }

    #[test]
    fn a_value_that_is_not_told_differs_from_none_alone() {
        let of = |value: Option<&[u8]>| {
            let description = Description {
                env: &[(b"V", value)],
                ..Description::default()
            };
            explain(&description, &[1; 32])
        };
        let mut old = of(Some(b"any"));
        old.env.insert("V".into(), Some(Explanation::UNTOLD));
        assert_eq!(diff(&old, &of(Some(b"other"))), []);
        assert_eq!(diff(&old, &of(None)).len(), 1);
        assert_eq!(diff(&of(None), &of(Some(b"other"))).len(), 1);
        old.env.insert("W".into(), Some(Explanation::UNTOLD));
        assert_eq!(diff(&old, &of(Some(b"other"))).len(), 1);
    }
}
