//! Finds the folders of projects and reads files, noting everything the answer rests on.
//! It does not know what is written in the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::format::{Source, SourceKind, Stat};
use super::parse::{Cx, S};
use super::report::Report;

/// The disk below one root, with a record of what was looked at.
#[derive(Debug)]
pub(super) struct Disk<'a> {
    root: &'a Path,
    seen: BTreeMap<(Vec<u8>, SourceKind), Option<Stat>>,
}

impl<'a> Disk<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self {
            root,
            seen: BTreeMap::new(),
        }
    }

    /// Reads a text file; `None` when there is none.
    pub(super) fn read(&mut self, path: &[u8]) -> io::Result<Option<String>> {
        let full = self.note(path, SourceKind::File);
        match fs::read_to_string(full) {
            Ok(text) => Ok(Some(text)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Everything that was looked at, sorted.
    pub(super) fn into_sources(self) -> Vec<Source> {
        self.seen
            .into_iter()
            .map(|((path, kind), stat)| Source { path, kind, stat })
            .collect()
    }

    fn is_folder(&mut self, path: &[u8]) -> bool {
        let full = self.note(path, SourceKind::Folder);
        full.is_dir()
    }

    /// Names of the folders in a folder, sorted; hidden ones and `node_modules` are left out
    /// unless `hidden`.
    fn folders(&mut self, path: &[u8], hidden: bool) -> Vec<Vec<u8>> {
        let full = self.note(path, SourceKind::Listing);
        let Ok(entries) = fs::read_dir(full) else {
            return Vec::new();
        };
        let mut names: Vec<Vec<u8>> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| name_bytes(&entry.file_name()))
            .filter(|name| name != b"node_modules" && (hidden || !name.starts_with(b".")))
            .collect();
        names.sort();
        names
    }

    /// The path from the root of a folder that is named absolutely and lies in it.
    fn within(&self, path: Vec<u8>) -> Vec<u8> {
        if !path.starts_with(b"/") {
            return path;
        }
        let full = os_path(&path);
        let full = full.canonicalize().unwrap_or(full);
        let root = self.root.canonicalize().unwrap_or(self.root.to_owned());
        match full.strip_prefix(root) {
            Ok(below) => below.as_os_str().as_encoded_bytes().to_vec(),
            Err(_) => path,
        }
    }

    /// Stats a source before it is used, so that a later change is seen as one.
    fn note(&mut self, path: &[u8], kind: SourceKind) -> PathBuf {
        let full = full_path(self.root, path);
        self.seen
            .entry((path.to_vec(), kind))
            .or_insert_with(|| stat(&full));
        full
    }
}

/// The path on disk of a relative one.
pub(super) fn full_path(root: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() {
        return root.to_path_buf();
    }
    root.join(os_path(path))
}

#[cfg(unix)]
fn os_path(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

#[cfg(not(unix))]
fn os_path(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have names that are not bytes"
)]
fn name_bytes(name: &std::ffi::OsStr) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    Some(name.as_bytes().to_vec())
}

#[cfg(not(unix))]
fn name_bytes(name: &std::ffi::OsStr) -> Option<Vec<u8>> {
    name.to_str().map(|name| name.as_bytes().to_vec())
}

/// The stat of what a path leads to; `None` when there is nothing.
#[cfg(unix)]
pub(super) fn stat(path: &Path) -> Option<Stat> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).ok()?;
    let nanos = |secs: i64, nsec: i64| secs.saturating_mul(1_000_000_000).saturating_add(nsec);
    Some(Stat {
        folder: meta.is_dir(),
        size: meta.size(),
        mtime_ns: nanos(meta.mtime(), meta.mtime_nsec()),
        ctime_ns: nanos(meta.ctime(), meta.ctime_nsec()),
        ino: meta.ino(),
    })
}

/// The stat of what a path leads to; `None` when there is nothing.
#[cfg(not(unix))]
pub(super) fn stat(path: &Path) -> Option<Stat> {
    let meta = fs::metadata(path).ok()?;
    let nanos = |time: io::Result<std::time::SystemTime>| {
        time.ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .unwrap_or(i64::MAX)
    };
    Some(Stat {
        folder: meta.is_dir(),
        size: meta.len(),
        mtime_ns: nanos(meta.modified()),
        ctime_ns: nanos(meta.created()),
        ino: 0,
    })
}

/// The folders that the patterns of `[workspace] projects` name, sorted.
pub(super) fn projects(patterns: &[S<String>], disk: &mut Disk<'_>, cx: &mut Cx) -> Vec<Vec<u8>> {
    let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
    for pattern in patterns {
        let text = pattern.value.as_str();
        let (negated, body) = match text.strip_prefix('!') {
            Some(body) => (true, body),
            None => (false, text),
        };
        let Some(parts) = components(body, pattern, cx) else {
            continue;
        };
        if negated {
            if let Some(matcher) = matcher(&parts.join("/"), pattern, cx) {
                found.retain(|dir| !matcher.is_match(os_path(dir)));
            }
        } else if parts.iter().any(|part| is_glob(part)) {
            let Some(matchers) = parts
                .iter()
                .map(|part| matcher(part, pattern, cx).map(|matcher| (*part, matcher)))
                .collect::<Option<Vec<_>>>()
            else {
                continue;
            };
            match matchers.split_first() {
                Some((("", _), below)) => expand(b"/".to_vec(), below, disk, &mut found),
                _ => expand(Vec::new(), &matchers, disk, &mut found),
            }
        } else {
            let path = disk.within(parts.join("/").into_bytes());
            if disk.is_folder(&path) {
                found.insert(path);
            } else {
                cx.report(
                    Report::new(pattern.at, format!("there is no folder `{body}`"), "")
                        .help("create it, or take it out of `projects`"),
                );
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a pattern has any special character.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn components<'t>(body: &'t str, pattern: &S<String>, cx: &mut Cx) -> Option<Vec<&'t str>> {
    let mut parts: Vec<&str> = Vec::new();
    if body.starts_with('/') {
        // Only a variable brings it here; an absolute path that is written is refused before.
        parts.push("");
    }
    for part in body
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part == ".." && parts.iter().any(|part| *part != "..") {
            cx.report(
                Report::new(pattern.at, "`..` inside a path", "")
                    .help("`..` can only stand at the start"),
            );
            return None;
        }
        parts.push(part);
    }
    Some(parts)
}

fn matcher(glob: &str, pattern: &S<String>, cx: &mut Cx) -> Option<GlobMatcher> {
    match GlobBuilder::new(glob).literal_separator(true).build() {
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            cx.report(Report::new(
                pattern.at,
                "bad glob",
                error.kind().to_string(),
            ));
            None
        }
    }
}

fn expand(
    at: Vec<u8>,
    parts: &[(&str, GlobMatcher)],
    disk: &mut Disk<'_>,
    found: &mut BTreeSet<Vec<u8>>,
) {
    let Some(((part, matcher), rest)) = parts.split_first() else {
        found.insert(disk.within(at));
        return;
    };
    if *part == "**" {
        // The rest may begin right here or any number of folders further down; `**` alone at
        // the end means the folders below.
        if !rest.is_empty() {
            expand(at.clone(), rest, disk, found);
        }
        for name in disk.folders(&at, false) {
            let below = join(&at, &name);
            if rest.is_empty() {
                found.insert(disk.within(below.clone()));
            }
            expand(below, parts, disk, found);
        }
    } else if is_glob(part) {
        for name in disk.folders(&at, part.starts_with('.')) {
            if matcher.is_match(os_path(&name)) {
                expand(join(&at, &name), rest, disk, found);
            }
        }
    } else {
        let below = join(&at, part.as_bytes());
        if disk.is_folder(&below) {
            expand(below, rest, disk, found);
        }
    }
}

/// A path below a folder.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() || dir.ends_with(b"/") {
        return [dir, name].concat();
    }
    [dir, b"/", name].concat()
}
