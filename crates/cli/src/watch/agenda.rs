//! What a watch has to run next: what changes reach of the request, and what the last round did not come to.
//! Does not run anything, nor say anything to anybody.

use std::collections::BTreeSet;

use crate::config::{DepKind, Task};
use crate::record::Status;
use crate::session::life::Done;
use crate::session::run::Ended;
use crate::session::{self, Affected, ChangeSet, Session};

use super::{Changes, OpenError};

/// What there is to say while a session is brought up to changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'n> {
    /// The configuration was read again.
    Reloaded,
    /// Everything is looked at, for this reason.
    Everything(&'n str),
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Whether it is all that was asked for.
    pub all: bool,
    /// The tasks of the request that are to be run.
    pub wanted: BTreeSet<usize>,
    /// What runs although nothing changed, as [`Options::force`](session::run::Options::force) has it.
    pub force: Option<Vec<String>>,
}

/// What is to be run, round by round.
#[derive(Debug)]
pub struct Agenda {
    requested: BTreeSet<usize>,
    /// Everything that was asked for; else what `tasks` reach of it.
    all: bool,
    tasks: BTreeSet<usize>,
    force: Option<Vec<String>>,
    /// What the last run did not come to. It waits for the next change: to what it hangs on, most likely.
    left: BTreeSet<usize>,
    /// What was asked for is not in the configuration, and has to be looked for again.
    unmet: bool,
}

impl Agenda {
    /// One whose first round is all of the request.
    pub fn new(requested: BTreeSet<usize>, force: Option<Vec<String>>) -> Agenda {
        Agenda {
            requested,
            all: true,
            tasks: BTreeSet::new(),
            force,
            left: BTreeSet::new(),
            unmet: false,
        }
    }

    /// What was asked for, as the configuration has it now.
    pub fn requested(&self) -> &BTreeSet<usize> {
        &self.requested
    }

    /// The next round is all of the request.
    pub fn again(&mut self, force: Option<Vec<String>>) {
        self.all = true;
        self.force = force;
    }

    /// Whether all of the request is to be run next.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Tells the session what changed, and notes what that reaches. `request` looks for what was asked for in another configuration.
    ///
    /// # Errors
    /// When the configuration is wrong now, what was asked for is not in it, or its folders cannot be watched. Nothing is to
    /// be run then before the next call, which makes up for it.
    pub fn update<E: From<session::OpenError> + From<OpenError>>(
        &mut self,
        session: &mut Session<'_>,
        changes: &mut Changes,
        told: &ChangeSet,
        request: &dyn Fn(&Session<'_>) -> Result<BTreeSet<usize>, E>,
        news: &mut dyn FnMut(News<'_>),
    ) -> Result<(), E> {
        let mut affected = session.update(told)?;
        while affected.reloaded {
            // Tasks have other numbers now.
            self.requested.clear();
            self.tasks.clear();
            self.left.clear();
            self.unmet = true;
            news(News::Reloaded);
            changes.set_workspace(&session.workspace)?;
            // That everything is watched anew, and that the configuration may have changed once more since it was read.
            affected = session.update(&changes.sync())?;
        }
        if self.unmet {
            self.requested = request(session)?;
            self.unmet = false;
            self.all = true;
            return Ok(());
        }
        // While nothing can be watched it is everything each time, which was said.
        let worth = |_: &&String| !self.all && changes.blind().is_none();
        if let Some(why) = affected.everything.as_ref().filter(worth) {
            news(News::Everything(why));
        }
        self.tasks.extend(reached(session, &affected));
        Ok(())
    }

    /// Takes what is to be run, if anything is.
    pub fn take(&mut self) -> Option<Round> {
        if !self.all && self.tasks.is_empty() {
            return None;
        }
        let mut tasks = std::mem::take(&mut self.tasks);
        tasks.append(&mut self.left);
        let all = std::mem::take(&mut self.all);
        let wanted = self.requested.iter().copied();
        Some(Round {
            all,
            wanted: wanted.filter(|task| all || tasks.contains(task)).collect(),
            force: self.force.take(),
        })
    }

    /// The round could not be run.
    pub fn missed(&mut self) {
        self.left.clone_from(&self.requested);
    }

    /// The round ended.
    pub fn ended(&mut self, ended: &Ended) {
        // What the run did not come to, or stopped because its inputs changed.
        let left = |done: &Done| {
            done.record.status == Status::Skipped
                || done.exit == Some(crate::execute::Exit::Interrupted)
        };
        let results = ended.results.iter();
        let results = results.filter(|(_, done)| left(done));
        self.left = results.map(|(task, _)| *task).collect();
    }
}

/// Whether a run did anything.
pub fn acted(ended: &Ended) -> bool {
    let mut results = ended.results.values();
    results.any(|done| !matches!(done.record.status, Status::UpToDate | Status::Group))
}

/// The affected tasks and all that may be affected through them.
fn reached(session: &Session<'_>, affected: &Affected) -> BTreeSet<usize> {
    let tasks = &session.workspace.tasks;
    let needs = |kind| matches!(kind, DepKind::Needs { .. });
    let mut found = affected.tasks.clone();
    follow(tasks, &mut found, needs);
    // Nobody asks for a hook that comes later: it is run with what it comes after.
    let hooks = found.iter().flat_map(|task| &tasks[*task].deps);
    let hooks = hooks.filter(|dep| !needs(dep.kind));
    let before: Vec<usize> = hooks.map(|dep| dep.task).collect();
    found.extend(before);
    follow(tasks, &mut found, |kind| kind != DepKind::AfterAll);
    found
}

/// Adds all that some tasks lead to by such edges.
fn follow(tasks: &[Task], found: &mut BTreeSet<usize>, by: impl Fn(DepKind) -> bool) {
    let mut followers = vec![Vec::new(); tasks.len()];
    for (follower, task) in tasks.iter().enumerate() {
        for dep in task.deps.iter().filter(|dep| by(dep.kind)) {
            followers[dep.task].push(follower);
        }
    }
    let mut stack: Vec<usize> = found.iter().copied().collect();
    while let Some(task) = stack.pop() {
        for &follower in &followers[task] {
            if found.insert(follower) {
                stack.push(follower);
            }
        }
    }
}
