//! What a background session and its clients say to each other, and the file that names it.
//! Does not know how it is sent. `docs/formats.md` describes all of it.

use serde::{Deserialize, Serialize};

pub use crate::session::changes::Clock;

/// First line of both sides. Another one means that nothing after it can be understood, except for the word `stop`.
pub const MAGIC: &str = "larder session 1";
/// What a client may want: [`Answer`], [`Status`], or that it ends.
pub const WORDS: [&str; 3] = ["ask", "status", "stop"];

/// What changed since the clock that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The clock of this answer.
    pub clock: Clock,
    /// Why everything may have changed.
    pub everything: Option<String>,
    /// Else, the paths that may have changed, each with all that lies below.
    pub paths: Vec<Vec<u8>>,
    /// Variables that stand in the configuration, with the digest of the value each had where the session was started.
    pub variables: Vec<(String, Option<[u8; 32]>)>,
    /// Which files the session sees: see [`View`].
    pub view: View,
}

/// Device and inode of the root of a workspace, and the number of the mount namespace it is seen in (0 where there is none).
/// Whoever sees another one sees other files.
pub type View = (u64, u64, u64);

/// How a session does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub since: u64,
    /// How many folders it watches.
    pub folders: usize,
    /// How many batches of changes it saw.
    pub tick: u64,
    /// How many paths it remembers.
    pub paths: usize,
    /// Memory it holds, in bytes; 0 where the system does not say.
    pub memory: u64,
    /// Seconds until it ends, unless it is asked again.
    pub retires_in: u64,
    /// Why it can only answer "everything".
    pub blind: Option<String>,
    /// The version of its `larder`.
    pub version: String,
}

/// The file that names a session, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// Its process.
    pub pid: u32,
    /// What tells that process from a later one of the same number; empty where the system does not say.
    pub start: String,
    /// The version of its `larder`.
    pub version: String,
    /// Where its socket lies.
    pub socket: String,
}
