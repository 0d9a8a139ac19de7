//! An archive whose writer is killed before each of its changes to the disk, by `strace`: nothing acknowledged is lost, nothing half written is
//! listed, and the next writer goes on. Skipped, and said so, where `strace` is missing or may not trace.
//!
//! A third of the kills, and all of them with `LARDER_ARCHIVE_TEST_ALL` set. Without the test harness, so that the writer is one thread whose calls can be counted.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use larder_archive::{
    Archive, ArchiveEntry, Bundle, EntryId, Manifests, Retention, RunRecord, Time, artifact,
};

/// Where the writer works. It is the writer if this is set.
const FOLDER: &str = "LARDER_ARCHIVE_TEST_FOLDER";
/// What is added to the first entry.
const MIRRORED: &str = "mirror.drive.seconds";
/// Calls that change a disk.
const CALLS: [&str; 12] = [
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "mkdir",
];

fn main() {
    if let Some(folder) = env::var_os(FOLDER) {
        write(Path::new(&folder), &|done| println!("{done}"));
        return;
    }
    if !may_trace() {
        eprintln!("SKIPPED: `strace` is not installed, or may not trace");
        return;
    }
    let step = if env::var_os("LARDER_ARCHIVE_TEST_ALL").is_some() {
        1
    } else {
        3
    };
    let mut killed = 0;
    for call in CALLS {
        for nth in (1..).step_by(step) {
            let folder = folder();
            let Some(done) = kill(folder.path(), call, nth) else {
                break;
            };
            killed += 1;
            check(folder.path(), &done, &format!("{call} {nth}"));
        }
    }
    assert!(killed > 40, "only {killed} kills");
    println!("killed {killed} writers");
}

/// A folder in memory where there is such a place: a kill is no power cut, and nothing waits for a disk there.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).unwrap();
    }
    tempfile::tempdir().unwrap()
}

fn entry(number: i64) -> ArchiveEntry {
    let time = Time::from_nanos(number * 1_000_000_000);
    ArchiveEntry::new(EntryId::new(time, 0), time, RunRecord::default())
}

fn keep(folder: &Path, number: i64) -> ArchiveEntry {
    let mut entry = entry(number);
    if number == 1 {
        entry.tags.insert("kept".to_owned());
    }
    entry.artifacts.push(artifact(folder, "app").unwrap());
    let bundle = Bundle {
        entry: &entry,
        manifests: &Manifests::default(),
        extras: &[],
        root: folder,
    };
    let attest = |_: &ArchiveEntry| Ok(b"signed".to_vec());
    archive(folder).keep(&bundle, Some(&attest)).unwrap()
}

fn archive(folder: &Path) -> Archive {
    Archive::new(folder.join("archive"))
}

/// What the writer does. Each word is said once what it stands for was acknowledged.
fn write(folder: &Path, done: &dyn Fn(&str)) {
    fs::write(folder.join("app"), b"binary").unwrap();
    keep(folder, 1);
    done("one");
    let mirrored = |entry: &mut ArchiveEntry| {
        entry.metrics.insert(MIRRORED.to_owned(), 1.5);
    };
    archive(folder).amend(entry(1).id, mirrored).unwrap();
    done("mirrored");
    keep(folder, 2);
    done("two");
    keep(folder, 3);
    done("three");
    let newest = Retention {
        count: Some(1),
        ..Retention::default()
    };
    done("pruning");
    archive(folder)
        .prune(&newest, Time::default(), &|_| false)
        .unwrap();
    done("pruned");
}

/// Kills a writer before the nth of these calls takes effect, and gives what it said; `None` if it made fewer.
fn kill(folder: &Path, call: &str, nth: usize) -> Option<BTreeSet<String>> {
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let output = Command::new("strace")
        .args([
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
            "-e",
            &inject,
        ])
        .arg(env::current_exe().unwrap())
        .env(FOLDER, folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let said: BTreeSet<String> = said.lines().map(str::to_owned).collect();
    assert!(
        !output.status.success() || said.contains("pruned"),
        "{output:?}"
    );
    (!output.status.success()).then_some(said)
}

fn check(folder: &Path, done: &BTreeSet<String>, context: &str) {
    let archive = archive(folder);
    let said = |word: &str| done.contains(word);
    let listing = archive.list().unwrap();
    assert_eq!(listing.problems, [], "{context}");
    let listed = |number: i64| {
        let id = entry(number).id;
        listing.summaries.iter().find(|summary| summary.id == id)
    };
    assert!(listed(1).is_some() || !said("one"), "{context}");
    assert!(
        listed(2).is_some() || !said("two") || said("pruning"),
        "{context}"
    );
    assert!(listed(2).is_none() || !said("pruned"), "{context}");
    assert!(listed(3).is_some() || !said("three"), "{context}");
    let first = archive.entry(entry(1).id).unwrap();
    let mirrored = first.is_some_and(|entry| entry.metrics.contains_key(MIRRORED));
    assert!(mirrored || !said("mirrored"), "{context}");
    // What is listed is whole; the index alone may be torn, and what is not listed in the middle of coming or going.
    let is_listed = |file: &str| {
        let mut ids = listing
            .summaries
            .iter()
            .map(|summary| summary.id.to_string());
        ids.any(|id| file.contains(&id))
    };
    for fault in archive.verify_all().unwrap().faults {
        let halfway = fault.why.contains("did not get to its end") && !is_listed(&fault.file);
        assert!(fault.file == "index" || halfway, "{context}: {fault:?}");
    }

    // Another writer goes on where this one ended.
    write(folder, &|_| ());
    let numbers: Vec<_> = archive.list().unwrap().summaries;
    let numbers: Vec<_> = numbers.iter().map(|summary| summary.id).collect();
    assert_eq!(numbers, [entry(1).id, entry(3).id], "{context}");
    assert_eq!(archive.verify_all().unwrap().faults, [], "{context}");
}

fn may_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}
