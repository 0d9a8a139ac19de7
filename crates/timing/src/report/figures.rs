//! The charts of the page, each in a wide form and in one for phones.
//! Does not know what stands around them.

use std::fmt::Write as _;

use super::data::{LastRun, LastTask, ReportData, RunSummary, Upload};
use crate::charts::{
    Bar, CachePoint, ChartError, Frame, Row, RunPoint, Series, State, Unit, cache_over_time,
    runs_over_time, slowest, stacked, timeline,
};
use crate::{CacheState, Outcome, Phase};

const SIZES: [(&str, u32, u32); 2] = [("wide", 960, 300), ("narrow", 312, 240)];

/// A chart in both forms.
fn both(draw: impl Fn(Frame) -> Result<String, ChartError>) -> Result<String, ChartError> {
    let mut html = String::new();
    for (class, width, height) in SIZES {
        let svg = draw(Frame {
            width,
            height,
            heading: false,
        })?;
        // Writing to a string cannot fail.
        let _ = writeln!(html, "<div class=\"{class}\">{svg}</div>");
    }
    Ok(html)
}

/// A chart of runs for each window; the page shows one of them.
pub(super) fn windowed(
    data: &ReportData,
    shown: usize,
    draw: impl Fn(&[RunSummary], Frame) -> Result<String, ChartError>,
) -> Result<String, ChartError> {
    if data.runs.is_empty() {
        return Ok("<p class=\"none\">There are no runs yet.</p>\n".to_owned());
    }
    let mut html = String::new();
    for window in &data.windows {
        let runs = &data.runs[data.runs.len().saturating_sub(window.runs)..];
        let hidden = if window.runs == shown { "" } else { " hidden" };
        let charts = both(|frame| draw(runs, frame))?;
        let _ = writeln!(
            html,
            "<div data-window=\"{}\"{hidden}>\n{charts}</div>",
            window.runs
        );
    }
    Ok(html)
}

/// Month, day and time of day.
fn label(rfc3339: &str) -> String {
    let minutes: String = rfc3339.chars().skip(5).take(11).collect();
    minutes.replace('T', " ")
}

#[allow(clippy::cast_precision_loss)] // Pixels are coarser.
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

pub(super) fn runs(runs: &[RunSummary], frame: Frame) -> Result<String, ChartError> {
    let point = |run: &RunSummary| RunPoint {
        label: label(&run.started),
        seconds: seconds(run.duration_ns),
        failed: run.exit_code != 0,
    };
    runs_over_time(&runs.iter().map(point).collect::<Vec<_>>(), frame)
}

pub(super) fn cache(runs: &[RunSummary], frame: Frame) -> Result<String, ChartError> {
    let point = |run: &RunSummary| CachePoint {
        label: label(&run.started),
        hit_rate: run.hit_rate,
        saved_seconds: seconds(run.saved_ns),
    };
    cache_over_time(&runs.iter().map(point).collect::<Vec<_>>(), frame)
}

/// The phases that occur in any run, in the order in which they first do.
pub(super) fn phase_names(runs: &[RunSummary]) -> Vec<String> {
    names(runs.iter().flat_map(|run| &run.phases))
}

/// The steps that occur in any upload, in the order in which they first do.
pub(super) fn step_names(uploads: &[Upload]) -> Vec<String> {
    names(uploads.iter().flat_map(|upload| &upload.steps))
}

fn names<'p>(parts: impl Iterator<Item = &'p Phase>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in parts {
        if !names.contains(&part.name) {
            names.push(part.name.clone());
        }
    }
    names
}

/// The phase that took most of the time of all runs together, if one did so by far: the others cannot be seen beside it.
pub(super) fn greatest_phase(runs: &[RunSummary]) -> Option<String> {
    let of = |name: &str| -> u128 {
        let phases = runs.iter().flat_map(|run| &run.phases);
        let phases = phases.filter(|phase| name.is_empty() || phase.name == name);
        phases.map(|phase| u128::from(phase.duration_ns)).sum()
    };
    let names = phase_names(runs);
    let all = of("");
    names.into_iter().find(|name| of(name) * 4 > all * 3)
}

/// The phases of each run, but for one.
pub(super) fn phases(
    runs: &[RunSummary],
    without: Option<&str>,
    frame: Frame,
) -> Result<String, ChartError> {
    // What is left out keeps its place, so that the others keep their colours.
    let keeps = |name: &str| without != Some(name);
    let series = phase_names(runs).into_iter().map(|name| Series {
        values: runs
            .iter()
            .filter(|_| keeps(&name))
            .map(|run| took(&run.phases, &name))
            .collect(),
        name,
    });
    let series: Vec<Series> = series.collect();
    let labels: Vec<String> = runs.iter().map(|run| label(&run.started)).collect();
    let title = match without {
        None => "Phases of recent runs".to_owned(),
        Some(name) => format!("Phases of recent runs without {name}"),
    };
    stacked(&title, Unit::Seconds, &labels, &series, frame)
}

/// What the parts of one name took together, in seconds.
fn took(parts: &[Phase], name: &str) -> f64 {
    let parts = parts.iter().filter(|part| part.name == name);
    parts.map(|part| seconds(part.duration_ns)).sum()
}

/// The steps of each upload to the archive.
pub(super) fn uploads(uploads: &[Upload], frame: Frame) -> Result<String, ChartError> {
    let series = step_names(uploads).into_iter().map(|name| Series {
        values: uploads
            .iter()
            .map(|upload| took(&upload.steps, &name))
            .collect(),
        name,
    });
    let series: Vec<Series> = series.collect();
    let labels = uploads.iter().map(|upload| label(&upload.created));
    let labels: Vec<String> = labels.collect();
    let title = "Steps of archive uploads";
    stacked(title, Unit::Seconds, &labels, &series, frame)
}

pub(super) fn recent_uploads(data: &ReportData) -> Result<String, ChartError> {
    both(|frame| uploads(&data.uploads, frame))
}

pub(super) fn last_run(last: &LastRun) -> Result<String, ChartError> {
    both(|frame| timeline_of(last, frame))
}

pub(super) fn timeline_of(last: &LastRun, frame: Frame) -> Result<String, ChartError> {
    let bar = |task: &LastTask| Bar {
        name: task.task.clone(),
        lane: task.lane,
        start: seconds(task.start_ns),
        seconds: seconds(task.duration_ns),
        state: match (task.outcome, task.cache) {
            (Outcome::Failure | Outcome::Cancelled, _) => State::Failed,
            (Outcome::Success, CacheState::Executed) => State::Ran,
            (Outcome::Success, CacheState::Restored) => State::Restored,
            (Outcome::Success, CacheState::UpToDate) => State::UpToDate,
        },
        critical: task.critical.is_some(),
    };
    let bars: Vec<Bar> = last.tasks.iter().map(bar).collect();
    timeline("Timeline of the last run", &last.lanes, &bars, frame)
}

pub(super) fn slow(data: &ReportData) -> Result<String, ChartError> {
    if data.slowest.is_empty() {
        return Ok(String::new());
    }
    both(|frame| slowest_of(data, frame))
}

pub(super) fn slowest_of(data: &ReportData, frame: Frame) -> Result<String, ChartError> {
    let row = |slow: &super::Slow| Row {
        name: slow.task.clone(),
        seconds: seconds(slow.median_ns),
    };
    let rows: Vec<Row> = data.slowest.iter().take(10).map(row).collect();
    slowest("Slowest tasks", &rows, frame)
}
