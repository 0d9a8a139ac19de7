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

#[test]
fn a_damaged_entry_hides_no_damage_of_its_bundle_and_attestation() {
    let scene = Scene::new();
    let attest: Attest<'_> = &|_| Ok(b"signed".to_vec());
    let one = scene.try_keep(1, Some(attest)).unwrap();
    mirrored(&scene, one.id, "a");
    let (bundle, attestation) = (
        Archive::bundle_name(one.id),
        Archive::attestation_name(one.id),
    );
    let whole = fs::read(scene.at(&bundle)).unwrap();
    fs::write(scene.at(&attestation), b"Signed").unwrap();
    flip(&scene.at(&bundle));
    let faulty = || -> Vec<String> {
        let faults = scene.archive.verify(one.id).unwrap().faults;
        faults.into_iter().map(|fault| fault.file).collect()
    };
    flip(&scene.at(&Archive::entry_name(one.id, 2)));
    let second = Archive::entry_name(one.id, 2);
    assert_eq!(
        faulty(),
        [&second, &bundle, &attestation].map(String::as_str)
    );
    // Without any revision the bundle can still be held against itself.
    flip(&scene.at(&Archive::entry_name(one.id, 1)));
    let first = Archive::entry_name(one.id, 1);
    assert_eq!(faulty(), [&first, &second, &bundle].map(String::as_str));
    fs::write(scene.at(&bundle), whole).unwrap();
    assert_eq!(faulty(), [&first, &second].map(String::as_str));
}

#[test]
fn entries_that_were_deleted_or_set_back_are_missed() {
    let scene = Scene::new();
    let (one, two, three) = (scene.keep(1), scene.keep(2), scene.keep(3));
    mirrored(&scene, two.id, "a");
    let faults = || scene.archive.verify_all().unwrap().faults;
    assert_eq!(faults(), []);
    // Set back to its first revision.
    fs::remove_file(scene.at(&Archive::entry_name(two.id, 2))).unwrap();
    let found = faults();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].file, Archive::entry_name(two.id, 2));
    assert!(found[0].why.contains("set back to revision 1"), "{found:?}");
    assert_eq!(scene.archive.verify(two.id).unwrap().faults, found);
    // Deleted, with its bundle or without.
    fs::remove_file(scene.at(&Archive::entry_name(one.id, 1))).unwrap();
    fs::remove_file(scene.at(&Archive::entry_name(three.id, 1))).unwrap();
    fs::remove_file(scene.at(&Archive::bundle_name(three.id))).unwrap();
    let found = faults();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].file, Archive::entry_name(one.id, 1));
    assert_eq!(found[2].file, Archive::entry_name(three.id, 1));
    for id in [one.id, three.id] {
        assert_eq!(scene.archive.verify(id).unwrap().faults.len(), 1);
    }
    // Where the index says nothing of it its bundle tells, unless an upload is just at it.
    fs::write(scene.at("index"), "").unwrap();
    let found = faults();
    assert_eq!(found[0].file, Archive::entry_name(one.id, 1));
    assert!(found[0].why.contains("its bundle is"), "{found:?}");
    let elapsed = || std::time::Duration::ZERO;
    let upload =
        crate::upload::Upload::begin(&scene.archive, one.id, Time::default(), &elapsed).unwrap();
    assert!(faults().iter().all(|fault| fault.file == "index"));
    upload.finish().unwrap();
    // A mirror has no index, and bundles come before their entries.
    fs::remove_file(scene.at("index")).unwrap();
    assert!(faults().iter().all(|fault| fault.file == "index"));
    assert!(matches!(
        scene.archive.verify(three.id),
        Err(ArchiveError::Missing { .. })
    ));
}

#[test]
fn an_entry_that_contradicts_its_bundle_is_damage() {
    type Change = fn(&mut ArchiveEntry);
    let changes: [(&str, Change); 14] = [
        ("trigger", |entry| entry.trigger = "ci".into()),
        ("workspace", |entry| entry.workspace = "there".into()),
        ("created", |entry| entry.created = Time::default()),
        ("host.name", |entry| entry.host.name = "else".into()),
        ("status", |entry| {
            entry.status = crate::format::EntryStatus::Rejected;
        }),
        ("gates_skipped", |entry| entry.gates_skipped = true),
        ("run_record.tasks[0].status", |entry| {
            let json = serde_json::json!({ "wall_seconds": 1.5, "tasks": [{ "task": "web#build", "status": "failed" }] });
            entry.run = RunRecord::new(json).unwrap();
        }),
        ("tags[0]", |entry| entry.tags.extend(["v1".to_owned()])),
        ("notes[0]", |entry| entry.notes.push("good".into())),
        ("metrics.coverage", |entry| {
            entry.metrics.insert("coverage".into(), 99.0);
        }),
        ("phase_timings.load", |entry| {
            entry.phase_timings.insert("load".into(), 1.0);
        }),
        ("gates[0]", |entry| {
            entry.gates.push(crate::gates::GateResult {
                gate: "tier unit".into(),
                passed: true,
                reasons: Vec::new(),
            });
        }),
        ("commits[0]", |entry| {
            entry.commits.push(crate::format::RepoCommit::default());
        }),
        ("artifacts[0]", |entry| entry.artifacts.clear()),
    ];
    let scene = Scene::new();
    for (number, (path, change)) in changes.into_iter().enumerate() {
        let one = scene.keep(i64::try_from(number).unwrap());
        mirrored(&scene, one.id, "a");
        scene
            .archive
            .amend(one.id, |entry| {
                entry.archive_timings.insert(crate::step::Step::Sync, 0.1);
            })
            .unwrap();
        assert_eq!(scene.archive.verify(one.id).unwrap().faults, [], "{path}");
        let forged = scene.archive.amend(one.id, change).unwrap();
        let faults = scene.archive.verify(one.id).unwrap().faults;
        assert_eq!(faults.len(), 1, "{path}: {faults:?}");
        assert_eq!(faults[0].file, Archive::entry_name(one.id, forged.revision));
        assert!(faults[0].why.contains(&format!("`{path}`")), "{faults:?}");
    }
}

#[test]
fn an_entry_that_does_not_name_its_bundle_is_damage() {
    let scene = Scene::new();
    let one = scene.keep(1);
    scene
        .archive
        .amend(one.id, |entry| {
            entry.bundle = None;
            entry.trigger = "ci".into();
        })
        .unwrap();
    let faults = scene.archive.verify(one.id).unwrap().faults;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].why.contains("`trigger`"));
    assert_eq!(faults[1].file, Archive::bundle_name(one.id));
}

#[test]
fn entries_that_others_bring_are_indexed_by_the_next_writer() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.keep(1);
    let brought = [other.keep(2), other.keep(3)];
    for entry in &brought {
        let name = Archive::entry_name(entry.id, 1);
        fs::copy(other.at(&name), scene.at(&name)).unwrap();
    }
    scene.archive.save(&entry(4)).unwrap();
    let index = scene.archive.read_index().unwrap();
    assert_eq!((index.lines, index.entries(), index.sound), (4, 4, true));
    for entry in &brought {
        assert_eq!(index.get(entry.id, 1), Some(&Summary::of(entry)));
    }
    // One that cannot be read is no reason to write, nor is one that an older revision stands for.
    let two = mirrored(&scene, brought[0].id, "a");
    fs::remove_file(scene.at("index")).unwrap();
    flip(&scene.at(&Archive::entry_name(two.id, 2)));
    flip(&scene.at(&Archive::entry_name(brought[1].id, 1)));
    scene.archive.save(&entry(4)).unwrap();
    let index = fs::read(scene.at("index")).unwrap();
    scene.archive.save(&entry(4)).unwrap();
    assert_eq!(fs::read(scene.at("index")).unwrap(), index);
}

#[test]
fn a_new_archive_is_none_of_gits_business() {
    let scene = Scene::new();
    let ignored = scene.at(".gitignore");
    scene.keep(1);
    let text = fs::read_to_string(&ignored).unwrap();
    assert!(text.starts_with('#') && text.ends_with("\n*\n"), "{text}");
    assert_eq!(scene.archive.verify_all().unwrap().sound.len(), 3);
    // Whoever wants it otherwise has it so.
    fs::remove_file(&ignored).unwrap();
    scene.keep(2);
    assert!(!ignored.exists());
    // A folder that was somebody's before stays as it is.
    let theirs = Archive::new(scene.folder.path().join("work"));
    theirs.save(&entry(1)).unwrap();
    assert!(!theirs.root().join(".gitignore").exists());
}
