//! `--graph-filter` prunes the graph of a request: what runs, what does not, and what is said of it.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// lib -> app, each with codegen, build, test and lint; a hook that follows each build, and one that follows all.
fn two() -> Sandbox {
    let project = |name: &str, more: &str| {
        let task = |task: &str, rest: &str| {
            format!("[tasks.{task}]\ncommand = \"echo {name}#{task} >> ../../ran.log; {rest}\n")
        };
        [
            more,
            &task("codegen", "cat seed.txt > gen.txt\"\ninputs = [\"seed.txt\"]\noutputs = [\"gen.txt\"]"),
            &task("build", "cat gen.txt > out.txt\"\ninputs = []\noutputs = [\"out.txt\"]\ndepends-on = [\"^build\", \"codegen\"]\nafter = [\"note\"]"),
            &task("test", "true\"\ninputs = []\noutputs = []\ndepends-on = [\"build\"]"),
            &task("lint", "true\"\ninputs = [\"seed.txt\"]\noutputs = []"),
            &task("note", "true\"\ninputs = []"),
        ]
        .concat()
    };
    let (lib, app) = (
        project("lib", ""),
        project("app", "[project]\ndepends-on = [\"lib\"]\n"),
    );
    Sandbox::new(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"lib\", \"app\"]\n",
        ),
        ("lib/larder.toml", &lib),
        ("app/larder.toml", &app),
        ("lib/seed.txt", "lib\n"),
        ("app/seed.txt", "app\n"),
    ])
}

fn ran(sandbox: &Sandbox, line: &str) -> String {
    let outcome = sandbox.larder(line);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.all());
    sandbox.ran().join(" ")
}

#[test]
fn what_is_left_out_does_not_run_and_the_rest_does() {
    let cases = [
        // Without a glob the walk begins at what was asked for.
        ("test --graph-filter depth=0", "app#test lib#test"),
        (
            "app#test --graph-filter depth=1",
            "app#build app#note app#test",
        ),
        (
            "app#test --graph-filter down=all,!lib",
            "app#build app#codegen app#note app#test",
        ),
        (
            "test lint --graph-filter !*#lint,!*#note --graph-filter !lib#test",
            "app#build app#codegen app#test lib#build lib#codegen",
        ),
        // What only an excluded task leads to goes with it.
        ("app#test --graph-filter !app#build", "app#test"),
        // With globs it begins there, and nothing is added that was not asked for.
        (
            "test --graph-filter lib",
            "lib#build lib#codegen lib#note lib#test",
        ),
        ("test --graph-filter *#codegen", "app#codegen lib#codegen"),
        (
            "test --graph-filter app#build,depth=0",
            "app#build app#note",
        ),
        (
            "test --graph-filter lib#codegen,up=1,!*#note",
            "lib#build lib#codegen",
        ),
        (
            "test --graph-filter lib#codegen,up=2,depth=0,!*#note",
            "app#build lib#build lib#codegen lib#test",
        ),
        (
            "test --graph-filter lib:codegen,up=all,!{lib,app}#note",
            "app#build app#codegen app#test lib#build lib#codegen lib#test",
        ),
    ];
    for (line, wanted) in cases {
        let sandbox = two();
        // Everything once: what is left out has left its outputs.
        sandbox.larder("test lint");
        sandbox.ran();
        assert_eq!(ran(&sandbox, &format!("{line} --force")), wanted, "{line}");
    }
}

#[test]
fn what_was_left_out_is_said() {
    let sandbox = two();
    sandbox.larder("test");
    let outcome = sandbox.larder("test --graph-filter !app,depth=1 -v");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let said: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("left out"))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    graph filter: 5 of 8 tasks left out
      left out app#build: `!app` leaves it out
      left out app#codegen: `!app` leaves it out
      left out app#note: `!app` leaves it out
      left out app#test: `!app` leaves it out
      left out lib#codegen: it lies deeper than `depth=1`
    ");
    let outcome = sandbox.larder("test --graph-filter !app");
    let said: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("left out"))
        .collect();
    assert_eq!(said, ["graph filter: 4 of 8 tasks left out"]);
    let record = sandbox.record("test --graph-filter *#codegen", 0);
    assert_eq!(
        record["left_out"].as_array().unwrap().len(),
        6,
        "{record:#}"
    );
    assert_eq!(record["left_out"][0]["task"], "app#build");
    assert_eq!(
        record["left_out"][0]["rule"],
        "neither named by `*#codegen` nor reached from there"
    );
    assert!(sandbox.record("test", 0).get("left_out").is_none());
    let dry = sandbox.larder("test --graph-filter app#codegen --dry=json");
    let dry: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(dry["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(dry["left_out"].as_array().unwrap().len(), 7);
}

#[test]
fn lists_and_graphs_show_what_is_left_and_name_the_rest() {
    let sandbox = two();
    let list = sandbox.larder("ls --graph-filter app#test,depth=1");
    insta::assert_snapshot!(list.all(), @r"
    exit 0
    --- stdout
    app
      build
      note
      test
    --- stderr
    graph filter: 7 of 10 tasks left out
      app#codegen: it lies deeper than `depth=1`
      app#lint: neither named by `app#test` nor reached from there
      lib#build: it lies deeper than `depth=1`
      lib#codegen: it lies deeper than `depth=1`
      lib#lint: neither named by `app#test` nor reached from there
      lib#note: it lies deeper than `depth=1`
      lib#test: neither named by `app#test` nor reached from there
    ");
    let list = sandbox.larder("ls --json --filter lib --graph-filter !*#test");
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(
        list["projects"][0]["tasks"],
        serde_json::json!(["build", "codegen", "lint", "note"])
    );
    assert_eq!(
        list["left_out"],
        serde_json::json!([{ "task": "lib#test", "rule": "`!*#test` leaves it out" }])
    );
    let graph = sandbox.larder("graph test --graph-filter app#test,lib#codegen,!*#build");
    insta::assert_snapshot!(graph.stdout, @r#"
    digraph {
      n0 [label="app#test"]
      n1 [label="lib#codegen"]
      n0 -> n1 [label="by way of left out"]
    }
    // left out app#build: `!*#build` leaves it out
    // left out app#codegen: only tasks that are left out lead to it
    // left out app#note: only tasks that are left out lead to it
    // left out lib#build: `!*#build` leaves it out
    // left out lib#note: only tasks that are left out lead to it
    // left out lib#test: neither named by `app#test`, `lib#codegen` nor reached from there
    "#);
    let graph = sandbox.larder("graph app#test --graph-filter depth=1 --format mermaid");
    insta::assert_snapshot!(graph.stdout, @r#"
    flowchart LR
      n0["app#35;build"]
      n1["app#35;note"]
      n2["app#35;test"]
      n1 -->|"after"| n0
      n2 --> n0
    %% left out app#codegen: it lies deeper than `depth=1`
    %% left out lib#build: it lies deeper than `depth=1`
    %% left out lib#codegen: it lies deeper than `depth=1`
    %% left out lib#note: it lies deeper than `depth=1`
    "#);
    let graph = sandbox.larder("graph app#test --graph-filter depth=0 --json");
    let graph: Value = serde_json::from_str(&graph.stdout).unwrap();
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 1, "{graph:#}");
    assert_eq!(
        graph["left_out"].as_array().unwrap().len(),
        5 + 1,
        "{graph:#}"
    );
}

#[test]
fn a_filter_that_cannot_be_meant_is_a_mistake_with_a_way_out() {
    let sandbox = two();
    let told: Vec<String> = [
        "lbi",
        "test",
        "*#tset",
        "lbi#build",
        "!*#lnit",
        "app#build[src/*.c]",
        "{app",
        "depht=1",
        "up=1",
        "*#lint",
        "!*",
    ]
    .into_iter()
    .map(|item| {
        let outcome = sandbox.larder(&format!("test --graph-filter {item}"));
        assert_eq!(outcome.code, 2, "{item}: {}", outcome.all());
        assert_eq!(sandbox.ran(), [""; 0], "{item}");
        outcome.stderr
    })
    .collect();
    insta::assert_snapshot!(told.concat(), @r"
    larder: the graph filter `lbi` matches no task of this workspace; did you mean `lib`?
      `larder ls` lists all tasks
    larder: the graph filter `test` matches no task of this workspace; did you mean `*#test`?
      `larder ls` lists all tasks
    larder: the graph filter `*#tset` matches no task of this workspace; did you mean `*#test`?
      `larder ls` lists all tasks
    larder: the graph filter `lbi#build` matches no task of this workspace; did you mean `lib#build`?
      `larder ls` lists all tasks
    larder: the graph filter `!*#lnit` matches no task of this workspace; did you mean `!*#lint`?
      `larder ls` lists all tasks
    larder: the graph filter `app#build[src/*.c]` matches no chunk of this workspace
      `larder ls --chunks` lists all chunks
    larder: the graph filter `{app` cannot be read: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
      write globs of projects, tasks or chunks (`web`, `packages/*`, `@scope/*#build`, `*#lint`, `web#cc[src/*.c]`),
      globs to leave out (`!*#test`), `depth=N` for N steps down to dependencies, `up=N` for N steps up to dependents;
      several are set apart by commas
    larder: the graph filter `depht=1` cannot be read: there is no setting `depht`; did you mean `depth`?
      write globs of projects, tasks or chunks (`web`, `packages/*`, `@scope/*#build`, `*#lint`, `web#cc[src/*.c]`),
      globs to leave out (`!*#test`), `depth=N` for N steps down to dependencies, `up=N` for N steps up to dependents;
      several are set apart by commas
    larder: the graph filter `up` cannot be read: it needs a glob to start from, as in `web#build,up=1`
      write globs of projects, tasks or chunks (`web`, `packages/*`, `@scope/*#build`, `*#lint`, `web#cc[src/*.c]`),
      globs to leave out (`!*#test`), `depth=N` for N steps down to dependencies, `up=N` for N steps up to dependents;
      several are set apart by commas
    larder: the graph filter leaves nothing of the 8 tasks that were asked for: neither named by `*#lint` nor reached from there
      `larder graph TASK…` shows what there is to choose from
    larder: the graph filter leaves nothing of the 8 tasks that were asked for: `!*` leaves it out
      `larder graph TASK…` shows what there is to choose from
    ");
    // Where nothing changed, nothing is asked for.
    git(&sandbox, "init -q");
    git(&sandbox, "add .");
    git(
        &sandbox,
        "-c user.name=a -c user.email=a@example.org commit -q -m one",
    );
    let outcome = sandbox.larder("test --affected=HEAD --graph-filter app");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
}

fn git(sandbox: &Sandbox, words: &str) {
    let mut git = std::process::Command::new("git");
    let status = git
        .args(words.split(' '))
        .current_dir(sandbox.root())
        .status();
    assert!(status.unwrap().success(), "{words}");
}

#[test]
fn what_lies_on_disk_of_a_task_left_out_enters_the_key() {
    let sandbox = two();
    assert_eq!(
        ran(&sandbox, "app#build --graph-filter !*#note"),
        "app#build app#codegen lib#build lib#codegen"
    );
    let statuses = |line: &str| sandbox.statuses(line, 0);
    // The same outputs, the same keys, whether their maker is there or not.
    assert_eq!(
        statuses("app#build --graph-filter app,depth=0,!*#note")["app#build"],
        "up-to-date"
    );
    sandbox.write("lib/out.txt", "by hand\n");
    assert_eq!(
        statuses("app#build --graph-filter app,depth=0,!*#note")["app#build"],
        "ran"
    );
    // What was made from it is not what the whole graph makes.
    let whole = statuses("app#build --graph-filter !*#note");
    assert_eq!(
        (whole["lib#build"].as_str(), whole["app#build"].as_str()),
        ("restored", "restored")
    );
    assert_eq!(sandbox.read("app/out.txt"), "app\n");
}

/// zen -> mid -> top, where top reads what zen made. By name and weight it comes before, if nothing holds it.
fn line(outputs: &str) -> Sandbox {
    let config = format!(
        "[tasks.zen]\ncommand = \"echo zen >> ../ran.log; cat seed.txt > gen.txt\"\ninputs = [\"seed.txt\"]\n{outputs}\n\
         [tasks.mid]\ncommand = \"echo mid >> ../ran.log; echo mid > mid.txt\"\ninputs = []\noutputs = [\"mid.txt\"]\ndepends-on = [\"zen\"]\n\
         [tasks.top]\ncommand = \"echo top >> ../ran.log; cat gen.txt mid.txt > top.txt\"\ninputs = []\noutputs = [\"top.txt\"]\ndepends-on = [\"mid\"]\n"
    );
    Sandbox::new(&[("larder.toml", &config), ("seed.txt", "one\n")])
}

#[test]
fn a_task_waits_for_what_it_needs_by_way_of_one_left_out() {
    for request in ["top --graph-filter !.#mid,.#zen,.#top", "top zen --only"] {
        let sandbox = line("outputs = [\"gen.txt\"]");
        sandbox.larder("top");
        sandbox.ran();
        for seed in ["two\n", "three\n", "one\n"] {
            sandbox.write("seed.txt", seed);
            let outcome = sandbox.larder(&format!("{request} --concurrency 1"));
            assert_eq!(outcome.code, 0, "{}", outcome.all());
            assert_eq!(
                sandbox.read("top.txt"),
                format!("{seed}mid\n"),
                "{request}: {}",
                outcome.all()
            );
        }
    }
}

#[test]
fn a_failure_behind_a_task_left_out_still_stops_what_needs_it() {
    let sandbox = line("outputs = [\"gen.txt\"]");
    sandbox.larder("top");
    sandbox.ran();
    sandbox.remove("seed.txt");
    let line = "top --graph-filter !.#mid,.#zen,.#top --continue=dependencies-successful";
    let statuses = sandbox.statuses(line, 1);
    assert_eq!(
        (statuses[".#zen"].as_str(), statuses[".#top"].as_str()),
        ("failed", "skipped")
    );
}

#[test]
fn nothing_that_rests_on_effects_nobody_saw_is_kept() {
    // What `zen` makes is declared nowhere, so nobody can see on disk whether it changed.
    for request in ["top --graph-filter !.#zen", "top mid --only"] {
        let sandbox = line("");
        sandbox.larder("top");
        sandbox.ran();
        sandbox.write("gen.txt", "two\n");
        let outcome = sandbox.larder(request);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(
            sandbox.read("top.txt"),
            "two\nmid\n",
            "{request}: {}",
            outcome.all()
        );
        sandbox.write("gen.txt", "three\n");
        let outcome = sandbox.larder(request);
        assert_eq!(
            sandbox.read("top.txt"),
            "three\nmid\n",
            "{request}: {}",
            outcome.all()
        );
        sandbox.remove("top.txt");
        sandbox.write("gen.txt", "four\n");
        sandbox.larder(request);
        assert_eq!(sandbox.read("top.txt"), "four\nmid\n", "{request}");
    }
}

#[test]
fn extra_arguments_go_to_what_was_asked_for_and_is_left() {
    let sandbox = two();
    sandbox.write(
        "lib/larder.toml",
        "[tasks.test]\ncommand = \"echo lib >> ../../ran.log; echo\"\n",
    );
    let outcome = sandbox.larder("test --graph-filter lib -- one");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stdout.contains("one"), "{}", outcome.all());
}
