//! Damage to stored bytes: never a wrong file, always a miss, and mended by the next save.
//! Knows nothing of hostile archives with right digests.

use std::fs;

use larder_cache::*;

use crate::sandbox::*;

fn only_file(folder: &std::path::Path) -> std::path::PathBuf {
    let fan = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let file = fs::read_dir(fan.path()).unwrap().next().unwrap().unwrap();
    file.path()
}

#[test]
fn every_damaged_byte_of_an_artifact_is_a_miss_and_mended() {
    let sandbox = Sandbox::new();
    sandbox.write("out/a", "some content");
    sandbox.write("out/b", &"more ".repeat(100));
    let entry = sandbox.entry(&["out/a", "out/b"]);
    let key = Key([1; 32]);
    sandbox.store.put(&key, &entry, Put::First).unwrap();
    let path = only_file(&sandbox.store.tmp().with_file_name("artifacts"));
    let whole = fs::read(&path).unwrap();
    sandbox.empty_root();
    for at in 0..whole.len() {
        for bad in [
            {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                flipped
            },
            whole[..at].to_vec(),
        ] {
            fs::write(&path, &bad).unwrap();
            let error = sandbox.restore(&entry, &Owned::new()).unwrap_err();
            assert!(error.is_miss(), "{error}");
            assert!(sandbox.snapshot().is_empty());
            // The store noticed: the entry is a miss now, and saving mends it.
            assert_eq!(sandbox.store.get(&key).unwrap(), None);
            let id = entry.artifact.unwrap();
            let save = Source::Reader(&mut &*whole);
            sandbox.store.save(&id, save).unwrap();
            assert!(sandbox.store.get(&key).unwrap().is_some());
        }
    }
    sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.read("out/a"), "some content");
}

#[test]
fn every_damaged_byte_of_an_entry_is_a_miss_and_replaceable() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "content");
    let entry = sandbox.entry(&["a"]);
    let key = Key([1; 32]);
    sandbox.store.put(&key, &entry, Put::First).unwrap();
    let path = only_file(&sandbox.store.tmp().with_file_name("entries"));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for bad in [flipped, whole[..at].to_vec()] {
            fs::write(&path, &bad).unwrap();
            assert_eq!(sandbox.store.get(&key).unwrap(), None);
            let outcome = sandbox.store.put(&key, &entry, Put::First).unwrap();
            assert_eq!(outcome, PutOutcome::Stored);
        }
    }
    assert_eq!(sandbox.store.get(&key).unwrap(), Some(entry));
    // An entry under another's name is not that other's.
    let other = Key([2; 32]);
    let moved = sandbox.store.tmp().with_file_name("entries").join("02");
    fs::create_dir(&moved).unwrap();
    fs::write(moved.join("02".repeat(31)), &whole).unwrap();
    assert_eq!(sandbox.store.get(&other).unwrap(), None);
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_an_error() {
    // The change comes between the first look and the reading: by a file that another thread rewrites all the time.
    let sandbox = Sandbox::new();
    sandbox.write("a", "first");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let path = sandbox.at("a");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                fs::write(&path, "x".repeat(usize::try_from(number % 500).unwrap())).unwrap();
            }
        });
        for _ in 0..200 {
            let paths = [b"a".to_vec()];
            let tmp = sandbox.store.tmp();
            match pack(&sandbox.root(), &paths, &PackOptions::default(), &tmp) {
                // What was packed is one of the contents, whole.
                Ok(packed) => {
                    let size = usize::try_from(packed.manifest[0].size).unwrap();
                    let digest = blake3::hash("x".repeat(size).as_bytes());
                    let first = blake3::hash(b"first");
                    assert!(
                        [digest, first]
                            .iter()
                            .any(|one| *one == packed.manifest[0].digest)
                    );
                }
                Err(error) => assert!(matches!(error, Error::Changed(_)), "{error}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
