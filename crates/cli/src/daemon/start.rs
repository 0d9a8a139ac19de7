//! Starts a session detached, and ends one for good.
//! Does not know what it does.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use super::format::Name;
use super::place::Place;
use super::{Found, Options, Started, client, identity};

/// So long a session may take to begin to watch.
const BEGIN: Duration = Duration::from_mins(1);
/// So long is waited for one that another call started.
const OTHER: Duration = Duration::from_secs(10);
/// So long it may take to end when it is asked, and when it is killed.
const END: Duration = Duration::from_secs(5);
/// So often is looked.
const TICK: Duration = Duration::from_millis(3);

pub(super) fn start(root: &Path, program: &Path, options: &Options<'_>) -> Result<Started, String> {
    let place = Place::new(root);
    match client::find(root) {
        Found::Running(status) => return Ok(Started::Already(status)),
        Found::Foreign { .. } => drop(stop(root)?),
        // One that begins right now answers soon.
        Found::Silent | Found::Absent => {}
    }
    std::fs::create_dir_all(&place.folder)
        .map_err(|error| format!("{} cannot be made: {error}", place.folder.display()))?;
    let log = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&place.log)
        .map_err(|error| format!("{} cannot be written: {error}", place.log.display()))?;
    let said = log.metadata().map_or(0, |stat| stat.len());
    let mut child = spawn(root, program, options, log)
        .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    let deadline = Instant::now() + BEGIN;
    let mut ended = None;
    while Instant::now() < deadline {
        match client::find(root) {
            Found::Running(status) if status.pid == child.id() => return Ok(Started::New(status)),
            // Another call was faster.
            Found::Running(status) => {
                let _ = child.wait();
                return Ok(Started::Already(status));
            }
            Found::Absent if ended.is_some() => return Err(words(&place, said)),
            // Another one holds the lock. It may be about to begin.
            Found::Silent
                if ended.is_some_and(|since: Instant| since.elapsed() > OTHER)
                    // One that only begins has no name yet.
                    || ended.is_some() && living(place.read_name()).is_some() =>
            {
                let why = "another process holds the lock and does not answer";
                return Err(format!("{why}\n  `larder session stop` ends it"));
            }
            _ => {}
        }
        if ended.is_none() && child.try_wait().is_ok_and(|status| status.is_some()) {
            ended = Some(Instant::now());
        }
        std::thread::sleep(TICK);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!(
        "it did not begin to watch in {} s\n  see {}",
        BEGIN.as_secs(),
        place.log.display()
    ))
}

fn spawn(root: &Path, program: &Path, options: &Options<'_>, log: File) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    keep_none(&mut command);
    command
        .arg("-C")
        .arg(root)
        .args(["session", "serve", "--idle"])
        .arg((options.idle.as_secs() / 60).to_string())
        .env_remove(crate::session::lock::ANCESTORS)
        .env_remove("LARDER_LOG")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// Has a command take none of the descriptors with it that this process was started with: whoever waits for the end of a pipe
/// must not wait for a session.
pub(crate) fn keep_none(command: &mut Command) {
    // This process's own are closed by `exec` anyway, so of those that are opened from here on none is missed.
    let open = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let inherited: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    let mark = move || {
        for &number in &inherited {
            // SAFETY: the number is used for one call and then forgotten. If nothing is open under it any more, the call
            // says so and does nothing.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
        }
        Ok(())
    };
    // SAFETY: between `fork` and `exec` it makes system calls alone: it takes no memory and no lock.
    unsafe { command.pre_exec(mark) };
}

/// What a session that ended at once had to say.
fn words(place: &Place, said: u64) -> String {
    let mut text = String::new();
    let read = File::open(&place.log).and_then(|mut file| {
        file.seek(SeekFrom::Start(said))?;
        file.read_to_string(&mut text)
    });
    let text = text.trim().trim_start_matches("larder: ");
    if read.is_err() || text.is_empty() {
        return format!("it ended at once\n  see {}", place.log.display());
    }
    text.to_owned()
}

pub(super) fn stop(root: &Path) -> Result<bool, String> {
    let place = Place::new(root);
    if !place.is_locked() {
        return Ok(false);
    }
    let name = place.read_name();
    if client::stop(&place) && is_gone(&place) {
        return Ok(true);
    }
    // It does not answer, as one that is stopped by a debugger: the lock says that it lives, the name which one it is.
    let process = living(name);
    let killed = process.is_some_and(|process| kill_process(process, Signal::KILL).is_ok());
    if killed && is_gone(&place) {
        return Ok(true);
    }
    if !place.is_locked() {
        return Ok(true);
    }
    Err(format!(
        "the session does not end\n  end the process that holds {}",
        place.lock.display()
    ))
}

/// The process that a name means, as long as it lives.
fn living(name: Option<Name>) -> Option<Pid> {
    let name = name?;
    let lives = !name.start.is_empty() && identity::start_of(name.pid)? == name.start;
    Pid::from_raw(i32::try_from(name.pid).ok()?).filter(|_| lives)
}

/// Waits until nobody holds the lock.
fn is_gone(place: &Place) -> bool {
    let deadline = Instant::now() + END;
    while place.is_locked() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(TICK);
    }
    true
}
