//! The memo's form on disk, to the byte; `FORMAT.md` describes the same.
//! Knows nothing of which facts are kept or trusted.

use crate::Digest;
use crate::files::Kind;

/// First bytes of a memo file.
pub(crate) const MAGIC: [u8; 8] = *b"LARDMEMO";
/// Version of the layout; any other is an empty memo.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the folder records.
pub(crate) const HEADER: usize = 96;
/// Bytes of a folder record.
pub(crate) const FOLDER: usize = 96;
/// Bytes of a name record.
pub(crate) const NAME: usize = 80;

/// What the ignore rules say of a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No rule excludes it.
    Kept,
    /// Excluded.
    Ignored,
    /// An excluded folder that holds files git tracks.
    Buried,
}

/// The five numbers that must be equal for a fact to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Tuple {
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl From<&crate::Stat> for Tuple {
    fn from(stat: &crate::Stat) -> Self {
        Self {
            size: stat.size,
            mtime: stat.mtime_ns,
            ctime: stat.ctime_ns,
            dev: stat.dev,
            ino: stat.ino,
        }
    }
}

/// A folder record. `tuple` is `None` when the names below are no full listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FolderRecord<'m> {
    pub(crate) path: &'m [u8],
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) tuple: Option<Tuple>,
    pub(crate) shape: [u8; 32],
}

/// A name record. `known` is the digest of the content and the stat tuple it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameRecord<'m> {
    pub(crate) name: &'m [u8],
    pub(crate) kind: Kind,
    pub(crate) fate: Fate,
    pub(crate) known: Option<(Tuple, Digest)>,
}

/// A checked memo file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'m> {
    folders: &'m [u8],
    names: &'m [u8],
    blob: &'m [u8],
}

impl<'m> View<'m> {
    /// Checks everything; `None` for whatever is not a sound memo of this configuration.
    pub(crate) fn check(bytes: &'m [u8], config: &[u8; 32]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        if header[..8] != MAGIC || u32_at(header, 8) != VERSION || header[32..64] != config[..] {
            return None;
        }
        let folders = (u32_at(header, 12) as usize).checked_mul(FOLDER)?;
        let names = (u32_at(header, 16) as usize).checked_mul(NAME)?;
        let blob = usize::try_from(u64_at(header, 24)).ok()?;
        let total = HEADER
            .checked_add(folders)?
            .checked_add(names)?
            .checked_add(blob)?;
        if bytes.len() != total || header[64..] != checksum(&header[..64], &bytes[HEADER..]) {
            return None;
        }
        let (folders, rest) = bytes[HEADER..].split_at(folders);
        let (names, blob) = rest.split_at(names);
        Some(Self {
            folders,
            names,
            blob,
        })
    }

    /// Folders and names it holds.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.folders.len() / FOLDER, self.names.len() / NAME)
    }

    /// The parts of a file that was checked before.
    pub(crate) fn again(bytes: &'m [u8]) -> Self {
        let empty = Self {
            folders: &[],
            names: &[],
            blob: &[],
        };
        let Some(header) = bytes.get(..HEADER) else {
            return empty;
        };
        let folders = u32_at(header, 12) as usize * FOLDER;
        let names = u32_at(header, 16) as usize * NAME;
        let Some((folders, rest)) = bytes[HEADER..].split_at_checked(folders) else {
            return empty;
        };
        let Some((names, blob)) = rest.split_at_checked(names) else {
            return empty;
        };
        Self {
            folders,
            names,
            blob,
        }
    }

    pub(crate) fn folder_count(&self) -> usize {
        self.folders.len() / FOLDER
    }

    pub(crate) fn folder(&self, index: usize) -> Option<FolderRecord<'m>> {
        let record = self.folders.get(index * FOLDER..(index + 1) * FOLDER)?;
        let tuple = Tuple {
            size: u64_at(record, 24),
            mtime: i64_at(record, 32),
            ctime: i64_at(record, 40),
            dev: u64_at(record, 48),
            ino: u64_at(record, 56),
        };
        let mut shape = [0; 32];
        shape.copy_from_slice(&record[64..96]);
        Some(FolderRecord {
            path: self.text(u32_at(record, 0), u32_at(record, 4)),
            first: u32_at(record, 8),
            count: u32_at(record, 12),
            tuple: (u32_at(record, 16) == 1).then_some(tuple),
            shape,
        })
    }

    pub(crate) fn name(&self, index: usize) -> Option<NameRecord<'m>> {
        let record = self.names.get(index * NAME..(index + 1) * NAME)?;
        let length = u32::from(u16::from_le_bytes([record[4], record[5]]));
        let kind = match record[6] {
            0 => Kind::File,
            1 => Kind::Link,
            2 => Kind::Folder,
            _ => Kind::Other,
        };
        let fate = match record[7] & 3 {
            0 => Fate::Kept,
            1 => Fate::Ignored,
            _ => Fate::Buried,
        };
        let tuple = Tuple {
            size: u64_at(record, 8),
            mtime: i64_at(record, 16),
            ctime: i64_at(record, 24),
            dev: u64_at(record, 32),
            ino: u64_at(record, 40),
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(&record[48..80]);
        Some(NameRecord {
            name: self.text(u32_at(record, 0), length),
            kind,
            fate,
            known: (record[7] & 128 != 0).then_some((tuple, Digest(digest))),
        })
    }

    /// The folder record of a path, by binary search.
    pub(crate) fn find_folder(&self, path: &[u8]) -> Option<FolderRecord<'m>> {
        let (mut low, mut high) = (0, self.folder_count());
        while low < high {
            let middle = usize::midpoint(low, high);
            let record = self.folders.get(middle * FOLDER..)?;
            match self.text(u32_at(record, 0), u32_at(record, 4)).cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.folder(middle),
            }
        }
        None
    }

    /// The index of a name's record in a folder, by binary search.
    pub(crate) fn find_name(&self, folder: &FolderRecord<'_>, name: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (
            folder.first as usize,
            (folder.first as usize).checked_add(folder.count as usize)?,
        );
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.name(middle)?.name.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    fn text(&self, offset: u32, length: u32) -> &'m [u8] {
        let start = offset as usize;
        start
            .checked_add(length as usize)
            .and_then(|end| self.blob.get(start..end))
            .unwrap_or(b"")
    }
}

/// Builds a memo file; folders and their names must come sorted.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    folders: Vec<u8>,
    names: Vec<u8>,
    blob: Vec<u8>,
}

impl Builder {
    /// Starts a folder; its names follow. `false` when the memo is full.
    pub(crate) fn folder(
        &mut self,
        path: &[u8],
        tuple: Option<Tuple>,
        shape: &[u8; 32],
        count: usize,
    ) -> bool {
        let first = self.names.len() / NAME;
        let (Some(offset), Ok(length)) = (self.text(path), u32::try_from(path.len())) else {
            return false;
        };
        let (Ok(first), Ok(count)) = (u32::try_from(first), u32::try_from(count)) else {
            return false;
        };
        for number in [offset, length, first, count, u32::from(tuple.is_some()), 0] {
            self.folders.extend_from_slice(&number.to_le_bytes());
        }
        put_tuple(&mut self.folders, tuple.unwrap_or_default());
        self.folders.extend_from_slice(shape);
        true
    }

    /// Adds a name to the folder begun last. `false` when the memo is full.
    pub(crate) fn name(&mut self, record: &NameRecord<'_>) -> bool {
        let (Some(offset), Ok(length)) = (self.text(record.name), u16::try_from(record.name.len()))
        else {
            return false;
        };
        self.names.extend_from_slice(&offset.to_le_bytes());
        self.names.extend_from_slice(&length.to_le_bytes());
        self.names.push(match record.kind {
            Kind::File => 0,
            Kind::Link => 1,
            Kind::Folder => 2,
            Kind::Other => 3,
        });
        let fate = match record.fate {
            Fate::Kept => 0,
            Fate::Ignored => 1,
            Fate::Buried => 2,
        };
        self.names
            .push(fate | if record.known.is_some() { 128 } else { 0 });
        let (tuple, digest) = record.known.unwrap_or_default();
        put_tuple(&mut self.names, tuple);
        self.names.extend_from_slice(&digest.0);
        true
    }

    /// The whole file.
    pub(crate) fn finish(self, config: &[u8; 32]) -> Vec<u8> {
        let count = |bytes: usize, record: usize| {
            u32::try_from(bytes / record)
                .unwrap_or(u32::MAX)
                .to_le_bytes()
        };
        let mut file =
            Vec::with_capacity(HEADER + self.folders.len() + self.names.len() + self.blob.len());
        file.extend_from_slice(&MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&count(self.folders.len(), FOLDER));
        file.extend_from_slice(&count(self.names.len(), NAME));
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&(self.blob.len() as u64).to_le_bytes());
        file.extend_from_slice(config);
        file.extend_from_slice(&[0; 32]);
        file.extend_from_slice(&self.folders);
        file.extend_from_slice(&self.names);
        file.extend_from_slice(&self.blob);
        let sum = checksum(&file[..64], &file[HEADER..]);
        file[64..HEADER].copy_from_slice(&sum);
        file
    }

    fn text(&mut self, text: &[u8]) -> Option<u32> {
        let offset = u32::try_from(self.blob.len()).ok()?;
        self.blob.extend_from_slice(text);
        Some(offset)
    }
}

fn put_tuple(out: &mut Vec<u8>, tuple: Tuple) {
    out.extend_from_slice(&tuple.size.to_le_bytes());
    out.extend_from_slice(&tuple.mtime.to_le_bytes());
    out.extend_from_slice(&tuple.ctime.to_le_bytes());
    out.extend_from_slice(&tuple.dev.to_le_bytes());
    out.extend_from_slice(&tuple.ino.to_le_bytes());
}

/// What opening these bytes as a memo comes to, in words for a log.
pub(crate) fn told(bytes: Option<&[u8]>, config: &[u8; 32]) -> String {
    let Some(bytes) = bytes else {
        return "there is none, so every file is digested".to_owned();
    };
    if let Some(view) = View::check(bytes, config) {
        let (folders, names) = view.counts();
        return format!("opened, {folders} folders and {names} names");
    }
    let why = match bytes.get(..HEADER) {
        None => "it is too short",
        Some(header) if header[..8] != MAGIC || u32_at(header, 8) != VERSION => {
            "it is of another version"
        }
        Some(header) if header[32..64] != config[..] => {
            "it was made under another identity, such as an earlier boot"
        }
        Some(_) => "it is damaged",
    };
    format!("purged, so every file is digested: {why}")
}

/// Whether these bytes were a memo of this version and identity before something was cut off or altered.
pub(crate) fn is_damaged(bytes: &[u8], config: &[u8; 32]) -> bool {
    if View::check(bytes, config).is_some() {
        return false;
    }
    match bytes.get(..HEADER) {
        None => true,
        Some(header) => {
            header[..8] == MAGIC && u32_at(header, 8) == VERSION && header[32..64] == config[..]
        }
    }
}

fn checksum(header: &[u8], body: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new()
        .update(header)
        .update(body)
        .finalize()
        .as_bytes()
}

// Callers pass slices of a record's fixed length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    u64_at(bytes, at).cast_signed()
}
