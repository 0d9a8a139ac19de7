//! Every kind of error that one file alone can have, as the user sees it at 80 columns.
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
    let text = r"
[hooks]
zzz = []
";
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
    let text = r"
[tasks.build]
command = 1
";
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
    let text = r"
[tasks.build]
command = []
";
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
fn a_git_folder_from_the_root() {
    let text = r#"
[tasks.build]
command = "x"
inputs = [{ git = "$ROOT$/schema" }]
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: `$` in a git folder
 --> larder.toml:4:19
  |
4 | inputs = [{ git = "$ROOT$/schema" }]
  |                   ^^^^^^^^^^^^^^^
  |
  = help: write the path as seen from the project, as in "../schema"
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
fn depfile() {
    let text = r#"
[tasks.cc]
command = "x"
depfile = "*.d"
"#;
    assert_snapshot!(refused(&[("larder.toml", text)]), @r##"
error: this has to be the path of one file
 --> larder.toml:4:11
  |
4 | depfile = "*.d"
  |           ^^^^^
  |
  = help: write it as in "build/main.d", relative to the project
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
