//! Asks a session. Whatever goes wrong is no answer.
//! Does not start or end one.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::session::changes::ChangeSet;

use super::Found;
use super::format::{Answer, Clock, MAGIC, Status};
use super::identity;
use super::place::Place;
use super::wire::{VERSION, Wire, is_own, message};

/// So long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came of a question.
enum Reply<T> {
    Answer(T),
    Foreign(String),
}

fn put<Q: Serialize, T: DeserializeOwned>(
    place: &Place,
    word: &str,
    question: Option<&Q>,
) -> io::Result<Reply<T>> {
    let socket = place.socket().ok_or(io::ErrorKind::NotFound)?;
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if !is_own(&stream) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut wire = Wire::new(stream);
    wire.send(&message(&[MAGIC, VERSION, word], question)?)?;
    match wire.hello()? {
        Some(version) if version == VERSION => Ok(Reply::Answer(wire.frame()?)),
        version => Ok(Reply::Foreign(version.unwrap_or_default())),
    }
}

pub(super) fn ask(
    root: &Path,
    env: &[(OsString, OsString)],
    since: Option<&Clock>,
) -> Option<(Clock, ChangeSet)> {
    let Reply::Answer(answer) = put::<_, Answer>(&Place::new(root), "ask", Some(&since)).ok()?
    else {
        return None;
    };
    // A copy of the workspace, or a container in which other folders are mounted there.
    if answer.view != identity::view(root) {
        return None;
    }
    let value = |name: &str| {
        let found = env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| digest_of(&value.to_string_lossy()))
    };
    if answer
        .variables
        .iter()
        .any(|(name, digest)| value(name) != *digest)
    {
        return None;
    }
    let mut changes = ChangeSet::new();
    match answer.everything {
        Some(why) => changes = ChangeSet::everything(why),
        None => answer.paths.into_iter().for_each(|path| changes.add(path)),
    }
    Some((answer.clock, changes))
}

/// The digest by which a resolved configuration knows a variable's value.
fn digest_of(value: &str) -> [u8; 32] {
    *blake3::hash(value.as_bytes()).as_bytes()
}

pub(super) fn find(root: &Path) -> Found {
    let place = Place::new(root);
    match put::<(), Status>(&place, "status", None) {
        Ok(Reply::Answer(status)) => Found::Running(status),
        Ok(Reply::Foreign(version)) => Found::Foreign { version },
        Err(_) if place.is_locked() => Found::Silent,
        Err(_) => Found::Absent,
    }
}

/// Asks it to end; whether it said that it will.
pub(super) fn stop(place: &Place) -> bool {
    put::<(), ()>(place, "stop", None).is_ok()
}
