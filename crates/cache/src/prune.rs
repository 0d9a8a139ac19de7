//! Upkeep of the store on disk: bounds its size and age, proves and counts what it holds.
//! Knows nothing of artifact bodies, except in `verify`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use crate::disk::is_held;
use crate::error::Context;
use crate::{ArtifactId, DiskStore, Key, Result, format, scan};

/// How large and how old a store may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The most bytes of entries and artifacts together.
    pub max_bytes: Option<u64>,
    /// Entries unused for longer go.
    pub max_age: Option<Duration>,
}

/// What a prune removed and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Entries removed.
    pub entries: usize,
    /// Artifacts removed.
    pub artifacts: usize,
    /// Bytes freed.
    pub freed: u64,
    /// Bytes left; above the limit when running processes hold them.
    pub left: u64,
}

/// What a verify found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Intact entries.
    pub entries: usize,
    /// Intact artifacts.
    pub artifacts: usize,
    /// Files moved to quarantine: corrupt, of another version, or not of the store at all.
    pub bad: Vec<PathBuf>,
    /// Entries quarantined because their artifact is gone or was bad.
    pub dangling: Vec<Key>,
}

/// The bytes of one task's entries and artifacts; an artifact that tasks share counts for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSize {
    /// The task's name, as the provenance has it.
    pub task: String,
    /// Its entries.
    pub entries: usize,
    /// Their bytes with their artifacts.
    pub bytes: u64,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Where it is.
    pub location: PathBuf,
    /// Number of entries.
    pub entries: usize,
    /// Number of artifacts.
    pub artifacts: usize,
    /// Bytes of entries and artifacts together.
    pub bytes: u64,
    /// Files in quarantine.
    pub quarantined: usize,
    /// Tasks, largest first.
    pub tasks: Vec<TaskSize>,
}

/// Upkeep of a store, apart from its use.
pub trait Prune {
    /// Removes what is too old, then the least recently used until the size fits, and artifacts that no entry names.
    ///
    /// Anything used since the oldest lease of a living process began is left alone, so beside a running process the
    /// store may stay above its limit. Artifact bodies are not read.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn prune(&self, limits: &Limits) -> Result<Pruned>;

    /// Re-hashes every entry and artifact; bad ones go to quarantine.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn verify(&self) -> Result<Verified>;

    /// Removes every entry and artifact and the quarantine. Processes that run meanwhile see misses.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn clear(&self) -> Result<Pruned>;

    /// Counts what the store holds, without reading artifacts.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn status(&self) -> Result<Status>;
}

/// Temporary files, stale leases and quarantined files are kept so long.
const LEFTOVERS: Duration = Duration::from_hours(24);

/// Two clocks stamp files: the process's and the file system's coarser one.
const SLACK: Duration = Duration::from_secs(2);

struct Item {
    path: PathBuf,
    name: [u8; 32],
    size: u64,
    used: SystemTime,
}

struct Listed {
    item: Item,
    head: Option<format::Head>,
}

impl Prune for DiskStore {
    fn prune(&self, limits: &Limits) -> Result<Pruned> {
        let held_since = self.held_since()?;
        self.remove_leftovers(held_since);
        let mut entries = self.entries()?;
        let artifacts = by_id(self.items("artifacts")?);
        let mut users: BTreeMap<ArtifactId, usize> = BTreeMap::new();
        for id in entries.iter().filter_map(Listed::artifact) {
            *users.entry(id).or_default() += 1;
        }
        let mut total = entries.iter().map(|entry| entry.item.size).sum::<u64>()
            + artifacts.values().map(|item| item.size).sum::<u64>();
        let mut pruned = Pruned::default();
        let mut drop_item = |item: &Item, count: fn(&mut Pruned)| {
            // Looked at again, because a process may have begun to use it since the listing.
            if still_unused(item, held_since) && fs::remove_file(&item.path).is_ok() {
                count(&mut pruned);
                pruned.freed += item.size;
                total -= item.size;
                true
            } else {
                false
            }
        };
        let artifact = |pruned: &mut Pruned| pruned.artifacts += 1;
        for (id, item) in &artifacts {
            if !users.contains_key(id) {
                drop_item(item, artifact);
            }
        }
        entries.sort_by_key(|entry| entry.item.used);
        let now = SystemTime::now();
        let mut bytes = total_after(&entries, &artifacts, &users);
        for entry in &entries {
            let age = now.duration_since(entry.item.used).unwrap_or_default();
            let old = limits.max_age.is_some_and(|max| age > max);
            if !old && limits.max_bytes.is_none_or(|max| bytes <= max) {
                continue;
            }
            if !drop_item(&entry.item, |pruned| pruned.entries += 1) {
                continue;
            }
            bytes -= entry.item.size;
            let Some(id) = entry.artifact() else { continue };
            let left = users.entry(id).or_default();
            *left = left.saturating_sub(1);
            if *left == 0
                && let Some(item) = artifacts.get(&id)
                && drop_item(item, artifact)
            {
                bytes -= item.size;
            }
        }
        pruned.left = total;
        Ok(pruned)
    }

    fn verify(&self) -> Result<Verified> {
        let mut verified = Verified::default();
        let proved: Vec<(Item, bool)> = self
            .items_and_strangers("artifacts", &mut verified.bad)?
            .into_par_iter()
            .map(|item| {
                let digest = File::open(&item.path).and_then(|mut file| scan::hash(&mut file));
                let right = digest.is_ok_and(|(digest, _)| digest == item.name);
                (item, right)
            })
            .collect();
        let mut good = std::collections::BTreeSet::new();
        for (item, right) in proved {
            if right {
                verified.artifacts += 1;
                good.insert(ArtifactId(item.name));
            } else {
                verified.bad.push(item.path);
            }
        }
        for item in self.items_and_strangers("entries", &mut verified.bad)? {
            let key = Key(item.name);
            let entry = fs::read(&item.path)
                .ok()
                .and_then(|bytes| format::decode(&key, &bytes));
            match entry {
                None => verified.bad.push(item.path),
                // One saved since the listing is there, if unproved.
                Some(entry)
                    if entry.artifact.is_none_or(|id| {
                        good.contains(&id)
                            || (!verified.bad.contains(&self.artifact_path(&id))
                                && self.artifact_path(&id).is_file())
                    }) =>
                {
                    verified.entries += 1;
                }
                Some(_) => {
                    self.quarantine(&item.path);
                    verified.dangling.push(key);
                }
            }
        }
        for path in &verified.bad {
            self.quarantine(path);
        }
        Ok(verified)
    }

    fn clear(&self) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for (part, entries) in [("entries", true), ("artifacts", false)] {
            for item in self.items(part)? {
                if fs::remove_file(&item.path).is_ok() {
                    pruned.freed += item.size;
                    if entries {
                        pruned.entries += 1;
                    } else {
                        pruned.artifacts += 1;
                    }
                } else {
                    pruned.left += item.size;
                }
            }
        }
        for path in files(&self.dir().join("quarantine"))? {
            // Only leftovers; the next clear tries again.
            let _ = fs::remove_file(path);
        }
        Ok(pruned)
    }

    fn status(&self) -> Result<Status> {
        let entries = self.entries()?;
        let artifacts = by_id(self.items("artifacts")?);
        let mut tasks: BTreeMap<&str, (usize, u64, std::collections::BTreeSet<ArtifactId>)> =
            BTreeMap::new();
        for entry in &entries {
            let Some(head) = &entry.head else { continue };
            let task = tasks.entry(&head.task).or_default();
            task.0 += 1;
            task.1 += entry.item.size;
            if let Some(id) = head.artifact
                && task.2.insert(id)
            {
                task.1 += artifacts.get(&id).map_or(0, |item| item.size);
            }
        }
        let mut tasks: Vec<TaskSize> = tasks
            .into_iter()
            .map(|(task, (entries, bytes, _))| TaskSize {
                task: task.to_owned(),
                entries,
                bytes,
            })
            .collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.bytes));
        let bytes = entries.iter().map(|entry| entry.item.size).sum::<u64>()
            + artifacts.values().map(|item| item.size).sum::<u64>();
        Ok(Status {
            location: self.dir().to_path_buf(),
            entries: entries.len(),
            artifacts: artifacts.len(),
            bytes,
            quarantined: files(&self.dir().join("quarantine"))?.len(),
            tasks,
        })
    }
}

impl Listed {
    fn artifact(&self) -> Option<ArtifactId> {
        self.head.as_ref().and_then(|head| head.artifact)
    }
}

impl DiskStore {
    /// The begin of the oldest lease that a living process holds; this one's at the latest.
    fn held_since(&self) -> Result<SystemTime> {
        let mut since = SystemTime::now();
        for path in files(&self.dir().join("leases"))? {
            let Ok(lease) = File::open(&path) else {
                continue;
            };
            if is_held(&lease)
                && let Ok(time) = lease.metadata().and_then(|meta| meta.modified())
            {
                since = since.min(time);
            }
        }
        Ok(since.checked_sub(SLACK).unwrap_or(since))
    }

    fn remove_leftovers(&self, held_since: SystemTime) {
        let now = SystemTime::now();
        for part in ["tmp", "leases", "quarantine"] {
            for path in files(&self.dir().join(part)).unwrap_or_default() {
                let modified = path.metadata().and_then(|meta| meta.modified());
                let old = modified.is_ok_and(|time| {
                    time < held_since && now.duration_since(time).unwrap_or_default() > LEFTOVERS
                });
                if old {
                    // Somebody else may prune as well.
                    let _ = fs::remove_file(path);
                }
            }
        }
    }

    fn entries(&self) -> Result<Vec<Listed>> {
        let items = self.items("entries")?;
        let listed = items.into_par_iter().map(|item| {
            let mut bytes = Vec::new();
            let read = File::open(&item.path)
                .and_then(|file| file.take(format::HEAD as u64).read_to_end(&mut bytes));
            let head = read.ok().and_then(|_| format::head(&bytes));
            Listed { item, head }
        });
        Ok(listed.collect())
    }

    fn items(&self, part: &str) -> Result<Vec<Item>> {
        self.items_and_strangers(part, &mut Vec::new())
    }

    /// The files of a fan-out folder, and apart those whose place is not that of a digest.
    fn items_and_strangers(&self, part: &str, strangers: &mut Vec<PathBuf>) -> Result<Vec<Item>> {
        let folder = self.dir().join(part);
        let mut items = Vec::new();
        for fan in fs::read_dir(&folder).context("list", &folder)? {
            let fan = fan.context("list", &folder)?;
            if !fan.file_type().is_ok_and(|kind| kind.is_dir()) {
                strangers.push(fan.path());
                continue;
            }
            for path in files(&fan.path())? {
                let hex = format!("{}{}", name(&fan.path()), name(&path));
                let Ok(key) = hex.parse::<Key>() else {
                    strangers.push(path);
                    continue;
                };
                // Gone since it was listed: another prune was quicker.
                let Ok(meta) = path.symlink_metadata() else {
                    continue;
                };
                let used = meta.modified().context("stat", &path)?;
                items.push(Item {
                    path,
                    name: key.0,
                    size: meta.len(),
                    used,
                });
            }
        }
        Ok(items)
    }
}

fn by_id(items: Vec<Item>) -> BTreeMap<ArtifactId, Item> {
    items
        .into_iter()
        .map(|item| (ArtifactId(item.name), item))
        .collect()
}

/// The bytes that count against the limit: all entries, and the artifacts that they name.
fn total_after(
    entries: &[Listed],
    artifacts: &BTreeMap<ArtifactId, Item>,
    users: &BTreeMap<ArtifactId, usize>,
) -> u64 {
    let named = artifacts.iter().filter(|(id, _)| users.contains_key(id));
    entries.iter().map(|entry| entry.item.size).sum::<u64>()
        + named.map(|(_, item)| item.size).sum::<u64>()
}

fn still_unused(item: &Item, held_since: SystemTime) -> bool {
    item.path
        .symlink_metadata()
        .and_then(|meta| meta.modified())
        .is_ok_and(|used| used < held_since)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).context("list", folder)? {
        found.push(item.context("list", folder)?.path());
    }
    Ok(found)
}
