//! A task's declared outputs: which paths they cover and what lies there.
//! Does not run, restore or store anything.

use std::path::Path;

use larder_cache::{Kind, Row};
use larder_fingerprint::Globs;

use crate::config::{Glob, Workspace};

use super::Session;
use super::tree::{Fault, Tree, View};

/// The declared outputs of one task, relative to the workspace.
#[derive(Debug)]
pub struct Outputs {
    globs: Globs,
    /// As written, for messages: positive globs only, each compiled alone.
    single: Vec<(String, Globs)>,
    prefixes: Vec<Vec<u8>>,
}

/// A glob with its `!`, and the folder it is relative to.
fn anchored<'d>(dir: &'d [u8], glob: &Glob) -> (&'d [u8], String) {
    let mark = if glob.negated { "!" } else { "" };
    let dir = if glob.from_root { &b""[..] } else { dir };
    (dir, format!("{mark}{}", glob.glob.trim_start_matches("./")))
}

/// Compiles globs of a project in `dir`.
///
/// # Errors
/// When one cannot be compiled; the configuration has checked them, so this is a fault to report.
pub fn compiled<'g>(
    dir: &[u8],
    declared: impl IntoIterator<Item = &'g Glob>,
) -> Result<Globs, Fault> {
    let texts: Vec<(&[u8], String)> = declared
        .into_iter()
        .map(|glob| anchored(dir, glob))
        .collect();
    Globs::below(texts.iter().map(|(dir, text)| (*dir, text.as_str()))).map_err(Fault::glob)
}

impl Outputs {
    /// Compiles the declared globs of a task of the project in `dir`.
    ///
    /// # Errors
    /// When a glob cannot be compiled; the configuration has checked them, so this is a fault to report.
    pub fn new(dir: &[u8], declared: &[Glob]) -> Result<Outputs, Fault> {
        let globs = compiled(dir, declared)?;
        let mut single = Vec::new();
        let mut prefixes = Vec::new();
        for glob in declared.iter().filter(|glob| !glob.negated) {
            let alone = compiled(dir, [glob])?;
            prefixes.extend(alone.literal_prefixes());
            single.push((glob.glob.clone(), alone));
        }
        prefixes.sort();
        prefixes.dedup();
        Ok(Outputs {
            globs,
            single,
            prefixes,
        })
    }

    /// Whether a path is a declared output.
    pub fn covers(&self, path: &[u8]) -> bool {
        self.globs.is_match(path)
    }

    /// What lies under the globs now, by path.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn list(&self, tree: &Tree) -> Result<View, Fault> {
        tree.view(&self.prefixes, &|path| self.covers(path))
    }

    /// Positive globs that match none of `paths`, as written.
    pub fn unmatched<'a>(&self, paths: &(impl Iterator<Item = &'a [u8]> + Clone)) -> Vec<&str> {
        let silent = self
            .single
            .iter()
            .filter(|(_, glob)| !paths.clone().any(|path| glob.is_match(path)));
        silent.map(|(text, _)| text.as_str()).collect()
    }
}

/// Whether any of the files, or of the link texts, holds the absolute path of the workspace or of a folder mounted in it.
///
/// # Errors
/// When a file cannot be read.
pub fn hold_root(session: &Session<'_>, rows: &[Row]) -> std::io::Result<bool> {
    let folders = session.mounts.iter().map(|(_, folder)| folder.as_path());
    for folder in folders.chain([session.root.as_path()]) {
        if hold(session, folder, rows)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hold(session: &Session<'_>, folder: &Path, rows: &[Row]) -> std::io::Result<bool> {
    use rayon::prelude::*;
    let needle = folder.as_os_str().as_encoded_bytes();
    // A root of one or two bytes (`/`) would match everything and tells nothing.
    if needle.len() < 3 {
        return Ok(false);
    }
    let finder = memchr::memmem::Finder::new(needle);
    let hits: Result<Vec<bool>, std::io::Error> = rows
        .par_iter()
        .map(|row| {
            let path = session.path_of(&row.path);
            match row.kind {
                Kind::File if row.size < needle.len() as u64 => Ok(false),
                Kind::File => contains(&path, &finder),
                Kind::Link => Ok(finder
                    .find(std::fs::read_link(&path)?.as_os_str().as_encoded_bytes())
                    .is_some()),
                Kind::EmptyDir => Ok(false),
            }
        })
        .collect();
    Ok(hits?.into_iter().any(|hit| hit))
}

/// Whether a file holds the needle, read in pieces that overlap by its length.
fn contains(path: &Path, finder: &memchr::memmem::Finder<'_>) -> std::io::Result<bool> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let overlap = finder.needle().len() - 1;
    let mut buffer = vec![0; (256 << 10) + overlap];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let end = kept + read;
        if finder.find(&buffer[..end]).is_some() {
            return Ok(true);
        }
        let start = end.saturating_sub(overlap);
        buffer.copy_within(start..end, 0);
        kept = end - start;
    }
}

/// Projects' folders, for messages that need them.
pub fn project_dir(workspace: &Workspace, task: usize) -> &[u8] {
    &workspace.projects[workspace.tasks[task].project].dir
}
