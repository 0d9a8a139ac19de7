//! Chunks that read what other tasks make: chains, whole tasks, generated sources, and depfiles.

use crate::sandbox::Sandbox;

const CHAIN: &str = r#"
[tasks.gen]
foreach = "src/*.in"
command = "echo gen {in} >> ../ran.log; tr a-z A-Z < {in} > {out}"
outputs = ["mid/{stem}.c"]

[tasks.cc]
foreach = "mid/*.c"
command = "echo cc {in} >> ../ran.log; cat {in} > {out}"
outputs = ["out/{stem}.o"]
depends-on = ["gen"]

[tasks.link]
command = "echo link >> ../ran.log; cat out/*.o > prog"
inputs = []
outputs = ["prog"]
depends-on = ["cc"]
"#;

fn chain() -> Sandbox {
    Sandbox::new(&[
        ("larder.toml", CHAIN),
        ("src/a.in", "a\n"),
        ("src/b.in", "b\n"),
        ("src/c.in", "c\n"),
    ])
}

#[test]
fn an_edit_goes_through_a_chain_chunk_by_chunk() {
    let sandbox = chain();
    for concurrency in [1, 4] {
        let line = format!("link --concurrency={concurrency}");
        sandbox.larder(&line);
        sandbox.ran();
        assert_eq!(sandbox.statuses(&line, 0)[".#link"], "up-to-date");
        sandbox.write("src/b.in", &format!("edit {concurrency}\n"));
        sandbox.larder(&line);
        assert_eq!(sandbox.ran(), ["cc mid/b.c", "gen src/b.in", "link"]);
        assert_eq!(sandbox.read("prog"), format!("A\nEDIT {concurrency}\nC\n"));
        // Early cut-off in the middle of the chain: what is made stays the same.
        sandbox.write("src/b.in", &format!("EDIT {concurrency}\n"));
        sandbox.larder(&line);
        assert_eq!(sandbox.ran(), ["gen src/b.in"]);
    }
    // Added and removed through all of it.
    sandbox.write("src/d.in", "d\n");
    sandbox.remove("src/a.in");
    sandbox.larder("link");
    assert_eq!(sandbox.ran(), ["cc mid/d.c", "gen src/d.in", "link"]);
    assert_eq!(sandbox.read("prog"), "EDIT 4\nC\nD\n");
    assert!(!sandbox.exists("mid/a.c") && !sandbox.exists("out/a.o"));
}

#[test]
fn a_chain_is_restored_in_another_clone_chunk_by_chunk() {
    let one = chain();
    one.larder("link");
    let two = chain();
    two.write("src/b.in", "other\n");
    let mut command = two.command();
    command.env("LARDER_CACHE_DIR", one.cache()).arg("link");
    let outcome = two.run(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(two.ran(), ["cc mid/b.c", "gen src/b.in", "link"]);
    assert_eq!(two.read("prog"), "A\nOTHER\nC\n");
}

#[test]
fn a_task_alone_takes_what_lies_there() {
    let sandbox = chain();
    sandbox.larder("link");
    sandbox.ran();
    assert_eq!(sandbox.statuses("cc --only", 0)[".#cc"], "up-to-date");
    sandbox.write("src/a.in", "edited\n");
    assert_eq!(sandbox.statuses("cc --only", 0)[".#cc"], "up-to-date");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn a_dry_run_and_an_explanation_follow_the_chain() {
    let sandbox = chain();
    // Nothing was made yet, so nothing is known of the sources of `cc`.
    let dry = sandbox.larder("link --dry");
    for task in ["gen", "cc", "link"] {
        let line = format!(".#{task}: would run");
        assert!(dry.stdout.contains(&line), "{}", dry.all());
    }
    sandbox.larder("link");
    sandbox.write("src/b.in", "B\n");
    let dry = sandbox.larder("link --dry");
    assert!(dry.stdout.contains(".#gen: would run"), "{}", dry.all());
    assert!(dry.stdout.contains(".#cc: may run"), "{}", dry.all());
    assert!(dry.stdout.contains(".#link: may run"), "{}", dry.all());
    let why = sandbox.larder("explain link --json");
    assert!(why.stdout.contains("src/b.in was edited"), "{}", why.all());
}

#[test]
fn a_whole_task_and_listed_inputs_hold_for_every_chunk() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.tool]
command = "echo tool >> ../ran.log; mkdir -p bin; cat tool.txt > bin/tool"
inputs = ["tool.txt"]
outputs = ["bin/**"]

[tasks.cc]
foreach = ["src/*.c", "!src/no.c"]
command = "echo cc {stem} >> ../ran.log; cat bin/tool {in} > {out}"
outputs = ["out/{stem}.o"]
depends-on = ["tool"]
"#,
        ),
        ("tool.txt", "t\n"),
        ("src/a.c", "a\n"),
        ("src/b.c", "b\n"),
        ("src/no.c", "no\n"),
    ]);
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc a", "cc b", "tool"]);
    sandbox.write("src/a.c", "A\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc a"]);
    sandbox.write("tool.txt", "T\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc a", "cc b", "tool"]);
    assert_eq!(sandbox.read("out/b.o"), "T\nb\n");
}

#[test]
fn sources_that_a_dependency_makes_are_seen_in_the_same_run() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.make]
command = "rm -rf gen; mkdir gen; for n in $(cat list); do echo $n > gen/$n.c; done"
inputs = ["list"]
outputs = ["gen/**"]

[tasks.cc]
foreach = "gen/*.c"
command = "echo cc {stem} >> ../ran.log; cat {in} > {out}"
outputs = ["out/{stem}.o"]
inputs = []
depends-on = [{ task = "make", transitive = false }]
"#,
        ),
        ("list", "a b\n"),
        (".gitignore", "gen\nout\n"),
    ]);
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc a", "cc b"]);
    sandbox.write("list", "b c\n");
    // `make` is a task as a whole: what it made is one digest, so every chunk is redone.
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc b", "cc c"]);
    assert!(!sandbox.exists("out/a.o"));
    assert_eq!(sandbox.read("out/c.o"), "c\n");
}

#[test]
fn a_source_that_another_task_makes_has_to_be_depended_on() {
    let sandbox = chain();
    sandbox.write(
        "larder.toml",
        &CHAIN.replace("depends-on = [\"gen\"]", "depends-on = []"),
    );
    sandbox.larder("gen");
    let outcome = sandbox.larder("cc");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("is an output of .#gen"),
        "{}",
        outcome.all()
    );
}

/// Copies a source and what it includes, and says so in a depfile.
const DEPFILE: &str = r#"
[tasks.cc]
foreach = "src/*.c"
command = '''echo cc {stem} >> ../ran.log; inc=$(sed -n 's/^#include //p' {in}); cat {in} $inc > {out} || exit 1; echo {out}: {in} $inc > {out}.d'''
outputs = ["out/{stem}.o"]
depfile = "{out}.d"
"#;

#[test]
fn a_header_redoes_exactly_the_chunks_that_name_it() {
    let sandbox = Sandbox::new(&[
        ("larder.toml", DEPFILE),
        ("src/a.c", "#include inc/x.h\n"),
        ("src/b.c", "#include inc/y.h\n"),
        ("src/c.c", "#include inc/x.h\n"),
        ("inc/x.h", "x\n"),
        ("inc/y.h", "y\n"),
    ]);
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "ran");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    sandbox.ran();
    sandbox.write("inc/x.h", "X\n");
    let why = sandbox.larder("explain cc");
    assert!(
        why.stdout.contains("[src/a.c]: file inc/x.h was edited"),
        "{}",
        why.all()
    );
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc a", "cc c"]);
    assert!(sandbox.read("out/c.o").ends_with("X\n"));
    // Back: each known list leads to its result.
    sandbox.write("inc/x.h", "x\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert!(sandbox.read("out/c.o").ends_with("x\n"));
    sandbox.remove(".larder");
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    assert_eq!(sandbox.ran(), [""; 0]);
    sandbox.remove("inc/y.h");
    let outcome = sandbox.larder("cc");
    assert_ne!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.ran(), ["cc b"]);
}

#[test]
fn a_chunk_without_its_depfile_is_not_kept_and_the_others_are() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            &DEPFILE.replace(
                "{out}.d''",
                "{out}.d; case {stem} in b) rm {out}.d;; esac''",
            ),
        ),
        ("src/a.c", "a\n"),
        ("src/b.c", "b\n"),
    ]);
    for ran in [&["cc a", "cc b"][..], &["cc b"][..]] {
        let outcome = sandbox.larder("cc");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert!(
            outcome
                .stderr
                .contains(".#cc[src/b.c]: not stored: it did not write its depfile out/b.o.d"),
            "{}",
            outcome.all()
        );
        assert_eq!(sandbox.ran(), ran);
    }
}

#[test]
fn what_another_chunk_of_the_task_makes_is_no_sound_input() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.cc]\nforeach = \"src/*.c\"\ncommand = \"cat {in} > {out}; echo {out}: {in} out/a.o > {out}.d\"\noutputs = [\"out/{stem}.o\"]\ndepfile = \"{out}.d\"\n",
        ),
        ("src/a.c", "a\n"),
    ]);
    sandbox.larder("cc");
    sandbox.write("src/b.c", "b\n");
    let outcome = sandbox.larder("cc");
    assert!(
        outcome.stderr.contains(
            ".#cc[src/b.c]: not stored: it reads out/a.o, which another chunk of the same task makes"
        ),
        "{}",
        outcome.all()
    );
}

#[test]
fn the_default_inputs_of_others_leave_out_what_chunks_make_and_no_more() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.min]
foreach = "js/*.ts"
command = "cat {in} > {out}"
outputs = ["js/{stem}.js"]

[tasks.all]
command = "echo all >> ../ran.log; mkdir -p dist; cat js/*.js > dist/all"
outputs = ["dist/**"]
depends-on = ["min"]
"#,
        ),
        ("js/a.ts", "a\n"),
        ("js/own.js", "own\n"),
    ]);
    sandbox.larder("all");
    assert_eq!(sandbox.statuses("all", 0)[".#all"], "up-to-date");
    sandbox.ran();
    // The globs of `min` take it, but no chunk makes it.
    sandbox.write("js/own.js", "OWN\n");
    sandbox.larder("all");
    assert_eq!(sandbox.ran(), ["all"]);
    assert_eq!(sandbox.read("dist/all"), "a\nOWN\n");
}
