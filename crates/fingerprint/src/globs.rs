//! Ordered globs: which paths a list of patterns selects; the last pattern that matches decides.
//! Knows nothing of files: it compares bytes.

/// A pattern that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GlobError {
    /// Which pattern of the list.
    pub index: usize,
    /// What is wrong with it.
    pub message: String,
}

/// A compiled list of patterns.
///
/// `*` and `?` stay within a component, `**` as a whole component crosses any number of them, `{a,b}` and `[a-z]`,
/// `[!a-z]` choose, `\` takes the next character as it is, a leading `!` takes matches out again. A pattern without
/// wildcards selects the file of that name, or everything in the folder of that name.
#[derive(Clone, Debug)]
pub struct Globs {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    keep: bool,
    /// One for each way its braces can be read.
    forms: Vec<Vec<Part>>,
}

/// One component of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`
    Folders,
    Name(Vec<u8>),
    Wild(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

/// How many readings the braces of one pattern may have.
const READINGS: usize = 1024;

impl Globs {
    /// Compiles patterns.
    ///
    /// # Errors
    /// The first pattern that is empty, absolute, has a `..` component, or an open bracket or brace.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, GlobError> {
        Self::below(patterns.iter().map(|pattern| (&b""[..], pattern.as_ref())))
    }

    /// Compiles patterns, each relative to a folder of its own. The folder's name means just itself, whatever bytes it
    /// is made of; the empty one is the root.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn below<'p>(
        patterns: impl IntoIterator<Item = (&'p [u8], &'p str)>,
    ) -> Result<Self, GlobError> {
        let compiled = patterns
            .into_iter()
            .enumerate()
            .map(|(index, (folder, pattern))| {
                rule(folder, pattern).map_err(|message| GlobError {
                    index,
                    message: message.into(),
                })
            });
        Ok(Self {
            rules: compiled.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the patterns select a path.
    pub fn is_match(&self, path: &[u8]) -> bool {
        let last = self.rules.iter().rev().find(|rule| rule.matches(path));
        last.is_some_and(|rule| rule.keep)
    }

    /// The folders (or files) under which every match lies, none within another; the empty path is the root.
    pub fn literal_prefixes(&self) -> Vec<Vec<u8>> {
        let kept = self.rules.iter().filter(|rule| rule.keep);
        let mut all: Vec<Vec<u8>> = kept
            .flat_map(|rule| &rule.forms)
            .map(|form| prefix(form))
            .collect();
        all.sort_unstable();
        let mut apart: Vec<Vec<u8>> = Vec::new();
        for path in all {
            // A folder sorts before all it holds, though not right before.
            if !apart.iter().any(|kept| crate::files::within(&path, kept)) {
                apart.push(path);
            }
        }
        apart
    }

    /// The paths that are named without wildcards and not taken out again: if one is missing, that is a fact too.
    pub fn literals(&self) -> Vec<Vec<u8>> {
        let kept = self.rules.iter().filter(|rule| rule.keep);
        let literal = |form: &&Vec<Part>| form.iter().all(|part| matches!(part, Part::Name(_)));
        let named = kept
            .flat_map(|rule| &rule.forms)
            .filter(literal)
            .map(|form| prefix(form));
        let mut named: Vec<_> = named.filter(|path| self.is_match(path)).collect();
        named.sort_unstable();
        named.dedup();
        named
    }
}

impl Rule {
    fn matches(&self, path: &[u8]) -> bool {
        self.forms.iter().any(|form| match form.as_slice() {
            [Part::Folders] => true,
            form => form_matches(form, path),
        })
    }
}

fn prefix(form: &[Part]) -> Vec<u8> {
    let mut path = Vec::new();
    for part in form {
        let Part::Name(name) = part else { break };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    path
}

fn rule(folder: &[u8], pattern: &str) -> Result<Rule, &'static str> {
    let (keep, pattern) = match pattern.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, pattern),
    };
    let mut forms = Vec::new();
    let names = folder.split(|byte| *byte == b'/');
    let above: Vec<Part> = names
        .filter(|name| !name.is_empty())
        .map(|name| Part::Name(name.to_vec()))
        .collect();
    for reading in readings(pattern)? {
        let mut whole = above.clone();
        whole.extend(form(&reading)?);
        forms.push(whole);
    }
    Ok(Rule { keep, forms })
}

fn form(pattern: &str) -> Result<Vec<Part>, &'static str> {
    let mut pattern = pattern;
    while let Some(rest) = pattern.strip_prefix("./") {
        pattern = rest;
    }
    if pattern.starts_with('/') {
        return Err("the pattern is absolute; patterns are relative to their folder");
    }
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    if pattern.is_empty() {
        return Err("the pattern is empty");
    }
    if pattern == "." {
        return Ok(vec![Part::Folders]);
    }
    let mut parts: Vec<Part> = Vec::new();
    for text in components(pattern) {
        match text {
            "" => return Err("the pattern has an empty component"),
            "." | ".." => return Err("the pattern has a `.` or `..` component"),
            "**" if parts.last() == Some(&Part::Folders) => {}
            "**" => parts.push(Part::Folders),
            text => parts.push(component(text)?),
        }
    }
    // `**/*` selects what `**` does.
    if parts == [Part::Folders, Part::Wild(vec![Token::Any])] {
        parts.pop();
    }
    Ok(parts)
}

/// Splits at slashes that no backslash escapes and no bracket holds.
fn components(pattern: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped, mut class) = (Vec::new(), 0, false, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '/' if !class => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[start..]);
    parts
}

fn component(text: &str) -> Result<Part, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let token = match c {
            '*' if tokens.last() == Some(&Token::Any) => continue,
            '*' => Token::Any,
            '?' => Token::One,
            '[' => class(&mut rest)?,
            '\\' => match rest.next() {
                Some('/') | None => return Err("a `\\` has nothing to escape"),
                Some(next) => Token::Char(next),
            },
            c => Token::Char(c),
        };
        tokens.push(token);
    }
    let literal = |token: &Token| match token {
        Token::Char(c) => Some(*c),
        _ => None,
    };
    match tokens.iter().map(literal).collect::<Option<String>>() {
        Some(name) => Ok(Part::Name(name.into_bytes())),
        None => Ok(Part::Wild(tokens)),
    }
}

fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, &'static str> {
    const OPEN: &str = "a `[` is not closed";
    let mut next = rest.next().ok_or(OPEN)?;
    let not = matches!(next, '!' | '^');
    if not {
        next = rest.next().ok_or(OPEN)?;
    }
    let mut ranges = Vec::new();
    loop {
        let low = if next == '\\' {
            rest.next().ok_or(OPEN)?
        } else {
            next
        };
        next = rest.next().ok_or(OPEN)?;
        let mut high = low;
        if next == '-' {
            next = rest.next().ok_or(OPEN)?;
            if next == ']' {
                ranges.push(('-', '-'));
            } else {
                high = if next == '\\' {
                    rest.next().ok_or(OPEN)?
                } else {
                    next
                };
                next = rest.next().ok_or(OPEN)?;
            }
        }
        if low > high {
            return Err("a range in `[]` runs backwards");
        }
        ranges.push((low, high));
        if next == ']' {
            return Ok(Token::Class { not, ranges });
        }
    }
}

/// Every way to read a pattern's braces.
fn readings(pattern: &str) -> Result<Vec<String>, &'static str> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(text) = open.pop() {
        match braces(&text)? {
            None => done.push(text),
            Some((start, end, choices)) => {
                for choice in choices.iter().rev() {
                    open.push([&text[..start], choice, &text[end..]].concat());
                }
            }
        }
        if done.len() + open.len() > READINGS {
            return Err("the braces have too many readings");
        }
    }
    Ok(done)
}

/// The first outermost brace: where it starts and ends, and its choices.
#[allow(clippy::type_complexity)]
fn braces(text: &str) -> Result<Option<(usize, usize, Vec<String>)>, &'static str> {
    let (mut depth, mut start, mut from, mut escaped, mut class) = (0_u32, 0, 0, false, false);
    let mut choices = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            _ if class => {}
            '{' => {
                if depth == 0 {
                    (start, from) = (at, at + 1);
                }
                depth += 1;
            }
            ',' if depth == 1 => {
                choices.push(text[from..at].to_owned());
                from = at + 1;
            }
            '}' if depth == 0 => return Err("a `}` closes nothing"),
            '}' => {
                depth -= 1;
                if depth == 0 {
                    choices.push(text[from..at].to_owned());
                    return Ok(Some((start, at + 1, choices)));
                }
            }
            _ => {}
        }
    }
    if depth > 0 {
        Err("a `{` is not closed")
    } else {
        Ok(None)
    }
}

/// Matches component by component; only the last `**` passed is ever tried again.
fn form_matches(form: &[Part], path: &[u8]) -> bool {
    if form.iter().all(|part| matches!(part, Part::Name(_))) {
        return literal_matches(form, path);
    }
    let (mut at, mut rest) = (0, Some(path));
    let mut again: Option<(usize, Option<&[u8]>)> = None;
    loop {
        let matched = match (form.get(at), rest) {
            (None, None) => return true,
            (Some(Part::Folders), rest) if at + 1 == form.len() => {
                // `a/**` is what lies in `a`, not `a`.
                if rest.is_some() {
                    return true;
                }
                false
            }
            (Some(Part::Folders), _) => {
                again = Some((at, rest));
                at += 1;
                continue;
            }
            (Some(part), Some(path)) => part_matches(part, head(path).0),
            _ => false,
        };
        if matched {
            at += 1;
            rest = rest.and_then(|path| head(path).1);
        } else {
            let Some((folders, Some(path))) = again else {
                return false;
            };
            rest = head(path).1;
            again = Some((folders, rest));
            at = folders + 1;
        }
    }
}

fn literal_matches(form: &[Part], path: &[u8]) -> bool {
    let mut rest = Some(path);
    for part in form {
        let (Part::Name(name), Some(path)) = (part, rest) else {
            return false;
        };
        let (first, below) = head(path);
        if first != name.as_slice() {
            return false;
        }
        rest = below;
    }
    true
}

/// The first component of a path, and what follows it.
fn head(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

fn part_matches(part: &Part, name: &[u8]) -> bool {
    match part {
        Part::Folders => false,
        Part::Name(known) => known.as_slice() == name,
        Part::Wild(tokens) => tokens_match(tokens, name),
    }
}

fn tokens_match(tokens: &[Token], name: &[u8]) -> bool {
    let (mut at, mut rest) = (0, name);
    let mut again: Option<(usize, &[u8])> = None;
    loop {
        if tokens.get(at) == Some(&Token::Any) {
            at += 1;
            if at == tokens.len() {
                return true;
            }
            again = Some((at, rest));
            continue;
        }
        if at == tokens.len() && rest.is_empty() {
            return true;
        }
        let (c, length) = first_char(rest);
        let matched = length > 0
            && match tokens.get(at) {
                Some(Token::Char(known)) => c == Some(*known),
                Some(Token::One) => true,
                Some(Token::Class { not, ranges }) => {
                    let inside = |c| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                    c.is_some_and(inside) != *not
                }
                Some(Token::Any) | None => false,
            };
        if matched {
            at += 1;
            rest = &rest[length..];
        } else {
            let Some((after, from)) = again else {
                return false;
            };
            let (_, length) = first_char(from);
            if length == 0 {
                return false;
            }
            rest = &from[length..];
            again = Some((after, rest));
            at = after;
        }
    }
}

/// The first character and its bytes; a byte that is no UTF-8 counts as one unknown character.
fn first_char(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(first) = bytes.first() else {
        return (None, 0);
    };
    let length = match first {
        0..0x80 => return (Some(char::from(*first)), 1),
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
        _ => return (None, 1),
    };
    let char = bytes
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    char.and_then(|text| text.chars().next())
        .map_or((None, 1), |c| (Some(c), length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn globs(patterns: &[&str]) -> Globs {
        Globs::new(patterns).unwrap()
    }

    #[test]
    fn table() {
        for (pattern, path, expected) in [
            ("**", "a", true),
            ("**", "a/b", true),
            ("**/*", "a/b", true),
            ("*", "a", true),
            ("*", ".a", true),
            ("*", "a/b", false),
            ("src", "src", true),
            ("src", "src/a/b", true),
            ("src/", "src/a", true),
            ("./src", "src/a", true),
            ("src", "srcs", false),
            ("src", "a/src", false),
            ("src/*", "src/a", true),
            ("src/*", "src/a/b", false),
            ("src/**", "src", false),
            ("src/**", "src/a/b", true),
            ("**/b", "b", true),
            ("**/b", "a/c/b", true),
            ("**/b", "a/bb", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b/*.c", "a/b/x/b/y.c", true),
            ("*.{rs,toml}", "a.toml", true),
            ("*.{rs,toml}", "a.c", false),
            ("{src,lib}", "lib/a", true),
            ("{a/b,c}/*.x", "a/b/1.x", true),
            ("{,x}a", "a", true),
            ("{a,{b,c}}d", "cd", true),
            ("[a-c]?", "bz", true),
            ("[!a-c]", "b", false),
            ("[!a-c]", "/", false),
            ("[]a]", "]", true),
            ("a[-]", "a-", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\{b", "a{b", true),
            ("?", "é", true),
            ("*é*", "café.txt", true),
        ] {
            assert_eq!(
                globs(&[pattern]).is_match(path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn the_last_match_wins() {
        let list = globs(&["**", "!*.md", "README.md"]);
        assert!(list.is_match(b"README.md"));
        assert!(!list.is_match(b"a.md"));
        assert!(list.is_match(b"docs/a.md"));
        assert!(!globs(&["!a"]).is_match(b"b"));
    }

    #[test]
    fn a_folder_means_itself_whatever_its_name() {
        let odd = b"a[b]*/\xff{x}";
        let globs = Globs::below([(&odd[..], "**"), (odd, "!*.o"), (b"", "c.o")]).unwrap();
        let inside = |name: &[u8]| [odd, &b"/"[..], name].concat();
        assert!(globs.is_match(&inside(b"x")));
        assert!(globs.is_match(&inside(b"d/x.o")));
        assert!(!globs.is_match(&inside(b"x.o")));
        assert!(globs.is_match(b"c.o"));
        assert!(!globs.is_match(b"ab/\xffx/x"));
        assert_eq!(globs.literal_prefixes(), [odd.to_vec(), b"c.o".to_vec()]);
    }

    #[test]
    fn names_that_are_no_text_match() {
        assert!(globs(&["**"]).is_match(b"a/\xff\xfe"));
        assert!(globs(&["a/*"]).is_match(b"a/\xff\xfe"));
        assert!(globs(&["a/?"]).is_match(b"a/\xff"));
        assert!(!globs(&["a/?"]).is_match(b"a/\xff\xfe"));
    }

    #[test]
    fn bad_patterns_name_their_index() {
        for bad in [
            "", "!", "/a", "a//b", "../a", "a/..", "[a", "{a", "a}", "[z-a]", "a\\",
        ] {
            let error = Globs::new(&["ok", bad]).unwrap_err();
            assert_eq!(error.index, 1, "{bad}");
        }
        let many = "{a,b}".repeat(11);
        assert!(Globs::new(&[many]).is_err());
    }

    #[test]
    fn prefixes_and_literals() {
        let list = globs(&[
            "src/**/*.c",
            "src",
            "a/{b,c}/*",
            "!d/**",
            "e.txt",
            "!e.txt",
            "f.txt",
        ]);
        assert_eq!(
            list.literal_prefixes(),
            [&b"a/b"[..], b"a/c", b"e.txt", b"f.txt", b"src"].map(<[u8]>::to_vec)
        );
        assert_eq!(list.literals(), [b"f.txt".to_vec(), b"src".to_vec()]);
        assert_eq!(globs(&["*.c", "src"]).literal_prefixes(), [b"".to_vec()]);
    }

    /// Matching by the definition alone, over whole paths: exponential, and obviously right.
    fn naive(pattern: &[u8], path: &[u8]) -> bool {
        match pattern {
            [] => path.is_empty(),
            b"**" => !path.is_empty(),
            [b'*', b'*', b'/', rest @ ..] => {
                let later = |at: usize| path[at] == b'/' && naive(pattern, &path[at + 1..]);
                naive(rest, path) || (0..path.len()).any(later)
            }
            [b'*', rest @ ..] => {
                let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
                (0..=end).any(|at| naive(rest, &path[at..]))
            }
            [b'?', rest @ ..] => {
                path.first().is_some_and(|b| *b != b'/') && naive(rest, &path[1..])
            }
            [first, rest @ ..] => path.first() == Some(first) && naive(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            parts in prop::collection::vec("[ab?*]{1,4}|\\*\\*", 1..5),
            path in prop::collection::vec("[ab]{1,4}", 1..6),
        ) {
            // Runs of stars inside a component are one star.
            let tidy = |part: String| {
                let mut tidy = part.clone();
                while tidy.contains("**") { tidy = tidy.replace("**", "*"); }
                if part == "**" { part } else { tidy }
            };
            let pattern = parts.into_iter().map(tidy).collect::<Vec<_>>().join("/");
            let path = path.join("/");
            let literal = !pattern.contains(['*', '?']);
            let expected = naive(pattern.as_bytes(), path.as_bytes())
                || literal && path.starts_with(&format!("{pattern}/"));
            prop_assert_eq!(globs(&[&pattern]).is_match(path.as_bytes()), expected, "{} {}", pattern, path);
        }
    }
}
