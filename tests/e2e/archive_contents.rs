//! What an entry and its bundle hold of tasks that failed, that are never cached, and that have chunks.

use std::process::Command;

use larder_timing::history::{History, Options};
use serde_json::Value;

use crate::archive::{self, id, json, upload};
use crate::sandbox::Sandbox;

const CONFIG: &str = r#"
[workspace]
[tasks.check]
command = "echo checking; cat check.txt"
inputs = ["check.txt"]
[tasks.compile]
foreach = "src/*.c"
command = "echo of {name}; ! grep -q bad {in} && cat {in} > {out}"
outputs = ["out/{stem}.o"]
[tasks.lint]
command = "echo looking; echo it is wrong >&2; exit 4"
inputs = ["check.txt"]
outputs = []
"#;

fn workspace() -> Sandbox {
    Sandbox::new(&[
        ("larder.toml", CONFIG),
        ("check.txt", "checked\n"),
        ("src/a.c", "a\n"),
        ("src/b.c", "b\n"),
    ])
}

/// Uploads, and gives a member of the bundle; empty where there is none.
fn archived(sandbox: &Sandbox) -> impl Fn(&str) -> String {
    let id = id(&upload(sandbox, "", 0));
    let bundle = sandbox.path(&format!(".larder/archive/bundles/{id}.tar.zst"));
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("sh")
        .args(["-c", "zstd -dc \"$1\" | tar xf - -C \"$2\"", "sh"])
        .args([&bundle, folder.path()])
        .status()
        .unwrap();
    assert!(unpacked.success());
    move |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}

fn manifest(member: &dyn Fn(&str) -> String, task: &str) -> Value {
    let manifests: Value = serde_json::from_str(&member("manifests.json")).unwrap();
    manifests["tasks"][task].clone()
}

fn digest(content: &str) -> String {
    blake3::hash(content.as_bytes()).to_hex().to_string()
}

#[test]
fn what_failed_and_what_is_never_cached_is_archived_with_what_it_read_and_printed() {
    let sandbox = workspace();
    assert_eq!(sandbox.larder("check lint --continue").code, 4);
    let member = archived(&sandbox);
    assert_eq!(member("logs/.#check.log"), "checking\nchecked\n");
    assert_eq!(member("logs/.#lint.log"), "looking\nit is wrong\n");
    for task in [".#check", ".#lint"] {
        let manifest = manifest(&member, task);
        let input = &manifest["inputs"]["check.txt"]["digest"];
        assert_eq!(*input, digest("checked\n"), "{task}");
    }
    // What a later run of other tasks archives holds nothing of it, and a later success replaces it.
    assert_eq!(sandbox.larder("compile").code, 0);
    assert_eq!(archived(&sandbox)("logs/.#lint.log"), "");
    let mended = CONFIG.replace("exit 4", "exit 0");
    sandbox.write("larder.toml", &mended);
    assert_eq!(sandbox.larder("lint").code, 0);
    sandbox.write("larder.toml", CONFIG);
    let member = archived(&sandbox);
    assert_eq!(member("logs/.#lint.log"), "looking\nit is wrong\n");
    assert_eq!(member("logs/.#check.log"), "");
}

#[test]
fn chunks_are_archived_with_their_sources_and_logs() {
    let sandbox = workspace();
    assert_eq!(sandbox.larder("compile").code, 0);
    let member = archived(&sandbox);
    assert_eq!(member("logs/.#compile[src/a.c].log"), "of a.c\n");
    let compile = manifest(&member, ".#compile");
    assert_eq!(compile["inputs"]["src/b.c"]["digest"], digest("b\n"));
    assert_eq!(compile["outputs"]["out/b.o"]["digest"], digest("b\n"));

    let same = sandbox.larder("explain compile --against latest");
    let words = ".#compile: nothing it rests on differs";
    assert!(same.stdout.contains(words), "{}", same.all());
    sandbox.write("src/b.c", "bad\n");
    sandbox.write("src/c.c", "c\n");
    let other = json(&sandbox.larder("explain compile --against latest --json"));
    let paths = other["differences"].as_array().unwrap().iter();
    let paths: Vec<&str> = paths.map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["src/b.c", "src/c.c"], "{other:#}");

    assert_eq!(sandbox.larder("compile --continue").code, 1);
    let member = archived(&sandbox);
    assert_eq!(member("logs/.#compile[src/b.c].log"), "of b.c\n");
    assert_eq!(member("logs/.#compile[src/a.c].log"), "of a.c\n");
}

#[test]
fn phases_of_the_run_and_times_of_tasks_are_metrics() {
    let sandbox = workspace();
    assert_eq!(sandbox.larder("check compile").code, 0);
    let entry = upload(&sandbox, "", 0)["entry"].clone();
    let phases = entry["phase_timings"].as_object().unwrap();
    assert!(phases.contains_key("commands"), "{phases:?}");
    assert!(phases.contains_key("fingerprint"), "{phases:?}");
    for (name, seconds) in phases {
        let metric = &entry["metrics"][format!("timing.phase.{name}")];
        assert_eq!(metric, seconds, "{name}");
    }
    let check = &entry["metrics"]["timing.task.check"];
    let tasks = entry["run_record"]["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|task| task["task"] == ".#check").unwrap();
    assert_eq!(check, &task["seconds"]);
}

#[test]
fn a_task_that_became_slower_beyond_its_noise_is_rejected() {
    let gates = "[archive.gates]\ntiming-regressions = \"reject\"\n";
    let sandbox = workspace();
    sandbox.write("larder.toml", &format!("{CONFIG}{gates}"));
    assert_eq!(sandbox.larder("check").code, 0);
    upload(&sandbox, "", 0);
    // The history goes on as if the task had been run again and again: steady at first, and slow in the end.
    let path = sandbox.path(".larder/history.db");
    let history = History::open(&path, &Options::default()).unwrap().history;
    let run = history.runs_with_tasks(1).unwrap().remove(0);
    let later = |at: u64, ms: u64| {
        let mut run = run.clone();
        run.id = format!("later-{at}");
        run.started += i64::try_from(at).unwrap() * 60_000_000_000;
        run.phases.clear();
        run.tasks[0].duration_ns = ms * 1_000_000;
        history.record(&run).unwrap();
    };
    for at in 1..=20 {
        later(at, 1000 + at % 5);
    }
    upload(&sandbox, "", 0);
    for at in 21..=25 {
        later(at, 1300 + at % 5);
    }
    let rejected = upload(&sandbox, "", 1);
    let gate = rejected["entry"]["gates"].as_array().unwrap().iter();
    let mut gate = gate.filter(|gate| gate["passed"] == false);
    let reason = gate.next().unwrap()["reasons"][0].as_str().unwrap();
    assert!(reason.contains("`.#check`"), "{reason}");
    // It is no gate of a run in which the task took no part.
    assert_eq!(sandbox.larder("compile").code, 0);
    upload(&sandbox, "", 0);
}

#[test]
fn commits_that_are_not_what_was_built_are_told_and_never_signed_or_pushed() {
    let sandbox = workspace();
    let run = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(sandbox.root());
        let identity = [
            ("GIT_AUTHOR_NAME", "t"),
            ("GIT_AUTHOR_EMAIL", "t@example.org"),
            ("GIT_COMMITTER_NAME", "t"),
            ("GIT_COMMITTER_EMAIL", "t@example.org"),
        ];
        let done = command.envs(identity).output().unwrap();
        assert!(done.status.success(), "{program} {words:?}");
    };
    run("git", &["init", "-q", "-b", "main"]);
    let commit = || {
        run("git", &["add", "--all"]);
        run("git", &["commit", "-q", "-m", "all"]);
    };
    sandbox.write(".gitignore", "/out/\n");
    commit();
    assert_eq!(sandbox.larder("compile").code, 0);
    run(
        "openssl",
        &["genpkey", "-algorithm", "ed25519", "-out", "../key.pem"],
    );
    let same = upload(&sandbox, "--attest ../key.pem", 0);
    assert_eq!(same["entry"]["findings"], serde_json::json!([]));
    // Files that no task reads may change.
    sandbox.write("README", "words\n");
    commit();
    upload(&sandbox, "--attest ../key.pem", 0);
    // A file that would be read is new, though none that was read changed.
    sandbox.write("src/new.c", "new\n");
    commit();
    let told = upload(&sandbox, "", 0);
    let finding = told["entry"]["findings"][0]["message"].as_str().unwrap();
    assert_eq!(
        finding,
        "the commits are of now, and .#compile read other files: src/new.c"
    );
    let refused = sandbox.larder("archive upload --attest ../key.pem");
    assert_eq!(refused.code, 3, "{}", refused.all());
    assert!(refused.stderr.contains("src/new.c"), "{}", refused.all());
    let pushing = format!("{CONFIG}[archive.git]\npush = true\n");
    sandbox.write("larder.toml", &pushing);
    let refused = sandbox.larder("archive upload");
    assert_eq!(refused.code, 3, "{}", refused.all());
    assert!(refused.stderr.contains("run again"), "{}", refused.all());
    // As it says.
    assert_eq!(sandbox.larder("compile").code, 0);
    sandbox.write("larder.toml", CONFIG);
    upload(&sandbox, "--attest ../key.pem", 0);
}

#[test]
fn a_run_that_is_archived_twice_is_told() {
    let sandbox = archive::workspace("");
    let id = id(&upload(&sandbox, "", 0));
    let again = sandbox.larder("archive upload");
    assert_eq!(again.code, 0, "{}", again.all());
    let words = format!("this run is archived already, as {id}");
    assert!(again.stderr.contains(&words), "{}", again.stderr);
    assert_eq!(sandbox.larder("build").code, 0);
    let other = sandbox.larder("archive upload");
    assert!(!other.stderr.contains("already"), "{}", other.stderr);
}

#[test]
fn steps_are_drawn() {
    let sandbox = archive::workspace("");
    upload(&sandbox, "", 0);
    upload(&sandbox, "", 0);
    let outcome = sandbox.larder("archive chart --out steps.svg");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let svg = sandbox.read("steps.svg");
    assert!(svg.starts_with("<svg"), "{svg}");
    for words in ["Steps of archive uploads", "index_save"] {
        assert!(svg.contains(words), "{svg}");
    }
    assert_eq!(sandbox.larder("archive chart --out steps.png").code, 0);
    let png = std::fs::read(sandbox.path("steps.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    assert_eq!(sandbox.larder("archive chart --out steps.jpg").code, 2);
    assert_eq!(sandbox.larder("timings report --out report.html").code, 0);
    let page = sandbox.read("report.html");
    assert!(
        page.contains("id=\"uploads\""),
        "the report has them as well"
    );
    let data = json(&sandbox.larder("timings report --json"));
    let uploads = data["uploads"].as_array().unwrap();
    assert_eq!(uploads.len(), 2);
    assert_eq!(uploads[0]["steps"].as_array().unwrap().len(), 9);
}
