//! Text in a chart: how wide it is, how it is cut to fit, and how it is written into SVG.
//! Does not know where it stands.

/// Widths of the ASCII signs from space to tilde in the embedded font, in thousandths of the font's size.
#[rustfmt::skip]
const WIDTHS: [u16; 95] = [
    248, 258, 320, 616, 562, 732, 622, 175, 342, 348, 431, 567, 197, 276, 264, 413, 562, 562, 562,
    562, 562, 562, 562, 562, 562, 562, 242, 211, 508, 549, 523, 473, 898, 652, 623, 651, 656, 568,
    553, 681, 713, 272, 552, 627, 539, 873, 713, 688, 631, 688, 616, 594, 597, 648, 637, 887, 627,
    601, 599, 265, 411, 265, 418, 451, 309, 544, 562, 523, 564, 530, 348, 562, 551, 243, 239, 507,
    243, 877, 552, 570, 562, 568, 339, 516, 327, 551, 484, 751, 496, 473, 496, 338, 244, 338, 680,
];

/// By how much other fonts may be wider.
const SPARE: f64 = 1.14;

/// The width of `text` in pixels at a font size of `size` pixels.
///
/// The widths are those of the embedded font and more than a tenth: viewers draw with fonts of their own, which are often
/// wider.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let thousandths: u32 = text.chars().map(thousandths).sum();
    f64::from(thousandths) * size * SPARE / 1000.0
}

fn thousandths(sign: char) -> u32 {
    let code = u32::from(sign);
    match code.checked_sub(0x20) {
        Some(at) if at < 95 => WIDTHS.get(at as usize).copied().map_or(600, u32::from),
        // Scripts whose signs fill a square, and pictures.
        _ if (0x1100..0xa4d0).contains(&code) && !(0x2000..0x2e80).contains(&code)
            || (0xac00..0xd7a4).contains(&code)
            || (0xf900..0xfb00).contains(&code)
            || (0xff00..0xff61).contains(&code)
            || code >= 0x1_f000 =>
        {
            1000
        }
        _ => 620,
    }
}

/// `text` if it is no wider than `room` pixels, or else as many of its signs as fit around `…`.
///
/// The end of a name tells tasks apart as much as its beginning, so the middle goes. `None` when nothing useful fits.
pub(super) fn fit(text: &str, size: f64, room: f64) -> Option<String> {
    if width(text, size) <= room {
        return Some(text.to_owned());
    }
    let signs: Vec<char> = text.chars().collect();
    let mut left = room - width("…", size);
    let (mut head, mut tail) = (0, 0);
    while head + tail < signs.len() {
        let from_head = head <= tail;
        let next = if from_head {
            signs[head]
        } else {
            signs[signs.len() - 1 - tail]
        };
        let wide = f64::from(thousandths(next)) * size * SPARE / 1000.0;
        if wide > left {
            break;
        }
        left -= wide;
        if from_head {
            head += 1;
        } else {
            tail += 1;
        }
    }
    (head + tail >= 3).then(|| {
        let head: String = signs[..head].iter().collect();
        let tail: String = signs[signs.len() - tail..].iter().collect();
        format!("{head}…{tail}")
    })
}

/// Writes `text` for XML and HTML, in an element or between double quotes. Signs that XML forbids become `\u{fffd}`.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\0'..='\x1f' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(sign),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_both_ends_and_the_room() {
        let name = "services/payments/internal#integration-test";
        assert_eq!(fit(name, 12.0, 1000.0).as_deref(), Some(name));
        let cut = fit(name, 12.0, 90.0).unwrap();
        assert!(width(&cut, 12.0) <= 90.0, "{cut}");
        assert!(cut.starts_with("servi") && cut.ends_with("test"), "{cut}");
        assert_eq!(fit(name, 12.0, 8.0), None);
        assert_eq!(fit("", 12.0, 0.0).as_deref(), Some(""));
    }

    #[test]
    fn a_cut_never_splits_a_sign() {
        for room in 0..200 {
            if let Some(cut) = fit("データ基盤#ビルド🚀完了", 12.0, f64::from(room)) {
                assert!(width(&cut, 12.0) <= f64::from(room).max(0.0));
            }
        }
    }

    #[test]
    fn nothing_escapes() {
        assert_eq!(
            escape("</script>\"'&\u{1b}\n"),
            "&lt;/script&gt;&quot;&#39;&amp;\u{fffd} "
        );
    }
}
