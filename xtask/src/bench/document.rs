//! Puts tables into the page on performance, between its markers.
//! It does not know what they say.

/// The page.
pub(crate) const PATH: &str = "docs/performance.md";

/// The page with another table of a fixture.
pub(crate) fn with_table(page: &str, fixture: &str, table: &str) -> Result<String, String> {
    let (open, close) = (
        format!("<!-- {fixture} -->\n"),
        format!("<!-- /{fixture} -->"),
    );
    let missing = |mark: &str| format!("{PATH} has no line {}", mark.trim_end());
    let (before, rest) = page.split_once(&open).ok_or_else(|| missing(&open))?;
    let (_, after) = rest.split_once(&close).ok_or_else(|| missing(&close))?;
    Ok(format!("{before}{open}```text\n{table}```\n{close}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let page = "a\n<!-- small -->\nold\n<!-- /small -->\nb\n";
        let new = with_table(page, "small", "t\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- small -->\n```text\nt\n```\n<!-- /small -->\nb\n"
        );
        assert_eq!(with_table(&new, "small", "t\n").unwrap(), new);
        assert!(with_table(page, "large", "t\n").is_err());
    }
}
