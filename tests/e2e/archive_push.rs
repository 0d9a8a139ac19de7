//! `larder archive upload` and pushes that fail: what is pushed then, what is said, and whether what is said helps.

use std::path::Path;

use crate::archive_git::{git, head, hook, json, workspace};
use crate::sandbox::{Outcome, Sandbox};

fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
    head(folder)
}

fn newest(sandbox: &Sandbox) -> String {
    let listed = json(&sandbox.larder("archive list --json"));
    listed["entries"][0]["id"].as_str().unwrap().to_owned()
}

fn fails(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{}", outcome.all());
    for words in words {
        assert!(outcome.stderr.contains(words), "{words}\n{}", outcome.all());
    }
}

#[test]
fn flags_that_an_upload_under_way_cannot_take_are_refused() {
    let sandbox = workspace("git.push = true\n");
    commit(&sandbox.root(), "new");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    hook(&sandbox, "main", "exit 0");
    for flag in ["--tag v1", "--note n", "--no-gates", "--trigger ci"] {
        for what in ["--resume", "--forget=0"] {
            let outcome = sandbox.larder(&format!("archive upload {what} {flag}"));
            let name = flag.split(' ').next().unwrap();
            fails(&outcome, 2, &["cannot be used with", name]);
        }
    }
    assert_eq!(sandbox.larder("archive upload --resume --wait").code, 0);
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_can_be_given_up() {
    let sandbox = workspace("git.push = true\n");
    commit(&sandbox.root(), "new");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    let id = newest(&sandbox);
    let journal = sandbox.path(&format!(".larder/archive/uploads/{id}.json"));
    std::fs::write(&journal, "{\"version\": 9}").unwrap();
    let status = sandbox.larder("archive status");
    let forget = format!("archive upload --forget={id}");
    for words in [id.as_str(), "it has version 9", &forget, "uploads/"] {
        assert!(status.stdout.contains(words), "{words}\n{}", status.all());
    }
    let value = json(&sandbox.larder("archive status --json"));
    assert_eq!(value["uploads"][0]["id"], id.as_str());
    let resumed = sandbox.larder(&format!("archive upload --resume={id}"));
    fails(&resumed, 2, &["it has version 9"]);
    let given_up = sandbox.larder(&forget);
    assert_eq!(given_up.code, 0, "{}", given_up.all());
    let words = format!("entry {id} stays in the archive; it may not have been pushed");
    assert!(given_up.stdout.contains(&words), "{}", given_up.all());
    assert!(!journal.exists());
    let status = sandbox.larder("archive status");
    assert_eq!(status.stdout, "nothing is on its way\n");
}

#[test]
fn an_entry_that_is_still_to_be_pushed_is_not_pruned() {
    let sandbox = workspace("git.push = true\n");
    commit(&sandbox.root(), "new");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    let unfinished = newest(&sandbox);
    hook(&sandbox, "main", "exit 0");
    assert_eq!(sandbox.larder("build").code, 0);
    assert_eq!(sandbox.larder("archive upload").code, 0);
    let entries = |outcome: &Outcome| json(outcome)["entries"].clone();
    let none = serde_json::json!([]);
    for command in [
        "archive prune --count 1 --dry --json",
        "archive prune --count 1 --json",
    ] {
        assert_eq!(entries(&sandbox.larder(command)), none, "{command}");
    }
    let resumed = sandbox.larder(&format!("archive upload --resume={unfinished}"));
    assert_eq!(resumed.code, 0, "{}", resumed.all());
    let pruned = entries(&sandbox.larder("archive prune --count 1 --json"));
    assert_eq!(pruned, serde_json::json!([unfinished]));
}

#[test]
fn an_artifact_that_changed_meanwhile_is_no_upload_to_resume() {
    // The gate's command is between the two looks at the file.
    let sandbox = workspace(
        "[archive.gates.metrics.size]\ncommand = \"[ -e ../calm ] || echo more >> dist/result.txt; echo 1\"\n",
    );
    let outcome = sandbox.larder("archive upload");
    fails(
        &outcome,
        3,
        &["step `index_save` failed", "changed while it was archived"],
    );
    assert!(!outcome.stderr.contains("--resume"), "{}", outcome.stderr);
    fails(&outcome, 3, &["nothing of it was archived"]);
    let status = sandbox.larder("archive status");
    assert!(status.stdout.contains("--forget="), "{}", status.all());
    assert!(!status.stdout.contains("--resume"), "{}", status.all());
    std::fs::write(sandbox.base().join("calm"), "").unwrap();
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let status = sandbox.larder("archive status");
    assert_eq!(status.stdout, "nothing is on its way\n");
}

#[test]
fn a_resumed_upload_is_signed_if_it_began_so_and_not_otherwise() {
    let sandbox = workspace("git.commit = true\n");
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out", "key.pem"])
        .current_dir(sandbox.base())
        .output()
        .unwrap();
    assert!(made.status.success());
    let signed = " --attest ../key.pem";
    for (begun, other, words) in [
        (signed, "", "the upload began with `--attest`"),
        ("", signed, "the upload began without `--attest`"),
    ] {
        sandbox.write("README", begun);
        let lock = sandbox.path(".git/index.lock");
        std::fs::write(&lock, "").unwrap();
        let outcome = sandbox.larder(&format!("archive upload{begun}"));
        fails(&outcome, 3, &["step `repo_commits` failed", "--resume"]);
        std::fs::remove_file(&lock).unwrap();
        let outcome = sandbox.larder(&format!("archive upload --resume{other}"));
        fails(&outcome, 2, &[words]);
        let outcome = sandbox.larder(&format!("archive upload --resume{begun}"));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let id = newest(&sandbox);
        let there = format!(".larder/archive/attestations/{id}.dsse.json");
        assert_eq!(sandbox.exists(&there), !begun.is_empty());
    }
}
