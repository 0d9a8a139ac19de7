//! Credentials are in no file, no output and no argument, however much is logged.
//! Knows nothing of what is delivered.

use std::process::Command;

use super::{Mirrored, mirrored, profile};
use crate::sandbox::{Outcome, files};

/// All that nobody may see.
fn hidden(mirror: &Mirrored) -> Vec<String> {
    let keys = mirror.server.key.iter().chain(&mirror.server.temporary);
    keys.cloned().chain(["hush-hush-hush".to_owned()]).collect()
}

fn assert_hidden(mirror: &Mirrored, what: &str, bytes: &[u8]) {
    for secret in hidden(mirror) {
        let found = bytes
            .windows(secret.len())
            .any(|at| at == secret.as_bytes());
        assert!(!found, "{what} holds a credential");
    }
}

fn assert_said(mirror: &Mirrored, outcome: &Outcome) {
    assert_hidden(mirror, "an output", outcome.all().as_bytes());
}

#[test]
fn no_credential_is_in_any_file_output_or_argument() {
    let Some(mirror) = mirrored("secrets", 100) else {
        return;
    };
    let [id, secret] = mirror.key();
    let log = ("LARDER_LOG", "trace");
    let [other, hidden, token] = &mirror.server.temporary;
    // Wrong ones, of the environment and of a file. The server repeats them.
    let wrong = ("AWS_SECRET_ACCESS_KEY", "hush-hush-hush");
    let outcome = mirror
        .sandbox
        .larder_env("archive upload --wait", &[id, wrong, log]);
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert_said(&mirror, &outcome);
    let temporary = [
        ("AWS_ACCESS_KEY_ID", other.as_str()),
        ("AWS_SESSION_TOKEN", token),
        wrong,
        log,
    ];
    let outcome = mirror.sandbox.larder_env("archive sync", &temporary);
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    let said = mirror.status()["failed"][0]["last_error"].to_string();
    for repeated in ["SignatureDoesNotMatch", "x-amz-security-token:…"] {
        assert!(said.contains(repeated), "{said}");
    }
    assert_said(&mirror, &outcome);
    mirror.write_home(
        "credentials",
        &profile(&mirror.server.key[0], "hush-hush-hush", ""),
    );
    let outcome = mirror.sandbox.larder_env("archive sync", &[log]);
    assert_eq!(outcome.code, 3, "{}", outcome.all());
    assert_said(&mirror, &outcome);
    // A background process at work, of which the arguments can be seen by everybody.
    mirror.faults.fall_silent(0);
    let session = [
        ("AWS_ACCESS_KEY_ID", other.as_str()),
        ("AWS_SECRET_ACCESS_KEY", hidden),
        ("AWS_SESSION_TOKEN", token),
        log,
    ];
    let outcome = mirror.sandbox.larder_env("archive upload", &session);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_said(&mirror, &outcome);
    mirror.faults.until_silent();
    let listed = Command::new("ps").args(["-ww", "-eo", "args"]).output();
    if let Ok(listed) = listed {
        let lines = String::from_utf8_lossy(&listed.stdout);
        let base = mirror.sandbox.base().to_str().unwrap();
        assert!(
            lines
                .lines()
                .any(|line| line.contains(base) && line.ends_with(" drain")),
            "{lines}"
        );
        assert_hidden(&mirror, "an argument", &listed.stdout);
    }
    mirror.faults.speak();
    for line in [
        "archive sync",
        "archive drain",
        "archive status --json",
        "archive show --json",
    ] {
        let outcome = mirror.sandbox.larder_env(line, &[id, secret, log]);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_said(&mirror, &outcome);
    }
    mirror.until_drained();
    let outcome = mirror
        .sandbox
        .larder_env("build --force --summarize", &[id, secret, log]);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    // What the user wrote is the user's.
    std::fs::remove_dir_all(mirror.sandbox.base().join(".aws")).unwrap();
    let mut bundles = 0;
    for file in files(mirror.sandbox.base()) {
        let mut bytes = std::fs::read(&file).unwrap();
        if file.to_string_lossy().ends_with(".zst") {
            bytes = Command::new("zstd")
                .arg("-dc")
                .arg(&file)
                .output()
                .unwrap()
                .stdout;
            assert!(!bytes.is_empty(), "{}", file.display());
            bundles += 1;
        }
        assert_hidden(&mirror, &file.display().to_string(), &bytes);
    }
    assert!(bundles >= 2, "{bundles}");
    for key in mirror.keys() {
        assert_hidden(&mirror, &key, &mirror.object(&key));
    }
}
