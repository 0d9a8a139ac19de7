//! A task's declared outputs: which paths they cover and what lies there.
//! Does not run, restore or store anything.

use larder_fingerprint::Globs;

use crate::config::{Glob, Workspace};

use super::Session;
use super::chunks::Exact;
use super::tree::{Fault, Tree, View};

/// The declared outputs of one task, relative to the workspace.
#[derive(Debug)]
pub struct Outputs {
    /// What the chunks of a task declare, which is less than its globs take.
    exact: Option<Exact>,
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
            exact: None,
            globs,
            single,
            prefixes,
        })
    }

    /// The outputs of all chunks of a task.
    ///
    /// # Errors
    /// None but those of [`new`](Self::new).
    pub fn of_chunks(exact: Exact) -> Result<Outputs, Fault> {
        Ok(Outputs {
            exact: Some(exact),
            ..Outputs::new(b"", &[])?
        })
    }

    /// Where the task has chunks, what each of them declares.
    pub fn exact(&self) -> Option<&Exact> {
        self.exact.as_ref()
    }

    /// Folders and files under which every match lies.
    pub fn prefixes(&self) -> &[Vec<u8>] {
        &self.prefixes
    }

    /// Whether a path is a declared output.
    pub fn covers(&self, path: &[u8]) -> bool {
        match &self.exact {
            Some(exact) => exact.covers(path),
            None => self.globs.is_match(path),
        }
    }

    /// Whether a change of a path, or of anything below it if it is a `folder`, may change what lies there.
    pub fn reaches(&self, path: &[u8], folder: bool) -> bool {
        self.covers(path) || (folder && super::inputs::meets(&self.globs, path))
    }

    /// What lies under the globs now, by path.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn list(&self, tree: &Tree) -> Result<View, Fault> {
        match &self.exact {
            Some(exact) => exact.list(tree),
            None => tree.view(&self.prefixes, &|path| self.covers(path)),
        }
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

/// The absolute paths of the workspace and of the folders mounted in it, as they would stand in a file.
pub fn places(session: &Session<'_>) -> Vec<Vec<u8>> {
    let mounts = session.mounts.iter().map(|(_, folder)| folder);
    // A variable may lead to a mount by way of a link, and a command may write what the variable says.
    let spelled = session.workspace.mounts.iter().map(|mount| &mount.folder);
    mounts
        .chain([&session.root])
        .map(|folder| folder.as_os_str().as_encoded_bytes().to_vec())
        .chain(spelled.filter(|folder| folder.starts_with(b"/")).cloned())
        // One of one or two bytes (`/`) would match everything and tells nothing.
        .filter(|place| place.len() > 2)
        .collect()
}

/// Projects' folders, for messages that need them.
pub fn project_dir(workspace: &Workspace, task: usize) -> &[u8] {
    &workspace.projects[workspace.tasks[task].project].dir
}
