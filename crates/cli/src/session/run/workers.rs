//! Worker threads over the schedule, and what is remembered when they are done.
//! Does not know the life of a task.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_graph::{NodeId, Outcome, Schedule, SkipReason};

use crate::diagnostics::{self, STATE};
use crate::execute::{self, Exit};
use crate::plan::{self, Plan};
use crate::record::{Status, TaskRecord};
use crate::show::Show;
use crate::state::{State, Update, intent};

use super::super::life::{self, Done};
use super::super::tree::Fault;
use super::super::{Session, phases};
use super::{Options, Run, lock};

/// So often, a millisecond apart, a lock is asked for that only a passing process should hold.
const PATIENCE: usize = 20;

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Each task of the plan, by index.
    pub results: BTreeMap<usize, Done>,
    /// The exit code: the highest of the failed tasks, 130 when interrupted.
    pub exit_code: u8,
    /// How many state files were written.
    pub writes: u64,
    /// When the tasks began.
    pub began: Instant,
    /// The memory of all commands together, over time since then; empty unless it was asked for.
    pub memory: Vec<(Duration, u64)>,
}

/// Something that goes on beside a run.
pub trait Beside: Send {
    /// What makes [`go`](Beside::go) return soon, at any time.
    fn ender(&self) -> Box<dyn Fn()>;

    /// Called as the run begins, on a thread of its own.
    fn go(&mut self, run: &Run<'_>);
}

impl Session<'_> {
    /// Runs the tasks of a plan and remembers what came of them. Tasks that are known since the last
    /// [`update`](Session::update) are not looked at.
    ///
    /// # Errors
    /// When the global inputs cannot be read, or the plan has no order.
    pub fn run(&mut self, plan: &Plan, options: &Options, show: &Show) -> Result<Ended, Fault> {
        self.run_beside(plan, options, show, None)
    }

    /// As [`run`](Session::run), with something that goes on beside it and may
    /// [`interrupt`](Run::interrupt) tasks.
    ///
    /// # Errors
    /// As for [`run`](Session::run).
    pub fn run_beside(
        &mut self,
        plan: &Plan,
        options: &Options,
        show: &Show,
        beside: Option<&mut dyn Beside>,
    ) -> Result<Ended, Fault> {
        self.begin();
        let run = Run::new(self, plan, options, show)?;
        let results = match beside {
            None => run.execute(false)?,
            Some(beside) => {
                let end = beside.ender();
                std::thread::scope(|scope| {
                    scope.spawn(|| beside.go(&run));
                    let results = run.execute(true);
                    end();
                    results
                })?
            }
        };
        show.finish();
        let remembering = self.timing.span(phases::REMEMBER);
        let mut ended = Ended {
            writes: run.remember(&results),
            exit_code: run.exit_code(&results),
            began: run.began,
            memory: run.memory(),
            results,
        };
        remembering.end();
        if ended.results.values().any(|done| done.record.stored) {
            self.bound_cache();
        }
        let found = ended.results.iter();
        self.warm
            .ended(found.map(|(task, done)| (*task, done.known)));
        ended.writes += self.keep(&ended);
        Ok(ended)
    }
}

/// The middle of some durations: one slow execution changes no priority.
fn median(recent_ms: &[u64]) -> Option<u64> {
    let mut sorted = recent_ms.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// A step that a worker has taken. Dropped by a panic, it ends the run: the others would wait for the step for ever.
struct Taken<'a> {
    schedule: &'a Mutex<Schedule>,
    changed: &'a Condvar,
    id: NodeId,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut schedule = lock(self.schedule);
        schedule.cancel();
        // It is running, so it can be finished.
        let _ = schedule.finished(self.id, Outcome::Failed);
        self.changed.notify_all();
    }
}

impl Run<'_> {
    /// Runs everything; the results by task.
    ///
    /// # Errors
    /// When the schedule cannot be made.
    pub fn execute(&self, interruptible: bool) -> Result<BTreeMap<usize, Done>, Fault> {
        let weights = |id: NodeId| {
            let Some(&task) = self.plan.graph.get(id) else {
                return 1;
            };
            let (state, id) = (&self.session.state, self.session.compiled.id(task));
            let last = state.task(id).and_then(|task| task.success.as_ref());
            median(state.recent_ms(id))
                .or(last.map(|success| success.duration_ms))
                .map_or(1, |ms| ms.max(1))
        };
        let priorities = larder_graph::critical_path(&self.plan.graph, weights)
            .map_err(|error| Fault::Words(error.to_string()))?;
        let schedule = Schedule::new(
            &self.plan.graph,
            &priorities,
            self.options.policy,
            |_, _, kind| plan::link(*kind),
        )
        .map_err(|error| Fault::Words(error.to_string()))?;
        let shared = (Mutex::new(schedule), Condvar::new());
        let workers = self
            .options
            .concurrency
            .get()
            .min(self.plan.graph.len().max(1));
        let wake = || shared.1.notify_all();
        std::thread::scope(|scope| {
            for worker in 1..workers {
                let (shared, wake) = (&shared, &wake);
                scope.spawn(move || self.work(worker, shared, wake, interruptible));
            }
            self.work(0, &shared, &wake, interruptible);
        });
        let mut results: BTreeMap<usize, Done> = BTreeMap::new();
        for &task in self.plan.nodes.keys() {
            if let Some(done) = self.done[task].get() {
                results.insert(task, done.clone());
            }
        }
        let mut schedule = lock(&shared.0);
        while let Some(skipped) = schedule.pop_skipped() {
            let Some(&task) = self.plan.graph.get(skipped.id) else {
                continue;
            };
            results.insert(task, self.skipped(task, skipped.reason));
        }
        Ok(results)
    }

    fn skipped(&self, task: usize, reason: SkipReason) -> Done {
        let name = |id: NodeId| {
            self.plan
                .graph
                .get(id)
                .map(|&task| self.id(task))
                .unwrap_or_default()
        };
        let mut record = TaskRecord::new(self.id(task), Status::Skipped);
        record.why.push(match reason {
            // The first task that ends by the interruption stops the others as a failure would.
            _ if self.session.cancel.is_raised() => "the run was interrupted".to_owned(),
            SkipReason::DependencyFailed { failed, .. } => format!("{} failed", name(failed)),
            SkipReason::Stopped { failed } => format!(
                "the run stopped after {} failed (`--continue` goes on)",
                name(failed)
            ),
            SkipReason::Cancelled => "the run was interrupted".to_owned(),
        });
        Done::skipped(record)
    }

    fn work(
        &self,
        worker: usize,
        (schedule, changed): &(Mutex<Schedule>, Condvar),
        wake: &dyn Fn(),
        interruptible: bool,
    ) {
        let mut held = lock(schedule);
        loop {
            if self.session.cancel.is_raised() {
                held.cancel();
                wake();
            }
            let Some(step) = held.next() else {
                if held.is_done() {
                    wake();
                    return;
                }
                // A task that is running ends sooner or later, and its end wakes this.
                held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(held);
            let task = self.plan.graph.get(step.id).copied();
            self.chunks.slots.take();
            let taken = Taken {
                schedule,
                changed,
                id: step.id,
            };
            let outcome = task.map_or(Outcome::Failed, |task| {
                let _at_work = interruptible.then(|| self.at_work(task));
                self.live(worker, task, step.after_failure)
            });
            std::mem::forget(taken);
            self.chunks.slots.give();
            held = lock(schedule);
            // The step came from this schedule and is finished once, so it cannot refuse.
            let _ = held.finished(step.id, outcome);
            wake();
        }
    }

    fn live(&self, worker: usize, task: usize, after_failure: bool) -> Outcome {
        let _about = diagnostics::about(self.session.compiled.id(task));
        let start = self.began.elapsed();
        let mut done = life::live(self, task, after_failure);
        if matches!(
            done.record.status,
            Status::Ran | Status::Failed | Status::Restored
        ) {
            let record = &mut done.record;
            // Where commands ran, their times stand there already.
            if record.end_seconds.is_none() {
                record.start_seconds = Some(start.as_secs_f64() + record.waited_seconds);
                record.end_seconds = Some(self.began.elapsed().as_secs_f64());
            }
            record.worker = Some(worker);
        }
        diagnostics::ended(&done.record);
        let outcome = match done.record.status {
            Status::Failed | Status::Skipped => Outcome::Failed,
            Status::Ran | Status::Restored => Outcome::Changed,
            Status::UpToDate | Status::Group => Outcome::Unchanged,
        };
        self.show.ended(&done, self.output_logs(task));
        // Each task is lived once.
        let _ = self.done[task].set(done);
        outcome
    }

    /// Writes what is to be remembered: the state once if any task did something, the memo if it learned anything.
    /// Returns how many files were written.
    pub fn remember(&self, results: &BTreeMap<usize, Done>) -> u64 {
        let session = self.session;
        let updates: HashMap<String, Update> = results
            .values()
            .filter(|done| done.update.is_some() && (!done.intent || self.is_ours(done)))
            .filter_map(|done| Some((done.record.task.clone(), done.update.clone()?)))
            .collect();
        let mut writes = 0;
        if !updates.is_empty() {
            match State::save(&session.paths.state, &updates, &|id| {
                session.compiled.task(id).is_some()
            }) {
                Ok(()) => {
                    log::debug!(target: STATE, "{}: {} tasks written", session.paths.state.display(), updates.len());
                    writes += 1;
                    for done in results.values().filter(|done| done.intent) {
                        self.end_intent(done);
                    }
                }
                Err(error) => session.warn(format!(
                    "{} cannot be written: {error}; the next run will look at every task anew",
                    session.paths.state.display()
                )),
            }
        }
        if session.tree.scanner().memo().dirty() {
            match session.tree.scanner().memo().save(&session.paths.memo) {
                Ok(()) => {
                    log::debug!(target: STATE, "{}: written", session.paths.memo.display());
                    writes += 1;
                }
                Err(error) => session.warn(format!(
                    "{} cannot be written: {error}; files are hashed again next time",
                    session.paths.memo.display()
                )),
            }
        }
        writes
    }

    /// Whether the intent record of a task is still that of this process: another one may have begun the task since, and
    /// then knows better.
    fn is_ours(&self, done: &Done) -> bool {
        intent::find(&self.session.paths.intents, &done.record.task)
            .is_some_and(|record| record.larder == self.session.own)
    }

    /// Removes the intent record of a task, under its lock: the record of a process that has the task now stays.
    fn end_intent(&self, done: &Done) {
        let session = self.session;
        let name = super::super::lock::token(&session.root_digest, &done.record.task);
        let lock = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(session.paths.locks.join(name));
        let Ok(lock) = lock else { return };
        // A process that is just being started holds what its parent had open until it becomes another program.
        let mut locked = lock.try_lock().is_ok();
        for _ in 0..PATIENCE {
            if locked {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
            locked = lock.try_lock().is_ok();
        }
        if locked && self.is_ours(done) {
            intent::end(&session.paths.intents, &done.record.task);
        }
    }

    /// The exit code: the highest of the failed tasks, 130 when interrupted.
    pub fn exit_code(&self, results: &BTreeMap<usize, Done>) -> u8 {
        if self.session.cancel.is_raised() {
            return execute::exit::INTERRUPTED;
        }
        let failed = results
            .values()
            .filter(|done| done.record.status == Status::Failed);
        failed
            .map(|done| done.exit.map_or(1, Exit::exit_code).max(1))
            .max()
            .unwrap_or(execute::exit::SUCCESS)
    }
}
