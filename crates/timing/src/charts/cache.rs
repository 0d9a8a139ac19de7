//! What the cache did for each run: the share of tasks that it spared, and the time.
//! Does not know how either was found out.

use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::Color;

use super::canvas::{Canvas, beyond, columns, labels_room, number, plot, px};
use super::palette::{INK, RAN, RESTORED};
use super::scale::{Axis, Unit, sane, words};
use super::{ChartError, Frame};

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct CachePoint {
    /// Stands below the run, where there is room; usually a date.
    pub label: String,
    /// The share of its tasks that did not have to run, from 0 to 1; `None` for a run without tasks.
    pub hit_rate: Option<f64>,
    /// What those tasks once took, in seconds.
    pub saved_seconds: f64,
}

/// Draws the hit rate of each run as a line and, below it, the time saved as bars; oldest first.
///
/// # Errors
/// [`ChartError::Draw`] when the charting library refuses.
pub fn cache_over_time(runs: &[CachePoint], frame: Frame) -> Result<String, ChartError> {
    let title = "Cache hits and time saved";
    let frame = frame.at_least(260);
    let legend = [(RAN, "hit rate"), (RESTORED, "time saved")];
    let canvas = Canvas::new(frame, title, if runs.is_empty() { &[] } else { &legend })?;
    if runs.is_empty() {
        canvas.nothing("No runs yet")?;
        return Ok(canvas.finish(title, "There are no runs yet."));
    }
    let body = canvas.body();
    let (_, high) = body.dim_in_pixel();
    let (above, below) = body.split_vertically(px(high / 2 - 11));
    let names: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();

    let percent = Axis {
        divisor: 0.01,
        end: 100.0,
        suffix: " %",
        cut: false,
    };
    let axis = Axis::of(runs.iter().map(|run| run.saved_seconds), Unit::Seconds);
    let room = labels_room(&axis).max(labels_room(&percent));
    let rates = plot(&above, number(runs.len()), &percent, room)?;
    let area = rates.plotting_area();
    let points: Vec<_> = runs
        .iter()
        .enumerate()
        .filter_map(|(at, run)| run.hit_rate.map(|rate| (at, percent.place(rate))))
        .map(|(at, rate)| (at, (number(at) + 0.5, rate)))
        .collect();
    if points.len() > 1 {
        let path: Vec<_> = points.iter().map(|(_, point)| *point).collect();
        area.draw(&PathElement::new(path, RAN.rgb().stroke_width(2)))?;
    }
    let radius = if runs.len() > 60 { 2 } else { 4 };
    for (at, point) in points {
        let title = format!("{}: {:.0} % hits", names[at], point.1);
        canvas.titled(None, &title, || {
            Ok(area.draw(&Circle::new(point, radius, RAN.rgb().filled()))?)
        })?;
    }

    let saved = plot(&below, number(runs.len()), &axis, room)?;
    let mut after = 0.0;
    for (at, run) in runs.iter().enumerate() {
        if sane(run.saved_seconds) <= 0.0 {
            continue;
        }
        let text = words(run.saved_seconds, Unit::Seconds);
        canvas.titled(None, &format!("{}: saved {text}", names[at]), || {
            let corners = [
                (number(at) + 0.15, 0.0),
                (number(at) + 0.85, axis.place(run.saved_seconds)),
            ];
            let area = saved.plotting_area();
            area.draw(&Rectangle::new(corners, RESTORED.rgb().filled()))?;
            if axis.beyond(run.saved_seconds) {
                let (x, _) = saved.backend_coord(&(number(at) + 0.5, 0.0));
                beyond(&canvas, &saved, (x, INK), &text, &mut after)?;
            }
            Ok(())
        })?;
    }
    columns(&below, &saved, &names)?;
    drop((rates, saved));
    let rate = runs.last().and_then(|run| run.hit_rate);
    let rate = rate.map_or("no".to_owned(), |rate| {
        format!("{:.0} %", 100.0 * sane(rate))
    });
    let all: f64 = runs.iter().map(|run| sane(run.saved_seconds)).sum();
    let words = format!(
        "{} runs; the last had {rate} hits, all together saved {}.",
        runs.len(),
        words(all, Unit::Seconds)
    );
    Ok(canvas.finish(title, &words))
}
