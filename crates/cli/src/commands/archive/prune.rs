//! `larder archive prune`: old entries go, as far as the bounds say.
//! Does not know which entries may never go; the archive does.

use std::fmt::Write as _;

use larder_archive::{EntryId, Retention, pending, plan_prune};
use serde_json::json;

use crate::args::ArchiveArgs;
use crate::args::archive::PruneArgs;
use crate::config;
use crate::execute::exit;

use super::super::cache::{count, quantity, size};
use super::super::{Context, Outcome, Usage, print};
use super::{Place, assemble, failed, status};

#[allow(clippy::cast_precision_loss)] // Seconds of an age are far below 2^53.
pub(super) fn prune(context: &Context<'_>, args: &ArchiveArgs, asked: &PruneArgs) -> Outcome {
    let place = Place::find(context, args)?;
    let age = quantity("--age", asked.age.as_deref(), config::duration, "90d")?;
    let bytes = quantity("--size", asked.size.as_deref(), config::size, "5GB")?;
    let settings = &place.settings;
    let retention = Retention {
        count: asked.count.or(settings.keep_count),
        age_seconds: age.or(settings.keep_age).map(|seconds| seconds as f64),
        bytes: bytes.or(settings.keep_size),
    };
    if retention == Retention::default() {
        return Err(Usage::new(
            "no bound says what may go\n  give --count, --age or --size, or write [archive.keep]",
        ));
    }
    let now = assemble::now();
    let on_its_way = place
        .mirrors(context)
        .held()
        .map_err(status::mirror_usage)?;
    let unfinished = pending(&place.archive).map_err(|error| failed(&error))?;
    let unfinished = unfinished.ids();
    let held = |id: EntryId| on_its_way.contains(&id.to_string()) || unfinished.contains(&id);
    let (entries, strays, freed) = if asked.dry {
        let listing = place.listing()?;
        let going = plan_prune(&listing.summaries, &retention, now, &held);
        let freed = listing
            .summaries
            .iter()
            .filter(|summary| going.contains(&summary.id))
            .map(|summary| summary.bytes)
            .sum();
        (going, Vec::new(), freed)
    } else {
        let pruned = place.archive.prune(&retention, now, &held);
        let pruned = pruned.map_err(|error| failed(&error))?;
        (pruned.entries, pruned.strays, pruned.bytes)
    };
    if args.json {
        let value = json!({
            "dry": asked.dry, "entries": entries, "strays": strays, "freed": freed,
        });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = String::new();
    for id in &entries {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id}");
    }
    let verb = if asked.dry { "would go" } else { "removed" };
    let _ = writeln!(
        text,
        "{verb}: {}, {}",
        count(entries.len(), "entry", "entries"),
        size(freed)
    );
    print(&text)?;
    Ok(exit::SUCCESS)
}
