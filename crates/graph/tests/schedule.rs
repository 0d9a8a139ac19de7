//! Holds the schedule against a naive model that derives every node's state anew from what happened so far.
//! Does not know how the schedule keeps its state, nor what nodes do.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use larder_graph::{
    FailurePolicy, Graph, Link, NodeId, NotRunning, Outcome, Schedule, ScheduleError, SkipReason,
    Skipped, Status, Step, Wait, critical_path,
};
use proptest::prelude::*;

const FINISH_AND_TELL: Link = Link {
    wait: Wait::Finish,
    passes_change: true,
};

/// What happened so far; everything else is worked out from it by the definitions.
struct Model<'a> {
    graph: &'a Graph<(), Link>,
    policy: FailurePolicy,
    started: BTreeSet<NodeId>,
    ended: BTreeMap<NodeId, Outcome>,
    /// The first failure and what had started by then.
    first_failure: Option<(NodeId, BTreeSet<NodeId>)>,
    cancelled_at: Option<BTreeSet<NodeId>>,
}

impl Model<'_> {
    fn runs_after_stop(&self, id: NodeId) -> bool {
        let mut edges = self.graph.edges_of(id);
        edges.any(|(_, link)| link.wait == Wait::Finish)
    }

    fn failed(&self, id: NodeId) -> bool {
        self.ended.get(&id) == Some(&Outcome::Failed)
    }

    fn skipped(&self) -> BTreeSet<NodeId> {
        let mut skipped = BTreeSet::new();
        for id in self.graph.topological_order().unwrap() {
            let needs_failed = self.policy != FailurePolicy::Always
                && self.graph.edges_of(id).any(|(to, link)| {
                    link.wait == Wait::Success && (self.failed(to) || skipped.contains(&to))
                });
            let stopped = self.policy == FailurePolicy::Never
                && !self.runs_after_stop(id)
                && self
                    .first_failure
                    .as_ref()
                    .is_some_and(|(_, by_then)| !by_then.contains(&id));
            let cancelled = self
                .cancelled_at
                .as_ref()
                .is_some_and(|by_then| !by_then.contains(&id));
            if !self.started.contains(&id) && (needs_failed || stopped || cancelled) {
                skipped.insert(id);
            }
        }
        skipped
    }

    fn ready(&self) -> BTreeSet<NodeId> {
        let skipped = self.skipped();
        let over = |id: &NodeId| self.ended.contains_key(id) || skipped.contains(id);
        let nodes = self.graph.ids();
        nodes
            .filter(|id| !self.started.contains(id) && !skipped.contains(id))
            .filter(|&id| self.graph.dependencies(id).iter().all(over))
            .collect()
    }

    fn step(&self, id: NodeId) -> Step {
        let skipped = self.skipped();
        let bad = |id: NodeId| self.failed(id) || skipped.contains(&id);
        let below = {
            let mut below: BTreeSet<NodeId> = self.graph.dependencies(id).iter().copied().collect();
            for _ in 0..self.graph.len() {
                let more: Vec<NodeId> = below
                    .iter()
                    .flat_map(|&id| self.graph.dependencies(id))
                    .copied()
                    .collect();
                below.extend(more);
            }
            below
        };
        Step {
            id,
            after_failure: below.into_iter().any(bad),
            dependency_changed: self.graph.edges_of(id).any(|(to, link)| {
                link.passes_change && self.ended.get(&to) != Some(&Outcome::Unchanged)
            }),
        }
    }

    /// The reason has to name a failure that explains the skip.
    fn explains(&self, skip: Skipped) -> bool {
        let skipped = self.skipped();
        let needs = |from, to| {
            let link: Option<&Link> = self.graph.edge(from, to);
            link.is_some_and(|link| link.wait == Wait::Success)
        };
        match skip.reason {
            SkipReason::DependencyFailed { failed, through } => {
                self.failed(failed)
                    && needs(skip.id, through)
                    && (through == failed || skipped.contains(&through))
            }
            SkipReason::Stopped { failed } => {
                self.policy == FailurePolicy::Never
                    && self.first_failure.as_ref().is_some_and(|(first, _)| *first == failed)
                    // The failure itself is not below it, or that would have been the reason.
                    && !needs(skip.id, failed)
            }
            SkipReason::Cancelled => self.cancelled_at.is_some(),
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    graph: Graph<(), Link>,
    priorities: Vec<u64>,
    policy: FailurePolicy,
    outcomes: Vec<Outcome>,
    /// How many may run at once, and which of the running ones ends next.
    workers: usize,
    choices: Vec<usize>,
    cancel_after: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let link = prop::sample::select(vec![
        Link::DEPENDENCY,
        Link::DEPENDENCY,
        Link::AFTER_SUCCESS,
        Link::AFTER_FINISH,
        FINISH_AND_TELL,
    ]);
    let policy = prop::sample::select(vec![
        FailurePolicy::Never,
        FailurePolicy::DependenciesSuccessful,
        FailurePolicy::Always,
    ]);
    let outcome = prop::sample::select(vec![
        Outcome::Changed,
        Outcome::Unchanged,
        Outcome::Unchanged,
        Outcome::Failed,
    ]);
    (
        (1..14_usize).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
        prop::collection::vec((0..14_usize, 0..14_usize, link), 0..40),
        prop::collection::btree_set(0..14_u32, 0..2),
        prop::collection::vec(0..3_u64, 14),
        policy,
        prop::collection::vec(outcome, 14),
        1..5_usize,
        prop::collection::vec(0..5_usize, 14),
        prop::option::weighted(0.2, 0..6_usize),
    )
        .prop_map(
            |(place, edges, gone, priorities, policy, outcomes, workers, choices, cancel_after)| {
                let mut graph = Graph::new();
                let ids: Vec<NodeId> = place.iter().map(|_| graph.add_node(())).collect();
                for (a, b, link) in edges {
                    let (a, b) = (a % ids.len(), b % ids.len());
                    if place[a] > place[b] {
                        graph.add_edge(ids[a], ids[b], link).unwrap();
                    }
                }
                for id in gone {
                    graph.remove_node(NodeId(id));
                }
                Case {
                    graph,
                    priorities,
                    policy,
                    outcomes,
                    workers,
                    choices,
                    cancel_after,
                }
            },
        )
}

fn run(case: &Case) {
    let graph = &case.graph;
    let mut schedule =
        Schedule::new(graph, &case.priorities, case.policy, |_, _, link| *link).unwrap();
    let mut model = Model {
        graph,
        policy: case.policy,
        started: BTreeSet::new(),
        ended: BTreeMap::new(),
        first_failure: None,
        cancelled_at: None,
    };
    let mut running: Vec<NodeId> = Vec::new();
    let mut reported: Vec<Skipped> = Vec::new();
    while !schedule.is_done() {
        while running.len() < case.workers {
            let ready = model.ready();
            let best = ready
                .iter()
                .copied()
                .max_by_key(|id| (case.priorities[id.index()], std::cmp::Reverse(*id)));
            let step = schedule.next();
            assert_eq!(step, best.map(|id| model.step(id)));
            let Some(step) = step else { break };
            model.started.insert(step.id);
            running.push(step.id);
        }
        assert_eq!(schedule.running(), running.len());
        // Stuck otherwise: not done, nothing runs and nothing can start.
        assert!(!running.is_empty());
        let at = case.choices[model.ended.len()] % running.len();
        let id = running.swap_remove(at);
        let outcome = case.outcomes[id.index()];
        model.ended.insert(id, outcome);
        if outcome == Outcome::Failed && model.first_failure.is_none() {
            model.first_failure = Some((id, model.started.clone()));
        }
        schedule.finished(id, outcome).unwrap();
        if case.cancel_after == Some(model.ended.len()) {
            model.cancelled_at = Some(model.started.clone());
            schedule.cancel();
        }
        while let Some(skip) = schedule.pop_skipped() {
            assert!(model.explains(skip), "{skip:?} does not explain itself");
            assert_eq!(schedule.status(skip.id), Some(Status::Skipped(skip.reason)));
            reported.push(skip);
        }
        let skipped: BTreeSet<NodeId> = reported.iter().map(|skip| skip.id).collect();
        assert_eq!(skipped, model.skipped());
        assert_eq!(skipped.len(), reported.len(), "a node was skipped twice");
        let over = model.ended.len() + skipped.len();
        assert_eq!(schedule.remaining(), graph.len() - over);
        assert_eq!(schedule.is_done(), over == graph.len());
    }
    assert_eq!(schedule.next(), None);
    for id in graph.ids() {
        let expected = model.ended.get(&id).copied().map(Status::Ended);
        assert!(expected.is_none() || schedule.status(id) == expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_step_is_the_models(case in case()) {
        run(&case);
    }
}

/// `names[i]` is node i; edges are (dependent, dependency, link).
fn graph(nodes: u32, edges: &[(u32, u32, Link)]) -> Graph<(), Link> {
    let mut graph = Graph::new();
    for _ in 0..nodes {
        graph.add_node(());
    }
    for &(from, to, link) in edges {
        graph.add_edge(NodeId(from), NodeId(to), link).unwrap();
    }
    graph
}

fn schedule(graph: &Graph<(), Link>, policy: FailurePolicy) -> Schedule {
    let priorities = vec![0; graph.bound()];
    Schedule::new(graph, &priorities, policy, |_, _, link| *link).unwrap()
}

/// Runs one node at a time and tells the order; those in `failing` fail, the others change.
fn order(schedule: &mut Schedule, failing: &[u32]) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some(step) = schedule.next() {
        order.push(step.id.0);
        let outcome = if failing.contains(&step.id.0) {
            Outcome::Failed
        } else {
            Outcome::Changed
        };
        schedule.finished(step.id, outcome).unwrap();
    }
    assert!(schedule.is_done());
    order
}

fn skips(schedule: &mut Schedule) -> Vec<(u32, SkipReason)> {
    std::iter::from_fn(|| schedule.pop_skipped())
        .map(|skip| (skip.id.0, skip.reason))
        .collect()
}

/// 0 <- 1 <- 2, 3 alone, and 4 a closing hook of all four.
fn with_hook() -> Graph<(), Link> {
    let mut edges = vec![(1, 0, Link::DEPENDENCY), (2, 1, Link::DEPENDENCY)];
    edges.extend((0..4).map(|task| (4, task, Link::AFTER_FINISH)));
    graph(5, &edges)
}

#[test]
fn never_stops_all_but_closing_hooks() {
    let mut schedule = schedule(&with_hook(), FailurePolicy::Never);
    assert_eq!(order(&mut schedule, &[0]), [0, 4]);
    let failed = NodeId(0);
    let expected = [
        (
            1,
            SkipReason::DependencyFailed {
                failed,
                through: NodeId(0),
            },
        ),
        (
            2,
            SkipReason::DependencyFailed {
                failed,
                through: NodeId(1),
            },
        ),
        (3, SkipReason::Stopped { failed }),
    ];
    assert_eq!(skips(&mut schedule), expected);
}

#[test]
fn dependencies_successful_skips_only_what_needed_the_failure() {
    let mut schedule = schedule(&with_hook(), FailurePolicy::DependenciesSuccessful);
    assert_eq!(order(&mut schedule, &[0]), [0, 3, 4]);
    let skipped: Vec<u32> = skips(&mut schedule).into_iter().map(|(id, _)| id).collect();
    assert_eq!(skipped, [1, 2]);
}

#[test]
fn always_runs_everything_and_tells_what_runs_after_a_failure() {
    let mut schedule = schedule(&with_hook(), FailurePolicy::Always);
    let mut told = Vec::new();
    while let Some(step) = schedule.next() {
        told.push((step.id.0, step.after_failure));
        let outcome = if step.id.0 == 0 {
            Outcome::Failed
        } else {
            Outcome::Changed
        };
        schedule.finished(step.id, outcome).unwrap();
    }
    assert_eq!(
        told,
        [(0, false), (1, true), (2, true), (3, false), (4, true)]
    );
    assert_eq!(skips(&mut schedule), []);
    assert!(schedule.is_done());
}

#[test]
fn an_unchanged_dependency_cuts_off_and_order_alone_passes_no_change() {
    // 2 depends on 0 and comes after 1; 3 depends on 2.
    let graph = graph(
        4,
        &[
            (2, 0, Link::DEPENDENCY),
            (2, 1, Link::AFTER_SUCCESS),
            (3, 2, Link::DEPENDENCY),
        ],
    );
    let mut schedule = schedule(&graph, FailurePolicy::Never);
    let mut told = Vec::new();
    let outcomes = [
        Outcome::Unchanged,
        Outcome::Changed,
        Outcome::Changed,
        Outcome::Unchanged,
    ];
    while let Some(step) = schedule.next() {
        told.push((step.id.0, step.dependency_changed));
        schedule
            .finished(step.id, outcomes[step.id.index()])
            .unwrap();
    }
    assert_eq!(told, [(0, false), (1, false), (2, false), (3, true)]);
}

#[test]
fn what_runs_when_another_fails_is_still_reported() {
    let graph = graph(3, &[]);
    let mut schedule = schedule(&graph, FailurePolicy::Never);
    let (a, b) = (schedule.next().unwrap().id, schedule.next().unwrap().id);
    schedule.finished(a, Outcome::Failed).unwrap();
    assert_eq!(schedule.next(), None);
    assert!(!schedule.is_done());
    schedule.finished(b, Outcome::Changed).unwrap();
    assert!(schedule.is_done());
}

#[test]
fn cancel_skips_hooks_too() {
    let mut schedule = schedule(&with_hook(), FailurePolicy::Always);
    let first = schedule.next().unwrap().id;
    schedule.cancel();
    schedule.finished(first, Outcome::Changed).unwrap();
    assert!(schedule.is_done());
    let skipped = skips(&mut schedule);
    assert_eq!(skipped.len(), 4);
    assert!(
        skipped
            .iter()
            .all(|(_, reason)| *reason == SkipReason::Cancelled)
    );
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let graph = graph(2, &[(1, 0, Link::DEPENDENCY)]);
    let mut schedule = schedule(&graph, FailurePolicy::Never);
    let refused = |id, status| {
        Err(NotRunning {
            id: NodeId(id),
            status,
        })
    };
    let report = |schedule: &mut Schedule, id| schedule.finished(NodeId(id), Outcome::Changed);

    assert_eq!(report(&mut schedule, 0), refused(0, Some(Status::Ready)));
    assert_eq!(report(&mut schedule, 1), refused(1, Some(Status::Waiting)));
    assert_eq!(report(&mut schedule, 9), refused(9, None));
    assert_eq!(schedule.next().unwrap().id, NodeId(0));
    report(&mut schedule, 0).unwrap();
    let ended = Some(Status::Ended(Outcome::Changed));
    assert_eq!(report(&mut schedule, 0), refused(0, ended));
    assert_eq!(order(&mut schedule, &[]), [1]);
}

#[test]
fn cycles_and_short_priorities_are_refused() {
    let circle = graph(2, &[(0, 1, Link::AFTER_FINISH), (1, 0, Link::DEPENDENCY)]);
    let result = Schedule::new(&circle, &[0, 0], FailurePolicy::Never, |_, _, link| *link);
    let Err(ScheduleError::Cycle(cycle)) = result else {
        panic!("a cycle was accepted");
    };
    assert_eq!(cycle.path, [NodeId(0), NodeId(1)]);

    let result = Schedule::new(&with_hook(), &[0], FailurePolicy::Never, |_, _, link| *link);
    let expected = ScheduleError::Priorities {
        needed: 5,
        found: 1,
    };
    assert_eq!(result.unwrap_err(), expected);
}

#[test]
fn an_empty_graph_is_done_at_once() {
    let mut schedule = schedule(&graph(0, &[]), FailurePolicy::Never);
    assert!(schedule.is_done());
    assert_eq!(schedule.next(), None);
}

#[test]
fn links_between_the_same_two_nodes_join_to_the_stricter() {
    let joined = Link::AFTER_FINISH.and(Link::DEPENDENCY);
    assert_eq!(joined, Link::DEPENDENCY);
    assert_eq!(
        Link::AFTER_FINISH.and(Link::AFTER_FINISH),
        Link::AFTER_FINISH
    );
    assert_eq!(FINISH_AND_TELL.and(Link::AFTER_SUCCESS), Link::DEPENDENCY);
}

/// A chain of 100,000 nodes whose first fails, and a hub with as many dependents: quadratic work or
/// recursion would not end here.
#[test]
fn large_graphs_are_scheduled_without_quadratic_work() {
    const NODES: u32 = 100_000;
    let chain: Vec<_> = (1..NODES)
        .map(|id| (id, id - 1, Link::DEPENDENCY))
        .collect();
    let chain = graph(NODES, &chain);
    let mut failing = schedule(&chain, FailurePolicy::DependenciesSuccessful);
    assert_eq!(order(&mut failing, &[0]), [0]);
    assert_eq!(skips(&mut failing).len(), NODES as usize - 1);

    // Node 0 is a hub below all, the last node waits for all.
    let mut edges: Vec<_> = (1..NODES - 1).map(|id| (id, 0, Link::DEPENDENCY)).collect();
    edges.extend((0..NODES - 1).map(|id| (NODES - 1, id, Link::AFTER_FINISH)));
    let hub = graph(NODES, &edges);
    let priorities = critical_path(&hub, |id| u64::from(id.0)).unwrap();
    let mut schedule =
        Schedule::new(&hub, &priorities, FailurePolicy::Never, |_, _, link| *link).unwrap();
    let order = order(&mut schedule, &[]);
    assert_eq!(order.len(), NODES as usize);
    // The heaviest first.
    assert_eq!(order[..2], [0, NODES - 2]);
    assert_eq!(order[order.len() - 1], NODES - 1);
}
