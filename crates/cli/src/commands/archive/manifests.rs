//! What the keys of a run rested on, as an archive keeps it.
//! Does not know how a key is made, nor how manifests are compared.

use std::collections::BTreeMap;

use larder_archive::{FileKind, FileState, Manifests, TaskManifest};
use larder_cache::{Kind, Row};
use larder_fingerprint::{self as fingerprint, Explanation, RowKind};

use crate::session::forecast::Forecast;
use crate::session::life::hex;
use crate::session::tree::lossy;
use crate::session::{Session, chunks, describe, discovered};
use crate::state::Attempt;

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
        let Some(state) = session.state.task(task) else {
            continue;
        };
        let explanation = match execution(session, task, key) {
            Some(Execution::Kept) => session.state.explanation(task),
            // What holds for all chunks is explained with the task.
            Some(Execution::Attempt(attempt)) => attempt
                .explanation
                .or_else(|| session.state.explanation(task)),
            None => None,
        };
        let Some(explanation) = explanation.and_then(|bytes| describe::decode(&bytes)) else {
            continue;
        };
        let mut manifest = of_task(&explanation, &state.owned);
        let (chunks, discovered) = chunks::remembered(&session.state, task);
        let sources = chunks.into_iter().map(|chunk| (chunk.source, chunk.digest));
        let files = sources.chain(discovered);
        let files = files.map(|(path, digest)| (lossy(&path), file(&digest)));
        manifest.inputs.extend(files);
        manifests.tasks.insert(task.to_owned(), manifest);
    }
    manifests
}

/// Where what an execution read and printed is kept.
enum Execution {
    /// With the last success of its task.
    Kept,
    /// Apart: it failed, or its result may not be kept.
    Attempt(Attempt),
}

/// The execution, or restore, of a task under this key, if the state still knows it.
fn execution(session: &Session<'_>, task: &str, key: &str) -> Option<Execution> {
    let success = session.state.task(task)?.success.as_ref();
    if success.is_some_and(|success| hex(&success.key) == key) {
        return Some(Execution::Kept);
    }
    let attempt = session.state.attempt(task)?;
    (hex(&attempt.key) == key).then_some(Execution::Attempt(attempt))
}

/// What a task printed when it got this key, by its name or those of its chunks, in the stored form; nothing for a log that is known to
/// exist and cannot be read. Those who printed nothing are left out.
pub(super) fn logs(session: &Session<'_>, task: &str, key: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let state = &session.state;
    let mut logs: Vec<_> = match execution(session, task, key) {
        None => return Vec::new(),
        Some(Execution::Kept) if state.has_log(task) => {
            vec![(task.to_owned(), state.log(task))]
        }
        Some(Execution::Kept) => Vec::new(),
        Some(Execution::Attempt(attempt)) => {
            let logs = attempt.logs.into_iter();
            logs.map(|(name, log)| (name, Some(log))).collect()
        }
    };
    let (chunks, _) = chunks::remembered(state, task);
    let mut all = 0..session.workspace.tasks.len();
    if let Some(index) = all.find(|index| session.compiled.id(*index) == task) {
        let named = chunks.into_iter().filter_map(|chunk| {
            let within = chunks::within(session, index, &chunk.source)?;
            Some((format!("{task}[{}]", lossy(&within)), Some(chunk.log)))
        });
        logs.extend(named);
    }
    logs.retain(|(_, log)| log.as_ref().is_none_or(|log| !log.is_empty()));
    logs
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

/// What the key of a task would rest on now, beside what it rested on: files that it discovered then are asked for as they are now, since
/// what it will discover is not known before it ran.
pub(super) fn of_forecast(
    session: &Session<'_>,
    forecast: &Forecast,
    archived: &TaskManifest,
) -> Option<TaskManifest> {
    let mut now = of_task(forecast.explanation.as_ref()?, &[]);
    now.inputs.extend(sources(&forecast.sources));
    if session.workspace.tasks[forecast.task].depfile.is_some() {
        let unknown = archived.inputs.keys();
        let unknown = unknown.filter(|path| !now.inputs.contains_key(*path));
        let unknown: Vec<Vec<u8>> = unknown.map(|path| path.clone().into_bytes()).collect();
        let rows = discovered::rows(&session.tree, &unknown).unwrap_or_default();
        now.inputs.extend(rows.iter().map(input));
    }
    Some(now)
}

/// A file with this digest, or none if the digest is zeros.
fn file(digest: &[u8; 32]) -> FileState {
    let absent = *digest == [0; 32];
    FileState {
        kind: if absent {
            FileKind::Absent
        } else {
            FileKind::File
        },
        executable: false,
        digest: if absent { String::new() } else { hex(digest) },
    }
}

/// The sources of a task's chunks as they are now, in the form that [`of_run`] gives them.
fn sources(rows: &[fingerprint::Row]) -> impl Iterator<Item = (String, FileState)> {
    rows.iter()
        .map(|row| (lossy(&row.path), file(&row.digest.0)))
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
    (lossy(&row.path), state)
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
    (lossy(&row.path), state)
}

/// Names a workspace's secret without telling it.
pub(super) fn secret_name(secret: &[u8; 32]) -> String {
    let name = blake3::derive_key("larder 2026 name of a workspace's secret", secret);
    hex(&name[..8])
}
