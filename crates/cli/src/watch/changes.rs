//! `Changes`: watches the folders of a workspace and gives what may have changed in it, batch by batch or at once.
//! Does not know what a change reaches. The module above says why nothing is missed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Workspace;
use crate::session::changes::ChangeSet;

use super::cookie::Cookies;
use super::folders::{Folders, PRIVATE};
use super::plan::Plan;
use super::settle::{QUIET, Settle};
use super::tops::Tops;
use super::watcher::{Event, ORDERED, Waker, WatchError, Watcher};

/// A cookie whose event did not come after so long will not come.
const PATIENCE: Duration = Duration::from_secs(2);
/// While nothing can be watched, it is tried again after so long, each time twice as long, at most the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));
/// Files of ignore rules.
const RULES: [&[u8]; 2] = [b".gitignore", b".larderignore"];

/// Why a workspace cannot be watched at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {}: {source}\n  check that it is there and may be read", folder.display())]
pub struct OpenError {
    /// The root of the workspace.
    pub folder: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// What changes in a workspace, from the moment it was opened.
pub struct Changes {
    root: PathBuf,
    watcher: Box<dyn Watcher>,
    folders: Folders,
    cookies: Cookies,
    cookies_gone: bool,
    pending: ChangeSet,
    settle: Settle,
    /// Why everything has to be found and watched anew.
    anew: Option<String>,
    index_written: bool,
    /// Why nothing is watched, and when that is tried again.
    blind: Option<(String, Instant)>,
    retry: Duration,
    events: Vec<Event>,
    /// Whether the waker was used while nobody waited for that.
    woken: bool,
    pub(super) patience: Duration,
}

impl Changes {
    /// Watches a workspace. Should that fail, every answer is "everything", until it succeeds.
    ///
    /// # Errors
    /// When the root, or the folder of a project outside of it, cannot be opened.
    pub fn open(
        root: &Path,
        workspace: &Workspace,
        watcher: Box<dyn Watcher>,
    ) -> Result<Changes, OpenError> {
        let failed = |source| OpenError {
            folder: root.to_owned(),
            source,
        };
        let root = root.canonicalize().map_err(failed)?;
        let tops = Tops::new(&root, workspace).map_err(failed)?;
        let mut changes = Changes {
            watcher,
            folders: Folders::new(tops, workspace).map_err(failed)?,
            cookies: Cookies::new(root.join(".larder").join("cookies")).map_err(failed)?,
            cookies_gone: false,
            root,
            pending: ChangeSet::new(),
            settle: Settle::default(),
            anew: None,
            index_written: false,
            blind: None,
            retry: RETRY.0,
            events: Vec::new(),
            woken: false,
            patience: PATIENCE,
        };
        // What matters of a failure is kept: nothing is watched, and every answer says so.
        let _ = std::fs::create_dir_all(changes.root.join(".larder"));
        changes.find_all("it is watched from now on");
        changes.settle.clear();
        changes.pending = ChangeSet::new();
        Ok(changes)
    }

    /// Watches what another configuration of the same root makes matter. All that happened before is everything.
    ///
    /// # Errors
    /// As for [`open`](Self::open); then the former folders stay watched.
    pub fn set_workspace(&mut self, workspace: &Workspace) -> Result<(), OpenError> {
        let folder = self.root.clone();
        let failed = |source| OpenError {
            folder: folder.clone(),
            source,
        };
        let tops = Tops::new(&self.root, workspace).map_err(failed)?;
        self.folders
            .move_to(tops, &mut *self.watcher)
            .map_err(failed)?;
        self.folders.plan = Plan::new(workspace);
        self.find_all("the configuration changed");
        Ok(())
    }

    /// The next batch of changes: 20 ms after its last event, at most 200 ms after its first. Empty at the deadline, or
    /// when the [`waker`](Self::waker) was used; what was gathered by then belongs to the next answer. While nothing
    /// can be watched, what comes at the deadline is everything.
    pub fn next(&mut self, deadline: Option<Instant>) -> ChangeSet {
        loop {
            let now = Instant::now();
            if std::mem::take(&mut self.woken) {
                return ChangeSet::new();
            }
            if self.settle.is_closed(now) {
                return self.close();
            }
            let retry = self.blind.as_ref().map(|(_, retry)| *retry);
            if retry.is_some_and(|retry| retry <= now) {
                self.look_again();
                return self.close();
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return self.blind_answer().unwrap_or_default();
            }
            let until = [deadline, retry, self.settle.closes_at()];
            if self.receive(until.into_iter().flatten().min(), None).woken {
                return ChangeSet::new();
            }
        }
    }

    /// What changed since the last answer: every edit made before the call is in it.
    pub fn sync(&mut self) -> ChangeSet {
        match &self.blind {
            Some((_, retry)) if *retry <= Instant::now() => self.look_again(),
            Some(_) => {}
            None => {
                if let Err(why) = self.catch_up() {
                    self.go_blind(why);
                }
            }
        }
        self.close()
    }

    /// Something happened that no watch tells of: the next answer is "everything".
    pub fn distrust(&mut self, why: &str) {
        self.anew.get_or_insert_with(|| why.to_owned());
        self.settle.event(Instant::now());
    }

    /// Why nothing can be watched, so that every answer is "everything".
    pub fn blind(&self) -> Option<&str> {
        self.blind.as_ref().map(|(why, _)| why.as_str())
    }

    /// How many folders are watched.
    pub fn folders(&self) -> usize {
        self.folders.watched.len()
    }

    /// Whether a folder of the workspace is watched.
    pub fn watches(&self, folder: &[u8]) -> bool {
        self.folders.watched.contains_key(folder)
    }

    /// The path within the workspace of one on disk; `None` for one outside.
    pub fn path_of(&self, path: &Path) -> Option<Vec<u8>> {
        self.folders.tops.path_of(path)
    }

    /// What is tried again after a while is tried with the next question.
    #[cfg(test)]
    pub(super) fn retry_now(&mut self) {
        if let Some((_, retry)) = &mut self.blind {
            *retry = Instant::now();
        }
    }

    /// Ends a wait of [`next`](Self::next), from any thread.
    pub fn waker(&self) -> Waker {
        self.watcher.waker()
    }

    /// Reads all events of what happened before the call.
    fn catch_up(&mut self) -> Result<(), String> {
        if self.folders.tops.moved().is_some() {
            // No cookie would come; the answer is everything.
            return Ok(());
        }
        if self.cookies_gone {
            self.watch_cookies()?;
        }
        let cookie = match self.cookies.lay() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.watch_cookies()?;
                self.cookies.lay()
            }
            other => other,
        };
        let cookie = cookie.map_err(|error| {
            let folder = self.cookies.folder.display();
            format!("the watcher cannot be asked, as nothing can be written in {folder}: {error}")
        })?;
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            let received = self.receive(Some(deadline), Some(&cookie));
            self.woken |= received.woken;
            if received.arrived {
                if !ORDERED {
                    // What happened in other folders may still be under way.
                    let until = Instant::now() + QUIET;
                    self.woken |= self.receive(Some(until), None).woken;
                }
                return Ok(());
            }
            if self.anew.is_some() {
                // Where events were lost, that of the cookie may be among them. Everything is found anew anyway.
                return Ok(());
            }
        }
        let waited = self.patience.as_secs_f32();
        Err(format!("the watcher did not answer in {waited} s"))
    }

    fn watch_cookies(&mut self) -> Result<(), String> {
        let folder = &self.cookies.folder;
        self.cookies
            .prepare()
            .map_err(WatchError::Io)
            .and_then(|()| self.watcher.watch(folder))
            .map_err(|error| format!("{} cannot be watched: {error}", folder.display()))?;
        self.cookies_gone = false;
        Ok(())
    }

    /// Reads events, at the longest until a moment.
    fn receive(&mut self, until: Option<Instant>, cookie: Option<&Path>) -> Received {
        let mut events = std::mem::take(&mut self.events);
        self.watcher.receive(until, &mut events);
        let mut received = Received::default();
        for event in events.drain(..) {
            match event {
                Event::Woken => received.woken = true,
                Event::Lost(why) => {
                    self.anew.get_or_insert(why);
                    self.settle.event(Instant::now());
                }
                Event::Written(path) => received.arrived |= self.take(&path, false, cookie),
                Event::Replaced(path) => received.arrived |= self.take(&path, true, cookie),
            }
        }
        self.events = events;
        received
    }

    /// Takes in an event; whether it is that of the awaited cookie.
    fn take(&mut self, path: &Path, replaced: bool, cookie: Option<&Path>) -> bool {
        if path.starts_with(&self.cookies.folder) {
            if path == self.cookies.folder {
                // Not made again at once: somebody may be removing all of `.larder`, and who waits may want to know that.
                self.cookies_gone = true;
                self.settle.event(Instant::now());
            }
            return cookie == Some(path);
        }
        if self.folders.tops.is_index(path) {
            self.index_written = true;
            self.settle.event(Instant::now());
            return false;
        }
        let Some(path) = self.folders.tops.path_of(path) else {
            return false;
        };
        let end = path.iter().rposition(|byte| *byte == b'/');
        let folder = end.map_or(&b""[..], |end| &path[..end]);
        let name = end.map_or(path.as_slice(), |end| &path[end + 1..]);
        if path
            .split(|byte| *byte == b'/')
            .any(|part| PRIVATE.contains(&part))
        {
            return false;
        }
        if self.folders.is_top(&path) {
            let shown = String::from_utf8_lossy(&path);
            self.anew
                .get_or_insert(format!("the folder `{shown}` was moved or removed"));
        } else if let Some(class) = self.folders.watched.get(folder).copied() {
            if RULES.contains(&name) && self.folders.plan.rules_count(folder, class) {
                let shown = String::from_utf8_lossy(&path);
                self.anew.get_or_insert(format!("`{shown}` changed"));
            } else if replaced {
                let watcher = &mut *self.watcher;
                if let Err(why) = self.folders.place_again(&path, class, watcher) {
                    self.go_blind(why);
                }
            }
        }
        self.pending.add(path);
        self.settle.event(Instant::now());
        false
    }

    /// Finds and watches all folders that matter; all that happened before is everything.
    fn find_all(&mut self, why: &str) {
        self.anew = None;
        self.index_written = false;
        self.blind = None;
        let found = self
            .watch_cookies()
            .and_then(|()| self.folders.find_all(&mut *self.watcher));
        match found {
            Ok(()) => {
                self.pending = ChangeSet::everything(why);
                self.retry = RETRY.0;
            }
            Err(why) => self.go_blind(why),
        }
        self.settle.event(Instant::now());
    }

    /// Nothing can be watched: takes back what is, that others may use it.
    fn go_blind(&mut self, why: String) {
        self.folders.unwatch_all(&mut *self.watcher);
        self.blind = Some((why, Instant::now() + self.retry));
        self.retry = (self.retry * 2).min(RETRY.1);
    }

    /// Tries once more to watch.
    fn look_again(&mut self) {
        self.blind = None;
        self.anew = Some("it is watched again from now on".to_owned());
    }

    fn blind_answer(&self) -> Option<ChangeSet> {
        self.blind().map(ChangeSet::everything)
    }

    /// Ends a batch.
    fn close(&mut self) -> ChangeSet {
        self.settle.clear();
        if self.blind.is_none() {
            self.decide_anew();
        }
        if let Some(why) = self.anew.take().filter(|_| self.blind.is_none()) {
            let tops = self.folders.tops.again();
            match tops.and_then(|tops| self.folders.move_to(tops, &mut *self.watcher)) {
                Ok(()) => self.find_all(&why),
                Err(error) => self.go_blind(format!("{why}: {error}")),
            }
            self.settle.clear();
        }
        let mut changes = std::mem::take(&mut self.pending);
        if let Some(everything) = self.blind_answer() {
            return everything;
        }
        self.folders.add_links(&mut changes);
        changes
    }

    /// Whether everything has to be found anew before the batch is given.
    fn decide_anew(&mut self) {
        if let Some(why) = self.folders.tops.changed() {
            self.anew.get_or_insert(why);
        }
        if let Some(why) = self.pending.why_everything() {
            // Links among so many paths were not looked at.
            self.anew.get_or_insert(why.to_owned());
        }
        if std::mem::take(&mut self.index_written)
            && self.anew.is_none()
            && self.folders.tops.tracked_changed()
        {
            self.anew = Some("the set of files that git tracks changed".to_owned());
        }
    }
}

/// What came of reading events.
#[derive(Debug, Default, Clone, Copy)]
struct Received {
    woken: bool,
    arrived: bool,
}
