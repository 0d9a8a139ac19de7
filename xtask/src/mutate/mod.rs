//! `cargo xtask mutate`: removes and reverses each guard with cargo-mutants, and wants a test to fail each time.
//! Knows nothing of what the guards are for.

mod guards;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use guards::{EXCLUDED, GUARDS, Guard};

/// How the guards are mutated.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only guards whose file or function holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Mutate this working tree instead of a copy: quicker, since its build is warm; what is not committed may be lost
    #[arg(long)]
    in_place: bool,
    /// List the mutants and test none
    #[arg(long)]
    list: bool,
    /// Install cargo-mutants first, if it is missing
    #[arg(long)]
    install: bool,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Tests the mutants of all guards; whether none survived.
pub(crate) fn run(root: &Path, args: &Args) -> Outcome<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if !installed() {
        if !args.install {
            return Err("cargo-mutants is missing\n  install it with `cargo install --locked cargo-mutants`, or add --install".into());
        }
        let status = Command::new(&cargo)
            .args(["install", "--locked", "cargo-mutants"])
            .status()?;
        if !status.success() {
            return Err("cargo-mutants cannot be installed".into());
        }
    }
    if args.in_place && !args.list && !clean(root)? {
        return Err("there are changes that are not committed, and a mutant could take their place\n  commit or stash them".into());
    }
    let wanted = |guard: &&Guard| {
        args.only.as_deref().is_none_or(|only| {
            guard.file.contains(only) || guard.functions.iter().any(|name| name.contains(only))
        })
    };
    let guards: Vec<&Guard> = GUARDS.iter().filter(wanted).collect();
    let packages: BTreeSet<&str> = guards.iter().map(|guard| guard.package).collect();
    let mut survivors = Vec::new();
    for package in packages {
        let output = root.join("target/mutants").join(package);
        std::fs::create_dir_all(&output)?;
        let own: Vec<&Guard> = guards
            .iter()
            .filter(|guard| guard.package == package)
            .copied()
            .collect();
        let mut command = Command::new(&cargo);
        command
            .args(arguments(package, &own, args))
            .arg("--output")
            .arg(&output)
            .current_dir(root)
            // A failing case need not be made small: that it fails is all there is to know.
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            // Nor need it be tried again: it fails because of the mutant.
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .stdin(Stdio::null());
        let status = command.status()?;
        // 2: some survived. 3: some did not end in time, which no test suite would pass over.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            return Err(format!("cargo mutants failed on {package}: {status}").into());
        }
        if !args.list {
            let missed = std::fs::read_to_string(output.join("mutants.out/missed.txt"))?;
            let named = missed.lines().filter(|line| is_of(line, &own));
            survivors.extend(named.map(str::to_owned));
        }
    }
    for survivor in &survivors {
        println!("survived: {survivor}");
    }
    if survivors.is_empty() && !args.list {
        println!("no mutant of a guard survived");
    }
    Ok(survivors.is_empty())
}

fn installed() -> bool {
    let probe = Command::new("cargo-mutants")
        .args(["mutants", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

fn clean(root: &Path) -> Outcome<bool> {
    let output = Command::new("git")
        .args(["status", "--porcelain", "--untracked-files=no"])
        .current_dir(root)
        .output()?;
    Ok(output.status.success() && output.stdout.is_empty())
}

/// The words after `cargo` for the guards of one package.
fn arguments(package: &str, guards: &[&Guard], args: &Args) -> Vec<String> {
    let mut words: Vec<String> = [
        "mutants",
        "--no-config",
        "--no-shuffle",
        "--package",
        package,
    ]
    .map(str::to_owned)
    .to_vec();
    let mut add = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for tests in guards::tests_of(package) {
        add("--test-package", (*tests).to_owned());
    }
    for guard in guards {
        add("--file", guard.file.to_owned());
        add("--re", pattern(guard));
    }
    for (pattern, _) in EXCLUDED {
        add("--exclude-re", (*pattern).to_owned());
    }
    add("--timeout", "300".to_owned());
    if args.in_place {
        words.push("--in-place".to_owned());
    }
    if args.list {
        words.push("--list".to_owned());
    }
    words
}

/// Matches the names of a guard's mutants, such as
/// `crates/cache/src/clean.rs:70:9: replace remove -> Result<bool> with Ok(true)` or `…: replace == with != in remove`.
fn pattern(guard: &Guard) -> String {
    format!(
        "^{}:.*(replace |in |::)({})( ->| with|$)",
        guard.file.replace('.', "\\."),
        guard.functions.join("|")
    )
}

/// Whether a mutant is one of these guards: those that leave a field away are made whatever function is asked for.
fn is_of(mutant: &str, guards: &[&Guard]) -> bool {
    let of = |text: &str| text.rsplit("::").next().unwrap_or_default().to_owned();
    let function = match (mutant.rsplit_once(" in "), mutant.split_once("replace ")) {
        (Some((_, function)), _) => of(function),
        (None, Some((_, rest))) => {
            let end = rest.find(" ->").or_else(|| rest.find(" with"));
            of(&rest[..end.unwrap_or(rest.len())])
        }
        (None, None) => return true,
    };
    guards.iter().any(|guard| {
        mutant.starts_with(&format!("{}:", guard.file))
            && guard.functions.contains(&function.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn every_guard_is_there_and_stands_in_the_docs() {
        let docs = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
        for guard in GUARDS {
            let text = std::fs::read_to_string(root().join(guard.file)).unwrap();
            let row = docs
                .lines()
                .find(|line| line.starts_with(&format!("| `{}` |", guard.file)))
                .unwrap_or_else(|| panic!("{} is not in docs/testing.md", guard.file));
            for name in guard.functions {
                assert!(
                    ["(", "<"]
                        .iter()
                        .any(|end| text.contains(&format!("fn {name}{end}"))),
                    "{}: {name}",
                    guard.file
                );
                assert!(row.contains(&format!("`{name}`")), "{}: {name}", guard.file);
            }
        }
    }

    #[test]
    fn a_mutant_of_another_function_is_not_counted() {
        let guards = [&GUARDS[0]];
        let file = GUARDS[0].file;
        for (mutant, counted) in [
            ("replace remove -> Result<bool> with Ok(true)", true),
            ("replace == with != in rescue", true),
            (
                "replace <T as Trait>::remove_owned -> bool with false",
                true,
            ),
            (
                "delete field digest from struct Row expression in scan",
                false,
            ),
            ("replace copy_out -> io::Result<()> with Ok(())", false),
        ] {
            let mutant = format!("{file}:1:2: {mutant}");
            assert_eq!(is_of(&mutant, &guards), counted, "{mutant}");
        }
        assert!(!is_of("crates/other.rs:1:2: delete ! in remove", &guards));
    }

    #[test]
    fn a_pattern_is_of_one_file_and_whole_names() {
        let pattern = pattern(&GUARDS[0]);
        assert_eq!(
            pattern,
            "^crates/cache/src/clean\\.rs:.*(replace |in |::)(remove_owned|remove|rescue)( ->| with|$)"
        );
    }
}
