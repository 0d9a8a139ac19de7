//! Texts and numbers of others for a terminal: an entry may come from anywhere, and what commands printed stands in it.
//! Does not know what they say.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whole numbers beyond this are told by their size alone.
const MANY: f64 = 1e15;
/// Smaller ones as well.
const FEW: f64 = 1e-4;

/// A text as one line: control characters, line ends among them, are spelt out.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    spelt(text, |_| false)
}

/// A text of several lines, whose other control characters are spelt out: they would move the cursor, or worse.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    spelt(text, |letter| letter == '\n')
}

fn spelt(text: &str, keeps: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Marks that turn the direction of writing can make a text look like another.
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let bad = |letter: char| (letter.is_control() || turns(letter)) && !keeps(letter);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if bad(letter) {
            // Writing to a string cannot fail.
            let _ = write!(plain, "{}", letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    Cow::Owned(plain)
}

/// The beginning of a text, as one line of so many letters.
pub(super) fn short(text: &str, letters: usize) -> String {
    let text = line(text);
    if text.chars().count() <= letters {
        return text.into_owned();
    }
    let mut short: String = text.chars().take(letters.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A number in a few digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= MANY || (size > 0.0 && size < FEW) {
        return format!("{value:.3e}");
    }
    let digits = format!("{value:.4}");
    digits
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelt_out() {
        assert_eq!(line("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(lines("a\nb\u{9b}c\u{202e}"), "a\nb\\u{9b}c\\u{202e}");
        assert!(matches!(line("déjà vu"), Cow::Borrowed("déjà vu")));
        assert_eq!(short("abcdef\n", 4), "abc…");
        assert_eq!(short("abc", 3), "abc");
    }

    #[test]
    fn numbers_are_short() {
        let told = [1e308, 0.0, 81.25, 12.0, 1_234_567.0, 1.0 / 3.0, -2.5, 2e-9].map(number);
        let expected = [
            "1.000e308",
            "0",
            "81.25",
            "12",
            "1234567",
            "0.3333",
            "-2.5",
            "2.000e-9",
        ];
        assert_eq!(told, expected);
    }
}
