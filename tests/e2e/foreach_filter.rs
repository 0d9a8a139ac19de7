//! `--graph-filter` with chunks: which chunks run, and what is made of those that are left as they are.

use crate::sandbox::Sandbox;

const CHAIN: &str = r#"
[tasks.cc]
foreach = "src/*.c"
command = "echo cc {in} >> ../ran.log; cat {in} inc/x.h > {out} && echo '{out}:' {in} inc/x.h > {out}.d"
outputs = ["out/{stem}.o"]
depfile = "{out}.d"

[tasks.sum]
foreach = "out/*.o"
command = "echo sum {in} >> ../ran.log; cat {in} > {out}"
outputs = ["sum/{stem}"]
depends-on = ["cc"]

[tasks.all]
command = "echo all >> ../ran.log; cat out/*.o > all"
inputs = []
outputs = ["all"]
depends-on = ["cc"]
"#;

fn built() -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("larder.toml", CHAIN),
        (".gitignore", "out\nsum\nall\n"),
        ("src/a.c", "a\n"),
        ("src/b.c", "b\n"),
        ("src/c.c", "c\n"),
        ("inc/x.h", "x\n"),
    ]);
    sandbox.larder("sum all");
    sandbox.ran();
    sandbox
}

fn ran(sandbox: &Sandbox) -> Vec<String> {
    let mut ran = sandbox.ran();
    ran.sort();
    ran
}

#[test]
fn only_chunks_that_are_named_run_and_the_others_stay_stale() {
    let sandbox = built();
    sandbox.write("inc/x.h", "X\n");
    let record = sandbox.record("cc --graph-filter .#cc[src/a.c]", 0);
    assert_eq!(ran(&sandbox), ["cc src/a.c"]);
    let chunks = &record["tasks"][0]["chunks"];
    assert_eq!(
        (&chunks["ran"], &chunks["left_out"]),
        (&1.into(), &2.into())
    );
    assert_eq!(sandbox.read("out/a.o"), "a\nX\n");
    assert_eq!(sandbox.read("out/b.o"), "b\nx\n");
    // Nothing of those that are named is to be done, though others would be, and forcing reaches no further.
    let told = sandbox.larder("cc --graph-filter .#cc[src/a.c] -v");
    assert!(
        told.stderr.contains("leaves out 2 of 3 chunks"),
        "{}",
        told.all()
    );
    sandbox.larder("cc --graph-filter .#cc[src/a.c] --force");
    assert_eq!(ran(&sandbox), ["cc src/a.c"]);
    // A run of all knows what is left to do, and what is done.
    sandbox.larder("cc");
    assert_eq!(ran(&sandbox), ["cc src/b.c", "cc src/c.c"]);
    assert_eq!(sandbox.read("out/b.o"), "b\nX\n");
    sandbox.larder("cc");
    assert_eq!(ran(&sandbox), Vec::<String>::new());
}

#[test]
fn chunks_that_are_left_out_are_not_run_and_what_lies_of_them_counts() {
    let sandbox = built();
    sandbox.write("inc/x.h", "X\n");
    sandbox.remove("out/c.o");
    sandbox.write("src/d.c", "d\n");
    let filter = "all --graph-filter !.#cc[src/{b,c,d}.c]";
    sandbox.larder(filter);
    assert_eq!(ran(&sandbox), ["all", "cc src/a.c"]);
    assert_eq!(sandbox.read("all"), "a\nX\nb\nx\n");
    sandbox.larder(filter);
    assert_eq!(ran(&sandbox), Vec::<String>::new());
    // What was made of a part is not taken for what is made of all.
    sandbox.larder("all sum");
    assert_eq!(
        ran(&sandbox),
        [
            "all",
            "cc src/b.c",
            "cc src/c.c",
            "cc src/d.c",
            "sum out/a.o",
            "sum out/b.o",
            "sum out/c.o",
            "sum out/d.o"
        ]
    );
    assert_eq!(sandbox.read("all"), "a\nX\nb\nX\nc\nX\nd\nX\n");
    // And the other way round: back to what lay there before, from the cache.
    sandbox.write("inc/x.h", "x\n");
    sandbox.remove("src/d.c");
    sandbox.larder("all sum");
    assert_eq!(ran(&sandbox), Vec::<String>::new());
    assert_eq!(sandbox.read("all"), "a\nx\nb\nx\nc\nx\n");
    assert!(!sandbox.exists("sum/d"));
}

#[test]
fn what_is_left_out_is_not_deleted_and_what_is_named_is() {
    let sandbox = built();
    sandbox.remove("src/b.c");
    sandbox.remove("src/c.c");
    sandbox.larder("cc --graph-filter .#cc[src/b.c]");
    assert!(!sandbox.exists("out/b.o") && sandbox.exists("out/c.o"));
    sandbox.larder("cc");
    assert!(!sandbox.exists("out/c.o"));
    assert_eq!(ran(&sandbox), Vec::<String>::new());
}

#[test]
fn a_task_that_others_need_whole_has_all_its_chunks() {
    let sandbox = built();
    sandbox.write("inc/x.h", "X\n");
    // `sum` needs all of `cc`, whatever of `cc` is named beside it.
    sandbox.larder("sum --graph-filter .#sum[out/a.o],.#cc[src/a.c]");
    assert_eq!(
        ran(&sandbox),
        ["cc src/a.c", "cc src/b.c", "cc src/c.c", "sum out/a.o"]
    );
    sandbox.write("inc/x.h", "Y\n");
    // Upwards from a chunk its dependents see what lies there of the others.
    sandbox.larder("sum all --graph-filter .#cc[src/b.c],up=1");
    assert_eq!(
        ran(&sandbox),
        ["all", "cc src/b.c", "sum out/b.o", "sum out/c.o"]
    );
    assert_eq!(sandbox.read("all"), "a\nX\nb\nY\nc\nX\n");
}

#[test]
fn a_dry_run_tells_of_the_chunks_that_are_meant() {
    let sandbox = built();
    sandbox.write("inc/x.h", "X\n");
    let told = sandbox.larder("cc --dry --graph-filter .#cc[src/a.c]");
    assert!(
        told.stdout.contains("[src/a.c]: file inc/x.h was edited"),
        "{}",
        told.all()
    );
    assert!(!told.stdout.contains("[src/b.c]"), "{}", told.all());
    let told = sandbox.larder("cc --dry --graph-filter .#cc[src/none.c]");
    assert!(told.stdout.contains("up to date"), "{}", told.all());
    assert!(told.stdout.contains("leaves out 3 of 3"), "{}", told.all());
    let told = sandbox.larder("cc --graph-filter .#all[src/a.c]");
    assert_eq!(told.code, 2, "{}", told.all());
    assert_eq!(ran(&sandbox), Vec::<String>::new());
}
