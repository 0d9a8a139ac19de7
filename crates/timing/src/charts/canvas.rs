//! What every chart has: its sheet, heading, legend, axes, and the SVG around it all.
//! Does not know what the data means.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, TextStyle};

use super::palette::{Colour, GRID, INK, MUTED, SURFACE};
use super::scale::Axis;
use super::sink::Sink;
use super::text::{escape, fit, width};
use super::{ChartError, Frame};

/// The size of most text, in pixels.
pub(super) const TEXT: f64 = 12.0;
const HEADING: f64 = 15.0;
const PADDING: i32 = 10;

/// A part of the sheet.
pub(super) type Area = DrawingArea<Sink, Shift>;
/// A part of the sheet with two axes of plain numbers.
pub(super) type Plot<'a> = ChartContext<'a, Sink, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A sheet with its heading and legend.
pub(super) struct Canvas {
    sink: Sink,
    sheet: Area,
    /// Where the heading and the legend end.
    top: u32,
    frame: Frame,
}

/// An entry of the legend.
pub(super) type Entry<'a> = (Colour, &'a str);

impl Canvas {
    /// A sheet of the frame's size, with `title` as heading if the frame wants one.
    pub(super) fn new(frame: Frame, title: &str, legend: &[Entry<'_>]) -> Result<Self, ChartError> {
        let frame = frame.sane();
        let sink = Sink::new((frame.width, frame.height));
        let sheet = sink.clone().into_drawing_area();
        sheet.fill(&SURFACE.rgb())?;
        let mut y = 6;
        if frame.heading {
            let style = text(HEADING, INK, HPos::Left, VPos::Top);
            let style = TextStyle {
                font: style.font.style(FontStyle::Bold),
                ..style
            };
            // Bold letters are a little wider than the table says.
            let room = f64::from(frame.width) * 0.92 - 2.0 * f64::from(PADDING);
            if let Some(heading) = fit(title, HEADING, room) {
                sheet.draw(&Text::new(heading, (PADDING, y + 2), style))?;
            }
            y += 28;
        }
        y = draw_legend(&sheet, legend, y, frame)?;
        Ok(Self {
            sink,
            sheet,
            top: u32::try_from(y).unwrap_or_default(),
            frame,
        })
    }

    /// The width in pixels.
    pub(super) fn width(&self) -> u32 {
        self.frame.width
    }

    /// What lies below heading and legend.
    pub(super) fn body(&self) -> Area {
        let (wide, high) = (px(self.frame.width), px(self.frame.height));
        self.sheet
            .clone()
            .shrink((0, self.top), (wide, high - px(self.top)))
    }

    /// Draws a part of the chart that carries a title and, for scripts, an index.
    pub(super) fn titled(
        &self,
        index: Option<usize>,
        title: &str,
        draw: impl FnOnce() -> Result<(), ChartError>,
    ) -> Result<(), ChartError> {
        self.sink.open(index, title);
        let drawn = draw();
        self.sink.close();
        drawn
    }

    /// Says in the middle of the chart that there is nothing to see.
    pub(super) fn nothing(&self, words: &str) -> Result<(), ChartError> {
        let body = self.body();
        let (wide, high) = body.dim_in_pixel();
        let style = text(TEXT, MUTED, HPos::Center, VPos::Center);
        body.draw(&Text::new(
            words.to_owned(),
            (px(wide / 2), px(high / 2)),
            style,
        ))?;
        Ok(())
    }

    /// The whole chart as one SVG element. `title` names it, `words` say what it shows.
    pub(super) fn finish(self, title: &str, words: &str) -> String {
        let (wide, high) = (self.frame.width, self.frame.height);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" width=\"{wide}\" height=\"{high}\" \
             viewBox=\"0 0 {wide} {high}\" font-family=\"Roboto, 'Segoe UI', system-ui, sans-serif\">\n\
             <title>{}</title>\n<desc>{}</desc>\n{}</svg>\n",
            escape(title),
            escape(words),
            self.sink.elements()
        )
    }
}

/// Entries side by side, in as many lines as they need; the pixel row below them.
fn draw_legend(
    sheet: &Area,
    legend: &[Entry<'_>],
    top: i32,
    frame: Frame,
) -> Result<i32, ChartError> {
    if legend.is_empty() {
        return Ok(top);
    }
    let end = px(frame.width) - PADDING;
    let (mut x, mut y) = (PADDING, top + 2);
    for (colour, name) in legend {
        let room = f64::from(end - PADDING - 16);
        let name = fit(name, TEXT, room).unwrap_or_default();
        let wide = ceil(width(&name, TEXT)) + 16;
        if x > PADDING && x + wide > end {
            (x, y) = (PADDING, y + 18);
        }
        let square = [(x, y + 2), (x + 10, y + 12)];
        sheet.draw(&Rectangle::new(square, colour.rgb().filled()))?;
        let style = text(TEXT, INK, HPos::Left, VPos::Center);
        sheet.draw(&Text::new(name, (x + 15, y + 7), style))?;
        x += wide + 14;
    }
    Ok(y + 20)
}

/// The style of a text.
pub(super) fn text(size: f64, colour: Colour, across: HPos, down: VPos) -> TextStyle<'static> {
    TextStyle {
        font: FontDesc::new(FontFamily::SansSerif, size, FontStyle::Normal),
        color: colour.rgb().to_backend_color(),
        pos: Pos::new(across, down),
    }
}

/// Axes from zero to `across` and to `axis`, the latter with lines, and with labels on the left that have `room` pixels.
pub(super) fn plot<'a>(
    area: &'a Area,
    across: f64,
    axis: &Axis,
    room: u32,
) -> Result<Plot<'a>, ChartError> {
    let (_, high) = area.dim_in_pixel();
    let mut plot = ChartBuilder::on(area)
        .margin_top(16)
        .margin_right(14)
        .set_left_and_bottom_label_area_size(0)
        .y_label_area_size(room)
        .x_label_area_size(22)
        .build_cartesian_2d(0.0..across.max(f64::MIN_POSITIVE), 0.0..axis.end)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels((high as usize / 38).clamp(2, 6))
        .y_max_light_lines(0)
        .y_label_formatter(&|mark| axis.label(*mark))
        .bold_line_style(GRID.rgb())
        .axis_style(GRID.rgb())
        .y_label_style(text(TEXT, MUTED, HPos::Right, VPos::Center))
        .set_all_tick_mark_size(3)
        .draw()?;
    Ok(plot)
}

/// The pixels that the labels of a vertical axis need. The marks lie on round numbers that are not known yet.
pub(super) fn labels_room(axis: &Axis) -> u32 {
    let widest = [0.97, 0.5, 0.25].map(|part| {
        // Rounded as marks are: to the second digit.
        let mark = axis.end * part;
        let step = 10f64.powf(mark.log10().floor() - 1.0);
        width(&axis.label((mark / step).floor() * step), TEXT)
    });
    let widest = widest.into_iter().fold(24.0, f64::max);
    u32::try_from(ceil(widest) + 14).unwrap_or(60)
}

/// Labels below the middles of `names.len()` equally wide columns: as many as have room, the last one always.
pub(super) fn columns(canvas: &Area, plot: &Plot<'_>, names: &[&str]) -> Result<(), ChartError> {
    let (across, down) = plot.plotting_area().get_pixel_range();
    let (base_x, base_y) = canvas.get_base_pixel();
    let room = f64::from(across.end - across.start);
    let count = names.len().max(1);
    let each = room / number(count);
    let widest = names
        .iter()
        .map(|name| width(name, TEXT))
        .fold(1.0, f64::max)
        .min(room * 0.6);
    let step = ceil((widest + 14.0) / each).max(1).unsigned_abs() as usize;
    let style = text(TEXT, MUTED, HPos::Center, VPos::Top);
    let mut before = f64::INFINITY;
    for (at, name) in names.iter().enumerate().rev().step_by(step) {
        let Some(name) = fit(name, TEXT, widest) else {
            continue;
        };
        let half = width(&name, TEXT) / 2.0;
        let middle = f64::from(across.start - base_x) + each * (number(at) + 0.5);
        // The outer labels stay on the sheet.
        let sheet = f64::from(across.end - base_x) + 12.0;
        let middle = middle.min(sheet - half).max(half + 2.0);
        if middle + half + 8.0 > before {
            continue;
        }
        before = middle - half;
        canvas.draw(&Text::new(
            name,
            (ceil(middle), down.end - base_y + 7),
            style.clone(),
        ))?;
    }
    Ok(())
}

/// The number of a point that lies beyond the axis, above a triangle at the upper end of its column.
///
/// `after` is where the number before it ended; a number without room is left out.
pub(super) fn beyond(
    canvas: &Canvas,
    plot: &Plot<'_>,
    (x, colour): (i32, Colour),
    words: &str,
    after: &mut f64,
) -> Result<(), ChartError> {
    let area = &canvas.sheet;
    let (_, top) = plot.plotting_area().get_base_pixel();
    let corners = [(x - 6, top + 8), (x + 6, top + 8), (x, top - 2)];
    area.draw(&Polygon::new(corners, colour.rgb().filled()))?;
    let half = width(words, TEXT) / 2.0;
    let middle = f64::from(x)
        .min(f64::from(canvas.width()) - half - 2.0)
        .max(half + 2.0);
    if middle - half > *after + 6.0 {
        *after = middle + half;
        let style = text(TEXT, INK, HPos::Center, VPos::Bottom);
        area.draw(&Text::new(words.to_owned(), (ceil(middle), top - 3), style))?;
    }
    Ok(())
}

/// Pixels as Plotters counts them.
pub(super) fn px(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}

/// A length in pixels, made whole.
#[allow(clippy::cast_possible_truncation)] // Sheets are small; `as` saturates.
pub(super) fn ceil(length: f64) -> i32 {
    length.ceil() as i32
}

/// A count as a number of an axis.
#[allow(clippy::cast_precision_loss)] // Nobody draws 2^52 things.
pub(super) fn number(count: usize) -> f64 {
    count as f64
}
