//! What a session may go by of a task without a look at its files, and when.
//! Does not know how changes are told.

use crate::diagnostics::KEY;
use crate::record::Status;

use super::super::describe::{self, Basis};
use super::super::inputs::Inputs;
use super::super::tree::{Fault, is_shared};
use super::super::warm::Known;
use super::{Done, Life, hex};

impl Life<'_> {
    /// The task as the session knows it, if no change reached it since it was last looked at.
    pub(super) fn unlooked(&mut self) -> Result<Option<Done>, Fault> {
        let session = self.run.session;
        let Some(known) = session.warm.known(self.task) else {
            return Ok(None);
        };
        if self.run.forced(self.task)
            || self.after_failure
            || session.records_found
            || self.run.unseen(self.task).is_some()
            || session.workspace.tasks[self.task].outputs.is_none() && !self.run.watching()
            || self.run.parts(self.task, &self.deps)?.digest() != known.parts
        {
            return Ok(None);
        }
        if session.workspace.tasks[self.task].outputs.is_none() {
            return Ok(Some(self.ran_for_this(known)));
        }
        let Some(last) = session.state.task(&self.id) else {
            return Ok(None);
        };
        let Some(success) = last.success.as_ref().filter(|last| last.key == known.key) else {
            return Ok(None);
        };
        log::debug!(target: KEY, "{} as before: no change reached it", hex(&known.key));
        self.record.key = Some(hex(&known.key));
        let mut done = self.up_to_date(success, last, &session.state);
        done.known = Some(known);
        Ok(Some(done))
    }

    /// Whether a run that was seen in this session stands for one now: of a task that is never kept, while nothing it
    /// hangs on changed.
    pub(super) fn may_have_run(&self, parts: &[u8; 32], basis: &Basis) -> bool {
        let spec = &self.run.session.workspace.tasks[self.task];
        spec.outputs.is_none()
            && self.run.watching()
            && !self.run.forced(self.task)
            && !self.after_failure
            && *parts == basis.parts.digest()
    }

    /// A task that is never kept, in a session that saw it run for just this.
    pub(super) fn ran_for_this(&mut self, known: Known) -> Done {
        self.record.status = Status::UpToDate;
        self.record.key = Some(hex(&known.key));
        self.record
            .why
            .push("it ran for just this before".to_owned());
        Done {
            key: known.key,
            manifest: known.key,
            closure: describe::closure(&known.key, &self.deps),
            known: Some(known),
            sound: true,
            ..Done::of(self.record.clone())
        }
    }

    /// What the session may go by from now on. Nothing, where something that changes cannot be told of: outputs of tool commands,
    /// trees of git, what links lead to, files with other names, outside of the workspace or hidden in it.
    pub(super) fn known(&self, basis: &Basis, key: [u8; 32], shared: bool) -> Option<Known> {
        let session = self.run.session;
        let told = |inputs: &Inputs| {
            let link =
                |row: &larder_fingerprint::Row| row.kind == larder_fingerprint::RowKind::Link;
            inputs.git.is_empty() && !inputs.rows.iter().any(link) && !inputs.are_shared()
        };
        let seen = |row: &larder_fingerprint::Row| {
            let scanner = session.tree.scanner();
            !row.path.starts_with(b"/")
                && !scanner
                    .hides(&row.path, larder_fingerprint::Kind::File)
                    .unwrap_or(true)
        };
        let mut discovered = basis.inputs.discovered.iter().flatten();
        let tools = &session.workspace.tasks[self.task].tools;
        let discovered_alone = || {
            let mut discovered = basis.inputs.discovered.iter().flatten().peekable();
            // To look once more costs: not in a run before which nobody told of changes.
            discovered.peek().is_none()
                || session.warm.is_vouched() && !self.are_shared(discovered.map(|row| &row.path))
        };
        let told = tools.is_empty()
            && told(&basis.inputs)
            && told(&basis.global)
            && discovered.all(seen)
            && !shared
            && discovered_alone();
        told.then(|| Known {
            parts: basis.parts.digest(),
            key,
        })
    }

    /// Whether one of these files has other names, by which it may be written unseen.
    pub(super) fn are_shared<'p>(&self, paths: impl Iterator<Item = &'p Vec<u8>>) -> bool {
        let session = self.run.session;
        let paths: Vec<&[u8]> = paths.map(Vec::as_slice).collect();
        let seen = session.tree.look(&paths);
        !paths.is_empty() && seen.map_or(true, |seen| seen.iter().flatten().any(is_shared))
    }
}
