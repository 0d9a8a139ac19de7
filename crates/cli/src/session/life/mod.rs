//! The life of one task: key, then up to date, restored or run, then verified and stored.
//! Does not know the order of tasks, nor how anything is shown.
//!
//! ```text
//!            inputs + closures of dependencies -> key
//!                             |
//!        last success has this key, outputs as it left them? --yes--> up to date
//!                             | no
//!                   the task's lock (waits for another process, then starts over)
//!                             |
//!              cache has an entry, restore proves it? --yes--> restored
//!                             | no
//!      intent -> clean -> commands -> inputs unchanged? outputs sound? -> stored or told why not
//! ```

pub(super) mod judge;
pub(super) mod keep;
mod known;
mod restore;
pub(super) mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use larder_cache::{self as cache, Row};
use larder_fingerprint::Change;

use crate::diagnostics::{KEY, STATE};
use crate::execute::Exit;
use crate::execute::leftovers::Mark;
use crate::record::{CacheUse, Status, TaskRecord};
use crate::state::{State, Success, TaskState, Update, intent};

use super::outputs::Outputs;
use super::tree::{Fault, lossy};
use super::warm::Known;
use super::{Run, chunks, lock, phases, words};

/// What a task leaves for its dependents, the summary and the state.
#[derive(Debug, Clone)]
pub struct Done {
    /// For the run record.
    pub record: TaskRecord,
    /// The key, where one could be made.
    pub key: [u8; 32],
    /// Digest of its output manifest alone.
    pub manifest: [u8; 32],
    /// Digest of outputs and dependencies.
    pub closure: [u8; 32],
    /// Its outputs as they lie on disk.
    pub rows: Arc<Vec<Row>>,
    /// How its commands ended, if any ran.
    pub exit: Option<Exit>,
    /// What to write to the state.
    pub update: Option<Update>,
    /// Whether an intent record is to be removed once the state is written.
    pub intent: bool,
    /// What changed since the last success.
    pub changes: Vec<Change>,
    /// The log to replay, on a hit.
    pub replay: Option<Vec<u8>>,
    /// Whether it succeeded, after dependencies that all succeeded.
    pub sound: bool,
    /// What a session may go by until a change reaches the task.
    pub known: Option<Known>,
}

impl Done {
    /// A task that was only judged.
    pub fn foreseen(
        record: TaskRecord,
        manifest: [u8; 32],
        closure: [u8; 32],
        rows: Vec<Row>,
    ) -> Done {
        Done {
            manifest,
            closure,
            rows: Arc::new(rows),
            ..Done::of(record)
        }
    }

    /// A task that was not started.
    pub fn skipped(record: TaskRecord) -> Done {
        Done {
            exit: None,
            ..Done::of(record)
        }
    }

    pub(super) fn failed(id: &str, message: String) -> Done {
        let mut record = TaskRecord::new(id.to_owned(), Status::Failed);
        record.exit_code = Some(1);
        record.error = Some(message);
        Done {
            exit: Some(Exit::Code(1)),
            ..Done::of(record)
        }
    }

    pub(super) fn of(record: TaskRecord) -> Done {
        Done {
            record,
            key: [0; 32],
            manifest: [0; 32],
            closure: [0; 32],
            rows: Arc::default(),
            exit: None,
            update: None,
            intent: false,
            changes: Vec::new(),
            replay: None,
            sound: false,
            known: None,
        }
    }
}

/// What is worked with during one task's life.
pub(super) struct Life<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) task: usize,
    pub(super) id: String,
    pub(super) after_failure: bool,
    pub(super) deps: Vec<super::describe::DepResult>,
    pub(super) record: TaskRecord,
}

/// Takes one task through its life.
pub fn live(run: &Run<'_>, task: usize, after_failure: bool) -> Done {
    let id = run.id(task);
    let deps = match run.dependencies(task) {
        Ok(deps) => deps,
        Err(fault) => return Done::failed(&id, fault.to_string()),
    };
    let mut life = Life {
        run,
        task,
        id: id.clone(),
        after_failure,
        deps,
        record: TaskRecord::new(id.clone(), Status::Ran),
    };
    if run.session.workspace.tasks[task].command.is_none() {
        return life.group();
    }
    let lived = match run.session.workspace.tasks[task].foreach {
        Some(_) => chunks::live(&mut life),
        None => life.decide(),
    };
    match lived {
        Ok(done) => done,
        Err(fault) => Done::failed(&id, fault.to_string()),
    }
}

impl Life<'_> {
    fn group(mut self) -> Done {
        self.record.status = Status::Group;
        let empty = cache::digest(&[]);
        let changed = self.deps.iter().any(|dep| dep.changed);
        if changed {
            self.record
                .why
                .push("a dependency did something".to_owned());
        }
        Done {
            closure: super::describe::closure(&empty, &self.deps),
            manifest: empty,
            key: [0; 32],
            rows: Arc::default(),
            exit: None,
            update: None,
            intent: false,
            changes: Vec::new(),
            replay: None,
            sound: !self.after_failure,
            known: None,
            record: self.record,
        }
    }

    fn decide(&mut self) -> Result<Done, Fault> {
        let spec = &self.run.session.workspace.tasks[self.task];
        let unseen = self.run.unseen(self.task);
        if let Some(dep) = &unseen {
            self.record.why.push(format!(
                "{dep}, on which it depends, is not part of this run and declares no `outputs`"
            ));
        }
        if let Some(done) = self.unlooked()? {
            return Ok(done);
        }
        let mut fresh: Option<State> = None;
        let mut held = None;
        let timing = &self.run.session.timing;
        loop {
            let looking = timing.span(phases::FINGERPRINT);
            let mut basis = self.run.basis(self.task, &self.deps)?;
            let state = fresh.as_ref().unwrap_or(&self.run.session.state);
            let mut last = state.task(&self.id).cloned().unwrap_or_default();
            let intents = &self.run.session.paths.intents;
            // Without any record at the start none is looked for until there is work to do: the way of a task that
            // is up to date touches no file but its own.
            let mut interrupted = (fresh.is_some() || self.run.session.records_found)
                .then(|| intent::find(intents, &self.id))
                .flatten();
            // Another process ended the task and has not written the state yet.
            let ended = match (&fresh, &interrupted) {
                (Some(_), Some(_)) => intent::finished(intents, &self.id),
                _ => None,
            };
            if let Some((ended, _)) = ended {
                if ended == last {
                    // It is in the state already: whoever was to remove the record could not.
                    intent::end(intents, &self.id);
                }
                last = ended;
                interrupted = None;
            }
            // Without a list of what it discovers the base key stands, under which nothing is ever kept.
            self.run.recall(self.task, &mut basis, &last)?;
            let key = basis.key();
            self.record.key = Some(hex(&key));
            log::debug!(target: KEY, "{} over {} input files", hex(&key), basis.inputs.rows.len());
            let ran = self.run.session.warm.last(self.task);
            if let Some(ran) =
                ran.filter(|ran| ran.key == key && self.may_have_run(&ran.parts, &basis))
            {
                return Ok(self.ran_for_this(ran));
            }
            let known = spec.depfile.is_none() || basis.inputs.discovered.is_some();
            let may_skip = spec.outputs.is_some()
                && !self.run.forced(self.task)
                && !self.after_failure
                && unseen.is_none();
            if may_skip
                && known
                && interrupted.is_none()
                && let Some(success) = last.success.as_ref().filter(|success| success.key == key)
                && let Some(shared) = self.run.session.tree.in_place(&last.owned)?
            {
                let mut done = self.up_to_date(success, &last, state);
                done.known = self.known(&basis, key, shared);
                return Ok(done);
            }
            looking.end();
            if self.run.session.cancel.is_raised() {
                return Err(Fault::words("interrupted before it started"));
            }
            // Once taken it is held to the end, over a second look as well.
            let held = match held.take() {
                Some(known) => held.insert(known),
                None => held.insert(self.lock()?),
            };
            if let Some(record) = &interrupted {
                self.end_processes(record)?;
            }
            // The record is asked for first: it goes when the state that replaces it is on disk, so one of the two shows.
            let news = || {
                held.waited
                    || intent::find(intents, &self.id).is_some()
                    || self.run.session.state.is_stale()
            };
            if fresh.is_none() && news() {
                log::debug!(target: STATE, "read again: another process may have ended the task, or a record stands");
                fresh = Some(State::open(&self.run.session.paths.state));
                self.run.session.tree.forget_scans();
                continue;
            }
            let old = basis.explained_before(state.explanation(&self.id));
            let new = basis.explain(&self.run.session.secret);
            let changes = old
                .as_ref()
                .map(|old| larder_fingerprint::diff(old, &new))
                .unwrap_or_default();
            self.say_why(&last, &key, old.is_some(), &changes, interrupted.is_some())?;
            let outputs = self.run.outputs(self.task)?;
            let mut owned = self.recover(&last, interrupted.as_ref(), outputs)?;
            let mut done = None;
            if may_skip && spec.store && self.run.reads() {
                if let Some(outputs) = outputs {
                    let _restoring = timing.span(phases::RESTORE);
                    done = self.try_restore(&mut basis, outputs, &owned);
                    if done.is_none() {
                        // A restore that stopped half-way has left files of this task.
                        let begun = intent::find(intents, &self.id);
                        owned = self.recover(&last, begun.as_ref(), Some(outputs))?;
                    }
                }
            } else if self.run.forced(self.task) || (spec.outputs.is_some() && spec.store) {
                self.record.cache = CacheUse::Bypassed;
            }
            let mut done = match done {
                Some(done) => done,
                None => self.execute(&mut basis, outputs, &owned)?,
            };
            if let Some(update) = &mut done.update {
                let kept = basis.explain(&self.run.session.secret);
                let kept = super::describe::encode(&kept);
                match &mut update.attempt {
                    Some(attempt) => attempt.explanation = kept,
                    None => update.explanation = kept,
                }
            }
            if let Some(update) = done.update.as_ref().filter(|_| done.intent) {
                intent::finish(intents, &self.id, &update.task, None);
            }
            if done
                .update
                .as_ref()
                .is_some_and(|update| update.task.success.is_some())
            {
                let shared = self.are_shared(done.rows.iter().map(|row| &row.path));
                done.known = self.known(&basis, done.key, shared);
            } else if spec.outputs.is_none()
                && self.run.watching()
                && done.sound
                && done.record.status == Status::Ran
            {
                // Nothing is kept, but that it ran for these inputs is known. What changed meanwhile is told.
                done.known = self.known(&basis, key, false);
            }
            done.changes = changes;
            return Ok(done);
        }
    }

    /// Takes the task's lock; how long that took is noted if another process had it.
    pub(super) fn lock(&mut self) -> Result<lock::Held, Fault> {
        let asked = Instant::now();
        let held = lock::acquire(self.run, &self.id)?;
        if held.waited {
            self.record.waited_seconds += asked.elapsed().as_secs_f64();
        }
        Ok(held)
    }

    /// Ends what an interrupted run left at work, before anything that it might still write is looked at.
    pub(super) fn end_processes(&mut self, record: &intent::Intent) -> Result<(), Fault> {
        let session = self.run.session;
        let token = lock::token(&session.root_digest, &self.id);
        let mark = Mark {
            variable: lock::ANCESTORS,
            token: &token,
        };
        let ended = intent::end_processes(&session.paths.intents, record, mark).map_err(|error| {
            Fault::Words(format!(
                "its last run was cut off, and what that run started cannot be ended: {error}\n  it could write over new results: end it by hand and run again"
            ))
        })?;
        if ended > 0 {
            let warning = format!(
                "its last run was cut off, and what was still at work of it was ended (processes: {ended})"
            );
            self.record.warnings.push(warning);
        }
        Ok(())
    }

    fn up_to_date(&mut self, success: &Success, last: &TaskState, state: &State) -> Done {
        self.record.status = Status::UpToDate;
        self.record.cache = CacheUse::Hit;
        #[allow(clippy::cast_precision_loss)]
        let saved = success.duration_ms as f64 / 1000.0;
        self.record.saved_seconds = saved;
        self.record
            .why
            .push("nothing it reads changed, and its outputs are as it left them".to_owned());
        let manifest = cache::digest(&last.owned);
        Done {
            key: success.key,
            manifest,
            closure: super::describe::closure(&manifest, &self.deps),
            rows: Arc::new(last.owned.clone()),
            exit: None,
            update: None,
            intent: false,
            changes: Vec::new(),
            replay: if self.run.replays(self.task) {
                state.log(&self.id)
            } else {
                None
            },
            sound: true,
            known: None,
            record: self.record.clone(),
        }
    }

    /// Words for why the task cannot be skipped.
    fn say_why(
        &mut self,
        last: &TaskState,
        key: &[u8; 32],
        known: bool,
        changes: &[Change],
        interrupted: bool,
    ) -> Result<(), Fault> {
        let why = &mut self.record.why;
        if self.run.forced(self.task) {
            why.push("forced".to_owned());
        }
        if self.after_failure {
            why.push("a task it follows failed".to_owned());
        }
        if self.run.session.workspace.tasks[self.task]
            .outputs
            .is_none()
        {
            why.push("it declares no `outputs`, so it runs every time".to_owned());
        }
        if interrupted {
            why.push("its last run was cut off".to_owned());
        }
        match &last.success {
            None if !known => why.push("it has not succeeded in this workspace before".to_owned()),
            None => why.push("its last run failed or could not be kept".to_owned()),
            Some(success) if success.key == *key => {
                if self.run.session.tree.in_place(&last.owned)?.is_none() {
                    let wrong = self.run.session.tree.out_of_place(&last.owned)?;
                    why.extend(
                        wrong
                            .iter()
                            .take(5)
                            .map(|path| format!("output {} is not as it left it", lossy(path))),
                    );
                    if wrong.len() > 5 {
                        why.push(format!("and {} more outputs", wrong.len() - 5));
                    }
                }
            }
            Some(_) => {}
        }
        why.extend(words::changes(changes));
        let another = |success: &Success| success.key != *key;
        if why.is_empty() && last.success.as_ref().is_some_and(another) {
            why.push(words::UNKNOWN.to_owned());
        }
        Ok(())
    }

    /// What this task owns: what the state says and, after a killed run, what that run may have written.
    pub(super) fn recover(
        &self,
        last: &TaskState,
        interrupted: Option<&intent::Intent>,
        outputs: Option<&Outputs>,
    ) -> Result<BTreeMap<Vec<u8>, Row>, Fault> {
        let mut owned: BTreeMap<Vec<u8>, Row> = last
            .owned
            .iter()
            .map(|row| (row.path.clone(), row.clone()))
            .collect();
        if let (Some(foreign), Some(outputs)) = (
            interrupted.and_then(|intent| intent.foreign.as_ref()),
            outputs,
        ) {
            let there = outputs.list(&self.run.session.tree)?;
            for row in self
                .run
                .session
                .tree
                .rows(&there, &|path, _| !foreign.contains(path))?
            {
                owned.insert(row.path.clone(), row);
            }
        }
        Ok(owned)
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
