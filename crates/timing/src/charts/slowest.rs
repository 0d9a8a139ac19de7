//! The longest of many things, as bars that lie on their side.
//! Does not know what they are.

use plotters::element::{Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, TEXT, ceil, px, text};
use super::palette::{INK, RAN};
use super::scale::{Unit, sane, words};
use super::text::{fit, width};
use super::{ChartError, Frame};

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Stands at the left; cut in the middle when it is too long.
    pub name: String,
    /// The length, in seconds.
    pub seconds: f64,
}

const ROW: u32 = 24;
/// More rows than this are a list, not a chart.
const MOST: usize = 30;

/// Draws one bar a row, in the order given, with its number; of more than 30 rows the first 30.
///
/// # Errors
/// [`ChartError::Draw`] when the charting library refuses.
pub fn slowest(title: &str, rows: &[Row], frame: Frame) -> Result<String, ChartError> {
    let rows = &rows[..rows.len().min(MOST)];
    let heading = if frame.heading { 34 } else { 6 };
    let frame = Frame {
        height: if rows.is_empty() {
            frame.height
        } else {
            heading + 8 + ROW * u32::try_from(rows.len()).unwrap_or(1)
        },
        ..frame
    };
    let canvas = Canvas::new(frame, title, &[])?;
    if rows.is_empty() {
        canvas.nothing("No tasks yet")?;
        return Ok(canvas.finish(title, "There are no tasks yet."));
    }
    let body = canvas.body();
    let sheet = f64::from(canvas.width());
    let wide = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| width(text, TEXT)).fold(0.0, f64::max)
    };
    let numbers: Vec<String> = rows
        .iter()
        .map(|row| words(row.seconds, Unit::Seconds))
        .collect();
    let names = wide(&mut rows.iter().map(|row| row.name.as_str())).min(sheet * 0.42);
    let start = ceil(names) + 18;
    let end = px(canvas.width()) - ceil(wide(&mut numbers.iter().map(String::as_str))) - 20;
    let longest = rows.iter().map(|row| sane(row.seconds)).fold(0.0, f64::max);
    for (at, (row, number)) in rows.iter().zip(&numbers).enumerate() {
        let top = px(ROW) * i32::try_from(at).unwrap_or(0) + 2;
        let middle = top + px(ROW) / 2;
        canvas.titled(Some(at), &format!("{}: {number}", row.name), || {
            let part = if longest > 0.0 {
                sane(row.seconds) / longest
            } else {
                0.0
            };
            let bar = ceil(f64::from((end - start).max(1)) * part);
            let corners = [(start, top + 4), (start + bar, top + px(ROW) - 4)];
            body.draw(&Rectangle::new(corners, RAN.rgb().filled()))?;
            let name = fit(&row.name, TEXT, names).unwrap_or_default();
            let style = text(TEXT, INK, HPos::Right, VPos::Center);
            body.draw(&Text::new(name, (start - 8, middle), style))?;
            let style = text(TEXT, INK, HPos::Left, VPos::Center);
            body.draw(&Text::new(number.clone(), (start + bar + 6, middle), style))?;
            Ok(())
        })?;
    }
    let first = rows.first().map_or("", |row| row.name.as_str());
    let words = format!(
        "{} rows; the first is {first} with {}.",
        rows.len(),
        numbers[0]
    );
    Ok(canvas.finish(title, &words))
}
