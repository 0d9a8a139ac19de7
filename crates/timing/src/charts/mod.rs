//! Charts as SVG: runs over time, stacked bars, the timeline of a run, what the cache spared, the slowest tasks.
//! Does not know where the numbers come from, nor where a chart is shown.
//!
//! Each function takes plain numbers and gives one `<svg>` element, which is also a whole file. It names no font file and
//! loads nothing. Its colours are attributes, so that a page can give each another form; [`dark_css`] writes the rules.
//! What is not a finite number counts as zero; negative numbers do too. No data gives a chart that says so.

mod cache;
mod canvas;
mod palette;
#[cfg(feature = "png")]
mod png;
mod runs;
mod scale;
mod sink;
mod slowest;
mod stacked;
mod text;
mod timeline;

use std::fmt::Write as _;

use plotters::drawing::DrawingAreaErrorKind;

pub use cache::{CachePoint, cache_over_time};
#[cfg(feature = "png")]
pub use png::png;
pub use runs::{RunPoint, runs_over_time};
pub use scale::Unit;
pub(crate) use scale::words;
pub use slowest::{Row, slowest};
pub use stacked::{Series, stacked};
pub(crate) use text::escape;
pub use timeline::{Bar, State, timeline};

/// The sheet a chart is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels from left to right; taken as at least 240 and at most 8192.
    pub width: u32,
    /// Pixels from top to bottom; taken as at least 100 and at most 8192. A chart of many rows gets higher by itself.
    pub height: u32,
    /// Whether the title stands above the chart. It names the element in any case.
    pub heading: bool,
}

impl Frame {
    /// A size for documents, with a heading.
    pub const DOCUMENT: Self = Self {
        width: 800,
        height: 360,
        heading: true,
    };

    fn sane(self) -> Self {
        Self {
            width: self.width.clamp(240, 8192),
            height: self.height.clamp(100, 8192),
            ..self
        }
    }

    /// The same, at least so high.
    fn at_least(self, height: usize) -> Self {
        let height = u32::try_from(height).unwrap_or(u32::MAX);
        Self {
            height: self.height.max(height),
            ..self
        }
    }
}

/// Why a chart could not be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChartError {
    /// The charting library refused; data does not cause this.
    #[error("the chart could not be drawn: {0}")]
    Draw(String),
    /// The text given to [`png()`](crate::charts) is no SVG that can be turned into pixels.
    #[error("the chart could not be turned into a picture: {0}")]
    Picture(String),
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Draw(error.to_string())
    }
}

/// Rules of CSS that give charts below `selector` their dark colours where the surroundings are dark.
///
/// They use `light-dark()`, so the `color-scheme` in force decides. The sheet itself becomes transparent.
pub fn dark_css(selector: &str) -> String {
    let mut css = String::new();
    for colour in palette::all() {
        let light = palette::hex(colour.light);
        let dark = palette::hex(colour.dark);
        for attribute in ["fill", "stroke"] {
            // Writing to a string cannot fail.
            let _ = writeln!(
                css,
                "{selector} [{attribute}=\"{light}\"]{{{attribute}:light-dark({light},{dark})}}"
            );
        }
    }
    css
}

#[cfg(test)]
mod tests;
