//! Archives that mean harm: each is refused as a miss, and the disk stays as it was.
//! Knows nothing of ownership.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use larder_cache::*;
use tar::{EntryType, Header};

use crate::sandbox::*;

fn row(path: &[u8], kind: Kind, content: &[u8]) -> Row {
    Row {
        path: path.to_vec(),
        kind,
        mode: if kind == Kind::Link { 0o777 } else { 0o644 },
        size: content.len() as u64,
        digest: *blake3::hash(content).as_bytes(),
    }
}

/// A raw member, whatever its name says.
fn member(name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name);
    gnu.linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Symlink {
        0o777
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn compress(members: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    for member in members {
        encoder.write_all(member).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

/// Restores an artifact whose digest is right; asserts a refusal and an untouched root; gives the reason.
fn refused(sandbox: &Sandbox, manifest: Manifest, artifact: &[u8]) -> Why {
    let id = ArtifactId(*blake3::hash(artifact).as_bytes());
    sandbox
        .store
        .save(&id, Source::Reader(&mut &*artifact))
        .unwrap();
    let before = sandbox.snapshot();
    let entry = entry_of(manifest, Some(id));
    let error = sandbox.restore(&entry, &Owned::new()).unwrap_err();
    assert!(error.is_miss(), "{error}");
    assert_eq!(sandbox.snapshot(), before);
    match error {
        Error::Refused(refusal) => refusal.why,
        other => panic!("{other}"),
    }
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    member(name, EntryType::Regular, b"", content)
}

#[test]
fn a_right_archive_made_by_hand_is_accepted() {
    let sandbox = Sandbox::new();
    let artifact = compress(&[file(b"a", b"x")]);
    let id = ArtifactId(*blake3::hash(&artifact).as_bytes());
    let save = Source::Reader(&mut &*artifact);
    sandbox.store.save(&id, save).unwrap();
    let entry = entry_of(vec![row(b"a", Kind::File, b"x")], Some(id));
    sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.read("a"), "x");
}

#[test]
fn names_that_leave_the_root() {
    for bad in [&b"/etc/x"[..], b"../x", b"a/../../x", b"./x", b"a//x", b""] {
        let sandbox = Sandbox::new();
        let artifact = compress(&[file(bad, b"x")]);
        let why = refused(&sandbox, vec![row(bad, Kind::File, b"x")], &artifact);
        assert_eq!(why, Why::BadPath);
        // The same name behind an honest manifest.
        let why = refused(&sandbox, vec![row(b"x", Kind::File, b"x")], &artifact);
        assert_eq!(why, Why::Member("path"));
    }
}

#[test]
fn paths_outside_the_declared_outputs() {
    let sandbox = Sandbox::new();
    sandbox.write("src/main", "source");
    let entry = sandbox.entry(&["src/main"]);
    sandbox.empty_root();
    let (owned, rescue) = (Owned::new(), sandbox.rescue());
    let allowed = |path: &[u8]| path.starts_with(b"dist/");
    let options = RestoreOptions::new(&allowed, &owned, &rescue);
    let error = restore(&sandbox.root(), &entry, &sandbox.store, &options).unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.why == Why::Undeclared));
    assert!(sandbox.snapshot().is_empty());
}

#[test]
fn a_link_whose_text_is_not_its_rows() {
    let artifact = compress(&[member(b"l", EntryType::Symlink, b"to", b"")]);
    let right = row(b"l", Kind::Link, b"to");
    let (mut longer, mut other) = (right.clone(), right);
    longer.size += 1;
    other.digest[0] ^= 1;
    for bad in [longer, other] {
        let why = refused(&Sandbox::new(), vec![bad], &artifact);
        assert_eq!(why, Why::Member("link text"));
    }
}

#[test]
fn a_mode_that_is_not_its_rows() {
    let mut executable = row(b"a", Kind::File, b"x");
    executable.mode = 0o755;
    let why = refused(
        &Sandbox::new(),
        vec![executable],
        &compress(&[file(b"a", b"x")]),
    );
    assert_eq!(why, Why::Member("mode"));
}

#[test]
fn writing_through_a_link_of_the_archive() {
    let sandbox = Sandbox::new();
    let artifact = compress(&[
        member(b"a", EntryType::Symlink, b"/tmp", b""),
        file(b"a/x", b"x"),
    ]);
    let manifest = vec![
        row(b"a", Kind::Link, b"/tmp"),
        row(b"a/x", Kind::File, b"x"),
    ];
    assert_eq!(refused(&sandbox, manifest, &artifact), Why::Disorder);
    // The rows between do not hide it.
    let manifest = vec![
        row(b"a", Kind::Link, b"/tmp"),
        row(b"a.b", Kind::File, b"x"),
        row(b"a/x/y", Kind::File, b"x"),
    ];
    assert_eq!(refused(&sandbox, manifest, &artifact), Why::Disorder);
}

#[test]
fn writing_through_a_link_to_a_link_on_disk() {
    let sandbox = Sandbox::new();
    let outside = sandbox.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, sandbox.at("one")).unwrap();
    symlink("one", sandbox.at("two")).unwrap();
    let artifact = compress(&[file(b"two/x", b"x")]);
    let why = refused(&sandbox, vec![row(b"two/x", Kind::File, b"x")], &artifact);
    assert_eq!(why, Why::ThroughLink);
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn other_kinds_of_members() {
    for kind in [
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNUSparse,
        EntryType::XGlobalHeader,
        EntryType::new(b'V'),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("b", "b");
        let artifact = compress(&[member(b"a", kind, b"b", b"")]);
        let why = refused(&sandbox, vec![row(b"a", Kind::File, b"")], &artifact);
        assert!(
            matches!(why, Why::Member(_) | Why::Garbage(_)),
            "{kind:?}: {why}"
        );
    }
}

#[test]
fn missing_extra_repeated_and_reordered_members() {
    let sandbox = Sandbox::new();
    let rows = || vec![row(b"a", Kind::File, b"x"), row(b"b", Kind::File, b"y")];
    let (a, b) = (file(b"a", b"x"), file(b"b", b"y"));
    for (members, why) in [
        (vec![a.clone()], "missing"),
        (vec![a.clone(), b.clone(), file(b"c", b"")], "one too many"),
        (vec![a.clone(), b.clone(), b.clone()], "one too many"),
        (vec![a.clone(), a.clone()], "path"),
        (vec![b.clone(), a.clone()], "path"),
        (vec![a.clone(), file(b"b", b"z")], "content"),
        (vec![a.clone(), file(b"b", b"yy")], "size"),
        (
            vec![a, b, vec![0; 1024], vec![1; 512]],
            "data after the end",
        ),
    ] {
        assert_eq!(
            refused(&sandbox, rows(), &compress(&members)),
            Why::Member(why)
        );
    }
    let twice = vec![row(b"a", Kind::File, b"x"), row(b"a", Kind::File, b"x")];
    assert_eq!(refused(&sandbox, twice, &compress(&[])), Why::Disorder);
}

#[test]
fn bombs() {
    let sandbox = Sandbox::new();
    let rows = vec![row(b"a", Kind::File, b"x")];
    // Zeros without end after the one member, and a long name without end before it.
    let artifact = compress(&[file(b"a", b"x"), vec![0; 64 << 20]]);
    assert_eq!(refused(&sandbox, rows.clone(), &artifact), Why::TooLarge);
    let name = vec![b'n'; 64 << 20];
    let artifact = compress(&[member(b"././@LongLink", EntryType::GNULongName, b"", &name)]);
    assert_eq!(refused(&sandbox, rows, &artifact), Why::TooLarge);
    // A manifest that admits to more than the limit.
    let mut huge = row(b"a", Kind::File, b"x");
    huge.size = u64::MAX;
    let mut other = huge.clone();
    other.path = b"b".to_vec();
    assert_eq!(
        refused(&sandbox, vec![huge, other], &compress(&[])),
        Why::TooLarge
    );
}

#[test]
fn garbage_truncated_and_empty_artifacts() {
    let sandbox = Sandbox::new();
    let rows = || vec![row(b"a", Kind::File, b"x")];
    let whole = compress(&[file(b"a", b"x")]);
    for bad in [
        &b""[..],
        b"garbage",
        &whole[..whole.len() / 2],
        &whole[..whole.len() - 1],
    ] {
        let why = refused(&sandbox, rows(), bad);
        assert!(
            matches!(why, Why::Garbage(_) | Why::Member("missing")),
            "{why}"
        );
    }
}

#[test]
fn an_entry_with_rows_and_no_artifact() {
    let sandbox = Sandbox::new();
    let entry = entry_of(vec![row(b"a", Kind::File, b"x")], None);
    let error = sandbox.restore(&entry, &Owned::new()).unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.why == Why::NoArtifact));
}

#[test]
fn as_many_bytes_as_are_allowed_are_restored_and_not_one_more() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "12345");
    sandbox.write("b", "678");
    let entry = sandbox.entry(&["a", "b"]);
    sandbox.empty_root();
    let (owned, rescue) = (Owned::new(), sandbox.rescue());
    let bounded = |max_bytes| {
        let options = RestoreOptions {
            max_bytes,
            ..RestoreOptions::new(&|_| true, &owned, &rescue)
        };
        restore(&sandbox.root(), &entry, &sandbox.store, &options)
    };
    let refused = bounded(7).unwrap_err();
    assert!(refused.is_miss(), "{refused}");
    assert!(!sandbox.at("a").exists() && !sandbox.at("b").exists());
    assert_eq!(bounded(8).unwrap().bytes, 8);
    assert_eq!(sandbox.read("b"), "678");
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_differ_in_case_alone_are_two_files() {
    let sandbox = Sandbox::new();
    sandbox.write("Out/Name", "one");
    sandbox.write("Out/name", "two");
    let entry = sandbox.entry(&["Out/Name", "Out/name"]);
    sandbox.empty_root();
    sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.read("Out/Name"), "one");
    assert_eq!(sandbox.read("Out/name"), "two");
}
