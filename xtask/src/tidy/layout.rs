//! Which files there may be, how each begins, and how long it may get.
//! It does not look at the code itself.

use super::{RustFile, Violation};

/// The names that may stand at the top of the repository.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "crates",
    "docs",
    "examples",
    "larder.toml",
    "tests",
    "xtask",
];

/// The lines a file may have without a reason.
const LINES: usize = 500;

/// A file that is longer than [`LINES`], and why. The list only shrinks: an exception that is no
/// longer needed is an error.
pub(super) struct Long {
    path: &'static str,
    reason: &'static str,
}

/// The exceptions.
pub(super) const LONG: &[Long] = &[
    Long {
        path: "crates/cli/src/config/tests/errors.rs",
        reason: "one snapshot for each message a user can see; a list, not a design",
    },
    Long {
        path: "crates/cli/src/init/tests.rs",
        reason: "inline snapshots of whole files, by tool",
    },
    Long {
        path: "crates/fingerprint/src/describe.rs",
        reason: "the one walk that hashes and explains: split, its two writers could drift apart",
    },
    Long {
        path: "crates/fingerprint/src/globs.rs",
        reason: "the matcher and its table of cases are read together",
    },
];

/// Tracked files whose first component is not a known one.
pub(super) fn stray(tracked: &[String]) -> Vec<Violation> {
    tracked
        .iter()
        .filter(|path| {
            let top = path.split_once('/').map_or(path.as_str(), |(top, _)| top);
            !TOP.contains(&top)
        })
        .map(|path| Violation::new(path, "is a stray file: nothing at the top has this name"))
        .collect()
}

/// A file that does not open with what it does. A library may open with its readme.
pub(super) fn first_line(file: &RustFile) -> Option<Violation> {
    let opens = file
        .text
        .strip_prefix("//!")
        .and_then(|rest| rest.lines().next())
        .is_some_and(|words| !words.trim().is_empty());
    let reads = file
        .text
        .starts_with("#![doc = include_str!(\"../README.md\")]\n");
    (!opens && !reads).then(|| {
        Violation::at(
            &file.path,
            1,
            "the first line has to be `//!` and say what the file does",
        )
    })
}

/// Files over the bound without an exception, and exceptions without such a file.
pub(super) fn length(files: &[RustFile], exceptions: &[Long]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        let excepted = exceptions.iter().any(|long| long.path == file.path);
        if lines > LINES && !excepted {
            found.push(Violation::new(
                &file.path,
                format!("has {lines} lines, over {LINES}: divide it, or give a reason in xtask"),
            ));
        } else if lines <= LINES && excepted {
            found.push(Violation::new(
                &file.path,
                format!("has {lines} lines by now: remove its exception in xtask"),
            ));
        }
    }
    for long in exceptions {
        if !files.iter().any(|file| file.path == long.path) {
            found.push(Violation::new(
                long.path,
                "is gone: remove its exception in xtask",
            ));
        }
        if long.reason.is_empty() {
            found.push(Violation::new(long.path, "its exception has no reason"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> RustFile {
        RustFile {
            path: path.to_owned(),
            text,
        }
    }

    #[test]
    fn a_stray_file_is_found() {
        let tracked = ["Cargo.toml", "docs/cli.md", "notes.txt", "scratch/a.rs"];
        let tracked = tracked.map(str::to_owned);
        let found = stray(&tracked);
        let paths: Vec<_> = found.iter().map(|v| v.path.as_str()).collect();
        assert_eq!(paths, ["notes.txt", "scratch/a.rs"]);
    }

    #[test]
    fn a_file_that_does_not_open_with_its_purpose_is_found() {
        let opens = |text: &str| first_line(&file("a.rs", text.to_owned())).is_none();
        assert!(opens("//! Does something.\nuse std::fs;\n"));
        assert!(opens("#![doc = include_str!(\"../README.md\")]\n//!\n"));
        assert!(!opens("use std::fs;\n"));
        assert!(!opens("\n//! Late.\n"));
        assert!(!opens("//!\n//! Empty first line.\n"));
        assert!(!opens("// Not a doc comment.\n"));
        assert!(!opens(""));
    }

    #[test]
    fn a_long_file_without_a_reason_is_found() {
        let files = [
            file("at.rs", "x\n".repeat(LINES)),
            file("over.rs", "x\n".repeat(LINES + 1)),
        ];
        let found = length(&files, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, "over.rs");
    }

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let long = |path, reason| Long { path, reason };
        let files = [
            file("long.rs", "x\n".repeat(LINES + 1)),
            file("mended.rs", "x\n".to_owned()),
        ];
        assert_eq!(length(&files, &[long("long.rs", "a table")]), []);
        let found = length(
            &files,
            &[
                long("long.rs", ""),
                long("mended.rs", "was long"),
                long("gone.rs", "was long"),
            ],
        );
        let messages: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "mended.rs: has 1 lines by now: remove its exception in xtask",
                "long.rs: its exception has no reason",
                "gone.rs: is gone: remove its exception in xtask",
            ]
        );
    }
}
