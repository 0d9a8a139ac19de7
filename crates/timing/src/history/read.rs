//! Reads runs and tasks back from the tables.
//! Does not know what is told from them.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Params, Result, Row, params};
use serde::de::DeserializeOwned;

use super::format;
use crate::{CacheState, Outcome, RunRow, TaskRow};

/// The columns of [`run_row`], from its first.
const RUN: &str = "r.seq, r.id, r.started, r.duration, r.host, r.revision, r.branch, r.request, r.workers, r.exit_code, r.up_to_date, \
                   r.saved, r.phases";

/// The columns of [`task_row`], from its first.
const TASK: &str = "n.name, t.start, t.duration, t.cpu, t.memory, t.outcome, t.cache, t.key, t.reason, t.worker, l.names, t.saved";

/// A name or list that is missing makes a row without it, which is seen, and not no row.
const TASK_TABLES: &str =
    "tasks t LEFT JOIN names n ON n.id = t.name LEFT JOIN lists l ON l.id = t.deps";

/// Which runs are asked for.
pub(super) enum Which<'a> {
    All,
    Id(&'a str),
    /// Revisions that begin so.
    Revision(&'a str),
    Branch(&'a str),
}

impl Which<'_> {
    fn condition(&self) -> (&'static str, &str) {
        match self {
            Which::All => ("?1 = ''", ""),
            Which::Id(id) => ("r.id = ?1", id),
            Which::Revision(revision) => ("substr(r.revision, 1, length(?1)) = ?1", revision),
            Which::Branch(branch) => ("r.branch = ?1", branch),
        }
    }
}

pub(super) fn runs(
    connection: &Connection,
    which: &Which<'_>,
    limit: usize,
) -> Result<Vec<RunRow>> {
    let (condition, value) = which.condition();
    let sql = format!("SELECT {RUN} FROM runs r WHERE {condition} ORDER BY r.seq DESC LIMIT ?2");
    all(connection, &sql, params![value, sql_limit(limit)], |row| {
        run_row(row, 0).map(|(_, run)| run)
    })
}

/// The newest of these runs with their tasks.
pub(super) fn whole(
    connection: &Connection,
    which: &Which<'_>,
    limit: usize,
) -> Result<Vec<RunRow>> {
    // All questions see the same state, whatever is forgotten meanwhile.
    let view = connection.unchecked_transaction()?;
    let (condition, value) = which.condition();
    let sql = format!("SELECT {RUN} FROM runs r WHERE {condition} ORDER BY r.seq DESC LIMIT ?2");
    let runs = all(&view, &sql, params![value, sql_limit(limit)], |row| {
        run_row(row, 0)
    })?;
    let sql = format!("SELECT {TASK} FROM {TASK_TABLES} WHERE t.run = ?1 ORDER BY t.at");
    let mut tasks = view.prepare(&sql)?;
    let with_tasks = |(seq, run): (i64, RunRow)| {
        let tasks = tasks
            .query_map([seq], |row| task_row(row, 0))?
            .collect::<Result<_>>()?;
        Ok(RunRow { tasks, ..run })
    };
    runs.into_iter().map(with_tasks).collect()
}

pub(super) fn task(
    connection: &Connection,
    name: &str,
    limit: usize,
) -> Result<Vec<(RunRow, TaskRow)>> {
    let sql = format!(
        "SELECT {TASK}, {RUN} FROM {TASK_TABLES} JOIN runs r ON r.seq = t.run
         WHERE t.name = (SELECT id FROM names WHERE name = ?1) ORDER BY t.run DESC, t.at DESC LIMIT ?2"
    );
    all(connection, &sql, params![name, sql_limit(limit)], |row| {
        Ok((run_row(row, 12)?.1, task_row(row, 0)?))
    })
}

pub(super) fn tasks(connection: &Connection) -> Result<Vec<String>> {
    all(
        connection,
        "SELECT name FROM names ORDER BY name",
        [],
        |row| row.get(0),
    )
}

/// The median of the last durations of each task that has any.
pub(super) fn estimates(connection: &Connection) -> Result<HashMap<String, Duration>> {
    let sql = "SELECT name, recent FROM names WHERE recent <> x''";
    let estimates = all(connection, sql, [], |row| {
        let recent = format::recent(row.get_ref(1)?.as_blob()?);
        Ok((row.get(0)?, Duration::from_nanos(crate::median(&recent))))
    })?;
    Ok(estimates.into_iter().collect())
}

/// At most ten ids that begin so; the one that is equal first, then the newest.
pub(super) fn ids(connection: &Connection, prefix: &str) -> Result<Vec<String>> {
    let sql = "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id = ?1 DESC, seq DESC LIMIT 10";
    all(connection, sql, [prefix], |row| row.get(0))
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    connection.prepare(sql)?.query_map(values, read)?.collect()
}

fn run_row(row: &Row<'_>, first: usize) -> Result<(i64, RunRow)> {
    let run = RunRow {
        id: row.get(first + 1)?,
        started: row.get(first + 2)?,
        duration_ns: row.get(first + 3)?,
        host: row.get(first + 4)?,
        revision: row.get(first + 5)?,
        branch: row.get(first + 6)?,
        request: json(row, first + 7)?,
        workers: row.get(first + 8)?,
        exit_code: row.get(first + 9)?,
        up_to_date: row.get(first + 10)?,
        saved_ns: row.get(first + 11)?,
        phases: json(row, first + 12)?,
        tasks: Vec::new(),
    };
    Ok((row.get(first)?, run))
}

fn task_row(row: &Row<'_>, first: usize) -> Result<TaskRow> {
    Ok(TaskRow {
        task: row.get(first)?,
        start_ns: row.get(first + 1)?,
        duration_ns: row.get(first + 2)?,
        cpu_ns: row.get(first + 3)?,
        peak_memory: row.get(first + 4)?,
        outcome: match row.get(first + 5)? {
            0_i64 => Outcome::Success,
            1 => Outcome::Failure,
            2 => Outcome::Cancelled,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(first + 5, other)),
        },
        cache: match row.get(first + 6)? {
            0_i64 => CacheState::Executed,
            1 => CacheState::Restored,
            2 => CacheState::UpToDate,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(first + 6, other)),
        },
        key: row.get(first + 7)?,
        reason: row.get(first + 8)?,
        worker: row.get(first + 9)?,
        deps: json(row, first + 10)?,
        saved_ns: row.get(first + 11)?,
    })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

/// `usize::MAX` means all; `SQLite` says that with a negative number.
fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}
