//! One run: the tasks of a plan taken through their lives in order, many at once, then remembered.
//! Does not know the command line, nor how the summary is worded.
//!
//! Worker threads share the schedule behind one lock: each takes the next ready task, lives it without the lock,
//! and reports its end. Nothing else is shared but the session's own interior locks.

mod hand_on;
mod interrupt;
mod memory;
mod workers;

pub use hand_on::Handed;
pub use workers::{Beside, Ended};

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use larder_cache::Row;
use larder_fingerprint::git::GitInput;
use larder_graph::FailurePolicy;

use crate::config::Command;
use crate::execute::usage::Sample;
use crate::execute::{self, Cancel, Spec};
use crate::plan::Plan;
use crate::show::Show;
use crate::state::TaskState;

use super::describe::{self, Basis, DepResult, Parts};
use super::inputs::{self, Inputs, Rule};
use super::life::Done;
use super::tree::Fault;
use super::{Session, chunks, discovered, lock};

/// How long a process group may tidy up between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// What a run was asked to do, besides which tasks.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // Each is a choice of its own, and all can be made together.
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
    /// Whether the session goes by what it saw of tasks that are never kept as well: they run when a change reaches them.
    pub watching: bool,
    /// Whether the memory of commands over time is to be kept until the end.
    pub sampling: bool,
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
            watching: false,
            sampling: false,
        }
    }
}

/// What the workers of a run share.
pub struct Run<'a> {
    /// The workspace at work.
    pub session: &'a Session<'a>,
    /// Where output goes.
    pub show: &'a Show,
    /// The global inputs and the epoch of the tree they were read in, once they were needed.
    global: Mutex<Option<(u64, Arc<Inputs>)>>,
    plan: &'a Plan,
    options: &'a Options,
    done: Vec<OnceLock<Done>>,
    on_disk: Mutex<HashMap<usize, DepResult>>,
    owners: Mutex<HashMap<Vec<u8>, String>>,
    /// Tasks that are at work, each with when it began and what stops it alone; only while somebody may.
    at_work: Mutex<BTreeMap<usize, (i64, Cancel)>>,
    /// Tasks that were stopped, with the change that made them stale.
    stale: Mutex<BTreeMap<usize, Vec<u8>>>,
    /// When the run began.
    pub(super) began: Instant,
    /// Memory of commands over time, if somebody wants it.
    samples: Option<Mutex<Vec<memory::Samples>>>,
    /// What the chunks of tasks share.
    pub(super) chunks: chunks::Shared,
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
        let run = Run {
            global: Mutex::default(),
            session,
            show,
            plan,
            options,
            done: (0..count).map(|_| OnceLock::new()).collect(),
            on_disk: Mutex::default(),
            owners: Mutex::new(owners),
            at_work: Mutex::default(),
            stale: Mutex::default(),
            began: Instant::now(),
            samples: options.sampling.then(Mutex::default),
            chunks: chunks::Shared::new(count, options.concurrency),
        };
        let known = |task: &usize| {
            session.workspace.tasks[*task].command.is_none() || session.warm.known(*task).is_some()
        };
        if !plan.nodes.keys().all(known) {
            // What is wrong with them is wrong with the run, not with each task.
            run.global()?;
        }
        Ok(run)
    }

    /// The global inputs, the same for every task, as they are now: a task may have written one.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn global(&self) -> Result<Arc<Inputs>, Fault> {
        let epoch = self.session.tree.epoch();
        let mut known = lock(&self.global);
        if let Some((_, inputs)) = known.as_ref().filter(|(taken, _)| *taken == epoch) {
            return Ok(Arc::clone(inputs));
        }
        let inputs = Arc::new(describe::global_inputs(self.session)?);
        *known = Some((epoch, Arc::clone(&inputs)));
        Ok(inputs)
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
        self.session.compiled.id(task).to_owned()
    }

    /// Tells the user something while tasks run.
    pub fn tell(&self, line: &str) {
        self.show.tell(line);
    }

    /// Takes in what was seen of a command's memory.
    pub(super) fn sampled(&self, samples: Vec<Sample>) {
        if let Some(all) = &self.samples {
            let ended = Instant::now();
            lock(all).push(memory::Samples { samples, ended });
        }
    }

    /// The memory of all commands together, over time since the run began.
    fn memory(&self) -> Vec<(Duration, u64)> {
        let all = self
            .samples
            .as_ref()
            .map(|all| std::mem::take(&mut *lock(all)));
        memory::together(self.began, &all.unwrap_or_default())
    }

    /// What to do after a failure.
    pub fn policy(&self) -> FailurePolicy {
        self.options.policy
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
                || name == self.session.compiled.id(task)
                || *name == format!("{project}:{}", spec.name)
                || *name == spec.name
        };
        let everything = names.iter().all(String::is_empty);
        everything || names.iter().any(meant)
    }

    /// Whether the session goes by what it saw of tasks that are never kept.
    pub fn watching(&self) -> bool {
        self.options.watching
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
        // Who watches saw it when it was new.
        !self.options.watching && self.output_logs(task) == execute::mux::OutputLogs::Full
    }

    /// A task's inputs as they are now.
    ///
    /// # Errors
    /// When one cannot be read, or another task makes it.
    pub fn inputs(&self, task: usize) -> Result<Inputs, Fault> {
        let inputs = self.with_rule(task, |rule, git| rule.collect(&self.session.tree, git))?;
        // A task that is never kept may read what it likes: a hook at the end reads what others made.
        if self.session.workspace.tasks[task].outputs.is_some() {
            self.refuse_foreign(task, inputs.rows.iter().map(|row| &row.path))?;
        }
        Ok(inputs)
    }

    /// Whether a task's inputs are still those that were found before.
    ///
    /// # Errors
    /// As for [`inputs`](Self::inputs).
    pub fn inputs_hold(&self, task: usize, before: &Inputs) -> Result<bool, Fault> {
        let same = self.with_rule(task, |rule, git| {
            rule.still_holds(before, &self.session.tree, git)
        })?;
        if same && self.session.workspace.tasks[task].outputs.is_some() {
            self.refuse_foreign(task, before.rows.iter().map(|row| &row.path))?;
        }
        Ok(same)
    }

    /// Hands over what a task's inputs follow from, and how git inputs are read for it.
    fn with_rule<T>(
        &self,
        task: usize,
        with: impl FnOnce(&Rule, &dyn Fn(&str) -> Result<GitInput, Fault>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let workspace = &self.session.workspace;
        let mut rule = self.session.compiled.rule(workspace, task)?;
        if rule.is_wide() {
            rule = self.chunks.rule(task, || {
                inputs::rule(
                    workspace,
                    task,
                    Some(&|other| chunks::declared(self, other)),
                )
            })?;
        }
        let dir = &workspace.projects[workspace.tasks[task].project].dir;
        with(rule, &|path| {
            self.session.git_input(dir, path, &|path| rule.makes(path))
        })
    }

    /// Refuses paths that a task makes on which this one does not depend.
    ///
    /// # Errors
    /// Names the first, its owner and the two lines that mend it.
    pub fn refuse_foreign<'p>(
        &self,
        task: usize,
        mut paths: impl Iterator<Item = &'p Vec<u8>>,
    ) -> Result<(), Fault> {
        inputs::refuse_foreign_outputs(
            &self.session.workspace,
            &self.session.compiled,
            task,
            &mut paths,
            &|path| lock(&self.owners).get(path).cloned(),
        )
    }

    /// All that a task's key is made of, as it is now.
    ///
    /// # Errors
    /// When an input cannot be read or another task makes it, or a tool command fails.
    pub fn basis(&self, task: usize, deps: &[DepResult]) -> Result<Basis, Fault> {
        Ok(Basis {
            inputs: self.inputs(task)?,
            parts: self.parts(task, deps)?,
            global: self.global()?,
        })
    }

    /// Puts the files that the last success discovered into `basis`, as they are now. Without such a list the base key stands,
    /// under which nothing is ever kept.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn recall(&self, task: usize, basis: &mut Basis, last: &TaskState) -> Result<(), Fault> {
        let spec = &self.session.workspace.tasks[task];
        let found = last
            .success
            .as_ref()
            .and_then(|success| success.discovered.as_ref());
        if let Some(found) = found.filter(|_| spec.depfile.is_some()) {
            basis.inputs.discovered = Some(discovered::rows(&self.session.tree, found)?);
        }
        Ok(())
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
        Parts::gather(
            self.session,
            task,
            self.session.compiled.id(task),
            args,
            deps,
        )
    }

    /// The first of `rows` that another task of this workspace wrote and still declares, and that task.
    pub fn clash(&self, id: &str, rows: &[Row]) -> Option<(Vec<u8>, String)> {
        let owners = lock(&self.owners);
        let declares = |owner: &String, path: &[u8]| {
            let Some(task) = self.session.compiled.task(owner) else {
                return false;
            };
            let outputs = self.outputs(task);
            outputs.is_ok_and(|outputs| outputs.is_some_and(|outputs| outputs.covers(path)))
        };
        rows.iter().find_map(|row| {
            let owner = owners.get(&row.path)?;
            (owner != id && declares(owner, &row.path)).then(|| (row.path.clone(), owner.clone()))
        })
    }

    /// Notes that a task that owned the paths `before` wrote `rows` now; a [`clash`](Self::clash) is answered instead.
    pub fn claim<'p>(
        &self,
        id: &str,
        before: impl Iterator<Item = &'p Vec<u8>>,
        rows: &[Row],
    ) -> Option<(Vec<u8>, String)> {
        let clash = self.clash(id, rows);
        let mut owners = lock(&self.owners);
        for path in before {
            if owners.get(path).is_some_and(|owner| owner == id) {
                owners.remove(path);
            }
        }
        if clash.is_none() {
            owners.extend(rows.iter().map(|row| (row.path.clone(), id.to_owned())));
        }
        clash
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
        let token = lock::token(&session.root_digest, session.compiled.id(task));
        let ancestors = if session.ancestors.is_empty() {
            token
        } else {
            format!("{},{token}", session.ancestors)
        };
        env.retain(|(name, _)| name != lock::ANCESTORS);
        env.push((OsString::from(lock::ANCESTORS), OsString::from(ancestors)));
        // The folder as the workspace knows it, not by way of a link: what a command writes of it is then recognised.
        let cwd = session.path_of(dir);
        env.retain(|(name, _)| name != "PWD");
        env.push((OsString::from("PWD"), cwd.clone().into_os_string()));
        // Extra arguments belong to the last command, as `cmd1 && cmd2 args` would have it.
        let extra = last && self.plan.requested.contains(&task);
        Spec {
            command: match command {
                Command::Shell(line) => execute::Command::Shell(line.into()),
                Command::Argv(words) => {
                    execute::Command::Argv(words.iter().map(OsString::from).collect())
                }
            },
            cwd,
            env,
            timeout,
            grace: GRACE,
            extra_args: if extra {
                self.options.args.clone()
            } else {
                Vec::new()
            },
        }
    }
}
