//! Deltas of tasks with chunks: what was applied is known of each chunk.

use super::{apply, clone_of};

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

fn change(sandbox: &crate::sandbox::Sandbox) {
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
    let two = clone_of(CONFIG, &OLD);
    two.larder("cc");
    change(&two);
    two.ran();
    let outcome = apply(&two, &one.base().join("delta"));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(two.read("out/b.o"), "B\nx\n");
    assert_eq!(two.read("out/new.o"), "new\nx\n");
    assert!(!two.exists("out/gone.o") && !two.exists(".larder/rescued"));
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
fn what_nobody_vouches_for_is_applied_and_looked_at_again() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("cc");
    change(&one);
    // Of what the cache does not know no delta says how it came to be.
    one.larder("cc --cache=local: --write-delta ../delta");
    let two = clone_of(CONFIG, &OLD);
    two.larder("cc");
    change(&two);
    two.ran();
    apply(&two, &one.base().join("delta"));
    assert_eq!(two.read("out/b.o"), "B\nx\n");
    two.larder("cc");
    let mut ran = two.ran();
    ran.sort();
    assert!(ran.contains(&"cc src/b.c".to_owned()), "{ran:?}");
    assert_eq!(two.read("out/b.o"), "B\nx\n");
    assert_eq!(two.statuses("cc", 0)[".#cc"], "up-to-date");
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
