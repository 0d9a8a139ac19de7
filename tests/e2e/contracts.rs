//! Invariants that no other file is about: versions, counters, secrets, places, and one way to run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::sandbox::{Sandbox, files};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Every stored form carries its version in its first bytes, so that another version differs there.
#[test]
fn state_of_another_version_is_as_if_there_were_none() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    let path = sandbox.path(".larder/state");
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(&whole[..8], b"LRDSTAT5", "docs/formats.md says so");
    for version in [b'0', b'4', b'6'] {
        let mut other = whole.clone();
        other[7] = version;
        std::fs::write(&path, &other).unwrap();
        let statuses = sandbox.statuses("build", 0);
        assert_eq!(statuses[".#build"], "restored", "the cache has it");
        assert_eq!(sandbox.read("out/result.txt"), "one\n");
        let again = std::fs::read(&path).unwrap();
        assert_eq!(again[..8], whole[..8], "replaced by one of this version");
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    }
}

#[test]
fn faults_of_the_cache_are_counted_and_none_is_counted_without_one() {
    let sandbox = Sandbox::simple();
    let record = sandbox.record("build", 0);
    assert_eq!(record["counters"]["cache_faults"], 0, "{record:#}");
    std::fs::remove_dir_all(sandbox.cache()).unwrap();
    std::fs::write(sandbox.cache(), "a file where the folder should be").unwrap();
    sandbox.write("src.txt", "two\n");
    let record = sandbox.record("build", 0);
    assert_eq!(record["counters"]["cache_faults"], 1, "{record:#}");
    assert_eq!(
        record["warnings"].as_array().unwrap().len(),
        1,
        "{record:#}"
    );
    assert_eq!(record["tasks"][0]["status"], "ran");
    assert_eq!(record["tasks"][0]["stored"], false);
}

/// Takes the right to write from every folder below.
fn make_read_only(dir: &Path, mode: u32) {
    let mut stack = vec![dir.to_owned()];
    while let Some(path) = stack.pop() {
        let entries = std::fs::read_dir(&path).unwrap();
        stack.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir()),
        );
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_cache_that_may_only_be_read_still_restores() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.remove("out");
    sandbox.remove(".larder");
    make_read_only(&sandbox.cache(), 0o555);
    let restored = sandbox.record("build", 0);
    sandbox.write("src.txt", "two\n");
    let ran = sandbox.record("build", 0);
    make_read_only(&sandbox.cache(), 0o755);
    assert_eq!(restored["tasks"][0]["status"], "restored", "{restored:#}");
    assert_eq!(ran["tasks"][0]["status"], "ran", "{ran:#}");
    assert_eq!(sandbox.read("out/result.txt"), "two\n");
    // Modes hold nobody back who is root.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(ran["tasks"][0]["stored"], false, "{ran:#}");
        assert!(
            ran["counters"]["cache_faults"].as_u64().unwrap() > 0,
            "{ran:#}"
        );
    }
}

#[test]
fn the_record_says_what_the_cache_was_asked() {
    let sandbox = Sandbox::simple();
    let config = sandbox.read("larder.toml");
    let asked = |line: &str, used: &str| {
        let record = sandbox.record(line, 0);
        assert_eq!(record["tasks"][0]["cache"], used, "{line} {record:#}");
    };
    asked("build", "miss");
    asked("build", "hit");
    sandbox.remove("out");
    asked("build --cache=local:w", "bypassed");
    asked("build --force", "bypassed");
    // There can be no entry, so none was bypassed unless by force.
    for without in [
        format!("{config}store = false\n"),
        config.replace("outputs = ", "# outputs = "),
    ] {
        sandbox.write("larder.toml", &without);
        sandbox.write("src.txt", "two\n");
        asked("build", "off");
        asked("build --force", "bypassed");
    }
}

#[test]
fn a_cache_that_is_only_to_be_read_is_not_written() {
    let sandbox = Sandbox::simple();
    let record = sandbox.record("build --cache=local:r", 0);
    assert_eq!(record["tasks"][0]["stored"], false, "{record:#}");
    sandbox.remove("out");
    assert_eq!(
        sandbox.statuses("build --cache=local:r", 0)[".#build"],
        "ran"
    );
    sandbox.larder("build --force");
    sandbox.remove("out");
    assert_eq!(
        sandbox.statuses("build --cache=local:w", 0)[".#build"],
        "ran"
    );
    sandbox.remove("out");
    let statuses = sandbox.statuses("build --cache=local:r", 0);
    assert_eq!(statuses[".#build"], "restored");
}

#[test]
fn outputs_may_lie_under_the_root_and_come_back_there() {
    let sandbox = Sandbox::new(&[
        ("larder.toml", "[workspace]\nprojects = [\"packages/*\"]\n"),
        (
            "packages/app/larder.toml",
            "[tasks.build]\ncommand = \"mkdir -p ../../dist; cat src.txt > ../../dist/app; cat src.txt > own.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"$ROOT$/dist/app\", \"own.txt\"]\n",
        ),
        ("packages/app/src.txt", "one\n"),
        ("dist/mine", "not the task's\n"),
    ]);
    assert_eq!(sandbox.statuses("build", 0)["packages/app#build"], "ran");
    sandbox.remove("dist/app");
    sandbox.remove("packages/app/own.txt");
    let statuses = sandbox.statuses("build", 0);
    assert_eq!(statuses["packages/app#build"], "restored");
    assert_eq!(sandbox.read("dist/app"), "one\n");
    assert_eq!(sandbox.read("packages/app/own.txt"), "one\n");
    assert_eq!(sandbox.read("dist/mine"), "not the task's\n");
    sandbox.write("packages/app/src.txt", "two\n");
    sandbox.larder("build");
    assert_eq!(sandbox.read("dist/app"), "two\n");
    assert_eq!(sandbox.read("dist/mine"), "not the task's\n");
}

#[test]
fn the_value_of_a_variable_is_in_no_file_and_in_no_output() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"test -n \\\"$TOKEN$PASSED\\\"; echo made > out.txt\"\noutputs = [\"out.txt\"]\ntools = [\"echo tool\"]\nenv = [\"TOKEN\", \"PATTERN_*\"]\npass-through-env = [\"PASSED\"]\n[tasks.fails]\ncommand = \"exit 1\"\noutputs = []\nenv = [\"TOKEN\"]\n",
    )]);
    let values = ["hunter2-one", "hunter2-two"];
    for value in values {
        let env = [
            ("TOKEN", value),
            ("PATTERN_A", value),
            ("PASSED", value),
            ("WITHHELD", value),
            ("LARDER_LOG", "trace"),
        ];
        for line in [
            "build --dry=json",
            "explain build --json",
            "build -v --summarize --json",
            "fails -v --summarize",
            "explain build",
            "build --dry",
            "cache status --json",
        ] {
            let outcome = sandbox.larder_env(line, &env);
            assert!(
                !outcome.all().contains("hunter2"),
                "{line}\n{}",
                outcome.all()
            );
        }
    }
    let explained = sandbox.larder_env("explain build", &[("TOKEN", "three")]);
    assert!(explained.stdout.contains("TOKEN"), "{}", explained.all());
    for value in values {
        // Nor the plain digest of a value, which would give away a value that can be guessed.
        let digest = blake3::hash(value.as_bytes());
        for file in files(sandbox.base()) {
            let bytes = std::fs::read(&file).unwrap();
            let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
            let place = file.display();
            assert!(!holds(b"hunter2"), "{place}");
            assert!(!holds(digest.as_bytes()), "{place}");
            assert!(!holds(digest.to_hex().as_bytes()), "{place}");
        }
    }
}

/// There is one function that takes a task through its life. What says what would be done makes keys by it too, and no
/// spelling of a request has a way of its own.
#[test]
fn every_spelling_of_a_request_makes_the_same_keys_and_meets_the_same_results() {
    let sandbox = Sandbox::new(&[
        ("larder.toml", "[workspace]\nprojects = [\"packages/*\"]\n"),
        (
            "packages/app/larder.toml",
            "[project]\nname = \"app\"\n[tasks.build]\ncommand = \"echo ran >> ../../../ran.log; cat src.txt > out.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("packages/app/src.txt", "one\n"),
    ]);
    let foreseen = json(&sandbox.larder("build --dry=json").stdout);
    let explained = json(&sandbox.larder("explain build --json").stdout);
    let key = foreseen["tasks"][0]["key"].as_str().unwrap().to_owned();
    assert_eq!(explained["tasks"][0]["key"], key.as_str());
    let made = sandbox.record("run app#build", 0);
    assert_eq!(made["tasks"][0]["key"], key.as_str());
    for line in [
        "build",
        "app:build",
        "run build",
        "build --filter app",
        "build --only",
    ] {
        let record = sandbox.record(line, 0);
        assert_eq!(record["tasks"][0]["key"], key.as_str(), "{line}");
        assert_eq!(record["tasks"][0]["status"], "up-to-date", "{line}");
    }
    let below = sandbox.run(
        sandbox
            .command_in(&sandbox.path("packages/app"))
            .args(["-C", "..", "build", "--json"]),
    );
    assert_eq!(json(&below.stdout)["tasks"][0]["key"], key.as_str());
    assert_eq!(sandbox.ran(), ["ran"]);
}
