//! A session: a workspace opened for work, with its files, state, cache and surroundings.
//! Does not know the command line or how results are shown.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use larder_cache::{DiskStore, PackOptions};
use larder_fingerprint::{Counters, Digest};

use crate::config::Workspace;
use crate::diagnostics;
use crate::execute::{Cancel, Executor};
use crate::record::TaskRecord;
use crate::state::State;

mod around;
pub mod changes;
pub mod chunks;
pub mod compiled;
mod depfile;
pub mod describe;
pub mod discovered;
pub mod forecast;
pub mod format;
pub mod inputs;
pub mod life;
pub mod lock;
mod open;
pub mod outputs;
pub mod phases;
pub mod run;
pub mod snapshot;
mod tools;
pub mod tree;
mod update;
mod warm;
pub mod words;

pub use changes::{ChangeSet, Clock};
pub use open::{OpenError, workspace};
pub use run::Run;
pub use update::Affected;

use compiled::Compiled;
use tools::{ToolCall, ToolOutput};
use tree::Tree;
use warm::Warm;

/// The size a cache is trimmed to when `[cache] max-size` is absent, in bytes.
pub const DEFAULT_MAX_SIZE: u64 = 20_000_000_000;
/// The age of unused entries beyond which they go when `[cache] max-age` is absent, in seconds.
pub const DEFAULT_MAX_AGE: u64 = 30 * 24 * 60 * 60;

/// Where the workspace keeps what it remembers.
#[derive(Debug)]
pub struct Paths {
    /// `.larder`.
    pub folder: PathBuf,
    /// Where the memo and the snapshots lie.
    pub incremental: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The stat memo.
    pub memo: PathBuf,
    /// The resolved configuration.
    pub snapshot: PathBuf,
    /// What a session knows of its tasks.
    pub session: PathBuf,
    /// Intent records.
    pub intents: PathBuf,
    /// Task locks.
    pub locks: PathBuf,
    /// Files moved aside before something took their place.
    pub rescued: PathBuf,
    /// The record of the last run.
    pub last_run: PathBuf,
    /// Records of runs that did something.
    pub runs: PathBuf,
    /// What tasks took in earlier runs.
    pub history: PathBuf,
}

impl Paths {
    /// The places below `root`; `incremental` is another folder for what only saves work.
    pub(crate) fn new(root: &Path, incremental: Option<&Path>) -> Paths {
        let folder = root.join(".larder");
        let incremental = incremental.map_or_else(|| folder.clone(), Path::to_owned);
        Paths {
            state: folder.join("state"),
            memo: incremental.join("memo"),
            snapshot: incremental.join("workspace"),
            session: incremental.join("session"),
            intents: folder.join("intents"),
            locks: folder.join("locks"),
            rescued: folder.join("rescued"),
            last_run: folder.join("last-run.json"),
            runs: folder.join("runs"),
            history: folder.join("history.db"),
            folder,
            incremental,
        }
    }
}

/// What a session is opened with.
#[derive(Clone)]
pub struct Surroundings<'a> {
    /// The whole environment.
    pub env: &'a [(OsString, OsString)],
    /// The cache's folder, from flag, variable or the user's default.
    pub cache_dir: Option<PathBuf>,
    /// Runs commands.
    pub executor: &'a dyn Executor,
    /// Stops everything.
    pub cancel: Cancel,
    /// Tells the time.
    pub clock: &'a dyn larder_timing::Clock,
    /// Digest of whatever else the results hang on, for a host with options of its own. It enters every key.
    pub options: Option<[u8; 32]>,
    /// Whether memo and snapshots of earlier runs are used. Without them everything is looked at; the results are equal.
    pub incremental: bool,
    /// Where memo and snapshots lie; absent: in `.larder`.
    pub incremental_dir: Option<PathBuf>,
}

/// An opened workspace.
pub struct Session<'a> {
    /// Its root, absolute and without links.
    pub root: PathBuf,
    /// Folders outside of it that paths with these prefixes lie in, absolute and without links.
    pub mounts: Vec<(Vec<u8>, PathBuf)>,
    /// Its configuration.
    pub workspace: Workspace,
    /// Where things are kept.
    pub paths: Paths,
    /// Its files.
    pub tree: Tree,
    /// What is known of its tasks.
    pub state: State,
    /// What follows from the configuration.
    pub compiled: Compiled,
    /// The environment.
    pub env: &'a [(OsString, OsString)],
    /// Runs commands.
    pub executor: &'a dyn Executor,
    /// Stops everything.
    pub cancel: Cancel,
    /// Digest of what a host's results hang on besides.
    pub options: Option<[u8; 32]>,
    /// Digest of the root's path, for results bound to it.
    pub root_digest: [u8; 32],
    /// Whether any intent record was there at the start.
    pub records_found: bool,
    /// What the system says of this process, for whoever comes after it was killed.
    pub own: Option<String>,
    /// Tasks this process runs within.
    pub ancestors: String,
    /// Measures what the work goes to.
    pub timing: larder_timing::TimingContext<&'a dyn larder_timing::Clock>,
    /// Keyed hashes of variables in explanations use this.
    pub secret: [u8; 32],
    around: Surroundings<'a>,
    warm: Warm,
    /// The moment of the snapshot that was taken over.
    since: Option<Clock>,
    /// The moment that what the next run finds out is of, and the digest of its request.
    keeping: Option<(Clock, Option<[u8; 32]>)>,
    /// Requests that found everything up to date then.
    quiet: Vec<format::Quiet>,
    /// Git's index files, of the root and each mount, and what they were when last looked at.
    indexes: Vec<Option<PathBuf>>,
    indexes_seen: Vec<Option<format::Stamp>>,
    /// The configuration changed and is wrong.
    stale_configuration: bool,
    /// Counters of the memo when the last run began.
    counted: Counters,
    cache_dir: Result<PathBuf, String>,
    store: OnceLock<Option<DiskStore>>,
    warnings: Mutex<Vec<String>>,
    has_run: bool,
    cache_faults: AtomicU64,
    bytes_restored: AtomicU64,
    tools: Mutex<HashMap<ToolCall, ToolOutput>>,
}

impl Session<'_> {
    /// The cache, opened when first needed: a run in which nothing is to do never touches it.
    pub fn store(&self) -> Option<&DiskStore> {
        let open = || {
            let result = self.cache_dir.clone().and_then(|dir| {
                DiskStore::open(&dir).map_err(|error| {
                    format!("the cache in {} cannot be used: {error}", dir.display())
                })
            });
            result
                .map_err(|message| {
                    self.cache_faults.fetch_add(1, Ordering::Relaxed);
                    self.warn(format!(
                        "{message}; nothing is restored or stored in this run"
                    ));
                })
                .ok()
        };
        self.store.get_or_init(open).as_ref()
    }

    /// Trims the cache to its bounds, at most once a day and only after something was stored: growth is bounded
    /// without a command, and runs do not pay for it.
    pub fn bound_cache(&self) {
        let Some(store) = self.store.get().and_then(Option::as_ref) else {
            return;
        };
        let Ok(dir) = &self.cache_dir else { return };
        let stamp = dir.join("last-prune");
        let age = stamp.metadata().and_then(|stat| stat.modified()).ok();
        let age = age.and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() < 24 * 60 * 60) {
            return;
        }
        let settings = &self.workspace.settings.cache;
        let limits = larder_cache::Limits {
            max_bytes: Some(settings.max_size.unwrap_or(DEFAULT_MAX_SIZE)),
            max_age: Some(Duration::from_secs(
                settings.max_age.unwrap_or(DEFAULT_MAX_AGE),
            )),
        };
        let pruned = larder_cache::Prune::prune(store, &limits).map_err(|error| error.to_string());
        let marked = std::fs::write(&stamp, b"").map_err(|error| error.to_string());
        if let Err(message) = pruned.map(|_| ()).and(marked) {
            self.cache_faults.fetch_add(1, Ordering::Relaxed);
            self.warn(format!(
                "the cache in {} cannot be trimmed: {message}",
                dir.display()
            ));
        }
    }

    /// A run begins: what only one run has to say is forgotten, and what another process wrote is read.
    fn begin(&mut self) {
        // What was said as it was loaded belongs to the first run.
        if std::mem::replace(&mut self.has_run, true) {
            self.warnings = Mutex::default();
        }
        self.cache_faults = AtomicU64::new(0);
        self.bytes_restored = AtomicU64::new(0);
        self.tools = Mutex::default();
        self.counted = self.tree.scanner().memo().counters();
        self.records_found = crate::state::intent::any(&self.paths.intents);
        if self.state.is_stale() {
            self.state = State::open(&self.paths.state);
        }
        self.tree.forget_scans();
    }

    /// Work counted since the last run began.
    pub fn counters(&self) -> Counters {
        let now = self.tree.scanner().memo().counters();
        Counters {
            stat_calls: now.stat_calls - self.counted.stat_calls,
            memo_hits: now.memo_hits - self.counted.memo_hits,
            memo_misses: now.memo_misses - self.counted.memo_misses,
            bytes_hashed: now.bytes_hashed - self.counted.bytes_hashed,
            folders_listed: now.folders_listed - self.counted.folders_listed,
        }
    }

    /// The path on disk of a path of the workspace.
    pub fn path_of(&self, path: &[u8]) -> PathBuf {
        let end = path.iter().position(|byte| *byte == b'/');
        let first = &path[..end.unwrap_or(path.len())];
        match self.mounts.iter().find(|(prefix, _)| prefix == first) {
            Some((_, folder)) => {
                tree::to_path(folder, &path[end.map_or(path.len(), |end| end + 1)..])
            }
            None => tree::to_path(&self.root, path),
        }
    }

    /// Where the paths of the workspace lie, for the cache.
    pub fn outputs_root(&self) -> larder_cache::Root<'_> {
        larder_cache::Root {
            folder: &self.root,
            mounts: &self.mounts,
        }
    }

    /// Where the cache lies.
    ///
    /// # Errors
    /// In words, when no folder is known.
    pub fn cache_dir(&self) -> Result<&Path, &str> {
        self.cache_dir.as_deref().map_err(String::as_str)
    }

    /// How artifacts are packed.
    pub fn pack_options(&self) -> PackOptions {
        let level = self.workspace.settings.cache.level;
        PackOptions {
            level: level.unwrap_or(PackOptions::default().level),
            ..PackOptions::default()
        }
    }

    /// Under which key a result that is bound to this root is kept.
    pub fn bound(&self, key: &[u8; 32]) -> [u8; 32] {
        larder_fingerprint::bound_key(Digest(*key), Digest(self.root_digest)).0
    }

    /// Notes a warning about the run as a whole.
    pub fn warn(&self, message: String) {
        log::warn!(target: diagnostics::TASK, "{message}");
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    }

    /// The warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts a fault of the cache and tells of it with the task.
    pub fn cache_fault(&self, record: &mut TaskRecord, message: &str) {
        self.cache_faults.fetch_add(1, Ordering::Relaxed);
        record.warnings.push(message.to_owned());
    }

    /// Faults of the cache so far.
    pub fn cache_faults(&self) -> u64 {
        self.cache_faults.load(Ordering::Relaxed)
    }

    /// Counts bytes written by a restore.
    pub fn count_restored(&self, bytes: u64) {
        self.bytes_restored.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes written by restores so far.
    pub fn bytes_restored(&self) -> u64 {
        self.bytes_restored.load(Ordering::Relaxed)
    }

    /// Nanoseconds since 1970.
    pub fn now_ns(&self) -> i64 {
        self.around.clock.now().wall_ns
    }
}
