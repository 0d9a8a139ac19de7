//! Opening a workspace: its configuration, files, memo, state and surroundings.
//! Does not know tasks or runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use larder_fingerprint::{DiskFiles, Memo, Scanner};
use larder_timing::TimingContext;

use crate::config::{self, Workspace};
use crate::diagnostics::CONFIG;
use crate::state::State;

use super::around::{boot, cache_dir, root_digest, secret, variables};
use super::compiled::Compiled;
use super::snapshot::{index_of, stamp};
use super::tree::{self, Tree};
use super::warm::Warm;
use super::{Paths, Session, Surroundings, lock, phases};

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
    let paths = Paths::new(root, None);
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
    pub fn load(root: &Path, around: Surroundings<'a>) -> Result<Session<'a>, OpenError> {
        let io = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { what, path, source }
        };
        let timing = TimingContext::new(around.clock);
        let loading = timing.span(phases::LOAD);
        let root = root.canonicalize().map_err(io("cannot find", root))?;
        let paths = Paths::new(&root, around.incremental_dir.as_deref());
        let known = around
            .incremental
            .then(|| config::load_snapshot(&paths.snapshot, &root, &variables(around.env)))
            .flatten();
        let fresh = known.is_none();
        let mut damaged = Vec::new();
        if fresh && around.incremental && config::is_damaged(&paths.snapshot) {
            damaged.push((&paths.snapshot, "the configuration is read again"));
        }
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
        if paths.incremental != paths.folder {
            let folder = &paths.incremental;
            if !folder.is_dir() {
                std::fs::create_dir_all(folder).map_err(io("cannot create", folder))?;
                // In the workspace it would be an input of tasks.
                let ignore = folder.join(".gitignore");
                std::fs::write(&ignore, "*\n").map_err(io("cannot write", &ignore))?;
            }
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
        let memo = if around.incremental {
            Memo::open(&paths.memo, boot())
        } else {
            Memo::empty(boot())
        };
        if memo.was_damaged() {
            damaged.push((&paths.memo, "every file is digested again"));
        }
        let damaged = damaged.into_iter().map(|(path, so)| {
            let path = path.display();
            format!("{path} is damaged: {so}, and it is made anew")
        });
        let damaged: Vec<String> = damaged.collect();
        let mut scanner = Scanner::new(Arc::new(files), memo);
        if let Some(tracked) = larder_fingerprint::git::tracked(&root) {
            scanner = scanner.with_tracked(tracked);
        }
        for (prefix, folder) in &mounts {
            scanner = scanner.with_mount(prefix, larder_fingerprint::git::tracked(folder));
        }
        let folders = mounts.iter().map(|(_, folder)| folder.as_path());
        let indexes: Vec<Option<PathBuf>> = [root.as_path()]
            .into_iter()
            .chain(folders)
            .map(index_of)
            .collect();
        let stamps = indexes.iter();
        let indexes_seen = stamps
            .map(|index| index.as_deref().and_then(stamp))
            .collect();
        let var = |name: &str| {
            around
                .env
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.to_string_lossy().into_owned())
        };
        let cache_dir = cache_dir(&root, &workspace, around.cache_dir.clone(), around.env);
        let state = State::open(&paths.state);
        loading.end();
        Ok(Session {
            timing,
            state,
            secret: secret(&paths.folder).map_err(io("cannot keep a secret in", &paths.folder))?,
            records_found: crate::state::intent::any(&paths.intents),
            root_digest: root_digest(&root, &mounts),
            mounts,
            own: crate::execute::leftovers::own(),
            ancestors: var(lock::ANCESTORS).unwrap_or_default(),
            tree: Tree::new(scanner),
            compiled: Compiled::new(&workspace),
            warm: Warm::new(workspace.tasks.len()),
            stale_configuration: false,
            since: None,
            keeping: None,
            quiet: Vec::new(),
            indexes,
            indexes_seen,
            counted: larder_fingerprint::Counters::default(),
            root,
            workspace,
            paths,
            env: around.env,
            executor: around.executor,
            cancel: around.cancel.clone(),
            options: around.options,
            around,
            cache_dir,
            store: OnceLock::new(),
            warnings: Mutex::new(damaged),
            has_run: false,
            cache_faults: AtomicU64::new(0),
            bytes_restored: AtomicU64::new(0),
            tools: Mutex::default(),
        })
    }
}
