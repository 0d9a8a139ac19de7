//! `before`, `after`, `[hooks]` and groups: what runs, in what order, and what reaches a key.

use crate::sandbox::Sandbox;

/// The lines of `ran.log` as they were written, and an empty log for what follows.
fn order(sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.base().join("ran.log");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

fn at(order: &[String], task: &str) -> usize {
    let found = order.iter().position(|line| line == task);
    found.unwrap_or_else(|| panic!("{task} is not among {order:?}"))
}

/// A task that says so when it runs.
fn task(name: &str, rest: &str) -> String {
    format!("[tasks.{name}]\ncommand = \"echo {name} >> ../ran.log\"\noutputs = []\n{rest}\n")
}

#[test]
fn hooks_stand_around_every_task_and_around_each_others_needs() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        &[
            "[hooks]\nbefore-all = [\"lint\"]\nafter-all = [\"report\"]\n".to_owned(),
            task("tools", "inputs = []"),
            task("lint", "inputs = [\"lint.txt\"]\ndepends-on = [\"tools\"]"),
            task("a", "inputs = []\nbefore = [\"early\"]\nafter = [\"late\"]"),
            task("b", "inputs = []"),
            task("early", "inputs = []"),
            task("late", "inputs = [\"late.txt\"]"),
            task("render", "inputs = []"),
            task("report", "inputs = []\ndepends-on = [\"render\"]"),
        ]
        .concat(),
    )]);
    assert_eq!(sandbox.larder("a b").code, 0);
    let first = order(&sandbox);
    assert_eq!(first.len(), 8, "{first:?}");
    for (before, after) in [
        ("tools", "lint"),
        ("lint", "early"),
        ("early", "a"),
        ("lint", "b"),
        ("a", "late"),
        ("a", "report"),
        ("b", "report"),
        ("late", "report"),
        ("render", "report"),
    ] {
        assert!(
            at(&first, before) < at(&first, after),
            "{before} {after}: {first:?}"
        );
    }
    sandbox.larder("a b");
    assert!(order(&sandbox).is_empty());

    // What comes before enters keys; what follows does not.
    sandbox.write("late.txt", "new\n");
    sandbox.larder("a b");
    assert_eq!(order(&sandbox), ["late"]);
    // An input of `lint` that leaves its outputs as they are changes nothing behind it: early cut-off.
    sandbox.write("lint.txt", "new\n");
    sandbox.larder("a b");
    assert_eq!(order(&sandbox), ["lint"]);
}

#[test]
fn after_follows_success_alone_and_after_all_follows_always() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        &[
            "[hooks]\nafter-all = [\"report\"]\n".to_owned(),
            "[tasks.a]\ncommand = \"echo a >> ../ran.log; exit 7\"\noutputs = []\nafter = [\"late\"]\n".to_owned(),
            task("late", ""),
            task("report", ""),
        ]
        .concat(),
    )]);
    for policy in ["", " --continue=dependencies-successful"] {
        let statuses = sandbox.statuses(&format!("a{policy}"), 7);
        assert_eq!(statuses[".#a"], "failed", "{policy}");
        assert_eq!(statuses[".#late"], "skipped", "{policy}");
        assert_eq!(statuses[".#report"], "ran", "{policy}");
        assert_eq!(order(&sandbox), ["a", "report"]);
        sandbox.remove(".larder");
    }
}

#[test]
fn a_group_runs_its_tasks_and_passes_on_what_they_made() {
    let sandbox = Sandbox::new(&[
        (
            "packages/lib/larder.toml",
            "[tasks.part]\ncommand = \"cat in.txt > part.txt\"\ninputs = [\"in.txt\"]\noutputs = [\"part.txt\"]\n[tasks.whole]\ndepends-on = [\"part\"]\n[tasks.use]\ncommand = \"echo use >> ../../../ran.log; cat part.txt > used.txt\"\ninputs = []\noutputs = [\"used.txt\"]\ndepends-on = [\"whole\"]\n",
        ),
        ("larder.toml", "[workspace]\nprojects = [\"packages/*\"]\n"),
        ("packages/lib/in.txt", "one\n"),
    ]);
    let statuses = sandbox.statuses("use", 0);
    assert_eq!(statuses["packages/lib#whole"], "group");
    assert_eq!(sandbox.read("packages/lib/used.txt"), "one\n");
    sandbox.write("packages/lib/in.txt", "two\n");
    assert_eq!(sandbox.statuses("use", 0)["packages/lib#use"], "ran");
    assert_eq!(sandbox.read("packages/lib/used.txt"), "two\n");
    assert_eq!(order(&sandbox).len(), 2);
    assert_eq!(
        sandbox.statuses("whole", 0).keys().collect::<Vec<_>>(),
        ["packages/lib#part", "packages/lib#whole"]
    );
}

#[test]
fn a_hook_that_leads_back_to_itself_is_a_cycle() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        &[
            task("a", "before = [\"b\"]"),
            task("b", "depends-on = [\"a\"]"),
        ]
        .concat(),
    )]);
    let outcome = sandbox.larder("a");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(outcome.stderr.contains("circle"), "{}", outcome.all());
    assert!(order(&sandbox).is_empty());
}

#[test]
fn a_hook_without_outputs_may_read_what_others_made() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"cat src > out\"\ninputs = [\"src\"]\noutputs = [\"out\"]\n[hooks]\nafter-all = [\"report\"]\n[tasks.report]\ncommand = \"cat out >> ../ran.log\"\n",
        ),
        ("src", "one\n"),
    ]);
    for _ in 0..2 {
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(sandbox.ran(), ["one"]);
    }
}
