//! Projects outside of the root: where their folders lie, and what their paths begin with inside of Larder.
//! It does not know what the projects hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::discover::full_path;
use super::format::{Mount, Workspace};
use super::report::Report;

impl Workspace {
    /// Where a project lies, as seen from the root, for people.
    pub fn folder_of(&self, project: usize) -> String {
        let dir = &self.projects[project].dir;
        let below = |mount: &Mount| {
            let rest = dir.strip_prefix(mount.prefix.as_slice())?;
            (rest.is_empty() || rest.starts_with(b"/")).then(|| [&mount.folder, rest].concat())
        };
        let place = self.mounts.iter().find_map(below);
        String::from_utf8_lossy(place.as_ref().unwrap_or(dir)).into_owned()
    }
}

/// Whether a project's folder, as found, lies outside of the root.
pub(super) fn is_outside(dir: &[u8]) -> bool {
    dir == b".." || dir.starts_with(b"../") || is_absolute(dir)
}

fn is_absolute(dir: &[u8]) -> bool {
    dir.starts_with(b"/") || Path::new(String::from_utf8_lossy(dir).as_ref()).is_absolute()
}

/// The name of a project outside of the root that has not been given one: that of its folder.
pub(super) fn default_name(dir: &[u8]) -> String {
    let name = dir
        .rsplit(|byte| *byte == b'/')
        .find(|part| !part.is_empty());
    String::from_utf8_lossy(name.unwrap_or(dir)).into_owned()
}

/// Refuses a folder that is two projects, by way of a link or of another spelling: its files would have two names.
fn one_folder_each(workspace: &Workspace, real: &dyn Fn(&[u8]) -> PathBuf) -> Result<(), Report> {
    let mut known: BTreeMap<PathBuf, &[u8]> = BTreeMap::new();
    for project in &workspace.projects {
        if let Some(other) = known.insert(real(&project.dir), &project.dir) {
            let [one, two] = [other, &project.dir].map(String::from_utf8_lossy);
            let title = format!("`{one}` and `{two}` are the same folder");
            return Err(Report::nowhere(title).help("take one of them out of `projects`"));
        }
    }
    Ok(())
}

/// Gives each project outside of the root a place among the paths of the workspace: the first component is `..` and
/// the project's name. A project inside of another one that lies outside shares its place, so that each file has one path.
///
/// # Errors
/// For a folder that holds the workspace itself or lies inside of it, is two projects, or whose place is taken.
pub(super) fn place(workspace: &mut Workspace, root: &Path) -> Result<(), Report> {
    let real = |dir: &[u8]| {
        let full = full_path(root, dir);
        full.canonicalize().unwrap_or(full)
    };
    let root_real = real(b"");
    one_folder_each(workspace, &real)?;
    let mut outside: Vec<(PathBuf, usize)> = (workspace.projects.iter().enumerate())
        .filter(|(_, project)| is_outside(&project.dir))
        .map(|(index, project)| (real(&project.dir), index))
        .collect();
    outside.sort();
    let mut placed: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (folder, index) in outside {
        let project = &mut workspace.projects[index];
        let shown = String::from_utf8_lossy(&project.dir).into_owned();
        if root_real.starts_with(&folder) {
            let title = format!("the project in `{shown}` holds the workspace itself");
            return Err(Report::nowhere(title)
                .help("make that folder the root, or take it out of `projects`"));
        }
        if let Ok(below) = folder.strip_prefix(&root_real) {
            let below = below.display();
            let title =
                format!("the project in `{shown}` lies inside of the workspace, in `{below}`");
            return Err(Report::nowhere(title).help(format!("write `{below}` in `projects`")));
        }
        let above = (placed.iter())
            .find_map(|(other, prefix)| Some((folder.strip_prefix(other).ok()?, prefix)));
        if let Some((below, prefix)) = above {
            let mut dir = prefix.clone();
            for part in below.components() {
                dir.push(b'/');
                dir.extend_from_slice(part.as_os_str().as_encoded_bytes());
            }
            project.dir = dir;
            continue;
        }
        let prefix = format!("..{}", project.name.replace(['/', '\\'], "-")).into_bytes();
        let name = String::from_utf8_lossy(&prefix).into_owned();
        if full_path(root, &prefix).symlink_metadata().is_ok()
            || placed.iter().any(|(_, other)| *other == prefix)
        {
            let title = format!("the place of the project in `{shown}` is taken");
            return Err(Report::nowhere(title).help(format!(
                "its files would be called `{name}/…` in the workspace: give it another `name`"
            )));
        }
        let from = std::mem::replace(&mut project.dir, prefix.clone());
        workspace.mounts.push(Mount {
            prefix: prefix.clone(),
            folder: from,
        });
        placed.push((folder, prefix));
    }
    Ok(())
}
