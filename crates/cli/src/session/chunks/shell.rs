//! Puts values into a template: as they are, or quoted for the shell where they stand.
//! Does not know which values a chunk has.

use crate::config::template::{Piece, Place, pieces};

/// Text with the values put in as they are.
pub(super) fn plain<'v>(template: &str, value: &dyn Fn(Place) -> &'v [u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in pieces(template) {
        text.extend_from_slice(match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Place(place) => value(place),
        });
    }
    text
}

/// How the shell reads what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Plain,
    Single,
    Double,
}

/// Text for `sh -c`, each value so that it stays one word, whatever it is made of: within quotes of the template too.
/// A path that begins with a dash is no option.
pub(super) fn quoted<'v>(template: &str, value: &dyn Fn(Place) -> &'v [u8]) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    let mut contexts = vec![Context::Plain];
    for piece in pieces(template) {
        match piece {
            Piece::Text(literal) => {
                read(literal, text.last().copied(), &mut contexts);
                text.extend_from_slice(literal.as_bytes());
            }
            Piece::Place(place) => {
                let mut value = value(place).to_vec();
                let begins = text
                    .last()
                    .is_none_or(|byte| b" \t\n'\"=;|&(`".contains(byte));
                let path = matches!(place, Place::In | Place::Out | Place::Dir);
                if path && begins && value.starts_with(b"-") {
                    value.splice(0..0, *b"./");
                }
                put(&value, contexts.last().copied(), &mut text);
            }
        }
    }
    text
}

/// Follows the quotes of a shell's text.
fn read(literal: &str, before: Option<u8>, contexts: &mut Vec<Context>) {
    let mut bytes = literal.bytes().peekable();
    let mut last = before;
    while let Some(byte) = bytes.next() {
        let context = contexts.last().copied().unwrap_or(Context::Plain);
        match (context, byte) {
            (Context::Single, b'\'') | (Context::Double, b'"') => {
                contexts.pop();
            }
            (Context::Single, _) => {}
            (_, b'\\') => {
                bytes.next();
            }
            (_, b'(') if last == Some(b'$') || context == Context::Plain => {
                contexts.push(Context::Plain);
            }
            (Context::Plain, b')') if contexts.len() > 1 => {
                contexts.pop();
            }
            (Context::Plain, b'\'') => contexts.push(Context::Single),
            (Context::Plain, b'"') => contexts.push(Context::Double),
            (Context::Plain, b'#') if last.is_none_or(|byte| b" \t\n;".contains(&byte)) => {
                while bytes.peek().is_some_and(|byte| *byte != b'\n') {
                    bytes.next();
                }
            }
            _ => {}
        }
        last = Some(byte);
    }
}

/// Writes a value so that the shell takes every byte of it as it is.
fn put(value: &[u8], context: Option<Context>, text: &mut Vec<u8>) {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    match context {
        Some(Context::Double) => {
            for byte in value {
                if b"$`\"\\".contains(byte) {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
        }
        Some(Context::Single) => escaped(value, text),
        Some(Context::Plain) | None if !value.is_empty() && value.iter().all(harmless) => {
            text.extend_from_slice(value);
        }
        Some(Context::Plain) | None => {
            text.push(b'\'');
            escaped(value, text);
            text.push(b'\'');
        }
    }
}

fn escaped(value: &[u8], text: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'\'' => text.extend_from_slice(br"'\''"),
            byte => text.push(*byte),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    /// What the shell prints of a template in which every placeholder stands for `value`.
    fn printed(template: &str, value: &[u8]) -> Vec<u8> {
        let line = quoted(template, &|_| value);
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(std::ffi::OsString::from_vec(line))
            .output()
            .unwrap();
        output.stdout
    }

    #[test]
    fn a_value_stays_one_word_wherever_it_stands() {
        let values: [&[u8]; 9] = [
            b"a.c",
            b"a b.c",
            b"it's",
            b"say \"hi\" $HOME `id` \\n",
            b"two\nlines",
            b"\xff\xfe",
            b"*",
            b"a#b;c|d&e(f)",
            b"",
        ];
        for value in values {
            for template in [
                "printf '<%s>' {name}",
                "printf '<%s>' '{name}'",
                "printf '<%s>' \"{name}\"",
                "printf '<%s>' \"$(printf '%s' {name})\"",
                "printf '<%s>' \"$(printf '%s' \"{name}\")\"",
                "# it's a comment\nprintf '<%s>' {name}",
            ] {
                let wanted = [b"<", value, b">"].concat();
                let text = printed(template, value);
                assert_eq!(
                    text,
                    wanted,
                    "{template} with {:?}",
                    String::from_utf8_lossy(value)
                );
            }
        }
    }

    #[test]
    fn a_path_is_no_option_and_an_argv_gets_it_as_it_is() {
        assert_eq!(quoted("cat {in}", &|_| b"-x"), b"cat ./-x");
        assert_eq!(quoted("cat out/{stem}", &|_| b"-x"), b"cat out/-x");
        assert_eq!(plain("-I{dir}", &|_| b"a b"), b"-Ia b");
    }
}
