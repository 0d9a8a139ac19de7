//! Deliveries to mirrors that meet trouble: damaged notes, changed mirrors, killed processes, and people who wait for them.
//! `archive_mirrors.rs` has those that go well.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::archive_mirrors::{count, drive, json, status, until, workspace};
use crate::processes::wait_for;
use crate::sandbox::{Sandbox, files};

fn outbox(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(".larder/archive/outbox")
}

/// Keeps every drain away: whoever comes takes this test for one.
fn hold(sandbox: &Sandbox) -> File {
    std::fs::create_dir_all(outbox(sandbox)).unwrap();
    let lock = File::create(outbox(sandbox).join("lock")).unwrap();
    lock.lock().unwrap();
    lock
}

fn upload(sandbox: &Sandbox) -> String {
    let outcome = sandbox.larder("archive upload --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    json(&outcome)["entry"]["id"].as_str().unwrap().to_owned()
}

fn arrived(mirror: &Path, id: &str) -> bool {
    let entry = || std::fs::read_dir(mirror.join("entries")).ok();
    let is_of = |name: std::ffi::OsString| name.to_str().unwrap().starts_with(id);
    mirror.join(format!("bundles/{id}.tar.zst")).exists()
        && entry().is_some_and(|mut all| all.any(|one| is_of(one.unwrap().file_name())))
}

/// No process delivers any more, so the folder may go.
fn ended(sandbox: &Sandbox) {
    until("the end", || {
        !sandbox
            .larder("archive status --json")
            .stdout
            .contains("\"working\": true")
    });
}

/// The processes that deliver for this sandbox.
fn drains(sandbox: &Sandbox) -> Vec<Pid> {
    let root = sandbox.root().display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter_map(|one| {
        let pid = one.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(one.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_drain = words.contains(&root.as_bytes()) && words.contains(&&b"drain"[..]);
        is_drain.then(|| Pid::from_raw(pid)).flatten()
    })
    .collect()
}

#[test]
fn a_damaged_delivery_holds_its_entry_and_is_noted_anew() {
    let sandbox = workspace("");
    let lock = hold(&sandbox);
    let first = upload(&sandbox);
    let pending = files(&outbox(&sandbox).join("pending"));
    assert_eq!(pending.len(), 1);
    std::fs::write(&pending[0], "garbage").unwrap();
    let second = upload(&sandbox);
    let outcome = sandbox.larder("archive status");
    assert!(outcome.stdout.contains(&first), "{}", outcome.all());
    assert!(
        outcome
            .stdout
            .contains("`larder archive sync` notes it anew"),
        "{}",
        outcome.all()
    );
    assert_eq!(status(&sandbox)["damaged"][0]["entry"], first.as_str());
    // Neither what it is about nor, where its name does not tell, anything that no mirror is known to have is pruned.
    let prunes = || {
        let outcome = sandbox.larder("archive prune --count 1 --dry --json");
        json(&outcome)["entries"].as_array().unwrap().len()
    };
    assert_eq!(prunes(), 0);
    let nameless = outbox(&sandbox).join("pending/nameless");
    std::fs::rename(&pending[0], &nameless).unwrap();
    assert_eq!(prunes(), 0);
    std::fs::rename(&nameless, &pending[0]).unwrap();
    drop(lock);

    std::fs::create_dir(drive(&sandbox)).unwrap();
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    for id in [&first, &second] {
        assert!(arrived(&drive(&sandbox).join("larder"), id), "{id}");
    }
    assert_eq!(count(&status(&sandbox), "damaged"), 0);
    assert_eq!(prunes(), 1);
    ended(&sandbox);
}

#[test]
fn a_damaged_delivery_that_says_nothing_counts_as_not_delivered() {
    let sandbox = workspace("");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    assert_eq!(sandbox.larder("archive upload --wait").code, 0);
    let junk = outbox(&sandbox).join("pending/junk");
    std::fs::write(&junk, "garbage").unwrap();
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(
        outcome.stdout.contains("delete the file"),
        "{}",
        outcome.all()
    );
    std::fs::remove_file(junk).unwrap();
    assert_eq!(sandbox.larder("archive sync").code, 0);
    ended(&sandbox);
}

#[test]
fn sync_brings_a_mirror_what_it_does_not_have() {
    let sandbox = workspace("");
    let config = sandbox.read("larder.toml");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    assert_eq!(sandbox.larder("archive upload --wait").code, 0);
    sandbox.write(
        "larder.toml",
        &format!("{config}[tasks.lint]\ncommand = \"true\"\noutputs = []\n[archive.gates]\ntasks = [\"lint\"]\n"),
    );
    assert_eq!(sandbox.larder("build").code, 0);
    assert_eq!(sandbox.larder("archive upload --wait").code, 1);
    // One mirror lost all it had, another is new.
    std::fs::remove_dir_all(drive(&sandbox).join("larder")).unwrap();
    sandbox.write(
        "larder.toml",
        &format!("{config}[archive.mirrors.late]\nfolder = \"~/drive/late\"\n"),
    );
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    for mirror in ["larder", "late"] {
        let outcome = sandbox.larder(&format!("archive --dir ../drive/{mirror} list --json"));
        let listed = json(&outcome);
        let listed = listed
            .as_array()
            .or_else(|| listed["entries"].as_array())
            .unwrap();
        assert_eq!(listed.len(), 1, "{}", outcome.all());
        assert_eq!(listed[0]["status"], "accepted");
        let outcome = sandbox.larder(&format!("archive --dir ../drive/{mirror} verify"));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
    }
    // Nothing is left to do.
    let before = files(&drive(&sandbox));
    assert_eq!(sandbox.larder("archive sync").code, 0);
    assert_eq!(files(&drive(&sandbox)), before);
    // A mirror that is away says so.
    std::fs::rename(drive(&sandbox), sandbox.base().join("away")).unwrap();
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(outcome.stderr.contains("mirror drive"), "{}", outcome.all());
    assert!(outcome.stderr.contains("mirror late"), "{}", outcome.all());
    ended(&sandbox);
}

#[test]
fn what_was_noted_for_a_mirror_that_is_configured_no_more_is_given_up() {
    let sandbox = workspace("");
    let lock = hold(&sandbox);
    upload(&sandbox);
    let config = sandbox.read("larder.toml");
    let (config, _) = config.split_once("[archive.mirrors").unwrap();
    sandbox.write("larder.toml", config);
    assert_eq!(count(&status(&sandbox), "pending"), 1);
    drop(lock);
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stderr.contains("mirror drive"), "{}", outcome.all());
    let outcome = sandbox.larder("archive sync");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(outcome.stdout, "nothing is on its way\n");
    assert!(files(&sandbox.path(".larder/archive/outgoing")).is_empty());
    ended(&sandbox);
}

#[test]
fn what_killed_puts_left_long_ago_goes_and_young_ones_stay() {
    let sandbox = workspace("");
    let mirror = drive(&sandbox).join("larder");
    let outgoing = sandbox.path(".larder/archive/outgoing");
    for folder in [&mirror, &outgoing] {
        std::fs::create_dir_all(folder).unwrap();
        for (name, days) in [(".put-old", 2), (".put-young", 0), (".other", 2)] {
            let file = File::create(folder.join(name)).unwrap();
            let age = Duration::from_hours(24) * days;
            file.set_modified(SystemTime::now() - age).unwrap();
        }
    }
    assert_eq!(sandbox.larder("archive upload --wait").code, 0);
    for folder in [&mirror, &outgoing] {
        assert!(!folder.join(".put-old").exists(), "{}", folder.display());
        assert!(folder.join(".put-young").exists(), "{}", folder.display());
        assert!(folder.join(".other").exists(), "{}", folder.display());
    }
    ended(&sandbox);
}

#[test]
fn a_mirror_that_cannot_be_one_is_refused_before_anything_is_noted() {
    let sandbox = workspace("");
    let config = sandbox.read("larder.toml");
    for (folder, why) in [
        (".larder/archive", "the archive itself"),
        (".larder/archive/mirror", "inside the archive"),
        (".larder/../.larder", "lies inside it"),
    ] {
        sandbox.write("larder.toml", &config.replace("~/drive/larder", folder));
        let outcome = sandbox.larder("archive upload");
        assert_eq!(outcome.code, 3, "{folder}: {}", outcome.all());
        for word in ["mirror drive", why] {
            assert!(outcome.stderr.contains(word), "{folder}: {}", outcome.all());
        }
        let outcome = sandbox.larder("archive sync");
        assert_eq!(outcome.code, 2, "{folder}: {}", outcome.all());
        assert!(outcome.stderr.contains(why), "{folder}: {}", outcome.all());
        assert!(!outbox(&sandbox).join("pending").exists(), "{folder}");
    }
}

#[test]
fn a_mirror_that_is_a_file_is_called_one() {
    let sandbox = workspace("");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    std::fs::write(drive(&sandbox).join("larder"), "theirs").unwrap();
    let lock = hold(&sandbox);
    upload(&sandbox);
    drop(lock);
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    for said in [&outcome.stdout, &outcome.stderr] {
        assert!(said.contains("it is a file, and no folder"), "{said}");
    }
    std::fs::remove_file(drive(&sandbox).join("larder")).unwrap();
    until("the delivery", || sandbox.larder("archive sync").code == 0);
    ended(&sandbox);
}

#[test]
fn who_waits_hears_of_each_mirror_and_may_stop() {
    let sandbox = workspace("[archive.mirrors.second]\nfolder = \"~/elsewhere/larder\"\n");
    for line in ["archive upload --wait", "archive upload --wait --json"] {
        let (told, printed) = (sandbox.base().join("told"), sandbox.base().join("printed"));
        let mut child = sandbox
            .command()
            .args(line.split(' '))
            .stdout(File::create(&printed).unwrap())
            .stderr(File::create(&told).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let said = || std::fs::read_to_string(&told).unwrap();
        until("both are named with why", || {
            ["drive", "second"].iter().all(|name| {
                said().lines().any(|line| {
                    line.contains(&format!("waiting for mirror {name}"))
                        && line.contains("the folder above it is not there")
                })
            })
        });
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{}", said());
        assert!(said().contains("interrupted"), "{}", said());
        if line.ends_with("--json") {
            let printed = std::fs::read(&printed).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&printed).unwrap();
            assert_eq!(value["exit_code"], 130, "{value:#}");
        }
    }
    // Another process is at it, and waits long: what was tried once is not waited for.
    assert_eq!(sandbox.larder("archive sync").code, 3);
    for name in ["drive", "elsewhere"] {
        std::fs::create_dir(sandbox.base().join(name)).unwrap();
    }
    until("the deliveries", || {
        sandbox.larder("archive sync").code == 0
    });
    ended(&sandbox);
}

#[test]
fn the_last_words_of_a_dead_drain_are_shown_until_one_ends_well() {
    let sandbox = workspace("");
    let lock = hold(&sandbox);
    upload(&sandbox);
    let log = outbox(&sandbox).join("log");
    std::fs::write(
        &log,
        "larder: no key is called `archve`\n  at larder.toml:3\n",
    )
    .unwrap();
    // Another one that is started adds to them.
    upload(&sandbox);
    let outcome = sandbox.larder("archive status");
    for words in ["no key is called `archve`", "at larder.toml:3"] {
        assert!(outcome.stdout.contains(words), "{}", outcome.all());
    }
    assert!(
        status(&sandbox)["background"]["said"]
            .as_str()
            .unwrap()
            .contains("archve"),
        "{}",
        status(&sandbox)
    );
    drop(lock);
    std::fs::create_dir(drive(&sandbox)).unwrap();
    until("the deliveries", || {
        sandbox.larder("archive sync").code == 0 && std::fs::read(&log).unwrap().is_empty()
    });
    ended(&sandbox);
}

#[test]
fn the_next_run_brings_what_a_killed_drain_did_not() {
    let sandbox = workspace("");
    let mirror = drive(&sandbox).join("larder");
    let kill = || {
        until("a try", || {
            status(&sandbox)["pending"][0]["attempts"].as_u64() > Some(0)
        });
        // One that finds another at work ends by itself.
        until("the kill", || {
            for pid in drains(&sandbox) {
                let _ = kill_process(pid, Signal::KILL);
            }
            drains(&sandbox).is_empty()
        });
        std::fs::create_dir(drive(&sandbox)).unwrap();
    };
    let first = upload(&sandbox);
    kill();
    sandbox.write("src.txt", "two\n");
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    wait_for(&mirror.join(format!("entries/{first}.1.json")));
    ended(&sandbox);

    // So does a look at the archive.
    std::fs::remove_dir_all(drive(&sandbox)).unwrap();
    let second = upload(&sandbox);
    kill();
    assert_eq!(sandbox.larder("archive list").code, 0);
    wait_for(&mirror.join(format!("entries/{second}.1.json")));
    ended(&sandbox);
}
