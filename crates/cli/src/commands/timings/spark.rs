//! Small drawings of text for a terminal.
//! Does not know what the numbers mean.

const LEVELS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];

/// Numbers as a row of bars, the greatest full; a row of equal numbers is half high.
pub(super) fn line(numbers: &[u64]) -> String {
    let most = numbers.iter().copied().max().unwrap_or(0);
    let least = numbers.iter().copied().min().unwrap_or(0);
    let level = |number: u64| {
        if most == least {
            return LEVELS[3];
        }
        // From zero, or a change of one percent would look like a cliff; the lowest bar stands for anything above none.
        let at = u128::from(number) * 8 / u128::from(most);
        LEVELS[usize::try_from(at.min(7)).unwrap_or(7)]
    };
    numbers.iter().map(|&number| level(number)).collect()
}

/// A bar of `width` letters for `part` of `whole`.
pub(super) fn bar(part: u64, whole: u64, width: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let eighths = u128::from(part.min(whole)) * u128::from(width) * 8 / u128::from(whole);
    let eighths = usize::try_from(eighths).unwrap_or(0);
    let mut bar = "\u{2588}".repeat(eighths / 8);
    if let Some(rest) = (eighths % 8).checked_sub(1) {
        // Left parts of a block, one to seven eighths.
        bar.push(
            [
                '\u{258f}', '\u{258e}', '\u{258d}', '\u{258c}', '\u{258b}', '\u{258a}', '\u{2589}',
            ][rest],
        );
    }
    if bar.is_empty() && part > 0 {
        bar.push('\u{258f}');
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bars_keep_proportions() {
        assert_eq!(line(&[]), "");
        assert_eq!(line(&[5, 5]), "\u{2584}\u{2584}");
        assert_eq!(line(&[0, 50, 100]), "\u{2581}\u{2585}\u{2588}");
        assert_eq!(line(&[u64::MAX, u64::MAX - 1]), "\u{2588}\u{2588}");
        assert_eq!(bar(1, 2, 4), "\u{2588}\u{2588}");
        assert_eq!(bar(3, 16, 4), "\u{258a}");
        assert_eq!(bar(1, 1_000_000, 4), "\u{258f}");
        assert_eq!((bar(0, 5, 4), bar(1, 0, 4)), (String::new(), String::new()));
        assert_eq!(bar(9, 3, 2), "\u{2588}\u{2588}");
    }
}
