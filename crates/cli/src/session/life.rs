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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_cache::{
    self as cache, Clean, Entry, Key, Provenance, Put, PutOutcome, RestoreOptions, Row, Store as _,
};
use larder_fingerprint::Change;

use crate::diagnostics::{self, CACHE, KEY, PROCESS, STATE};
use crate::execute::leftovers::Mark;
use crate::execute::{Exit, Stream};
use crate::execute::{environment, mux};
use crate::record::{CacheUse, Status, TaskRecord};
use crate::state::{State, Success, TaskState, Update, intent};

use super::inputs::Inputs;
use super::outputs::{self, Outputs};
use super::tree::{Fault, Seen, lossy};
use super::{Run, lock, words};

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

    fn failed(id: &str, message: String) -> Done {
        let mut record = TaskRecord::new(id.to_owned(), Status::Failed);
        record.exit_code = Some(1);
        record.error = Some(message);
        Done {
            exit: Some(Exit::Code(1)),
            ..Done::of(record)
        }
    }

    fn of(record: TaskRecord) -> Done {
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
        }
    }
}

/// Paths that dependencies made, with their stat tuples; a missing one has none.
type DependencyStats = Vec<(Vec<u8>, Option<Seen>)>;

/// What is worked with during one task's life.
struct Life<'a> {
    run: &'a Run<'a>,
    task: usize,
    id: String,
    after_failure: bool,
    deps: Vec<super::describe::DepResult>,
    record: TaskRecord,
}

/// Takes one task through its life.
pub fn live(run: &Run<'_>, task: usize, after_failure: bool) -> Done {
    let id = run.id(task);
    let deps = run.dependencies(task);
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
    match life.decide() {
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
        let mut fresh: Option<State> = None;
        loop {
            let inputs = self.run.inputs(self.task)?;
            let parts = self.run.parts(self.task, &self.deps)?;
            let global = self.run.global()?;
            let key = parts.key(&inputs, &global);
            self.record.key = Some(hex(&key));
            log::debug!(target: KEY, "{} over {} input files", hex(&key), inputs.rows.len());
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
            if let Some(ended) = ended {
                last = ended;
                interrupted = None;
            }
            let may_skip = spec.outputs.is_some()
                && !self.run.forced(self.task)
                && !self.after_failure
                && unseen.is_none();
            if may_skip
                && interrupted.is_none()
                && let Some(success) = last.success.as_ref().filter(|success| success.key == key)
                && self.run.session.tree.in_place(&last.owned)?
            {
                return Ok(self.up_to_date(success, &last, state));
            }
            if self.run.session.cancel.is_raised() {
                return Err(Fault::words("interrupted before it started"));
            }
            let held = lock::acquire(self.run, &self.id)?;
            if interrupted.is_some() {
                self.end_processes()?;
            }
            let news = || {
                held.waited
                    || interrupted.is_some()
                    || self.run.session.state.is_stale()
                    || intent::find(intents, &self.id).is_some()
            };
            if fresh.is_none() && news() {
                log::debug!(target: STATE, "read again: another process may have ended the task, or a record stands");
                fresh = Some(State::open(&self.run.session.paths.state));
                self.run.session.tree.forget_scans();
                continue;
            }
            let old = state
                .explanation(&self.id)
                .and_then(|bytes| super::describe::decode(&bytes));
            let new = parts.explain(&inputs, &global, &self.run.session.secret);
            let changes = old
                .as_ref()
                .map(|old| larder_fingerprint::diff(old, &new))
                .unwrap_or_default();
            self.say_why(&last, &key, old.is_some(), &changes, interrupted.is_some())?;
            let outputs = spec
                .outputs
                .as_deref()
                .map(|declared| {
                    Outputs::new(
                        outputs::project_dir(&self.run.session.workspace, self.task),
                        declared,
                    )
                })
                .transpose()?;
            let owned = self.recover(&last, interrupted.as_ref(), outputs.as_ref())?;
            let mut done = None;
            if may_skip && spec.store && self.run.reads() {
                if let Some(outputs) = &outputs {
                    done = self.try_restore(key, outputs, &owned);
                }
            } else if self.run.forced(self.task) || (spec.outputs.is_some() && spec.store) {
                self.record.cache = CacheUse::Bypassed;
            }
            let mut done = match done {
                Some(done) => done,
                None => self.execute(&inputs, &global, key, outputs.as_ref(), &owned)?,
            };
            if let Some(update) = &mut done.update
                && update.task.success.is_some()
            {
                update.explanation = super::describe::encode(&new);
            }
            if let Some(update) = done.update.as_ref().filter(|_| done.intent) {
                intent::finish(intents, &self.id, &update.task);
            }
            done.changes = changes;
            return Ok(done);
        }
    }

    /// Ends what an interrupted run left at work, before anything that it might still write is looked at.
    fn end_processes(&mut self) -> Result<(), Fault> {
        let session = self.run.session;
        let token = lock::token(&session.root_digest, &self.id);
        let mark = Mark {
            variable: lock::ANCESTORS,
            token: &token,
        };
        let ended = intent::end_processes(&session.paths.intents, &self.id, mark).map_err(|error| {
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
                if !self.run.session.tree.in_place(&last.owned)? {
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
        Ok(())
    }

    /// What this task owns: what the state says and, after a killed run, what that run may have written.
    fn recover(
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

    fn try_restore(
        &mut self,
        key: [u8; 32],
        outputs: &Outputs,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Option<Done> {
        let session = self.run.session;
        let store = session.store()?;
        self.record.cache = CacheUse::Miss;
        for candidate in [Key(key), Key(session.bound(&key))] {
            let found = store.get(&candidate);
            log::debug!(target: CACHE, "lookup {}: {}", hex(&candidate.0), diagnostics::found(&found));
            let entry = match found {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(error) => {
                    session.cache_fault(
                        &mut self.record,
                        &format!("the cache cannot be read: {error}"),
                    );
                    continue;
                }
            };
            if entry.root.is_some_and(|root| root != session.root_digest) {
                continue;
            }
            match self.restore(store, &entry, outputs, owned) {
                Ok(restored) => {
                    log::debug!(target: CACHE, "restored: {} files and {} bytes written, the rest was right", restored.written.len(), restored.bytes);
                    return Some(self.restored(&entry, key, &restored));
                }
                Err(message) => session.cache_fault(&mut self.record, &message),
            }
        }
        None
    }

    fn restore(
        &self,
        store: &dyn cache::Store,
        entry: &Entry,
        outputs: &Outputs,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Result<cache::Restored, String> {
        let session = self.run.session;
        let there = outputs
            .list(&session.tree)
            .map_err(|fault| fault.to_string())?;
        let foreign = there
            .seen
            .into_keys()
            .filter(|path| !owned.contains_key(path))
            .collect();
        intent::begin(
            &session.paths.intents,
            &intent::Intent {
                task: self.id.clone(),
                foreign: Some(foreign),
            },
        )
        .map_err(|error| format!("an intent record cannot be written: {error}"))?;
        log::debug!(target: STATE, "intent record written, before a restore");
        let digests: BTreeMap<Vec<u8>, [u8; 32]> = owned
            .iter()
            .map(|(path, row)| (path.clone(), row.digest))
            .collect();
        let allowed = |path: &[u8]| outputs.covers(path);
        let options = RestoreOptions::new(&allowed, &digests, &session.paths.rescued);
        let result = cache::restore(&session.root, entry, store, &options);
        session.tree.forget_scans();
        result
            .map_err(|error| format!("a cached result of {} cannot be restored: {error}", self.id))
    }

    fn restored(&mut self, entry: &Entry, key: [u8; 32], restored: &cache::Restored) -> Done {
        self.record.status = Status::Restored;
        self.record.cache = CacheUse::Hit;
        #[allow(clippy::cast_precision_loss)]
        let saved = entry.duration_ms as f64 / 1000.0;
        self.record.saved_seconds = saved;
        self.run.session.count_restored(restored.bytes);
        self.name_rescued(&restored.rescued);
        let manifest = cache::digest(&entry.manifest);
        let closure = super::describe::closure(&manifest, &self.deps);
        let success = Success {
            key,
            closure,
            stored: true,
            duration_ms: entry.duration_ms,
        };
        Done {
            key,
            manifest,
            closure,
            rows: Arc::new(entry.manifest.clone()),
            exit: None,
            update: Some(Update {
                task: TaskState {
                    success: Some(success),
                    owned: entry.manifest.clone(),
                },
                explanation: None,
                log: Some(entry.log.clone()),
            }),
            intent: true,
            changes: Vec::new(),
            replay: self.run.replays(self.task).then(|| entry.log.clone()),
            sound: true,
            record: self.record.clone(),
        }
    }

    fn name_rescued(&mut self, rescued: &[(Vec<u8>, std::path::PathBuf)]) {
        for (path, to) in rescued {
            let to = to.strip_prefix(&self.run.session.root).unwrap_or(to);
            self.record.warnings.push(format!(
                "{} was not as this task left it: the file was rescued to {}",
                lossy(path),
                to.display()
            ));
        }
    }

    fn execute(
        &mut self,
        inputs: &Inputs,
        global: &[larder_fingerprint::Row],
        key: [u8; 32],
        outputs: Option<&Outputs>,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Result<Done, Fault> {
        let session = self.run.session;
        let spec = &session.workspace.tasks[self.task];
        let there = outputs
            .map(|outputs| outputs.list(&session.tree))
            .transpose()?
            .unwrap_or_default();
        let foreign = there
            .seen
            .keys()
            .filter(|path| !owned.contains_key(*path))
            .cloned()
            .collect();
        intent::begin(
            &session.paths.intents,
            &intent::Intent {
                task: self.id.clone(),
                foreign: Some(foreign),
            },
        )
        .map_err(|error| {
            Fault::words(&format!(
                "the intent record of {} cannot be written below {}: {error}",
                self.id,
                session.paths.intents.display()
            ))
        })?;
        log::debug!(target: STATE, "intent record written, before its commands");
        if spec.clean && !owned.is_empty() {
            let digests: BTreeMap<Vec<u8>, [u8; 32]> = owned
                .iter()
                .map(|(path, row)| (path.clone(), row.digest))
                .collect();
            let cleaned = cache::clean(
                &session.root,
                &Clean {
                    owned: &digests,
                    allowed: &|path: &[u8]| outputs.is_some_and(|outputs| outputs.covers(path)),
                    rescue: &session.paths.rescued,
                },
            )
            .map_err(|error| {
                Fault::words(&format!(
                    "the outputs of the last run cannot be removed: {error}"
                ))
            })?;
            self.name_rescued(&cleaned.rescued);
        }
        let before = outputs
            .map(|outputs| outputs.list(&session.tree))
            .transpose()?
            .unwrap_or_default();
        let dep_stats = self.dependency_stats()?;
        let started = Instant::now();
        let (exit, log, error) = self.commands(key);
        let duration = started.elapsed();
        session.tree.forget_scans();
        self.record.seconds = duration.as_secs_f64();
        self.record.exit_code = Some(exit.exit_code());
        let after = outputs
            .map(|outputs| outputs.list(&session.tree))
            .transpose()?
            .unwrap_or_default();
        // What lies there now and either was not there before, or not so, was written by this run.
        let rows = session.tree.rows(&after, &|path, seen| {
            wrote(before.seen.get(path), seen) || (!spec.clean && owned.contains_key(path))
        })?;
        if !exit.success() {
            return Ok(self.not_succeeded(exit, error, rows, key));
        }
        let foreign: Vec<&Vec<u8>> = after
            .seen
            .iter()
            .filter(|(path, seen)| {
                !wrote(before.seen.get(*path), seen) && !owned.contains_key(*path)
            })
            .map(|(path, _)| path)
            .collect();
        if let Some(clash) = self.run.claim(&self.id, owned.keys(), &rows) {
            let message = format!(
                "it wrote {}, which {} wrote too\n  give each output path one task: change the `outputs` of one of them",
                lossy(&clash.0),
                clash.1
            );
            return Ok(self.not_succeeded(Exit::Code(1), Some(message), rows, key));
        }
        let reason = self.unkeepable(inputs, global, outputs, &rows, &foreign, &dep_stats)?;
        let manifest = cache::digest(&rows);
        let base = if outputs.is_some() { manifest } else { key };
        let closure = super::describe::closure(&base, &self.deps);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut success = None;
        if let Some(reason) = reason {
            if outputs.is_some() {
                self.record.not_stored = Some(reason);
            }
        } else {
            let stored =
                spec.store && self.run.writes() && self.store(key, &rows, &log, duration_ms);
            self.record.stored = stored;
            success = Some(Success {
                key,
                closure,
                stored,
                duration_ms,
            });
        }
        self.record.status = Status::Ran;
        Ok(Done {
            key,
            manifest: base,
            closure,
            rows: Arc::new(rows.clone()),
            exit: Some(exit),
            update: Some(Update {
                task: TaskState {
                    success,
                    owned: rows,
                },
                explanation: None,
                log: Some(log),
            }),
            intent: true,
            changes: Vec::new(),
            replay: None,
            sound: !self.after_failure,
            record: self.record.clone(),
        })
    }

    fn not_succeeded(
        &mut self,
        exit: Exit,
        error: Option<String>,
        rows: Vec<Row>,
        key: [u8; 32],
    ) -> Done {
        self.record.status = Status::Failed;
        self.record.exit_code = Some(exit.exit_code());
        self.record.error = Some(error.unwrap_or_else(|| words::exit(exit)));
        Done {
            key,
            manifest: [0; 32],
            closure: [0; 32],
            rows: Arc::default(),
            exit: Some(exit),
            update: Some(Update {
                task: TaskState {
                    success: None,
                    owned: rows,
                },
                explanation: None,
                log: None,
            }),
            intent: true,
            changes: Vec::new(),
            replay: None,
            sound: false,
            record: self.record.clone(),
        }
    }

    /// Runs the task's commands one after the other; output is shown and kept.
    fn commands(&mut self, key: [u8; 32]) -> (Exit, Vec<u8>, Option<String>) {
        let run = self.run;
        let spec = &run.session.workspace.tasks[self.task];
        let lane = run.show.open(&self.id, run.output_logs(self.task));
        let deadline = spec
            .timeout_secs
            .map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut exit = Exit::Code(0);
        let mut error = None;
        let commands = spec.command.as_deref().unwrap_or_default();
        for (index, command) in commands.iter().enumerate() {
            let timeout =
                deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let spec = run.command_spec(self.task, command, timeout, index + 1 == commands.len());
            log::debug!(target: PROCESS, "starts {:?} in {}", crate::execute::argv(&spec), spec.cwd.display());
            log::trace!(target: PROCESS, "it sees the variables {}", diagnostics::names(&spec.env));
            let result = run.session.executor.run(
                &spec,
                &mut |stream: Stream, bytes: &[u8]| run.show.feed(lane, stream, bytes),
                &run.session.cancel,
            );
            log::debug!(target: PROCESS, "ended: {result:?}");
            match result {
                Ok(ended) => exit = ended,
                Err(cause) => {
                    exit = Exit::Code(127);
                    error = Some(cause.to_string());
                }
            }
            if !exit.success() {
                break;
            }
        }
        let outcome = if exit.success() {
            mux::Outcome::Ran
        } else {
            mux::Outcome::Failed
        };
        let log = run.show.close(lane, outcome, &hex(&key));
        if !exit.success() && exit != Exit::Interrupted {
            let env = super::describe::task_environment(run.session, self.task, false);
            if let Some(hint) = environment::failure_hint(&env.withheld, &log.bytes()) {
                self.record.warnings.push(hint);
            }
        }
        let log = if log.is_empty() {
            Vec::new()
        } else {
            log.encode()
        };
        (exit, log, error)
    }

    /// Stat tuples of what the direct dependencies made.
    fn dependency_stats(&self) -> Result<DependencyStats, Fault> {
        let paths: Vec<&[u8]> = self
            .deps
            .iter()
            .flat_map(|dep| dep.rows.iter().map(|row| row.path.as_slice()))
            .collect();
        let seen = self.run.session.tree.look(&paths)?;
        Ok(paths.into_iter().map(<[u8]>::to_vec).zip(seen).collect())
    }

    /// Why the result must not be kept, if it must not.
    fn unkeepable(
        &mut self,
        inputs: &Inputs,
        global: &[larder_fingerprint::Row],
        outputs: Option<&Outputs>,
        rows: &[Row],
        foreign: &[&Vec<u8>],
        dep_stats: &[(Vec<u8>, Option<Seen>)],
    ) -> Result<Option<String>, Fault> {
        if self.after_failure {
            return Ok(Some("a task it follows failed".to_owned()));
        }
        let Some(outputs) = outputs else {
            return Ok(Some("it declares no outputs".to_owned()));
        };
        if let Some(dep) = self.run.unseen(self.task) {
            return Ok(Some(format!(
                "{dep}, on which it depends, was not part of this run and declares no `outputs`"
            )));
        }
        let now = self.run.inputs(self.task)?;
        if let Some((path, how)) = inputs.first_difference(&now) {
            let own = rows.iter().any(|row| row.path == path);
            let reason = if own {
                format!(
                    "it wrote {}, which is one of its own inputs; add \"!{}\" to its `inputs`",
                    lossy(&path),
                    lossy(&path)
                )
            } else {
                format!("its input {} {how} while it ran", lossy(&path))
            };
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        if *self.run.global()? != global {
            let reason = "a global input changed while it ran".to_owned();
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        let again = self.dependency_stats()?;
        if let Some((was, _)) = dep_stats.iter().zip(&again).find(|(was, is)| was != is) {
            let reason = format!(
                "{}, which a dependency made, changed while it ran",
                lossy(&was.0)
            );
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        if let Some(first) = foreign.first() {
            let more = if foreign.len() > 1 {
                format!(" and {} more", foreign.len() - 1)
            } else {
                String::new()
            };
            let reason = format!(
                "{}{more} lies under its `outputs` but was not written by it; remove it, or exclude it with \"!…\"",
                lossy(first)
            );
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        let silent = outputs.unmatched(&rows.iter().map(|row| row.path.as_slice()));
        if let Some(first) = silent.first() {
            let reason = format!(
                "its output \"{first}\" matches nothing after the run; correct `outputs`, or declare `outputs = []` if it makes no files"
            );
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        Ok(None)
    }

    /// Packs and stores the result. A fault is a warning: the task has succeeded.
    fn store(&mut self, key: [u8; 32], rows: &[Row], log: &[u8], duration_ms: u64) -> bool {
        match self.store_inner(key, rows, log, duration_ms) {
            Ok(stored) => stored,
            Err(message) => {
                self.run.session.cache_fault(&mut self.record, &message);
                false
            }
        }
    }

    fn store_inner(
        &mut self,
        key: [u8; 32],
        rows: &[Row],
        log: &[u8],
        duration_ms: u64,
    ) -> Result<bool, String> {
        let session = self.run.session;
        let spec = &session.workspace.tasks[self.task];
        let Some(store) = session.store() else {
            return Ok(false);
        };
        let words = |error: &dyn std::fmt::Display| {
            format!("the result of {} cannot be stored: {error}", self.id)
        };
        let bound = !spec.relocatable
            && outputs::hold_root(&session.root, rows).map_err(|error| words(&error))?;
        let paths: Vec<Vec<u8>> = rows.iter().map(|row| row.path.clone()).collect();
        let packed = cache::pack(&session.root, &paths, &session.pack_options(), &store.tmp())
            .map_err(|error| words(&error))?;
        if cache::digest(&packed.manifest) != cache::digest(rows) {
            return Err(words(&"its outputs changed after it ended"));
        }
        log::debug!(target: CACHE, "packed {} paths{}", paths.len(), if bound { ", bound to this root" } else { "" });
        if let Some(artifact) = &packed.artifact {
            cache::Store::save(store, &artifact.id, cache::Source::File(&artifact.file))
                .map_err(|error| words(&error))?;
        }
        let entry = Entry {
            manifest: packed.manifest,
            artifact: packed.artifact.as_ref().map(|artifact| artifact.id),
            log: log.to_vec(),
            duration_ms,
            provenance: Provenance {
                task: self.id.clone(),
                created_ns: session.now_ns(),
                ..Provenance::default()
            },
            root: bound.then_some(session.root_digest),
            note: Vec::new(),
        };
        let key = if bound { session.bound(&key) } else { key };
        if bound {
            self.record.warnings.push("its outputs hold this workspace's own path, so they are bound to it: other clones run the task themselves (`relocatable = true` shares them all the same)".to_owned());
        }
        let how = if self.run.forced(self.task) {
            Put::Replace
        } else {
            Put::First
        };
        let put =
            cache::Store::put(store, &Key(key), &entry, how).map_err(|error| words(&error))?;
        log::debug!(target: CACHE, "stored under {}: {}", hex(&key), diagnostics::put(&put));
        match put {
            PutOutcome::Stored | PutOutcome::Same => Ok(true),
            PutOutcome::Different(first) => {
                let differing = cache::diff(&first.manifest, &entry.manifest);
                let names: Vec<String> = differing
                    .iter()
                    .take(5)
                    .map(|difference| lossy(difference.path()))
                    .collect();
                let more = if differing.len() > 5 {
                    format!(" and {} more", differing.len() - 5)
                } else {
                    String::new()
                };
                let kept = if how == Put::Replace {
                    "this result replaces the earlier one"
                } else {
                    "the first result stays"
                };
                self.record.warnings.push(format!("it is not deterministic: with equal inputs {}{more} came out different; {kept}", names.join(", ")));
                Ok(how == Put::Replace)
            }
        }
    }
}

/// Whether a run wrote what lies at a path. A file whose mode, owner or link count alone changed is still the one that
/// was there: taking it for written would let the next run delete it.
fn wrote(before: Option<&Seen>, now: &Seen) -> bool {
    let same = |was: &Seen| {
        (was.kind, was.size, was.mtime_ns, was.dev, was.ino)
            == (now.kind, now.size, now.mtime_ns, now.dev, now.ino)
    };
    !before.is_some_and(same)
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
