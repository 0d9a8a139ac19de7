//! Removing entries that a retention lets go, and what killed processes left.
//! Does not know the bounds; `retention` does.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::{Archive, ArchiveError, failed, revision_of};
use crate::durable::TEMPORARY;
use crate::id::EntryId;
use crate::index::Index;
use crate::retention::{Retention, plan_prune};
use crate::time::Time;

/// A file without an entry that is older than this belongs to nobody any more.
const ABANDONED: Duration = Duration::from_hours(24);

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The entries, oldest first.
    pub entries: Vec<EntryId>,
    /// Files that no entry names, left by killed uploads over a day ago.
    pub strays: Vec<String>,
    /// Bytes of all files removed.
    pub bytes: u64,
}

impl Archive {
    /// Removes what [`plan_prune`] says, and files that killed uploads left over a day ago. A kill leaves each entry whole or not listed;
    /// the next prune removes what is left of it.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; what was removed before stays removed.
    pub fn prune(
        &self,
        retention: &Retention,
        now: Time,
        held: &dyn Fn(EntryId) -> bool,
    ) -> Result<Pruned, ArchiveError> {
        let mut pruned = Pruned::default();
        if !self.root.is_dir() {
            return Ok(pruned);
        }
        self.prepare()?;
        let _lock = self.lock()?;
        let listing = self.list()?;
        pruned.entries = plan_prune(&listing.summaries, retention, now, held);
        let going: BTreeSet<EntryId> = pruned.entries.iter().copied().collect();
        let mut files = self.files()?;
        files.retain(|(id, _)| going.contains(id));
        // The oldest revision first: were the newest gone before it, an old one would be taken for the entry.
        files.sort_unstable();
        for (id, revision) in files {
            pruned.bytes += self.take(&Self::entry_name(id, revision))?;
        }
        for id in &going {
            pruned.bytes += self.take(&Self::bundle_name(*id))?;
            pruned.bytes += self.take(&Self::attestation_name(*id))?;
        }
        self.remove_strays(&mut pruned)?;
        if !going.is_empty() {
            self.write_index(self.read_index().unwrap_or_else(|_| Index::default()))?;
        }
        Ok(pruned)
    }

    /// Removes old files that belong to no entry and to no upload under way.
    fn remove_strays(&self, pruned: &mut Pruned) -> Result<(), ArchiveError> {
        let mut known: BTreeSet<EntryId> = self.revisions()?.into_keys().collect();
        known.extend(crate::upload::pending(self)?.iter().map(|upload| upload.id));
        for folder in ["entries", "bundles", "attestations", "uploads"] {
            let path = self.root.join(folder);
            for entry in fs::read_dir(&path).map_err(|cause| failed("list", &path, cause))? {
                let entry = entry.map_err(|cause| failed("list", &path, cause))?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let id = ["tar.zst", "dsse.json", "lock"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end)?.strip_suffix('.')?.parse().ok());
                let ours = name.starts_with(TEMPORARY)
                    || (revision_of(name).is_none() && id.is_some_and(|id| !known.contains(&id)));
                let age = entry.metadata().and_then(|found| found.modified());
                let age = age.ok().and_then(|time| time.elapsed().ok());
                if ours && age.is_some_and(|age| age > ABANDONED) {
                    let name = format!("{folder}/{name}");
                    pruned.bytes += self.take(&name)?;
                    pruned.strays.push(name);
                }
            }
        }
        pruned.strays.sort();
        Ok(())
    }

    /// Removes a file, if it is there, and gives its bytes.
    fn take(&self, name: &str) -> Result<u64, ArchiveError> {
        let size = fs::symlink_metadata(self.root.join(name)).map_or(0, |found| found.len());
        Ok(if self.remove(name)? { size } else { 0 })
    }
}
