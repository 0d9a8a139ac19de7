//! Archives with damaged, deleted and forged files: what goes on all the same, and what verification says.
//! Knows nothing of how the program finds it.

use std::path::PathBuf;

use crate::archive::{id, json, listed, upload, workspace};
use crate::sandbox::Sandbox;

/// The files of an entry's revisions, the oldest first.
fn revisions(sandbox: &Sandbox, id: &str) -> Vec<PathBuf> {
    (1..9)
        .map(|revision| sandbox.path(&format!(".larder/archive/entries/{id}.{revision}.json")))
        .filter(|path| path.exists())
        .collect()
}

fn flip(path: &PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_entry_is_in_no_later_uploads_way() {
    let gates = "[archive.gates.metrics.\"size.artifacts\"]\nregression = \"<= 100%\"\n";
    let sandbox = workspace(gates);
    let first = id(&upload(&sandbox, "", 0));
    let last = id(&upload(&sandbox, "", 0));
    let files = revisions(&sandbox, &last);
    flip(files.last().unwrap());
    // The newest revision is damaged: the one before is compared with.
    let outcome = sandbox.larder("archive upload --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let words = format!("larder: entry {last} cannot be read and is passed over: ");
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    assert_eq!(json(&outcome)["entry"]["gates"][0]["passed"], true);
    let third = id(&json(&outcome));
    // All of the entry is damaged: the one before it is.
    for path in revisions(&sandbox, &third)
        .iter()
        .chain(&files[..files.len() - 1])
    {
        flip(path);
    }
    let fourth = id(&upload(&sandbox, "", 0));
    std::fs::remove_file(sandbox.path(".larder/archive/index")).unwrap();
    let outcome = sandbox.larder("archive list");
    for damaged in [&last, &third] {
        let words = format!("entry {damaged} cannot be read");
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
        let outcome = sandbox.larder(&format!("archive verify {damaged}"));
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        assert!(
            outcome.stdout.contains(&format!("entries/{damaged}.")),
            "{}",
            outcome.stdout
        );
        let outcome = sandbox.larder(&format!("archive restore {damaged}"));
        assert_eq!(outcome.code, 2, "{}", outcome.all());
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    }
    assert_eq!(listed(&sandbox, ""), [fourth, first]);
}

#[test]
fn an_intact_older_revision_stands_in_for_a_damaged_one() {
    let sandbox = workspace("");
    let id = id(&upload(&sandbox, "", 0));
    flip(revisions(&sandbox, &id).last().unwrap());
    std::fs::remove_file(sandbox.path(".larder/archive/index")).unwrap();
    assert_eq!(listed(&sandbox, ""), [id.clone()]);
    let outcome = sandbox.larder(&format!("archive verify {id}"));
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    let words = format!("entries/{id}.2.json: ");
    assert!(outcome.stdout.contains(&words), "{}", outcome.stdout);
    sandbox.remove("dist");
    let outcome = sandbox.larder(&format!("archive restore {id}"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let words = format!("an older revision of entry {id} is read");
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    assert_eq!(sandbox.read("dist/result.txt"), "one\n");
}
