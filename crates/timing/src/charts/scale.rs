//! How numbers become lengths: the unit of an axis, its end, and what to do with outliers.
//! Does not know what is measured.

use std::time::Duration;

use crate::summary::format_duration;

/// What the numbers of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, shown in the unit that suits their size.
    Seconds,
    /// Plain numbers.
    Count,
    /// Bytes, shown in binary multiples.
    Bytes,
}

/// An axis from zero to `end`, both in numbers of the data divided by `divisor`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// By what the data is divided.
    pub(super) divisor: f64,
    /// The end of the axis in divided numbers; above zero.
    pub(super) end: f64,
    /// Stands behind each number, with the blank before it; may be empty.
    pub(super) suffix: &'static str,
    /// Whether some data lies beyond the end.
    pub(super) cut: bool,
}

impl Axis {
    /// An axis that shows all of `values`, or all but a few that dwarf the rest.
    pub(super) fn of(values: impl IntoIterator<Item = f64>, unit: Unit) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().map(sane).collect();
        sorted.sort_by(f64::total_cmp);
        let (top, cut) = top(&sorted);
        let (divisor, suffix) = unit_of(top, unit);
        let end = if top > 0.0 { top / divisor } else { 1.0 };
        Self {
            divisor,
            end,
            suffix,
            cut,
        }
    }

    /// A number of the data on this axis, at most its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        (sane(value) / self.divisor).min(self.end)
    }

    /// Whether a number of the data lies beyond the end.
    pub(super) fn beyond(&self, value: f64) -> bool {
        self.cut && sane(value) / self.divisor > self.end
    }

    /// The text at a mark of the axis.
    pub(super) fn label(&self, mark: f64) -> String {
        format!("{}{}", trimmed(mark), self.suffix)
    }
}

/// A number that can be drawn: what is not finite or below zero counts as zero, what is absurd as very much.
pub(super) fn sane(value: f64) -> f64 {
    if value.is_finite() {
        value.clamp(0.0, 1e15)
    } else {
        0.0
    }
}

/// A number of the data as text, such as `4.2 s`.
pub(crate) fn words(value: f64, unit: Unit) -> String {
    let value = sane(value);
    if unit == Unit::Seconds {
        // `sane` leaves nothing that a duration cannot hold.
        return format_duration(Duration::try_from_secs_f64(value).unwrap_or_default());
    }
    let (divisor, suffix) = unit_of(value, unit);
    let number = value / divisor;
    let number = if number >= 100.0 || unit == Unit::Count {
        format!("{number:.0}")
    } else if number >= 10.0 {
        trimmed((number * 10.0).round() / 10.0)
    } else {
        trimmed((number * 100.0).round() / 100.0)
    };
    format!("{number}{suffix}")
}

/// Up to three decimals, without zeros at the end.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

fn unit_of(top: f64, unit: Unit) -> (f64, &'static str) {
    let table: &[(f64, f64, &str)] = match unit {
        Unit::Count => &[],
        Unit::Seconds => &[
            (1e-3, 1e-6, " µs"),
            (1.0, 1e-3, " ms"),
            (120.0, 1.0, " s"),
            (7200.0, 60.0, " min"),
            (172_800.0, 3600.0, " h"),
            (f64::INFINITY, 86_400.0, " d"),
        ],
        Unit::Bytes => &[
            (1024.0, 1.0, " B"),
            (1_048_576.0, 1024.0, " KiB"),
            (1_073_741_824.0, 1_048_576.0, " MiB"),
            (f64::INFINITY, 1_073_741_824.0, " GiB"),
        ],
    };
    // Zero has no size of its own.
    let top = if top == 0.0 { 1.0 } else { top };
    table
        .iter()
        .find(|(below, ..)| top < *below)
        .map_or((1.0, ""), |(_, divisor, suffix)| (*divisor, *suffix))
}

/// The number that the axis has to reach, and whether data lies beyond it.
///
/// Up to a tenth of the numbers may be left outside, and only when they are at least four times as great as the rest.
fn top(sorted: &[f64]) -> (f64, bool) {
    let Some(&greatest) = sorted.last() else {
        return (0.0, false);
    };
    if sorted.len() >= 5 {
        let rest = sorted.len() - (sorted.len() / 10).max(1);
        let high = sorted[rest - 1];
        if high > 0.0 && greatest > 4.0 * high {
            return (1.5 * high, true);
        }
    }
    (greatest * 1.04, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_does_not_flatten_the_rest() {
        let mut values = vec![10.0; 19];
        values.push(9000.0);
        let axis = Axis::of(values, Unit::Seconds);
        assert_eq!((axis.end, axis.suffix, axis.cut), (15.0, " s", true));
        assert!(axis.beyond(9000.0) && !axis.beyond(10.0));
        assert!((axis.place(9000.0) - 15.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_trend_is_no_outlier() {
        let axis = Axis::of((1..=20).map(f64::from), Unit::Seconds);
        assert!(!axis.cut && axis.end > 20.0);
        assert!(!Axis::of([1.0, 100.0], Unit::Seconds).cut);
    }

    #[test]
    fn nothing_and_nonsense_have_an_axis() {
        for values in [vec![], vec![0.0; 9], vec![f64::NAN, f64::INFINITY, -3.0]] {
            let axis = Axis::of(values, Unit::Seconds);
            assert!(axis.end > 0.0 && axis.end.is_finite() && !axis.cut);
        }
        let axis = Axis::of([f64::MAX], Unit::Bytes);
        assert!(axis.end.is_finite() && axis.place(f64::MAX) <= axis.end);
    }

    #[test]
    fn numbers_are_written_in_their_unit() {
        let seconds = |value| words(value, Unit::Seconds);
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(0.000_25), "250 µs");
        assert_eq!(seconds(4.256), "4.26 s");
        assert_eq!(seconds(90.0), "1 m 30 s");
        assert_eq!(seconds(f64::MAX), seconds(1e15));
        assert_eq!(words(1_572_864.0, Unit::Bytes), "1.5 MiB");
        assert_eq!(words(12.0, Unit::Count), "12");
    }
}
