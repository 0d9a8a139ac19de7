//! What is said of caches and fingerprints, after a run and at any time, and how each is cleared.

use serde_json::{Value, json};

use crate::early_cutoff::chain;
use crate::sandbox::{Sandbox, files};

fn asked(sandbox: &Sandbox, line: &str) -> Value {
    let outcome = sandbox.larder(line);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.all());
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", outcome.all()))
}

fn part<'a>(status: &'a Value, name: &str) -> &'a Value {
    let parts = status["workspace"]["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap()
}

#[test]
fn a_run_shows_hits_misses_and_seconds_by_project() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.write("packages/app/src.txt", "edited\n");
    sandbox.remove("packages/lib/out.txt");
    let record = sandbox.record("build --show-cache", 0);
    let shown = &record["show_cache"];
    let rows: Vec<_> = shown["projects"].as_array().unwrap().iter().collect();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["project"].as_str().unwrap(),
                row["hits"].as_u64().unwrap(),
                row["misses"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("packages/app", 0, 1),
            ("packages/lib", 1, 0),
            ("packages/top", 0, 1)
        ]
    );
    assert!(
        rows[0]["rebuild_seconds"].as_f64().unwrap() > 0.0 && rows[1]["rebuild_seconds"] == 0.0,
        "{shown:#}"
    );
    assert!(
        rows[1]["saved_seconds"].as_f64().unwrap() > 0.0 && rows[0]["saved_seconds"] == 0.0,
        "{shown:#}"
    );
    assert_eq!(
        (
            &shown["stored"],
            &shown["cache"]["entries"],
            &shown["cache"]["entries_of_this_run"]
        ),
        (&json!(2), &json!(5), &json!(5))
    );
    // Only what was asked for is shown, and none of it is kept.
    let kept: Value = serde_json::from_str(&sandbox.read(".larder/last-run.json")).unwrap();
    assert!(kept.get("show_cache").is_none());
    assert!(sandbox.record("build", 0).get("show_cache").is_none());
}

#[test]
fn what_a_run_shows_is_for_people_as_well() {
    let sandbox = chain();
    let outcome = sandbox.larder("build --show-cache --output-logs none");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let (_, shown) = outcome.stderr.split_once("larder: succeeded").unwrap();
    // Sizes and seconds differ from run to run.
    let digits = |line: &str| {
        let line = line.replace(|letter: char| letter.is_ascii_digit(), "0");
        // So large is an empty database.
        line.replace("000.00 KiB", "0.00 KiB")
            .replace("00.00 KiB", "0.00 KiB")
    };
    let shown: Vec<String> = shown
        .lines()
        .skip(1)
        .map(digits)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    hits misses rebuild saved
    packages/app 0 0 0.00 s 0.00 s
    packages/lib 0 0 0.00 s 0.00 s
    packages/top 0 0 0.00 s 0.00 s
    0 projects 0 0 0.00 s 0.00 s
    0 results stored, 0 B restored
    0 digests of files known, 0 made anew from 00 B
    cache: [DIR]/cache
    0 entries, 0.00 KiB; of the tasks of this run: 0, 0.00 KiB
    workspace: [DIR]/ws/.larder
    state 0.00 KiB .larder/state
    memo 0.00 KiB .larder/memo
    snapshot 0 B .larder/workspace
    session 0 B .larder/session
    records 0.00 KiB .larder/runs, .larder/last-run.json
    history 0.00 KiB .larder/history.db
    rescued 0 B .larder/rescued
    `larder cache status` says what is in them and how to clear each
    ");
    let quiet = sandbox.larder("build");
    assert!(!quiet.all().contains("workspace:"), "{}", quiet.all());
}

#[test]
fn the_status_counts_what_each_part_holds() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.larder("build");
    let status = asked(&sandbox, "cache status --json");
    assert_eq!(
        part(&status, "state")["holds"],
        json!({ "tasks": 3, "outputs": 3 })
    );
    assert_eq!(part(&status, "records")["holds"], json!({ "files": 2 }));
    assert_eq!(part(&status, "rescued")["holds"], json!({ "files": 0 }));
    let folders = part(&status, "memo")["holds"]["folders"].as_u64().unwrap();
    assert_eq!(folders, 3, "{status:#}");
    let last: Value = serde_json::from_str(&sandbox.read(".larder/last-run.json")).unwrap();
    assert_eq!(
        status["last_fingerprint_hits"],
        last["counters"]["memo_hits"]
    );
    assert_eq!(
        status["last_fingerprint_misses"],
        last["counters"]["memo_misses"]
    );
}

#[test]
fn each_part_is_cleared_by_the_command_that_the_status_names() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.write("out/result.txt", "mine\n");
    sandbox.larder("build");
    assert_eq!(sandbox.ran(), ["build"]);
    for name in ["memo", "snapshot", "session", "records", "rescued", "state"] {
        let before = asked(&sandbox, "cache status --json");
        let command = part(&before, name)["clear"].as_str().unwrap();
        assert_eq!(command, format!("larder cache clear {name}"));
        let entries = files(&sandbox.cache().join("v1/entries"));
        let cleared = asked(
            &sandbox,
            &format!("{} --json", command.strip_prefix("larder ").unwrap()),
        );
        assert_eq!(
            cleared["parts"][0]["freed"],
            part(&before, name)["bytes"],
            "{name}"
        );
        let after = asked(&sandbox, "cache status --json");
        for other in ["memo", "records", "rescued", "state"] {
            let (was, is) = (
                part(&before, other)["bytes"].as_u64(),
                part(&after, other)["bytes"].as_u64(),
            );
            assert_eq!(
                is,
                if other == name { Some(0) } else { was },
                "{name} cleared: {other}"
            );
        }
        assert_eq!(
            files(&sandbox.cache().join("v1/entries")),
            entries,
            "{name}"
        );
        assert_eq!(sandbox.read("out/result.txt"), "one\n");
    }
    let outcome = sandbox.larder("cache clear memo rescued");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (
            0,
            "removed 0 files of the memo, 0 B\nremoved 0 files of the rescued, 0 B\n"
        )
    );
    // Without the state, outputs are the user's: the restore finds them right and takes none away.
    sandbox.larder("build");
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.larder("cache clear");
    assert_eq!(asked(&sandbox, "cache status --json")["entries"], 0);
    assert!(
        part(&asked(&sandbox, "cache status --json"), "state")["bytes"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn a_workspace_forgets_its_state_though_its_cache_is_beyond_use() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    std::fs::remove_dir_all(sandbox.cache()).unwrap();
    std::fs::write(sandbox.cache(), "no folder").unwrap();
    let outcome = sandbox.larder("cache clear state memo");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(!sandbox.exists(".larder/state") && !sandbox.exists(".larder/memo"));
    let run = sandbox.larder("build --show-cache");
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(!run.stderr.contains("\ncache:"), "{}", run.all());
}
