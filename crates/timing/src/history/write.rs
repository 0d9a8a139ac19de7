//! Records a run and forgets what is beyond the bounds.
//! Does not know how the file was opened.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, Transaction, TransactionBehavior, params};

use super::format;
use crate::{CacheState, Outcome, RunRow, TaskRow};

/// How many times the runs of a task may come and go before a run as a whole is forgotten.
const RUNS_FACTOR: i64 = 20;

pub(super) fn record(connection: &Connection, run: &RunRow, runs_per_task: u32) -> Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let kept = i64::from(runs_per_task.max(1));
    let former: Option<i64> = change
        .query_row("SELECT seq FROM runs WHERE id = ?1", [&run.id], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(seq) = former {
        forget(&change, seq)?;
    }
    let seq = insert_run(&change, run)?;
    insert_tasks(&change, seq, &run.tasks, kept)?;
    forget_old(&change, seq, kept)?;
    change.commit()
}

fn insert_run(change: &Connection, run: &RunRow) -> Result<i64> {
    // The newest is never forgotten, so the numbers rise by one with each run.
    change.execute(
        "INSERT INTO runs (id, started, duration, host, revision, branch, request, workers, exit_code, up_to_date, saved, phases)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            run.id,
            run.started,
            integer(run.duration_ns),
            run.host,
            run.revision,
            run.branch,
            json(&run.request)?,
            run.workers,
            run.exit_code,
            run.up_to_date,
            integer(run.saved_ns),
            json(&run.phases)?,
        ],
    )?;
    Ok(change.last_insert_rowid())
}

fn insert_tasks(change: &Connection, seq: i64, tasks: &[TaskRow], kept: i64) -> Result<()> {
    let mut name = change.prepare(
        "INSERT INTO names (name, rows, recent) VALUES (?1, 1, x'')
         ON CONFLICT (name) DO UPDATE SET rows = rows + 1 RETURNING id, rows, recent",
    )?;
    let mut recent = change.prepare("UPDATE names SET recent = ?2 WHERE id = ?1")?;
    let mut deps_list = change.prepare(
        "INSERT INTO lists (names, rows) VALUES (?1, 1)
         ON CONFLICT (names) DO UPDATE SET rows = rows + 1 RETURNING id",
    )?;
    let mut insert = change.prepare(
        "INSERT INTO tasks (run, at, name, start, duration, cpu, memory, outcome, cache, key, reason, worker, deps, saved)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let mut excess = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let (id, rows, mut last): (i64, i64, Vec<u8>) = name.query_row([&task.task], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        if task.is_measure() {
            format::add_recent(&mut last, task.duration_ns);
            recent.execute(params![id, last])?;
        }
        let deps: i64 = deps_list.query_row([json(&task.deps)?], |row| row.get(0))?;
        insert.execute(params![
            seq,
            at,
            id,
            integer(task.start_ns),
            integer(task.duration_ns),
            task.cpu_ns.map(integer),
            task.peak_memory.map(integer),
            outcome(task.outcome),
            cache(task.cache),
            task.key,
            task.reason,
            task.worker,
            deps,
            integer(task.saved_ns),
        ])?;
        if rows > kept {
            excess.push((id, rows - kept));
        }
    }
    let mut delete = change.prepare(
        "DELETE FROM tasks WHERE (run, at) IN (SELECT run, at FROM tasks WHERE name = ?1 ORDER BY run, at LIMIT ?2)
         RETURNING name, deps",
    )?;
    let mut gone = Gone::default();
    for (id, rows) in excess {
        let deleted = delete.query_map([id, rows], |row| Ok((row.get(0)?, row.get(1)?)))?;
        gone.add(deleted)?;
    }
    gone.subtract(change)
}

/// Forgets runs that are too long ago, and those whose tasks all went.
fn forget_old(change: &Connection, newest: i64, kept: i64) -> Result<()> {
    let oldest = newest - kept.saturating_mul(RUNS_FACTOR);
    let mut old = change.prepare("SELECT seq FROM runs WHERE seq <= ?1")?;
    let old: Vec<i64> = old
        .query_map([oldest], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for seq in old {
        forget(change, seq)?;
    }
    change.execute(
        "DELETE FROM runs WHERE seq <= ?1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE run = seq)",
        [newest - kept],
    )?;
    Ok(())
}

fn forget(change: &Connection, seq: i64) -> Result<()> {
    let mut gone = Gone::default();
    let mut delete = change.prepare("DELETE FROM tasks WHERE run = ?1 RETURNING name, deps")?;
    gone.add(delete.query_map([seq], |row| Ok((row.get(0)?, row.get(1)?)))?)?;
    gone.subtract(change)?;
    change.execute("DELETE FROM runs WHERE seq = ?1", [seq])?;
    Ok(())
}

/// How often names and lists stood in rows that were deleted.
#[derive(Default)]
struct Gone {
    names: HashMap<i64, i64>,
    lists: HashMap<i64, i64>,
}

impl Gone {
    fn add(&mut self, rows: impl Iterator<Item = Result<(i64, i64)>>) -> Result<()> {
        for row in rows {
            let (name, list) = row?;
            *self.names.entry(name).or_default() += 1;
            *self.lists.entry(list).or_default() += 1;
        }
        Ok(())
    }

    fn subtract(self, change: &Connection) -> Result<()> {
        for (table, counts) in [("names", self.names), ("lists", self.lists)] {
            let mut subtract = change.prepare(&format!(
                "UPDATE {table} SET rows = rows - ?2 WHERE id = ?1 RETURNING rows"
            ))?;
            let mut delete = change.prepare(&format!("DELETE FROM {table} WHERE id = ?1"))?;
            for (id, count) in counts {
                let left: i64 = subtract.query_row([id, count], |row| row.get(0))?;
                if left <= 0 {
                    delete.execute([id])?;
                }
            }
        }
        Ok(())
    }
}

/// `SQLite`'s integers have a sign; what is too large stays the largest.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn outcome(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Success => 0,
        Outcome::Failure => 1,
        Outcome::Cancelled => 2,
    }
}

fn cache(cache: CacheState) -> i64 {
    match cache {
        CacheState::Executed => 0,
        CacheState::Restored => 1,
        CacheState::UpToDate => 2,
    }
}
