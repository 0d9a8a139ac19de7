//! The real executor: one process group per command, watched until nothing of it is left.
//! Knows nothing of terminals, logs or tasks.
//!
//! Theory of operation. The thread that called `run` waits for whatever comes first: bytes in a pipe,
//! a pipe's end, the end of the main process, a cancel, a point in time. On Unix one `poll` waits for
//! all of them and no thread is started; elsewhere threads read the pipes. The main process is not
//! collected before its group is dealt with, so that its id, which is also the group's, cannot be
//! given away while signals may still be sent to the group.
//!
//! ```text
//! running --exit--> draining --both pipes closed--> done
//!    |                  | pipes still open after `drain`
//!    | cancel, timeout  v
//!    +------------> stopping (SIGTERM) --grace, or a second cancel--> killed (SIGKILL)
//! ```
//!
//! `stopping` and `killed` end when the main process has ended, the pipes are closed and the group
//! is empty. A process that left the group (a daemon that calls `setsid`) and holds a pipe is given
//! up `drain` after the main process has ended, once nobody is left in the group: what it writes then is lost to it.
//! Background processes that do not hold the pipes are left alone when the command ends by itself.

#[cfg_attr(not(unix), path = "process/other.rs")]
#[cfg_attr(unix, path = "process/unix.rs")]
mod platform;
#[cfg(all(test, unix))]
mod tests;

use super::usage::Meter;
use super::{Cancel, End, Executor, Exit, Spec, Stream, Urgency, Usage, argv};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wait4::Wait4 as _;

/// Bytes read from a pipe at once: the size of a pipe on Linux.
const CHUNK: usize = 64 * 1024;
/// How often a group that should be ending, or a process whose end nobody reports, is looked at.
const TICK: Duration = Duration::from_millis(10);
/// How often the rest of a group is looked at whose main process has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How often a start is tried again while another thread still holds the program open for writing.
const BUSY_RETRIES: u32 = 6;

/// Runs commands as child processes.
#[derive(Debug, Clone)]
pub struct ProcessExecutor {
    /// How long pipes may stay open after the main process has ended, and after a group was killed.
    pub drain: Duration,
}

impl Default for ProcessExecutor {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(2),
        }
    }
}

/// Why a command could not be started. Found inside the `io::Error` by [`SpawnError::of`].
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The argv is empty.
    #[error("the command is empty; give it a program to run")]
    Empty,
    /// The folder to run in is not there.
    #[error("cannot run `{program}`: the folder {} does not exist", cwd.display())]
    NoFolder {
        /// The program that was to run.
        program: String,
        /// The folder it was to run in.
        cwd: PathBuf,
    },
    /// No such program.
    #[error(
        "command `{program}` not found (in {}); install it, correct its name, or add its folder to PATH",
        cwd.display()
    )]
    NotFound {
        /// The program that was to run.
        program: String,
        /// The folder it was to run in.
        cwd: PathBuf,
    },
    /// The program is there, the interpreter named in its first line is not.
    #[error("cannot run `{}`: its interpreter (first line `#!…`) or loader does not exist", file.display())]
    NoInterpreter {
        /// The file that was found.
        file: PathBuf,
    },
    /// The program may not be executed.
    #[error("cannot run `{program}` in {}: permission denied; is it executable (`chmod +x`)?", cwd.display())]
    NotExecutable {
        /// The program that was to run.
        program: String,
        /// The folder it was to run in.
        cwd: PathBuf,
    },
    /// The system refused for another reason.
    #[error("cannot run `{program}` in {}: {cause}", cwd.display())]
    Other {
        /// The program that was to run.
        program: String,
        /// The folder it was to run in.
        cwd: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl SpawnError {
    /// The start error inside an error of [`Executor::run`], if it is one.
    pub fn of(error: &io::Error) -> Option<&SpawnError> {
        error.get_ref()?.downcast_ref()
    }

    fn wrap(cause: io::Error, program: &std::ffi::OsStr, spec: &Spec) -> io::Error {
        let kind = cause.kind();
        let name = program.to_string_lossy().into_owned();
        let cwd = spec.cwd.clone();
        let error = match kind {
            _ if !cwd.is_dir() => Self::NoFolder { program: name, cwd },
            io::ErrorKind::NotFound => match find(program, spec) {
                Some(file) => Self::NoInterpreter { file },
                None => Self::NotFound { program: name, cwd },
            },
            io::ErrorKind::PermissionDenied => Self::NotExecutable { program: name, cwd },
            _ => Self::Other {
                program: name,
                cwd,
                cause,
            },
        };
        io::Error::new(kind, error)
    }
}

/// The file that a program's name stands for, if there is one.
fn find(program: &std::ffi::OsStr, spec: &Spec) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.components().count() > 1 {
        return Some(spec.cwd.join(path)).filter(|file| file.is_file());
    }
    let (_, search) = spec.env.iter().find(|(name, _)| name == "PATH")?;
    std::env::split_paths(search)
        .map(|folder| spec.cwd.join(folder).join(path))
        .find(|file| file.is_file())
}

/// What a wait ended with.
enum Event {
    /// Bytes came in; so many of the buffer.
    Data(Stream, usize),
    /// A pipe was closed by all that held it.
    Closed,
    /// The main process may have ended, somebody may have cancelled, or the time is up.
    Look,
}

/// Why a group is being stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Cancelled,
    TimedOut,
    /// The main process ended by itself; others of its group hold the pipes.
    Stragglers,
}

struct Stopping {
    why: Why,
    killed: bool,
    /// When to kill, or, once killed, when to give up on the pipes.
    next: Instant,
}

impl Executor for ProcessExecutor {
    fn run(
        &self,
        spec: &Spec,
        output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        cancel: &Cancel,
    ) -> io::Result<End> {
        if cancel.is_raised() {
            return Ok(Exit::Interrupted.into());
        }
        let started = Instant::now();
        let mut running = Running {
            child: spawn(spec)?,
            collected: false,
        };
        let mut events = platform::Events::of(&mut running.child)?;
        let waker = events.waker();
        let subscription = cancel.subscribe(move || waker.wake());
        let watch = Watch {
            deadline: spec.timeout.and_then(|limit| started.checked_add(limit)),
            grace: spec.grace,
            drain: self.drain,
            cancel,
        };
        let mut meter = Meter::new(running.child.id(), started);
        let why = watch.until_done(&mut running, &mut events, &mut meter, output);
        drop(subscription);
        let mut usage = meter.into_usage();
        let status = running.collect(&mut usage)?;
        if why.is_some() {
            platform::end_group(
                &running.child,
                why == Some(Why::Stragglers),
                spec.grace,
                || cancel.urgency() == Some(Urgency::Immediate),
            );
        }
        let exit = match why {
            Some(Why::Cancelled) => Exit::Interrupted,
            Some(Why::TimedOut) => Exit::TimedOut,
            Some(Why::Stragglers) | None => platform::exit_of(status),
        };
        Ok(End { exit, usage })
    }
}

/// A child that is killed with its group when it is dropped before it was collected.
struct Running {
    child: Child,
    collected: bool,
}

impl Running {
    /// Collects the main process, which has ended, and takes in what it used.
    fn collect(&mut self, usage: &mut Usage) -> io::Result<std::process::ExitStatus> {
        loop {
            if let Some(used) = self.child.try_wait4()? {
                self.collected = true;
                usage.end(used.rusage.utime + used.rusage.stime, used.rusage.maxrss);
                return Ok(used.status);
            }
            thread::sleep(TICK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.collected {
            platform::kill(&mut self.child);
            let _ = self.child.wait();
        }
    }
}

struct Watch<'a> {
    deadline: Option<Instant>,
    grace: Duration,
    drain: Duration,
    cancel: &'a Cancel,
}

impl Watch<'_> {
    /// Passes output on and keeps the time until the main process has ended and the pipes are
    /// closed or given up. Answers why the group had to be stopped, if it had to.
    fn until_done(
        &self,
        running: &mut Running,
        events: &mut platform::Events,
        meter: &mut Meter,
        output: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Option<Why> {
        let mut open = 2;
        let mut exited: Option<Instant> = None;
        let mut stopping: Option<Stopping> = None;
        let mut buffer = vec![0; CHUNK];
        loop {
            let now = Instant::now();
            if exited.is_none() && platform::has_ended(&mut running.child) {
                exited = Some(now);
            }
            if exited.is_some() && open == 0 {
                return stopping.map(|stopping| stopping.why);
            }
            let next = self.step(running, &mut stopping, exited, now);
            let drained =
                exited.is_some_and(|ended| now.saturating_duration_since(ended) >= self.drain);
            if let Some(Stopping { why, .. }) = stopping
                && drained
                && platform::group_is_over(&running.child)
            {
                // Whoever holds the pipes has left the group.
                return Some(why);
            }
            if let Some(Stopping {
                why,
                killed: true,
                next,
            }) = stopping
                && exited.is_some()
                && now >= next
            {
                return Some(why);
            }
            let look = exited.is_none().then(|| meter.look(now)).flatten();
            let next = next.into_iter().chain(look).min();
            let mut wait = next.map(|next| next.saturating_duration_since(now));
            if stopping.is_some() && exited.is_some() {
                // Nobody reports the end of the rest of a group: it is looked for.
                wait = Some(wait.unwrap_or(LOOK).min(LOOK));
            }
            match events.next(wait, exited.is_some(), &mut buffer) {
                Event::Data(stream, count) => output(stream, &buffer[..count]),
                Event::Closed => open -= 1,
                Event::Look => {}
            }
        }
    }

    /// Takes the next step of the state machine that is due, and says when to look again.
    fn step(
        &self,
        running: &mut Running,
        stopping: &mut Option<Stopping>,
        exited: Option<Instant>,
        now: Instant,
    ) -> Option<Instant> {
        let urgency = self.cancel.urgency();
        match stopping {
            None => {
                let end = match exited {
                    Some(exited) => exited.checked_add(self.drain),
                    None => self.deadline,
                };
                let due = end.is_some_and(|end| now >= end);
                let why = match (urgency, due, exited) {
                    (Some(_), _, _) => Why::Cancelled,
                    (None, true, None) => Why::TimedOut,
                    (None, true, Some(_)) => Why::Stragglers,
                    (None, false, _) => return end,
                };
                platform::terminate(&mut running.child);
                let next = now + self.grace;
                *stopping = Some(Stopping {
                    why,
                    killed: false,
                    next,
                });
                // Looked at again at once: the wish may already be immediate.
                Some(now)
            }
            Some(state) => {
                if urgency.is_some() && state.why == Why::Stragglers {
                    state.why = Why::Cancelled;
                }
                if !state.killed && (now >= state.next || urgency == Some(Urgency::Immediate)) {
                    platform::kill(&mut running.child);
                    state.killed = true;
                    state.next = now + self.drain;
                }
                // Once everything is killed and the time is up, only the exit is waited for.
                (!(state.killed && now >= state.next)).then_some(state.next)
            }
        }
    }
}

fn spawn(spec: &Spec) -> io::Result<Child> {
    let words = argv(spec);
    let Some((program, args)) = words.split_first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            SpawnError::Empty,
        ));
    };
    let prepare = |mut command: Command| {
        command
            .args(args)
            .current_dir(&spec.cwd)
            .env_clear()
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        platform::prepare(&mut command);
        command
    };
    let mut command = prepare(platform::program(program, spec));
    let mut by_name = false;
    let mut tries = 0;
    loop {
        match command.spawn() {
            // A program that was just written looks busy while a child forked meanwhile by
            // another thread has not yet closed its copy of the descriptor.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_RETRIES =>
            {
                tries += 1;
                thread::sleep(Duration::from_millis(1 << tries));
            }
            // A script without a first line: the shell takes it, as a look-up by name would have it.
            Err(error) if platform::is_no_program(&error) && !by_name => {
                by_name = true;
                let named = !program.as_encoded_bytes().contains(&b'/');
                command = prepare(if named {
                    Command::new(program)
                } else {
                    let mut shell = platform::program("sh".as_ref(), spec);
                    shell.arg("--").arg(program);
                    shell
                });
            }
            answer => return answer.map_err(|error| SpawnError::wrap(error, program, spec)),
        }
    }
}
