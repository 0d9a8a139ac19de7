//! A throw-away workspace with a cache of its own, and what a run of `larder` in it did.
//! Knows nothing of the behaviours under test.
//!
//! Tasks append a line to `ran.log` beside the workspace, so that a test asserts what ran and what did not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A workspace in a temporary folder.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

/// What one invocation showed.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Both streams, for messages of failing tests.
    pub(crate) fn all(&self) -> String {
        format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl Sandbox {
    pub(crate) fn new(files: &[(&str, &str)]) -> Sandbox {
        let sandbox = Sandbox {
            dir: tempfile::Builder::new()
                .prefix("larder-test-")
                .tempdir()
                .unwrap(),
        };
        std::fs::create_dir(sandbox.root()).unwrap();
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox
    }

    /// One project in the root with a `build` task that copies `src.txt` to `out/result.txt` and counts its runs.
    pub(crate) fn simple() -> Sandbox {
        Sandbox::new(&[
            (
                "larder.toml",
                "[tasks.build]\ncommand = \"echo build >> ../ran.log; echo building; mkdir -p out; cat src.txt > out/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\n",
            ),
            ("src.txt", "one\n"),
        ])
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("ws")
    }

    pub(crate) fn base(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    pub(crate) fn command(&self) -> Command {
        self.command_in(&self.root())
    }

    pub(crate) fn command_in(&self, folder: &Path) -> Command {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("LARDER_CACHE_DIR", self.cache())
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    }

    /// Runs `larder` with the words of `line`, split at spaces.
    pub(crate) fn larder(&self, line: &str) -> Outcome {
        self.run(
            self.command()
                .args(line.split(' ').filter(|word| !word.is_empty())),
        )
    }

    pub(crate) fn larder_env(&self, line: &str, env: &[(&str, &str)]) -> Outcome {
        self.run(
            self.command()
                .args(line.split(' '))
                .envs(env.iter().copied()),
        )
    }

    pub(crate) fn run(&self, command: &mut Command) -> Outcome {
        let output = command.output().unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: self.hide_paths(&String::from_utf8_lossy(&output.stdout)),
            stderr: self.hide_paths(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn hide_paths(&self, text: &str) -> String {
        let real = self.dir.path().canonicalize().unwrap();
        text.replace(real.to_str().unwrap(), "[DIR]")
            .replace(self.dir.path().to_str().unwrap(), "[DIR]")
    }

    /// Runs `larder LINE --json` and returns each task's status, asserting the exit code.
    pub(crate) fn statuses(&self, line: &str, code: i32) -> BTreeMap<String, String> {
        let record = self.record(line, code);
        record["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| {
                (
                    task["task"].as_str().unwrap().to_owned(),
                    task["status"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// Runs `larder LINE --json` and returns the run record.
    pub(crate) fn record(&self, line: &str, code: i32) -> serde_json::Value {
        let (flags, extra) = line.split_once(" -- ").unwrap_or((line, ""));
        let mut command = self.command();
        command.args(flags.split(' ')).arg("--json");
        if !extra.is_empty() {
            command.arg("--").args(extra.split(' '));
        }
        let outcome = self.run(&mut command);
        assert_eq!(outcome.code, code, "{}", outcome.all());
        serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}", outcome.all()))
    }

    /// The lines tasks appended to `ran.log` since the last call.
    pub(crate) fn ran(&self) -> Vec<String> {
        let path = self.dir.path().join("ran.log");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// All that is below a folder and no folder itself, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).unwrap();
            stack.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The binary under test: the delivered `main`, built for these tests by Cargo itself.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_larder-dup"))
}
