//! The timeline of a run: which task ran when on which worker, and which of them decided how long it took.
//! Does not know how the critical path was found.

use plotters::chart::ChartBuilder;
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Area, Canvas, Entry, TEXT, ceil, number, text};
use super::palette::{Colour, FAILED, GRID, INK, MUTED, ON_BAR, RAN, RESTORED, UP_TO_DATE};
use super::scale::{Axis, Unit, sane, words};
use super::text::{fit, width};
use super::{ChartError, Frame};

/// What became of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its commands ran.
    Ran,
    /// Its outputs came from a cache.
    Restored,
    /// Its outputs were in place.
    UpToDate,
    /// It failed or was ended.
    Failed,
}

impl State {
    pub(super) const ALL: [Self; 4] = [Self::Ran, Self::Restored, Self::UpToDate, Self::Failed];

    fn look(self) -> Entry<'static> {
        match self {
            Self::Ran => (RAN, "ran"),
            Self::Restored => (RESTORED, "restored"),
            Self::UpToDate => (UP_TO_DATE, "up to date"),
            Self::Failed => (FAILED, "failed"),
        }
    }
}

/// One task on the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Stands in the bar, where there is room.
    pub name: String,
    /// The lane, as an index into the lanes; a bar beyond the last lane is left out.
    pub lane: usize,
    /// When it began, in seconds after the start of the run.
    pub start: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What became of it; the colour.
    pub state: State,
    /// Whether it is a step of the critical path; such bars are framed and joined by a line.
    pub critical: bool,
}

const LANE: usize = 26;

/// Draws the tasks of a run in lanes from its start to the end of the last one. Each bar carries its index for scripts.
///
/// The sheet gets higher than asked for where the lanes need it.
///
/// # Errors
/// [`ChartError::Draw`] when the charting library refuses.
pub fn timeline(
    title: &str,
    lanes: &[String],
    bars: &[Bar],
    frame: Frame,
) -> Result<String, ChartError> {
    let frame = Frame { height: 0, ..frame };
    let head = if frame.heading { 34 } else { 6 };
    let frame = frame.at_least(head + 80 + LANE * lanes.len());
    let drawn = || bars.iter().filter(|bar| bar.lane < lanes.len());
    let mut legend: Vec<Entry<'_>> = State::ALL
        .into_iter()
        .filter(|state| drawn().any(|bar| bar.state == *state))
        .map(State::look)
        .collect();
    if drawn().any(|bar| bar.critical) {
        legend.push((INK, "critical path (framed)"));
    }
    let canvas = Canvas::new(frame, title, &legend)?;
    if drawn().next().is_none() {
        canvas.nothing("No task ran")?;
        return Ok(canvas.finish(title, "No task ran."));
    }
    let end = drawn()
        .map(|bar| sane(bar.start) + sane(bar.seconds))
        .fold(0.0, f64::max);
    let axis = Axis::of([end], Unit::Seconds);
    let body = canvas.body();
    let room = lanes
        .iter()
        .map(|lane| width(lane, TEXT))
        .fold(0.0, f64::max)
        .min(f64::from(canvas.width()) * 0.3);
    let mut chart = ChartBuilder::on(&body)
        .margin_top(4)
        .margin_right(14)
        .y_label_area_size(ceil(room) + 16)
        .x_label_area_size(24)
        .build_cartesian_2d(0.0..axis.end, number(lanes.len())..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels((canvas.width() as usize / 90).clamp(2, 10))
        .x_max_light_lines(0)
        .x_label_formatter(&|mark| axis.label(*mark))
        .bold_line_style(GRID.rgb())
        .axis_style(GRID.rgb())
        .x_label_style(text(TEXT, MUTED, HPos::Center, VPos::Top))
        .set_all_tick_mark_size(3)
        .draw()?;

    let area = chart.plotting_area();
    let screen = area.use_screen_coord();
    let at = |seconds: f64, row: f64| chart.backend_coord(&(axis.place(seconds), row));
    // Plotters moves points onto the area they are drawn on, so what stands beside it needs a greater one.
    let beside = body.use_screen_coord();
    let style = text(TEXT, MUTED, HPos::Right, VPos::Center);
    for (row, lane) in lanes.iter().enumerate() {
        let Some(lane) = fit(lane, TEXT, room) else {
            continue;
        };
        let (_, y) = at(0.0, number(row) + 0.5);
        let (left, _) = area.get_base_pixel();
        beside.draw(&Text::new(lane, (left - 8, y), style.clone()))?;
    }
    let corners = |bar: &Bar| {
        let row = number(bar.lane);
        let from = at(bar.start, row);
        let to = at(sane(bar.start) + sane(bar.seconds), row + 1.0);
        [(from.0, from.1 + 3), (to.0.max(from.0 + 1), to.1 - 3)]
    };
    for (index, bar) in bars
        .iter()
        .enumerate()
        .filter(|(_, bar)| bar.lane < lanes.len())
    {
        let (colour, state) = bar.state.look();
        let critical = if bar.critical { ", critical path" } else { "" };
        let took = words(bar.seconds, Unit::Seconds);
        let from = words(bar.start, Unit::Seconds);
        let title = format!("{}: {took} from {from}, {state}{critical}", bar.name);
        canvas.titled(Some(index), &title, || {
            draw_bar(&screen, corners(bar), bar, colour)
        })?;
    }
    let mut path: Vec<&Bar> = drawn().filter(|bar| bar.critical).collect();
    path.sort_by(|a, b| sane(a.start).total_cmp(&sane(b.start)));
    for pair in path.windows(2) {
        let [(_, top), (x1, bottom)] = corners(pair[0]);
        let [(x2, next_top), (_, next_bottom)] = corners(pair[1]);
        let from = (x1, i32::midpoint(top, bottom));
        let to = (x2, i32::midpoint(next_top, next_bottom));
        // Down or up where the earlier task ended, then along to where the later one began.
        let line = vec![from, (x1, to.1), to];
        screen.draw(&PathElement::new(line, INK.rgb().stroke_width(2)))?;
    }
    let count = drawn().count();
    let words = format!(
        "{count} tasks in {} lanes over {}; the critical path has {} steps.",
        lanes.len(),
        words(end, Unit::Seconds),
        path.len()
    );
    drop(chart);
    Ok(canvas.finish(title, &words))
}

/// One bar with its name, if there is room, and its frame, if it is critical.
fn draw_bar(
    screen: &Area,
    corners: [(i32, i32); 2],
    bar: &Bar,
    colour: Colour,
) -> Result<(), ChartError> {
    let [(left, top), (right, bottom)] = corners;
    // Bars that follow each other at once have a gap between them, as long as it does not hide them.
    let gap = i32::from(right - left > 3);
    let body = [(left, top), (right - gap, bottom)];
    screen.draw(&Rectangle::new(body, colour.rgb().filled()))?;
    if bar.critical {
        let frame = [(left, top), (right, bottom)];
        screen.draw(&Rectangle::new(frame, INK.rgb().stroke_width(2)))?;
    }
    let room = f64::from(right - left - 8);
    if let Some(name) = fit(&bar.name, TEXT, room) {
        let style = text(TEXT, ON_BAR, HPos::Left, VPos::Center);
        let place = (left + 4, i32::midpoint(top, bottom));
        screen.draw(&Text::new(name, place, style))?;
    }
    Ok(())
}
