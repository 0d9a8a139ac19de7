//! What an upload takes: the last run's record, its manifests, its logs, and the chosen artifacts.
//! Does not know what becomes of it.

use std::collections::BTreeMap;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use larder_archive::{
    Artifact, Extra, Finding, Manifests, RunRecord, RunSummary, Severity, TaskStatus, artifact,
};
use serde::{Deserialize, Serialize};

use crate::config::Glob;
use crate::execute::Log;
use crate::session::Session;
use crate::session::life::hex;

use super::manifests;

/// What was asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) trigger: String,
    pub(super) tags: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) no_gates: bool,
    pub(super) attest: bool,
}

/// What the step `collect` gives.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Collected {
    pub(super) asked: Asked,
    pub(super) run: RunRecord,
    pub(super) manifests: Manifests,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn collect(session: &Session<'_>, asked: Asked) -> Result<Collected, String> {
    let run = last_run(session)?;
    let manifests = manifests::of_run(session, keys(run.summary()));
    let mut findings = Vec::new();
    let globs = &session.workspace.settings.archive.artifacts;
    let names = chosen(&session.root, globs, &mut findings)?;
    let mut artifacts = Vec::new();
    for name in names {
        let one = artifact(&session.root, &name).map_err(|error| super::words(&error))?;
        artifacts.push(one);
    }
    edited(session, &artifacts, &mut findings);
    Ok(Collected {
        asked,
        run,
        manifests,
        artifacts,
        findings,
    })
}

/// The record of the last run.
pub(super) fn last_run(session: &Session<'_>) -> Result<RunRecord, String> {
    let path = &session.paths.last_run;
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(
                "there is no run to archive yet: run some tasks first, as in `larder run build`"
                    .to_owned(),
            );
        }
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let json = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is no run record: {error}", path.display()))?;
    RunRecord::new(json).map_err(|error| format!("{}: {error}", path.display()))
}

/// The tasks of a run that have keys, those that failed as well.
fn keys(run: &RunSummary) -> impl Iterator<Item = (&str, &str)> {
    let tasks = run.tasks.iter();
    let tasks = tasks.filter(|task| task.status.passed() || task.status == TaskStatus::Failed);
    tasks.filter_map(|task| Some((task.task.as_str(), task.key.as_deref()?)))
}

/// What the run's tasks printed, as far as the state still knows it.
pub(super) fn logs(session: &Session<'_>, run: &RunSummary) -> Vec<Extra> {
    let mut logs = Vec::new();
    for (task, key) in keys(run) {
        for (name, log) in manifests::logs(session, task, key) {
            let Some(log) = Log::decode(&log) else {
                continue;
            };
            // Names of projects are paths, and those outside of the root begin with dots.
            let name = name.replace("..", "__");
            logs.push(Extra {
                name: format!("logs/{name}.log"),
                content: log.bytes(),
            });
        }
    }
    logs
}

/// The names of the files that the globs choose, sorted. The last glob that matches decides; links are left out and named.
pub(super) fn chosen(
    root: &Path,
    globs: &[Glob],
    findings: &mut Vec<Finding>,
) -> Result<Vec<String>, String> {
    let mut rules: Vec<(bool, GlobMatcher)> = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    for glob in globs {
        let built = GlobBuilder::new(&glob.glob).literal_separator(true).build();
        let built = built.map_err(|error| error.to_string())?;
        rules.push((glob.negated, built.compile_matcher()));
        if !glob.negated {
            folders.push(fixed_part(&glob.glob));
        }
    }
    folders.sort();
    // What lies in a folder that is walked anyway is not walked twice.
    let mut tops: Vec<String> = Vec::new();
    for folder in folders {
        let covered = |top: &String| {
            top.is_empty()
                || folder
                    .strip_prefix(top.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !tops.iter().any(covered) {
            tops.push(folder);
        }
    }
    let wanted = |name: &str| {
        let rule = rules.iter().rev().find(|(_, rule)| rule.is_match(name));
        rule.is_some_and(|(negated, _)| !negated)
    };
    let mut names = Vec::new();
    while let Some(at) = tops.pop() {
        let path = root.join(&at);
        let Ok(found) = path.symlink_metadata() else {
            continue;
        };
        if found.is_dir() {
            let unread =
                |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
            for entry in std::fs::read_dir(&path).map_err(unread)? {
                let name = entry.map_err(unread)?.file_name();
                // What is no text cannot be named in an entry; git's and our own folders are no artifacts.
                let Some(name) = name
                    .to_str()
                    .filter(|name| !matches!(*name, ".git" | ".larder"))
                else {
                    continue;
                };
                tops.push(if at.is_empty() {
                    name.to_owned()
                } else {
                    format!("{at}/{name}")
                });
            }
        } else if wanted(&at) {
            if found.is_file() {
                names.push(at);
            } else {
                findings.push(Finding {
                    validator: "collect".to_owned(),
                    severity: Severity::Note,
                    message: format!("`{at}` is no regular file and is left out"),
                });
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The folder, or file, that a glob cannot leave.
fn fixed_part(glob: &str) -> String {
    let is_open = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = glob.split('/').take_while(is_open).collect();
    parts.join("/")
}

/// Says which artifacts are not as the task that made them left them.
fn edited(session: &Session<'_>, artifacts: &[Artifact], findings: &mut Vec<Finding>) {
    let mut made: BTreeMap<&[u8], (&str, [u8; 32])> = BTreeMap::new();
    for (task, state) in session.state.tasks() {
        for row in &state.owned {
            made.insert(&row.path, (task, row.digest));
        }
    }
    for one in artifacts {
        let Some((task, digest)) = made.get(one.name.as_bytes()) else {
            continue;
        };
        if hex(digest) != one.blake3 {
            findings.push(Finding {
                validator: "collect".to_owned(),
                severity: Severity::Warning,
                message: format!("`{}` is not as {task} left it", one.name),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        let negated = text.starts_with('!');
        Glob {
            negated,
            from_root: false,
            glob: text.trim_start_matches('!').to_owned(),
        }
    }

    #[test]
    fn globs_choose_files_in_order_and_walk_no_more_than_they_must() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "dist/a.js",
            "dist/sub/b.js",
            "dist/b.map",
            "src/c.js",
            ".git/x.js",
            "top",
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let chosen = |globs: &[&str]| {
            let globs: Vec<Glob> = globs.iter().map(|text| glob(text)).collect();
            chosen(folder.path(), &globs, &mut Vec::new()).unwrap()
        };
        assert_eq!(
            chosen(&["dist/**", "!**/*.map"]),
            ["dist/a.js", "dist/sub/b.js"]
        );
        assert_eq!(chosen(&["dist/**", "!dist/**", "dist/a.js"]), ["dist/a.js"]);
        assert_eq!(
            chosen(&["**/*.js"]),
            ["dist/a.js", "dist/sub/b.js", "src/c.js"]
        );
        assert_eq!(
            chosen(&["top", "none/**", "dist/*/b.js"]),
            ["dist/sub/b.js", "top"]
        );
        assert!(chosen(&[]).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_left_out_and_named() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let mut findings = Vec::new();
        assert!(
            chosen(folder.path(), &[glob("*")], &mut findings)
                .unwrap()
                .is_empty()
        );
        assert!(findings[0].message.contains("`link`"), "{findings:?}");
    }
}
