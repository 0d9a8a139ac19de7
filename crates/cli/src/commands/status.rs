//! `larder cache status`: where the cache and the workspace's own state lie, what fills them, how to clear each.
//! Does not know the form of what is stored.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use larder_cache::Status;
use serde_json::{Value, json};

use crate::session::{Paths, Session};

use super::cache::{count, size};

/// How many of the largest tasks are named to people; JSON has all.
const LARGEST: usize = 10;

/// What there is to say, as plain data.
#[derive(Debug)]
pub(super) struct Told {
    location: PathBuf,
    cache: Status,
    rate: Rate,
    folder: PathBuf,
    parts: Vec<Part>,
}

/// What the cache did in the runs whose records are kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rate {
    runs: usize,
    hits: u64,
    misses: u64,
    /// Of the last run alone.
    last: Option<(u64, u64)>,
}

/// A part of the workspace's own state.
#[derive(Debug)]
struct Part {
    name: &'static str,
    paths: Vec<PathBuf>,
    files: u64,
    bytes: u64,
    /// What deleting it costs.
    if_deleted: &'static str,
}

/// Gathers what is said.
pub(super) fn gather(session: &Session<'_>, location: &Path, cache: Status) -> Told {
    let paths = &session.paths;
    Told {
        location: location.to_owned(),
        cache,
        rate: rate(paths),
        folder: paths.folder.clone(),
        parts: parts(paths),
    }
}

fn parts(paths: &Paths) -> Vec<Part> {
    let part = |name, paths: &[&PathBuf], if_deleted| {
        let mut part = Part {
            name,
            paths: paths.iter().map(|path| (*path).clone()).collect(),
            files: 0,
            bytes: 0,
            if_deleted,
        };
        for path in paths {
            measure(path, &mut part);
        }
        part
    };
    vec![
        part(
            "state",
            &[&paths.state],
            "tasks are judged anew, outputs become yours",
        ),
        part("memo", &[&paths.memo], "all files are digested again"),
        part(
            "snapshot",
            &[&paths.snapshot],
            "the configuration is read again",
        ),
        part(
            "records",
            &[&paths.runs, &paths.last_run],
            "what earlier runs did is forgotten",
        ),
        part(
            "rescued",
            &[&paths.rescued],
            "look first: there is no other copy",
        ),
    ]
}

/// Adds up what lies at a path. Links are not followed; what cannot be read counts as nothing.
fn measure(path: &Path, part: &mut Part) {
    let Ok(stat) = path.symlink_metadata() else {
        return;
    };
    if !stat.is_dir() {
        part.files += 1;
        part.bytes += stat.len();
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        measure(&entry.path(), part);
    }
}

/// Adds up the kept records and that of the last run, which is among them if it did anything.
fn rate(paths: &Paths) -> Rate {
    let read = |path: &Path| -> Option<(String, u64, u64)> {
        let record: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let started = record["started"].as_str()?.to_owned();
        Some((
            started,
            record["cache_hit"].as_u64()?,
            record["cache_miss"].as_u64()?,
        ))
    };
    let last = read(&paths.last_run);
    let kept = std::fs::read_dir(&paths.runs).into_iter().flatten();
    let mut runs: Vec<_> = kept
        .flatten()
        .filter_map(|entry| read(&entry.path()))
        .collect();
    runs.extend(last.clone());
    runs.sort();
    runs.dedup();
    Rate {
        runs: runs.len(),
        hits: runs.iter().map(|run| run.1).sum(),
        misses: runs.iter().map(|run| run.2).sum(),
        last: last.map(|(_, hits, misses)| (hits, misses)),
    }
}

/// A share of a whole in percent, rounded down: only all is 100.
fn percent(hits: u64, misses: u64) -> Option<u64> {
    (hits * 100).checked_div(hits + misses)
}

/// As JSON.
pub(super) fn value(told: &Told) -> Value {
    let tasks: Vec<_> = told
        .cache
        .tasks
        .iter()
        .map(|task| json!({ "task": task.task, "bytes": task.bytes }))
        .collect();
    let parts: Vec<_> = told.parts.iter().map(|part| json!({ "name": part.name, "paths": part.paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(), "files": part.files, "bytes": part.bytes, "if_deleted": part.if_deleted })).collect();
    json!({
        "location": told.location.to_string_lossy(),
        "entries": told.cache.entries,
        "artifacts": told.cache.artifacts,
        "bytes": told.cache.bytes,
        "quarantined": told.cache.quarantined,
        "clear": "larder cache clear",
        "runs": told.rate.runs,
        "hits": told.rate.hits,
        "misses": told.rate.misses,
        "last_hits": told.rate.last.map(|last| last.0),
        "last_misses": told.rate.last.map(|last| last.1),
        "tasks": tasks,
        "workspace": { "location": told.folder.to_string_lossy(), "parts": parts },
    })
}

/// For people.
pub(super) fn text(told: &Told) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "cache: {}", told.location.display());
    let _ = writeln!(
        text,
        "  {}, {}, {}",
        count(told.cache.entries, "entry", "entries"),
        count(told.cache.artifacts, "artifact", "artifacts"),
        size(told.cache.bytes)
    );
    if let Some(share) = percent(told.rate.hits, told.rate.misses) {
        let runs = match told.rate.runs {
            1 => "in the last run".to_owned(),
            runs => format!("in the {runs} runs kept here"),
        };
        let last = told.rate.last.filter(|_| told.rate.runs > 1);
        let last = last.map_or(String::new(), |(hits, misses)| {
            format!("; last run: {hits} of {}", hits + misses)
        });
        let all = told.rate.hits + told.rate.misses;
        let _ = writeln!(
            text,
            "  hit rate {share} %: {} of {all} tasks {runs}{last}",
            told.rate.hits
        );
    }
    if told.cache.quarantined > 0 {
        let files = count(told.cache.quarantined, "bad file lies", "bad files lie");
        let _ = writeln!(
            text,
            "  {files} in `v1/quarantine` until a prune a day later"
        );
    }
    if !told.cache.tasks.is_empty() {
        text.push_str("  largest tasks:\n");
    }
    for task in told.cache.tasks.iter().take(LARGEST) {
        let _ = writeln!(text, "  {:>10}  {}", size(task.bytes), task.task);
    }
    text.push_str("  trim it with `larder cache prune`, empty it with `larder cache clear`\n");
    let _ = writeln!(text, "workspace: {}", told.folder.display());
    let _ = writeln!(
        text,
        "  {:>10}  {:<19}  what that costs",
        "size", "delete to clear"
    );
    for part in &told.parts {
        let names = part.paths.iter().filter_map(|path| path.file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        let (size, names) = (size(part.bytes), names.join(", "));
        let _ = writeln!(text, "  {size:>10}  {names:<19}  {}", part.if_deleted);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(paths: &Paths, name: &str, started: &str, hits: u64, misses: u64) -> PathBuf {
        std::fs::create_dir_all(&paths.runs).unwrap();
        let path = paths.runs.join(name);
        let record = json!({ "started": started, "cache_hit": hits, "cache_miss": misses });
        std::fs::write(&path, record.to_string()).unwrap();
        path
    }

    #[test]
    fn the_last_run_counts_once_though_its_record_is_kept_too() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path(), None);
        assert_eq!(rate(&paths), Rate::default());
        record(&paths, "a.json", "2026-01-01T00:00:00Z", 1, 3);
        let newest = record(&paths, "b.json", "2026-01-02T00:00:00Z", 3, 1);
        std::fs::write(paths.runs.join("c.json"), "garbage").unwrap();
        std::fs::copy(&newest, &paths.last_run).unwrap();
        let both = Rate {
            runs: 2,
            hits: 4,
            misses: 4,
            last: Some((3, 1)),
        };
        assert_eq!(rate(&paths), both);
        // A run that did nothing is in the slot of the last run alone.
        let idle = json!({ "started": "2026-01-03T00:00:00Z", "cache_hit": 4, "cache_miss": 0 });
        std::fs::write(&paths.last_run, idle.to_string()).unwrap();
        let all = Rate {
            runs: 3,
            hits: 8,
            misses: 4,
            last: Some((4, 0)),
        };
        assert_eq!(rate(&paths), all);
    }

    #[test]
    fn the_page_fits_eighty_columns_but_for_names() {
        let part = |name, files: &[&str], bytes, if_deleted| Part {
            name,
            paths: files.iter().map(PathBuf::from).collect(),
            files: 1,
            bytes,
            if_deleted,
        };
        let mut parts = parts(&Paths::new(Path::new("/ws"), None));
        parts.push(part("x", &["/ws/.larder/x"], 1_234_567, "nothing"));
        let told = Told {
            location: PathBuf::from("/cache"),
            cache: Status {
                location: PathBuf::from("/cache"),
                entries: 1,
                artifacts: 20,
                bytes: 123_456_789,
                quarantined: 1,
                tasks: vec![larder_cache::TaskSize {
                    task: "web#build".to_owned(),
                    entries: 1,
                    bytes: 1000,
                }],
            },
            rate: Rate {
                runs: 3,
                hits: 2,
                misses: 1,
                last: Some((1, 0)),
            },
            folder: PathBuf::from("/ws/.larder"),
            parts,
        };
        let text = text(&told);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text, @r"
        cache: /cache
          1 entry, 20 artifacts, 117.74 MiB
          hit rate 66 %: 2 of 3 tasks in the 3 runs kept here; last run: 1 of 1
          1 bad file lies in `v1/quarantine` until a prune a day later
          largest tasks:
              1000 B  web#build
          trim it with `larder cache prune`, empty it with `larder cache clear`
        workspace: /ws/.larder
                size  delete to clear      what that costs
                 0 B  state                tasks are judged anew, outputs become yours
                 0 B  memo                 all files are digested again
                 0 B  workspace            the configuration is read again
                 0 B  runs, last-run.json  what earlier runs did is forgotten
                 0 B  rescued              look first: there is no other copy
            1.18 MiB  x                    nothing
        ");
    }

    #[test]
    fn only_all_is_a_hundred_percent() {
        assert_eq!(percent(0, 0), None);
        assert_eq!(percent(999, 1), Some(99));
        assert_eq!(percent(5, 0), Some(100));
    }
}
