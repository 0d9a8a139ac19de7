//! What can go wrong with a history, worded for people.
//! Does not know what the caller does about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a history could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A later version wrote the file.
    #[error(
        "{} has schema {found}, and only {known} and earlier are known here: use the later version, or move the file away",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest schema that is known here.
        known: i64,
    },
    /// A folder or something else that is no file is in its place.
    #[error("{} is not a file: move it away, since the history of runs is kept under this name", .path.display())]
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// It is something else, or nothing was ever written into it.
    #[error("{} is no history of runs", .path.display())]
    NoHistory {
        /// The file.
        path: PathBuf,
    },
    /// The file's content contradicts itself. [`History::begin_anew`](super::History::begin_anew) sets it aside.
    #[error("{} is damaged: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// Another process wrote for longer than the time to wait.
    #[error("another process keeps {} busy: try again when it is done", .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// More than one run has an id that begins so.
    #[error("`{prefix}` is the beginning of {} runs: {}", .ids.len(), .ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// The ids that begin so, newest first, at most ten.
        ids: Vec<String>,
    },
    /// The file or its folder cannot be used.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file, or one that `SQLite` wants to make beside it, cannot be opened for writing.
    #[error("{} and its folder must be writable: {source}", .path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// `SQLite` cannot use the file.
    #[error("{}: {source}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
}

impl HistoryError {
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            // `Unknown` is what SQLite says when a table or column is not there.
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::Unknown,
            )
            | None => Self::Damaged { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { path, source }
            }
            Some(_) => Self::Sqlite { path, source },
        }
    }

    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
