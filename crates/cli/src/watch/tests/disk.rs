//! What is noticed of edits, folders that come and go, and renames.
//! Knows nothing of ignore rules.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{Place, changed, everything, paths};

fn plain() -> Place {
    Place::new(&[
        ("larder.toml", "[tasks.build]\ncommand = \"true\"\n"),
        ("a/b/file", "1"),
        ("a/other", "1"),
        ("top", "1"),
    ])
}

#[test]
fn every_edit_before_the_question_is_in_the_answer() {
    let place = plain();
    let mut changes = place.watch();
    assert_eq!(changed(&mut changes), [""; 0]);
    place.write("a/b/file", "2");
    assert_eq!(changed(&mut changes), ["a/b/file"]);
    assert_eq!(changed(&mut changes), [""; 0], "told once");
    place.write("new", "1");
    fs::remove_file(place.path("top")).unwrap();
    place.rename("a/other", "a/else");
    assert_eq!(changed(&mut changes), ["a/else", "a/other", "new", "top"]);
    fs::read(place.path("new")).unwrap();
    assert_eq!(changed(&mut changes), [""; 0], "reading is no change");
    for round in 0..200 {
        place.write("a/b/file", &round.to_string());
        assert_eq!(changed(&mut changes), ["a/b/file"]);
    }
}

#[test]
fn a_write_is_noticed_before_its_file_is_closed_and_what_was_open_for_writing_when_it_is() {
    let place = plain();
    let mut changes = place.watch();
    let mut file = fs::File::options()
        .write(true)
        .open(place.path("top"))
        .unwrap();
    assert_eq!(changed(&mut changes), [""; 0]);
    file.write_all(b"2").unwrap();
    assert_eq!(changed(&mut changes), ["top"]);
    // It may have been written through a mapping, which the system does not tell.
    drop(file);
    assert_eq!(paths(&changes.sync()), ["top"]);
}

#[test]
fn rights_are_noticed() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = plain();
    let mut changes = place.watch();
    fs::set_permissions(place.path("top"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(changed(&mut changes), ["top"]);
}

#[test]
fn a_file_written_right_after_its_folders_is_below_what_is_told_and_noticed_from_then_on() {
    let place = plain();
    let mut changes = place.watch();
    for round in 0..50 {
        place.write(&format!("new{round}/x/y/z/file"), "1");
        assert_eq!(changed(&mut changes)[0], format!("new{round}"));
        place.write(&format!("new{round}/x/y/z/file"), "2");
        assert_eq!(changed(&mut changes), [format!("new{round}/x/y/z/file")]);
        place.write(&format!("new{round}/x/again"), "1");
        assert_eq!(changed(&mut changes), [format!("new{round}/x/again")]);
    }
}

#[test]
fn files_written_while_folders_are_made_by_another_thread_are_never_missed() {
    let place = plain();
    let mut changes = place.watch();
    let root = place.root.clone();
    let writer = std::thread::spawn(move || {
        for round in 0..300 {
            let folder = root.join(format!("t{}/{}/c", round % 7, round));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), "1").unwrap();
        }
    });
    let mut told = std::collections::BTreeSet::new();
    while !writer.is_finished() {
        told.extend(changed(&mut changes));
    }
    writer.join().unwrap();
    told.extend(changed(&mut changes));
    for round in 0..300 {
        let folder = format!("t{}/{round}", round % 7);
        let file = format!("{folder}/c/file");
        assert!(
            told.iter().any(|path| file.starts_with(path.as_str())),
            "{file} is not below {told:?}"
        );
        assert!(
            changes.watches(format!("{folder}/c").as_bytes()),
            "{folder}"
        );
    }
}

#[test]
fn a_tree_that_is_moved_in_is_told_by_its_top_and_watched_throughout() {
    let place = plain();
    let outside = place.root.parent().unwrap().join("tree");
    fs::create_dir_all(outside.join("p/q")).unwrap();
    fs::write(outside.join("p/q/file"), "1").unwrap();
    let mut changes = place.watch();
    fs::rename(&outside, place.path("a/tree")).unwrap();
    assert_eq!(changed(&mut changes), ["a/tree"]);
    place.write("a/tree/p/q/file", "2");
    assert_eq!(changed(&mut changes), ["a/tree/p/q/file"]);
    // And out again: what happens there is nobody's business.
    fs::rename(place.path("a/tree"), &outside).unwrap();
    assert_eq!(changed(&mut changes), ["a/tree"]);
    fs::write(outside.join("p/q/file"), "3").unwrap();
    assert_eq!(changed(&mut changes), [""; 0]);
    assert!(!changes.watches(b"a/tree/p"));
}

#[test]
fn a_renamed_folder_is_followed() {
    let place = plain();
    let mut changes = place.watch();
    let folders = changes.folders();
    place.rename("a", "moved");
    assert_eq!(changed(&mut changes), ["a", "moved"]);
    place.write("moved/b/file", "2");
    assert_eq!(changed(&mut changes), ["moved/b/file"]);
    // Into a folder that has just been made, before anybody could watch it, and another one in its place.
    fs::create_dir(place.path("new")).unwrap();
    place.rename("moved", "new/inner");
    place.write("moved/b/file", "3");
    assert_eq!(changed(&mut changes)[..2], ["moved", "new"]);
    place.write("new/inner/b/file", "4");
    place.write("moved/b/file", "4");
    assert_eq!(changed(&mut changes), ["moved/b/file", "new/inner/b/file"]);
    assert_eq!(changes.folders(), 2 * folders);
}

#[test]
fn folders_that_swap_their_names_are_both_followed() {
    let place = plain();
    place.write("c/b/file", "1");
    let mut changes = place.watch();
    for round in 0..20 {
        place.rename("a", "t");
        place.rename("c", "a");
        place.rename("t", "c");
        let told = changed(&mut changes);
        assert!(
            told.contains(&"a".to_owned()) && told.contains(&"c".to_owned()),
            "{told:?}"
        );
        place.write("a/b/file", &round.to_string());
        assert_eq!(changed(&mut changes), ["a/b/file"]);
        place.write("c/b/file", &round.to_string());
        assert_eq!(changed(&mut changes), ["c/b/file"]);
    }
}

#[test]
fn a_deleted_folder_is_told_and_one_in_its_place_is_watched() {
    let place = plain();
    let mut changes = place.watch();
    fs::remove_dir_all(place.path("a")).unwrap();
    let told = changed(&mut changes);
    assert!(told.contains(&"a".to_owned()), "{told:?}");
    assert_eq!(changes.folders(), 1);
    for round in 0..20 {
        place.write("a/b/file", &round.to_string());
        assert_eq!(changed(&mut changes)[0], "a");
        place.write("a/b/file", "x");
        assert_eq!(changed(&mut changes), ["a/b/file"]);
        fs::remove_dir_all(place.path("a")).unwrap();
        if round % 2 == 0 {
            changes.sync();
        }
    }
}

#[test]
fn a_batch_gathers_what_an_editor_does_to_save() {
    let place = plain();
    let mut changes = place.watch();
    place.write("a/.other.swp", "2");
    place.rename("a/.other.swp", "a/other");
    let batch = changes.next(Some(Instant::now() + Duration::from_secs(10)));
    assert_eq!(paths(&batch), ["a/.other.swp", "a/other"]);
    assert!(changes.next(Some(Instant::now())).is_empty());
    let waker = changes.waker();
    let again = waker.clone();
    let thread = std::thread::spawn(move || again.wake());
    assert!(changes.next(None).is_empty());
    thread.join().unwrap();
    // A wake that comes amid a question is not lost.
    waker.wake();
    changes.sync();
    assert!(changes.next(None).is_empty());
}

#[test]
fn what_larder_and_git_keep_for_themselves_never_counts() {
    let place = plain();
    place.write(".larder/state", "1");
    place.write("a/.git/config", "1");
    let mut changes = place.watch();
    place.write(".larder/state", "2");
    place.write(".larder/new/file", "2");
    place.write("a/.git/config", "2");
    place.write("a/b/.larder/x", "2");
    assert_eq!(changed(&mut changes), [""; 0]);
    assert!(!changes.watches(b".larder") && !changes.watches(b"a/.git"));
    drop(changes);
    let cookies = fs::read_dir(place.path(".larder/cookies")).unwrap();
    assert_eq!(cookies.count(), 0, "cookies are removed");
}

#[test]
fn a_workspace_that_is_reached_by_a_link_is_watched_where_it_lies() {
    let place = plain();
    let link = place.root.parent().unwrap().join("link");
    std::os::unix::fs::symlink(&place.root, &link).unwrap();
    let system = super::super::system().unwrap();
    let mut changes = super::Changes::open(&link, &place.workspace(), system).unwrap();
    place.write("a/b/file", "2");
    assert_eq!(changed(&mut changes), ["a/b/file"]);
    fs::write(link.join("a/b/file"), "3").unwrap();
    assert_eq!(changed(&mut changes), ["a/b/file"]);
}

#[test]
fn links_are_not_followed_but_what_they_lead_to_is_looked_at() {
    use std::os::unix::fs::symlink;
    let place = plain();
    let outside = place.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "1").unwrap();
    symlink(&outside, place.path("folder")).unwrap();
    symlink("../outside/file", place.path("link")).unwrap();
    symlink("nowhere", place.path("a/dangling")).unwrap();
    let mut changes = place.watch();
    assert!(!changes.watches(b"folder"));
    fs::write(outside.join("file"), "22").unwrap();
    assert_eq!(changed(&mut changes), ["link"]);
    fs::write(outside.join("else"), "1").unwrap();
    assert_eq!(changed(&mut changes), [""; 0]);
    place.write("a/nowhere", "1");
    assert_eq!(changed(&mut changes), ["a/dangling", "a/nowhere"]);
    // One that appears later, and one that goes.
    symlink("../../outside/else", place.path("a/late")).unwrap();
    fs::remove_file(place.path("link")).unwrap();
    assert_eq!(changed(&mut changes), ["a/late", "link"]);
    fs::write(outside.join("else"), "333").unwrap();
    fs::write(outside.join("file"), "4444").unwrap();
    assert_eq!(changed(&mut changes), ["a/late"]);
}

#[test]
fn a_root_that_was_moved_or_replaced_is_everything() {
    let place = plain();
    let mut changes = place.watch();
    let away = place.root.parent().unwrap().join("away");
    fs::rename(&place.root, &away).unwrap();
    assert!(everything(&mut changes).contains("moved or replaced"));
    fs::create_dir_all(place.path("a")).unwrap();
    assert!(changes.sync().why_everything().is_some());
    fs::write(away.join("top"), "2").unwrap();
    assert!(changes.sync().why_everything().is_some());
}

#[test]
fn more_than_the_system_queues_is_everything_and_leaves_all_watched() {
    let place = plain();
    let mut changes = place.watch();
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let queue: usize = queue.trim().parse().unwrap_or(16_384);
    // Equal events in a row are one.
    let mut two = ["top", "a/other"].map(|path| fs::File::create(place.path(path)).unwrap());
    for number in 0..queue + 100 {
        two[number % 2].write_all(b"x").unwrap();
    }
    assert!(everything(&mut changes).contains("max_queued_events"));
    place.write("a/b/file", "2");
    assert_eq!(changed(&mut changes), ["a/b/file"]);
}
