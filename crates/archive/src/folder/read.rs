//! Reading entries: which revisions there are, the latest of them that is intact, and the list of all.
//! Does not know writers, and needs no lock: whatever state a killed one left is read.

use std::fs;
use std::io;
use std::thread;

use super::{Archive, ArchiveError, failed, revision_of};
use crate::durable;
use crate::folder::open_entry;
use crate::format::{ArchiveEntry, EntryError};
use crate::id::EntryId;
use crate::index::{self, Index, Summary};

/// How often a reader begins anew because entries changed under it.
const ATTEMPTS: usize = 8;

/// What a list found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The entries, oldest first.
    pub summaries: Vec<Summary>,
    /// Entries of which a revision cannot be read, and why. One with an intact older revision is among the entries as well.
    pub problems: Vec<(EntryId, String)>,
}

/// The latest revision of an entry that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// The entry.
    pub entry: ArchiveEntry,
    /// Why each later revision was passed over, in words, the latest first.
    pub passed_over: Vec<String>,
}

/// What was found of the revisions of one entry.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The latest that can be read.
    pub(super) entry: Option<ArchiveEntry>,
    /// Later ones, the latest first. All of them are [`ArchiveError::Entry`].
    pub(super) faults: Vec<ArchiveError>,
    /// Whether a file went while it was looked for: another look will tell.
    gone: bool,
}

/// A list, and what an index lacks of it.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    pub(super) listing: Listing,
    /// Where in the listing those are that the index did not have.
    pub(super) unknown: Vec<usize>,
    /// Whether no file went meanwhile.
    complete: bool,
}

impl Archive {
    /// The latest revision of an entry that can be read; `None` when there is none. One that is damaged or a newer program's is passed
    /// over for an older one; [`Self::newest`] says so.
    ///
    /// # Errors
    /// [`ArchiveError::Entry`] when no revision can be read; [`ArchiveError::Io`].
    pub fn entry(&self, id: EntryId) -> Result<Option<ArchiveEntry>, ArchiveError> {
        Ok(self.newest(id)?.map(|newest| newest.entry))
    }

    /// The same, with why later revisions were passed over.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn newest(&self, id: EntryId) -> Result<Option<Newest>, ArchiveError> {
        for _ in 0..ATTEMPTS {
            let mut found = self.latest(&self.revisions_of(id)?)?;
            if let Some(entry) = found.entry {
                let passed_over = found.faults.iter().map(super::words).collect();
                return Ok(Some(Newest { entry, passed_over }));
            }
            if !found.gone {
                return match found.faults.drain(..).next() {
                    Some(error) => Err(error),
                    None => Ok(None),
                };
            }
        }
        Ok(None)
    }

    /// All entries, oldest first. The folder of entries says which there are; the index spares reading them. Reads whatever state a
    /// killed writer left, and writes nothing.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when the folder or a file in it cannot be read.
    pub fn list(&self) -> Result<Listing, ArchiveError> {
        let mut listing = Listing::default();
        for _ in 0..ATTEMPTS {
            let (files, index) = self.look()?;
            let found = self.summaries(&files, index)?;
            listing = found.listing;
            if found.complete {
                break;
            }
        }
        Ok(listing)
    }

    /// Reads the latest intact revision of every entry, one after the other; an error for an entry without any.
    #[cfg(feature = "attest")]
    pub(crate) fn newest_of_all(
        &self,
    ) -> Result<impl Iterator<Item = (EntryId, Result<ArchiveEntry, ArchiveError>)>, ArchiveError>
    {
        let files = self.files()?;
        let mut entries = Vec::new();
        for revisions in files.chunk_by(|one, next| one.0 == next.0) {
            entries.extend(revisions.last().map(|&(id, _)| (id, revisions.to_vec())));
        }
        Ok(entries.into_iter().filter_map(|(id, revisions)| {
            let read = self.latest(&revisions).map(|mut found| {
                let fault = found.faults.drain(..).next();
                (found.entry, fault)
            });
            match read {
                Ok((Some(entry), _)) => Some((id, Ok(entry))),
                Ok((None, Some(fault))) | Err(fault) => Some((id, Err(fault))),
                // It was pruned meanwhile.
                Ok((None, None)) => None,
            }
        }))
    }

    /// What is in the folder, and what the index says meanwhile: each is believed only where it agrees with the other.
    fn look(&self) -> Result<(Vec<(EntryId, u32)>, Index), ArchiveError> {
        thread::scope(|scope| {
            let index = thread::Builder::new().spawn_scoped(scope, || self.read_index());
            let files = self.files();
            let index = match index.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(index)) => index,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // The system has no thread to give.
                Err(_) => self.read_index(),
            };
            Ok((files?, index?))
        })
    }

    /// The summaries of these files, which are sorted.
    pub(super) fn summaries(
        &self,
        files: &[(EntryId, u32)],
        index: Index,
    ) -> Result<Summaries, ArchiveError> {
        let mut found = Summaries {
            complete: true,
            ..Summaries::default()
        };
        let listing = &mut found.listing;
        listing
            .summaries
            .reserve_exact(files.len().min(index.summaries.len()));
        // Both are in the same order.
        let mut known = index.summaries.into_iter().peekable();
        for revisions in files.chunk_by(|one, next| one.0 == next.0) {
            let Some(&newest) = revisions.last() else {
                continue;
            };
            let mut older = None;
            while let Some(one) = known.next_if(|one| one.key() < newest) {
                older = Some(one);
            }
            if let Some(summary) = known.next_if(|one| one.key() == newest) {
                listing.summaries.push(summary);
                continue;
            }
            let read = self.latest(revisions)?;
            found.complete &= !read.gone;
            for error in &read.faults {
                listing.problems.push((newest.0, super::words(error)));
            }
            if let Some(entry) = read.entry {
                let summary = Summary::of(&entry);
                if older.as_ref() != Some(&summary) {
                    found.unknown.push(listing.summaries.len());
                }
                listing.summaries.push(summary);
            }
        }
        Ok(found)
    }

    /// The latest of these revisions, which are sorted, that can be read.
    pub(super) fn latest(&self, revisions: &[(EntryId, u32)]) -> Result<Found, ArchiveError> {
        let mut found = Found::default();
        for &(id, revision) in revisions.iter().rev() {
            match self.read_entry(id, revision) {
                Ok(Some(entry)) => {
                    found.entry = Some(entry);
                    break;
                }
                // Only later ones make a revision go: an older one would be out of date.
                Ok(None) => {
                    found.gone = true;
                    break;
                }
                Err(error @ ArchiveError::Entry { .. }) => found.faults.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    pub(super) fn read_index(&self) -> Result<Index, ArchiveError> {
        let path = self.root.join("index");
        let bytes = durable::read(&path).map_err(|cause| failed("read", &path, cause))?;
        Ok(index::read(&bytes.unwrap_or_default()))
    }

    /// The files of one entry, the oldest revision first.
    pub(super) fn revisions_of(&self, id: EntryId) -> Result<Vec<(EntryId, u32)>, ArchiveError> {
        let mut files = self.files()?;
        files.retain(|&(one, _)| one == id);
        Ok(files)
    }

    /// All files of entries, by entry, the oldest revision first. Files with other names are nobody's business.
    pub(super) fn files(&self) -> Result<Vec<(EntryId, u32)>, ArchiveError> {
        let mut files = self.names("entries", revision_of)?;
        files.sort_unstable();
        Ok(files)
    }

    /// What `of` makes of the names of the files in a folder; nothing when the folder is missing.
    pub(super) fn names<T>(
        &self,
        folder: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ArchiveError> {
        let folder = self.root.join(folder);
        let broken = |cause| failed("list", &folder, cause);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(broken)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(broken)?.file_name();
            found.extend(name.to_str().and_then(&of));
        }
        Ok(found)
    }

    pub(super) fn read_entry(
        &self,
        id: EntryId,
        revision: u32,
    ) -> Result<Option<ArchiveEntry>, ArchiveError> {
        let path = self.root.join(Self::entry_name(id, revision));
        let Some(bytes) = durable::read(&path).map_err(|cause| failed("read", &path, cause))?
        else {
            return Ok(None);
        };
        let cause = match open_entry(&bytes) {
            Ok(entry) if (entry.id, entry.revision) == (id, revision) => return Ok(Some(entry)),
            Ok(_) => EntryError::Malformed {
                why: "it is another entry under this one's name".into(),
            },
            Err(cause) => cause,
        };
        Err(ArchiveError::Entry { path, cause })
    }
}
