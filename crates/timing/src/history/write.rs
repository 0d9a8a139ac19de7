//! Records a run and forgets what is beyond the bounds.
//! Does not know how the file was opened.

use std::collections::HashMap;

use rusqlite::{
    Connection, OptionalExtension, Params, Result, Row, Statement, Transaction,
    TransactionBehavior, params,
};

use super::format;
use crate::{CacheState, Outcome, RunRow, TaskRow};

/// How many times the runs of a task may come and go before a run as a whole is forgotten.
const RUNS_FACTOR: i64 = 20;

pub(super) fn record(connection: &Connection, run: &RunRow, runs_per_task: u32) -> Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let kept = i64::from(runs_per_task.max(1));
    let mut counts = Counts::default();
    let former = "SELECT seq FROM runs WHERE id = ?1";
    let former: Option<i64> = change
        .query_row(former, [&run.id], |row| row.get(0))
        .optional()?;
    if let Some(seq) = former {
        forget(&change, seq, &mut counts)?;
    }
    let seq = insert_run(&change, run)?;
    insert_tasks(&change, seq, &run.tasks, &mut counts)?;
    forget_rows(&change, kept, &mut counts)?;
    forget_runs(&change, seq, kept, &mut counts)?;
    counts.write(&change)?;
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

fn insert_tasks(
    change: &Connection,
    seq: i64,
    tasks: &[TaskRow],
    counts: &mut Counts,
) -> Result<()> {
    let mut insert = change.prepare(
        "INSERT INTO tasks (run, at, name, start, duration, cpu, memory, outcome, cache, key, reason, worker, deps, saved)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let mut names = Intern::new(
        change,
        "SELECT id, rows, recent FROM names WHERE name = ?1",
        "INSERT INTO names (name, rows, recent) VALUES (?1, 0, x'')",
    )?;
    let mut lists = Intern::new(
        change,
        "SELECT id, rows, x'' FROM lists WHERE names = ?1",
        "INSERT INTO lists (names, rows) VALUES (?1, 0)",
    )?;
    let mut recent = change.prepare("UPDATE names SET recent = ?2 WHERE id = ?1")?;
    for (at, task) in tasks.iter().enumerate() {
        let (name, rows, mut last) = names.get(&task.task)?;
        let (deps, uses, _) = lists.get(&json(&task.deps)?)?;
        insert.execute(params![
            seq,
            at,
            name,
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
        counts.names.add(name, rows, 1);
        counts.lists.add(deps, uses, 1);
        if task.is_measure() {
            format::add_recent(&mut last, task.duration_ns);
            recent.execute(params![name, last])?;
        }
    }
    Ok(())
}

/// Gives texts their ids in `names` or `lists`.
struct Intern<'a> {
    change: &'a Connection,
    find: Statement<'a>,
    insert: Statement<'a>,
}

impl<'a> Intern<'a> {
    fn new(change: &'a Connection, find: &str, insert: &str) -> Result<Self> {
        Ok(Self {
            change,
            find: change.prepare(find)?,
            insert: change.prepare(insert)?,
        })
    }

    /// Its id, the number of its rows before this change, and for a name its recent durations.
    fn get(&mut self, text: &str) -> Result<(i64, i64, Vec<u8>)> {
        let found = self
            .find
            .query_row([text], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.insert.execute([text])?;
        Ok((self.change.last_insert_rowid(), 0, Vec::new()))
    }
}

/// Forgets the oldest rows of tasks that have more than are kept.
fn forget_rows(change: &Connection, kept: i64, counts: &mut Counts) -> Result<()> {
    let mut excess: HashMap<i64, i64> = HashMap::new();
    for (&name, count) in &counts.names.0 {
        let over = count.before + count.change - kept;
        if over > 0 {
            excess.insert(name, over);
        }
    }
    if excess.is_empty() {
        return Ok(());
    }
    let mut delete = change.prepare("DELETE FROM tasks WHERE run = ?1 AND at = ?2")?;
    // The rows of the oldest run are the oldest of their tasks. Mostly they are all there is to forget, and one question finds them.
    let oldest = "SELECT run, at, name, deps FROM tasks WHERE run = (SELECT min(run) FROM tasks) ORDER BY at";
    for row in places(&mut change.prepare(oldest)?, [])? {
        match excess.get_mut(&row.name) {
            Some(over) if *over > 0 => *over -= 1,
            _ => continue,
        }
        delete.execute([row.run, row.at])?;
        counts.gone(&row);
    }
    let mut others = change.prepare(
        "SELECT run, at, name, deps FROM tasks WHERE name = ?1 ORDER BY run, at LIMIT ?2",
    )?;
    for (name, over) in excess.into_iter().filter(|(_, over)| *over > 0) {
        for row in places(&mut others, [name, over])? {
            delete.execute([row.run, row.at])?;
            counts.gone(&row);
        }
    }
    Ok(())
}

/// Forgets runs that are too long ago, and those whose tasks all went.
fn forget_runs(change: &Connection, newest: i64, kept: i64, counts: &mut Counts) -> Result<()> {
    let oldest = newest - kept.saturating_mul(RUNS_FACTOR);
    let mut old = change.prepare("SELECT seq FROM runs WHERE seq <= ?1")?;
    let old: Vec<i64> = old
        .query_map([oldest], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for seq in old {
        forget(change, seq, counts)?;
    }
    change.execute(
        "DELETE FROM runs WHERE seq <= ?1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE run = seq)",
        [newest - kept],
    )?;
    Ok(())
}

fn forget(change: &Connection, seq: i64, counts: &mut Counts) -> Result<()> {
    for row in places(
        &mut change.prepare("SELECT run, at, name, deps FROM tasks WHERE run = ?1")?,
        [seq],
    )? {
        counts.gone(&row);
    }
    change.execute("DELETE FROM tasks WHERE run = ?1", [seq])?;
    change.execute("DELETE FROM runs WHERE seq = ?1", [seq])?;
    Ok(())
}

/// Where a row stands, and what it refers to.
struct Place {
    run: i64,
    at: i64,
    name: i64,
    deps: i64,
}

fn places(statement: &mut Statement<'_>, values: impl Params) -> Result<Vec<Place>> {
    let place = |row: &Row<'_>| {
        Ok(Place {
            run: row.get(0)?,
            at: row.get(1)?,
            name: row.get(2)?,
            deps: row.get(3)?,
        })
    };
    statement.query_map(values, place)?.collect()
}

/// By how much the `rows` of names and lists change. In the long run as many rows go as come, and nothing is to be written.
#[derive(Default)]
struct Counts {
    names: Uses,
    lists: Uses,
}

#[derive(Default)]
struct Uses(HashMap<i64, Count>);

#[derive(Default)]
struct Count {
    /// What the table says; not known, and 0, where rows only go.
    before: i64,
    change: i64,
}

impl Uses {
    fn add(&mut self, id: i64, before: i64, change: i64) {
        let count = self.0.entry(id).or_default();
        count.before = count.before.max(before);
        count.change += change;
    }
}

impl Counts {
    fn gone(&mut self, row: &Place) {
        self.names.add(row.name, 0, -1);
        self.lists.add(row.deps, 0, -1);
    }

    fn write(self, change: &Connection) -> Result<()> {
        for (table, uses) in [("names", self.names), ("lists", self.lists)] {
            let mut update = change.prepare(&format!(
                "UPDATE {table} SET rows = rows + ?2 WHERE id = ?1"
            ))?;
            let mut fewer = false;
            for (id, count) in uses.0 {
                if count.change != 0 {
                    update.execute([id, count.change])?;
                }
                fewer |= count.change < 0;
            }
            if fewer {
                change.execute(&format!("DELETE FROM {table} WHERE rows <= 0"), [])?;
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
