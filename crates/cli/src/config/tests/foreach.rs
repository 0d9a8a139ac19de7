//! `foreach` and its templates: what comes out of `load`, and what is refused.
//! It does not know how chunks are made of them.

use super::super::{Command, Foreach, Glob};
use super::{loaded, refused};

fn glob(text: &str) -> Glob {
    Glob {
        negated: false,
        from_root: false,
        glob: text.to_owned(),
    }
}

#[test]
fn templates_are_kept_and_the_task_has_globs_that_take_what_they_can_become() {
    let text = r#"
[tasks.cc]
foreach = ["src/**/*.c", "!src/x.c", "$ROOT$/shared/*.c"]
command = "cc ${CFLAGS} {in} -o {out} # {a,b} {{in}}"
outputs = ["out/{dir}/{stem}.o", "out/{in}.log"]
depfile = "{out}.d"
"#;
    let workspace = loaded(&[("larder.toml", text)]);
    let task = &workspace.tasks[0];
    let mut sources = vec![glob("src/**/*.c"), glob("src/x.c"), glob("shared/*.c")];
    sources[1].negated = true;
    sources[2].from_root = true;
    assert_eq!(
        task.foreach,
        Some(Foreach {
            sources,
            outputs: vec![glob("out/{dir}/{stem}.o"), glob("out/{in}.log")],
            depfile: Some(glob("out/{dir}/{stem}.o.d")),
        })
    );
    let line = "cc ${CFLAGS} {in} -o {out} # {a,b} {{in}}";
    assert_eq!(task.command, Some(vec![Command::Shell(line.into())]));
    assert_eq!(
        task.outputs,
        Some(vec![glob("out/**/*.o"), glob("out/**/*.log")])
    );
    assert_eq!(task.depfile, Some(glob("out/**/*.o.d")));
}

#[test]
fn one_glob_needs_no_array_and_a_project_overrides_the_root() {
    let root = "[workspace]\nprojects = [\"p\"]\n[tasks.cc]\nforeach = \"*.c\"\ncommand = \"cc {in}\"\noutputs = [\"{stem}.o\"]\n";
    let project = "[tasks.cc]\nforeach = [\"src/*.c\"]\n";
    let workspace = loaded(&[("larder.toml", root), ("p/larder.toml", project)]);
    let foreach = workspace.tasks[0].foreach.as_ref().unwrap();
    assert_eq!(foreach.sources, [glob("src/*.c")]);
    let workspace = loaded(&[("larder.toml", root), ("p/larder.toml", "")]);
    let foreach = workspace.tasks[0].foreach.as_ref().unwrap();
    assert_eq!(foreach.sources, [glob("*.c")]);
}

#[test]
fn without_foreach_braces_are_what_they_are() {
    let text = "[tasks.a]\ncommand = \"x {in} {out}\"\noutputs = [\"o/{in,out}\", \"{stem}\"]\n";
    let workspace = loaded(&[("larder.toml", text)]);
    let task = &workspace.tasks[0];
    assert_eq!(task.foreach, None);
    assert_eq!(task.outputs, Some(vec![glob("o/{in,out}"), glob("{stem}")]));
}

/// What the user sees of a task with these lines besides its `foreach`.
fn shown(lines: &str) -> String {
    refused(&[(
        "larder.toml",
        &format!("[tasks.cc]\nforeach = \"*.c\"\n{lines}\n"),
    )])
}

#[test]
fn every_mistake_is_shown_where_it_stands_with_what_to_do() {
    for (lines, place, title, help) in [
        (
            "command = \"cc\"",
            "2:11",
            "`foreach` without `outputs`",
            "outputs = []",
        ),
        (
            "command = \"cc\"\noutputs = [\"out/a.o\"]",
            "4:12",
            "all chunks would make one output",
            "out/{stem}.o",
        ),
        (
            "command = \"cc\"\noutputs = [\"out/{stm}.o\"]",
            "4:12",
            "unknown placeholder `{stm}`",
            "did you mean `stem`?",
        ),
        (
            "command = \"cc\"\noutputs = [\"{out}.o\"]",
            "4:12",
            "`{out}` in `outputs`",
            "{in}, {stem}",
        ),
        (
            "command = \"cc\"\noutputs = [\"x{in}\"]",
            "4:12",
            "a path within a name",
            "follow a `/`",
        ),
        (
            "command = \"cc\"\noutputs = [\"{dir}x\"]",
            "4:12",
            "a path within a name",
            "between slashes",
        ),
        (
            "command = \"cc {out}\"\noutputs = []",
            "3:11",
            "`{out}` names no file",
            "first of `outputs`",
        ),
        (
            "command = [\"cc\", \"{out}\"]\noutputs = [\"{stem}/**\"]",
            "3:11",
            "`{out}` names no file",
            "without wildcards",
        ),
        (
            "command = \"cc\"\noutputs = []\ndepfile = \"x.d\"",
            "5:11",
            "all chunks would write one depfile",
            "{out}.d",
        ),
        (
            "command = \"cc\"\noutputs = []\ndepfile = \"{out}.d\"",
            "5:11",
            "`{out}` names no file",
            "first of `outputs`",
        ),
        (
            "command = \"cc\"\noutputs = [\"{stem}\"]\ndepfile = \"d/{out}\"",
            "5:11",
            "`{out}` within a path",
            "write it first",
        ),
        (
            "command = \"cc\"\noutputs = []\ndepfile = \"*{stem}.d\"",
            "5:11",
            "this has to be the path of one file",
            "build/{stem}.d",
        ),
        (
            "depends-on = []",
            "2:11",
            "`foreach` in a group",
            "give `cc` a `command`",
        ),
    ] {
        let text = shown(lines);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = text.lines().next().unwrap();
        assert_eq!(first, format!("error: {title}"), "{text}");
        assert!(text.contains(&format!("larder.toml:{place}")), "{text}");
        assert!(flat.contains(help), "{help}: {text}");
    }
    let text = refused(&[(
        "larder.toml",
        "[tasks.a]\ncommand = \"x\"\nforeach = [\"!a\"]\noutputs = []\n",
    )]);
    assert!(text.contains("this takes no file"), "{text}");
}
