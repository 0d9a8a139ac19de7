//! Projects, inheritance, dependencies and hooks as they come out of `load`.
//! It does not know the texts of errors.

use std::fs;

use super::super::{Command, EnvMode, InputItem, OutputLogs, find_root};
use super::{deps, loaded, task, task_names, tree};

const PLAIN: &str = "[workspace]\nprojects = [\"packages/*\"]\n";

fn root(rest: &str) -> String {
    format!("{PLAIN}{rest}")
}

#[test]
fn a_single_file_is_one_project_called_dot() {
    let workspace = loaded(&[("larder.toml", "[tasks.build]\ncommand = \"make\"")]);
    assert_eq!(task_names(&workspace), [".#build"]);
    assert_eq!(workspace.projects[0].dir, b"");
    let build = &workspace.tasks[0];
    assert_eq!(build.command, Some(vec![Command::Shell("make".into())]));
    assert_eq!((build.inputs.clone(), build.outputs.clone()), (None, None));
    assert!(build.clean && build.store && !build.relocatable && !build.platform_independent);
    assert_eq!(
        (build.location.file.as_str(), build.location.line),
        ("larder.toml", 1)
    );
    assert!(
        workspace
            .settings
            .global_inputs
            .iter()
            .any(|g| g.glob == "Cargo.lock")
    );
}

#[test]
fn projects_are_matched_folders_with_or_without_a_file() {
    let workspace = loaded(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"packages/*\", \"!packages/legacy\", \"deep/**/lib\", \".\"]",
        ),
        ("packages/a/", ""),
        ("packages/b/larder.toml", ""),
        ("packages/legacy/larder.toml", "nonsense = ["),
        ("packages/.hidden/", ""),
        ("packages/node_modules/", ""),
        ("packages/file", ""),
        ("deep/x/y/lib/", ""),
    ]);
    let names: Vec<&str> = workspace.projects.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, [".", "deep/x/y/lib", "packages/a", "packages/b"]);
}

#[test]
fn a_root_task_with_a_command_is_every_projects_or_the_chosen_ones() {
    let workspace = loaded(&[
        (
            "larder.toml",
            &root(
                "[tasks.all]\ncommand = \"x\"\n[tasks.some]\ncommand = \"y\"\nprojects = [\"packages/*\", \"!b\"]",
            ),
        ),
        ("packages/a/", ""),
        ("packages/b/larder.toml", "[project]\nname = \"b\""),
    ]);
    assert_eq!(
        task_names(&workspace),
        ["packages/a#all", "packages/a#some", "b#all"]
    );
}

#[test]
fn a_root_task_without_a_command_is_defaults_where_a_project_has_one() {
    let workspace = loaded(&[
        (
            "larder.toml",
            &root(
                "[tasks.t]\noutputs = [\"out/**\"]\ndepends-on = [\"gen\"]\n[tasks.gen]\ncommand = \"g\"",
            ),
        ),
        ("packages/a/larder.toml", "[tasks.t]\ncommand = \"x\""),
        ("packages/b/", ""),
    ]);
    assert_eq!(
        task_names(&workspace),
        ["packages/a#gen", "packages/a#t", "packages/b#gen"]
    );
    let merged = &workspace.tasks[task(&workspace, "packages/a#t")];
    assert_eq!(merged.outputs.as_ref().unwrap()[0].glob, "out/**");
    assert_eq!(merged.location.file, "packages/a/larder.toml");
    assert_eq!(deps(&workspace, "packages/a#t"), ["packages/a#gen"]);
}

#[test]
fn a_root_task_with_dependencies_alone_is_a_group_in_every_project() {
    let workspace = loaded(&[
        ("larder.toml", &root("[tasks.ci]\ndepends-on = [\"test\"]")),
        ("packages/a/larder.toml", "[tasks.test]\ncommand = \"x\""),
        ("packages/b/", ""),
    ]);
    assert_eq!(
        task_names(&workspace),
        ["packages/a#ci", "packages/a#test", "packages/b#ci"]
    );
    assert_eq!(workspace.tasks[0].command, None);
    assert_eq!(deps(&workspace, "packages/a#ci"), ["packages/a#test"]);
    assert!(deps(&workspace, "packages/b#ci").is_empty());
}

/// Root value, project value, result.
#[test]
fn keys_are_overridden_one_by_one_and_inherit_keeps_items() {
    let table: &[(&str, &str, &[&str])] = &[
        ("env = [\"A\", \"B\"]", "", &["A", "B"]),
        ("", "env = [\"C\"]", &["C"]),
        ("env = [\"A\"]", "env = [\"C\"]", &["C"]),
        ("env = [\"A\"]", "env = []", &[]),
        (
            "env = [\"A\", \"B\"]",
            "env = [\"C\", \"$INHERIT$\", \"D\"]",
            &["C", "A", "B", "D"],
        ),
        ("", "env = [\"$INHERIT$\", \"D\"]", &["D"]),
    ];
    for (in_root, own, expected) in table {
        let workspace = loaded(&[
            (
                "larder.toml",
                &root(&format!(
                    "[tasks.t]\ncommand = \"x\"\ntimeout = \"5m\"\n{in_root}"
                )),
            ),
            (
                "packages/a/larder.toml",
                &format!("[tasks.t]\noutput-logs = \"none\"\n{own}"),
            ),
        ]);
        let merged = &workspace.tasks[0];
        assert_eq!(merged.env, *expected, "{in_root} under {own}");
        assert_eq!(merged.timeout_secs, Some(300));
        assert_eq!(merged.output_logs, OutputLogs::None);
    }
}

#[test]
fn inherited_absent_inputs_are_the_default_and_argv_continues() {
    let workspace = loaded(&[
        (
            "larder.toml",
            &root("[tasks.t]\ncommand = [\"cc\", \"-c\"]"),
        ),
        (
            "packages/a/larder.toml",
            "[tasks.t]\ncommand = [\"$INHERIT$\", \"-O2\"]\ninputs = [\"$INHERIT$\", \"!$ROOT$/x/*.md\", { git = \"../s\" }]",
        ),
    ]);
    let merged = &workspace.tasks[0];
    let argv = ["cc", "-c", "-O2"].map(String::from).to_vec();
    assert_eq!(merged.command, Some(vec![Command::Argv(argv)]));
    let inputs = merged.inputs.as_ref().unwrap();
    assert_eq!(inputs[0], InputItem::Default);
    let InputItem::Glob(glob) = &inputs[1] else {
        panic!("{inputs:?}")
    };
    assert!(glob.negated && glob.from_root && glob.glob == "x/*.md");
    assert_eq!(inputs[2], InputItem::Git("../s".into()));
}

#[test]
fn a_command_of_the_project_replaces_commands_of_the_root() {
    let workspace = loaded(&[
        (
            "larder.toml",
            &root("[tasks.t]\ncommands = [\"a\", [\"b\", \"c\"]]"),
        ),
        ("packages/a/larder.toml", "[tasks.t]\ncommand = \"own\""),
        ("packages/b/", ""),
    ]);
    assert_eq!(
        workspace.tasks[0].command,
        Some(vec![Command::Shell("own".into())])
    );
    assert_eq!(workspace.tasks[1].command.as_ref().unwrap().len(), 2);
}

#[test]
fn commands_of_the_project_may_continue_those_of_the_root() {
    let workspace = loaded(&[
        (
            "larder.toml",
            &root("[tasks.many]\ncommands = [\"a\"]\n[tasks.one]\ncommand = \"a\""),
        ),
        (
            "packages/a/larder.toml",
            "[tasks]\nmany.commands = [\"$INHERIT$\", \"b\"]\none.commands = [\"b\", \"$INHERIT$\"]",
        ),
    ]);
    let shell = |text: &str| Command::Shell(text.to_owned());
    let commands = |index: usize| workspace.tasks[index].command.clone().unwrap();
    assert_eq!(commands(0), [shell("a"), shell("b")]);
    assert_eq!(commands(1), [shell("b"), shell("a")]);
}

#[test]
fn caret_passes_through_projects_that_lack_the_task() {
    let workspace = loaded(&[
        ("larder.toml", PLAIN),
        (
            "packages/app/larder.toml",
            "[project]\nname = \"app\"\ndepends-on = [\"mid\", \"packages/direct\"]\n[tasks.build]\ncommand = \"x\"\ndepends-on = [{ task = \"^build\", transitive = false }, \"low#gen\"]",
        ),
        (
            "packages/direct/larder.toml",
            "[project]\nname = \"direct\"\ndepends-on = [\"low\"]\n[tasks.build]\ncommand = \"x\"",
        ),
        (
            "packages/low/larder.toml",
            "[project]\nname = \"low\"\n[tasks.build]\ncommand = \"x\"\n[tasks.gen]\ncommand = \"x\"",
        ),
        (
            "packages/mid/larder.toml",
            "[project]\nname = \"mid\"\ndepends-on = [\"low\"]",
        ),
    ]);
    assert_eq!(
        deps(&workspace, "app#build"),
        ["alone direct#build", "alone low#build", "low#gen"]
    );
}

#[test]
fn hooks_are_edges() {
    let workspace = loaded(&[(
        "larder.toml",
        r#"
[tasks]
prep = { command = "x" }
lint = { command = "x", depends-on = ["prep"] }
build = { command = "x", before = ["gen"], after = ["notify"] }
gen = { command = "x" }
notify = { command = "x" }
collect = { command = "x" }
report = { command = "x", depends-on = ["collect"] }
[hooks]
before-all = ["lint"]
after-all = ["report"]
"#,
    )]);
    assert!(deps(&workspace, ".#prep").is_empty());
    assert_eq!(deps(&workspace, ".#lint"), [".#prep"]);
    assert_eq!(deps(&workspace, ".#build"), [".#gen", ".#lint"]);
    assert_eq!(deps(&workspace, ".#notify"), ["after .#build", ".#lint"]);
    assert_eq!(deps(&workspace, ".#collect"), [".#lint"]);
    assert_eq!(
        deps(&workspace, ".#report"),
        [
            "after-all .#build",
            ".#collect",
            "after-all .#gen",
            "after-all .#lint",
            "after-all .#notify",
            "after-all .#prep",
        ]
    );
    assert_eq!(workspace.before_all, [task(&workspace, ".#lint")]);
    assert_eq!(workspace.after_all, [task(&workspace, ".#report")]);
}

#[test]
fn settings_are_in_plain_units() {
    let text = r#"
[workspace]
global-inputs = []
global-env = ["CI"]
env-mode = "loose"
[cache]
max-size = "20GB 5MiB"
max-age = "30d"
level = 3
[timings]
runs-per-task = 7
"#;
    let workspace = loaded(&[("larder.toml", text)]);
    assert_eq!(workspace.settings.runs_per_task, Some(7));
    assert!(workspace.settings.global_inputs.is_empty());
    assert_eq!(workspace.settings.env_mode, EnvMode::Loose);
    assert_eq!(
        workspace.settings.cache.max_size,
        Some(20_000_000_000 + 5 * 1024 * 1024)
    );
    assert_eq!(workspace.settings.cache.max_age, Some(30 * 24 * 3600));
    assert_eq!(workspace.settings.cache.level, Some(3));
}

#[test]
fn the_root_is_the_nearest_marked_or_else_the_outermost_file() {
    let plain = tree(&[("larder.toml", ""), ("p/larder.toml", ""), ("p/src/", "")]);
    assert_eq!(
        find_root(&plain.path().join("p/src")).unwrap(),
        plain.path()
    );
    fs::write(plain.path().join("p/larder.toml"), "[workspace]").unwrap();
    assert_eq!(
        find_root(&plain.path().join("p/src")).unwrap(),
        plain.path().join("p")
    );
    fs::write(
        plain.path().join("p/larder.toml"),
        "[workspace]\nbroken = [",
    )
    .unwrap();
    assert_eq!(
        find_root(&plain.path().join("p/src")).unwrap(),
        plain.path().join("p")
    );
}
