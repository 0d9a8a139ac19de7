//! `LARDER_LOG`: decisions written to standard error as they are made, for whoever looks for a fault.
//! Knows nothing of what is decided, and is given the variable's value, not the environment.
//!
//! Code says what it decides through the `log` facade, under one of the targets below. Without the variable nothing
//! listens: a call then costs one load and a comparison, and formats nothing. Messages never hold the value of a
//! variable of the environment.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Instant;

use larder_cache::{Entry, PutOutcome};
use log::{LevelFilter, Log, Metadata, Record};

use crate::record::{Status, TaskRecord};
use crate::show::status_word;

/// Which configuration is used, and where it came from.
pub const CONFIG: &str = "larder::config";
/// What is known of files from earlier runs.
pub const MEMO: &str = "larder::memo";
/// Keys, and what they are made from.
pub const KEY: &str = "larder::key";
/// Lookups, restores, packing and storing.
pub const CACHE: &str = "larder::cache";
/// Task locks.
pub const LOCK: &str = "larder::lock";
/// Commands and their ends.
pub const PROCESS: &str = "larder::process";
/// State files, intent records and run records.
pub const STATE: &str = "larder::state";
/// How tasks ended.
pub const TASK: &str = "larder::task";

/// What can be asked for singly, as in `cache=debug`; the targets without their common head.
const PARTS: [&str; 8] = [CONFIG, MEMO, KEY, CACHE, LOCK, PROCESS, STATE, TASK];
const HEAD: &str = "larder::";

/// What to write: a level for each of the [`PARTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter([LevelFilter; PARTS.len()]);

/// A value of `LARDER_LOG` that says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "LARDER_LOG={value} is not understood: `{piece}` is neither a level nor part=level\n  levels: off, error, warn, info, debug, trace\n  parts: {}\n  write LARDER_LOG=debug, or LARDER_LOG=info,cache=trace",
    PARTS.map(short).join(", ")
)]
pub struct Misunderstood {
    value: String,
    piece: String,
}

fn short(target: &str) -> &str {
    target.strip_prefix(HEAD).unwrap_or(target)
}

fn parse(value: &str) -> Result<Filter, Misunderstood> {
    let mut filter = Filter([LevelFilter::Off; PARTS.len()]);
    let pieces = || {
        value
            .split(',')
            .map(str::trim)
            .filter(|piece| !piece.is_empty())
    };
    let wrong = |piece: &str| Misunderstood {
        value: value.to_owned(),
        piece: piece.to_owned(),
    };
    // What holds for all parts comes first, wherever it stands, so that the order says nothing.
    for piece in pieces().filter(|piece| !piece.contains('=')) {
        filter.0 = [piece.parse().map_err(|_| wrong(piece))?; PARTS.len()];
    }
    for (piece, (part, level)) in pieces().filter_map(|piece| Some((piece, piece.split_once('=')?)))
    {
        let at = PARTS.iter().position(|target| short(target) == part.trim());
        let at = at.ok_or_else(|| wrong(piece))?;
        filter.0[at] = level.trim().parse().map_err(|_| wrong(piece))?;
    }
    Ok(filter)
}

impl Filter {
    fn level(&self, target: &str) -> LevelFilter {
        // What other crates say of themselves is not asked for.
        let at = PARTS.iter().position(|part| *part == target);
        at.map_or(LevelFilter::Off, |at| self.0[at])
    }
}

struct Writer {
    filter: Filter,
    start: Instant,
}

thread_local! {
    static TASK_AT_WORK: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Until it is dropped, what this thread says is about one task.
#[derive(Debug)]
pub struct About(());

impl Drop for About {
    fn drop(&mut self) {
        TASK_AT_WORK.with_borrow_mut(|task| *task = None);
    }
}

/// Says that what this thread does from here on is about a task.
pub fn about(task: &str) -> Option<About> {
    (log::max_level() != LevelFilter::Off).then(|| {
        TASK_AT_WORK.with_borrow_mut(|known| *known = Some(task.to_owned()));
        About(())
    })
}

impl Log for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.filter.level(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let elapsed = self.start.elapsed();
        let task = TASK_AT_WORK.with_borrow(|task| {
            let task = task.as_ref()?;
            Some(format!("{task}: "))
        });
        let line = format!(
            "{:>5}.{:06} {:<5} {:<7} {}{}\n",
            elapsed.as_secs(),
            elapsed.subsec_micros(),
            record.level().as_str().to_ascii_lowercase(),
            short(record.target()),
            task.unwrap_or_default(),
            record.args()
        );
        // One write a line, so that lines of several threads stay whole. A closed pipe is the reader's wish.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Listens from now on, as the variable's value asks. Nothing is done for an empty one.
///
/// # Errors
/// When the value is not understood.
pub fn listen(value: &str) -> Result<(), Misunderstood> {
    static WRITER: OnceLock<Writer> = OnceLock::new();
    let filter = parse(value)?;
    let most = filter.0.iter().max().copied().unwrap_or(LevelFilter::Off);
    if most == LevelFilter::Off {
        return Ok(());
    }
    let start = Instant::now();
    let writer = WRITER.get_or_init(|| Writer { filter, start });
    // Within one process the first value holds: there is one standard error to write to.
    let _ = log::set_logger(writer);
    log::set_max_level(most);
    Ok(())
}

/// Says how a task ended.
pub(crate) fn ended(record: &TaskRecord) {
    let level = match record.status {
        Status::Failed => log::Level::Error,
        _ => log::Level::Info,
    };
    log::log!(
        target: TASK,
        level,
        "{}: {}",
        status_word(record.status),
        record.error.as_deref().unwrap_or(&record.why.join("; "))
    );
    for warning in &record.warnings {
        log::warn!(target: TASK, "{warning}");
    }
}

/// What a lookup came to.
pub(crate) fn found(result: &Result<Option<Entry>, larder_cache::Error>) -> String {
    match result {
        Ok(Some(entry)) => format!("an entry with {} paths", entry.manifest.len()),
        Ok(None) => "no entry".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    }
}

/// What storing an entry came to.
pub(crate) fn put(outcome: &PutOutcome) -> &'static str {
    match outcome {
        PutOutcome::Stored => "it is new",
        PutOutcome::Same => "an equal entry was there",
        PutOutcome::Different(_) => "another result was there",
    }
}

/// The names of variables, never their values.
pub(crate) fn names(env: &[(OsString, OsString)]) -> String {
    let names = env.iter().map(|(name, _)| name.to_string_lossy());
    names.collect::<Vec<_>>().join(" ")
}

/// Whether anything is written: a progress line would be torn by it.
pub fn listening() -> bool {
    log::max_level() != LevelFilter::Off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_holds_for_every_part_and_a_part_may_have_its_own() {
        let filter = parse("info").unwrap();
        assert_eq!(filter.level(CACHE), LevelFilter::Info);
        assert_eq!(filter.level(TASK), LevelFilter::Info);
        for value in ["info,cache=trace", " cache = TRACE , info "] {
            let filter = parse(value).unwrap();
            assert_eq!(filter.level(CACHE), LevelFilter::Trace, "{value}");
            assert_eq!(filter.level(LOCK), LevelFilter::Info, "{value}");
        }
        let filter = parse("lock=debug").unwrap();
        assert_eq!(filter.level(LOCK), LevelFilter::Debug);
        assert_eq!(filter.level(CACHE), LevelFilter::Off);
        assert_eq!(parse("").unwrap().level(CACHE), LevelFilter::Off);
        assert_eq!(parse("off").unwrap().level(CACHE), LevelFilter::Off);
    }

    #[test]
    fn what_other_crates_say_is_not_written() {
        assert_eq!(
            parse("trace").unwrap().level("ignore::walk"),
            LevelFilter::Off
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be() {
        for value in ["loud", "debug,cach=debug", "cache=loud", "cache="] {
            assert!(parse(value).is_err(), "{value}");
        }
        insta::assert_snapshot!(parse("debug,cach=trace").unwrap_err(), @r"
        LARDER_LOG=debug,cach=trace is not understood: `cach=trace` is neither a level nor part=level
          levels: off, error, warn, info, debug, trace
          parts: config, memo, key, cache, lock, process, state, task
          write LARDER_LOG=debug, or LARDER_LOG=info,cache=trace
        ");
    }
}
