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
    }
}
