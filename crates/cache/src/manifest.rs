//! Manifests: what a task's outputs are, as sorted rows; their digest and their differences.
//! Knows nothing of disks, archives or stores.

use serde::{Deserialize, Serialize};

/// The digest of an empty folder, in rows and in ownership maps.
pub const EMPTY_DIR: [u8; 32] = [0; 32];

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link, kept as its text.
    Link,
    /// A folder without content of its own.
    EmptyDir,
}

/// One output. Of `mode` only whether any executable bit is set counts for equality: the rest depends on the umask.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Relative to the root, `/`-separated.
    pub path: Vec<u8>,
    /// What lies there.
    pub kind: Kind,
    /// Permission bits (`0o777` at most); `0o777` for links.
    pub mode: u32,
    /// Bytes of the file or of the link's text; 0 for a folder.
    pub size: u64,
    /// BLAKE3 of the file's content or of the link's text; [`EMPTY_DIR`] for a folder.
    pub digest: [u8; 32],
}

/// Rows sorted by path, without duplicates.
pub type Manifest = Vec<Row>;

impl Row {
    /// Whether this is a file that anyone may execute.
    pub fn executable(&self) -> bool {
        self.kind == Kind::File && self.mode & 0o111 != 0
    }

    /// Whether both rows mean the same output: path, kind, executable bit, size and content.
    pub fn same(&self, other: &Row) -> bool {
        self.path == other.path
            && self.kind == other.kind
            && self.executable() == other.executable()
            && self.size == other.size
            && self.digest == other.digest
    }
}

/// The digest of a manifest: BLAKE3 over `larder manifest 1\n`, the number of rows, and of each row
/// the length of its path, the path, the kind (0 file, 1 link, 2 empty folder), 1 if executable else 0,
/// the size and the digest; numbers are `u64` little-endian, kind and executable one byte each.
pub fn digest(rows: &[Row]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"larder manifest 1\n");
    hasher.update(&(rows.len() as u64).to_le_bytes());
    for row in rows {
        hasher.update(&(row.path.len() as u64).to_le_bytes());
        hasher.update(&row.path);
        hasher.update(&[kind_byte(row.kind), u8::from(row.executable())]);
        hasher.update(&row.size.to_le_bytes());
        hasher.update(&row.digest);
    }
    *hasher.finalize().as_bytes()
}

pub(crate) fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Link => 1,
        Kind::EmptyDir => 2,
    }
}

/// How two manifests differ at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only the first has it.
    OnlyFirst(Vec<u8>),
    /// Only the second has it.
    OnlySecond(Vec<u8>),
    /// Both have it, with another kind, executable bit, size or content.
    Changed(Vec<u8>),
}

impl Difference {
    /// The path that differs.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::OnlyFirst(path) | Self::OnlySecond(path) | Self::Changed(path) => path,
        }
    }
}

/// Every path at which the sorted manifests differ, in order; empty when they mean the same outputs.
pub fn diff(first: &[Row], second: &[Row]) -> Vec<Difference> {
    let mut found = Vec::new();
    let (mut left, mut right) = (first.iter().peekable(), second.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return found,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(two)) => one.path.cmp(&two.path),
        };
        let one = if order.is_le() { left.next() } else { None };
        let two = if order.is_ge() { right.next() } else { None };
        match (one, two) {
            (Some(one), Some(two)) if one.same(two) => {}
            (Some(one), Some(_)) => found.push(Difference::Changed(one.path.clone())),
            (Some(one), None) => found.push(Difference::OnlyFirst(one.path.clone())),
            (None, Some(two)) => found.push(Difference::OnlySecond(two.path.clone())),
            (None, None) => return found,
        }
    }
}

/// Whether `path` is a relative path that stays below its root: no empty, `.` or `..` component and no NUL;
/// where `\` and `:` mean something to the system, they are refused as well.
pub(crate) fn is_plain(path: &[u8]) -> bool {
    !path.contains(&0)
        && path
            .split(|byte| *byte == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b"..")
        && !(cfg!(windows) && path.iter().any(|byte| matches!(byte, b'\\' | b':')))
}

/// The folder of a path and its last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, content: &str, mode: u32) -> Row {
        Row {
            path: path.into(),
            kind: Kind::File,
            mode,
            size: content.len() as u64,
            digest: *blake3::hash(content.as_bytes()).as_bytes(),
        }
    }

    #[test]
    fn only_the_executable_bit_of_a_mode_counts() {
        let plain = [row("a", "x", 0o644)];
        assert_eq!(digest(&plain), digest(&[row("a", "x", 0o600)]));
        assert_ne!(digest(&plain), digest(&[row("a", "x", 0o755)]));
        assert!(diff(&plain, &[row("a", "x", 0o664)]).is_empty());
    }

    #[test]
    fn lengths_keep_neighbours_apart() {
        let one = [row("ab", "", 0), row("c", "", 0)];
        let two = [row("a", "", 0), row("bc", "", 0)];
        assert_ne!(digest(&one), digest(&two));
        assert_ne!(digest(&[]), digest(&one[..1]));
    }

    #[test]
    fn differences_name_each_path() {
        let one = [row("a", "1", 0), row("b", "1", 0), row("c", "1", 0)];
        let two = [row("b", "2", 0), row("c", "1", 0), row("d", "1", 0)];
        assert_eq!(
            diff(&one, &two),
            [
                Difference::OnlyFirst(b"a".to_vec()),
                Difference::Changed(b"b".to_vec()),
                Difference::OnlySecond(b"d".to_vec()),
            ]
        );
    }

    #[test]
    fn outputs_are_the_same_only_in_every_part() {
        let one = row("a", "x", 0o644);
        let of = |change: fn(&mut Row)| {
            let mut other = one.clone();
            change(&mut other);
            (one.same(&other), other.same(&one))
        };
        assert_eq!(of(|row| row.mode = 0o600), (true, true));
        for change in [
            (|row| row.path = b"b".to_vec()) as fn(&mut Row),
            |row| row.kind = Kind::Link,
            |row| row.mode = 0o744,
            |row| row.size += 1,
            |row| row.digest[31] ^= 1,
        ] {
            assert_eq!(of(change), (false, false));
        }
    }

    #[test]
    fn plain_paths_stay_below() {
        let unix: &[&str] = if cfg!(windows) { &[] } else { &["a:b", "a\\b"] };
        for good in ["a", "a/b", "..a", "a b", "é"].iter().chain(unix) {
            assert!(is_plain(good.as_bytes()), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0"] {
            assert!(!is_plain(bad.as_bytes()), "{bad}");
        }
    }
}
