//! Templates of `foreach` tasks: text with `{in}`, `{out}`, `{stem}`, `{dir}` and `{name}` in it, checked and taken apart.
//! It does not know which files there are, nor how their names are quoted.

use super::discover::is_glob;
use super::format::{Command, Foreach, Glob};
use super::items::{glob, path};
use super::parse::{Cx, S};
use super::report::{At, Report, known_names};
use super::syntax::{Sources, TaskTable};

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The source, relative to the project.
    In,
    /// The first declared output.
    Out,
    /// The source's name without its last extension.
    Stem,
    /// The folder of the source, relative to the project.
    Dir,
    /// The source's name.
    Name,
}

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text as it is.
    Text(&'t str),
    /// What a chunk puts in.
    Place(Place),
}

const PLACES: [(&str, Place); 5] = [
    ("in", Place::In),
    ("out", Place::Out),
    ("stem", Place::Stem),
    ("dir", Place::Dir),
    ("name", Place::Name),
];

/// Takes a template apart. Only the known names in braces are placeholders: `${in}` is a variable of the shell, and
/// `{{in}}` stands for the text `{in}`.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text[at..].find('{') {
        let open = at + found;
        at = open + 1;
        if text[..open].ends_with('$') {
            continue;
        }
        let doubled = text[at..].starts_with('{');
        let start = at + usize::from(doubled);
        let close = if doubled { "}}" } else { "}" };
        let known = PLACES.iter().find(|(name, _)| {
            let rest = text[start..].strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(close))
        });
        let Some((name, place)) = known else { continue };
        let end = start + name.len();
        if doubled {
            pieces.push(Piece::Text(&text[from..open]));
            pieces.push(Piece::Text(&text[open + 1..=end]));
        } else {
            pieces.push(Piece::Text(&text[from..open]));
            pieces.push(Piece::Place(*place));
        }
        at = end + close.len();
        from = at;
    }
    pieces.push(Piece::Text(&text[from..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// Whether a template holds a placeholder.
fn has(text: &str, wanted: impl Fn(Place) -> bool) -> bool {
    pieces(text)
        .iter()
        .any(|piece| matches!(piece, Piece::Place(place) if wanted(*place)))
}

/// The glob that takes whatever a template of a path can become.
fn widened(template: &str) -> String {
    let mut wide = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => wide.push_str(text),
            Piece::Place(Place::In | Place::Out) => wide.push_str("**/*"),
            Piece::Place(Place::Dir) => wide.push_str("**"),
            Piece::Place(Place::Stem | Place::Name) if wide.ends_with('*') => {}
            Piece::Place(Place::Stem | Place::Name) => wide.push('*'),
        }
    }
    wide
}

/// Whether a template names one path a chunk, without wildcards.
pub fn is_literal(template: &str) -> bool {
    pieces(template).iter().all(|piece| {
        matches!(piece, Piece::Place(_))
            || matches!(piece, Piece::Text(text) if !is_glob(text) && !text.contains('\\'))
    })
}

/// Outputs, depfile and `foreach` of a task.
type Declared = (Option<Vec<Glob>>, Option<Glob>, Option<Foreach>);

/// What a task's table says of its outputs, checked; templates where there is a `foreach`.
pub(super) fn outputs(table: &TaskTable, commands: &[Command], cx: &mut Cx) -> Declared {
    if let Some(foreach) = &table.foreach {
        // After an error nothing is known; it was reported.
        return templates(table, foreach, commands, cx).unwrap_or_default();
    }
    let declared = table.outputs.as_ref().map(|items| {
        let globs = items.value.iter();
        globs
            .filter_map(|item| glob(&item.value, item.at, cx))
            .collect()
    });
    let depfile = table.depfile.as_ref();
    (declared, depfile.and_then(|text| path(text, cx)), None)
}

fn templates(
    table: &TaskTable,
    foreach: &S<Sources>,
    commands: &[Command],
    cx: &mut Cx,
) -> Option<Declared> {
    let before = cx.reports.len();
    let items = &foreach.value.0;
    let sources: Vec<Glob> = items
        .iter()
        .filter_map(|item| glob(&item.value, item.at, cx))
        .collect();
    if sources.iter().all(|glob| glob.negated) && cx.reports.len() == before {
        cx.report(
            Report::new(foreach.at, "this takes no file", "")
                .help("write a glob of the sources, as in \"src/**/*.c\""),
        );
    }
    let Some(declared) = &table.outputs else {
        cx.report(
            Report::new(foreach.at, "`foreach` without `outputs`", "")
                .help("declare what the commands make of one file, as in `outputs = [\"out/{stem}.o\"]`; `outputs = []` where they make none"),
        );
        return None;
    };
    let outputs: Vec<Glob> = declared
        .value
        .iter()
        .filter_map(|item| output(item, cx))
        .collect();
    let first = outputs.iter().find(|glob| !glob.negated);
    let depfile = table
        .depfile
        .as_ref()
        .and_then(|text| depfile(text, first, cx));
    let wants_out = |command: &Command| match command {
        Command::Shell(line) => has(line, |place| place == Place::Out),
        Command::Argv(words) => words
            .iter()
            .any(|word| has(word, |place| place == Place::Out)),
    };
    if commands.iter().any(wants_out) && !first.is_some_and(|glob| is_literal(&glob.glob)) {
        let at = (table.command.as_ref().map(|command| command.at))
            .or(table.commands.as_ref().map(|commands| commands.at));
        no_out(at.unwrap_or(foreach.at), cx);
    }
    if cx.reports.len() > before {
        return None;
    }
    let wide = |template: &Glob| Glob {
        glob: widened(&template.glob),
        ..template.clone()
    };
    Some((
        Some(outputs.iter().map(wide).collect()),
        depfile.as_ref().map(wide),
        Some(Foreach {
            sources,
            outputs,
            depfile,
        }),
    ))
}

fn no_out(at: At, cx: &mut Cx) {
    cx.report(
        Report::new(at, "`{out}` names no file", "")
            .help("it stands for the first of `outputs`, which has to be one path without wildcards, as in \"out/{stem}.o\""),
    );
}

/// One output as a template, checked.
fn output(item: &S<String>, cx: &mut Cx) -> Option<Glob> {
    let template = path_template(item, cx)?;
    if has(&template.glob, |place| place == Place::Out) {
        cx.report(
            Report::new(item.at, "`{out}` in `outputs`", "is made of `outputs`")
                .help("write the path with {in}, {stem}, {dir} or {name}"),
        );
        return None;
    }
    if !template.negated && !has(&template.glob, |_| true) {
        cx.report(
            Report::new(item.at, "all chunks would make one output", "")
                .help("tell the chunks apart, as in \"out/{stem}.o\" or \"out/{in}.o\""),
        );
        return None;
    }
    Some(template)
}

/// The depfile as a template, `{out}` put in.
fn depfile(text: &S<String>, first: Option<&Glob>, cx: &mut Cx) -> Option<Glob> {
    let mut template = path_template(text, cx)?;
    if has(&template.glob, |place| place == Place::Out) {
        let Some(rest) = template.glob.strip_prefix("{out}") else {
            cx.report(
                Report::new(text.at, "`{out}` within a path", "")
                    .help("it is a whole path: write it first, as in \"{out}.d\""),
            );
            return None;
        };
        let Some(first) = first.filter(|glob| is_literal(&glob.glob)) else {
            no_out(text.at, cx);
            return None;
        };
        template.glob = format!("{}{rest}", first.glob);
        template.from_root = first.from_root;
    }
    if template.negated || !is_literal(&template.glob) {
        cx.report(
            Report::new(text.at, "this has to be the path of one file", "")
                .help("write it as in \"build/{stem}.d\", relative to the project"),
        );
        return None;
    }
    if !has(&template.glob, |_| true) {
        cx.report(
            Report::new(text.at, "all chunks would write one depfile", "")
                .help("tell the chunks apart, as in \"build/{stem}.d\" or \"{out}.d\""),
        );
        return None;
    }
    Some(template)
}

/// A path with placeholders, taken apart and checked as far as any path is.
fn path_template(item: &S<String>, cx: &mut Cx) -> Option<Glob> {
    if let Some(name) = unknown(&item.value) {
        let known = PLACES.iter().map(|(name, _)| *name);
        cx.report(
            Report::new(item.at, format!("unknown placeholder `{{{name}}}`"), "")
                .help(known_names(&name, "placeholders", known)),
        );
        return None;
    }
    let template = glob(&item.value, item.at, cx)?;
    let mut before = String::new();
    let all = pieces(&template.glob);
    for (index, piece) in all.iter().enumerate() {
        let starts = before.is_empty() || before.ends_with('/');
        let ends = match all.get(index + 1) {
            None => true,
            Some(Piece::Text(text)) => text.starts_with('/'),
            Some(Piece::Place(_)) => false,
        };
        let fault = match piece {
            Piece::Place(Place::In) if !starts => {
                Some("`{in}` is a path: it has to follow a `/`, as in \"out/{in}.o\"")
            }
            Piece::Place(Place::Dir) if !(starts && ends) => Some(
                "`{dir}` is a folder: it has to stand between slashes, as in \"out/{dir}/{stem}.o\"",
            ),
            _ => None,
        };
        if let Some(help) = fault {
            cx.report(Report::new(item.at, "a path within a name", "").help(help));
            return None;
        }
        match piece {
            Piece::Text(text) => before.push_str(text),
            Piece::Place(_) => before.push('x'),
        }
    }
    Some(template)
}

/// The first name in braces that is meant as a placeholder but is none.
fn unknown(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let shell = rest[..open].ends_with('$');
        rest = &rest[open + 1..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        let closed = rest[name.len()..].starts_with('}');
        let known = PLACES.iter().any(|(known, _)| *known == name);
        if closed && !shell && !name.is_empty() && !known {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_in_braces_are_placeholders() {
        use Piece::{Place as P, Text as T};
        for (text, wanted) in [
            ("", vec![]),
            ("cc", vec![T("cc")]),
            (
                "cc {in} -o {out}",
                vec![T("cc "), P(Place::In), T(" -o "), P(Place::Out)],
            ),
            (
                "{dir}/{stem}.o",
                vec![P(Place::Dir), T("/"), P(Place::Stem), T(".o")],
            ),
            (
                "${in} ${X} {a,b} {} {int}",
                vec![T("${in} ${X} {a,b} {} {int}")],
            ),
            ("a{{in}}b", vec![T("a"), T("{in}"), T("b")]),
            (
                "awk '{{print}}' {name}",
                vec![T("awk '{{print}}' "), P(Place::Name)],
            ),
            ("{{{in}", vec![T("{{"), P(Place::In)]),
            ("ü{in}ü", vec![T("ü"), P(Place::In), T("ü")]),
        ] {
            assert_eq!(pieces(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_task_takes_whatever_its_chunks_can_make() {
        for (template, wide) in [
            ("out/{stem}.o", "out/*.o"),
            ("out/{in}.o", "out/**/*.o"),
            ("out/{dir}/{name}", "out/**/*"),
            ("out/{stem}{name}", "out/*"),
            ("out/{stem}/**", "out/*/**"),
        ] {
            assert_eq!(widened(template), wide);
        }
    }
}
