//! The seam: what every place that keeps records promises.
//! Does not know of folders or networks.

use std::io::{self, Write};
use std::path::Path;

use crate::name::Name;

/// Keeps records under names, each written once.
///
/// Contract, which every implementor's tests run:
/// - After `put` gave `Ok`, `get` gives exactly that content, and `list` names it once.
/// - Nobody ever sees part of a record: `get` and `list` see all of it or none, whatever happened to the writer.
/// - The first content stays. The same content again is `Ok`, so a `put` whose answer was lost may be repeated; another content is
///   [`DestinationError::Exists`].
/// - After `put` gave any other error, the record is there whole or not at all. Which of the two is unknown: repeat the `put` to learn.
///
/// The safe wrong answer is a missing record, never a changed one.
pub trait Destination: Send + Sync {
    /// Stores `content` under `name`, if nothing else is there.
    ///
    /// # Errors
    /// [`DestinationError::Exists`] when another content is there; [`DestinationError::Io`] when the place fails.
    fn put(&self, name: &Name, content: &[u8]) -> Result<(), DestinationError>;

    /// Stores what the file holds, as [`put`](Self::put) does. Places for big files override it, so as not to hold one in memory.
    ///
    /// # Errors
    /// Those of `put`; [`DestinationError::Io`] when the file cannot be read.
    fn put_file(&self, name: &Name, file: &Path) -> Result<(), DestinationError> {
        let content = std::fs::read(file).map_err(|cause| unreadable(file, cause))?;
        self.put(name, &content)
    }

    /// The content under `name`; `None` when there is none.
    ///
    /// # Errors
    /// [`DestinationError::Io`] when the place fails.
    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError>;

    /// Writes the content under `name` to `to`, and gives whether there is one. Places for big files override it, as `put_file`. After an
    /// error `to` may have got part of it.
    ///
    /// # Errors
    /// [`DestinationError::Io`] when the place or `to` fails.
    fn read_into(&self, name: &Name, to: &mut dyn Write) -> Result<bool, DestinationError> {
        let Some(content) = self.get(name)? else {
            return Ok(false);
        };
        to.write_all(&content)
            .map_err(|cause| DestinationError::Io {
                action: "hand on",
                place: name.to_string(),
                cause,
            })?;
        Ok(true)
    }

    /// All names, sorted by their bytes.
    ///
    /// # Errors
    /// [`DestinationError::Io`] when the place fails.
    fn list(&self) -> Result<Vec<Name>, DestinationError>;
}

/// Why a destination did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The name is taken by another content, or by a folder.
    #[error("`{name}` is there already, with another content")]
    Exists {
        /// The taken name.
        name: Name,
    },
    /// The place failed.
    #[error("cannot {action} `{place}`")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where: a path or a name.
        place: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// A file that was to be put cannot be read.
pub(crate) fn unreadable(file: &Path, cause: io::Error) -> DestinationError {
    DestinationError::Io {
        action: "read",
        place: file.display().to_string(),
        cause,
    }
}
