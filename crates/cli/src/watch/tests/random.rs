//! Random edits: whatever differs on disk between two answers lies at or below a path of the second, and every folder that
//! matters is watched. A seed that failed is named, and `LARDER_SEED` runs it alone.
//! Knows nothing of how that comes about.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::Changes;
use super::Place;

/// Numbers that a seed decides.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    /// A path of few names, so that the same ones are met again and again.
    fn path(&mut self) -> String {
        let depth = 1 + self.below(4);
        let names = ["a", "b", "c", "d", "ignored"];
        let parts: Vec<&str> = (0..depth)
            .map(|_| names[usize::try_from(self.below(5)).unwrap()])
            .collect();
        parts.join("/")
    }
}

/// One edit; what is impossible at that moment is not done.
fn edit(root: &Path, random: &mut Random, number: u64) {
    let (one, other) = (root.join(random.path()), root.join(random.path()));
    let _ = match random.below(12) {
        0..=2 => fs::write(&one, number.to_string()),
        3..=4 => fs::create_dir_all(&one).and_then(|()| fs::write(one.join("f"), "1")),
        5..=7 => fs::rename(&one, &other),
        8 => fs::remove_dir_all(&one),
        9 | 10 => set_mode(
            &one,
            if number.is_multiple_of(2) {
                0o755
            } else {
                0o700
            },
        ),
        _ => fs::remove_file(&one),
    };
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// What tells a file or folder from how it was; the times of a folder change with what is in it.
type Tuple = (bool, u64, u64, i64, i64, u32);

/// All that matters below the root.
fn snapshot(root: &Path) -> BTreeMap<String, Tuple> {
    let mut all = BTreeMap::new();
    look(root, root, &mut all);
    all
}

/// Takes in what lies at a path and below.
fn look(root: &Path, path: &Path, all: &mut BTreeMap<String, Tuple>) {
    use std::os::unix::fs::MetadataExt as _;
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(stat) = path.symlink_metadata() else {
            continue;
        };
        let name = path.file_name().unwrap();
        if name == ".larder" || (name == "ignored" && stat.is_dir()) {
            continue;
        }
        let tuple = if stat.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
            (true, stat.ino(), 0, 0, 0, stat.mode())
        } else {
            let changed = (stat.ctime(), stat.ctime_nsec());
            (
                false,
                stat.ino(),
                stat.size(),
                changed.0,
                changed.1,
                stat.mode(),
            )
        };
        let below = path.strip_prefix(root).unwrap().to_str().unwrap();
        if !below.is_empty() {
            all.insert(below.to_owned(), tuple);
        }
    }
}

fn within(path: &str, above: &str) -> bool {
    path == above
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// What somebody knows who looks only where he is told to.
fn follow(root: &Path, told: &[String], known: &mut BTreeMap<String, Tuple>) {
    for path in told {
        known.retain(|other, _| !within(other, path));
        // What lies in an ignored folder does not matter.
        let folders = path.split('/').rev().skip(1);
        if !folders.clone().any(|name| name == "ignored") {
            look(root, &root.join(path), known);
        }
    }
}

/// Asserts that an answer covers all that differs.
fn covered(
    told: &[String],
    before: &BTreeMap<String, Tuple>,
    after: &BTreeMap<String, Tuple>,
    seed: u64,
) {
    for path in before.keys().chain(after.keys()) {
        assert!(
            before.get(path) == after.get(path) || told.iter().any(|told| within(path, told)),
            "seed {seed}: {path} changed from {:?} to {:?}, and only {told:?} was told",
            before.get(path),
            after.get(path)
        );
    }
}

/// Asserts that every folder that matters is watched, and no other.
fn watched(changes: &Changes, after: &BTreeMap<String, Tuple>, seed: u64) {
    let folders = after.iter().filter(|(_, tuple)| tuple.0);
    let mut count = 1;
    for (folder, _) in folders {
        count += 1;
        assert!(changes.watches(folder.as_bytes()), "seed {seed}: {folder}");
    }
    assert_eq!(changes.folders(), count, "seed {seed}");
}

fn place() -> Place {
    Place::new(&[
        ("larder.toml", "[tasks.build]\ncommand = \"true\"\n"),
        (".gitignore", "ignored/\n"),
    ])
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("LARDER_SEED").map(|seed| seed.parse()) {
        Ok(seed) => vec![seed.unwrap()],
        Err(_) => (1..=count).collect(),
    }
}

#[test]
fn whatever_differs_between_two_answers_is_told() {
    for seed in seeds(6) {
        let place = place();
        let mut changes = place.watch();
        let mut random = Random(seed);
        let mut before = snapshot(&place.root);
        for round in 0..60 {
            for number in 0..=random.below(8) {
                edit(&place.root, &mut random, round * 10 + number);
            }
            let told = super::paths(&changes.sync());
            let after = snapshot(&place.root);
            covered(&told, &before, &after, seed);
            watched(&changes, &after, seed);
            before = after;
        }
    }
}

#[test]
fn who_looks_only_where_he_is_told_knows_all_though_edits_go_on_meanwhile() {
    for seed in seeds(3) {
        let place = place();
        let mut changes = place.watch();
        let before = snapshot(&place.root);
        let root = place.root.clone();
        let editor = std::thread::spawn(move || {
            let mut random = Random(seed);
            for number in 0..1500 {
                edit(&root, &mut random, number);
            }
        });
        let mut known = before;
        while !editor.is_finished() {
            follow(&place.root, &super::paths(&changes.sync()), &mut known);
        }
        editor.join().unwrap();
        follow(&place.root, &super::paths(&changes.sync()), &mut known);
        let after = snapshot(&place.root);
        assert_eq!(known, after, "seed {seed}");
        watched(&changes, &after, seed);
        assert_eq!(super::changed(&mut changes), [""; 0]);
        // And from here on as before.
        let mut random = Random(seed);
        for number in 0..20 {
            edit(&place.root, &mut random, number);
        }
        let last = snapshot(&place.root);
        covered(&super::paths(&changes.sync()), &after, &last, seed);
    }
}
