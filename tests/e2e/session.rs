//! The background session: its life from start to stop, and that its answers miss nothing.
//! Knows nothing of what a run makes of the answers.
//!
//! Each session is ended by a guard, also when the test fails.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder::daemon::{Clock, ask};
use larder::session::changes::ChangeSet;
use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Outcome, Sandbox};

/// A workspace whose session is ended with it.
pub(crate) struct Live {
    pub(crate) sandbox: Sandbox,
    root: PathBuf,
}

impl Live {
    pub(crate) fn new(sandbox: Sandbox) -> Live {
        let root = sandbox.root().canonicalize().unwrap();
        Live { sandbox, root }
    }

    fn simple() -> Live {
        Live::new(Sandbox::simple())
    }

    pub(crate) fn session(&self, line: &str) -> Outcome {
        self.sandbox.run(&mut self.command(line))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.sandbox.command_in(&self.root);
        command.arg("session").args(line.split(' '));
        command.env("TMPDIR", self.sandbox.base());
        command
    }

    /// Starts it, and gives its process.
    pub(crate) fn start(&self) -> Pid {
        let outcome = self.session("start");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert!(outcome.stdout.starts_with("started"), "{}", outcome.all());
        self.status().unwrap()
    }

    /// Its process, if it runs.
    fn status(&self) -> Option<Pid> {
        let outcome = self.session("status --json");
        let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(status["running"], outcome.code == 0, "{}", outcome.all());
        Pid::from_raw(i32::try_from(status["pid"].as_i64()?).unwrap())
    }

    fn ask(&self, clock: Option<&Clock>) -> Option<(Clock, ChangeSet)> {
        ask(&self.root, &[], clock)
    }

    /// What changed since a clock, which moves on.
    fn changed(&self, clock: &mut Clock) -> Vec<String> {
        let (now, changes) = self.ask(Some(clock)).unwrap();
        *clock = now;
        assert_eq!(changes.why_everything(), None);
        let text = |path| String::from_utf8_lossy(path).into_owned();
        changes.paths().map(text).collect()
    }

    fn everything(&self, clock: &mut Clock) -> String {
        let (now, changes) = self.ask(Some(clock)).unwrap();
        *clock = now;
        changes.why_everything().unwrap().to_owned()
    }

    fn now(&self) -> Clock {
        self.ask(None).unwrap().0
    }

    /// What the process holds as long as it lives.
    fn lock(&self) -> File {
        File::open(self.root.join(".larder/session.lock")).unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let stopped = self.session("stop");
        if !std::thread::panicking() {
            assert_eq!(stopped.code, 0, "{}", stopped.all());
        }
    }
}

#[test]
fn it_is_started_once_and_stopped_for_good() {
    let live = Live::simple();
    let absent = live.session("status");
    assert_eq!(absent.code, 1, "{}", absent.all());
    let process = live.start();
    let again = live.session("start");
    assert!(again.stdout.starts_with("runs already"), "{}", again.all());
    assert_eq!(live.status(), Some(process));
    let told = live.session("status");
    assert_eq!(told.code, 0);
    for line in ["process ", "since ", "folders ", "memory ", "180 minutes"] {
        assert!(told.stdout.contains(line), "{}", told.all());
    }
    for (file, mode) in [("sock", 0o600), ("log", 0o600), ("json", 0o600)] {
        let stat = fs::metadata(live.root.join(format!(".larder/session.{file}"))).unwrap();
        assert_eq!(stat.permissions().mode() & 0o777, mode, "session.{file}");
    }
    assert_eq!(live.session("stop").stdout, "stopped\n");
    assert!(live.lock().try_lock().is_ok());
    assert_eq!(live.status(), None);
    assert!(!live.root.join(".larder/session.sock").exists());
    assert!(!live.root.join(".larder/session.json").exists());
    let again = live.session("stop");
    assert_eq!((again.code, again.stdout.as_str()), (0, "none runs\n"));
}

#[test]
fn an_edit_made_before_the_question_is_in_the_answer_whoever_asked_in_between() {
    let live = Live::simple();
    live.start();
    let mut clock = live.now();
    let old = clock;
    assert!(live.changed(&mut clock).is_empty());
    for round in 0..100 {
        let name = format!("new{}/file", round % 10);
        live.sandbox.write(&name, &round.to_string());
        let told = live.changed(&mut clock);
        assert!(told.iter().any(|path| name.starts_with(path)), "{told:?}");
        // A process that another test starts holds our open files for a moment, and then it is that one which closes them.
        let again = live.changed(&mut clock);
        assert!(again.iter().all(|path| *path == name), "{again:?}");
    }
    // An older clock still gets all of it.
    let (_, all) = live.ask(Some(&old)).unwrap();
    assert_eq!(all.why_everything(), None);
    assert_eq!(
        all.paths().filter(|path| path.ends_with(b"/file")).count(),
        10
    );
}

#[test]
fn what_larder_itself_keeps_is_no_change() {
    let live = Live::simple();
    live.start();
    let mut clock = live.now();
    live.sandbox.statuses("build", 0);
    let told = live.changed(&mut clock);
    assert!(told.iter().any(|path| path == "out"), "{told:?}");
    assert!(
        !told.iter().any(|path| path.starts_with(".larder")),
        "{told:?}"
    );
    live.sandbox.statuses("build", 0);
    assert!(live.changed(&mut clock).is_empty());
}

#[test]
fn the_clock_of_another_session_is_everything() {
    let live = Live::simple();
    live.start();
    let mut clock = live.now();
    live.session("stop");
    assert!(live.ask(Some(&clock)).is_none());
    live.start();
    assert!(live.everything(&mut clock).contains("another one"));
    assert!(live.changed(&mut clock).is_empty());
}

#[test]
fn what_a_killed_session_leaves_is_no_obstacle() {
    let live = Live::simple();
    let process = live.start();
    let ended = live.lock();
    kill_process(process, Signal::KILL).unwrap();
    ended.lock().unwrap();
    drop(ended);
    assert!(live.root.join(".larder/session.sock").exists());
    assert!(live.ask(None).is_none());
    assert_eq!(live.status(), None);
    assert_eq!(live.session("stop").stdout, "none runs\n");
    let again = live.start();
    assert_ne!(again, process);
    assert!(live.ask(None).is_some());
}

#[test]
fn of_many_that_start_at_once_one_watches() {
    let live = Live::simple();
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = live.command("start");
            command.stdout(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let said: Vec<String> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    let process = live.status().unwrap().as_raw_nonzero().to_string();
    assert!(said.iter().all(|line| line.contains(&process)), "{said:?}");
    assert_eq!(
        said.iter()
            .filter(|line| line.starts_with("started"))
            .count(),
        1
    );
}

#[test]
fn one_that_does_not_answer_is_ended_by_force() {
    let live = Live::simple();
    let process = live.start();
    kill_process(process, Signal::STOP).unwrap();
    assert_eq!(live.session("stop").stdout, "stopped\n");
    assert!(live.lock().try_lock().is_ok());
    live.start();
}

#[test]
fn one_of_another_version_counts_as_none_and_is_replaced() {
    let live = Live::simple();
    fs::create_dir(live.root.join(".larder")).unwrap();
    let lock = File::create(live.root.join(".larder/session.lock")).unwrap();
    lock.lock().unwrap();
    let socket = live.root.join(".larder/session.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let other = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let word = lines.nth(2).unwrap().unwrap();
            stream.write_all(b"larder session 1\n99.0.0\n").unwrap();
            if word == "stop" {
                break;
            }
        }
        drop(listener);
        drop(lock);
    });
    assert!(live.ask(None).is_none());
    let told = live.session("status");
    assert!(told.stdout.contains("99.0.0"), "{}", told.all());
    live.start();
    other.join().unwrap();
    assert!(live.ask(None).is_some());
}

#[test]
fn it_ends_when_its_folder_is_removed() {
    let live = Live::simple();
    let process = live.start();
    let ended = live.lock();
    fs::remove_dir_all(live.root.join(".larder")).unwrap();
    ended.lock().unwrap();
    assert!(!live.root.join(".larder").exists());
    let again = live.start();
    assert_ne!(again, process);
}

#[test]
fn it_ends_when_its_workspace_was_moved_and_never_answers_for_the_new_place() {
    let mut live = Live::simple();
    let process = live.start();
    let moved = live.root.with_file_name("moved");
    fs::rename(&live.root, &moved).unwrap();
    live.root = moved;
    let ended = live.lock();
    assert!(live.ask(None).is_none());
    ended.lock().unwrap();
    drop(ended);
    let again = live.start();
    assert_ne!(again, process);
    let mut clock = live.now();
    fs::write(live.root.join("src.txt"), "two").unwrap();
    assert_eq!(live.changed(&mut clock), ["src.txt"]);
}

#[test]
fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let mut live = Live::simple();
    let base = live.sandbox.base().canonicalize().unwrap();
    live.root = base.join("x".repeat(60)).join("y".repeat(60));
    fs::create_dir_all(&live.root).unwrap();
    fs::write(live.root.join("larder.toml"), "").unwrap();
    live.start();
    let mut clock = live.now();
    fs::write(live.root.join("file"), "1").unwrap();
    assert_eq!(live.changed(&mut clock), ["file"]);
    let private = |base: &Path| {
        let entries = fs::read_dir(base).unwrap().flatten();
        let mut named = entries.filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("larder-session-")
        });
        named.next().map(|entry| entry.path())
    };
    let folder = private(live.sandbox.base()).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    live.session("stop");
    assert_eq!(private(live.sandbox.base()), None);
}

#[test]
fn another_configuration_is_everything_and_other_folders_are_watched_at_once() {
    let config = |outputs: &str| {
        format!("[tasks.build]\ncommand = \"true\"\noutputs = [\"{outputs}/**\"]\n")
    };
    let live = Live::new(Sandbox::new(&[
        ("larder.toml", &config("one")),
        (".gitignore", "one/\ntwo/\n"),
        ("one/x", "1"),
        ("two/x", "1"),
    ]));
    live.start();
    let mut clock = live.now();
    live.sandbox.write("two/x", "2");
    assert!(live.changed(&mut clock).is_empty());
    live.sandbox.write("larder.toml", &config("two"));
    assert!(live.everything(&mut clock).contains("configuration"));
    live.sandbox.write("two/x", "3");
    live.sandbox.write("one/x", "3");
    let told = live.changed(&mut clock);
    assert!(
        told.contains(&"two/x".to_owned()) && !told.contains(&"one/x".to_owned()),
        "{told:?}"
    );
    // While it cannot be read, nobody knows what matters.
    live.sandbox.write("larder.toml", "no configuration");
    assert!(live.everything(&mut clock).contains("configuration"));
    assert!(live.everything(&mut clock).contains("configuration"));
    live.sandbox.write("larder.toml", &config("one"));
    live.everything(&mut clock);
    live.sandbox.write("one/x", "4");
    assert!(live.changed(&mut clock).contains(&"one/x".to_owned()));
}

#[test]
fn a_configuration_outside_of_the_workspace_is_read_again_too() {
    let live = Live::new(Sandbox::new(&[
        ("larder.toml", "[workspace]\nprojects = [\"../lib\"]\n"),
        ("../lib/larder.toml", "[tasks.build]\ncommand = \"true\"\n"),
        ("../lib/.gitignore", "out/\n"),
        ("../lib/out/x", "1"),
    ]));
    live.start();
    let mut clock = live.now();
    live.sandbox.write("../lib/out/x", "2");
    assert!(live.changed(&mut clock).is_empty());
    let config = "[tasks.build]\ncommand = \"true\"\noutputs = [\"out/**\"]\n";
    live.sandbox.write("../lib/larder.toml", config);
    assert!(live.everything(&mut clock).contains("configuration"));
    live.sandbox.write("../lib/out/x", "3");
    assert!(live.changed(&mut clock).contains(&"..lib/out/x".to_owned()));
}

#[test]
fn a_session_with_other_variables_does_not_answer() {
    let live = Live::new(Sandbox::new(&[
        ("larder.toml", "[workspace]\nprojects = [\"${LIB}\"]\n"),
        ("../lib/larder.toml", "[tasks.build]\ncommand = \"true\"\n"),
    ]));
    let mut start = live.command("start");
    let lib = live.root.with_file_name("lib");
    let outcome = live.sandbox.run(start.env("LIB", &lib));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let env = |value: &Path| [(OsString::from("LIB"), value.as_os_str().to_owned())];
    let (clock, _) = ask(&live.root, &env(&lib), None).unwrap();
    fs::write(lib.join("file"), "1").unwrap();
    let (_, changes) = ask(&live.root, &env(&lib), Some(&clock)).unwrap();
    assert_eq!(changes.paths().collect::<Vec<_>>(), [b"..lib/file"]);
    assert!(ask(&live.root, &env(&live.root), None).is_none());
    assert!(ask(&live.root, &[], None).is_none());
}

#[test]
fn a_configuration_that_is_wrong_is_told_by_start() {
    let live = Live::new(Sandbox::new(&[("larder.toml", "wrong")]));
    let outcome = live.session("start");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("larder.toml:1"),
        "{}",
        outcome.all()
    );
    assert_eq!(live.status(), None);
}

#[test]
fn a_run_beside_a_session_sees_what_links_lead_to() {
    let live = Live::new(Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.through]\ncommand = \"echo through >> ../ran.log\"\ninputs = [\"folder/file\"]\noutputs = []\n\
             [tasks.link]\ncommand = \"echo link >> ../ran.log\"\ninputs = [\"link\"]\noutputs = []\n\
             [tasks.default]\ncommand = \"echo default >> ../ran.log\"\noutputs = []\n",
        ),
        ("../real/file", "1"),
    ]));
    std::os::unix::fs::symlink("../real", live.root.join("folder")).unwrap();
    std::os::unix::fs::symlink("../real/file", live.root.join("link")).unwrap();
    live.start();
    let run = || {
        let outcome = live.sandbox.larder("run through link default");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        live.sandbox.ran()
    };
    assert_eq!(run(), ["default", "link", "through"]);
    assert!(run().is_empty());
    assert!(run().is_empty());
    for round in 0..3 {
        live.sandbox
            .write("../real/file", &format!("{round} and more"));
        assert_eq!(run(), ["default", "link", "through"]);
        assert!(run().is_empty());
        assert!(run().is_empty());
    }
}

#[test]
fn a_run_beside_a_session_sees_a_commit_by_its_git_input() {
    let live = Live::new(Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.git]\ncommand = \"echo git >> ../ran.log\"\ninputs = [{ git = \"../other\" }]\noutputs = []\n",
        ),
        ("../other/file", "1"),
    ]));
    let other = live.root.with_file_name("other");
    let git = |args: &str| {
        let identity = [
            "-c",
            "user.name=larder",
            "-c",
            "user.email=larder@example.org",
        ];
        let done = Command::new("git")
            .args(identity)
            .args(args.split(' '))
            .current_dir(&other)
            .output()
            .unwrap();
        assert!(done.status.success());
    };
    git("init -q");
    git("add .");
    git("commit -qm one");
    live.start();
    let run = || {
        let outcome = live.sandbox.larder("run git");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        live.sandbox.ran()
    };
    assert_eq!(run(), ["git"]);
    assert!(run().is_empty());
    assert!(run().is_empty());
    live.sandbox.write("../other/file", "2");
    assert_eq!(run(), ["git"]);
    assert!(run().is_empty());
    live.sandbox.write("../other/new", "1");
    assert_eq!(run(), ["git"]);
}
