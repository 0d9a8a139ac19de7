//! Which chunks a task has, by name: those of its sources as they lie there, and those that are known from before.
//! Does not read any source.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan;

use super::super::Session;
use super::super::outputs::{Outputs, project_dir};
use super::super::tree::{Fault, lossy};
use super::expand::{entries, relative};
use super::format;

/// The chunks of a task.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Their sources as their task names them, by path in the workspace.
    pub chunks: BTreeMap<Vec<u8>, String>,
    /// Sources that are no more, of chunks that are known still.
    pub gone: BTreeSet<Vec<u8>>,
    /// Whether a task that it depends on may make more of them.
    pub open: bool,
}

/// The chunks of a task; none where it has no `foreach`.
///
/// # Errors
/// When a folder cannot be read.
pub fn listed(session: &Session<'_>, task: usize) -> Result<Listed, Fault> {
    let mut listed = Listed::default();
    let workspace = &session.workspace;
    let Some(globs) = session.compiled.sources(workspace, task)? else {
        return Ok(listed);
    };
    let dir = project_dir(workspace, task);
    let named = |source: &[u8]| {
        let within = relative(session, dir, source);
        lossy(&within.unwrap_or_else(|| source.to_vec()))
    };
    for source in entries(session, globs)? {
        listed.chunks.insert(source.clone(), named(&source));
    }
    let table = session.state.chunks(&plan::task_id(workspace, task));
    let table = table.as_deref().and_then(format::decode);
    for source in table.unwrap_or_default().chunks.into_keys() {
        if !listed.chunks.contains_key(&source) {
            listed.chunks.insert(source.clone(), named(&source));
            listed.gone.insert(source);
        }
    }
    for needed in plan::closure(workspace, &[task]) {
        let outputs = workspace.tasks[needed].outputs.as_deref();
        let Some(outputs) = outputs.filter(|_| needed != task) else {
            continue;
        };
        let outputs = Outputs::new(project_dir(workspace, needed), outputs)?;
        let mut prefixes = outputs.prefixes().iter();
        listed.open |= prefixes.any(|prefix| globs.reaches(prefix, true));
    }
    Ok(listed)
}
