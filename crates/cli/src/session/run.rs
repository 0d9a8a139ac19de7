//! One run: the tasks of a plan taken through their lives in order, many at once, then remembered.
//! Does not know the command line, nor how the summary is worded.
//!
//! Worker threads share the schedule behind one lock: each takes the next ready task, lives it without the lock,
//! and reports its end. Nothing else is shared but the session's own interior locks.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use larder_cache::Row;
use larder_graph::{FailurePolicy, NodeId, Outcome, Schedule, SkipReason};

use crate::config::{Command, Dep, DepKind};
use crate::diagnostics::{self, STATE};
use crate::execute::{self, Exit, Spec};
use crate::plan::{self, Plan};
use crate::record::{Status, TaskRecord};
use crate::show::Show;
use crate::state::{State, Update, intent};

use super::describe::{self, DepResult, Parts};
use super::inputs::{self, Inputs, Rule};
use super::life::{self, Done};
use super::outputs::Outputs;
use super::tree::{Fault, to_path};
use super::{Session, lock};

/// How long a process group may tidy up between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// What a run was asked to do, besides which tasks.
#[derive(Debug, Clone)]
pub struct Options {
    /// `Some` of nothing: force everything; else projects and tasks to force.
    pub force: Option<Vec<String>>,
    /// Whether entries may be restored.
    pub reads: bool,
    /// Whether results may be stored.
    pub writes: bool,
    /// Extra arguments for the requested tasks.
    pub args: Vec<String>,
    /// Whose output is shown, for every task.
    pub output_logs: Option<execute::mux::OutputLogs>,
    /// Whether the terminal has colour.
    pub colour: bool,
    /// How many tasks at once.
    pub concurrency: NonZeroUsize,
    /// What to do after a failure.
    pub policy: FailurePolicy,
}

impl Options {
    /// A run in which nothing is forced, shown or bypassed.
    pub fn plain() -> Options {
        Options {
            force: None,
            reads: true,
            writes: true,
            args: Vec::new(),
            output_logs: None,
            colour: false,
            concurrency: NonZeroUsize::MIN,
            policy: FailurePolicy::Never,
        }
    }
}

/// Manifest and closure digests.
type Digests = ([u8; 32], [u8; 32]);

/// What the workers of a run share.
pub struct Run<'a> {
    /// The workspace at work.
    pub session: &'a Session<'a>,
    /// Where output goes.
    pub show: &'a Show,
    /// The global inputs and the epoch of the tree they were read in.
    global: Mutex<(u64, Arc<Vec<larder_fingerprint::Row>>)>,
    plan: &'a Plan,
    options: &'a Options,
    ids: Vec<String>,
    rules: Vec<OnceLock<Result<Rule, String>>>,
    done: Vec<OnceLock<Done>>,
    on_disk: Mutex<HashMap<usize, Digests>>,
    owners: Mutex<HashMap<Vec<u8>, String>>,
    names: OnceLock<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is valid after a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Run<'a> {
    /// Prepares a run.
    ///
    /// # Errors
    /// When a global input cannot be read.
    pub fn new(
        session: &'a Session<'a>,
        plan: &'a Plan,
        options: &'a Options,
        show: &'a Show,
    ) -> Result<Run<'a>, Fault> {
        let count = session.workspace.tasks.len();
        let mut owners = HashMap::new();
        for (id, task) in session.state.tasks() {
            owners.extend(
                task.owned
                    .iter()
                    .map(|row| (row.path.clone(), id.to_owned())),
            );
        }
        Ok(Run {
            global: Mutex::new((
                session.tree.epoch(),
                Arc::new(describe::global_rows(session, &session.workspace)?),
            )),
            session,
            show,
            plan,
            options,
            ids: (0..count)
                .map(|task| plan::task_id(&session.workspace, task))
                .collect(),
            rules: (0..count).map(|_| OnceLock::new()).collect(),
            done: (0..count).map(|_| OnceLock::new()).collect(),
            on_disk: Mutex::default(),
            owners: Mutex::new(owners),
            names: OnceLock::new(),
        })
    }

    /// The global inputs, the same for every task, as they are now: a task may have written one.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn global(&self) -> Result<Arc<Vec<larder_fingerprint::Row>>, Fault> {
        let epoch = self.session.tree.epoch();
        let mut known = lock(&self.global);
        if known.0 != epoch {
            let rows = describe::global_rows(self.session, &self.session.workspace)?;
            *known = (epoch, Arc::new(rows));
        }
        Ok(Arc::clone(&known.1))
    }

    /// The graph of the run.
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    /// Takes a task as ended, for those that depend on it.
    pub fn foresee(&self, task: usize, done: Done) {
        // Each task is judged once.
        let _ = self.done[task].set(done);
    }

    /// A task's full name.
    pub fn id(&self, task: usize) -> String {
        self.ids[task].clone()
    }

    /// Tells the user something while tasks run.
    pub fn tell(&self, line: &str) {
        self.show.tell(line);
    }

    /// Whether reads are bypassed for a task.
    pub fn forced(&self, task: usize) -> bool {
        let Some(names) = &self.options.force else {
            return false;
        };
        let spec = &self.session.workspace.tasks[task];
        let project = &self.session.workspace.projects[spec.project].name;
        let meant = |name: &String| {
            name == project
                || *name == self.ids[task]
                || *name == format!("{project}:{}", spec.name)
                || *name == spec.name
        };
        let everything = names.iter().all(String::is_empty);
        everything || names.iter().any(meant)
    }

    /// Whether entries may be restored.
    pub fn reads(&self) -> bool {
        self.options.reads
    }

    /// Whether results may be stored.
    pub fn writes(&self) -> bool {
        self.options.writes
    }

    /// Whose output is shown for a task.
    pub fn output_logs(&self, task: usize) -> execute::mux::OutputLogs {
        self.options.output_logs.unwrap_or_else(|| {
            crate::show::output_logs(self.session.workspace.tasks[task].output_logs)
        })
    }

    /// Whether a hit of this task shows its log again.
    pub fn replays(&self, task: usize) -> bool {
        self.output_logs(task) == execute::mux::OutputLogs::Full
    }

    /// What the dependencies of a task hand on.
    pub fn dependencies(&self, task: usize) -> Vec<DepResult> {
        let needs = self.session.workspace.tasks[task]
            .deps
            .iter()
            .filter_map(|dep| match dep {
                Dep {
                    task,
                    kind: DepKind::Needs { transitive },
                } => Some((*task, *transitive)),
                Dep { .. } => None,
            });
        let mut results: BTreeMap<usize, DepResult> = BTreeMap::new();
        for (dep, transitive) in needs {
            let result = if self.plan.nodes.contains_key(&dep) {
                let Some(done) = self.done[dep].get() else {
                    // Only after a failure: the dependency was skipped, and nothing that follows is cached.
                    results.insert(
                        dep,
                        DepResult {
                            id: self.id(dep),
                            closure: [0; 32],
                            manifest: [0; 32],
                            transitive,
                            rows: std::sync::Arc::default(),
                            changed: true,
                        },
                    );
                    continue;
                };
                let changed = matches!(
                    done.record.status,
                    Status::Ran | Status::Restored | Status::Failed
                );
                DepResult {
                    id: self.id(dep),
                    closure: done.closure,
                    manifest: done.manifest,
                    transitive,
                    rows: std::sync::Arc::clone(&done.rows),
                    changed,
                }
            } else {
                let (manifest, closure) = self.as_on_disk(dep);
                DepResult {
                    id: self.id(dep),
                    closure,
                    manifest,
                    transitive,
                    rows: std::sync::Arc::default(),
                    changed: false,
                }
            };
            results
                .entry(dep)
                .and_modify(|known| known.transitive |= transitive)
                .or_insert(result);
        }
        results.into_values().collect()
    }

    /// A dependency, direct or not, that is not part of the run and whose effect cannot be seen on disk because it
    /// declares no outputs.
    pub fn unseen(&self, task: usize) -> Option<String> {
        let tasks = &self.session.workspace.tasks;
        let outside = |task: &usize| !self.plan.nodes.contains_key(task);
        if !tasks[task].deps.iter().any(|dep| outside(&dep.task)) {
            return None;
        }
        let needed = plan::closure(&self.session.workspace, &[task]);
        let unseen = needed.into_iter().find(|dep| {
            outside(dep) && tasks[*dep].command.is_some() && tasks[*dep].outputs.is_none()
        });
        unseen.map(|dep| self.id(dep))
    }

    /// Manifest and closure digests of a task that is not part of the run, from what lies on disk.
    fn as_on_disk(&self, task: usize) -> Digests {
        if let Some(known) = lock(&self.on_disk).get(&task) {
            return *known;
        }
        let spec = &self.session.workspace.tasks[task];
        let dir = &self.session.workspace.projects[spec.project].dir;
        let rows = spec.outputs.as_deref().and_then(|declared| {
            let outputs = Outputs::new(dir, declared).ok()?;
            let view = outputs.list(&self.session.tree).ok()?;
            self.session.tree.rows(&view, &|_, _| true).ok()
        });
        let manifest = larder_cache::digest(&rows.unwrap_or_default());
        let deps = self.dependencies(task);
        let result = (manifest, describe::closure(&manifest, &deps));
        lock(&self.on_disk).insert(task, result);
        result
    }

    /// A task's inputs as they are now.
    ///
    /// # Errors
    /// When one cannot be read, or another task makes it.
    pub fn inputs(&self, task: usize) -> Result<Inputs, Fault> {
        let workspace = &self.session.workspace;
        let rule = self.rules[task]
            .get_or_init(|| inputs::rule(workspace, task).map_err(|fault| fault.to_string()));
        let rule = rule.as_ref().map_err(|message| Fault::words(message))?;
        let dir = &workspace.projects[workspace.tasks[task].project].dir;
        let inputs = rule.collect(&self.session.tree, &|path| {
            self.session.git_input(dir, path)
        })?;
        inputs::refuse_foreign_outputs(
            workspace,
            task,
            &self.ids[task],
            &inputs,
            &|path| lock(&self.owners).get(path).cloned(),
            &self.names,
        )?;
        Ok(inputs)
    }

    /// What enters a task's key besides its files.
    ///
    /// # Errors
    /// When a tool command fails.
    pub fn parts(&self, task: usize, deps: &[DepResult]) -> Result<Parts, Fault> {
        let args: &[String] = if self.plan.requested.contains(&task) {
            &self.options.args
        } else {
            &[]
        };
        Parts::gather(self.session, task, &self.ids[task], args, deps)
    }

    /// Notes that a task that owned the paths `before` wrote `rows` now; the first path that another task of this
    /// workspace wrote too, and still declares, is refused.
    pub fn claim<'p>(
        &self,
        id: &str,
        before: impl Iterator<Item = &'p Vec<u8>>,
        rows: &[Row],
    ) -> Option<(Vec<u8>, String)> {
        let mut owners = lock(&self.owners);
        for path in before {
            if owners.get(path).is_some_and(|owner| owner == id) {
                owners.remove(path);
            }
        }
        let declares = |owner: &String, path: &[u8]| {
            let Some(task) = self.ids.iter().position(|known| known == owner) else {
                return false;
            };
            let spec = &self.session.workspace.tasks[task];
            let dir = &self.session.workspace.projects[spec.project].dir;
            Outputs::new(dir, spec.outputs.as_deref().unwrap_or_default())
                .is_ok_and(|outputs| outputs.covers(path))
        };
        if let Some((row, owner)) = rows.iter().find_map(|row| {
            owners
                .get(&row.path)
                .filter(|owner| *owner != id && declares(owner, &row.path))
                .map(|owner| (row, owner))
        }) {
            return Some((row.path.clone(), owner.clone()));
        }
        owners.extend(rows.iter().map(|row| (row.path.clone(), id.to_owned())));
        None
    }

    /// One command of a task, ready to be executed.
    pub fn command_spec(
        &self,
        task: usize,
        command: &Command,
        timeout: Option<Duration>,
        last: bool,
    ) -> Spec {
        let session = self.session;
        let dir = &session.workspace.projects[session.workspace.tasks[task].project].dir;
        let mut env = describe::task_environment(session, task, self.options.colour).vars;
        let token = lock::token(&session.root_digest, &self.ids[task]);
        let ancestors = if session.ancestors.is_empty() {
            token
        } else {
            format!("{},{token}", session.ancestors)
        };
        env.retain(|(name, _)| name != lock::ANCESTORS);
        env.push((OsString::from(lock::ANCESTORS), OsString::from(ancestors)));
        // Extra arguments belong to the last command, as `cmd1 && cmd2 args` would have it.
        let extra = last && self.plan.requested.contains(&task);
        Spec {
            command: match command {
                Command::Shell(line) => execute::Command::Shell(line.clone()),
                Command::Argv(words) => {
                    execute::Command::Argv(words.iter().map(OsString::from).collect())
                }
            },
            cwd: to_path(&session.root, dir),
            env,
            timeout,
            grace: GRACE,
            record: Some(intent::processes(&session.paths.intents, &self.ids[task])),
            extra_args: if extra {
                self.options.args.clone()
            } else {
                Vec::new()
            },
        }
    }

    /// Runs everything; the results by task.
    ///
    /// # Errors
    /// When the schedule cannot be made.
    pub fn execute(&self) -> Result<BTreeMap<usize, Done>, Fault> {
        let weights = |id: NodeId| {
            let task = self
                .plan
                .graph
                .get(id)
                .and_then(|&task| self.session.state.task(&self.ids[task]));
            task.and_then(|task| task.success.as_ref())
                .map_or(1, |success| success.duration_ms.max(1))
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
            for _ in 1..workers {
                scope.spawn(|| self.work(&shared.0, &shared.1, &wake));
            }
            self.work(&shared.0, &shared.1, &wake);
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

    fn work(&self, schedule: &Mutex<Schedule>, changed: &Condvar, wake: &dyn Fn()) {
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
            let outcome = task.map_or(Outcome::Failed, |task| self.live(task, step.after_failure));
            held = lock(schedule);
            // The step came from this schedule and is finished once, so it cannot refuse.
            let _ = held.finished(step.id, outcome);
            wake();
        }
    }

    fn live(&self, task: usize, after_failure: bool) -> Outcome {
        let _about = diagnostics::about(&self.ids[task]);
        let done = life::live(self, task, after_failure);
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
            .filter_map(|done| Some((done.record.task.clone(), done.update.clone()?)))
            .collect();
        let mut writes = 0;
        if !updates.is_empty() {
            match State::save(&session.paths.state, &updates, &|id| {
                self.ids.iter().any(|known| known == id)
            }) {
                Ok(()) => {
                    log::debug!(target: STATE, "{}: {} tasks written", session.paths.state.display(), updates.len());
                    writes += 1;
                    for done in results.values().filter(|done| done.intent) {
                        intent::end(&session.paths.intents, &done.record.task);
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
