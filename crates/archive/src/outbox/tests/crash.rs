//! The process dies, or the power is cut, at every single step of noting and of draining.
//! One step at a time; what happens in turn is in `property`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::World;
use super::dying::{Fuse, Kind};
use crate::Destination as _;
use crate::outbox::{Drained, Enqueued};

/// What is left of the names that were not synced.
const CUTS: [Option<u32>; 7] = [
    None,
    Some(0),
    Some(u32::MAX),
    Some(0x5555_5555),
    Some(0xAAAA_AAAA),
    Some(0x3333_3333),
    Some(0xCCCC_CCCC),
];

fn crash(world: &World, cut: Option<u32>) {
    if let Some(pattern) = cut {
        let mut at = 0;
        world.disk.cut(|| {
            at += 1;
            pattern >> (at % 32) & 1 == 1
        });
    }
}

/// Does all this with a process that ends at the first step, the second, and so on until it reaches its end.
fn at_each_step(mut each: impl FnMut(&Arc<Fuse>, Option<u32>)) {
    let mut steps = 0;
    for kind in [Kind::DiesBefore, Kind::DiesAfter] {
        for cut in CUTS {
            for nth in 1.. {
                let fuse = Arc::new(Fuse::new(nth, kind));
                each(&fuse, cut);
                if !fuse.is_burnt() {
                    break;
                }
                steps += 1;
            }
        }
    }
    assert!(steps > 30, "{steps}");
}

#[test]
fn what_was_acknowledged_is_delivered_wherever_noting_died() {
    let sources = World::new().sources;
    at_each_step(|fuse, cut| {
        let world = World::over(&sources);
        let delivery = world.delivery("e1");
        let acknowledged = world.outbox(fuse).enqueue(&delivery, 1).is_ok();
        crash(&world, cut);
        let outbox = world.alive();
        let status = outbox.status().unwrap();
        assert!(status.damaged.is_empty(), "{status:?}");
        assert!(!acknowledged || status.pending.len() == 1);
        let noted = outbox.enqueue(&delivery, 2).unwrap();
        assert_eq!(noted, Enqueued::Pending);
        // What a second call acknowledged is as durable as what the first did.
        crash(&world, cut);
        let never = Arc::new(Fuse::never());
        let arrived = world.drain(&world.alive(), &never).unwrap();
        let (arrived_count, failed, pending) = (1, 0, 0);
        let expected = Drained::Ended {
            arrived: arrived_count,
            failed,
            pending,
        };
        assert_eq!(arrived, expected);
        world.assert_arrived(&["e1"]);
        assert_eq!(world.alive().list("unfinished").unwrap().len(), 0);
    });
}

#[test]
fn nothing_is_lost_doubled_or_half_visible_wherever_a_drain_died() {
    let sources = World::new().sources;
    for second in [None, Some(0x5555_5555), Some(0xAAAA_AAAA)] {
        at_each_step(|fuse, cut| one_drain_dies(&World::over(&sources), fuse, cut, second));
    }
}

fn one_drain_dies(world: &World, fuse: &Arc<Fuse>, cut: Option<u32>, second: Option<u32>) {
    let entries = ["e1", "e2"];
    for (at, entry) in entries.iter().enumerate() {
        let delivery = world.delivery(entry);
        world.alive().enqueue(&delivery, at as u64).unwrap();
    }
    let dying = world.outbox(fuse);
    let died = world.drain_with(&dying, fuse, &patient());
    assert!(!fuse.is_burnt() || died.is_err() || is_pending(&died));
    world.assert_nothing_half();
    crash(world, cut);
    let outbox = world.alive();
    let status = outbox.status().unwrap();
    assert!(status.damaged.is_empty() && status.failed.is_empty());
    let noted = status.pending.len() + status.done.len();
    assert_eq!(noted, 2, "{status:?}");
    for record in &status.done {
        assert!(
            world
                .place
                .list()
                .unwrap()
                .iter()
                .any(|name| { name.as_str() == format!("entries/{}", record.entry) })
        );
    }
    world.drain(&outbox, &Arc::new(Fuse::never())).unwrap();
    world.assert_arrived(&entries);
    crash(world, second);
    world
        .drain(&world.alive(), &Arc::new(Fuse::never()))
        .unwrap();
    let status = world.alive().status().unwrap();
    assert_eq!((status.done.len(), status.pending.len()), (2, 0));
    for record in status.done {
        assert!(record.parts.iter().all(|part| part.sent.is_some()));
    }
}

/// A dead process does not wait.
fn patient() -> crate::outbox::DrainOptions {
    crate::outbox::DrainOptions {
        patience: std::time::Duration::ZERO,
        ..super::OPTIONS
    }
}

fn is_pending(drained: &Result<Drained, crate::outbox::OutboxError>) -> bool {
    matches!(drained, Ok(Drained::Ended { .. }))
}

#[test]
fn nothing_is_lost_wherever_a_new_try_of_what_failed_died() {
    let sources = World::new().sources;
    for kind in [Kind::DiesBefore, Kind::DiesAfter] {
        for cut in CUTS {
            for nth in 1.. {
                let world = World::over(&sources);
                let delivery = world.delivery("e1");
                let source = world.sources.path().join("bundles/e1");
                let content = std::fs::read(&source).unwrap();
                std::fs::remove_file(&source).unwrap();
                let never = Arc::new(Fuse::never());
                world.alive().enqueue(&delivery, 1).unwrap();
                world.drain(&world.alive(), &never).unwrap();
                assert_eq!(world.alive().status().unwrap().failed.len(), 1);
                std::fs::write(&source, content).unwrap();
                let fuse = Arc::new(Fuse::new(nth, kind));
                let retried = world.outbox(&fuse).retry().is_ok();
                crash(&world, cut);
                let status = world.alive().status().unwrap();
                assert_eq!(status.pending.len() + status.failed.len(), 1);
                assert!(!retried || status.pending.len() == 1);
                world.alive().retry().unwrap();
                world.drain(&world.alive(), &never).unwrap();
                world.assert_arrived(&["e1"]);
                let status = world.alive().status().unwrap();
                assert_eq!((status.done.len(), status.failed.len()), (1, 0));
                if !fuse.is_burnt() {
                    break;
                }
            }
        }
    }
}

#[test]
fn nothing_is_sent_of_which_a_power_cut_would_leave_no_note() {
    let world = World::new();
    let at_its_sync = Arc::new(Fuse::new(3, Kind::DiesBefore));
    let noted = world.outbox(&at_its_sync).enqueue(&world.delivery("e1"), 1);
    assert!(noted.is_err());
    // Sends the bundle, and dies before the record.
    for nth in 1.. {
        let fuse = Arc::new(Fuse::new(nth, Kind::DiesBefore));
        let _ = world.drain_with(&world.outbox(&fuse), &fuse, &patient());
        if !world.place.list().unwrap().is_empty() {
            break;
        }
        world.pace.now.fetch_add(3_600_000, Ordering::SeqCst);
    }
    assert_eq!(world.place.list().unwrap().len(), 1);
    crash(&world, Some(0));
    assert_eq!(world.alive().status().unwrap().pending.len(), 1);
}
