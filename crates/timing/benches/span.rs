//! What it costs to measure: one span, and one within another, beside the two readings of the clock that each takes.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use larder_timing::{Clock as _, SystemClock, TimingContext};

/// Spans for one measurement, so that taking them out is not measured.
const SPANS: u64 = 1000;

fn spans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("span");
    group.throughput(criterion::Throughput::Elements(SPANS));
    let clock = SystemClock::new();
    group.bench_function("two readings of the clock", |bench| {
        bench.iter(|| {
            for _ in 0..SPANS {
                black_box(clock.monotonic_ns());
                black_box(clock.monotonic_ns());
            }
        });
    });
    let context = || TimingContext::new(SystemClock::new());
    group.bench_function("alone", |bench| {
        bench.iter_batched_ref(
            context,
            |timing| {
                for _ in 0..SPANS {
                    drop(black_box(timing.span("span")));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("nested", |bench| {
        bench.iter_batched_ref(
            context,
            |timing| {
                for _ in 0..SPANS / 2 {
                    let _outer = black_box(timing.span("outer"));
                    drop(black_box(timing.span("inner")));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, spans);
criterion_main!(benches);
