//! Errors that show only when several files are taken together, as the user sees them.
//! It does not know how they were found.

use insta::assert_snapshot;

use super::refused;

#[test]
fn no_file_at_all() {
    let files = [("x/", "")];
    assert_snapshot!(refused(&files), @r##"
error: there is no `larder.toml` here
 |
 = help: run `larder init` in the root of the workspace
"##);
}

#[test]
fn missing_project() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["packages/*", "apps/web"]
"#,
        ),
        ("packages/a/", ""),
    ];
    assert_snapshot!(refused(&files), @r##"
error: there is no folder `apps/web`
 --> larder.toml:2:27
  |
2 | projects = ["packages/*", "apps/web"]
  |                           ^^^^^^^^^^
  |
  = help: create it, or take it out of `projects`
"##);
}

#[test]
fn bad_patterns_of_projects() {
    let files = [(
        "larder.toml",
        r#"[workspace]
projects = ["packages/[", "/abs", "a/../b"]
"#,
    )];
    assert_snapshot!(refused(&files), @r##"
error: bad glob
 --> larder.toml:2:13
  |
2 | projects = ["packages/[", "/abs", "a/../b"]
  |             ^^^^^^^^^^^^ unclosed character class; missing ']'

error: absolute path
 --> larder.toml:2:27
  |
2 | projects = ["packages/[", "/abs", "a/../b"]
  |                           ^^^^^^
  |
  = help: paths in `projects` start at the root of the workspace, or with
          a variable that holds one, as in "$DJANGO"

error: `..` inside a path
 --> larder.toml:2:35
  |
2 | projects = ["packages/[", "/abs", "a/../b"]
  |                                   ^^^^^^^^
  |
  = help: `..` can only stand at the start
"##);
}

#[test]
fn duplicate_project_names() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["a", "b"]
"#,
        ),
        (
            "a/larder.toml",
            r#"[project]
name = "ui"
"#,
        ),
        (
            "b/larder.toml",
            r#"[project]
name = "ui"
"#,
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: two projects are called `ui`
 --> b/larder.toml:2:8
  |
2 | name = "ui"
  |        ^^^^ the name of `b`
  |
 ::: a/larder.toml:2:8
  |
2 | name = "ui"
  |        ---- the name of `a`
  |
  = help: give one of them another `name`
"##);
}

#[test]
fn a_name_that_is_anothers_path() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["a", "b"]
"#,
        ),
        ("a/", ""),
        (
            "b/larder.toml",
            r#"[project]
name = "a"
"#,
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: two projects are called `a`
 --> b/larder.toml:2:8
  |
2 | name = "a"
  |        ^^^ the name of `b`
  |
  = help: give one of them another `name`
"##);
}

#[test]
fn project_depends_on_nothing() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["web", "core"]
"#,
        ),
        ("core/", ""),
        (
            "web/larder.toml",
            r#"[project]
name = "web app"
depends-on = ["coer"]
"#,
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: bad name of a project
 --> web/larder.toml:2:8
  |
2 | name = "web app"
  |        ^^^^^^^^^
  |
  = help: it has to be without spaces, `#`, and `^` or `!` at the start

error: there is no project `coer`
 --> web/larder.toml:3:15
  |
3 | depends-on = ["coer"]
  |               ^^^^^^
  |
  = help: did you mean `core`?
"##);
}

#[test]
fn root_table_of_a_root_that_is_no_project() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["web"]
[project]
name = "x"
"#,
        ),
        ("web/", ""),
    ];
    assert_snapshot!(refused(&files), @r##"
error: the root is not a project
 --> larder.toml:3:1
  |
3 | [project]
  | ^^^^^^^^^
  |
  = help: add "." to `projects` in `[workspace]`
"##);
}

#[test]
fn workspace_table_in_a_project() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["web"]
"#,
        ),
        (
            "web/larder.toml",
            r"[workspace]
projects = []
",
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: unknown key `workspace`
 --> web/larder.toml:1:2
  |
1 | [workspace]
  |  ^^^^^^^^^
  |
  = help: keys of this table: `project`, `tasks`
"##);
}

#[test]
fn projects_of_a_task() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["web"]
[tasks.a]
command = "x"
projects = ["."]
[tasks.b]
command = "x"
projects = ["wbe"]
"#,
        ),
        (
            "web/larder.toml",
            r#"[tasks.c]
command = "x"
projects = ["web"]
"#,
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: no project matches `.`
 --> larder.toml:5:13
  |
5 | projects = ["."]
  |             ^^^
  |
  = help: add "." to `projects` in `[workspace]`

error: no project matches `wbe`
 --> larder.toml:8:13
  |
8 | projects = ["wbe"]
  |             ^^^^^
  |
  = help: did you mean `web`?

error: `projects` in the file of a project
 --> web/larder.toml:3:12
  |
3 | projects = ["web"]
  |            ^^^^^^^
  |
  = help: it belongs to tasks of the root's `larder.toml`
"##);
}

#[test]
fn a_task_of_another_project() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["core", "web"]
"#,
        ),
        (
            "core/larder.toml",
            r#"[tasks.gen]
command = "x"
"#,
        ),
        (
            "web/larder.toml",
            r#"[tasks.build]
command = "x"
depends-on = ["gen", "core#gne", "croe#gen"]
"#,
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: `web` has no task `gen`
 --> web/larder.toml:3:15
  |
3 | depends-on = ["gen", "core#gne", "croe#gen"]
  |               ^^^^^
  |
  = help: another project's task is written `core#gen`
  = help: its tasks: `build`

error: `core` has no task `gne`
 --> web/larder.toml:3:22
  |
3 | depends-on = ["gen", "core#gne", "croe#gen"]
  |                      ^^^^^^^^^^
  |
  = help: did you mean `gen`?

error: there is no project `croe`
 --> web/larder.toml:3:34
  |
3 | depends-on = ["gen", "core#gne", "croe#gen"]
  |                                  ^^^^^^^^^^
  |
  = help: did you mean `core`?
"##);
}

#[test]
fn a_root_key_in_a_group_of_a_project() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["web"]
[tasks.ci]
outputs = ["dist/**"]
"#,
        ),
        (
            "web/larder.toml",
            r#"[tasks.ci]
depends-on = ["x"]
[tasks.x]
command = "x"
"#,
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: `outputs` in a group
 --> larder.toml:4:11
  |
4 | outputs = ["dist/**"]
  |           ^^^^^^^^^^^ says nothing without a command
  |
 ::: web/larder.toml:1:8
  |
1 | [tasks.ci]
  |        -- `ci` has no command
  |
  = help: give `ci` a `command`, or remove `outputs`
"##);
}

#[test]
fn one_output_for_every_project() {
    let files = [
        (
            "larder.toml",
            r#"[workspace]
projects = ["a", "b"]
[tasks.t]
command = "x"
outputs = ["$ROOT$/bin/t"]
"#,
        ),
        ("a/", ""),
        ("b/", ""),
    ];
    assert_snapshot!(refused(&files), @r##"
error: two tasks create `bin/t`
 --> larder.toml:5:12
  |
5 | outputs = ["$ROOT$/bin/t"]
  |            ^^^^^^^^^^^^^^ output of `b#t`
  |
  = help: `a#t` has the same output
  = help: let each task write files of its own
"##);
}

#[test]
fn what_is_wrong_in_the_root_is_said_once() {
    let text = r#"
[workspace]
projects = ["a", "b"]
[tasks.t]
command = "x"
inputs = ["["]
depends-on = ["u", "a#u"]
"#;
    let files = [("larder.toml", text), ("a/", ""), ("b/", "")];
    assert_snapshot!(refused(&files), @r##"
error: bad glob
 --> larder.toml:6:11
  |
6 | inputs = ["["]
  |           ^^^ unclosed character class; missing ']'

error: no project has a task `u`
 --> larder.toml:7:15
  |
7 | depends-on = ["u", "a#u"]
  |               ^^^
  |
  = help: did you mean `t`?

error: `a` has no task `u`
 --> larder.toml:7:20
  |
7 | depends-on = ["u", "a#u"]
  |                    ^^^^^
  |
  = help: did you mean `t`?
"##);
}

#[test]
fn an_argv_over_a_shell_command() {
    let files = [
        (
            "larder.toml",
            "[workspace]\nprojects = [\"a\"]\n[tasks.t]\ncommand = \"x\"\n",
        ),
        (
            "a/larder.toml",
            "[tasks.t]\ncommand = [\"$INHERIT$\", \"y\"]\n",
        ),
    ];
    assert_snapshot!(refused(&files), @r##"
error: nothing to inherit
 --> a/larder.toml:2:12
  |
2 | command = ["$INHERIT$", "y"]
  |            ^^^^^^^^^^^
  |
  = help: the root's `command` for this task has to be an array too
"##);
}

#[test]
fn a_file_that_is_not_text() {
    let root = super::tree(&[]);
    std::fs::write(root.path().join("larder.toml"), b"\xff\xfe").unwrap();
    let error = super::load(root.path()).unwrap_err();
    assert_snapshot!(error.to_string(), @r##"
error: cannot read `larder.toml`: stream did not contain valid UTF-8
"##);
}

#[test]
fn colours_are_only_there_when_asked_for() {
    let root = super::tree(&[("larder.toml", "x = 1")]);
    let error = super::load(root.path()).unwrap_err();
    assert!(error.render(true).contains('\u{1b}'));
    assert!(!error.render(false).contains('\u{1b}'));
    assert_eq!(error.count(), 1);
}
