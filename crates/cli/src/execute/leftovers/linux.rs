//! Processes as `/proc` shows them.
//! Does not know when a command is recorded, nor when what is left of it must end.

use std::collections::HashSet;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal,
};

use super::Mark;

/// How long killed processes may take to vanish.
const LIMIT: Duration = Duration::from_secs(10);
/// How often they are looked at.
const TICK: Duration = Duration::from_millis(5);

/// What a line of `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: Pid,
    group: Option<Pid>,
    session: i32,
    /// When it started, in ticks since boot.
    start: u64,
    /// It has ended and waits to be collected.
    over: bool,
}

/// A number of a process or group; `None` for what is none.
fn positive(text: &str) -> Option<Pid> {
    let number: i32 = text.parse().ok().filter(|number| *number > 0)?;
    Pid::from_raw(number)
}

/// Reads a line of `/proc/PID/stat`; `None` for anything else. The name, in parentheses, may hold anything.
pub(super) fn parse(line: &str) -> Option<Process> {
    let (id, _) = line.split_once(" (")?;
    let (_, rest) = line.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(Process {
        id: positive(id)?,
        // Of a process that is just going the system says -1.
        group: positive(words.get(2)?),
        session: words.get(3)?.parse().ok()?,
        start: words.get(19)?.parse().ok()?,
        over: matches!(*words.first()?, "Z" | "X" | "x"),
    })
}

fn read(id: Pid) -> Option<Process> {
    let line = std::fs::read(format!("/proc/{}/stat", id.as_raw_nonzero())).ok()?;
    parse(&String::from_utf8_lossy(&line))
}

/// All processes that have not ended.
fn living() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| positive(entry.file_name().to_str()?));
    ids.filter_map(read)
        .filter(|process| !process.over)
        .collect()
}

/// Whether a group has a member that has not ended. One that has ended and was not collected keeps the group's number
/// taken, and where the first process of a container does not collect, it does so for ever.
pub fn group_lives(group: Pid) -> bool {
    let living = living();
    // Without /proc nothing is seen, not even this process.
    living.is_empty() || living.iter().any(|process| process.group == Some(group))
}

/// Whether a process was started with the token. `false` for one whose environment may not be read.
fn carries(id: Pid, mark: Mark<'_>) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{}/environ", id.as_raw_nonzero())) else {
        return false;
    };
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| {
        let value = variable
            .strip_prefix(mark.variable.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|tokens| {
            tokens
                .split(|byte| *byte == b',')
                .any(|token| token == mark.token.as_bytes())
        })
    })
}

/// See [`super::end`].
pub(super) fn end(larder: &str, mark: Mark<'_>) -> io::Result<usize> {
    // A line that cannot be read proves nothing.
    let Some(larder) = parse(larder) else {
        return Ok(0);
    };
    let belongs = |process: &Process| {
        process.session == larder.session
            && process.start >= larder.start
            && carries(process.id, mark)
    };
    let mut ended: Vec<Process> = Vec::new();
    let since = Instant::now();
    loop {
        let living = living();
        let proven: Vec<Process> = living.iter().copied().filter(belongs).collect();
        if proven.iter().any(|process| process.id == getpid()) {
            return Err(io::Error::other(
                "this process is itself left over from that run",
            ));
        }
        let ours = |group: Pid| match living.iter().find(|process| process.id == group) {
            Some(leader) => belongs(leader),
            // It led processes of the task, and nobody can take its number as long as they live.
            None => true,
        };
        let groups: HashSet<Pid> = (proven.iter())
            .filter_map(|process| process.group.filter(|group| ours(*group)))
            .collect();
        let members = living
            .iter()
            .filter(|process| process.group.is_some_and(|group| groups.contains(&group)));
        for process in members.chain(&proven) {
            let known = |other: &Process| (other.id, other.start) == (process.id, process.start);
            if !ended.iter().any(known) {
                ended.push(*process);
            }
        }
        for group in groups {
            // What was seen a moment ago may be gone, which is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
        proven.iter().for_each(kill);
        // A process that is being ended shows no environment any more, and still counts until it is gone.
        let left = |process: &&Process| {
            let same = |other: &Process| (other.id, other.start) == (process.id, process.start);
            living.iter().any(same)
        };
        let Some(last) = ended.iter().find(left) else {
            return Ok(ended.len());
        };
        if since.elapsed() > LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("process {} does not end", last.id.as_raw_nonzero()),
            ));
        }
        thread::sleep(TICK);
    }
}

/// Kills this process and no other that got its number since it was seen.
fn kill(process: &Process) {
    let handle = pidfd_open(process.id, PidfdFlags::empty());
    if read(process.id).is_none_or(|now| now.start != process.start) {
        return;
    }
    // It may have ended by itself.
    let _ = match handle {
        Ok(handle) => pidfd_send_signal(&handle, Signal::KILL),
        // A kernel before 5.3: the number could pass on between the look and the signal, and numbers go round slowly.
        Err(Errno::NOSYS) => kill_process(process.id, Signal::KILL),
        Err(gone) => Err(gone),
    };
}
