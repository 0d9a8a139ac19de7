//! Damaged records, places that lost what they had or are configured no more, and how little a waiting drain does.
//! No process dies here.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::dying::Fuse;
use super::{OPTIONS, World};
use crate::outbox::{Enqueued, Failure, drain, file_name};
use crate::{Destination, DestinationError, MemoryDestination};

fn never() -> Arc<Fuse> {
    Arc::new(Fuse::never())
}

#[test]
fn the_name_of_a_damaged_record_says_what_it_was_about_and_noting_that_anew_replaces_it() {
    let world = World::new();
    let outbox = world.alive();
    let delivery = world.delivery("e1");
    for state in ["done", "pending", "failed"] {
        outbox.enqueue(&delivery, 0).unwrap();
        let name = file_name("e1", "there").unwrap();
        let path = world.folder.join(state).join(&name);
        if state != "done" {
            outbox
                .disk
                .remove(&world.folder.join("pending").join(&name))
                .unwrap();
        }
        outbox.disk.write(&path, b"garbage").unwrap();
        let damaged = outbox.status().unwrap().damaged;
        let [damaged] = damaged.as_slice() else {
            panic!("{state}: {damaged:?}");
        };
        assert_eq!(damaged.path, path);
        assert_eq!(damaged.entry.as_deref(), Some("e1"));
        assert!(damaged.is_for("there") && !damaged.is_for("elsewhere") && !damaged.foreign);
        assert_eq!(outbox.enqueue(&delivery, 1).unwrap(), Enqueued::Pending);
        world.drain(&outbox, &never()).unwrap();
        world.assert_arrived(&["e1"]);
        let status = outbox.status().unwrap();
        assert!(status.damaged.is_empty(), "{state}: {status:?}");
        assert_eq!(status.done.len(), 1, "{state}");
        outbox.forget_done(0).unwrap();
    }
    for name in ["junk", "e1@", "@0123456789abcdef", "e1@0123456789abcdeg"] {
        let path = world.folder.join("pending").join(name);
        outbox.disk.write(&path, b"garbage").unwrap();
        assert_eq!(outbox.status().unwrap().damaged[0].entry, None, "{name}");
        outbox.disk.remove(&path).unwrap();
    }
}

#[test]
fn a_place_that_lost_what_it_had_gets_it_again_and_one_that_is_given_up_gets_nothing() {
    let world = World::new();
    let outbox = world.alive();
    let delivery = world.delivery("e1");
    outbox.enqueue(&delivery, 0).unwrap();
    world.drain(&outbox, &never()).unwrap();
    // Another world is an empty place.
    let world = World {
        place: Arc::new(MemoryDestination::new()),
        ..world
    };
    outbox.enqueue_again(&delivery, 1).unwrap();
    let status = outbox.status().unwrap();
    assert_eq!((status.pending.len(), status.done.len()), (1, 0));
    world.drain(&outbox, &never()).unwrap();
    world.assert_arrived(&["e1"]);

    let second = world.delivery("e2");
    outbox.enqueue(&second, 2).unwrap();
    outbox.give_up("e2", "there").unwrap();
    outbox.give_up("e1", "there").unwrap();
    world.drain(&outbox, &never()).unwrap();
    world.assert_arrived(&["e1"]);
    let status = outbox.status().unwrap();
    assert_eq!((status.pending.len(), status.done.len()), (0, 1));
}

#[test]
fn while_it_waits_a_drain_reads_records_only_when_something_changed_or_is_due() {
    let world = World::new();
    let outbox = world.alive();
    for at in 0..50 {
        let entry = format!("e{at}");
        outbox.enqueue(&world.delivery(&entry), at).unwrap();
    }
    let tries = RefCell::new(0);
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        *tries.borrow_mut() += 1;
        Err(DestinationError::Io {
            action: "reach",
            place: "there".into(),
            cause: io::Error::other("down"),
        })
    };
    let before = world.disk.reads();
    drain(
        &outbox,
        &open,
        &world.pace,
        &OPTIONS,
        &AtomicBool::new(false),
    )
    .unwrap();
    // An hour of looks once a second, and a round for each try.
    let rounds = (world.disk.reads() - before) / 100;
    let tries = tries.into_inner();
    assert!(tries > 50, "{tries}");
    assert!(rounds <= 3 * tries, "{rounds} rounds for {tries} tries");
}

#[test]
fn a_damaged_note_of_success_does_not_lose_what_failed() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let name = world.alive().list("pending").unwrap().remove(0);
    let place = |state: &str| world.folder.join(state).join(&name);
    let mut record = outbox.read("pending", &name).unwrap().unwrap().unwrap();
    record.failure = Some(Failure::Refused);
    outbox.write("failed", &name, &record).unwrap();
    outbox.disk.remove(&place("pending")).unwrap();
    outbox.disk.write(&place("done"), b"garbage").unwrap();
    assert_eq!(outbox.retry().unwrap(), 1);
    assert!(outbox.disk.read(&place("pending")).unwrap().is_some());
}
