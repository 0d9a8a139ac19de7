//! What the history costs a run: opening it, recording a run of 1,000 tasks when as many old rows have to go, and asking for estimates.
// What cannot be made or written ends a benchmark as it should.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use larder_timing::{History, Options, RunRow, TaskRow};

fn run(number: usize) -> RunRow {
    let task = |at: usize| TaskRow {
        task: format!("packages/p{at}#build"),
        start_ns: at as u64 * 1_000,
        duration_ns: 5_000_000 + (at * 7919 + number) as u64,
        cpu_ns: Some(4_000_000),
        peak_memory: Some(100 << 20),
        key: Some(format!("{at:032x}{number:032x}")),
        reason: format!("packages/p{at}/src/index.ts changed"),
        worker: Some(u32::try_from(at % 8).unwrap_or(0)),
        deps: (1..4)
            .map(|before| format!("packages/p{}#build", at.saturating_sub(before)))
            .collect(),
        ..TaskRow::default()
    };
    RunRow {
        id: format!("run-{number}"),
        tasks: (0..1000).map(task).collect(),
        ..RunRow::default()
    }
}

fn history(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let options = Options {
        runs_per_task: 20,
        ..Options::default()
    };
    let open = || History::open(&path, &options).unwrap().history;
    let mut number = 0;
    let mut record = |history: &History| {
        number += 1;
        history.record(&run(number)).unwrap();
    };
    let opened = open();
    for _ in 0..30 {
        record(&opened);
    }
    let mut group = criterion.benchmark_group("history");
    group.bench_function("open", |bench| bench.iter(open));
    group.bench_function("record 1000 tasks", |bench| bench.iter(|| record(&opened)));
    group.bench_function("estimates of 1000 tasks", |bench| {
        bench.iter(|| opened.estimates().unwrap());
    });
    group.finish();
}

criterion_group!(benches, history);
criterion_main!(benches);
