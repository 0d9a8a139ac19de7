//! The session as a library: what a change set reaches, what stays known, and that no result hangs on either.
//! The program's own commands are tested end to end elsewhere.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod changes;
mod foreach;
mod kept;
mod random;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use larder::execute::mux::Order;
use larder::execute::{Cancel, ProcessExecutor};
use larder::plan::Plan;
use larder::record::Status;
use larder::session::forecast::{Verdict, forecast};
use larder::session::run::{Ended, Options};
use larder::session::snapshot::{Answer, Request, answer};
use larder::session::{Affected, ChangeSet, Clock, Run, Session, Surroundings};
use larder::show::Show;
use larder::state::intent;
use larder_timing::SystemClock;

/// What a session is opened with, owned by a test.
struct Host {
    root: tempfile::TempDir,
    env: Vec<(OsString, OsString)>,
    executor: ProcessExecutor,
    clock: SystemClock,
    options: Option<[u8; 32]>,
}

impl Host {
    fn new(files: &[(&str, &str)]) -> Host {
        let host = Host {
            root: tempfile::tempdir().unwrap(),
            env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
            executor: ProcessExecutor::default(),
            clock: SystemClock::new(),
            options: None,
        };
        for (path, text) in files {
            host.write(path, text);
        }
        host
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join("ws").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn request<'r>(&'r self, words: &'r [OsString]) -> Request<'r> {
        Request {
            words,
            folder: self.root.path(),
            env: &self.env,
        }
    }

    fn load(&self) -> Session<'_> {
        let around = Surroundings {
            env: &self.env,
            cache_dir: Some(self.root.path().join("cache")),
            executor: &self.executor,
            cancel: Cancel::new(),
            clock: &self.clock,
            options: self.options,
            incremental: true,
            incremental_dir: None,
        };
        Session::load(&self.path(""), around).unwrap()
    }
}

fn show() -> Show {
    Show::new(Order::Stream, false, true, false, None)
}

fn plan(session: &Session<'_>) -> Plan {
    let all = (0..session.workspace.tasks.len()).collect();
    Plan::new(&session.workspace, all, false).unwrap()
}

fn run(session: &mut Session<'_>) -> Ended {
    let plan = plan(session);
    let options = Options {
        output_logs: Some(larder::execute::mux::OutputLogs::None),
        policy: larder_graph::FailurePolicy::DependenciesSuccessful,
        ..Options::plain()
    };
    session.run(&plan, &options, &show()).unwrap()
}

/// The tasks that ended so.
fn which(ended: &Ended, status: Status) -> Vec<&str> {
    let tasks = ended.results.values();
    let tasks = tasks.filter(|done| done.record.status == status);
    tasks.map(|done| done.record.task.as_str()).collect()
}

fn changes(paths: &[&str]) -> ChangeSet {
    let mut changes = ChangeSet::new();
    for path in paths {
        changes.add(*path);
    }
    changes
}

fn names(session: &Session<'_>, affected: &Affected) -> Vec<String> {
    let tasks = affected.tasks.iter();
    tasks
        .map(|task| session.compiled.id(*task).to_owned())
        .collect()
}

/// Verdicts of a session that knows nothing but what lies on disk.
fn fresh_verdicts(host: &Host) -> BTreeSet<(String, Verdict)> {
    let session = host.load();
    let (plan, options, show) = (plan(&session), Options::plain(), show());
    let run = Run::new(&session, &plan, &options, &show).unwrap();
    let forecasts = forecast(&run).unwrap();
    forecasts
        .into_iter()
        .map(|forecast| (forecast.id, forecast.verdict))
        .collect()
}

const WORKSPACE: &[(&str, &str)] = &[
    (
        "larder.toml",
        r#"
[workspace]
projects = ["a", "b"]
global-inputs = ["shared.lock"]

[tasks.build]
command = "mkdir -p out; cat src/* > out/all"
depends-on = ["^build"]
outputs = ["out/**"]

[tasks.lint]
command = "cat $(find . -name '*.md' -not -path './out/*') /dev/null > lint.txt"
inputs = ["**/*.md", "!**/skip.md", ".larderignore"]
outputs = ["lint.txt"]
"#,
    ),
    ("a/larder.toml", "[project]\nname = \"a\"\n"),
    ("a/src/one", "1"),
    ("a/.gitignore", "*.log\nout/\nlint.txt\n"),
    (
        "b/larder.toml",
        "[project]\nname = \"b\"\ndepends-on = [\"a\"]\n",
    ),
    ("b/src/two", "2"),
    ("b/.gitignore", "out/\nlint.txt\n"),
    ("shared.lock", "0"),
];
