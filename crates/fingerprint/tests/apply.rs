//! Explicit invalidation asks for the changed paths and gives what a new scan would.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use larder_fingerprint::{Call, ChangeSet, Ignore, Memo, MemoryFiles, Scan, Scanner};

fn seen(scan: &Scan) -> Vec<(Vec<u8>, larder_fingerprint::Stat)> {
    scan.iter()
        .map(|entry| (entry.path.to_vec(), entry.stat))
        .collect()
}

fn paths(paths: &[&str]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

#[test]
fn only_changed_paths_are_asked_for() {
    let files = Arc::new(MemoryFiles::new());
    for path in ["p/a", "p/b", "p/q/c", "p/only/d", "z"] {
        files.write(path, path);
    }
    files.write(".gitignore", "*.o\nout\n");
    files.folder("p/hollow");
    files.advance(10_000_000_000);
    let mut scanner = Scanner::new(Arc::<MemoryFiles>::clone(&files), Memo::empty([0; 32]));
    let scan = scanner.scan(b"", Ignore::Honour).unwrap();

    files.write("p/a", "other");
    files.remove("p/b");
    let changes = ChangeSet {
        updated: paths(&["p/a"]),
        deleted: paths(&["p/b"]),
        ..ChangeSet::default()
    };
    let never = scanner.scan(b"", Ignore::Never).unwrap();
    files.take_calls();
    let after = scanner.apply(&never, &changes).unwrap();
    assert_eq!(files.take_calls(), [Call::Stat(b"p/a".to_vec())]);
    assert_eq!(
        seen(&after),
        seen(&scanner.scan(b"", Ignore::Never).unwrap())
    );

    files.write("p/hollow/new", "");
    files.write("p/x.o", "");
    files.write("p/out/x", "");
    files.write("p/fresh/deep/y", "");
    files.remove("p/only/d");
    let changes = ChangeSet {
        created: paths(&["p/hollow/new", "p/x.o", "p/out/x", "p/fresh"]),
        updated: paths(&["p/a", "p"]),
        deleted: paths(&["p/b", "p/only/d"]),
    };
    let after = scanner.apply(&scan, &changes).unwrap();
    assert_eq!(
        seen(&after),
        seen(&scanner.scan(b"", Ignore::Honour).unwrap())
    );
    assert!(after.get(b"p/only").is_some() && after.get(b"p/x.o").is_none());

    files.write(".gitignore", "");
    let changes = ChangeSet {
        updated: paths(&[".gitignore"]),
        ..ChangeSet::default()
    };
    let after = scanner.apply(&after, &changes).unwrap();
    assert!(after.get(b"p/x.o").is_some());
}
