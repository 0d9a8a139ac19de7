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
    let told = sandbox.larder("cc --graph-filter .#all[src/a.c]");
    assert_eq!(told.code, 2, "{}", told.all());
    assert_eq!(ran(&sandbox), Vec::<String>::new());
}

#[test]
fn a_glob_that_matches_no_chunk_is_an_error_that_names_the_nearest() {
    let sandbox = built();
    sandbox.write("src/late.c", "late\n");
    sandbox.remove("src/b.c");
    for (filter, code, told) in [
        (".#cc[src/late.c]", 0, ""),
        // What it made is there still, and a run of other chunks forgets nothing of it.
        (".#cc[src/b.c]", 0, ""),
        (
            ".#cc[src/ltae.c]",
            2,
            "`.#cc[src/ltae.c]` matches no chunk of this workspace; did you mean `.#cc[src/late.c]`?",
        ),
        ("!.#cc[src/aa.c]", 2, "did you mean `!.#cc[src/a.c]`?"),
        ("*#*[nothing/*]", 2, "`larder ls --chunks` lists all chunks"),
        (".#xc[src/a.c]", 2, "did you mean `.#cc[src/a.c]`?"),
        ("*#*[src/a.c]", 0, ""),
    ] {
        for command in ["run cc --dry", "graph", "ls", "run cc"] {
            let outcome = sandbox.larder(&format!("{command} --graph-filter {filter}"));
            assert_eq!(outcome.code, code, "{command} {filter} {}", outcome.all());
            assert!(outcome.stderr.contains(told), "{}", outcome.all());
        }
        if code != 0 {
            assert_eq!(ran(&sandbox), Vec::<String>::new());
        }
        sandbox.ran();
    }
}

#[test]
fn chunks_of_files_that_are_made_first_are_looked_for_when_they_are() {
    let sandbox = built();
    sandbox.write("src/late.c", "late\n");
    let outcome = sandbox.larder("sum --graph-filter .#sum[out/late.o]");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(ran(&sandbox), ["cc src/late.c", "sum out/late.o"]);
    sandbox.write("src/later.c", "later\n");
    let outcome = sandbox.larder("sum --dry --graph-filter .#sum[out/later.o]");
    assert!(
        outcome.stdout.contains(".#sum: may run"),
        "{}",
        outcome.all()
    );
    sandbox.remove("src/later.c");
    let outcome = sandbox.larder("sum --graph-filter .#sum[out/ltae.o]");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    let told = "did you mean `.#sum[out/late.o]`?";
    assert!(outcome.stderr.contains(told), "{}", outcome.all());
    assert_eq!(ran(&sandbox), Vec::<String>::new());
}

#[test]
fn one_chunk_is_explained_with_what_it_reads_and_what_uses_it() {
    let sandbox = built();
    let told = sandbox.larder("explain .#cc[src/a.c]");
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert_eq!(lines[0], ".#cc[src/a.c]: up to date", "{}", told.all());
    let rest = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let rest: Vec<String> = lines[2..].iter().map(|line| rest(line)).collect();
    assert!(rest[0].starts_with("key ") && rest[0].len() == 4 + 64);
    let expected = [
        "source src/a.c",
        "discovered inc/x.h",
        "makes out/a.o",
        "used by .#sum[out/a.o]",
    ];
    assert_eq!(rest[1..], expected);
    sandbox.write("inc/x.h", "X\n");
    let json = |chunk: &str| -> serde_json::Value {
        let outcome = sandbox.larder(&format!("explain {chunk} --json"));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    let told = json(".#cc[src/a.c]");
    assert_eq!(told["verdict"], "would-run");
    assert_eq!(told["why"], serde_json::json!(["file inc/x.h was edited"]));
    assert_eq!(told["discovered"][0]["path"], "inc/x.h");
    assert_eq!(told["discovered"][0]["changed"], true);
    assert_eq!(told["outputs"], serde_json::json!(["out/a.o"]));
    assert_eq!(told["tasks"][0]["task"], ".#cc");
    let made = json(".#sum[out/a.o]");
    assert_eq!(made["verdict"], "may-run");
    assert_eq!(made["key"], serde_json::Value::Null);
    let uses: Vec<&String> = made["dependencies"].as_object().unwrap().keys().collect();
    assert_eq!(uses, [".#cc[src/a.c]"]);
    // The key that is told is the one that it gets.
    sandbox.larder("cc");
    let key = json(".#cc[src/a.c]")["key"].clone();
    assert_eq!(key, told["key"]);
    sandbox.write("inc/x.h", "x\n");
    assert_eq!(json(".#cc[src/b.c]")["verdict"], "would-restore");
    sandbox.remove("src/c.c");
    let gone = json(".#cc[src/c.c]");
    assert_eq!(gone["verdict"], "would-be-removed");
    assert_eq!(gone["outputs"], serde_json::json!(["out/c.o"]));
}

#[test]
fn a_chunk_that_cannot_be_explained_is_told_with_the_nearest() {
    let sandbox = built();
    for (chunk, told) in [
        (".#cc[src/aa.c]", "did you mean `.#cc[src/a.c]`?"),
        (".#all[src/a.c]", ".#all has no `foreach`"),
        (".#c[src/a.c]", "did you mean `.#cc`?"),
    ] {
        for command in ["explain", "graph"] {
            let outcome = sandbox.larder(&format!("{command} {chunk}"));
            assert_eq!(outcome.code, 2, "{}", outcome.all());
            assert!(outcome.stderr.contains(told), "{}", outcome.all());
        }
    }
}

#[test]
fn the_graph_shows_chunks_with_what_they_use_and_what_uses_them() {
    let sandbox = built();
    let graph = |args: &str| -> (Vec<String>, Vec<(String, String, String)>) {
        let outcome = sandbox.larder(&format!("graph --json {args}"));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let graph: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let nodes = graph["nodes"].as_array().unwrap().iter();
        let labels: std::collections::BTreeMap<u64, String> = nodes
            .map(|node| (node["id"].as_u64().unwrap(), text(&node["label"])))
            .collect();
        let end = |edge: &serde_json::Value, end| labels[&edge[end].as_u64().unwrap()].clone();
        let edges = graph["edges"].as_array().unwrap().iter();
        let mut edges: Vec<(String, String, String)> = edges
            .map(|edge| (end(edge, "from"), end(edge, "to"), text(&edge["label"])))
            .collect();
        edges.sort();
        let mut nodes: Vec<String> = labels.into_values().collect();
        nodes.sort();
        (nodes, edges)
    };
    assert_eq!(graph("").0, [".#all", ".#cc", ".#sum"]);
    let (nodes, edges) = graph("--chunks");
    assert_eq!(nodes.len(), 9);
    let has = |from: &str, to: &str, label: &str| {
        edges.contains(&(from.to_owned(), to.to_owned(), label.to_owned()))
    };
    assert!(has(".#sum[out/a.o]", ".#cc[src/a.c]", ""), "{edges:?}");
    assert!(!has(".#sum[out/a.o]", ".#cc[src/b.c]", ""), "{edges:?}");
    assert!(!has(".#sum[out/a.o]", ".#cc", ""), "{edges:?}");
    assert!(has(".#cc", ".#cc[src/b.c]", "chunk") && has(".#all", ".#cc", ""));
    let (nodes, _) = graph(".#cc[src/a.c]");
    let around = [".#all", ".#cc", ".#cc[src/a.c]", ".#sum", ".#sum[out/a.o]"];
    assert_eq!(nodes, around);
    let (nodes, _) = graph(".#sum[out/b.o]");
    assert_eq!(nodes, [".#cc[src/b.c]", ".#sum", ".#sum[out/b.o]"]);
    assert_eq!(graph("cc --chunks").0.len(), 4);
    assert_eq!(graph("cc --chunks --graph-filter .#cc[src/a.c]").0.len(), 2);
    let dot = sandbox.larder("graph .#cc[src/a.c]").stdout;
    assert!(
        dot.starts_with("digraph {") && dot.contains(".#cc[src/a.c]"),
        "{dot}"
    );
    let mermaid = sandbox
        .larder("graph .#cc[src/a.c] --format mermaid")
        .stdout;
    assert!(mermaid.starts_with("flowchart"), "{mermaid}");
    // A chunk that never ran depends on all that its task needs.
    sandbox.write("out/mine.o", "mine\n");
    assert!(graph(".#sum[out/mine.o]").0.contains(&".#cc".to_owned()));
    let list = sandbox.larder("ls --chunks");
    assert!(
        list.stdout
            .contains("\n  cc  (foreach src/*.c)\n    src/a.c\n"),
        "{}",
        list.all()
    );
    let list = sandbox.larder("ls --chunks --json --graph-filter .#cc[src/a.c]");
    let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let chunks = &list["projects"][0]["chunks"];
    assert_eq!(*chunks, serde_json::json!({ "cc": ["src/a.c"] }));
}
