//! Holds the graph against a naive model: maps of nodes and edges that recompute every answer from scratch.
//! Does not know how the graph stores anything; the schedule has a file of its own.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use larder_graph::{Direction, Graph, NodeId, NodeSet, Prune, critical_path};
use proptest::prelude::*;

/// What the graph is to be, without any structure that could fall out of step.
#[derive(Clone, Debug, Default)]
struct Model {
    nodes: BTreeMap<NodeId, u8>,
    edges: BTreeMap<(NodeId, NodeId), u8>,
}

#[derive(Clone, Debug)]
enum Op {
    AddNode(u8),
    RemoveNode(u32),
    AddEdge(u32, u32, u8),
    MergeEdge(u32, u32, u8),
    RemoveEdge(u32, u32),
    Retain(BTreeSet<u32>),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0..14_u32;
    prop_oneof![
        6 => any::<u8>().prop_map(Op::AddNode),
        2 => id.clone().prop_map(Op::RemoveNode),
        12 => (id.clone(), id.clone(), any::<u8>()).prop_map(|(a, b, e)| Op::AddEdge(a, b, e)),
        3 => (id.clone(), id.clone(), any::<u8>()).prop_map(|(a, b, e)| Op::MergeEdge(a, b, e)),
        4 => (id.clone(), id.clone()).prop_map(|(a, b)| Op::RemoveEdge(a, b)),
        1 => prop::collection::btree_set(id, 4..14).prop_map(Op::Retain),
    ]
}

impl Model {
    fn of(graph: &Graph<u8, u8>) -> Self {
        Self {
            nodes: graph.nodes().map(|(id, node)| (id, *node)).collect(),
            edges: graph.edges().map(|(a, b, edge)| ((a, b), *edge)).collect(),
        }
    }

    fn keep(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.nodes.retain(|id, _| keep(*id));
        self.edges.retain(|(a, b), _| keep(*a) && keep(*b));
    }

    fn dependencies(&self, of: NodeId) -> BTreeSet<NodeId> {
        let edges = self.edges.keys().filter(|(from, _)| *from == of);
        edges.map(|(_, to)| *to).collect()
    }

    fn dependents(&self, of: NodeId) -> BTreeSet<NodeId> {
        let edges = self.edges.keys().filter(|(_, to)| *to == of);
        edges.map(|(from, _)| *from).collect()
    }

    /// Grows a set edge by edge, as often as `depth` says or until nothing is added.
    fn closure(
        &self,
        roots: BTreeSet<NodeId>,
        depth: Option<usize>,
        step: impl Fn(NodeId) -> BTreeSet<NodeId>,
    ) -> BTreeSet<NodeId> {
        let mut set = roots;
        for _ in 0..depth.unwrap_or(self.nodes.len()) {
            let more: BTreeSet<NodeId> = set.iter().flat_map(|&id| step(id)).collect();
            set.extend(more);
        }
        set
    }

    /// The lowest node whose dependencies are all there already, again and again.
    fn order(&self) -> Option<Vec<NodeId>> {
        let mut order: Vec<NodeId> = Vec::new();
        while order.len() < self.nodes.len() {
            let free = |id: &NodeId| {
                !order.contains(id) && self.dependencies(*id).iter().all(|d| order.contains(d))
            };
            let next = self.nodes.keys().copied().find(free)?;
            order.push(next);
        }
        Some(order)
    }
}

fn apply(graph: &mut Graph<u8, u8>, model: &mut Model, op: &Op) {
    match op {
        Op::AddNode(value) => {
            let lowest = (0..64).map(NodeId).find(|id| !model.nodes.contains_key(id));
            let id = graph.add_node(*value);
            // A new id must not be in use; the lowest free one is promised.
            assert_eq!(Some(id), lowest);
            model.nodes.insert(id, *value);
        }
        Op::RemoveNode(id) => {
            let id = NodeId(*id);
            let expected = model.nodes.get(&id).copied();
            assert_eq!(graph.remove_node(id), expected);
            model.keep(|other| other != id);
        }
        Op::AddEdge(a, b, edge) => {
            let (a, b) = (NodeId(*a), NodeId(*b));
            let both = model.nodes.contains_key(&a) && model.nodes.contains_key(&b);
            let result = graph.add_edge(a, b, *edge);
            assert_eq!(result.is_ok(), both);
            if let Ok(before) = result {
                assert_eq!(before, model.edges.insert((a, b), *edge));
            }
        }
        Op::MergeEdge(a, b, edge) => {
            let (a, b) = (NodeId(*a), NodeId(*b));
            let both = model.nodes.contains_key(&a) && model.nodes.contains_key(&b);
            let result = graph.merge_edge(a, b, *edge, |old, new| *old = old.wrapping_add(new));
            assert_eq!(result.is_ok(), both);
            if both {
                let old = model.edges.get(&(a, b)).copied().unwrap_or(0);
                model.edges.insert((a, b), old.wrapping_add(*edge));
            }
        }
        Op::RemoveEdge(a, b) => {
            let ends = (NodeId(*a), NodeId(*b));
            assert_eq!(graph.remove_edge(ends.0, ends.1), model.edges.remove(&ends));
        }
        Op::Retain(ids) => {
            let keep: NodeSet = ids.iter().copied().map(NodeId).collect();
            graph.retain(&keep);
            model.keep(|id| keep.contains(id));
        }
    }
}

fn check(graph: &Graph<u8, u8>, model: &Model) {
    assert_eq!(graph.len(), model.nodes.len());
    assert_eq!(graph.is_empty(), model.nodes.is_empty());
    assert_eq!(graph.edge_count(), model.edges.len());
    let found = Model::of(graph);
    assert_eq!(found.nodes, model.nodes);
    assert_eq!(found.edges, model.edges);
    for id in (0..16).map(NodeId) {
        assert_eq!(graph.contains(id), model.nodes.contains_key(&id));
        assert_eq!(graph.get(id), model.nodes.get(&id));
        let sorted: Vec<NodeId> = model.dependencies(id).into_iter().collect();
        assert_eq!(graph.dependencies(id), sorted);
        let sorted: Vec<NodeId> = model.dependents(id).into_iter().collect();
        assert_eq!(graph.dependents(id), sorted);
    }
}

fn any_graph() -> impl Strategy<Value = Graph<u8, u8>> {
    prop::collection::vec(op(), 0..80).prop_map(|ops| {
        let mut graph = Graph::new();
        let mut model = Model::default();
        for op in &ops {
            apply(&mut graph, &mut model, op);
        }
        graph
    })
}

/// A graph whose edges lead from higher to lower places of a shuffled order, with a hole or two.
fn acyclic_graph() -> impl Strategy<Value = Graph<u8, u8>> {
    let nodes = (1..14_usize).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle());
    let edges = prop::collection::vec((0..14_usize, 0..14_usize, any::<u8>()), 0..40);
    let gone = prop::collection::btree_set(0..14_u32, 0..3);
    (nodes, edges, gone).prop_map(|(place, edges, gone)| {
        let mut graph = Graph::new();
        let ids: Vec<NodeId> = place.iter().map(|_| graph.add_node(0)).collect();
        for (a, b, edge) in edges {
            let (a, b) = (a % ids.len(), b % ids.len());
            if place[a] > place[b] {
                graph.add_edge(ids[a], ids[b], edge).unwrap();
            }
        }
        for id in gone {
            graph.remove_node(NodeId(id));
        }
        graph
    })
}

proptest! {
    #[test]
    fn updates_keep_both_adjacencies_in_step(ops in prop::collection::vec(op(), 0..80)) {
        let mut graph = Graph::new();
        let mut model = Model::default();
        for op in &ops {
            apply(&mut graph, &mut model, op);
            check(&graph, &model);
        }
    }

    #[test]
    fn order_is_the_models_or_there_is_a_real_cycle(graph in any_graph()) {
        let model = Model::of(&graph);
        match (graph.topological_order(), model.order()) {
            (Ok(order), Some(expected)) => prop_assert_eq!(order, expected),
            (Err(cycle), None) => {
                let path = &cycle.path;
                let different: BTreeSet<_> = path.iter().collect();
                prop_assert_eq!(different.len(), path.len());
                prop_assert_eq!(path.iter().min(), path.first());
                for (at, &from) in path.iter().enumerate() {
                    let to = path[(at + 1) % path.len()];
                    prop_assert!(graph.edge(from, to).is_some());
                }
                // No way back to the first node is shorter: it is not within fewer edges.
                let first = path[0];
                let near = model.closure(
                    model.dependencies(first),
                    Some(path.len().saturating_sub(2)),
                    |id| model.dependencies(id),
                );
                prop_assert!(path.len() == 1 || !near.contains(&first));
            }
            (found, expected) => prop_assert!(false, "{found:?} but the model says {expected:?}"),
        }
    }

    #[test]
    fn order_and_cycles_do_not_depend_on_how_the_graph_came_to_be(graph in any_graph()) {
        let mut again = Graph::new();
        for _ in 0..graph.bound() {
            again.add_node(0_u8);
        }
        let mut edges: Vec<_> = graph.edges().map(|(a, b, e)| (a, b, *e)).collect();
        edges.reverse();
        for (a, b, edge) in edges {
            again.add_edge(a, b, edge).unwrap();
        }
        let keep: NodeSet = graph.ids().collect();
        again.retain(&keep);
        prop_assert_eq!(graph.topological_order(), again.topological_order());
    }

    #[test]
    fn affected_is_the_closure_of_dependents(
        graph in any_graph(),
        changed in prop::collection::btree_set(0..16_u32, 0..4),
    ) {
        let model = Model::of(&graph);
        let changed: BTreeSet<NodeId> = changed.into_iter().map(NodeId).collect();
        let present = || changed.iter().copied().filter(|id| model.nodes.contains_key(id)).collect();
        let found: BTreeSet<NodeId> = graph.affected(changed.iter().copied()).iter().collect();
        prop_assert_eq!(found, model.closure(present(), None, |id| model.dependents(id)));

        let odd = |from, to| model.edges[&(from, to)] % 2 == 1;
        let found = graph.affected_through(changed.iter().copied(), |_, _, edge| edge % 2 == 1);
        let expected = model.closure(present(), None, |id| {
            model.dependents(id).into_iter().filter(|&from| odd(from, id)).collect()
        });
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn prune_keeps_what_the_model_keeps(
        mut graph in any_graph(),
        include in prop::collection::btree_set(0..14_u32, 0..4),
        exclude in prop::collection::btree_set(0..14_u32, 0..4),
        direction in prop::sample::select(
            vec![Direction::Dependencies, Direction::Dependents, Direction::Both],
        ),
        depth in prop::option::of(0..4_usize),
        modulus in 1..3_u8,
    ) {
        let mut model = Model::of(&graph);
        let follows = |edge: u8| edge.is_multiple_of(modulus);
        // The model first drops what cannot be walked, then grows the included set.
        let mut walked = model.clone();
        walked.keep(|id| !exclude.contains(&id.0));
        walked.edges.retain(|_, edge| follows(*edge));
        let roots: BTreeSet<NodeId> =
            walked.nodes.keys().copied().filter(|id| include.contains(&id.0)).collect();
        let mut expected = roots.clone();
        if direction != Direction::Dependents {
            expected.extend(walked.closure(roots.clone(), depth, |id| walked.dependencies(id)));
        }
        if direction != Direction::Dependencies {
            expected.extend(walked.closure(roots, depth, |id| walked.dependents(id)));
        }

        let wanted = |id: NodeId, _: &u8| include.contains(&id.0);
        let prune = Prune {
            exclude: &|id: NodeId, _: &u8| exclude.contains(&id.0),
            follow: &|_, _, edge: &u8| follows(*edge),
            direction,
            depth,
            ..Prune::to(&wanted)
        };
        let kept: BTreeSet<NodeId> = graph.prune(&prune).iter().collect();
        prop_assert_eq!(&kept, &expected);
        model.keep(|id| expected.contains(&id));
        check(&graph, &model);
    }

    #[test]
    fn quotient_has_an_edge_where_any_member_has(graph in any_graph(), modules in 1..6_u32) {
        let model = Model::of(&graph);
        let module = |id: NodeId| id.0 * 7 % modules;
        let folded = graph.quotient(
            |id, _| module(id),
            |sum: Option<u64>, edge| sum.unwrap_or(0) + u64::from(*edge),
        );
        let mut expected: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for ((from, to), edge) in &model.edges {
            if module(*from) != module(*to) {
                *expected.entry((module(*from), module(*to))).or_default() += u64::from(*edge);
            }
        }
        let edges = folded.graph.edges();
        let found = edges.map(|(a, b, sum)| ((folded.graph[a], folded.graph[b]), *sum)).collect();
        prop_assert_eq!(expected, found);

        let names: BTreeSet<u32> = model.nodes.keys().map(|id| module(*id)).collect();
        prop_assert_eq!(folded.graph.len(), names.len());
        prop_assert_eq!(folded.members.iter().flatten().count(), model.nodes.len());
        for id in graph.ids() {
            let of = folded.module_of[id.index()].unwrap();
            prop_assert_eq!(folded.graph[of], module(id));
            prop_assert!(folded.members[of.index()].contains(&id));
        }
    }

    #[test]
    fn critical_path_is_the_heaviest_way_down(graph in acyclic_graph()) {
        fn heaviest(model: &Model, id: NodeId) -> u64 {
            let rest = model.dependents(id).into_iter().map(|next| heaviest(model, next));
            u64::from(id.0 * 5 % 7) + rest.max().unwrap_or(0)
        }
        let model = Model::of(&graph);
        let sums = critical_path(&graph, |id| u64::from(id.0 * 5 % 7)).unwrap();
        prop_assert_eq!(sums.len(), graph.bound());
        for id in (0..graph.bound()).map(|index| NodeId(u32::try_from(index).unwrap())) {
            let expected = if graph.contains(id) { heaviest(&model, id) } else { 0 };
            prop_assert_eq!(sums[id.index()], expected);
        }
    }
}

#[test]
#[should_panic(expected = "the graph has no node 0")]
fn indexing_a_missing_node_panics_as_documented() {
    let graph: Graph<u8> = Graph::new();
    let _ = graph[NodeId(0)];
}
