//! Starts one command and tells what it cost: wall time, processor time, memory.
//! It does not know what the command is.
//!
//! The command is started by a small process of its own (`cargo xtask bench-measure`): the kernel counts the
//! memory of whoever starts a process as the least that the process ever had.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A command to measure.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// What to start.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Where.
    pub(crate) cwd: PathBuf,
    /// All of its environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// A file for what it prints.
    pub(crate) log: PathBuf,
}

/// What one run cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From just before its start to its end, in seconds.
    pub(crate) wall: f64,
    /// Processor time of the process and all it waited for, in seconds.
    pub(crate) cpu: f64,
    /// Processor time of the process without others, in seconds, by hundredths.
    pub(crate) own_cpu: f64,
    /// The largest memory of the process or of one that it waited for, in bytes.
    pub(crate) peak: u64,
    /// Exit code; absent when a signal or the limit ended it.
    pub(crate) exit: Option<i32>,
    /// Whether the limit ended it.
    pub(crate) over_limit: bool,
}

/// Arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct HelperArgs {
    /// Where the costs go, as JSON
    result: PathBuf,
    /// Where the command's output goes
    log: PathBuf,
    /// Seconds after which the command is ended
    limit: u64,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs a command in a process of its own and gives what it cost.
pub(crate) fn measure(run: &Invocation, limit: Duration) -> Result<Cost, Box<dyn Error>> {
    let result = run.log.with_extension("cost");
    let status = Command::new(std::env::current_exe()?)
        .arg("bench-measure")
        .args([&result, &run.log])
        .arg(limit.as_secs().max(1).to_string())
        .arg("--")
        .arg(&run.program)
        .args(&run.args)
        .current_dir(&run.cwd)
        .env_clear()
        .envs(run.env.iter().map(|(name, value)| (name, value)))
        .status()?;
    if !status.success() {
        return Err(format!("{} could not be measured", run.program.display()).into());
    }
    Ok(serde_json::from_slice(&fs::read(&result)?)?)
}

/// The hidden subcommand.
pub(crate) fn helper(args: &HelperArgs) -> Result<ExitCode, Box<dyn Error>> {
    let log = File::create(&args.log)?;
    let (program, rest) = args.command.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command
        .args(rest)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    system::own_group(&mut command);
    let begin = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| format!("{}: {error}", Path::new(program).display()))?;
    let cost = system::wait(&mut child, begin, Duration::from_secs(args.limit))?;
    fs::write(&args.result, serde_json::to_vec(&cost)?)?;
    Ok(ExitCode::SUCCESS)
}

/// User and system ticks of a process without others, from its line in `/proc`.
pub(crate) fn own_ticks(stat: &str) -> f64 {
    // The name in parentheses may hold anything; what follows the last one is plain.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum()
}

pub(crate) use system::{process_cpu, ticks_a_second};

#[cfg(unix)]
mod system {
    //! Waiting for a process as Unix lets one: with its resource usage.

    use std::os::unix::process::CommandExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};

    use super::{Child, Command, Cost, Duration, Instant, fs, own_ticks};

    pub(super) fn own_group(command: &mut Command) {
        command.process_group(0);
    }

    /// Waits for the end, or brings it about when the time is over.
    // `wait4` and `waitid` are the only ways to a child's usage, and std has neither.
    #[allow(unsafe_code)]
    pub(super) fn wait(
        child: &mut Child,
        begin: Instant,
        limit: Duration,
    ) -> std::io::Result<Cost> {
        let pid = i32::try_from(child.id()).map_err(std::io::Error::other)?;
        let over = Arc::new(AtomicBool::new(false));
        let (ended, end) = mpsc::channel::<()>();
        let killer = std::thread::spawn({
            let over = Arc::clone(&over);
            move || {
                if end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                    over.store(true, Ordering::Relaxed);
                    // SAFETY: plain numbers. The group is the child's own, and the child is not yet reaped.
                    unsafe { libc::kill(-pid, libc::SIGKILL) };
                }
            }
        });
        // SAFETY: `info` is plain data that the call fills; with WNOWAIT the child stays a zombie,
        // whose own times can still be read.
        let (waited, wall) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let id = libc::id_t::from(child.id());
            let waited = libc::waitid(
                libc::P_PID,
                id,
                &raw mut info,
                libc::WEXITED | libc::WNOWAIT,
            );
            (waited, begin.elapsed())
        };
        if waited != 0 {
            return Err(std::io::Error::last_os_error());
        }
        drop(ended);
        // Only a thread that panicked cannot be joined, and this one cannot panic.
        let _ = killer.join();
        let own_ticks =
            own_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default());
        let mut status = 0;
        // SAFETY: `usage` is plain data that the call fills; the child is ours and not yet reaped.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            if libc::wait4(pid, &raw mut status, 0, &raw mut usage) != pid {
                return Err(std::io::Error::last_os_error());
            }
            usage
        };
        let over_limit = over.load(Ordering::Relaxed);
        let exited = libc::WIFEXITED(status) && !over_limit;
        Ok(Cost {
            wall: wall.as_secs_f64(),
            cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            own_cpu: own_ticks / ticks_a_second(),
            peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * MAXRSS_UNIT,
            exit: exited.then(|| libc::WEXITSTATUS(status)),
            over_limit,
        })
    }

    /// How finely the system counts processor time, a second.
    #[allow(unsafe_code, clippy::cast_precision_loss)]
    pub(crate) fn ticks_a_second() -> f64 {
        // SAFETY: asks for a number.
        unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
    }

    /// Processor time that this process took so far, all of its threads, in seconds.
    #[allow(unsafe_code)]
    pub(crate) fn process_cpu() -> f64 {
        // SAFETY: `usage` is plain data that the call fills.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
            usage
        };
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Linux counts in KiB, Apple's systems in bytes.
    const MAXRSS_UNIT: u64 = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };

    // Times are far below the 52 bits that are exact.
    #[allow(clippy::cast_precision_loss)]
    fn seconds(time: libc::timeval) -> f64 {
        time.tv_sec as f64 + f64::from(i32::try_from(time.tv_usec).unwrap_or(0)) / 1e6
    }
}

#[cfg(not(unix))]
mod system {
    //! Elsewhere the wall time is all that is measured.

    use super::{Child, Command, Cost, Duration, Instant};

    pub(super) fn own_group(_command: &mut Command) {}

    pub(crate) fn ticks_a_second() -> f64 {
        100.0
    }

    /// Is not told here.
    pub(crate) fn process_cpu() -> f64 {
        0.0
    }

    pub(super) fn wait(
        child: &mut Child,
        begin: Instant,
        _limit: Duration,
    ) -> std::io::Result<Cost> {
        let status = child.wait()?;
        Ok(Cost {
            wall: begin.elapsed().as_secs_f64(),
            exit: status.code(),
            ..Cost::default()
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn wait(program: &str, args: &[&str], limit: Duration) -> Cost {
        let mut command = Command::new(program);
        command.args(args);
        system::own_group(&mut command);
        system::wait(&mut command.spawn().unwrap(), Instant::now(), limit).unwrap()
    }

    #[test]
    fn the_exit_code_and_memory_of_a_command_are_told() {
        let cost = wait("sh", &["-c", "exit 3"], Duration::from_mins(1));
        assert_eq!(cost.exit, Some(3));
        assert!(!cost.over_limit);
        assert!(cost.peak > 0);
    }

    #[test]
    fn a_command_over_its_limit_is_ended() {
        let cost = wait("sleep", &["600"], Duration::from_millis(1));
        assert!(cost.over_limit);
        assert_eq!(cost.exit, None);
    }

    #[test]
    fn own_ticks_are_read_past_any_name() {
        let stat = "42 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 70 5 900 900 20 0";
        assert!((own_ticks(stat) - 75.0).abs() < f64::EPSILON);
        assert!(own_ticks("").abs() < f64::EPSILON);
    }
}
