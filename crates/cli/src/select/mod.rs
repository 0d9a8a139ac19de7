//! Turns task names and filters of the command line into tasks of the workspace.
//! Does not run anything; asks git only for ranges.

use std::collections::BTreeSet;
use std::path::Path;

use globset::GlobBuilder;

use crate::config::Workspace;

pub mod graph_filter;
pub mod prune;
mod range;

/// Why a request could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// No project has this task.
    #[error("no project has a task named `{name}`{}\n  `larder ls` lists all tasks", hint(.nearest.as_ref()))]
    UnknownTask {
        /// As typed.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// No project of this name.
    #[error("there is no project named `{name}`{}\n  `larder ls` lists all projects", hint(.nearest.as_ref()))]
    UnknownProject {
        /// As typed.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A filter that selects nothing can only be a slip.
    #[error("the filter `{filter}` matches no project{}\n  `larder ls` lists all projects", hint(.nearest.as_ref()))]
    EmptyFilter {
        /// As typed.
        filter: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A filter that cannot be parsed.
    #[error("the filter `{filter}` cannot be read: {why}")]
    BadFilter {
        /// As typed.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// git cannot tell what changed.
    #[error(
        "git cannot tell what changed in `{range}`: {why}\n  name a commit or branch that exists here, as in `--affected=main` or `--filter '[HEAD~1]'`"
    )]
    Git {
        /// As typed.
        range: String,
        /// git's words.
        why: String,
    },
}

fn hint(nearest: Option<&String>) -> String {
    nearest
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

/// The name nearest to `word`, when one is near enough to be meant.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= (name.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, name)| name.to_owned())
}

/// Projects that pass the filters, by index. No filter: all.
///
/// # Errors
/// See [`SelectError`].
pub fn projects(
    workspace: &Workspace,
    root: &Path,
    filters: &[String],
    affected: Option<&str>,
) -> Result<BTreeSet<usize>, SelectError> {
    let all: BTreeSet<usize> = (0..workspace.projects.len()).collect();
    let mut chosen = BTreeSet::new();
    let mut removed = BTreeSet::new();
    let mut includes = 0;
    for filter in filters {
        if let Some(rest) = filter.strip_prefix('!') {
            removed.extend(one(workspace, root, rest)?);
        } else {
            includes += 1;
            let found = one(workspace, root, filter)?;
            // A range may well be empty: nothing changed. A name may not.
            if found.is_empty() && !filter.contains('[') {
                let names = workspace
                    .projects
                    .iter()
                    .map(|project| project.name.as_str());
                return Err(SelectError::EmptyFilter {
                    filter: filter.clone(),
                    nearest: nearest(filter, names),
                });
            }
            chosen.extend(found);
        }
    }
    if includes == 0 {
        chosen = all;
    }
    if let Some(base) = affected {
        let changed = changed_projects(workspace, root, base)?;
        let reached = closure(workspace, &changed, Direction::Dependents);
        chosen = chosen.intersection(&reached).copied().collect();
    }
    Ok(chosen.difference(&removed).copied().collect())
}

/// One filter without its `!`.
fn one(workspace: &Workspace, root: &Path, filter: &str) -> Result<BTreeSet<usize>, SelectError> {
    let (body, dependents, skip_left) = match filter.strip_prefix("...") {
        Some(rest) => match rest.strip_prefix('^') {
            Some(rest) => (rest, true, true),
            None => (rest, true, false),
        },
        None => (filter, false, false),
    };
    let (body, dependencies, skip_right) = match body.strip_suffix("...") {
        Some(rest) => match rest.strip_suffix('^') {
            Some(rest) => (rest, true, true),
            None => (rest, true, false),
        },
        None => (body, false, false),
    };
    let (pattern, range) = match body.find('[') {
        Some(at)
            if body.ends_with(']')
                && (at == 0 || body[at..].contains("...") || !body[..at].contains('*')) =>
        {
            (&body[..at], Some(&body[at + 1..body.len() - 1]))
        }
        _ => (body, None),
    };
    let mut base: BTreeSet<usize> = (0..workspace.projects.len()).collect();
    if !pattern.is_empty() {
        let bad = |why: String| SelectError::BadFilter {
            filter: filter.to_owned(),
            why,
        };
        let outside = pattern.starts_with("../") || pattern.starts_with('/');
        let by_folder = pattern.starts_with("./") || pattern == "." || outside;
        let text = if by_folder {
            pattern.trim_start_matches("./").trim_end_matches('/')
        } else {
            pattern
        };
        let glob = GlobBuilder::new(text)
            .literal_separator(by_folder)
            .build()
            .map_err(|error| bad(error.kind().to_string()))?
            .compile_matcher();
        base.retain(|&index| {
            let project = &workspace.projects[index];
            if by_folder {
                let dir = workspace.folder_of(index);
                glob.is_match(&dir) || (text == "." && dir.is_empty())
            } else {
                glob.is_match(&project.name)
            }
        });
    } else if range.is_none() {
        return Err(SelectError::BadFilter {
            filter: filter.to_owned(),
            why: "it names no project".to_owned(),
        });
    }
    if let Some(range) = range {
        let changed = changed_projects(workspace, root, range)?;
        base = base.intersection(&changed).copied().collect();
    }
    let mut result = if skip_left || skip_right {
        BTreeSet::new()
    } else {
        base.clone()
    };
    if dependents {
        result.extend(
            closure(workspace, &base, Direction::Dependents)
                .into_iter()
                .filter(|p| !skip_left || !base.contains(p)),
        );
    }
    if dependencies {
        result.extend(
            closure(workspace, &base, Direction::Dependencies)
                .into_iter()
                .filter(|p| !skip_right || !base.contains(p)),
        );
    }
    Ok(result)
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Dependencies,
    Dependents,
}

/// The given projects and all they reach in a direction.
fn closure(workspace: &Workspace, from: &BTreeSet<usize>, direction: Direction) -> BTreeSet<usize> {
    let mut edges = vec![Vec::new(); workspace.projects.len()];
    for (index, project) in workspace.projects.iter().enumerate() {
        for &dependency in &project.depends_on {
            match direction {
                Direction::Dependencies => edges[index].push(dependency),
                Direction::Dependents => edges[dependency].push(index),
            }
        }
    }
    let mut reached = from.clone();
    let mut stack: Vec<usize> = from.iter().copied().collect();
    while let Some(index) = stack.pop() {
        for &next in &edges[index] {
            if reached.insert(next) {
                stack.push(next);
            }
        }
    }
    reached
}

/// Projects with a file that differs in a git range; a changed global input or root configuration reaches all.
fn changed_projects(
    workspace: &Workspace,
    root: &Path,
    range: &str,
) -> Result<BTreeSet<usize>, SelectError> {
    let files = range::changed(root, range).map_err(|why| SelectError::Git {
        range: range.to_owned(),
        why,
    })?;
    let mut found = BTreeSet::new();
    for file in &files {
        let global = file == b"larder.toml"
            || workspace
                .settings
                .global_inputs
                .iter()
                .any(|glob| glob.glob.as_bytes() == file.as_slice());
        if global {
            return Ok((0..workspace.projects.len()).collect());
        }
        for (index, project) in workspace.projects.iter().enumerate() {
            let inside = project.dir.is_empty()
                || (file.starts_with(&project.dir) && file.get(project.dir.len()) == Some(&b'/'));
            if inside {
                found.insert(index);
            }
        }
    }
    Ok(found)
}

/// Tasks that the words of the command line name, within the chosen projects.
///
/// # Errors
/// See [`SelectError`].
pub fn tasks(
    workspace: &Workspace,
    words: &[String],
    projects: &BTreeSet<usize>,
) -> Result<BTreeSet<usize>, SelectError> {
    let mut found = BTreeSet::new();
    for word in words {
        found.extend(named(workspace, word, projects)?);
    }
    Ok(found)
}

fn named(
    workspace: &Workspace,
    word: &str,
    projects: &BTreeSet<usize>,
) -> Result<Vec<usize>, SelectError> {
    let all = || workspace.tasks.iter().enumerate();
    if all().any(|(_, task)| task.name == word) {
        return Ok(all()
            .filter(|(_, task)| task.name == word && projects.contains(&task.project))
            .map(|(index, _)| index)
            .collect());
    }
    let Some((project, name)) = word.split_once('#').or_else(|| word.rsplit_once(':')) else {
        let nearest = nearest(word, workspace.tasks.iter().map(|task| task.name.as_str()));
        return Err(SelectError::UnknownTask {
            name: word.to_owned(),
            nearest,
        });
    };
    let Some(at) = workspace
        .projects
        .iter()
        .position(|candidate| candidate.name == project)
    else {
        let nearest = nearest(
            project,
            workspace
                .projects
                .iter()
                .map(|project| project.name.as_str()),
        );
        return Err(SelectError::UnknownProject {
            name: project.to_owned(),
            nearest,
        });
    };
    if let Some((index, _)) = all().find(|(_, task)| task.project == at && task.name == name) {
        Ok(vec![index])
    } else {
        let names = workspace
            .tasks
            .iter()
            .filter(|task| task.project == at)
            .map(|task| task.name.as_str());
        Err(SelectError::UnknownTask {
            name: word.to_owned(),
            nearest: nearest(name, names).map(|name| format!("{project}#{name}")),
        })
    }
}
