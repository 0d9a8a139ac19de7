//! What is remembered of runs, told, drawn and traced. Comparing has a file of its own.

use std::fmt::Write as _;

use serde_json::Value;

use crate::early_cutoff::chain;
use crate::sandbox::{Outcome, Sandbox};

fn asked(sandbox: &Sandbox, line: &str) -> Value {
    let outcome = sandbox.larder(line);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.all());
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", outcome.all()))
}

/// The ids of the remembered runs, newest first; nothing where nothing is remembered.
fn ids(sandbox: &Sandbox) -> Vec<String> {
    let outcome = sandbox.larder("timings show --runs --limit 0 --json");
    if outcome.code == 2 {
        assert!(
            outcome.stderr.contains("no run is remembered"),
            "{}",
            outcome.all()
        );
        return Vec::new();
    }
    let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let runs = value["runs"].as_array().unwrap().iter();
    runs.map(|run| run["id"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn refused(sandbox: &Sandbox, line: &str) -> String {
    let outcome: Outcome = sandbox.larder(line);
    assert_eq!(outcome.code, 2, "{line}: {}", outcome.all());
    outcome.stderr
}

#[test]
fn a_run_is_remembered_if_a_task_took_part_and_costs_nothing_otherwise() {
    let sandbox = chain();
    assert!(ids(&sandbox).is_empty());
    assert!(
        !sandbox.exists(".larder/history.db"),
        "asking begins no history"
    );
    sandbox.larder("build");
    assert_eq!(ids(&sandbox).len(), 1);
    let before = std::fs::metadata(sandbox.path(".larder/history.db")).unwrap();
    sandbox.larder("build");
    let after = std::fs::metadata(sandbox.path(".larder/history.db")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(ids(&sandbox).len(), 1, "nothing took part");
    sandbox.remove("packages/lib/out.txt");
    sandbox.larder("build");
    let shown = asked(&sandbox, "timings show --json");
    let run = &shown["run"];
    assert_eq!(run["up_to_date"], 2, "{shown:#}");
    let tasks = run["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "{shown:#}");
    assert_eq!(
        (&tasks[0]["task"], &tasks[0]["cache"]),
        (&"packages/lib#build".into(), &"restored".into())
    );
    assert_eq!(ids(&sandbox).len(), 2);
}

#[test]
fn what_a_task_took_used_and_waited_for_is_remembered() {
    let sandbox = chain();
    let record = sandbox.record("build", 0);
    let shown = asked(&sandbox, "timings show --json");
    let tasks = shown["run"]["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 3);
    for (task, needs) in [
        ("packages/lib#build", None),
        ("packages/app#build", Some("packages/lib#build")),
    ] {
        let row = tasks.iter().find(|row| row["task"] == task).unwrap();
        let told = record["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|told| told["task"] == task)
            .unwrap();
        assert_eq!(row["key"], told["key"]);
        assert_eq!(row["outcome"], "success");
        #[allow(clippy::cast_precision_loss)]
        let seconds = row["duration_ns"].as_u64().unwrap() as f64 / 1e9;
        assert!(
            (seconds - told["seconds"].as_f64().unwrap()).abs() < 1e-6,
            "{row:#} {told:#}"
        );
        assert!(row["cpu_ns"].as_u64().unwrap() > 0, "{row:#}");
        assert!(
            told["end_seconds"].as_f64() >= told["start_seconds"].as_f64(),
            "{told:#}"
        );
        let deps: Vec<&str> = row["deps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|dep| dep.as_str().unwrap())
            .collect();
        assert_eq!(deps, needs.into_iter().collect::<Vec<_>>());
    }
    let phases = shown["run"]["phases"].as_array().unwrap();
    let commands = phases
        .iter()
        .find(|phase| phase["name"] == "commands")
        .unwrap();
    assert!(commands["duration_ns"].as_u64().unwrap() > 0, "{phases:#?}");
}

/// A task that did nothing stands between two that ran: the later one waited for the earlier one all the same.
#[test]
fn waiting_leads_through_tasks_that_did_nothing() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        r#"
[tasks.a]
command = "echo a"
[tasks.group]
depends-on = ["a"]
[tasks.b]
command = "echo b"
depends-on = ["group"]
"#,
    )]);
    sandbox.larder("b");
    let shown = asked(&sandbox, "timings show --json");
    let tasks = shown["run"]["tasks"].as_array().unwrap();
    assert_eq!(tasks[1]["task"], ".#b");
    assert_eq!(tasks[1]["deps"], serde_json::json!([".#a"]));
}

#[test]
fn failures_are_remembered_and_a_task_that_is_both_is_flaky() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.t]\ncommand = \"if [ -e .count ]; then rm .count; exit 3; else touch .count; fi\"\ninputs = []\noutputs = []\n",
    )]);
    for code in [0, 3, 0, 3] {
        assert_eq!(sandbox.larder("t --force").code, code);
    }
    let shown = asked(&sandbox, "timings show .#t --json");
    assert_eq!(shown["flaky"]["failures"], 2, "{shown:#}");
    assert_eq!(shown["flaky"]["executions"], 4);
    let text = sandbox.larder("timings show .#t").stdout;
    assert!(
        text.contains("flaky: failed 2 of 4 times with equal inputs (50%)"),
        "{text}"
    );
    let check = sandbox.larder("timings check");
    assert_eq!(
        check.code,
        0,
        "flaky is told, and is no regression: {}",
        check.all()
    );
    assert!(check.stdout.contains("flaky: .#t"), "{}", check.all());
}

#[test]
fn a_damaged_history_is_set_aside_and_named_and_the_run_succeeds() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    for leftover in ["db-wal", "db-shm"] {
        sandbox.remove(&format!(".larder/history.{leftover}"));
    }
    sandbox.write(".larder/history.db", &"not a database ".repeat(2000));
    sandbox.write("src.txt", "two\n");
    let record = sandbox.record("build", 0);
    let warnings = record["warnings"].to_string();
    assert!(
        warnings.contains("history.db was damaged; it lies at"),
        "{record:#}"
    );
    assert_eq!(ids(&sandbox).len(), 1);
}

#[test]
fn a_history_that_cannot_be_written_costs_a_warning() {
    let sandbox = Sandbox::simple();
    std::fs::create_dir_all(sandbox.path(".larder/history.db/folder")).unwrap();
    let record = sandbox.record("build", 0);
    let warnings = record["warnings"].to_string();
    assert!(
        warnings.contains("the run is missing from the history"),
        "{record:#}"
    );
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
}

#[test]
fn the_bound_of_the_configuration_holds() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[timings]\nruns-per-task = 2\n[tasks.t]\ncommand = \"true\"\noutputs = []\n",
    )]);
    for _ in 0..5 {
        sandbox.larder("t --force");
    }
    let shown = asked(&sandbox, "timings show .#t --limit 0 --json");
    assert_eq!(shown["runs"].as_array().unwrap().len(), 2);
}

/// The longest chain begins first once its durations are known, though it has the fewest tasks.
#[test]
fn the_next_run_begins_with_what_took_longest() {
    let mut config = String::from(
        "[tasks.all]\ndepends-on = [\"s1\", \"s2\", \"s3\", \"slow\"]\n[tasks.slow]\ncommand = \"echo slow >> log; sleep 0.3\"\n",
    );
    for name in ["s1", "s2", "s3"] {
        writeln!(config, "[tasks.{name}]\ncommand = \"echo {name} >> log\"\ndepends-on = [\"{name}b\"]\n[tasks.{name}b]\ncommand = \"echo {name}b >> log\"\n").unwrap();
    }
    let sandbox = Sandbox::new(&[("larder.toml", &config)]);
    let order = || {
        if sandbox.exists("log") {
            sandbox.remove("log");
        }
        assert_eq!(sandbox.larder("all --concurrency 1").code, 0);
        sandbox
            .read("log")
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_ne!(
        order()[0],
        "slow",
        "nothing is known: the longer chains begin"
    );
    assert_eq!(order()[0], "slow", "tasks without outputs are known too");
    // One slow execution of another task changes nothing.
    let told = sandbox.record("all --concurrency 1", 0);
    assert_eq!(told["exit_code"], 0);
}

#[test]
fn clearing_the_history_forgets_the_runs_and_nothing_else() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    assert_eq!(ids(&sandbox).len(), 1);
    assert_eq!(sandbox.larder("cache clear history").code, 0);
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        assert!(!sandbox.exists(&format!(".larder/{name}")), "{name}");
    }
    assert!(ids(&sandbox).is_empty());
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
}

#[test]
fn charts_go_into_files_and_the_terminal_and_the_report_needs_nothing_else() {
    let sandbox = chain();
    sandbox.larder("build");
    for what in ["runs", "phases", "timeline", "cache", "slowest"] {
        let text = sandbox.larder(&format!("timings chart {what}"));
        assert_eq!(text.code, 0, "{}", text.all());
        assert!(
            text.stdout.lines().count() > 1
                && text.stdout.lines().all(|line| line.chars().count() <= 80),
            "{}",
            text.stdout
        );
        for end in ["svg", "png"] {
            let out = format!("chart-{what}.{end}");
            let drawn = sandbox.larder(&format!("timings chart {what} --out {out}"));
            assert_eq!(drawn.code, 0, "{}", drawn.all());
            let bytes = std::fs::read(sandbox.path(&out)).unwrap();
            let begin: &[u8] = if end == "svg" {
                b"<svg"
            } else {
                b"\x89PNG\r\n"
            };
            assert!(bytes.starts_with(begin), "{out}");
        }
    }
    let timeline = sandbox.read("chart-timeline.svg");
    assert!(timeline.contains("lib#build"), "{timeline}");
    assert!(refused(&sandbox, "timings chart --out chart.gif").contains(".svg or .png"));
    assert_eq!(sandbox.larder("timings report --out report.html").code, 0);
    let page = sandbox.read("report.html");
    assert!(
        page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"),
        "{}",
        &page[..80]
    );
    assert!(
        !page.contains("src=\"http") && !page.contains("href=\"http"),
        "it loads nothing"
    );
    let data = asked(&sandbox, "timings report --json");
    assert_eq!(data["runs"].as_array().unwrap().len(), 1);
    assert_eq!(data["last"]["tasks"].as_array().unwrap().len(), 3);
}

#[test]
fn a_run_is_written_as_a_trace() {
    let sandbox = chain();
    assert_eq!(sandbox.larder("build --profile trace.json").code, 0);
    let trace: Value = serde_json::from_str(&sandbox.read("trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slices: Vec<&str> = events
        .iter()
        .filter(|event| event["ph"] == "X")
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    for name in [
        "packages/lib#build",
        "packages/app#build",
        "packages/top#build",
        "load",
        "plan",
        "tasks",
        "remember",
    ] {
        assert!(slices.contains(&name), "{name}: {slices:?}");
    }
    let start = |name: &str| {
        let slice = events
            .iter()
            .find(|event| event["ph"] == "X" && event["name"] == name)
            .unwrap();
        slice["ts"].as_f64().unwrap()
    };
    assert!(
        start("load") < start("plan")
            && start("plan") < start("tasks")
            && start("tasks") <= start("packages/lib#build")
    );
    let arrows = events.iter().filter(|event| event["ph"] == "s").count();
    assert_eq!(arrows, 2, "app needs lib, top needs app");
    // A run in which nothing is to do has a trace as well.
    assert_eq!(sandbox.larder("build --profile idle.json").code, 0);
    assert!(sandbox.read("idle.json").contains("\"load\""));
    let lost = sandbox.larder("build --force --profile nowhere/trace.json");
    assert_eq!(lost.code, 0, "what the tasks did is done");
    assert!(
        lost.stderr.contains("--profile: ") && lost.stderr.contains("cannot be written"),
        "{}",
        lost.stderr
    );
}

/// A chain of three long tasks beside twelve chains of four short ones, two workers. Prints what knowing the durations is worth:
/// `cargo test -p larder-tests --test e2e -- --ignored --nocapture measured_gain`.
#[test]
#[ignore = "a measurement: it takes a minute and asserts nothing"]
#[allow(clippy::print_stderr)]
fn measured_gain_of_known_durations() {
    let chain = |config: &mut String, name: &str, count: usize, seconds: &str| {
        for at in 0..count {
            writeln!(
                config,
                "[tasks.{name}-{at}]\ncommand = \"sleep {seconds}\"\n"
            )
            .unwrap();
            if let Some(before) = at.checked_sub(1) {
                writeln!(config, "depends-on = [\"{name}-{before}\"]\n").unwrap();
            }
        }
    };
    let ends: Vec<String> = (0..12).map(|at| format!("\"short{at}-3\"")).collect();
    let mut config = format!(
        "[tasks.all]\ndepends-on = [\"long-2\", {}]\n",
        ends.join(", ")
    );
    chain(&mut config, "long", 3, "1");
    for at in 0..12 {
        chain(&mut config, &format!("short{at}"), 4, "0.1");
    }
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let sandbox = Sandbox::new(&[("larder.toml", &config)]);
        let run = || {
            sandbox.record("all --concurrency 2", 0)["wall_seconds"]
                .as_f64()
                .unwrap()
        };
        let (unknown, known) = (run(), run());
        eprintln!("unknown {unknown:.2} s, known {known:.2} s");
        ratios.push(known / unknown);
    }
    ratios.sort_by(f64::total_cmp);
    eprintln!("median ratio {:.2}", ratios[2]);
}

#[test]
fn what_is_no_file_is_written_into_and_links_are_followed() {
    use std::os::unix::fs::FileTypeExt as _;
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.write("target.html", "old");
    std::os::unix::fs::symlink("target.html", sandbox.path("link.html")).unwrap();
    assert_eq!(sandbox.larder("timings report --out link.html").code, 0);
    assert!(
        sandbox
            .path("link.html")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    assert!(sandbox.read("target.html").len() > 1000);
    let fifo = sandbox.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::read(fifo).unwrap()
    });
    assert_eq!(sandbox.larder("timings report --out pipe").code, 0);
    assert!(
        reader.join().unwrap().len() > 1000,
        "the reader had the page"
    );
    assert!(fifo.symlink_metadata().unwrap().file_type().is_fifo());
}
