//! Extraction: artifacts are proven first, then put in place one by one, each whole.
//! Does not know how a folder is walked without following links; `tree` does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::read::{damaged, walk};
use super::tree::{Found, Tree};
use super::{ARTIFACTS, BundleError, io_error, verify_bundle};
use crate::digest::{Digesting, Digests, copy};
use crate::format::Artifact;

/// What becomes of a file that is there with another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It stays: nothing at all is extracted.
    Refuse,
    /// It is replaced.
    Replace,
}

/// What an extraction did. All names are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files that were written.
    pub written: Vec<String>,
    /// Files that had the content already.
    pub unchanged: Vec<String>,
}

/// What an extraction would do. All names are in the order of the entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files that would be written where there is nothing.
    pub absent: Vec<String>,
    /// Files that have the content already.
    pub unchanged: Vec<String>,
    /// Regular files that are there with another content.
    pub different: Vec<String>,
}

/// How a place compares with its artifact.
enum State {
    Absent,
    Same,
    Different,
}

/// What [`extract_artifacts`] would do with these artifacts. The whole bundle is verified; nothing is written.
///
/// # Errors
/// [`BundleError::Damaged`]; [`BundleError::Refused`] when a link, a folder, or anything but a regular file is in the way; [`BundleError::Io`].
pub fn plan_artifacts(
    bundle: &Path,
    into: &Path,
    wanted: &dyn Fn(&Artifact) -> bool,
) -> Result<Plan, BundleError> {
    let checked = verify_bundle(bundle)?;
    let tree = match Tree::open(into) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(other.map_err(|cause| io_error("open", into, cause))?),
    };
    let mut plan = Plan::default();
    for artifact in checked.entry.artifacts.iter().filter(|one| wanted(one)) {
        let state = match &tree {
            Some(tree) => state(tree, into, artifact)?,
            None => State::Absent,
        };
        let list = match state {
            State::Absent => &mut plan.absent,
            State::Same => &mut plan.unchanged,
            State::Different => &mut plan.different,
        };
        list.push(artifact.name.clone());
    }
    Ok(plan)
}

/// Puts the artifacts of a bundle that `wanted` picks below the folder `into`, which is created where it is missing. The whole bundle is
/// verified before the first write. Nothing is written outside the folder, or through a link in it.
///
/// # Errors
/// [`BundleError::Damaged`]; [`BundleError::Refused`] when a file is in the way, or a link; [`BundleError::Io`]. After the last two, files
/// that came before in the bundle may be in place.
pub fn extract_artifacts(
    bundle: &Path,
    into: &Path,
    wanted: &dyn Fn(&Artifact) -> bool,
    overwrite: Overwrite,
) -> Result<Extracted, BundleError> {
    let checked = verify_bundle(bundle)?;
    fs::create_dir_all(into).map_err(|cause| io_error("create", into, cause))?;
    let tree = Tree::open(into).map_err(|cause| io_error("open", into, cause))?;
    let mut missing = BTreeMap::new();
    let mut done = Extracted::default();
    for artifact in checked.entry.artifacts.iter().filter(|one| wanted(one)) {
        if is_there(&tree, into, artifact, overwrite)? {
            done.unchanged.push(artifact.name.clone());
        } else {
            missing.insert(artifact.name.as_str(), artifact);
        }
    }
    let file = File::open(bundle).map_err(|cause| io_error("open", bundle, cause))?;
    walk(bundle, file, &mut |name, _, content| {
        let Some(artifact) = name
            .strip_prefix(ARTIFACTS)
            .and_then(|name| missing.remove(name))
        else {
            return Ok(true);
        };
        let path = into.join(&artifact.name);
        let mut same = true;
        let put = tree.put(&artifact.name, artifact.executable, &mut |file| {
            let mut digesting = Digesting::new(&*file);
            copy(content, &mut digesting)?;
            digesting.flush()?;
            same = is(artifact, &digesting.finish().1);
            if same {
                Ok(())
            } else {
                Err(io::ErrorKind::InvalidData.into())
            }
        });
        if !same {
            return Err(damaged(bundle, "it changed while it was read".into()));
        }
        put.map_err(|cause| io_error("write", &path, cause))?;
        done.written.push(artifact.name.clone());
        Ok(true)
    })?;
    if let Some(name) = missing.keys().next() {
        let why = format!("`{name}` went missing while it was read");
        return Err(damaged(bundle, why));
    }
    done.written.sort();
    done.unchanged.sort();
    Ok(done)
}

/// Whether the artifact is in place already; an error when something else is and may not be replaced.
fn is_there(
    tree: &Tree,
    into: &Path,
    artifact: &Artifact,
    overwrite: Overwrite,
) -> Result<bool, BundleError> {
    match (state(tree, into, artifact)?, overwrite) {
        (State::Same, _) => Ok(true),
        (State::Different, Overwrite::Refuse) => Err(BundleError::Refused {
            name: into.join(&artifact.name).display().to_string(),
            why: "is there with another content and would be replaced: nothing was extracted",
        }),
        (State::Absent | State::Different, _) => Ok(false),
    }
}

/// How the artifact's place looks; an error when nothing can be put there.
fn state(tree: &Tree, into: &Path, artifact: &Artifact) -> Result<State, BundleError> {
    let path = into.join(&artifact.name);
    let found = tree.look(&artifact.name);
    match found.map_err(|cause| io_error("examine", &path, cause))? {
        Found::Absent => Ok(State::Absent),
        Found::Other => Err(BundleError::Refused {
            name: path.display().to_string(),
            why: "is a link or a folder, or lies below a link or a file: nothing was extracted",
        }),
        Found::File {
            mut file,
            executable,
        } => {
            let mut digesting = Digesting::new(io::sink());
            copy(&mut file, &mut digesting).map_err(|cause| io_error("read", &path, cause))?;
            let same = is(artifact, &digesting.finish().1) && executable == artifact.executable;
            Ok(if same { State::Same } else { State::Different })
        }
    }
}

fn is(artifact: &Artifact, found: &Digests) -> bool {
    (found.size, &found.blake3, &found.sha256)
        == (artifact.size, &artifact.blake3, &artifact.sha256)
}
