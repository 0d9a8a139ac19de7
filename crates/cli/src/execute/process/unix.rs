//! Process groups by way of signals.
//! Does not know when or why a group is to end.

use super::{Exit, TICK};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, test_kill_process_group,
    waitid, waitpgid,
};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// The exit of a child is reported by [`notify_exit`].
pub(super) const NOTIFIES: bool = true;
/// How long a killed group may take to vanish.
const VANISH: Duration = Duration::from_secs(1);

/// Makes the child the leader of a group of its own, recorded where the system allows.
#[cfg_attr(not(target_os = "linux"), allow(clippy::unnecessary_wraps))]
pub(super) fn prepare(command: &mut Command, record: Option<&Path>) -> io::Result<()> {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    crate::execute::leftovers::prepare(command, record)?;
    #[cfg(not(target_os = "linux"))]
    let _ = record;
    Ok(())
}

/// Calls `notify` when the child has ended, and leaves it to be collected.
pub(super) fn notify_exit(child: &Child, notify: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let pid = Pid::from_child(child);
    let work = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        notify();
    };
    thread::Builder::new()
        .name("larder-wait".into())
        .spawn(work)
        .map(drop)
}

/// The thread of [`notify_exit`] tells; nothing is asked here.
pub(super) fn has_ended(_child: &mut Child) -> bool {
    false
}

/// Asks the whole group to end. Stopped members are woken, or they would never hear of it.
pub(super) fn terminate(child: &mut Child) {
    let group = Pid::from_child(child);
    // A group that is already gone is what was wanted.
    let _ = kill_process_group(group, Signal::TERM);
    let _ = kill_process_group(group, Signal::CONT);
}

/// Ends the whole group.
pub(super) fn kill(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// Waits until the group of a collected child is empty; what is left after `grace`, or once
/// `hurry` says so, is killed. The group was asked to end before.
///
/// The id cannot have passed to another group while one member lives, and is signalled only right
/// after a member was seen.
pub(super) fn end_group(child: &Child, at_once: bool, grace: Duration, hurry: impl Fn() -> bool) {
    let group = Pid::from_child(child);
    let alive = || {
        // Members that became this process's own children (it is process 1 of a container, or a
        // subreaper) are collected here, or they would count as alive for ever.
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
        if test_kill_process_group(group) == Err(Errno::SRCH) {
            return false;
        }
        #[cfg(target_os = "linux")]
        return crate::execute::leftovers::group_lives(group);
        #[cfg(not(target_os = "linux"))]
        true
    };
    let start = Instant::now();
    while alive() {
        if at_once || hurry() || start.elapsed() >= grace {
            let _ = kill_process_group(group, Signal::KILL);
            let killed = Instant::now();
            while alive() && killed.elapsed() < VANISH {
                thread::sleep(TICK);
            }
            return;
        }
        thread::sleep(TICK);
    }
}

/// How a collected process ended.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(i32::MAX),
    }
}
