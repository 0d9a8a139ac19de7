//! What is tried again, what is given up and why, and what is believed.
//! No process dies here.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::dying::{Fuse, Kind};
use super::{ManualPace, OPTIONS, World};
use crate::outbox::{
    Delivery, DrainOptions, Drained, Enqueued, Failure, Outbox, OutboxError, Pace, drain,
};
use crate::{Destination, DestinationError, MemoryDestination, Name};

fn never() -> Arc<Fuse> {
    Arc::new(Fuse::never())
}

fn failure(world: &World) -> Failure {
    let status = world.alive().status().unwrap();
    assert_eq!(status.failed.len(), 1, "{status:?}");
    status.failed[0].failure.clone().unwrap()
}

#[test]
fn the_same_delivery_is_noted_once_and_another_one_is_refused() {
    let world = World::new();
    let (outbox, delivery) = (world.alive(), world.delivery("e1"));
    assert_eq!(outbox.enqueue(&delivery, 1).unwrap(), Enqueued::Pending);
    assert_eq!(outbox.enqueue(&delivery, 2).unwrap(), Enqueued::Pending);
    let mut other = delivery.clone();
    other.objects.pop();
    let refused = outbox.enqueue(&other, 3).unwrap_err();
    assert!(matches!(refused, OutboxError::Differs { .. }), "{refused}");
    world.drain(&outbox, &never()).unwrap();
    assert_eq!(outbox.enqueue(&delivery, 4).unwrap(), Enqueued::Done);
    assert!(outbox.is_empty().unwrap());
    assert!(outbox.enqueue(&other, 5).is_err());
    let mut bad = delivery.clone();
    for entry in ["", "a/b", "..", "a:b"] {
        entry.clone_into(&mut bad.entry);
        let refused = outbox.enqueue(&bad, 6).unwrap_err();
        assert!(matches!(refused, OutboxError::Invalid { .. }), "{entry}");
    }
    bad.entry = "e2".into();
    bad.objects.clear();
    assert!(outbox.enqueue(&bad, 7).is_err());
}

#[test]
fn what_failed_once_is_tried_again_later_each_time_and_arrives() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    // Without a destination each opening fails; the longest waits are 1, 2, 4, ... 60 s.
    let times = RefCell::new(Vec::new());
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        times.borrow_mut().push(world.pace.now() / 1000);
        let count = times.borrow().len();
        if count < 10 {
            return Err(DestinationError::Io {
                action: "reach",
                place: "there".into(),
                cause: io::Error::other(format!("cable cut {count} times")),
            });
        }
        assert_eq!(outbox.status().unwrap().pending[0].attempts, 9);
        let said = outbox.status().unwrap().pending[0].last_error.clone();
        assert_eq!(said.unwrap(), "cannot reach `there`: cable cut 9 times");
        Ok(Some(Box::new(MemoryDestination::new())))
    };
    let drained = drain(
        &outbox,
        &open,
        &world.pace,
        &OPTIONS,
        &AtomicBool::new(false),
    );
    let arrived = Drained::Ended {
        arrived: 1,
        failed: 0,
        pending: 0,
    };
    assert_eq!(drained.unwrap(), arrived);
    assert_eq!(times.into_inner(), [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    let done = &outbox.status().unwrap().done[0];
    assert_eq!((done.attempts, done.last_error.clone()), (0, None));
}

#[test]
fn patience_ends_and_the_next_drain_goes_on() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        Err(DestinationError::Io {
            action: "reach",
            place: "there".into(),
            cause: io::Error::other("down"),
        })
    };
    let options = DrainOptions {
        patience: Duration::from_secs(10),
        ..OPTIONS
    };
    let drained = drain(
        &outbox,
        &open,
        &world.pace,
        &options,
        &AtomicBool::new(false),
    )
    .unwrap();
    let pending = Drained::Ended {
        arrived: 0,
        failed: 0,
        pending: 1,
    };
    assert_eq!(drained, pending);
    assert!(world.pace.now() <= 10_000);
    // The wait that was left counts on.
    let record = &outbox.status().unwrap().pending[0];
    assert_eq!(record.attempts, 4);
    assert_eq!(record.next_try, 15_000);
    world.drain(&outbox, &never()).unwrap();
    assert_eq!(world.pace.now(), 15_000);
    world.assert_arrived(&["e1"]);

    outbox.enqueue(&world.delivery("e2"), 0).unwrap();
    let options = DrainOptions {
        tries: Some(3),
        ..OPTIONS
    };
    drain(
        &outbox,
        &open,
        &world.pace,
        &options,
        &AtomicBool::new(false),
    )
    .unwrap();
    assert_eq!(failure(&world), Failure::TooManyTries);
    let status = outbox.status().unwrap();
    let said = status.failed[0].last_error.as_deref();
    assert_eq!(said, Some("cannot reach `there`: down"));
}

#[test]
fn each_lost_answer_is_mended_without_doubling() {
    for nth in 1..40 {
        let world = World::new();
        world.alive().enqueue(&world.delivery("e1"), 0).unwrap();
        // Fails one call of the destination, with its effect and without.
        for kind in [Kind::Fails, Kind::DiesAfter] {
            let fuse = Arc::new(Fuse::new(nth, kind));
            let options = DrainOptions {
                patience: Duration::ZERO,
                ..OPTIONS
            };
            world.drain_with(&world.alive(), &fuse, &options).unwrap();
            world.assert_nothing_half();
        }
        world
            .pace
            .wait(Duration::from_hours(2), &AtomicBool::new(false));
        world.drain(&world.alive(), &never()).unwrap();
        world.assert_arrived(&["e1"]);
        assert_eq!(world.alive().status().unwrap().done.len(), 1);
    }
}

#[test]
fn something_else_under_the_name_is_a_conflict_and_stays() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let name = Name::new("entries/e1").unwrap();
    world.place.put(&name, b"theirs").unwrap();
    world.drain(&outbox, &never()).unwrap();
    let conflict = Failure::Conflict {
        name: "entries/e1".into(),
    };
    assert_eq!(failure(&world), conflict);
    assert_eq!(world.place.get(&name).unwrap().unwrap(), b"theirs");
    let record = &outbox.status().unwrap().failed[0];
    assert!(record.parts[0].sent.is_some() && record.parts[1].sent.is_none());
    assert!(record.finished.is_some());
}

#[test]
fn what_is_there_already_counts_as_arrived() {
    let world = World::new();
    let outbox = world.alive();
    let delivery = world.delivery("e1");
    for object in &delivery.objects {
        let path = world.sources.path().join(object.source.as_str());
        world.place.put_file(&object.name, &path).unwrap();
        // Not even the source is needed then.
        std::fs::remove_file(path).unwrap();
    }
    outbox.enqueue(&delivery, 0).unwrap();
    world.drain(&outbox, &never()).unwrap();
    let done = &outbox.status().unwrap().done[0];
    assert!(done.parts.iter().all(|part| part.sent.unwrap().found));
}

#[test]
fn a_source_that_is_gone_or_changed_is_never_sent() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let source = world.sources.path().join("bundles/e1");
    let content = std::fs::read(&source).unwrap();
    std::fs::write(&source, b"other").unwrap();
    world.drain(&outbox, &never()).unwrap();
    let source_name = || "bundles/e1".to_owned();
    let changed = Failure::SourceChanged {
        source: source_name(),
    };
    assert_eq!(failure(&world), changed);
    world.assert_arrived(&[]);
    std::fs::remove_file(&source).unwrap();
    // To note it again is to try again.
    let delivery = Delivery {
        objects: outbox_objects(&outbox),
        ..world_delivery()
    };
    outbox.enqueue(&delivery, 1).unwrap();
    world.drain(&outbox, &never()).unwrap();
    let missing = Failure::SourceMissing {
        source: source_name(),
    };
    assert_eq!(failure(&world), missing);
    std::fs::write(&source, content).unwrap();
    assert_eq!(outbox.retry().unwrap(), 1);
    world.drain(&outbox, &never()).unwrap();
    world.assert_arrived(&["e1"]);
}

fn world_delivery() -> Delivery {
    Delivery {
        entry: "e1".into(),
        destination: "there".into(),
        objects: Vec::new(),
    }
}

fn outbox_objects(outbox: &Outbox) -> Vec<crate::outbox::Object> {
    let status = outbox.status().unwrap();
    let parts = status.failed[0].parts.iter();
    parts
        .map(|part| crate::outbox::Object {
            name: Name::new(&part.name).unwrap(),
            source: Name::new(&part.source).unwrap(),
            digest: part.digest.clone(),
            size: part.size,
        })
        .collect()
}

/// A place that says it stored, and did not quite.
struct Bent(MemoryDestination);

impl Destination for Bent {
    fn put(&self, name: &Name, content: &[u8]) -> Result<(), DestinationError> {
        let mut bent = content.to_vec();
        bent[0] ^= 1;
        self.0.put(name, &bent)
    }
    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError> {
        self.0.get(name)
    }
    fn list(&self) -> Result<Vec<Name>, DestinationError> {
        self.0.list()
    }
}

#[test]
fn what_did_not_arrive_as_sent_is_named_and_nothing_rests_on_it() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let bent = Arc::new(Bent(MemoryDestination::new()));
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        Ok(Some(Box::new(Bent(MemoryDestination::new()))))
    };
    drain(
        &outbox,
        &open,
        &world.pace,
        &OPTIONS,
        &AtomicBool::new(false),
    )
    .unwrap();
    let damaged = Failure::Damaged {
        name: "bundles/e1".into(),
    };
    assert_eq!(failure(&world), damaged);
    assert!(bent.list().unwrap().is_empty());
}

#[test]
fn who_is_not_let_in_is_told_at_once_and_one_place_does_not_stop_another() {
    let world = World::new();
    let outbox = world.alive();
    let all = ["locked", "unknown", "foreign", "mistaken", "there"];
    for (at, destination) in all.into_iter().enumerate() {
        let delivery = Delivery {
            destination: destination.into(),
            ..world.delivery("e1")
        };
        outbox.enqueue(&delivery, at as u64).unwrap();
    }
    let open = |id: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        let failed = |kind: io::ErrorKind| {
            Err(DestinationError::Io {
                action: "open",
                place: id.into(),
                cause: io::Error::new(kind, "no"),
            })
        };
        match id {
            "locked" => failed(io::ErrorKind::PermissionDenied),
            "foreign" => failed(io::ErrorKind::Unsupported),
            "mistaken" => failed(io::ErrorKind::InvalidInput),
            "there" => Ok(Some(Box::new(MemoryDestination::new()))),
            _ => Ok(None),
        }
    };
    let drained = drain(
        &outbox,
        &open,
        &world.pace,
        &OPTIONS,
        &AtomicBool::new(false),
    )
    .unwrap();
    let expected = Drained::Ended {
        arrived: 1,
        failed: 4,
        pending: 0,
    };
    assert_eq!(drained, expected);
    assert_eq!(world.pace.now(), 0);
    let status = outbox.status().unwrap();
    let failures: Vec<_> = status
        .failed
        .iter()
        .map(|one| one.failure.clone())
        .collect();
    let unusable = |id: &str| Failure::Unusable {
        why: format!("cannot open `{id}`: no"),
    };
    let expected = [
        Failure::Refused,
        Failure::NotConfigured,
        unusable("foreign"),
        unusable("mistaken"),
    ]
    .map(Some);
    assert_eq!(failures, expected);
}

#[test]
fn a_second_drain_finds_it_busy_and_the_first_sees_what_was_noted_meanwhile() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let pace = ManualPace::default();
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        // While this one drains.
        let second = world.drain(&world.alive(), &never()).unwrap();
        assert_eq!(second, Drained::Busy);
        assert!(world.alive().is_drained().unwrap());
        world.alive().enqueue(&world.delivery("e2"), 1).unwrap();
        Ok(Some(Box::new(MemoryDestination::new())))
    };
    let drained = drain(&outbox, &open, &pace, &OPTIONS, &AtomicBool::new(false)).unwrap();
    let both = Drained::Ended {
        arrived: 2,
        failed: 0,
        pending: 0,
    };
    assert_eq!(drained, both);
    assert!(!outbox.is_drained().unwrap());
}

#[test]
fn damaged_and_newer_records_are_named_and_left_alone() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    let name = outbox.list("pending").unwrap().remove(0);
    let path = world.folder.join("pending").join(&name);
    let good = outbox.disk.read(&path).unwrap().unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        outbox.disk.write(&path, &bad).unwrap();
        let status = outbox.status().unwrap();
        assert_eq!(status.damaged.len(), 1, "byte {at}");
        let drained = world.drain(&outbox, &never()).unwrap();
        assert!(matches!(drained, Drained::Ended { pending: 1, .. }));
    }
    let text = String::from_utf8(good).unwrap();
    let newer = text
        .lines()
        .next()
        .unwrap()
        .replace("\"version\":1", "\"version\":2");
    let digest = blake3::hash(newer.as_bytes()).to_hex();
    let newer = format!("{newer}\n{digest}\n");
    outbox.disk.write(&path, newer.as_bytes()).unwrap();
    let damaged = &outbox.status().unwrap().damaged[0];
    let why = "it has version 2; this program reads version 1";
    assert_eq!((damaged.why.as_str(), damaged.foreign), (why, true));
    world.assert_arrived(&[]);
    assert_eq!(outbox.disk.read(&path).unwrap().unwrap(), newer.as_bytes());
}

#[test]
fn a_clock_that_went_back_makes_no_endless_wait() {
    let world = World::new();
    let outbox = world.alive();
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    world
        .pace
        .wait(Duration::from_hours(1000), &AtomicBool::new(false));
    let fuse = Arc::new(Fuse::new(1, Kind::Fails));
    let once = DrainOptions {
        patience: Duration::ZERO,
        ..OPTIONS
    };
    world.drain_with(&outbox, &fuse, &once).unwrap();
    assert!(outbox.status().unwrap().pending[0].next_try > 3_000_000_000);
    let world = World {
        pace: ManualPace::default(),
        ..world
    };
    world.drain(&outbox, &never()).unwrap();
    assert_eq!(world.pace.now(), 0);
    world.assert_arrived(&["e1"]);
}

#[test]
fn what_is_done_is_forgotten_from_the_oldest_on() {
    let world = World::new();
    let outbox = world.alive();
    for entry in ["e1", "e2", "e3"] {
        outbox.enqueue(&world.delivery(entry), 0).unwrap();
        world.drain(&outbox, &never()).unwrap();
        world
            .pace
            .wait(Duration::from_secs(1), &AtomicBool::new(false));
    }
    assert_eq!(outbox.forget_done(2).unwrap(), 1);
    let status = outbox.status().unwrap();
    let left: Vec<_> = status.done.iter().map(|one| one.entry.as_str()).collect();
    assert_eq!(left, ["e2", "e3"]);
    // Again is harmless: it is found there.
    outbox.enqueue(&world.delivery("e1"), 0).unwrap();
    world.drain(&outbox, &never()).unwrap();
    world.assert_arrived(&["e1", "e2", "e3"]);
}
