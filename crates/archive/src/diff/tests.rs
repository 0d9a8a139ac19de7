//! Differences of every kind, and none between what is the same.
//! Does not test where entries come from.

use super::*;
use crate::format::{Artifact, RepoCommit};
use crate::id::EntryId;
use crate::manifests::FileKind;
use crate::run::RunRecord;
use crate::step::Step;
use crate::time::Time;
use serde_json::json;

fn file(digest: &str) -> FileState {
    FileState {
        kind: FileKind::File,
        executable: false,
        digest: digest.into(),
    }
}

fn map<V>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<String, V> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn entry(tasks: &serde_json::Value) -> ArchiveEntry {
    let run = RunRecord::new(json!({ "tasks": tasks })).unwrap();
    ArchiveEntry::new(EntryId::new(Time::default(), 0), Time::default(), run)
}

fn found(
    before: (&ArchiveEntry, &Manifests),
    after: (&ArchiveEntry, &Manifests),
) -> serde_json::Value {
    let side = |(entry, manifests)| DiffSide { entry, manifests };
    serde_json::to_value(diff(side(before), side(after))).unwrap()
}

fn manifests(task: TaskManifest) -> Manifests {
    Manifests {
        secret: Some("s".into()),
        tasks: map([("web#build", task)]),
        ..Manifests::default()
    }
}

#[test]
fn causes_are_told_one_by_one() {
    let old = TaskManifest {
        inputs: map([
            ("a", file("1")),
            ("b", file("1")),
            ("c", file("1")),
            ("d", file("1")),
            ("same", file("1")),
        ]),
        tools: map([("cc --version", "1".to_owned())]),
        environment: map([
            ("CHANGED", Some("1".to_owned())),
            ("GONE", Some("1".to_owned())),
            ("SAME", Some("1".to_owned())),
            ("SET", None),
            ("UNSET", Some("1".to_owned())),
            ("NEVER", None),
        ]),
        parts: map([("command", "make".to_owned())]),
        outputs: map([("out", file("1"))]),
    };
    let mut new = old.clone();
    new.inputs.remove("a");
    new.inputs.insert("b".into(), file("2"));
    new.inputs.get_mut("c").unwrap().executable = true;
    new.inputs.get_mut("d").unwrap().kind = FileKind::Link;
    new.inputs.insert("e".into(), file("1"));
    new.tools = map([("cc --version", "2".to_owned())]);
    new.environment = map([
        ("CHANGED", Some("2".to_owned())),
        ("NEVER", None),
        ("NEW", None),
        ("SAME", Some("1".to_owned())),
        ("SET", Some("1".to_owned())),
        ("UNSET", None),
    ]);
    new.parts = map([("command", "make -j".to_owned()), ("salt", "x".to_owned())]);
    new.outputs = map([("out", file("2"))]);
    let (old, new, entry) = (manifests(old), manifests(new), entry(&json!([])));
    let input = |path, change| json!({ "what": "input", "task": "web#build", "path": path, "change": change });
    let variable = |name, change| json!({ "what": "variable", "task": "web#build", "name": name, "change": change });
    assert_eq!(
        found((&entry, &old), (&entry, &new)),
        json!([
            input("a", "removed"),
            input("b", "content"),
            input("c", "mode"),
            input("d", "kind"),
            input("e", "added"),
            { "what": "tool", "task": "web#build", "command": "cc --version", "change": "changed" },
            variable("CHANGED", "value"),
            variable("GONE", "undeclared"),
            variable("NEW", "declared"),
            variable("SET", "set"),
            variable("UNSET", "unset"),
            { "what": "part", "task": "web#build", "name": "command", "before": "make", "after": "make -j" },
            { "what": "part", "task": "web#build", "name": "salt", "before": null, "after": "x" },
            { "what": "output", "task": "web#build", "path": "out", "change": "content" },
        ])
    );
    assert_eq!(found((&entry, &old), (&entry, &old)), json!([]));
}

#[test]
fn digests_under_two_secrets_do_not_compare() {
    let task = TaskManifest {
        environment: map([("HOME", Some("1".to_owned())), ("NEVER", None)]),
        ..TaskManifest::default()
    };
    let (one, entry) = (manifests(task), entry(&json!([])));
    for secret in [None, Some("t".to_owned())] {
        let mut other = one.clone();
        other.secret = secret;
        let expected = json!([{ "what": "variable", "task": "web#build", "name": "HOME", "change": "incomparable" }]);
        assert_eq!(found((&entry, &one), (&entry, &other)), expected);
    }
}

#[test]
fn what_came_of_it_is_told_as_well() {
    let mut old = entry(&json!([
        { "task": "a#x", "status": "ran", "seconds": 1.0 },
        { "task": "b#x", "status": "ran", "seconds": 2.0 },
    ]));
    let mut new = entry(&json!([
        { "task": "a#x", "status": "ran", "seconds": 1.5 },
        { "task": "b#x", "status": "restored", "seconds": 0.0 },
    ]));
    old.phase_timings = map([("plan", 0.5)]);
    new.phase_timings = map([("plan", 0.25)]);
    new.archive_timings.insert(Step::Collect, 1.0);
    old.metrics = map([("coverage", 80.0), ("same", 1.0)]);
    new.metrics = map([("lines", 3.0), ("same", 1.0)]);
    let repo = |commit: &str| RepoCommit {
        path: ".".into(),
        commit: Some(commit.into()),
        ..RepoCommit::default()
    };
    old.commits = vec![repo("c1")];
    new.commits = vec![repo("c2")];
    let artifact = |name: &str, blake3: &str| Artifact {
        name: name.into(),
        size: 1,
        blake3: blake3.into(),
        sha256: String::new(),
        executable: false,
    };
    old.artifacts = vec![artifact("app", "1"), artifact("old", "1")];
    new.artifacts = vec![artifact("app", "2")];
    let (none, some) = (Manifests::default(), manifests(TaskManifest::default()));
    assert_eq!(
        found((&old, &none), (&new, &some)),
        json!([
            { "what": "task", "task": "web#build", "change": "added" },
            { "what": "outcome", "task": "b#x", "before": "ran", "after": "restored" },
            { "what": "commit", "path": ".", "before": "c1", "after": "c2" },
            { "what": "artifact", "name": "app", "change": "changed" },
            { "what": "artifact", "name": "old", "change": "removed" },
            { "what": "metric", "name": "coverage", "before": 80.0, "after": null },
            { "what": "metric", "name": "lines", "before": null, "after": 3.0 },
            { "what": "timing", "name": "phase plan", "before": 0.5, "after": 0.25 },
            { "what": "timing", "name": "task a#x", "before": 1.0, "after": 1.5 },
        ])
    );
}
