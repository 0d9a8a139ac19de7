//! Removing entries that a retention lets go, and what killed processes left.
//! Does not know the bounds; `retention` does.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use super::{Archive, ArchiveError, failed};
use crate::durable::TEMPORARY;
use crate::id::EntryId;
use crate::index::Index;
use crate::retention::{Retention, plan_prune};
use crate::time::Time;

/// A file without an entry that is older than this belongs to nobody any more.
const ABANDONED: Duration = Duration::from_hours(24);
/// Where files are written; the first is the archive's own folder. The last holds copies for mirrors.
const FOLDERS: &[&str] = &[
    "",
    "entries",
    "bundles",
    "attestations",
    "uploads",
    "outgoing",
];

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
        // What cannot be looked at is no archive that has nothing.
        match fs::metadata(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(pruned),
            found => found.map_err(|cause| failed("examine", &self.root, cause))?,
        };
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

    /// Removes old files that belong to no entry and to no upload under way, and unfinished ones wherever this program writes.
    fn remove_strays(&self, pruned: &mut Pruned) -> Result<(), ArchiveError> {
        let uploads = crate::upload::pending(self)?.ids();
        let mut known: BTreeSet<EntryId> = self.files()?.into_iter().map(|(id, _)| id).collect();
        known.extend(&uploads);
        let id = |name: &str, ends: &[&str]| -> Option<EntryId> {
            ends.iter()
                .find_map(|end| name.strip_suffix(end)?.strip_suffix('.')?.parse().ok())
        };
        for folder in FOLDERS {
            let path = self.root.join(folder);
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(|cause| failed("list", &path, cause))?,
            };
            for entry in entries {
                let entry = entry.map_err(|cause| failed("list", &path, cause))?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let ours = name.starts_with(TEMPORARY)
                    || match *folder {
                        "bundles" | "attestations" => id(name, &["tar.zst", "dsse.json"])
                            .is_some_and(|id| !known.contains(&id)),
                        // That of an upload that is finished is of no use, though its entry is there.
                        "uploads" => id(name, &["lock"]).is_some_and(|id| !uploads.contains(&id)),
                        _ => false,
                    };
                let age = entry.metadata().and_then(|found| found.modified());
                let age = age.ok().and_then(|time| time.elapsed().ok());
                if ours && age.is_some_and(|age| age > ABANDONED) {
                    let name = match *folder {
                        "" => name.to_owned(),
                        _ => format!("{folder}/{name}"),
                    };
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
