//! Running a task: intent, cleaning, the commands, and what their end leads to.
//! Does not decide whether a task has to run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_cache::{self as cache, Clean, Row};

use crate::diagnostics::{self, PROCESS, STATE};
use crate::execute::{Exit, Stream, Usage, environment, mux};
use crate::record::Status;
use crate::state::{Attempt, Success, TaskState, Update, intent};

use super::super::Run;
use super::super::describe::{self, Basis};
use super::super::outputs::Outputs;
use super::super::tree::{Fault, View, lossy};
use super::super::{phases, words};
use super::judge::wrote;
use super::{Done, Life, hex};

impl Life<'_> {
    /// Writes the intent record: from here on the outputs are in flux.
    pub(in super::super) fn intend(
        &self,
        outputs: Option<&Outputs>,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Result<(), Fault> {
        let session = self.run.session;
        let there = outputs
            .map(|outputs| outputs.list(&session.tree))
            .transpose()?
            .unwrap_or_default();
        self.intend_over(there, owned)
    }

    /// As [`intend`](Self::intend), where it is known what lies there.
    pub(in super::super) fn intend_over(
        &self,
        there: View,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Result<(), Fault> {
        let session = self.run.session;
        // What somebody else wrote over an owned path is rescued, but only after this record is written: if the
        // process dies before that, nobody may take it for the task's own.
        let rows: Vec<Row> = owned.values().cloned().collect();
        let altered: BTreeSet<Vec<u8>> = session.tree.out_of_place(&rows)?.into_iter().collect();
        let foreign = there
            .seen
            .into_keys()
            .filter(|path| !owned.contains_key(path) || altered.contains(path))
            .collect();
        let intent = intent::Intent {
            task: self.id.clone(),
            foreign: Some(foreign),
            larder: session.own.clone(),
        };
        log::debug!(target: STATE, "intent record written, before anything else");
        intent::begin(&session.paths.intents, &intent).map_err(|error| {
            Fault::words(&format!(
                "the intent record of {} cannot be written below {}: {error}",
                self.id,
                session.paths.intents.display()
            ))
        })
    }

    pub(super) fn execute(
        &mut self,
        basis: &mut Basis,
        outputs: Option<&Outputs>,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Result<Done, Fault> {
        let session = self.run.session;
        let spec = &session.workspace.tasks[self.task];
        self.intend(outputs, owned)?;
        if spec.clean && !owned.is_empty() {
            let digests: BTreeMap<Vec<u8>, [u8; 32]> = owned
                .iter()
                .map(|(path, row)| (path.clone(), row.digest))
                .collect();
            let cleaned = cache::clean(
                session.outputs_root(),
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
        let before = self.look_before(basis, outputs)?;
        let started = Instant::now();
        let (exit, log, error) = session
            .timing
            .measure(phases::COMMANDS, || self.commands(basis.key()));
        let duration = started.elapsed();
        self.ran_since(started);
        let _judging = session.timing.span(phases::JUDGE);
        session.tree.forget_scans();
        self.record.seconds = duration.as_secs_f64();
        self.record.exit_code = Some(exit.exit_code());
        let after = outputs
            .map(|outputs| outputs.list(&session.tree))
            .transpose()?
            .unwrap_or_default();
        // What lies there now and either was not there before, or not so, was written by this run.
        let rows = session.tree.rows(&after, &|path, seen| {
            wrote(before.outputs.seen.get(path), seen) || (!spec.clean && owned.contains_key(path))
        })?;
        if !exit.success() {
            return Ok(self.not_succeeded(exit, error, rows, basis.key(), log));
        }
        let foreign: Vec<&Vec<u8>> = after
            .seen
            .iter()
            .filter(|(path, seen)| {
                !wrote(before.outputs.seen.get(*path), seen) && !owned.contains_key(*path)
            })
            .map(|(path, _)| path)
            .collect();
        if let Some(clash) = self.run.claim(&self.id, owned.keys(), &rows) {
            let message = clash_words(&clash);
            // What another task made stays that one's. Owned here too, it would be the other's fault in the next run.
            let other = |row: &Row| {
                self.run
                    .clash(&self.id, std::slice::from_ref(row))
                    .is_some()
            };
            let own = rows.into_iter().filter(|row| !other(row)).collect();
            let exit = Exit::Code(1);
            return Ok(self.not_succeeded(exit, Some(message), own, basis.key(), log));
        }
        let mut reason = self.unkeepable(basis, outputs, &rows, &foreign, &before)?;
        if let Some(undiscovered) = self.discover(basis, &before, outputs, &rows)?
            && reason.is_none()
        {
            self.record
                .warnings
                .push(format!("not stored: {undiscovered}"));
            reason = Some(undiscovered);
        }
        let key = basis.key();
        self.record.key = Some(hex(&key));
        let manifest = cache::digest(&rows);
        let base = if outputs.is_some() { manifest } else { key };
        let closure = describe::closure(&base, &self.deps);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut success = None;
        if let Some(reason) = reason {
            if outputs.is_some() {
                self.record.not_stored = Some(reason);
            }
        } else {
            let stored =
                spec.store && self.run.writes() && self.store(basis, &rows, &log, duration_ms);
            self.record.stored = stored;
            success = Some(Success {
                key,
                closure,
                stored,
                duration_ms,
                discovered: basis.inputs.list(),
            });
        }
        self.record.status = Status::Ran;
        let (log, attempt) = match success {
            Some(_) => (Some(log), None),
            None => (None, Some(self.attempt(key, log))),
        };
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
                log,
                chunks: None,
                ran_ms: Some(duration_ms),
                attempt,
            }),
            intent: true,
            changes: Vec::new(),
            replay: None,
            sound: !self.after_failure,
            known: None,
            record: self.record.clone(),
        })
    }

    /// The end of a task that would write what another one writes too.
    pub(super) fn clashed(&mut self, clash: &(Vec<u8>, String)) -> Done {
        let message = clash_words(clash);
        self.record.status = Status::Failed;
        Done::failed(&self.id, message)
    }

    fn not_succeeded(
        &mut self,
        exit: Exit,
        error: Option<String>,
        rows: Vec<Row>,
        key: [u8; 32],
        log: Vec<u8>,
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
                chunks: None,
                ran_ms: None,
                attempt: Some(self.attempt(key, log)),
            }),
            intent: true,
            changes: Vec::new(),
            replay: None,
            sound: false,
            known: None,
            record: self.record.clone(),
        }
    }

    /// What an execution printed that is no success; what it read is added once that is known.
    fn attempt(&self, key: [u8; 32], log: Vec<u8>) -> Attempt {
        Attempt {
            key,
            explanation: None,
            logs: vec![(self.id.clone(), log)],
        }
    }

    /// Notes when its commands ran: since `started`, until now.
    pub(in super::super) fn ran_since(&mut self, started: Instant) {
        let began = self.run.began;
        let start = started.saturating_duration_since(began).as_secs_f64();
        // Those of chunks run slice by slice.
        self.record.start_seconds.get_or_insert(start);
        self.record.end_seconds = Some(began.elapsed().as_secs_f64());
    }

    /// Runs the task's commands one after the other; output is shown and kept.
    fn commands(&mut self, key: [u8; 32]) -> (Exit, Vec<u8>, Option<String>) {
        let run = self.run;
        let spec = &run.session.workspace.tasks[self.task];
        let commands = spec.command.as_deref().unwrap_or_default();
        let last = commands.len().saturating_sub(1);
        let call = |index: usize, timeout: Option<Duration>| {
            run.command_spec(self.task, &commands[index], timeout, index == last)
        };
        let ended = in_order(run, self.task, &self.id, key, commands.len(), &call);
        self.record.warnings.extend(ended.hint);
        self.record.used(&ended.usage);
        run.sampled(ended.usage.samples);
        (ended.exit, ended.log, ended.error)
    }
}

/// How commands ended.
pub(in super::super) struct Ended {
    pub(in super::super) exit: Exit,
    /// What they used.
    pub(in super::super) usage: Usage,
    /// What they printed, in the stored form.
    pub(in super::super) log: Vec<u8>,
    /// Why one could not be started.
    pub(in super::super) error: Option<String>,
    /// Variables that may have been missed.
    pub(in super::super) hint: Option<String>,
}

/// Runs `count` commands one after the other until one fails; their output is shown under `label`, and kept.
pub(in super::super) fn in_order(
    run: &Run<'_>,
    task: usize,
    label: &str,
    key: [u8; 32],
    count: usize,
    call: &dyn Fn(usize, Option<Duration>) -> crate::execute::Spec,
) -> Ended {
    let lane = run.show.open(label, run.output_logs(task));
    let deadline = run.session.workspace.tasks[task]
        .timeout_secs
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut exit = Exit::Code(0);
    let mut usage = Usage::default();
    let mut error = None;
    let cancel = run.cancel_of(task);
    for index in 0..count {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let spec = call(index, timeout);
        log::debug!(target: PROCESS, "starts {:?} in {}", crate::execute::argv(&spec), spec.cwd.display());
        log::trace!(target: PROCESS, "it sees the variables {}", diagnostics::names(&spec.env));
        let result = run.session.executor.run(
            &spec,
            &mut |stream: Stream, bytes: &[u8]| run.show.feed(lane, stream, bytes),
            &cancel,
        );
        log::debug!(target: PROCESS, "ended: {:?}", result.as_ref().map(|ended| ended.exit));
        match result {
            Ok(ended) => {
                exit = ended.exit;
                usage.then(ended.usage);
            }
            Err(cause) => {
                exit = Exit::Code(127);
                error = Some(cause.to_string());
            }
        }
        if !exit.success() {
            break;
        }
    }
    if exit == Exit::Interrupted {
        error = run.stopped(task);
    }
    let outcome = if exit.success() {
        mux::Outcome::Ran
    } else {
        mux::Outcome::Failed
    };
    let log = run.show.close(lane, outcome, &hex(&key));
    let hint = (!exit.success() && exit != Exit::Interrupted).then(|| {
        let env = describe::task_environment(run.session, task, false);
        environment::failure_hint(&env.withheld, &log.bytes())
    });
    let log = if log.is_empty() {
        Vec::new()
    } else {
        log.encode()
    };
    Ended {
        exit,
        usage,
        log,
        error,
        hint: hint.flatten(),
    }
}

pub(in super::super) fn clash_words(clash: &(Vec<u8>, String)) -> String {
    format!(
        "it writes {}, which {} wrote too\n  give each output path one task: change the `outputs` of one of them",
        lossy(&clash.0),
        clash.1
    )
}
