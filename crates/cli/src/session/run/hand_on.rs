//! What a task gets from those it depends on: digests, and the paths that are behind them.
//! Does not run tasks, nor know what is made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_cache::Row;

use crate::config::{Dep, DepKind};
use crate::plan;
use crate::record::Status;

use super::super::chunks;
use super::super::describe::{self, DepResult};
use super::super::outputs::Outputs;
use super::super::tree::Fault;
use super::{Run, lock};

/// A dependency and what it made.
pub type Handed = (usize, Arc<Vec<Row>>);

impl Run<'_> {
    /// What the dependencies of a task hand on.
    ///
    /// # Errors
    /// When the outputs of one that is not part of the run cannot be read.
    pub fn dependencies(&self, task: usize) -> Result<Vec<DepResult>, Fault> {
        let needs = self.session.workspace.tasks[task]
            .deps
            .iter()
            .filter_map(|dep| match dep {
                Dep {
                    task,
                    kind: DepKind::Needs { transitive },
                } => Some((*task, *transitive)),
                Dep { .. } => None,
            });
        let mut results: BTreeMap<usize, DepResult> = BTreeMap::new();
        for (dep, transitive) in needs {
            let result = if self.plan.nodes.contains_key(&dep) {
                let Some(done) = self.done[dep].get() else {
                    // Only after a failure: the dependency was skipped, and nothing that follows is cached.
                    results.insert(
                        dep,
                        DepResult {
                            id: self.id(dep),
                            closure: [0; 32],
                            manifest: [0; 32],
                            transitive,
                            rows: std::sync::Arc::default(),
                            changed: true,
                        },
                    );
                    continue;
                };
                let changed = matches!(
                    done.record.status,
                    Status::Ran | Status::Restored | Status::Failed
                );
                DepResult {
                    id: self.id(dep),
                    closure: done.closure,
                    manifest: done.manifest,
                    transitive,
                    rows: std::sync::Arc::clone(&done.rows),
                    changed,
                }
            } else {
                DepResult {
                    transitive,
                    ..self.as_on_disk(dep)?
                }
            };
            results
                .entry(dep)
                .and_modify(|known| known.transitive |= transitive)
                .or_insert(result);
        }
        Ok(results.into_values().collect())
    }

    /// A dependency, direct or not, that is not part of the run and whose effect cannot be seen on disk because it
    /// declares no outputs.
    pub fn unseen(&self, task: usize) -> Option<String> {
        let tasks = &self.session.workspace.tasks;
        let outside = |task: &usize| !self.plan.nodes.contains_key(task);
        if !self.plan.partial {
            return None;
        }
        let needed = plan::closure(&self.session.workspace, &[task]);
        let unseen = needed.into_iter().find(|dep| {
            outside(dep) && tasks[*dep].command.is_some() && tasks[*dep].outputs.is_none()
        });
        unseen.map(|dep| self.id(dep))
    }

    /// What a task that is not part of the run hands on, from what lies on disk.
    fn as_on_disk(&self, task: usize) -> Result<DepResult, Fault> {
        if let Some(known) = lock(&self.on_disk).get(&task) {
            return Ok(known.clone());
        }
        let mut rows = Vec::new();
        if self.session.workspace.tasks[task].foreach.is_some() {
            chunks::as_on_disk(self, task)?;
        }
        if let Some(outputs) = self.outputs(task)? {
            let view = outputs.list(&self.session.tree)?;
            rows = self.session.tree.rows(&view, &|_, _| true)?;
        }
        let manifest = larder_cache::digest(&rows);
        let deps = self.dependencies(task)?;
        let result = DepResult {
            id: self.id(task),
            closure: describe::closure(&manifest, &deps),
            manifest,
            transitive: true,
            rows: Arc::new(rows),
            changed: false,
        };
        lock(&self.on_disk).insert(task, result.clone());
        Ok(result)
    }

    /// The dependencies of a task whose outputs enter its key, direct or not, each with what it made.
    ///
    /// # Errors
    /// When outputs of one that is not part of the run cannot be read.
    pub fn handed_on(&self, task: usize, deps: &[DepResult]) -> Result<Vec<Handed>, Fault> {
        let mut handed = Vec::new();
        for other in plan::known_by_key(&self.session.workspace, task) {
            if other == task {
                continue;
            }
            let direct = deps
                .iter()
                .find(|dep| dep.id == self.session.compiled.id(other));
            let rows = match (direct, self.done[other].get()) {
                (Some(direct), _) => Arc::clone(&direct.rows),
                (None, Some(done)) => Arc::clone(&done.rows),
                (None, None) => self.as_on_disk(other)?.rows,
            };
            handed.push((other, rows));
        }
        Ok(handed)
    }

    /// The declared outputs of a task.
    ///
    /// # Errors
    /// When a glob cannot be compiled.
    pub fn outputs(&self, task: usize) -> Result<Option<&Outputs>, Fault> {
        let session = self.session;
        if let Some(lived) = self.chunks.lived(task) {
            return Ok(Some(&lived.outputs));
        }
        session.compiled.outputs(&session.workspace, task)
    }
}
