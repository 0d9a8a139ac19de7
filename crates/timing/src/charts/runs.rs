//! How long runs took, one after another, as a line.
//! Does not know which runs compare with each other.

use plotters::element::{Circle, Cross, PathElement};
use plotters::style::Color;

use super::canvas::{Canvas, beyond, columns, labels_room, number, plot};
use super::palette::{FAILED, MUTED, RAN};
use super::scale::{Axis, Unit, sane, words};
use super::{ChartError, Frame};

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPoint {
    /// Stands below the point, where there is room; usually a date.
    pub label: String,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// Whether it failed; such a run is marked by a cross.
    pub failed: bool,
}

/// Draws how long the runs took, oldest first, with their median.
///
/// A run that dwarfs the others stands at the upper edge under a triangle, with its number.
///
/// # Errors
/// [`ChartError::Draw`] when the charting library refuses.
pub fn runs_over_time(runs: &[RunPoint], frame: Frame) -> Result<String, ChartError> {
    let title = "Runs over time";
    let mut legend = vec![(RAN, "run"), (MUTED, "median (thin line)")];
    if runs.iter().any(|run| run.failed) {
        legend.push((FAILED, "failed run (cross)"));
    }
    let canvas = Canvas::new(frame, title, if runs.is_empty() { &[] } else { &legend })?;
    if runs.is_empty() {
        canvas.nothing("No runs yet")?;
        return Ok(canvas.finish(title, "There are no runs yet."));
    }
    let axis = Axis::of(runs.iter().map(|run| run.seconds), Unit::Seconds);
    let body = canvas.body();
    let mut plot = plot(&body, number(runs.len()), &axis, labels_room(&axis))?;
    let at = |place: usize| {
        let run = &runs[place];
        (number(place) + 0.5, axis.place(run.seconds))
    };

    let median = median(runs.iter().map(|run| run.seconds));
    let level = axis.place(median);
    let line = vec![(0.0, level), (number(runs.len()), level)];
    plot.draw_series([PathElement::new(line, MUTED.rgb())])?;

    let path: Vec<_> = (0..runs.len()).map(at).collect();
    if path.len() > 1 {
        plot.draw_series([PathElement::new(path, RAN.rgb().stroke_width(2))])?;
    }
    let radius = if runs.len() > 60 { 2 } else { 4 };
    let mut after = 0.0;
    for (place, run) in runs.iter().enumerate() {
        let took = words(run.seconds, Unit::Seconds);
        let failed = if run.failed { ", failed" } else { "" };
        let title = format!("{}: {took}{failed}", run.label);
        canvas.titled(None, &title, || {
            let point = at(place);
            if axis.beyond(run.seconds) {
                let colour = if run.failed { FAILED } else { RAN };
                let (x, _) = plot.backend_coord(&point);
                beyond(&canvas, &plot, (x, colour), &took, &mut after)?;
            } else if run.failed {
                let style = FAILED.rgb().stroke_width(3);
                plot.plotting_area().draw(&Cross::new(point, 5, style))?;
            } else {
                let style = RAN.rgb().filled();
                plot.plotting_area()
                    .draw(&Circle::new(point, radius, style))?;
            }
            Ok(())
        })?;
    }
    let names: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    columns(&body, &plot, &names)?;
    drop(plot);
    let last = runs.last().map_or(0.0, |run| run.seconds);
    let words = format!(
        "{} runs; the last took {}, the median is {}.",
        runs.len(),
        words(last, Unit::Seconds),
        words(median, Unit::Seconds)
    );
    Ok(canvas.finish(title, &words))
}

/// The middle number; of an even count, the mean of the two in the middle.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.map(sane).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        None => 0.0,
        Some(high) if sorted.len() % 2 == 1 => *high,
        Some(high) => f64::midpoint(sorted[middle - 1], *high),
    }
}
