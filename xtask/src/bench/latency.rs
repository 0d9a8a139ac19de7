//! The scenario `watch-latency`: from a write to the start of the task that reads what was written.
//! It knows what `larder watch` says while it waits, and nothing of how it learns of a change.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::measure::Cost;
use super::results::Row;
use super::site::Site;

/// The probe's task in the fixture's `larder.toml`; its command names two variables, so that the file is the same everywhere.
pub(crate) const TASK: &str = "[tasks.probe]\nprojects = [\".\"]\n\
     command = '\"$BENCH_STAMP\" bench-stamp probe.txt probe.out \"$BENCH_STAMPS\"'\n\
     inputs = [\"probe.txt\"]\noutputs = [\"probe.out\"]\n\
     pass-through-env = [\"BENCH_STAMP\", \"BENCH_STAMPS\"]\n";

/// Writes at least, for a median that means something.
const LEAST_WRITES: usize = 21;

/// What it may still have to do with its own outputs after it said so: a batch takes 200 ms at most. Whoever saves a file
/// does not do so just then.
const PAUSE: Duration = Duration::from_millis(250);

/// What `larder watch` says when it has begun to wait.
const WAITS: &str = "watching ";

/// Arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct StampArgs {
    /// What the task reads
    input: PathBuf,
    /// What it makes
    output: PathBuf,
    /// Where the time of its start is noted
    stamps: PathBuf,
}

/// The hidden subcommand: the probe's task. It copies, and notes when it was started.
pub(crate) fn stamp(args: &StampArgs) -> Result<ExitCode, Box<dyn Error>> {
    let now = nanoseconds()?;
    let text = fs::read_to_string(&args.input)?;
    let mut stamps = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&args.stamps)?;
    fs::write(&args.output, &text)?;
    stamps.write_all(format!("{now} {}\n", text.trim_end()).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn nanoseconds() -> Result<u128, Box<dyn Error>> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}

/// What the scenario needs.
#[derive(Debug)]
pub(crate) struct Latency<'a> {
    /// Larder.
    pub(crate) program: &'a Path,
    /// A built tree, whose `larder.toml` has the probe.
    pub(crate) site: &'a Site,
    /// The tasks that are watched beside it.
    pub(crate) task: &'a str,
    pub(crate) processors: usize,
    /// The longest that anything may take.
    pub(crate) limit: Duration,
}

/// The one row: a run is the time from one write to the start of the task.
pub(crate) fn row(latency: &Latency<'_>, iterations: usize) -> Result<Row, Box<dyn Error>> {
    let files = Files::of(latency.site);
    files.clear()?;
    // No two sessions of measuring write the same, or the cache would have what the task makes.
    let unlike = nanoseconds()?;
    fs::write(&files.input, format!("{unlike} before\n"))?;
    let mut child = start(latency, &files)?;
    let measured = writes(latency, &files, &mut child, unlike, iterations);
    end(&mut child)?;
    let runs = measured.map_err(|error| {
        let told = fs::read_to_string(&files.log).unwrap_or_default();
        format!("watch-latency: {error}; larder watch said:\n{told}")
    })?;
    files.clear()?;
    Ok(Row {
        scenario: "watch-latency".to_owned(),
        who: "larder".to_owned(),
        runs,
        ..Row::default()
    })
}

struct Files {
    input: PathBuf,
    output: PathBuf,
    stamps: PathBuf,
    log: PathBuf,
}

impl Files {
    fn of(site: &Site) -> Files {
        Files {
            input: site.root.join("probe.txt"),
            output: site.root.join("probe.out"),
            stamps: site.logs.join("stamps.txt"),
            log: site.logs.join("watch.log"),
        }
    }

    fn clear(&self) -> std::io::Result<()> {
        [&self.input, &self.output, &self.stamps]
            .into_iter()
            .try_for_each(|path| super::site::remove(path))
    }
}

fn start(latency: &Latency<'_>, files: &Files) -> Result<Child, Box<dyn Error>> {
    let log = File::create(&files.log)?;
    let concurrency = latency.processors.to_string();
    let args = [
        "watch",
        latency.task,
        "probe",
        "--concurrency",
        &concurrency,
    ];
    let stamps: [(OsString, OsString); 2] = [
        ("BENCH_STAMP".into(), std::env::current_exe()?.into()),
        ("BENCH_STAMPS".into(), files.stamps.clone().into()),
    ];
    let child = Command::new(latency.program)
        .args(args)
        .current_dir(&latency.site.root)
        .env_clear()
        .envs(latency.site.environment())
        .envs(stamps)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child)
}

/// Writes again and again, and each time waits until the task has run and nothing more is to do.
fn writes(
    latency: &Latency<'_>,
    files: &Files,
    child: &mut Child,
    unlike: u128,
    iterations: usize,
) -> Result<Vec<Cost>, Box<dyn Error>> {
    let limit = latency.limit;
    until(child, limit, "begin to wait", || waits(files) > 0)?;
    let mut runs = Vec::new();
    let many = iterations.max(LEAST_WRITES);
    for round in 0..many {
        let (text, before) = (format!("{unlike} {round}"), waits(files));
        std::thread::sleep(PAUSE);
        let written = nanoseconds()?;
        fs::write(&files.input, format!("{text}\n"))?;
        until(child, limit, "run the task", || {
            started(files, &text).is_some()
        })?;
        until(child, limit, "wait again", || waits(files) > before)?;
        let started = started(files, &text).ok_or("a stamp is gone")?;
        // Nanoseconds of a wait are far below the 2^52 that are exact.
        #[allow(clippy::cast_precision_loss)]
        let wall = started.saturating_sub(written) as f64 / 1e9;
        runs.push(Cost {
            wall,
            ..Cost::default()
        });
    }
    let found = fs::read_to_string(&files.output)?;
    if found != format!("{unlike} {}\n", many - 1) {
        return Err(format!("the task made {found:?}, not what was written last").into());
    }
    // Once at the start, and once for each write.
    let ran = fs::read_to_string(&files.stamps)?.lines().count();
    if ran != many + 1 {
        return Err(format!("the task ran {ran} times for {many} writes").into());
    }
    Ok(runs)
}

/// Looks until something holds; an error when the time is over or the process has ended.
fn until(
    child: &mut Child,
    limit: Duration,
    what: &str,
    holds: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    while !holds() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("it ended with {status}").into());
        }
        if begin.elapsed() > limit {
            return Err(format!("it did not {what} within {} s", limit.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// How often it said that it waits.
fn waits(files: &Files) -> usize {
    let text = fs::read_to_string(&files.log).unwrap_or_default();
    text.matches(WAITS).count()
}

/// When the task that read this text was started.
fn started(files: &Files, text: &str) -> Option<u128> {
    let stamps = fs::read_to_string(&files.stamps).ok()?;
    let line = stamps.lines().find_map(|line| {
        let (time, of) = line.split_once(' ')?;
        (of == text).then_some(time)
    });
    line?.parse().ok()
}

/// Ends the watch as Ctrl-C does; by force where that is not possible.
fn end(child: &mut Child) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Ok(pid) = i32::try_from(child.id()) {
        // SAFETY: plain numbers; the child is ours and not yet reaped.
        #[allow(unsafe_code)]
        unsafe {
            libc::kill(pid, libc::SIGINT)
        };
    }
    #[cfg(not(unix))]
    child.kill()?;
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_copies_and_notes_when_it_was_started() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        let files = Files::of(&site);
        fs::create_dir_all(&site.root).unwrap();
        fs::create_dir_all(&site.logs).unwrap();
        fs::write(&files.input, "7 3\n").unwrap();
        let before = nanoseconds().unwrap();
        stamp(&StampArgs {
            input: files.input.clone(),
            output: files.output.clone(),
            stamps: files.stamps.clone(),
        })
        .unwrap();
        assert_eq!(fs::read(&files.output).unwrap(), b"7 3\n");
        assert!(started(&files, "7 3").unwrap() >= before);
        assert_eq!(started(&files, "7 4"), None);
        files.clear().unwrap();
        assert_eq!(started(&files, "7 3"), None);
    }
}
