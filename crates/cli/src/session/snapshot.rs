//! What a session knows, kept for the next one: with it, and with somebody who tells what changed since, nothing else is looked at.
//! Does not know who tells.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::config::{OutputLogs, Workspace};
use crate::execute::environment::{Mode, environment};
use crate::record::Status;
use crate::state::intent;

use super::around::{root_digest, secret};
use super::changes::{ChangeSet, Clock};
use super::format::{self, Decoded, Quiet, Scope, Snapshot, Stamp};
use super::life::Done;
use super::run::Ended;
use super::{Paths, Session, lock};

/// So many requests are kept.
const REQUESTS: usize = 16;
/// Logs of a request are kept up to this many bytes.
const LOGS: usize = 1 << 20;

/// The snapshot at a path, if it is one of this version. One that is damaged is named.
///
/// # Errors
/// In words, when it is damaged.
pub(super) fn read(path: &Path) -> Result<Option<Snapshot>, String> {
    let Ok(bytes) = std::fs::read(path) else {
        return Ok(None);
    };
    match format::decode_snapshot(&bytes) {
        Decoded::Whole(snapshot) => Ok(Some(*snapshot)),
        Decoded::Foreign => Ok(None),
        Decoded::Damaged => Err(format!(
            "{} is damaged: everything is looked at, and it is made anew",
            path.display()
        )),
    }
}

/// What a workspace's snapshot hangs on.
pub(super) fn scope(
    workspace: &Workspace,
    root_digest: [u8; 32],
    options: Option<[u8; 32]>,
) -> Scope {
    // When and from which files it was read does not matter.
    let Workspace {
        projects,
        tasks,
        settings,
        mounts,
        variables,
        before_all,
        after_all,
        sources: _,
        read_at_ns: _,
    } = workspace;
    let meaning = (
        (projects, tasks, settings, mounts),
        (variables, before_all, after_all),
    );
    // What cannot be encoded has a digest that no snapshot was made with.
    let configuration = postcard::to_stdvec(&meaning).unwrap_or_default();
    Scope {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        platform: platform(),
        root: root_digest,
        configuration: *blake3::hash(&configuration).as_bytes(),
        options,
    }
}

fn platform() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// What tells whether a file is still the one it was; `None` when it is not there.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let stat = path.symlink_metadata().ok()?;
    let modified = stat.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    let mtime = i64::try_from(since.as_nanos()).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let ctime = stat.ctime().saturating_mul(1_000_000_000) + stat.ctime_nsec();
        Some((ctime, mtime, stat.len(), stat.ino()))
    }
    #[cfg(not(unix))]
    Some((mtime, mtime, stat.len(), 0))
}

/// A request that is to be answered, and what it is asked with.
pub struct Request<'r> {
    /// The words of the command line that decide what is done.
    pub words: &'r [OsString],
    /// The folder they were said in.
    pub folder: &'r Path,
    /// The whole environment.
    pub env: &'r [(OsString, OsString)],
}

impl Request<'_> {
    /// Digest of all that the answer hangs on besides files.
    fn digest(&self, names: &[String], secret: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        let mut add = |part: &[u8]| {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        };
        add(self.folder.as_os_str().as_encoded_bytes());
        for word in self.words {
            add(word.as_encoded_bytes());
        }
        add(b"");
        for (name, value) in environment(self.env, names, &[], Mode::Strict, false).keyed {
            add(name.as_bytes());
            add(&[u8::from(value.is_some())]);
            add(value.as_deref().unwrap_or_default());
        }
        *hasher.finalize().as_bytes()
    }
}

/// What was known of a request, and whether it still holds.
pub enum Answer {
    /// Nothing changed: this is how it stands.
    Quiet(Quiet),
    /// Something may have.
    Since {
        /// The moment of the snapshot, if there is one.
        since: Option<Clock>,
        /// The moment of the answer.
        clock: Clock,
        /// What changed in between.
        changes: ChangeSet,
    },
}

/// Answers a request from the snapshot alone, if it can be: `ask` tells the moment now and what changed since another
/// one. `None` when nothing is known or nobody tells.
pub fn answer(
    root: &Path,
    incremental: Option<&Path>,
    request: &Request<'_>,
    ask: &dyn Fn(Option<Clock>) -> Option<(Clock, ChangeSet)>,
) -> Option<Answer> {
    let root = &root.canonicalize().ok()?;
    let paths = Paths::new(root, incremental);
    let snapshot = read(&paths.session).ok().flatten();
    let (clock, changes) = ask(snapshot.as_ref().map(|snapshot| snapshot.clock))?;
    let Some(snapshot) = snapshot else {
        return Some(Answer::Since {
            since: None,
            clock,
            changes,
        });
    };
    let quiet = || {
        let secret = secret(&paths.folder).ok()?;
        let digest = request.digest(&snapshot.names, &secret);
        let quiet = snapshot.quiet.iter();
        quiet.clone().find(|quiet| quiet.request == digest).cloned()
    };
    let holds = || {
        snapshot.scope.program == env!("CARGO_PKG_VERSION")
            && snapshot.scope.platform == platform()
            && snapshot.scope.root == root_digest(root, &[])
            && snapshot.scope.options.is_none()
            && snapshot.state == stamp(&paths.state)
            && snapshot.indexes == [index_of(root).and_then(|index| stamp(&index))]
            && !intent::any(&paths.intents)
    };
    if changes.is_empty()
        && let Some(quiet) = quiet()
        && holds()
    {
        return Some(Answer::Quiet(quiet));
    }
    Some(Answer::Since {
        since: Some(snapshot.clock),
        clock,
        changes,
    })
}

/// Where git's index for a folder lies, if git knows the folder.
pub(super) fn index_of(folder: &Path) -> Option<PathBuf> {
    let tracked = larder_fingerprint::git::tracked(folder)?;
    Some(super::tree::to_path(Path::new("/"), &tracked.index))
}

impl Session<'_> {
    /// Takes over what an earlier session kept, if it holds for this one, and says of which moment it is. The next
    /// [`update`](Session::update) has to tell what changed since then.
    pub fn resume(&mut self) -> Option<Clock> {
        if !self.around.incremental {
            return None;
        }
        let path = self.paths.session.clone();
        let snapshot = match read(&path) {
            Ok(snapshot) => snapshot?,
            Err(message) => {
                self.warn(message);
                let _ = std::fs::remove_file(&path);
                return None;
            }
        };
        if snapshot.scope != scope(&self.workspace, self.root_digest, self.options) {
            // It will never hold again.
            let _ = std::fs::remove_file(&path);
            return None;
        }
        // Another state, such as an older one that was put back, may tell of other outputs under the same key.
        let same = snapshot.state == stamp(&self.paths.state);
        for (id, known) in snapshot.known.iter().filter(|_| same) {
            if let Some(task) = self.compiled.task(id) {
                self.warm.take(task, *known);
            }
        }
        self.indexes_seen.clone_from(&snapshot.indexes);
        self.since = Some(snapshot.clock);
        self.quiet = snapshot.quiet;
        self.since
    }

    /// What git's index files are now, for the root and each mount.
    pub(super) fn index_stamps(&self) -> Vec<Option<Stamp>> {
        let indexes = self.indexes.iter();
        indexes
            .map(|index| index.as_deref().and_then(stamp))
            .collect()
    }

    /// What the next run finds out is kept for later sessions, as of a moment before it: whoever tells changes can be asked since
    /// then. `request` is what the run answers.
    pub fn keep_as_of(&mut self, clock: Clock, request: Option<&Request<'_>>) {
        let names = self.names();
        let request = request.map(|request| request.digest(&names, &self.secret));
        self.keeping = Some((clock, request));
    }

    /// Writes what is known, where there is a moment that it is of. Answers how many files were written.
    pub(super) fn keep(&mut self, ended: &Ended) -> u64 {
        let Some((clock, request)) = self.keeping.take() else {
            return 0;
        };
        let mut quiet = std::mem::take(&mut self.quiet);
        if self.since != Some(clock) {
            // They were of another moment.
            quiet.clear();
        }
        let found = request.and_then(|request| self.quiet_after(request, ended));
        let idle = |done: &Done| matches!(done.record.status, Status::UpToDate | Status::Group);
        if self.since == Some(clock) && found.is_none() && ended.results.values().all(idle) {
            self.quiet = quiet;
            return 0;
        }
        if let Some(found) = found {
            quiet.retain(|known| known.request != found.request);
            quiet.insert(0, found);
            quiet.truncate(REQUESTS);
        }
        let snapshot = self.snapshot(clock, quiet);
        let written = format::encode_snapshot(&snapshot)
            .map(|bytes| self.write(&bytes))
            .transpose();
        match written {
            Ok(written) => u64::from(written.is_some()),
            Err(error) => {
                self.warn(format!(
                    "{} cannot be written: {error}; the next run looks at everything",
                    self.paths.session.display()
                ));
                0
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.paths.incremental)?;
        file.write_all(bytes)?;
        file.persist(&self.paths.session)
            .map_err(|error| error.error)?;
        Ok(())
    }

    fn snapshot(&mut self, clock: Clock, quiet: Vec<Quiet>) -> Snapshot {
        self.since = Some(clock);
        self.quiet.clone_from(&quiet);
        let id = |task| self.compiled.id(task).to_owned();
        Snapshot {
            scope: scope(&self.workspace, self.root_digest, self.options),
            clock,
            names: self.names(),
            indexes: self.indexes_seen.clone(),
            state: stamp(&self.paths.state),
            known: self
                .warm
                .all()
                // What is never kept runs in every run.
                .filter(|(task, _)| self.workspace.tasks[*task].outputs.is_some())
                .map(|(task, known)| (id(task), known))
                .collect(),
            quiet,
        }
    }

    /// Ends the session: what it learned of files since the last run is kept for later ones.
    ///
    /// # Errors
    /// When the memo cannot be written: those files are read again.
    pub fn dispose(self) -> std::io::Result<()> {
        let memo = self.tree.scanner().memo();
        if memo.dirty() {
            memo.save(&self.paths.memo)?;
        }
        Ok(())
    }

    /// Names and patterns of all variables that any request hangs on.
    fn names(&self) -> Vec<String> {
        let settings = &self.workspace.settings;
        let tasks = self.workspace.tasks.iter().flat_map(|task| &task.env);
        let mut names: Vec<String> = settings.global_env.iter().chain(tasks).cloned().collect();
        // What one task leaves out another may take.
        names.retain(|name| !name.starts_with('!'));
        names.extend(
            self.workspace
                .variables
                .iter()
                .map(|(name, _)| name.clone()),
        );
        names.push(lock::ANCESTORS.to_owned());
        names.sort();
        names.dedup();
        names
    }

    /// How a request stands after a run, if nothing was to do and changes will tell of all that it hangs on.
    fn quiet_after(&self, request: [u8; 32], ended: &Ended) -> Option<Quiet> {
        let told = |path: &[u8]| {
            let scanner = self.tree.scanner();
            !path.starts_with(b"/")
                && !path.starts_with(b"..")
                && !scanner
                    .hides(path, larder_fingerprint::Kind::File)
                    .unwrap_or(true)
        };
        let sources = self.workspace.sources.iter();
        if !self.mounts.is_empty()
            || self.state.is_stale()
            || self.options.is_some()
            || !sources.map(|source| &source.path).all(|path| told(path))
        {
            return None;
        }
        let mut quiet = Quiet {
            request,
            tasks: 0,
            groups: 0,
            saved_seconds: 0.0,
            logs: Vec::new(),
        };
        let mut bytes = 0;
        for (task, done) in &ended.results {
            if self.workspace.tasks[*task].output_logs == OutputLogs::HashOnly {
                return None;
            }
            match done.record.status {
                Status::Group => quiet.groups += 1,
                Status::UpToDate if done.known.is_some() && done.record.warnings.is_empty() => {
                    quiet.tasks += 1;
                }
                _ => return None,
            }
            quiet.saved_seconds += done.record.saved_seconds;
            if let Some(log) = done.replay.as_ref().filter(|log| !log.is_empty()) {
                let key = done.record.key.clone().unwrap_or_default();
                bytes += log.len();
                quiet
                    .logs
                    .push((done.record.task.clone(), key, log.clone()));
            }
        }
        (bytes <= LOGS && self.warnings().is_empty()).then_some(quiet)
    }
}
