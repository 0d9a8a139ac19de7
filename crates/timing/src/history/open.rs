//! Opens a history, and makes, migrates or replaces its file where that is needed.
//! Does not know the rows.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::format::{self, Kind, STEPS};
use super::{History, HistoryError, Opened, Options};

/// What `SQLite` puts beside its file. They go with it: left behind, they would be read as changes to the new file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A WAL file that grew beyond this is cut when it begins anew.
const WAL_LIMIT: i64 = 8 << 20;

/// How many damaged files may lie there; after that the last one is replaced.
const ASIDES: u32 = 99;

pub(super) fn open(path: &Path, options: &Options) -> Result<Opened, HistoryError> {
    with_steps(path, options, STEPS)
}

/// Opens the history at `path`, whose versions are made by `steps`.
pub(super) fn with_steps(
    path: &Path,
    options: &Options,
    steps: &[&str],
) -> Result<Opened, HistoryError> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(HistoryError::NotAFile {
                path: path.to_owned(),
            });
        }
        Ok(_) => {
            // Nearly always all is well, and no lock is needed.
            if let Ok((connection, Kind::Ready)) = connect(path, options, steps) {
                return Ok(finish(connection, path, options, None));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(HistoryError::io(path, error)),
    }
    let lock = lock(path, options.busy_timeout)?;
    let opened = prepare(path, options, steps);
    drop(lock);
    opened
}

/// Opens the history at `path` for someone who only reads: nothing is begun, set aside or written over.
pub(super) fn read(path: &Path, options: &Options) -> Result<History, HistoryError> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(HistoryError::NotAFile {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
        Err(error) => return Err(HistoryError::io(path, error)),
    }
    let foreign = || HistoryError::NoHistory {
        path: path.to_owned(),
    };
    match connect(path, options, STEPS) {
        Ok((connection, Kind::Ready)) => Ok(finish(connection, path, options, None).history),
        // To be read it has to be brought up to date; that loses nothing.
        Ok((_, Kind::Older)) => open(path, options).map(|opened| opened.history),
        Ok((_, Kind::Newer(found))) => Err(HistoryError::Newer {
            path: path.to_owned(),
            found,
            known: format::latest(STEPS),
        }),
        Ok((_, Kind::Empty | Kind::Foreign)) => Err(foreign()),
        Err(HistoryError::Damaged { source, .. })
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) =>
        {
            Err(foreign())
        }
        Err(other) => Err(other),
    }
}

/// Sets the file at `path` aside unless it was `born` at another time than the one that is damaged, and opens what is there then.
pub(super) fn begin_anew(
    path: &Path,
    options: &Options,
    born: Option<i64>,
) -> Result<Opened, HistoryError> {
    let lock = lock(path, options.busy_timeout)?;
    let present = connect(path, options, STEPS)
        .ok()
        .and_then(|(connection, _)| format::born(&connection).ok());
    let replaced = present.is_some() && present != born;
    let aside = if replaced { None } else { set_aside(path)? };
    let mut opened = prepare(path, options, STEPS)?;
    drop(lock);
    opened.set_aside = opened.set_aside.or(aside);
    Ok(opened)
}

/// Makes a history of whatever stands at `path`. The lock is held.
fn prepare(path: &Path, options: &Options, steps: &[&str]) -> Result<Opened, HistoryError> {
    let mut aside = None;
    // The second time there is no file.
    for _ in 0..2 {
        match connect(path, options, steps) {
            Ok((connection, Kind::Ready)) => return Ok(finish(connection, path, options, aside)),
            Ok((connection, Kind::Empty)) if is_stub(path) => drop(connection),
            Ok((connection, Kind::Empty | Kind::Older)) => {
                match make(&connection, steps) {
                    Ok(()) => return Ok(finish(connection, path, options, aside)),
                    Err(error) => match HistoryError::of(path, error) {
                        HistoryError::Damaged { .. } => {}
                        other => return Err(other),
                    },
                }
                drop(connection);
            }
            Ok((_, Kind::Newer(found))) => {
                return Err(HistoryError::Newer {
                    path: path.to_owned(),
                    found,
                    known: format::latest(steps),
                });
            }
            Ok((connection, Kind::Foreign)) => drop(connection),
            Err(HistoryError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
        aside = set_aside(path)?.or(aside);
    }
    let error = rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        None,
    );
    Err(HistoryError::of(path, error))
}

/// Whether there is something, but less than a page. `SQLite` takes that for nothing and would write over it.
fn is_stub(path: &Path) -> bool {
    const LEAST_PAGE: u64 = 512;
    fs::metadata(path).is_ok_and(|meta| (1..LEAST_PAGE).contains(&meta.len()))
}

fn make(connection: &Connection, steps: &[&str]) -> rusqlite::Result<()> {
    // Where the file system cannot do it, SQLite stays with its other way, which is safe too.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    format::migrate(connection, steps)
}

fn finish(
    connection: Connection,
    path: &Path,
    options: &Options,
    set_aside: Option<PathBuf>,
) -> Opened {
    let born = format::born(&connection).ok();
    Opened {
        history: History {
            connection,
            path: path.to_owned(),
            options: options.clone(),
            born,
        },
        set_aside,
    }
}

fn connect(
    path: &Path,
    options: &Options,
    steps: &[&str],
) -> Result<(Connection, Kind), HistoryError> {
    let try_it = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(options.busy_timeout)?;
        // The end of a run is not the time to tidy up; the next writer whose log is long does it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT, |_| Ok(()))?;
        let kind = format::kind(&connection, steps)?;
        Ok((connection, kind))
    };
    try_it().map_err(|error: rusqlite::Error| HistoryError::of(path, error))
}

/// Moves the file at `path` to a free name beside it; `None` when there is none. The lock is held.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, HistoryError> {
    let aside = (1..ASIDES)
        .map(|number| with_suffix(path, &format!(".aside-{number}")))
        .find(|name| !name.exists())
        .unwrap_or_else(|| with_suffix(path, &format!(".aside-{ASIDES}")));
    // The file itself goes last: cut off before that, the next start does the rest.
    for suffix in BESIDE {
        rename(&with_suffix(path, suffix), &with_suffix(&aside, suffix))?;
    }
    Ok(rename(path, &aside)?.then_some(aside))
}

/// Whether there was something to rename.
fn rename(from: &Path, to: &Path) -> Result<bool, HistoryError> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(HistoryError::io(from, error)),
    }
}

/// Takes the lock under which a history's file is made, migrated and set aside.
fn lock(path: &Path, timeout: Duration) -> Result<File, HistoryError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(with_suffix(path, ".lock"))
        .map_err(|error| HistoryError::io(path, error))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < timeout => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(HistoryError::Busy {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(HistoryError::io(path, error)),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunRow;

    fn record(opened: &Opened, id: &str) {
        let run = RunRow {
            id: id.into(),
            ..RunRow::default()
        };
        opened.history.record(&run).unwrap();
    }

    #[test]
    fn an_older_history_takes_the_steps_that_it_has_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let options = Options::default();
        record(&open(&path, &options).unwrap(), "old");

        // The second of the new steps would fail without the first, and the first if it were taken twice.
        let next = "CREATE TABLE notes (text TEXT)";
        let steps = [STEPS, &[next, "INSERT INTO notes VALUES ('kept')"]].concat();
        for _ in 0..2 {
            let opened = with_steps(&path, &options, &steps).unwrap();
            assert_eq!(opened.set_aside, None);
            assert_eq!(opened.history.last().unwrap().unwrap().id, "old");
            let notes: i64 = opened
                .history
                .connection
                .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
                .unwrap();
            assert_eq!(notes, 1);
        }
        let error = open(&path, &options).unwrap_err();
        assert!(
            matches!(
                error,
                HistoryError::Newer {
                    found: 3,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it_to_be_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let options = Options::default();
        record(&open(&path, &options).unwrap(), "old");
        let steps = [
            STEPS,
            &[
                "CREATE TABLE notes (text TEXT)",
                "INSERT INTO no_such VALUES (1)",
            ],
        ]
        .concat();
        // A file from which its own tables are missing is a damaged one; here, it is the step that is at fault.
        assert!(with_steps(&path, &options, &steps).is_err());
        let aside = open(&with_suffix(&path, ".aside-1"), &options).unwrap();
        assert_eq!(aside.history.last().unwrap().unwrap().id, "old");
    }

    #[test]
    fn a_lock_that_is_held_for_too_long_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let held = lock(&path, Duration::ZERO).unwrap();
        let options = Options {
            busy_timeout: Duration::from_millis(5),
            ..Options::default()
        };
        let error = open(&path, &options).unwrap_err();
        assert!(matches!(error, HistoryError::Busy { .. }), "{error}");
        drop(held);
        open(&path, &options).unwrap();
    }
}
