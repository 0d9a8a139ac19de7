//! Makes first `larder.toml` files from the manifests of other tools.
//! It does not know how to run anything: it reads, plans text, and writes new files only.

mod cargo;
mod folders;
mod go;
mod node;
mod pnpm;
mod python;
mod render;
mod shape;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::config::FILE_NAME;

/// A file that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Relative to the root of the workspace.
    pub path: PathBuf,
    /// The whole content.
    pub text: String,
}

/// Why no configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is a configuration already.
    #[error("`{}` exists already; nothing was written", path.display())]
    Exists {
        /// The file that is in the way.
        path: PathBuf,
    },
    /// A manifest cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest is malformed, or in a form that is not understood.
    #[error("{}:{line}: {message}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what to do when that is not plain.
        message: String,
    },
    /// A new file cannot be written; those written before it were taken away again.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The new file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The files that make a workspace of `root`: the root's first, then those of projects by path.
///
/// It reads `package.json`, `pnpm-workspace.yaml`, `Cargo.toml`, `go.work`, `go.mod` and
/// `pyproject.toml`; a folder with none of them gets a small example. The answer depends on the
/// files alone.
///
/// # Errors
/// [`InitError::Exists`] when one of the files exists, [`InitError::Read`] and
/// [`InitError::Manifest`] when a manifest cannot be used.
pub fn plan(root: &Path) -> Result<Vec<NewFile>, InitError> {
    refuse_existing(root, Path::new(FILE_NAME))?;
    let mut found = shape::Found::default();
    node::read(root, &mut found)?;
    cargo::read(root, &mut found)?;
    go::read(root, &mut found)?;
    python::read(root, &mut found)?;
    let files = render::files(root, &shape::settle(found));
    for file in &files {
        refuse_existing(root, &file.path)?;
    }
    Ok(files)
}

/// Writes the files: all of them, or none.
///
/// # Errors
/// [`InitError::Exists`] when one of them exists, [`InitError::Write`] when one cannot be written.
pub fn write(root: &Path, files: &[NewFile]) -> Result<(), InitError> {
    for file in files {
        refuse_existing(root, &file.path)?;
    }
    for (done, file) in files.iter().enumerate() {
        let Err((created, source)) = create(&root.join(&file.path), &file.text) else {
            continue;
        };
        for undo in &files[..done + usize::from(created)] {
            // The first fault is the one to report.
            let _ = fs::remove_file(root.join(&undo.path));
        }
        let path = root.join(&file.path);
        return Err(if source.kind() == io::ErrorKind::AlreadyExists {
            InitError::Exists { path }
        } else {
            InitError::Write { path, source }
        });
    }
    Ok(())
}

/// Creates a file; an error says whether the file was created before it.
fn create(path: &Path, text: &str) -> Result<(), (bool, io::Error)> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| (false, error))?;
    file.write_all(text.as_bytes())
        .map_err(|error| (true, error))
}

fn refuse_existing(root: &Path, path: &Path) -> Result<(), InitError> {
    let path = root.join(path);
    // A link that leads nowhere is in the way as well.
    match fs::symlink_metadata(&path) {
        Ok(_) => Err(InitError::Exists { path }),
        Err(_) => Ok(()),
    }
}

/// The text of a manifest; `None` when there is none.
fn read_text(path: &Path) -> Result<Option<String>, InitError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(
            text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned(),
        )),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(InitError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// A TOML manifest; `None` when there is none.
fn read_toml(path: &Path) -> Result<Option<toml::Table>, InitError> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    toml::from_str(&text).map(Some).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        InitError::Manifest {
            path: path.to_path_buf(),
            line: text.get(..at).unwrap_or("").matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })
}

/// A value below tables, by its keys.
fn dig<'t>(table: &'t toml::Table, keys: &[&str]) -> Option<&'t toml::Value> {
    let (first, rest) = keys.split_first()?;
    let mut value = table.get(*first)?;
    for key in rest {
        value = value.get(*key)?;
    }
    Some(value)
}

/// The texts of an array, by its keys; nothing when there is none.
fn texts(table: &toml::Table, keys: &[&str]) -> Vec<String> {
    let items = dig(table, keys).and_then(toml::Value::as_array);
    let items = items.into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}
