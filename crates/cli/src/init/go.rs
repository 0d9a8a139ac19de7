//! Reads `go.work` and `go.mod`: modules and how they require each other.
//! It does not know packages inside of modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::render::text;
use super::shape::{Found, Task};
use super::{InitError, folders, read_text};

const COMPILES: &str =
    "Compiles only. For a program, give `-o` a path and put that path in `outputs`.";

/// Adds the modules of `root`, if it has a `go.work` or a `go.mod`.
pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), InitError> {
    let mut dirs = BTreeSet::new();
    // What the workspace puts in the place of modules, for all of its own.
    let mut everywhere: Vec<String> = Vec::new();
    if let Some(work) = read_text(&root.join("go.work"))? {
        for words in directives(&work).iter().filter(|words| words[0] == "use") {
            let Some(path) = words.get(1) else { continue };
            if let Some(dir) = folders::normal("", path) {
                dirs.insert(dir);
                continue;
            }
            everywhere.push(path.clone());
            found.notes.push(format!(
                "Left out, since it lies outside of this folder: {}.",
                text(path)
            ));
        }
        everywhere.extend(
            directives(&work)
                .iter()
                .filter_map(|words| replaced(words))
                .map(str::to_owned),
        );
        found.global_inputs.extend(["go.work"]);
    } else {
        dirs.insert(String::new());
    }
    let mut modules = BTreeMap::new();
    for dir in dirs {
        if let Some(text) = read_text(&root.join(&dir).join("go.mod"))? {
            modules.insert(dir, directives(&text));
        }
    }
    let name = |lines: &[Vec<String>]| {
        let line = lines.iter().find(|words| words[0] == "module");
        line.and_then(|words| words.get(1).cloned())
    };
    let by_name: BTreeMap<String, String> = modules
        .iter()
        .filter_map(|(dir, lines)| Some((name(lines)?, dir.clone())))
        .collect();
    for (dir, lines) in &modules {
        let project = found.projects.entry(dir.clone()).or_default();
        project.call(name(lines).as_deref());
        for words in lines {
            if words[0] == "require" {
                let to = words.get(1).and_then(|name| by_name.get(name));
                project.needs.extend(to.cloned());
            } else if let Some(path) = replaced(words) {
                project.built_from(dir, path, false);
            }
        }
        for path in &everywhere {
            // A module inside is an edge of those that require it.
            match folders::normal("", path) {
                Some(to) if modules.contains_key(&to) => {}
                _ => project.built_from("", path, false),
            }
        }
        let task = |words: &[&str], pure: bool| Task {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            pure,
            note: (!pure).then_some(COMPILES),
            depends_on: vec!["^build".to_owned()],
            tools: if pure { vec!["go version"] } else { Vec::new() },
        };
        let build = ["go", "build", "-o", "/dev/null", "./..."];
        project.add("go", "build", task(&build, false));
        project.add("go", "test", task(&["go", "test", "./..."], true));
    }
    Ok(())
}

/// The folder that a `replace` puts in the place of a module.
fn replaced(words: &[String]) -> Option<&str> {
    let words = words.iter().map(String::as_str);
    let mut words = words
        .skip_while(|word| *word != "replace")
        .skip_while(|word| *word != "=>");
    words.nth(1).filter(|path| path.starts_with(['.', '/']))
}

/// The lines of such a file as words, each with its directive before it; blocks are taken apart.
fn directives(text: &str) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        let mut words = words(line);
        if words.first().is_some_and(|word| word == ")") {
            block = None;
        } else if words.len() == 2 && words[1] == "(" {
            block = Some(words.swap_remove(0));
        } else if !words.is_empty() {
            if let Some(block) = &block {
                words.insert(0, block.clone());
            }
            lines.push(words);
        }
    }
    lines
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '`'));
        let (word, after) = if let Some(quote) = quote {
            rest[1..].split_once(quote).unwrap_or((&rest[1..], ""))
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if end > 1 && rest[..end].ends_with('(') {
                rest.split_at(end - 1)
            } else {
                rest.split_at(end)
            }
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}
