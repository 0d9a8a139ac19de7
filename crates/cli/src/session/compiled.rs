//! What follows from the configuration alone: names of tasks, compiled globs. Made once a session, when first asked for.
//! Does not look at files.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::config::Workspace;
use crate::plan;

use super::chunks::Sources;
use super::inputs::{self, Rule};
use super::outputs::Outputs;
use super::tree::Fault;

/// The tasks of a workspace as runs need them, by index in [`Workspace::tasks`].
#[derive(Debug)]
pub struct Compiled {
    ids: Vec<String>,
    by_id: HashMap<String, usize>,
    rules: Vec<OnceLock<Result<Rule, String>>>,
    outputs: Vec<OnceLock<Result<Option<Outputs>, String>>>,
    sources: Vec<OnceLock<Result<Option<Sources>, String>>>,
    global: OnceLock<Result<Option<Rule>, String>>,
}

impl Compiled {
    /// Nothing is compiled yet.
    pub fn new(workspace: &Workspace) -> Compiled {
        let count = workspace.tasks.len();
        let ids: Vec<String> = (0..count)
            .map(|task| plan::task_id(workspace, task))
            .collect();
        Compiled {
            by_id: ids.iter().cloned().zip(0..).collect(),
            ids,
            rules: (0..count).map(|_| OnceLock::new()).collect(),
            outputs: (0..count).map(|_| OnceLock::new()).collect(),
            sources: (0..count).map(|_| OnceLock::new()).collect(),
            global: OnceLock::new(),
        }
    }

    /// A task's full name.
    pub fn id(&self, task: usize) -> &str {
        &self.ids[task]
    }

    /// All full names, in order of index.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The task of a full name.
    pub fn task(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The inputs of a task; where they hang on the sources of tasks with chunks, all that may be among them.
    ///
    /// # Errors
    /// When a glob cannot be compiled; the configuration has checked them, so this is a fault to report.
    pub fn rule(&self, workspace: &Workspace, task: usize) -> Result<&Rule, Fault> {
        let rule = self.rules[task]
            .get_or_init(|| inputs::rule(workspace, task, None).map_err(|fault| fault.to_string()));
        rule.as_ref().map_err(|message| Fault::words(message))
    }

    /// Which files are sources of a task; none where it has no chunks.
    ///
    /// # Errors
    /// When a glob cannot be compiled.
    pub fn sources(&self, workspace: &Workspace, task: usize) -> Result<Option<&Sources>, Fault> {
        let sources = self.sources[task]
            .get_or_init(|| Sources::of(workspace, task).map_err(|fault| fault.to_string()));
        let sources = sources.as_ref().map_err(|message| Fault::words(message))?;
        Ok(sources.as_ref())
    }

    /// The declared outputs of a task; where it has chunks, all that any could make.
    ///
    /// # Errors
    /// When a glob cannot be compiled.
    pub fn outputs(&self, workspace: &Workspace, task: usize) -> Result<Option<&Outputs>, Fault> {
        let outputs = self.outputs[task].get_or_init(|| {
            let spec = &workspace.tasks[task];
            let dir = &workspace.projects[spec.project].dir;
            let compile = |declared| Outputs::new(dir, declared).map_err(|fault| fault.to_string());
            spec.outputs.as_deref().map(compile).transpose()
        });
        let outputs = outputs.as_ref().map_err(|message| Fault::words(message))?;
        Ok(outputs.as_ref())
    }

    /// The global inputs; none where the list is empty.
    ///
    /// # Errors
    /// When a glob cannot be compiled.
    pub fn global(&self, workspace: &Workspace) -> Result<Option<&Rule>, Fault> {
        let rule = self.global.get_or_init(|| {
            let globs = workspace.settings.global_inputs.iter().cloned();
            let items: Vec<_> = globs.map(crate::config::InputItem::Glob).collect();
            if items.is_empty() {
                return Ok(None);
            }
            let rule = inputs::rule_of(b"", &items).map_err(|fault| fault.to_string())?;
            Ok(Some(rule))
        });
        let rule = rule.as_ref().map_err(|message| Fault::words(message))?;
        Ok(rule.as_ref())
    }
}
