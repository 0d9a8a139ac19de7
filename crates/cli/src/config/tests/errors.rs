//! Every kind of error as the user sees it, at 80 columns.
//! It does not know how it was found.

use insta::assert_snapshot;

use super::refused;

#[test]
fn broken_toml() {
    let text = r#"
[tasks.build
command = "x"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: this is not TOML
 --> larder.toml:2:13
  |
2 | [tasks.build
  |             ^ unclosed table, expected `]`
"##);
}

#[test]
fn two_mistakes_are_shown_together() {
    let text = r#"
[tasks.build]
command = "x"
imputs = ["a"]
timeout = 5
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: unknown key `imputs`
 --> larder.toml:4:1
  |
4 | imputs = ["a"]
  | ^^^^^^
  |
  = help: did you mean `inputs`?

error: this is not a duration
 --> larder.toml:5:11
  |
5 | timeout = 5
  |           ^
  |
  = help: write a number and a unit, as in "10m"; units: s, m, h, d, w
"##);
}

#[test]
fn unknown_table() {
    let text = r#"
[task.build]
command = "x"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: unknown key `task`
 --> larder.toml:2:2
  |
2 | [task.build]
  |  ^^^^
  |
  = help: did you mean `tasks`?
"##);
}

#[test]
fn unknown_key_unlike_any() {
    let text = r#"
[hooks]
zzz = []
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: unknown key `zzz`
 --> larder.toml:3:1
  |
3 | zzz = []
  | ^^^
  |
  = help: keys of this table: `before-all`, `after-all`
"##);
}

#[test]
fn snake_case() {
    let text = r#"
[tasks.build]
command = "x"
depends_on = []
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: unknown key `depends_on`
 --> larder.toml:4:1
  |
4 | depends_on = []
  | ^^^^^^^^^^
  |
  = help: did you mean `depends-on`?
"##);
}

#[test]
fn a_key_given_twice() {
    let text = r#"
[tasks.build]
command = "x"
command = "y"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: this is not TOML
 --> larder.toml:4:1
  |
4 | command = "y"
  | ^^^^^^^ duplicate key
"##);
}

#[test]
fn a_string_instead_of_an_array() {
    let text = r#"
[tasks.build]
command = "x"
inputs = "src/**"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: expected an array
 --> larder.toml:4:10
  |
4 | inputs = "src/**"
  |          ^^^^^^^^ this is a string
  |
  = help: put it in brackets: ["src/**"]
"##);
}

#[test]
fn a_quoted_flag() {
    let text = r#"
[tasks.build]
command = "x"
clean = "false"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: expected true or false
 --> larder.toml:4:9
  |
4 | clean = "false"
  |         ^^^^^^^ this is a string
  |
  = help: without the quotes: false
"##);
}

#[test]
fn a_number_instead_of_a_command() {
    let text = r#"
[tasks.build]
command = 1
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: expected a string
 --> larder.toml:3:11
  |
3 | command = 1
  |           ^ this is an integer
  |
  = help: put it in quotes: "1"
"##);
}

#[test]
fn empty_argv() {
    let text = r#"
[tasks.build]
command = []
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: empty command
 --> larder.toml:3:11
  |
3 | command = []
  |           ^^ names no program
"##);
}

#[test]
fn command_and_commands() {
    let text = r#"
[tasks.build]
command = "x"
commands = ["y"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: both `command` and `commands`
 --> larder.toml:4:12
  |
3 | command = "x"
  |           --- and this
4 | commands = ["y"]
  |            ^^^^^
  |
  = help: keep one of them
"##);
}

#[test]
fn word_of_an_enumeration() {
    let text = r#"
[tasks.build]
command = "x"
output-logs = "error-only"
[workspace]
env-mode = "none"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: unknown value "error-only"
 --> larder.toml:4:15
  |
4 | output-logs = "error-only"
  |               ^^^^^^^^^^^^
  |
  = help: did you mean "errors-only"?

error: unknown value "none"
 --> larder.toml:6:12
  |
6 | env-mode = "none"
  |            ^^^^^^
  |
  = help: write one of "strict", "loose"
"##);
}

#[test]
fn bad_duration_size_and_level() {
    let text = r#"
[tasks.build]
command = "x"
timeout = "10 minutes"
[cache]
max-size = "20G"
level = 40
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: this is not a duration
 --> larder.toml:4:11
  |
4 | timeout = "10 minutes"
  |           ^^^^^^^^^^^^
  |
  = help: write a number and a unit, as in "10m"; units: s, m, h, d, w

error: this is not a size
 --> larder.toml:6:12
  |
6 | max-size = "20G"
  |            ^^^^^
  |
  = help: write a number and a unit, as in "20GB"; units: B, KB, MB, GB,
          TB, KiB, MiB, GiB, TiB

error: number out of bounds
 --> larder.toml:7:9
  |
7 | level = 40
  |         ^^ has to be between 1 and 19
"##);
}

#[test]
fn bad_glob() {
    let text = r#"
[tasks.build]
command = "x"
inputs = ["src/[a"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: bad glob
 --> larder.toml:4:11
  |
4 | inputs = ["src/[a"]
  |           ^^^^^^^^ unclosed character class; missing ']'
"##);
}

#[test]
fn globs_that_leave_the_project() {
    let text = r#"
[tasks.build]
command = "x"
inputs = ["../x", "/etc/x", "dir/", "$DEFUALT$"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: `..` in a glob
 --> larder.toml:4:11
  |
4 | inputs = ["../x", "/etc/x", "dir/", "$DEFUALT$"]
  |           ^^^^^^
  |
  = help: write `$ROOT$/path` for files outside of the project

error: absolute path
 --> larder.toml:4:19
  |
4 | inputs = ["../x", "/etc/x", "dir/", "$DEFUALT$"]
  |                   ^^^^^^^^
  |
  = help: paths start at the project, or at the root with `$ROOT$/`

error: this matches no file
 --> larder.toml:4:29
  |
4 | inputs = ["../x", "/etc/x", "dir/", "$DEFUALT$"]
  |                             ^^^^^^
  |
  = help: write `dir/**` for all files in the folder

error: unknown name `$DEFUALT$`
 --> larder.toml:4:37
  |
4 | inputs = ["../x", "/etc/x", "dir/", "$DEFUALT$"]
  |                                     ^^^^^^^^^^^
  |
  = help: write `$DEFAULT$`, `$INHERIT$` or `$ROOT$/path`
"##);
}

#[test]
fn an_assignment_instead_of_a_variable() {
    let text = r#"
[tasks.build]
command = "x"
env = ["A=b"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: this is not the name of a variable
 --> larder.toml:4:8
  |
4 | env = ["A=b"]
  |        ^^^^^
  |
  = help: write the name alone, as in "NODE_ENV", "VITE_*" or
          "!VITE_SECRET"
"##);
}

#[test]
fn foreach() {
    let text = r#"
[tasks.gen]
foreach = "*.proto"
command = "x"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: `foreach` is not available yet
 --> larder.toml:3:1
  |
3 | foreach = "*.proto"
  | ^^^^^^^
  |
  = help: write a task that handles all files in one command
"##);
}

#[test]
fn dependency_on_nothing() {
    let text = r#"
[tasks.build]
command = "x"
depends-on = ["biuld", "^tset"]
[tasks.test]
command = "x"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: no project has a task `biuld`
 --> larder.toml:4:15
  |
4 | depends-on = ["biuld", "^tset"]
  |               ^^^^^^^
  |
  = help: did you mean `build`?

error: no project has a task `tset`
 --> larder.toml:4:24
  |
4 | depends-on = ["biuld", "^tset"]
  |                        ^^^^^^^
  |
  = help: did you mean `test`?
"##);
}

#[test]
fn dependency_table_with_a_wrong_key() {
    let text = r#"
[tasks.build]
command = "x"
depends-on = [{ tsak = "build" }, {}]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: unknown key `tsak`
 --> larder.toml:4:17
  |
4 | depends-on = [{ tsak = "build" }, {}]
  |                 ^^^^
  |
  = help: did you mean `task`?

error: a key is missing
 --> larder.toml:4:35
  |
4 | depends-on = [{ tsak = "build" }, {}]
  |                                   ^^
  |
  = help: write { task = "^build" }
"##);
}

#[test]
fn command_keys_in_a_group() {
    let text = r#"
[tasks.ci]
depends-on = ["build"]
outputs = ["x"]
[tasks.build]
command = "x"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: `outputs` in a group
 --> larder.toml:4:11
  |
2 | [tasks.ci]
  |        -- `ci` has no command
3 | depends-on = ["build"]
4 | outputs = ["x"]
  |           ^^^^^ says nothing without a command
  |
  = help: give `ci` a `command`, or remove `outputs`
"##);
}

#[test]
fn a_task_that_does_nothing() {
    let text = r#"
[tasks.ci]
env = ["CI"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: task `ci` does nothing
 --> larder.toml:2:8
  |
2 | [tasks.ci]
  |        ^^
  |
  = help: give it a `command` or `depends-on`; without, it holds defaults
          for projects that define it, and none does
"##);
}

#[test]
fn hook_on_nothing() {
    let text = r#"
[tasks.lint]
command = "x"
[hooks]
before-all = ["lnit"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: no project has a task `lnit`
 --> larder.toml:5:15
  |
5 | before-all = ["lnit"]
  |               ^^^^^^
  |
  = help: did you mean `lint`?
"##);
}

#[test]
fn transitive_in_after() {
    let text = r#"
[tasks.a]
command = "x"
after = [{ task = "a", transitive = true }]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: `transitive` in `after`
 --> larder.toml:4:37
  |
4 | after = [{ task = "a", transitive = true }]
  |                                     ^^^^ has no meaning here
"##);
}

#[test]
fn inherit_in_the_root() {
    let text = r#"
[tasks.a]
command = "x"
env = ["$INHERIT$"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: nothing to inherit
 --> larder.toml:4:8
  |
4 | env = ["$INHERIT$"]
  |        ^^^^^^^^^^^
  |
  = help: `$INHERIT$` stands for the root's items, in the file of a
          project
"##);
}

#[test]
fn two_tasks_with_one_output() {
    let text = r#"
[tasks.a]
command = "x"
outputs = ["out/x.js"]
[tasks.b]
command = "x"
outputs = ["$ROOT$/out/x.js"]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: two tasks create `out/x.js`
 --> larder.toml:7:12
  |
4 | outputs = ["out/x.js"]
  |            ---------- output of `.#a`
...
7 | outputs = ["$ROOT$/out/x.js"]
  |            ^^^^^^^^^^^^^^^^^ output of `.#b`
  |
  = help: let each task write files of its own
"##);
}

#[test]
fn bad_name_of_a_task() {
    let text = r#"
[tasks."a b"]
command = "x"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: bad name of a task
 --> larder.toml:2:8
  |
2 | [tasks."a b"]
  |        ^^^^^
  |
  = help: it has to be without spaces, `#`, and `^` or `!` at the start
"##);
}

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
  = help: paths in `projects` start at the root of the workspace

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
            r#"[workspace]
projects = []
"#,
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
