//! Checks and takes apart what stands inside of arrays: globs, variable names, inheritance.
//! It does not know which task or project an item belongs to.

use globset::GlobBuilder;

use super::discover::is_glob;
use super::format::{Command, Glob, InputItem};
use super::parse::{Cx, S};
use super::report::{At, Report};
use super::syntax::{CommandValue, DepValue, InputValue};

/// Files of the root that enter every key when `global-inputs` is absent: lock files and
/// toolchain files.
pub const DEFAULT_GLOBAL_INPUTS: &[&str] = &[
    ".node-version",
    ".nvmrc",
    ".python-version",
    ".ruby-version",
    ".tool-versions",
    "Cargo.lock",
    "Gemfile.lock",
    "bun.lock",
    "bun.lockb",
    "composer.lock",
    "deno.lock",
    "flake.lock",
    "go.sum",
    "go.work.sum",
    "lean-toolchain",
    "mise.toml",
    "package-lock.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "rust-toolchain",
    "rust-toolchain.toml",
    "uv.lock",
    "yarn.lock",
];

/// The item that stands for the root's.
const INHERIT: &str = "$INHERIT$";
const ROOT: &str = "$ROOT$/";

/// An array item that may be `"$INHERIT$"`.
pub(super) trait Item: Clone {
    /// Its text, when it is plain text.
    fn text(&self) -> Option<&str>;

    fn is_inherit(&self) -> bool {
        self.text() == Some(INHERIT)
    }
}

impl Item for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Item for DepValue {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Options(_) => None,
        }
    }
}

impl Item for InputValue {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Glob(glob) => Some(glob),
            Self::Git(_) => None,
        }
    }
}

impl Item for CommandValue {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Shell(text) => Some(text),
            Self::Argv(_) => None,
        }
    }
}

/// An array of a project over the root's: the project's, with the root's items in the place of
/// `"$INHERIT$"`, or `absent` when the root has none.
pub(super) fn inherit<T: Item>(
    root: Option<&S<Vec<S<T>>>>,
    own: Option<&S<Vec<S<T>>>>,
    absent: &[T],
) -> Option<S<Vec<S<T>>>> {
    let Some(own) = own else {
        return root.cloned();
    };
    let mut items = Vec::new();
    for item in &own.value {
        if !item.value.is_inherit() {
            items.push(item.clone());
        } else if let Some(root) = root {
            items.extend(root.value.iter().cloned());
        } else {
            items.extend(absent.iter().map(|value| S {
                value: value.clone(),
                at: item.at,
            }));
        }
    }
    Some(S {
        value: items,
        at: own.at,
    })
}

/// Says that the root has nothing to inherit from.
pub(super) fn refuse_inherit<T: Item>(items: Option<&S<Vec<S<T>>>>, cx: &mut Cx) {
    for item in items.iter().flat_map(|items| &items.value) {
        if item.value.is_inherit() {
            cx.report(
                Report::new(item.at, "nothing to inherit", "")
                    .help("`$INHERIT$` stands for the root's items, in the file of a project"),
            );
        }
    }
}

/// A command as plain data; by now `$INHERIT$` has to be replaced.
pub(super) fn command(value: &CommandValue, cx: &mut Cx) -> Command {
    match value {
        CommandValue::Shell(text) => Command::Shell(text.clone()),
        CommandValue::Argv(items) => {
            for item in items.iter().filter(|item| item.value.is_inherit()) {
                cx.report(
                    Report::new(item.at, "nothing to inherit", "")
                        .help("the root's `command` for this task has to be an array too"),
                );
            }
            Command::Argv(items.iter().map(|item| item.value.clone()).collect())
        }
    }
}

/// An input as written, checked.
pub(super) fn input(item: &S<InputValue>, cx: &mut Cx) -> Option<InputItem> {
    match &item.value {
        InputValue::Git(table) => {
            let path = table.git.as_ref()?;
            if path.value.starts_with('/') {
                absolute(path.at, cx);
                return None;
            }
            if path.value.starts_with('$') {
                cx.report(
                    Report::new(path.at, "`$` in a git folder", "")
                        .help("write the path as seen from the project, as in \"../schema\""),
                );
                return None;
            }
            Some(InputItem::Git(path.value.clone()))
        }
        InputValue::Glob(text) if text == "$DEFAULT$" => Some(InputItem::Default),
        InputValue::Glob(text) => glob(text, item.at, cx).map(InputItem::Glob),
    }
}

/// A glob as written, taken apart and checked.
pub(super) fn glob(text: &str, at: At, cx: &mut Cx) -> Option<Glob> {
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (from_root, rest) = match rest.strip_prefix(ROOT) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix("./").unwrap_or(rest);
    if rest.starts_with('$') && rest.ends_with('$') || rest.starts_with("$ROOT") {
        let help = "write `$DEFAULT$`, `$INHERIT$` or `$ROOT$/path`";
        cx.report(Report::new(at, format!("unknown name `{rest}`"), "").help(help));
        return None;
    }
    if rest.starts_with('/') {
        absolute(at, cx);
        return None;
    }
    if rest.split('/').any(|part| part == "..") {
        cx.report(
            Report::new(at, "`..` in a glob", "")
                .help("write `$ROOT$/path` for files outside of the project"),
        );
        return None;
    }
    if rest.is_empty() || rest.ends_with('/') {
        let help = format!("write `{text}**` for all files in the folder");
        cx.report(Report::new(at, "this matches no file", "").help(help));
        return None;
    }
    if let Err(error) = GlobBuilder::new(rest).literal_separator(true).build() {
        cx.report(Report::new(at, "bad glob", error.kind().to_string()));
        return None;
    }
    Some(Glob {
        negated,
        from_root,
        glob: rest.to_owned(),
    })
}

/// The path of one file, written as an output without wildcards.
pub(super) fn path(text: &S<String>, cx: &mut Cx) -> Option<Glob> {
    let path = glob(&text.value, text.at, cx)?;
    if path.negated || is_glob(&path.glob) {
        cx.report(
            Report::new(text.at, "this has to be the path of one file", "")
                .help("write it as in \"build/main.d\", relative to the project"),
        );
        return None;
    }
    Some(path)
}

fn absolute(at: At, cx: &mut Cx) {
    cx.report(
        Report::new(at, "absolute path", "")
            .help("paths start at the project, or at the root with `$ROOT$/`"),
    );
}

/// Names of variables, checked.
pub(super) fn variables(items: Option<&S<Vec<S<String>>>>, cx: &mut Cx) -> Vec<String> {
    let mut names = Vec::new();
    for item in items.iter().flat_map(|items| &items.value) {
        if item.value.contains(['=', '$', ' ']) || item.value == "!" {
            cx.report(
                Report::new(item.at, "this is not the name of a variable", "").help(
                    "write the name alone, as in \"NODE_ENV\", \"VITE_*\" or \"!VITE_SECRET\"",
                ),
            );
        } else {
            names.push(item.value.clone());
        }
    }
    names
}
