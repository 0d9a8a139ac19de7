//! Holds the pruning against a naive model that grows sets edge by edge.
//! Does not know how the walk is done.

use proptest::prelude::*;

use super::*;

/// A request: what each task needs (always earlier ones), which earlier task it follows, what was asked for.
#[derive(Debug, Clone)]
struct Case {
    needs: Vec<BTreeSet<usize>>,
    follows: Vec<Option<usize>>,
    after_all: Option<usize>,
    requested: BTreeSet<usize>,
    include: BTreeSet<usize>,
    exclude: BTreeSet<usize>,
    depth: Option<usize>,
    up: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let count = 9_usize;
    let some = || prop::collection::btree_set(0..count, 0..4);
    let needs = prop::collection::vec(some(), count);
    let follows = prop::collection::vec(prop::option::weighted(0.2, 0..count), count);
    let limit = || prop::option::of(0..4_usize);
    let last = prop::option::weighted(0.3, 0..count);
    (
        needs,
        follows,
        last,
        some(),
        some(),
        some(),
        limit(),
        limit(),
    )
        .prop_map(
            |(mut needs, mut follows, after_all, requested, include, exclude, depth, up)| {
                for task in 0..needs.len() {
                    needs[task].retain(|&other| other < task);
                    follows[task] = follows[task].filter(|&other| other < task);
                }
                // Of a request with dependents, globs are needed to start from.
                let up = up.filter(|_| !include.is_empty());
                Case {
                    needs,
                    follows,
                    after_all,
                    requested,
                    include,
                    exclude,
                    depth,
                    up,
                }
            },
        )
}

impl Case {
    fn graph(&self) -> Graph<usize, DepKind> {
        let mut graph = Graph::new();
        let nodes: Vec<NodeId> = (0..self.needs.len())
            .map(|task| graph.add_node(task))
            .collect();
        for task in 0..nodes.len() {
            if let Some(followed) = self.follows[task] {
                graph
                    .add_edge(nodes[task], nodes[followed], DepKind::After)
                    .unwrap();
            }
            for &needed in &self.needs[task] {
                let kind = DepKind::Needs { transitive: true };
                graph.add_edge(nodes[task], nodes[needed], kind).unwrap();
            }
        }
        graph
    }

    fn filter(&self) -> GraphFilter {
        let mut items: Vec<String> = self
            .include
            .iter()
            .map(|task| format!("p#{task}"))
            .collect();
        items.extend(self.exclude.iter().map(|task| format!("!p#{task}")));
        items.extend(self.depth.map(|depth| format!("depth={depth}")));
        items.extend(self.up.map(|up| format!("up={up}")));
        GraphFilter::parse(&items).unwrap()
    }

    fn pruned(&self) -> (BTreeSet<usize>, Vec<LeftOut>) {
        let after_all: Vec<usize> = self.after_all.into_iter().collect();
        let graph = self.graph();
        let request = Request {
            graph: &graph,
            requested: &self.requested,
            id: &|task| format!("p#{task}"),
            has_chunks: &|_| false,
            followers: &|task| {
                (0..self.follows.len())
                    .filter(|&hook| self.follows[hook] == Some(task))
                    .collect()
            },
            after_all: &after_all,
        };
        prune(&request, &self.filter())
    }

    /// What is kept, by the book.
    fn kept(&self, exclude: &BTreeSet<usize>, depth: Option<usize>) -> BTreeSet<usize> {
        let count = self.needs.len();
        let allowed = |tasks: BTreeSet<usize>| -> BTreeSet<usize> {
            tasks.difference(exclude).copied().collect()
        };
        let starts = if self.include.is_empty() {
            &self.requested
        } else {
            &self.include
        };
        let mut starts = allowed(starts.clone());
        for _ in 0..self.up.unwrap_or(0) {
            let more = (0..count).filter(|&task| {
                self.needs[task]
                    .iter()
                    .any(|needed| starts.contains(needed))
            });
            let more = allowed(more.collect());
            starts.extend(more);
        }
        loop {
            let mut found = starts.clone();
            for _ in 0..depth.unwrap_or(count) {
                let more = found
                    .iter()
                    .flat_map(|&task| self.needs[task].iter().copied())
                    .collect();
                found.extend(allowed(more));
            }
            let mut hooks: BTreeSet<usize> = (0..count)
                .filter(|&hook| {
                    self.follows[hook].is_some_and(|followed| found.contains(&followed))
                })
                .collect();
            if !found.is_empty() {
                hooks.extend(self.after_all);
            }
            let hooks = allowed(hooks);
            if hooks.is_subset(&starts) {
                return found;
            }
            starts.extend(hooks);
        }
    }
}

proptest! {
    #[test]
    fn what_is_kept_is_what_the_model_keeps_and_each_other_task_has_a_rule(case in case()) {
        let (kept, left_out) = case.pruned();
        prop_assert_eq!(&kept, &case.kept(&case.exclude, case.depth));
        let named: BTreeSet<String> = left_out.iter().map(|left_out| left_out.task.clone()).collect();
        let expected: BTreeSet<String> = (0..case.needs.len())
            .filter(|task| !kept.contains(task))
            .map(|task| format!("p#{task}"))
            .collect();
        prop_assert_eq!(named, expected);
        for LeftOut { task, rule } in left_out {
            let at: usize = task[2..].parse().unwrap();
            let deeper = case.kept(&case.exclude, None).contains(&at);
            let behind = case.kept(&BTreeSet::new(), None).contains(&at);
            match rule {
                Rule::Excluded(item) => prop_assert_eq!(item, format!("!p#{at}")),
                Rule::Beyond(depth) => prop_assert!(deeper && case.depth == Some(depth)),
                Rule::Behind => prop_assert!(!deeper && behind),
                Rule::Unmatched(_) => prop_assert!(!deeper && !behind),
            }
        }
    }
}
