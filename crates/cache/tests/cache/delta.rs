//! A delta turns old outputs into new ones, byte for byte and mode for mode; what is damaged or hostile changes nothing.
//! Knows nothing of the written form's fields beyond those it damages.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use larder_cache::*;
use proptest::prelude::*;

use crate::property::{Model, Node, add, build, contents, model};
use crate::sandbox::*;

fn rows(sandbox: &Sandbox, paths: impl Iterator<Item = Vec<u8>>) -> Manifest {
    let paths: Vec<Vec<u8>> = paths.collect();
    let tmp = sandbox.store.tmp();
    pack(&sandbox.root(), &paths, &PackOptions::default(), &tmp)
        .unwrap()
        .manifest
}

fn unit(name: &str, before: Option<Manifest>, after: Manifest) -> Unit {
    Unit {
        name: name.to_owned(),
        before,
        after,
        extra: BTreeMap::new(),
    }
}

fn place(sandbox: &Sandbox) -> PathBuf {
    sandbox.dir.path().join("delta")
}

fn write(sandbox: &Sandbox, units: &[Unit]) -> Result<Delta> {
    let dir = place(sandbox);
    write_delta(&sandbox.root(), units, &[], &PackOptions::default(), &dir)
}

/// Applies to the sandbox what lies in `dir`, all of it, with what the unit `u` is known to own.
fn apply(sandbox: &Sandbox, dir: &Path, owned: &Owned) -> Result<Restored> {
    apply_allowed(sandbox, dir, owned, &|_| true)
}

fn apply_allowed(
    sandbox: &Sandbox,
    dir: &Path,
    owned: &Owned,
    allowed: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Restored> {
    let delta = read_delta(dir)?;
    let nothing = Owned::new();
    let units = delta.units.iter().map(|unit| {
        let owned = if unit.name == "u" { owned } else { &nothing };
        (unit.name.as_str(), Target { allowed, owned })
    });
    let rescue = sandbox.rescue();
    let options = ApplyOptions::new(units.collect(), &rescue);
    apply_delta(&sandbox.root(), dir, &delta, &options)
}

/// Two sandboxes, the second with what the first shall become, and the delta of unit `u` between them.
fn pair(old: &[(&str, &str)], new: &[(&str, &str)]) -> (Sandbox, Sandbox) {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    let of = |sandbox: &Sandbox, files: &[(&str, &str)]| {
        for (path, content) in files {
            sandbox.write(path, content);
        }
        rows(
            sandbox,
            files.iter().map(|(path, _)| path.as_bytes().to_vec()),
        )
    };
    let (before, after) = (of(&here, old), of(&there, new));
    write(&there, &[unit("u", Some(before), after)]).unwrap();
    (here, there)
}

/// A tree made of another one by keeping, changing and dropping, and by adding others, also in place of what was there.
fn next_of(old: &Model, first: &Model, others: Model, how: &[u8]) -> Model {
    let mut next = first.clone();
    let mut how = how.iter().cycle();
    let kept = old.iter().filter_map(|(path, node)| {
        let node = match (how.next().unwrap_or(&0) % 4, node) {
            (0, _) => return None,
            (1, Node::File(content, mode)) => Node::File(content.clone(), mode ^ 0o111),
            (1, Node::EmptyDir(bits)) => Node::EmptyDir(bits ^ 0o022),
            (2, Node::File(content, mode)) => Node::File([content, &b"+"[..]].concat(), *mode),
            (_, node) => node.clone(),
        };
        Some((path.clone(), node))
    });
    add(&mut next, kept.collect::<Vec<_>>());
    add(&mut next, others);
    next
}

/// Units by the length of paths, so that some paths go from one unit to another.
fn units(before: &Manifest, after: &Manifest) -> Vec<Unit> {
    let of = |rows: &Manifest, by: usize, rest: usize| -> Manifest {
        rows.iter()
            .filter(|row| row.path.len() % by % 2 == rest)
            .cloned()
            .collect()
    };
    (0..2)
        .map(|at| unit(&at.to_string(), Some(of(before, 2, at)), of(after, 3, at)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_old_tree_becomes_the_new_one_and_stays(
        old in model(), first in model(), more in model(), how in prop::collection::vec(any::<u8>(), 1..9),
        memory in prop::sample::select(vec![0_u64, 700, 1 << 20]),
    ) {
        let new = next_of(&old, &first, more, &how);
        let (here, there) = (Sandbox::new(), Sandbox::new());
        build(&here, &old);
        build(&there, &new);
        let (before, after) = (rows(&here, old.keys().cloned()), rows(&there, new.keys().cloned()));
        let written = write(&there, &units(&before, &after)).unwrap();
        let dir = place(&there);
        let delta = read_delta(&dir).unwrap();
        prop_assert_eq!(&delta, &written);
        let nothing = Owned::new();
        let rescue = here.rescue();
        let all = || delta.units.iter().map(|unit| (&*unit.name, Target { allowed: &|_| true, owned: &nothing })).collect();
        let mut options = ApplyOptions::new(all(), &rescue);
        options.memory = memory;
        let applied = apply_delta(&here.root(), &dir, &delta, &options).unwrap();
        prop_assert_eq!(here.snapshot(), there.snapshot());
        prop_assert!(applied.rescued.is_empty(), "{:?}", applied.rescued);
        let again = apply_delta(&here.root(), &dir, &delta, &options).unwrap();
        prop_assert!(again.written.is_empty() && again.deleted.is_empty() && again.rescued.is_empty(), "{again:?}");
        prop_assert_eq!(here.snapshot(), there.snapshot());
    }

    #[test]
    fn over_any_disk_the_new_outputs_are_right_and_nothing_of_others_is_lost(
        old in model(), first in model(), more in model(), how in prop::collection::vec(any::<u8>(), 1..9), disk in model(),
    ) {
        let new = next_of(&old, &first, more, &how);
        let (was, here, there) = (Sandbox::new(), Sandbox::new(), Sandbox::new());
        build(&was, &old);
        build(&there, &new);
        build(&here, &disk);
        let before = rows(&was, old.keys().cloned());
        let written = write(&there, &units(&before, &rows(&there, new.keys().cloned()))).unwrap();
        let earlier = here.snapshot();
        match apply(&here, &place(&there), &Owned::new()) {
            Ok(_) => prop_assert!(matches(&here.root(), &written.contents()).unwrap().is_empty()),
            // A link of others where a folder must be.
            Err(error) => {
                prop_assert!(matches!(error, Error::Refused(_)), "{error}");
                prop_assert_eq!(here.snapshot(), earlier);
            }
        }
        let mut found = Vec::new();
        contents(&here.root(), &mut found);
        contents(&here.rescue(), &mut found);
        for (path, node) in &disk {
            if let Node::File(content, _) = node {
                // What is the old output is the delta's to replace.
                let digest = *blake3::hash(content).as_bytes();
                let outputs = || before.iter().any(|row| row.path == *path && row.digest == digest);
                prop_assert!(found.contains(content) || outputs(), "{:?} was lost", OsStr::from_bytes(path));
            }
        }
    }
}

#[test]
fn damage_at_any_byte_is_refused_and_nothing_is_written() {
    let old = [("out/a", "old a"), ("out/b", "b"), ("out/gone", "g")];
    let (here, there) = pair(&old, &[("out/a", "new a"), ("out/b", "b"), ("out/c", "c")]);
    let before = here.snapshot();
    let dir = place(&there);
    for name in ["manifest.json", "contents.tar.zst"] {
        let path = dir.join(name);
        let whole = fs::read(&path).unwrap();
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        let flipped = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            bytes
        });
        for bytes in cut.chain(flipped).chain([[&whole[..], b"\n"].concat()]) {
            fs::write(&path, &bytes).unwrap();
            let error = apply(&here, &dir, &Owned::new()).unwrap_err();
            assert!(matches!(error, Error::Refused(_)), "{name}: {error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(apply(&here, &dir, &Owned::new()).is_err(), "no {name}");
        assert_eq!(here.snapshot(), before);
        assert!(!here.rescue().exists());
        fs::write(&path, whole).unwrap();
    }
    apply(&here, &dir, &Owned::new()).unwrap();
    assert_eq!(here.snapshot(), there.snapshot());
}

#[test]
fn the_archive_is_proved_even_when_nothing_of_it_is_needed() {
    let (here, there) = pair(&[("out/a", "old")], &[("out/a", "new")]);
    let dir = place(&there);
    apply(&here, &dir, &Owned::new()).unwrap();
    let path = dir.join("contents.tar.zst");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = apply(&here, &dir, &Owned::new()).unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
}

#[test]
fn what_the_user_put_in_the_way_is_moved_aside_and_named() {
    let old = [("out/a", "old a"), ("out/gone", "g"), ("out/b", "b")];
    let (here, there) = pair(
        &old,
        &[("out/a", "new a"), ("out/b", "b"), ("out/c/d", "new")],
    );
    here.write("out/a", "mine a");
    here.write("out/gone", "mine too");
    here.write("out/c", "a file where a folder must be");
    let applied = apply(&here, &place(&there), &Owned::new()).unwrap();
    assert_eq!(here.snapshot(), there.snapshot());
    let mut rescued: Vec<(Vec<u8>, String)> = applied
        .rescued
        .into_iter()
        .map(|(path, to)| (path, fs::read_to_string(to).unwrap()))
        .collect();
    rescued.sort();
    let named = |path: &str, content: &str| (path.as_bytes().to_vec(), content.to_owned());
    assert_eq!(
        rescued,
        [
            named("out/a", "mine a"),
            named("out/c", "a file where a folder must be"),
            named("out/gone", "mine too")
        ]
    );
}

#[test]
fn what_the_unit_is_known_to_have_written_is_replaced_and_deleted_without_rescue() {
    let old = [("out/a", "old a"), ("out/gone", "g")];
    let (here, there) = pair(&old, &[("out/a", "new a"), ("out/c", "c")]);
    here.write("out/a", "another state of a");
    here.write("out/gone", "another state");
    here.write("out/c", "an earlier c");
    here.write("out/stray", "stays: the delta does not speak of it");
    let known = ["out/a", "out/gone", "out/c", "out/stray"].map(|path| path.as_bytes().to_vec());
    let owned = owned_by(&rows(&here, known.into_iter()));
    let applied = apply(&here, &place(&there), &owned).unwrap();
    assert!(applied.rescued.is_empty(), "{:?}", applied.rescued);
    assert_eq!(here.read("out/a"), "new a");
    assert_eq!(here.read("out/c"), "c");
    assert!(!here.at("out/gone").exists());
    assert!(here.at("out/stray").exists());
}

#[test]
fn without_knowledge_of_the_old_outputs_all_are_added_and_owned_strays_go() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    there.write("out/a", "new a");
    let after = rows(&there, [b"out/a".to_vec()].into_iter());
    let delta = write(&there, &[unit("u", None, after)]).unwrap();
    assert_eq!(delta.counts(), (1, 0, 0));
    here.write("out/stray", "of an earlier run");
    here.write("out/mine", "mine");
    let owned = owned_by(&rows(&here, [b"out/stray".to_vec()].into_iter()));
    apply(&here, &place(&there), &owned).unwrap();
    assert_eq!(here.read("out/a"), "new a");
    assert_eq!(here.read("out/mine"), "mine");
    assert!(!here.at("out/stray").exists());
}

#[test]
fn nothing_goes_through_a_link_or_outside_of_what_is_allowed() {
    let (here, there) = pair(&[("out/b", "b")], &[("out/b", "b"), ("out/d/a", "a")]);
    let outside = here.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, here.at("out/d")).unwrap();
    let before = here.snapshot();
    let dir = place(&there);
    let refused = |result: Result<Restored>, why: Why| match result {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.why, why),
        other => panic!("{other:?}"),
    };
    refused(apply(&here, &dir, &Owned::new()), Why::ThroughLink);
    let elsewhere = |path: &[u8]| path.starts_with(b"dist/");
    refused(
        apply_allowed(&here, &dir, &Owned::new(), &elsewhere),
        Why::Undeclared,
    );
    assert_eq!(here.snapshot(), before);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_removed_path_that_is_not_declared_is_left_alone() {
    let (here, there) = pair(&[("out/b", "b"), ("elsewhere/x", "x")], &[("out/b", "c")]);
    let allowed = |path: &[u8]| path.starts_with(b"out/");
    apply_allowed(&here, &place(&there), &Owned::new(), &allowed).unwrap();
    assert_eq!(here.read("out/b"), "c");
    assert_eq!(here.read("elsewhere/x"), "x");
}

#[test]
fn a_unit_that_is_not_asked_for_is_left_alone_and_others_come_whole() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    for path in ["a/1", "b/1", "a/2", "b/2"] {
        there.write(path, path);
    }
    let of = |paths: [&str; 2]| {
        rows(
            &there,
            paths.map(|path| path.as_bytes().to_vec()).into_iter(),
        )
    };
    let units = [
        unit("b", None, of(["b/1", "b/2"])),
        unit("a", None, of(["a/1", "a/2"])),
    ];
    let delta = write(&there, &units).unwrap();
    let (nothing, rescue) = (Owned::new(), here.rescue());
    let target = Target {
        allowed: &|_| true,
        owned: &nothing,
    };
    let options = ApplyOptions::new([("b", target)].into(), &rescue);
    apply_delta(&here.root(), &place(&there), &delta, &options).unwrap();
    assert_eq!(
        (here.read("b/1"), here.read("b/2")),
        ("b/1".into(), "b/2".into())
    );
    assert!(!here.at("a").exists());
}

#[test]
fn a_change_of_mode_alone_is_a_change() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    for sandbox in [&here, &there] {
        sandbox.write("out/a", "a");
        fs::create_dir(sandbox.at("out/empty")).unwrap();
        sandbox.chmod("out/a", 0o644);
        sandbox.chmod("out/empty", 0o755);
    }
    there.chmod("out/a", 0o600);
    there.chmod("out/empty", 0o700);
    let both = || [b"out/a".to_vec(), b"out/empty".to_vec()].into_iter();
    let units = [unit("u", Some(rows(&here, both())), rows(&there, both()))];
    let delta = write(&there, &units).unwrap();
    assert_eq!(delta.counts(), (0, 2, 0));
    // What lies in the folder meanwhile stays there.
    here.write("out/empty/mine", "mine");
    there.write("out/empty/mine", "mine");
    apply(&here, &place(&there), &Owned::new()).unwrap();
    assert_eq!(here.snapshot(), there.snapshot());
}

#[test]
fn a_folder_that_was_an_empty_output_is_made_anew_for_what_it_holds_now() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    fs::create_dir(here.at("a")).unwrap();
    here.chmod("a", 0o500);
    there.write("a/b", "b");
    let one = |sandbox: &Sandbox, path: &str| rows(sandbox, [path.as_bytes().to_vec()].into_iter());
    let units = [unit("u", Some(one(&here, "a")), one(&there, "a/b"))];
    write(&there, &units).unwrap();
    apply(&here, &place(&there), &Owned::new()).unwrap();
    assert_eq!(here.snapshot(), there.snapshot());
}

#[test]
fn a_mode_that_only_a_row_tells_of_is_none() {
    let there = Sandbox::new();
    there.write("out/a", "a");
    there.write("out/b", "b");
    there.chmod("out/a", 0o664);
    let before = rows(&there, [b"out/a".to_vec()].into_iter());
    let mut after = rows(&there, [b"out/a".to_vec(), b"out/b".to_vec()].into_iter());
    // As an entry of another place has it; the restore found the file right and left it.
    after[0].mode = 0o644;
    let delta = write(&there, &[unit("u", Some(before), after)]).unwrap();
    assert_eq!((delta.counts(), delta.units[0].unchanged), ((1, 0, 0), 1));
    let here = Sandbox::new();
    apply(&here, &place(&there), &Owned::new()).unwrap();
    assert_eq!(here.read("out/b"), "b");
}

#[test]
fn only_an_empty_folder_is_written_to_and_only_what_holds_still() {
    let there = Sandbox::new();
    there.write("out/a", "a");
    let after = || rows(&there, [b"out/a".to_vec()].into_iter());
    let units = [unit("u", None, after())];
    there.write("out/a", "b");
    assert!(matches!(write(&there, &units), Err(Error::Changed(_))));
    assert_eq!(fs::read_dir(place(&there)).unwrap().count(), 0);
    let units = [unit("u", None, after())];
    fs::write(place(&there).join("mine"), "").unwrap();
    assert!(matches!(write(&there, &units), Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(place(&there)).unwrap().count(), 1);
    fs::remove_file(place(&there).join("mine")).unwrap();
    let twice = [unit("u", None, after()), unit("v", None, after())];
    assert!(matches!(write(&there, &twice), Err(Error::Refused(_))));
    assert_eq!(fs::read_dir(place(&there)).unwrap().count(), 0);
    write(&there, &units).unwrap();
    let left = [LeftOut {
        name: "z".into(),
        why: "it failed".into(),
    }];
    let dir = there.dir.path().join("second");
    let options = PackOptions::default();
    let delta = write_delta(&there.root(), &[], &left, &options, &dir).unwrap();
    assert_eq!(read_delta(&dir).unwrap(), delta);
    assert_eq!(delta.left_out, left);
    assert_eq!(
        fs::read_dir(&dir).unwrap().count(),
        1,
        "no archive of nothing"
    );
}
