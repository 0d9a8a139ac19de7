//! Reads depfiles: rules as a compiler writes them for make (`cc -MD`).
//! Does not know which task wrote one, nor what its paths are relative to.

/// The prerequisites of all rules, in order, as written.
///
/// The form is that of [make](https://www.gnu.org/software/make/manual/html_node/Rule-Syntax.html), as far as compilers
/// write it: `targets: prerequisites`, a backslash at the end of a line goes on on the next, `\ ` is a blank, `\#` a hash,
/// `$$` a dollar sign. Any other backslash is part of a name.
///
/// # Errors
/// In words, for a text without any rule, or with a line that is none.
pub(super) fn prerequisites(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    let mut rules = 0;
    for (number, line) in logical_lines(text) {
        let words = words(&line);
        if words.is_empty() {
            continue;
        }
        // The colon is a word of its own or ends one; in `C:/x` it does neither.
        let Some(colon) = words.iter().position(|word| word.ends_target) else {
            return Err(format!("line {number} is no rule (`target: files`)"));
        };
        rules += 1;
        found.extend(words.into_iter().skip(colon + 1).map(|word| word.text));
    }
    if rules == 0 {
        return Err("it holds no rule".to_owned());
    }
    found.retain(|path| !path.is_empty());
    Ok(found)
}

/// Lines with their number, those that a backslash continues joined; comments are left out.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut open = false;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (body, goes_on) = match line.strip_suffix(b"\\") {
            Some(body) => (body, true),
            None => (line, false),
        };
        if !open && body.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        match lines.last_mut().filter(|_| open) {
            Some((_, last)) => {
                last.push(b' ');
                last.extend_from_slice(body);
            }
            None => lines.push((index + 1, body.to_vec())),
        }
        open = goes_on;
    }
    lines
}

struct Word {
    text: Vec<u8>,
    ends_target: bool,
}

fn words(line: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut text = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek().copied()) {
            (b'\\', Some(next @ (b' ' | b'#' | b'\t'))) => {
                bytes.next();
                text.push(next);
            }
            (b'$', Some(b'$')) => {
                bytes.next();
                text.push(b'$');
            }
            (b' ' | b'\t', _) => {
                if !text.is_empty() {
                    words.push(Word {
                        text: std::mem::take(&mut text),
                        ends_target: false,
                    });
                }
            }
            (b':', None | Some(b' ' | b'\t')) => words.push(Word {
                text: std::mem::take(&mut text),
                ends_target: true,
            }),
            (byte, _) => text.push(byte),
        }
    }
    if !text.is_empty() {
        words.push(Word {
            text,
            ends_target: false,
        });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let found = prerequisites(text.as_bytes()).unwrap();
        let text = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
        found.iter().map(text).collect()
    }

    #[test]
    fn rules_of_compilers() {
        let gcc = "main.o: main.c \\\n  include/a.h \\\r\n  /usr/include/stdio.h\n\ninclude/a.h:\n";
        assert_eq!(read(gcc), ["main.c", "include/a.h", "/usr/include/stdio.h"]);
        assert_eq!(read("a b : c"), ["c"]);
        assert_eq!(read("a:\n"), [""; 0]);
        assert_eq!(read("# a comment: x\na: b\nc: d e\n"), ["b", "d", "e"]);
        assert_eq!(read("C:/out/x.o: C:/in/x.c"), ["C:/in/x.c"]);
    }

    #[test]
    fn names_with_odd_letters() {
        assert_eq!(
            read(r"a: with\ blank has\#hash cost$$ back\slash x:y"),
            ["with blank", "has#hash", "cost$", r"back\slash", "x:y"]
        );
    }

    #[test]
    fn what_is_no_depfile_is_told() {
        assert_eq!(prerequisites(b""), Err("it holds no rule".to_owned()));
        assert_eq!(prerequisites(b"\n \n"), Err("it holds no rule".to_owned()));
        let error = prerequisites(b"a: b\n\nnonsense\n").unwrap_err();
        assert_eq!(error, "line 3 is no rule (`target: files`)");
    }
}
