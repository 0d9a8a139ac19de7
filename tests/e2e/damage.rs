//! Damage to everything that is kept: entries, artifacts, and each state file; and forms of other versions.
//! Whatever is damaged, the outputs are right, nobody's file is lost, and the run does not fail.

use std::path::{Path, PathBuf};

use crate::sandbox::{Outcome, Sandbox, files};

/// A task with a folder, a link, a program and a log, of which another task makes a sum.
fn workspace() -> Sandbox {
    Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.lib]\ncommand = \"echo lib >> ../ran.log; echo building; mkdir -p lib/deep; cat src.txt > lib/deep/a; echo tool > lib/tool; chmod 755 lib/tool; ln -sf deep/a lib/link\"\ninputs = [\"src.txt\"]\noutputs = [\"lib/**\"]\n[tasks.build]\ndepends-on = [\"lib\"]\ncommand = \"echo build >> ../ran.log; cat lib/link lib/tool > sum.txt\"\ninputs = []\noutputs = [\"sum.txt\"]\n",
        ),
        ("src.txt", "one\n"),
    ])
}

/// Asserts that all outputs are those of `src.txt` holding `source`.
fn right(sandbox: &Sandbox, source: &str, at: &str) {
    assert_eq!(sandbox.read("lib/deep/a"), source, "{at}");
    assert_eq!(sandbox.read("lib/tool"), "tool\n", "{at}");
    let link = std::fs::read_link(sandbox.path("lib/link")).unwrap();
    assert_eq!(link.to_str(), Some("deep/a"), "{at}");
    assert_eq!(sandbox.read("sum.txt"), format!("{source}tool\n"), "{at}");
}

fn stored(sandbox: &Sandbox, kind: &str) -> Vec<PathBuf> {
    files(&sandbox.cache().join("v1").join(kind))
}

/// One bit flipped at many places, and cuts at lengths of every class.
fn damages(whole: &[u8], places: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let length = whole.len();
    let step = length.div_ceil(places).max(1);
    for at in (0..length).step_by(step).chain([length - 1]) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        all.push((format!("bit flipped in byte {at} of {length}"), bytes));
    }
    for keep in [0, 1, 8, 47, 48, length / 2, length - 1] {
        let keep = keep.min(length - 1);
        all.push((format!("cut to {keep} of {length}"), whole[..keep].to_vec()));
    }
    let mut longer = whole.to_vec();
    longer.push(0);
    all.push(("one byte more".to_owned(), longer));
    all
}

fn forget_outputs(sandbox: &Sandbox) {
    sandbox.remove("lib");
    sandbox.remove("sum.txt");
}

/// Damages each stored file of a kind at many places: the task it belongs to runs, and the file is stored anew.
fn mended_everywhere(kind: &str, mended: impl Fn(&str, &Path, &[u8], &Outcome)) {
    let sandbox = workspace();
    sandbox.larder("build");
    sandbox.ran();
    for path in stored(&sandbox, kind) {
        let whole = std::fs::read(&path).unwrap();
        for (at, bytes) in damages(&whole, 40) {
            std::fs::write(&path, bytes).unwrap();
            forget_outputs(&sandbox);
            let outcome = sandbox.larder("build");
            assert_eq!(outcome.code, 0, "{at}: {}", outcome.all());
            assert_eq!(sandbox.ran().len(), 1, "{at}: only the damaged task runs");
            right(&sandbox, "one\n", &at);
            mended(&at, &path, &whole, &outcome);
        }
    }
}

#[test]
fn a_damaged_artifact_is_a_warned_miss_and_mended_at_every_place() {
    mended_everywhere("artifacts", |at, path, whole, outcome| {
        assert!(
            outcome.stderr.contains("cannot be restored"),
            "{at}: {}",
            outcome.all()
        );
        assert_eq!(std::fs::read(path).unwrap(), whole, "{at}: stored anew");
    });
}

#[test]
fn a_damaged_entry_is_a_miss_and_mended_at_every_place() {
    // An entry holds when it was made and how long that took, so its bytes differ.
    mended_everywhere("entries", |at, path, _, _| {
        assert!(path.is_file(), "{at}: stored anew");
    });
}

#[test]
fn damage_to_any_state_file_never_skips_wrongly_and_loses_nothing() {
    let sandbox = workspace();
    sandbox.larder("build");
    settle(&sandbox);
    let keep = backup(&sandbox.path(".larder"));
    let names: Vec<&str> = keep.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["state", "memo", "workspace", "secret", "last-run.json"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let kept = |(name, whole): &&(String, Vec<u8>)| !whole.is_empty() && name != ".gitignore";
    for (name, whole) in keep.iter().filter(kept) {
        let path = sandbox.path(".larder").join(name);
        for (at, bytes) in damages(whole, 8) {
            let at = format!("{name}: {at}");
            // Nothing edited: right whether skipped, restored or run.
            std::fs::write(&path, &bytes).unwrap();
            let outcome = sandbox.larder("build");
            assert_eq!(outcome.code, 0, "{at}: {}", outcome.all());
            right(&sandbox, "one\n", &at);
            // An edit, with equal size: seen.
            restore(&sandbox, &keep);
            std::fs::write(&path, &bytes).unwrap();
            sandbox.write("src.txt", "two\n");
            let outcome = sandbox.larder("build");
            assert_eq!(outcome.code, 0, "{at}: {}", outcome.all());
            right(&sandbox, "two\n", &at);
            sandbox.write("src.txt", "one\n");
            sandbox.larder("build");
            right(&sandbox, "one\n", &at);
            // A file of the user in an output's place: rescued, not lost.
            restore(&sandbox, &keep);
            std::fs::write(&path, &bytes).unwrap();
            sandbox.write("sum.txt", "precious");
            let outcome = sandbox.larder("build");
            assert_eq!(outcome.code, 0, "{at}: {}", outcome.all());
            right(&sandbox, "one\n", &at);
            // What lies there without a known owner is rescued as well, so it may not be alone.
            let rescued = files(&sandbox.path(".larder/rescued"));
            let precious = |path: &PathBuf| std::fs::read(path).unwrap() == b"precious";
            assert!(rescued.iter().any(precious), "{at}: {rescued:?}");
            sandbox.remove(".larder/rescued");
            sandbox.ran();
            restore(&sandbox, &keep);
        }
    }
}

#[test]
fn forms_of_a_newer_version_are_absent_and_the_run_goes_on() {
    for (name, at) in [("state", 7), ("memo", 8), ("workspace", 8)] {
        let sandbox = workspace();
        settle(&sandbox);
        sandbox.ran();
        let path = sandbox.path(".larder").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] += 1;
        // What a newer version says may be anything.
        bytes.truncate(bytes.len() / 2 + 60);
        bytes.extend_from_slice(b"from the future");
        std::fs::write(&path, &bytes).unwrap();
        sandbox.write("src.txt", "two\n");
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.all());
        right(&sandbox, "two\n", name);
        assert_eq!(
            sandbox.statuses("build", 0)[".#build"],
            "up-to-date",
            "{name}"
        );
    }
    for entry in [0, 1] {
        let sandbox = workspace();
        sandbox.larder("build");
        let path = &stored(&sandbox, "entries")[entry];
        let mut bytes = std::fs::read(path).unwrap();
        bytes[8] += 1;
        let body = bytes.len() - 32;
        let sum = *blake3::hash(&bytes[..body]).as_bytes();
        bytes[body..].copy_from_slice(&sum);
        std::fs::write(path, bytes).unwrap();
        sandbox.ran();
        forget_outputs(&sandbox);
        assert_eq!(sandbox.larder("build").code, 0);
        assert_eq!(sandbox.ran().len(), 1, "that task alone runs");
        right(&sandbox, "one\n", "a newer entry");
    }
    // A state that is right in all but its version is not believed.
    let sandbox = workspace();
    sandbox.larder("build");
    let path = sandbox.path(".larder/state");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[7] += 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    // A newer layout lies in a folder of its own and stays as it is.
    let sandbox = workspace();
    let newer = sandbox.cache().join("v2/entries/ab");
    std::fs::create_dir_all(newer.parent().unwrap()).unwrap();
    std::fs::write(&newer, "newer").unwrap();
    assert_eq!(sandbox.larder("build").code, 0);
    assert_eq!(sandbox.larder("cache prune").code, 0);
    assert_eq!(std::fs::read(newer).unwrap(), b"newer");
}

/// Runs until the resolved configuration is kept too, which is not done within two seconds of a change to it.
fn settle(sandbox: &Sandbox) {
    let started = std::time::Instant::now();
    while !sandbox.exists(".larder/workspace") {
        assert!(started.elapsed().as_secs() < 60, "no snapshot was kept");
        assert_eq!(sandbox.larder("build").code, 0);
    }
}

fn backup(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let own = |path: &PathBuf| {
        path.strip_prefix(folder)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    files(folder)
        .into_iter()
        .filter(|path| !own(path).starts_with("runs/"))
        .map(|path| (own(&path), std::fs::read(&path).unwrap()))
        .collect()
}

fn restore(sandbox: &Sandbox, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        std::fs::write(sandbox.path(".larder").join(name), bytes).unwrap();
    }
}
