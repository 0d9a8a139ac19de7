//! Which folders matter, as the configuration alone tells it.
//! Does not look at the disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Glob, InputItem, SourceKind, Workspace};
use crate::session::outputs::compiled;

/// Why a folder is watched. Each can hold without the others; with neither, it only leads to one that matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Class {
    /// A scan that honours ignore files enters it.
    pub kept: bool,
    /// A glob, which sees ignored files, reaches so many levels of folders from here on, this one included.
    pub levels: usize,
}

/// Said of a glob that reaches all there is.
const ALL: usize = usize::MAX;

/// The folders that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Fixed beginnings of globs, with the levels of folders that they reach.
    globs: BTreeMap<Vec<u8>, usize>,
    /// Folders that are scanned although a rule above may exclude them: projects, the root and mounts.
    starts: BTreeSet<Vec<u8>>,
    /// Folders above any of those.
    chain: BTreeSet<Vec<u8>>,
}

impl Plan {
    /// The plan of a workspace.
    pub fn new(workspace: &Workspace) -> Plan {
        let mut plan = Plan::default();
        plan.starts.insert(Vec::new());
        for mount in &workspace.mounts {
            plan.starts.insert(mount.prefix.clone());
        }
        for project in &workspace.projects {
            plan.starts.insert(project.dir.clone());
        }
        for task in &workspace.tasks {
            let dir = &workspace.projects[task.project].dir;
            let inputs = task.inputs.iter().flatten().filter_map(|item| match item {
                InputItem::Glob(glob) => Some(glob),
                InputItem::Default | InputItem::Git(_) => None,
            });
            let outputs = task.outputs.iter().flatten();
            let sources = task.foreach.iter().flat_map(|foreach| &foreach.sources);
            plan.add(
                dir,
                inputs.chain(outputs).chain(&task.depfile).chain(sources),
            );
        }
        plan.add(b"", &workspace.settings.global_inputs);
        // What the configuration rests on; those outside of the workspace are not watched.
        for source in &workspace.sources {
            let path = &source.path;
            if path.starts_with(b"/") || path.starts_with(b"..") {
                continue;
            }
            plan.chain.extend(above(path).map(<[u8]>::to_vec));
            if source.kind == SourceKind::Listing {
                plan.chain.insert(path.clone());
            }
        }
        for path in plan.globs.keys().chain(&plan.starts) {
            plan.chain.extend(above(path).map(<[u8]>::to_vec));
        }
        plan
    }

    fn add<'g>(&mut self, dir: &[u8], globs: impl IntoIterator<Item = &'g Glob>) {
        for glob in globs.into_iter().filter(|glob| !glob.negated) {
            let Ok(globs) = compiled(dir, [glob]) else {
                // The configuration was checked; should it come here all the same, nothing may be missed.
                self.globs.insert(Vec::new(), ALL);
                continue;
            };
            let from = if glob.from_root { b"" } else { dir };
            for prefix in globs.literal_prefixes() {
                let fixed = components(&prefix) - components(from);
                let levels = reach(&glob.glob, fixed);
                let known = self.globs.entry(prefix).or_default();
                *known = levels.max(*known);
            }
        }
    }

    /// Why a folder matters, given that of the folder above; `None` when it does not. `enters` tells whether a scan enters it,
    /// and is asked only when that decides.
    ///
    /// # Errors
    /// That of `enters`.
    pub fn class<E>(
        &self,
        above: Class,
        folder: &[u8],
        enters: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Option<Class>, E> {
        let below = match above.levels {
            ALL => ALL,
            levels => levels.saturating_sub(1),
        };
        let levels = self.globs.get(folder).copied().unwrap_or(0).max(below);
        let kept = self.starts.contains(folder) || (above.kept && enters()?);
        let matters = levels > 0 || kept || self.chain.contains(folder);
        Ok(matters.then_some(Class { kept, levels }))
    }

    /// Whether a path has to be a folder for something that matters to lie below it.
    pub fn leads_on(&self, path: &[u8]) -> bool {
        self.chain.contains(path) || self.starts.contains(path)
    }

    /// Whether ignore files in a folder of this class decide anything.
    pub fn rules_count(&self, folder: &[u8], class: Class) -> bool {
        class.kept || self.chain.contains(folder)
    }
}

fn components(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .count()
}

/// How many levels of folders a glob reaches below its beginning of so many fixed components: those in which matches lie,
/// and one more, as a folder matches while it is empty.
fn reach(glob: &str, fixed: usize) -> usize {
    let mut open = 0_usize;
    let split = glob.chars().any(|c| {
        match c {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        c == '/' && open > 0
    });
    let all = glob.split('/').filter(|part| !matches!(*part, "" | "."));
    let wild = all.count().saturating_sub(fixed);
    // Without wildcards it may be a folder, and then all in it is meant.
    if split || glob.contains("**") || wild == 0 {
        ALL
    } else {
        wild + 1
    }
}

/// The folders above a path, the root last.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = (0..path.len()).rev().filter(|end| path[*end] == b'/');
    ends.map(|end| &path[..end])
        .chain((!path.is_empty()).then_some(&b""[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_reaches_as_deep_as_it_may_match() {
        for (glob, fixed, levels) in [
            ("*.json", 0, 2),
            ("./*.json", 0, 2),
            ("src/*/x.c", 1, 3),
            ("{a,b}/*.{c,h}", 1, 2),
            ("{a,b/c}/*.c", 1, ALL),
            ("src/**", 1, ALL),
            ("**/*.c", 0, ALL),
            ("package.json", 1, ALL),
            ("dist/", 1, ALL),
        ] {
            assert_eq!(reach(glob, fixed), levels, "{glob}");
        }
    }

    #[test]
    fn the_folders_above_a_path_end_with_the_root() {
        let all = |path: &'static str| above(path.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("a/b/c"), [&b"a/b"[..], b"a", b""]);
        assert_eq!(all("a"), [b""]);
        assert!(all("").is_empty());
    }
}
