//! Counts the instructions of a run, under callgrind: hardly anything that a busy machine does changes them.
//! It does not know which scenario is counted.
//!
//! What would differ from run to run is taken away: there is one thread for each pool, and where a C compiler is there, random numbers are
//! always the same, since they decide where hash tables put things. What is left are digits of times and of process numbers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::Invocation;

/// What counts.
#[derive(Debug, Clone)]
pub(crate) struct Callgrind {
    valgrind: PathBuf,
    /// A library that takes away randomness.
    shim: Option<PathBuf>,
    /// Keeps a process on one processor.
    taskset: Option<PathBuf>,
}

/// The function by which programs get random numbers.
const SHIM: &str = "#include <stddef.h>\n#include <string.h>\n#include <sys/types.h>\n\
    ssize_t getrandom(void *to, size_t size, unsigned int flags) {\n\
    (void)flags;\n    memset(to, 7, size);\n    return (ssize_t)size;\n}\n";

/// Recorded runs of each scenario.
pub(crate) const RUNS: usize = 3;

/// Finds what counts, and builds the shim into a folder. The error says what is missing.
pub(crate) fn find(
    which: impl Fn(&str) -> Option<PathBuf>,
    folder: &Path,
) -> Result<Callgrind, String> {
    let valgrind = which("valgrind").ok_or("valgrind is not on PATH")?;
    let shim = which("cc").and_then(|compiler| shim(&compiler, folder));
    if shim.is_none() {
        eprintln!(
            "bench: no C compiler: hash tables are random, so counts differ by some tenths of a per mille"
        );
    }
    Ok(Callgrind {
        valgrind,
        shim,
        taskset: which("taskset"),
    })
}

fn shim(compiler: &Path, folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    fs::create_dir_all(folder).ok()?;
    fs::write(&source, SHIM).ok()?;
    let mut build = Command::new(compiler);
    build.args(["-shared", "-fPIC", "-O1", "-o"]);
    let ended = build.args([&library, &source]).output().ok()?;
    ended.status.success().then_some(library)
}

impl Callgrind {
    /// The same run, counted into a file.
    pub(crate) fn around(&self, run: Invocation, out: &Path) -> Invocation {
        let mut told = OsString::from("--callgrind-out-file=");
        told.push(out);
        let mut words: Vec<OsString> = Vec::new();
        if let Some(taskset) = &self.taskset {
            words.extend([taskset.into(), "-c".into(), "0".into()]);
        }
        words.push(self.valgrind.clone().into());
        words.extend(["--tool=callgrind".into(), told, run.program.into()]);
        words.extend(run.args);
        let mut env = run.env;
        env.push(("RAYON_NUM_THREADS".into(), "1".into()));
        let shim = self
            .shim
            .iter()
            .map(|shim| ("LD_PRELOAD".into(), shim.into()));
        env.extend(shim);
        Invocation {
            program: words.remove(0).into(),
            args: words,
            env,
            ..run
        }
    }
}

/// The sum of a file that callgrind wrote.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let sum = |start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start))?;
        line.split_whitespace().next()?.parse().ok()
    };
    sum("summary:").or_else(|| sum("totals:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_read_and_nothing_else() {
        let text =
            "version: 1\nevents: Ir\nsummary: 7626017\n\nfn=(1) main\n3 12\ntotals: 7626018\n";
        assert_eq!(parse(text), Some(7_626_017));
        assert_eq!(parse("events: Ir\ntotals: 12\n"), Some(12));
        assert_eq!(parse("events: Ir\n"), None);
    }

    #[test]
    fn without_valgrind_it_is_said_and_nothing_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(|_| None, folder.path()).unwrap_err();
        assert_eq!(error, "valgrind is not on PATH");
    }

    #[test]
    fn a_run_is_wrapped_and_keeps_its_own_words() {
        let callgrind = Callgrind {
            valgrind: "/v".into(),
            shim: Some("/s.so".into()),
            taskset: Some("/t".into()),
        };
        let run = Invocation {
            program: "/larder".into(),
            args: vec!["run".into(), "build".into()],
            cwd: "/w".into(),
            env: vec![("HOME".into(), "/h".into())],
            log: "/log".into(),
        };
        let run = callgrind.around(run, Path::new("/out"));
        let words: Vec<_> = run.args.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(run.program, Path::new("/t"));
        assert_eq!(
            words,
            [
                "-c",
                "0",
                "/v",
                "--tool=callgrind",
                "--callgrind-out-file=/out",
                "/larder",
                "run",
                "build"
            ]
        );
        assert_eq!(run.env.len(), 3);
    }
}
