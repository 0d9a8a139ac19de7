//! Process groups by way of signals, and one `poll` for all that can happen to a child.
//! Does not know when or why a group is to end.

use super::{Event, Exit, Spec, Stream, TICK};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, test_kill_process_group,
    waitid, waitpgid,
};
use std::ffi::OsStr;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How long a killed group may take to vanish.
const VANISH: Duration = Duration::from_secs(1);

/// Makes the child the leader of a group of its own.
pub(super) fn prepare(command: &mut Command) {
    command.process_group(0);
}

/// The program, looked up as `execvp` would, in the PATH that the command is given.
///
/// When the child's environment has a PATH of its own, the standard library leaves the look-up to the child, and for
/// that must fork: with many open pages a fork costs more than most short commands. A program named by its
/// path is started without.
pub(super) fn program(name: &OsStr, spec: &Spec) -> Command {
    use rustix::fs::{Access, access};
    let search = spec.env.iter().find(|(variable, _)| variable == "PATH");
    let found = search
        .filter(|_| !name.is_empty() && !name.as_encoded_bytes().contains(&b'/'))
        .and_then(|(_, search)| {
            std::env::split_paths(search)
                .map(|folder| spec.cwd.join(folder).join(name))
                .find(|file| access(file, Access::EXEC_OK).is_ok() && file.is_file())
        });
    let Some(found) = found else {
        // Not found, or not executable: the system says which.
        return Command::new(name);
    };
    let mut command = Command::new(found);
    command.arg0(name);
    command
}

/// Whether a file was refused since it is neither a program nor names its interpreter.
pub(super) fn is_no_program(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())
}

/// Where what happens to a child is heard of.
pub(super) struct Events {
    /// Standard output and standard error, until they end.
    pipes: [Option<OwnedFd>; 2],
    /// Which of the two is read first when both have bytes; they take turns.
    first: usize,
    /// Readable once the child has ended; not every system has such a thing.
    end: Option<OwnedFd>,
    wakes: PipeReader,
    waker: Option<PipeWriter>,
}

/// Ends a wait from another thread.
pub(super) struct Waker(Option<PipeWriter>);

impl Waker {
    pub(super) fn wake(&self) {
        if let Some(mut pipe) = self.0.as_ref() {
            // One byte waits for its reader already when the pipe is full.
            let _ = pipe.write(&[0]);
        }
    }
}

impl Events {
    /// Takes the child's pipes.
    pub(super) fn of(child: &mut Child) -> io::Result<Events> {
        let (wakes, sender) = io::pipe()?;
        Ok(Events {
            pipes: [
                child.stdout.take().map(OwnedFd::from),
                child.stderr.take().map(OwnedFd::from),
            ],
            first: 0,
            end: end_of(child),
            wakes,
            waker: Some(sender),
        })
    }

    /// To be called once.
    pub(super) fn waker(&mut self) -> Waker {
        Waker(self.waker.take())
    }

    /// Waits for the next event, at most `wait`. Bytes go into `buffer`.
    pub(super) fn next(
        &mut self,
        wait: Option<Duration>,
        exited: bool,
        buffer: &mut [u8],
    ) -> Event {
        let end = self.end.as_ref().filter(|_| !exited);
        let wait = match wait {
            // Nobody reports the end: it is looked for.
            _ if end.is_none() && !exited => Some(wait.unwrap_or(TICK).min(TICK)),
            wait => wait,
        };
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let order = [self.first, 1 - self.first];
        let sources = order
            .iter()
            .filter_map(|&which| Some((Some(which), self.pipes[which].as_ref()?)));
        let mut which: Vec<Option<usize>> = Vec::with_capacity(4);
        let mut polled = Vec::with_capacity(4);
        for (index, pipe) in sources {
            which.push(index);
            polled.push(PollFd::new(pipe, PollFlags::IN));
        }
        which.push(None);
        polled.push(PollFd::new(&self.wakes, PollFlags::IN));
        if let Some(end) = end {
            which.push(None);
            polled.push(PollFd::new(end, PollFlags::IN));
        }
        if poll(&mut polled, wait.as_ref()).is_err() {
            // Interrupted by a signal: the caller looks and comes back.
            return Event::Look;
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let pipe = which
            .iter()
            .zip(&ready)
            .find_map(|(which, ready)| which.filter(|_| *ready));
        if let Some(pipe) = pipe {
            return self.read(pipe, buffer);
        }
        let woken = which.iter().position(Option::is_none);
        if woken.is_some_and(|woken| ready[woken]) {
            let _ = self.wakes.read(&mut [0; 64]);
        }
        Event::Look
    }

    fn read(&mut self, which: usize, buffer: &mut [u8]) -> Event {
        self.first = 1 - which;
        let Some(pipe) = &self.pipes[which] else {
            return Event::Look;
        };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(count) if count > 0 => {
                let stream = [Stream::Stdout, Stream::Stderr][which];
                Event::Data(stream, count)
            }
            Err(Errno::INTR | Errno::AGAIN) => Event::Look,
            Ok(_) | Err(_) => {
                self.pipes[which] = None;
                Event::Closed
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn end_of(child: &Child) -> Option<OwnedFd> {
    // A kernel before 5.3 has none.
    rustix::process::pidfd_open(Pid::from_child(child), rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn end_of(_child: &Child) -> Option<OwnedFd> {
    None
}

/// Whether the child has ended; it is left to be collected.
pub(super) fn has_ended(child: &mut Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    !matches!(
        waitid(WaitId::Pid(Pid::from_child(child)), options),
        Ok(None) | Err(Errno::INTR)
    )
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

/// Whether nobody but the child itself, which has ended, is left in its group. `false` where the system does not tell.
pub(super) fn group_is_over(child: &Child) -> bool {
    #[cfg(target_os = "linux")]
    return !crate::execute::leftovers::group_lives(Pid::from_child(child));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = child;
        false
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
