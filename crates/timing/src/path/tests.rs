//! Runs whose account is known by hand, and random ones held against what must be true of any.

use proptest::prelude::*;

use super::*;

fn task(name: &str, start_ns: u64, end_ns: u64, worker: u32, deps: &[&str]) -> TaskRow {
    TaskRow {
        task: name.into(),
        start_ns,
        duration_ns: end_ns - start_ns,
        worker: Some(worker),
        deps: deps.iter().map(|dep| (*dep).to_owned()).collect(),
        ..TaskRow::default()
    }
}

fn run(workers: u32, tasks: Vec<TaskRow>) -> RunRow {
    RunRow {
        workers,
        duration_ns: 1_000,
        saved_ns: 5,
        tasks,
        ..RunRow::default()
    }
}

/// ```text
/// worker 0: |ui 10..40|web 42..90|        e2e waits for web, web for ui, docs for nothing but a worker
/// worker 1: |docs 12..60|lint 60..70|  |e2e 95..100|
/// ```
fn example() -> RunRow {
    run(
        2,
        vec![
            task("ui", 10, 40, 0, &[]),
            task("docs", 12, 60, 1, &[]),
            task("web", 42, 90, 0, &["ui", "no part of this run"]),
            task("lint", 60, 70, 1, &[]),
            task("e2e", 95, 100, 1, &["web"]),
        ],
    )
}

#[test]
fn the_critical_path_is_what_each_task_really_waited_for() {
    let analysis = analyse(&example());
    let step = |task, waited_for, gap_ns| Step {
        task,
        waited_for,
        gap_ns,
    };
    assert_eq!(
        analysis.critical_path,
        [
            step(0, WaitedFor::Start, 0),
            step(2, WaitedFor::Dependency, 2),
            step(4, WaitedFor::Dependency, 5)
        ]
    );
    assert_eq!(
        (analysis.critical_ns, analysis.span_ns, analysis.busy_ns),
        (83, 90, 141)
    );
    // docs and lint could each have ended 25 later: then e2e, on the same worker, would have had to wait.
    assert_eq!(analysis.slack_ns, [0, 25, 0, 25, 0]);
    assert!((analysis.efficiency - 141.0 / 180.0).abs() < 1e-9);
    assert_eq!(analysis.saved_ns, 5);
}

#[test]
fn a_task_that_waited_for_a_worker_says_so() {
    let analysis = analyse(&run(
        1,
        vec![task("b", 10, 15, 0, &[]), task("a", 0, 10, 0, &[])],
    ));
    let path: Vec<_> = analysis
        .critical_path
        .iter()
        .map(|step| (step.task, step.waited_for))
        .collect();
    assert_eq!(path, [(1, WaitedFor::Start), (0, WaitedFor::Worker)]);
    assert!((analysis.efficiency - 1.0).abs() < 1e-9);
}

#[test]
fn a_run_without_tasks_has_no_path_and_no_efficiency() {
    let analysis = analyse(&run(4, vec![]));
    assert_eq!(
        analysis,
        Analysis {
            workers: 4,
            saved_ns: 5,
            ..Analysis::default()
        }
    );
    assert_eq!(what_if(&run(4, vec![]), Change::Workers(1)).run_ns, 1_000);
}

#[test]
fn unknown_workers_are_counted_by_what_ran_at_once() {
    let mut tasks = example().tasks;
    for task in &mut tasks {
        task.worker = None;
    }
    let analysis = analyse(&run(0, tasks));
    assert_eq!(analysis.workers, 2);
    assert_eq!(analysis.slack_ns, [0, 40, 0, 30, 0]);
}

#[test]
fn a_free_task_and_more_workers_shorten_the_run_by_what_they_decide() {
    let example = example();
    let free = |name| what_if(&example, Change::Free(name));
    // Planned without gaps: ui 0..30, web 30..78, e2e 78..83; docs and lint beside them. Without web, docs alone takes 48.
    assert_eq!(
        free("web"),
        WhatIf {
            planned_ns: 83,
            changed_ns: 48,
            run_ns: 965
        }
    );
    assert_eq!(free("docs").run_ns, 1_000, "it decides nothing");
    assert_eq!(free("no such").run_ns, 1_000);
    let workers = |count| what_if(&example, Change::Workers(count)).changed_ns;
    assert_eq!(
        [workers(0), workers(1), workers(2), workers(9)],
        [141, 141, 83, 83]
    );
}

#[test]
fn times_that_contradict_themselves_are_no_trouble() {
    let mut tasks = vec![task("a", 0, 10, 0, &["b", "a"]), task("b", 5, 6, 0, &["a"])];
    tasks.push(TaskRow {
        start_ns: u64::MAX,
        duration_ns: u64::MAX,
        ..tasks[0].clone()
    });
    let run = run(1, tasks);
    let analysis = analyse(&run);
    assert_eq!(analysis.slack_ns.len(), 3);
    what_if(&run, Change::Workers(1));
}

/// Tasks with durations and earlier dependencies, run by a scheduler that takes them in their order.
fn random_run() -> impl Strategy<Value = RunRow> {
    let rows = prop::collection::vec(
        (
            0_u64..20,
            prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        ),
        1..14,
    );
    (rows, 1_u32..4).prop_map(|(rows, workers)| {
        let mut free = vec![0_u64; workers as usize];
        let mut tasks: Vec<TaskRow> = Vec::new();
        for (at, (duration, deps)) in rows.iter().enumerate() {
            let deps: Vec<usize> = if at == 0 {
                vec![]
            } else {
                deps.iter().map(|dep| dep.index(at)).collect()
            };
            let ready = deps
                .iter()
                .map(|&dep| tasks[dep].end_ns())
                .max()
                .unwrap_or(0);
            let worker = (0..free.len()).min_by_key(|&worker| free[worker]).unwrap();
            let start = ready.max(free[worker]);
            free[worker] = start + duration;
            let names: Vec<String> = deps.iter().map(usize::to_string).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            tasks.push(task(
                &at.to_string(),
                start,
                start + duration,
                u32::try_from(worker).unwrap(),
                &names,
            ));
        }
        run(workers, tasks)
    })
}

proptest! {
    #[test]
    fn a_run_without_gaps_is_its_critical_path(run in random_run()) {
        let analysis = analyse(&run);
        prop_assert_eq!(analysis.critical_ns, analysis.span_ns);
        for step in &analysis.critical_path {
            prop_assert_eq!((step.gap_ns, analysis.slack_ns[step.task]), (0, 0));
        }
        for pair in analysis.critical_path.windows(2) {
            prop_assert_eq!(run.tasks[pair[0].task].end_ns(), run.tasks[pair[1].task].start_ns);
        }
        prop_assert!(analysis.efficiency <= 1.0 + 1e-9);
    }

    #[test]
    fn a_schedule_keeps_the_bounds_of_any_and_that_of_graham(run in random_run(), workers in 1_u32..5) {
        let planned = what_if(&run, Change::Workers(workers)).changed_ns;
        let chain = what_if(&run, Change::Workers(1_000)).changed_ns;
        let work: u64 = run.tasks.iter().map(|task| task.duration_ns).sum();
        let count = u64::from(workers);
        prop_assert!(planned >= chain && planned * count >= work);
        // Graham (1966): never longer than the work shared evenly and the chain on top.
        prop_assert!(planned * count <= work + (count - 1) * chain);
        prop_assert_eq!(what_if(&run, Change::Workers(1)).changed_ns, work);
    }
}
