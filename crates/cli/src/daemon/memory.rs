//! What changed in a workspace and when, by a configuration that is read again when it changes: all that a background session answers from.
//! Does not know who asks, nor how a question reaches it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Workspace;
use crate::session::changes::ChangeSet;
use crate::watch::plan::Plan;
use crate::watch::{Changes, Watcher};

use super::config::Sources;
use super::format::Clock;
use super::journal::{Journal, LIMIT};

/// So much longer than awake the machine has to have been up to have been suspended.
const ASLEEP: Duration = Duration::from_millis(500);

/// The memory of one workspace, from the moment it was opened.
pub struct Memory<'e> {
    root: PathBuf,
    env: &'e [(OsString, OsString)],
    changes: Changes,
    workspace: Workspace,
    sources: Sources,
    /// Whether the configuration could not be read when it last changed.
    broken: bool,
    journal: Journal,
    asleep: Duration,
    said: Vec<String>,
}

impl<'e> Memory<'e> {
    /// Watches the workspace at `root` through `watcher`.
    ///
    /// # Errors
    /// In words, when it cannot be found, its configuration is wrong, or it cannot be watched.
    pub fn open(
        root: &Path,
        env: &'e [(OsString, OsString)],
        watcher: Box<dyn Watcher>,
    ) -> Result<Memory<'e>, String> {
        let root = root
            .canonicalize()
            .map_err(|error| format!("the workspace cannot be found: {error}"))?;
        let workspace = load(&root, env)?;
        let sources = Sources::new(&root, &workspace);
        let changes =
            Changes::open(&root, &workspace, watcher).map_err(|error| error.to_string())?;
        let mut instance = [0; 16];
        getrandom::fill(&mut instance).map_err(|error| format!("no random bytes: {error}"))?;
        Ok(Memory {
            root,
            env,
            changes,
            workspace,
            sources,
            broken: false,
            journal: Journal::new(instance, LIMIT),
            asleep: asleep(),
            said: Vec::new(),
        })
    }

    /// Takes in the next batch of changes, if one comes before the deadline or before it is woken.
    pub fn wait(&mut self, deadline: Instant) {
        let changes = self.changes.next(Some(deadline));
        self.absorb(changes);
    }

    /// What changed since a clock, and the clock of now: every edit made before the call is in it.
    pub fn since(&mut self, clock: Option<&Clock>) -> (Clock, ChangeSet) {
        let asleep = asleep();
        if asleep > self.asleep + ASLEEP {
            self.asleep = asleep;
            self.changes.distrust("the machine was suspended");
        }
        let changes = self.changes.sync();
        self.absorb(changes);
        if self.broken {
            let why = "the background session cannot read the configuration";
            self.journal.record(&ChangeSet::everything(why));
        }
        (self.journal.clock(), self.journal.since(clock))
    }

    /// Now.
    pub fn clock(&self) -> Clock {
        self.journal.clock()
    }

    /// How many paths are remembered.
    pub fn paths(&self) -> usize {
        self.journal.len()
    }

    /// What is watched.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The configuration it goes by.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Takes what there was to say of what happened since the last call.
    pub fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Takes in a batch; a configuration that may be another one is read again first.
    fn absorb(&mut self, mut changes: ChangeSet) {
        loop {
            if let Some(why) = changes.why_everything() {
                self.said
                    .push(format!("everything may have changed: {why}"));
            }
            self.journal.record(&changes);
            if !self.sources.touched(&changes) && !self.sources.outside_changed() {
                return;
            }
            let read = load(&self.root, self.env);
            match read.and_then(|workspace| self.take_on(workspace)) {
                Ok(false) => return,
                // It may have changed once more meanwhile.
                Ok(true) => changes = self.changes.sync(),
                Err(why) => {
                    self.said
                        .push(format!("the configuration cannot be read: {why}"));
                    self.broken = true;
                    return;
                }
            }
        }
    }

    /// Goes on with a configuration; whether other folders are watched for it.
    fn take_on(&mut self, workspace: Workspace) -> Result<bool, String> {
        let same = !self.broken
            && Plan::new(&workspace) == Plan::new(&self.workspace)
            && workspace.mounts == self.workspace.mounts;
        if !same {
            self.changes
                .set_workspace(&workspace)
                .map_err(|error| error.to_string())?;
        }
        self.broken = false;
        self.sources = Sources::new(&self.root, &workspace);
        self.workspace = workspace;
        Ok(!same)
    }
}

fn load(root: &Path, env: &[(OsString, OsString)]) -> Result<Workspace, String> {
    crate::session::workspace(root, env).map_err(|error| error.to_string())
}

/// How long the machine was suspended since it was started.
fn asleep() -> Duration {
    #[cfg(target_os = "linux")]
    {
        use rustix::time::{ClockId, clock_gettime};
        let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}
