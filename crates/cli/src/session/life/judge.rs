//! Judging a run that ended well: whether what it read held still, and whether its outputs are sound.
//! Does not run anything, nor store anything.

use larder_cache::Row;

use super::super::describe::Basis;
use super::super::discovered;
use super::super::format::List;
use super::super::outputs::{Outputs, project_dir};
use super::super::run::Handed;
use super::super::tree::{Fault, Seen, View, lossy};
use super::Life;

/// Paths with the stat tuples they had; a missing one has none.
pub(in super::super) type Stats = Vec<(Vec<u8>, Option<Seen>)>;

/// What was seen just before the commands were started.
pub(super) struct Before {
    /// Under the output globs.
    pub(super) outputs: View,
    /// What lay under the outputs of each dependency, direct or not.
    dependencies: Vec<View>,
    /// Why the result must not be kept whatever happens.
    unsound: Option<String>,
    /// What was discovered by the last success.
    discovered: Stats,
    /// The depfile.
    depfile: Option<Seen>,
    /// When, by the clock that stamps files, in nanoseconds since 1970.
    begun_ns: i64,
}

impl Life<'_> {
    /// Looks at what is compared with afterwards. To be called when the intent record is written.
    pub(super) fn look_before(
        &self,
        basis: &Basis,
        outputs: Option<&Outputs>,
    ) -> Result<Before, Fault> {
        let tree = &self.run.session.tree;
        let depfile = self.depfile();
        let (mut seen, mut begun_ns) = (None, 0);
        if let Some(path) = &depfile {
            seen = tree.look(&[path.as_slice()])?.pop().flatten();
            begun_ns = crate::state::intent::written_ns(&self.run.session.paths.intents, &self.id)
                .map_err(|error| Fault::words(&format!("an intent record is gone: {error}")))?;
        }
        let handed = self.run.handed_on(self.task, &self.deps)?;
        let dependencies = self.views(&handed)?;
        let unsound = self.unlike_the_key(&handed, &dependencies)?;
        Ok(Before {
            unsound,
            outputs: outputs
                .map(|outputs| outputs.list(tree))
                .transpose()?
                .unwrap_or_default(),
            dependencies,
            discovered: self.stats(basis.inputs.list().unwrap_or_default())?,
            depfile: seen,
            begun_ns,
        })
    }

    /// What lies under the outputs of each dependency now; nothing where none are declared.
    pub(in super::super) fn views(&self, handed: &[Handed]) -> Result<Vec<View>, Fault> {
        let view = |(dep, _): &Handed| match self.run.outputs(*dep)? {
            Some(outputs) => outputs.list(&self.run.session.tree),
            None => Ok(View::default()),
        };
        handed.iter().map(view).collect()
    }

    /// What of the dependencies' outputs the key does not know, in words: what it says of them was true when they
    /// ended, and somebody may have been there since.
    pub(in super::super) fn unlike_the_key(
        &self,
        handed: &[Handed],
        views: &[View],
    ) -> Result<Option<String>, Fault> {
        for ((dep, rows), view) in handed.iter().zip(views) {
            let id = self.run.id(*dep);
            let made = |path: &[u8]| rows.binary_search_by(|row| row.path.as_slice().cmp(path));
            if let Some(stray) = view.seen.keys().find(|path| made(path).is_err()) {
                return Ok(Some(format!(
                    "{} lies under the `outputs` of {id}, on which it depends, but was not made by it; remove it, or exclude it there with \"!…\"",
                    lossy(stray)
                )));
            }
            if self.run.outputs(*dep)?.is_some()
                && let Some(wrong) = self.run.session.tree.out_of_place_in(view, rows)?.first()
            {
                return Ok(Some(format!(
                    "{}, which {id} made, changed before it began",
                    lossy(wrong)
                )));
            }
        }
        Ok(None)
    }

    pub(in super::super) fn stats(&self, paths: Vec<Vec<u8>>) -> Result<Stats, Fault> {
        let refs: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        let seen = self.run.session.tree.look(&refs)?;
        Ok(paths.into_iter().zip(seen).collect())
    }

    /// The path of the task's depfile, relative to the workspace.
    fn depfile(&self) -> Option<Vec<u8>> {
        let workspace = &self.run.session.workspace;
        let glob = workspace.tasks[self.task].depfile.as_ref()?;
        Some(joined(project_dir(workspace, self.task), glob))
    }

    /// Puts the inputs that the run discovered into `basis`. Answers why the result must not be kept, if it must not.
    pub(super) fn discover(
        &self,
        basis: &mut Basis,
        before: &Before,
        outputs: Option<&Outputs>,
        rows: &[Row],
    ) -> Result<Option<String>, Fault> {
        let Some(path) = self.depfile() else {
            return Ok(None);
        };
        basis.inputs.discovered = None;
        let inputs = &basis.inputs.rows;
        let found = self.discovered(
            &path,
            &Known {
                depfile: before.depfile.as_ref(),
                stats: &before.discovered,
                dependencies: &before.dependencies,
                begun_ns: before.begun_ns,
            },
            // What it makes itself follows from the rest; what is an input in any case is in the key already.
            &|named| {
                outputs.is_some_and(|outputs| outputs.covers(named))
                    || rows
                        .binary_search_by(|row| row.path.as_slice().cmp(named))
                        .is_ok()
                    || inputs
                        .binary_search_by(|row| row.path.as_slice().cmp(named))
                        .is_ok()
            },
        )?;
        match found {
            Ok(rows) => basis.inputs.discovered = Some(rows),
            Err(reason) => return Ok(Some(reason)),
        }
        Ok(None)
    }

    /// The inputs that commands named in the depfile at `path`, without those that are `known`; else why the result must
    /// not be kept.
    pub(in super::super) fn discovered(
        &self,
        path: &[u8],
        before: &Known<'_>,
        known: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Result<Vec<larder_fingerprint::Row>, String>, Fault> {
        let session = self.run.session;
        let shown = lossy(path);
        let now = session.tree.look(&[path])?.pop().flatten();
        match now {
            None => return Ok(Err(format!("it did not write its depfile {shown}"))),
            Some(now) if !wrote(before.depfile, &now) => {
                return Ok(Err(format!(
                    "its depfile {shown} is of an earlier run: the command did not write it"
                )));
            }
            Some(_) => {}
        }
        let folder = session.path_of(project_dir(&session.workspace, self.task));
        let places = discovered::Places {
            root: &session.root,
            mounts: &session.mounts,
        };
        let list = discovered::read(places, &folder, &session.path_of(path));
        let mut list = match list {
            Ok(list) => list,
            Err(error) => return Ok(Err(format!("its depfile {shown} {error}"))),
        };
        list.retain(|named| named != path && !known(named));
        if let Some(reason) = self.moved(&list, before)? {
            return Ok(Err(reason));
        }
        if let Err(fault) = self.run.refuse_foreign(self.task, list.iter()) {
            return Ok(Err(fault.to_string()));
        }
        Ok(Ok(discovered::rows(&session.tree, &list)?))
    }

    /// A discovered input that may have changed while the command ran, in words.
    fn moved(&self, list: &List, before: &Known<'_>) -> Result<Option<String>, Fault> {
        let now = self.stats(list.clone())?;
        for (path, seen) in &now {
            let known = before.stats.iter().find(|(known, _)| known == path);
            let made = before
                .dependencies
                .iter()
                .any(|view| view.seen.contains_key(path));
            if seen.is_some_and(|seen| seen.kind == larder_fingerprint::Kind::Folder) {
                return Ok(Some(format!(
                    "its depfile names {}, which is a folder",
                    lossy(path)
                )));
            }
            let moved = match (known, seen) {
                // What dependencies made is compared with the rest of what they made.
                _ if made => false,
                (Some((_, was)), now) => was != now,
                // Nobody knew that it would be read. It held still if it was last changed before the commands began.
                (None, Some(now)) => {
                    stamped(now) >= before.begun_ns
                        || discovered::way_changed(&self.run.session.path_of(path), before.begun_ns)
                }
                (None, None) => false,
            };
            if moved {
                return Ok(Some(format!(
                    "{}, which it read, was written while it ran",
                    lossy(path)
                )));
            }
        }
        Ok(None)
    }

    /// Why the result must not be kept, if it must not.
    pub(super) fn unkeepable(
        &mut self,
        basis: &Basis,
        outputs: Option<&Outputs>,
        rows: &[Row],
        foreign: &[&Vec<u8>],
        before: &Before,
    ) -> Result<Option<String>, Fault> {
        if self.after_failure {
            return Ok(Some("a task it follows failed".to_owned()));
        }
        let Some(outputs) = outputs else {
            return Ok(Some("it declares no outputs".to_owned()));
        };
        let read = (before.unsound.as_ref(), before.dependencies.as_slice());
        if let Some(reason) = self.misread(basis, rows, read)? {
            return Ok(Some(reason));
        }
        if let Some(first) = foreign.first() {
            let more = if foreign.len() > 1 {
                format!(" and {} more", foreign.len() - 1)
            } else {
                String::new()
            };
            let reason = format!(
                "{}{more} lies under its `outputs` but was not written by it; remove it, or exclude it with \"!…\"",
                lossy(first)
            );
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        let silent = outputs.unmatched(&rows.iter().map(|row| row.path.as_slice()));
        if let Some(first) = silent.first() {
            let reason = silent_words(first);
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        Ok(None)
    }

    /// Whether what the commands read held still: why the result must not be kept, if it did not. `unsound` and
    /// `dependencies` are what was known and seen before.
    pub(in super::super) fn misread(
        &mut self,
        basis: &Basis,
        rows: &[Row],
        (unsound, dependencies): (Option<&String>, &[View]),
    ) -> Result<Option<String>, Fault> {
        if let Some(dep) = self.run.unseen(self.task) {
            return Ok(Some(format!(
                "{dep}, on which it depends, was not part of this run and declares no `outputs`"
            )));
        }
        let changed = if self.run.inputs_hold(self.task, &basis.inputs)? {
            None
        } else {
            basis.inputs.first_difference(&self.run.inputs(self.task)?)
        };
        if let Some((path, how)) = changed {
            let own = rows.iter().any(|row| row.path == path);
            let reason = if own {
                format!(
                    "it wrote {}, which is one of its own inputs; add \"!{}\" to its `inputs`",
                    lossy(&path),
                    lossy(&path)
                )
            } else {
                format!(
                    "its input {} {how} while it ran, by the command or by somebody else",
                    lossy(&path)
                )
            };
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        if let Some((path, how)) = basis.global.first_difference(&*self.run.global()?) {
            let reason = format!("the global input {} {how} while it ran", lossy(&path));
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        if let Some(reason) = unsound {
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason.clone()));
        }
        let again = self.views(&self.run.handed_on(self.task, &self.deps)?)?;
        if let Some(path) = dependencies
            .iter()
            .zip(&again)
            .find_map(|(was, is)| was.difference(is))
        {
            let reason = format!(
                "{}, which a dependency made, changed while it ran",
                lossy(&path)
            );
            self.record.warnings.push(format!("not stored: {reason}"));
            return Ok(Some(reason));
        }
        Ok(None)
    }
}

/// What a judgement of discovered inputs compares with.
pub(in super::super) struct Known<'a> {
    /// The depfile before the commands.
    pub(in super::super) depfile: Option<&'a Seen>,
    /// What was discovered by the last success, before the commands.
    pub(in super::super) stats: &'a [(Vec<u8>, Option<Seen>)],
    /// What dependencies made.
    pub(in super::super) dependencies: &'a [View],
    /// When the commands began, by the clock that stamps files.
    pub(in super::super) begun_ns: i64,
}

/// A declared output that nothing was made for.
pub(in super::super) fn silent_words(glob: &str) -> String {
    format!(
        "its output \"{glob}\" matches nothing after the run; correct `outputs`, or declare `outputs = []` if it makes no files"
    )
}

/// When a file was last changed. What its time of change says nobody can set; where there is none, the other has to do.
fn stamped(seen: &Seen) -> i64 {
    if cfg!(unix) {
        seen.ctime_ns
    } else {
        seen.mtime_ns
    }
}

/// The path of a declared file.
fn joined(dir: &[u8], glob: &crate::config::Glob) -> Vec<u8> {
    if glob.from_root || dir.is_empty() {
        return glob.glob.clone().into_bytes();
    }
    [dir, b"/", glob.glob.as_bytes()].concat()
}

/// Whether a run wrote what lies at a path. A file whose mode, owner or link count alone changed is still the one that
/// was there: taking it for written would let the next run delete it.
pub(in super::super) fn wrote(before: Option<&Seen>, now: &Seen) -> bool {
    let same = |was: &Seen| {
        (was.kind, was.size, was.mtime_ns, was.dev, was.ino)
            == (now.kind, now.size, now.mtime_ns, now.dev, now.ino)
    };
    !before.is_some_and(same)
}
