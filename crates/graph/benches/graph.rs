//! The hot paths of the graph at 10,000 nodes: order, priorities, schedule, what a change reaches.
//! It does not know what a node is.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use larder_graph::{FailurePolicy, Graph, Link, NodeId, Outcome, Schedule, critical_path};

const NODES: usize = 10_000;

/// Three dependencies a node, one of them on the few that nearly everything rests on.
fn graph() -> Graph<usize, Link> {
    let mut graph = Graph::new();
    let nodes: Vec<NodeId> = (0..NODES).map(|number| graph.add_node(number)).collect();
    for number in 1..NODES {
        let on = [
            number * 7919 % number.min(10),
            number / 2,
            number - 1 - number * 31 % number.min(50),
        ];
        for on in on {
            if graph.edge(nodes[number], nodes[on]).is_none() {
                graph
                    .add_edge(nodes[number], nodes[on], Link::DEPENDENCY)
                    .unwrap();
            }
        }
    }
    graph
}

fn benches(criterion: &mut Criterion) {
    let graph = graph();
    let weight = |id: NodeId| id.index() as u64 % 17;
    let priorities = critical_path(&graph, weight).unwrap();

    let mut group = criterion.benchmark_group("graph");
    group.throughput(Throughput::Elements(NODES as u64));
    group.bench_function("topological order", |bencher| {
        bencher.iter(|| graph.topological_order().unwrap());
    });
    group.bench_function("critical path", |bencher| {
        bencher.iter(|| critical_path(&graph, weight).unwrap());
    });
    group.bench_function("affected", |bencher| {
        let first = graph.ids().next().unwrap();
        bencher.iter(|| graph.affected([first]));
    });
    group.bench_function("schedule from begin to end", |bencher| {
        bencher.iter(|| {
            let policy = FailurePolicy::Never;
            let mut schedule =
                Schedule::new(&graph, &priorities, policy, |_, _, link| *link).unwrap();
            let mut ran = 0;
            while let Some(step) = schedule.next() {
                schedule.finished(step.id, Outcome::Changed).unwrap();
                ran += 1;
            }
            assert_eq!(ran, NODES);
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
