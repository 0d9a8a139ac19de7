//! A session: a workspace opened for work, with its files, state, cache and surroundings.
//! Does not know the command line or how results are shown.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use larder_cache::{DiskStore, PackOptions};
use larder_fingerprint::git::GitInput;
use larder_fingerprint::{Digest, DiskFiles, Memo, Scanner};
use larder_timing::Clock;

use around::{boot, cache_dir, root_digest, secret, variables};

use crate::config::{self, Workspace};
use crate::diagnostics::{self, CONFIG, PROCESS};
use crate::execute::{Cancel, Executor};
use crate::record::TaskRecord;
use crate::state::State;

mod around;
pub mod changes;
pub mod chunks;
mod depfile;
pub mod describe;
pub mod discovered;
pub mod forecast;
pub mod format;
pub mod inputs;
pub mod life;
pub mod lock;
pub mod outputs;
pub mod run;
pub mod tree;
pub mod words;

pub use run::Run;
use tree::{Fault, Tree};

/// The size a cache is trimmed to when `[cache] max-size` is absent, in bytes.
pub const DEFAULT_MAX_SIZE: u64 = 20_000_000_000;
/// The age of unused entries beyond which they go when `[cache] max-age` is absent, in seconds.
pub const DEFAULT_MAX_AGE: u64 = 30 * 24 * 60 * 60;

/// Where the workspace keeps what it remembers.
#[derive(Debug)]
pub struct Paths {
    /// `.larder`.
    pub folder: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The stat memo.
    pub memo: PathBuf,
    /// The resolved configuration.
    pub snapshot: PathBuf,
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
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Paths {
        let folder = root.join(".larder");
        Paths {
            state: folder.join("state"),
            memo: folder.join("memo"),
            snapshot: folder.join("workspace"),
            intents: folder.join("intents"),
            locks: folder.join("locks"),
            rescued: folder.join("rescued"),
            last_run: folder.join("last-run.json"),
            runs: folder.join("runs"),
            folder,
        }
    }
}

/// What a session is opened with.
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
    pub clock: &'a dyn Clock,
}

/// What a tool command printed, or why it failed.
type ToolOutput = Result<Vec<u8>, String>;
/// A tool command, the folder it runs in and its environment.
type ToolCall = (String, PathBuf, Vec<(OsString, OsString)>);

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
    /// The environment.
    pub env: &'a [(OsString, OsString)],
    /// Runs commands.
    pub executor: &'a dyn Executor,
    /// Stops everything.
    pub cancel: Cancel,
    /// Digest of the root's path, for results bound to it.
    pub root_digest: [u8; 32],
    /// Whether any intent record was there at the start.
    pub records_found: bool,
    /// What the system says of this process, for whoever comes after it was killed.
    pub own: Option<String>,
    /// Tasks this process runs within.
    pub ancestors: String,
    /// Keyed hashes of variables in explanations use this.
    pub secret: [u8; 32],
    clock: &'a dyn Clock,
    cache_dir: Result<PathBuf, String>,
    store: OnceLock<Option<DiskStore>>,
    warnings: Mutex<Vec<String>>,
    cache_faults: AtomicU64,
    bytes_restored: AtomicU64,
    tools: Mutex<HashMap<ToolCall, ToolOutput>>,
}

/// Why a session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// A folder or file of the workspace is beyond use.
    #[error("{what} {}: {source}\n  make it readable and writable", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Reads the workspace's configuration, from the last resolution where nothing it rests on changed.
///
/// # Errors
/// When the configuration is wrong.
pub fn workspace(root: &Path, env: &[(OsString, OsString)]) -> Result<Workspace, OpenError> {
    let paths = Paths::new(root);
    let variables = variables(env);
    if let Some(workspace) = config::load_snapshot(&paths.snapshot, root, &variables) {
        return Ok(workspace);
    }
    Ok(config::load(root, &variables)?)
}

impl<'a> Session<'a> {
    /// Opens the workspace at `root`.
    ///
    /// # Errors
    /// When its configuration is wrong, or it cannot be read.
    pub fn open(root: &Path, around: Surroundings<'a>) -> Result<Session<'a>, OpenError> {
        let io = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { what, path, source }
        };
        let root = root.canonicalize().map_err(io("cannot find", root))?;
        let paths = Paths::new(&root);
        let known = config::load_snapshot(&paths.snapshot, &root, &variables(around.env));
        let fresh = known.is_none();
        log::debug!(target: CONFIG, "{}: {}", paths.snapshot.display(), if fresh { "does not hold, so the configuration is read again" } else { "nothing it rests on changed" });
        let workspace = match known {
            Some(workspace) => workspace,
            None => config::load(&root, &variables(around.env))?,
        };
        log::debug!(target: CONFIG, "{} projects, {} tasks", workspace.projects.len(), workspace.tasks.len());
        if !paths.folder.join(".gitignore").exists() {
            std::fs::create_dir_all(&paths.folder).map_err(io("cannot create", &paths.folder))?;
            let ignore = paths.folder.join(".gitignore");
            std::fs::write(&ignore, "*\n").map_err(io("cannot write", &ignore))?;
        }
        if fresh {
            // Without the snapshot the next start reads the configuration again: slower, not wrong.
            let _ = config::save_snapshot(&paths.snapshot, &workspace);
        }
        let mut files = DiskFiles::open(&root).map_err(io("cannot open", &root))?;
        let mut mounts = Vec::new();
        for mount in &workspace.mounts {
            let folder = tree::to_path(&root, &mount.folder);
            let folder = folder
                .canonicalize()
                .map_err(io("cannot find the project in", &folder))?;
            files = files
                .with_mount(&mount.prefix, &folder)
                .map_err(io("cannot open the project in", &folder))?;
            mounts.push((mount.prefix.clone(), folder));
        }
        let memo = Memo::open(&paths.memo, boot());
        let mut scanner = Scanner::new(Arc::new(files), memo);
        if let Some(tracked) = larder_fingerprint::git::tracked(&root) {
            scanner = scanner.with_tracked(tracked);
        }
        for (prefix, folder) in &mounts {
            scanner = scanner.with_mount(prefix, larder_fingerprint::git::tracked(folder));
        }
        let var = |name: &str| {
            around
                .env
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.to_string_lossy().into_owned())
        };
        let cache_dir = cache_dir(&root, &workspace, around.cache_dir, around.env);
        Ok(Session {
            state: State::open(&paths.state),
            secret: secret(&paths.folder).map_err(io("cannot keep a secret in", &paths.folder))?,
            records_found: crate::state::intent::any(&paths.intents),
            root_digest: root_digest(&root, &mounts),
            mounts,
            own: crate::execute::leftovers::own(),
            ancestors: var(lock::ANCESTORS).unwrap_or_default(),
            tree: Tree::new(scanner),
            root,
            workspace,
            paths,
            env: around.env,
            executor: around.executor,
            cancel: around.cancel,
            clock: around.clock,
            cache_dir,
            store: OnceLock::new(),
            warnings: Mutex::default(),
            cache_faults: AtomicU64::new(0),
            bytes_restored: AtomicU64::new(0),
            tools: Mutex::default(),
        })
    }

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
        self.clock.now().wall_ns
    }

    /// The output of a tool command, run once a (command, folder, environment) and run.
    ///
    /// # Errors
    /// When it fails.
    fn tool(
        &self,
        command: &str,
        folder: &Path,
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Fault> {
        let key = (command.to_owned(), folder.to_owned(), env.to_vec());
        let known = self
            .tools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let result = known.unwrap_or_else(|| {
            let result = self.run_tool(command, folder, env);
            self.tools
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, result.clone());
            result
        });
        result.map_err(Fault::Words)
    }

    fn run_tool(
        &self,
        command: &str,
        folder: &Path,
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, String> {
        let spec = crate::execute::Spec {
            command: crate::execute::Command::Shell(command.into()),
            cwd: folder.to_owned(),
            env: env.to_vec(),
            timeout: None,
            grace: run::GRACE,
            extra_args: Vec::new(),
        };
        let mut output = Vec::new();
        log::debug!(target: PROCESS, "tool `{command}` in {}", folder.display());
        let exit = self
            .executor
            .run(
                &spec,
                &mut |_, bytes| output.extend_from_slice(bytes),
                &self.cancel,
            )
            .map_err(|error| error.to_string())?;
        if exit.success() {
            return Ok(output);
        }
        if exit == crate::execute::Exit::Interrupted {
            return Err("interrupted before it started".to_owned());
        }
        Err(format!(
            "the tool command `{command}` failed ({}), so the key cannot be made:\n{}\n  correct `tools`, or install the tool",
            words::exit(exit),
            String::from_utf8_lossy(&output).trim_end()
        ))
    }

    /// The digest of a git input, relative to a project.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn git_input(
        &self,
        dir: &[u8],
        path: &str,
        left_out: &dyn Fn(&[u8]) -> bool,
    ) -> Result<GitInput, Fault> {
        let folder = self.path_of(dir).join(path);
        let places = discovered::Places {
            root: &self.root,
            mounts: &self.mounts,
        };
        let real = folder.canonicalize().unwrap_or(folder.clone());
        let place = discovered::told(places, &real);
        let inside = |below: &[u8]| match place.as_slice() {
            b"" => left_out(below),
            place => left_out(&[place, b"/", below].concat()),
        };
        larder_fingerprint::git::git_input(&folder, &inside)
            .map_err(|error| Fault::Words(format!("the git input {path} cannot be read: {error}")))
    }
}
