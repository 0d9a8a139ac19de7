//! What an upload takes: the last run's record, its manifests, its logs, and the chosen artifacts.
//! Does not know what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use larder_archive::{
    Artifact, Extra, Finding, Manifests, RunRecord, RunSummary, Severity, TaskStatus, artifact,
};
use serde::{Deserialize, Serialize};

use crate::config::{ArchiveSettings, Glob, MirrorSettings};
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
    /// The names of tasks and chunks that printed something. What it was is read when the bundle is made: it may be much.
    #[serde(default)]
    pub(super) logs: Vec<String>,
}

/// Takes the last run; `archive` is the folder that it goes to.
pub(super) fn collect(
    session: &Session<'_>,
    archive: &Path,
    asked: Asked,
) -> Result<Collected, String> {
    let run = last_run(session)?;
    let manifests = manifests::of_run(session, keys(run.summary()));
    let mut findings = Vec::new();
    let settings = &session.workspace.settings.archive;
    let globs = &settings.artifacts;
    let names = chosen(
        &session.root,
        globs,
        &own(&session.root, settings, archive),
        &mut findings,
    )?;
    let mut artifacts = Vec::new();
    for name in names {
        let one = artifact(&session.root, &name).map_err(|error| super::words(&error))?;
        artifacts.push(one);
    }
    edited(session, &artifacts, &mut findings);
    let logs = keys(run.summary()).flat_map(|(task, key)| manifests::logs(session, task, key));
    let logs = logs.map(|(name, _)| name).collect();
    Ok(Collected {
        asked,
        run,
        manifests,
        artifacts,
        findings,
        logs,
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

/// What a bundle holds of what the run's tasks printed.
pub(super) struct Logs {
    /// The members.
    pub(super) found: Vec<Extra>,
    /// Names of tasks and chunks whose logs are known to exist and cannot be read.
    pub(super) lost: Vec<String>,
}

/// What the run's tasks printed, as far as the state still knows it.
pub(super) fn logs(session: &Session<'_>, run: &RunSummary) -> Logs {
    let mut logs = Logs {
        found: Vec::new(),
        lost: Vec::new(),
    };
    for (task, key) in keys(run) {
        for (name, log) in manifests::logs(session, task, key) {
            match log.and_then(|log| Log::decode(&log)) {
                Some(log) => logs.found.push(Extra {
                    name: member(&name),
                    content: log.bytes(),
                }),
                None => logs.lost.push(name),
            }
        }
    }
    logs
}

/// Where a log lies in a bundle. Names of projects are paths, and those outside of the root begin with dots.
fn member(name: &str) -> String {
    format!("logs/{}.log", name.replace("..", "__"))
}

impl Collected {
    /// Warnings of logs that were there when the run was taken, or should have been, and are not in the bundle.
    pub(super) fn missing(&self, logs: &Logs) -> Vec<Finding> {
        let here: BTreeSet<&str> = logs.found.iter().map(|log| log.name.as_str()).collect();
        let gone = self
            .logs
            .iter()
            .filter(|name| !here.contains(member(name).as_str()));
        let names: BTreeSet<&String> = gone.chain(&logs.lost).collect();
        let finding = |name: &String| Finding {
            validator: "collect".to_owned(),
            severity: Severity::Warning,
            message: format!("its log cannot be read and is left out: {name}"),
        };
        names.into_iter().map(finding).collect()
    }
}

/// Folders that are no artifacts wherever they lie: the archive itself, and its mirrors.
fn own(root: &Path, settings: &ArchiveSettings, archive: &Path) -> Vec<PathBuf> {
    let mirrors = settings.mirrors.values().filter_map(|mirror| match mirror {
        MirrorSettings::Folder(folder) => Some(root.join(folder)),
        MirrorSettings::Store { .. } => None,
    });
    std::iter::once(archive.to_owned()).chain(mirrors).collect()
}

/// The names of the files that the globs choose, sorted. The last glob that matches decides. Links, names that are no text, and globs that
/// choose nothing are named; nothing below `except` is chosen.
pub(super) fn chosen(
    root: &Path,
    globs: &[Glob],
    except: &[PathBuf],
    findings: &mut Vec<Finding>,
) -> Result<Vec<String>, String> {
    let mut rules: Vec<(bool, GlobMatcher)> = Vec::new();
    for glob in globs {
        let built = GlobBuilder::new(&glob.glob).literal_separator(true).build();
        let built = built.map_err(|error| error.to_string())?;
        rules.push((glob.negated, built.compile_matcher()));
    }
    let mut matched = vec![false; rules.len()];
    let mut note = |severity, message: String| {
        findings.push(Finding {
            validator: "collect".to_owned(),
            severity,
            message,
        });
    };
    let mut names = Vec::new();
    let mut tops = tops(globs);
    for top in &mut tops {
        if let Some(link) = link_above(root, top) {
            *top = link;
        }
    }
    while let Some(at) = tops.pop() {
        let path = root.join(&at);
        if except.contains(&path) {
            continue;
        }
        let unread = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
        let found = match path.symlink_metadata() {
            Err(error) if is_absent(&error) => continue,
            other => other.map_err(unread)?,
        };
        if found.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(unread)? {
                let name = entry.map_err(unread)?.file_name();
                // git's and our own folders are no artifacts.
                if name == ".git" || name == ".larder" {
                    continue;
                }
                let Some(name) = name.to_str() else {
                    let message = format!(
                        "`{}` is left out: its name is no text",
                        path.join(&name).display()
                    );
                    note(Severity::Warning, message);
                    continue;
                };
                tops.push(if at.is_empty() {
                    name.to_owned()
                } else {
                    format!("{at}/{name}")
                });
            }
            continue;
        }
        let rule = rules.iter().rposition(|(_, rule)| rule.is_match(&at));
        let wanted = rule.filter(|rule| !rules[*rule].0);
        if let Some(rule) = wanted {
            matched[rule] = true;
            if found.is_file() {
                names.push(at);
            } else {
                let message = format!("`{at}` is no regular file and is left out");
                note(Severity::Note, message);
            }
        } else if found.is_symlink() && globs.iter().any(|glob| leads_through(glob, &at)) {
            let message = format!("`{at}` is a link, and what lies behind it is left out");
            note(Severity::Warning, message);
        }
    }
    for (glob, matched) in globs.iter().zip(matched) {
        if !glob.negated && !matched {
            let message = format!("`{}` chooses no file", glob.glob);
            note(Severity::Warning, message);
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether nothing lies there: a folder on the way may be a file.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The folders, or files, from where all that the globs may choose is found. What lies in a folder that is walked anyway is not walked twice.
fn tops(globs: &[Glob]) -> Vec<String> {
    let taken = globs.iter().filter(|glob| !glob.negated);
    let mut folders: Vec<String> = taken.map(|glob| fixed_part(&glob.glob)).collect();
    folders.sort();
    let mut tops: Vec<String> = Vec::new();
    for folder in folders {
        if !tops.iter().any(|top| is_below(&folder, top)) {
            tops.push(folder);
        }
    }
    tops
}

/// The first link on the way to a path.
fn link_above(root: &Path, path: &str) -> Option<String> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let mut folders = ends.map(|end| &path[..end]);
    let link = folders.find(|folder| root.join(folder).is_symlink())?;
    Some(link.to_owned())
}

/// Whether a path is a folder or lies in it.
fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether all that a glob may choose lies below this path.
fn leads_through(glob: &Glob, path: &str) -> bool {
    !glob.negated && is_below(&fixed_part(&glob.glob), path)
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
            chosen(folder.path(), &globs, &[], &mut Vec::new()).unwrap()
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
    fn what_is_left_out_is_named() {
        use std::os::unix::ffi::OsStringExt as _;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("real/kept")).unwrap();
        std::fs::write(root.join("real/file"), "").unwrap();
        std::fs::write(root.join("real/kept/own"), "").unwrap();
        let odd = std::ffi::OsString::from_vec(b"real/\xff".to_vec());
        std::fs::write(root.join(odd), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        std::os::unix::fs::symlink("real", root.join("linked")).unwrap();
        let told = |globs: &[&str]| {
            let globs: Vec<Glob> = globs.iter().map(|text| glob(text)).collect();
            let mut findings = Vec::new();
            let except = [root.join("real/kept")];
            let names = chosen(root, &globs, &except, &mut findings).unwrap();
            let told = findings.into_iter().map(|finding| finding.message);
            (names, told.collect::<Vec<_>>())
        };
        let (names, findings) = told(&["link"]);
        assert!(names.is_empty());
        assert_eq!(findings, ["`link` is no regular file and is left out"]);
        let (names, findings) = told(&["linked/**", "real/**", "!real/none"]);
        assert_eq!(names, ["real/file"], "nothing of the archive itself");
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings[0].contains("its name is no text"), "{findings:?}");
        assert!(findings[1].contains("`linked` is a link"), "{findings:?}");
        assert_eq!(findings[2], "`linked/**` chooses no file");
        let (names, findings) = told(&["linked/kept/*"]);
        assert!(names.is_empty());
        assert!(findings[0].contains("`linked` is a link"), "{findings:?}");
    }
}
