//! Charts as PNG.
//! Does not know what they show, and reads no font but its own.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::ChartError;

/// A subset of Roboto; its licence stands beside it.
const FONT: &[u8] = include_bytes!("font/Roboto-subset.ttf");

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Roboto");
    Arc::new(fonts)
});

/// Turns a chart of this crate into a PNG picture, each of its pixels `zoom` wide; 2 suits screens of high density.
///
/// The letters come from a font within this crate, which has those of Latin, Greek and Cyrillic; others become empty boxes.
///
/// # Errors
/// [`ChartError::Picture`] when `svg` is not SVG, or the picture would have no pixels or more than 2^28.
pub fn png(svg: &str, zoom: f32) -> Result<Vec<u8>, ChartError> {
    let options = Options {
        font_family: "Roboto".to_owned(),
        fontdb: Arc::clone(&FONTS),
        ..Options::default()
    };
    let tree =
        Tree::from_str(svg, &options).map_err(|error| ChartError::Picture(error.to_string()))?;
    let size = tree.size();
    let (wide, high) = (size.width() * zoom, size.height() * zoom);
    // Also false for what is no number.
    let fits = wide >= 1.0 && high >= 1.0 && wide * high <= 268_435_456.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked the line before.
    let pixmap = fits.then(|| Pixmap::new(wide.ceil() as u32, high.ceil() as u32));
    let mut pixmap = pixmap
        .flatten()
        .ok_or_else(|| ChartError::Picture(format!("{wide} by {high} pixels are no size")))?;
    resvg::render(
        &tree,
        Transform::from_scale(zoom, zoom),
        &mut pixmap.as_mut(),
    );
    pixmap
        .encode_png()
        .map_err(|error| ChartError::Picture(error.to_string()))
}
