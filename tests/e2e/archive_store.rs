//! A mirror in a store that speaks S3, signed requests and all: moto's server, from the Python package index.
//! Where it cannot be had, the tests say so and pass.

mod faults;
#[path = "../../crates/archive/src/object/tests/proxy.rs"]
mod proxy;
mod secrets;
#[path = "../../crates/archive/src/object/tests/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};
use proxy::Faults;
use server::Server;

/// A workspace with a mirror in the store, behind a proxy that can fail.
struct Mirrored {
    sandbox: Sandbox,
    server: &'static Server,
    faults: Arc<Faults>,
    /// Where the mirror lies in the bucket, with a slash at its end.
    prefix: String,
}

/// `prefix` tells the tests apart, for which there is one server. `size` is that of the artifact.
fn mirrored(prefix: &str, size: usize) -> Option<Mirrored> {
    let server = server::server()?;
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    let config = format!(
        "[workspace]\n[tasks.build]\ncommand = \"mkdir -p dist; head -c {size} /dev/urandom > dist/result\"\noutputs = [\"dist/**\"]\n\
         [archive]\nartifacts = [\"dist/**\"]\n\
         mirrors.store = {{ s3 = \"s3://records/some/{prefix}\", endpoint = \"http://{address}\", region = \"us-east-1\" }}\n"
    );
    let sandbox = Sandbox::new(&[("larder.toml", &config)]);
    assert_eq!(sandbox.larder("build").code, 0);
    Some(Mirrored {
        sandbox,
        server,
        faults,
        prefix: format!("some/{prefix}/"),
    })
}

impl Mirrored {
    /// Variables with the right key.
    fn key(&self) -> [(&'static str, &'static str); 2] {
        let [id, secret] = &self.server.key;
        [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)]
    }

    /// Runs `larder` with the right key.
    fn larder(&self, line: &str) -> Outcome {
        self.sandbox.larder_env(line, &self.key())
    }

    /// Writes a file of AWS's own into the home folder.
    fn write_home(&self, file: &str, text: &str) {
        // The home folder of the sandbox is its base.
        let folder = self.sandbox.base().join(".aws");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }

    /// Uploads and does not wait; gives the entry's id.
    fn upload(&self, env: &[(&str, &str)]) -> String {
        let outcome = self.sandbox.larder_env("archive upload --json", env);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
        value["entry"]["id"].as_str().unwrap().to_owned()
    }

    fn status(&self) -> Value {
        let outcome = self.sandbox.larder("archive status --json");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    fn count(&self, state: &str) -> usize {
        self.status()[state].as_array().unwrap().len()
    }

    /// What is at the mirror.
    fn keys(&self) -> Vec<String> {
        self.server.keys(&self.prefix)
    }

    /// An object, past all protocols.
    fn object(&self, key: &str) -> Vec<u8> {
        let file = self.sandbox.base().join("object");
        self.ask("get", key, &file);
        std::fs::read(file).unwrap()
    }

    fn ask(&self, what: &str, key: &str, file: &Path) {
        let line = format!("{what} {}{key} {}", self.prefix, file.display());
        assert_eq!(self.server.ask(&line), "done");
    }

    /// Nothing at the mirror is half: each object is what was noted for it, and an entry is there only with its bundle.
    fn assert_nothing_is_half(&self) {
        let status = self.status();
        let all = ["pending", "failed", "done"].map(|state| status[state].as_array().unwrap());
        let parts = all.into_iter().flatten();
        let noted: BTreeMap<&str, &str> = parts
            .flat_map(|record| record["parts"].as_array().unwrap())
            .map(|part| {
                (
                    part["name"].as_str().unwrap(),
                    part["digest"].as_str().unwrap(),
                )
            })
            .collect();
        let keys = self.keys();
        for key in &keys {
            let digest = blake3::hash(&self.object(key)).to_hex();
            assert_eq!(noted[key.as_str()], digest.as_str(), "{key}");
            if let Some(id) = key.strip_prefix("entries/") {
                let id = id.split('.').next().unwrap();
                assert!(keys.contains(&format!("bundles/{id}.tar.zst")), "{keys:?}");
            }
        }
    }

    fn assert_all_is_there(&self, id: &str) {
        self.assert_nothing_is_half();
        let expected = [
            format!("bundles/{id}.tar.zst"),
            format!("entries/{id}.1.json"),
        ];
        assert_eq!(self.keys(), expected);
    }
}

fn profile(id: &str, secret: &str, rest: &str) -> String {
    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n{rest}")
}

#[test]
fn an_entry_gets_to_a_store_with_credentials_of_the_environment_or_of_a_file() {
    let Some(mirror) = mirrored("credentials", 100) else {
        return;
    };
    let [id, secret] = &mirror.server.key;
    let [temporary, hidden, token] = &mirror.server.temporary;
    let wait = |env: &[(&str, &str)], done: usize| {
        let outcome = mirror.sandbox.larder_env("archive upload --wait", env);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let status = mirror.status();
        assert_eq!(status["done"].as_array().unwrap().len(), done, "{status}");
        assert!(status["done"][done - 1]["parts"][0]["sent"]["found"] == false);
        mirror.assert_nothing_is_half();
    };
    wait(&mirror.key(), 1);
    let session = [
        ("AWS_ACCESS_KEY_ID", temporary.as_str()),
        ("AWS_SECRET_ACCESS_KEY", hidden),
        ("AWS_SESSION_TOKEN", token),
    ];
    wait(&session, 2);
    mirror.write_home("credentials", &profile(id, secret, ""));
    wait(&[], 3);
    let rest = format!("aws_session_token = {token}\n");
    mirror.write_home("credentials", &profile(temporary, hidden, &rest));
    wait(&[], 4);
    // The token of a file is not sent along with a key of the environment.
    wait(&mirror.key(), 5);
    assert_eq!(mirror.keys().len(), 10);
}

#[test]
fn wrong_credentials_are_told_and_right_ones_mend_it() {
    let Some(mirror) = mirrored("wrong", 100) else {
        return;
    };
    let outcome = mirror.sandbox.larder("archive upload --wait");
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(outcome.stderr.contains("credentials"), "{}", outcome.stderr);
    let wrong = [mirror.key()[0], ("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")];
    let outcome = mirror.sandbox.larder_env("archive sync", &wrong);
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert!(outcome.stdout.starts_with("failed "), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("look at its credentials"),
        "{}",
        outcome.stdout
    );
    assert!(!outcome.all().contains("hush"), "{}", outcome.all());
    assert!(mirror.keys().is_empty());
    let outcome = mirror.larder("archive sync");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    mirror.assert_nothing_is_half();
    assert_eq!(mirror.keys().len(), 2);
}
