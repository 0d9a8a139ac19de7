//! What can go wrong, as data with path and cause.
//! Knows nothing of how a caller words or weighs it, except which errors are plain misses.

use std::io;
use std::path::{Path, PathBuf};

use crate::ArtifactId;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused an operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The entry's artifact is not in the store.
    #[error("artifact {0} is not in the store")]
    NoArtifact(ArtifactId),
    /// The bytes given for an artifact have another digest.
    #[error("the bytes are not those of artifact {0}")]
    WrongArtifact(ArtifactId),
    /// The entry or its artifact may not be restored; nothing was written.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// A file changed while it was packed.
    #[error("{} changed while it was packed", lossy(.0))]
    Changed(Vec<u8>),
    /// A path is not a plain relative path to a file, link or empty folder.
    #[error("{} cannot be packed: not a file, link or empty folder of the root", lossy(.0))]
    Unpackable(Vec<u8>),
    /// A restore or clean failed after its first write. What it had moved out of the way is named here.
    #[error("stopped half-way: {source}{}", moved(rescued))]
    Partial {
        /// What stopped it.
        source: Box<Error>,
        /// Paths and where they were moved to.
        rescued: Vec<(Vec<u8>, PathBuf)>,
    },
    /// Another store's own failure.
    #[error("{0}")]
    Other(String),
}

/// Why an entry was refused, and at which path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", lossy(path))]
pub struct Refusal {
    /// The path within the entry; empty for the artifact as a whole.
    pub path: Vec<u8>,
    /// The reason.
    pub why: Why,
}

/// Reasons to refuse an entry or artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Absolute, empty, or with `.` or `..` components.
    #[error("not a plain relative path")]
    BadPath,
    /// Not one of the declared outputs.
    #[error("outside the declared outputs")]
    Undeclared,
    /// The manifest is not sorted, repeats a path, or names a path below a file or link.
    #[error("manifest out of order")]
    Disorder,
    /// A parent folder is a symbolic link on disk.
    #[error("a parent folder is a link")]
    ThroughLink,
    /// More bytes than allowed.
    #[error("larger than its manifest or the limit allows")]
    TooLarge,
    /// A member is not the manifest's row in its place.
    #[error("the archive's member differs from the manifest: {0}")]
    Member(&'static str),
    /// The archive ends too early, goes on too long, or cannot be read.
    #[error("unreadable archive: {0}")]
    Garbage(String),
    /// The artifact's bytes do not have its digest.
    #[error("the artifact's digest is wrong")]
    WrongDigest,
    /// The manifest has rows but no artifact.
    #[error("no artifact for the outputs")]
    NoArtifact,
    /// A delta's manifest is not one, or not as it was written.
    #[error("damaged, or no manifest of a delta: {0}")]
    Manifest(&'static str),
    /// A delta of a form that this program does not read.
    #[error("form {0} of deltas cannot be read by this version of the program")]
    Version(u64),
}

impl Error {
    /// Whether this means no more than "not usable from the cache": nothing was written, and running the task is the answer.
    pub fn is_miss(&self) -> bool {
        matches!(
            self,
            Self::NoArtifact(_) | Self::WrongArtifact(_) | Self::Refused(_)
        )
    }

    pub(crate) fn refused(path: &[u8], why: Why) -> Self {
        Self::Refused(Refusal {
            path: path.to_vec(),
            why,
        })
    }
}

/// Adds what was tried, and on what, to a system error.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io {
            action,
            path: path.as_ref().to_path_buf(),
            source,
        })
    }
}

/// Words for where things are now: nobody else knows it after a failure.
fn moved(rescued: &[(Vec<u8>, PathBuf)]) -> String {
    let each = rescued.iter().map(|(path, to)| {
        let path = lossy(path);
        format!("; {path} was rescued to {}", to.display())
    });
    each.collect()
}

fn lossy(path: &[u8]) -> std::borrow::Cow<'_, str> {
    if path.is_empty() {
        "artifact".into()
    } else {
        String::from_utf8_lossy(path)
    }
}
