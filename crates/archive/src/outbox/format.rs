//! The stored form of a delivery: one line of JSON, then a line with its digest.
//! Does not know where it is stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::name::Name;

/// The version that this code reads and writes.
const VERSION: u32 = 1;

/// One object of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name at the destination.
    pub name: Name,
    /// The file it is read from, by its name under the folder of sources.
    pub source: Name,
    /// BLAKE3 of its content, in lower-case hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A delivery as it is stored. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// The entry's id.
    pub entry: String,
    /// The destination's id.
    pub destination: String,
    /// What is delivered, in this order.
    pub parts: Vec<Part>,
    /// When it was noted.
    pub enqueued: u64,
    /// Tries that failed since the last that did not.
    pub attempts: u32,
    /// Not tried again before; 0 for at once.
    pub next_try: u64,
    /// What the last try said.
    pub last_error: Option<String>,
    /// When it was delivered, or given up.
    pub finished: Option<u64>,
    /// Why it was given up.
    pub failure: Option<Failure>,
}

/// One object of a stored delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name at the destination.
    pub name: String,
    /// The file it is read from, by its name under the folder of sources.
    pub source: String,
    /// BLAKE3 of its content, in lower-case hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// How it arrived; `None` until that is proven.
    pub sent: Option<Sent>,
}

/// How an object arrived. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When that was proven.
    pub at: u64,
    /// How long it took to put it there; 0 when it was found there.
    pub put: u64,
    /// How long it took to read it back.
    pub verify: u64,
    /// Whether it was there already.
    pub found: bool,
}

/// Why a delivery was given up. Somebody has to mend it; then [`super::Outbox::retry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    /// Something else is there under this name. It stays as it is.
    Conflict {
        /// The name at the destination.
        name: String,
    },
    /// What arrived is not what was sent. It cannot be replaced from here.
    Damaged {
        /// The name at the destination.
        name: String,
    },
    /// The file that was to be sent is gone.
    SourceMissing {
        /// The file.
        source: String,
    },
    /// The file that was to be sent has other content by now.
    SourceChanged {
        /// The file.
        source: String,
    },
    /// The destination lets nobody in, or not with these credentials.
    Refused,
    /// The destination cannot be used with this program, or not with these settings.
    Unusable {
        /// What is wrong.
        why: String,
    },
    /// No destination of this id is configured.
    NotConfigured,
    /// As many tries failed as were allowed.
    TooManyTries,
}

/// Why a file is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not what was written.
    Damaged,
    /// Of another version.
    Version(u32),
}

/// What records of all versions have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Record {
    pub(super) fn new(delivery: &Delivery, now: u64) -> Self {
        let parts = delivery.objects.iter().map(|object| Part {
            name: object.name.to_string(),
            source: object.source.to_string(),
            digest: object.digest.clone(),
            size: object.size,
            sent: None,
        });
        Self {
            version: VERSION,
            entry: delivery.entry.clone(),
            destination: delivery.destination.clone(),
            parts: parts.collect(),
            enqueued: now,
            attempts: 0,
            next_try: 0,
            last_error: None,
            finished: None,
            failure: None,
        }
    }

    pub(super) fn is_of(&self, delivery: &Delivery) -> bool {
        let mut other = Self::new(delivery, self.enqueued).parts;
        for (part, mine) in other.iter_mut().zip(&self.parts) {
            part.sent = mine.sent;
        }
        self.entry == delivery.entry
            && self.destination == delivery.destination
            && self.parts == other
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Texts and numbers have no form that JSON lacks.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        let digest = blake3::hash(text.as_bytes()).to_hex();
        text.push('\n');
        text.push_str(&digest);
        text.push('\n');
        text.into_bytes()
    }

    /// Reads what `encode` wrote; otherwise says what is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let damaged = || Unreadable::Damaged;
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let (json, rest) = text.split_once('\n').ok_or_else(damaged)?;
        let digest = blake3::hash(json.as_bytes()).to_hex();
        if rest.strip_suffix('\n') != Some(digest.as_str()) {
            return Err(damaged());
        }
        let Versioned { version } = serde_json::from_str(json).map_err(|_| damaged())?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        serde_json::from_str(json).map_err(|_| damaged())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => write!(to, "it is damaged"),
            Self::Version(version) => write!(
                to,
                "it has version {version}; this program reads version {VERSION}"
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { name } => write!(
                to,
                "the destination has something else under `{name}`, which stays: move it away there"
            ),
            Self::Damaged { name } => write!(
                to,
                "`{name}` did not arrive as it was sent: delete it at the destination"
            ),
            Self::SourceMissing { source } => write!(to, "`{source}` is gone: restore it"),
            Self::SourceChanged { source } => write!(
                to,
                "`{source}` is not what it was when it was noted: restore it"
            ),
            Self::Refused => write!(
                to,
                "the destination refuses access: look at its credentials and rights"
            ),
            Self::Unusable { why } => to.write_str(why),
            Self::NotConfigured => write!(to, "no such destination is configured: add it again"),
            Self::TooManyTries => write!(to, "too many tries failed"),
        }
    }
}
