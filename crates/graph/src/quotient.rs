//! Folds a definition-level graph into its module-level graph, one node for all definitions of a module.
//! Does not know how definitions and modules are named: the caller says which module a node is in.

use std::collections::HashMap;
use std::hash::Hash;

use crate::graph::Graph;
use crate::id::NodeId;

/// A module-level graph and how it came from the definition-level one.
#[derive(Clone, Debug)]
pub struct Quotient<M, F = ()> {
    /// One node a module, numbered by the lowest id among its members. A module depends on another if a
    /// member does; edges inside a module are left out. May have cycles where the definitions have none.
    pub graph: Graph<M, F>,
    /// The members of each module, ascending; indexed by the id of the module.
    pub members: Vec<Vec<NodeId>>,
    /// The module of each definition, indexed by its id; `None` where there is no node.
    pub module_of: Vec<Option<NodeId>>,
}

impl<N, E> Graph<N, E> {
    /// Folds nodes for which `module` gives the same value into one. `merge` folds each edge between two
    /// modules into one: it is given what came before (`None` at first), in ascending order of edges.
    pub fn quotient<M: Clone + Eq + Hash, F>(
        &self,
        module: impl Fn(NodeId, &N) -> M,
        merge: impl Fn(Option<F>, &E) -> F,
    ) -> Quotient<M, F> {
        let mut ids: HashMap<M, NodeId> = HashMap::new();
        let mut members: Vec<Vec<NodeId>> = Vec::new();
        let mut module_of = vec![None; self.bound()];
        let mut graph = Graph::new();
        for (id, node) in self.nodes() {
            let name = module(id, node);
            let of = *ids.entry(name).or_insert_with_key(|name| {
                members.push(Vec::new());
                graph.add_node(name.clone())
            });
            members[of.index()].push(id);
            module_of[id.index()] = Some(of);
        }
        let mut folded: HashMap<(NodeId, NodeId), F> = HashMap::new();
        for (from, to, edge) in self.edges() {
            if let (Some(from), Some(to)) = (module_of[from.index()], module_of[to.index()])
                && from != to
            {
                let before = folded.remove(&(from, to));
                folded.insert((from, to), merge(before, edge));
            }
        }
        // In ascending order each insertion is an append.
        let mut folded: Vec<_> = folded.into_iter().collect();
        folded.sort_unstable_by_key(|&(ends, _)| ends);
        for ((from, to), edge) in folded {
            // Both ends were added above.
            let _ = graph.add_edge(from, to, edge);
        }
        Quotient {
            graph,
            members,
            module_of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_fold_into_modules_and_edges_are_counted() {
        let mut graph = Graph::new();
        let ids: Vec<NodeId> = ["b.x", "a.x", "b.y", "gone", "c.x"]
            .map(|name| graph.add_node(name))
            .to_vec();
        for (from, to) in [(0, 1), (2, 1), (0, 2), (1, 4)] {
            graph.add_edge(ids[from], ids[to], ()).unwrap();
        }
        graph.remove_node(ids[3]);
        let folded = graph.quotient(|_, name| name[..1].to_owned(), |n, ()| n.unwrap_or(0) + 1);
        let names: Vec<&str> = folded.graph.nodes().map(|(_, name)| &name[..]).collect();
        assert_eq!(names, ["b", "a", "c"]);
        let edges: Vec<_> = folded
            .graph
            .edges()
            .map(|(f, t, n)| (f.0, t.0, *n))
            .collect();
        assert_eq!(edges, [(0, 1, 2), (1, 2, 1)]);
        assert_eq!(folded.members[0], [ids[0], ids[2]]);
        assert_eq!(folded.module_of[3], None);
        assert_eq!(folded.module_of[4], Some(NodeId(2)));
    }
}
