//! A watcher that is not there yet: nothing can be watched until the system gives one, which is tried again whenever a folder is to be watched.
//! Does not know the system's watcher, nor when it is tried again.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::watcher::{Event, Waker, WatchError, Watcher};

/// Gives a watcher, or says why there is none.
pub type Open = Box<dyn FnMut() -> io::Result<Box<dyn Watcher>> + Send>;

/// What a waker does: until there is a watcher, it ends the wait here.
#[derive(Default)]
struct Wake {
    woken: bool,
    inner: Option<Waker>,
}

/// See the module.
pub struct Later {
    open: Open,
    inner: Option<Box<dyn Watcher>>,
    wake: Arc<(Mutex<Wake>, Condvar)>,
}

impl Later {
    /// One that tries to open another. It is tried at once, so that a waker costs no detour where that succeeds.
    pub fn new(open: Open) -> Later {
        let mut later = Later {
            open,
            inner: None,
            wake: Arc::default(),
        };
        // Why there is none is said by the first watch.
        let _ = later.inner();
        later
    }

    fn inner(&mut self) -> io::Result<&mut Box<dyn Watcher>> {
        if self.inner.is_none() {
            let opened = (self.open)()?;
            let mut wake = self.wake.0.lock().unwrap_or_else(PoisonError::into_inner);
            let waker = opened.waker();
            if std::mem::take(&mut wake.woken) {
                waker.wake();
            }
            wake.inner = Some(waker);
            drop(wake);
            return Ok(self.inner.insert(opened));
        }
        self.inner
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Watcher for Later {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.inner()?.watch(folder)
    }

    fn unwatch(&mut self, folder: &Path) {
        if let Some(inner) = &mut self.inner {
            inner.unwatch(folder);
        }
    }

    fn receive(&mut self, deadline: Option<Instant>, events: &mut Vec<Event>) {
        if let Some(inner) = &mut self.inner {
            return inner.receive(deadline, events);
        }
        let (wake, condition) = &*self.wake;
        let mut wake = wake.lock().unwrap_or_else(PoisonError::into_inner);
        while !wake.woken {
            wake = match deadline {
                None => condition.wait(wake).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    let waited = condition.wait_timeout(wake, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        wake.woken = false;
        events.push(Event::Woken);
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(&self.wake);
        Waker::new(move || {
            let (wake, condition) = &*wake;
            let mut wake = wake.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(inner) = &wake.inner {
                return inner.wake();
            }
            wake.woken = true;
            condition.notify_all();
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{Changes, Script};
    use super::*;

    #[test]
    fn where_the_system_gives_no_watcher_all_is_everything_until_it_gives_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::write(root.join("larder.toml"), "").unwrap();
        let workspace = crate::config::load(&root, &|_| None).unwrap();
        let refusals = Arc::new(AtomicUsize::new(0));
        let (left, script) = (Arc::clone(&refusals), Script::default());
        let speaker = script.clone();
        let open: Open = Box::new(move || {
            if left.fetch_add(1, Ordering::SeqCst) < 3 {
                return Err(io::Error::other("you have too many"));
            }
            Ok(Box::new(speaker.watcher()))
        });
        let mut changes = Changes::open(&root, &workspace, Box::new(Later::new(open))).unwrap();
        let waker = changes.waker();
        assert!(changes.blind().unwrap().contains("you have too many"));
        let told = changes.sync();
        assert!(told.why_everything().unwrap().contains("too many"));
        // Who waits is woken all the same, before there is a watcher and after.
        waker.wake();
        assert!(changes.next(None).is_empty());
        changes.retry_now();
        changes.sync();
        assert!(changes.blind().is_some());
        changes.retry_now();
        waker.wake();
        let told = changes.sync();
        assert_eq!(
            told.why_everything(),
            Some("it is watched again from now on")
        );
        assert_eq!(changes.blind(), None);
        std::fs::write(root.join("file"), "1").unwrap();
        script.tell(Event::Written(root.join("file")));
        let told = changes.sync();
        assert_eq!(told.paths().collect::<Vec<_>>(), [b"file"]);
    }

    #[test]
    fn one_waker_serves_before_and_after_there_is_a_watcher() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let (mut given, script) = (false, Script::default());
        let open: Open = Box::new(move || {
            if std::mem::replace(&mut given, true) {
                return Ok(Box::new(script.watcher()));
            }
            Err(io::Error::other("none yet"))
        });
        let mut later = Later::new(open);
        let waker = later.waker();
        let received = |later: &mut Later| {
            let (mut events, patience) = (Vec::new(), std::time::Duration::from_secs(30));
            later.receive(Some(Instant::now() + patience), &mut events);
            events
        };
        waker.wake();
        assert_eq!(received(&mut later), [Event::Woken]);
        waker.wake();
        later.watch(&folder).unwrap();
        assert_eq!(received(&mut later), [Event::Woken], "from before");
        waker.wake();
        assert_eq!(received(&mut later), [Event::Woken]);
    }
}
