//! `larder graph` and `larder ls` with chunks: which there are, what each used, and what uses it.
//! Does not print anything.

use std::collections::{BTreeMap, BTreeSet};

use larder_graph::{Direction, Graph, NodeId, Prune};

use crate::config::DepKind;
use crate::plan::{Plan, task_id};
use crate::session::Session;
use crate::session::chunks::{self, Users};
use crate::session::tree::Fault;

/// A graph of tasks and chunks by name, and on each edge what it is.
pub(super) type Named = Graph<String, Option<String>>;

/// The chunks that a task has now, as it names them, without those that a graph filter leaves out.
///
/// # Errors
/// When a folder cannot be read.
pub(super) fn of(session: &Session<'_>, plan: &Plan, task: usize) -> Result<Vec<String>, Fault> {
    let listed = chunks::listed(session, task)?;
    let id = task_id(&session.workspace, task);
    let chosen = plan.chunks.get(&task);
    let takes = |within: &str| chosen.is_none_or(|chosen| chosen.takes(&format!("{id}[{within}]")));
    let now = listed.chunks.iter();
    let now = now.filter(|(source, within)| !listed.gone.contains(*source) && takes(within));
    Ok(now.map(|(_, within)| within.clone()).collect())
}

/// The graph of a plan with the chunks of its tasks. A task leads to each of its chunks; a chunk leads to the chunks and
/// tasks that it used when it last succeeded, and one that never did to all that its task needs.
///
/// # Errors
/// When a folder cannot be read.
pub(super) fn graph(
    session: &Session<'_>,
    plan: &Plan,
    label: &dyn Fn(NodeId, NodeId, &DepKind) -> Option<String>,
) -> Result<Named, Fault> {
    let mut named = Named::new();
    let mut nodes: BTreeMap<String, NodeId> = BTreeMap::new();
    let mut of_task = BTreeMap::new();
    for (node, &task) in plan.graph.nodes() {
        let id = task_id(&session.workspace, task);
        let added = named.add_node(id.clone());
        nodes.insert(id, added);
        of_task.insert(node, added);
    }
    for (from, to, kind) in plan.graph.edges() {
        // Both ends are nodes of this graph, here and below.
        let _ = named.add_edge(of_task[&from], of_task[&to], label(from, to, kind));
    }
    let mut owners = Vec::new();
    for (node, &task) in plan.graph.nodes() {
        let id = task_id(&session.workspace, task);
        for within in of(session, plan, task)? {
            let name = format!("{id}[{within}]");
            let chunk = named.add_node(name.clone());
            let _ = named.add_edge(of_task[&node], chunk, Some("chunk".to_owned()));
            nodes.insert(name.clone(), chunk);
            owners.push((task, name, chunk));
        }
    }
    let known = Users::of(session);
    let edges = known.edges();
    for (task, name, chunk) in owners {
        let noted = edges.get(name.as_str()).map(|(_, uses)| uses);
        let mut uses: BTreeSet<NodeId> = noted
            .into_iter()
            .flatten()
            .filter_map(|used| nodes.get(*used).copied())
            .collect();
        for (dep, _) in plan.needs(task) {
            // Of what holds for every chunk nothing is noted with each of them.
            if noted.is_none() || session.workspace.tasks[dep].foreach.is_none() {
                uses.extend(nodes.get(&task_id(&session.workspace, dep)));
            }
        }
        for used in uses {
            let _ = named.add_edge(chunk, used, None);
        }
    }
    Ok(named)
}

/// Leaves of a graph what some tasks or chunks use and what uses them.
pub(super) fn around(named: &mut Named, meant: &BTreeSet<String>) {
    let kept = named.select(&Prune {
        direction: Direction::Both,
        ..Prune::to(&|_, name: &String| meant.contains(name))
    });
    named.retain(&kept);
}
