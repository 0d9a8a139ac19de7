//! What a prune removes, and what it leaves.
//! Does not test the bounds for themselves.

use std::time::{Duration, SystemTime};

use super::*;
use crate::retention::Retention;

#[test]
fn prune_removes_entries_with_all_their_files() {
    let scene = Scene::new();
    let all: Vec<_> = (1..6).map(|number| scene.keep(number)).collect();
    scene
        .archive
        .amend(all[0].id, |entry| entry.tags.extend(["v1".to_owned()]))
        .unwrap();
    scene
        .archive
        .amend(all[1].id, |entry| entry.notes.push("x".into()))
        .unwrap();
    let two = Retention {
        count: Some(2),
        ..Retention::default()
    };
    let held = all[2].id;
    let pruned = scene
        .archive
        .prune(&two, Time::from_nanos(0), &|id| id == held)
        .unwrap();
    assert_eq!(pruned.entries, [all[1].id]);
    assert!(pruned.bytes > 0);
    assert_eq!(scene.numbers(), [1, 3, 4, 5]);
    assert!(!scene.at(&Archive::bundle_name(all[1].id)).exists());
    assert_eq!(scene.archive.read_index().unwrap().lines, 4);
    // A tag that came later is nothing that an upload writes.
    let mut faults = scene.archive.verify_all().unwrap().faults;
    faults.retain(|fault| fault.file != Archive::entry_name(all[0].id, 2));
    assert_eq!(faults, []);
    let nothing = Archive::new(scene.at("none"));
    assert_eq!(
        nothing.prune(&two, Time::default(), &|_| false).unwrap(),
        Pruned::default()
    );
    assert!(!nothing.root().exists());
}

#[test]
fn prune_removes_what_killed_uploads_left_long_ago() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let (dead, resumable, fresh) = (entry(2).id, entry(3).id, entry(4).id);
    let files = [
        (Archive::bundle_name(one.id), false),
        (Archive::bundle_name(dead), true),
        (Archive::bundle_name(resumable), false),
        (Archive::attestation_name(dead), true),
        ("entries/.put-x".into(), true),
        ("bundles/theirs.tar.zst".into(), false),
        (format!("uploads/{dead}.lock"), true),
        // Killed at the very end: the entry is there, the upload is none any more.
        (format!("uploads/{}.lock", one.id), true),
        (format!("uploads/{resumable}.lock"), false),
        (".put-index".into(), true),
        ("outgoing/.put-x".into(), true),
        (format!("outgoing/{}.json", one.id), false),
    ];
    fs::create_dir(scene.at("outgoing")).unwrap();
    let old = SystemTime::now() - Duration::from_hours(25);
    for (name, _) in &files {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(scene.at(name))
            .unwrap();
        file.set_modified(old).unwrap();
    }
    fs::write(scene.at(&Archive::bundle_name(fresh)), b"").unwrap();
    let elapsed = || Duration::ZERO;
    drop(
        crate::upload::Upload::begin(&scene.archive, resumable, Time::default(), &elapsed).unwrap(),
    );
    let pruned = scene
        .archive
        .prune(&Retention::default(), Time::default(), &|_| false)
        .unwrap();
    let mut expected: Vec<_> = files
        .iter()
        .filter(|(_, goes)| *goes)
        .map(|(name, _)| name.clone())
        .collect();
    expected.sort();
    assert_eq!(pruned.strays, expected);
    for (name, goes) in &files {
        assert_eq!(scene.at(name).exists(), !goes, "{name}");
    }
    assert!(scene.at(&Archive::bundle_name(fresh)).exists());
    assert_eq!(scene.numbers(), [1]);
}

#[test]
fn an_archive_that_cannot_be_looked_at_is_not_one_that_has_nothing() {
    let scene = Scene::new();
    fs::write(scene.folder.path().join("file"), b"").unwrap();
    let archive = Archive::new(scene.folder.path().join("file/archive"));
    let pruned = archive.prune(&Retention::default(), Time::default(), &|_| false);
    assert!(
        matches!(
            pruned,
            Err(ArchiveError::Io {
                action: "examine",
                ..
            })
        ),
        "{pruned:?}"
    );
}
