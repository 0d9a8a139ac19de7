//! Damaged, deleted and exchanged files of entries: what is read instead, and what verification says of them.
//! Does not test damage inside bundles.

use super::*;

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Adds a metric, as a mirror's time does.
fn mirrored(scene: &Scene, id: EntryId, name: &str) -> ArchiveEntry {
    let add = |entry: &mut ArchiveEntry| {
        entry.metrics.insert(format!("mirror.{name}.seconds"), 1.5);
    };
    scene.archive.amend(id, add).unwrap()
}

#[test]
fn an_intact_older_revision_is_read_when_later_ones_are_damaged() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let two = mirrored(&scene, one.id, "a");
    let path = scene.at(&Archive::entry_name(one.id, 2));
    let whole = fs::read(&path).unwrap();
    flip(&path);
    let damaged = fs::read(&path).unwrap();
    assert_eq!(scene.archive.entry(one.id).unwrap(), Some(one.clone()));
    let newest = scene.archive.newest(one.id).unwrap().unwrap();
    assert_eq!(newest.passed_over.len(), 1);
    assert!(newest.passed_over[0].contains(".2.json"), "{newest:?}");
    // With the index gone it is listed as well, and the damage told.
    fs::remove_file(scene.at("index")).unwrap();
    let listing = scene.archive.list().unwrap();
    assert_eq!(listing.summaries, [Summary::of(&one)]);
    assert_eq!(listing.problems.len(), 1);
    assert_eq!(listing.problems[0].0, one.id);
    assert_eq!(scene.archive.rebuild().unwrap(), listing);

    // What is added then is added to the intact one, under a number that nothing has; the damaged one stays for whoever looks into it.
    let three = mirrored(&scene, one.id, "b");
    assert_eq!(three.revision, 3);
    assert!(!three.metrics.contains_key("mirror.a.seconds"));
    let four = mirrored(&scene, one.id, "c");
    assert_eq!(fs::read(&path).unwrap(), damaged);
    assert_eq!(scene.archive.entry(one.id).unwrap(), Some(four));
    let faults = scene.archive.verify(one.id).unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].file, Archive::entry_name(one.id, 2));
    // Mended from a copy, it is one revision of many, and goes with the next.
    fs::write(&path, whole).unwrap();
    assert_eq!(scene.archive.verify(one.id).unwrap().faults, []);
    mirrored(&scene, one.id, "d");
    assert!(!path.exists());
    assert_eq!(two.revision, 2);
}

#[test]
fn what_a_newer_program_added_is_not_amended_away() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let json = br#"{"version":7}"#;
    let digest = blake3::hash(json).to_hex();
    let newer = [
        format!("{{\"blake3\":\"{digest}\",\"entry\":").as_bytes(),
        json,
        b"}\n",
    ]
    .concat();
    let path = scene.at(&Archive::entry_name(one.id, 2));
    fs::write(&path, &newer).unwrap();
    assert_eq!(scene.archive.entry(one.id).unwrap(), Some(one.clone()));
    let refused = scene.archive.amend(one.id, |entry| entry.revision = 9);
    assert!(refused.unwrap_err().to_string().contains("version 7"));
    assert_eq!(fs::read(&path).unwrap(), newer);
    assert_eq!(scene.archive.files().unwrap().len(), 2);
}
