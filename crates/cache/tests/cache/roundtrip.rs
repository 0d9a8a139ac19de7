//! Pack, store, restore: the disk is byte for byte what it was.
//! Knows nothing of ownership or hostile input.

use std::fs;
use std::os::unix::fs::symlink;

use larder_cache::*;

use crate::sandbox::*;

#[test]
fn outputs_come_back_byte_for_byte() {
    let sandbox = Sandbox::new();
    sandbox.write("dist/a.js", "a");
    sandbox.write("dist/sub/tool", "#!/bin/sh\n");
    sandbox.chmod("dist/sub/tool", 0o755);
    sandbox.write("dist/ro", "read only");
    sandbox.chmod("dist/ro", 0o444);
    fs::create_dir(sandbox.at("dist/empty")).unwrap();
    symlink("../elsewhere", sandbox.at("dist/link")).unwrap();
    let long = format!("dist/{}/{}", "d".repeat(120), "f".repeat(200));
    sandbox.write(&long, "long name");
    symlink("t".repeat(300), sandbox.at("dist/longlink")).unwrap();
    let before = sandbox.snapshot();
    let paths = [
        "dist/a.js",
        "dist/sub/tool",
        "dist/ro",
        "dist/empty",
        "dist/link",
        &long,
        "dist/longlink",
    ];
    let entry = sandbox.entry(&paths);
    sandbox.empty_root();
    let restored = sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.snapshot(), before);
    assert_eq!(restored.written.len(), 7);
    assert!(
        matches(&sandbox.root(), &entry.manifest)
            .unwrap()
            .is_empty()
    );
    // Again: nothing to do, nothing touched.
    let again = sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!((again.kept, again.written.len()), (7, 0));
}

/// Bytes that do not compress, the same on each call.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(b"noise")
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[test]
fn large_files_are_streamed_staged_and_do_not_depend_on_the_number_of_workers() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "small");
    fs::write(sandbox.at("b"), noise(3 << 20)).unwrap();
    fs::write(sandbox.at("c"), vec![7; (2 << 20) + 3]).unwrap();
    sandbox.write("d", "small too");
    let paths: Vec<Vec<u8>> = ["d", "c", "b", "a"].map(Into::into).to_vec();
    let tmp = sandbox.store.tmp();
    let packed = |threads| {
        let options = PackOptions { level: 3, threads };
        pack(&sandbox.root(), &paths, &options, &tmp).unwrap()
    };
    let (one, two) = (packed(0), packed(2));
    assert_eq!(one.manifest, two.manifest);
    assert_eq!(one.artifact.unwrap().id, two.artifact.unwrap().id);
    let before = sandbox.snapshot();
    let entry = sandbox.entry(&["a", "b", "c", "d"]);
    sandbox.empty_root();
    let (owned, rescue) = (Owned::new(), sandbox.rescue());
    let mut options = RestoreOptions::new(&|_| true, &owned, &rescue);
    options.memory = 2 << 20;
    let restored = restore(&sandbox.root(), &entry, &sandbox.store, &options).unwrap();
    assert_eq!(sandbox.snapshot(), before);
    assert_eq!(
        restored.bytes,
        entry.manifest.iter().map(|row| row.size).sum::<u64>()
    );
    assert_eq!(
        fs::read_dir(&rescue).unwrap().count(),
        0,
        "the stage is gone"
    );
}

#[test]
fn many_small_files_cross_batches() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..1500)
        .map(|number| format!("out/{}/{number}", number % 7))
        .collect();
    for name in &names {
        sandbox.write(name, name);
    }
    let before = sandbox.snapshot();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let entry = sandbox.entry(&paths);
    sandbox.empty_root();
    sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.snapshot(), before);
}

#[test]
fn an_artifact_is_a_plain_archive_without_times_and_owners() {
    let sandbox = Sandbox::new();
    let long = format!("out/{}", "n".repeat(150));
    sandbox.write(&long, "long");
    sandbox.write("out/a", "content");
    sandbox.chmod("out/a", 0o750);
    let packed = sandbox.pack(&[&long, "out/a"]);
    let artifact = packed.artifact.unwrap();
    let bytes = fs::read(&artifact.file).unwrap();
    assert_eq!(bytes.len() as u64, artifact.bytes);
    assert_eq!(blake3::hash(&bytes), artifact.id.0);
    // Bit 2 of the frame's descriptor says that a checksum follows.
    assert_eq!(bytes[4] & 4, 4);
    let mut archive = tar::Archive::new(zstd::Decoder::new(&*bytes).unwrap());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 0);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        names.push((entry.path_bytes().into_owned(), header.mode().unwrap()));
    }
    assert_eq!(
        names,
        [(b"out/a".to_vec(), 0o750), (long.into_bytes(), 0o644)]
    );
}

#[test]
fn what_is_no_output_is_not_packed() {
    let sandbox = Sandbox::new();
    sandbox.write("full/a", "a");
    let tmp = sandbox.store.tmp();
    for path in ["full", "missing", "../root/full/a", "/etc/passwd", ""] {
        let paths = [path.as_bytes().to_vec()];
        let packed = pack(&sandbox.root(), &paths, &PackOptions::default(), &tmp);
        assert!(matches!(packed, Err(Error::Unpackable(_))), "{path}");
    }
    let nothing = sandbox.pack(&[]);
    assert!(nothing.manifest.is_empty() && nothing.artifact.is_none());
}

#[test]
fn mismatches_are_named() {
    let sandbox = Sandbox::new();
    for path in ["a", "b", "c", "d"] {
        sandbox.write(path, path);
    }
    let manifest = sandbox.pack(&["a", "b", "c", "d"]).manifest;
    fs::remove_file(sandbox.at("a")).unwrap();
    sandbox.write("b", "x");
    sandbox.chmod("c", 0o755);
    let found = matches(&sandbox.root(), &manifest).unwrap();
    assert_eq!(
        found,
        [
            Mismatch::Missing(b"a".to_vec()),
            Mismatch::Differs(b"b".to_vec()),
            Mismatch::Mode(b"c".to_vec()),
        ]
    );
}

#[test]
fn a_small_artifact_lies_in_the_entry_and_a_larger_one_does_not() {
    let sandbox = Sandbox::new();
    sandbox.write("out/small", "small");
    let noise: Vec<u8> = (0..40_000_u32)
        .flat_map(|at| blake3::hash(&at.to_le_bytes()).as_bytes()[..2].to_vec())
        .collect();
    fs::write(sandbox.at("out/large"), noise).unwrap();
    for (path, inline) in [("out/small", true), ("out/large", false)] {
        let before = fs::read(sandbox.at(path)).unwrap();
        let packed = pack_compactly(
            &[],
            &sandbox.root(),
            &[path.into()],
            &PackOptions::default(),
            &sandbox.store.tmp(),
            4096,
        )
        .unwrap();
        assert_eq!(packed.inline.is_some(), inline);
        assert_eq!(packed.artifact.is_some(), !inline);
        let ordinary = sandbox.pack(&[path]);
        assert_eq!(packed.manifest, ordinary.manifest);
        let id = ordinary.artifact.as_ref().unwrap().id;
        match (&packed.inline, &packed.artifact) {
            // The bytes are those of any artifact.
            (Some(bytes), _) => assert_eq!(*blake3::hash(bytes).as_bytes(), id.0),
            (_, Some(artifact)) => {
                assert_eq!(artifact.id, id);
                let file = Source::File(&artifact.file);
                sandbox.store.save(&artifact.id, file).unwrap();
            }
            _ => unreachable!(),
        }
        let key = Key([u8::from(inline) + 1; 32]);
        let mut entry = entry_of(
            packed.manifest,
            packed.artifact.as_ref().map(|made| made.id),
        );
        entry.inline = packed.inline;
        sandbox.store.put(&key, &entry, Put::First).unwrap();
        assert_eq!(sandbox.store.get(&key).unwrap().as_ref(), Some(&entry));
        fs::remove_file(sandbox.at(path)).unwrap();
        sandbox.restore(&entry, &Owned::new()).unwrap();
        assert_eq!(fs::read(sandbox.at(path)).unwrap(), before);
    }
    // Upkeep counts it with its entry, and it needs no artifact.
    let status = sandbox.store.status().unwrap();
    assert_eq!((status.entries, status.artifacts), (2, 1));
    let verified = sandbox.store.verify().unwrap();
    assert_eq!((verified.entries, verified.artifacts), (2, 1));
    assert_eq!((verified.bad.len(), verified.dangling.len()), (0, 0));
    // Bytes that are not those of the manifest are refused before anything is written.
    let key = Key([2; 32]);
    let mut entry = sandbox.store.get(&key).unwrap().unwrap();
    entry.manifest[0].digest = [9; 32];
    fs::remove_file(sandbox.at("out/small")).unwrap();
    assert!(matches!(
        sandbox.restore(&entry, &Owned::new()),
        Err(Error::Refused { .. })
    ));
    assert!(!sandbox.at("out/small").exists());
}
