//! `larder cache`: where the cache is, what fills it, and how to check and trim it.
//! Does not know the form of what is stored.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use larder_cache::{DiskStore, Limits, Prune as _, Verified};
use serde_json::json;

use crate::args::{CacheAction, CacheArgs, Reuse};
use crate::config;
use crate::execute::exit;
use crate::session::{DEFAULT_MAX_AGE, DEFAULT_MAX_SIZE};

use super::{Context, Outcome, Usage, print, status};

/// How many bad files are named to people; JSON has all.
const NAMED: usize = 10;

pub(super) fn cache(context: &Context<'_>, args: &CacheArgs) -> Outcome {
    context.with_session(args.cache_dir.clone(), &Reuse::default(), |session| {
        let dir = session.cache_dir().map_err(Usage::new)?;
        let store = DiskStore::open(dir).map_err(|error| Usage::new(format!("the cache in {} cannot be used: {error}", dir.display())))?;
        let settings = &session.workspace.settings.cache;
        let failed = |error: larder_cache::Error| Usage::new(format!("the cache in {} cannot be read: {error}", dir.display()));
        let (value, text, code) = match &args.action {
            CacheAction::Status => {
                let told = status::gather(session, dir, store.status().map_err(failed)?);
                (status::value(&told), status::text(&told), exit::SUCCESS)
            }
            CacheAction::Prune { max_size, max_age } => {
                let max_bytes = quantity("--max-size", max_size.as_deref(), config::size, "20GB")?;
                let age = quantity("--max-age", max_age.as_deref(), config::duration, "30d")?;
                let limits = Limits {
                    max_bytes: Some(max_bytes.or(settings.max_size).unwrap_or(DEFAULT_MAX_SIZE)),
                    max_age: Some(Duration::from_secs(age.or(settings.max_age).unwrap_or(DEFAULT_MAX_AGE))),
                };
                let pruned = store.prune(&limits).map_err(failed)?;
                let text = format!("removed {} and {}, {}; {} left\n", count(pruned.entries, "entry", "entries"), count(pruned.artifacts, "artifact", "artifacts"), size(pruned.freed), size(pruned.left));
                (json!({ "entries": pruned.entries, "artifacts": pruned.artifacts, "freed": pruned.freed, "left": pruned.left }), text, exit::SUCCESS)
            }
            CacheAction::Verify => {
                let verified = store.verify().map_err(failed)?;
                let bad: Vec<_> = verified.bad.iter().map(|path| path.strip_prefix(dir).unwrap_or(path)).collect();
                let value = json!({ "entries": verified.entries, "artifacts": verified.artifacts, "bad": bad.len(), "files": bad.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(), "dangling": verified.dangling.len() });
                let sound = bad.is_empty() && verified.dangling.is_empty();
                (value, verified_text(&verified, &bad), u8::from(!sound))
            }
            CacheAction::Clear => {
                let cleared = store.clear().map_err(failed)?;
                (json!({ "entries": cleared.entries, "artifacts": cleared.artifacts, "freed": cleared.freed }), format!("removed {}, {}\n", count(cleared.entries, "entry", "entries"), size(cleared.freed)), exit::SUCCESS)
            }
        };
        print(&if args.json { format!("{value:#}\n") } else { text })?;
        Ok(code)
    })
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
fn quantity(
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
