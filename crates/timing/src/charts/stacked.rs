//! Stacked bars: what parts a whole had, side by side for several wholes.
//! Does not know what the parts are.

use std::borrow::Cow;

use plotters::element::Rectangle;
use plotters::style::Color;

use super::canvas::{Canvas, Plot, beyond, columns, labels_room, number, plot};
use super::palette::{Colour, INK, SERIES, SURFACE};
use super::scale::{Axis, Unit, sane, words};
use super::{ChartError, Frame};

/// The parts of one kind in all bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the parts are called.
    pub name: String,
    /// One number a bar, in the bars' order; missing ones count as zero, surplus ones are ignored.
    pub values: Vec<f64>,
}

/// Draws one bar a category, in which the series lie on each other in their order.
///
/// A series without any number above zero has no entry in the legend, but keeps its colour. Of more than eight series, the smallest are added up as `other`. Of more bars than the sheet can show, the last ones
/// are shown. A bar that dwarfs the others ends at the upper edge under a triangle, with its number.
///
/// # Errors
/// [`ChartError::Draw`] when the charting library refuses.
pub fn stacked(
    title: &str,
    unit: Unit,
    categories: &[String],
    series: &[Series],
    frame: Frame,
) -> Result<String, ChartError> {
    let shown = (frame.sane().width.saturating_sub(80) / 3) as usize;
    let first = categories.len().saturating_sub(shown);
    let categories_shown = &categories[first..];
    let series = merged(series, categories.len());
    let legend: Vec<_> = SERIES
        .iter()
        .zip(&series)
        .filter(|(_, series)| series.values.iter().any(|value| sane(*value) > 0.0))
        .map(|(colour, series)| (*colour, series.name.as_str()))
        .collect();
    let nothing = categories.is_empty() || series.is_empty();
    let canvas = Canvas::new(frame, title, if nothing { &[] } else { &legend })?;
    if nothing {
        canvas.nothing("No data yet")?;
        return Ok(canvas.finish(title, "There is no data yet."));
    }
    let value = |series: &Series, bar: usize| sane(series.values.get(bar).copied().unwrap_or(0.0));
    let total = |bar: usize| series.iter().map(|series| value(series, bar)).sum::<f64>();
    let axis = Axis::of((first..categories.len()).map(total), unit);
    let body = canvas.body();
    let plot = plot(
        &body,
        number(categories_shown.len()),
        &axis,
        labels_room(&axis),
    )?;
    let mut after = 0.0;
    for (column, category) in categories_shown.iter().enumerate() {
        let bar = first + column;
        let mut below = 0.0;
        for (colour, series) in SERIES.iter().zip(&series) {
            let part = value(series, bar);
            if part <= 0.0 {
                continue;
            }
            let title = format!("{category}: {} {}", series.name, words(part, unit));
            canvas.titled(None, &title, || {
                segment(
                    &plot,
                    column,
                    axis.place(below),
                    axis.place(below + part),
                    *colour,
                )
            })?;
            below += part;
        }
        if axis.beyond(below) {
            let (left, right) = edges(&plot, column);
            let middle = i32::midpoint(left, right);
            beyond(
                &canvas,
                &plot,
                (middle, INK),
                &words(below, unit),
                &mut after,
            )?;
        }
    }
    let names: Vec<&str> = categories_shown.iter().map(String::as_str).collect();
    columns(&body, &plot, &names)?;
    drop(plot);
    let left_out = if first > 0 {
        format!(
            " Only the last {} of {} are shown.",
            shown,
            categories.len()
        )
    } else {
        String::new()
    };
    let last = total(categories.len() - 1);
    let words = format!(
        "{} bars of {} parts; the last adds up to {}.{left_out}",
        categories_shown.len(),
        series.len(),
        words(last, unit)
    );
    Ok(canvas.finish(title, &words))
}

/// One part of one bar, with a thin gap above it.
fn segment(
    plot: &Plot<'_>,
    column: usize,
    from: f64,
    to: f64,
    colour: Colour,
) -> Result<(), ChartError> {
    if from >= to {
        return Ok(());
    }
    let (left, right) = edges(plot, column);
    let (_, low) = plot.backend_coord(&(0.0, from));
    let (_, high) = plot.backend_coord(&(0.0, to));
    let area = plot.plotting_area().use_screen_coord();
    let corners = [(left, high), (right, low)];
    area.draw(&Rectangle::new(corners, colour.rgb().filled()))?;
    if low - high > 3 && right - left > 5 {
        let gap = [(left, high), (right, high + 1)];
        area.draw(&Rectangle::new(gap, SURFACE.rgb().filled()))?;
    }
    Ok(())
}

/// Left and right edge of a column's bar in pixels: four fifths of the column, at most 48 pixels.
fn edges(plot: &Plot<'_>, column: usize) -> (i32, i32) {
    let (from, _) = plot.backend_coord(&(number(column), 0.0));
    let (to, _) = plot.backend_coord(&(number(column) + 1.0, 0.0));
    let wide = to - from;
    let bar = (wide * 4 / 5).clamp(1, 48);
    let left = from + (wide - bar) / 2;
    (left, left + bar)
}

/// At most as many series as there are colours: the smallest ones become one.
fn merged(series: &[Series], bars: usize) -> Vec<Cow<'_, Series>> {
    let sum = |series: &Series| {
        series
            .values
            .iter()
            .take(bars)
            .copied()
            .map(sane)
            .sum::<f64>()
    };
    if series.len() <= SERIES.len() {
        return series.iter().map(Cow::Borrowed).collect();
    }
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|a, b| sum(&series[*b]).total_cmp(&sum(&series[*a])));
    let (keep, rest) = order.split_at_mut(SERIES.len() - 1);
    keep.sort_unstable();
    let other = Series {
        name: format!("other ({})", rest.len()),
        values: (0..bars)
            .map(|bar| {
                let parts = rest.iter().map(|at| series[*at].values.get(bar).copied());
                parts.map(|part| sane(part.unwrap_or(0.0))).sum()
            })
            .collect(),
    };
    let kept = keep.iter().map(|at| Cow::Borrowed(&series[*at]));
    kept.chain([Cow::Owned(other)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_series_are_added_up() {
        let series: Vec<Series> = (0..12)
            .map(|at| Series {
                name: format!("part {at}"),
                values: vec![f64::from(12 - at), 1.0],
            })
            .collect();
        let merged = merged(&series, 2);
        assert_eq!(merged.len(), 8);
        assert_eq!(merged[6].name, "part 6");
        assert_eq!(merged[7].name, "other (5)");
        assert_eq!(merged[7].values, [15.0, 5.0]);
    }
}
