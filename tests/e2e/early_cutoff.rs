//! A task does not run when no declared part of it and no output of a dependency changed.

use crate::sandbox::Sandbox;

/// lib -> app -> bundle, where lib drops comments, so that an edited comment changes no output.
pub(crate) fn chain() -> Sandbox {
    Sandbox::new(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"packages/*\"]\n[tasks.build]\ndepends-on = [\"^build\"]\noutputs = [\"out.txt\"]\n",
        ),
        (
            "packages/lib/larder.toml",
            "[tasks.build]\ncommand = \"echo lib >> ../../../ran.log; grep -v '^#' src.txt > out.txt\"\n",
        ),
        ("packages/lib/src.txt", "code\n# comment\n"),
        (
            "packages/app/larder.toml",
            "[project]\ndepends-on = [\"packages/lib\"]\n[tasks.build]\ncommand = \"echo app >> ../../../ran.log; cat ../lib/out.txt src.txt > out.txt\"\n",
        ),
        ("packages/app/src.txt", "app\n"),
        (
            "packages/top/larder.toml",
            "[project]\ndepends-on = [\"packages/app\"]\n[tasks.build]\ncommand = \"echo top >> ../../../ran.log; cat ../app/out.txt > out.txt\"\n",
        ),
    ])
}

#[test]
fn an_edit_that_changes_no_output_stops_there() {
    let sandbox = chain();
    sandbox.larder("build");
    assert_eq!(sandbox.ran(), ["app", "lib", "top"]);
    assert_eq!(sandbox.read("packages/top/out.txt"), "code\napp\n");
    sandbox.write("packages/lib/src.txt", "code\n# another comment\n");
    let statuses = sandbox.statuses("build", 0);
    assert_eq!(sandbox.ran(), ["lib"]);
    assert_eq!(statuses["packages/app#build"], "up-to-date");
    assert_eq!(statuses["packages/top#build"], "up-to-date");
}

#[test]
fn an_edit_that_changes_an_output_reaches_what_depends_on_it_and_nothing_else() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.ran();
    sandbox.write("packages/app/src.txt", "App\n");
    sandbox.larder("build");
    assert_eq!(sandbox.ran(), ["app", "top"]);
    assert_eq!(sandbox.read("packages/top/out.txt"), "code\nApp\n");
    sandbox.write("packages/lib/src.txt", "Code\n");
    sandbox.larder("build");
    assert_eq!(sandbox.ran(), ["app", "lib", "top"]);
    assert_eq!(sandbox.read("packages/top/out.txt"), "Code\nApp\n");
}

#[test]
fn nothing_runs_after_a_failed_dependency_unless_asked_and_then_is_not_cached() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.ran();
    let good = sandbox.read("packages/lib/larder.toml");
    sandbox.write(
        "packages/lib/larder.toml",
        &good.replace("grep", "exit 3; grep"),
    );
    let statuses = sandbox.statuses("build", 3);
    assert_eq!(statuses["packages/lib#build"], "failed");
    assert_eq!(statuses["packages/app#build"], "skipped");
    assert_eq!(sandbox.ran(), ["lib"]);
    sandbox.write("packages/lib/out.txt", "leftover\n");
    sandbox.statuses("build --continue=always", 3);
    assert_eq!(sandbox.ran(), ["app", "lib", "top"]);
    sandbox.statuses("build --continue=always", 3);
    assert_eq!(
        sandbox.ran(),
        ["app", "lib", "top"],
        "what ran after a failure is never cached"
    );
}

#[test]
fn only_takes_the_outputs_of_dependencies_as_they_lie() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.ran();
    sandbox.write("packages/lib/src.txt", "Code\n");
    let statuses = sandbox.statuses("packages/app#build --only", 0);
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses["packages/app#build"], "up-to-date");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn only_keeps_to_what_a_dependency_made_where_that_alone_counts() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            r#"
[tasks.a]
command = "cat src > a.txt"
inputs = ["src"]
outputs = ["a.txt"]

[tasks.b]
command = "wc -l < a.txt > b.txt"
depends-on = ["a"]
inputs = []
outputs = ["b.txt"]

[tasks.c]
command = "echo c >> ../ran.log; cat b.txt > c.txt"
depends-on = [{ task = "b", transitive = false }]
inputs = []
outputs = ["c.txt"]
"#,
        ),
        ("src", "one\n"),
    ]);
    assert_eq!(sandbox.larder("run c").code, 0);
    assert_eq!(sandbox.ran(), ["c"]);
    // The same key, whether the dependency is part of the run or lies on disk.
    let only = sandbox.larder("run c --only");
    assert_eq!(only.code, 0, "{}", only.all());
    assert!(sandbox.ran().is_empty(), "{}", only.all());
}
