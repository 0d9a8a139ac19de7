//! Every store keeps the contract; layers degrade; write-once names the files.
//! Knows nothing of packing.

use std::io::Read;
use std::sync::Arc;

use larder_cache::*;

use crate::sandbox::*;

fn layer(name: &str, store: impl Store + 'static) -> Layer {
    Layer {
        name: name.to_owned(),
        store: Box::new(store),
        read: true,
        write: true,
    }
}

#[test]
fn every_store_keeps_the_contract() {
    contract::check(&MemoryStore::new());
    contract::check(&Faulty::nth(MemoryStore::new(), 0));
    let folder = tempfile::tempdir().unwrap();
    contract::check(&DiskStore::open(folder.path()).unwrap());
    let far = DiskStore::open(folder.path().join("far")).unwrap();
    let layers = vec![layer("near", MemoryStore::new()), layer("far", far)];
    contract::check(&Layered::new(layers));
}

#[test]
fn a_layered_store_whose_far_layer_is_down_keeps_the_contract() {
    let down = Faulty::from_nth(MemoryStore::new(), 1);
    let layered = Layered::new(vec![layer("near", MemoryStore::new()), layer("far", down)]);
    contract::check(&layered);
    let warnings = layered.take_warnings();
    assert!(!warnings.is_empty());
    assert!(warnings.iter().all(|warning| warning.layer == "far"));
}

#[test]
fn a_hit_further_away_is_brought_nearer() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "content");
    let entry = sandbox.entry(&["a"]);
    let key = Key([1; 32]);
    sandbox.store.put(&key, &entry, Put::First).unwrap();
    let near = Arc::new(MemoryStore::new());
    let far = DiskStore::open(sandbox.dir.path().join("store")).unwrap();
    let layered = Layered::new(vec![layer("near", near.clone()), layer("far", far)]);
    assert_eq!(layered.get(&key).unwrap().as_ref(), Some(&entry));
    assert_eq!(near.get(&key).unwrap(), Some(entry.clone()));
    let mut bytes = Vec::new();
    let id = entry.artifact.unwrap();
    near.open(&id)
        .unwrap()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(blake3::hash(&bytes), id.0);
    assert!(layered.take_warnings().is_empty());
}

#[test]
fn a_corrupt_artifact_further_away_is_a_miss_with_a_warning() {
    let far = Arc::new(MemoryStore::new());
    let bytes = b"artifact";
    let id = ArtifactId(*blake3::hash(bytes).as_bytes());
    far.save(&id, Source::Reader(&mut &bytes[..])).unwrap();
    let key = Key([1; 32]);
    far.put(&key, &entry_of(Vec::new(), Some(id)), Put::First)
        .unwrap();
    far.corrupt(&id, b"Artifact".to_vec());
    let layered = Layered::new(vec![layer("near", MemoryStore::new()), layer("far", far)]);
    assert_eq!(layered.get(&key).unwrap(), None);
    assert_eq!(layered.take_warnings().len(), 1);
}

#[test]
fn any_single_failure_of_the_near_layer_leaves_the_answer_right() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "content");
    let entry = sandbox.entry(&["a"]);
    let key = Key([1; 32]);
    sandbox.store.put(&key, &entry, Put::First).unwrap();
    for nth in 1..6 {
        let near = Faulty::nth(MemoryStore::new(), nth);
        let far = DiskStore::open(sandbox.dir.path().join("store")).unwrap();
        let layered = Layered::new(vec![layer("near", near), layer("far", far)]);
        assert_eq!(layered.get(&key).unwrap().as_ref(), Some(&entry));
        assert!(layered.open(&entry.artifact.unwrap()).unwrap().is_some());
    }
}

#[test]
fn a_different_second_result_is_kept_out_and_named() {
    let sandbox = Sandbox::new();
    sandbox.write("same", "1");
    sandbox.write("time", "10:00");
    let first = sandbox.entry(&["same", "time"]);
    sandbox.write("time", "10:01");
    sandbox.write("more", "");
    let second = sandbox.entry(&["more", "same", "time"]);
    let key = Key([1; 32]);
    sandbox.store.put(&key, &first, Put::First).unwrap();
    let outcome = sandbox.store.put(&key, &second, Put::First).unwrap();
    let PutOutcome::Different(kept) = outcome else {
        panic!("{outcome:?}");
    };
    let named = diff(&kept.manifest, &second.manifest);
    assert_eq!(
        named,
        [
            Difference::OnlySecond(b"more".to_vec()),
            Difference::Changed(b"time".to_vec())
        ]
    );
    assert_eq!(sandbox.store.get(&key).unwrap(), Some(first));
}

#[test]
fn of_many_first_results_at_once_one_is_stored_and_all_others_see_it() {
    let sandbox = Sandbox::new();
    let entries: Vec<Entry> = (0..8)
        .map(|number| {
            sandbox.write("a", &number.to_string());
            sandbox.entry(&["a"])
        })
        .collect();
    let key = Key([1; 32]);
    let outcomes: Vec<PutOutcome> = std::thread::scope(|scope| {
        let put = |entry| {
            let store = DiskStore::open(sandbox.dir.path().join("store")).unwrap();
            store.put(&key, entry, Put::First).unwrap()
        };
        let threads: Vec<_> = entries
            .iter()
            .map(|entry| scope.spawn(move || put(entry)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let stored = sandbox.store.get(&key).unwrap().unwrap();
    for (entry, outcome) in entries.iter().zip(outcomes) {
        if *entry == stored {
            assert_eq!(outcome, PutOutcome::Stored);
        } else {
            assert_eq!(outcome, PutOutcome::Different(Box::new(stored.clone())));
        }
    }
}

/// Few moments are the same: without one atomic step some of so many rounds go wrong.
const ROUNDS: u8 = 200;

#[test]
fn of_first_results_at_the_same_moment_one_alone_counts_as_stored() {
    let folder = tempfile::tempdir().unwrap();
    let open = || DiskStore::open(folder.path()).unwrap();
    let (processes, barrier) = ([(); 4].map(|()| open()), std::sync::Barrier::new(4));
    let stored: Vec<usize> = std::thread::scope(|scope| {
        let threads = processes.iter().enumerate().map(|(number, store)| {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut entry = entry_of(Vec::new(), None);
                entry.log = vec![u8::try_from(number).unwrap()];
                (0..ROUNDS)
                    .map(|round| {
                        barrier.wait();
                        let put = store.put(&Key([round; 32]), &entry, Put::First).unwrap();
                        usize::from(put == PutOutcome::Stored)
                    })
                    .collect::<Vec<usize>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        let each: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let of = |round| each.iter().map(|stored| stored[round]).sum();
        (0..usize::from(ROUNDS)).map(of).collect()
    });
    assert_eq!(stored, vec![1; usize::from(ROUNDS)]);
}

/// A source that says once what it says instead of its bytes.
struct Hiccup<'a> {
    error: Option<std::io::ErrorKind>,
    rest: &'a [u8],
}

impl Read for Hiccup<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.error.take() {
            Some(kind) => Err(kind.into()),
            None => self.rest.read(buffer),
        }
    }
}

#[test]
fn an_interrupted_read_is_repeated_and_any_other_fault_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let bytes = b"artifact";
    let id = ArtifactId(*blake3::hash(bytes).as_bytes());
    let save = |kind| {
        let mut source = Hiccup {
            error: Some(kind),
            rest: bytes,
        };
        store.save(&id, Source::Reader(&mut source))
    };
    save(std::io::ErrorKind::ConnectionReset).unwrap_err();
    assert_eq!(store.missing(&[id]).unwrap(), [id]);
    save(std::io::ErrorKind::Interrupted).unwrap();
    assert!(store.missing(&[id]).unwrap().is_empty());
}

/// A source during whose reading another process saves the same artifact.
struct Overtaken<'a> {
    other: &'a DiskStore,
    id: ArtifactId,
    bytes: &'a [u8],
    rest: &'a [u8],
}

impl Read for Overtaken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.other
            .save(&self.id, Source::Reader(&mut &*self.bytes))
            .unwrap();
        self.rest.read(buffer)
    }
}

#[test]
fn an_artifact_that_another_process_saved_meanwhile_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let other = DiskStore::open(folder.path()).unwrap();
    let bytes = &b"artifact"[..];
    let id = ArtifactId(*blake3::hash(bytes).as_bytes());
    let mut source = Overtaken {
        other: &other,
        id,
        bytes,
        rest: bytes,
    };
    store.save(&id, Source::Reader(&mut source)).unwrap();
    let mut found = Vec::new();
    let mut reader = store.open(&id).unwrap().unwrap();
    reader.read_to_end(&mut found).unwrap();
    assert_eq!(found, bytes);
}

#[test]
fn an_artifact_that_cannot_be_put_in_its_place_is_not_called_saved() {
    let sandbox = Sandbox::new();
    let Some(other) = elsewhere(&sandbox.root()) else {
        return;
    };
    let bytes = &b"artifact"[..];
    let id = ArtifactId(*blake3::hash(bytes).as_bytes());
    // A folder of artifacts on another file system: nothing can be moved or linked there.
    let at = place(&sandbox, "artifacts", &id.to_string());
    std::os::unix::fs::symlink(other.path(), at.parent().unwrap()).unwrap();
    let saved = sandbox.store.save(&id, Source::Reader(&mut &*bytes));
    assert!(saved.is_err());
    assert_eq!(sandbox.store.missing(&[id]).unwrap(), [id]);
}

/// Where an entry or artifact lies.
fn place(sandbox: &Sandbox, kind: &str, hex: &str) -> std::path::PathBuf {
    let folder = sandbox.dir.path().join("store/v1").join(kind);
    folder.join(&hex[..2]).join(&hex[2..])
}

#[test]
fn a_folder_in_an_entrys_place_is_a_miss_and_moved_aside() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    let (key, entry) = (Key([7; 32]), sandbox.entry(&["a"]));
    let at = place(&sandbox, "entries", &key.to_string());
    std::fs::create_dir_all(&at).unwrap();
    assert!(sandbox.store.get(&key).unwrap().is_none());
    assert!(!at.exists());
    let put = sandbox.store.put(&key, &entry, Put::First).unwrap();
    assert!(matches!(put, PutOutcome::Stored));
    assert_eq!(sandbox.store.get(&key).unwrap(), Some(entry));
}

#[test]
fn an_entry_or_artifact_that_cannot_be_opened_is_an_error_and_no_miss() {
    for kind in ["entries", "artifacts"] {
        let sandbox = Sandbox::new();
        sandbox.write("a", "a");
        let (key, entry) = (Key([7; 32]), sandbox.entry(&["a"]));
        sandbox.store.put(&key, &entry, Put::First).unwrap();
        let hex = match kind {
            "entries" => key.to_string(),
            _ => entry.artifact.unwrap().to_string(),
        };
        // A link that leads to itself cannot be opened by anybody.
        let at = place(&sandbox, kind, &hex);
        std::fs::remove_file(&at).unwrap();
        std::os::unix::fs::symlink(&at, &at).unwrap();
        assert!(sandbox.store.get(&key).is_err(), "{kind}");
        let opened = sandbox.store.open(&entry.artifact.unwrap());
        assert_eq!(opened.is_err(), kind == "artifacts", "{kind}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_opens_without_a_lease_for_want_of_rights_and_for_no_other_reason() {
    let dir = tempfile::tempdir().unwrap();
    drop(DiskStore::open(dir.path()).unwrap());
    let leases = dir.path().join("v1/leases");
    std::fs::remove_dir(&leases).unwrap();
    // Nobody may make a file there, whoever they are.
    std::os::unix::fs::symlink("/sys", &leases).unwrap();
    let store = DiskStore::open(dir.path()).unwrap();
    assert!(store.get(&Key([7; 32])).unwrap().is_none());
    std::fs::remove_file(&leases).unwrap();
    std::fs::write(&leases, "no folder").unwrap();
    assert!(DiskStore::open(dir.path()).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn an_entry_that_cannot_be_read_is_an_error_and_stays() {
    let sandbox = Sandbox::new();
    let key = Key([7; 32]);
    let at = place(&sandbox, "entries", &key.to_string());
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    // It opens, but nothing lies at the first address of a process.
    std::os::unix::fs::symlink("/proc/self/mem", &at).unwrap();
    assert!(sandbox.store.get(&key).is_err());
    assert!(at.symlink_metadata().is_ok());
}

#[test]
fn backup_programs_are_told_what_the_folder_is_unless_somebody_did() {
    let folder = tempfile::tempdir().unwrap();
    let tag = folder.path().join("CACHEDIR.TAG");
    let read = || std::fs::read_to_string(&tag).unwrap();
    DiskStore::open(folder.path()).unwrap();
    assert!(read().starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
    std::fs::write(&tag, "mine").unwrap();
    DiskStore::open(folder.path()).unwrap();
    assert_eq!(read(), "mine");
}
