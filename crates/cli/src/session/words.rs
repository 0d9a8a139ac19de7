//! Causes as data put into words, in one place.
//! Does not know where the words are shown.

use larder_fingerprint::{Change, How, Setting};

use crate::execute::Exit;

use super::tree::lossy;

/// How a command ended.
pub fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("ended by signal {signal}"),
        Exit::TimedOut => "ran into its timeout".to_owned(),
        Exit::Interrupted => "interrupted".to_owned(),
    }
}

/// Where a key is another one than that of the last success, and nobody knows what that was made of. A
/// delta tells no values of variables, and only of a task that did something what it read.
pub const UNKNOWN: &str =
    "what it reads is not what its last result was made from, of which no more is known here";

/// Each change as one line.
pub fn changes(changes: &[Change]) -> Vec<String> {
    changes.iter().map(change).collect()
}

/// One change.
pub fn change(change: &Change) -> String {
    let file = |file: &larder_fingerprint::FileChange| {
        if file.global {
            format!("global input {}", lossy(&file.path))
        } else {
            format!("file {}", lossy(&file.path))
        }
    };
    let how = |how: &How| match how {
        How::Added => "was added",
        How::Removed => "was removed",
        How::Changed => "changed",
    };
    match change {
        Change::Schema { old, new } => format!("the key format went from version {old} to {new}"),
        Change::FileAdded(at) => format!("{} was added", file(at)),
        Change::FileRemoved(at) => format!("{} was removed", file(at)),
        Change::FileEdited(at) => format!("{} was edited", file(at)),
        Change::FileMode(at) => format!("{} changed its executable bit or kind", file(at)),
        Change::Variable { name, how: what } => format!("variable {name} {}", how(what)),
        Change::Command { .. } => "the command changed".to_owned(),
        Change::Tool { command, how: what } => match what {
            How::Changed => format!("the output of `{command}` changed"),
            other => format!("tool `{command}` {}", how(other)),
        },
        Change::Dependency { task, how: what } => match what {
            How::Changed => format!("the outputs of {task} changed"),
            other => format!("dependency {task} {}", how(other)),
        },
        Change::GitInput { path, how: what } => format!("git input {path} {}", how(what)),
        Change::Configuration { what } => match what {
            Setting::Identity => "the name of the task or its project changed".to_owned(),
            Setting::Outputs => "the declared `outputs` changed".to_owned(),
            Setting::Salt => "`[cache] salt` changed".to_owned(),
        },
        Change::Platform { old, new } => format!(
            "the platform went from {} to {}",
            old.as_deref().unwrap_or("any"),
            new.as_deref().unwrap_or("any")
        ),
    }
}
