//! Deltas of tasks with chunks: what was applied is known of each chunk.

use super::{apply, clone_of, manifest, outputs};
use crate::sandbox::{Sandbox, files};

const CONFIG: &str = r#"
[tasks.cc]
foreach = "src/*.c"
command = "echo cc {in} >> ../ran.log; cat {in} inc/x.h > {out} && echo '{out}:' {in} inc/x.h > {out}.d"
outputs = ["out/{stem}.o"]
depfile = "{out}.d"
"#;

const OLD: [(&str, &str); 4] = [
    ("src/a.c", "a\n"),
    ("src/b.c", "b\n"),
    ("src/gone.c", "gone\n"),
    ("inc/x.h", "x\n"),
];

fn change(sandbox: &Sandbox) {
    sandbox.write("src/b.c", "B\n");
    sandbox.write("src/new.c", "new\n");
    sandbox.remove("src/gone.c");
}

#[test]
fn what_was_applied_is_up_to_date_chunk_by_chunk() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("cc");
    change(&one);
    let outcome = one.larder("cc --write-delta ../delta");
    assert!(
        outcome.stderr.contains("1 added, 1 changed, 1 removed"),
        "{}",
        outcome.all()
    );
    let told = manifest(&one.base().join("delta"));
    let units: Vec<(&str, usize, &str)> = told["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| {
            let counted = ["added", "changed", "removed"];
            let differs = counted.map(|list| unit[list].as_array().unwrap().len());
            let source = unit["extra"]["source"].as_str().unwrap_or_default();
            (unit["name"].as_str().unwrap(), differs.iter().sum(), source)
        })
        .collect();
    let expected = [
        (".#cc", 0, ""),
        (".#cc[src/a.c]", 0, "src/a.c"),
        (".#cc[src/b.c]", 1, "src/b.c"),
        (".#cc[src/gone.c]", 1, "src/gone.c"),
        (".#cc[src/new.c]", 1, "src/new.c"),
    ];
    assert_eq!(units, expected);
    let two = clone_of(CONFIG, &OLD);
    two.larder("cc");
    change(&two);
    two.ran();
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(two.read("out/b.o"), "B\nx\n");
    assert_eq!(two.read("out/new.o"), "new\nx\n");
    assert!(!two.exists("out/gone.o") && !two.exists(".larder/rescued"));
    assert!(!two.exists("out/gone.o.d") && two.exists("out/b.o.d"));
    assert_eq!(two.statuses("cc", 0)[".#cc"], "up-to-date");
    assert!(two.ran().is_empty());
    // What was discovered came along, and so did whose each output is.
    two.write("src/a.c", "A\n");
    two.remove("src/new.c");
    two.larder("cc");
    assert_eq!(two.ran(), ["cc src/a.c"]);
    assert!(!two.exists("out/new.o") && !two.exists(".larder/rescued"));
    two.write("inc/x.h", "X\n");
    two.larder("cc");
    assert_eq!(two.ran().len(), 2);
    assert_eq!(two.read("out/b.o"), "B\nX\n");
}

#[test]
fn no_cache_is_needed_at_either_place() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("cc --cache=local:");
    change(&one);
    one.larder("cc --cache=local: --write-delta ../delta");
    let two = clone_of(CONFIG, &OLD);
    two.larder("cc --cache=local:");
    change(&two);
    two.ran();
    apply(&two, &one.base().join("delta"));
    assert_eq!(two.read("out/b.o"), "B\nx\n");
    two.larder("cc --cache=local:");
    assert_eq!(two.ran(), Vec::<String>::new());
    two.write("src/b.c", "b again\n");
    let told = two.larder("explain cc").stdout;
    assert!(
        told.contains("[src/b.c]: file src/b.c was edited"),
        "{told}"
    );
    assert!(told.contains("1 of 3 chunks would run"), "{told}");
}

#[test]
fn only_chunks_that_were_at_another_state_run() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("cc");
    change(&one);
    one.larder("cc --write-delta ../delta");
    let two = clone_of(CONFIG, &OLD);
    two.write("src/a.c", "other\n");
    two.write("src/more.c", "more\n");
    two.larder("cc");
    change(&two);
    two.write("src/a.c", "a\n");
    two.ran();
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    let told = &outcome.stdout;
    assert!(
        told.contains(".#cc[src/a.c] is not what was built"),
        "{told}"
    );
    assert!(!told.contains(".#cc[src/b.c]"), "{told}");
    two.larder("cc");
    assert_eq!(two.ran(), ["cc src/a.c"]);
    // What the delta knows nothing of is as it was.
    assert_eq!(two.read("out/more.o"), "more\nx\n");
    assert!(!two.exists(".larder/rescued"));
    two.remove("src/more.c");
    two.larder("cc");
    assert!(!two.exists("out/more.o") && !two.exists(".larder/rescued"));
    let objects = |sandbox: &Sandbox| {
        let mut found = outputs(sandbox);
        found.retain(|path, _| path.strip_suffix(".o").is_some());
        found
    };
    assert_eq!(objects(&two), objects(&one));
}

#[test]
fn a_chunk_that_is_bound_to_its_root_is_left_alone_by_itself() {
    let config = "[tasks.sh]\nforeach = \"src/*\"\ncommand = \"echo {in} >> ../ran.log; sh {in} > {out}\"\noutputs = [\"out/{name}\"]\n";
    let sources = [("src/a", "pwd"), ("src/b", "echo b")];
    for flags in ["", "--cache=local:"] {
        let (one, two) = (clone_of(config, &sources), clone_of(config, &sources));
        one.larder(&format!("sh {flags} --write-delta ../delta"));
        let outcome = apply(&two, &one.base().join("delta"));
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        let told = &outcome.stdout;
        assert!(told.contains(".#sh[src/a] was left alone"), "{told}");
        assert!(two.exists("out/b") && !two.exists("out/a"));
        two.larder("sh --cache=local:");
        assert_eq!(two.ran(), ["src/a"]);
        assert_ne!(two.read("out/a"), one.read("out/a"));
    }
}

#[test]
fn what_is_applied_equals_a_full_rebuild_in_modes_links_and_folders() {
    let config = r#"
[tasks.take]
foreach = "src/**/*.txt"
command = """
echo {in} >> ../ran.log
mkdir -p {dir}/../out/$(dirname {in}) out/{in}
cat {in} > out/{in}/copy; chmod $(head -c 3 {in}) out/{in}/copy
if grep -q link {in}; then ln -s copy out/{in}/link; fi
if grep -q more {in}; then mkdir -p out/{in}/deep/er; cat {in} > out/{in}/deep/er/copy; mkdir out/{in}/empty; fi
"""
outputs = ["out/{in}/**"]
"#;
    let old = [
        ("src/a.txt", "644 link"),
        ("src/b.txt", "600 more"),
        ("src/c.txt", "755 link more"),
        ("src/x/y/gone.txt", "644 more"),
        ("src/x/same.txt", "640 more link"),
    ];
    let edit = |sandbox: &Sandbox| {
        sandbox.write("src/a.txt", "755 link");
        sandbox.write("src/b.txt", "600 link");
        sandbox.write("src/c.txt", "755 more");
        sandbox.remove("src/x/y");
        sandbox.write("src/new/n.txt", "700 link more");
    };
    let (one, two) = (clone_of(config, &old), clone_of(config, &old));
    let full = clone_of(config, &old);
    for sandbox in [&one, &two] {
        let outcome = sandbox.larder("take");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
    }
    for sandbox in [&one, &two, &full] {
        edit(sandbox);
    }
    full.larder("take");
    one.larder("take --write-delta ../delta");
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(outputs(&two), outputs(&full));
    assert_eq!(outputs(&one), outputs(&full));
    two.ran();
    assert_eq!(two.statuses("take", 0)[".#take"], "up-to-date");
    assert!(two.ran().is_empty() && !two.exists(".larder/rescued"));
}

#[test]
fn after_a_killed_run_files_of_others_under_wide_globs_are_nobodys() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("cc");
    change(&one);
    one.larder("cc --write-delta ../delta");
    one.remove(".larder");
    one.remove("out");
    one.larder("cc --write-delta ../first");
    // With the state before, and without any.
    for (delta, built) in [("delta", true), ("first", false)] {
        let two = clone_of(CONFIG, &OLD);
        if built {
            two.larder("cc");
        }
        let killing = CONFIG.replace("echo cc", "[ {in} = src/b.c ] && kill -9 $PPID; echo cc");
        two.write("larder.toml", &killing);
        assert_eq!(two.larder("cc --cache=local:").code, -1);
        two.write("larder.toml", CONFIG);
        // No chunk of the run that was killed declares either.
        two.write("out/mine.o", "mine\n");
        two.write("out/new.o", "mine as well\n");
        change(&two);
        let outcome = apply(&two, &one.base().join(delta));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(two.read("out/mine.o"), "mine\n");
        assert_eq!(two.read("out/new.o"), "new\nx\n");
        assert_eq!(two.read(".larder/rescued/out/new.o"), "mine as well\n");
        two.ran();
        two.larder("cc");
        assert_eq!(two.ran(), Vec::<String>::new());
        two.remove("src/new.c");
        two.larder("cc");
        assert_eq!(two.read("out/mine.o"), "mine\n");
        assert!(!two.exists("out/new.o"));
        assert_eq!(files(&two.path(".larder/intents")).len(), 0);
    }
}

#[test]
fn a_part_of_the_chunks_is_no_delta() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("cc");
    change(&one);
    let outcome = one.larder("cc --graph-filter .#cc[src/b.c] --write-delta ../delta");
    assert!(
        outcome
            .stderr
            .contains("without .#cc (some of its chunks were left out)"),
        "{}",
        outcome.all()
    );
}
