//! What a system without process groups offers: the main process alone.
//! Does not know when or why it is to end.

use super::{CHUNK, Event, Exit, Spec, Stream, TICK};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Chunks that may wait for the caller; beyond this the command waits for its reader.
const QUEUE: usize = 8;

/// Nothing to prepare.
pub(super) fn prepare(_command: &mut Command) {}

/// The program by its name: the system looks it up.
pub(super) fn program(name: &OsStr, _spec: &Spec) -> Command {
    Command::new(name)
}

/// The system finds out by itself.
pub(super) fn is_no_program(_error: &io::Error) -> bool {
    false
}

enum Heard {
    Data(Stream, Vec<u8>),
    Closed,
    Woken,
}

/// Where what happens to a child is heard of: two threads read its pipes; its end has to be looked for.
pub(super) struct Events {
    heard: Receiver<Heard>,
    send: SyncSender<Heard>,
}

/// Ends a wait from another thread.
pub(super) struct Waker(SyncSender<Heard>);

impl Waker {
    pub(super) fn wake(&self) {
        // A full queue needs no wake-up: the caller looks after every event.
        let _ = self.0.try_send(Heard::Woken);
    }
}

impl Events {
    /// Takes the child's pipes.
    pub(super) fn of(child: &mut Child) -> io::Result<Events> {
        let (send, heard) = sync_channel(QUEUE);
        if let Some(pipe) = child.stdout.take() {
            read_all(pipe, Stream::Stdout, send.clone())?;
        }
        if let Some(pipe) = child.stderr.take() {
            read_all(pipe, Stream::Stderr, send.clone())?;
        }
        Ok(Events { heard, send })
    }

    pub(super) fn waker(&mut self) -> Waker {
        Waker(self.send.clone())
    }

    /// Waits for the next event, at most `wait`. Bytes go into `buffer`.
    pub(super) fn next(
        &mut self,
        wait: Option<Duration>,
        exited: bool,
        buffer: &mut [u8],
    ) -> Event {
        let wait = match wait {
            Some(wait) if exited => wait,
            wait => wait.unwrap_or(TICK).min(TICK),
        };
        match self.heard.recv_timeout(wait) {
            Ok(Heard::Data(stream, bytes)) => {
                // The reader takes no more at once than the buffer holds.
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                Event::Data(stream, count)
            }
            Ok(Heard::Closed) => Event::Closed,
            Ok(Heard::Woken) | Err(_) => Event::Look,
        }
    }
}

fn read_all(
    mut pipe: impl Read + Send + 'static,
    stream: Stream,
    send: SyncSender<Heard>,
) -> io::Result<()> {
    let work = move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            match pipe.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    let heard = Heard::Data(stream, buffer[..count].to_vec());
                    if send.send(heard).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        let _ = send.send(Heard::Closed);
    };
    thread::Builder::new()
        .name("larder-output".into())
        .spawn(work)
        .map(drop)
}

/// Whether the child has ended.
pub(super) fn has_ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)))
}

/// There is no polite way.
pub(super) fn terminate(child: &mut Child) {
    kill(child);
}

/// Ends the child.
pub(super) fn kill(child: &mut Child) {
    // A child that is already gone is what was wanted.
    let _ = child.kill();
}

/// There is no group to wait for.
pub(super) fn end_group(_: &Child, _at_once: bool, _grace: Duration, _hurry: impl Fn() -> bool) {}

/// Whether nobody is left of what the child started: nothing tells.
pub(super) fn group_is_over(_child: &Child) -> bool {
    false
}

/// How a collected process ended.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    Exit::Code(status.code().unwrap_or(i32::MAX))
}
