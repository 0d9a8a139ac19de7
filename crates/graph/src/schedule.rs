//! Says which node may start next, given what has ended and how: a state machine without threads or clocks.
//! Does not know what a node does, how long it takes, or how many run at once: the caller asks, runs and reports.
//!
//! ```text
//!             all awaited ended            next()              finished()
//!   Waiting ─────────────────────▶ Ready ─────────▶ Running ────────────────▶ Ended
//!      │                             │
//!      └──────────────┬──────────────┘
//!                     ▼  an awaited node failed or was skipped; stop; cancel
//!                  Skipped
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::graph::Graph;
use crate::id::NodeId;
use crate::order::Cycle;

/// What happens to the rest after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Nothing new starts, except nodes that have an edge of kind [`Wait::Finish`]; what runs goes on.
    Never,
    /// Only nodes that needed the failed one, directly or not, are skipped.
    DependenciesSuccessful,
    /// Everything runs; see [`Step::after_failure`].
    Always,
}

/// What a node waits for at the other end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its success: the waiting node is skipped if it fails or is skipped (unless everything runs always).
    Success,
    /// Its end, however it ends, being skipped included. Such a node also runs after a stop.
    Finish,
}

/// What an edge means to the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What the dependent waits for.
    pub wait: Wait,
    /// Whether the dependent is told when this dependency changed.
    pub passes_change: bool,
}

impl Link {
    /// A dependency: needs success, passes changes on.
    pub const DEPENDENCY: Self = Self {
        wait: Wait::Success,
        passes_change: true,
    };
    /// Order on success: needs success, passes no change on.
    pub const AFTER_SUCCESS: Self = Self {
        wait: Wait::Success,
        passes_change: false,
    };
    /// Order alone: waits for the end, passes no change on.
    pub const AFTER_FINISH: Self = Self {
        wait: Wait::Finish,
        passes_change: false,
    };

    /// One link that asks for whatever either asks for: success if either does, and changes likewise.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            wait: if self.wait == Wait::Success {
                Wait::Success
            } else {
                other.wait
            },
            passes_change: self.passes_change || other.passes_change,
        }
    }
}

/// How a node that ran ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, and what its dependents see of it is different from before.
    Changed,
    /// It succeeded, and its dependents see nothing new.
    Unchanged,
    /// It failed.
    Failed,
}

/// A node that is to start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which node.
    pub id: NodeId,
    /// Something that it waited for, directly or not and by whatever link, failed or was skipped.
    pub after_failure: bool,
    /// Some direct dependency that passes changes on ended in another way than [`Outcome::Unchanged`].
    /// False means early cut-off: nothing new comes from there.
    pub dependency_changed: bool,
}

/// Why a node was never started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It needed, directly or not, a node that failed.
    DependencyFailed {
        /// The node that failed.
        failed: NodeId,
        /// The direct dependency through which that came: `failed` itself, or one skipped because of it.
        through: NodeId,
    },
    /// The policy is [`FailurePolicy::Never`] and a node that it did not need had failed.
    Stopped {
        /// The first node that failed.
        failed: NodeId,
    },
    /// [`Schedule::cancel`] was called.
    Cancelled,
}

/// A node that was never started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Which node.
    pub id: NodeId,
    /// Why.
    pub reason: SkipReason,
}

/// Where a node stands; the drawing at the head of this module shows the ways between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Something that it waits for has not ended.
    Waiting,
    /// It can start.
    Ready,
    /// It was handed out and has not been reported finished.
    Running,
    /// It ran.
    Ended(Outcome),
    /// It will not run.
    Skipped(SkipReason),
}

/// A schedule cannot be made from this graph or these priorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The graph has a cycle.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// The priorities do not cover every id.
    #[error("{found} priorities for a graph with ids below {needed}")]
    Priorities {
        /// The [`bound`](Graph::bound) of the graph.
        needed: usize,
        /// How many were given.
        found: usize,
    },
}

/// A node was reported finished that is not running: never handed out, already finished, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {id} was reported finished but is not running")]
pub struct NotRunning {
    /// The node.
    pub id: NodeId,
    /// Where it stands; `None` if the schedule has no such node.
    pub status: Option<Status>,
}

/// The state of one run over a graph. Holds no reference to the graph.
///
/// All calls over a whole run together cost O((nodes + edges) · log nodes).
#[derive(Clone, Debug)]
pub struct Schedule {
    cells: Vec<Option<Cell>>,
    /// The waiting ends of all edges, those of node `i` at `starts[i]..starts[i + 1]`.
    waiters: Vec<(NodeId, Link)>,
    starts: Vec<usize>,
    policy: FailurePolicy,
    /// Ready nodes; may hold some that have been skipped since.
    ready: BinaryHeap<(u64, Reverse<NodeId>)>,
    skipped: VecDeque<Skipped>,
    stopped: bool,
    running: usize,
    unended: usize,
}

#[derive(Clone, Debug)]
struct Cell {
    status: Status,
    priority: u64,
    /// How many of those that it waits for have not ended.
    awaited: usize,
    runs_after_stop: bool,
    after_failure: bool,
    dependency_changed: bool,
}

impl Schedule {
    /// A schedule of all nodes. Of those that can start, the one with the highest priority starts first,
    /// among equals the one with the lowest id; `priorities` is indexed by id. `link` says of each edge
    /// (dependent, dependency, edge) what it means.
    ///
    /// # Errors
    /// When the graph has a cycle, or there are fewer priorities than the graph's
    /// [`bound`](Graph::bound).
    pub fn new<N, E>(
        graph: &Graph<N, E>,
        priorities: &[u64],
        policy: FailurePolicy,
        link: impl Fn(NodeId, NodeId, &E) -> Link,
    ) -> Result<Self, ScheduleError> {
        if priorities.len() < graph.bound() {
            return Err(ScheduleError::Priorities {
                needed: graph.bound(),
                found: priorities.len(),
            });
        }
        graph.topological_order()?;
        let mut cells: Vec<Option<Cell>> = Vec::new();
        cells.resize_with(graph.bound(), || None);
        for id in graph.ids() {
            cells[id.index()] = Some(Cell {
                status: Status::Waiting,
                priority: priorities[id.index()],
                awaited: graph.dependencies(id).len(),
                runs_after_stop: false,
                after_failure: false,
                dependency_changed: false,
            });
        }
        let mut starts = Vec::with_capacity(graph.bound() + 1);
        let mut total = 0;
        starts.push(0);
        for slot in 0..graph.bound() {
            total += graph.dependents(NodeId::of(slot)).len();
            starts.push(total);
        }
        // Edges come by ascending dependent, so each node's waiters are filled in ascending order.
        let mut fill = starts.clone();
        let mut waiters = vec![(NodeId(0), Link::DEPENDENCY); total];
        for (from, to, edge) in graph.edges() {
            let link = link(from, to, edge);
            if let (Wait::Finish, Some(cell)) = (link.wait, &mut cells[from.index()]) {
                cell.runs_after_stop = true;
            }
            waiters[fill[to.index()]] = (from, link);
            fill[to.index()] += 1;
        }
        let mut schedule = Self {
            cells,
            waiters,
            starts,
            policy,
            ready: BinaryHeap::new(),
            skipped: VecDeque::new(),
            stopped: false,
            running: 0,
            unended: graph.len(),
        };
        for id in graph.ids() {
            schedule.ready_if_free(id);
        }
        Ok(schedule)
    }

    /// Starts the next node: it counts as running until it is reported [`finished`](Self::finished).
    /// `None` when nothing can start now; more may follow once something running has finished.
    // Not an iterator: an iterator that says `None` has nothing more to give.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Step> {
        loop {
            let (_, Reverse(id)) = self.ready.pop()?;
            let Some(cell) = self.cell_mut(id) else {
                continue;
            };
            if cell.status == Status::Ready {
                cell.status = Status::Running;
                let step = Step {
                    id,
                    after_failure: cell.after_failure,
                    dependency_changed: cell.dependency_changed,
                };
                self.running += 1;
                return Some(step);
            }
        }
    }

    /// Reports how a running node ended; what waited for it becomes ready or is skipped.
    ///
    /// # Errors
    /// [`NotRunning`] when the node is not running; nothing is changed then.
    pub fn finished(&mut self, id: NodeId, outcome: Outcome) -> Result<(), NotRunning> {
        match self.cell_mut(id) {
            Some(cell) if cell.status == Status::Running => cell.status = Status::Ended(outcome),
            cell => {
                let status = cell.map(|cell| cell.status);
                return Err(NotRunning { id, status });
            }
        }
        self.running -= 1;
        self.unended -= 1;
        self.tell_waiters(VecDeque::from([id]));
        if outcome == Outcome::Failed && self.policy == FailurePolicy::Never && !self.stopped {
            self.stopped = true;
            self.skip_unstarted(SkipReason::Stopped { failed: id }, |cell| {
                !cell.runs_after_stop
            });
        }
        Ok(())
    }

    /// Skips everything that has not started, whatever its links. What runs goes on, and is to be
    /// reported as usual.
    pub fn cancel(&mut self) {
        self.skip_unstarted(SkipReason::Cancelled, |_| true);
    }

    /// Whether every node has ended or was skipped.
    pub fn is_done(&self) -> bool {
        self.unended == 0
    }

    /// How many nodes are running.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many nodes have neither ended nor been skipped, running ones included.
    pub fn remaining(&self) -> usize {
        self.unended
    }

    /// The next skipped node, in the order in which they were skipped; each comes up once.
    pub fn pop_skipped(&mut self) -> Option<Skipped> {
        self.skipped.pop_front()
    }

    /// Where a node stands; `None` if the schedule has no such node.
    pub fn status(&self, id: NodeId) -> Option<Status> {
        Some(self.cells.get(id.index())?.as_ref()?.status)
    }

    fn cell_mut(&mut self, id: NodeId) -> Option<&mut Cell> {
        self.cells.get_mut(id.index())?.as_mut()
    }

    fn ready_if_free(&mut self, id: NodeId) {
        if let Some(cell) = self.cell_mut(id)
            && cell.status == Status::Waiting
            && cell.awaited == 0
        {
            cell.status = Status::Ready;
            let entry = (cell.priority, Reverse(id));
            self.ready.push(entry);
        }
    }

    fn skip(&mut self, id: NodeId, reason: SkipReason) {
        if let Some(cell) = self.cell_mut(id) {
            cell.status = Status::Skipped(reason);
            self.skipped.push_back(Skipped { id, reason });
            self.unended -= 1;
        }
    }

    fn skip_unstarted(&mut self, reason: SkipReason, which: impl Fn(&Cell) -> bool) {
        let skipped: VecDeque<NodeId> = (0..self.cells.len())
            .filter(|&index| {
                self.cells[index].as_ref().is_some_and(|cell| {
                    matches!(cell.status, Status::Waiting | Status::Ready) && which(cell)
                })
            })
            .map(NodeId::of)
            .collect();
        for &id in &skipped {
            self.skip(id, reason);
        }
        self.tell_waiters(skipped);
    }

    /// Tells those that wait for nodes that have just ended, and theirs in turn where that skips them.
    fn tell_waiters(&mut self, mut ended: VecDeque<NodeId>) {
        while let Some(id) = ended.pop_front() {
            let Some(cell) = self.cells[id.index()].as_ref() else {
                continue;
            };
            let status = cell.status;
            let skip = skip_passed_on(id, status);
            let taints = cell.after_failure || skip.is_some();
            for at in self.starts[id.index()]..self.starts[id.index() + 1] {
                let (waiter, link) = self.waiters[at];
                let policy = self.policy;
                let Some(cell) = self.cell_mut(waiter) else {
                    continue;
                };
                if cell.status != Status::Waiting {
                    continue;
                }
                cell.awaited -= 1;
                cell.after_failure |= taints;
                cell.dependency_changed |=
                    link.passes_change && status != Status::Ended(Outcome::Unchanged);
                match skip {
                    Some(reason)
                        if link.wait == Wait::Success && policy != FailurePolicy::Always =>
                    {
                        self.skip(waiter, reason);
                        ended.push_back(waiter);
                    }
                    _ => self.ready_if_free(waiter),
                }
            }
        }
    }
}

/// Why those that need `id` to succeed cannot run, if they cannot.
fn skip_passed_on(id: NodeId, status: Status) -> Option<SkipReason> {
    match status {
        Status::Ended(Outcome::Failed) => Some(SkipReason::DependencyFailed {
            failed: id,
            through: id,
        }),
        Status::Skipped(SkipReason::DependencyFailed { failed, .. }) => {
            Some(SkipReason::DependencyFailed {
                failed,
                through: id,
            })
        }
        Status::Skipped(reason) => Some(reason),
        Status::Waiting | Status::Ready | Status::Running | Status::Ended(_) => None,
    }
}
