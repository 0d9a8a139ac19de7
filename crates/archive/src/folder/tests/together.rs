//! Many writers and readers of one archive at once.
//! Does not test kills; `tests/killed` does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

#[test]
fn many_writers_and_readers_at_once() {
    let scene = Scene::new();
    let (archive, acknowledged, over) =
        (&scene.archive, AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let acknowledged = &acknowledged;
                scope.spawn(move || {
                    for round in 0..6 {
                        let entry = entry(writer * 100 + round);
                        archive.save(&entry).unwrap();
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        archive
                            .amend(entry.id, |entry| entry.notes.push("seen".into()))
                            .unwrap();
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (acknowledged, over) = (&acknowledged, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        let least = acknowledged.load(Ordering::SeqCst);
                        let listing = archive.list().unwrap();
                        assert!(listing.summaries.len() >= least);
                        assert_eq!(listing.problems, []);
                    }
                })
            })
            .collect();
        // Readers end before a failed writer is told of, or they would never.
        let ended: Vec<_> = writers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        over.store(true, Ordering::SeqCst);
        for writer in ended {
            writer.unwrap();
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
    assert_eq!(scene.numbers().len(), 24);
    assert!(scene.index_is_sound());
    let revisions: BTreeMap<_, _> = archive.files().unwrap().into_iter().collect();
    assert!(revisions.values().all(|&revision| revision == 2));
}

#[test]
fn readers_do_not_wait_for_the_writer() {
    let scene = Scene::new();
    scene.keep(1);
    let _lock = scene.archive.lock().unwrap();
    assert_eq!(scene.numbers(), [1]);
    scene.archive.verify_all().unwrap();
}
