//! The task graph of a request: what was asked for, all it needs, and the hooks around it.
//! Does not know keys, caches or processes.

use std::collections::{BTreeMap, BTreeSet};

use larder_graph::{Graph, Link, NodeId};

use crate::config::{DepKind, Workspace};
use crate::select::graph_filter::Chosen;
use crate::select::prune::LeftOut;

/// The tasks of a run and their order.
#[derive(Debug)]
pub struct Plan {
    /// Nodes are indices into [`Workspace::tasks`].
    pub graph: Graph<usize, DepKind>,
    /// The tasks named on the command line.
    pub requested: BTreeSet<usize>,
    /// Where each task stands in the graph.
    pub nodes: BTreeMap<usize, NodeId>,
    /// Whether tasks were left out that others here may need.
    pub partial: bool,
    /// What a graph filter left out, with the rule of each.
    pub left_out: Vec<LeftOut>,
    /// Of which tasks a graph filter means only some chunks.
    pub chunks: BTreeMap<usize, Chosen>,
}

/// A task's full name, `project#task`.
pub fn task_id(workspace: &Workspace, task: usize) -> String {
    let task = &workspace.tasks[task];
    format!("{}#{}", workspace.projects[task.project].name, task.name)
}

/// Dependencies that lead back to themselves.
#[derive(Debug, thiserror::Error)]
#[error(
    "these tasks depend on each other in a circle: {path}\n  {file}:{line} is one place to break it"
)]
pub struct CycleError {
    /// The whole circle, as names.
    pub path: String,
    /// Where its first task is defined.
    pub file: String,
    /// The line there.
    pub line: u32,
}

/// What an edge means to the schedule.
pub fn link(kind: DepKind) -> Link {
    match kind {
        DepKind::Needs { .. } => Link::DEPENDENCY,
        DepKind::After => Link::AFTER_SUCCESS,
        DepKind::AfterAll => Link::AFTER_FINISH,
    }
}

impl Plan {
    /// The graph of `requested` and, unless `only`, of all it needs, with the hooks that follow.
    ///
    /// # Errors
    /// When tasks depend on each other in a circle.
    pub fn new(
        workspace: &Workspace,
        requested: BTreeSet<usize>,
        only: bool,
    ) -> Result<Plan, CycleError> {
        let (graph, nodes) = assemble(workspace, &with_needs_and_hooks(workspace, &requested));
        graph.topological_order().map_err(|cycle| {
            let tasks: Vec<usize> = cycle
                .path
                .iter()
                .filter_map(|&id| graph.get(id).copied())
                .collect();
            let names: Vec<String> = tasks
                .iter()
                .chain(tasks.first())
                .map(|&task| task_id(workspace, task))
                .collect();
            let location = &workspace.tasks[tasks[0]].location;
            CycleError {
                path: names.join(" -> "),
                file: location.file.clone(),
                line: location.line,
            }
        })?;
        let whole = Plan {
            graph,
            requested,
            nodes,
            partial: false,
            left_out: Vec::new(),
            chunks: BTreeMap::new(),
        };
        if !only {
            return Ok(whole);
        }
        let requested = whole.requested.clone();
        Ok(whole.keep(workspace, &requested))
    }

    /// The plan without the tasks that are not in `kept`. What they would have made is taken as it lies on disk.
    ///
    /// A kept task that needs another only by way of tasks left out still waits for it: what that one makes enters its
    /// key and lies where it may read it.
    #[must_use]
    pub fn keep(self, workspace: &Workspace, kept: &BTreeSet<usize>) -> Plan {
        if self.nodes.keys().all(|task| kept.contains(task)) {
            return self;
        }
        let kept: BTreeSet<usize> = (kept.iter().copied())
            .filter(|task| self.nodes.contains_key(task))
            .collect();
        let (mut graph, nodes) = assemble(workspace, &kept);
        for &task in &kept {
            for needed in behind_left_out(workspace, task, &kept) {
                let (Some(&from), Some(&to)) = (nodes.get(&task), nodes.get(&needed)) else {
                    continue;
                };
                let kind = DepKind::Needs { transitive: true };
                // Both ends are nodes of this graph.
                let _ = graph.merge_edge(from, to, kind, |old, new| *old = stronger(*old, new));
            }
        }
        Plan {
            graph,
            nodes,
            requested: self.requested.intersection(&kept).copied().collect(),
            partial: true,
            left_out: self.left_out,
            chunks: self.chunks,
        }
    }

    /// Tasks that `task` needs directly, with the kind of edge, by name order of the workspace.
    pub fn needs(&self, task: usize) -> Vec<(usize, bool)> {
        let Some(&node) = self.nodes.get(&task) else {
            return Vec::new();
        };
        let edges = self
            .graph
            .edges_of(node)
            .filter_map(|(to, kind)| match kind {
                DepKind::Needs { transitive } => Some((*self.graph.get(to)?, *transitive)),
                DepKind::After | DepKind::AfterAll => None,
            });
        edges.collect()
    }
}

/// The tasks asked for, all they need, and the hooks that follow any of these, with what those need.
fn with_needs_and_hooks(workspace: &Workspace, requested: &BTreeSet<usize>) -> BTreeSet<usize> {
    let followers = followers(workspace);
    let mut chosen = requested.clone();
    let mut stack: Vec<usize> = chosen.iter().copied().collect();
    if !stack.is_empty() {
        stack.extend(&workspace.after_all);
        chosen.extend(&workspace.after_all);
    }
    while let Some(task) = stack.pop() {
        for next in needed_by(workspace, task).chain(followers[task].iter().copied()) {
            if chosen.insert(next) {
                stack.push(next);
            }
        }
    }
    chosen
}

/// By task, the hooks that follow it when it succeeded.
pub fn followers(workspace: &Workspace) -> Vec<Vec<usize>> {
    let mut followers = vec![Vec::new(); workspace.tasks.len()];
    for (index, task) in workspace.tasks.iter().enumerate() {
        for dep in &task.deps {
            if dep.kind == DepKind::After {
                followers[dep.task].push(index);
            }
        }
    }
    followers
}

/// What a task needs directly.
fn needed_by(workspace: &Workspace, task: usize) -> impl Iterator<Item = usize> {
    let deps = workspace.tasks[task].deps.iter();
    deps.filter(|dep| matches!(dep.kind, DepKind::Needs { .. }))
        .map(|dep| dep.task)
}

/// The graph of these tasks, with the edges between them.
fn assemble(
    workspace: &Workspace,
    chosen: &BTreeSet<usize>,
) -> (Graph<usize, DepKind>, BTreeMap<usize, NodeId>) {
    let mut graph = Graph::new();
    let nodes: BTreeMap<usize, NodeId> = chosen
        .iter()
        .map(|&task| (task, graph.add_node(task)))
        .collect();
    // Both ends of every edge were added just above, so no edge can be refused.
    let mut connect = |from: usize, to: usize, kind: DepKind| {
        if let (Some(&from), Some(&to)) = (nodes.get(&from), nodes.get(&to)) {
            let _ = graph.merge_edge(from, to, kind, |old, new| *old = stronger(*old, new));
        }
    };
    for &task in chosen {
        for dep in &workspace.tasks[task].deps {
            connect(task, dep.task, dep.kind);
        }
    }
    // One edge a pair of hook and task. A node in between would need a node that is no task, in the schedule and in
    // everything that reads it; with 10,000 tasks and five hooks the edges cost 3 MB and no time that shows. The
    // edges to `before-all` tasks stand in the workspace: they enter keys, so nothing can stand between.
    let tail = after_all_closure(workspace);
    for &hook in &workspace.after_all {
        for &task in chosen {
            if !tail.contains(&task) {
                connect(hook, task, DepKind::AfterAll);
            }
        }
    }
    (graph, nodes)
}

/// The kept tasks that `task` needs by way of tasks that are not kept.
fn behind_left_out(workspace: &Workspace, task: usize, kept: &BTreeSet<usize>) -> BTreeSet<usize> {
    let left_out = |task: &usize| !kept.contains(task);
    let mut stack: Vec<usize> = needed_by(workspace, task).filter(left_out).collect();
    let mut passed: BTreeSet<usize> = stack.iter().copied().collect();
    let mut found = BTreeSet::new();
    while let Some(passing) = stack.pop() {
        for next in needed_by(workspace, passing) {
            if !left_out(&next) {
                found.insert(next);
            } else if passed.insert(next) {
                stack.push(next);
            }
        }
    }
    found
}

/// The after-all hooks and what they need themselves: they follow everything but these.
fn after_all_closure(workspace: &Workspace) -> BTreeSet<usize> {
    closure(workspace, &workspace.after_all)
}

/// The given tasks and all they need, directly or not.
pub fn closure(workspace: &Workspace, from: &[usize]) -> BTreeSet<usize> {
    let mut found: BTreeSet<usize> = from.iter().copied().collect();
    let mut stack: Vec<usize> = from.to_vec();
    while let Some(task) = stack.pop() {
        stack.extend(needed_by(workspace, task).filter(|&needed| found.insert(needed)));
    }
    found
}

/// A task and those whose outputs enter its key through its dependencies: behind `transitive = false` only the
/// dependency itself.
pub fn known_by_key(workspace: &Workspace, task: usize) -> BTreeSet<usize> {
    let mut whole = Vec::new();
    let mut alone = vec![task];
    for dep in &workspace.tasks[task].deps {
        match dep.kind {
            DepKind::Needs { transitive: true } => whole.push(dep.task),
            DepKind::Needs { transitive: false } => alone.push(dep.task),
            DepKind::After | DepKind::AfterAll => {}
        }
    }
    let mut found = closure(workspace, &whole);
    found.extend(alone);
    found
}

/// Of two edges between the same tasks, the one that asks for more.
fn stronger(a: DepKind, b: DepKind) -> DepKind {
    let rank = |kind| match kind {
        DepKind::Needs { transitive: true } => 3,
        DepKind::Needs { transitive: false } => 2,
        DepKind::After => 1,
        DepKind::AfterAll => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}
