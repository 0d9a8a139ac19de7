//! The surface that Plotters draws on: each of its calls becomes one element of SVG.
//! Does not know what a chart is, nor how wide its own page will be shown.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use plotters::style::FontStyle;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
    text_anchor::{HPos, VPos},
};

use super::palette::hex;
use super::text::{escape, width};

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Elements of SVG in the order they were drawn. Clones write to the same text, so that groups can be opened around what
/// Plotters draws; its own SVG surface has neither groups nor titles.
#[derive(Clone)]
pub(super) struct Sink {
    size: (u32, u32),
    elements: Rc<RefCell<String>>,
}

impl Sink {
    /// An empty surface of so many pixels.
    pub(super) fn new(size: (u32, u32)) -> Self {
        Self {
            size,
            elements: Rc::default(),
        }
    }

    /// Opens a group with a title, which browsers show beside the pointer, and the index that a script finds it by.
    pub(super) fn open(&self, index: Option<usize>, title: &str) {
        let index = index.map(|at| format!(r#" data-at="{at}""#));
        let index = index.unwrap_or_default();
        self.push(&format!("<g{index}><title>{}</title>", escape(title)));
    }

    /// Closes the group.
    pub(super) fn close(&self) {
        self.push("</g>\n");
    }

    /// What was drawn so far.
    pub(super) fn elements(&self) -> String {
        self.elements.borrow().clone()
    }

    fn push(&self, element: &str) {
        self.elements.borrow_mut().push_str(element);
    }

    fn points(vertices: impl IntoIterator<Item = BackendCoord>) -> (String, usize) {
        let mut text = String::new();
        let mut count = 0;
        for (x, y) in vertices {
            let gap = if count == 0 { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}{x},{y}");
            count += 1;
        }
        (text, count)
    }
}

/// `fill` or `stroke` of a colour, with its opacity where it is not whole; nothing at all where it cannot be seen.
fn paint(attribute: &str, colour: BackendColor) -> Option<String> {
    if colour.alpha <= 0.0 {
        return None;
    }
    let opacity = if colour.alpha < 1.0 {
        format!(r#" {attribute}-opacity="{:.2}""#, colour.alpha)
    } else {
        String::new()
    };
    Some(format!(r#"{attribute}="{}"{opacity}"#, hex(colour.rgb)))
}

impl DrawingBackend for Sink {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        if let Some(fill) = paint("fill", colour) {
            self.push(&format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" {fill}/>\n"
            ));
        }
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        let Some(stroke) = paint("stroke", style.color()) else {
            return Ok(());
        };
        let wide = style.stroke_width().max(1);
        // A line of odd width is sharp only between two pixels.
        let half = if wide % 2 == 1 { ".5" } else { "" };
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(&format!(
            "<line x1=\"{x1}{half}\" y1=\"{y1}{half}\" x2=\"{x2}{half}\" y2=\"{y2}{half}\" {stroke} stroke-width=\"{wide}\"/>\n"
        ));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (x1, y1): BackendCoord,
        (x2, y2): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (x, y) = (x1.min(x2), y1.min(y2));
        // What took any time at all can be seen.
        let (wide, high) = (x1.abs_diff(x2).max(1), y1.abs_diff(y2).max(1));
        let attributes = if fill {
            paint("fill", style.color())
        } else {
            let stroke = paint("stroke", style.color());
            stroke.map(|stroke| {
                let line = style.stroke_width().max(1);
                format!(r#"fill="none" {stroke} stroke-width="{line}""#)
            })
        };
        if let Some(attributes) = attributes {
            self.push(&format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" {attributes}/>\n"
            ));
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let path: Vec<BackendCoord> = path.into_iter().collect();
        if let [from, to] = path[..] {
            return self.draw_line(from, to, style);
        }
        let (points, count) = Self::points(path);
        if let Some(stroke) = paint("stroke", style.color()).filter(|_| count > 1) {
            let wide = style.stroke_width().max(1);
            self.push(&format!(
                "<polyline points=\"{points}\" fill=\"none\" {stroke} stroke-width=\"{wide}\" stroke-linejoin=\"round\"/>\n"
            ));
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let attributes = if fill {
            paint("fill", style.color())
        } else {
            paint("stroke", style.color()).map(|stroke| format!(r#"fill="none" {stroke}"#))
        };
        if let Some(attributes) = attributes {
            self.push(&format!(
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {attributes}/>\n"
            ));
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Drawn {
        let (points, _) = Self::points(vertices);
        if let Some(fill) = paint("fill", style.color()) {
            self.push(&format!("<polygon points=\"{points}\" {fill}/>\n"));
        }
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> Drawn {
        let Some(fill) = paint("fill", style.color()) else {
            return Ok(());
        };
        let size = style.size();
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => r#" text-anchor="middle""#,
            HPos::Right => r#" text-anchor="end""#,
        };
        // From the anchor down to the baseline. Capitals are 0.71 of the size high.
        let drop = size
            * match style.anchor().v_pos {
                VPos::Top => 0.85,
                VPos::Center => 0.36,
                VPos::Bottom => -0.15,
            };
        let turn = match style.transform() {
            FontTransform::None => String::new(),
            FontTransform::Rotate90 => format!(r#" transform="rotate(90 {x} {y})""#),
            FontTransform::Rotate180 => format!(r#" transform="rotate(180 {x} {y})""#),
            FontTransform::Rotate270 => format!(r#" transform="rotate(270 {x} {y})""#),
        };
        let weight = match style.style() {
            FontStyle::Bold => r#" font-weight="bold""#,
            _ => "",
        };
        self.push(&format!(
            "<text x=\"{x}\" y=\"{:.1}\" font-size=\"{size}\"{anchor}{weight}{turn} {fill}>{}</text>\n",
            f64::from(y) + drop,
            escape(text)
        ));
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A width in pixels, above zero.
    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = style.size();
        Ok((width(text, size).ceil() as u32, size.ceil() as u32))
    }
}
