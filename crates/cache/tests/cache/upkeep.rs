//! Prune, verify, clear and status on a real store.
//! Knows nothing of restores.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use larder_cache::*;

use crate::sandbox::*;

/// Stores an artifact of 1000 bytes made of `fill` under a key made of `key`.
fn store(store: &DiskStore, key: u8, fill: u8) -> (Key, ArtifactId) {
    let bytes = vec![fill; 1000];
    let id = ArtifactId(*blake3::hash(&bytes).as_bytes());
    store.save(&id, Source::Reader(&mut &*bytes)).unwrap();
    let mut entry = entry_of(Vec::new(), Some(id));
    entry.provenance.task = format!("task{fill}");
    let key = Key([key; 32]);
    store.put(&key, &entry, Put::First).unwrap();
    (key, id)
}

fn path(sandbox: &Sandbox, part: &str, hex: &str) -> PathBuf {
    let folder = sandbox.store.tmp().with_file_name(part);
    folder.join(&hex[..2]).join(&hex[2..])
}

/// Makes an entry and its artifact look unused for so many hours.
fn age(sandbox: &Sandbox, (key, id): (Key, ArtifactId), hours: u64) {
    let time = hours_ago(hours);
    for path in [
        path(sandbox, "entries", &key.to_string()),
        path(sandbox, "artifacts", &id.to_string()),
    ] {
        File::open(path).unwrap().set_modified(time).unwrap();
    }
}

fn limits(max_bytes: Option<u64>, hours: Option<u64>) -> Limits {
    Limits {
        max_bytes,
        max_age: hours.map(|hours| Duration::from_secs(hours * 3600)),
    }
}

#[test]
fn the_least_recently_used_go_first() {
    let sandbox = Sandbox::new();
    let kept: Vec<_> = (1..=4)
        .map(|number| store(&sandbox.store, number, number))
        .collect();
    for (item, hours) in kept.iter().zip([2, 5, 3, 4]) {
        age(&sandbox, *item, hours);
    }
    let pruned = sandbox.store.prune(&limits(Some(2600), None)).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts), (2, 2));
    assert!(pruned.left <= 2600);
    let there = |item: &(Key, ArtifactId)| sandbox.store.get(&item.0).unwrap().is_some();
    assert_eq!(
        kept.iter().map(there).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    assert_eq!(sandbox.store.status().unwrap().bytes, pruned.left);
}

#[test]
fn age_removes_and_use_keeps() {
    let sandbox = Sandbox::new();
    let (old, used) = (store(&sandbox.store, 1, 1), store(&sandbox.store, 2, 2));
    age(&sandbox, old, 100);
    age(&sandbox, used, 100);
    assert!(sandbox.store.get(&used.0).unwrap().is_some());
    let pruned = sandbox.store.prune(&limits(None, Some(50))).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts), (1, 1));
    assert!(sandbox.store.get(&used.0).unwrap().is_some());
    assert!(sandbox.store.get(&old.0).unwrap().is_none());
}

#[test]
fn what_another_running_process_used_is_held() {
    let sandbox = Sandbox::new();
    let (used, idle) = (store(&sandbox.store, 1, 1), store(&sandbox.store, 2, 2));
    age(&sandbox, used, 100);
    age(&sandbox, idle, 100);
    let running = DiskStore::open(sandbox.dir.path().join("store")).unwrap();
    assert!(running.get(&used.0).unwrap().is_some());
    let pruned = sandbox.store.prune(&limits(Some(0), None)).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts), (1, 1));
    assert!(running.open(&used.1).unwrap().is_some());
    assert!(running.open(&idle.1).unwrap().is_none());
}

/// The leases in the store.
fn leases(sandbox: &Sandbox) -> Vec<PathBuf> {
    let folder = sandbox.store.tmp().with_file_name("leases");
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn hours_ago(hours: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(hours * 3600)
}

#[test]
fn what_was_used_since_the_lease_of_a_living_process_is_held_and_no_older_thing() {
    let sandbox = Sandbox::new();
    let own = leases(&sandbox);
    let running = DiskStore::open(sandbox.dir.path().join("store")).unwrap();
    let lease = leases(&sandbox)
        .into_iter()
        .find(|path| !own.contains(path));
    // It has been at work for fifty hours and used one entry thirty hours ago, another just when it began.
    let begun = hours_ago(50);
    let lease = File::open(lease.unwrap()).unwrap();
    lease.set_modified(begun).unwrap();
    let (used, first, idle) = (
        store(&sandbox.store, 1, 1),
        store(&sandbox.store, 2, 2),
        store(&sandbox.store, 3, 3),
    );
    age(&sandbox, used, 30);
    age(&sandbox, idle, 100);
    // Leases are dated by another clock than files: two seconds are allowed for that, and no more.
    for path in [
        path(&sandbox, "entries", &first.0.to_string()),
        path(&sandbox, "artifacts", &first.1.to_string()),
    ] {
        let file = File::open(path).unwrap();
        file.set_modified(begun - Duration::from_secs(2)).unwrap();
    }
    let pruned = sandbox.store.prune(&limits(Some(0), None)).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts), (1, 1));
    for held in [used, first] {
        assert!(running.get(&held.0).unwrap().is_some());
    }
    assert!(running.get(&idle.0).unwrap().is_none());
}

#[test]
fn the_lease_of_a_dead_process_holds_nothing() {
    let sandbox = Sandbox::new();
    let stale = sandbox.store.tmp().with_file_name("leases").join("stale");
    fs::write(&stale, "").unwrap();
    File::open(&stale)
        .unwrap()
        .set_modified(hours_ago(50))
        .unwrap();
    let used = store(&sandbox.store, 1, 1);
    age(&sandbox, used, 30);
    let pruned = sandbox.store.prune(&limits(Some(0), None)).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts, pruned.left), (1, 1, 0));
}

#[test]
fn a_shared_artifact_lives_as_long_as_one_entry_names_it() {
    let sandbox = Sandbox::new();
    let (one, two) = (store(&sandbox.store, 1, 7), store(&sandbox.store, 2, 7));
    assert_eq!(sandbox.store.status().unwrap().artifacts, 1);
    age(&sandbox, one, 100);
    age(&sandbox, two, 10);
    let pruned = sandbox.store.prune(&limits(None, Some(50))).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts), (1, 0));
    assert!(sandbox.store.get(&two.0).unwrap().is_some());
    age(&sandbox, two, 60);
    let pruned = sandbox.store.prune(&limits(None, Some(50))).unwrap();
    assert_eq!((pruned.entries, pruned.artifacts, pruned.left), (1, 1, 0));
}

#[test]
fn verify_finds_each_bad_file_and_what_depends_on_it() {
    let sandbox = Sandbox::new();
    let (good, bad) = (store(&sandbox.store, 1, 1), store(&sandbox.store, 2, 2));
    let torn = store(&sandbox.store, 3, 1);
    let artifact = path(&sandbox, "artifacts", &bad.1.to_string());
    let entry = path(&sandbox, "entries", &torn.0.to_string());
    fs::write(&artifact, "not it").unwrap();
    fs::write(&entry, "not it either").unwrap();
    let verified = sandbox.store.verify().unwrap();
    assert_eq!((verified.entries, verified.artifacts), (1, 1));
    assert_eq!(verified.bad, [artifact, entry]);
    assert_eq!(verified.dangling, [bad.0]);
    assert!(sandbox.store.get(&good.0).unwrap().is_some());
    assert_eq!(sandbox.store.status().unwrap().quarantined, 3);
    let again = sandbox.store.verify().unwrap();
    assert!(again.bad.is_empty() && again.dangling.is_empty());
}

#[test]
fn status_counts_and_clear_empties() {
    let sandbox = Sandbox::new();
    store(&sandbox.store, 1, 1);
    store(&sandbox.store, 2, 1);
    store(&sandbox.store, 3, 3);
    let status = sandbox.store.status().unwrap();
    assert_eq!((status.entries, status.artifacts), (3, 2));
    let tasks: Vec<_> = status
        .tasks
        .iter()
        .map(|task| (&*task.task, task.entries))
        .collect();
    assert_eq!(tasks, [("task1", 2), ("task3", 1)]);
    assert!(status.location.starts_with(sandbox.dir.path()));
    let cleared = sandbox.store.clear().unwrap();
    assert_eq!((cleared.entries, cleared.artifacts), (3, 2));
    assert_eq!(cleared.freed, status.bytes);
    assert_eq!(sandbox.store.status().unwrap().bytes, 0);
}
