//! `larder watch`: what a change runs again, what it leaves alone, and how a stale run is stopped.
//! Each test waits for what it can see: a line on standard error, or a task that speaks through a pipe.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::Pid;

use crate::sandbox::Sandbox;

/// Longer than any machine takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Writes a file as an editor does that means well: nobody sees it half written, and one change is one change.
pub(crate) fn save(sandbox: &Sandbox, path: &str, text: &str) {
    let draft = sandbox.base().join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, sandbox.path(path)).unwrap();
}

/// A `larder` that watches. It is gone when this is dropped.
pub(crate) struct Watching {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watching {
    pub(crate) fn start(sandbox: &Sandbox, line: &str) -> Watching {
        let mut command = sandbox.command();
        command.args(line.split(' '));
        Watching::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Watching {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let Ok(line) = line else { return };
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Watching {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Reads until a line that contains `text`, and gives what was said since the last call.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = line.contains(text);
                    self.seen.push(line);
                    if found {
                        return std::mem::take(&mut self.seen).join("\n");
                    }
                }
                Err(error) => panic!(
                    "{error:?} while waiting for `{text}`; so far:\n{}",
                    self.seen.join("\n")
                ),
            }
        }
    }

    /// Its process.
    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks it to end, and gives its exit code.
    pub(crate) fn end(mut self) -> i32 {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(status.success());
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error:?} while waiting for its end"),
            }
        }
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two projects, of which `b` needs `a`; `ran.log` tells what ran.
pub(crate) fn two() -> Sandbox {
    Sandbox::new(&[
        (
            "larder.toml",
            r#"
[workspace]
projects = ["a", "b"]

[tasks.build]
command = "echo $PWD | sed 's|.*/||' >> ../../ran.log; mkdir -p out && cat src/* > out/all && cat out/all | tr a-z A-Z > out/upper"
depends-on = ["^build"]
outputs = ["out/**"]

[tasks.lint]
command = "echo lint-$(basename $PWD) >> ../../ran.log"
"#,
        ),
        ("a/larder.toml", "[project]\nname = \"a\"\n"),
        ("a/src/one", "one\n"),
        ("a/.gitignore", "*.log\nout/\n"),
        (
            "b/larder.toml",
            "[project]\nname = \"b\"\ndepends-on = [\"a\"]\n",
        ),
        ("b/src/two", "two\n"),
        ("b/.gitignore", "out/\n"),
    ])
}

#[test]
fn a_change_runs_what_it_reaches_and_nothing_else() {
    let sandbox = two();
    let mut watch = Watching::start(&sandbox, "watch build");
    watch.until("watching");
    assert_eq!(sandbox.ran(), ["a", "b"]);

    // Outputs of its own, an ignored file, equal content: nothing of this runs anything, nor is told of.
    save(&sandbox, "a/noise.log", "x");
    save(&sandbox, "b/src/two", "two\n");
    save(&sandbox, "b/src/two", "other\n");
    let told = watch.until("watching");
    assert_eq!(sandbox.ran(), ["b"], "{told}");
    assert_eq!(told.matches("larder:").count(), 1, "{told}");

    // What depends on it follows only if it made something else.
    save(&sandbox, "a/src/one", "1\n");
    watch.until("watching");
    assert_eq!(sandbox.ran(), ["a", "b"]);

    // A file that goes, one that comes, an editor's way to save.
    save(&sandbox, "b/src/three", "3\n");
    watch.until("watching");
    assert_eq!(sandbox.ran(), ["b"]);
    sandbox.remove("b/src/three");
    watch.until("watching");
    // What it was before is known by the cache.
    assert_eq!(sandbox.ran(), Vec::<String>::new());
    assert_eq!(sandbox.read("b/out/upper"), "OTHER\n");
    sandbox.write("b/src/.two.swp", "");
    sandbox.remove("b/src/.two.swp");
    save(&sandbox, "b/src/two~", "saved\n");
    std::fs::rename(sandbox.path("b/src/two~"), sandbox.path("b/src/two")).unwrap();
    let told = watch.until("watching");
    assert_eq!(sandbox.read("b/out/upper"), "SAVED\n");
    assert_eq!(sandbox.ran().last().unwrap(), "b", "{told}");

    // An output that somebody removed comes back.
    sandbox.remove("a/out/all");
    watch.until("watching");
    assert_eq!(sandbox.ran(), Vec::<String>::new());
    assert_eq!(sandbox.read("a/out/all"), "1\n");

    // A whole folder moved in.
    let outside = sandbox.base().join("new");
    std::fs::create_dir_all(outside.join("deep")).unwrap();
    std::fs::write(outside.join("deep/file"), "deep").unwrap();
    std::fs::rename(&outside, sandbox.path("b/moved")).unwrap();
    watch.until("watching");
    assert_eq!(sandbox.ran(), ["b"]);
    assert_eq!(watch.end(), 130);
}

#[test]
fn tasks_that_are_never_kept_run_when_a_change_reaches_them() {
    let sandbox = two();
    let mut watch = Watching::start(&sandbox, "run --watch lint build");
    watch.until("watching");
    let mut ran = sandbox.ran();
    ran.sort();
    assert_eq!(ran, ["a", "b", "lint-a", "lint-b"]);
    save(&sandbox, "b/src/two", "changed\n");
    // A round that looks at what the first one made may come upon the change before it is told.
    let (mut told, mut ran) = (String::new(), Vec::new());
    while !ran.iter().any(|task| task == "lint-b") {
        told.push_str(&watch.until("watching"));
        ran.extend(sandbox.ran());
    }
    ran.sort();
    // One that began just before it was told is started again.
    ran.dedup();
    assert_eq!(ran, ["b", "lint-b"], "{told}");
    assert_eq!(watch.end(), 130);
}

#[test]
fn a_failure_ends_nothing_and_the_next_change_tries_again() {
    let sandbox = two();
    let good = sandbox.read("larder.toml");
    let mut watch = Watching::start(&sandbox, "watch build");
    watch.until("watching");
    sandbox.ran();
    std::fs::rename(sandbox.path("a/src"), sandbox.base().join("gone")).unwrap();
    let told = watch.until("watching");
    assert!(told.contains("a#build: failed: exit code 1"), "{told}");
    sandbox.ran();
    // What does not reach it does not try it again.
    save(&sandbox, "b/src/two", "while a fails\n");
    let told = watch.until("watching");
    assert!(told.contains("b#build"), "{told}");
    std::fs::write(sandbox.base().join("gone/one"), "back\n").unwrap();
    std::fs::rename(sandbox.base().join("gone"), sandbox.path("a/src")).unwrap();
    let told = watch.until("watching");
    assert!(told.contains("succeeded"), "{told}");
    assert_eq!(sandbox.read("a/out/upper"), "BACK\n");

    save(&sandbox, "larder.toml", "[tasks.build\n");
    let told = watch.until("larder.toml:1");
    assert!(!told.contains("watching"), "{told}");
    sandbox.ran();
    save(
        &sandbox,
        "larder.toml",
        &good.replace("tr a-z A-Z", "tr a-z B-ZA"),
    );
    let told = watch.until("watching");
    assert!(told.contains("the configuration was read again"), "{told}");
    assert_eq!(sandbox.ran(), ["a", "b"]);
    assert_eq!(watch.end(), 130);
}

/// A task that says through one pipe that it began, and waits for another.
fn slow() -> Sandbox {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.build]
command = "cat src > seen; echo began > ../began; read word < ../go; cat seen > result"
inputs = ["src"]
outputs = ["result", "seen"]
"#,
        ),
        ("src", "one\n"),
    ]);
    for name in ["began", "go"] {
        let made = Command::new("mkfifo")
            .arg(sandbox.base().join(name))
            .status();
        assert!(made.unwrap().success());
    }
    sandbox
}

fn hear(pipe: &Path) {
    let mut text = String::new();
    let mut pipe = std::fs::File::open(pipe).unwrap();
    pipe.read_to_string(&mut text).unwrap();
    assert_eq!(text, "began\n");
}

fn go(pipe: &Path) {
    let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
    pipe.write_all(b"go\n").unwrap();
}

#[test]
fn a_task_whose_input_changes_is_stopped_and_started_again() {
    let sandbox = slow();
    let (began, free) = (sandbox.base().join("began"), sandbox.base().join("go"));
    let mut watch = Watching::start(&sandbox, "watch build");
    hear(&began);
    save(&sandbox, "src", "two\n");
    let told = watch.until("stopped, as src changed while it ran");
    assert!(!told.contains("failed with"), "{told}");
    hear(&began);
    go(&free);
    let told = watch.until("succeeded");
    assert!(!told.contains("not stored"), "{told}");
    watch.until("watching");
    assert_eq!(sandbox.read("result"), "two\n");
    assert_eq!(watch.end(), 130);
}

#[test]
fn without_interrupts_a_stale_task_ends_first_and_runs_again() {
    let sandbox = slow();
    let (began, free) = (sandbox.base().join("began"), sandbox.base().join("go"));
    let mut watch = Watching::start(&sandbox, "watch build --no-interrupt");
    hear(&began);
    save(&sandbox, "src", "two\n");
    go(&free);
    let told = watch.until("watching");
    assert!(
        told.contains("its input src was written while it ran"),
        "{told}"
    );
    hear(&began);
    go(&free);
    watch.until("watching");
    assert_eq!(sandbox.read("result"), "two\n");
    assert_eq!(watch.end(), 130);
}

#[test]
fn an_interrupt_ends_a_running_task_and_the_watch() {
    let sandbox = slow();
    let watch = Watching::start(&sandbox, "watch build");
    hear(&sandbox.base().join("began"));
    assert_eq!(watch.end(), 130);
    assert!(!sandbox.exists("result"));
}

#[test]
fn what_a_graph_filter_leaves_out_does_not_run_but_what_lies_of_it_on_disk_counts() {
    let sandbox = two();
    sandbox.larder("build");
    assert_eq!(sandbox.ran(), ["a", "b"]);
    let mut watch = Watching::start(&sandbox, "watch build --graph-filter b,depth=0");
    let told = watch.until("watching");
    assert!(
        told.contains("graph filter: 1 of 2 tasks left out"),
        "{told}"
    );
    save(&sandbox, "a/src/one", "1\n");
    save(&sandbox, "b/src/two", "2\n");
    watch.until("watching");
    assert_eq!(sandbox.ran(), ["b"]);
    save(&sandbox, "a/out/all", "by hand\n");
    watch.until("watching");
    assert_eq!(sandbox.ran(), ["b"]);
    assert_eq!(sandbox.read("a/out/all"), "by hand\n");
    assert_eq!(watch.end(), 130);
    let wrong = sandbox.larder("watch build --graph-filter c");
    assert_eq!(wrong.code, 2, "{}", wrong.all());
}

#[test]
fn only_chunks_that_a_change_reaches_run_again() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.cc]
foreach = "src/**/*.c"
command = "echo cc {in} >> ../ran.log; cat {in} inc/x.h > {out} && echo '{out}:' {in} inc/x.h > {out}.d"
outputs = ["out/{in}.o"]
depfile = "{out}.d"

[tasks.plain]
foreach = "plain/*"
command = "echo plain {in} >> ../ran.log; cat {in} > {out}"
outputs = ["copy/{in}"]
"#,
        ),
        // What chunks read need not be seen by anything that honours ignore files.
        (".gitignore", "src\ninc\nout\nplain\ncopy\n"),
        ("src/a.c", "a\n"),
        ("src/deep/b.c", "b\n"),
        ("inc/x.h", "x\n"),
        ("plain/one", "1\n"),
    ]);
    let mut watch = Watching::start(&sandbox, "watch cc plain");
    watch.until("watching");
    let mut ran = sandbox.ran();
    ran.sort();
    assert_eq!(ran, ["cc src/a.c", "cc src/deep/b.c", "plain plain/one"]);

    save(&sandbox, "src/a.c", "A\n");
    let told = watch.until("watching");
    assert_eq!(sandbox.ran(), ["cc src/a.c"], "{told}");
    assert_eq!(sandbox.read("out/src/a.c.o"), "A\nx\n");

    // A source more, in a folder that was not there.
    std::fs::create_dir(sandbox.path("src/new")).unwrap();
    save(&sandbox, "src/new/c.c", "c\n");
    let told = watch.until("watching");
    assert_eq!(sandbox.ran(), ["cc src/new/c.c"], "{told}");

    // One less: its output goes.
    sandbox.remove("src/new/c.c");
    watch.until("watching");
    assert_eq!(sandbox.ran(), Vec::<String>::new());
    assert!(!sandbox.exists("out/src/new/c.c.o"));

    // An output that was altered comes back.
    save(&sandbox, "copy/plain/one", "altered\n");
    watch.until("watching");
    assert_eq!(sandbox.read("copy/plain/one"), "1\n");
    assert_eq!(sandbox.ran(), Vec::<String>::new());
    assert_eq!(watch.end(), 130);
}

#[test]
fn a_chunk_whose_source_changes_is_stopped_and_started_again() {
    let sandbox = slow();
    sandbox.write(
        "larder.toml",
        r#"
[tasks.build]
foreach = "src*"
command = "cat {in} > seen; echo began > ../began; read word < ../go; cat seen > {out}"
outputs = ["out/{in}"]
"#,
    );
    let (began, free) = (sandbox.base().join("began"), sandbox.base().join("go"));
    let mut watch = Watching::start(&sandbox, "watch build");
    hear(&began);
    save(&sandbox, "src", "two\n");
    let told = watch.until("stopped, as src changed while it ran");
    assert!(!told.contains("failed with"), "{told}");
    hear(&began);
    go(&free);
    let told = watch.until("succeeded");
    assert!(!told.contains("not stored"), "{told}");
    watch.until("watching");
    assert_eq!(sandbox.read("out/src"), "two\n");
    assert_eq!(watch.end(), 130);
}
