//! Only the program prints, exits or looks at its surroundings; libraries take values.
//! It does not see through macros and aliases of other crates.

use super::lexer::{code, starts_with};
use super::{RustFile, Violation};

/// The folders of the libraries.
const LIBRARIES: &[&str] = &[
    "crates/archive/src/",
    "crates/cache/src/",
    "crates/fingerprint/src/",
    "crates/graph/src/",
    "crates/timing/src/",
];

/// What may not stand there: its words, and what to do in its place.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&["println", "!"], RETURN),
    (&["eprintln", "!"], RETURN),
    (&["print", "!"], RETURN),
    (&["eprint", "!"], RETURN),
    (&["dbg", "!"], RETURN),
    (&["stdout", "("], RETURN),
    (&["stderr", "("], RETURN),
    (&["process", "::", "exit"], RETURN),
    (&["process", "::", "abort"], RETURN),
    // All of `std::env`: variables, arguments, current and home directory.
    (&["env", "::"], TAKE),
    (&["home_dir"], TAKE),
    (&["current_dir", "(", ")"], TAKE),
];

const RETURN: &str = "libraries neither print nor exit: return it";
const TAKE: &str = "libraries do not look around: take it as a value";

/// What a library's file does that only the program may do.
pub(super) fn check(file: &RustFile) -> Vec<Violation> {
    let Some(inner) = LIBRARIES
        .iter()
        .find_map(|folder| file.path.strip_prefix(folder))
    else {
        return Vec::new();
    };
    if inner
        .split('/')
        .any(|part| part == "tests" || part == "tests.rs")
    {
        return Vec::new();
    }
    let tokens = code(&file.text);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        for (words, advice) in FORBIDDEN {
            if starts_with(&tokens[at..], words) {
                let what = words.concat();
                let message = format!("`{what}`: {advice}");
                found.push(Violation::at(&file.path, tokens[at].line, message));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = RustFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_way_of_printing_exiting_and_looking_around_is_found() {
        for line in [
            "println!(\"a\");",
            "eprintln!(\"a\");",
            "print!(\"a\");",
            "eprint!(\"a\");",
            "dbg!(a);",
            "io::stdout().lock();",
            "io::stderr().lock();",
            "std::process::exit(1);",
            "process::abort();",
            "std::env::var(\"A\");",
            "env::vars();",
            "env::args();",
            "use std::env::{current_dir, var};",
            "dirs::home_dir();",
        ] {
            let text = format!("//! A.\nfn f() {{\n    {line}\n}}\n");
            let found = found("crates/graph/src/a.rs", &text);
            assert_eq!(found.len(), 1, "{line}: {found:?}");
            assert!(
                found[0].starts_with("crates/graph/src/a.rs:3: `"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn comments_text_tests_and_other_crates_are_free() {
        let text = "//! println!\nfn f() { \"env::var\"; env!(\"A\"); my_println!(); }\n\
                    #[cfg(test)]\nmod tests { fn f() { println!(); } }\n";
        assert_eq!(found("crates/cache/src/a.rs", text), [""; 0]);
        let text = "fn f() { println!(); }";
        assert_eq!(found("crates/cache/src/a/tests.rs", text), [""; 0]);
        assert_eq!(found("crates/cache/src/tests/a.rs", text), [""; 0]);
        assert_eq!(found("crates/cli/src/a.rs", text), [""; 0]);
        assert_eq!(found("crates/cache/tests/a.rs", text), [""; 0]);
        assert_eq!(found("crates/cache/src/contests.rs", text).len(), 1);
    }
}
