//! The tools that are measured: how each is found, started, and made to forget.
//! It does not know the scenarios.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One of the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Larder,
    /// Larder of another revision, beside which it is measured.
    Against,
    Ninja,
    GoTask,
    Turborepo,
    Nx,
    Moon,
    ViteTask,
}

/// All that may stand beside Larder.
pub(crate) const PEERS: &[Kind] = &[
    Kind::Ninja,
    Kind::GoTask,
    Kind::Turborepo,
    Kind::Nx,
    Kind::Moon,
    Kind::ViteTask,
];

/// A tool that is there.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    /// What it says of itself.
    pub(crate) version: String,
}

impl Kind {
    /// What tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Larder => "larder",
            Kind::Against => "against",
            Kind::Ninja => "ninja",
            Kind::GoTask => "go-task",
            Kind::Turborepo => "turborepo",
            Kind::Nx => "nx",
            Kind::Moon => "moon",
            Kind::ViteTask => "vite-task",
        }
    }

    /// Whether it is Larder, of whatever revision.
    pub(crate) fn is_larder(self) -> bool {
        matches!(self, Kind::Larder | Kind::Against)
    }

    /// What it is started by.
    fn program(self) -> &'static str {
        match self {
            Kind::Larder | Kind::Against => "larder",
            Kind::Ninja => "ninja",
            Kind::GoTask => "task",
            Kind::Turborepo => "turbo",
            Kind::Nx => "nx",
            Kind::Moon => "moon",
            Kind::ViteTask => "vp",
        }
    }

    /// Arguments for all tasks at once, as many together as there are processors.
    pub(crate) fn args(self, processors: usize) -> Vec<OsString> {
        let text = match self {
            Kind::Larder | Kind::Against => format!("run build --concurrency {processors}"),
            Kind::Ninja => format!("-j{processors}"),
            Kind::GoTask => format!("--concurrency {processors}"),
            Kind::Turborepo => {
                format!(
                    "run build --concurrency={processors} --output-logs=errors-only --ui=stream"
                )
            }
            Kind::Nx => format!("run-many -t build --parallel={processors} --outputStyle=static"),
            Kind::Moon => format!("run :build --concurrency {processors}"),
            Kind::ViteTask => format!("run -r --concurrency-limit {processors} bundle"),
        };
        text.split(' ').map(OsString::from).collect()
    }

    /// What it keeps in the tree, relative to the root. Removed before a cold run.
    pub(crate) fn state(self) -> &'static [&'static str] {
        match self {
            Kind::Larder | Kind::Against => &[".larder"],
            Kind::Ninja => &[".ninja_log", ".ninja_deps"],
            Kind::GoTask => &[".task"],
            Kind::Turborepo => &[".turbo"],
            // Beside the tree lies its home, where it keeps a second copy.
            Kind::Nx => &[".nx", "../home/.nx"],
            Kind::Moon => &[".moon/cache"],
            Kind::ViteTask => &["node_modules/.vite"],
        }
    }

    /// Whether it can bring outputs back that were made before.
    pub(crate) fn restores(self) -> bool {
        !matches!(self, Kind::Ninja | Kind::GoTask)
    }

    /// Whether a newer time alone makes it build.
    pub(crate) fn goes_by_time(self) -> bool {
        self == Kind::Ninja
    }

    /// Whether its packages have to lie in the tree's `node_modules`.
    pub(crate) fn linked_package(self) -> Option<&'static str> {
        match self {
            Kind::Nx => Some("nx"),
            Kind::ViteTask => Some("vite-plus"),
            _ => None,
        }
    }

    /// How many tasks it ran and did not take from its cache, as far as it says so at its end.
    pub(crate) fn ran(self, log: &str) -> Option<usize> {
        let after = |start: &str| log.lines().find_map(|line| line.trim().strip_prefix(start));
        match self {
            Kind::Turborepo => {
                let (cached, all) = two_numbers(after("Cached:")?)?;
                all.checked_sub(cached)
            }
            Kind::Moon => {
                let line = after("Tasks:")?;
                let (all, cached) = two_numbers(line).or_else(|| Some((one_number(line)?, 0)))?;
                all.checked_sub(cached)
            }
            Kind::ViteTask => {
                let (cached, all) = two_numbers(after("vp run:")?)?;
                all.checked_sub(cached)
            }
            Kind::Nx => {
                let tasks = log
                    .lines()
                    .filter(|line| line.trim().starts_with("> nx run "));
                Some(tasks.filter(|line| !line.contains('[')).count())
            }
            Kind::Larder | Kind::Against | Kind::Ninja | Kind::GoTask => None,
        }
    }

    /// Ends what the tool left running for the tree at `root`.
    pub(crate) fn leave(self, tool: &Tool, root: &Path) {
        let args = match self {
            Kind::Nx => ["daemon", "--stop"],
            Kind::Larder | Kind::Against => ["session", "stop"],
            _ => return,
        };
        // One that is not there needs no end.
        let _ = Command::new(&tool.program)
            .args(args)
            .current_dir(root)
            .output();
    }
}

/// Finds the tool of a kind on a search path.
pub(crate) fn find(kind: Kind, search: &[PathBuf]) -> Option<Tool> {
    let program = which(kind.program(), search)?;
    let version = version(&program)?;
    Some(Tool {
        kind,
        program,
        version,
    })
}

/// The first file of that name on a search path that may be executed.
pub(crate) fn which(name: &str, search: &[PathBuf]) -> Option<PathBuf> {
    search
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The first number with dots that a program prints when asked for its version; `None` if it cannot run.
pub(crate) fn version(program: &Path) -> Option<String> {
    Some(number(&about(program)?).unwrap_or_default())
}

/// Whether a program is GNU's: others of its name have other options.
pub(crate) fn is_gnu(program: &Path) -> bool {
    about(program).is_some_and(|text| text.contains("GNU"))
}

/// What a program prints when asked for its version.
fn about(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .current_dir(std::env::temp_dir())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first number of a text, and the next one.
fn two_numbers(text: &str) -> Option<(usize, usize)> {
    let mut numbers = numbers(text);
    Some((numbers.next()?, numbers.next()?))
}

fn one_number(text: &str) -> Option<usize> {
    numbers(text).next()
}

fn numbers(text: &str) -> impl Iterator<Item = usize> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
}

fn number(text: &str) -> Option<String> {
    text.split(|letter: char| letter.is_whitespace() || letter == 'v')
        .map(|word| word.trim_matches(|letter: char| !letter.is_ascii_digit()))
        .find(|word| word.contains('.'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_say() {
        assert_eq!(number("1.13.0\n").as_deref(), Some("1.13.0"));
        assert_eq!(number("Task version: v3.54.0\n").as_deref(), Some("3.54.0"));
        assert_eq!(number("- Local: v24.0.6\n").as_deref(), Some("24.0.6"));
        assert_eq!(number("none"), None);
    }

    #[test]
    fn what_a_tool_ran_is_read_from_its_last_words() {
        let turbo = "\n Tasks:    20 successful, 20 total\nCached:    17 cached, 20 total\n";
        assert_eq!(Kind::Turborepo.ran(turbo), Some(3));
        assert_eq!(
            Kind::Moon.ran("Tasks: 20 completed (17 cached)\n Time: 1s"),
            Some(3)
        );
        assert_eq!(Kind::Moon.ran("Tasks: 20 completed\n"), Some(20));
        let vite = "vp run: 20/20 cache hit (100%), 497ms saved.";
        assert_eq!(Kind::ViteTask.ran(vite), Some(0));
        let nx = "> nx run a:build  [local cache]\n\n> nx run b:build\n> mkdir -p dist\n";
        assert_eq!(Kind::Nx.ran(nx), Some(1));
        assert_eq!(Kind::Ninja.ran("[1/1] cd a"), None);
        assert_eq!(Kind::Turborepo.ran("error"), None);
    }
}
