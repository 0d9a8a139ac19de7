//! Durations as people say them, and a table of where the time went.
//! Does not know what was measured.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::SpanRow;

const MICRO: u128 = 1_000;
const MILLI: u128 = 1_000_000;
const SECOND: u128 = 1_000_000_000;

/// A duration as people say it, never longer than nine characters below a thousand days: `850 µs`, `1.2 ms`, `12 ms`, `1.24 s`, `12.4 s`, `2 m 05 s`, `1 h 12 m`, `3 d 4 h`.
pub fn format_duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    // Each limit is where the rounded number would need one digit more.
    match ns {
        0 => "0 s".to_owned(),
        1..MICRO => "<1 µs".to_owned(),
        _ if ns < 999_500 => format!("{} µs", rounded(ns, MICRO)),
        _ if ns < 9_950_000 => decimal(ns, MILLI, 1, "ms"),
        _ if ns < 999_500_000 => format!("{} ms", rounded(ns, MILLI)),
        _ if ns < 9_995_000_000 => decimal(ns, SECOND, 2, "s"),
        _ if ns < 59_950_000_000 => decimal(ns, SECOND, 1, "s"),
        _ if rounded(ns, SECOND) < 3600 => pair(rounded(ns, SECOND), 60, "m", "s"),
        _ if rounded(ns, 60 * SECOND) < 24 * 60 => pair(rounded(ns, 60 * SECOND), 60, "h", "m"),
        _ => {
            let hours = rounded(ns, 3600 * SECOND);
            format!("{} d {} h", hours / 24, hours % 24)
        }
    }
}

fn rounded(ns: u128, unit: u128) -> u128 {
    (ns + unit / 2) / unit
}

fn decimal(ns: u128, unit: u128, digits: u32, name: &str) -> String {
    let scale = 10_u128.pow(digits);
    let value = rounded(ns, unit / scale);
    format!(
        "{}.{:0width$} {name}",
        value / scale,
        value % scale,
        width = digits as usize
    )
}

fn pair(value: u128, base: u128, large: &str, small: &str) -> String {
    format!("{} {large} {:02} {small}", value / base, value % base)
}

/// A table of names with how often each was measured, the sum, and its share of `total`, slowest first, at most `width` characters wide (but never
/// less than 40): a name that is too long is cut. Shares exceed 100 % together where things ran side by side or within each other.
pub fn timing_summary<'a>(
    measured: impl IntoIterator<Item = (&'a str, Duration)>,
    total: Duration,
    width: usize,
) -> String {
    const NUMBERS: usize = "  count      total   share".len();
    let mut sums: HashMap<&str, (u64, Duration)> = HashMap::new();
    for (name, duration) in measured {
        let (count, sum) = sums.entry(name).or_default();
        *count += 1;
        *sum = sum.saturating_add(duration);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_unstable_by_key(|(name, (_, sum))| (std::cmp::Reverse(*sum), *name));
    let room = width.max(40) - NUMBERS;
    let longest = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let names = longest.clamp(4, room);
    let mut text = format!("{:<names$}  count      total   share\n", "name");
    for (name, (count, sum)) in rows {
        let share = if total.is_zero() {
            0.0
        } else {
            100.0 * sum.as_secs_f64() / total.as_secs_f64()
        };
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "{:<names$}  {count:>5}  {:>9}  {share:>4.0} %",
            fitted(name, names),
            format_duration(sum)
        );
    }
    text
}

/// The name and length of each span, for [`timing_summary`].
pub fn measured(spans: &[SpanRow]) -> impl Iterator<Item = (&str, Duration)> {
    spans
        .iter()
        .map(|span| (&*span.name, Duration::from_nanos(span.duration_ns)))
}

/// The end of a long name tells more than its beginning.
fn fitted(name: &str, room: usize) -> String {
    let count = name.chars().count();
    if count <= room {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - (room - 1)).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (ns, text) in [
            (0, "0 s"),
            (1, "<1 µs"),
            (999, "<1 µs"),
            (1_000, "1 µs"),
            (1_499, "1 µs"),
            (850_000, "850 µs"),
            (999_499, "999 µs"),
            (999_500, "1.0 ms"),
            (1_240_000, "1.2 ms"),
            (9_949_999, "9.9 ms"),
            (9_950_000, "10 ms"),
            (12_000_000, "12 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (1_240_000_000, "1.24 s"),
            (9_994_999_999, "9.99 s"),
            (9_995_000_000, "10.0 s"),
            (59_949_999_999, "59.9 s"),
            (59_950_000_000, "1 m 00 s"),
            (125_000_000_000, "2 m 05 s"),
            (3_599_499_999_999, "59 m 59 s"),
            (3_599_500_000_000, "1 h 00 m"),
            (4_320_000_000_000, "1 h 12 m"),
            (86_369_999_999_999, "23 h 59 m"),
            (86_370_000_000_000, "1 d 0 h"),
            (273_600_000_000_000, "3 d 4 h"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(ns)), text, "{ns}");
        }
        assert_eq!(format_duration(Duration::MAX), "213503982334601 d 7 h");
    }

    #[test]
    fn a_longer_duration_is_never_said_as_a_shorter_one() {
        let mut ns = 1_u64;
        let mut last = 0.0;
        while ns < 40 * 24 * 3600 * 1_000_000_000 {
            let text = format_duration(Duration::from_nanos(ns));
            let said = seconds(&text);
            assert!(said >= last, "{ns}: {text}");
            last = said;
            ns += ns / 97 + 1;
        }
    }

    fn seconds(text: &str) -> f64 {
        if text == "<1 µs" {
            return 0.0;
        }
        let words: Vec<&str> = text.split(' ').collect();
        words
            .chunks(2)
            .map(|pair| {
                let unit = match pair[1] {
                    "µs" => 1e-6,
                    "ms" => 1e-3,
                    "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3600.0,
                    "d" => 86400.0,
                    other => panic!("{other}"),
                };
                pair[0].parse::<f64>().unwrap() * unit
            })
            .sum()
    }

    #[test]
    fn the_slowest_stands_first_with_its_share_of_the_total() {
        let ms = Duration::from_millis;
        let rows = [
            ("plan", ms(20)),
            ("execute", ms(700)),
            ("plan", ms(80)),
            ("scan", ms(100)),
        ];
        assert_eq!(
            timing_summary(rows, ms(1000), 60),
            "\
name     count      total   share
execute      1     700 ms    70 %
plan         2     100 ms    10 %
scan         1     100 ms    10 %
"
        );
    }

    #[test]
    fn long_names_are_cut_to_the_width() {
        let name = "packages/a-very-long-name-of-a-project#build";
        let text = timing_summary([(name, Duration::from_secs(1))], Duration::ZERO, 10);
        assert_eq!(
            text,
            "\
name            count      total   share
…project#build      1     1.00 s     0 %
"
        );
        assert!(text.lines().all(|line| line.chars().count() == 40));
    }

    #[test]
    fn nothing_measured_is_a_table_without_rows() {
        assert_eq!(
            timing_summary([], Duration::ZERO, 80),
            "name  count      total   share\n"
        );
    }
}
