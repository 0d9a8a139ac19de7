//! `larder archive chart`: what the steps of recent uploads took, as stacked bars.
//! Does not know how a chart is drawn.

use std::path::Path;

use larder_archive::{ArchiveEntry, Step};
use larder_timing::charts::{Frame, Series, Unit, png, stacked};

use crate::args::ArchiveArgs;
use crate::execute::exit;

use super::super::cache::count;
use super::super::{Context, Outcome, Usage, print};
use super::{Place, failed, show};

/// Pixels of a picture for each of the chart.
const ZOOM: f32 = 2.0;

pub(super) fn chart(
    context: &Context<'_>,
    args: &ArchiveArgs,
    out: &Path,
    limit: usize,
) -> Outcome {
    let place = Place::find(context, args)?;
    let out = context.cwd.join(out);
    let is_png = match out.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => false,
        Some("png") => true,
        _ => {
            return Err(Usage::new(format!(
                "{} is neither a .svg nor a .png file",
                out.display()
            )));
        }
    };
    let summaries = place.listing()?.summaries;
    let recent = summaries.iter().skip(summaries.len().saturating_sub(limit));
    let mut entries = Vec::new();
    for summary in recent {
        // One that went meanwhile, or is damaged, is not drawn.
        entries.extend(place.archive.entry(summary.id).ok().flatten());
    }
    let drawn = drawn(&entries).map_err(|error| failed(&error))?;
    let bytes = if is_png {
        png(&drawn, ZOOM).map_err(|error| failed(&error))?
    } else {
        drawn.into_bytes()
    };
    std::fs::write(&out, bytes)
        .map_err(|error| Usage::new(format!("{} cannot be written: {error}", out.display())))?;
    if args.json {
        let value = serde_json::json!({ "file": out, "entries": entries.len() });
        print(&format!("{value:#}\n"))?;
    } else {
        let entries = count(entries.len(), "entry", "entries");
        print(&format!("wrote {} of {entries}\n", out.display()))?;
    }
    Ok(exit::SUCCESS)
}

/// The chart as SVG: a bar an entry, the oldest first, a part a step.
fn drawn(entries: &[ArchiveEntry]) -> Result<String, larder_timing::charts::ChartError> {
    let categories: Vec<String> = entries
        .iter()
        .map(|entry| show::moment(entry.created))
        .collect();
    let series: Vec<Series> = Step::ALL
        .iter()
        .map(|step| Series {
            name: step.name().to_owned(),
            values: entries
                .iter()
                .map(|entry| entry.archive_timings.get(step).copied().unwrap_or_default())
                .collect(),
        })
        .collect();
    stacked(
        "Steps of archive uploads",
        Unit::Seconds,
        &categories,
        &series,
        Frame::DOCUMENT,
    )
}
