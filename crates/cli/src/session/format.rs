//! The stored forms of lists of discovered inputs, version 1, and of what a session knows, version 1; see `docs/formats.md`.
//! Does not know where they are kept.

use serde::{Deserialize, Serialize};

use super::changes::Clock;
use super::warm::Known;

/// First bytes: name and version.
const MAGIC: &[u8; 8] = b"LRDLIST1";

/// One list: paths relative to the workspace, or absolute where they lie outside of it.
pub type List = Vec<Vec<u8>>;

/// Encodes lists, newest first; `None` when they cannot be.
pub fn encode(lists: &[List]) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(postcard::to_stdvec(lists).ok()?);
    Some(bytes)
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub fn decode(bytes: &[u8]) -> Option<Vec<List>> {
    postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()
}

/// What a session knows at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it holds for; of anything else it says nothing.
    pub scope: Scope,
    /// When, by the count of whoever told the changes.
    pub clock: Clock,
    /// Names and patterns of variables that requests hang on.
    pub names: Vec<String>,
    /// What git's index was, for the root and each mount.
    pub indexes: Vec<Option<Stamp>>,
    /// The state file at that moment.
    pub state: Option<Stamp>,
    /// Tasks by full name.
    pub known: Vec<(String, Known)>,
    /// Requests that found everything up to date, newest first.
    pub quiet: Vec<Quiet>,
}

/// What a snapshot hangs on as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Version of the program.
    pub program: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Digest of the workspace's place.
    pub root: [u8; 32],
    /// Digest of the resolved configuration.
    pub configuration: [u8; 32],
    /// Digest of a host's own options.
    pub options: Option<[u8; 32]>,
}

/// What tells whether a file was replaced or written: time of change and of content in nanoseconds, size, inode.
pub type Stamp = (i64, i64, u64, u64);

/// A request after which nothing was to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quiet {
    /// Digest of the request and of the variables it hangs on, keyed with the workspace's secret.
    pub request: [u8; 32],
    /// How many tasks are up to date.
    pub tasks: u64,
    /// How many stand for their dependencies.
    pub groups: u64,
    /// Seconds that did not have to be spent.
    pub saved_seconds: f64,
    /// Logs that are shown again: task, key, log.
    pub logs: Vec<(String, String, Vec<u8>)>,
}

/// First bytes of a snapshot: name and version.
const SNAPSHOT: &[u8; 8] = b"LRDSESS1";

/// What bytes turned out to be.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    /// A snapshot.
    Whole(Box<Snapshot>),
    /// One of another version.
    Foreign,
    /// Cut off or altered.
    Damaged,
}

/// Encodes a snapshot: magic, BLAKE3 of the rest, postcard; `None` when it cannot be.
pub fn encode_snapshot(snapshot: &Snapshot) -> Option<Vec<u8>> {
    let body = postcard::to_stdvec(snapshot).ok()?;
    let mut bytes = SNAPSHOT.to_vec();
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    Some(bytes)
}

/// Reads what [`encode_snapshot`] wrote.
pub fn decode_snapshot(bytes: &[u8]) -> Decoded {
    let Some(rest) = bytes.strip_prefix(SNAPSHOT) else {
        let ours = bytes.starts_with(&SNAPSHOT[..7]) && bytes.len() > 7;
        return if ours {
            Decoded::Foreign
        } else {
            Decoded::Damaged
        };
    };
    let Some((digest, body)) = rest.split_first_chunk::<32>() else {
        return Decoded::Damaged;
    };
    if blake3::hash(body).as_bytes() != digest {
        return Decoded::Damaged;
    }
    postcard::from_bytes(body).map_or(Decoded::Damaged, |snapshot| {
        Decoded::Whole(Box::new(snapshot))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_back_and_nothing_else_is_one() {
        let snapshot = Snapshot {
            scope: Scope {
                program: "1".to_owned(),
                platform: "p".to_owned(),
                root: [1; 32],
                configuration: [2; 32],
                options: None,
            },
            clock: Clock {
                instance: [3; 16],
                tick: 4,
            },
            names: vec!["A_*".to_owned()],
            indexes: vec![None, Some((1, 2, 3, 4))],
            state: None,
            known: vec![(
                "a#b".to_owned(),
                Known {
                    parts: [5; 32],
                    key: [6; 32],
                },
            )],
            quiet: Vec::new(),
        };
        let bytes = encode_snapshot(&snapshot).unwrap();
        assert_eq!(decode_snapshot(&bytes), Decoded::Whole(Box::new(snapshot)));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let expected = if at == 7 {
                Decoded::Foreign
            } else {
                Decoded::Damaged
            };
            assert_eq!(decode_snapshot(&other), expected, "{at}");
            assert_eq!(decode_snapshot(&bytes[..at]), Decoded::Damaged, "{at}");
        }
    }

    #[test]
    fn foreign_bytes_are_no_lists() {
        let lists = vec![vec![b"a.h".to_vec(), b"/usr/\xff".to_vec()], Vec::new()];
        let bytes = encode(&lists).unwrap();
        assert_eq!(decode(&bytes), Some(lists));
        let mut newer = bytes.clone();
        newer[7] = b'2';
        assert_eq!(decode(&newer), None);
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(b""), None);
    }
}
