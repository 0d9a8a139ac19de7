//! The session as a library: what a change set reaches, what stays known, and that no result hangs on either.
//! The program's own commands are tested end to end elsewhere.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod foreach;
mod kept;
mod panics;
mod property;
mod random;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use larder::plan::Plan;
use larder::record::Status;
use larder::session::forecast::{Verdict, forecast};
use larder::session::run::Options;
use larder::session::snapshot::{Answer, answer};
use larder::session::{ChangeSet, Clock, Run};
use larder::state::intent;

use common::*;

/// Verdicts of a session that knows nothing but what lies on disk.
fn fresh_verdicts(host: &Host) -> BTreeSet<(String, Verdict)> {
    let session = host.load();
    let (plan, options, show) = (plan(&session), Options::plain(), show());
    let run = Run::new(&session, &plan, &options, &show).unwrap();
    let forecasts = forecast(&run).unwrap();
    forecasts
        .into_iter()
        .map(|forecast| (forecast.id, forecast.verdict))
        .collect()
}
