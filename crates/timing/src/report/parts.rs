//! Small pieces of the page: numbers that know where in the data they come from, and tables.
//! Does not know what a report holds.

use std::fmt::Write as _;
use std::time::Duration;

use crate::charts::escape;
use crate::format_duration;

/// A cell of a table: what it shows, by what it is sorted, and whether it is a number.
pub(super) struct Cell {
    html: String,
    sort: String,
    number: bool,
}

/// A table of cells.
pub(super) struct Table<'a> {
    /// Names it for those who cannot see where it stands.
    pub(super) caption: &'a str,
    /// The heads of its columns, and whether a column holds numbers.
    pub(super) heads: &'a [(&'a str, bool)],
    /// Attributes of each row, and its cells; the first one heads the row.
    pub(super) rows: Vec<(String, Vec<Cell>)>,
    /// Stands in place of the rows when there are none.
    pub(super) empty: &'a str,
}

/// A duration of the data; `from` is its JSON pointer.
pub(super) fn duration(from: &str, ns: u64) -> String {
    let words = format_duration(Duration::from_nanos(ns));
    shown("duration", from, &words)
}

/// A share of the data as percent.
pub(super) fn percent(from: &str, share: Option<f64>) -> String {
    shown("percent", from, &percent_words(share))
}

/// A share as percent; a dash for none.
pub(super) fn percent_words(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| {
        let percent = share * 100.0;
        if percent.abs() < 9.95 && percent != 0.0 {
            format!("{percent:.1} %")
        } else {
            format!("{percent:.0} %")
        }
    })
}

/// A count of the data.
pub(super) fn count(from: &str, count: impl std::fmt::Display) -> String {
    shown("count", from, &count.to_string())
}

/// Bytes of the data in binary multiples; a dash for none.
pub(super) fn bytes(from: &str, bytes: Option<u64>) -> String {
    #[allow(clippy::cast_precision_loss)] // Three digits are shown.
    let words = bytes.map_or("–".to_owned(), |bytes| {
        crate::charts::words(bytes as f64, crate::charts::Unit::Bytes)
    });
    shown("bytes", from, &words)
}

/// A text of the data.
pub(super) fn words(from: &str, text: &str) -> String {
    shown("text", from, text)
}

fn shown(kind: &str, from: &str, text: &str) -> String {
    format!(
        "<span data-kind=\"{kind}\" data-from=\"{from}\">{}</span>",
        escape(text)
    )
}

/// Day and time of day of an RFC 3339 time in UTC, as `2026-11-01 08:00`.
pub(super) fn moment(rfc3339: &str) -> String {
    let minutes: String = rfc3339.chars().take(16).collect();
    minutes.replace('T', " ")
}

impl Cell {
    /// A cell that is sorted by its text.
    pub(super) fn text(html: String, sort: &str) -> Self {
        Self {
            html,
            sort: escape(sort),
            number: false,
        }
    }

    /// A cell that is sorted by a number.
    pub(super) fn number(html: String, sort: impl std::fmt::Display) -> Self {
        Self {
            html,
            sort: sort.to_string(),
            number: true,
        }
    }
}

/// Writes a table that can be sorted by each column and scrolls within its own frame where it is too wide.
pub(super) fn table(table: &Table<'_>) -> String {
    if table.rows.is_empty() {
        return format!("<p class=\"none\">{}</p>\n", table.empty);
    }
    let caption = escape(table.caption);
    let mut html = format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table>\
         <caption class=\"unseen\">{caption}</caption><thead><tr>"
    );
    // Writing to a string cannot fail.
    for (head, number) in table.heads {
        let class = if *number { " class=\"number\"" } else { "" };
        let _ = write!(
            html,
            "<th scope=\"col\"{class}><button type=\"button\" class=\"sort\">{head}</button></th>"
        );
    }
    html.push_str("</tr></thead><tbody>\n");
    for (attributes, cells) in &table.rows {
        let _ = write!(html, "<tr{attributes}>");
        for (at, cell) in cells.iter().enumerate() {
            let (open, close) = if at == 0 {
                ("th scope=\"row\"", "th")
            } else {
                ("td", "td")
            };
            let class = if cell.number { " class=\"number\"" } else { "" };
            let _ = write!(
                html,
                "<{open}{class} data-sort=\"{}\">{}</{close}>",
                cell.sort, cell.html
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n<p class=\"none nomatch\" hidden>Nothing matches the filters.</p>\n");
    html
}

/// The JSON of the data, safe within a `<script>` element.
pub(super) fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for sign in json.chars() {
        match sign {
            // Within JSON these stand only in texts, where an escape means the same.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(safe, "\\u{:04x}", u32::from(sign));
            }
            _ => safe.push(sign),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_script() {
        let json = serde_json::to_string("</script><!--<script>&\u{2028}").unwrap();
        let safe = safe_json(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']), "{safe}");
        let read: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, "</script><!--<script>&\u{2028}");
    }

    #[test]
    fn shares_are_written_as_people_say_them() {
        let written = [
            None,
            Some(0.0),
            Some(0.034),
            Some(0.5),
            Some(1.0),
            Some(2.5),
            Some(-0.021),
        ]
        .map(percent_words);
        assert_eq!(
            written,
            ["–", "0 %", "3.4 %", "50 %", "100 %", "250 %", "-2.1 %"]
        );
    }

    #[test]
    fn a_moment_is_cut_at_minutes() {
        assert_eq!(moment("2026-11-01T08:00:59.123456789Z"), "2026-11-01 08:00");
        assert_eq!(moment("nonsense"), "nonsense");
    }
}
