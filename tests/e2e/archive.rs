//! `larder archive` on one machine: uploads, gates, lists, differences, verification and restoring.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox, files};

const CONFIG: &str = r#"
[workspace]
[tasks.build]
command = "echo build >> ../ran.log; echo building; mkdir -p dist; cat src.txt > dist/result.txt; echo map > dist/result.map"
inputs = ["src.txt"]
outputs = ["dist/**"]
env = ["MODE"]
[tasks.test]
command = "test -s dist/result.txt"
depends-on = ["build"]
inputs = ["test.txt"]
outputs = []
[archive]
artifacts = ["dist/**", "!**/*.map"]
"#;

pub(super) fn workspace(archive: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("larder.toml", &format!("{CONFIG}{archive}")),
        ("src.txt", "one\n"),
    ]);
    let outcome = sandbox.larder("build test");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    sandbox
}

pub(super) fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", outcome.all()))
}

/// Uploads and gives what was printed, asserting the exit code.
pub(super) fn upload(sandbox: &Sandbox, flags: &str, code: i32) -> Value {
    let outcome = sandbox.larder(&format!("archive upload --json {flags}"));
    assert_eq!(outcome.code, code, "{}", outcome.all());
    let value = json(&outcome);
    assert_eq!(value["exit_code"], code);
    value
}

pub(super) fn id(uploaded: &Value) -> String {
    uploaded["entry"]["id"].as_str().unwrap().to_owned()
}

pub(super) fn listed(sandbox: &Sandbox, flags: &str) -> Vec<String> {
    let outcome = sandbox.larder(&format!("archive list --json {flags}"));
    let value = json(&outcome);
    let entries = value["entries"].as_array().unwrap().iter();
    entries
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

fn bundle(sandbox: &Sandbox, id: &str) -> PathBuf {
    sandbox.path(&format!(".larder/archive/bundles/{id}.tar.zst"))
}

#[test]
fn an_upload_keeps_record_manifests_logs_and_artifacts() {
    let sandbox = workspace("");
    let uploaded = upload(&sandbox, "--tag v1 --trigger ci --note words", 0);
    let entry = &uploaded["entry"];
    assert_eq!(entry["trigger"], "ci");
    assert_eq!(entry["tags"][0], "v1");
    assert_eq!(entry["notes"][0], "words");
    assert_eq!(entry["status"], "accepted");
    assert_eq!(entry["workspace"], "ws");
    let tasks = entry["run_record"]["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2);
    let names: Vec<&Value> = entry["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["dist/result.txt"]);
    let steps: Vec<&str> = uploaded["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "collect",
            "entry_creation",
            "quality_scores",
            "repo_commits",
            "tagging",
            "gate_validation",
            "index_save",
            "sync"
        ]
    );

    // Plain zstd and tar read it.
    let out = std::process::Command::new("sh")
        .arg("-c")
        .arg("zstd -dc \"$1\" | tar xf - -C \"$2\"")
        .args([
            "sh",
            bundle(&sandbox, &id(&uploaded)).to_str().unwrap(),
            sandbox.base().to_str().unwrap(),
        ])
        .status()
        .unwrap();
    assert!(out.success());
    let read = |name: &str| std::fs::read_to_string(sandbox.base().join(name)).unwrap();
    assert_eq!(read("artifacts/dist/result.txt"), "one\n");
    assert_eq!(read("logs/.#build.log"), "building\n");
    let manifests: Value = serde_json::from_str(&read("manifests.json")).unwrap();
    let build = &manifests["tasks"][".#build"];
    assert_eq!(
        build["inputs"]["src.txt"]["digest"],
        blake3::hash(b"one\n").to_hex().as_str()
    );
    assert_eq!(build["outputs"]["dist/result.txt"]["kind"], "file");
    assert_eq!(build["environment"]["MODE"], Value::Null);
    // Nothing is left of the upload but what was kept; all nine steps are timed in the entry.
    assert!(files(&sandbox.path(".larder/archive/uploads")).is_empty());
    let shown = json(&sandbox.larder("archive show v1 --json"));
    assert_eq!(shown["archive_timings"].as_object().unwrap().len(), 9);
}

#[test]
fn steps_are_told_by_their_names() {
    let sandbox = workspace("");
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let names: Vec<&str> = outcome
        .stderr
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        names,
        [
            "collect",
            "entry_creation",
            "quality_scores",
            "repo_commits",
            "tagging",
            "gate_validation",
            "index_save",
            "sync",
            "porcelain"
        ]
    );
    assert!(outcome.stdout.contains(" is kept\n"), "{}", outcome.stdout);
}

#[test]
fn without_a_run_there_is_nothing_to_archive() {
    let sandbox = Sandbox::new(&[("larder.toml", CONFIG), ("src.txt", "one\n")]);
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("run some tasks first"),
        "{}",
        outcome.stderr
    );
    assert!(!sandbox.exists(".larder/archive"));
}

#[test]
fn dry_says_what_would_be_and_does_nothing() {
    let sandbox = workspace("[archive.gates]\ntasks = [\"test\"]\n");
    let outcome = sandbox.larder("archive upload --dry --tag v9");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    for words in ["1 artifact (4 B)", "gate      task test", "tags      v9"] {
        assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
    }
    assert!(!sandbox.exists(".larder/archive"));
}

#[test]
fn lists_are_filtered() {
    let sandbox = workspace("");
    let first = id(&upload(&sandbox, "--tag v1", 0));
    let second = id(&upload(&sandbox, "--trigger ci", 0));
    assert_eq!(listed(&sandbox, ""), [second.clone(), first.clone()]);
    for (flags, expected) in [
        ("--tag v1", vec![first.clone()]),
        ("--trigger ci", vec![second.clone()]),
        ("--project .", vec![second.clone(), first.clone()]),
        ("--project web", vec![]),
        ("--since 1h", vec![second.clone(), first]),
        ("--before 1h", vec![]),
        ("-n 1", vec![second]),
    ] {
        assert_eq!(listed(&sandbox, flags), expected, "{flags}");
    }
    let outcome = sandbox.larder("archive list --since soon");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("2026-01-31"), "{}", outcome.stderr);
    let outcome = sandbox.larder("archive show none");
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.stderr.contains("no entry has the id or tag `none`"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_difference_names_what_caused_it() {
    let sandbox = workspace("");
    upload(&sandbox, "--tag old", 0);
    sandbox.write("src.txt", "two\n");
    let outcome = sandbox.larder_env("build test", &[("MODE", "hush-hush")]);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let new = upload(&sandbox, "", 0);
    let outcome = sandbox.larder("archive diff old latest");
    for line in [
        ".#build\n",
        "  input src.txt was edited\n",
        "  variable MODE was not set, and is\n",
        "  output dist/result.txt was edited\n",
        "  dist/result.txt changed\n",
    ] {
        assert!(outcome.stdout.contains(line), "{}", outcome.stdout);
    }
    let value = json(&sandbox.larder("archive diff old latest --json"));
    assert_eq!(value["after"], new["entry"]["id"]);
    assert_eq!(
        sandbox.larder("archive diff old old").stdout,
        "nothing differs\n"
    );
    // No value of a variable is in anything that was kept.
    for file in files(&sandbox.path(".larder")) {
        let bytes = std::fs::read(&file).unwrap();
        let bytes = if file.to_string_lossy().ends_with(".zst") {
            let output = std::process::Command::new("zstd")
                .arg("-dc")
                .arg(&file)
                .output()
                .unwrap();
            output.stdout
        } else {
            bytes
        };
        let found = bytes.windows(9).any(|window| window == b"hush-hush");
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn damage_is_found() {
    let sandbox = workspace("");
    let id = id(&upload(&sandbox, "", 0));
    let outcome = sandbox.larder("archive verify");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let path = bundle(&sandbox, &id);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for line in ["archive verify", "archive verify latest"] {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        assert!(
            outcome.stdout.contains(&format!("bundles/{id}.tar.zst: ")),
            "{}",
            outcome.stdout
        );
    }
    // What is damaged is not restored.
    sandbox.remove("dist");
    let outcome = sandbox.larder("archive restore latest");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(!sandbox.exists("dist"));
}

#[test]
fn artifacts_are_restored_and_nothing_of_the_user_is_lost() {
    let sandbox = workspace("");
    upload(&sandbox, "--tag v1", 0);
    sandbox.write("src.txt", "two\n");
    assert_eq!(sandbox.larder("build").code, 0);
    let outcome = sandbox.larder("archive restore v1");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(outcome.stderr.contains("--replace"), "{}", outcome.stderr);
    assert_eq!(sandbox.read("dist/result.txt"), "two\n");
    // Elsewhere, or with the other file moved away.
    assert_eq!(sandbox.larder("archive restore v1 --to ../there").code, 0);
    let there = sandbox.base().join("there/dist/result.txt");
    assert_eq!(std::fs::read_to_string(there).unwrap(), "one\n");
    let value = json(&sandbox.larder("archive restore v1 --replace --json"));
    assert_eq!(sandbox.read("dist/result.txt"), "one\n");
    let rescued = value["rescued"][0]["to"].as_str().unwrap();
    let rescued = rescued.replace("[DIR]", sandbox.base().to_str().unwrap());
    assert_eq!(std::fs::read_to_string(rescued).unwrap(), "two\n");
    let outcome = sandbox.larder("archive restore v1 *.map");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
}

#[test]
fn a_bundle_or_folder_of_another_machine_is_enough() {
    let sandbox = workspace("");
    let id = id(&upload(&sandbox, "--tag v1", 0));
    let copy = sandbox.base().join("copied.tar.zst");
    std::fs::copy(bundle(&sandbox, &id), copy).unwrap();
    let there = sandbox.base().join("there");
    std::fs::create_dir(&there).unwrap();
    let run = |line: &str| sandbox.run(sandbox.command_in(&there).args(line.split(' ')));
    let outcome = run("archive --dir ../ws/.larder/archive list");
    assert!(outcome.stdout.contains(&id), "{}", outcome.all());
    let outcome = run("archive --dir ../ws/.larder/archive restore ../copied.tar.zst --to .");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(
        std::fs::read_to_string(there.join("dist/result.txt")).unwrap(),
        "one\n"
    );
    let outcome = run("archive list");
    assert_eq!(outcome.code, 2);
    // A bundle needs neither an archive nor a workspace.
    let outcome = run("archive restore ../copied.tar.zst --to ../elsewhere");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(run("archive show ../copied.tar.zst").stdout.contains(&id));
    let same = run("archive diff ../copied.tar.zst ../copied.tar.zst");
    assert_eq!(same.stdout, "nothing differs\n", "{}", same.all());
}

#[test]
fn artifacts_that_were_edited_since_are_named() {
    let sandbox = workspace("");
    sandbox.write("dist/result.txt", "edited\n");
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 0);
    let words = "`dist/result.txt` is not as .#build left it";
    assert!(outcome.stdout.contains(words), "{}", outcome.all());
}

#[test]
fn prune_keeps_what_is_tagged_and_the_last_accepted() {
    let sandbox = workspace("[archive.keep]\ncount = 1\n");
    let mut ids: Vec<String> = ["--tag v1", "", "", ""]
        .iter()
        .map(|flags| id(&upload(&sandbox, flags, 0)))
        .collect();
    let value = json(&sandbox.larder("archive prune --dry --json"));
    assert_eq!(value["entries"], serde_json::json!(ids[1..3]));
    assert_eq!(listed(&sandbox, "").len(), 4);
    assert_eq!(sandbox.larder("archive prune").code, 0);
    ids.drain(1..3);
    ids.reverse();
    assert_eq!(listed(&sandbox, ""), ids);
    assert!(!bundle(&sandbox, value["entries"][0].as_str().unwrap()).exists());
}

#[test]
fn two_uploads_at_once_are_two_entries() {
    let sandbox = workspace("");
    let children: Vec<_> = (0..2)
        .map(|_| {
            sandbox
                .command()
                .args(["archive", "upload"])
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(listed(&sandbox, "").len(), 2);
    assert_eq!(sandbox.larder("archive verify").code, 0);
}

#[test]
fn two_uploads_that_are_both_under_way_are_two_entries() {
    let sandbox = workspace(
        "[archive.gates.metrics.meeting]\ncommand = \"echo here > ../arrived; read line < ../go; echo 1\"\nmax = 1\n",
    );
    let fifo = |name: &str| {
        let path = sandbox.base().join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        // Open at both ends, it waits for nobody and loses nothing.
        std::fs::File::options().read(true).write(true).open(path)
    };
    let (arrived, mut go) = (fifo("arrived").unwrap(), fifo("go").unwrap());
    let children: Vec<_> = ["one", "two"]
        .iter()
        .map(|tag| {
            sandbox
                .command()
                .args(["archive", "upload", "--tag", tag])
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut arrived = std::io::BufReader::new(arrived).lines();
    for _ in 0..2 {
        assert_eq!(arrived.next().unwrap().unwrap(), "here");
    }
    // Neither is done: both are listed as under way, and none as an entry.
    let status = json(&sandbox.larder("archive status --json"));
    assert_eq!(status["uploads"].as_array().unwrap().len(), 2, "{status}");
    assert!(listed(&sandbox, "").is_empty());
    go.write_all(b"go\ngo\n").unwrap();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for tag in ["one", "two"] {
        assert_eq!(listed(&sandbox, &format!("--tag {tag}")).len(), 1);
    }
    assert_eq!(listed(&sandbox, "").len(), 2);
    assert_eq!(sandbox.larder("archive verify").code, 0);
    let status = json(&sandbox.larder("archive status --json"));
    assert_eq!(status["uploads"], serde_json::json!([]));
}

#[test]
fn a_task_is_held_against_an_archived_run() {
    let sandbox = workspace("");
    let id = id(&upload(&sandbox, "--tag v1", 0));
    let outcome = sandbox.larder("explain test --against v1");
    assert!(
        outcome
            .stdout
            .contains(".#test: nothing it rests on differs"),
        "{}",
        outcome.all()
    );
    sandbox.write("src.txt", "two\n");
    let outcome = sandbox.run(
        sandbox
            .command()
            .args(["explain", "test", "--against", "v1"])
            .env("MODE", "x"),
    );
    for words in [
        &format!(".#build: since entry {id}\n"),
        "  input src.txt was edited\n",
        "  variable MODE was not set, and is\n",
    ] {
        assert!(outcome.stdout.contains(words), "{}", outcome.all());
    }
    // A clone with a secret of its own, and a bundle from here.
    let clone = sandbox.base().join("clone");
    std::fs::create_dir(&clone).unwrap();
    for name in ["larder.toml", "src.txt"] {
        std::fs::copy(sandbox.path(name), clone.join(name)).unwrap();
    }
    let copy = sandbox.base().join("copied.tar.zst");
    std::fs::copy(bundle(&sandbox, &id), copy).unwrap();
    let outcome = sandbox.run(sandbox.command_in(&clone).args([
        "explain",
        "build",
        "--against",
        "../copied.tar.zst",
        "--json",
    ]));
    let value = json(&outcome);
    assert_eq!(value["entry"], id.as_str());
    assert_eq!(value["differences"][0]["path"], "src.txt", "{value:#}");
    let outcome = sandbox.larder("explain test --against v2");
    assert_eq!(outcome.code, 2);
}
