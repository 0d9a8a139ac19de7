//! What the check for regressions promises, on synthetic series with known shifts.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../examples/synthetic/mod.rs"]
mod synthetic;

use larder_timing::{
    CacheState, Outcome, Rule, RunRow, TaskRow, Verdict, check, compare, measures, phase_measures,
};
use synthetic::{Noise, rate};

#[test]
fn noise_alone_is_called_slower_in_one_check_of_a_hundred_at_most() {
    // Of the steady kinds the share does not matter, of the others the quietest is the hardest.
    for (noise, share) in [
        (Noise::Normal, 0.1),
        (Noise::HeavyTailed, 0.1),
        (Noise::Swing, 0.02),
        (Noise::Wander, 0.02),
    ] {
        for recent in [5, 10] {
            let rate = rate(noise, share, recent, 0.0, 600);
            assert!(rate <= 0.01, "{noise:?} {share} {recent}: {rate}");
        }
    }
}

#[test]
fn shifts_well_beyond_the_noise_are_found() {
    for (noise, share, recent, shift, least) in [
        (Noise::Normal, 0.02, 10, 0.03, 0.6),
        (Noise::Normal, 0.02, 5, 0.05, 0.8),
        (Noise::Normal, 0.02, 10, 0.05, 0.9),
        (Noise::Normal, 0.05, 10, 0.10, 0.85),
        (Noise::HeavyTailed, 0.02, 10, 0.10, 0.95),
        (Noise::Swing, 0.02, 10, 0.10, 0.95),
        (Noise::Wander, 0.02, 10, 0.10, 0.95),
    ] {
        let rate = rate(noise, share, recent, shift, 200);
        assert!(rate >= least, "{noise:?} {share} {recent} {shift}: {rate}");
    }
}

/// Durations around `level` that differ by up to 1 %.
fn around(level: u64, count: u64) -> Vec<u64> {
    (0..count)
        .map(|at| level + level * (at * 7 % 11) / 1000)
        .collect()
}

#[test]
fn too_few_durations_say_nothing_however_far_apart() {
    let rule = Rule::default();
    let verdict =
        |before, after| compare(&around(1_000, before), &around(9_000, after), &rule).verdict;
    assert_eq!(verdict(rule.least_before as u64 - 1, 50), Verdict::TooFew);
    assert_eq!(verdict(50, rule.least_after as u64 - 1), Verdict::TooFew);
    assert_eq!(
        verdict(rule.least_before as u64, rule.least_after as u64),
        Verdict::Slower
    );
    assert_eq!(verdict(0, 0), Verdict::TooFew);
}

#[test]
fn a_change_is_told_with_its_size_interval_and_confidence() {
    let (before, after) = (around(1_000_000, 20), around(1_100_000, 10));
    let slower = compare(&before, &after, &Rule::default());
    assert_eq!(slower.verdict, Verdict::Slower);
    assert!((slower.change - 0.1).abs() < 0.005, "{slower:?}");
    assert!(
        slower.low <= slower.change && slower.change <= slower.high && slower.low > slower.band
    );
    assert!(slower.confidence() > 0.999);
    assert!(slower.is_slower_by(0.05) && !slower.is_slower_by(0.15));
    assert_eq!((slower.before.samples, slower.after.samples), (20, 10));
    assert_eq!(slower.before.median_ns, 1_005_000);

    let faster = compare(&after, &before, &Rule::default());
    assert_eq!(faster.verdict, Verdict::Faster);
    assert!(!faster.is_slower_by(-1.0));
}

#[test]
fn equal_durations_are_the_same_and_a_clear_change_of_a_quiet_task_is_none_the_less() {
    let rule = Rule::default();
    assert_eq!(compare(&[0; 20], &[0; 10], &rule).verdict, Verdict::Same);
    assert_eq!(compare(&[5; 20], &[5; 10], &rule).verdict, Verdict::Same);
    assert_eq!(
        compare(&[5_000; 20], &[5_100; 10], &rule).verdict,
        Verdict::Slower
    );
}

#[test]
fn a_former_change_of_level_neither_hides_the_next_nor_is_told_again() {
    let rule = Rule::default();
    let step = [around(1_000_000, 15), around(1_500_000, 15)].concat();
    let still = check(&[step.clone(), around(1_500_000, 10)].concat(), 10, &rule);
    assert_eq!((still.verdict, still.before.samples), (Verdict::Same, 15));
    let next = check(&[step, around(1_580_000, 10)].concat(), 10, &rule);
    assert_eq!(next.verdict, Verdict::Slower);
    assert!((next.change - 0.053).abs() < 0.005, "{next:?}");
}

#[test]
fn a_series_shorter_than_the_recent_part_has_too_few() {
    assert_eq!(
        check(&[1, 2, 3], 5, &Rule::default()).verdict,
        Verdict::TooFew
    );
    assert_eq!(check(&[], 5, &Rule::default()).verdict, Verdict::TooFew);
}

#[test]
fn only_successful_executions_on_one_machine_are_measures() {
    let row = |host: &str, duration_ns, outcome, cache| {
        let run = RunRow {
            host: host.into(),
            ..RunRow::default()
        };
        (
            run,
            TaskRow {
                duration_ns,
                outcome,
                cache,
                ..TaskRow::default()
            },
        )
    };
    let rows = [
        row("a", 6, Outcome::Success, CacheState::Executed),
        row("a", 5, Outcome::Failure, CacheState::Executed),
        row("a", 4, Outcome::Cancelled, CacheState::Executed),
        row("a", 3, Outcome::Success, CacheState::Restored),
        row("b", 2, Outcome::Success, CacheState::Executed),
        row("a", 1, Outcome::Success, CacheState::Executed),
    ];
    assert_eq!(measures(&rows, "a"), [1, 6]);
}

#[test]
fn a_phase_counts_once_for_each_run_that_succeeded() {
    let phase = |name: &str, duration_ns| larder_timing::Phase {
        name: name.into(),
        duration_ns,
    };
    let run = |exit_code, phases| RunRow {
        exit_code,
        phases,
        ..RunRow::default()
    };
    let runs = [
        run(
            0,
            vec![phase("plan", 4), phase("scan", 9), phase("plan", 5)],
        ),
        run(1, vec![phase("plan", 3)]),
        run(0, vec![phase("scan", 2)]),
        run(0, vec![phase("plan", 1)]),
    ];
    assert_eq!(phase_measures(&runs, "plan", ""), [1, 9]);
}
