//! A run as the history keeps it, and putting it there.
//! Does not know what is told from a history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use larder_timing::history::{History, HistoryError, Opened, Options};
use larder_timing::{CacheState, Moment, Outcome, Phase, RunRow, TaskRow};

use crate::execute::exit;
use crate::plan::Plan;
use crate::record::{RunRecord, Status, TaskRecord};
use crate::session::Session;

/// Opens the history of a workspace as `[timings]` bounds it. Also says what had to be set aside, in words.
///
/// # Errors
/// When it cannot be opened, in words.
pub fn open(session: &Session<'_>) -> Result<(History, Option<String>), String> {
    let defaults = Options::default();
    let settings = &session.workspace.settings;
    let options = Options {
        runs_per_task: settings.runs_per_task.unwrap_or(defaults.runs_per_task),
        ..defaults
    };
    let opened = History::open(&session.paths.history, &options);
    Ok(told(session, opened.map_err(words)?))
}

fn told(session: &Session<'_>, opened: Opened) -> (History, Option<String>) {
    let aside = opened.set_aside.map(|aside| {
        format!(
            "{} was damaged; it lies at {} now, and a new history was begun",
            session.paths.history.display(),
            aside.display()
        )
    });
    (opened.history, aside)
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn words(error: HistoryError) -> String {
    error.to_string()
}

/// Remembers a run. Returns what the user should know: a run that cannot be remembered has failed at nothing else.
pub fn remember(session: &Session<'_>, row: &RunRow) -> Option<String> {
    let put = || -> Result<Option<String>, String> {
        let (history, aside) = open(session)?;
        match history.record(row) {
            // The damage may lie where opening does not look.
            Err(HistoryError::Damaged { .. }) => {
                let (history, aside) = told(session, history.begin_anew().map_err(words)?);
                history.record(row).map_err(words)?;
                Ok(aside)
            }
            other => other.map_err(words).map(|()| aside),
        }
    };
    put().unwrap_or_else(|error| Some(format!("the run is missing from the history: {error}")))
}

/// The run as a row. It is named `id`, as its record is.
pub fn row(
    session: &Session<'_>,
    plan: &Plan,
    record: &RunRecord,
    id: String,
    started: Moment,
    workers: usize,
    phases: Vec<Phase>,
) -> RunRow {
    let (revision, branch) = checked_out(session);
    let done: BTreeMap<&str, &TaskRecord> = record
        .tasks
        .iter()
        .filter(|task| took_part(task))
        .map(|task| (task.task.as_str(), task))
        .collect();
    let mut needs = Needs::new(session, plan, &done);
    let tasks = plan.nodes.keys().filter_map(|&task| {
        let record = done.get(session.compiled.id(task))?;
        Some(of(record, needs.of(task), session.cancel.is_raised()))
    });
    let mut tasks: Vec<TaskRow> = tasks.collect();
    tasks.sort_by(|a, b| (a.start_ns, &a.task).cmp(&(b.start_ns, &b.task)));
    let up_to_date = record.tasks.iter();
    let up_to_date = up_to_date.filter(|task| task.status == Status::UpToDate);
    RunRow {
        id,
        started: started.wall_ns,
        duration_ns: nanoseconds(record.wall_seconds),
        host: host(session),
        revision,
        branch,
        request: record.request.clone(),
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        exit_code: record.exit_code,
        up_to_date: u32::try_from(up_to_date.count()).unwrap_or(u32::MAX),
        saved_ns: nanoseconds(record.saved_seconds),
        phases,
        tasks,
    }
}

/// Whether a task did something in a run.
pub fn took_part(task: &TaskRecord) -> bool {
    matches!(task.status, Status::Ran | Status::Failed | Status::Restored)
}

fn of(record: &TaskRecord, deps: Vec<String>, interrupted: bool) -> TaskRow {
    let outcome = match record.status {
        // A command may end with this code by itself.
        Status::Failed if interrupted && record.exit_code == Some(exit::INTERRUPTED) => {
            Outcome::Cancelled
        }
        Status::Failed => Outcome::Failure,
        _ => Outcome::Success,
    };
    let start = record.start_seconds.unwrap_or_default();
    let length = match record.status {
        Status::Restored => record.end_seconds.map_or(0.0, |end| end - start),
        _ => record.seconds,
    };
    TaskRow {
        task: record.task.clone(),
        start_ns: nanoseconds(start),
        duration_ns: nanoseconds(length),
        cpu_ns: record.cpu_seconds.map(nanoseconds),
        peak_memory: record.peak_memory,
        outcome,
        cache: match record.status {
            Status::Restored => CacheState::Restored,
            _ => CacheState::Executed,
        },
        key: record.key.clone(),
        reason: record.why.first().cloned().unwrap_or_default(),
        worker: record.worker.and_then(|worker| u32::try_from(worker).ok()),
        deps,
        saved_ns: nanoseconds(record.saved_seconds),
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// For whom a task waited, of those that did something: over tasks that did nothing to the ones before these.
struct Needs<'a> {
    session: &'a Session<'a>,
    plan: &'a Plan,
    done: &'a BTreeMap<&'a str, &'a TaskRecord>,
    /// What was found of tasks that did nothing.
    through: BTreeMap<usize, BTreeSet<usize>>,
}

impl<'a> Needs<'a> {
    fn new(
        session: &'a Session<'a>,
        plan: &'a Plan,
        done: &'a BTreeMap<&'a str, &'a TaskRecord>,
    ) -> Needs<'a> {
        let mut needs = Needs {
            session,
            plan,
            done,
            through: BTreeMap::new(),
        };
        // Dependencies come first, so that what lies behind each is known.
        for node in plan.graph.topological_order().unwrap_or_default() {
            let Some(&task) = plan.graph.get(node) else {
                continue;
            };
            if !needs.is_done(task) {
                let behind = needs.nearest(task);
                needs.through.insert(task, behind);
            }
        }
        needs
    }

    fn is_done(&self, task: usize) -> bool {
        self.done.contains_key(self.session.compiled.id(task))
    }

    fn nearest(&self, task: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let Some(&node) = self.plan.nodes.get(&task) else {
            return found;
        };
        for dependency in self.plan.graph.dependencies(node) {
            let Some(&dependency) = self.plan.graph.get(*dependency) else {
                continue;
            };
            match self.through.get(&dependency) {
                Some(behind) => found.extend(behind),
                None => {
                    found.insert(dependency);
                }
            }
        }
        found
    }

    fn of(&mut self, task: usize) -> Vec<String> {
        let id = |task: usize| self.session.compiled.id(task).to_owned();
        self.nearest(task).into_iter().map(id).collect()
    }
}

/// The commit and the branch that are checked out where the workspace lies, if it is in a git repository.
fn checked_out(session: &Session<'_>) -> (Option<String>, Option<String>) {
    let Ok(repository) = git2::Repository::discover(&session.root) else {
        return (None, None);
    };
    let Ok(head) = repository.head() else {
        return (None, None);
    };
    let revision = head.target().map(|id| id.to_string());
    let branch = head
        .is_branch()
        .then(|| head.shorthand().map(str::to_owned));
    (revision, branch.flatten())
}

/// The name of this machine.
#[cfg(unix)]
fn host(_: &Session<'_>) -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(not(unix))]
fn host(session: &Session<'_>) -> String {
    let name = session.env.iter().find(|(name, _)| name == "COMPUTERNAME");
    name.map(|(_, value)| value.to_string_lossy().into_owned())
        .unwrap_or_default()
}
