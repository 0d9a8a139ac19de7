//! Who may be overwritten or deleted: one row of the ownership table a test.
//! Knows nothing of corrupt artifacts.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use larder_cache::*;

use crate::sandbox::*;

/// A stored `out/a` and `out/b` with content "new", and an empty root.
fn stored() -> (Sandbox, Entry) {
    let sandbox = Sandbox::new();
    sandbox.write("out/a", "new a");
    sandbox.write("out/b", "new b");
    let entry = sandbox.entry(&["out/a", "out/b"]);
    sandbox.empty_root();
    (sandbox, entry)
}

fn owns(path: &str, content: &str) -> Owned {
    let digest = *blake3::hash(content.as_bytes()).as_bytes();
    [(path.as_bytes().to_vec(), digest)].into()
}

#[test]
fn an_unowned_file_is_rescued_before_it_is_overwritten() {
    let (sandbox, entry) = stored();
    sandbox.write("out/a", "the user's");
    let restored = sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.read("out/a"), "new a");
    let place = sandbox.rescue().join("out/a");
    assert_eq!(fs::read_to_string(&place).unwrap(), "the user's");
    assert_eq!(restored.rescued, [(b"out/a".to_vec(), place)]);
    // A second rescue of the same path takes another name.
    sandbox.write("out/a", "again the user's");
    sandbox.restore(&entry, &Owned::new()).unwrap();
    let second = fs::read_to_string(sandbox.rescue().join("out/a.1")).unwrap();
    assert_eq!(second, "again the user's");
}

#[test]
fn an_owned_file_is_overwritten_in_place_and_an_edited_one_rescued() {
    let (sandbox, entry) = stored();
    sandbox.write("out/a", "old");
    let inode = fs::metadata(sandbox.at("out/a")).unwrap().ino();
    let restored = sandbox.restore(&entry, &owns("out/a", "old")).unwrap();
    assert!(restored.rescued.is_empty());
    assert_eq!(fs::metadata(sandbox.at("out/a")).unwrap().ino(), inode);
    sandbox.write("out/a", "edited");
    let restored = sandbox.restore(&entry, &owns("out/a", "old")).unwrap();
    assert_eq!(restored.rescued.len(), 1);
    assert_eq!(sandbox.read("out/a"), "new a");
}

#[test]
fn a_shorter_file_in_place_leaves_no_tail() {
    let (sandbox, entry) = stored();
    let long = "old and much longer than the new one";
    sandbox.write("out/a", long);
    sandbox.restore(&entry, &owns("out/a", long)).unwrap();
    assert_eq!(sandbox.read("out/a"), "new a");
}

#[test]
fn a_hard_linked_file_and_an_executable_are_replaced_not_written() {
    let (sandbox, entry) = stored();
    sandbox.write("out/a", "old");
    fs::hard_link(sandbox.at("out/a"), sandbox.at("other")).unwrap();
    sandbox.write("out/b", "old");
    sandbox.chmod("out/b", 0o755);
    let inode = fs::metadata(sandbox.at("out/b")).unwrap().ino();
    let mut owned = owns("out/a", "old");
    owned.extend(owns("out/b", "old"));
    sandbox.restore(&entry, &owned).unwrap();
    assert_eq!(sandbox.read("other"), "old");
    assert_eq!(sandbox.read("out/a"), "new a");
    let meta = fs::metadata(sandbox.at("out/b")).unwrap();
    assert_ne!(meta.ino(), inode);
    assert_eq!(meta.permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_read_only_output_is_restored_again_and_again() {
    let sandbox = Sandbox::new();
    for content in ["one", "two"] {
        let _ = fs::remove_file(sandbox.at("ro"));
        sandbox.write("ro", content);
        sandbox.chmod("ro", 0o444);
        let entry = sandbox.entry(&["ro"]);
        fs::remove_file(sandbox.at("ro")).unwrap();
        sandbox.write("ro", "previous");
        sandbox.chmod("ro", 0o444);
        sandbox.restore(&entry, &owns("ro", "previous")).unwrap();
        assert_eq!(sandbox.read("ro"), content);
        let mode = fs::metadata(sandbox.at("ro")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o444);
    }
}

#[test]
fn only_the_mode_is_set_when_only_the_mode_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "x");
    sandbox.chmod("tool", 0o755);
    let entry = sandbox.entry(&["tool"]);
    sandbox.chmod("tool", 0o644);
    let before = fs::metadata(sandbox.at("tool")).unwrap();
    let restored = sandbox.restore(&entry, &Owned::new()).unwrap();
    let after = fs::metadata(sandbox.at("tool")).unwrap();
    assert_eq!(after.mode() & 0o777, 0o755);
    assert_eq!(after.mtime_nsec(), before.mtime_nsec());
    assert_eq!((restored.bytes, restored.rescued.len()), (0, 0));
}

#[test]
fn written_files_share_one_instant_and_right_ones_keep_theirs() {
    let (sandbox, entry) = stored();
    sandbox.write("out/keep", "k");
    sandbox.restore(&entry, &Owned::new()).unwrap();
    let time = |path: &str| fs::metadata(sandbox.at(path)).unwrap().modified().unwrap();
    assert_eq!(time("out/a"), time("out/b"));
    let before = time("out/a");
    fs::remove_file(sandbox.at("out/b")).unwrap();
    let again = sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(again.written, [b"out/b".to_vec()]);
    assert_eq!(time("out/a"), before);
}

#[test]
fn strays_go_only_when_owned_and_unchanged() {
    let (sandbox, entry) = stored();
    sandbox.write("out/old/stale", "stale");
    sandbox.write("out/edited", "by the user");
    sandbox.write("out/foreign", "never ours");
    let mut owned = owns("out/old/stale", "stale");
    owned.extend(owns("out/edited", "by the task"));
    let restored = sandbox.restore(&entry, &owned).unwrap();
    assert_eq!(restored.deleted, [b"out/old/stale".to_vec()]);
    assert!(!sandbox.at("out/old").exists());
    assert_eq!(sandbox.read("out/foreign"), "never ours");
    let place = sandbox.rescue().join("out/edited");
    assert_eq!(fs::read_to_string(&place).unwrap(), "by the user");
    assert_eq!(restored.rescued, [(b"out/edited".to_vec(), place)]);
}

#[test]
fn folders_and_files_change_places() {
    let (sandbox, entry) = stored();
    // A folder where a file belongs: our own file in it goes, the user's is rescued with the folder.
    sandbox.write("out/a/ours", "ours");
    sandbox.write("out/a/theirs", "theirs");
    let restored = sandbox
        .restore(&entry, &owns("out/a/ours", "ours"))
        .unwrap();
    assert_eq!(sandbox.read("out/a"), "new a");
    let saved = fs::read_to_string(sandbox.rescue().join("out/a/theirs")).unwrap();
    assert_eq!(saved, "theirs");
    assert_eq!(restored.deleted, [b"out/a/ours".to_vec()]);
    // A file where a folder belongs.
    sandbox.empty_root();
    sandbox.write("out", "a file");
    sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.read("out/b"), "new b");
    assert_eq!(
        fs::read_to_string(sandbox.rescue().join("out.1")).unwrap(),
        "a file"
    );
}

#[test]
fn a_link_in_place_of_a_file_is_moved_and_its_target_untouched() {
    let (sandbox, entry) = stored();
    sandbox.write("precious", "precious");
    fs::create_dir(sandbox.at("out")).unwrap();
    symlink("../precious", sandbox.at("out/a")).unwrap();
    sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.read("precious"), "precious");
    assert_eq!(sandbox.read("out/a"), "new a");
    assert!(sandbox.rescue().join("out/a").is_symlink());
}

#[test]
fn a_linked_parent_folder_is_refused_and_nothing_is_written() {
    let (sandbox, entry) = stored();
    let outside = sandbox.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, sandbox.at("out")).unwrap();
    let error = sandbox.restore(&entry, &Owned::new()).unwrap_err();
    assert!(error.is_miss(), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // Packing and cleaning do not pass through it either.
    fs::write(outside.join("a"), "old").unwrap();
    let paths = [b"out/a".to_vec()];
    let packed = pack(
        &sandbox.root(),
        &paths,
        &PackOptions::default(),
        &sandbox.store.tmp(),
    );
    assert!(matches!(packed, Err(Error::Unpackable(path)) if path == b"out/a"));
    let owned = owns("out/a", "old");
    let rescue = sandbox.rescue();
    let options = Clean {
        owned: &owned,
        allowed: &|_| true,
        rescue: &rescue,
    };
    assert_eq!(
        clean(&sandbox.root(), &options).unwrap(),
        Cleaned::default()
    );
    assert!(outside.join("a").exists());
}

#[test]
fn clean_removes_what_is_owned_and_rescues_what_was_edited() {
    let sandbox = Sandbox::new();
    sandbox.write("out/sub/a", "a");
    sandbox.write("out/b", "edited");
    sandbox.write("src/c", "c");
    fs::create_dir(sandbox.at("out/empty")).unwrap();
    let mut owned = owns("out/sub/a", "a");
    owned.extend(owns("out/b", "b"));
    owned.extend(owns("src/c", "c"));
    owned.insert(b"out/empty".to_vec(), EMPTY_DIR);
    let rescue = sandbox.rescue();
    let options = Clean {
        owned: &owned,
        allowed: &|path| path.starts_with(b"out/"),
        rescue: &rescue,
    };
    let cleaned = clean(&sandbox.root(), &options).unwrap();
    assert_eq!(
        cleaned.deleted,
        [b"out/empty".to_vec(), b"out/sub/a".to_vec()]
    );
    assert_eq!(cleaned.rescued, [(b"out/b".to_vec(), rescue.join("out/b"))]);
    assert_eq!(sandbox.read("src/c"), "c");
    assert!(sandbox.at("out").exists(), "not declared itself");
    assert!(!sandbox.at("out/sub").exists());
}

#[test]
fn a_rescue_to_another_file_system_keeps_content_mode_and_links() {
    let (sandbox, entry) = stored();
    let Some(other) = elsewhere(&sandbox.root()) else {
        return;
    };
    sandbox.write("out/a", "the user's");
    sandbox.chmod("out/a", 0o640);
    symlink("to/nowhere", sandbox.at("out/b")).unwrap();
    let (owned, rescue) = (Owned::new(), other.path().join("rescued"));
    let options = RestoreOptions::new(&|_| true, &owned, &rescue);
    let restored = restore(&sandbox.root(), &entry, &sandbox.store, &options).unwrap();
    assert_eq!(restored.rescued.len(), 2);
    assert_eq!(
        (sandbox.read("out/a"), sandbox.read("out/b")),
        ("new a".into(), "new b".into())
    );
    let place = rescue.join("out/a");
    assert_eq!(fs::read_to_string(&place).unwrap(), "the user's");
    assert_eq!(fs::metadata(place).unwrap().mode() & 0o777, 0o640);
    let link = fs::read_link(rescue.join("out/b")).unwrap();
    assert_eq!(link.to_str(), Some("to/nowhere"));
}

#[test]
fn a_folder_that_cannot_be_moved_to_another_file_system_stays_and_nothing_is_written() {
    let (sandbox, entry) = stored();
    let Some(other) = elsewhere(&sandbox.root()) else {
        return;
    };
    sandbox.write("out/a/mine", "the user's");
    let (owned, rescue) = (Owned::new(), other.path().join("rescued"));
    let options = RestoreOptions::new(&|_| true, &owned, &rescue);
    let refused = restore(&sandbox.root(), &entry, &sandbox.store, &options);
    assert!(matches!(refused, Err(Error::Partial { .. })), "{refused:?}");
    assert_eq!(sandbox.read("out/a/mine"), "the user's");
    assert!(!sandbox.at("out/b").exists());
}

#[test]
fn a_rescue_that_fails_leaves_the_file_where_it_is() {
    let (sandbox, entry) = stored();
    sandbox.write("out/a", "the user's");
    // A file where the folder of rescued files should be.
    fs::write(sandbox.rescue(), "").unwrap();
    assert!(sandbox.restore(&entry, &Owned::new()).is_err());
    assert_eq!(sandbox.read("out/a"), "the user's");
}

#[test]
fn a_folder_in_the_way_goes_only_as_far_as_it_is_the_tasks_own() {
    let (sandbox, entry) = stored();
    sandbox.write("out/a/deep/own", "own");
    let restored = sandbox
        .restore(&entry, &owns("out/a/deep/own", "own"))
        .unwrap();
    assert!(restored.rescued.is_empty(), "{restored:?}");
    assert_eq!(restored.deleted, [b"out/a/deep/own".to_vec()]);
    assert_eq!(sandbox.read("out/a"), "new a");

    fs::remove_file(sandbox.at("out/a")).unwrap();
    sandbox.write("out/a/deep/own", "edited");
    let restored = sandbox
        .restore(&entry, &owns("out/a/deep/own", "own"))
        .unwrap();
    assert_eq!(restored.rescued.len(), 1);
    let place = sandbox.rescue().join("out/a/deep/own");
    assert_eq!(fs::read_to_string(place).unwrap(), "edited");
    assert_eq!(sandbox.read("out/a"), "new a");
}

#[test]
fn an_owned_link_in_a_files_place_is_removed_and_not_rescued() {
    let (sandbox, entry) = stored();
    fs::create_dir(sandbox.at("out")).unwrap();
    symlink("old/target", sandbox.at("out/a")).unwrap();
    let restored = sandbox
        .restore(&entry, &owns("out/a", "old/target"))
        .unwrap();
    assert!(restored.rescued.is_empty(), "{restored:?}");
    assert_eq!(sandbox.read("out/a"), "new a");
}

#[test]
fn an_owned_stray_outside_of_the_declared_outputs_stays() {
    let (sandbox, entry) = stored();
    sandbox.write("out/stray", "own");
    sandbox.write("other/stray", "own");
    let mut owned = owns("out/stray", "own");
    owned.extend(owns("other/stray", "own"));
    let rescue = sandbox.rescue();
    let options = RestoreOptions::new(&|path| path.starts_with(b"out/"), &owned, &rescue);
    let restored = restore(&sandbox.root(), &entry, &sandbox.store, &options).unwrap();
    assert_eq!(restored.deleted, [b"out/stray".to_vec()]);
    assert_eq!(sandbox.read("other/stray"), "own");
}

#[test]
fn libraries_are_replaced_and_other_files_written_in_place_by_their_names() {
    let names = [
        "libx.so",
        "libx.so.1.2",
        "addon.node",
        "x.dylib",
        "some-text.txt",
        "also.so-called",
    ];
    let sandbox = Sandbox::new();
    for name in names {
        sandbox.write(name, "new");
    }
    let entry = sandbox.entry(&{
        let mut sorted = names;
        sorted.sort_unstable();
        sorted
    });
    for name in names {
        sandbox.write(name, "old");
    }
    let inode = |name: &str| fs::metadata(sandbox.at(name)).unwrap().ino();
    let before: Vec<u64> = names.iter().map(|name| inode(name)).collect();
    let owned = names.iter().flat_map(|name| owns(name, "old")).collect();
    sandbox.restore(&entry, &owned).unwrap();
    for (name, before) in names.iter().zip(before) {
        assert_eq!(sandbox.read(name), "new");
        let library = !name.ends_with("txt") && !name.ends_with("called");
        assert_eq!(inode(name) != before, library, "{name}");
    }
}

#[test]
fn a_link_with_another_text_is_mended_and_the_old_one_rescued() {
    let sandbox = Sandbox::new();
    symlink("right", sandbox.at("link")).unwrap();
    let entry = sandbox.entry(&["link"]);
    fs::remove_file(sandbox.at("link")).unwrap();
    symlink("wrong", sandbox.at("link")).unwrap();
    let restored = sandbox.restore(&entry, &Owned::new()).unwrap();
    let text = |path| fs::read_link(path).unwrap().to_str().unwrap().to_owned();
    assert_eq!(text(sandbox.at("link")), "right");
    assert_eq!(restored.rescued.len(), 1);
    assert_eq!(text(sandbox.rescue().join("link")), "wrong");
    // A file that holds the very text of the link is no link.
    let mut owned = Owned::new();
    owned.insert(b"link".to_vec(), [0; 32]);
    fs::remove_file(sandbox.at("link")).unwrap();
    sandbox.write("link", "right");
    sandbox.restore(&entry, &owned).unwrap();
    assert_eq!(text(sandbox.at("link")), "right");
}

#[test]
fn a_clean_leaves_a_folder_that_took_the_place_of_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("out/a/mine", "the user's");
    let (owned, rescue) = (owns("out/a", "own"), sandbox.rescue());
    let cleaned = clean(
        &sandbox.root(),
        &Clean {
            owned: &owned,
            allowed: &|_| true,
            rescue: &rescue,
        },
    )
    .unwrap();
    assert_eq!(cleaned, Cleaned::default());
    assert_eq!(sandbox.read("out/a/mine"), "the user's");
}
