//! The runs of the past, in one `SQLite` file that several processes share.
//! Does not know when a run is worth remembering, or what is told from what it holds.

mod error;
mod format;
mod open;
mod read;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

pub use error::HistoryError;

use crate::{RunRow, TaskRow};

/// How much a history keeps, and how long it waits for other processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many runs of each task are kept, at least 1. Runs as a whole are kept up to twenty times as many, runs without
    /// tasks up to this number.
    pub runs_per_task: u32,
    /// How long to wait for another process that writes.
    pub busy_timeout: Duration,
}

impl Default for Options {
    /// 100 runs a task, 5 seconds.
    fn default() -> Self {
        Self {
            runs_per_task: 100,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// A history, and what had to be done to open it.
#[derive(Debug)]
pub struct Opened {
    /// The history.
    pub history: History,
    /// Where the file that stood there before now lies, when it was damaged or no history. People are to be told.
    pub set_aside: Option<PathBuf>,
}

/// An open history. Any number of processes may have one open on the same file.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
    options: Options,
    /// Tells the file from one that was begun in its place later; unknown when the file is too damaged to say.
    born: Option<i64>,
}

impl History {
    /// Opens the history at `path`, whose folder exists, or begins one there.
    ///
    /// A file that is damaged or no history is renamed to a free name beside it, and a new history is begun. One of an older
    /// schema is brought up to date.
    ///
    /// # Errors
    /// [`HistoryError::Newer`] when a later version wrote it: it is left as it is. [`HistoryError::NotAFile`] when something else than a
    /// file is in its place, and others when the file cannot be read, written or made.
    pub fn open(path: &Path, options: &Options) -> Result<Opened, HistoryError> {
        open::open(path, options)
    }

    /// Opens the history at `path` to read in it. Nothing is begun or set aside.
    ///
    /// # Errors
    /// [`HistoryError::NoHistory`] when the file is something else, [`HistoryError::Damaged`] when it contradicts itself; others as for
    /// [`History::open`].
    pub fn read(path: &Path, options: &Options) -> Result<History, HistoryError> {
        open::read(path, options)
    }

    /// Sets the file aside and begins a new history in its place, after [`HistoryError::Damaged`]. A file that another process
    /// has already replaced is left alone and opened.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn begin_anew(self) -> Result<Opened, HistoryError> {
        let Self {
            connection,
            path,
            options,
            born,
        } = self;
        drop(connection);
        open::begin_anew(&path, &options, born)
    }

    /// Remembers a run, and forgets what is older than the bounds allow, in one transaction. A run of the same id is replaced.
    ///
    /// When it returns, the run outlives the end of this process, however it ends.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be written, or another process wrote for longer than the time to wait.
    pub fn record(&self, run: &RunRow) -> Result<(), HistoryError> {
        write::record(&self.connection, run, self.options.runs_per_task)
            .map_err(|error| self.error(error))
    }

    /// The last runs without their tasks, newest first: in the order in which they were recorded.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>, HistoryError> {
        read::runs(&self.connection, &read::Which::All, limit).map_err(|error| self.error(error))
    }

    /// The runs of a revision, which may be shortened, without their tasks, newest first.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn runs_of_revision(
        &self,
        revision: &str,
        limit: usize,
    ) -> Result<Vec<RunRow>, HistoryError> {
        read::runs(&self.connection, &read::Which::Revision(revision), limit)
            .map_err(|error| self.error(error))
    }

    /// The runs of a branch without their tasks, newest first.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn runs_of_branch(&self, branch: &str, limit: usize) -> Result<Vec<RunRow>, HistoryError> {
        read::runs(&self.connection, &read::Which::Branch(branch), limit)
            .map_err(|error| self.error(error))
    }

    /// The run of this id, or the one whose id begins so, with its tasks.
    ///
    /// # Errors
    /// [`HistoryError::Ambiguous`] when several ids begin so and none is it, others when the file cannot be read.
    pub fn run(&self, id: &str) -> Result<Option<RunRow>, HistoryError> {
        let ids = read::ids(&self.connection, id).map_err(|error| self.error(error))?;
        if ids.len() > 1 && !ids.iter().any(|known| known == id) {
            return Err(HistoryError::Ambiguous {
                prefix: id.to_owned(),
                ids,
            });
        }
        let exact = ids.iter().find(|known| *known == id).or(ids.first());
        match exact {
            Some(id) => self.whole(&read::Which::Id(id), 1).map(first),
            None => Ok(None),
        }
    }

    /// The newest run with its tasks.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn last(&self) -> Result<Option<RunRow>, HistoryError> {
        self.whole(&read::Which::All, 1).map(first)
    }

    /// The last runs with their tasks, newest first.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn runs_with_tasks(&self, limit: usize) -> Result<Vec<RunRow>, HistoryError> {
        self.whole(&read::Which::All, limit)
    }

    /// What the task of this name did, newest first, each with its run, whose `tasks` are left empty.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn task(&self, name: &str, limit: usize) -> Result<Vec<(RunRow, TaskRow)>, HistoryError> {
        read::task(&self.connection, name, limit).map_err(|error| self.error(error))
    }

    /// The names of all tasks that have a row, sorted.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn tasks(&self) -> Result<Vec<String>, HistoryError> {
        read::tasks(&self.connection).map_err(|error| self.error(error))
    }

    /// What each task will probably take: the median of its last nine executions that succeeded. Tasks without any are absent. Quick
    /// enough for the start of a run.
    ///
    /// # Errors
    /// [`HistoryError`] when the file cannot be read.
    pub fn estimates(&self) -> Result<HashMap<String, Duration>, HistoryError> {
        read::estimates(&self.connection).map_err(|error| self.error(error))
    }

    fn whole(&self, which: &read::Which<'_>, limit: usize) -> Result<Vec<RunRow>, HistoryError> {
        read::whole(&self.connection, which, limit).map_err(|error| self.error(error))
    }

    fn error(&self, error: rusqlite::Error) -> HistoryError {
        HistoryError::of(&self.path, error)
    }
}

fn first(runs: Vec<RunRow>) -> Option<RunRow> {
    runs.into_iter().next()
}
