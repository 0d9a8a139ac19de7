//! Bundles that an enemy made: sealed as they should be, and full of tricks.
//! Does not test damage.

use super::*;

/// A sealed bundle with whatever members an enemy wants.
fn forge(scene: &Scene, members: &[(&str, tar::EntryType, &[u8])]) {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, kind, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // The name as it is: the library would refuse it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if !kind.is_file() {
            header.set_link_name("../outside").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    let mut bytes = tar.into_inner().unwrap().finish().unwrap();
    bytes.extend(seal(blake3::hash(&bytes)));
    fs::write(scene.bundle(), bytes).unwrap();
}

#[test]
fn a_forged_bundle_is_refused_and_writes_nothing() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let scene = Scene::new(&[("a", b"one")]);
    let record = scene.entry.to_json().unwrap();
    let manifests = serde_json::to_vec(&scene.manifests).unwrap();
    let (record, manifests): (&[u8], &[u8]) = (&record, &manifests);
    let head = [
        ("record.json", Regular, record),
        ("manifests.json", Regular, manifests),
    ];
    let with = |more: &[(&'static str, tar::EntryType, &'static [u8])]| {
        let mut all = head.to_vec();
        all.extend(more);
        forge(&scene, &all);
        scene.extract(Overwrite::Replace)
    };
    with(&[("artifacts/a", Regular, b"one")]).unwrap();
    fs::remove_dir_all(scene.at("out")).unwrap();

    let hostile: &[&[(&str, tar::EntryType, &[u8])]] = &[
        &[("artifacts/../../evil", Regular, b"1")],
        &[("/tmp/evil", Regular, b"1")],
        &[("artifacts/a", Regular, b"one"), ("../evil", Regular, b"1")],
        &[("artifacts/a", Symlink, b"")],
        &[("artifacts/a", Link, b"")],
        &[("artifacts/a", Directory, b"")],
        // Nothing here would extract it; plain `tar` would.
        &[
            ("artifacts/a", Regular, b"one"),
            ("logs/link", Symlink, b""),
        ],
        &[("artifacts/a", Regular, b"two")],
        &[("artifacts/a", Regular, b"on")],
        &[],
        &[
            ("artifacts/a", Regular, b"one"),
            ("artifacts/b", Regular, b"1"),
        ],
        &[
            ("artifacts/a", Regular, b"one"),
            ("artifacts/a", Regular, b"one"),
        ],
        &[
            ("artifacts/a", Regular, b"one"),
            ("artifacts//a", Regular, b"1"),
        ],
    ];
    for members in hostile {
        let refused = with(members).unwrap_err();
        assert!(matches!(refused, BundleError::Damaged { .. }), "{refused}");
        assert!(!scene.at("out").exists(), "{members:?}");
        assert_eq!(files(scene.folder.path()), ["b.tar.zst", "work/a"]);
    }
    for missing in [&head[..1], &head[1..], &[]] {
        forge(&scene, missing);
        let refused = verify_bundle(&scene.bundle()).unwrap_err();
        assert!(matches!(refused, BundleError::Damaged { .. }), "{refused}");
    }
}

#[test]
fn a_bundle_of_a_newer_program_is_refused_as_such() {
    let scene = Scene::new(&[]);
    let newer: &[u8] = br#"{"version":9}"#;
    forge(&scene, &[("record.json", tar::EntryType::Regular, newer)]);
    let refused = verify_bundle(&scene.bundle()).unwrap_err();
    assert!(refused.to_string().contains("version 9"), "{refused}");
}
