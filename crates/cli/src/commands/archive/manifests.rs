//! What the keys of a run rested on, as an archive keeps it.
//! Does not know how a key is made, nor how manifests are compared.

use std::collections::BTreeMap;

use larder_archive::{FileKind, FileState, Manifests, TaskManifest};
use larder_cache::{Kind, Row};
use larder_fingerprint::{self as fingerprint, Explanation, RowKind};

use crate::session::Session;
use crate::session::describe;
use crate::session::life::hex;

/// Manifests of the tasks with these keys, as far as the state still knows them.
pub(super) fn of_run<'t>(
    session: &Session<'_>,
    tasks: impl Iterator<Item = (&'t str, &'t str)>,
) -> Manifests {
    let mut manifests = Manifests {
        secret: Some(secret_name(&session.secret)),
        ..Manifests::default()
    };
    for (task, key) in tasks {
        let Some(state) = is_of(session, task, key) else {
            continue;
        };
        let explanation = session.state.explanation(task);
        let Some(explanation) = explanation.and_then(|bytes| describe::decode(&bytes)) else {
            continue;
        };
        let manifest = of_task(&explanation, &state.owned);
        manifests.tasks.insert(task.to_owned(), manifest);
    }
    manifests
}

/// The state of a task, if its last success had this key.
pub(super) fn is_of<'s>(
    session: &'s Session<'_>,
    task: &str,
    key: &str,
) -> Option<&'s crate::state::TaskState> {
    let state = session.state.task(task)?;
    let success = state.success.as_ref()?;
    (hex(&success.key) == key).then_some(state)
}

/// The manifest of one task.
pub(super) fn of_task(explanation: &Explanation, outputs: &[Row]) -> TaskManifest {
    let Explanation {
        schema,
        identity,
        commands,
        arguments,
        inputs,
        global_inputs,
        dependencies,
        env,
        tools,
        git_inputs,
        outputs: globs,
        discovered,
        platform,
        salt,
    } = explanation;
    let mut parts = BTreeMap::new();
    parts.insert("key format".to_owned(), schema.to_string());
    parts.insert("identity".to_owned(), identity.clone());
    for (at, (shell, words)) in commands.iter().enumerate() {
        let name = match commands.len() {
            1 => "command".to_owned(),
            _ => format!("command {}", at + 1),
        };
        let text = if *shell {
            words.join(" ")
        } else {
            format!("{words:?}")
        };
        parts.insert(name, text);
    }
    if !arguments.is_empty() {
        parts.insert("arguments".to_owned(), format!("{arguments:?}"));
    }
    for (task, digest) in dependencies {
        parts.insert(format!("outputs of {task}"), hex(&digest.0));
    }
    for (path, digest) in git_inputs {
        parts.insert(format!("git input {path}"), hex(&digest.0));
    }
    if let Some(globs) = globs {
        parts.insert("declared outputs".to_owned(), globs.join(" "));
    }
    if let Some(platform) = platform {
        parts.insert("platform".to_owned(), platform.clone());
    }
    if !salt.is_empty() {
        parts.insert("salt".to_owned(), salt.clone());
    }
    let rows = inputs.iter().chain(global_inputs).chain(discovered);
    let hexed = |(name, digest): (&String, &fingerprint::Digest)| (name.clone(), hex(&digest.0));
    TaskManifest {
        inputs: rows.map(input).collect(),
        tools: tools.iter().map(hexed).collect(),
        environment: env
            .iter()
            .map(|(name, digest)| (name.clone(), digest.map(|digest| hex(&digest.0))))
            .collect(),
        parts,
        outputs: outputs.iter().map(output).collect(),
    }
}

fn input(row: &fingerprint::Row) -> (String, FileState) {
    let kind = match row.kind {
        RowKind::File => FileKind::File,
        RowKind::Link => FileKind::Link,
        RowKind::EmptyDir => FileKind::EmptyDir,
        RowKind::Absent => FileKind::Absent,
    };
    let digest = match kind {
        FileKind::File | FileKind::Link => hex(&row.digest.0),
        FileKind::EmptyDir | FileKind::Absent => String::new(),
    };
    let state = FileState {
        kind,
        executable: row.executable,
        digest,
    };
    (String::from_utf8_lossy(&row.path).into_owned(), state)
}

fn output(row: &Row) -> (String, FileState) {
    let kind = match row.kind {
        Kind::File => FileKind::File,
        Kind::Link => FileKind::Link,
        Kind::EmptyDir => FileKind::EmptyDir,
    };
    let digest = match kind {
        FileKind::EmptyDir => String::new(),
        _ => hex(&row.digest),
    };
    let state = FileState {
        kind,
        executable: row.executable(),
        digest,
    };
    (String::from_utf8_lossy(&row.path).into_owned(), state)
}

/// Names a workspace's secret without telling it.
pub(super) fn secret_name(secret: &[u8; 32]) -> String {
    let name = blake3::derive_key("larder 2026 name of a workspace's secret", secret);
    hex(&name[..8])
}
