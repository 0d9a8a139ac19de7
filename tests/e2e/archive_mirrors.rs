//! Mirrors of archive entries: noted before the upload returns, brought there by a process of its own, seen whole or not at all.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox, files};

const CONFIG: &str = r#"
[workspace]
[tasks.build]
command = "mkdir -p dist; cat src.txt > dist/result.txt"
inputs = ["src.txt"]
outputs = ["dist/**"]
[archive]
artifacts = ["dist/**"]
[archive.mirrors.drive]
folder = "~/drive/larder"
"#;

pub(crate) fn workspace(archive: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("larder.toml", &format!("{CONFIG}{archive}")),
        ("src.txt", "one\n"),
    ]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    sandbox
}

/// The home folder of the sandbox is its base.
pub(crate) fn drive(sandbox: &Sandbox) -> PathBuf {
    sandbox.base().join("drive")
}

pub(crate) fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", outcome.all()))
}

pub(crate) fn status(sandbox: &Sandbox) -> Value {
    json(&sandbox.larder("archive status --json"))
}

pub(crate) fn count(status: &Value, state: &str) -> usize {
    status[state].as_array().unwrap().len()
}

/// Waits for something that another process does.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

#[test]
fn an_upload_that_waits_is_at_the_mirror_byte_for_byte() {
    let sandbox = workspace("");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    let outcome = sandbox.larder("archive upload --wait --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let value = json(&outcome);
    assert_eq!(value["mirrors"], serde_json::json!(["drive"]));
    let id = value["entry"]["id"].as_str().unwrap();
    let mirror = drive(&sandbox).join("larder");
    let names: Vec<PathBuf> = files(&mirror)
        .iter()
        .map(|path| path.strip_prefix(&mirror).unwrap().to_owned())
        .collect();
    let (bundle, entry) = (
        format!("bundles/{id}.tar.zst"),
        format!("entries/{id}.1.json"),
    );
    assert_eq!(names, [PathBuf::from(&bundle), PathBuf::from(&entry)]);
    let here = std::fs::read(sandbox.path(".larder/archive").join(&bundle)).unwrap();
    assert_eq!(std::fs::read(mirror.join(&bundle)).unwrap(), here);
    // The mirror is an archive itself, and the entry here knows how long it took.
    let outcome = sandbox.larder("archive --dir ../drive/larder verify");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let shown = json(&sandbox.larder("archive show --json"));
    assert!(
        shown["metrics"]["mirror.drive.seconds"].is_number(),
        "{shown}"
    );
    let status = status(&sandbox);
    assert_eq!((count(&status, "done"), count(&status, "pending")), (1, 0));
    assert!(files(&sandbox.path(".larder/archive/outgoing")).is_empty());
}

#[test]
fn a_mirror_in_the_background_outlives_the_command() {
    let sandbox = workspace("");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stdout.contains("drive in the background"),
        "{}",
        outcome.stdout
    );
    until("the delivery", || count(&status(&sandbox), "done") == 1);
    let outcome = sandbox.larder("archive --dir ../drive/larder list");
    assert!(outcome.stdout.contains("accepted"), "{}", outcome.all());
    // It ends by itself; only then may its folder go.
    until("the end", || {
        files(&sandbox.path(".larder/archive/outgoing")).is_empty()
    });
}

#[test]
fn what_cannot_be_delivered_stays_pending_and_says_why() {
    // Nothing is at `~/drive`, as when a share is not mounted: it is not made either.
    let sandbox = workspace("");
    let outcome = sandbox.larder("archive sync");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    until("a try", || {
        status(&sandbox)["pending"][0]["attempts"].as_u64() > Some(0)
    });
    assert!(!drive(&sandbox).exists());
    let outcome = sandbox.larder("archive status");
    assert!(
        outcome.stdout.contains("the folder above it is not there"),
        "{}",
        outcome.stdout
    );
    // Entries on their way are not pruned.
    assert_eq!(sandbox.larder("archive upload --no-gates").code, 0);
    let outcome = sandbox.larder("archive prune --count 1 --dry --json");
    assert_eq!(json(&outcome)["entries"], serde_json::json!([]));
    // Mounted again, it is brought there at once; the process that waits in the background finds nothing left to do.
    std::fs::create_dir(drive(&sandbox)).unwrap();
    until("the delivery", || {
        let outcome = sandbox.larder("archive sync");
        outcome.code == 0 && count(&status(&sandbox), "done") == 2
    });
    let outcome = sandbox.larder("archive --dir ../drive/larder list");
    assert_eq!(outcome.stdout.lines().count(), 3, "{}", outcome.all());
    until("the end", || {
        files(&sandbox.path(".larder/archive/outgoing")).is_empty()
    });
}

#[test]
fn an_upload_that_ended_just_after_its_entry_was_listed_goes_on() {
    let sandbox = workspace("");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    // A file where a folder has to be: the step `sync` fails.
    let hurdle = sandbox.path(".larder/archive/outgoing");
    sandbox.write(".larder/archive/outgoing", "");
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    std::fs::remove_file(hurdle).unwrap();
    // As a kill leaves it between the entry and the line that says so.
    let uploads = files(&sandbox.path(".larder/archive/uploads"));
    let journal = uploads
        .iter()
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .unwrap();
    let mut value: Value = serde_json::from_slice(&std::fs::read(journal).unwrap()).unwrap();
    let id = value["id"].as_str().unwrap().to_owned();
    let done = value["done"].as_object_mut().unwrap();
    assert!(done.remove("index_save").is_some());
    value["failed"] = Value::Null;
    std::fs::write(journal, value.to_string()).unwrap();
    let outcome = sandbox.larder("archive upload --wait --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(json(&outcome)["entry"]["id"], id.as_str());
    for dir in [".larder/archive", "../drive/larder"] {
        let listed = json(&sandbox.larder(&format!("archive --dir {dir} list --json")));
        let entries = listed["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{dir}: {listed}");
        assert_eq!(entries[0]["id"], id.as_str());
    }
}

#[test]
fn a_conflict_at_the_mirror_is_never_overwritten() {
    let sandbox = workspace("");
    let outcome = sandbox.larder("archive upload --no-gates --dry");
    assert!(
        outcome.stdout.contains("mirror    drive"),
        "{}",
        outcome.stdout
    );
    // The mirror is a file: nothing can be put below it.
    std::fs::create_dir(drive(&sandbox)).unwrap();
    std::fs::write(drive(&sandbox).join("larder"), "theirs").unwrap();
    assert_eq!(sandbox.larder("archive upload").code, 0);
    until("a try", || {
        let status = status(&sandbox);
        count(&status, "failed") == 1 || status["pending"][0]["attempts"].as_u64() > Some(0)
    });
    assert_eq!(
        std::fs::read(drive(&sandbox).join("larder")).unwrap(),
        b"theirs"
    );
    std::fs::remove_file(drive(&sandbox).join("larder")).unwrap();
    until("the delivery", || sandbox.larder("archive sync").code == 0);
    until("the end", || {
        files(&sandbox.path(".larder/archive/outgoing")).is_empty()
    });
}

#[test]
fn a_rejected_entry_is_not_mirrored() {
    let sandbox =
        workspace("[tasks.lint]\ncommand = \"true\"\n[archive.gates]\ntasks = [\"lint\"]\n");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    assert_eq!(sandbox.larder("archive upload --wait").code, 1);
    assert!(files(&drive(&sandbox)).is_empty());
    assert_eq!(
        sandbox.larder("archive status").stdout,
        "nothing is on its way\n"
    );
}

#[test]
#[cfg(not(feature = "object-store"))]
fn a_program_without_stores_says_so_at_once() {
    let sandbox = workspace("[archive.mirrors.store]\ns3 = \"s3://records/here\"\n");
    std::fs::create_dir(drive(&sandbox)).unwrap();
    let outcome = sandbox.larder("archive upload --wait");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    let why = "cannot open `s3://records/here`: this larder was built without stores that speak S3: \
               `cargo install --locked --path crates/cli --features object-store` builds one with them";
    assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
    let outcome = sandbox.larder("archive status");
    assert!(outcome.stdout.contains(why), "{}", outcome.stdout);
    // The other mirror has it.
    let status = status(&sandbox);
    assert_eq!((count(&status, "done"), count(&status, "failed")), (1, 1));
}
