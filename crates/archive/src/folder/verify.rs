//! Verifying what an archive keeps, byte for byte, and restoring what was verified.
//! Does not know signatures; `attest` does.

use std::path::Path;

use super::{Archive, ArchiveError, words};
use crate::bundle::{BundleError, Extracted, Overwrite, extract_artifacts, verify_bundle};
use crate::digest::Digests;
use crate::format::{ArchiveEntry, Artifact, StoredFile};
use crate::id::EntryId;

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

impl Archive {
    /// Reads all that the archive keeps of an entry, and compares each byte with what it was.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`]; [`ArchiveError::Io`] when the folder of entries cannot be read. What is damaged is no error but a fault.
    pub fn verify(&self, id: EntryId) -> Result<Verified, ArchiveError> {
        let mut verified = Verified::default();
        let revisions = self.revisions_of(id)?;
        if revisions.is_empty() {
            return Err(ArchiveError::Missing { id });
        }
        let mut latest = None;
        for (_, revision) in revisions {
            let read = self.read_entry(id, revision);
            latest = read.as_ref().ok().cloned().flatten();
            // One that went meanwhile was followed by another.
            let read = read.map(|_| ()).map_err(|error| words(&error));
            verified.note(Self::entry_name(id, revision), read);
        }
        let Some(entry) = latest else {
            return Ok(verified);
        };
        if let Some(bundle) = &entry.bundle {
            verified.note(bundle.name.clone(), self.check_bundle(&entry, bundle));
        }
        if let Some(attestation) = &entry.attestation {
            verified.note(attestation.name.clone(), self.check_file(attestation));
        }
        Ok(verified)
    }

    /// Verifies all entries and the index.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when the folder of entries cannot be read.
    pub fn verify_all(&self) -> Result<Verified, ArchiveError> {
        let mut all = Verified::default();
        let revisions = self.files()?;
        let mut ids: Vec<EntryId> = revisions.iter().map(|&(id, _)| id).collect();
        ids.dedup();
        for id in ids {
            let one = match self.verify(id) {
                Err(ArchiveError::Missing { .. }) => continue,
                other => other?,
            };
            all.sound.extend(one.sound);
            all.faults.extend(one.faults);
        }
        let index = self.read_index()?;
        if self.root.join("index").exists() || !revisions.is_empty() {
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
        let entry = self.entry(id)?.ok_or(ArchiveError::Missing { id })?;
        let name = Self::bundle_name(id);
        let path = self.root.join(&name);
        if let Some(bundle) = &entry.bundle {
            self.check_bundle(&entry, bundle)
                .map_err(|why| BundleError::Damaged {
                    path: path.clone(),
                    why,
                })?;
        }
        Ok(extract_artifacts(&path, into, wanted, overwrite)?)
    }

    fn check_bundle(&self, entry: &ArchiveEntry, stored: &StoredFile) -> Result<(), String> {
        if stored.name != Self::bundle_name(entry.id) {
            return Err("the entry names another entry's bundle".into());
        }
        let checked =
            verify_bundle(&self.root.join(&stored.name)).map_err(|error| words(&error.into()))?;
        same(stored, &checked.digests)?;
        if checked.entry.id != entry.id {
            return Err(format!("it is the bundle of entry {}", checked.entry.id));
        }
        if checked.entry.artifacts != entry.artifacts {
            return Err("its artifacts are not those of the entry".into());
        }
        Ok(())
    }

    fn check_file(&self, stored: &StoredFile) -> Result<(), String> {
        let path = self
            .path(&stored.name)
            .ok_or("the entry's name of it leads elsewhere")?;
        let digests = Digests::of_file(&path).map_err(|error| error.to_string())?;
        same(stored, &digests)
    }
}

impl Verified {
    fn note(&mut self, file: String, found: Result<(), String>) {
        match found {
            Ok(()) => self.sound.push(file),
            Err(why) => self.faults.push(FileFault { file, why }),
        }
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
