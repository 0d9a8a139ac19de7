//! Git inputs tell every change of content, whatever git was told to overlook.
#![cfg(feature = "git")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use git2::{Repository, Signature};
use larder_fingerprint::git::{git_input, tracked};
use larder_fingerprint::{Digest, DiskFiles, Ignore, Memo, Scanner};

fn commit(repository: &Repository) {
    let mut index = repository.index().unwrap();
    index
        .add_all(["*"], git2::IndexAddOption::FORCE, None)
        .unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let who = Signature::now("A", "a@example.org").unwrap();
    let parent = repository
        .head()
        .ok()
        .map(|head| head.peel_to_commit().unwrap());
    let parents: Vec<_> = parent.iter().collect();
    repository
        .commit(Some("HEAD"), &who, &who, "c", &tree, &parents)
        .unwrap();
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn setup() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::init(dir.path()).unwrap();
    repository
        .config()
        .unwrap()
        .set_str("core.autocrlf", "false")
        .unwrap();
    write(dir.path(), "in/a", "1");
    write(dir.path(), "in/b", "1");
    write(dir.path(), "out/c", "1");
    write(dir.path(), ".gitignore", "*.tmp\n");
    commit(&repository);
    (dir, repository)
}

fn input(dir: &tempfile::TempDir) -> Digest {
    git_input(&dir.path().join("in"), &|_| false)
        .unwrap()
        .digest
}

#[test]
fn a_stamp_sees_equal_content_written_again_but_nothing_that_is_ignored_or_left_out() {
    let (dir, _) = setup();
    let folder = dir.path().join("in");
    let whole = || git_input(&folder, &|path| path == b"made").unwrap();
    let before = whole();
    // The rule stands in a folder above.
    write(dir.path(), "in/x.tmp", "ignored");
    write(dir.path(), "in/made", "left out");
    assert_eq!(whole(), before);
    let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    let file = std::fs::File::options().write(true).open(folder.join("a"));
    file.unwrap().set_modified(past).unwrap();
    assert_eq!(whole().digest, before.digest);
    assert_ne!(whole().stamp, before.stamp);
}

#[test]
fn every_kind_of_difference_counts() {
    let (dir, repository) = setup();
    let clean = input(&dir);
    assert_eq!(input(&dir), clean);
    write(dir.path(), "out/c", "2");
    write(dir.path(), "in/x.tmp", "ignored");
    assert_eq!(input(&dir), clean, "outside the folder, or ignored");
    let mut seen = vec![clean];
    let mut differs = |what: &str| {
        let now = input(&dir);
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    write(dir.path(), "in/a", "edited");
    differs("edited");
    write(dir.path(), "in/new/n", "1");
    differs("untracked");
    write(dir.path(), "in/new/n", "2");
    differs("untracked, edited");
    std::fs::remove_file(dir.path().join("in/b")).unwrap();
    differs("deleted");
    commit(&repository);
    differs("committed");
}

#[test]
fn what_git_is_told_to_overlook_is_compared_by_content() {
    for (flags, extended) in [(0x8000_u16, 0_u16), (0, 1 << 14)] {
        let (dir, repository) = setup();
        let mut index = repository.index().unwrap();
        let mut entry = index.get_path(Path::new("in/a"), 0).unwrap();
        entry.flags |= flags;
        entry.flags_extended |= extended;
        index.add(&entry).unwrap();
        index.write().unwrap();
        let before = input(&dir);
        write(dir.path(), "in/a", "2");
        assert_ne!(input(&dir), before);
    }
}

#[test]
fn line_ends_count_although_git_converts_them() {
    let (dir, repository) = setup();
    write(dir.path(), ".gitattributes", "* text=auto\n");
    write(dir.path(), "in/a", "x\n");
    commit(&repository);
    let before = input(&dir);
    write(dir.path(), "in/a", "x\r\n");
    assert_ne!(input(&dir), before);
}

#[test]
fn before_the_first_commit_and_without_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "in/a", "1");
    let walked = input(&dir);
    write(dir.path(), "in/a", "2");
    assert_ne!(input(&dir), walked);
    Repository::init(dir.path()).unwrap();
    let unborn = input(&dir);
    write(dir.path(), "in/a", "3");
    assert_ne!(input(&dir), unborn);
}

#[test]
fn tracked_files_are_scanned_although_ignored() {
    let (dir, repository) = setup();
    write(dir.path(), "in/kept.tmp", "1");
    commit(&repository);
    write(dir.path(), "in/other.tmp", "1");
    let scan = |root: &Path| {
        let files = Arc::new(DiskFiles::open(root).unwrap());
        let scanner =
            Scanner::new(files, Memo::empty([0; 32])).with_tracked(tracked(root).unwrap());
        let scan = scanner.scan(b"", Ignore::Honour).unwrap();
        scan.iter()
            .map(|entry| String::from_utf8_lossy(entry.path).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        scan(dir.path()),
        [".gitignore", "in/a", "in/b", "in/kept.tmp", "out/c"]
    );
    let inner = scan(&dir.path().join("in"));
    assert_eq!(inner, ["a", "b", "kept.tmp", "other.tmp"]);
    let lone = tempfile::tempdir().unwrap();
    assert!(tracked(lone.path()).is_none());
}
