//! Splits Rust source into words and signs, without comments, literals and code for tests.
//! It does not parse: it knows just enough to tell code from text.

/// A word or a sign of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// An identifier, a number, `::` or a single sign.
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: usize,
}

/// The code of a file that is built outside of tests.
pub(super) fn code(source: &str) -> Vec<Token<'_>> {
    without_tests(&tokens(source))
}

fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = piece(rest, first);
        let (text, after) = rest.split_at(length);
        if is_code {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// The length in bytes of what `rest` begins with, and whether it is code.
fn piece(rest: &str, first: char) -> (usize, bool) {
    if first.is_whitespace() {
        (first.len_utf8(), false)
    } else if rest.starts_with("//") {
        (rest.find('\n').unwrap_or(rest.len()), false)
    } else if rest.starts_with("/*") {
        (block_comment(rest), false)
    } else if first == '"' {
        (quoted(rest, '"'), false)
    } else if first == '\'' {
        (quote(rest), false)
    } else if is_word(first) {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        match raw_string(word, after) {
            Some(text) => (length + text, false),
            None => (length, true),
        }
    } else if rest.starts_with("::") {
        (2, true)
    } else {
        (first.len_utf8(), true)
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a literal that begins and ends with `end` and knows `\`.
fn quoted(rest: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == end => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal, or of the sign that opens a lifetime.
fn quote(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    let is_literal = match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    };
    if is_literal { quoted(rest, '\'') } else { 1 }
}

/// The length of a raw string's text after its prefix, when `word` is such a prefix.
fn raw_string(word: &str, after: &str) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(hashes + 1 + length)
}

/// Leaves out each item under `#[cfg(test)]` or `#[cfg(all(test, …))]`, and all of a file that
/// opens so.
fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some(&first) = rest.first() {
        if starts_with(rest, &["#", "!", "[", "cfg", "(", "test", ")", "]"]) {
            return kept;
        }
        let only_tests = starts_with(rest, &["#", "[", "cfg", "(", "test", ")", "]"])
            || starts_with(rest, &["#", "[", "cfg", "(", "all", "(", "test"]);
        if only_tests {
            rest = &rest[item(rest)..];
        } else {
            kept.push(first);
            rest = &rest[1..];
        }
    }
    kept
}

pub(super) fn starts_with(tokens: &[Token<'_>], texts: &[&str]) -> bool {
    tokens.len() >= texts.len()
        && tokens
            .iter()
            .zip(texts)
            .all(|(token, text)| token.text == *text)
}

/// The number of tokens of an item: up to a `;` or a block's end outside of all brackets, or, for
/// a field or a variant, a comma there.
fn item(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    let mut commas_end = true;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let ends = tokens.get(at + 1).is_some_and(|next| next.text == ";");
                    return at + 1 + usize::from(ends);
                }
            }
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && commas_end => return at + 1,
            // Their commas may separate parameters.
            "fn" | "impl" | "struct" | "enum" | "trait" | "type" => commas_end = false,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        code(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(words(r#"a("b \" c", 'd', '\'', b'e')"#).join(""), "a(,,,b)");
        assert_eq!(words("a(r#\"b \" c\"#, br\"\\\")").join(""), "a(,)");
        assert_eq!(
            words("fn f<'a>(x: &'a str)").join(" "),
            "fn f < a > ( x : & a str )"
        );
    }

    #[test]
    fn code_for_tests_is_left_out_and_what_follows_is_not() {
        assert_eq!(words("a #[cfg(test)] mod tests { b { c } } d"), ["a", "d"]);
        assert_eq!(words("#[cfg(test)] mod tests; d"), ["d"]);
        assert_eq!(words("#[cfg(test)] use x::{y, z}; d"), ["d"]);
        assert_eq!(words("#[cfg(test)] fn f<A, B>(a: A) { a } d"), ["d"]);
        assert_eq!(words("#[cfg(test)] a: u8, b: u8"), ["b", ":", "u8"]);
        assert_eq!(
            words("#[cfg(all(test, unix))] fn f(a: [u8; 2]) {} d"),
            ["d"]
        );
        assert_eq!(words("#![cfg(test)] a"), [""; 0]);
        assert_eq!(words("#[cfg(not(test))] d").last(), Some(&"d"));
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let lines: Vec<_> = code("a\n\"b\nc\"\nd")
            .iter()
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [1, 4]);
    }
}
