//! `larder cache`: where the cache is, what fills it, and how to check and trim it.
//! Does not know the form of what is stored.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use larder_cache::{DiskStore, Limits, Prune as _, Verified};
use serde_json::{Value, json};

use crate::args::{CacheAction, CacheArgs, Part, Reuse};
use crate::config;
use crate::execute::exit;
use crate::session::{DEFAULT_MAX_AGE, DEFAULT_MAX_SIZE, Session};

use super::{Context, Outcome, Usage, print, status};

/// How many bad files are named to people; JSON has all.
const NAMED: usize = 10;

/// An answer as JSON and for people, and the exit code.
type Answer = Result<(Value, String, u8), Usage>;

pub(super) fn cache(context: &Context<'_>, args: &CacheArgs) -> Outcome {
    if let CacheAction::ApplyDelta { dir } = &args.action {
        return super::delta::apply(context, args, dir);
    }
    let reuse = Reuse {
        incremental_cache_dir: args.incremental_cache_dir.clone(),
        ..Reuse::default()
    };
    context.with_session(args.cache_dir.clone(), &reuse, |session| {
        let (value, text, code) = match &args.action {
            CacheAction::Status => status(session),
            CacheAction::Prune { max_size, max_age } => {
                prune(session, max_size.as_deref(), max_age.as_deref())
            }
            CacheAction::Verify => verify(session),
            CacheAction::Clear { parts } => clear(session, parts),
            // It is about the outputs in the workspace: see above.
            CacheAction::ApplyDelta { .. } => return Ok(exit::USAGE),
        }?;
        print(&if args.json {
            format!("{value:#}\n")
        } else {
            text
        })?;
        Ok(code)
    })
}

/// The folder of the cache, and the cache itself.
fn opened<'s>(session: &'s Session<'_>) -> Result<(&'s Path, DiskStore), Usage> {
    let dir = session.cache_dir().map_err(Usage::new)?;
    let store = DiskStore::open(dir).map_err(|error| {
        Usage::new(format!(
            "the cache in {} cannot be used: {error}",
            dir.display()
        ))
    })?;
    Ok((dir, store))
}

/// The mistake of a cache that does not do what it is asked for.
fn failed(dir: &Path) -> impl Fn(larder_cache::Error) -> Usage {
    move |error| {
        Usage::new(format!(
            "the cache in {} cannot be read: {error}",
            dir.display()
        ))
    }
}

/// `cache status`.
fn status(session: &Session<'_>) -> Answer {
    let (dir, store) = opened(session)?;
    let told = status::gather(session, dir, store.status().map_err(failed(dir))?);
    Ok((status::value(&told), status::text(&told), exit::SUCCESS))
}

/// `cache prune`.
fn prune(session: &Session<'_>, max_size: Option<&str>, max_age: Option<&str>) -> Answer {
    let settings = &session.workspace.settings.cache;
    let (dir, store) = opened(session)?;
    let max_bytes = quantity("--max-size", max_size, config::size, "20GB")?;
    let age = quantity("--max-age", max_age, config::duration, "30d")?;
    let age = age.or(settings.max_age).unwrap_or(DEFAULT_MAX_AGE);
    let limits = Limits {
        max_bytes: Some(max_bytes.or(settings.max_size).unwrap_or(DEFAULT_MAX_SIZE)),
        max_age: Some(Duration::from_secs(age)),
    };
    let pruned = store.prune(&limits).map_err(failed(dir))?;
    let text = format!(
        "removed {} and {}, {}; {} left\n",
        count(pruned.entries, "entry", "entries"),
        count(pruned.artifacts, "artifact", "artifacts"),
        size(pruned.freed),
        size(pruned.left)
    );
    let value = json!({ "entries": pruned.entries, "artifacts": pruned.artifacts, "freed": pruned.freed, "left": pruned.left });
    Ok((value, text, exit::SUCCESS))
}

/// `cache verify`.
fn verify(session: &Session<'_>) -> Answer {
    let (dir, store) = opened(session)?;
    let verified = store.verify().map_err(failed(dir))?;
    let bad = verified.bad.iter();
    let bad: Vec<&Path> = bad
        .map(|path| path.strip_prefix(dir).unwrap_or(path))
        .collect();
    let files: Vec<_> = bad.iter().map(|path| path.to_string_lossy()).collect();
    let value = json!({ "entries": verified.entries, "artifacts": verified.artifacts, "bad": bad.len(), "files": files, "dangling": verified.dangling.len() });
    let sound = bad.is_empty() && verified.dangling.is_empty();
    Ok((value, verified_text(&verified, &bad), u8::from(!sound)))
}

/// `cache clear`: empties the cache or parts of the workspace's own state, which need no cache.
fn clear(session: &Session<'_>, parts: &[Part]) -> Answer {
    let mut value = json!({ "entries": 0, "artifacts": 0, "freed": 0, "parts": [] });
    let mut text = String::new();
    let mut freed = 0;
    for &part in parts {
        if part == Part::Cache {
            let (dir, store) = opened(session)?;
            let cleared = store.clear().map_err(failed(dir))?;
            value["entries"] = json!(cleared.entries);
            value["artifacts"] = json!(cleared.artifacts);
            freed += cleared.freed;
            let entries = count(cleared.entries, "entry", "entries");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "removed {entries}, {}", size(cleared.freed));
            continue;
        }
        let held = status::part(&session.paths, part);
        for path in held.paths.iter().chain(&held.beside) {
            remove(path).map_err(|error| {
                Usage::new(format!("{} cannot be removed: {error}", path.display()))
            })?;
        }
        freed += held.bytes;
        if let Some(list) = value["parts"].as_array_mut() {
            list.push(json!({ "name": held.name, "files": held.files, "freed": held.bytes }));
        }
        let files = count(
            usize::try_from(held.files).unwrap_or(usize::MAX),
            "file",
            "files",
        );
        let _ = writeln!(
            text,
            "removed {files} of the {}, {}",
            held.name,
            size(held.bytes)
        );
    }
    value["freed"] = json!(freed);
    Ok((value, text, exit::SUCCESS))
}

/// Removes a file or a folder. What is not there is gone already.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What a verification found, for people.
fn verified_text(verified: &Verified, bad: &[&Path]) -> String {
    let mut text = format!(
        "{} and {} are sound\n",
        count(verified.entries, "entry", "entries"),
        count(verified.artifacts, "artifact", "artifacts")
    );
    // Writing to a string cannot fail.
    if !bad.is_empty() {
        let files = count(bad.len(), "file was", "files were");
        let _ = writeln!(text, "{files} bad and set aside in `v1/quarantine`:");
        for path in bad.iter().take(NAMED) {
            let _ = writeln!(text, "  {}", path.display());
        }
        if bad.len() > NAMED {
            let _ = writeln!(
                text,
                "  and {} more (`--json` names all)",
                bad.len() - NAMED
            );
        }
    }
    if !verified.dangling.is_empty() {
        let entries = count(verified.dangling.len(), "entry", "entries");
        let _ = writeln!(text, "{entries} set aside: the artifact is gone or was bad");
    }
    if !bad.is_empty() || !verified.dangling.is_empty() {
        text.push_str("  the tasks they were of run again when they are asked for\n");
    }
    text
}

/// A number with its noun.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// A flag with a number and a unit.
pub(super) fn quantity(
    flag: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Option<u64>,
    example: &str,
) -> Result<Option<u64>, Usage> {
    let Some(text) = text else { return Ok(None) };
    match read(text) {
        Some(value) => Ok(Some(value)),
        None => Err(Usage::new(format!(
            "{flag} {text} is not understood\n  write a number and a unit, as in {flag} {example}"
        ))),
    }
}
