//! A cache or workspace that may not be written, or whose disk is full.
//! Knows nothing of damage to what is stored; that is in `damage.rs`.

use crate::rights;
use crate::sandbox::{Sandbox, files};

/// A task whose output is as large as its input and cannot be compressed.
fn bulky(bytes: usize) -> Sandbox {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"echo ran >> ../ran.log; mkdir -p out; cp src.bin out/result\"\ninputs = [\"src.bin\"]\noutputs = [\"out/**\"]\n",
    )]);
    std::fs::write(sandbox.path("src.bin"), noise(bytes)).unwrap();
    sandbox
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let mut stream = blake3::Hasher::new().finalize_xof();
    stream.fill(&mut content);
    content
}

fn result(sandbox: &Sandbox) -> Vec<u8> {
    std::fs::read(sandbox.path("out/result")).unwrap()
}

#[test]
fn a_cache_that_may_only_be_read_restores_and_is_left_alone() {
    let sandbox = bulky(1000);
    sandbox.larder("build");
    sandbox.ran();
    rights::give_away(sandbox.base());
    lock(&sandbox.cache(), 0o555, 0o444);
    sandbox.remove("out");
    let before = files(&sandbox.cache());
    let outcome = rights::larder_without_rights(&sandbox, "build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.all());
    assert_eq!(result(&sandbox), noise(1000));
    assert!(sandbox.ran().is_empty(), "it was restored");
    // A new result cannot be stored: said, counted, and nothing worse.
    std::fs::write(sandbox.path("src.bin"), noise(999)).unwrap();
    let counted = rights::larder_without_rights(&sandbox, "build --json");
    assert_eq!(counted.code, 0, "{}", counted.all());
    assert!(
        counted.stderr.contains("warning") && counted.stderr.contains("Permission denied"),
        "{}",
        counted.all()
    );
    let record: serde_json::Value = serde_json::from_str(&counted.stdout).unwrap();
    assert_eq!(record["counters"]["cache_faults"], 1, "{}", counted.all());
    assert_eq!(result(&sandbox), noise(999));
    assert_eq!(sandbox.ran(), ["ran"]);
    assert_eq!(files(&sandbox.cache()), before);
    let again = rights::larder_without_rights(&sandbox, "build --json");
    assert!(again.stdout.contains("\"up-to-date\""), "{}", again.all());
    lock(&sandbox.cache(), 0o755, 0o644);
}

#[test]
fn state_that_may_not_be_written_is_a_clear_error_or_a_warning_and_loses_nothing() {
    let sandbox = bulky(1000);
    sandbox.larder("build");
    sandbox.ran();
    rights::give_away(sandbox.base());
    lock(&sandbox.path(".larder"), 0o555, 0o444);
    let outcome = rights::larder_without_rights(&sandbox, "build");
    assert_eq!(outcome.code, 0, "nothing to do: {}", outcome.all());
    assert!(
        outcome.stderr.contains("last-run.json cannot be written"),
        "{}",
        outcome.all()
    );
    std::fs::write(sandbox.path("src.bin"), noise(2000)).unwrap();
    let outcome = rights::larder_without_rights(&sandbox, "build");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("make the folder writable"),
        "{}",
        outcome.all()
    );
    assert!(
        outcome.stderr.contains("Permission denied"),
        "{}",
        outcome.all()
    );
    assert_eq!(result(&sandbox), noise(1000), "nothing was touched");
    assert!(sandbox.ran().is_empty());
    lock(&sandbox.path(".larder"), 0o755, 0o644);
    let outcome = rights::larder_without_rights(&sandbox, "build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(result(&sandbox), noise(2000));
}

/// A workspace whose cached result cannot be restored whole: the second of two outputs lies in a folder that may not
/// be written, and the first is somebody else's file. Owned by the one who runs.
fn restorable_by_half() -> Sandbox {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"echo ran >> ../ran.log; mkdir -p out zz; [ -e out/a ] || echo a > out/a; chmod u+w zz; echo b > zz/b\"\ninputs = []\noutputs = [\"out/a\", \"zz/b\"]\n",
    )]);
    sandbox.larder("build");
    sandbox.ran();
    for path in ["out", "zz/b", ".larder"] {
        sandbox.remove(path);
    }
    rights::give_away(sandbox.base());
    rights::set_mode(&sandbox.path("zz"), 0o555);
    sandbox
}

#[test]
fn a_restore_that_stops_half_way_names_what_it_moved_aside() {
    let sandbox = restorable_by_half();
    sandbox.write("out/a", "mine");
    rights::give_away(&sandbox.path("out"));
    let outcome = rights::larder_without_rights(&sandbox, "build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.ran(), ["ran"]);
    assert!(
        outcome.stderr.contains("stopped half-way"),
        "{}",
        outcome.all()
    );
    assert!(
        outcome.stderr.contains("out/a was rescued to")
            && outcome.stderr.contains(".larder/rescued/out/a"),
        "{}",
        outcome.all()
    );
    assert_eq!(sandbox.read(".larder/rescued/out/a"), "mine");
    assert_eq!(sandbox.read("out/a"), "a\n");
    assert_eq!(sandbox.read("zz/b"), "b\n");
}

#[test]
fn what_a_failed_restore_wrote_is_the_tasks_own() {
    let sandbox = restorable_by_half();
    let outcome = rights::larder_without_rights(&sandbox, "build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("stopped half-way"),
        "{}",
        outcome.all()
    );
    assert!(
        !outcome.stderr.contains("was not written by it"),
        "{}",
        outcome.all()
    );
    let again = rights::larder_without_rights(&sandbox, "build --json");
    assert!(again.stdout.contains("\"up-to-date\""), "{}", again.all());
    assert_eq!(sandbox.ran(), ["ran"]);
}

#[test]
fn a_full_disk_under_the_cache_costs_only_the_storing() {
    let sandbox = bulky(3 << 20);
    std::fs::create_dir(sandbox.cache()).unwrap();
    let script = "
        mount -t tmpfs -o size=1m none \"$LARDER_CACHE_DIR\"
        \"$LARDER\" build
        find \"$LARDER_CACHE_DIR\" -type f > \"$BASE/left\"
        \"$LARDER\" cache verify";
    let Some(outcome) = rights::mounting("a full disk under the cache", &sandbox, script) else {
        return;
    };
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("warning") && outcome.stderr.contains("cannot be stored"),
        "{}",
        outcome.all()
    );
    assert!(
        outcome.stderr.contains("No space left"),
        "{}",
        outcome.all()
    );
    assert_eq!(result(&sandbox), noise(3 << 20));
    let left = std::fs::read_to_string(sandbox.base().join("left")).unwrap();
    for part in ["/v1/entries/", "/v1/artifacts/", "/v1/tmp/"] {
        assert!(!left.contains(part), "half a file stays: {left}");
    }
    assert_eq!(sandbox.ran(), ["ran"]);
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    sandbox.remove("out");
    assert_eq!(
        sandbox.statuses("build", 0)[".#build"],
        "ran",
        "nothing was stored"
    );
}

#[test]
fn a_full_disk_under_the_workspace_fails_the_task_and_loses_nothing() {
    let sandbox = bulky(3 << 20);
    sandbox.larder("build");
    sandbox.ran();
    // The same workspace on a small disk: the result is in the cache, and there is no room to restore it.
    let script = "
        mkdir \"$BASE/small\"
        mount -t tmpfs -o size=4m none \"$BASE/small\"
        cd \"$BASE/small\"
        mkdir ws; cp \"$BASE/ws/larder.toml\" \"$BASE/ws/src.bin\" ws; mkdir ws/out; echo precious > ws/out/mine
        cd ws
        code=0; \"$LARDER\" build || code=$?
        echo \"full: exit $code\"
        cat out/mine; cmp -s out/result src.bin && echo whole
        mount -o remount,size=20m \"$BASE/small\"
        rm -f out/mine
        \"$LARDER\" build
        cmp out/result src.bin && echo right";
    let Some(outcome) = rights::mounting("a full disk under the workspace", &sandbox, script)
    else {
        return;
    };
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stdout.contains("full: exit 1\nprecious\n"),
        "{}",
        outcome.all()
    );
    assert!(!outcome.stdout.contains("whole"), "{}", outcome.all());
    assert!(
        outcome.stderr.contains("cannot be restored"),
        "{}",
        outcome.all()
    );
    assert!(
        outcome.stderr.contains("No space left"),
        "{}",
        outcome.all()
    );
    assert!(outcome.stdout.ends_with("right\n"), "{}", outcome.all());
}

/// Sets the modes of all folders and all files below a folder.
fn lock(folder: &std::path::Path, folders: u32, files: u32) {
    // Folders first when they are opened, last when they are closed: the order does not matter to root, but to others.
    if folders & 0o200 != 0 {
        rights::set_mode(folder, folders);
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lock(&path, folders, files);
        } else {
            rights::set_mode(&path, files);
        }
    }
    rights::set_mode(folder, folders);
}
