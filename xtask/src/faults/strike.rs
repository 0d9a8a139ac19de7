//! Makes one fault happen and looks at what it left.
//! Does not know what a start holds, nor what is right in it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::fault::{FULL, Fault};
use super::place::{Place, Start};
use super::report::Verdict;
use super::{Outcome, disk};

/// Whether strace is here and may trace.
pub(super) fn permitted() -> Result<(), String> {
    let output = Command::new("strace")
        .args(["-f", "-b", "execve", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "it may not trace: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// The words that run a program under strace: all its threads, but not what its children become, or its main thread alone.
pub(super) fn strace(base: &Path, alone: bool, what: &[&str]) -> Vec<String> {
    let output = base.join("trace").to_string_lossy().into_owned();
    let threads: &[&str] = if alone { &[] } else { &["-f", "-b", "execve"] };
    ["strace", "-y", "-o", &output]
        .into_iter()
        .chain(threads.iter().copied())
        .chain(what.iter().copied())
        .map(str::to_owned)
        .collect()
}

/// Makes a fault happen and looks at what it left.
pub(super) fn strike(place: &Place, start: &dyn Start, fault: &Fault) -> Outcome<Verdict> {
    place.reset(start)?;
    let base = place.base();
    let small = disk::Small::under(place, fault)?;
    let prefix = match fault.injection() {
        None => Vec::new(),
        Some(injection) => {
            let select = format!("trace={}", fault.syscall);
            strace(base, fault.alone, &["-e", &select, "-e", &injection])
        }
    };
    let child = place
        .command(&prefix, start.args())
        .stdout(fs::File::create(base.join("stdout"))?)
        .stderr(fs::File::create(base.join("stderr"))?)
        .spawn()?;
    let Some(status) = ended(child)? else {
        return Ok(Verdict::Wrong("it hangs".to_owned()));
    };
    let read =
        |name| fs::read(base.join(name)).map(|text| String::from_utf8_lossy(&text).into_owned());
    let (printed, said) = (read("stdout")?, read("stderr")?);
    if said.contains("panicked at") {
        return Ok(Verdict::Wrong(format!("it panics:\n{said}")));
    }
    let killed = status.signal() == Some(9);
    if fault.how == "kill" && !killed {
        return Ok(Verdict::Passed);
    }
    if !["kill", FULL].contains(&fault.how) && !read("trace")?.contains("(INJECTED)") {
        return Ok(Verdict::Passed);
    }
    if status.success()
        && let Some(bad) = start.after_success(&printed)?
    {
        return Ok(Verdict::Wrong(format!(
            "it says that it succeeded, but {bad}\n{said}"
        )));
    }
    // Whoever cannot write cannot say so.
    let silent = said.trim().is_empty() && printed.trim().is_empty();
    if !status.success() && !killed && silent && fault.syscall != "write" {
        return Ok(Verdict::Wrong(format!("it fails without a word: {status}")));
    }
    if let Some(small) = &small {
        small.make_room()?;
    }
    if let Some(bad) = start.heals(&printed)? {
        return Ok(Verdict::Wrong(format!(
            "{bad}\nthe faulty command ended with {status} and said:\n{said}{printed}"
        )));
    }
    Ok(if status.success() || killed {
        Verdict::Sound
    } else {
        Verdict::Refused
    })
}

/// Waits for a process, for half a minute at most.
fn ended(mut child: Child) -> Outcome<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > Duration::from_secs(30) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
