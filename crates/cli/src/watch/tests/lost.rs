//! What is lost, refused or never answered is everything, with words that say what to do.
//! Knows nothing of the real watcher.

use std::fs;
use std::path::PathBuf;

use super::super::watcher::Event;
use super::super::{Changes, Script};
use super::{Place, changed, everything};

fn scripted() -> (Place, Script) {
    let place = Place::new(&[
        ("larder.toml", "[tasks.build]\ncommand = \"true\"\n"),
        ("a/b/file", "1"),
        ("c/file", "1"),
    ]);
    (place, Script::default())
}

fn open(place: &Place, script: &Script) -> Changes {
    Changes::open(&place.root, &place.workspace(), Box::new(script.watcher())).unwrap()
}

fn watched(place: &Place, script: &Script) -> Vec<PathBuf> {
    let below = |path: PathBuf| path.strip_prefix(&place.root).unwrap().to_owned();
    script.watched().into_iter().map(below).collect()
}

#[test]
fn lost_events_are_everything_and_folders_are_found_anew_before_the_answer() {
    let (place, script) = scripted();
    let mut changes = open(&place, &script);
    assert_eq!(
        watched(&place, &script).len(),
        5,
        "root, a, a/b, c, cookies"
    );
    assert_eq!(changed(&mut changes), [""; 0]);
    script.tell(Event::Written(place.path("a/b/file")));
    assert_eq!(changed(&mut changes), ["a/b/file"]);
    // What came and went while events were lost.
    fs::create_dir_all(place.path("new/deep")).unwrap();
    fs::remove_dir_all(place.path("c")).unwrap();
    script.tell(Event::Lost("the queue was full".to_owned()));
    assert_eq!(everything(&mut changes), "the queue was full");
    let now = watched(&place, &script);
    assert!(now.contains(&PathBuf::from("new/deep")) && !now.contains(&PathBuf::from("c")));
    assert_eq!(changed(&mut changes), [""; 0]);
}

#[test]
fn a_new_folder_is_watched_with_all_below_before_it_is_told() {
    let (place, script) = scripted();
    let mut changes = open(&place, &script);
    fs::create_dir_all(place.path("a/x/y")).unwrap();
    script.tell(Event::Replaced(place.path("a/x")));
    assert_eq!(changed(&mut changes), ["a/x"]);
    assert!(watched(&place, &script).contains(&PathBuf::from("a/x/y")));
    fs::remove_dir_all(place.path("a/x")).unwrap();
    script.tell(Event::Replaced(place.path("a/x")));
    assert_eq!(changed(&mut changes), ["a/x"]);
    assert!(!watched(&place, &script).contains(&PathBuf::from("a/x/y")));
}

#[test]
fn what_is_made_right_before_a_folder_is_watched_is_seen_all_the_same() {
    let (place, script) = scripted();
    let (late, made) = (place.path("c"), place.path("c/made"));
    script.before_watch(move |folder| {
        if folder == late {
            fs::create_dir_all(&made).unwrap();
        }
    });
    let changes = open(&place, &script);
    assert!(changes.watches(b"c/made"));
}

#[test]
fn too_many_folders_are_everything_and_the_watches_are_given_back() {
    let (place, script) = scripted();
    script.limit(3);
    let mut changes = open(&place, &script);
    assert!(changes.blind().is_some());
    for _ in 0..2 {
        assert!(everything(&mut changes).contains("raise fs.inotify.max_user_watches"));
    }
    assert_eq!(watched(&place, &script).len(), 1, "cookies alone");
    // And when the one too many comes later.
    let (place, script) = scripted();
    script.limit(5);
    let mut changes = open(&place, &script);
    assert_eq!(changes.blind(), None);
    fs::create_dir(place.path("d")).unwrap();
    script.tell(Event::Replaced(place.path("d")));
    assert!(everything(&mut changes).contains("fs.inotify.max_user_watches"));
    assert!(everything(&mut changes).contains("fs.inotify.max_user_watches"));
    assert_eq!(changes.folders(), 0);
}

#[test]
fn a_cookie_that_never_comes_is_everything() {
    let (place, script) = scripted();
    let mut changes = open(&place, &script);
    script.fall_silent();
    changes.patience = std::time::Duration::from_millis(20);
    assert!(everything(&mut changes).contains("did not answer"));
}

#[test]
fn a_folder_of_cookies_that_was_removed_is_made_again_but_not_the_state_around_it() {
    let (place, _) = scripted();
    let mut changes = place.watch();
    fs::remove_dir_all(place.path(".larder/cookies")).unwrap();
    place.write("c/file", "2");
    assert_eq!(changed(&mut changes), ["c/file"]);
    fs::remove_dir_all(place.path(".larder")).unwrap();
    assert!(everything(&mut changes).contains(".larder"));
    assert!(!place.path(".larder").exists());
}

#[test]
fn what_no_watch_tells_of_can_be_told_by_the_caller() {
    let (place, script) = scripted();
    let mut changes = open(&place, &script);
    fs::create_dir(place.path("new")).unwrap();
    changes.distrust("the machine was suspended");
    assert_eq!(everything(&mut changes), "the machine was suspended");
    assert!(changes.watches(b"new"));
    assert_eq!(changed(&mut changes), [""; 0]);
}

#[test]
fn links_among_more_paths_than_are_told_apart_are_known_all_the_same() {
    let (place, script) = scripted();
    let outside = place.root.with_file_name("outside");
    fs::write(&outside, "1").unwrap();
    let mut changes = open(&place, &script);
    std::os::unix::fs::symlink(&outside, place.path("link")).unwrap();
    script.tell(Event::Written(place.path("link")));
    for number in 0..crate::session::changes::MOST_PATHS {
        script.tell(Event::Written(place.path(&format!("c/{number}"))));
    }
    assert!(everything(&mut changes).contains("paths changed"));
    fs::write(&outside, "22").unwrap();
    assert_eq!(changed(&mut changes), ["link"]);
}
