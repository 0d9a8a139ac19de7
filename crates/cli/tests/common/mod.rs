//! A session and its workspace, as the tests of sessions make them.
//! Does not test anything.
#![allow(dead_code, reason = "no test needs all of it")]

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use larder::execute::mux::Order;
use larder::execute::{Cancel, ProcessExecutor};
use larder::plan::Plan;
use larder::record::Status;
use larder::session::format::{Decoded, Quiet, Snapshot, decode_snapshot, encode_snapshot};
use larder::session::run::{Ended, Options};
use larder::session::snapshot::{Answer, Request, answer};
use larder::session::{Affected, ChangeSet, Clock, Session, Surroundings};
use larder::show::Show;
use larder_timing::SystemClock;

/// What a session is opened with, owned by a test.
pub(crate) struct Host {
    pub(crate) root: tempfile::TempDir,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) executor: ProcessExecutor,
    pub(crate) clock: SystemClock,
    pub(crate) options: Option<[u8; 32]>,
}

impl Host {
    pub(crate) fn new(files: &[(&str, &str)]) -> Host {
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

    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join("ws").join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn request<'r>(&'r self, words: &'r [OsString]) -> Request<'r> {
        Request {
            words,
            folder: self.root.path(),
            env: &self.env,
        }
    }

    pub(crate) fn load(&self) -> Session<'_> {
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

pub(crate) fn show() -> Show {
    Show::new(Order::Stream, false, true, false, None)
}

pub(crate) fn plan(session: &Session<'_>) -> Plan {
    let all = (0..session.workspace.tasks.len()).collect();
    Plan::new(&session.workspace, all, false).unwrap()
}

pub(crate) fn run(session: &mut Session<'_>) -> Ended {
    let plan = plan(session);
    let options = Options {
        output_logs: Some(larder::execute::mux::OutputLogs::None),
        policy: larder_graph::FailurePolicy::DependenciesSuccessful,
        ..Options::plain()
    };
    session.run(&plan, &options, &show()).unwrap()
}

/// The tasks that ended so.
pub(crate) fn which(ended: &Ended, status: Status) -> Vec<&str> {
    let tasks = ended.results.values();
    let tasks = tasks.filter(|done| done.record.status == status);
    tasks.map(|done| done.record.task.as_str()).collect()
}

pub(crate) fn changes(paths: &[&str]) -> ChangeSet {
    let mut changes = ChangeSet::new();
    for path in paths {
        changes.add(*path);
    }
    changes
}

pub(crate) fn names(session: &Session<'_>, affected: &Affected) -> Vec<String> {
    let tasks = affected.tasks.iter();
    tasks
        .map(|task| session.compiled.id(*task).to_owned())
        .collect()
}

pub(crate) const WORKSPACE: &[(&str, &str)] = &[
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

pub(crate) const NOW: Clock = Clock {
    instance: [1; 16],
    tick: 7,
};

/// Runs until all is up to date, and ends the session at a moment.
pub(crate) fn settled(host: &Host, clock: Clock, words: &[OsString]) {
    let mut session = host.load();
    run(&mut session);
    session.update(&ChangeSet::everything("the test")).unwrap();
    session.keep_as_of(clock, Some(&host.request(words)));
    run(&mut session);
    session.dispose().unwrap();
}

pub(crate) fn git(host: &Host, words: &[&str]) {
    let status = std::process::Command::new("git")
        .args(words)
        .current_dir(host.path(""))
        .status();
    assert!(status.unwrap().success());
}

/// What a request is answered when nothing changed: `None` when it is not known to be quiet.
pub(crate) fn quiet(host: &Host, words: &[OsString]) -> Option<Quiet> {
    quiet_in(host, &host.path(""), words)
}

pub(crate) fn quiet_in(host: &Host, root: &Path, words: &[OsString]) -> Option<Quiet> {
    let ask = |_| Some((NOW, ChangeSet::new()));
    match answer(root, None, &host.request(words), &ask).unwrap() {
        Answer::Quiet(quiet) => Some(quiet),
        Answer::Since { .. } => None,
    }
}

/// Alters what was kept, as a sound file.
pub(crate) fn alter(host: &Host, with: impl FnOnce(&mut Snapshot)) {
    let file = host.path(".larder/session");
    let Decoded::Whole(mut snapshot) = decode_snapshot(&fs::read(&file).unwrap()) else {
        panic!("nothing was kept");
    };
    with(&mut snapshot);
    fs::write(&file, encode_snapshot(&snapshot).unwrap()).unwrap();
}
