//! How long it takes to list ten thousand entries, from the index and without it, and to add one more. Where `LARDER_PROGRAM` names the
//! program, also how long `archive list` takes with it, from its start to its end.

use std::fs;
use std::hint::black_box;
use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use larder_archive::{
    Archive, ArchiveEntry, EntryId, GateResult, RepoCommit, RunRecord, Time, seal_entry,
};
use serde_json::json;

const ENTRIES: i64 = 10_000;

fn entry(number: i64) -> ArchiveEntry {
    let time = Time::from_nanos(1_700_000_000_000_000_000 + number * 60_000_000_000);
    let tasks: Vec<_> = (0..30)
        .map(|task| json!({ "task": format!("project-{}#build", task % 10), "status": "ran", "seconds": 1.5 }))
        .collect();
    let run = json!({ "wall_seconds": 12.5, "request": ["build", "test"], "exit_code": 0, "tasks": tasks });
    // The record is of this file and has the right types.
    #[allow(clippy::expect_used)]
    let run = RunRecord::new(run).expect("a record");
    let mut entry = ArchiveEntry::new(EntryId::new(time, 1), time, run);
    entry.workspace = "workspace".into();
    entry.host.name = "machine".into();
    entry.gates = (0..4)
        .map(|gate| GateResult {
            gate: format!("metric number-{gate}"),
            passed: true,
            reasons: Vec::new(),
        })
        .collect();
    entry.commits.push(RepoCommit {
        path: ".".into(),
        commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        ..RepoCommit::default()
    });
    entry
}

fn list(criterion: &mut Criterion) {
    let prepared = || -> Result<_, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("entries"))?;
        for number in 0..ENTRIES {
            let entry = entry(number);
            let name = Archive::entry_name(entry.id, 1);
            fs::write(folder.path().join(name), seal_entry(&entry)?)?;
        }
        let archive = Archive::new(folder.path());
        archive.rebuild()?;
        Ok((folder, archive))
    };
    // Without its folder there is nothing to measure.
    #[allow(clippy::expect_used)]
    let (folder, archive) = prepared().expect("an archive");
    let mut group = criterion.benchmark_group("ten thousand entries");
    group.sample_size(10);
    group.bench_function("list", |bench| {
        bench.iter(|| black_box(archive.list()).map(|listing| listing.summaries.len()));
    });
    if let Some(program) = std::env::var_os("LARDER_PROGRAM") {
        group.bench_function("list through the program", |bench| {
            bench.iter(|| {
                let mut command = Command::new(&program);
                command.args(["archive", "--dir"]).arg(folder.path());
                let listed = command.arg("list").current_dir(folder.path()).output();
                let lines =
                    listed.map(|listed| String::from_utf8_lossy(&listed.stdout).lines().count());
                // All entries and the names of the columns, or nothing was measured.
                assert_eq!(lines.ok(), usize::try_from(ENTRIES + 1).ok());
            });
        });
    }
    group.bench_function("rebuild", |bench| {
        bench.iter(|| black_box(archive.rebuild()).map(|listing| listing.summaries.len()));
    });
    let mut number = ENTRIES;
    group.bench_function("save one", |bench| {
        bench.iter(|| {
            number += 1;
            archive.save(&entry(number))
        });
    });
    group.finish();
    drop(folder);
}

criterion_group!(benches, list);
criterion_main!(benches);
