//! The byte layout of entries: writing and reading it, version 2 (`FORMAT.md` lists every byte).
//! Knows nothing of files: bytes in, entries out, and anything unexpected is `None`.

use std::collections::BTreeMap;

use crate::manifest::kind_byte;
use crate::{ArtifactId, Entry, Key, Kind, Provenance, Row};

/// The version of the entry layout; a file with another one is a miss.
pub const VERSION: u32 = 2;

/// The first eight bytes of an entry.
pub const MAGIC: [u8; 8] = *b"larder\x00E";

/// How many bytes of a file [`head`] wants at most.
pub(crate) const HEAD: usize = 4096;

/// The part of an entry that prune and status need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) artifact: Option<ArtifactId>,
    pub(crate) task: String,
}

/// The bytes of an entry under its key.
pub fn encode(key: &Key, entry: &Entry) -> Vec<u8> {
    let rows: usize = entry.manifest.iter().map(|row| row.path.len() + 49).sum();
    let mut out = Vec::with_capacity(
        512 + rows + entry.log.len() + entry.note.len() + entry.inline.as_ref().map_or(0, Vec::len),
    );
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&key.0);
    out.push(
        u8::from(entry.artifact.is_some())
            | u8::from(entry.root.is_some()) << 1
            | u8::from(entry.inline.is_some()) << 2,
    );
    out.extend_from_slice(&entry.artifact.map_or([0; 32], |id| id.0));
    out.extend_from_slice(&entry.root.unwrap_or([0; 32]));
    out.extend_from_slice(&entry.duration_ms.to_le_bytes());
    out.extend_from_slice(&entry.provenance.created_ns.to_le_bytes());
    put(&mut out, entry.provenance.task.as_bytes());
    count(&mut out, entry.provenance.extra.len());
    for (name, value) in &entry.provenance.extra {
        put(&mut out, name.as_bytes());
        put(&mut out, value.as_bytes());
    }
    count(&mut out, entry.manifest.len());
    for row in &entry.manifest {
        put(&mut out, &row.path);
        out.push(kind_byte(row.kind));
        out.extend_from_slice(&row.mode.to_le_bytes());
        out.extend_from_slice(&row.size.to_le_bytes());
        out.extend_from_slice(&row.digest);
    }
    put(&mut out, &entry.log);
    if let Some(inline) = &entry.inline {
        put(&mut out, inline);
    }
    put(&mut out, &entry.note);
    let checksum = blake3::hash(&out);
    out.extend_from_slice(checksum.as_bytes());
    out
}

/// The entry in `bytes`, or `None` when they are not exactly an intact entry of this version under `key`.
pub fn decode(key: &Key, bytes: &[u8]) -> Option<Entry> {
    let (body, checksum) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(body) != *checksum {
        return None;
    }
    let mut input = Input(body);
    let Front {
        artifact,
        root,
        inline,
        duration_ms,
        created_ns,
        task,
    } = input.front(Some(key))?;
    let mut extra = BTreeMap::new();
    for _ in 0..input.number()? {
        let name = input.text()?;
        extra.insert(name, input.text()?);
    }
    let mut manifest = Vec::new();
    for _ in 0..input.number()? {
        manifest.push(Row {
            path: input.bytes()?.to_vec(),
            kind: match input.array::<1>()?[0] {
                0 => Kind::File,
                1 => Kind::Link,
                2 => Kind::EmptyDir,
                _ => return None,
            },
            mode: u32::from_le_bytes(input.array()?),
            size: input.number()?,
            digest: input.array()?,
        });
    }
    let log = input.bytes()?.to_vec();
    let inline = if inline {
        Some(input.bytes()?.to_vec())
    } else {
        None
    };
    let note = input.bytes()?.to_vec();
    let sorted = manifest.is_sorted_by(|one, two| one.path < two.path);
    (input.0.is_empty() && sorted).then_some(Entry {
        manifest,
        artifact,
        inline,
        log,
        duration_ms,
        provenance: Provenance {
            task,
            created_ns,
            extra,
        },
        root,
        note,
    })
}

/// The head of an entry from its first [`HEAD`] bytes; the checksum is not looked at.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let Front { artifact, task, .. } = Input(bytes).front(None)?;
    Some(Head { artifact, task })
}

fn count(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u64).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Input<'a>(&'a [u8]);

struct Front {
    artifact: Option<ArtifactId>,
    root: Option<[u8; 32]>,
    /// Whether the artifact follows in the entry itself.
    inline: bool,
    duration_ms: u64,
    created_ns: i64,
    task: String,
}

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn front(&mut self, key: Option<&Key>) -> Option<Front> {
        if self.array()? != MAGIC || u32::from_le_bytes(self.array()?) != VERSION {
            return None;
        }
        let stored: [u8; 32] = self.array()?;
        if key.is_some_and(|key| key.0 != stored) {
            return None;
        }
        let [flags] = self.array()?;
        let artifact = ArtifactId(self.array()?);
        let root = self.array()?;
        // The bytes lie in one place: here, or in the artifact.
        if flags > 7 || flags & 5 == 5 {
            return None;
        }
        Some(Front {
            artifact: (flags & 1 != 0).then_some(artifact),
            root: (flags & 2 != 0).then_some(root),
            inline: flags & 4 != 0,
            duration_ms: self.number()?,
            created_ns: i64::from_le_bytes(self.array()?),
            task: self.text()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Entry {
        Entry {
            manifest: vec![
                Row {
                    path: b"dist/a\xff".to_vec(),
                    kind: Kind::File,
                    mode: 0o755,
                    size: 3,
                    digest: [7; 32],
                },
                Row {
                    path: b"dist/l".to_vec(),
                    kind: Kind::Link,
                    mode: 0o777,
                    size: 1,
                    digest: [8; 32],
                },
            ],
            artifact: Some(ArtifactId([9; 32])),
            inline: None,
            log: b"hello\n".to_vec(),
            duration_ms: 12,
            provenance: Provenance {
                task: "web#build".into(),
                created_ns: -5,
                extra: [("host".to_owned(), "x".to_owned())].into(),
            },
            root: Some([3; 32]),
            note: vec![1, 2, 3],
        }
    }

    #[test]
    fn an_entry_reads_back() {
        let key = Key([1; 32]);
        let bytes = encode(&key, &sample());
        assert_eq!(decode(&key, &bytes), Some(sample()));
        assert_eq!(decode(&Key([2; 32]), &bytes), None);
        let head = head(&bytes[..200]).unwrap();
        assert_eq!(head.task, "web#build");
        assert_eq!(head.artifact, Some(ArtifactId([9; 32])));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_a_miss() {
        let key = Key([1; 32]);
        let bytes = encode(&key, &sample());
        for at in 0..bytes.len() {
            assert_eq!(decode(&key, &bytes[..at]), None, "cut at {at}");
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(decode(&key, &bad), None, "bit {bit} of byte {at}");
            }
        }
    }

    /// An entry's bytes after a change, with a checksum that is right for them.
    fn changed(entry: &Entry, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = encode(&Key([1; 32]), entry);
        bytes.truncate(bytes.len() - 32);
        change(&mut bytes);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    #[test]
    fn another_form_with_a_right_checksum_is_a_miss() {
        let key = Key([1; 32]);
        let right = sample();
        assert_eq!(decode(&key, &changed(&right, |_| ())), Some(right.clone()));
        let (mut turned, mut twice) = (right.clone(), right.clone());
        turned.manifest.reverse();
        twice.manifest[1] = twice.manifest[0].clone();
        for (what, bad) in [
            ("magic", changed(&right, |bytes| bytes[0] ^= 1)),
            ("version", changed(&right, |bytes| bytes[8] = 3)),
            ("flags", changed(&right, |bytes| bytes[44] |= 4)),
            (
                "bytes after the end",
                changed(&right, |bytes| bytes.push(0)),
            ),
            ("rows out of order", changed(&turned, |_| ())),
            ("a row twice", changed(&twice, |_| ())),
        ] {
            assert_eq!(decode(&key, &bad), None, "{what}");
        }
        let mut both = right.clone();
        both.inline = Some(Vec::new());
        assert_eq!(decode(&key, &encode(&key, &both)), None, "two places");
        for (artifact, root, inline) in [
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (false, true, true),
        ] {
            let mut entry = right.clone();
            entry.inline = inline.then(|| b"small".to_vec());
            entry.artifact = entry.artifact.filter(|_| artifact);
            entry.root = entry.root.filter(|_| root);
            assert_eq!(decode(&key, &encode(&key, &entry)), Some(entry));
        }
    }

    #[test]
    fn huge_counts_are_refused_without_allocating() {
        let key = Key([1; 32]);
        let mut entry = sample();
        entry.manifest.clear();
        let mut bytes = encode(&key, &entry);
        let body = bytes.len() - 32;
        // The last field is the note: claim that it is enormous.
        bytes[body - 11..body - 3].copy_from_slice(&u64::MAX.to_le_bytes());
        let checksum = blake3::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(checksum.as_bytes());
        assert_eq!(decode(&key, &bytes), None);
    }
}
