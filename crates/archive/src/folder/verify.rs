//! Verifying what an archive keeps, byte for byte and one file against another, and restoring what was verified.
//! Does not know signatures; `attest` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Archive, ArchiveError, words};
use crate::agree::{Disagreement, contradictions};
use crate::bundle::{
    BundleError, Checked, Extracted, Overwrite, Plan, extract_artifacts, plan_artifacts,
    verify_bundle,
};
use crate::digest::Digests;
use crate::format::{Artifact, StoredFile};
use crate::id::EntryId;
use crate::upload::pending;

/// Something in the archive that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The file, by its name in the archive.
    pub file: String,
    /// What is wrong, in words.
    pub why: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files that are as they were written.
    pub sound: Vec<String>,
    /// The others.
    pub faults: Vec<FileFault>,
}

/// What tells of entries besides their own files.
struct Traces {
    /// The greatest revision that the index knows.
    indexed: BTreeMap<EntryId, u32>,
    bundles: BTreeSet<EntryId>,
    attestations: BTreeSet<EntryId>,
    /// Uploads under way, whose bundles come before their entries.
    uploads: BTreeSet<EntryId>,
    /// The files of entries, sorted.
    files: Vec<(EntryId, u32)>,
}

impl Archive {
    /// Reads all that the archive keeps of an entry, compares each byte with what it was, and the entry with its bundle and the index.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`] when nothing tells of such an entry; [`ArchiveError::Io`] when the folder of entries cannot be read. What
    /// is damaged or gone is no error but a fault.
    pub fn verify(&self, id: EntryId) -> Result<Verified, ArchiveError> {
        let mut verified = Verified::default();
        let revisions = self.revisions_of(id)?;
        self.verify_entry(&revisions, &mut verified);
        let lost = self.lost(Some(id))?;
        if revisions.is_empty() && lost.is_empty() {
            return Err(ArchiveError::Missing { id });
        }
        verified.faults.extend(lost);
        Ok(verified)
    }

    /// Verifies all entries and the index, and that no entry is gone that either tells of.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when the folder of entries cannot be read.
    pub fn verify_all(&self) -> Result<Verified, ArchiveError> {
        let mut all = Verified::default();
        let files = self.files()?;
        for revisions in files.chunk_by(|one, next| one.0 == next.0) {
            self.verify_entry(revisions, &mut all);
        }
        all.faults.extend(self.lost(None)?);
        let index = self.read_index()?;
        if self.root.join("index").exists() || !files.is_empty() {
            let words = "it is damaged or of another version; no entry is lost, and the next upload or prune writes it anew";
            let found = if index.sound {
                Ok(())
            } else {
                Err(words.into())
            };
            all.note("index".into(), found);
        }
        Ok(all)
    }

    /// Puts the artifacts of an entry that `wanted` picks below `into`. The bundle has to be the one that the entry names.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`]; [`ArchiveError::Bundle`] when the bundle is missing, damaged or another one; else as
    /// [`extract_artifacts`].
    pub fn restore(
        &self,
        id: EntryId,
        into: &Path,
        wanted: &dyn Fn(&Artifact) -> bool,
        overwrite: Overwrite,
    ) -> Result<Extracted, ArchiveError> {
        self.prove(id)?;
        let path = self.root.join(Self::bundle_name(id));
        Ok(extract_artifacts(&path, into, wanted, overwrite)?)
    }

    /// What [`Self::restore`] would do, after the same proofs. Nothing is written.
    ///
    /// # Errors
    /// As [`Self::restore`], but for files with another content, which the plan names.
    pub fn plan_restore(
        &self,
        id: EntryId,
        into: &Path,
        wanted: &dyn Fn(&Artifact) -> bool,
    ) -> Result<Plan, ArchiveError> {
        self.prove(id)?;
        let path = self.root.join(Self::bundle_name(id));
        Ok(plan_artifacts(&path, into, wanted)?)
    }

    /// Refuses a bundle that is not the one of the entry.
    fn prove(&self, id: EntryId) -> Result<(), ArchiveError> {
        let entry = self.entry(id)?.ok_or(ArchiveError::Missing { id })?;
        let Some(stored) = &entry.bundle else {
            return Ok(());
        };
        let checked = self.check_bundle(id, Some(stored))?;
        if checked.entry.artifacts == entry.artifacts {
            return Ok(());
        }
        let path = self.root.join(Self::bundle_name(id));
        let why = "its artifacts are not those of the entry".into();
        Err(BundleError::Damaged { path, why }.into())
    }

    /// Verifies these revisions of one entry, and the files that the latest intact one names; without any, the bundle for itself.
    fn verify_entry(&self, revisions: &[(EntryId, u32)], verified: &mut Verified) {
        let Some(&(id, _)) = revisions.last() else {
            return;
        };
        let mut intact = Vec::new();
        let mut damaged = Vec::new();
        for &(_, revision) in revisions {
            match self.read_entry(id, revision) {
                Ok(Some(entry)) => intact.push(entry),
                // One that went meanwhile was followed by another.
                Ok(None) => {}
                Err(error) => damaged.push((revision, words(&error))),
            }
        }
        let latest = intact.last();
        let stored = latest.and_then(|entry| entry.bundle.as_ref());
        let name = Self::bundle_name(id);
        let named = stored.is_some();
        let bundle = (named || self.root.join(&name).exists()).then(|| {
            let checked = self.check_bundle(id, stored);
            if latest.is_some() && !named && checked.is_ok() {
                let why = "it is there, and the entry does not name it".into();
                let path = self.root.join(&name);
                return (Err(BundleError::Damaged { path, why }), checked.ok());
            }
            match checked {
                Ok(checked) => (Ok(()), Some(checked)),
                Err(error) => (Err(error), None),
            }
        });
        let record = bundle.as_ref().and_then(|(_, checked)| checked.as_ref());
        for entry in &intact {
            let found = record.map_or_else(Vec::new, |record| contradictions(entry, &record.entry));
            verified.compare(Self::entry_name(id, entry.revision), &found);
        }
        for (revision, why) in damaged {
            verified.note(Self::entry_name(id, revision), Err(why));
        }
        if let Some((found, _)) = bundle {
            let found = found.map_err(|error| match error {
                BundleError::Damaged { why, .. } => why,
                other => words(&other.into()),
            });
            verified.note(name, found);
        }
        if let Some(attestation) = latest.and_then(|entry| entry.attestation.as_ref()) {
            verified.note(attestation.name.clone(), self.check_file(attestation));
        }
    }

    /// The bundle of an entry, proven: by itself, and by what the entry says of it.
    fn check_bundle(
        &self,
        id: EntryId,
        stored: Option<&StoredFile>,
    ) -> Result<Checked, BundleError> {
        let name = Self::bundle_name(id);
        let path = self.root.join(&name);
        let damaged = |why: String| BundleError::Damaged {
            path: path.clone(),
            why,
        };
        if stored.is_some_and(|stored| stored.name != name) {
            return Err(damaged("the entry names another entry's bundle".into()));
        }
        let checked = verify_bundle(&path)?;
        if let Some(stored) = stored {
            same(stored, &checked.digests).map_err(damaged)?;
        }
        if checked.entry.id != id {
            return Err(damaged(format!(
                "it is the bundle of entry {}",
                checked.entry.id
            )));
        }
        Ok(checked)
    }

    fn check_file(&self, stored: &StoredFile) -> Result<(), String> {
        let path = self
            .path(&stored.name)
            .ok_or("the entry's name of it leads elsewhere")?;
        let digests = Digests::of_file(&path).map_err(|error| error.to_string())?;
        same(stored, &digests)
    }

    /// Entries and revisions that are gone although something tells of them: all, or those of one entry.
    fn lost(&self, only: Option<EntryId>) -> Result<Vec<FileFault>, ArchiveError> {
        let lost = self.traces()?.lost(only);
        // Writers wait for nobody, and in the middle of their work something is missing: what they are at is looked at again after it.
        if lost.is_empty() || !self.root.join("index.lock").exists() {
            return Ok(lost);
        }
        // Where nobody may write, nobody does.
        let _lock = self.lock().ok();
        Ok(self.traces()?.lost(only))
    }

    /// Collects them in an order in which no upload that is just going on looks like a loss.
    fn traces(&self) -> Result<Traces, ArchiveError> {
        let ids = |folder: &str, end: &str| {
            let id = |name: &str| name.strip_suffix(end)?.strip_suffix('.')?.parse().ok();
            // A mirror has no index, and gets bundles before their entries: of what is on its way nothing is lost.
            if !self.root.join("index").exists() {
                return Ok(BTreeSet::new());
            }
            Ok::<_, ArchiveError>(self.names(folder, id)?.into_iter().collect())
        };
        let bundles = ids("bundles", "tar.zst")?;
        let attestations = ids("attestations", "dsse.json")?;
        let uploads = pending(self)?.ids();
        let index = self.read_index()?;
        let lines = index.summaries.into_iter();
        Ok(Traces {
            // They are sorted: the greatest revision comes last.
            indexed: lines.map(|one| (one.id, one.revision)).collect(),
            bundles,
            attestations,
            uploads,
            files: self.files()?,
        })
    }
}

impl Traces {
    fn lost(&self, only: Option<EntryId>) -> Vec<FileFault> {
        let there: BTreeMap<EntryId, u32> = self.files.iter().copied().collect();
        let mut ids: BTreeSet<EntryId> = self.indexed.keys().copied().collect();
        ids.extend(self.bundles.iter().chain(&self.attestations));
        ids.retain(|id| only.is_none_or(|only| only == *id));
        let fault = |id: EntryId| {
            let indexed = self.indexed.get(&id).copied();
            let file = Archive::entry_name(id, indexed.unwrap_or(1));
            let why = match (there.get(&id), indexed) {
                (Some(&there), Some(indexed)) if there < indexed => {
                    format!(
                        "it is gone, and the index tells of it: the entry was set back to revision {there}"
                    )
                }
                (Some(_), _) => return None,
                (None, Some(_)) => "it is gone, and the index tells of it: the entry was deleted, or a prune did not get to its end".into(),
                (None, None) if self.uploads.contains(&id) => return None,
                (None, None) => {
                    let what = if self.bundles.contains(&id) { "bundle" } else { "attestation" };
                    format!("it is not there, and its {what} is: the entry was deleted, or its upload or delivery did not get to its end")
                }
            };
            Some(FileFault { file, why })
        };
        ids.into_iter().filter_map(fault).collect()
    }
}

impl Verified {
    fn note(&mut self, file: String, found: Result<(), String>) {
        match found {
            Ok(()) => self.sound.push(file),
            Err(why) => self.faults.push(FileFault { file, why }),
        }
    }

    /// Notes a file that is intact: as sound, or a fault for each field that contradicts the bundle.
    fn compare(&mut self, file: String, found: &[Disagreement]) {
        if found.is_empty() {
            self.sound.push(file);
            return;
        }
        self.faults.extend(found.iter().map(|one| FileFault {
            file: file.clone(),
            why: format!(
                "its `{}` is {}, and the record in its bundle has {}",
                one.path, one.have, one.other
            ),
        }));
    }
}

fn same(stored: &StoredFile, found: &Digests) -> Result<(), String> {
    let StoredFile {
        size,
        blake3,
        sha256,
        ..
    } = stored;
    if (size, blake3, sha256) == (&found.size, &found.blake3, &found.sha256) {
        Ok(())
    } else {
        Err("its content is not what the entry says".into())
    }
}
