//! The configuration as a session knows it: what it rests on, and whether that was touched.
//! Does not resolve it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::{SourceKind, Workspace};
use crate::session::changes::ChangeSet;
use crate::session::tree::to_path;

/// What tells a file or folder from how it was.
type Tuple = Option<(u64, u64, i64, i64, i64, i64)>;

/// What a resolved configuration rests on.
#[derive(Debug)]
pub(super) struct Sources {
    root: PathBuf,
    /// Files and folders in the workspace.
    inside: BTreeSet<Vec<u8>>,
    /// Those whose names count.
    listings: BTreeSet<Vec<u8>>,
    /// Those outside, where nothing is watched, as they were.
    outside: Vec<(PathBuf, Tuple)>,
}

fn tuple(path: &Path) -> Tuple {
    let stat = path.metadata().ok()?;
    Some((
        stat.ino(),
        stat.size(),
        stat.mtime(),
        stat.mtime_nsec(),
        stat.ctime(),
        stat.ctime_nsec(),
    ))
}

impl Sources {
    pub(super) fn new(root: &Path, workspace: &Workspace) -> Sources {
        let mut sources = Sources {
            root: root.to_owned(),
            inside: BTreeSet::new(),
            listings: BTreeSet::new(),
            outside: Vec::new(),
        };
        for source in &workspace.sources {
            let path = &source.path;
            if path.starts_with(b"/") || path == b".." || path.starts_with(b"../") {
                let place = to_path(&sources.root, path);
                let now = tuple(&place);
                sources.outside.push((place, now));
                continue;
            }
            if source.kind == SourceKind::Listing {
                sources.listings.insert(path.clone());
            }
            sources.inside.insert(path.clone());
        }
        sources
    }

    /// Whether changes may have made another configuration.
    pub(super) fn touched(&self, changes: &ChangeSet) -> bool {
        changes.why_everything().is_some() || changes.paths().any(|path| self.rests_on(path))
    }

    /// Whether something outside of the workspace is not as it was.
    pub(super) fn outside_changed(&self) -> bool {
        self.outside
            .iter()
            .any(|(path, before)| tuple(path) != *before)
    }

    fn rests_on(&self, path: &[u8]) -> bool {
        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let below = [path, b"/"].concat();
        let first = self
            .inside
            .range::<[u8], _>((Bound::Included(below.as_slice()), Bound::Unbounded))
            .next();
        path.is_empty()
            || self.inside.contains(path)
            || self.listings.contains(&path[..end])
            || first.is_some_and(|source| source.starts_with(&below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(sources: &Sources, path: &str) -> bool {
        let mut changes = ChangeSet::new();
        changes.add(path);
        sources.touched(&changes)
    }

    #[test]
    fn what_the_configuration_rests_on_touches_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ws");
        for folder in ["packages/a/src", "../lib"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let projects = "[workspace]\nprojects = [\"packages/*\", \"../lib\"]\n";
        std::fs::write(root.join("larder.toml"), projects).unwrap();
        std::fs::write(root.join("packages/a/larder.toml"), "").unwrap();
        std::fs::write(root.join("../lib/larder.toml"), "").unwrap();
        let workspace = crate::config::load(&root, &|_| None).unwrap();
        let sources = Sources::new(&root, &workspace);
        for path in [
            "",
            "larder.toml",
            "packages",
            "packages/new",
            "packages/a",
            "packages/a/larder.toml",
        ] {
            assert!(touched(&sources, path), "{path}");
        }
        for path in [
            "src",
            "packages/a/src",
            "packages/a/src/x",
            "packages/a-b/x",
        ] {
            assert!(!touched(&sources, path), "{path}");
        }
        assert!(sources.touched(&ChangeSet::everything("lost")));
        assert!(!sources.touched(&ChangeSet::new()) && !sources.outside_changed());
        std::fs::write(root.join("../lib/larder.toml"), "[project]\nname = \"x\"\n").unwrap();
        assert!(sources.outside_changed());
    }
}
