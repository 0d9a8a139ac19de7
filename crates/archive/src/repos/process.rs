//! Runs a program to its end, or ends it when it should stop.
//! Does not know what the program does.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Whether what is under way should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It should not.
    Not,
    /// It should, and may take a few seconds for that.
    Soon,
    /// At once.
    Now,
}

/// How often `stop` is asked.
const TICK: Duration = Duration::from_millis(20);
/// What is asked to end has so long for it.
#[cfg(unix)]
const GRACE: Duration = Duration::from_secs(5);
/// What was killed is gone after this, or is a thing of the system's.
#[cfg(unix)]
const VANISH: Duration = Duration::from_secs(2);
#[cfg(unix)]
const PAUSE: Duration = Duration::from_millis(2);

/// What the program wrote, and how it ended; `None` when it was told to stop, and is gone.
pub(super) fn output(
    command: &mut Command,
    own_group: bool,
    stop: &dyn Fn() -> Stop,
) -> io::Result<Option<Output>> {
    #[cfg(unix)]
    if own_group {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }
    for pipe in [Command::stdout::<Stdio>, Command::stderr::<Stdio>] {
        pipe(command, Stdio::piped());
    }
    let mut child = command.spawn()?;
    let (tell, told) = mpsc::channel();
    read(child.stdout.take(), 0, tell.clone());
    read(child.stderr.take(), 1, tell);
    let mut texts = [None, None];
    let mut status = None;
    loop {
        if texts.iter().all(Option::is_some) {
            status = child.try_wait()?;
        }
        if let (Some(status), [Some(stdout), Some(stderr)]) = (status, &mut texts) {
            return Ok(Some(Output {
                status,
                stdout: std::mem::take(stdout),
                stderr: std::mem::take(stderr),
            }));
        }
        if stop() != Stop::Not {
            end(&mut child, own_group, stop);
            return Ok(None);
        }
        match told.recv_timeout(TICK) {
            Ok((at, text)) => texts[at] = Some(text),
            Err(RecvTimeoutError::Timeout) => {}
            // All was read; the end of the program is near.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Reads in a thread of its own, which outlives nobody but whoever keeps the pipe open.
fn read(pipe: Option<impl Read + Send + 'static>, at: usize, tell: Sender<(usize, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a fault is told.
            let _ = pipe.read_to_end(&mut text);
        }
        // Nobody listens any more after a stop.
        let _ = tell.send((at, text));
    });
}

/// Asks it to end, its whole group where it has one; what is left after a while, or at once where that is wanted, is killed.
#[cfg(unix)]
fn end(child: &mut Child, own_group: bool, stop: &dyn Fn() -> Stop) {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
    let id = Pid::from_child(child);
    // While it is not collected, nobody else can have its id; nor while the group has a member.
    let signal = |signal| {
        // What is gone already is as it should be.
        let _ = if own_group {
            kill_process_group(id, signal)
        } else {
            kill_process(id, signal)
        };
    };
    let mut status: Option<ExitStatus> = None;
    let mut is_gone = || {
        status = status.or_else(|| child.try_wait().ok().flatten());
        status.is_some() && !(own_group && test_kill_process_group(id).is_ok())
    };
    signal(Signal::TERM);
    signal(Signal::CONT);
    let start = Instant::now();
    while !is_gone() {
        if stop() == Stop::Now || start.elapsed() >= GRACE {
            signal(Signal::KILL);
            break;
        }
        std::thread::sleep(PAUSE);
    }
    // Killed, all end for certain; only what nobody collects stays to be seen.
    let killed = Instant::now();
    while !is_gone() && killed.elapsed() < VANISH {
        std::thread::sleep(PAUSE);
    }
}

#[cfg(not(unix))]
fn end(child: &mut Child, _: bool, _: &dyn Fn() -> Stop) {
    let _ = child.kill();
    let _ = child.wait();
}
