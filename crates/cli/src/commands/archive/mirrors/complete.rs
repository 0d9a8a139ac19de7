//! What mirrors do not have and should: entries from before their time, what they lost, and what damaged notes were about.
//! Does not know how it gets there.

use std::collections::{BTreeMap, BTreeSet};

use larder_archive::outbox::{Damaged, Delivery, Outbox, OutboxError, Record};
use larder_archive::{Archive, ArchiveEntry, EntryId, EntryStatus, Listing};

use super::super::words;
use super::{Mirrors, OUTGOING, milliseconds};

/// Entries that are not to be pruned: no mirror, or not every mirror, has them yet.
pub(in super::super) struct Held {
    /// These are on their way.
    entries: BTreeSet<String>,
    /// Of an entry on its way nothing is known, not even its id: all are held but those that a mirror has.
    all_but: Option<BTreeSet<String>>,
}

impl Held {
    /// Whether the entry of this id is held.
    pub(in super::super) fn contains(&self, id: &str) -> bool {
        self.entries.contains(id)
            || self
                .all_but
                .as_ref()
                .is_some_and(|there| !there.contains(id))
    }
}

impl Mirrors<'_> {
    /// Entries that are still to be mirrored, or could not be.
    pub(in super::super) fn held(&self) -> Result<Held, String> {
        let status = self.status()?;
        let is_nameless = status.damaged.iter().any(|one| one.entry.is_none());
        let records = status.pending.into_iter().chain(status.failed);
        let damaged = status.damaged.into_iter().filter_map(|one| one.entry);
        let done = status.done.into_iter().map(|record| record.entry);
        Ok(Held {
            entries: records.map(|record| record.entry).chain(damaged).collect(),
            all_but: is_nameless.then(|| done.collect()),
        })
    }

    /// Notes anew what damaged records were about, as far as their names tell.
    pub(super) fn mend(&self, outbox: &Outbox) -> Result<(), String> {
        let status = outbox.status().map_err(|error| words(&error))?;
        for damaged in status.damaged {
            let Some((id, mirror)) = self.about(&damaged) else {
                continue;
            };
            // What the archive cannot give stays as it is, and is told.
            if let Ok(Some(entry)) = self.archive.entry(id) {
                self.again(outbox, &entry, mirror)?;
            }
        }
        Ok(())
    }

    /// What a damaged record was about, if it can be noted anew.
    fn about(&self, damaged: &Damaged) -> Option<(EntryId, &str)> {
        let id = damaged.entry.as_ref()?.parse().ok()?;
        let mut mirrors = self.settings.keys();
        let mirror = mirrors.find(|name| damaged.is_for(name))?;
        (!damaged.foreign).then_some((id, mirror))
    }

    /// What becomes of a damaged record, or what to do about it.
    pub(in super::super) fn remedy(&self, damaged: &Damaged) -> String {
        let unfit = "the version of larder that wrote it reads it";
        match (self.about(damaged), &damaged.entry) {
            _ if damaged.foreign => unfit.to_owned(),
            (Some((id, _)), _) => match self.archive.entry(id) {
                Ok(Some(_)) => "`larder archive sync` notes it anew".to_owned(),
                Ok(None) => {
                    "the archive does not have this entry any more: delete the file".to_owned()
                }
                Err(error) => format!(
                    "the entry cannot be read: {}; mend it, then `larder archive sync`",
                    words(&error)
                ),
            },
            (None, Some(_)) => {
                "no such mirror is configured any more: `larder archive sync` gives it up"
                    .to_owned()
            }
            (None, None) => {
                "what it was about is lost: delete the file; `larder archive sync` notes what a mirror does not have"
                    .to_owned()
            }
        }
    }

    /// Notes an entry for a mirror, even if it was brought there before.
    fn again(&self, outbox: &Outbox, entry: &ArchiveEntry, mirror: &str) -> Result<(), String> {
        let delivery = Delivery {
            entry: entry.id.to_string(),
            destination: mirror.to_owned(),
            objects: self.objects(entry)?,
        };
        match outbox.enqueue_again(&delivery, milliseconds()) {
            // Another revision is on its way.
            Ok(()) | Err(OutboxError::Differs { .. }) => Ok(()),
            Err(error) => Err(words(&error)),
        }
    }

    /// Notes all that the gates let pass for each mirror that does not have it, and what damaged records were about. Gives a line for
    /// each mirror that could not be looked at, and each entry that cannot be read.
    pub(in super::super) fn complete(&self, workspace: &str) -> Result<Vec<String>, String> {
        if let Some(outbox) = self.existing()? {
            self.mend(&outbox)?;
        }
        let listing = self.archive.list().map_err(|error| words(&error))?;
        let ours = self.ours(&listing, workspace);
        let mut unreached = Vec::new();
        if self.settings.is_empty() || ours.is_empty() {
            return Ok(unreached);
        }
        let outbox = self.outbox()?;
        let status = outbox.status().map_err(|error| words(&error))?;
        let noted: BTreeSet<(&str, &str)> = status
            .pending
            .iter()
            .chain(&status.failed)
            .map(|record| (record.entry.as_str(), record.destination.as_str()))
            .collect();
        for mirror in self.settings.keys() {
            let there = match self.entries_at(mirror) {
                Ok(there) => there,
                Err(why) => {
                    unreached.push(format!("mirror {mirror} cannot be looked at: {why}"));
                    continue;
                }
            };
            for id in &ours {
                let text = id.to_string();
                let is_noted = noted.contains(&(text.as_str(), mirror));
                if is_noted || there.contains(&text) {
                    continue;
                }
                match self.archive.entry(*id) {
                    Ok(Some(entry)) => self.again(&outbox, &entry, mirror)?,
                    // It was pruned just now.
                    Ok(None) => {}
                    Err(error) => unreached.push(format!(
                        "entry {id} cannot be brought to mirror {mirror}: {}",
                        words(&error)
                    )),
                }
            }
        }
        Ok(unreached)
    }

    /// Entries of this workspace that the gates let pass. An archive inside the workspace has no others.
    fn ours(&self, listing: &Listing, workspace: &str) -> Vec<EntryId> {
        let is_alone = self.archive.root().starts_with(self.root);
        let summaries = listing.summaries.iter();
        summaries
            .filter(|one| one.status == EntryStatus::Accepted)
            .filter(|one| is_alone || one.workspace == workspace)
            .map(|one| one.id)
            .collect()
    }

    /// The ids of entries that a mirror has with their bundles.
    fn entries_at(&self, mirror: &str) -> Result<BTreeSet<String>, String> {
        let names = match self.open(mirror) {
            Ok(Some(place)) => place.list(),
            Ok(None) => return Ok(BTreeSet::new()),
            Err(error) => Err(error),
        };
        let names = names.map_err(|error| words(&error))?;
        let names: BTreeSet<&str> = names.iter().map(larder_archive::Name::as_str).collect();
        let entries = names
            .iter()
            .filter_map(|name| name.strip_prefix("entries/")?.split('.').next());
        let whole = entries.filter(|id| {
            id.parse()
                .is_ok_and(|id| names.contains(Archive::bundle_name(id).as_str()))
        });
        Ok(whole.map(str::to_owned).collect())
    }

    /// Forgets deliveries to mirrors that are configured no more; gives a line for each such mirror.
    pub(in super::super) fn give_up(&self, workspace: &str) -> Result<Vec<String>, String> {
        let Some(outbox) = self.existing()? else {
            return Ok(Vec::new());
        };
        let status = outbox.status().map_err(|error| words(&error))?;
        let others = self.others(workspace)?;
        let mut lost: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let is_left = |record: &&Record| {
            !self.settings.contains_key(&record.destination) && !others.contains(&record.entry)
        };
        for record in status.pending.iter().chain(&status.failed).filter(is_left) {
            outbox
                .give_up(&record.entry, &record.destination)
                .map_err(|error| words(&error))?;
            let entries = lost.entry(&record.destination).or_default();
            entries.push(&record.entry);
        }
        let mut lines = Vec::new();
        for (mirror, entries) in &lost {
            lines.push(format!(
                "mirror {mirror} is not configured any more: {} to it given up",
                super::super::super::cache::count(entries.len(), "delivery", "deliveries")
            ));
        }
        for damaged in &status.damaged {
            let is_configured = self.settings.keys().any(|name| damaged.is_for(name));
            let Some(entry) = damaged.entry.as_ref().filter(|_| !damaged.foreign) else {
                continue;
            };
            if is_configured || others.contains(entry) {
                continue;
            }
            std::fs::remove_file(&damaged.path)
                .map_err(|error| format!("{}: {error}", damaged.path.display()))?;
            lines.push(format!(
                "a damaged note of a delivery of {entry} was for a mirror that is not configured any more: it is gone"
            ));
        }
        let entries = lost.values().flatten().copied().collect();
        self.drop_copies(&outbox, &entries)?;
        Ok(lines)
    }

    /// Entries of other workspaces that share the archive: their mirrors are not known here.
    fn others(&self, workspace: &str) -> Result<BTreeSet<String>, String> {
        if self.archive.root().starts_with(self.root) {
            return Ok(BTreeSet::new());
        }
        let listing = self.archive.list().map_err(|error| words(&error))?;
        let others = listing.summaries.into_iter();
        let others = others.filter(|one| one.workspace != workspace);
        Ok(others.map(|one| one.id.to_string()).collect())
    }

    /// Removes copies of entries that no delivery needs any more.
    fn drop_copies(&self, outbox: &Outbox, entries: &BTreeSet<&str>) -> Result<(), String> {
        let status = outbox.status().map_err(|error| words(&error))?;
        let open = status.pending.iter().chain(&status.failed);
        let open: BTreeSet<&str> = open.map(|record| record.entry.as_str()).collect();
        let Ok(files) = std::fs::read_dir(self.archive.root().join(OUTGOING)) else {
            return Ok(());
        };
        for file in files.filter_map(Result::ok) {
            let name = file.file_name();
            let id = name.to_str().and_then(|name| name.split('.').next());
            if id.is_some_and(|id| entries.contains(id) && !open.contains(id)) {
                // One that stays takes a little room, and no more.
                let _ = std::fs::remove_file(file.path());
            }
        }
        Ok(())
    }
}
