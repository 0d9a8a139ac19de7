//! `larder watch` where it may go wrong: requests that a change of the configuration leaves without a task, tasks that write what they read,
//! hooks, and a system that tells nothing or too much.

use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::rights::skipped;
use crate::sandbox::Sandbox;
use crate::watch::{Watching, save, two};

const BUILD: &str =
    "[tasks.build]\ncommand = \"echo build >> ../ran.log\"\ninputs = [\"src\"]\noutputs = []\n";

#[test]
fn a_task_that_is_gone_is_missed_until_it_is_back_and_no_other_runs_for_it() {
    let sandbox = Sandbox::new(&[("larder.toml", BUILD), ("src", "1")]);
    let mut watching = Watching::start(&sandbox, "watch build");
    watching.until("watching");
    let other = BUILD
        .replace("tasks.build", "tasks.other")
        .replace("echo build", "echo other");
    save(&sandbox, "larder.toml", &other);
    watching.until("no project has a task named `build`");
    save(&sandbox, "src", "2");
    watching.until("no project has a task named `build`");
    save(&sandbox, "larder.toml", BUILD);
    watching.until("watching");
    assert_eq!(watching.end(), 130);
    assert_eq!(sandbox.ran(), ["build", "build"]);
}

#[test]
fn a_graph_filter_that_matches_nothing_any_more_does_not_end_it() {
    let sandbox = two();
    let mut watching = Watching::start(&sandbox, "watch build --graph-filter a#build");
    watching.until("watching");
    save(&sandbox, "a/larder.toml", "[project]\nname = \"c\"\n");
    save(&sandbox, "b/larder.toml", "[project]\nname = \"b\"\n");
    watching.until("matches no task");
    save(&sandbox, "a/larder.toml", "[project]\nname = \"a\"\n");
    save(&sandbox, "a/src/new", "new");
    watching.until("succeeded");
    assert_eq!(watching.end(), 130);
    assert!(sandbox.read("a/out/all").contains("new"));
}

#[test]
fn tasks_that_change_what_they_read_are_named_and_slow_down_but_edits_are_seen_at_once() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> src/log; mkdir -p out; cp src/a out/a; cat src/a >> ../ran.log\"\ninputs = [\"src/**\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src/a", "1\n"),
    ]);
    let mut watching = Watching::start(&sandbox, "watch build --no-interrupt");
    let said = watching.until("warning: .#build reads src/log, which changes whenever tasks run");
    assert_eq!(said.matches("larder: succeeded").count(), 5, "{said}");
    save(&sandbox, "src/a", "2\n");
    watching.until("larder: succeeded");
    assert_eq!(watching.end(), 130);
    assert_eq!(sandbox.ran()[5], "2");
}

#[test]
fn a_task_that_stops_itself_by_what_it_writes_comes_to_its_end() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"touch src/log; sleep 0.5; echo build >> ../ran.log\"\ninputs = [\"src/**\"]\noutputs = []\n",
        ),
        ("src/a", "1"),
    ]);
    let mut watching = Watching::start(&sandbox, "watch build");
    watching.until("larder: succeeded");
    assert_eq!(watching.end(), 130);
}

#[test]
fn a_task_that_is_never_kept_runs_once_for_the_same_content() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.format]\ncommand = \"cp src/a draft && mv draft src/a; cat src/a >> ../ran.log\"\ninputs = [\"src/**\"]\n[tasks.build]\ncommand = \"cat src/* > /dev/null\"\ninputs = [\"src/**\"]\noutputs = []\ndepends-on = [\"format\"]\n",
        ),
        ("src/a", "1\n"),
    ]);
    let mut watching = Watching::start(&sandbox, "watch build --no-interrupt");
    watching.until("watching");
    // All is looked at.
    save(&sandbox, ".gitignore", "x\n");
    watching.until("the whole workspace is looked at");
    save(&sandbox, "src/a", "2\n");
    watching.until("watching");
    assert_eq!(watching.end(), 130);
    assert_eq!(sandbox.ran()[..2], ["1", "2"]);
}

#[test]
fn a_circle_is_reported_when_a_change_makes_it_and_gone_when_one_mends_it() {
    let sandbox = Sandbox::new(&[("larder.toml", BUILD), ("src", "1")]);
    let mut watching = Watching::start(&sandbox, "watch build");
    watching.until("watching");
    let circle = format!(
        "{BUILD}depends-on = [\"other\"]\n[tasks.other]\ncommand = \"true\"\ninputs = []\noutputs = []\ndepends-on = [\"build\"]\n"
    );
    save(&sandbox, "larder.toml", &circle);
    let said = watching.until("is one place to break it");
    assert!(said.contains(".#build -> .#other -> .#build"), "{said}");
    save(&sandbox, "src", "2");
    let mended = circle.replace("depends-on = [\"build\"]", "");
    save(&sandbox, "larder.toml", &mended);
    watching.until("watching");
    assert_eq!(watching.end(), 130);
    assert_eq!(sandbox.ran(), ["build", "build"]);
}

#[test]
fn that_a_task_declares_no_outputs_is_said_once() {
    let config = "[tasks.lint]\ncommand = \"echo lint >> ../ran.log\"\ninputs = [\"src\"]\n";
    let sandbox = Sandbox::new(&[("larder.toml", config), ("src", "1")]);
    let mut watching = Watching::start(&sandbox, "watch lint");
    let said = watching.until("watching");
    assert!(
        said.contains("warning: .#lint declares no `outputs`"),
        "{said}"
    );
    for text in ["2", "3"] {
        save(&sandbox, "src", text);
        let said = watching.until("watching");
        assert!(
            !said.contains("warning: .#lint declares no `outputs`"),
            "{said}"
        );
    }
    assert_eq!(watching.end(), 130);
    assert_eq!(sandbox.ran(), ["lint", "lint", "lint"]);
}

#[test]
fn a_change_runs_the_hooks_that_it_reaches_and_no_others() {
    let task = |name: &str, rest: &str| {
        format!(
            "[tasks.{name}]\ncommand = \"echo {name} >> ../ran.log; cp {name}.txt {name}.out\"\ninputs = [\"{name}.txt\"]\noutputs = [\"{name}.out\"]\n{rest}\n"
        )
    };
    let config = [
        "[hooks]\nbefore-all = [\"lint\"]\nafter-all = [\"report\"]\n".to_owned(),
        task("lint", ""),
        task("a", "before = [\"early\"]\nafter = [\"late\"]"),
        task("early", ""),
        task("late", ""),
        task("render", ""),
        task("report", "depends-on = [\"render\"]"),
    ];
    let names = ["lint", "a", "early", "late", "render", "report"];
    let sandbox = Sandbox::new(&[("larder.toml", &config.concat())]);
    for name in names {
        sandbox.write(&format!("{name}.txt"), "1");
    }
    let mut watching = Watching::start(&sandbox, "watch a");
    watching.until("watching");
    let mut ran = sandbox.ran();
    ran.sort();
    let mut all = names;
    all.sort_unstable();
    assert_eq!(ran, all);
    for (name, expected) in [
        // What `before` hooks make enters the keys of those that they come before; `after` hooks only come later.
        ("a", &["a"][..]),
        ("late", &["late"]),
        ("early", &["a", "early"]),
        ("report", &["report"]),
        ("render", &["render", "report"]),
    ] {
        save(&sandbox, &format!("{name}.txt"), &format!("2 {name}"));
        let said = watching.until("watching");
        assert_eq!(sandbox.ran(), expected, "{name}: {said}");
        assert_eq!(sandbox.read(&format!("{name}.out")), format!("2 {name}"));
    }
    assert_eq!(watching.end(), 130);
}

/// `larder` as somebody who may have no more than so many of something of the system's watcher. `None`, said on the terminal, where that
/// cannot be arranged.
fn limited(test: &str, sandbox: &Sandbox, what: &str, most: u32, line: &str) -> Option<Command> {
    // Limits of a user hold for a namespace of users, and for nobody outside of it.
    let unshare = |script: &str| {
        let limit = format!("echo {most} > /proc/sys/user/{what}; {script}");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-ec", &limit]);
        command
    };
    let probe = unshare("true").output();
    if !probe.as_ref().is_ok_and(|probe| probe.status.success()) {
        skipped(test, &format!("{what} cannot be set here ({probe:?})"));
        return None;
    }
    let mut command = unshare(&format!("exec \"$0\" {line}"));
    let larder = sandbox.command();
    let variables = larder.get_envs();
    command
        .arg(larder.get_program())
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .current_dir(sandbox.root());
    Some(command)
}

#[test]
fn where_the_system_watches_nothing_more_everything_is_looked_at_again_and_again() {
    for (what, most, why) in [
        (
            "max_inotify_instances",
            0,
            "raise fs.inotify.max_user_instances",
        ),
        (
            "max_inotify_watches",
            1,
            "raise fs.inotify.max_user_watches",
        ),
    ] {
        let sandbox = Sandbox::new(&[("larder.toml", BUILD), ("src", "1"), ("deep/er/x", "")]);
        let Some(command) = limited(
            "everything_is_looked_at",
            &sandbox,
            what,
            most,
            "watch build",
        ) else {
            return;
        };
        let mut watching = Watching::spawn(command);
        let said = watching.until("waiting for changes");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("is looked at every 2 s instead"), "{said}");
        assert_eq!(sandbox.ran(), ["build"], "{said}");
        save(&sandbox, "src", "2");
        let said = watching.until("waiting for changes");
        assert_eq!(sandbox.ran(), ["build"], "{said}");
        assert!(!said.contains(why), "said again: {said}");
        assert_eq!(watching.end(), 130);
    }
}

#[test]
fn more_events_than_the_system_queues_hide_no_edit() {
    let sandbox = Sandbox::new(&[
        ("larder.toml", BUILD),
        ("src", "1"),
        ("one", ""),
        ("two", ""),
    ]);
    let mut watching = Watching::start(&sandbox, "watch build");
    watching.until("watching");
    let process = watching.process();
    kill_process(process, Signal::STOP).unwrap();
    flood(&sandbox);
    save(&sandbox, "src", "2");
    kill_process(process, Signal::CONT).unwrap();
    let said = watching.until("watching");
    assert!(said.contains("than the system could queue"), "{said}");
    assert_eq!(sandbox.ran(), ["build", "build"]);
    save(&sandbox, "src", "3");
    watching.until("watching");
    assert_eq!(sandbox.ran(), ["build"]);
    assert_eq!(watching.end(), 130);
}

/// Makes more events than the system queues, and 20,000 at least. Equal events in a row would be one.
pub(crate) fn flood(sandbox: &Sandbox) {
    use std::io::Write as _;
    let queue = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    let queue: usize = queue.unwrap_or_default().trim().parse().unwrap_or(16_384);
    let mut two = ["one", "two"].map(|path| std::fs::File::create(sandbox.path(path)).unwrap());
    for number in 0..20_000.max(queue + 100) {
        two[number % 2].write_all(b"x").unwrap();
    }
}
