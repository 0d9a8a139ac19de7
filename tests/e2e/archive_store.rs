//! A mirror in a store that speaks S3: moto's server, from the Python package index. Where it is missing, the tests say so and pass.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A server with the bucket `records`, and a key that may use it.
struct Store {
    child: Child,
    port: String,
    id: String,
    secret: String,
}

impl Drop for Store {
    fn drop(&mut self) {
        // It ends when its standard input does; the test has nothing to say if it is gone already.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// `kind` is `signed` where every request has to be signed; moto takes some right signatures for wrong then.
fn store(kind: &str) -> Option<Store> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/archive/src/object/tests/server.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(kind)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?)
        .read_line(&mut line)
        .ok()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [port, id, secret] = words[..] else {
        // Past the capturing of tests, so that it is seen.
        let words = b"SKIPPED: a test against a real object store (Python has no moto)\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words);
        let _ = child.wait();
        return None;
    };
    Some(Store {
        port: port.to_owned(),
        id: id.to_owned(),
        secret: secret.to_owned(),
        child,
    })
}

fn workspace(store: &Store) -> Sandbox {
    let config = format!(
        "[workspace]\n[tasks.build]\ncommand = \"mkdir -p dist; cat src.txt > dist/result.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"dist/**\"]\n\
         [archive]\nartifacts = [\"dist/**\"]\n\
         mirrors.store = {{ s3 = \"s3://records/some/prefix\", endpoint = \"http://127.0.0.1:{}\", region = \"us-east-1\" }}\n",
        store.port
    );
    let sandbox = Sandbox::new(&[("larder.toml", &config), ("src.txt", "one\n")]);
    assert_eq!(sandbox.larder("build").code, 0);
    sandbox
}

fn status(sandbox: &Sandbox) -> Value {
    let outcome = sandbox.larder("archive status --json");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn an_entry_gets_to_a_store_with_credentials_of_the_environment_or_of_a_file() {
    let Some(store) = store("open") else { return };
    let sandbox = workspace(&store);
    let keys = [
        ("AWS_ACCESS_KEY_ID", store.id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", store.secret.as_str()),
    ];
    let outcome = sandbox.larder_env("archive upload --wait", &keys);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let done = status(&sandbox)["done"].clone();
    assert_eq!(done.as_array().unwrap().len(), 1);
    assert!(done[0]["parts"][0]["sent"]["found"] == false, "{done}");

    // The home folder of the sandbox is its base.
    let folder = sandbox.base().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        store.id, store.secret
    );
    std::fs::write(folder.join("credentials"), text).unwrap();
    let outcome = sandbox.larder("archive upload --wait");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(status(&sandbox)["done"].as_array().unwrap().len(), 2);
}

#[test]
fn wrong_credentials_are_told_and_never_shown() {
    let Some(store) = store("signed") else { return };
    let sandbox = workspace(&store);
    let outcome = sandbox.larder("archive upload --wait");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(outcome.stderr.contains("credentials"), "{}", outcome.stderr);
    let wrong = [
        ("AWS_ACCESS_KEY_ID", store.id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", "hush-hush-hush"),
    ];
    let outcome = sandbox.larder_env("archive sync", &wrong);
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(outcome.stdout.starts_with("failed "), "{}", outcome.stdout);
    assert!(!outcome.all().contains("hush"), "{}", outcome.all());
}
