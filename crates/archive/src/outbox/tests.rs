//! What an outbox promises, with a disk that dies and loses what was not synced, and destinations that fail.
//! The real disk and real kills are in `tests/outbox.rs` of the crate.

mod crash;
mod dying;
mod property;
mod rules;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Backoff, Delivery, DrainOptions, Drained, Object, Outbox, OutboxError, Pace, drain};
use crate::{Destination, DestinationError, MemoryDestination, Name};
use dying::{Dying, Fuse, MemoryDisk};

/// A disk with an outbox, sources on a real disk, and a destination.
struct World {
    sources: Arc<tempfile::TempDir>,
    disk: Arc<MemoryDisk>,
    /// The outbox's folder is real for its lock alone.
    folder: PathBuf,
    place: Arc<MemoryDestination>,
    pace: ManualPace,
}

impl World {
    fn new() -> Self {
        let sources = tempfile::tempdir().unwrap();
        std::fs::create_dir(sources.path().join("outbox")).unwrap();
        Self::over(&Arc::new(sources))
    }

    /// A new world with the sources of an old one.
    fn over(sources: &Arc<tempfile::TempDir>) -> Self {
        let sources = Arc::clone(sources);
        let folder = sources.path().join("outbox");
        Self {
            sources,
            disk: Arc::new(MemoryDisk::default()),
            folder,
            place: Arc::new(MemoryDestination::new()),
            pace: ManualPace::default(),
        }
    }

    fn outbox(&self, fuse: &Arc<Fuse>) -> Outbox {
        let disk = Dying {
            inner: Arc::clone(&self.disk),
            fuse: Arc::clone(fuse),
        };
        let sources = self.sources.path().to_owned();
        Outbox::over(self.folder.clone(), sources, Box::new(disk))
    }

    /// An outbox of a process that lives.
    fn alive(&self) -> Outbox {
        self.outbox(&Arc::new(Fuse::never()))
    }

    /// A bundle and its record, with sources on disk.
    fn delivery(&self, entry: &str) -> Delivery {
        let object = |name: String, content: String| {
            let path = self.sources.path().join(&name);
            if !path.exists() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &content).unwrap();
            }
            Object {
                name: Name::new(&name).unwrap(),
                source: Name::new(&name).unwrap(),
                digest: blake3::hash(content.as_bytes()).to_hex().to_string(),
                size: content.len() as u64,
            }
        };
        Delivery {
            entry: entry.to_owned(),
            destination: "there".to_owned(),
            objects: vec![
                object(format!("bundles/{entry}"), format!("bundle of {entry}")),
                object(format!("entries/{entry}"), format!("record of {entry}")),
            ],
        }
    }

    fn drain(&self, outbox: &Outbox, fuse: &Arc<Fuse>) -> Result<Drained, OutboxError> {
        self.drain_with(outbox, fuse, &OPTIONS)
    }

    fn drain_with(
        &self,
        outbox: &Outbox,
        fuse: &Arc<Fuse>,
        options: &DrainOptions,
    ) -> Result<Drained, OutboxError> {
        let open = |id: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
            let place = Dying {
                inner: Arc::clone(&self.place),
                fuse: Arc::clone(fuse),
            };
            Ok((id == "there").then(|| Box::new(place) as Box<dyn Destination>))
        };
        drain(outbox, &open, &self.pace, options, &AtomicBool::new(false))
    }

    /// No entry is visible whose bundle is not, and all there is has the right content.
    fn assert_nothing_half(&self) {
        for name in self.place.list().unwrap() {
            let (kind, entry) = name.as_str().split_once('/').unwrap();
            let content = self.place.get(&name).unwrap().unwrap();
            let what = if kind == "bundles" {
                "bundle"
            } else {
                "record"
            };
            assert_eq!(content, format!("{what} of {entry}").into_bytes());
            if kind == "entries" {
                let bundle = Name::new(format!("bundles/{entry}")).unwrap();
                assert!(self.place.get(&bundle).unwrap().is_some(), "{entry}");
            }
        }
    }

    /// Exactly these have arrived.
    fn assert_arrived(&self, entries: &[&str]) {
        self.assert_nothing_half();
        let names = self.place.list().unwrap();
        let mut there: Vec<&str> = names
            .iter()
            .filter_map(|name| name.as_str().strip_prefix("entries/"))
            .collect();
        there.sort_unstable();
        let mut entries = entries.to_vec();
        entries.sort_unstable();
        assert_eq!(there, entries);
        assert_eq!(names.len(), 2 * entries.len());
    }
}

const OPTIONS: DrainOptions = DrainOptions {
    backoff: Backoff {
        base: Duration::from_secs(1),
        cap: Duration::from_mins(1),
    },
    patience: Duration::from_hours(1),
    tries: None,
};

/// A clock that moves by waiting alone; chance always takes the longest wait.
#[derive(Default)]
struct ManualPace {
    now: AtomicU64,
}

impl Pace for ManualPace {
    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn wait(&self, time: Duration, _: &AtomicBool) {
        let time = u64::try_from(time.as_millis()).unwrap();
        self.now.fetch_add(time.max(1), Ordering::SeqCst);
    }

    fn random(&self) -> u64 {
        u64::MAX
    }
}
