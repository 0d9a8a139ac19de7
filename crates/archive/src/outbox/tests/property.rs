//! Random lives of an outbox: deliveries are noted, drains fail, processes die and the power is cut, in any order.
//! The model is the list of what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;

use super::dying::{Fuse, Kind};
use super::{OPTIONS, World};
use crate::outbox::{DrainOptions, Pace};

#[derive(Clone, Debug)]
enum Event {
    Enqueue(u8, usize),
    Drain(usize, u8),
    Retry(usize),
    PowerCut(u64),
    Wait,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..6_u8, 1..20_usize).prop_map(|(entry, nth)| Event::Enqueue(entry, nth)),
        4 => (1..60_usize, 0..3_u8).prop_map(|(nth, kind)| Event::Drain(nth, kind)),
        1 => (1..10_usize).prop_map(Event::Retry),
        3 => any::<u64>().prop_map(Event::PowerCut),
        1 => Just(Event::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_acknowledged_arrives_once_and_whole(events in prop::collection::vec(event(), 1..30)) {
        let world = World::new();
        let mut acknowledged = BTreeSet::new();
        let mut tried = BTreeSet::new();
        for (at, event) in events.into_iter().enumerate() {
            match event {
                Event::Enqueue(entry, nth) => {
                    let entry = format!("e{entry}");
                    let fuse = Arc::new(Fuse::new(nth, Kind::DiesBefore));
                    let noted = world.outbox(&fuse).enqueue(&world.delivery(&entry), at as u64);
                    tried.insert(entry.clone());
                    if noted.is_ok() {
                        acknowledged.insert(entry);
                    }
                }
                Event::Drain(nth, kind) => {
                    let kind = [Kind::DiesBefore, Kind::DiesAfter, Kind::Fails][usize::from(kind)];
                    let fuse = Arc::new(Fuse::new(nth, kind));
                    let options = DrainOptions { patience: Duration::ZERO, ..OPTIONS };
                    let _ = world.drain_with(&world.outbox(&fuse), &fuse, &options);
                }
                Event::Retry(nth) => {
                    let fuse = Arc::new(Fuse::new(nth, Kind::DiesAfter));
                    let _ = world.outbox(&fuse).retry();
                }
                Event::PowerCut(mut seed) => world.disk.cut(|| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    seed >> 63 == 1
                }),
                Event::Wait => world.pace.wait(Duration::from_mins(5), &AtomicBool::new(false)),
            }
            world.assert_nothing_half();
            let status = world.alive().status().unwrap();
            prop_assert!(status.damaged.is_empty() && status.failed.is_empty());
            let noted: BTreeSet<String> = status.pending.iter().chain(&status.done).map(|one| one.entry.clone()).collect();
            prop_assert!(noted.is_superset(&acknowledged), "{acknowledged:?} {noted:?}");
            prop_assert!(noted.is_subset(&tried));
        }
        world.drain(&world.alive(), &Arc::new(Fuse::never())).unwrap();
        let status = world.alive().status().unwrap();
        prop_assert!(status.pending.is_empty());
        let done: Vec<&str> = status.done.iter().map(|one| one.entry.as_str()).collect();
        world.assert_arrived(&done);
    }
}
