//! One lock a task and workspace, so that two processes never run the same task at once.
//! Does not know what is done under the lock.
//!
//! A nested run, one within the command of a task, leaves a record in `waits/` while it waits: the task it waits for and
//! those it runs within, which cannot end before it does. A run whose wait would close a circle of such records
//! does not wait. A record is locked by its writer: one that is not is left over and means nothing. Circles through
//! several workspaces are not seen, as the records of each lie in its own folder.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::diagnostics::LOCK;

use super::Run;
use super::tree::Fault;

/// How long a lock is left alone before it is tried again, at first and at most.
const TICKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// The variable that tells a nested run which tasks it runs within.
pub const ANCESTORS: &str = "LARDER_ANCESTORS";

/// A held lock; dropping it lets the next process go on.
#[derive(Debug)]
pub struct Held {
    _file: File,
    /// Whether another process held it first: what was known may be out of date.
    pub waited: bool,
}

/// Names a task of a workspace among all on the machine.
pub fn token(root_digest: &[u8; 32], id: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(root_digest).update(id.as_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Takes the lock of a task, waiting for another process unless that cannot end before this one does.
///
/// # Errors
/// When waiting would never end, the run is interrupted meanwhile, or the lock file cannot be made.
pub fn acquire(run: &Run<'_>, id: &str) -> Result<Held, Fault> {
    let session = run.session;
    let name = token(&session.root_digest, id);
    let path = session.paths.locks.join(&name);
    let open = || File::create(&path);
    let file = open().or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            std::fs::create_dir_all(&session.paths.locks)?;
            return open();
        }
        Err(error)
    });
    let words = |path: &Path, error: &dyn std::fmt::Display| {
        Fault::Words(format!(
            "the lock {} cannot be taken: {error}\n  make the folder writable",
            path.display()
        ))
    };
    let file = file.map_err(|error| words(&path, &error))?;
    let held = |file, waited| Held {
        _file: file,
        waited,
    };
    match file.try_lock() {
        Ok(()) => {
            log::debug!(target: LOCK, "{} taken at once", path.display());
            return Ok(held(file, false));
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(words(&path, &error)),
    }
    let within = session.ancestors.split(',');
    let within: BTreeSet<&str> = within.filter(|name| !name.is_empty()).collect();
    if within.contains(name.as_str()) {
        return Err(Fault::Words(format!(
            "{id} is being run by an ancestor of this process, so waiting for it would never end\n  do not run a task from within its own command"
        )));
    }
    // Written before the others are read: of those that close a circle the last sees it.
    let folder = session.paths.locks.join("waits");
    let _record = record(&folder, &name, &within).map_err(|error| words(&folder, &error))?;
    if !within.is_empty() && closes_circle(&folder, &name, &within) {
        return Err(Fault::Words(format!(
            "{id} is being run by another process, whose command waits in turn for a task that this process runs within: waiting would never end\n  do not run tasks from within each other's commands; put the order into `depends-on`"
        )));
    }
    run.tell(&format!(
        "{id}: waiting for another larder process that runs it"
    ));
    log::debug!(target: LOCK, "{} is held by another process", path.display());
    let (wake, woken) = mpsc::channel();
    let _subscription = session.cancel.subscribe(move || _ = wake.send(()));
    let mut tick = TICKS.0;
    while !session.cancel.is_raised() {
        match file.try_lock() {
            Ok(()) => {
                log::debug!(target: LOCK, "{} taken after waiting", path.display());
                return Ok(held(file, true));
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(words(&path, &error)),
        }
        let _ = woken.recv_timeout(tick);
        tick = (tick * 2).min(TICKS.1);
    }
    Err(Fault::words("interrupted before it started"))
}

/// Says to others, until it is dropped, that tasks wait for another one. Nothing is said for none.
fn record(
    folder: &Path,
    target: &str,
    within: &BTreeSet<&str>,
) -> io::Result<Option<tempfile::NamedTempFile>> {
    if within.is_empty() {
        return Ok(None);
    }
    std::fs::create_dir_all(folder)?;
    // Locked before it has its name, so that nobody takes it for one that is left over.
    let mut file = tempfile::Builder::new()
        .prefix("new-")
        .tempfile_in(folder)?;
    file.as_file().lock()?;
    let names: Vec<&str> = within.iter().copied().collect();
    file.write_all(format!("{target} {}", names.join(" ")).as_bytes())?;
    file.flush()?;
    let (file, path) = file.into_parts();
    let shown_as = path.with_extension("wait");
    std::fs::rename(&path, &shown_as)?;
    // Its old name is gone already.
    let _ = path.close();
    Ok(Some(tempfile::NamedTempFile::from_parts(
        file,
        tempfile::TempPath::try_from_path(shown_as)?,
    )))
}

/// Whether the end of `target` waits, by way of nested runs, for one of the tasks `within`.
fn closes_circle(folder: &Path, target: &str, within: &BTreeSet<&str>) -> bool {
    let records: Vec<Vec<String>> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| standing(&entry.path()))
        .collect();
    let mut open = vec![target];
    let mut seen = BTreeSet::new();
    while let Some(task) = open.pop() {
        if within.contains(task) {
            return true;
        }
        if seen.insert(task) {
            let waiting = records
                .iter()
                .filter(|names| names[1..].iter().any(|name| name == task));
            open.extend(waiting.map(|names| names[0].as_str()));
        }
    }
    false
}

/// The task that is waited for and those that wait, of a record whose writer lives.
fn standing(path: &Path) -> Option<Vec<String>> {
    if path.extension()? != "wait" {
        return None;
    }
    let file = File::open(path).ok()?;
    if file.try_lock_shared().is_ok() {
        // Its writer was killed.
        let _ = std::fs::remove_file(path);
        return None;
    }
    let text = io::read_to_string(file).ok()?;
    Some(text.split(' ').map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_seen_through_living_records_alone() {
        let dir = tempfile::tempdir().unwrap();
        let within = |name: &'static str| BTreeSet::from([name]);
        let wait = |target: &str, name| record(dir.path(), target, &within(name)).unwrap();
        assert!(record(dir.path(), "b", &BTreeSet::new()).unwrap().is_none());
        assert!(!closes_circle(dir.path(), "a", &within("c")));
        let first = wait("b", "a").unwrap();
        let _second = wait("c", "b");
        // `a` waits for `b`, which waits for `c`, which would wait for `a`.
        assert!(closes_circle(dir.path(), "a", &within("c")));
        assert!(!closes_circle(dir.path(), "a", &within("d")));
        assert!(!closes_circle(dir.path(), "c", &within("d")));
        // What a killed process left is unlocked: it means nothing and goes.
        let left = dir.path().join("left.wait");
        std::fs::copy(first.path(), &left).unwrap();
        drop(first);
        assert!(!closes_circle(dir.path(), "a", &within("c")));
        assert!(!left.exists());
    }
}
