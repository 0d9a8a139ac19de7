//! A task's inputs: which files match, as manifest rows, with the stat tuples they had.
//! Does not make keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_fingerprint::git::GitInput;
use larder_fingerprint::{Entry, Globs, Ignore, Row, Scan, Stat};

use crate::config::{InputItem, Task, Workspace};
use crate::plan::{closure, known_by_key};

use super::compiled::Compiled;
use super::outputs::{Outputs, compiled};
use super::tree::{Fault, Tree, is_shared, lossy};
use super::update::within;

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

    /// Whether one of the files has other names, by which it may be written unseen.
    pub fn are_shared(&self) -> bool {
        self.stats.iter().flatten().any(is_shared)
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
    /// Whether what is left out hangs on the sources of tasks with chunks.
    by_chunks: bool,
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
    Ok(Rule {
        dir: dir.to_vec(),
        items,
        own: Vec::new(),
        own_made: Vec::new(),
        own_chunks: Vec::new(),
        own_folders: Vec::new(),
        by_chunks: false,
    })
}

/// What the chunks of a task declare, as far as that is known.
pub type Chunks<'c> = &'c dyn Fn(usize) -> Option<Arc<Outputs>>;

/// Compiles the inputs of a task. Without `chunks` nothing of tasks with chunks is left out: the rule then takes whatever it
/// may take with any sources.
///
/// # Errors
/// When a glob cannot be compiled.
pub fn rule(workspace: &Workspace, task: usize, chunks: Option<Chunks<'_>>) -> Result<Rule, Fault> {
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
            if other.foreach.is_some() {
                rule.by_chunks = true;
                let Some(chunks) = chunks else { continue };
                if let Some(declared) = chunks(index) {
                    rule.own_chunks.push(declared);
                    continue;
                }
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
                let made = match (&there.foreach, chunks) {
                    (None, _) => None,
                    (Some(_), None) => {
                        rule.by_chunks = true;
                        continue;
                    }
                    (Some(_), Some(chunks)) => chunks(other),
                };
                let globs = compiled(other_dir, declared)?;
                rule.own_folders.extend(globs.literal_prefixes());
                match made {
                    Some(declared) => rule.own_made.push(declared),
                    None => rule.own.push(globs),
                }
            }
        }
    }
    Ok(rule)
}

/// Whether globs may match something below a folder.
pub(super) fn meets(globs: &Globs, folder: &[u8]) -> bool {
    let prefixes = globs.literal_prefixes();
    let mut prefixes = prefixes.iter();
    prefixes.any(|prefix| within(prefix, folder) || within(folder, prefix))
}

impl Rule {
    /// Whether it takes more than the task reads, as what is left out hangs on the sources of tasks with chunks.
    pub fn is_wide(&self) -> bool {
        self.by_chunks
    }

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

    /// Whether a change of a path may change these inputs. `folder`: so may anything below it; `hidden`: scans that honour
    /// ignore files pass it over. Git inputs are not looked at.
    pub fn reaches(&self, path: &[u8], folder: bool, hidden: bool) -> bool {
        if self.takes(path, !hidden && within(path, &self.dir)) {
            return true;
        }
        folder
            && self.items.iter().any(|item| match item {
                Item::Default => within(&self.dir, path) || (within(path, &self.dir) && !hidden),
                Item::Glob {
                    globs,
                    negated: false,
                } => meets(globs, path),
                Item::Glob { negated: true, .. } | Item::Git(_) => false,
            })
    }

    /// Whether ignore rules that change in a folder, or what git tracks there, may change these inputs.
    pub fn shown_in(&self, folder: &[u8]) -> bool {
        let default = |item: &Item| matches!(item, Item::Default);
        self.items.iter().any(default) && (within(&self.dir, folder) || within(folder, &self.dir))
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
        let looked = self.look(tree, git)?;
        let entries = self.entries(&looked);
        let missing = self.missing(&looked, &entries);
        inputs.rows = tree.scanner().rows(&entries)?;
        inputs.stats = entries.iter().map(|entry| Some(entry.stat)).collect();
        inputs.git = looked.git;
        if missing.is_empty() {
            return Ok(inputs);
        }
        let mut rows: Vec<(Row, Option<Stat>)> = std::mem::take(&mut inputs.rows)
            .into_iter()
            .zip(std::mem::take(&mut inputs.stats))
            .collect();
        rows.extend(missing.iter().map(|path| (Row::absent(path), None)));
        rows.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        (inputs.rows, inputs.stats) = rows.into_iter().unzip();
        Ok(inputs)
    }

    /// Whether a new look finds the very inputs that were found before, by stat tuple and by digest. It makes no rows, so
    /// that it costs little where nothing changed, which is the rule; what changed, [`Inputs::first_difference`] tells.
    ///
    /// # Errors
    /// When something cannot be looked at. A file that cannot be read is no error but a change.
    pub fn still_holds(
        &self,
        before: &Inputs,
        tree: &Tree,
        git: &dyn Fn(&str) -> Result<GitInput, Fault>,
    ) -> Result<bool, Fault> {
        let looked = self.look(tree, git)?;
        let entries = self.entries(&looked);
        let missing = self.missing(&looked, &entries);
        if looked.git != before.git || entries.len() + missing.len() != before.rows.len() {
            return Ok(false);
        }
        let (mut now, mut gone) = (entries.iter(), missing.iter());
        let same = |(row, stat): (&Row, &Option<Stat>)| match stat {
            Some(stat) => now
                .next()
                .is_some_and(|entry| entry.path == row.path && entry.stat == *stat),
            None => gone.next().is_some_and(|path| *path == row.path),
        };
        if !before.rows.iter().zip(&before.stats).all(same) {
            return Ok(false);
        }
        // A stamp that cannot be believed, and a link that leads elsewhere, show in the digest alone.
        let there = before.rows.iter().zip(&before.stats);
        let there = there.filter(|(_, stat)| stat.is_some());
        let digests = tree.scanner().digests(&entries);
        Ok(there
            .zip(&digests)
            .all(|((row, _), now)| now.as_ref().is_ok_and(|now| *now == row.digest)))
    }

    /// Scans all that may hold an input, each folder once.
    fn look(
        &self,
        tree: &Tree,
        git: &dyn Fn(&str) -> Result<GitInput, Fault>,
    ) -> Result<Looked, Fault> {
        let mut looked = Looked::default();
        for item in &self.items {
            match item {
                Item::Default => looked.add(tree.scan(&self.dir, Ignore::Honour)?, true),
                Item::Glob {
                    globs,
                    negated: false,
                } => {
                    for prefix in globs.literal_prefixes() {
                        looked.add(tree.scan(&prefix, Ignore::Never)?, false);
                    }
                    looked.literals.extend(globs.literals());
                }
                Item::Glob { negated: true, .. } => {}
                Item::Git(path) => looked.git.push((path.clone(), git(path)?)),
            }
        }
        Ok(looked)
    }

    /// What the rule takes of what was scanned, sorted by path, each path once.
    fn entries<'l>(&self, looked: &'l Looked) -> Vec<Entry<'l>> {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for (scan, default) in &looked.scans {
            let mut taken = scan.select(|entry| self.takes(entry.path, *default));
            if entries.is_empty() {
                entries = taken;
            } else {
                entries.append(&mut taken);
            }
        }
        if looked.scans.len() > 1 {
            // A stable sort finds that each scan is sorted and merges them.
            entries.sort_by_key(|entry| entry.path);
            entries.dedup_by_key(|entry| entry.path);
        }
        entries
    }

    /// Files that are named and not there, sorted.
    fn missing(&self, looked: &Looked, entries: &[Entry<'_>]) -> Vec<Vec<u8>> {
        let is_missing = |path: &&Vec<u8>| {
            let next = entries.partition_point(|entry| entry.path < path.as_slice());
            let there = entries
                .get(next)
                .is_some_and(|entry| within(entry.path, path));
            !there && self.takes(path, false)
        };
        let mut missing: Vec<Vec<u8>> =
            looked.literals.iter().filter(is_missing).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}

/// What was looked at for one rule.
#[derive(Default)]
struct Looked {
    /// Each scan with whether it honours ignore files.
    scans: Vec<(Arc<Scan>, bool)>,
    /// Paths that are named without wildcards.
    literals: Vec<Vec<u8>>,
    git: Vec<(String, GitInput)>,
}

impl Looked {
    /// Many globs begin in one folder: its scan is gone through once.
    fn add(&mut self, scan: Arc<Scan>, default: bool) {
        let known = |(known, as_default): &(Arc<Scan>, bool)| {
            *as_default == default && Arc::ptr_eq(known, &scan)
        };
        if !self.scans.iter().any(known) {
            self.scans.push((scan, default));
        }
    }
}

/// An input (one of `paths`) that a task outside of the dependencies makes is an error: the result would hang on the order of tasks.
///
/// # Errors
/// Names the file, its owner and the two lines that mend it.
pub fn refuse_foreign_outputs(
    workspace: &Workspace,
    compiled: &Compiled,
    task: usize,
    paths: &mut dyn Iterator<Item = &Vec<u8>>,
    owner_of: &dyn Fn(&[u8]) -> Option<String>,
) -> Result<(), Fault> {
    let mut needed = None;
    for path in paths {
        let Some(owner) = owner_of(path) else {
            continue;
        };
        if owner == compiled.id(task) {
            continue;
        }
        let needed = needed.get_or_insert_with(|| closure(workspace, &[task]));
        // An owner that is no longer configured cannot run before or after this task.
        let Some(at) = compiled.task(&owner) else {
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
mod tests;
