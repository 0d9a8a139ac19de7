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
    assert_eq!(listed(&sandbox, ""), [id.as_str()]);
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

#[test]
fn what_is_refused_moves_no_file() {
    let sandbox = workspace("");
    upload(&sandbox, "--tag v1", 0);
    let id = listed(&sandbox, "")[0].clone();
    let bundle = sandbox.path(&format!(".larder/archive/bundles/{id}.tar.zst"));
    let whole = std::fs::read(&bundle).unwrap();
    sandbox.write("dist/result.txt", "mine\n");
    let refused = |line: &str, words: &str| {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 2, "{}", outcome.all());
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert_eq!(
            outcome.stderr.matches("is damaged").count(),
            usize::from(words == "is damaged"),
            "{}",
            outcome.stderr
        );
        assert!(!outcome.stderr.contains("was moved"), "{}", outcome.stderr);
        assert!(!sandbox.exists(".larder/rescued"), "{line}");
    };
    flip(&bundle);
    refused("archive restore v1 --replace", "is damaged");
    assert_eq!(sandbox.read("dist/result.txt"), "mine\n");
    refused(
        &format!("archive restore .larder/archive/bundles/{id}.tar.zst --replace"),
        "is damaged",
    );
    std::fs::write(&bundle, whole).unwrap();
    // Of two artifacts the one can be moved and the other lies behind a link.
    sandbox.remove("dist");
    assert_eq!(sandbox.larder("archive restore v1").code, 0);
    std::fs::rename(sandbox.path("dist"), sandbox.path("real")).unwrap();
    sandbox.write("real/result.txt", "mine\n");
    std::os::unix::fs::symlink("real", sandbox.path("dist")).unwrap();
    refused("archive restore v1 --replace", "is a link or a folder");
    assert_eq!(sandbox.read("real/result.txt"), "mine\n");
    // What is the artifact already is left alone.
    std::fs::remove_file(sandbox.path("dist")).unwrap();
    std::fs::rename(sandbox.path("real"), sandbox.path("dist")).unwrap();
    sandbox.write("dist/result.txt", "one\n");
    let value = json(&sandbox.larder("archive restore v1 --replace --json"));
    assert_eq!(value["rescued"], serde_json::json!([]));
    assert_eq!(value["unchanged"][0], "dist/result.txt");
}

#[test]
fn files_that_were_moved_before_a_failure_are_named() {
    let sandbox = workspace("");
    upload(&sandbox, "--tag v1", 0);
    sandbox.write("dist/result.txt", "mine\n");
    // Larger than any file may be for this program from now on: the move is a rename, the artifact has to be written.
    let command = "trap '' XFSZ; ulimit -f 0; exec \"$0\" archive restore v1 --replace";
    let larder = sandbox.command();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", command])
        .arg(larder.get_program())
        .current_dir(sandbox.root());
    for (name, value) in larder.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let outcome = sandbox.run(&mut shell);
    assert_ne!(outcome.code, 0, "{}", outcome.all());
    let words = "dist/result.txt was moved to ";
    let line = outcome
        .stderr
        .split(words)
        .nth(1)
        .unwrap_or_else(|| panic!("{}", outcome.all()));
    let to = line
        .lines()
        .next()
        .unwrap()
        .replace("[DIR]", sandbox.base().to_str().unwrap());
    assert_eq!(std::fs::read_to_string(to).unwrap(), "mine\n");
}

/// Writes the next revision of an entry, sealed as the program would, with some text of it replaced.
fn forge(sandbox: &Sandbox, id: &str, from: &str, to: &str) {
    let files = revisions(sandbox, id);
    let text = std::fs::read_to_string(files.last().unwrap()).unwrap();
    let revision: u32 = text
        .split("\"revision\": ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let entry = text
        .split_once(",\"entry\":")
        .unwrap()
        .1
        .strip_suffix("}\n")
        .unwrap();
    assert!(entry.contains(from), "{entry}");
    let next = revision + 1;
    let entry = entry.replace(from, to).replace(
        &format!("\"revision\": {revision}"),
        &format!("\"revision\": {next}"),
    );
    let digest = blake3::hash(entry.as_bytes()).to_hex();
    let path = format!(".larder/archive/entries/{id}.{next}.json");
    sandbox.write(
        &path,
        &format!("{{\"blake3\":\"{digest}\",\"entry\":{entry}}}\n"),
    );
}

#[test]
fn an_entry_that_contradicts_what_was_signed_is_damage() {
    let sandbox = workspace("");
    let secret = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    sandbox.write("key.pem", secret);
    sandbox.write("key.pub", public);
    let one = id(&upload(&sandbox, "--attest key.pem", 0));
    let outcome = sandbox.larder("archive verify --key key.pub");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    forge(
        &sandbox,
        &one,
        "\"trigger\": \"manual\"",
        "\"trigger\": \"ci\"",
    );
    let outcome = sandbox.larder("archive verify");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    let words = format!(
        "entries/{one}.3.json: its `trigger` is \"ci\", and the record in its bundle has \"manual\""
    );
    assert!(outcome.stdout.contains(&words), "{}", outcome.stdout);
    for line in [
        "archive verify --key key.pub",
        "archive verify latest --key key.pub",
    ] {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        let words = format!(
            "attestations/{one}.dsse.json: the attestation is signed, but not for this entry: the entry's `externalParameters.trigger` is \"ci\", and \"manual\" is signed"
        );
        assert!(outcome.stdout.contains(&words), "{}", outcome.stdout);
    }
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb\n-----END ENCRYPTED PRIVATE KEY-----\n";
    sandbox.write("key.pem", encrypted);
    let outcome = sandbox.larder("archive upload --attest key.pem");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("the secret key is encrypted"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_entry_that_was_deleted_or_set_back_is_missed() {
    let sandbox = workspace("");
    let ids: Vec<String> = (0..2).map(|_| id(&upload(&sandbox, "", 0))).collect();
    let verify = |line: &str, words: &str| {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
    };
    for path in revisions(&sandbox, &ids[0]) {
        std::fs::remove_file(path).unwrap();
    }
    let words = format!("entries/{}.2.json: it is gone", ids[0]);
    verify("archive verify", &words);
    verify(&format!("archive verify {}", ids[0]), &words);
    std::fs::remove_file(revisions(&sandbox, &ids[1]).last().unwrap()).unwrap();
    verify("archive verify latest", "set back to revision 1");
    let outcome = sandbox.larder("archive diff latest src.txt");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome
            .stderr
            .contains("src.txt` is no bundle of an archive"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_archive_inside_a_repository_leaves_it_clean() {
    let sandbox = workspace("dir = \"kept/archive\"\n[archive.git]\ncommit = true\n");
    let git = |line: &str| {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
            .args(line.split(' '))
            .current_dir(sandbox.root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git("init -q");
    git("config user.name T");
    git("config user.email t@example.org");
    sandbox.write(".gitignore", "/dist\n/.larder\n");
    git("add -A");
    git("commit -qm first");
    for _ in 0..2 {
        let uploaded = upload(&sandbox, "", 0);
        assert_eq!(uploaded["entry"]["commits"][0]["dirty"], false);
        assert_eq!(uploaded["entry"]["commits"][0]["committed"], false);
    }
    assert_eq!(git("status --porcelain"), "");
    assert_eq!(git("log --oneline").lines().count(), 1);
    assert!(sandbox.exists("kept/archive/index"));
    assert_eq!(sandbox.larder("archive verify").code, 0);
}
