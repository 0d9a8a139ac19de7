//! The hot paths of the cache over 1,000 outputs: packing, restoring, and finding all in place.
//! It does not know how outputs come to be.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use larder_cache::{
    DiskStore, Entry, Key, PackOptions, Provenance, Put, RestoreOptions, Source, Store, format,
    pack, restore,
};

const FILES: usize = 1_000;
const BYTES: usize = 4_000;

/// Writes the outputs and gives their paths.
fn outputs(root: &Path) -> Vec<Vec<u8>> {
    (0..FILES)
        .map(|number| {
            let path = format!("dist/part{}/file{number}.js", number / 25);
            let at = root.join(&path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            let line = format!("export const value_{:x} = {number};\n", number * 7919);
            fs::write(at, line.repeat(BYTES / line.len())).unwrap();
            path.into_bytes()
        })
        .collect()
}

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let paths = outputs(&root);
    let store = DiskStore::open(folder.path().join("store")).unwrap();
    let packed = pack(&root, &paths, &PackOptions::default(), &store.tmp()).unwrap();
    let artifact = packed.artifact.unwrap();
    store
        .save(&artifact.id, Source::File(&artifact.file))
        .unwrap();
    let entry = Entry {
        manifest: packed.manifest,
        artifact: Some(artifact.id),
        inline: None,
        log: Vec::new(),
        duration_ms: 1,
        provenance: Provenance::default(),
        root: None,
        note: Vec::new(),
    };
    let key = Key([7; 32]);
    store.put(&key, &entry, Put::First).unwrap();
    let owned: BTreeMap<Vec<u8>, [u8; 32]> = entry
        .manifest
        .iter()
        .map(|row| (row.path.clone(), row.digest))
        .collect();
    let rescue = folder.path().join("rescued");
    let put_back = |root: &Path| {
        let options = RestoreOptions::new(&|_| true, &owned, &rescue);
        restore(root, &entry, &store, &options).unwrap()
    };

    let mut group = criterion.benchmark_group("cache");
    group.throughput(Throughput::Elements(FILES as u64));
    group.sample_size(20);
    group.bench_function("pack", |bencher| {
        bencher.iter(|| pack(&root, &paths, &PackOptions::default(), &store.tmp()).unwrap());
    });
    group.bench_function("restore into an empty folder", |bencher| {
        let empty = || tempfile::tempdir_in(folder.path()).unwrap();
        bencher.iter_batched_ref(
            empty,
            |place| assert_eq!(put_back(place.path()).written.len(), FILES),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("restore over what is right", |bencher| {
        bencher.iter(|| assert_eq!(put_back(&root).kept, FILES));
    });
    group.bench_function("get an entry", |bencher| {
        bencher.iter(|| store.get(&key).unwrap().unwrap());
    });
    group.bench_function("encode and decode an entry", |bencher| {
        bencher.iter(|| format::decode(&key, &format::encode(&key, &entry)).unwrap());
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
