//! The hot paths of a run over 2,000 files: looking at what is known, and digesting what is not.
//! It does not know what the digests are for.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use larder_fingerprint::{DiskFiles, Entry, Ignore, Memo, Scanner, manifest_digest};

const FILES: usize = 2_000;
const BYTES: usize = 3_000;
const CONFIG: [u8; 32] = [0; 32];

/// A tree of 20 files a folder, with an ignored one beside them.
fn tree(root: &Path) {
    fs::write(root.join(".gitignore"), "node_modules/\n").unwrap();
    for number in 0..FILES {
        let folder = root.join(format!("area{}/part{}", number % 5, number / 20));
        fs::create_dir_all(&folder).unwrap();
        let text = format!("const value_{number} = {number};\n").repeat(BYTES / 30);
        fs::write(folder.join(format!("file{number}.ts")), text).unwrap();
    }
    let ignored = root.join("node_modules/dependency");
    fs::create_dir_all(&ignored).unwrap();
    for number in 0..FILES / 4 {
        fs::write(ignored.join(format!("{number}.js")), "ignored").unwrap();
    }
}

fn scanner(root: &Path, memo: Memo) -> Scanner {
    Scanner::new(Arc::new(DiskFiles::open(root).unwrap()), memo)
}

/// Scans and digests everything.
fn digest_all(scanner: &Scanner) -> usize {
    let scan = scanner.scan(b"", Ignore::Honour).unwrap();
    let entries: Vec<Entry<'_>> = scan.iter().collect();
    let rows = scanner.rows(&entries).unwrap();
    std::hint::black_box(manifest_digest(&rows));
    rows.len()
}

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    fs::create_dir(&root).unwrap();
    tree(&root);
    let memo = folder.path().join("memo");
    let first = scanner(&root, Memo::empty(CONFIG));
    assert_eq!(digest_all(&first), FILES + 1);
    first.memo().save(&memo).unwrap();

    let mut group = criterion.benchmark_group("fingerprint");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("scan, nothing known", |bencher| {
        bencher.iter_batched_ref(
            || scanner(&root, Memo::empty(CONFIG)),
            |scanner| scanner.scan(b"", Ignore::Honour).unwrap().len(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("digest, nothing known", |bencher| {
        bencher.iter_batched_ref(
            || scanner(&root, Memo::empty(CONFIG)),
            |scanner| digest_all(scanner),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("scan, all known", |bencher| {
        bencher.iter_batched_ref(
            || scanner(&root, Memo::open(&memo, CONFIG)),
            |scanner| scanner.scan(b"", Ignore::Honour).unwrap().len(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("digest, all known", |bencher| {
        bencher.iter_batched_ref(
            || scanner(&root, Memo::open(&memo, CONFIG)),
            |scanner| digest_all(scanner),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("save the memo", |bencher| {
        let place = folder.path().join("other");
        bencher.iter(|| first.memo().save(&place).unwrap());
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
