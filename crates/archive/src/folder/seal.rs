//! Entries as files: the entry's JSON, and around it the digest that proves it.
//! Does not know where the file lies.

use crate::format::{ArchiveEntry, EntryError};

const BEFORE: &[u8] = b"{\"blake3\":\"";
const BETWEEN: &[u8] = b"\",\"entry\":";
const AFTER: &[u8] = b"}\n";
const DIGITS: usize = 64;

/// An entry as the bytes of its file: a JSON object of `blake3`, the digest of the text of `entry`, and `entry`.
///
/// # Errors
/// As [`ArchiveEntry::to_json`].
pub fn seal_entry(entry: &ArchiveEntry) -> Result<Vec<u8>, EntryError> {
    let json = entry.to_json()?;
    let digest = blake3::hash(&json).to_hex();
    Ok([BEFORE, digest.as_bytes(), BETWEEN, &json, AFTER].concat())
}

/// The entry of a file, proven.
///
/// # Errors
/// [`EntryError::Malformed`] if any bit of the file is not as it was written; else as [`ArchiveEntry::from_json`].
pub fn open_entry(file: &[u8]) -> Result<ArchiveEntry, EntryError> {
    let json = inside(file).ok_or_else(|| EntryError::Malformed {
        why: "its content and its digest do not match".into(),
    })?;
    ArchiveEntry::from_json(json)
}

fn inside(file: &[u8]) -> Option<&[u8]> {
    let (digest, rest) = file.strip_prefix(BEFORE)?.split_at_checked(DIGITS)?;
    let json = rest.strip_prefix(BETWEEN)?.strip_suffix(AFTER)?;
    (digest == blake3::hash(json).to_hex().as_bytes()).then_some(json)
}
