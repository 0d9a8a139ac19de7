//! How little a waiting drain does.
//! No process dies here.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::AtomicBool;

use super::{OPTIONS, World};
use crate::outbox::drain;
use crate::{Destination, DestinationError};

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
