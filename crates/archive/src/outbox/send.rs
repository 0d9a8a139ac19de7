//! Brings one delivery to its destination and proves that it arrived.
//! Does not know when to try again.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::format::{Failure, Part, Record, Sent};
use super::pace::Pace;
use super::{Outbox, OutboxError, PENDING};
use crate::destination::{Destination, DestinationError};
use crate::name::Name;

/// What one try came to.
pub(super) enum Tried {
    /// All is there.
    Arrived,
    /// It was cancelled between two objects.
    Cancelled,
    /// It may go better another time.
    Later(String),
    /// It will not, unless somebody mends it.
    Never(Failure, Option<String>),
}

/// Sends the parts that did not arrive yet, each noted as soon as it is proven.
pub(super) fn send(
    outbox: &Outbox,
    name: &str,
    record: &mut Record,
    destination: &dyn Destination,
    pace: &dyn Pace,
    cancel: &AtomicBool,
) -> Result<Tried, OutboxError> {
    for at in 0..record.parts.len() {
        if record.parts[at].sent.is_some() {
            continue;
        }
        if cancel.load(Ordering::Relaxed) {
            return Ok(Tried::Cancelled);
        }
        match one(outbox, &record.parts[at], destination, pace) {
            Ok(sent) => record.parts[at].sent = Some(sent),
            Err(tried) => return Ok(tried),
        }
        // Not synced: what a power cut forgets is found at the destination.
        if at + 1 < record.parts.len() {
            outbox.write(PENDING, name, record)?;
        }
    }
    Ok(Tried::Arrived)
}

fn one(
    outbox: &Outbox,
    part: &Part,
    destination: &dyn Destination,
    pace: &dyn Pace,
) -> Result<Sent, Tried> {
    let (Ok(name), Ok(source)) = (Name::new(&part.name), Name::new(&part.source)) else {
        let source = part.source.clone();
        return Err(Tried::Never(Failure::SourceMissing { source }, None));
    };
    let began = pace.now();
    let sent = |put: u64, found| {
        let at = pace.now();
        Sent {
            at,
            put,
            verify: at.saturating_sub(began).saturating_sub(put),
            found,
        }
    };
    let conflict = |name: &Name| {
        let name = name.to_string();
        Tried::Never(Failure::Conflict { name }, None)
    };
    // An earlier try may have brought it there, without an answer.
    match digest_at(destination, &name)? {
        Some(digest) if digest == part.digest => return Ok(sent(0, true)),
        Some(_) => return Err(conflict(&name)),
        None => {}
    }
    let file = outbox.source(&source);
    unchanged(&file, part)?;
    let before = pace.now();
    let put = destination.put_file(&name, &file);
    let took = pace.now().saturating_sub(before);
    let exists = match put {
        Ok(()) => false,
        Err(DestinationError::Exists { .. }) => true,
        Err(error) => return Err(tried(&error)),
    };
    match digest_at(destination, &name)? {
        Some(digest) if digest == part.digest => Ok(sent(took, exists)),
        // Other content, or a folder.
        Some(_) | None if exists => Err(conflict(&name)),
        Some(_) => {
            let name = name.to_string();
            Err(Tried::Never(Failure::Damaged { name }, None))
        }
        None => Err(Tried::Later(format!(
            "`{name}` was put, but is not there yet"
        ))),
    }
}

/// What is sent has to be what was noted: at the destination nothing can be replaced.
fn unchanged(file: &Path, part: &Part) -> Result<(), Tried> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(file).and_then(|mut file| io::copy(&mut file, &mut hasher));
    let source = part.source.clone();
    match read {
        Ok(_) if hasher.finalize().to_hex().as_str() == part.digest => Ok(()),
        Ok(_) => Err(Tried::Never(Failure::SourceChanged { source }, None)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Tried::Never(Failure::SourceMissing { source }, None))
        }
        Err(error) => Err(Tried::Later(format!(
            "cannot read `{}`: {error}",
            file.display()
        ))),
    }
}

fn digest_at(destination: &dyn Destination, name: &Name) -> Result<Option<String>, Tried> {
    let mut hasher = blake3::Hasher::new();
    let there = destination.read_into(name, &mut hasher as &mut dyn Write);
    match there {
        Ok(true) => Ok(Some(hasher.finalize().to_hex().to_string())),
        Ok(false) => Ok(None),
        Err(error) => Err(tried(&error)),
    }
}

/// Whether an error of a destination may pass.
pub(super) fn tried(error: &DestinationError) -> Tried {
    match error {
        DestinationError::Exists { name } => {
            let name = name.to_string();
            Tried::Never(Failure::Conflict { name }, None)
        }
        DestinationError::Io { cause, .. } => {
            let text = format!("{error}: {cause}");
            match cause.kind() {
                ErrorKind::PermissionDenied => Tried::Never(Failure::Refused, Some(text)),
                // Time changes neither programs nor settings.
                ErrorKind::Unsupported | ErrorKind::InvalidInput => {
                    Tried::Never(Failure::Unusable { why: text }, None)
                }
                _ => Tried::Later(text),
            }
        }
    }
}
