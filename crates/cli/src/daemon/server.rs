//! The session itself: one thread owns what is watched and remembered, another one takes questions.
//! Does not know who asks, nor what a change reaches.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use crate::watch::{self, Waker};

use super::format::{Answer, Clock, MAGIC, Name, Status};
use super::log::Log;
use super::memory::Memory;
use super::place::Place;
use super::wire::{VERSION, Wire, is_own, message};
use super::{Options, identity};

/// So often it looks whether its workspace is still there, besides whenever something happens.
const CHECK: Duration = Duration::from_mins(1);
/// A client that connected has so long to say what it wants, and to take the answer.
const CLIENT: Duration = Duration::from_millis(500);
/// A look whether the lock is held takes it for a moment; so often and so long it is tried again.
const LOCK: (u32, Duration) = (20, Duration::from_millis(5));

/// A question, and where its answer goes.
enum Request {
    Ask(Option<Clock>, Sender<Answer>),
    Status(Sender<Status>),
    Stop(Sender<()>),
}

/// What the owning thread holds.
struct Service<'a> {
    root: PathBuf,
    options: &'a Options<'a>,
    place: Place,
    lock: File,
    log: Log,
    memory: Memory<'a>,
    asked: Instant,
    since: u64,
    stopped: bool,
}

pub(super) fn serve(root: &Path, options: &Options<'_>) -> Result<(), String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let root = root
        .canonicalize()
        .map_err(|error| failed("the workspace cannot be found", &error))?;
    let place = Place::new(&root);
    prepare(&place.folder).map_err(|error| failed("`.larder` cannot be made", &error))?;
    let lock = lock(&place)?;
    let mut log = Log::open(&place.log);
    let watcher = watch::system().map_err(|error| failed("nothing can be watched", &error))?;
    let memory = Memory::open(&root, options.env, watcher)?;
    let socket = place
        .new_socket(&options.temporary)
        .map_err(|error| failed("there is no place for a socket", &error))?;
    let listener = UnixListener::bind(&socket)
        .map_err(|error| failed(&socket.display().to_string(), &error))?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| failed(&socket.display().to_string(), &error))?;
    let pid = std::process::id();
    let name = Name {
        pid,
        start: identity::start_of(pid).unwrap_or_default(),
        version: VERSION.to_owned(),
        socket: socket.to_string_lossy().into_owned(),
    };
    place
        .write_name(&name)
        .map_err(|error| failed(&place.name.display().to_string(), &error))?;
    log.line(&format!(
        "watches {} folder(s) of {}",
        memory.changes().folders(),
        root.display()
    ));
    let (sender, requests) = mpsc::channel();
    let waker = memory.changes().waker();
    std::thread::Builder::new()
        .name("questions".to_owned())
        .spawn(move || listen(&listener, &sender, &waker))
        .map_err(|error| failed("no thread", &error))?;
    let mut service = Service {
        root,
        options,
        lock,
        log,
        memory,
        asked: Instant::now(),
        since: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        stopped: false,
        place,
    };
    service.run(&requests);
    Ok(())
}

/// Makes the folder of the workspace's state, which git ignores.
fn prepare(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let ignore = folder.join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    std::fs::write(ignore, "*\n")
}

fn lock(place: &Place) -> Result<File, String> {
    for _ in 0..LOCK.0 {
        let taken = place
            .take_lock()
            .map_err(|error| format!("{}: {error}", place.lock.display()))?;
        if let Some(lock) = taken {
            return Ok(lock);
        }
        std::thread::sleep(LOCK.1);
    }
    Err("another session of this workspace runs".to_owned())
}

impl Service<'_> {
    fn run(&mut self, requests: &Receiver<Request>) {
        let why = loop {
            let retires = self.asked + self.options.idle;
            self.memory.wait(retires.min(Instant::now() + CHECK));
            self.note();
            while let Ok(request) = requests.try_recv() {
                self.answer(request);
            }
            if let Some(why) = self.retires() {
                break why;
            }
        };
        // Nobody shall begin to ask; whoever has, gets no answer and does without.
        if self.place.still_holds(&self.lock) {
            self.place.clear();
            self.log.line(&format!("ends: {why}"));
        }
    }

    /// Why it is time to end.
    fn retires(&self) -> Option<&'static str> {
        if self.stopped {
            Some("it was told to")
        } else if !self.place.still_holds(&self.lock) {
            Some("the workspace or its `.larder` was moved or removed")
        } else if self.asked.elapsed() >= self.options.idle {
            Some("nobody asked for long")
        } else {
            None
        }
    }

    /// Keeps what there is to say of what was noticed.
    fn note(&mut self) {
        for line in self.memory.said() {
            self.log.line(&line);
        }
    }

    fn answer(&mut self, request: Request) {
        // Whoever gave up waiting hears nothing: that is no matter here.
        match request {
            Request::Stop(to) => {
                self.stopped = true;
                let _ = to.send(());
            }
            // Whoever reaches it although its workspace is elsewhere by now gets no answer.
            Request::Status(_) | Request::Ask(..) if !self.place.still_holds(&self.lock) => {}
            Request::Status(to) => {
                let _ = to.send(self.status());
            }
            Request::Ask(since, to) => {
                self.asked = Instant::now();
                let _ = to.send(self.changed(since.as_ref()));
            }
        }
    }

    fn changed(&mut self, since: Option<&Clock>) -> Answer {
        let (clock, changes) = self.memory.since(since);
        self.note();
        Answer {
            clock,
            everything: changes.why_everything().map(str::to_owned),
            paths: changes.paths().map(<[u8]>::to_vec).collect(),
            variables: self.memory.workspace().variables.clone(),
            view: identity::view(&self.root),
        }
    }

    fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            since: self.since,
            folders: self.memory.changes().folders(),
            tick: self.memory.clock().tick,
            paths: self.memory.paths(),
            memory: identity::memory(),
            retires_in: self
                .options
                .idle
                .saturating_sub(self.asked.elapsed())
                .as_secs(),
            blind: self.memory.changes().blind().map(str::to_owned),
            version: VERSION.to_owned(),
        }
    }
}

/// Takes questions, one after the other, for the rest of the process's life.
fn listen(listener: &UnixListener, requests: &Sender<Request>, waker: &Waker) {
    for stream in listener.incoming() {
        match stream {
            // A client that breaks off or makes no sense is its own affair.
            Ok(stream) => drop(converse(stream, requests, waker)),
            // Such as too many open files: it may pass.
            Err(_) => std::thread::sleep(CLIENT),
        }
    }
}

fn converse(stream: UnixStream, requests: &Sender<Request>, waker: &Waker) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT))?;
    stream.set_write_timeout(Some(CLIENT))?;
    let mut wire = Wire::new(stream);
    if !is_own(wire.stream()) {
        return Ok(());
    }
    let version = wire.hello()?;
    let word = wire.line()?;
    let hello = [MAGIC, VERSION];
    let reply = match word.as_str() {
        "stop" => message(&hello, Some(&put(requests, waker, Request::Stop)?))?,
        _ if version.as_deref() != Some(VERSION) => message::<()>(&hello, None)?,
        "status" => message(&hello, Some(&put(requests, waker, Request::Status)?))?,
        "ask" => {
            let since = wire.frame()?;
            let answer = put(requests, waker, |to| Request::Ask(since, to))?;
            message(&hello, Some(&answer))?
        }
        _ => return Ok(()),
    };
    wire.send(&reply)
}

/// Has a question answered by the owning thread.
fn put<T>(
    requests: &Sender<Request>,
    waker: &Waker,
    request: impl FnOnce(Sender<T>) -> Request,
) -> io::Result<T> {
    let (to, answer) = mpsc::channel();
    let ended = || io::Error::from(io::ErrorKind::BrokenPipe);
    requests.send(request(to)).map_err(|_| ended())?;
    waker.wake();
    answer.recv().map_err(|_| ended())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_retires_when_nobody_asks_and_leaves_no_socket() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("larder.toml"), "").unwrap();
        let options = |millis| Options {
            env: &[],
            idle: Duration::from_millis(millis),
            temporary: std::env::temp_dir(),
        };
        serve(dir.path(), &options(1)).unwrap();
        let place = Place::new(dir.path());
        assert!(!place.is_locked() && !place.name.exists());
        assert!(!place.socket().unwrap().exists());
        let log = std::fs::read_to_string(&place.log).unwrap();
        assert!(log.contains("ends: nobody asked for long"), "{log}");
        // And it does not begin where another one is.
        let held = place.take_lock().unwrap();
        let refused = serve(dir.path(), &options(1)).unwrap_err();
        assert!(refused.contains("another session"), "{refused}");
        drop(held);
    }
}
