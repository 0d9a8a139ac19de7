//! The colours of the charts, each for light and for dark surroundings.
//! Does not know what is drawn in them.

use plotters::style::RGBColor;

/// A colour by its use. A chart is drawn in the light ones; a page turns them into the dark ones by a rule for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    /// On a light surface, as red, green and blue.
    pub(crate) light: (u8, u8, u8),
    /// On a dark one.
    pub(crate) dark: (u8, u8, u8),
}

const fn colour(light: u32, dark: u32) -> Colour {
    Colour {
        light: split(light),
        dark: split(dark),
    }
}

const fn split(rgb: u32) -> (u8, u8, u8) {
    let [_, red, green, blue] = rgb.to_be_bytes();
    (red, green, blue)
}

/// The surface.
pub(crate) const SURFACE: Colour = colour(0x00ff_ffff, 0x0017_1b22);
/// Text and what has to stand out.
pub(crate) const INK: Colour = colour(0x001b_1f24, 0x00e8_ebf0);
/// Labels of axes.
pub(crate) const MUTED: Colour = colour(0x0056_5f6b, 0x00a4_adb9);
/// Lines behind the data. They carry no meaning of their own and may be faint.
pub(crate) const GRID: Colour = colour(0x00e3_e6ea, 0x002f_3641);
/// Text on a bar.
pub(crate) const ON_BAR: Colour = colour(0x00fe_fefe, 0x000f_1318);
/// Work that was done.
pub(crate) const RAN: Colour = colour(0x002b_68b4, 0x006f_aaf0);
/// Work that a cache spared.
pub(crate) const RESTORED: Colour = colour(0x0011_7265, 0x0048_c7b3);
/// Work that was not needed.
pub(crate) const UP_TO_DATE: Colour = colour(0x0064_6d79, 0x0098_a2af);
/// What went wrong.
pub(crate) const FAILED: Colour = colour(0x00bb_2a44, 0x00f5_8095);
/// Series of stacked bars, in order.
pub(crate) const SERIES: [Colour; 8] = [
    colour(0x002c_69b5, 0x0070_abf1),
    colour(0x00b4_5309, 0x00f0_994f),
    colour(0x0012_7366, 0x0049_c8b4),
    colour(0x0078_4abc, 0x00b8_95f2),
    colour(0x00bc_2b45, 0x00f6_8196),
    colour(0x0068_6a0c, 0x00c6_c953),
    colour(0x008a_5535, 0x00cf_a284),
    colour(0x0065_6e7a, 0x0099_a3b0),
];

/// Every colour in use: what a page has to give a dark form.
pub(crate) fn all() -> impl Iterator<Item = Colour> {
    [
        SURFACE, INK, MUTED, GRID, ON_BAR, RAN, RESTORED, UP_TO_DATE, FAILED,
    ]
    .into_iter()
    .chain(SERIES)
}

/// A colour as `#rrggbb`.
pub(crate) fn hex((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

impl Colour {
    /// The light form, for drawing.
    pub(crate) fn rgb(self) -> RGBColor {
        RGBColor(self.light.0, self.light.1, self.light.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance((red, green, blue): (u8, u8, u8)) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(one: (u8, u8, u8), two: (u8, u8, u8)) -> f64 {
        let (one, two) = (luminance(one), luminance(two));
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// WCAG 2.2 level AA: 4.5 for text, 3 for what a chart says by shape.
    #[test]
    fn contrast_is_enough_in_both_forms() {
        let bars = [RAN, RESTORED, UP_TO_DATE, FAILED];
        for (surface, form) in [
            (SURFACE.light, (|colour| colour.light) as fn(Colour) -> _),
            (SURFACE.dark, |colour| colour.dark),
        ] {
            for text in [INK, MUTED] {
                assert!(contrast(form(text), surface) >= 4.5, "{text:?}");
            }
            for shape in bars.into_iter().chain(SERIES) {
                assert!(contrast(form(shape), surface) >= 3.0, "{shape:?}");
            }
            for bar in bars {
                assert!(contrast(form(bar), form(ON_BAR)) >= 4.5, "{bar:?}");
            }
        }
    }

    #[test]
    fn no_two_colours_share_a_light_form() {
        let all: Vec<Colour> = all().collect();
        for (at, one) in all.iter().enumerate() {
            for two in &all[at + 1..] {
                assert_ne!(one.light, two.light);
            }
        }
    }
}
