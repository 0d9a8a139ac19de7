//! What each chunk of a task declares as outputs: which chunk a path belongs to, and what lies there.
//! Does not know templates, nor what any chunk makes.

use super::super::outputs::Outputs;
use super::super::tree::{Fault, Tree, View};

/// The declared outputs of all chunks.
#[derive(Debug, Default)]
pub struct Exact {
    /// Paths without wildcards, each with its chunk; sorted.
    paths: Vec<(Vec<u8>, usize)>,
    /// The outputs of chunks that have wildcards.
    globs: Vec<(usize, Outputs)>,
    /// The depfiles of all chunks; sorted.
    depfiles: Vec<Vec<u8>>,
}

impl Exact {
    /// Of no chunks.
    pub(super) const fn none() -> Exact {
        Exact {
            paths: Vec::new(),
            globs: Vec::new(),
            depfiles: Vec::new(),
        }
    }

    /// From paths and globs, each with its chunk. Where two chunks name one path, these are answered.
    ///
    /// # Errors
    /// The path, and the two chunks.
    pub(in super::super) fn new(
        mut paths: Vec<(Vec<u8>, usize)>,
        globs: Vec<(usize, Outputs)>,
        mut depfiles: Vec<Vec<u8>>,
    ) -> Result<Exact, (Vec<u8>, usize, usize)> {
        paths.sort_unstable();
        paths.dedup();
        if let Some(pair) = paths.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err((pair[0].0.clone(), pair[0].1, pair[1].1));
        }
        depfiles.sort_unstable();
        Ok(Exact {
            paths,
            globs,
            depfiles,
        })
    }

    /// The chunks that declare a path; more than one only by wildcards.
    pub fn chunks_of<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let found = |path: &[u8]| {
            let at = self
                .paths
                .binary_search_by(|(known, _)| known.as_slice().cmp(path));
            at.ok().map(|at| self.paths[at].1)
        };
        // A declared path stands for all that is in the folder of that name.
        let slashes = path
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'/');
        let literal =
            found(path).or_else(|| slashes.clone().find_map(|(at, _)| found(&path[..at])));
        let globs = self
            .globs
            .iter()
            .filter(|(_, outputs)| outputs.covers(path));
        literal.into_iter().chain(globs.map(|(chunk, _)| *chunk))
    }

    /// Whether a path is the depfile of a chunk.
    pub(in super::super) fn is_depfile(&self, path: &[u8]) -> bool {
        let found = self
            .depfiles
            .binary_search_by(|known| known.as_slice().cmp(path));
        found.is_ok()
    }

    /// Whether any chunk declares a path.
    pub(in super::super) fn covers(&self, path: &[u8]) -> bool {
        self.chunks_of(path).next().is_some()
    }

    /// What lies under the outputs now, by path.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(in super::super) fn list(&self, tree: &Tree) -> Result<View, Fault> {
        self.list_of(tree, &|_| true)
    }

    /// What lies under the outputs of some chunks now, by path.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(super) fn list_of(
        &self,
        tree: &Tree,
        chosen: &dyn Fn(usize) -> bool,
    ) -> Result<View, Fault> {
        let paths = self.paths.iter().filter(|(_, chunk)| chosen(*chunk));
        let paths: Vec<&[u8]> = paths.map(|(path, _)| path.as_slice()).collect();
        let mut prefixes: Vec<Vec<u8>> = self
            .globs
            .iter()
            .filter(|(chunk, _)| chosen(*chunk))
            .flat_map(|(_, outputs)| outputs.prefixes().iter().cloned())
            .collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        tree.view_of(&paths, &prefixes, &|path| self.chunks_of(path).any(chosen))
    }

    /// The chunk that declares exactly this path, if no wildcards are anywhere.
    pub(super) fn sole(&self, path: &[u8]) -> Option<usize> {
        let known = |(known, _): &(Vec<u8>, usize)| known.as_slice().cmp(path);
        let at = self.paths.binary_search_by(known).ok()?;
        self.globs.is_empty().then(|| self.paths[at].1)
    }

    /// The globs of a chunk that has wildcards.
    pub(in super::super) fn globs_of(&self, chunk: usize) -> Option<&Outputs> {
        let at = self.globs.binary_search_by_key(&chunk, |(chunk, _)| *chunk);
        at.ok().map(|at| &self.globs[at].1)
    }
}
