//! A task's inputs: which files match, as manifest rows, with the stat tuples they had.
//! Does not make keys.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use larder_fingerprint::git::GitInput;
use larder_fingerprint::{Entry, Globs, Ignore, Row, Scan, Stat};

use crate::config::{InputItem, Task, Workspace};
use crate::plan::{closure, known_by_key};

use super::outputs::{Outputs, compiled};
use super::tree::{Fault, Tree, lossy};

/// The inputs of one task at one moment.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Manifest rows, sorted by path.
    pub rows: Vec<Row>,
    /// Stat tuple of each row, in the same order; `None` for an absent one.
    stats: Vec<Option<Stat>>,
    /// Folders taken by their git tree.
    pub git: Vec<(String, GitInput)>,
    /// Files that a depfile named, in its order; `None` while no list is known. They are judged apart from the rest.
    pub discovered: Option<Vec<Row>>,
}

impl Inputs {
    /// Leaves out what was named and is not there.
    pub fn drop_absent(&mut self) {
        let rows = std::mem::take(&mut self.rows).into_iter();
        let there = rows
            .zip(std::mem::take(&mut self.stats))
            .filter(|(_, stat)| stat.is_some());
        (self.rows, self.stats) = there.unzip();
    }

    /// The paths that were discovered.
    pub fn list(&self) -> Option<super::format::List> {
        let rows = self.discovered.as_ref()?;
        Some(rows.iter().map(|row| row.path.clone()).collect())
    }

    /// The first path whose stat tuple or presence differs in `later`, and how.
    pub fn first_difference(&self, later: &Inputs) -> Option<(Vec<u8>, &'static str)> {
        let table = |inputs: &Inputs| -> BTreeMap<Vec<u8>, Option<Stat>> {
            inputs
                .rows
                .iter()
                .map(|row| row.path.clone())
                .zip(inputs.stats.iter().copied())
                .collect()
        };
        if self.rows == later.rows && self.stats == later.stats && self.git == later.git {
            return None;
        }
        let (before, after) = (table(self), table(later));
        for (path, stat) in &before {
            match after.get(path) {
                None => return Some((path.clone(), "vanished")),
                Some(now) if now != stat => return Some((path.clone(), "was written")),
                Some(_) => {}
            }
        }
        if let Some(path) = after.keys().find(|path| !before.contains_key(*path)) {
            return Some((path.clone(), "appeared"));
        }
        let link = self.rows.iter().zip(&later.rows).find(|(a, b)| a != b);
        link.map(|(row, _)| (row.path.clone(), "was written"))
            .or_else(|| {
                let git = self.git.iter().zip(&later.git).find(|(a, b)| a != b);
                git.map(|((path, _), _)| (path.clone().into_bytes(), "was written"))
            })
    }
}

/// What of a task's inputs follows from the configuration alone; made once a run.
#[derive(Debug)]
pub struct Rule {
    dir: Vec<u8>,
    items: Vec<Item>,
    /// Paths the default leaves out: outputs of the task and of what it depends on, and every depfile.
    own: Vec<Globs>,
    /// Of tasks with chunks, what the chunks declare: their globs take more than is made.
    own_made: Vec<Arc<Outputs>>,
    /// The same of every such task with depfiles, which alone count here.
    own_chunks: Vec<Arc<Outputs>>,
    /// Folders that these outputs lie in.
    own_folders: Vec<Vec<u8>>,
    plain_default: bool,
}

#[derive(Debug)]
enum Item {
    Default,
    Glob { globs: Globs, negated: bool },
    Git(String),
}

/// Compiles a list of inputs relative to a folder.
///
/// # Errors
/// When a glob cannot be compiled.
pub fn rule_of(dir: &[u8], declared: &[InputItem]) -> Result<Rule, Fault> {
    let mut items = Vec::new();
    for item in declared {
        items.push(match item {
            InputItem::Default => Item::Default,
            InputItem::Git(path) => Item::Git(path.clone()),
            InputItem::Glob(glob) => {
                let mut positive = glob.clone();
                positive.negated = false;
                Item::Glob {
                    globs: compiled(dir, [&positive])?,
                    negated: glob.negated,
                }
            }
        });
    }
    let plain_default = matches!(items.as_slice(), [Item::Default]);
    Ok(Rule {
        dir: dir.to_vec(),
        items,
        own: Vec::new(),
        own_made: Vec::new(),
        own_chunks: Vec::new(),
        own_folders: Vec::new(),
        plain_default,
    })
}

/// Compiles the inputs of a task. `chunks` tells what the chunks of a task declare, as far as that is known.
///
/// # Errors
/// When a glob cannot be compiled.
pub fn rule(
    workspace: &Workspace,
    task: usize,
    chunks: &dyn Fn(usize) -> Option<Arc<Outputs>>,
) -> Result<Rule, Fault> {
    let spec = &workspace.tasks[task];
    let dir = &workspace.projects[spec.project].dir;
    let absent: &[InputItem] = match &spec.foreach {
        // Each chunk reads its source, which is judged apart.
        Some(_) => &[],
        None => &[InputItem::Default],
    };
    let mut rule = rule_of(dir, spec.inputs.as_deref().unwrap_or(absent))?;
    let whole = |item: &Item| matches!(item, Item::Default | Item::Git(_));
    if rule.items.iter().any(whole) {
        let with_depfile = |(_, task): &(usize, &Task)| task.depfile.is_some();
        for (index, other) in workspace.tasks.iter().enumerate().filter(with_depfile) {
            if other.foreach.is_some()
                && let Some(declared) = chunks(index)
            {
                rule.own_chunks.push(declared);
                continue;
            }
            let other_dir = &workspace.projects[other.project].dir;
            rule.own.push(compiled(other_dir, other.depfile.iter())?);
        }
        for other in known_by_key(workspace, task) {
            let there = &workspace.tasks[other];
            let other_dir = &workspace.projects[there.project].dir;
            let declared = there.outputs.as_deref().unwrap_or_default();
            // Outputs of a folder beside this one cannot lie in it.
            if !declared.is_empty()
                && (within(other_dir, dir)
                    || within(dir, other_dir)
                    || declared.iter().any(|glob| glob.from_root))
            {
                let globs = compiled(other_dir, declared)?;
                rule.own_folders.extend(globs.literal_prefixes());
                match there.foreach.as_ref().and_then(|_| chunks(other)) {
                    Some(declared) => rule.own_made.push(declared),
                    None => rule.own.push(globs),
                }
            }
        }
    }
    Ok(rule)
}

fn within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty()
        || path == folder
        || (path.starts_with(folder) && path.get(folder.len()) == Some(&b'/'))
}

impl Rule {
    fn default_takes(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        name != b"larder.toml"
            && !self.makes(path)
            // A folder that is empty but for outputs is there or not, as runs and cleaning leave it.
            && !self.own_folders.iter().any(|folder| within(folder, path))
    }

    /// Whether a path is an output of the task or of what it depends on, or a depfile. Known only where inputs are
    /// taken by folder.
    pub fn makes(&self, path: &[u8]) -> bool {
        let depfile = |outputs: &Arc<Outputs>| {
            let exact = outputs.exact();
            exact.is_some_and(|exact| exact.is_depfile(path))
        };
        self.own.iter().any(|globs| globs.is_match(path))
            || self.own_made.iter().any(|outputs| outputs.covers(path))
            || self.own_chunks.iter().any(depfile)
    }

    /// Whether the rule takes a path; `default` tells whether a scan that honours ignore files saw it.
    fn takes(&self, path: &[u8], default: bool) -> bool {
        for item in self.items.iter().rev() {
            match item {
                Item::Default if default && self.default_takes(path) => return true,
                Item::Glob { globs, negated } if globs.is_match(path) => return !negated,
                _ => {}
            }
        }
        false
    }

    /// The inputs as they are now.
    ///
    /// # Errors
    /// When something cannot be read, or changes while it is.
    pub fn collect(
        &self,
        tree: &Tree,
        git: &dyn Fn(&str) -> Result<GitInput, Fault>,
    ) -> Result<Inputs, Fault> {
        // A file that changes between scan and digest is looked at once more: the second look decides.
        match self.collect_once(tree, git) {
            Err(Fault::Read(_)) => {
                tree.forget_scans();
                self.collect_once(tree, git)
            }
            other => other,
        }
    }

    fn collect_once(
        &self,
        tree: &Tree,
        git: &dyn Fn(&str) -> Result<GitInput, Fault>,
    ) -> Result<Inputs, Fault> {
        let mut inputs = Inputs::default();
        if self.plain_default {
            let scan = tree.scan(&self.dir, Ignore::Honour)?;
            let entries: Vec<Entry<'_>> = scan
                .iter()
                .filter(|entry| self.default_takes(entry.path))
                .collect();
            inputs.rows = tree.scanner().rows(&entries)?;
            inputs.stats = entries.iter().map(|entry| Some(entry.stat)).collect();
            return Ok(inputs);
        }
        let mut scans: Vec<(std::sync::Arc<Scan>, bool)> = Vec::new();
        let mut literals = Vec::new();
        for item in &self.items {
            match item {
                Item::Default => scans.push((tree.scan(&self.dir, Ignore::Honour)?, true)),
                Item::Glob {
                    globs,
                    negated: false,
                } => {
                    for prefix in globs.literal_prefixes() {
                        scans.push((tree.scan(&prefix, Ignore::Never)?, false));
                    }
                    literals.extend(globs.literals());
                }
                Item::Glob { negated: true, .. } => {}
                Item::Git(path) => inputs.git.push((path.clone(), git(path)?)),
            }
        }
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for (scan, default) in &scans {
            entries.extend(scan.iter().filter(|entry| self.takes(entry.path, *default)));
        }
        if scans.len() > 1 {
            entries.sort_unstable_by_key(|entry| entry.path);
            entries.dedup_by_key(|entry| entry.path);
        }
        let missing: Vec<Vec<u8>> = literals
            .into_iter()
            .filter(|path| {
                let next = entries.partition_point(|entry| entry.path < path.as_slice());
                let there = entries
                    .get(next)
                    .is_some_and(|entry| within(entry.path, path));
                !there && self.takes(path, false)
            })
            .collect();
        inputs.rows = tree.scanner().rows(&entries)?;
        inputs.stats = entries.iter().map(|entry| Some(entry.stat)).collect();
        if missing.is_empty() {
            return Ok(inputs);
        }
        let mut rows: Vec<(Row, Option<Stat>)> = std::mem::take(&mut inputs.rows)
            .into_iter()
            .zip(std::mem::take(&mut inputs.stats))
            .collect();
        rows.extend(missing.iter().map(|path| (Row::absent(path), None)));
        rows.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        rows.dedup_by(|a, b| a.0.path == b.0.path);
        (inputs.rows, inputs.stats) = rows.into_iter().unzip();
        Ok(inputs)
    }
}

/// An input (one of `paths`) that a task outside of the dependencies makes is an error: the result would hang on the order of tasks.
///
/// # Errors
/// Names the file, its owner and the two lines that mend it.
pub fn refuse_foreign_outputs(
    workspace: &Workspace,
    task: usize,
    id: &str,
    paths: &mut dyn Iterator<Item = &Vec<u8>>,
    owner_of: &dyn Fn(&[u8]) -> Option<String>,
    names: &OnceLock<Vec<String>>,
) -> Result<(), Fault> {
    let mut needed = None;
    for path in paths {
        let Some(owner) = owner_of(path) else {
            continue;
        };
        if owner == id {
            continue;
        }
        let needed = needed.get_or_insert_with(|| closure(workspace, &[task]));
        let ids = names.get_or_init(|| {
            (0..workspace.tasks.len())
                .map(|task| crate::plan::task_id(workspace, task))
                .collect()
        });
        // An owner that is no longer configured cannot run before or after this task.
        let Some(at) = ids.iter().position(|candidate| *candidate == owner) else {
            continue;
        };
        if !needed.contains(&at) {
            return Err(Fault::Words(format!(
                "its input {} is an output of {owner}, on which it does not depend, so what it reads would hang on the order of the two\n  either add to [tasks.{name}]:  depends-on = [\"{owner}\"]\n  or leave the file out:        inputs = [\"$DEFAULT$\", \"!$ROOT$/{}\"]",
                lossy(path),
                lossy(path),
                name = workspace.tasks[task].name,
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use larder_fingerprint::{Digest, Kind, RowKind};

    use super::*;

    /// Inputs from paths with the first byte of their digest and the time of their last change, and git trees.
    fn inputs(files: &[(&str, u8, i64)], git: &[(&str, u8)]) -> Inputs {
        let digest = |byte| Digest([byte; 32]);
        let row = |(path, byte, _): &(&str, u8, i64)| Row {
            path: path.as_bytes().to_vec(),
            kind: RowKind::File,
            executable: false,
            digest: digest(*byte),
        };
        let stat = |(_, _, time): &(&str, u8, i64)| Stat {
            kind: Kind::File,
            size: 1,
            mtime_ns: *time,
            ctime_ns: *time,
            dev: 1,
            ino: 1,
            mode: 0o644,
            nlink: 1,
        };
        Inputs {
            rows: files.iter().map(row).collect(),
            stats: files.iter().map(|file| Some(stat(file))).collect(),
            git: git
                .iter()
                .map(|(path, byte)| {
                    let input = GitInput {
                        digest: digest(1),
                        stamp: digest(*byte),
                    };
                    ((*path).to_owned(), input)
                })
                .collect(),
            discovered: None,
        }
    }

    #[test]
    fn every_kind_of_change_is_a_difference_and_names_what_changed() {
        let files: &[(&str, u8, i64)] = &[("a", 1, 5), ("b", 2, 5)];
        let trees: &[(&str, u8)] = &[("s", 8), ("t", 9)];
        let before = inputs(files, trees);
        for (what, later, difference) in [
            ("nothing", inputs(files, trees), None),
            (
                "equal content written again",
                inputs(&[("a", 1, 5), ("b", 2, 6)], trees),
                Some(("b", "was written")),
            ),
            (
                // What a link leads to: its own stat tuple stays.
                "content under an equal stat tuple",
                inputs(&[("a", 1, 5), ("b", 3, 5)], trees),
                Some(("b", "was written")),
            ),
            (
                "one file less",
                inputs(&files[..1], trees),
                Some(("b", "vanished")),
            ),
            (
                "another name",
                inputs(&[("a", 1, 5), ("c", 2, 5)], trees),
                Some(("b", "vanished")),
            ),
            (
                "one file more",
                inputs(&[("a", 1, 5), ("b", 2, 5), ("c", 2, 5)], trees),
                Some(("c", "appeared")),
            ),
            (
                "a git tree",
                inputs(files, &[("s", 8), ("t", 7)]),
                Some(("t", "was written")),
            ),
        ] {
            let found = before.first_difference(&later);
            let wanted = difference.map(|(path, how)| (path.as_bytes().to_vec(), how));
            assert_eq!(found, wanted, "{what}");
        }
    }
}
