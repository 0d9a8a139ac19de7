//! `larder cache apply-delta`: old outputs become new ones, under the locks of their tasks, and the state knows of it.
//! Does not know how a delta is proved or how files are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::Path;

use larder_cache::{ApplyOptions, Delta, Error, Refusal, Restored, Row, Target, UnitDelta, Why};

use crate::args::CacheArgs;
use crate::execute::leftovers::Mark;
use crate::execute::mux::Order;
use crate::plan::Plan;
use crate::record::{Status, TaskRecord};
use crate::session::life::Done;
use crate::session::outputs::Outputs;
use crate::session::run::Options;
use crate::session::tree::Fault;
use crate::session::{Run, Session, lock};
use crate::show::Show;
use crate::state::intent::{self, Intent};
use crate::state::{State, TaskState, Update};

use super::super::{Context, Outcome, Usage};
use super::answer::{self, Told, tell};
use super::{bound_elsewhere, chunks_of, success, unfit};

/// A unit of the delta that is a task here and may be applied.
struct Part<'a> {
    unit: &'a UnitDelta,
    task: usize,
    outputs: &'a Outputs,
    /// What the task owns here, before anything is applied.
    owned: BTreeMap<Vec<u8>, Row>,
    /// The record of another process that stood when the lock was taken, and how the task had ended, if it had.
    found: Option<(Intent, Option<Finished>)>,
    /// Whether there is anything to write or to remember.
    works: bool,
}

/// How a task ended, and what is known of its chunks.
type Finished = (TaskState, Option<Vec<u8>>);

/// Why nothing was applied, or not all: in words.
struct Refused(String);

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused(fault.to_string())
    }
}

pub(in super::super) fn apply(context: &Context<'_>, args: &CacheArgs, asked: &Path) -> Outcome {
    let dir = context.cwd.join(asked);
    if !dir.is_dir() {
        return Err(Usage::new(format!(
            "there is no folder {}\n  name one that `larder run --write-delta` wrote",
            asked.display()
        )));
    }
    context.with_session(
        args.cache_dir.clone(),
        &crate::args::Reuse::default(),
        |session| {
            let read =
                larder_cache::read_delta(&dir).map_err(|error| Refused(unusable(asked, &error)));
            match read.and_then(|delta| Ok((in_session(session, &dir, asked, &delta)?, delta))) {
                Ok(((restored, told), delta)) => {
                    answer::done(session, args.json, &delta, &restored, &told)
                }
                Err(Refused(message)) => answer::refused(session, args.json, &message),
            }
        },
    )
}

fn unusable(asked: &Path, error: &Error) -> String {
    let hint = match error {
        Error::Partial { .. } => "apply it again when the cause is gone, or run the tasks",
        Error::Refused(Refusal {
            why: Why::Undeclared | Why::ThroughLink,
            ..
        }) => "nothing was written",
        Error::Refused(_) => "nothing was written: copy the delta again, or write a new one",
        _ => "nothing was written: it may be incomplete, or out of reach",
    };
    format!(
        "the delta in {} cannot be applied: {error}\n  {hint}",
        asked.display()
    )
}

fn in_session(
    session: &Session<'_>,
    dir: &Path,
    asked: &Path,
    delta: &Delta,
) -> Result<(Restored, Vec<Told>), Refused> {
    let ids: BTreeMap<String, usize> = (0..session.workspace.tasks.len())
        .map(|task| (crate::plan::task_id(&session.workspace, task), task))
        .collect();
    let known = delta.units.iter().filter_map(|unit| ids.get(&unit.name));
    let plan = Plan::new(&session.workspace, known.copied().collect(), true)
        .map_err(|error| Refused(error.to_string()))?;
    let options = Options::plain();
    let show = Show::new(Order::Stream, false, true, false, None);
    let run = Run::new(session, &plan, &options, &show)?;
    let mut told = Vec::new();
    let mut parts = Vec::new();
    let gone: BTreeSet<&[u8]> = delta
        .units
        .iter()
        .flat_map(|unit| unit.removed.iter().map(|row| &*row.path))
        .collect();
    for unit in &delta.units {
        match part(&run, &ids, unit, &gone)? {
            Ok(part) => parts.push(part),
            Err(why) => told.push(tell(unit, "refused", Some(why))),
        }
    }
    let names: Vec<&str> = parts
        .iter()
        .filter(|part| part.works)
        .map(|part| part.unit.name.as_str())
        .collect();
    let locks = locks(&run, &names)?;
    let state = State::open(&session.paths.state);
    for part in &mut parts {
        recover(session, &state, part)?;
    }
    for part in parts.iter().filter(|part| part.works) {
        intend(session, part)?;
    }
    let restored = write(session, dir, delta, &parts).map_err(|error| {
        if !matches!(error, Error::Partial { .. }) {
            // Nothing was written, so nothing is in flux.
            for part in parts.iter().filter(|part| part.works) {
                put_back(session, part);
            }
        }
        Refused(unusable(asked, &error))
    })?;
    session.tree.forget_scans();
    let mut results = BTreeMap::new();
    for part in &parts {
        let rows = listed(session, part.outputs)?;
        let right = larder_cache::digest(&rows) == part.unit.after;
        told.push(match (right, part.unit.is_empty()) {
            (true, true) => tell(part.unit, "unchanged", None),
            (true, false) => tell(part.unit, "applied", None),
            (false, _) => tell(
                part.unit,
                "differs",
                Some("other files lie among its outputs, or they were not those that the delta was made from"),
            ),
        });
        if part.works {
            results.insert(part.task, remembered(session, part, rows, right));
        }
    }
    // As a run does: whoever takes a lock now finds how the task ended.
    drop(locks);
    run.remember(&results);
    told.sort_by(|one, two| one.name.cmp(&two.name));
    Ok((restored, told))
}

/// The task that a unit is of, or why the unit is left alone.
fn part<'a>(
    run: &'a Run<'_>,
    ids: &BTreeMap<String, usize>,
    unit: &'a UnitDelta,
    gone: &BTreeSet<&[u8]>,
) -> Result<Result<Part<'a>, &'static str>, Refused> {
    let session = run.session;
    let Some(&task) = ids.get(&unit.name) else {
        return Ok(Err("this workspace has no such task"));
    };
    if let Some(why) = unfit(&session.workspace.tasks[task]) {
        return Ok(Err(why));
    }
    let Some(outputs) = run.outputs(task)? else {
        return Ok(Err("it declares no `outputs`"));
    };
    if bound_elsewhere(unit, &session.root_digest) {
        return Ok(Err(
            "its outputs hold the path of the workspace they were made in (`relocatable = true` hands them on all the same)",
        ));
    }
    let mut new = unit.new_rows();
    if new.any(|row| !outputs.covers(&row.path)) {
        return Ok(Err("it has outputs that are not declared here"));
    }
    // What another task gives away in this delta is free.
    let kept: Vec<Row> = unit
        .new_rows()
        .filter(|row| !gone.contains(&*row.path))
        .cloned()
        .collect();
    if run.clash(&unit.name, &kept).is_some() {
        return Ok(Err("another task wrote one of its outputs here"));
    }
    let last = session.state.task(&unit.name);
    let offered = success(unit);
    let known = last.and_then(|last| last.success.as_ref());
    let news = offered.is_some_and(|offered| known.is_none_or(|known| known.key != offered.key));
    Ok(Ok(Part {
        unit,
        task,
        outputs,
        owned: BTreeMap::new(),
        found: None,
        works: news || !unit.is_empty(),
    }))
}

/// The locks of all `tasks`. Nothing is held while one is waited for, so that no circle of waits can be closed.
fn locks(run: &Run<'_>, tasks: &[&str]) -> Result<Vec<File>, Refused> {
    let session = run.session;
    loop {
        let mut held = Vec::new();
        let mut taken = None;
        for task in tasks {
            let path = session
                .paths
                .locks
                .join(lock::token(&session.root_digest, task));
            match try_lock(&path) {
                Ok(file) => held.push(file),
                Err(TryLockError::WouldBlock) => {
                    taken = Some(task);
                    break;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Refused(format!(
                        "the lock {} cannot be taken: {error}\n  make the folder writable",
                        path.display()
                    )));
                }
            }
        }
        let Some(task) = taken else { return Ok(held) };
        drop(held);
        drop(lock::acquire(run, task)?);
    }
}

fn try_lock(path: &Path) -> Result<File, TryLockError> {
    let open = || -> std::io::Result<File> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let mut options = File::options();
        options.write(true).create(true).truncate(false).open(path)
    };
    let file = open().map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// What lies under the outputs of a task.
fn listed(session: &Session<'_>, outputs: &Outputs) -> Result<Vec<Row>, Fault> {
    session
        .tree
        .rows(&outputs.list(&session.tree)?, &|_, _| true)
}

/// Finds out what a task owns, as the state says and, after a run that was cut off, as that run may have written. Under
/// its lock.
fn recover(session: &Session<'_>, state: &State, part: &mut Part<'_>) -> Result<(), Refused> {
    let name = &part.unit.name;
    let intents = &session.paths.intents;
    let by_path = |rows: Vec<Row>| rows.into_iter().map(|row| (row.path.clone(), row));
    let of_state = state.task(name).map(|task| task.owned.clone());
    part.owned = by_path(of_state.unwrap_or_default()).collect();
    let Some(record) = intent::find(intents, name).filter(|_| part.works) else {
        return Ok(());
    };
    let ended = intent::finished(intents, name);
    if let Some((ended, _)) = &ended {
        part.owned = by_path(ended.owned.clone()).collect();
    } else {
        let token = lock::token(&session.root_digest, name);
        let mark = Mark {
            variable: lock::ANCESTORS,
            token: &token,
        };
        intent::end_processes(intents, &record, mark).map_err(|error| {
            Refused(format!(
                "the last run of {name} was cut off, and what that run started cannot be ended: {error}\n  end it by hand and try again"
            ))
        })?;
        // What chunks declare is less than what the globs of their task take: there, nothing is known to be the task's own.
        let tasks = &session.workspace.tasks;
        let task = session.compiled.task(name);
        let chunked = task.is_some_and(|task| tasks[task].foreach.is_some());
        if let Some(foreign) = record.foreign.as_ref().filter(|_| !chunked) {
            let there = by_path(listed(session, part.outputs)?);
            part.owned
                .extend(there.filter(|(path, _)| !foreign.contains(path)));
        }
    }
    part.found = Some((record, ended));
    Ok(())
}

/// Leaves the intent record of a task as it was found. What cannot be written costs a look at the next run.
fn put_back(session: &Session<'_>, part: &Part<'_>) {
    let intents = &session.paths.intents;
    match &part.found {
        None => intent::end(intents, &part.unit.name),
        Some((record, ended)) => {
            let _ = intent::begin(intents, record);
            if let Some((ended, chunks)) = ended {
                intent::finish(intents, &part.unit.name, ended, chunks.as_deref());
            }
        }
    }
}

/// Writes the intent record of a task: what lies under its outputs is its own or as the delta knows it, or foreign.
fn intend(session: &Session<'_>, part: &Part<'_>) -> Result<(), Refused> {
    let mut foreign: BTreeSet<Vec<u8>> =
        part.outputs.list(&session.tree)?.seen.into_keys().collect();
    let old: Vec<Row> = part.unit.old_rows().cloned().collect();
    for rows in [part.owned.values().cloned().collect(), old] {
        let altered = session.tree.out_of_place(&rows)?;
        for row in rows {
            if altered.binary_search(&row.path).is_err() {
                foreign.remove(&row.path);
            }
        }
    }
    let record = Intent {
        task: part.unit.name.clone(),
        foreign: Some(foreign),
        larder: session.own.clone(),
    };
    intent::begin(&session.paths.intents, &record).map_err(|error| {
        Refused(format!(
            "the intent record of {} cannot be written below {}: {error}\n  make the folder writable",
            record.task,
            session.paths.intents.display()
        ))
    })
}

fn write(
    session: &Session<'_>,
    dir: &Path,
    delta: &Delta,
    parts: &[Part<'_>],
) -> larder_cache::Result<Restored> {
    let outputs = parts.iter().map(|part| part.outputs);
    let covers: Vec<_> = outputs
        .map(|outputs| move |path: &[u8]| outputs.covers(path))
        .collect();
    let digests = |part: &Part<'_>| {
        let rows = part.owned.values();
        rows.map(|row| (row.path.clone(), row.digest)).collect()
    };
    let owned: Vec<BTreeMap<Vec<u8>, [u8; 32]>> = parts.iter().map(digests).collect();
    let targets = covers
        .iter()
        .zip(&owned)
        .map(|(allowed, owned)| Target { allowed, owned });
    let names = parts.iter().map(|part| part.unit.name.as_str());
    let units = names.zip(targets);
    let options = ApplyOptions::new(units.collect(), &session.paths.rescued);
    larder_cache::apply_delta(session.outputs_root(), dir, delta, &options)
}

/// What the state shall know of a task: all that lies under its outputs if that is what the delta leads to, and then the
/// success as well; else what it owned before and what was written now.
fn remembered(session: &Session<'_>, part: &Part<'_>, rows: Vec<Row>, right: bool) -> Done {
    let unit = part.unit;
    let success = success(unit).filter(|_| right);
    let owned = if right {
        rows
    } else {
        let mut owned = part.owned.clone();
        if unit.before.is_none() {
            owned.clear();
        }
        for row in &unit.removed {
            owned.remove(&row.path);
        }
        owned.extend(unit.new_rows().map(|row| (row.path.clone(), row.clone())));
        owned.into_values().collect()
    };
    // The log and the explanation that are known belong to another success.
    let forgotten = success.is_some().then(Vec::new);
    let chunks = chunks_of(unit, &owned).filter(|_| success.is_some());
    let update = Update {
        task: TaskState { success, owned },
        explanation: forgotten.clone(),
        log: forgotten,
        chunks,
        ran_ms: None,
    };
    let intents = &session.paths.intents;
    intent::finish(intents, &unit.name, &update.task, update.chunks.as_deref());
    let record = TaskRecord::new(unit.name.clone(), Status::Restored);
    let mut done = Done::foreseen(record, unit.after, [0; 32], Vec::new());
    done.update = Some(update);
    done.intent = true;
    done
}
