//! Which files are sources of a task, as the configuration alone tells it.
//! Does not look at files.

use larder_fingerprint::Globs;

use crate::config::Workspace;

use super::super::inputs::meets;
use super::super::outputs::{compiled, project_dir};
use super::super::tree::Fault;

/// The compiled globs of one task with chunks.
#[derive(Debug)]
pub struct Sources {
    wanted: Globs,
    /// What the task's own chunks can make: none of it is a source.
    own: Globs,
    /// The depfiles among these.
    depfiles: Globs,
}

impl Sources {
    /// Of a task; none where it has no chunks.
    ///
    /// # Errors
    /// When a glob cannot be compiled.
    pub fn of(workspace: &Workspace, task: usize) -> Result<Option<Sources>, Fault> {
        let spec = &workspace.tasks[task];
        let Some(foreach) = &spec.foreach else {
            return Ok(None);
        };
        let dir = project_dir(workspace, task);
        let outputs = spec.outputs.iter().flatten();
        Ok(Some(Sources {
            wanted: compiled(dir, &foreach.sources)?,
            own: compiled(dir, outputs.chain(&spec.depfile))?,
            depfiles: compiled(dir, &spec.depfile)?,
        }))
    }

    /// Where sources lie.
    pub(super) fn prefixes(&self) -> Vec<Vec<u8>> {
        self.wanted.literal_prefixes()
    }

    /// Whether a file of this name is a source.
    pub(super) fn takes(&self, path: &[u8]) -> bool {
        self.wanted.is_match(path) && !self.own.is_match(path)
    }

    /// Whether a change of a path, or of anything below it if it is a `folder`, may change what the sources are.
    pub(in super::super) fn reaches(&self, path: &[u8], folder: bool) -> bool {
        self.takes(path) || (folder && meets(&self.wanted, path))
    }

    /// Whether a path may be a depfile of the task.
    pub(in super::super) fn is_depfile(&self, path: &[u8]) -> bool {
        self.depfiles.is_match(path)
    }
}
