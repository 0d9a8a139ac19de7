//! Which folders are watched: ignore rules, globs that see ignored files, projects outside, git.
//! Knows nothing of events as such.

use std::fs;

use super::{Place, changed, everything, git};

const BUILD: &str = "[tasks.build]\ncommand = \"true\"\noutputs = [\"dist/**\"]\n";

#[test]
fn ignored_folders_are_not_watched_but_where_a_glob_leads_there() {
    let place = Place::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"true\"\ninputs = [\"$DEFAULT$\", \"node_modules/pkg/package.json\"]\noutputs = [\"dist/**\"]\n",
        ),
        (".gitignore", "node_modules/\ndist/\ntmp/\n"),
        ("node_modules/pkg/package.json", "1"),
        ("node_modules/pkg/lib/file", "1"),
        ("node_modules/other/file", "1"),
        ("dist/sub/out", "1"),
        ("tmp/x/file", "1"),
        ("src/file", "1"),
    ]);
    let mut changes = place.watch();
    for watched in [
        "src",
        "dist",
        "dist/sub",
        "node_modules",
        "node_modules/pkg",
    ] {
        assert!(changes.watches(watched.as_bytes()), "{watched}");
    }
    for not in ["tmp", "tmp/x", "node_modules/other", "node_modules/pkg/lib"] {
        assert!(!changes.watches(not.as_bytes()), "{not}");
    }
    place.write("tmp/x/file", "2");
    place.write("node_modules/other/file", "2");
    assert_eq!(changed(&mut changes), [""; 0]);
    place.write("dist/sub/out", "2");
    place.write("node_modules/pkg/package.json", "2");
    assert_eq!(
        changed(&mut changes),
        ["dist/sub/out", "node_modules/pkg/package.json"]
    );
    // Rules decide nothing where all is seen.
    place.write("dist/.gitignore", "*\n");
    assert_eq!(changed(&mut changes), ["dist/.gitignore"]);
    // Gone and made again: it is watched as it was, and no more.
    fs::remove_dir_all(place.path("dist")).unwrap();
    fs::remove_dir_all(place.path("node_modules")).unwrap();
    fs::remove_dir_all(place.path("tmp")).unwrap();
    changes.sync();
    place.write("dist/sub/out", "3");
    place.write("node_modules/pkg/package.json", "3");
    place.write("node_modules/pkg/lib/file", "3");
    place.write("tmp/x/file", "3");
    changes.sync();
    assert!(changes.watches(b"dist/sub") && changes.watches(b"node_modules/pkg"));
    assert!(!changes.watches(b"tmp") && !changes.watches(b"node_modules/pkg/lib"));
    place.write("dist/sub/out", "4");
    place.write("node_modules/pkg/package.json", "4");
    assert_eq!(
        changed(&mut changes),
        ["dist/sub/out", "node_modules/pkg/package.json"]
    );
}

#[test]
fn a_glob_that_stays_near_has_no_more_watched_than_it_can_match() {
    let place = Place::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"true\"\ninputs = [\"*.json\", \"deep/*/*.c\"]\n",
        ),
        (".gitignore", "node_modules/\ndeep/\n"),
        ("node_modules/pkg/lib/file", "1"),
        ("deep/a/b/c/d/file", "1"),
    ]);
    let mut changes = place.watch();
    for watched in ["node_modules", "deep", "deep/a", "deep/a/b"] {
        assert!(changes.watches(watched.as_bytes()), "{watched}");
    }
    for not in ["node_modules/pkg", "deep/a/b/c"] {
        assert!(!changes.watches(not.as_bytes()), "{not}");
    }
    place.write("deep/new/x.c", "1");
    changes.sync();
    place.write("deep/new/x.c", "2");
    place.write("x.json", "1");
    assert_eq!(changed(&mut changes), ["deep/new/x.c", "x.json"]);
}

#[test]
fn an_ignore_file_that_changes_is_everything_and_changes_what_is_watched() {
    let place = Place::new(&[("larder.toml", BUILD), ("a/b/file", "1"), ("c/file", "1")]);
    let mut changes = place.watch();
    assert!(changes.watches(b"a/b"));
    place.write("a/.gitignore", "b/\n");
    assert!(everything(&mut changes).contains("a/.gitignore"));
    assert!(!changes.watches(b"a/b"));
    place.write("a/b/file", "2");
    assert_eq!(changed(&mut changes), [""; 0]);
    place.write(".larderignore", "c\n");
    everything(&mut changes);
    assert!(!changes.watches(b"c"));
    fs::remove_file(place.path("a/.gitignore")).unwrap();
    everything(&mut changes);
    assert!(changes.watches(b"a/b") && !changes.watches(b"c"));
    place.write("a/b/file", "3");
    assert_eq!(changed(&mut changes), ["a/b/file"]);
}

#[test]
fn rules_of_a_tree_that_takes_the_place_of_another_hold_for_it() {
    let place = Place::new(&[
        ("larder.toml", BUILD),
        ("one/.gitignore", "x/\n"),
        ("one/x/file", "1"),
        ("one/y/file", "1"),
    ]);
    let outside = place.root.parent().unwrap().join("two");
    fs::create_dir_all(outside.join("x")).unwrap();
    fs::create_dir_all(outside.join("y")).unwrap();
    fs::write(outside.join(".gitignore"), "y/\n").unwrap();
    let mut changes = place.watch();
    assert!(!changes.watches(b"one/x") && changes.watches(b"one/y"));
    fs::rename(place.path("one"), outside.with_extension("away")).unwrap();
    fs::rename(&outside, place.path("one")).unwrap();
    assert_eq!(changed(&mut changes), ["one"]);
    assert!(changes.watches(b"one/x") && !changes.watches(b"one/y"));
}

#[test]
fn a_project_in_an_ignored_folder_is_watched() {
    let place = Place::new(&[
        ("larder.toml", "[workspace]\nprojects = [\"vendor/lib\"]\n"),
        ("vendor/lib/larder.toml", BUILD),
        ("vendor/lib/src/file", "1"),
        ("vendor/else/file", "1"),
        (".gitignore", "vendor/\n"),
    ]);
    let mut changes = place.watch();
    assert!(changes.watches(b"vendor/lib/src") && !changes.watches(b"vendor/else"));
    place.write("vendor/lib/src/file", "2");
    assert_eq!(changed(&mut changes), ["vendor/lib/src/file"]);
}

#[test]
fn a_project_that_appears_in_an_ignored_folder_is_told() {
    let place = Place::new(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"vendor/libs/*\"]\n",
        ),
        (".gitignore", "vendor/\n"),
    ]);
    fs::create_dir_all(place.path("vendor/libs")).unwrap();
    fs::create_dir_all(place.path("vendor/else")).unwrap();
    let mut changes = place.watch();
    assert!(!changes.watches(b"vendor/else"));
    place.write("vendor/libs/new/larder.toml", "");
    assert_eq!(changed(&mut changes), ["vendor/libs/new"]);
}

#[test]
fn a_project_outside_is_told_by_its_prefix_and_its_folder_is_held_on_to() {
    let place = Place::new(&[(
        "larder.toml",
        "[workspace]\nprojects = [\".\", \"../lib\"]\n[tasks.x]\ncommand = \"true\"\n",
    )]);
    place.write("../lib/larder.toml", BUILD);
    place.write("../lib/src/file", "1");
    place.write("../lib/.gitignore", "tmp/\n");
    place.write("../lib/tmp/file", "1");
    let mut changes = place.watch();
    place.write("../lib/src/file", "2");
    place.write("../lib/tmp/file", "2");
    assert_eq!(changed(&mut changes), ["..lib/src/file"]);
    fs::rename(place.path("../lib"), place.path("../away")).unwrap();
    everything(&mut changes);
    assert!(
        changes.blind().unwrap().contains("lib"),
        "{:?}",
        changes.blind()
    );
}

#[test]
fn an_input_that_is_reached_through_a_link_may_always_have_changed() {
    let place = Place::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = \"true\"\ninputs = [\"link/file\"]\n",
    )]);
    fs::create_dir(place.path("../real")).unwrap();
    fs::write(place.path("../real/file"), "1").unwrap();
    std::os::unix::fs::symlink("../real", place.path("link")).unwrap();
    let mut changes = place.watch();
    assert_eq!(changed(&mut changes), ["link"]);
    assert_eq!(changed(&mut changes), ["link"]);
    fs::remove_file(place.path("link")).unwrap();
    place.write("link/file", "1");
    changes.sync();
    assert_eq!(changed(&mut changes), [""; 0]);
    // One that takes the folder's place later.
    fs::remove_dir_all(place.path("link")).unwrap();
    std::os::unix::fs::symlink("../real", place.path("link")).unwrap();
    changes.sync();
    assert_eq!(changed(&mut changes), ["link"]);
}

#[test]
fn a_branch_switch_is_noticed_path_by_path_and_what_git_tracks_decides() {
    let place = Place::new(&[
        ("larder.toml", BUILD),
        ("src/file", "1"),
        ("src/deep/only-here", "1"),
        (".gitignore", "tmp/\n"),
        ("tmp/file", "1"),
    ]);
    git(&place.root, "init -q -b main");
    git(&place.root, "add .");
    git(&place.root, "commit -qm one");
    git(&place.root, "checkout -qb two");
    git(&place.root, "rm -rq src/deep");
    place.write("src/file", "2");
    git(&place.root, "commit -qam two");
    let mut changes = place.watch();
    git(&place.root, "checkout -q main");
    // Another set of files is tracked, and with that another set of ignored files might count.
    everything(&mut changes);
    place.write("src/deep/only-here", "2");
    assert_eq!(changed(&mut changes), ["src/deep/only-here"]);
    git(&place.root, "commit -qam three");
    git(&place.root, "status");
    assert_eq!(changed(&mut changes), [""; 0], "the set is the same");
    assert!(!changes.watches(b"tmp"));
    git(&place.root, "add -f tmp/file");
    assert!(everything(&mut changes).contains("git"));
    assert!(changes.watches(b"tmp"));
    place.write("tmp/file", "2");
    assert_eq!(changed(&mut changes), ["tmp/file"]);
    git(&place.root, "checkout -q -- tmp/file");
    assert_eq!(changed(&mut changes), ["tmp/file"]);
}

#[test]
fn git_that_begins_to_track_is_everything() {
    let place = Place::new(&[("larder.toml", BUILD)]);
    let mut changes = place.watch();
    git(&place.root, "init -q -b main");
    git(&place.root, "add .");
    assert!(everything(&mut changes).contains("git"));
    assert_eq!(changed(&mut changes), [""; 0]);
    fs::remove_dir_all(place.path(".git")).unwrap();
    assert!(everything(&mut changes).contains("git"));
}

#[test]
fn another_configuration_is_everything_and_watches_other_folders() {
    let place = Place::new(&[
        ("larder.toml", BUILD),
        (".gitignore", "dist/\nout/\n"),
        ("dist/x", "1"),
        ("out/x", "1"),
    ]);
    let mut changes = place.watch();
    assert!(changes.watches(b"dist") && !changes.watches(b"out"));
    place.write("larder.toml", &BUILD.replace("dist", "out"));
    assert_eq!(changed(&mut changes), ["larder.toml"]);
    changes.set_workspace(&place.workspace()).unwrap();
    assert!(everything(&mut changes).contains("configuration"));
    assert!(!changes.watches(b"dist") && changes.watches(b"out"));
}
