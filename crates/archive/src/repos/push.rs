//! Runs `git push` for the steps of a plan, side by side where nothing depends on the other.
//! Never forces; knows neither passwords nor hooks, which are git's to find.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{PushFailure, Rejection};
use super::plan::{Action, Blocked, PushPlan, PushStep, Skipped};
use super::process::{self, Stop};
use super::shown;

/// The git program, and the environment it runs in.
#[derive(Clone)]
pub struct Git {
    /// The program, as a path, or as a name to be found in the `PATH` of `environment`.
    pub program: PathBuf,
    /// The whole environment: `HOME`, `PATH`, `SSH_AUTH_SOCK` and all that git, ssh and hooks look at.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether git gets a process group of its own, so that a stop ends its hooks and helpers for certain. Outside of the group that a
    /// terminal listens to nobody can be asked for a password, so where there is a terminal this is `false`: an interrupt typed there
    /// reaches all anyway.
    pub own_group: bool,
}

/// What became of each step of a plan, in its order. `Display` gives a line for each, and all errors together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReport {
    /// One for each repository.
    pub steps: Vec<Pushed>,
}

/// What became of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The repository; empty for the main one.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long its push took; zero when git was not run.
    pub duration: Duration,
}

/// What became of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The remote has all that the plan names.
    Pushed,
    /// There was nothing to do.
    Skipped(Skipped),
    /// It could not be pushed as it is.
    Blocked(Blocked),
    /// Git did not push.
    Failed(PushFailure),
    /// It was told to stop before git had pushed, or before it began.
    Interrupted,
    /// Git was not run, since repositories within this one were not pushed.
    NotTried {
        /// Their paths.
        because: Vec<String>,
    },
}

/// Variables by which git tells its hooks where they are; here they would lead every push to one repository.
const OF_ONE_REPOSITORY: [&str; 12] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Pushes what the plan names, at most `workers` at a time. A repository is pushed after all that lie within it, and only if none of them
/// failed; so the main one is the last. What fails stops none that do not hold it. The remote checks of git itself stay: hooks run, and a
/// repository is not pushed when a submodule is at a commit that no remote has.
///
/// `stop` is asked again and again: once it wants a stop, pushes under way are ended and none begins.
pub fn push(
    plan: &PushPlan,
    git: &Git,
    workers: NonZeroUsize,
    stop: &(dyn Fn() -> Stop + Sync),
) -> PushReport {
    let board = Board {
        plan,
        stop,
        done: Mutex::new(vec![State::Waiting; plan.steps.len()]),
        changed: Condvar::new(),
    };
    let pushes = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::Push { .. }))
        .count();
    std::thread::scope(|scope| {
        for _ in 0..workers.get().min(pushes.max(1)) {
            scope.spawn(|| board.work(git));
        }
    });
    let done = board.done.into_inner();
    let steps = plan
        .steps
        .iter()
        .zip(done.unwrap_or_else(PoisonError::into_inner))
        .map(|(step, state)| {
            let (outcome, duration) = match state {
                State::Done(outcome, duration) => (outcome, duration),
                // Workers end only when all is done.
                State::Waiting | State::AtWork => (not_tried(Vec::new()), Duration::ZERO),
            };
            let path = step.path.clone();
            Pushed {
                path,
                outcome,
                duration,
            }
        })
        .collect();
    PushReport { steps }
}

#[derive(Clone)]
enum State {
    Waiting,
    AtWork,
    Done(Outcome, Duration),
}

struct Board<'a> {
    plan: &'a PushPlan,
    stop: &'a (dyn Fn() -> Stop + Sync),
    done: Mutex<Vec<State>>,
    changed: Condvar,
}

impl Board<'_> {
    fn work(&self, git: &Git) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(next) = self.next(&done) else {
                if !done.iter().any(|state| matches!(state, State::Waiting)) {
                    return;
                }
                done = self
                    .changed
                    .wait(done)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            done[next] = State::AtWork;
            let failed = self.failed_within(next, &done);
            drop(done);
            let step = &self.plan.steps[next];
            let start = Instant::now();
            let (outcome, ran) = match &step.action {
                Action::Skip(why) => (Outcome::Skipped(why.clone()), false),
                Action::Block(why) => (Outcome::Blocked(why.clone()), false),
                Action::Push { .. } if !failed.is_empty() => (not_tried(failed), false),
                Action::Push { .. } if (self.stop)() != Stop::Not => (Outcome::Interrupted, false),
                Action::Push { remote, refs, .. } => {
                    (run(step, remote, refs, git, self.stop), true)
                }
            };
            let duration = if ran { start.elapsed() } else { Duration::ZERO };
            done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            done[next] = State::Done(outcome, duration);
            self.changed.notify_all();
        }
    }

    /// The first one that waits for nothing.
    fn next(&self, done: &[State]) -> Option<usize> {
        (0..done.len()).find(|&at| {
            let ready = |&within: &usize| matches!(done[within], State::Done(..));
            matches!(done[at], State::Waiting) && self.plan.within(at).all(|within| ready(&within))
        })
    }

    fn failed_within(&self, at: usize, done: &[State]) -> Vec<String> {
        self.plan
            .within(at)
            .filter(|&other| match &done[other] {
                State::Done(outcome, _) => outcome.is_failure(),
                State::Waiting | State::AtWork => true,
            })
            .map(|other| self.plan.steps[other].path.clone())
            .collect()
    }
}

fn not_tried(because: Vec<String>) -> Outcome {
    Outcome::NotTried { because }
}

fn run(
    step: &PushStep,
    remote: &str,
    refs: &[String],
    git: &Git,
    stops: &dyn Fn() -> Stop,
) -> Outcome {
    let mut command = Command::new(&git.program);
    command
        .env_clear()
        .envs(git.environment.iter().map(|(name, value)| (name, value)))
        // English words of git itself; those of hooks keep their locale.
        .env("LANGUAGE", "en")
        .args(["push", "--porcelain", "--recurse-submodules=check", "--"])
        .arg(remote)
        .args(refs)
        .current_dir(&step.folder)
        .stdin(Stdio::null());
    for name in OF_ONE_REPOSITORY {
        command.env_remove(name);
    }
    let output = match process::output(&mut command, git.own_group, stops) {
        Ok(Some(output)) => output,
        Ok(None) => return Outcome::Interrupted,
        Err(cause) => {
            return Outcome::Failed(PushFailure {
                why: Rejection::NotStarted,
                said: format!("{}: {cause}", git.program.display()),
            });
        }
    };
    if output.status.success() {
        return Outcome::Pushed;
    }
    Outcome::Failed(PushFailure::read(
        output.status.code(),
        &String::from_utf8_lossy(&output.stdout),
        &String::from_utf8_lossy(&output.stderr),
    ))
}

impl Outcome {
    /// Whether the remote has commits that are not here, so that only other commits than these can be pushed.
    pub fn is_diverged(&self) -> bool {
        match self {
            Self::Blocked(why) => matches!(why, Blocked::Diverged { .. }),
            Self::Failed(failure) => matches!(failure.why, Rejection::NotFastForward { .. }),
            _ => false,
        }
    }

    /// Whether something that should be at a remote is not.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Pushed | Self::Skipped(_))
    }
}

impl PushReport {
    /// Whether everything that should be at a remote is there.
    pub fn is_success(&self) -> bool {
        !self.steps.iter().any(|step| step.outcome.is_failure())
    }
}

impl fmt::Display for PushReport {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let text = match &step.outcome {
                Outcome::Pushed => format!("pushed in {:.1} s", step.duration.as_secs_f64()),
                Outcome::Skipped(why) => why.to_string(),
                Outcome::Blocked(why) => format!("not pushed: {why}"),
                Outcome::Failed(why) => format!("not pushed: {why}"),
                Outcome::Interrupted => "not pushed: interrupted".to_owned(),
                Outcome::NotTried { because } => {
                    format!("not pushed, since these were not: {}", because.join(", "))
                }
            };
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            writeln!(to, "{}: {first}", shown(&step.path))?;
            for line in lines {
                writeln!(to, "  {}", line.trim_start())?;
            }
        }
        Ok(())
    }
}

// The environment may hold secrets, so that it is not shown.
impl fmt::Debug for Git {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Git")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}
