//! The tables of a history and the steps that lead from each version of them to the next.
//! Does not know when a step is taken, or what the rows mean.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Tells a history from any other `SQLite` file: `LarH`.
pub(super) const APPLICATION_ID: i64 = 0x4c61_7248;

/// One step for each version: the n-th leads from version n to n + 1. Steps that were released never change.
pub(super) const STEPS: &[&str] = &[VERSION_1];

/// Version 1. `names.rows` counts the rows of `tasks` that bear the name, so that the bound is kept without counting. `names.recent`
/// holds the last durations of executions that succeeded, newest last, each as 8 bytes, little-endian: a run that is about to begin
/// reads one small table and not all rows.
/// Lists are JSON; equal lists of dependencies are kept once. Durations are nanoseconds, memory is bytes.
const VERSION_1: &str = "
CREATE TABLE history (born INTEGER NOT NULL) STRICT;
INSERT INTO history VALUES (random());
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rows INTEGER NOT NULL,
    recent BLOB NOT NULL
) STRICT;
CREATE TABLE lists (
    id INTEGER PRIMARY KEY,
    names TEXT NOT NULL UNIQUE,
    rows INTEGER NOT NULL
) STRICT;
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    host TEXT NOT NULL,
    revision TEXT,
    branch TEXT,
    request TEXT NOT NULL,
    workers INTEGER NOT NULL,
    exit_code INTEGER NOT NULL,
    up_to_date INTEGER NOT NULL,
    saved INTEGER NOT NULL,
    phases TEXT NOT NULL
) STRICT;
CREATE TABLE tasks (
    run INTEGER NOT NULL,
    at INTEGER NOT NULL,
    name INTEGER NOT NULL,
    start INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    cpu INTEGER,
    memory INTEGER,
    outcome INTEGER NOT NULL,
    cache INTEGER NOT NULL,
    key TEXT,
    reason TEXT NOT NULL,
    worker INTEGER,
    deps INTEGER NOT NULL,
    saved INTEGER NOT NULL,
    PRIMARY KEY (run, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_name ON tasks (name, run);
";

/// How many durations `names.recent` holds at most.
const RECENT: usize = 9;

/// Adds a duration to those of `names.recent`.
pub(super) fn add_recent(recent: &mut Vec<u8>, duration_ns: u64) {
    recent.extend(duration_ns.to_le_bytes());
    let most = RECENT * size_of::<u64>();
    recent.drain(..recent.len().saturating_sub(most));
}

/// The durations that `names.recent` holds, oldest first.
pub(super) fn recent(bytes: &[u8]) -> Vec<u64> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|eight| u64::from_le_bytes(*eight))
        .collect()
}

/// What a file that `SQLite` can read turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A history of the latest version.
    Ready,
    /// A file without any content.
    Empty,
    /// A history of an earlier version.
    Older,
    /// A history of this later version.
    Newer(i64),
    /// Something else's file.
    Foreign,
}

/// Tells what the file is, whose versions lead up to the number of `steps`.
pub(super) fn kind(connection: &Connection, steps: &[&str]) -> rusqlite::Result<Kind> {
    let application: i64 = pragma(connection, "application_id")?;
    let version = version(connection)?;
    let latest = latest(steps);
    if application == APPLICATION_ID {
        return Ok(match version.cmp(&latest) {
            std::cmp::Ordering::Less => Kind::Older,
            std::cmp::Ordering::Equal => Kind::Ready,
            std::cmp::Ordering::Greater => Kind::Newer(version),
        });
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if application == 0 && version == 0 && tables == 0 {
        Kind::Empty
    } else {
        Kind::Foreign
    })
}

/// The version that the last of `steps` leads to.
pub(super) fn latest(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// Takes all steps that are still to be taken, in one transaction: a process that dies meanwhile leaves the former version.
pub(super) fn migrate(connection: &Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let taken = usize::try_from(version(&change)?).unwrap_or(0);
    for step in steps.iter().skip(taken) {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", latest(steps))?;
    change.commit()
}

/// What tells this file from one that was begun in its place later.
pub(super) fn born(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT born FROM history", [], |row| row.get(0))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    pragma(connection, "user_version")
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
