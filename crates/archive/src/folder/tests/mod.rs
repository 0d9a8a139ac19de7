//! The archive after every kind of end a writer can have, under damage, and with many at it.
//! Does not test bundles for themselves.

mod damage;
mod prune;
mod together;

use std::io::{Seek, SeekFrom};

use super::*;
use crate::bundle::{Overwrite, artifact};
use crate::format::Artifact;
use crate::manifests::Manifests;
use crate::run::RunRecord;
use crate::time::Time;

struct Scene {
    folder: tempfile::TempDir,
    archive: Archive,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().join("archive"));
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder, archive }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.archive.root().join(name)
    }

    /// Keeps an entry with one artifact that holds its number.
    fn keep(&self, number: i64) -> ArchiveEntry {
        self.try_keep(number, None).unwrap()
    }

    fn try_keep(
        &self,
        number: i64,
        attest: Option<Attest<'_>>,
    ) -> Result<ArchiveEntry, ArchiveError> {
        let root = self.folder.path().join("work");
        fs::write(root.join("app"), number.to_string()).unwrap();
        let mut entry = entry(number);
        entry.artifacts.push(artifact(&root, "app").unwrap());
        let bundle = Bundle {
            entry: &entry,
            manifests: &Manifests::default(),
            extras: &[],
            root: &root,
        };
        self.archive.keep(&bundle, attest)
    }

    fn numbers(&self) -> Vec<i64> {
        let listing = self.archive.list().unwrap();
        assert_eq!(listing.problems, []);
        listing.summaries.iter().map(number).collect()
    }

    fn index_is_sound(&self) -> bool {
        self.archive.read_index().unwrap().sound
    }
}

fn entry(number: i64) -> ArchiveEntry {
    let time = Time::from_nanos(number * 1_000_000_000);
    let mut entry = ArchiveEntry::new(
        EntryId::new(time, 5),
        time,
        RunRecord::new(serde_json::json!({ "wall_seconds": 1.5, "tasks": [{ "task": "web#build", "status": "ran" }] })).unwrap(),
    );
    entry.workspace = "here".into();
    entry
}

/// Writes one byte of a file.
fn overwrite(path: &Path, at: usize, byte: u8) {
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[byte]).unwrap();
}

fn number(summary: &Summary) -> i64 {
    summary.created.nanos() / 1_000_000_000
}

#[test]
fn what_is_kept_is_listed_verified_and_restored() {
    let scene = Scene::new();
    assert_eq!(scene.archive.list().unwrap(), Listing::default());
    assert!(!scene.archive.root().exists(), "a look creates nothing");
    let (two, one) = (scene.keep(2), scene.keep(1));
    assert_eq!(scene.numbers(), [1, 2]);
    let listed = &scene.archive.list().unwrap().summaries[0];
    assert_eq!(listed, &Summary::of(&one));
    assert!(listed.projects.contains("web"));
    assert_eq!(scene.archive.entry(two.id).unwrap(), Some(two.clone()));
    assert_eq!(scene.archive.entry(entry(9).id).unwrap(), None);
    let verified = scene.archive.verify(one.id).unwrap();
    assert_eq!(verified.faults, []);
    assert_eq!(
        verified.sound,
        [Archive::entry_name(one.id, 1), Archive::bundle_name(one.id)]
    );
    let all = scene.archive.verify_all().unwrap();
    assert_eq!((all.faults.len(), all.sound.len()), (0, 5));
    let out = scene.folder.path().join("out");
    scene
        .archive
        .restore(one.id, &out, &|_: &Artifact| true, Overwrite::Refuse)
        .unwrap();
    assert_eq!(fs::read(out.join("app")).unwrap(), b"1");
}

#[test]
fn a_list_reads_no_entry_that_the_index_has() {
    let scene = Scene::new();
    let (one, two) = (scene.keep(1), scene.keep(2));
    scene
        .archive
        .amend(two.id, |entry| entry.notes.push("x".into()))
        .unwrap();
    for name in [
        Archive::entry_name(one.id, 1),
        Archive::entry_name(two.id, 2),
    ] {
        fs::write(scene.at(&name), b"unread").unwrap();
    }
    assert_eq!(scene.numbers(), [1, 2]);
}

#[test]
fn an_index_cut_at_any_byte_loses_no_entry() {
    let scene = Scene::new();
    for number in 1..4 {
        scene.keep(number);
    }
    let whole = fs::read(scene.at("index")).unwrap();
    for length in (0..=whole.len()).rev() {
        fs::write(scene.at("index"), &whole[..length]).unwrap();
        assert_eq!(scene.numbers(), [1, 2, 3], "cut at {length}");
        if length % 16 == 0 {
            // The next writer mends it.
            let four = entry(4);
            scene.archive.save(&four).unwrap();
            assert!(scene.index_is_sound(), "cut at {length}");
            assert_eq!(scene.numbers(), [1, 2, 3, 4]);
            fs::remove_file(scene.at(&Archive::entry_name(four.id, 1))).unwrap();
        }
    }
}

#[test]
fn a_damaged_index_is_never_believed() {
    let scene = Scene::new();
    for number in 1..4 {
        scene.keep(number);
    }
    let listing = scene.archive.list().unwrap();
    let whole = fs::read(scene.at("index")).unwrap();
    for (at, &byte) in whole.iter().enumerate() {
        overwrite(&scene.at("index"), at, byte ^ (1 << (at % 8)));
        assert_eq!(scene.archive.list().unwrap(), listing, "byte {at}");
        overwrite(&scene.at("index"), at, byte);
    }
    overwrite(&scene.at("index"), 0, b'x');
    let found = scene.archive.verify_all().unwrap().faults;
    assert_eq!(found[0].file, "index");
    assert_eq!(scene.archive.rebuild().unwrap(), listing);
    assert_eq!(
        fs::read(scene.at("index")).unwrap(),
        whole,
        "rebuilt byte for byte"
    );
    fs::remove_file(scene.at("index")).unwrap();
    assert_eq!(scene.archive.list().unwrap(), listing);
}

#[test]
fn every_flipped_byte_of_an_entry_is_found() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let name = Archive::entry_name(one.id, 1);
    let whole = fs::read(scene.at(&name)).unwrap();
    for (at, &byte) in whole.iter().enumerate() {
        for mask in [1 << (at % 8), 0x20] {
            overwrite(&scene.at(&name), at, byte ^ mask);
            let faults = scene.archive.verify(one.id).unwrap().faults;
            assert_eq!(faults.len(), 1, "byte {at}");
            assert_eq!(faults[0].file, name);
        }
        overwrite(&scene.at(&name), at, byte);
    }
    fs::write(scene.at(&name), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(scene.archive.verify(one.id).unwrap().faults.len(), 1);
    assert!(scene.archive.entry(one.id).is_err());
}

#[test]
fn bundles_that_are_missing_damaged_or_exchanged_are_found() {
    let scene = Scene::new();
    let (one, two) = (scene.keep(1), scene.keep(2));
    let (first, second) = (
        scene.at(&Archive::bundle_name(one.id)),
        scene.at(&Archive::bundle_name(two.id)),
    );
    let whole = fs::read(&first).unwrap();
    let faults = |id| scene.archive.verify(id).unwrap().faults;
    let out = scene.folder.path().join("out");
    let restore = |id| {
        scene
            .archive
            .restore(id, &out, &|_: &Artifact| true, Overwrite::Replace)
    };

    fs::copy(&second, &first).unwrap();
    assert_eq!(faults(one.id)[0].file, Archive::bundle_name(one.id));
    assert!(
        restore(one.id).is_err(),
        "a sound bundle of another entry is not this one's"
    );
    fs::remove_file(&first).unwrap();
    assert_eq!(faults(one.id).len(), 1);
    assert!(restore(one.id).is_err());
    assert!(!out.exists());
    fs::write(&first, whole).unwrap();
    assert_eq!(faults(one.id), []);

    let mut astray = one.clone();
    astray.id = entry(3).id;
    scene.archive.save(&astray).unwrap();
    assert!(faults(astray.id)[0].why.contains("another entry's"));
    for name in ["../../etc/passwd", "/etc/passwd", "bundles/../../index"] {
        astray.id = EntryId::new(Time::from_nanos(4_000_000_000), name.len() as u64);
        astray.bundle = None;
        astray.attestation = Some(stored(name.into(), Digests::of(b"")));
        scene.archive.save(&astray).unwrap();
        assert!(faults(astray.id)[0].why.contains("elsewhere"), "{name}");
    }
}

#[test]
fn what_a_killed_writer_left_is_not_listed_and_is_in_nobodys_way() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let bundle = fs::read(scene.at(&Archive::bundle_name(one.id))).unwrap();
    let index = fs::read(scene.at("index")).unwrap();

    // Killed while the bundle was written, and after it was renamed.
    fs::write(scene.at("bundles/.put-abc"), b"half").unwrap();
    let next = entry(2).id;
    fs::write(scene.at(&Archive::bundle_name(next)), &bundle).unwrap();
    fs::write(scene.at("entries/.put-abc"), b"{").unwrap();
    assert_eq!(scene.numbers(), [1]);
    let two = scene.keep(2);
    assert_eq!(two.id, next);
    assert_eq!(scene.archive.verify(two.id).unwrap().faults, []);

    // Killed after the entry was renamed, before the index was written.
    fs::write(scene.at("index"), &index).unwrap();
    assert_eq!(scene.numbers(), [1, 2]);
    assert_eq!(scene.keep(2), two, "the one that is there stays");
    assert!(
        scene.archive.read_index().unwrap().get(two.id, 1).is_some(),
        "the repeated upload mends the index"
    );

    // Killed while an amendment was written, and before the index knew of it.
    let before = fs::read(scene.at("index")).unwrap();
    scene
        .archive
        .amend(two.id, |entry| entry.tags.extend(["t".to_owned()]))
        .unwrap();
    fs::write(scene.at("index"), before).unwrap();
    let listing = scene.archive.list().unwrap();
    assert!(
        listing.summaries[1].tags.contains("t"),
        "a stale line is not believed"
    );
}

#[test]
fn numbers_come_back_to_the_last_digit() {
    // An upload that is resumed writes what it read, and a file that is there under the name has to be the same.
    let mut word = 1_u64;
    for _ in 0..1000 {
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // All digits there can be, between 1 and 2.
        let seconds = f64::from_bits(0x3ff << 52 | word >> 12);
        let mut entry = entry(1);
        entry.metrics.insert("seconds".into(), seconds);
        let bytes = seal_entry(&entry).unwrap();
        let again = seal_entry(&open_entry(&bytes).unwrap()).unwrap();
        assert!(bytes == again, "{seconds}");
    }
}

#[test]
fn a_repeated_upload_keeps_what_is_there() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let note = |entry: &mut ArchiveEntry| entry.notes.push("later".into());
    let amended = scene.archive.amend(one.id, note).unwrap();
    let bundle = scene.at(&Archive::bundle_name(one.id));
    fs::write(&bundle, b"as it is").unwrap();
    assert_eq!(scene.keep(1), amended);
    assert_eq!(fs::read(&bundle).unwrap(), b"as it is");
}

#[test]
fn a_sound_bundle_of_the_same_entry_is_found_if_it_is_not_the_one() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let extra = crate::bundle::Extra {
        name: "logs/forged".into(),
        content: Vec::new(),
    };
    let bundle = Bundle {
        entry: &one,
        manifests: &Manifests::default(),
        extras: &[extra],
        root: &scene.folder.path().join("work"),
    };
    let name = Archive::bundle_name(one.id);
    pack(&bundle, &scene.at(&name)).unwrap();
    let faults = scene.archive.verify(one.id).unwrap().faults;
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].file, name);
}

#[test]
fn files_with_other_names_are_nobodys_business() {
    let id = entry(1).id;
    assert_eq!(revision_of(&format!("{id}.12.json")), Some((id, 12)));
    let lower = id.to_string().to_lowercase();
    for name in [
        format!("{id}.json"),
        format!("{id}.0.json"),
        format!("{id}.01.json"),
        format!("{id}.+1.json"),
        format!("{id}.1.json~"),
        format!("{id}..json"),
        format!("{id}.4294967296.json"),
        format!("{lower}.1.json"),
        ".put-x".into(),
    ] {
        assert_eq!(revision_of(&name), None, "{name}");
    }
}

#[test]
fn an_entry_under_a_taken_id_is_refused() {
    let scene = Scene::new();
    let one = scene.keep(1);
    scene.archive.save(&one).unwrap();
    let mut other = one.clone();
    other.notes.push("mine".into());
    assert!(matches!(
        scene.archive.save(&other),
        Err(ArchiveError::Exists { .. })
    ));
    assert_eq!(scene.archive.entry(one.id).unwrap(), Some(one));
}

#[test]
fn entries_that_cannot_be_read_hide_no_others() {
    let scene = Scene::new();
    let (one, two, three) = (scene.keep(1), scene.keep(2), scene.keep(3));
    let json = br#"{"version":7}"#;
    let digest = blake3::hash(json).to_hex();
    let newer = format!(
        "{{\"blake3\":\"{digest}\",\"entry\":{}}}\n",
        std::str::from_utf8(json).unwrap()
    );
    fs::write(scene.at(&Archive::entry_name(one.id, 1)), newer).unwrap();
    fs::copy(
        scene.at(&Archive::entry_name(three.id, 1)),
        scene.at(&Archive::entry_name(two.id, 1)),
    )
    .unwrap();
    fs::remove_file(scene.at("index")).unwrap();
    fs::write(scene.at("entries/remarks.txt"), b"").unwrap();
    let listing = scene.archive.list().unwrap();
    assert_eq!(
        listing.summaries.iter().map(number).collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(listing.problems.len(), 2);
    assert!(listing.problems[0].1.contains("version 7"), "{listing:?}");
    assert!(
        listing.problems[1].1.contains("another entry"),
        "{listing:?}"
    );
}

#[test]
fn an_amendment_is_a_new_revision() {
    let scene = Scene::new();
    let one = scene.keep(1);
    for round in 1..4_u32 {
        let note = round.to_string();
        let amended = scene
            .archive
            .amend(one.id, |entry| {
                entry.metrics.insert(format!("mirror.{note}"), 1.0);
            })
            .unwrap();
        assert_eq!(amended.revision, round + 1);
        assert_eq!(scene.archive.entry(one.id).unwrap(), Some(amended));
    }
    let unchanged = scene.archive.amend(one.id, |_| {}).unwrap();
    assert_eq!((unchanged.revision, unchanged.metrics.len()), (4, 3));
    assert_eq!(
        scene.archive.files().unwrap().len(),
        2,
        "and the one before"
    );
    assert_eq!(scene.archive.verify_all().unwrap().faults, []);
    assert!(matches!(
        scene.archive.amend(entry(9).id, |_| {}),
        Err(ArchiveError::Missing { .. })
    ));
    let moved = scene
        .archive
        .amend(one.id, |inside| inside.id = entry(9).id)
        .unwrap();
    assert_eq!(moved.id, one.id, "an id cannot be changed");
}

#[test]
fn the_index_stays_short() {
    let scene = Scene::new();
    let one = scene.keep(1);
    let mut dead = Vec::new();
    let mut known = scene.archive.read_index().unwrap().shapes;
    index::append(&Summary::of(&one), &mut known, &mut dead);
    for (lines, after) in [(SLACK + 2, SLACK + 3), (SLACK + 3, 2)] {
        let mut bytes = index::write([&Summary::of(&one)]);
        bytes.extend(dead.repeat(lines - 1));
        fs::write(scene.at("index"), bytes).unwrap();
        scene.archive.save(&entry(2)).unwrap();
        let index = scene.archive.read_index().unwrap();
        assert_eq!((index.lines, index.sound), (after, true));
        assert_eq!(scene.numbers(), [1, 2]);
    }
}

#[test]
fn an_attestation_is_kept_beside_the_entry() {
    let scene = Scene::new();
    let refuse: Attest<'_> = &|_| Err("no key".into());
    let refused = scene.try_keep(1, Some(refuse)).unwrap_err();
    assert!(refused.to_string().contains("no key"), "{refused}");
    assert_eq!(scene.numbers(), [0; 0]);
    let attest: Attest<'_> = &|entry| {
        assert!(entry.bundle.is_some());
        Ok(b"signed".to_vec())
    };
    let one = scene.try_keep(1, Some(attest)).unwrap();
    let name = Archive::attestation_name(one.id);
    assert_eq!(fs::read(scene.at(&name)).unwrap(), b"signed");
    assert_eq!(scene.archive.verify(one.id).unwrap().faults, []);
    fs::write(scene.at(&name), b"Signed").unwrap();
    assert_eq!(scene.archive.verify(one.id).unwrap().faults[0].file, name);
}
