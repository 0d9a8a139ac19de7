//! `larder cache`: what it says of the cache and of the workspace's own state.

use crate::sandbox::{Sandbox, files};

fn status(sandbox: &Sandbox) -> serde_json::Value {
    let outcome = sandbox.larder("cache status --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn the_hit_rate_is_over_the_kept_runs_and_the_last_one() {
    let sandbox = Sandbox::simple();
    assert_eq!(status(&sandbox)["runs"], 0);
    sandbox.larder("build");
    sandbox.remove("out");
    sandbox.larder("build");
    sandbox.larder("build");
    let status = status(&sandbox);
    assert_eq!(
        (&status["runs"], &status["hits"], &status["misses"]),
        (&3.into(), &2.into(), &1.into()),
        "{status:#}"
    );
    assert_eq!(
        (&status["last_hits"], &status["last_misses"]),
        (&1.into(), &0.into())
    );
    let outcome = sandbox.larder("cache status");
    assert!(
        outcome
            .stdout
            .contains("hit rate 66 %: 2 of 3 tasks in the 3 runs kept here"),
        "{}",
        outcome.all()
    );
}

#[test]
fn every_part_of_the_workspaces_state_can_be_deleted_as_the_status_says() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.write("out/result.txt", "mine\n");
    sandbox.larder("build");
    let parts = status(&sandbox)["workspace"]["parts"].clone();
    let parts = parts.as_array().unwrap();
    assert_eq!(parts.len(), 7);
    for part in parts {
        // No snapshot is taken of a configuration that was written a moment ago, nor of what nobody watches.
        let there = part["bytes"].as_u64().unwrap() > 0;
        let may_lack = part["name"] == "snapshot" || part["name"] == "session";
        assert!(there || may_lack, "{part:#}");
        for path in part["paths"].as_array().unwrap() {
            let path = std::path::Path::new(path.as_str().unwrap());
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else if path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(sandbox.read("out/result.txt"), "one\n");
    }
}

#[test]
fn verify_names_what_it_sets_aside_and_what_hung_on_it() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    let sound = sandbox.larder("cache verify");
    assert_eq!(
        (sound.code, sound.stdout.as_str()),
        (0, "1 entry and 1 artifact are sound\n")
    );
    let bad = files(&sandbox.cache().join("v1/artifacts")).remove(0);
    std::fs::write(&bad, "garbage").unwrap();
    let outcome = sandbox.larder("cache verify");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    let name = bad.file_name().unwrap().to_str().unwrap();
    assert!(outcome.stdout.contains(name), "{}", outcome.all());
    assert!(
        outcome.stdout.contains("1 file was bad"),
        "{}",
        outcome.all()
    );
    assert!(
        outcome.stdout.contains("1 entry set aside"),
        "{}",
        outcome.all()
    );
    let again = sandbox.larder("cache verify --json");
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["bad"], &again["dangling"]), (&0.into(), &0.into()));
}
