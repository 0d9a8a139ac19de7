//! The root and the folders mounted beside it: where they lie, whether they are still the same, and whose a path is.
//! Does not watch.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_fingerprint::{DiskFiles, Memo, Scanner, git};

use crate::config::Workspace;
use crate::session::tree::to_path;

/// One of them.
#[derive(Debug)]
pub(super) struct Top {
    /// What paths in it begin with; empty for the root.
    pub(super) prefix: Vec<u8>,
    /// Absolute, without links.
    pub(super) folder: PathBuf,
    /// As it was spelled: a link in it may be made to lead elsewhere.
    spelled: PathBuf,
    identity: Identity,
    /// Digest of what is mounted below: no watch tells of it.
    mounted: [u8; 32],
    /// Where git's index lies.
    index: Option<PathBuf>,
    /// Digest of the set of files that git tracks.
    tracked: Option<[u8; 32]>,
}

/// What tells a folder from another one at its path.
type Identity = Option<(u64, u64)>;

fn identity(folder: &Path) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let stat = folder.symlink_metadata().ok()?;
        stat.is_dir().then(|| (stat.dev(), stat.ino()))
    }
    #[cfg(not(unix))]
    folder.is_dir().then_some((0, 0))
}

/// Digest of what is mounted in a folder, where the system tells it.
fn mounted(folder: &Path) -> [u8; 32] {
    let all = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    // Blanks stand there by their numbers.
    let mut below: Vec<u8> = Vec::new();
    for byte in folder.as_os_str().as_encoded_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => below.extend(format!("\\{byte:03o}").bytes()),
            byte => below.push(*byte),
        }
    }
    below.push(b'/');
    let mut hasher = blake3::Hasher::new();
    for line in all.split(|byte| *byte == b'\n') {
        let place = line.split(|byte| *byte == b' ').nth(4);
        if place.is_some_and(|place| place.starts_with(&below)) {
            hasher.update(line).update(b"\n");
        }
    }
    *hasher.finalize().as_bytes()
}

/// All of them, the root first.
#[derive(Debug)]
pub(super) struct Tops(pub(super) Vec<Top>);

impl Tops {
    /// Those of a workspace.
    ///
    /// # Errors
    /// When a folder is missing.
    pub(super) fn new(root: &Path, workspace: &Workspace) -> io::Result<Tops> {
        let mounts = workspace
            .mounts
            .iter()
            .map(|mount| (mount.prefix.clone(), to_path(root, &mount.folder)));
        Tops::found(std::iter::once((Vec::new(), root.to_owned())).chain(mounts))
    }

    /// The same, as they lie now.
    ///
    /// # Errors
    /// When a folder is missing.
    pub(super) fn again(&self) -> io::Result<Tops> {
        let all = self.0.iter();
        Tops::found(all.map(|top| (top.prefix.clone(), top.spelled.clone())))
    }

    /// Whether they lie where the others lie.
    pub(super) fn lie_as(&self, other: &Tops) -> bool {
        let places = |tops: &Tops| -> Vec<(Vec<u8>, PathBuf)> {
            let each = |top: &Top| (top.prefix.clone(), top.folder.clone());
            tops.0.iter().map(each).collect()
        };
        places(self) == places(other)
    }

    fn found(all: impl Iterator<Item = (Vec<u8>, PathBuf)>) -> io::Result<Tops> {
        let top = |(prefix, spelled): (Vec<u8>, PathBuf)| {
            let folder = spelled.canonicalize()?;
            let index = git::tracked(&folder).map(|tracked| to_path(&folder, &tracked.index));
            Ok(Top {
                prefix,
                identity: identity(&folder),
                mounted: mounted(&folder),
                index,
                tracked: None,
                spelled,
                folder,
            })
        };
        all.map(top).collect::<io::Result<Vec<_>>>().map(Tops)
    }

    /// A scanner of the files in all of them.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(super) fn scanner(&self) -> io::Result<Scanner> {
        let mut files = DiskFiles::open(&self.0[0].folder)?;
        for top in &self.0[1..] {
            files = files.with_mount(&top.prefix, &top.folder)?;
        }
        let mut scanner = Scanner::new(Arc::new(files), Memo::empty([0; 32]));
        if let Some(tracked) = git::tracked(&self.0[0].folder) {
            scanner = scanner.with_tracked(tracked);
        }
        for top in &self.0[1..] {
            scanner = scanner.with_mount(&top.prefix, git::tracked(&top.folder));
        }
        Ok(scanner)
    }

    /// Why they are no longer what they were; `None` while they are.
    pub(super) fn changed(&self) -> Option<String> {
        self.moved().or_else(|| {
            let other = |top: &&Top| {
                let index = git::tracked(&top.folder);
                index.map(|tracked| to_path(&top.folder, &tracked.index)) != top.index
            };
            let top = self.0.iter().find(other)?;
            let folder = top.folder.display();
            Some(format!("git began or ceased to track files in {folder}"))
        })
    }

    /// Why they do not lie where they did; `None` while they do.
    pub(super) fn moved(&self) -> Option<String> {
        let moved = |top: &&Top| {
            identity(&top.folder) != top.identity
                || top.spelled.canonicalize().ok().as_ref() != Some(&top.folder)
        };
        if let Some(top) = self.0.iter().find(moved) {
            return Some(format!("{} was moved or replaced", top.folder.display()));
        }
        let other = |top: &&Top| mounted(&top.folder) != top.mounted;
        let top = self.0.iter().find(other)?;
        let folder = top.folder.display();
        Some(format!("something was mounted or unmounted in {folder}"))
    }

    /// The path within the workspace of one on disk.
    pub(super) fn path_of(&self, path: &Path) -> Option<Vec<u8>> {
        self.0.iter().find_map(|top| {
            let below = path.strip_prefix(&top.folder).ok()?;
            let mut inside = top.prefix.clone();
            for part in below {
                if !inside.is_empty() {
                    inside.push(b'/');
                }
                inside.extend_from_slice(part.as_encoded_bytes());
            }
            Some(inside)
        })
    }

    /// Where a path of the workspace lies on disk.
    pub(super) fn place_of(&self, path: &[u8]) -> PathBuf {
        let end = path.iter().position(|byte| *byte == b'/');
        let first = &path[..end.unwrap_or(path.len())];
        let mounted = self.0[1..].iter().find(|top| top.prefix == first);
        match mounted {
            Some(top) => to_path(&top.folder, &path[end.map_or(path.len(), |end| end + 1)..]),
            None => to_path(&self.0[0].folder, path),
        }
    }

    /// Folders that hold git's indexes.
    pub(super) fn git_folders(&self) -> Vec<PathBuf> {
        let folder = |top: &Top| Some(top.index.as_ref()?.parent()?.to_owned());
        self.0.iter().filter_map(folder).collect()
    }

    /// Whether a path is that of an index.
    pub(super) fn is_index(&self, path: &Path) -> bool {
        self.0.iter().any(|top| top.index.as_deref() == Some(path))
    }

    /// Reads which files git tracks; whether the set differs from the one read before.
    pub(super) fn tracked_changed(&mut self) -> bool {
        let mut changed = false;
        for top in &mut self.0 {
            let now = tracked_digest(&top.folder);
            // What cannot be read is never the same.
            changed |= now.is_none() || now != top.tracked;
            top.tracked = now;
        }
        changed
    }
}

/// Digest of the set of tracked files; `None` when it cannot be read.
fn tracked_digest(folder: &Path) -> Option<[u8; 32]> {
    let Some(tracked) = git::tracked(folder) else {
        return Some([0; 32]);
    };
    let mut paths = (tracked.read)().ok()?;
    paths.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for path in &paths {
        hasher
            .update(&(path.len() as u64).to_le_bytes())
            .update(path);
    }
    Some(*hasher.finalize().as_bytes())
}
