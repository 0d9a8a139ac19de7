//! The double of the system's watcher: real folders, and events that a test tells.
//! Only the events of cookies it finds by itself.
//! Stricter than the real one: what it is asked out of order, or told where nobody watches, is a panic.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::watcher::{Event, Waker, WatchError, Watcher};

type Act = Box<dyn FnMut(&Path) + Send>;

#[derive(Default)]
struct State {
    watched: BTreeMap<PathBuf, u64>,
    told: VecDeque<Event>,
    /// How many folders may be watched.
    limit: Option<usize>,
    /// Whether nothing is told any more.
    deaf: bool,
    /// What happens right before a folder is watched.
    before: Option<Act>,
}

/// What a test holds of a [`ScriptedWatcher`].
#[derive(Clone, Default)]
pub struct Script {
    shared: Arc<(Mutex<State>, Condvar)>,
}

fn identity(folder: &Path) -> Option<u64> {
    let stat = folder.symlink_metadata().ok()?;
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&stat);
    #[cfg(not(unix))]
    let identity = 0;
    stat.is_dir().then_some(identity)
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watcher that this script speaks through.
    pub fn watcher(&self) -> ScriptedWatcher {
        ScriptedWatcher {
            script: self.clone(),
        }
    }

    /// Tells an event. Panics when nobody watches for it: a real watcher would not tell it.
    pub fn tell(&self, event: Event) {
        let mut state = self.state();
        if let Event::Written(path) | Event::Replaced(path) = &event {
            let above = path
                .parent()
                .is_some_and(|folder| state.watched.contains_key(folder));
            assert!(
                above || state.watched.contains_key(path),
                "nobody watches {}",
                path.display()
            );
        }
        if !state.deaf {
            state.told.push_back(event);
        }
        self.shared.1.notify_all();
    }

    /// The paths under which an entry of a real folder is told: those it was watched by, whatever it is called by now.
    pub fn names(&self, entry: &Path) -> Vec<PathBuf> {
        let (Some(folder), Some(name)) = (entry.parent(), entry.file_name()) else {
            return Vec::new();
        };
        let identity = identity(folder);
        let state = self.state();
        let watched = state.watched.iter();
        let by = watched.filter(|(_, watched)| Some(**watched) == identity);
        by.map(|(folder, _)| folder.join(name)).collect()
    }

    /// Lets no more than so many folders be watched.
    pub fn limit(&self, folders: usize) {
        self.state().limit = Some(folders);
    }

    /// From now on nothing is told, as when a watch was lost without notice.
    pub fn fall_silent(&self) {
        self.state().deaf = true;
    }

    /// Does this whenever a folder is about to be watched: nobody is told of it.
    pub fn before_watch(&self, act: impl FnMut(&Path) + Send + 'static) {
        self.state().before = Some(Box::new(act));
    }

    /// The folders that are watched.
    pub fn watched(&self) -> Vec<PathBuf> {
        self.state().watched.keys().cloned().collect()
    }
}

/// A watcher that tells what its [`Script`] says.
pub struct ScriptedWatcher {
    script: Script,
}

/// The events of cookies: whoever waits for one wrote it without the script.
fn cookies(state: &State) -> Vec<Event> {
    let all = state
        .watched
        .keys()
        .filter(|folder| folder.ends_with("cookies"));
    let entries = all.filter_map(|folder| folder.read_dir().ok()).flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(Event::Written).collect()
}

impl Watcher for ScriptedWatcher {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        assert!(folder.is_absolute(), "{} is not absolute", folder.display());
        let mut state = self.script.state();
        if let Some(act) = &mut state.before {
            act(folder);
        }
        let identity = identity(folder).ok_or(WatchError::Gone)?;
        let known = state.watched.contains_key(folder);
        if !known
            && state
                .limit
                .is_some_and(|limit| state.watched.len() >= limit)
        {
            return Err(WatchError::TooMany);
        }
        state.watched.insert(folder.to_owned(), identity);
        Ok(())
    }

    fn unwatch(&mut self, folder: &Path) {
        self.script.state().watched.remove(folder);
    }

    fn receive(&mut self, deadline: Option<Instant>, events: &mut Vec<Event>) {
        assert!(events.is_empty(), "events were left lying");
        let mut state = self.script.state();
        if !state.deaf {
            let cookies = cookies(&state);
            state.told.extend(cookies);
        }
        while state.told.is_empty() {
            let condition = &self.script.shared.1;
            let Some(deadline) = deadline else {
                state = condition
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = condition.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        events.extend(state.told.drain(..));
    }

    fn waker(&self) -> Waker {
        let script = self.script.clone();
        Waker::new(move || {
            let mut state = script.state();
            if !state.told.contains(&Event::Woken) {
                state.told.push_back(Event::Woken);
            }
            script.shared.1.notify_all();
        })
    }
}
