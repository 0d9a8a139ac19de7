//! One lock a task and workspace, so that two processes never run the same task at once.
//! Does not know what is done under the lock.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::diagnostics::LOCK;

use super::Run;
use super::tree::Fault;

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

/// Takes the lock of a task, waiting for another process unless that is an ancestor of this one.
///
/// # Errors
/// When an ancestor holds it (waiting would never end), or the lock file cannot be made.
pub fn acquire(run: &Run<'_>, id: &str) -> Result<Held, Fault> {
    let session = run.session;
    let name = token(&session.root_digest, id);
    let path = session.paths.locks.join(&name);
    let open = || File::create(&path);
    let file = open().or_else(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
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
    match file.try_lock() {
        Ok(()) => {
            log::debug!(target: LOCK, "{} taken at once", path.display());
            Ok(Held {
                _file: file,
                waited: false,
            })
        }
        Err(TryLockError::WouldBlock) => {
            if session
                .ancestors
                .split(',')
                .any(|ancestor| ancestor == name)
            {
                return Err(Fault::Words(format!(
                    "{id} is being run by an ancestor of this process, so waiting for it would never end\n  do not run a task from within its own command"
                )));
            }
            run.tell(&format!(
                "{id}: waiting for another larder process that runs it"
            ));
            log::debug!(target: LOCK, "{} is held by another process", path.display());
            file.lock().map_err(|error| words(&path, &error))?;
            log::debug!(target: LOCK, "{} taken after waiting", path.display());
            Ok(Held {
                _file: file,
                waited: true,
            })
        }
        Err(TryLockError::Error(error)) => Err(words(&path, &error)),
    }
}
