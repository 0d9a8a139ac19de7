//! The ways to run a workspace that goes on changing: each with a copy of its own, and a cache.
//! Does not know what changes, nor what is right.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use larder::daemon::Memory;
use larder::execute::Cancel;
use larder::execute::mux::OutputLogs;
use larder::plan::Plan;
use larder::session::run::{Ended, Options};
use larder::session::snapshot::{Answer, Request, answer};
use larder::session::{ChangeSet, OpenError, Session, Surroundings};
use larder::watch::agenda::{Agenda, acted};
use larder::watch::{self, Changes, Event, Waker, WatchError, Watcher};
use larder_timing::SystemClock;

use super::super::show;
use super::build::{Files, InProcess, put};

/// A copy of the workspace.
pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) executor: InProcess,
    clock: SystemClock,
    slots: NonZeroUsize,
}

impl Place {
    pub(super) fn new(files: &Files, slots: usize) -> Place {
        let place = Place {
            dir: folder(),
            executor: InProcess::default(),
            clock: SystemClock::new(),
            slots: NonZeroUsize::new(slots).unwrap(),
        };
        for (path, file) in files {
            put(&place.root().join(path), file);
        }
        place
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("ws")
    }

    fn load(&self) -> Result<Session<'_>, String> {
        let around = Surroundings {
            env: &[],
            cache_dir: Some(self.dir.path().join("cache")),
            executor: &self.executor,
            cancel: Cancel::new(),
            clock: &self.clock,
            options: None,
            incremental: true,
            incremental_dir: None,
        };
        Session::load(&self.root(), around).map_err(|error| error.to_string())
    }

    /// Waits until the clock that stamps files has moved on: what was edited within the tick in which a command begins may have been
    /// written while it ran, and is rightly not stored.
    fn next_tick(&self) {
        let probe = self.dir.path().join("tick");
        let stamp = || {
            std::fs::write(&probe, "").unwrap();
            probe.metadata().unwrap().modified().unwrap()
        };
        let first = stamp();
        while stamp() <= first {
            std::thread::yield_now();
        }
    }

    /// Runs what is wanted of a session.
    fn run(&self, session: &mut Session<'_>, wanted: BTreeSet<usize>) -> Result<Ended, String> {
        let plan =
            Plan::new(&session.workspace, wanted, false).map_err(|error| error.to_string())?;
        let options = Options {
            output_logs: Some(OutputLogs::None),
            concurrency: self.slots,
            ..Options::plain()
        };
        self.next_tick();
        let ended = session.run(&plan, &options, &show());
        let ended = ended.map_err(|error| error.to_string())?;
        for done in ended.results.values() {
            // An output that somebody altered is moved aside, and named.
            let mut said = done.record.warnings.clone();
            said.retain(|warning| !warning.contains(".larder/rescued"));
            assert_eq!(said, [""; 0], "{}", done.record.task);
        }
        assert_eq!(ended.exit_code, 0, "{ended:?}");
        Ok(ended)
    }
}

/// A folder for a copy: in memory where there is such a place, as it is the work that counts here and not the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// All tasks.
fn all(session: &Session<'_>) -> BTreeSet<usize> {
    (0..session.workspace.tasks.len()).collect()
}

/// One way to run. An error is what the user would be told.
pub(super) trait Mode {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Where its copy lies.
    fn place(&self) -> &Place;
    /// Brings everything up to date, after these paths were touched.
    fn step(&mut self, touched: &BTreeSet<String>) -> Result<(), String>;
    /// The system loses what it had to tell.
    fn lose(&mut self) {}
}

/// A new process for each run.
pub(super) struct OneShot<'p>(pub(super) &'p Place);

impl Mode for OneShot<'_> {
    fn name(&self) -> &'static str {
        "one-shot"
    }

    fn place(&self) -> &Place {
        self.0
    }

    fn step(&mut self, _touched: &BTreeSet<String>) -> Result<(), String> {
        let mut session = self.0.load()?;
        let wanted = all(&session);
        self.0.run(&mut session, wanted)?;
        session.dispose().map_err(|error| error.to_string())
    }
}

/// A host that keeps its session and says exactly what was touched.
pub(super) struct Kept<'p> {
    place: &'p Place,
    session: Session<'p>,
}

impl<'p> Kept<'p> {
    pub(super) fn new(place: &'p Place) -> Kept<'p> {
        Kept {
            place,
            session: place.load().unwrap(),
        }
    }
}

impl Mode for Kept<'_> {
    fn name(&self) -> &'static str {
        "session"
    }

    fn place(&self) -> &Place {
        self.place
    }

    fn step(&mut self, touched: &BTreeSet<String>) -> Result<(), String> {
        let mut changes = ChangeSet::new();
        for path in touched {
            changes.add(path.as_str());
        }
        let updated = self.session.update(&changes);
        updated.map_err(|error| error.to_string())?;
        let wanted = all(&self.session);
        self.place.run(&mut self.session, wanted).map(drop)
    }
}

/// `larder watch`, round by round.
pub(super) struct Watch<'p> {
    place: &'p Place,
    session: Session<'p>,
    changes: Changes,
    agenda: Agenda,
    told: ChangeSet,
    losing: Losing,
}

impl<'p> Watch<'p> {
    pub(super) fn new(place: &'p Place) -> Watch<'p> {
        let session = place.load().unwrap();
        let (watcher, losing) = Losing::new();
        Watch {
            place,
            changes: Changes::open(&session.root, &session.workspace, watcher).unwrap(),
            agenda: Agenda::new(all(&session), None),
            told: ChangeSet::everything("it was not watched before"),
            session,
            losing,
        }
    }
}

/// Why a round of a watch did not come about.
struct Refused(String);

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Refused {
        Refused(error.to_string())
    }
}

impl From<watch::OpenError> for Refused {
    fn from(error: watch::OpenError) -> Refused {
        Refused(error.to_string())
    }
}

impl Mode for Watch<'_> {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn place(&self) -> &Place {
        self.place
    }

    fn step(&mut self, _touched: &BTreeSet<String>) -> Result<(), String> {
        let mut result = Ok(());
        for _ in 0..10 {
            self.told.merge(self.changes.sync());
            let updated = self.agenda.update(
                &mut self.session,
                &mut self.changes,
                &std::mem::take(&mut self.told),
                &|session| Ok::<_, Refused>(all(session)),
                &mut |_| {},
            );
            result = updated.map_err(|Refused(why)| why);
            if result.is_ok()
                && let Some(round) = self.agenda.take()
            {
                match self.place.run(&mut self.session, round.wanted) {
                    Ok(ended) => {
                        self.agenda.ended(&ended);
                        if acted(&ended) {
                            self.told.merge(self.changes.sync());
                        }
                    }
                    Err(why) => {
                        self.agenda.missed();
                        result = Err(why);
                    }
                }
            }
            if self.told.is_empty() {
                return result;
            }
        }
        panic!("one round follows the other for ever: {result:?}");
    }

    fn lose(&mut self) {
        self.losing.lose();
    }
}

/// Runs beside a background session, each a process of its own.
pub(super) struct Daemon<'p> {
    place: &'p Place,
    memory: Memory<'static>,
    words: Vec<OsString>,
    losing: Losing,
}

impl<'p> Daemon<'p> {
    pub(super) fn new(place: &'p Place) -> Daemon<'p> {
        let (watcher, losing) = Losing::new();
        Daemon {
            place,
            memory: Memory::open(&place.root(), &[], watcher).unwrap(),
            words: vec!["run".into()],
            losing,
        }
    }
}

impl Mode for Daemon<'_> {
    fn name(&self) -> &'static str {
        "daemon"
    }

    fn place(&self) -> &Place {
        self.place
    }

    fn step(&mut self, _touched: &BTreeSet<String>) -> Result<(), String> {
        let root = self.place.root();
        let request = Request {
            words: &self.words,
            folder: Path::new("/"),
            env: &[],
        };
        let memory = std::cell::RefCell::new(&mut self.memory);
        let ask = |since| Some(memory.borrow_mut().since(Option::as_ref(&since)));
        let told = answer(&root, None, &request, &ask);
        let Some(Answer::Since {
            since: asked,
            clock,
            changes,
        }) = told
        else {
            return Ok(());
        };
        let mut session = self.place.load()?;
        let since = session.resume();
        let (clock, changes) = if since == asked {
            (clock, changes)
        } else {
            self.memory.since(since.as_ref())
        };
        let changes = match since {
            Some(_) => changes,
            None => ChangeSet::everything("no earlier session is known"),
        };
        session
            .update(&changes)
            .map_err(|error| error.to_string())?;
        session.keep_as_of(clock, Some(&request));
        let wanted = all(&session);
        self.place.run(&mut session, wanted)?;
        session.dispose().map_err(|error| error.to_string())
    }

    fn lose(&mut self) {
        self.losing.lose();
    }
}

/// Makes a watcher lose what it has to tell.
#[derive(Clone, Default)]
struct Losing(Arc<AtomicBool>);

impl Losing {
    fn new() -> (Box<dyn Watcher>, Losing) {
        let losing = Losing::default();
        let watcher = Lossy {
            system: watch::system().unwrap(),
            losing: losing.clone(),
        };
        (Box::new(watcher), losing)
    }

    fn lose(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The system's watcher, whose queue may overflow.
struct Lossy {
    system: Box<dyn Watcher>,
    losing: Losing,
}

impl Watcher for Lossy {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.system.watch(folder)
    }

    fn unwatch(&mut self, folder: &Path) {
        self.system.unwatch(folder);
    }

    fn receive(&mut self, deadline: Option<Instant>, events: &mut Vec<Event>) {
        if self.losing.0.swap(false, Ordering::SeqCst) {
            self.system.receive(Some(Instant::now()), events);
            // The cookie may come all the same, so this alone tells that something is missing.
            let cookie = |event: &Event| match event {
                Event::Written(path) => path.parent().is_some_and(|at| at.ends_with("cookies")),
                _ => false,
            };
            events.retain(cookie);
            events.insert(0, Event::Lost("the queue was full".to_owned()));
            return;
        }
        self.system.receive(deadline, events);
    }

    fn waker(&self) -> Waker {
        self.system.waker()
    }
}
