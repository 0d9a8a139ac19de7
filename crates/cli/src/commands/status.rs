//! `larder cache status`: where the cache and the workspace's own state lie, what fills them, how to clear each.
//! Does not know the form of what is stored.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use larder_cache::Status;
use serde_json::{Value, json};

use crate::args::Part;
use crate::session::{Paths, Session};

use super::cache::{count, size};

/// How many of the largest tasks are named to people; JSON has all.
const LARGEST: usize = 10;
/// What clears the cache and, with the name of a part behind it, that part.
pub(super) const CLEAR: &str = "larder cache clear";
/// Where what is said of a part goes on in the next line.
const INDENT: &str = "                        ";

/// What there is to say, as plain data.
#[derive(Debug)]
pub(super) struct Told {
    location: PathBuf,
    cache: Status,
    rate: Rate,
    folder: PathBuf,
    parts: Vec<Held>,
}

/// What the cache did in the runs whose records are kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rate {
    runs: usize,
    hits: u64,
    misses: u64,
    /// Of the last run alone.
    last: Option<(u64, u64)>,
    /// Digests that the memo knew in the last run, and that it did not.
    fingerprints: Option<(u64, u64)>,
}

/// What a part of the workspace's own state holds.
#[derive(Debug)]
pub(super) struct Held {
    /// Which it is.
    which: Part,
    /// As `cache clear` takes it.
    pub(super) name: &'static str,
    /// Where it lies.
    pub(super) paths: Vec<PathBuf>,
    /// What lies beside that and goes with it, and is not named.
    pub(super) beside: Vec<PathBuf>,
    /// How many files there are.
    pub(super) files: u64,
    /// How large they are together.
    pub(super) bytes: u64,
    /// What deleting it costs.
    pub(super) if_deleted: &'static str,
    /// What is in it: how many of what.
    counts: Vec<(&'static str, usize)>,
}

/// The parts of the workspace's own state.
const PARTS: [Part; 7] = [
    Part::State,
    Part::Memo,
    Part::Snapshot,
    Part::Session,
    Part::Records,
    Part::History,
    Part::Rescued,
];

/// Gathers what is said.
pub(super) fn gather(session: &Session<'_>, location: &Path, cache: Status) -> Told {
    let paths = &session.paths;
    let parts = PARTS.into_iter().map(|which| {
        let mut held = part(paths, which);
        held.counts = counts(session, which, &held);
        held
    });
    Told {
        location: location.to_owned(),
        cache,
        rate: rate(paths),
        folder: paths.folder.clone(),
        parts: parts.collect(),
    }
}

/// The parts of the workspace's own state, without a look into them.
pub(super) fn parts(paths: &Paths) -> Vec<Held> {
    PARTS.into_iter().map(|which| part(paths, which)).collect()
}

/// A part of the workspace's own state. The cache is none: of it nothing is said.
pub(super) fn part(paths: &Paths, which: Part) -> Held {
    let (name, places, if_deleted): (_, &[&PathBuf], _) = match which {
        Part::Cache => ("cache", &[], ""),
        Part::State => (
            "state",
            &[&paths.state],
            "tasks are judged anew, outputs become yours",
        ),
        Part::Memo => ("memo", &[&paths.memo], "all files are digested again"),
        Part::Snapshot => (
            "snapshot",
            &[&paths.snapshot],
            "the configuration is read again",
        ),
        Part::Session => ("session", &[&paths.session], "each task is looked at again"),
        Part::Records => (
            "records",
            &[&paths.runs, &paths.last_run],
            "what earlier runs did is forgotten",
        ),
        Part::History => ("history", &[&paths.history], "what tasks took is forgotten"),
        Part::Rescued => (
            "rescued",
            &[&paths.rescued],
            "look first: there is no other copy",
        ),
    };
    let mut held = Held {
        which,
        name,
        paths: places.iter().map(|path| (*path).clone()).collect(),
        beside: Vec::new(),
        files: 0,
        bytes: 0,
        if_deleted,
        counts: Vec::new(),
    };
    if which == Part::History {
        // SQLite keeps them while it is used, and may leave them.
        held.beside = ["db-wal", "db-shm"]
            .map(|end| paths.history.with_extension(end))
            .to_vec();
    }
    for path in [held.paths.clone(), held.beside.clone()].concat() {
        measure(&path, &mut held);
    }
    held
}

/// How many of what a part holds.
fn counts(session: &Session<'_>, which: Part, held: &Held) -> Vec<(&'static str, usize)> {
    let files = usize::try_from(held.files).unwrap_or(usize::MAX);
    match which {
        Part::Cache => Vec::new(),
        Part::State => vec![
            ("tasks", session.state.tasks().count()),
            (
                "outputs",
                session
                    .state
                    .tasks()
                    .map(|(_, task)| task.owned.len())
                    .sum(),
            ),
        ],
        Part::Memo => {
            let (folders, names) = session.tree.scanner().memo().held();
            vec![("folders", folders), ("names", names)]
        }
        Part::Snapshot if files == 0 => vec![("projects", 0), ("tasks", 0)],
        Part::Snapshot => vec![
            ("projects", session.workspace.projects.len()),
            ("tasks", session.workspace.tasks.len()),
        ],
        Part::Session | Part::Records | Part::History | Part::Rescued => vec![("files", files)],
    }
}

/// Adds up what lies at a path. Links are not followed; what cannot be read counts as nothing.
fn measure(path: &Path, part: &mut Held) {
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
    let fingerprints = || {
        let record: Value = serde_json::from_slice(&std::fs::read(&paths.last_run).ok()?).ok()?;
        let counter = |name: &str| record["counters"][name].as_u64();
        Some((counter("memo_hits")?, counter("memo_misses")?))
    };
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
        fingerprints: fingerprints(),
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
    json!({
        "location": told.location.to_string_lossy(),
        "entries": told.cache.entries,
        "artifacts": told.cache.artifacts,
        "bytes": told.cache.bytes,
        "quarantined": told.cache.quarantined,
        "clear": CLEAR,
        "runs": told.rate.runs,
        "hits": told.rate.hits,
        "misses": told.rate.misses,
        "last_hits": told.rate.last.map(|last| last.0),
        "last_misses": told.rate.last.map(|last| last.1),
        "last_fingerprint_hits": told.rate.fingerprints.map(|last| last.0),
        "last_fingerprint_misses": told.rate.fingerprints.map(|last| last.1),
        "tasks": tasks,
        "workspace": { "location": told.folder.to_string_lossy(), "parts": told.parts.iter().map(part_value).collect::<Vec<_>>() },
    })
}

/// A part of the workspace's own state as JSON.
pub(super) fn part_value(part: &Held) -> Value {
    let mut value = json!({
        "name": part.name,
        "paths": part.paths.iter().chain(&part.beside).map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "files": part.files,
        "bytes": part.bytes,
        "clear": format!("{CLEAR} {}", part.name),
        "if_deleted": part.if_deleted,
    });
    if !part.counts.is_empty() {
        value["holds"] = part
            .counts
            .iter()
            .map(|&(what, count)| (what.to_owned(), json!(count)))
            .collect();
    }
    value
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
    for part in &told.parts {
        let holds = part
            .counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"));
        let holds: Vec<String> = holds.collect();
        text.push_str(&part_line(part, &holds.join(", ")));
        if let (Part::Memo, Some((hits, misses))) = (part.which, told.rate.fingerprints) {
            let _ = writeln!(
                text,
                "{INDENT}last run: {hits} digests known, {misses} made anew"
            );
        }
        let _ = writeln!(text, "{INDENT}if cleared: {}", part.if_deleted);
    }
    let _ = writeln!(
        text,
        "  clear one with `{CLEAR} NAME`, as in `{CLEAR} memo`"
    );
    text
}

/// The line that says how large a part is, where it lies, and what is in it.
pub(super) fn part_line(part: &Held, holds: &str) -> String {
    let places = part.paths.iter().map(|path| place(path));
    let names: Vec<String> = places.collect();
    let colon = if holds.is_empty() { "" } else { ": " };
    let (size, names) = (size(part.bytes), names.join(", "));
    format!("  {:<8}  {size:>10}  {names}{colon}{holds}\n", part.name)
}

/// A path within `.larder`, which is named above, or the whole of another one.
fn place(path: &Path) -> String {
    let mut last = path.iter().rev();
    match (last.next(), last.next()) {
        (Some(name), Some(folder)) if folder == ".larder" => {
            format!(".larder/{}", name.to_string_lossy())
        }
        _ => path.display().to_string(),
    }
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
            fingerprints: None,
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
            fingerprints: None,
        };
        assert_eq!(rate(&paths), all);
    }

    #[test]
    fn the_page_fits_eighty_columns_but_for_names() {
        let mut parts = parts(&Paths::new(Path::new("/ws"), None));
        for (part, counts) in parts.iter_mut().zip([
            vec![("tasks", 123_456), ("outputs", 1_234_567)],
            vec![("folders", 12_345), ("names", 1_234_567)],
            vec![("projects", 1000), ("tasks", 10_000)],
            vec![("files", 1)],
            vec![("files", 101)],
            vec![("files", 2)],
            vec![("files", 0)],
        ]) {
            part.bytes = 1_234_567;
            part.counts = counts;
        }
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
                fingerprints: Some((1_234_567, 89_012)),
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
          state       1.18 MiB  .larder/state: 123456 tasks, 1234567 outputs
                                if cleared: tasks are judged anew, outputs become yours
          memo        1.18 MiB  .larder/memo: 12345 folders, 1234567 names
                                last run: 1234567 digests known, 89012 made anew
                                if cleared: all files are digested again
          snapshot    1.18 MiB  .larder/workspace: 1000 projects, 10000 tasks
                                if cleared: the configuration is read again
          session     1.18 MiB  .larder/session: 1 files
                                if cleared: each task is looked at again
          records     1.18 MiB  .larder/runs, .larder/last-run.json: 101 files
                                if cleared: what earlier runs did is forgotten
          history     1.18 MiB  .larder/history.db: 2 files
                                if cleared: what tasks took is forgotten
          rescued     1.18 MiB  .larder/rescued: 0 files
                                if cleared: look first: there is no other copy
          clear one with `larder cache clear NAME`, as in `larder cache clear memo`
        ");
    }

    #[test]
    fn only_all_is_a_hundred_percent() {
        assert_eq!(percent(0, 0), None);
        assert_eq!(percent(999, 1), Some(99));
        assert_eq!(percent(5, 0), Some(100));
    }
}
