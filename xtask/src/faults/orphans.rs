//! Waits for processes that outlive the command that started them, such as the one that brings entries to the mirrors.
//! Knows nothing of what they do.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitOptions, kill_process, set_child_subreaper, wait as reap};

/// None has more to do than this takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes processes whose parent ended children of this one, so that it can wait for them.
pub(super) fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Waits until no child is left; call it only when all that were started here have been waited for. One that does not end is ended, and
/// that is an error.
pub(super) fn wait() -> io::Result<()> {
    let started = Instant::now();
    let mut ended = false;
    loop {
        match reap(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Err(rustix::io::Errno::CHILD) if ended => {
                return Err(io::Error::other("a background process did not end"));
            }
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(None) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(None) => {
                ended = true;
                for child in children()? {
                    // It may have ended just now.
                    let _ = kill_process(child, Signal::KILL);
                }
            }
        }
    }
}

/// The processes that this one is the parent of.
fn children() -> io::Result<Vec<rustix::process::Pid>> {
    let own = std::process::id();
    let text = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
    let ids = text.split_whitespace().filter_map(|id| id.parse().ok());
    Ok(ids.filter_map(rustix::process::Pid::from_raw).collect())
}
