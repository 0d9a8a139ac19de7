//! Bringing a session up to what changed: which tasks a change reaches, and which stay known.
//! Does not run anything, nor know how changes are noticed.

use std::collections::BTreeSet;

use larder_fingerprint::Kind;

use crate::config::{self, SourceKind};
use crate::diagnostics::STATE;
use crate::state::{State, TaskState};

use super::around::variables;
use super::changes::ChangeSet;
use super::chunks::{self, Sources};
use super::inputs::Rule;
use super::outputs::Outputs;
use super::tree::{is_shared, lossy};
use super::{OpenError, Session};

/// What an update of a session did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Why nothing is known any more, if so.
    pub everything: Option<String>,
    /// Whether the configuration was read again: indices of tasks from before mean nothing now.
    pub reloaded: bool,
    /// Tasks whose files may have changed, by index. Those that depend on them are affected only by what these make.
    pub tasks: BTreeSet<usize>,
}

impl Affected {
    /// Whether all is as it was.
    pub fn is_empty(&self) -> bool {
        self.everything.is_none() && !self.reloaded && self.tasks.is_empty()
    }
}

/// One changed path, and what is to be known of it.
struct Changed<'c> {
    path: &'c [u8],
    /// Whether what lies below counts as well: it is a folder, or may have been one.
    folder: bool,
    /// Whether a scan that honours ignore files passes it over.
    hidden: bool,
    /// It is a folder in which other files are ignored now, or tracked by git.
    rules: bool,
}

impl Changed<'_> {
    fn reaches(&self, rule: &Rule) -> bool {
        if self.rules {
            rule.shown_in(self.path)
        } else {
            rule.reaches(self.path, self.folder, self.hidden)
        }
    }
}

impl Session<'_> {
    /// Tells the session what changed since its last run, or since it was loaded. What the changes do not reach stays known and
    /// is not looked at again. Without this call before it, a run looks at everything.
    ///
    /// # Errors
    /// When the configuration changed and is wrong now. The session then keeps to the old one; the next update reads it again.
    pub fn update(&mut self, changes: &ChangeSet) -> Result<Affected, OpenError> {
        if self.state.is_stale() {
            self.state = State::open(&self.paths.state);
        }
        if self.stale_configuration || self.reaches_configuration(changes) {
            self.stale_configuration = true;
            *self = Session::load(&self.root, self.around.clone())?;
            self.warm.vouch();
            return Ok(Affected {
                everything: Some("the configuration changed".to_owned()),
                reloaded: true,
                tasks: (0..self.workspace.tasks.len()).collect(),
            });
        }
        self.warm.vouch();
        let with_indexes = self.with_indexes(changes);
        let changes = with_indexes.as_ref().unwrap_or(changes);
        if changes.is_empty() {
            return Ok(Affected::default());
        }
        self.tree.forget();
        let every = (0..self.workspace.tasks.len()).collect();
        let everything = match changes.why_everything() {
            Some(why) => Some(why.to_owned()),
            None => self.reaches_all(changes).or_else(|| self.shared(changes)),
        };
        let tasks = match everything {
            Some(_) => every,
            None => self.reached(changes),
        };
        let mut affected = Affected {
            tasks,
            everything,
            reloaded: false,
        };
        for &task in &affected.tasks {
            self.warm.forget(task);
        }
        // A group has no files of its own.
        let tasks = &self.workspace.tasks;
        affected.tasks.retain(|&task| tasks[task].command.is_some());
        Ok(affected)
    }

    /// The changes with those of git's index: it lies in a folder that nobody tells of.
    fn with_indexes(&mut self, changes: &ChangeSet) -> Option<ChangeSet> {
        let now = self.index_stamps();
        if now == self.indexes_seen {
            return None;
        }
        let mut changes = changes.clone();
        let tops = std::iter::once(None).chain(self.mounts.iter().map(|(prefix, _)| Some(prefix)));
        for (top, (was, is)) in tops.zip(self.indexes_seen.iter().zip(&now)) {
            if was != is {
                let top = top.map_or(Vec::new(), |prefix| [prefix, &b"/"[..]].concat());
                changes.add([&top[..], b".git/index"].concat());
            }
        }
        if now.len() != self.indexes_seen.len() {
            changes = ChangeSet::everything("other repositories of git are part of the workspace");
        }
        self.indexes_seen = now;
        Some(changes)
    }

    /// Whether files that the configuration rests on may have changed.
    fn reaches_configuration(&self, changes: &ChangeSet) -> bool {
        let holds = || config::holds(&self.workspace, &self.root, &variables(self.env));
        if changes.why_everything().is_some() {
            return !holds();
        }
        let sources = || self.workspace.sources.iter();
        // What was written just as the configuration was read may have the stat it had.
        let file = |path: &[u8]| {
            sources().any(|source| source.kind == SourceKind::File && source.path == path)
        };
        let near = |path: &[u8]| {
            sources().any(|source| within(&source.path, path) || parent(path) == source.path)
        };
        changes.paths().any(file) || (changes.paths().any(near) && !holds())
    }

    /// Why a change reaches every task, if one does.
    fn reaches_all(&self, changes: &ChangeSet) -> Option<String> {
        let global = match self.compiled.global(&self.workspace) {
            Ok(global) => global?,
            Err(fault) => return Some(fault.to_string()),
        };
        let found = self
            .looked_at(changes)
            .find(|changed| changed.reaches(global))?;
        Some(format!(
            "{} is a global input",
            super::tree::lossy(found.path)
        ))
    }

    /// Why a change may have reached any file, if it may: under another name.
    fn shared(&self, changes: &ChangeSet) -> Option<String> {
        let tree = &self.tree;
        let paths: Vec<&[u8]> = changes.paths().filter(|path| !path.is_empty()).collect();
        let seen = tree.look(&paths).ok()?;
        let shared = |seen: &Option<super::tree::Seen>| seen.as_ref().is_some_and(is_shared);
        let at = seen.iter().position(shared)?;
        Some(format!("{} has other names (hard links)", lossy(paths[at])))
    }

    /// The changes with what the disk and the ignore files say of them.
    fn looked_at<'c>(&'c self, changes: &'c ChangeSet) -> impl Iterator<Item = Changed<'c>> {
        let emptied = changes.paths().filter_map(|path| {
            let folder = parent(path);
            let empty = !path.is_empty() && self.holds_only(folder, changes);
            let hidden = || self.tree.scanner().hides(folder, Kind::Folder);
            empty.then(|| Changed {
                path: folder,
                folder: false,
                hidden: hidden().unwrap_or(false),
                rules: false,
            })
        });
        // Rules that change may show or hide anything beside them, and so may the files that git tracks.
        let rules = changes.paths().filter_map(|path| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            let folder = match components(path).find(|(_, name)| *name == b".git") {
                Some((folder, _)) => folder,
                None if name == b".gitignore" || name == b".larderignore" => parent(path),
                None => return None,
            };
            Some(Changed {
                path: folder,
                folder: true,
                hidden: false,
                rules: true,
            })
        });
        let named = changes.paths().map(|path| {
            let scanner = self.tree.scanner();
            // Of a folder that was never listed nothing was read.
            let now = self.path_of(path).symlink_metadata();
            let folder = now.is_ok_and(|now| now.is_dir()) || scanner.knows_folder(path);
            let kind = if folder { Kind::Folder } else { Kind::File };
            Changed {
                path,
                folder,
                // What cannot be told is taken for seen.
                hidden: scanner.hides(path, kind).unwrap_or(false),
                rules: false,
            }
        });
        named.chain(rules).chain(emptied)
    }

    /// Whether a folder holds nothing but what changed: an empty folder is an input too, so it may have become one or
    /// ceased to be one, whatever the rules say of what it holds.
    fn holds_only(&self, folder: &[u8], changes: &ChangeSet) -> bool {
        let Ok(names) = self.path_of(folder).read_dir() else {
            return false;
        };
        let mut names = names.map(|name| name.map(|name| name.file_name()));
        names.all(|name| {
            let Ok(name) = name else { return true };
            let name = name.as_encoded_bytes();
            let path = match folder {
                b"" => name.to_vec(),
                folder => [folder, b"/", name].concat(),
            };
            changes.contains(&path)
        })
    }

    /// The first change that reached the inputs of a task since a moment, in nanoseconds since 1970, and is not what one of the
    /// tasks `made` may have made.
    pub(super) fn stale(
        &self,
        task: usize,
        since_ns: i64,
        changes: &ChangeSet,
        made: &BTreeSet<usize>,
    ) -> Option<Vec<u8>> {
        let rule = self.compiled.rule(&self.workspace, task).ok()?;
        let sources = self.compiled.sources(&self.workspace, task).ok()?;
        let global = self.compiled.global(&self.workspace).ok()?;
        let own = |changed: &Changed<'_>| {
            made.iter().any(|&task| {
                let outputs = self.compiled.outputs(&self.workspace, task).ok().flatten();
                let sources = self.compiled.sources(&self.workspace, task).ok().flatten();
                outputs.is_some_and(|outputs| outputs.reaches(changed.path, changed.folder))
                    || sources.is_some_and(|sources| sources.is_depfile(changed.path))
            })
        };
        let source = |changed: &Changed<'_>| {
            let reaches = |sources: &Sources| sources.reaches(changed.path, changed.folder);
            !changed.rules && sources.is_some_and(reaches)
        };
        let reached = |changed: &Changed<'_>| {
            changed.reaches(rule)
                || source(changed)
                || global.is_some_and(|global| changed.reaches(global))
        };
        let later = |changed: &Changed<'_>| self.changed_ns(changed.path) >= since_ns;
        let mut changes = self.looked_at(changes);
        let found = changes.find(|changed| reached(changed) && !own(changed) && later(changed))?;
        Some(found.path.to_vec())
    }

    /// The first change that reached the inputs of a task and is none of its outputs.
    pub fn input_among(&self, task: usize, changes: &ChangeSet) -> Option<Vec<u8>> {
        self.stale(task, i64::MIN, changes, &BTreeSet::from([task]))
    }

    /// When a path was last changed, by the clock that stamps files; of one that is gone, when the folder was that it lay in.
    /// It is told late: a task may have begun after it.
    fn changed_ns(&self, path: &[u8]) -> i64 {
        let path = self.path_of(path);
        let there = path.ancestors().find_map(super::snapshot::stamp);
        there.map_or(i64::MAX, |(ctime, mtime, ..)| ctime.max(mtime))
    }

    /// Tasks whose inputs or outputs the changes may have reached.
    fn reached(&self, changes: &ChangeSet) -> BTreeSet<usize> {
        let changes: Vec<Changed<'_>> = self.looked_at(changes).collect();
        for changed in &changes {
            let what = match changed {
                Changed { rules: true, .. } => "other files may be ignored there",
                Changed { hidden: true, .. } => "changed, ignored",
                Changed { folder: true, .. } => "changed, with all below",
                Changed { .. } => "changed",
            };
            log::debug!(target: STATE, "{} {what}", super::tree::lossy(changed.path));
        }
        let of_chunks = (0..self.workspace.tasks.len()).any(|task| {
            let sources = self.compiled.sources(&self.workspace, task).ok().flatten();
            let reaches = |sources: &Sources| {
                let mut changes = changes.iter().filter(|changed| !changed.rules);
                changes.any(|changed| sources.reaches(changed.path, changed.folder))
            };
            sources.is_some_and(reaches)
        });
        let reached = |task: &usize| {
            let workspace = &self.workspace;
            let (Ok(rule), Ok(outputs), Ok(sources)) = (
                self.compiled.rule(workspace, *task),
                self.compiled.outputs(workspace, *task),
                self.compiled.sources(workspace, *task),
            ) else {
                return true;
            };
            if of_chunks && rule.is_wide() {
                // Which of its inputs are left out hangs on these sources.
                return true;
            }
            let state = self.state.task(self.compiled.id(*task));
            let discovered = state
                .and_then(|state| state.success.as_ref()?.discovered.as_ref())
                .map_or(&[][..], Vec::as_slice);
            let source = |changed: &Changed<'_>| {
                let reaches = |sources: &Sources| sources.reaches(changed.path, changed.folder);
                !changed.rules && sources.is_some_and(reaches)
            };
            let named = |changed: &Changed<'_>, discovered: &[Vec<u8>]| {
                !changed.rules && discovered.iter().any(|path| within(path, changed.path))
            };
            let read = |changed: &Changed<'_>| {
                changed.reaches(rule) || source(changed) || named(changed, discovered)
            };
            let made = |changed: &Changed<'_>| {
                let reaches = |outputs: &Outputs| outputs.reaches(changed.path, changed.folder);
                !changed.rules && outputs.is_some_and(reaches)
            };
            if changes.iter().any(read) || (changes.iter().any(made) && !self.outputs_hold(*task)) {
                return true;
            }
            if sources.is_none() || workspace.tasks[*task].depfile.is_none() {
                return false;
            }
            // Asked last: what chunks discovered is read from the state.
            let discovered = chunks::discovered(&self.state, self.compiled.id(*task));
            changes.iter().any(|changed| named(changed, &discovered))
        };
        let tasks = 0..self.workspace.tasks.len();
        tasks.filter(reached).collect()
    }

    /// Whether the outputs of a task that is known are as it left them: it wrote them itself, most likely.
    fn outputs_hold(&self, task: usize) -> bool {
        let known = self.warm.known(task);
        let state = self.state.task(self.compiled.id(task));
        let left = |state: &TaskState| {
            let success = state.success.as_ref();
            success.map(|success| success.key) == known.map(|known| known.key)
                // A file with other names may change under one that nobody tells of.
                && matches!(self.tree.in_place(&state.owned), Ok(Some(false)))
        };
        // What chunks made stands elsewhere.
        let whole = self.workspace.tasks[task].foreach.is_none();
        whole && known.is_some() && state.is_some_and(left)
    }
}

/// Whether a path is a folder or lies in it.
pub(super) fn within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty()
        || path == folder
        || (path.starts_with(folder) && path.get(folder.len()) == Some(&b'/'))
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    &path[..end.unwrap_or(0)]
}

/// Each component of a path, with the folder that it lies in.
fn components(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut start = 0;
    path.split(|byte| *byte == b'/').map(move |name| {
        let folder = &path[..start.max(1) - 1];
        start += name.len() + 1;
        (folder, name)
    })
}
