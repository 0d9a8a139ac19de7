//! `larder archive chart`: what the steps of recent uploads took, as stacked bars.
//! Does not know how a chart is drawn.

use std::path::Path;
use std::time::Duration;

use larder_archive::{Archive, ArchiveEntry, ArchiveError};
use larder_timing::Phase;
use larder_timing::charts::{Frame, png};
use larder_timing::report::{Figure, ReportData, Upload, figure};

use crate::args::ArchiveArgs;
use crate::config::ArchiveSettings;
use crate::execute::exit;

use super::super::cache::count;
use super::super::{Context, Outcome, Usage, print};
use super::{Place, failed, folder};

/// Pixels of a picture for each of the chart.
const ZOOM: f32 = 2.0;
/// So many uploads are shown in a report.
const RECENT: usize = 50;

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
    let data = ReportData {
        uploads: uploads(&place.archive, limit).map_err(|error| failed(&error))?,
        ..ReportData::default()
    };
    let drawn = figure(&data, Figure::Uploads, Frame::DOCUMENT).map_err(|error| failed(&error))?;
    let bytes = if is_png {
        png(&drawn, ZOOM).map_err(|error| failed(&error))?
    } else {
        drawn.into_bytes()
    };
    std::fs::write(&out, bytes)
        .map_err(|error| Usage::new(format!("{} cannot be written: {error}", out.display())))?;
    if args.json {
        let value = serde_json::json!({ "file": out, "entries": data.uploads.len() });
        print(&format!("{value:#}\n"))?;
    } else {
        let entries = count(data.uploads.len(), "entry", "entries");
        print(&format!("wrote {} of {entries}\n", out.display()))?;
    }
    Ok(exit::SUCCESS)
}

/// The steps of the newest uploads, oldest first. One that went meanwhile, or is damaged, is left out.
fn uploads(archive: &Archive, limit: usize) -> Result<Vec<Upload>, ArchiveError> {
    let summaries = archive.list()?.summaries;
    let recent = summaries.iter().skip(summaries.len().saturating_sub(limit));
    let entries = recent.filter_map(|summary| archive.entry(summary.id).ok().flatten());
    Ok(entries.map(|entry| upload(&entry)).collect())
}

fn upload(entry: &ArchiveEntry) -> Upload {
    let steps = entry.archive_timings.iter().map(|(step, &seconds)| Phase {
        name: step.name().to_owned(),
        // An entry from elsewhere may say anything.
        duration_ns: Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|long| u64::try_from(long.as_nanos()).ok())
            .unwrap_or_default(),
    });
    Upload {
        entry: entry.id.to_string(),
        created: entry.created.to_string(),
        steps: steps.collect(),
    }
}

/// The newest uploads of a workspace, for its report; none where it has no archive that can be read.
pub(in super::super) fn recent(root: &Path, settings: &ArchiveSettings) -> Vec<Upload> {
    uploads(&Archive::new(folder(root, settings)), RECENT).unwrap_or_default()
}
