//! Any tree of files, links and empty folders packs and restores to itself; any earlier state of the disk loses nothing.
//! Knows nothing of stores' layouts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use larder_cache::*;
use proptest::prelude::*;

use crate::sandbox::*;

#[derive(Debug, Clone)]
pub(crate) enum Node {
    File(Vec<u8>, u32),
    Link(Vec<u8>),
    EmptyDir(u32),
}

pub(crate) type Model = BTreeMap<Vec<u8>, Node>;

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            &b"a"[..],
            b"b",
            b"c",
            b"a.b",
            b"\xff\xfe",
            b" ",
            b"\n",
            b"-x",
            b"...",
            b"\\"
        ])
        .prop_map(<[u8]>::to_vec),
        (95_usize..130).prop_map(|length| vec![b'n'; length]),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => (prop::collection::vec(any::<u8>(), 0..1200), prop::sample::select(vec![0o644_u32, 0o755, 0o444, 0o600]))
            .prop_map(|(content, mode)| Node::File(content, mode)),
        1 => prop_oneof![
            Just(b"../up".to_vec()), Just(b"/absolute".to_vec()), Just(b"\xff".to_vec()), Just(vec![b't'; 250])
        ].prop_map(Node::Link),
        1 => prop::sample::select(vec![0o755_u32, 0o750, 0o700]).prop_map(Node::EmptyDir),
    ]
}

/// Whether one of two paths lies below the other.
fn clash(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(&[other, &b"/"[..]].concat()) || other.starts_with(&[one, &b"/"[..]].concat())
}

/// Adds what lies neither below nor above, nor in place of, what is there.
pub(crate) fn add(kept: &mut Model, more: impl IntoIterator<Item = (Vec<u8>, Node)>) {
    for (path, node) in more {
        if !kept.keys().any(|other| clash(&path, other)) {
            kept.entry(path).or_insert(node);
        }
    }
}

/// Paths up to three deep, none below another.
pub(crate) fn model() -> impl Strategy<Value = Model> {
    let path = prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join(&b'/'));
    prop::collection::btree_map(path, node(), 0..12).prop_map(|all: Model| {
        let mut kept = Model::new();
        add(&mut kept, all);
        kept
    })
}

pub(crate) fn build(sandbox: &Sandbox, model: &Model) {
    for (path, node) in model {
        let path = sandbox.root().join(OsStr::from_bytes(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match node {
            Node::File(content, mode) => {
                fs::write(&path, content).unwrap();
                set(*mode);
            }
            Node::Link(text) => symlink(OsStr::from_bytes(text), &path).unwrap(),
            Node::EmptyDir(mode) => {
                fs::create_dir(&path).unwrap();
                set(*mode);
            }
        }
    }
}

fn entry(sandbox: &Sandbox, model: &Model) -> Entry {
    let paths: Vec<Vec<u8>> = model.keys().rev().cloned().collect();
    let tmp = sandbox.store.tmp();
    let packed = pack(&sandbox.root(), &paths, &PackOptions::default(), &tmp).unwrap();
    let artifact = packed.artifact.map(|artifact| {
        let file = Source::File(&artifact.file);
        sandbox.store.save(&artifact.id, file).unwrap();
        artifact.id
    });
    entry_of(packed.manifest, artifact)
}

/// Every file content below a folder.
pub(crate) fn contents(folder: &std::path::Path, found: &mut Vec<Vec<u8>>) {
    for item in fs::read_dir(folder).into_iter().flatten() {
        let path = item.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            contents(&path, found);
        } else if meta.is_file() {
            found.push(fs::read(path).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_packs_and_restores_to_itself(model in model(), memory in prop::sample::select(vec![0_u64, 700, 1 << 20])) {
        let sandbox = Sandbox::new();
        build(&sandbox, &model);
        let before = sandbox.snapshot();
        let stored = entry(&sandbox, &model);
        prop_assert_eq!(stored.artifact, entry(&sandbox, &model).artifact);
        sandbox.empty_root();
        let (owned, rescue) = (Owned::new(), sandbox.rescue());
        let mut options = RestoreOptions::new(&|_| true, &owned, &rescue);
        options.memory = memory;
        let restored = restore(&sandbox.root(), &stored, &sandbox.store, &options).unwrap();
        prop_assert_eq!(sandbox.snapshot(), before);
        prop_assert_eq!(restored.written.len(), model.len());
        prop_assert!(!rescue.exists() || fs::read_dir(&rescue).unwrap().next().is_none());
    }

    #[test]
    fn over_any_earlier_disk_the_outputs_are_right_and_nothing_unowned_is_lost(
        wanted in model(), earlier in model(), owned_all in any::<bool>(),
    ) {
        let sandbox = Sandbox::new();
        build(&sandbox, &wanted);
        let stored = entry(&sandbox, &wanted);
        sandbox.empty_root();
        build(&sandbox, &earlier);
        let owned = if owned_all { owned_by(&entry(&sandbox, &earlier).manifest) } else { Owned::new() };
        match sandbox.restore(&stored, &owned) {
            Ok(restored) => {
                prop_assert!(matches(&sandbox.root(), &stored.manifest).unwrap().is_empty());
                if owned_all {
                    prop_assert!(restored.rescued.is_empty(), "{:?}", restored.rescued);
                    let strays = earlier.iter().filter(|(path, node)| {
                        matches!(node, Node::File(..)) && !wanted.contains_key(*path)
                    });
                    for (path, _) in strays {
                        let path = sandbox.root().join(OsStr::from_bytes(path));
                        prop_assert!(!path.is_file());
                    }
                }
            }
            // The only reason to refuse here: an unowned link stands where a folder must be.
            Err(error) => prop_assert!(error.is_miss() && !owned_all, "{error}"),
        }
        if !owned_all {
            let mut found = Vec::new();
            contents(&sandbox.root(), &mut found);
            contents(&sandbox.rescue(), &mut found);
            for (path, node) in &earlier {
                if let Node::File(content, _) = node {
                    prop_assert!(found.contains(content), "{path:?} was lost");
                }
            }
        }
    }
}
