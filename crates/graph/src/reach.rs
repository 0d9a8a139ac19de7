//! Selects nodes by walking edges: the part of a graph that a request needs, and what a change can reach.
//! Does not know why a node is wanted or what changed.

use crate::graph::Graph;
use crate::id::{NodeId, NodeSet};

/// Which way a walk follows edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what the included nodes depend on.
    Dependencies,
    /// To what depends on the included nodes.
    Dependents,
    /// Both walks, each from the included nodes: not the dependencies of dependents.
    Both,
}

/// What to keep of a graph: the included nodes, and what a walk from them reaches.
pub struct Prune<'a, N, E = ()> {
    /// The nodes where the walk starts.
    pub include: &'a dyn Fn(NodeId, &N) -> bool,
    /// Nodes that are never kept, even if included; the walk does not pass through them.
    pub exclude: &'a dyn Fn(NodeId, &N) -> bool,
    /// The edges (dependent, dependency, edge) that the walk follows.
    pub follow: &'a dyn Fn(NodeId, NodeId, &E) -> bool,
    /// Which way the walk goes.
    pub direction: Direction,
    /// How many edges the walk goes from the nearest included node: 0 keeps these alone, `None` sets
    /// no limit.
    pub depth: Option<usize>,
}

impl<'a, N, E> Prune<'a, N, E> {
    /// Keeps the included nodes and everything they depend on; the fields narrow or turn this.
    pub fn to(include: &'a dyn Fn(NodeId, &N) -> bool) -> Self {
        Self {
            include,
            exclude: &|_, _| false,
            follow: &|_, _, _| true,
            direction: Direction::Dependencies,
            depth: None,
        }
    }
}

impl<N, E> Graph<N, E> {
    /// The nodes that `prune` keeps, without changing the graph.
    pub fn select(&self, prune: &Prune<'_, N, E>) -> NodeSet {
        let excluded = |id| self.get(id).is_none_or(|node| (prune.exclude)(id, node));
        let roots: Vec<NodeId> = self
            .nodes()
            .filter(|&(id, node)| (prune.include)(id, node) && !(prune.exclude)(id, node))
            .map(|(id, _)| id)
            .collect();
        let follow = |from, to| {
            let edge = self.edge(from, to);
            edge.is_some_and(|edge| (prune.follow)(from, to, edge))
        };
        let mut kept = NodeSet::new();
        if prune.direction != Direction::Dependents {
            kept = walk(&roots, prune.depth, |id, visit| {
                for (to, edge) in self.edges_of(id) {
                    if (prune.follow)(id, to, edge) && !excluded(to) {
                        visit(to);
                    }
                }
            });
        }
        if prune.direction != Direction::Dependencies {
            let dependents = walk(&roots, prune.depth, |id, visit| {
                for &from in self.dependents(id) {
                    if follow(from, id) && !excluded(from) {
                        visit(from);
                    }
                }
            });
            kept.extend(dependents.iter());
        }
        kept
    }

    /// Removes all nodes that `prune` does not keep, and returns the kept ones. Their ids stay.
    pub fn prune(&mut self, prune: &Prune<'_, N, E>) -> NodeSet {
        let kept = self.select(prune);
        self.retain(&kept);
        kept
    }

    /// The changed nodes and everything that depends on them, directly or not. Ids that are not in the
    /// graph are passed over.
    pub fn affected(&self, changed: impl IntoIterator<Item = NodeId>) -> NodeSet {
        let roots = self.present(changed);
        walk(&roots, None, |id, visit| {
            self.dependents(id).iter().copied().for_each(visit);
        })
    }

    /// Like [`affected`](Self::affected), but a change passes only along edges (dependent, dependency,
    /// edge) for which `passes` holds.
    pub fn affected_through(
        &self,
        changed: impl IntoIterator<Item = NodeId>,
        passes: impl Fn(NodeId, NodeId, &E) -> bool,
    ) -> NodeSet {
        let roots = self.present(changed);
        walk(&roots, None, |id, visit| {
            for &from in self.dependents(id) {
                let edge = self.edge(from, id);
                if edge.is_some_and(|edge| passes(from, id, edge)) {
                    visit(from);
                }
            }
        })
    }

    fn present(&self, ids: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
        ids.into_iter().filter(|&id| self.contains(id)).collect()
    }
}

/// Level by level from `roots`, `depth` levels far; `neighbours` hands each neighbour to its visitor.
fn walk(
    roots: &[NodeId],
    depth: Option<usize>,
    neighbours: impl Fn(NodeId, &mut dyn FnMut(NodeId)),
) -> NodeSet {
    let mut seen: NodeSet = roots.iter().copied().collect();
    let mut level: Vec<NodeId> = seen.iter().collect();
    let mut walked = 0;
    while !level.is_empty() && depth.is_none_or(|depth| walked < depth) {
        let mut next = Vec::new();
        for &id in &level {
            neighbours(id, &mut |neighbour| {
                if seen.insert(neighbour) {
                    next.push(neighbour);
                }
            });
        }
        level = next;
        walked += 1;
    }
    seen
}
