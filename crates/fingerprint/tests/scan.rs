//! What scans see, what they ask of the disk, and when the memo is believed.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use larder_fingerprint::{
    Call, Digest, DiskFiles, Ignore, Memo, MemoryFiles, ReadError, RowKind, Scan, Scanner, Tracked,
};

const SECOND: i64 = 1_000_000_000;

fn names(scan: &Scan) -> Vec<String> {
    scan.iter()
        .map(|entry| String::from_utf8_lossy(entry.path).into_owned())
        .collect()
}

fn scanner(files: &Arc<MemoryFiles>, memo: &Path) -> Scanner {
    Scanner::new(Arc::<MemoryFiles>::clone(files), Memo::open(memo, [7; 32]))
}

fn all(scanner: &Scanner, scan: &Scan) -> Vec<Digest> {
    let entries: Vec<_> = scan.iter().collect();
    scanner
        .digests(&entries)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// A tree of a few files that has stood for a while, and a folder for memos.
fn tree() -> (Arc<MemoryFiles>, tempfile::TempDir) {
    let files = Arc::new(MemoryFiles::new());
    for path in ["a.c", "src/b.c", "src/deep/c.c", "src.txt"] {
        files.write(path, path);
    }
    files.advance(10 * SECOND);
    (files, tempfile::tempdir().unwrap())
}

#[test]
fn a_scan_is_sorted_by_whole_paths() {
    let (files, _dir) = tree();
    files.folder("empty");
    let scanner = Scanner::new(files, Memo::empty([0; 32]));
    let scan = scanner.scan(b"", Ignore::Never).unwrap();
    assert_eq!(
        names(&scan),
        ["a.c", "empty", "src.txt", "src/b.c", "src/deep/c.c"]
    );
    assert_eq!(scan.get(b"empty").unwrap().kind(), RowKind::EmptyDir);
    assert!(scan.get(b"src").is_none());
    assert_eq!(
        names(&scanner.scan(b"src", Ignore::Never).unwrap()),
        ["src/b.c", "src/deep/c.c"]
    );
    assert_eq!(
        names(&scanner.scan(b"a.c", Ignore::Never).unwrap()),
        ["a.c"]
    );
    assert!(
        scanner
            .scan(b"none/here", Ignore::Never)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn nothing_changed_asks_for_one_stat_a_path_and_no_more() {
    let (files, dir) = tree();
    files.write(".gitignore", "*.o\n");
    files.advance(10 * SECOND);
    let memo = dir.path().join("memo");
    let first = scanner(&files, &memo);
    let scan = first.scan(b"", Ignore::Honour).unwrap();
    let digests = all(&first, &scan);
    first.memo().save(&memo).unwrap();
    files.take_calls();

    let second = scanner(&files, &memo);
    let scan = second.scan(b"", Ignore::Honour).unwrap();
    assert_eq!(all(&second, &scan), digests);
    let mut calls = files.take_calls();
    calls.sort();
    // The ignore file is asked for twice: as a rule and as a file.
    let expected = [
        "",
        ".gitignore",
        ".gitignore",
        "a.c",
        "src",
        "src.txt",
        "src/b.c",
        "src/deep",
        "src/deep/c.c",
    ];
    assert_eq!(calls, expected.map(|path| Call::Stat(path.into())));
    let counters = second.memo().counters();
    assert_eq!(
        (
            counters.memo_misses,
            counters.bytes_hashed,
            counters.folders_listed
        ),
        (0, 0, 0)
    );
    assert!(!second.memo().dirty());
}

#[test]
fn an_edit_a_new_name_and_a_lost_one_are_seen() {
    let (files, dir) = tree();
    let memo = dir.path().join("memo");
    let first = scanner(&files, &memo);
    let scan = first.scan(b"", Ignore::Honour).unwrap();
    let old = all(&first, &scan);
    first.memo().save(&memo).unwrap();
    files.advance(10 * SECOND);
    files.write("src/b.c", "other");
    files.write("src/deep/new.c", "new");
    files.remove("a.c");
    files.advance(10 * SECOND);

    let second = scanner(&files, &memo);
    let scan = second.scan(b"", Ignore::Honour).unwrap();
    assert_eq!(
        names(&scan),
        ["src.txt", "src/b.c", "src/deep/c.c", "src/deep/new.c"]
    );
    let new = all(&second, &scan);
    assert_eq!(
        new,
        [old[1], Digest::of(b"other"), old[3], Digest::of(b"new")]
    );
    assert_eq!(second.memo().counters().memo_misses, 2);
    second.memo().save(&memo).unwrap();
    assert_eq!(all(&scanner(&files, &memo), &scan), new);
}

#[test]
fn what_was_read_too_soon_after_its_change_is_read_again() {
    let (files, dir) = tree();
    let memo = dir.path().join("memo");
    files.write("a.c", "one");
    files.advance(SECOND);
    let first = scanner(&files, &memo);
    let scan = first.scan(b"", Ignore::Never).unwrap();
    assert_eq!(all(&first, &scan)[0], Digest::of(b"one"));
    first.memo().save(&memo).unwrap();

    // A coarse clock: same size, same time stamp, other content.
    files.advance(-SECOND);
    files.write("a.c", "two");
    files.advance(10 * SECOND);
    let second = scanner(&files, &memo);
    let scan = second.scan(b"", Ignore::Never).unwrap();
    assert_eq!(all(&second, &scan)[0], Digest::of(b"two"));
}

#[test]
fn fine_stamps_are_believed_at_once_but_not_from_the_future() {
    let (files, dir) = tree();
    let memo = dir.path().join("memo");
    files.set_fine(true);
    files.write("a.c", "one");
    files.advance(5);
    files.write("z", "ahead");
    files.advance(-1);
    let first = scanner(&files, &memo);
    all(&first, &first.scan(b"", Ignore::Never).unwrap());
    first.memo().save(&memo).unwrap();
    let second = scanner(&files, &memo);
    all(&second, &second.scan(b"", Ignore::Never).unwrap());
    let counters = second.memo().counters();
    assert_eq!((counters.memo_hits, counters.memo_misses), (4, 1));
}

#[test]
fn a_file_that_changes_or_vanishes_under_the_reader_is_told_apart() {
    let (files, _dir) = tree();
    let scanner = Scanner::new(Arc::<MemoryFiles>::clone(&files), Memo::empty([0; 32]));
    let scan = scanner.scan(b"", Ignore::Never).unwrap();
    files.write_during_hash("a.c", "half-way");
    let entry = scan.get(b"a.c").unwrap();
    assert!(matches!(
        scanner.digest(&entry),
        Err(ReadError::Changed { .. })
    ));
    files.remove("src.txt");
    let entry = scan.get(b"src.txt").unwrap();
    assert!(matches!(
        scanner.digest(&entry),
        Err(ReadError::Vanished { .. })
    ));
    // A folder that took the file's place.
    files.write("src.txt/below", "x");
    assert!(matches!(
        scanner.digest(&entry),
        Err(ReadError::Changed { .. })
    ));
}

#[test]
fn ignore_files_count_from_the_root_down() {
    let files = Arc::new(MemoryFiles::new());
    files.write(".gitignore", "*.log\n/dist\nbuild/\n!keep.log\n");
    files.write("p/.gitignore", "!p.log\n");
    files.write("p/.larderignore", "secret\n");
    files.write("p/q/.larderignore", "!secret\n");
    for path in [
        "a.log",
        "keep.log",
        "dist/x",
        "p/dist/x",
        "p/build/x",
        "build",
        "p/p.log",
        "p/a.log",
        "p/secret",
        "p/q/secret",
        ".hidden",
        ".git/config",
        "p/.git",
        "p/.larder/state",
        "p/sub/.git/x",
    ] {
        files.write(path, path);
    }
    files.advance(10 * SECOND);
    let dir = tempfile::tempdir().unwrap();
    let memo = dir.path().join("memo");
    let expected = [
        ".gitignore",
        ".hidden",
        "build",
        "keep.log",
        "p/.gitignore",
        "p/.larderignore",
        "p/dist/x",
        "p/p.log",
        "p/q/.larderignore",
        "p/q/secret",
    ];
    for _ in 0..2 {
        let scanner = scanner(&files, &memo);
        assert_eq!(names(&scanner.scan(b"", Ignore::Honour).unwrap()), expected);
        let inside = names(&scanner.scan(b"p", Ignore::Honour).unwrap());
        assert_eq!(inside, expected[4..]);
        all(&scanner, &scanner.scan(b"", Ignore::Honour).unwrap());
        scanner.memo().save(&memo).unwrap();
    }
    // Rules of the root change: judged anew although no folder did.
    files.write(".gitignore", "");
    let scan = scanner(&files, &memo)
        .scan(b"p/dist", Ignore::Honour)
        .unwrap();
    assert_eq!(names(&scan), ["p/dist/x"]);
    let scan = scanner(&files, &memo).scan(b"", Ignore::Honour).unwrap();
    assert!(scan.get(b"dist/x").is_some() && scan.get(b"p/a.log").is_some());
    let scan = scanner(&files, &memo).scan(b"", Ignore::Never).unwrap();
    assert!(scan.get(b"p/secret").is_some() && scan.get(b".git/config").is_none());
}

#[test]
fn tracked_files_count_although_ignored() {
    let (files, dir) = tree();
    files.write(".gitignore", "src\n*.txt\n");
    files.write(".git/index", "1");
    files.write("src/other/d.c", "");
    files.advance(10 * SECOND);
    let memo = dir.path().join("memo");
    let tracked = |read: fn() -> Vec<Vec<u8>>| Tracked {
        index: b".git/index".to_vec(),
        read: Box::new(move || Ok(read())),
    };
    let first = scanner(&files, &memo).with_tracked(tracked(|| {
        vec![b"src.txt".to_vec(), b"src/deep/c.c".to_vec()]
    }));
    let scan = first.scan(b"", Ignore::Honour).unwrap();
    assert_eq!(
        names(&scan),
        [".gitignore", "a.c", "src.txt", "src/deep/c.c"]
    );
    all(&first, &scan);
    first.memo().save(&memo).unwrap();
    // An index that did not change is not read again.
    let second = scanner(&files, &memo).with_tracked(tracked(|| unreachable!()));
    assert_eq!(
        names(&second.scan(b"", Ignore::Honour).unwrap()),
        names(&scan)
    );
    // Nor is it when a folder holds one name more: those that were judged by the same rules keep their fates.
    files.write("new.c", "");
    let more = scanner(&files, &memo).with_tracked(tracked(|| unreachable!()));
    assert_eq!(
        names(&more.scan(b"", Ignore::Honour).unwrap()),
        [".gitignore", "a.c", "new.c", "src.txt", "src/deep/c.c"]
    );
    files.remove("new.c");
    files.write(".git/index", "22");
    let third = scanner(&files, &memo).with_tracked(tracked(Vec::new));
    assert_eq!(
        names(&third.scan(b"", Ignore::Honour).unwrap()),
        [".gitignore", "a.c"]
    );
}

#[test]
fn a_damaged_memo_is_an_empty_one() {
    let (files, dir) = tree();
    let memo = dir.path().join("memo");
    let first = scanner(&files, &memo);
    all(&first, &first.scan(b"", Ignore::Honour).unwrap());
    first.memo().save(&memo).unwrap();
    let good = std::fs::read(&memo).unwrap();
    let misses = |bytes: &[u8], config| {
        let path = dir.path().join("other");
        std::fs::write(&path, bytes).unwrap();
        let scanner = Scanner::new(Arc::<MemoryFiles>::clone(&files), Memo::open(&path, config));
        all(&scanner, &scanner.scan(b"", Ignore::Honour).unwrap());
        scanner.memo().counters().memo_misses
    };
    assert_eq!(misses(&good, [7; 32]), 0);
    assert_eq!(misses(&good, [8; 32]), 4);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(misses(&bad, [7; 32]), 4, "byte {at}");
    }
    for length in (0..good.len()).step_by(13) {
        assert_eq!(misses(&good[..length], [7; 32]), 4, "cut to {length}");
    }
    let longer = [&good[..], b"x"].concat();
    assert_eq!(misses(&longer, [7; 32]), 4);
    // Another name or version, with a checksum that is right.
    for at in [0, 8] {
        let mut other = good.clone();
        other[at] += 1;
        let mut hasher = blake3::Hasher::new();
        let sum = hasher.update(&other[..64]).update(&other[96..]).finalize();
        other[64..96].copy_from_slice(sum.as_bytes());
        assert_eq!(misses(&other, [7; 32]), 4, "byte {at}");
    }
}

#[cfg(unix)]
#[test]
fn odd_names_links_and_pipes_on_disk() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    std::fs::write(root.join(OsStr::from_bytes(b"\xff\n odd")), "odd").unwrap();
    std::fs::create_dir(root.join("real")).unwrap();
    std::fs::write(root.join("real/file"), "real").unwrap();
    for (link, text) in [
        ("loop", "loop"),
        ("up", "."),
        ("dangling", "none"),
        ("good", "real/file"),
        ("folder", "real"),
    ] {
        std::os::unix::fs::symlink(text, root.join(link)).unwrap();
    }
    let scanner = Scanner::new(
        Arc::new(DiskFiles::open(root).unwrap()),
        Memo::empty([0; 32]),
    );
    let scan = scanner.scan(b"", Ignore::Honour).unwrap();
    assert_eq!(scan.len(), 7);
    assert_eq!(scan.get(b"loop").unwrap().link, b"loop");
    let entries: Vec<_> = scan.iter().collect();
    let rows = scanner.rows(&entries).unwrap();
    let digest = |path: &[u8]| rows.iter().find(|row| row.path == path).unwrap().digest;
    assert_eq!(digest(b"\xff\n odd"), Digest::of(b"odd"));
    let before = (digest(b"good"), digest(b"dangling"));
    std::fs::write(root.join("real/file"), "changed").unwrap();
    std::fs::write(root.join("none"), "there now").unwrap();
    let scan = scanner.scan(b"", Ignore::Honour).unwrap();
    let again = |path: &[u8]| scanner.digest(&scan.get(path).unwrap()).unwrap();
    assert_ne!(again(b"good"), before.0);
    assert_ne!(again(b"dangling"), before.1);
    assert_eq!(again(b"folder"), digest(b"folder"));
}

#[test]
fn which_folders_a_scan_enters_can_be_asked_one_by_one() {
    let files = Arc::new(MemoryFiles::new());
    files.write(".gitignore", "out/\n");
    files.write("a/.gitignore", "deep/\n");
    files.write("a/deep/x", "1");
    let scanner = Scanner::new(Arc::<MemoryFiles>::clone(&files), Memo::empty([0; 32]));
    let entered = |folder: &str| scanner.enters(folder.as_bytes()).unwrap();
    assert!(entered("a") && entered("deep") && entered("a/new"));
    assert!(!entered("out") && !entered("a/out") && !entered("a/deep"));
    assert!(!entered("a/.git") && !entered(".larder"));
    // Rules are read once, until they are forgotten there.
    files.write("a/.gitignore", "new/\n");
    assert!(!entered("a/deep"));
    scanner.forget_rules_in(b"a");
    assert!(entered("a/deep") && !entered("a/new") && !entered("a/out"));
}
