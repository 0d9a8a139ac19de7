//! Reading bundles, and proving that they are what was packed.
//! Does not know what an entry in an archive says of them: it compares a bundle with itself, and gives its digests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use super::{
    ARTIFACTS, BundleError, COMPRESSED, MANIFESTS, RECORD, SEAL, SEAL_LENGTH, check_name, io_error,
    seal,
};
use crate::digest::{Digesting, Digests};
use crate::format::{ArchiveEntry, Artifact};
use crate::manifests::Manifests;

/// Bytes of the longest member that is read into memory.
const LONGEST: u64 = 1 << 30;

/// A bundle that is what was packed.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The entry, as it was when the bundle was packed.
    pub entry: ArchiveEntry,
    /// The manifests of the run.
    pub manifests: Manifests,
    /// All members, in order.
    pub members: Vec<Member>,
    /// Size and digests of the bundle itself, to be compared with what the archive's entry says.
    pub digests: Digests,
}

/// A member of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// Reads a bundle whole and checks each byte of it: the digest at its end, every member, and every artifact against the entry inside.
///
/// # Errors
/// [`BundleError::Damaged`] if any bit is not as it was packed; [`BundleError::Entry`] when a newer program packed it; [`BundleError::Io`].
pub fn verify_bundle(path: &Path) -> Result<Checked, BundleError> {
    let mut file = File::open(path).map_err(|cause| io_error("open", path, cause))?;
    let digests = verify_seal(path, &mut file)?;
    file.rewind()
        .map_err(|cause| io_error("read", path, cause))?;
    let (mut entry, mut manifests) = (None, None);
    let mut found = BTreeMap::new();
    let mut members = Vec::new();
    let walked = walk(path, file, &mut |name, executable, content| {
        let size = content.limit();
        members.push(Member {
            name: name.to_owned(),
            size,
        });
        let damaged = |why: String| damaged(path, why);
        if let Some(name) = name.strip_prefix(ARTIFACTS) {
            let mut digesting = Digesting::new(io::sink());
            crate::digest::copy(content, &mut digesting)
                .map_err(|error| damaged(error.to_string()))?;
            let digests = digesting.finish().1;
            let artifact = Artifact {
                name: name.into(),
                size: digests.size,
                blake3: digests.blake3,
                sha256: digests.sha256,
                executable,
            };
            if found.insert(artifact.name.clone(), artifact).is_some() {
                return Err(damaged(format!("it holds `{name}` twice")));
            }
        } else if name == RECORD {
            entry = Some(ArchiveEntry::from_json(&whole(path, content)?)?);
        } else if name == MANIFESTS {
            let read = Manifests::from_json(&whole(path, content)?);
            manifests = Some(read.map_err(|why| damaged(format!("`{MANIFESTS}`: {why}")))?);
        } else {
            crate::digest::copy(content, &mut io::sink())
                .map_err(|error| damaged(error.to_string()))?;
        }
        Ok(true)
    });
    walked?;
    let entry = entry.ok_or_else(|| damaged(path, format!("it holds no `{RECORD}`")))?;
    let manifests = manifests.ok_or_else(|| damaged(path, format!("it holds no `{MANIFESTS}`")))?;
    for artifact in &entry.artifacts {
        if found.remove(&artifact.name).as_ref() != Some(artifact) {
            let why = format!("`{}` is not what the record says", artifact.name);
            return Err(damaged(path, why));
        }
    }
    if let Some(name) = found.keys().next() {
        return Err(damaged(path, format!("the record does not name `{name}`")));
    }
    Ok(Checked {
        entry,
        manifests,
        members,
        digests,
    })
}

/// The members of a bundle, which is not verified.
///
/// # Errors
/// [`BundleError::Damaged`] when that shows; [`BundleError::Io`].
pub fn members(path: &Path) -> Result<Vec<Member>, BundleError> {
    let file = File::open(path).map_err(|cause| io_error("open", path, cause))?;
    let mut members = Vec::new();
    walk(path, file, &mut |name, _, content| {
        let size = content.limit();
        members.push(Member {
            name: name.to_owned(),
            size,
        });
        Ok(true)
    })?;
    Ok(members)
}

/// The content of one member of a bundle, which is not verified; `None` when it has no such member.
///
/// # Errors
/// [`BundleError::Damaged`] when that shows, or when the member is longer than a gibibyte; [`BundleError::Io`].
pub fn read_member(path: &Path, wanted: &str) -> Result<Option<Vec<u8>>, BundleError> {
    let file = File::open(path).map_err(|cause| io_error("open", path, cause))?;
    let mut found = None;
    walk(path, file, &mut |name, _, content| {
        if name == wanted {
            found = Some(whole(path, content)?);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// What is called with each member: its name, whether it is executable, and its content. It says whether to go on.
pub(super) type Visit<'a> =
    &'a mut dyn FnMut(&str, bool, &mut io::Take<&mut dyn Read>) -> Result<bool, BundleError>;

/// Goes through the members. Anything but a regular file with an allowed name is damage.
pub(super) fn walk(path: &Path, file: File, visit: Visit<'_>) -> Result<(), BundleError> {
    let broken = |error: io::Error| damaged(path, error.to_string());
    let decoder = zstd::Decoder::new(BufReader::new(file)).map_err(broken)?;
    let mut tar = tar::Archive::new(decoder);
    for member in tar.entries().map_err(broken)? {
        let mut member = member.map_err(broken)?;
        let name = String::from_utf8(member.path_bytes().into_owned())
            .map_err(|_| damaged(path, "the name of a member is no text".into()))?;
        if let Err(refused) = check_name(&name) {
            return Err(damaged(path, refused.to_string()));
        }
        if member.header().entry_type() != tar::EntryType::Regular {
            let why = format!("`{name}` is no regular file");
            return Err(damaged(path, why));
        }
        let executable = member.header().mode().map_err(broken)? & 0o100 != 0;
        let size = member.size();
        let reader: &mut dyn Read = &mut member;
        if !visit(&name, executable, &mut reader.take(size))? {
            break;
        }
    }
    Ok(())
}

/// Compares the last frame with all before it, and gives the digests of the whole.
fn verify_seal(path: &Path, file: &mut File) -> Result<Digests, BundleError> {
    let broken = |cause| io_error("read", path, cause);
    let length = file.metadata().map_err(broken)?.len();
    let mut begin = Vec::new();
    let mut beginning = (&*file).take(COMPRESSED.len() as u64);
    beginning.read_to_end(&mut begin).map_err(broken)?;
    file.rewind().map_err(broken)?;
    let begins = COMPRESSED.starts_with(&begin);
    let Some(body) = length.checked_sub(SEAL_LENGTH as u64) else {
        return Err(if begins {
            damaged(path, "it is too short for a bundle".into())
        } else {
            foreign(path)
        });
    };
    let mut digesting = Digesting::new(io::sink());
    crate::digest::copy(&mut (&*file).take(body), &mut digesting).map_err(broken)?;
    let expected = seal(digesting.blake3.finalize());
    let mut end = Vec::new();
    file.read_to_end(&mut end).map_err(broken)?;
    if end != expected {
        // A file that has neither end of a bundle was none before it was damaged.
        if !begins && end.get(8..16) != Some(&SEAL) {
            return Err(foreign(path));
        }
        let why = "its content and the digest at its end do not match".into();
        return Err(damaged(path, why));
    }
    io::Write::write_all(&mut digesting, &end).map_err(broken)?;
    Ok(digesting.finish().1)
}

fn whole(path: &Path, content: &mut io::Take<&mut dyn Read>) -> Result<Vec<u8>, BundleError> {
    if content.limit() > LONGEST {
        return Err(damaged(path, "a member is longer than a gibibyte".into()));
    }
    let mut bytes = Vec::new();
    content
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(path, error.to_string()))?;
    Ok(bytes)
}

fn foreign(path: &Path) -> BundleError {
    let path = path.to_owned();
    BundleError::Foreign { path }
}

pub(super) fn damaged(path: &Path, why: String) -> BundleError {
    let path = path.to_owned();
    BundleError::Damaged { path, why }
}
