//! Finds the folders that the member globs of other tools name.
//! It does not know what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// The folders below `root` that `patterns` match and that hold the file `manifest`, as
/// '/'-separated paths; a pattern after `!` takes out. Links, hidden folders and `node_modules`
/// are passed over unless named.
pub(super) fn members(root: &Path, patterns: &[String], manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for pattern in patterns.iter().filter(|p| !p.starts_with('!')) {
        if let Some(pattern) = normal("", pattern) {
            expand(root, String::new(), &parts(&pattern), &mut found);
        }
    }
    let out: Vec<GlobMatcher> = patterns
        .iter()
        .filter_map(|pattern| matcher(&normal("", pattern.strip_prefix('!')?)?))
        .collect();
    found.retain(|dir| {
        root.join(dir).join(manifest).is_file() && !out.iter().any(|out| out.is_match(dir))
    });
    found
}

/// Whether a '/'-separated path is one of `dirs` or below one.
pub(super) fn is_below(dir: &str, dirs: &BTreeSet<String>) -> bool {
    dirs.iter().any(|out| {
        dir.strip_prefix(out.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The folder `path` seen from the folder `dir`, both relative to the root; `None` when it leads
/// out of the root or is absolute. The root is the empty text.
pub(super) fn normal(dir: &str, path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    if path.starts_with('/') || path.get(1..2) == Some(":") {
        return None;
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The patterns for `[workspace] projects` that name exactly `dirs`: a folder whose visible
/// folders are all projects is written with a star, so that new ones are found.
pub(super) fn patterns(root: &Path, dirs: &BTreeSet<String>) -> Vec<String> {
    let mut patterns = BTreeSet::new();
    for dir in dirs {
        let (parent, _) = dir.rsplit_once('/').unwrap_or(("", dir));
        let all: Vec<String> = folders(root, parent, false)
            .into_iter()
            .map(|name| join(parent, &name))
            .collect();
        if !parent.is_empty() && all.contains(dir) && all.iter().all(|dir| dirs.contains(dir)) {
            patterns.insert(format!("{}/*", escape(parent)));
        } else if dir.is_empty() {
            patterns.insert(".".to_owned());
        } else {
            patterns.insert(escape(dir));
        }
    }
    patterns.into_iter().collect()
}

/// A path as a glob that matches it alone.
fn escape(path: &str) -> String {
    let mut text = String::new();
    if path.starts_with('!') {
        text.push_str("./");
    }
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '{' | '}') {
            text.extend(['[', c, ']']);
        } else {
            text.push(c);
        }
    }
    text
}

fn parts(pattern: &str) -> Vec<&str> {
    pattern.split('/').filter(|part| !part.is_empty()).collect()
}

fn matcher(pattern: &str) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

fn expand(root: &Path, at: String, parts: &[&str], found: &mut BTreeSet<String>) {
    let Some((part, rest)) = parts.split_first() else {
        found.insert(at);
        return;
    };
    if *part == "**" {
        expand(root, at.clone(), rest, found);
        for name in folders(root, &at, false) {
            expand(root, join(&at, &name), parts, found);
        }
    } else if part.contains(['*', '?', '[', '{']) {
        let Some(matcher) = matcher(part) else {
            return;
        };
        for name in folders(root, &at, part.starts_with('.')) {
            if matcher.is_match(&name) {
                expand(root, join(&at, &name), rest, found);
            }
        }
    } else {
        let below = join(&at, part);
        if root.join(&below).is_dir() {
            expand(root, below, rest, found);
        }
    }
}

/// Names of the folders in a folder, sorted. One whose name is no text cannot be written down.
fn folders(root: &Path, at: &str, hidden: bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join(at)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "node_modules" && (hidden || !name.starts_with('.')))
        .collect();
    names.sort();
    names
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}
