//! Finds a topological order, or the cycle that forbids one, and the longest way to each node's last dependent.
//! Does not know what the weights along that way measure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::graph::Graph;
use crate::id::NodeId;

/// Nodes that depend on each other in a circle, so that none can come first.
///
/// Each node of `path` depends on the one after it, and the last depends on the first. The path starts
/// with its lowest id, visits no node twice, and there is no shorter cycle through its first node. The same
/// graph always gives the same path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(.path))]
pub struct Cycle {
    /// The nodes in order of dependency; never empty.
    pub path: Vec<NodeId>,
}

fn describe(path: &[NodeId]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("dependency cycle: ");
    for id in path {
        // Writing to a string cannot fail.
        let _ = write!(text, "{id} -> ");
    }
    if let Some(first) = path.first() {
        let _ = write!(text, "{first}");
    }
    text
}

impl<N, E> Graph<N, E> {
    /// All nodes, each after everything that it depends on. Among those that could come next, the
    /// lowest id comes first, so the order is unique.
    ///
    /// # Errors
    /// [`Cycle`] when there is no such order.
    pub fn topological_order(&self) -> Result<Vec<NodeId>, Cycle> {
        let mut waiting = vec![0_usize; self.bound()];
        let mut ready = BinaryHeap::new();
        for id in self.ids() {
            waiting[id.index()] = self.dependencies(id).len();
            if waiting[id.index()] == 0 {
                ready.push(Reverse(id));
            }
        }
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse(id)) = ready.pop() {
            order.push(id);
            for &dependent in self.dependents(id) {
                waiting[dependent.index()] -= 1;
                if waiting[dependent.index()] == 0 {
                    ready.push(Reverse(dependent));
                }
            }
        }
        // What still waits has a dependency that still waits: following one leads round a cycle.
        match self.ids().find(|id| waiting[id.index()] > 0) {
            None => Ok(order),
            Some(start) => Err(self.cycle_from(start, &waiting)),
        }
    }

    /// Follows waiting dependencies from `start` until a node comes up again, then looks for the
    /// shortest way round through the lowest node of that circle.
    fn cycle_from(&self, start: NodeId, waiting: &[usize]) -> Cycle {
        let mut seen_at = vec![None; self.bound()];
        let mut path = Vec::new();
        let mut next = Some(start);
        while let Some(id) = next {
            if let Some(first) = seen_at[id.index()] {
                path.drain(..first);
                break;
            }
            seen_at[id.index()] = Some(path.len());
            path.push(id);
            let mut dependencies = self.dependencies(id).iter().copied();
            next = dependencies.find(|dependency| waiting[dependency.index()] > 0);
        }
        let anchor = path.iter().copied().min().unwrap_or(start);
        let shortest = self.shortest_cycle(anchor).unwrap_or(path);
        Cycle {
            path: lowest_first(shortest),
        }
    }

    /// A shortest way from `anchor` back to itself; among equals the one found through lower ids.
    fn shortest_cycle(&self, anchor: NodeId) -> Option<Vec<NodeId>> {
        let mut reached_from = vec![None; self.bound()];
        let mut queue = VecDeque::from([anchor]);
        while let Some(id) = queue.pop_front() {
            for &dependency in self.dependencies(id) {
                if dependency == anchor {
                    let mut path = vec![id];
                    while let Some(previous) = reached_from[path[path.len() - 1].index()] {
                        path.push(previous);
                    }
                    path.reverse();
                    return Some(path);
                }
                if reached_from[dependency.index()].is_none() {
                    reached_from[dependency.index()] = Some(id);
                    queue.push_back(dependency);
                }
            }
        }
        None
    }
}

fn lowest_first(mut path: Vec<NodeId>) -> Vec<NodeId> {
    let lowest = (0..path.len()).min_by_key(|&at| path[at]).unwrap_or(0);
    path.rotate_left(lowest);
    path
}

/// For each node the sum of weights on the heaviest way from it to a last dependent, its own weight
/// included: how much work cannot be over before it is. Indexed by node, of length
/// [`bound`](Graph::bound); 0 where there is no node. Sums stop at `u64::MAX`.
///
/// With expected durations as weights these are the priorities for a [`Schedule`](crate::Schedule).
///
/// # Errors
/// [`Cycle`] when the graph has one.
pub fn critical_path<N, E>(
    graph: &Graph<N, E>,
    weight: impl Fn(NodeId) -> u64,
) -> Result<Vec<u64>, Cycle> {
    let mut sums = vec![0_u64; graph.bound()];
    for &id in graph.topological_order()?.iter().rev() {
        let dependents = graph.dependents(id).iter();
        let rest = dependents.map(|d| sums[d.index()]).max().unwrap_or(0);
        sums[id.index()] = weight(id).saturating_add(rest);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: u32, edges: &[(u32, u32)]) -> Graph<u32> {
        let mut graph = Graph::new();
        for node in 0..nodes {
            graph.add_node(node);
        }
        for &(from, to) in edges {
            graph.add_edge(NodeId(from), NodeId(to), ()).unwrap();
        }
        graph
    }

    #[test]
    fn order_breaks_ties_by_id() {
        let graph = graph(5, &[(0, 4), (1, 4), (3, 2)]);
        let order = graph.topological_order().unwrap();
        assert_eq!(order, [2, 3, 4, 0, 1].map(NodeId));
    }

    #[test]
    fn a_cycle_is_reported_whole_and_starts_with_its_lowest_node() {
        // 5 hangs on the cycle 4 -> 2 -> 3 -> 4 without being in it.
        let graph = graph(6, &[(0, 5), (5, 3), (4, 2), (2, 3), (3, 4), (4, 1)]);
        let cycle = graph.topological_order().unwrap_err();
        assert_eq!(cycle.path, [2, 3, 4].map(NodeId));
        assert_eq!(cycle.to_string(), "dependency cycle: 2 -> 3 -> 4 -> 2");
    }

    #[test]
    fn a_short_way_round_is_preferred() {
        let graph = graph(4, &[(0, 1), (1, 2), (2, 3), (3, 0), (2, 0)]);
        let cycle = graph.topological_order().unwrap_err();
        assert_eq!(cycle.path, [0, 1, 2].map(NodeId));
    }

    #[test]
    fn a_node_that_depends_on_itself_is_a_cycle() {
        let graph = graph(2, &[(1, 1)]);
        let cycle = graph.topological_order().unwrap_err();
        assert_eq!(cycle.path, [NodeId(1)]);
        assert_eq!(cycle.to_string(), "dependency cycle: 1 -> 1");
    }

    #[test]
    fn critical_path_sums_to_the_furthest_dependent() {
        // 2 <- 1 <- 0 and 2 <- 3, weights 10, 1, 1, 5.
        let graph = graph(4, &[(1, 2), (0, 1), (3, 2)]);
        let weights = [10, 1, 1, 5];
        let sums = critical_path(&graph, |id| weights[id.index()]).unwrap();
        assert_eq!(sums, [10, 11, 12, 5]);
        let sums = critical_path(&graph, |_| u64::MAX).unwrap();
        assert_eq!(sums, [u64::MAX; 4]);
    }
}
