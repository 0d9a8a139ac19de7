//! Lanes for what ran side by side: things that share a lane never overlap.
//! Does not know how lanes are drawn.

use crate::run::TaskRow;

/// Which lane each task lies in, and what the lanes are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// The lane of each task, by its index; an index into `names`.
    pub(crate) of: Vec<usize>,
    /// What the lanes are called, first to last.
    pub(crate) names: Vec<String>,
}

/// Puts each task into the lane of its worker. A task without one, or whose worker was busy by the record, gets the first
/// free lane after those of the workers.
pub(crate) fn lanes(tasks: &[TaskRow], workers: u32) -> Lanes {
    // A worker beyond the number of tasks cannot have been needed; a damaged record must not make millions of lanes.
    let most = workers.min(u32::try_from(tasks.len()).unwrap_or(u32::MAX)) as usize;
    let known = tasks.iter().filter_map(worker).map(|worker| worker + 1);
    let workers = known
        .filter(|worker| *worker <= tasks.len().max(most))
        .max()
        .unwrap_or(0)
        .max(most);
    let mut names: Vec<String> = (1..=workers).map(|lane| format!("worker {lane}")).collect();
    let mut busy_until = vec![0_u64; workers];
    let mut of = vec![0; tasks.len()];
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|at| (tasks[*at].start_ns, tasks[*at].end_ns()));
    for at in order {
        let task = &tasks[at];
        let own = worker(task).filter(|lane| *lane < workers && busy_until[*lane] <= task.start_ns);
        let lane = own.unwrap_or_else(|| {
            let free = busy_until[workers..]
                .iter()
                .position(|until| *until <= task.start_ns);
            free.map_or(busy_until.len(), |lane| workers + lane)
        });
        if lane == busy_until.len() {
            busy_until.push(0);
            names.push(format!("lane {}", lane + 1));
        }
        busy_until[lane] = task.end_ns();
        of[at] = lane;
    }
    Lanes { of, names }
}

fn worker(task: &TaskRow) -> Option<usize> {
    task.worker.and_then(|worker| usize::try_from(worker).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn task(start_ns: u64, duration_ns: u64, worker: Option<u32>) -> TaskRow {
        TaskRow {
            start_ns,
            duration_ns,
            worker,
            ..TaskRow::default()
        }
    }

    #[test]
    fn a_task_lies_where_it_ran() {
        let tasks = [
            task(0, 5, Some(1)),
            task(5, 5, Some(1)),
            task(0, 9, Some(0)),
            task(1, 2, None),
        ];
        let lanes = lanes(&tasks, 2);
        assert_eq!(lanes.of, [1, 1, 0, 2]);
        assert_eq!(lanes.names, ["worker 1", "worker 2", "lane 3"]);
    }

    #[test]
    fn an_absurd_worker_makes_no_lanes() {
        let tasks = [task(0, 5, Some(u32::MAX))];
        assert_eq!(lanes(&tasks, u32::MAX).names, ["worker 1", "lane 2"]);
    }

    proptest! {
        #[test]
        fn nothing_overlaps(rows in prop::collection::vec((0_u64..50, 0_u64..20, prop::option::of(0_u32..4)), 0..40)) {
            let tasks: Vec<TaskRow> = rows.iter().map(|(start, long, worker)| task(*start, *long, *worker)).collect();
            let lanes = lanes(&tasks, 3);
            for one in 0..tasks.len() {
                prop_assert!(lanes.of[one] < lanes.names.len());
                for two in 0..one {
                    if lanes.of[one] == lanes.of[two] {
                        let (a, b) = (&tasks[one], &tasks[two]);
                        prop_assert!(a.end_ns() <= b.start_ns || b.end_ns() <= a.start_ns);
                    }
                }
            }
        }
    }
}
