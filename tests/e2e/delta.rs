//! The delta of a run, applied elsewhere, leaves there what a full rebuild makes, and Larder knows it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::sandbox::{Outcome, Sandbox};

mod beside;
mod chunks;
mod known;

/// Copies each source, links and empty folders beside; a second task packs what the first made.
const CONFIG: &str = "\
[tasks.build]
command = \"\"\"
echo build >> ../ran.log
mkdir -p out
for file in src/*; do name=$(basename $file); mkdir -p out/$name.d; cat $file > out/$name.d/copy; chmod 6$(head -c 2 $file) out/$name.d/copy; done
ls src > out/list
ln -s list out/link-$(ls src | wc -l)
mkdir -p out/empty-$(ls src | wc -l)
\"\"\"
inputs = [\"src/**\"]
outputs = [\"out/**\"]

[tasks.pack]
command = \"echo pack >> ../ran.log; mkdir -p dist; cat out/*/copy > dist/all\"
depends-on = [\"build\"]
inputs = []
outputs = [\"dist/**\"]
";

/// The sources before and after; each begins with the last digits of its copy's mode.
const OLD: [(&str, &str); 3] = [
    ("src/a", "44 a"),
    ("src/b", "40 b"),
    ("src/gone", "44 gone"),
];
const NEW: [(&str, &str); 4] = [
    ("src/a", "44 a"),
    ("src/b", "55 b"),
    ("src/new", "00 new"),
    ("src/z", "44 z"),
];

fn clone_of(config: &str, sources: &[(&str, &str)]) -> Sandbox {
    let mut files = vec![("larder.toml", config)];
    files.extend(sources);
    Sandbox::new(&files)
}

fn change(sandbox: &Sandbox) {
    sandbox.remove("src");
    for (path, text) in NEW {
        sandbox.write(path, text);
    }
}

/// Every path below the outputs, with kind, mode and content.
fn outputs(sandbox: &Sandbox) -> BTreeMap<String, (u32, Vec<u8>)> {
    fn walk(base: &Path, dir: &Path, found: &mut BTreeMap<String, (u32, Vec<u8>)>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let content = if stat.is_symlink() {
                let text = std::fs::read_link(&path).unwrap();
                text.into_os_string().into_encoded_bytes()
            } else if stat.is_dir() {
                walk(base, &path, found);
                Vec::new()
            } else {
                std::fs::read(&path).unwrap()
            };
            let name = path
                .strip_prefix(base)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            found.insert(name, (stat.mode(), content));
        }
    }
    let mut found = BTreeMap::new();
    for name in ["out", "dist"] {
        walk(&sandbox.root(), &sandbox.path(name), &mut found);
    }
    found
}

/// A clone that was built from the old sources and then, with a delta, from the new ones.
fn writer(config: &str) -> Sandbox {
    let sandbox = clone_of(config, &OLD);
    sandbox.larder("pack");
    change(&sandbox);
    let outcome = sandbox.larder("pack --write-delta ../delta");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    sandbox
}

fn apply(sandbox: &Sandbox, delta: &Path) -> Outcome {
    let mut command = sandbox.command();
    command.args(["cache", "apply-delta"]).arg(delta);
    sandbox.run(&mut command)
}

fn manifest(delta: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(delta.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn another_clone_with_the_old_outputs_gets_those_of_a_full_rebuild_and_is_up_to_date() {
    let one = writer(CONFIG);
    let full = clone_of(CONFIG, &NEW);
    full.larder("pack");
    let two = clone_of(CONFIG, &OLD);
    two.larder("pack");
    change(&two);
    two.ran();
    let delta = one.base().join("delta");
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stdout.contains("4 added, 3 changed and 3 removed"),
        "{}",
        outcome.all()
    );
    assert_eq!(outputs(&two), outputs(&full));
    assert_eq!(outputs(&one), outputs(&full));
    assert!(!two.exists(".larder/rescued"));
    // Another cache than the writer's: nothing could be restored.
    let statuses = two.statuses("pack", 0);
    assert!(
        statuses.values().all(|status| status == "up-to-date"),
        "{statuses:?}"
    );
    assert!(two.ran().is_empty());
    // What was applied is the tasks' own: the next build replaces it.
    two.write("src/b", "44 b again");
    assert_eq!(two.statuses("pack", 0)[".#build"], "ran");
    assert!(!two.exists(".larder/rescued"));
    assert_eq!(two.read("out/b.d/copy"), "44 b again");
}

#[test]
fn a_copy_of_the_outputs_without_any_state_does_as_well() {
    let old = clone_of(CONFIG, &OLD);
    old.larder("pack");
    let one = writer(CONFIG);
    let full = clone_of(CONFIG, &NEW);
    full.larder("pack");
    let two = clone_of(CONFIG, &NEW);
    let mut copy = std::process::Command::new("cp");
    copy.arg("-a")
        .args([old.path("out"), old.path("dist")])
        .arg(two.root());
    assert!(copy.status().unwrap().success());
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(outputs(&two), outputs(&full));
    assert!(!two.exists(".larder/rescued"), "{}", outcome.all());
    assert_eq!(two.statuses("pack", 0)[".#pack"], "up-to-date");
    assert!(two.ran().is_empty());
}

#[test]
fn applying_twice_changes_nothing_more_and_says_so_as_json() {
    let one = writer(CONFIG);
    let two = clone_of(CONFIG, &OLD);
    two.larder("pack");
    let delta = one.base().join("delta");
    let json = |sandbox: &Sandbox| -> serde_json::Value {
        let mut command = sandbox.command();
        command.args(["cache", "apply-delta", "--json"]).arg(&delta);
        let outcome = sandbox.run(&mut command);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    let first = json(&two);
    assert_eq!(first["written"], 7);
    assert_eq!(first["units"][0]["name"], ".#build");
    assert_eq!(first["units"][0]["status"], "applied");
    let there = outputs(&two);
    let second = json(&two);
    assert_eq!(
        (&second["written"], &second["deleted"]),
        (&0.into(), &0.into())
    );
    assert_eq!(outputs(&two), there);
    // The sources here are the old ones still: what was applied is not taken for theirs.
    assert_eq!(two.statuses("pack", 0)[".#build"], "restored");
    assert_eq!(two.read("out/gone.d/copy"), "44 gone");
}

#[test]
fn a_users_file_in_the_way_is_moved_aside_and_named() {
    let one = writer(CONFIG);
    let two = clone_of(CONFIG, &OLD);
    two.larder("pack");
    two.write("out/list", "my list");
    two.write("out/gone.d/copy", "my copy");
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(outputs(&two), outputs(&one));
    assert_eq!(two.read(".larder/rescued/out/list"), "my list");
    assert_eq!(two.read(".larder/rescued/out/gone.d/copy"), "my copy");
    assert!(
        outcome
            .stderr
            .contains("rescued to .larder/rescued/out/list"),
        "{}",
        outcome.all()
    );
}

#[test]
fn another_state_than_the_one_it_was_made_from_is_said_and_not_taken_for_right() {
    let one = writer(CONFIG);
    let two = clone_of(CONFIG, &NEW);
    // `out/a.d/copy` is not part of the delta, as nothing changed there.
    two.write("src/a", "44 other");
    two.larder("pack");
    change(&two);
    two.ran();
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stdout.contains(".#build is not what was built"),
        "{}",
        outcome.all()
    );
    assert_eq!(two.statuses("pack", 0)[".#build"], "ran");
    assert_eq!(outputs(&two), outputs(&one));
    assert!(!two.exists(".larder/rescued"));
}

#[test]
fn a_damaged_or_incomplete_delta_is_refused_and_nothing_is_written() {
    let one = writer(CONFIG);
    let two = clone_of(CONFIG, &OLD);
    two.larder("pack");
    let before = outputs(&two);
    let delta = one.base().join("delta");
    for name in ["manifest.json", "contents.tar.zst"] {
        let path = delta.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [Some(flipped), Some(whole[..whole.len() - 1].to_vec()), None] {
            std::fs::remove_file(&path).unwrap();
            if let Some(bytes) = bytes {
                std::fs::write(&path, bytes).unwrap();
            }
            let outcome = apply(&two, &delta);
            assert_eq!(outcome.code, 1, "{}", outcome.all());
            assert!(
                outcome.stderr.contains("nothing was written"),
                "{}",
                outcome.all()
            );
            assert_eq!(outputs(&two), before);
            std::fs::write(&path, &whole).unwrap();
        }
    }
    assert_eq!(two.statuses("pack", 0)[".#build"], "up-to-date");
    assert!(!two.exists(".larder/rescued"));
    assert_eq!(apply(&two, &delta).code, 0);
    assert_eq!(apply(&two, &one.base().join("nowhere")).code, 2);
}

#[test]
fn the_first_run_adds_everything_and_an_idle_one_nothing() {
    let one = clone_of(CONFIG, &OLD);
    assert_eq!(one.larder("pack --write-delta ../first").code, 0);
    let first = manifest(&one.base().join("first"));
    assert_eq!(first["units"][0]["before"], serde_json::Value::Null);
    assert_eq!(first["units"][0]["added"].as_array().unwrap().len(), 6);
    let outcome = one.larder("pack --write-delta ../idle");
    assert!(
        outcome
            .stderr
            .contains("delta: 0 added, 0 changed, 0 removed"),
        "{}",
        outcome.all()
    );
    let idle = manifest(&one.base().join("idle"));
    assert_eq!(idle["units"][0]["unchanged"], 6);
    assert_eq!(idle["archive"], serde_json::Value::Null);
    // A place that has nothing yet, and one that has an earlier state of its own.
    for sources in [&OLD[..], &NEW[..]] {
        let two = clone_of(CONFIG, sources);
        if sources == NEW {
            two.larder("pack");
        }
        for (path, text) in OLD {
            two.write(path, text);
        }
        for path in ["src/new", "src/z"] {
            let _ = std::fs::remove_file(two.path(path));
        }
        two.ran();
        let outcome = apply(&two, &one.base().join("first"));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(outputs(&two), outputs(&one));
        assert!(!two.exists(".larder/rescued"));
        assert_eq!(apply(&two, &one.base().join("idle")).code, 0);
        assert_eq!(two.statuses("pack", 0)[".#pack"], "up-to-date");
        assert!(two.ran().is_empty());
    }
}

#[test]
fn a_task_that_failed_or_whose_outputs_stay_is_left_out_by_name() {
    let config = format!(
        "{CONFIG}
[tasks.broken]
command = \"cp src/a broken.txt; exit 3\"
outputs = [\"broken.txt\"]
[tasks.install]
command = \"cp src/a installed.txt\"
outputs = [\"installed.txt\"]
store = false
[tasks.silent]
command = \"true\"
"
    );
    let one = clone_of(&config, &OLD);
    let outcome = one.larder("install silent pack broken --continue --write-delta ../delta");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    let delta = one.base().join("delta");
    let told = manifest(&delta);
    let names = |list: &str| -> Vec<&str> {
        told[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|unit| unit["name"].as_str().unwrap())
            .collect()
    };
    assert_eq!(names("units"), [".#build", ".#pack"]);
    assert_eq!(names("left_out"), [".#broken", ".#install", ".#silent"]);
    assert_eq!(told["left_out"][0]["why"], "it failed");
    let two = clone_of(&config, &OLD);
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome
            .stdout
            .contains(".#broken is not part of it: it failed"),
        "{}",
        outcome.all()
    );
    assert_eq!(outputs(&two), outputs(&one));
    assert!(!two.exists("broken.txt") && !two.exists("installed.txt"));
}

#[test]
fn after_a_failed_run_all_outputs_are_added_since_nobody_else_was_there() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("pack");
    let broken = CONFIG.replace("ls src > out/list\n", "ls src > out/list\nexit 4\n");
    change(&one);
    one.write("larder.toml", &broken);
    assert_eq!(one.larder("pack").code, 4);
    one.write("larder.toml", CONFIG);
    assert_eq!(one.larder("pack --write-delta ../delta").code, 0);
    let delta = one.base().join("delta");
    assert_eq!(
        manifest(&delta)["units"][0]["before"],
        serde_json::Value::Null
    );
    let two = clone_of(CONFIG, &OLD);
    two.larder("pack");
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(outputs(&two), outputs(&one));
    assert!(!two.exists(".larder/rescued"));
}

#[test]
fn a_folder_that_holds_something_is_an_error_before_anything_runs() {
    let one = clone_of(CONFIG, &OLD);
    std::fs::create_dir(one.base().join("taken")).unwrap();
    std::fs::write(one.base().join("taken/mine"), "mine").unwrap();
    std::fs::write(one.base().join("file"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", one.base().join("dangling")).unwrap();
    for place in ["../taken", "../file", "../dangling"] {
        let outcome = one.larder(&format!("pack --write-delta {place}"));
        assert_eq!(outcome.code, 2, "{}", outcome.all());
        assert!(outcome.stderr.contains("new or empty"), "{}", outcome.all());
    }
    assert!(one.ran().is_empty());
    let outcome = one.larder("pack --dry --write-delta ../delta");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    // Relative to where the user stands, and an empty folder is fine.
    std::fs::create_dir(one.path("src/delta")).unwrap();
    let mut command = one.command_in(&one.path("src"));
    command.args(["run", "pack", "--write-delta", "../../delta"]);
    assert_eq!(one.run(&mut command).code, 0);
    assert!(one.base().join("delta/manifest.json").exists());
}

#[test]
fn outputs_that_hold_the_roots_path_go_no_further_than_this_root() {
    let config = "[tasks.build]\ncommand = \"echo build >> ../ran.log; pwd > out.txt\"\noutputs = [\"out.txt\"]\n";
    let (one, two) = (clone_of(config, &[]), clone_of(config, &[]));
    one.larder("build --write-delta ../delta");
    let delta = one.base().join("delta");
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stdout.contains(".#build was left alone"),
        "{}",
        outcome.all()
    );
    assert!(!two.exists("out.txt"));
    one.ran();
    one.remove("out.txt");
    one.remove(".larder");
    assert_eq!(apply(&one, &delta).code, 0);
    assert_eq!(one.statuses("build", 0)[".#build"], "up-to-date");
    assert!(one.ran().is_empty());
}

#[test]
fn a_delta_of_another_workspace_touches_nothing() {
    let one = writer(CONFIG);
    let config = CONFIG
        .replace("tasks.build]", "tasks.other]")
        .replace("\"build\"", "\"other\"");
    let two = clone_of(&config.replace("dist/", "elsewhere/"), &OLD);
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(outcome.stdout.contains("no such task"), "{}", outcome.all());
    assert!(
        outcome.stdout.contains("not declared here"),
        "{}",
        outcome.all()
    );
    assert!(outputs(&two).is_empty());
    assert!(!two.exists("elsewhere"));
}

#[test]
fn a_log_of_an_earlier_success_is_not_shown_as_that_of_the_new_one() {
    let config = "[tasks.build]\ncommand = \"cat src/a; cp src/a out.txt\"\ninputs = [\"src/a\"]\noutputs = [\"out.txt\"]\n";
    let (one, two) = (clone_of(config, &OLD), clone_of(config, &OLD));
    for sandbox in [&one, &two] {
        sandbox.larder("build");
        sandbox.write("src/a", "44 fresh");
    }
    one.larder("build --write-delta ../delta");
    assert_eq!(apply(&two, &one.base().join("delta")).code, 0);
    let outcome = two.larder("build");
    assert!(outcome.stderr.contains("up to date"), "{}", outcome.all());
    assert!(!outcome.stdout.contains("44 a"), "{}", outcome.all());
}
