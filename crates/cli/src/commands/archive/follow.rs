//! What follows an upload: the mirrors get it in the background, or here where somebody waits for that.
//! Does not know how anything is delivered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_archive::EntryId;
use larder_archive::outbox::DrainOptions;

use crate::execute::exit;
use crate::session::Session;

use super::super::{Outcome, say};
use super::mirrors::Mirrors;
use super::status;

/// Sees to it that what is pending gets to the mirrors: in the background, or now where that was asked for.
pub(super) fn follow(
    mirrors: &Mirrors<'_>,
    session: &Session<'_>,
    wait: bool,
    id: EntryId,
) -> Outcome {
    if !mirrors.is_pending() {
        return Ok(exit::SUCCESS);
    }
    if wait {
        return waited(mirrors, session, id);
    }
    if let Err(why) = mirrors.start() {
        say(&format!(
            "larder: nothing is mirrored yet: {why}\n  `larder archive sync` does it"
        ));
    }
    Ok(exit::SUCCESS)
}

/// Delivers here, tells what is waited for, and says what did not arrive.
fn waited(mirrors: &Mirrors<'_>, session: &Session<'_>, id: EntryId) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let _kept = session
        .cancel
        .subscribe(move || raised.store(true, Ordering::Relaxed));
    let told = Mutex::new(BTreeMap::new());
    let tell = || {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        // What cannot be read is an error of the delivery.
        for (mirror, why) in mirrors.missing(id).unwrap_or_default() {
            if told.get(&mirror) != Some(&why) {
                say(&format!("waiting for mirror {mirror}: {why}"));
                told.insert(mirror, why);
            }
        }
    };
    let patience = DrainOptions::default().patience;
    mirrors
        .deliver(patience, true, &stop, &tell)
        .map_err(status::mirror_usage)?;
    let missing = mirrors.missing(id).map_err(status::mirror_usage)?;
    if missing.is_empty() {
        return Ok(exit::SUCCESS);
    }
    for (mirror, why) in &missing {
        say(&format!("larder: mirror {mirror} does not have it: {why}"));
    }
    if !session.cancel.is_raised() {
        say("  `larder archive sync` tries again");
        return Ok(exit::UNFINISHED);
    }
    match mirrors.start() {
        Ok(()) => say("  interrupted: it goes on in the background"),
        Err(why) => say(&format!(
            "  interrupted: {why}\n  `larder archive sync` goes on"
        )),
    }
    Ok(exit::INTERRUPTED)
}
