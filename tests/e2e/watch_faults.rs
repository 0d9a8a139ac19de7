//! `larder watch` where it may go wrong: requests that a change of the configuration leaves without a task, and tasks that write what they read.

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
