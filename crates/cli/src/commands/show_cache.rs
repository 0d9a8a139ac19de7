//! `run --show-cache`: what the cache and the fingerprints did in this run, by project, and where they lie.
//! Does not know how a task is judged, nor the form of what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use larder_cache::{Prune as _, Status as CacheStatus};
use serde_json::{Value, json};

use crate::record::{CacheUse, Counters, RunRecord, Status};
use crate::session::Session;

use super::cache::{count, size};
use super::status::{self, CLEAR, Held};

/// How many projects have a line for people; JSON has all.
const LINES: usize = 30;

/// What there is to say, as plain data.
#[derive(Debug)]
pub(super) struct Shown {
    projects: Vec<Project>,
    stored: usize,
    counters: Counters,
    cache: Option<Cache>,
    folder: PathBuf,
    parts: Vec<Held>,
}

/// What the cache did for the tasks of a project.
#[derive(Debug, Clone, Default, PartialEq)]
struct Project {
    name: String,
    hits: usize,
    misses: usize,
    /// Seconds that commands took in this run.
    rebuild_seconds: f64,
    /// Seconds that they took when they last ran and did not now.
    saved_seconds: f64,
}

/// The cache as it is after the run.
#[derive(Debug)]
struct Cache {
    location: PathBuf,
    status: CacheStatus,
    /// Entries of tasks of this run, and their bytes.
    own: (usize, u64),
}

/// Gathers what is said of a run.
pub(super) fn gather(session: &Session<'_>, record: &RunRecord) -> Shown {
    let tasks: BTreeSet<&str> = record.tasks.iter().map(|task| task.task.as_str()).collect();
    // A cache that cannot be read was warned of where it mattered.
    let store = session.store().zip(session.cache_dir().ok());
    let status = store.and_then(|(store, dir)| Some((dir, store.status().ok()?)));
    let cache = status.map(|(dir, status)| {
        let own = status
            .tasks
            .iter()
            .filter(|task| tasks.contains(task.task.as_str()));
        let own = own.fold((0, 0), |sum, task| {
            (sum.0 + task.entries, sum.1 + task.bytes)
        });
        Cache {
            location: dir.to_owned(),
            status,
            own,
        }
    });
    Shown {
        projects: projects(record),
        stored: record.tasks.iter().filter(|task| task.stored).count(),
        counters: record.counters.clone(),
        cache,
        folder: session.paths.folder.clone(),
        parts: status::parts(&session.paths),
    }
}

/// Adds up the tasks of each project, by name. Groups take no part: they have no result.
fn projects(record: &RunRecord) -> Vec<Project> {
    let mut found: BTreeMap<&str, Project> = BTreeMap::new();
    for task in record
        .tasks
        .iter()
        .filter(|task| task.status != Status::Group)
    {
        let (name, _) = task.task.split_once('#').unwrap_or((&task.task, ""));
        let project = found.entry(name).or_default();
        name.clone_into(&mut project.name);
        project.hits += usize::from(task.cache == CacheUse::Hit);
        project.misses += usize::from(matches!(task.status, Status::Ran | Status::Failed));
        project.rebuild_seconds += task.seconds;
        project.saved_seconds += task.saved_seconds;
    }
    found.into_values().collect()
}

/// All projects as one.
fn all(projects: &[Project]) -> Project {
    Project {
        name: match projects.len() {
            1 => "1 project".to_owned(),
            many => format!("{many} projects"),
        },
        hits: projects.iter().map(|project| project.hits).sum(),
        misses: projects.iter().map(|project| project.misses).sum(),
        rebuild_seconds: projects.iter().map(|project| project.rebuild_seconds).sum(),
        saved_seconds: projects.iter().map(|project| project.saved_seconds).sum(),
    }
}

/// As JSON, for the record that is printed.
pub(super) fn value(shown: &Shown) -> Value {
    let project = |project: &Project| {
        json!({
            "project": project.name,
            "hits": project.hits,
            "misses": project.misses,
            "rebuild_seconds": project.rebuild_seconds,
            "saved_seconds": project.saved_seconds,
        })
    };
    let cache = shown.cache.as_ref().map(
        |Cache {
             location,
             status,
             own,
         }| {
            json!({
                "location": location.to_string_lossy(),
                "entries": status.entries,
                "artifacts": status.artifacts,
                "bytes": status.bytes,
                "entries_of_this_run": own.0,
                "bytes_of_this_run": own.1,
                "clear": CLEAR,
            })
        },
    );
    json!({
        "projects": shown.projects.iter().map(project).collect::<Vec<_>>(),
        "stored": shown.stored,
        "cache": cache,
        "workspace": {
            "location": shown.folder.to_string_lossy(),
            "parts": shown.parts.iter().map(status::part_value).collect::<Vec<_>>(),
        },
    })
}

/// For people.
pub(super) fn text(shown: &Shown) -> String {
    let total = all(&shown.projects);
    let mut lines: Vec<&Project> = shown.projects.iter().collect();
    if lines.len() > LINES {
        let cost = |project: &Project| (project.rebuild_seconds, project.saved_seconds);
        // Seconds are never NaN; were they, any order would do.
        lines.sort_by(|a, b| {
            cost(b)
                .partial_cmp(&cost(a))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        lines.truncate(LINES);
    }
    let left = shown.projects.len() - lines.len();
    let name = |project: &&Project| project.name.chars().count();
    let width = lines.iter().chain([&&total]).map(name).max().unwrap_or(0);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "  {:width$} {:>6} {:>6} {:>11} {:>11}",
        "", "hits", "misses", "rebuild", "saved"
    );
    for project in lines {
        text.push_str(&row(project, width));
    }
    if left > 0 {
        let _ = writeln!(
            text,
            "  and {left} more, which took less (`--json` names all)"
        );
    }
    if shown.projects.len() != 1 {
        text.push_str(&row(&total, width));
    }
    let counters = &shown.counters;
    let stored = count(shown.stored, "result", "results");
    let restored = size(counters.bytes_restored);
    let _ = writeln!(text, "  {stored} stored, {restored} restored");
    let (known, anew) = (counters.memo_hits, counters.memo_misses);
    let hashed = size(counters.bytes_hashed);
    let _ = writeln!(
        text,
        "  {known} digests of files known, {anew} made anew from {hashed}"
    );
    if let Some(Cache {
        location,
        status,
        own,
    }) = &shown.cache
    {
        let entries = count(status.entries, "entry", "entries");
        let _ = writeln!(text, "cache: {}", location.display());
        let _ = writeln!(
            text,
            "  {entries}, {}; of the tasks of this run: {}, {}",
            size(status.bytes),
            own.0,
            size(own.1)
        );
    }
    let _ = writeln!(text, "workspace: {}", shown.folder.display());
    for part in &shown.parts {
        text.push_str(&status::part_line(part, ""));
    }
    text.push_str("  `larder cache status` says what is in them and how to clear each\n");
    text
}

/// A line of the table.
fn row(project: &Project, width: usize) -> String {
    let Project {
        name,
        hits,
        misses,
        rebuild_seconds,
        saved_seconds,
    } = project;
    format!(
        "  {name:width$} {hits:>6} {misses:>6} {rebuild_seconds:>9.2} s {saved_seconds:>9.2} s\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Paths;

    fn shown(count: usize) -> Shown {
        let project = |at: usize| Project {
            name: format!("packages/p{at:02}"),
            hits: at,
            misses: 1,
            rebuild_seconds: 0.25 * f64::from(u8::try_from(at).unwrap()),
            saved_seconds: 1.0,
        };
        let cache = Cache {
            location: PathBuf::from("/cache"),
            status: CacheStatus {
                entries: 20,
                artifacts: 19,
                bytes: 123_456_789,
                ..CacheStatus::default()
            },
            own: (3, 12_345_678),
        };
        Shown {
            projects: (0..count).map(project).collect(),
            stored: 1,
            counters: Counters {
                memo_hits: 1_234_567,
                memo_misses: 89_012,
                bytes_hashed: 1_234_567_890,
                bytes_restored: 1_234_567_890,
                ..Counters::default()
            },
            cache: Some(cache),
            folder: PathBuf::from("/ws/.larder"),
            parts: status::parts(&Paths::new(std::path::Path::new("/ws"), None)),
        }
    }

    #[test]
    fn what_is_shown_fits_eighty_columns_but_for_names() {
        let text = text(&shown(3));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text, @r"
                         hits misses     rebuild       saved
          packages/p00      0      1      0.00 s      1.00 s
          packages/p01      1      1      0.25 s      1.00 s
          packages/p02      2      1      0.50 s      1.00 s
          3 projects        3      3      0.75 s      3.00 s
          1 result stored, 1.15 GiB restored
          1234567 digests of files known, 89012 made anew from 1.15 GiB
        cache: /cache
          20 entries, 117.74 MiB; of the tasks of this run: 3, 11.77 MiB
        workspace: /ws/.larder
          state            0 B  .larder/state
          memo             0 B  .larder/memo
          snapshot         0 B  .larder/workspace
          session          0 B  .larder/session
          records          0 B  .larder/runs, .larder/last-run.json
          history          0 B  .larder/history.db
          rescued          0 B  .larder/rescued
          `larder cache status` says what is in them and how to clear each
        ");
    }

    #[test]
    fn of_many_projects_those_that_took_longest_have_a_line() {
        let text = text(&shown(LINES + 3));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].contains("packages/p32 ") && lines[LINES].contains("packages/p03 "),
            "{text}"
        );
        assert!(lines[LINES + 1].starts_with("  and 3 more"), "{text}");
        assert!(lines[LINES + 2].starts_with("  33 projects "), "{text}");
        assert_eq!(
            value(&shown(LINES + 3))["projects"]
                .as_array()
                .unwrap()
                .len(),
            LINES + 3
        );
    }
}
