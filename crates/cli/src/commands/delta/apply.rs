//! `larder cache apply-delta`: old outputs become new ones, under the locks of their tasks, and the state knows of it.
//! Does not know how a delta is proved or how files are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::Path;

use larder_cache::{ApplyOptions, Delta, Error, Refusal, Restored, Row, Target, Why};

use crate::args::CacheArgs;
use crate::execute::leftovers::Mark;
use crate::execute::mux::Order;
use crate::plan::Plan;
use crate::session::chunks;
use crate::session::outputs::Outputs;
use crate::session::run::Options;
use crate::session::tree::Fault;
use crate::session::{Run, Session, lock};
use crate::show::Show;
use crate::state::State;
use crate::state::intent::{self, Intent};

use super::super::{Context, Outcome, Usage};
use super::answer::{self, Told};
use super::extra;
use super::parts::{self, Part};

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
    let known = delta
        .units
        .iter()
        .filter_map(|unit| session.compiled.task(extra::task(unit)));
    let plan = Plan::new(&session.workspace, known.collect(), true)
        .map_err(|error| Refused(error.to_string()))?;
    let options = Options::plain();
    let show = Show::new(Order::Stream, false, true, false, None);
    let run = Run::new(session, &plan, &options, &show)?;
    let mut told = Vec::new();
    let mut parts = parts::parts(&run, delta, &mut told)?;
    let names: Vec<&str> = parts
        .iter()
        .filter(|part| part.works)
        .map(|part| part.id.as_str())
        .collect();
    let locks = locks(&run, &names)?;
    let state = State::open(&session.paths.state);
    for part in &mut parts {
        recover(session, &state, part)?;
        if part.works {
            part.find_depfiles(session)?;
        }
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
    for part in &parts {
        part.clean_depfiles(session, &part.emptied());
    }
    session.tree.forget_scans();
    let mut results = BTreeMap::new();
    for part in &parts {
        let done = part.remembered(session, &mut told)?;
        if let Some(update) = done.update.as_ref().filter(|_| part.works) {
            let intents = &session.paths.intents;
            intent::finish(intents, &part.id, &update.task, update.chunks.as_deref());
            results.insert(part.task, done);
        }
    }
    // As a run does: whoever takes a lock now finds how the task ended.
    drop(locks);
    run.remember(&results);
    told.sort_by(|one, two| one.name.cmp(&two.name));
    Ok((restored, told))
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
    let name = &part.id;
    let intents = &session.paths.intents;
    let by_path = |rows: Vec<Row>| rows.into_iter().map(|row| (row.path.clone(), row));
    let of_state = state.task(name).map(|task| task.owned.clone());
    let of_state = of_state.unwrap_or_default();
    let pieces = |chunks: Option<Vec<u8>>, owned: &[Row]| {
        let pieces = chunks.and_then(|known| chunks::apart(&known, owned));
        pieces.unwrap_or_default()
    };
    part.pieces = pieces(state.chunks(name), &of_state);
    part.owned = by_path(of_state).collect();
    let Some(record) = intent::find(intents, name).filter(|_| part.works) else {
        return Ok(());
    };
    let ended = intent::finished(intents, name);
    if let Some((ended, known)) = &ended {
        part.pieces = pieces(known.clone(), &ended.owned);
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
        let chunked = session.workspace.tasks[part.task].foreach.is_some();
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
        None => intent::end(intents, &part.id),
        Some((record, ended)) => {
            let _ = intent::begin(intents, record);
            if let Some((ended, chunks)) = ended {
                intent::finish(intents, &part.id, ended, chunks.as_deref());
            }
        }
    }
}

/// Writes the intent record of a task: what lies under its outputs is its own or as the delta knows it, or foreign.
fn intend(session: &Session<'_>, part: &Part<'_>) -> Result<(), Refused> {
    let mut foreign: BTreeSet<Vec<u8>> =
        part.outputs.list(&session.tree)?.seen.into_keys().collect();
    let old = part
        .members
        .iter()
        .flat_map(|member| member.unit.old_rows());
    let old: Vec<Row> = old.cloned().collect();
    for rows in [part.owned.values().cloned().collect(), old] {
        let altered = session.tree.out_of_place(&rows)?;
        for row in rows {
            if altered.binary_search(&row.path).is_err() {
                foreign.remove(&row.path);
            }
        }
    }
    let record = Intent {
        task: part.id.clone(),
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
    let allows: Vec<_> = parts
        .iter()
        .map(|part| {
            let emptied = part.emptied();
            move |path: &[u8]| part.allows(path, &emptied)
        })
        .collect();
    let shares: Vec<Vec<BTreeMap<Vec<u8>, [u8; 32]>>> = parts.iter().map(Part::shares).collect();
    let mut units = BTreeMap::new();
    for ((part, allowed), shares) in parts.iter().zip(&allows).zip(&shares) {
        for (member, owned) in part.members.iter().zip(shares) {
            units.insert(member.unit.name.as_str(), Target { allowed, owned });
        }
    }
    let options = ApplyOptions::new(units, &session.paths.rescued);
    larder_cache::apply_delta(session.outputs_root(), dir, delta, &options)
}
