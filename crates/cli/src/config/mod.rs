//! Reads `larder.toml` of a workspace and its projects into plain, resolved data.
//! It does not know how tasks are run, nor what keys or caches are.

mod archive;
mod discover;
mod edges;
mod format;
mod items;
mod merge;
mod mounts;
mod outputs;
mod parse;
mod report;
mod settings;
mod snapshot;
mod syntax;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::SchemaGenerator;
use serde_json::{Value, json};
use toml::de::DeTable;

use discover::Disk;
use merge::Member;
use parse::{Cx, Node, Parse, S};
use report::{At, FileText, Report};
use syntax::{ProjectFile, RootFile};

pub use archive::{ArchiveSettings, GitSettings, MirrorSettings, ValidatorSettings, entry_tag};
pub use format::{
    CacheSettings, Command, Dep, DepKind, EnvMode, Foreach, Glob, InputItem, Location, Mount,
    OutputLogs, Project, Settings, Source, SourceKind, Stat, Task, Workspace,
};
pub use items::DEFAULT_GLOBAL_INPUTS;
pub use report::ConfigError;
pub use snapshot::{holds, is_damaged, load_snapshot, save_snapshot};

/// The name of the configuration file.
pub const FILE_NAME: &str = "larder.toml";

/// The root of the workspace that a folder belongs to.
///
/// It is the nearest folder, from `start` upwards, whose `larder.toml` has a `[workspace]` table;
/// when there is none, the outermost that has a `larder.toml` at all, so that a workspace without
/// `[workspace]` is found from inside of its projects too. A file that cannot be read as TOML
/// counts as having the table when a line begins with `[workspace]`.
pub fn find_root(start: &Path) -> Option<PathBuf> {
    let mut outermost = None;
    for folder in start.ancestors() {
        let Ok(text) = std::fs::read_to_string(folder.join(FILE_NAME)) else {
            continue;
        };
        let marked = match DeTable::parse(&text) {
            Ok(table) => table.get_ref().contains_key("workspace"),
            Err(_) => text.lines().any(|line| line.starts_with("[workspace]")),
        };
        if marked {
            return Some(folder.to_path_buf());
        }
        outermost = Some(folder.to_path_buf());
    }
    outermost
}

/// Values of environment variables by name.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Reads and resolves the workspace at `root`. Paths in `projects` may begin with one of the `variables`.
///
/// # Errors
/// Everything that is wrong in the files, as far as it could be told in one pass.
pub fn load(root: &Path, variables: &Variables<'_>) -> Result<Workspace, ConfigError> {
    let read_at_ns = now_ns();
    let mut loader = Loader {
        variables,
        used: BTreeMap::new(),
        disk: Disk::new(root),
        files: Vec::new(),
        cx: Cx {
            file: 0,
            reports: Vec::new(),
        },
    };
    let parts = loader.read_all();
    let Loader {
        disk,
        files,
        mut cx,
        used,
        ..
    } = loader;
    let resolved = match parts {
        Some((root_file, members)) if cx.reports.is_empty() => {
            Some(merge::resolve(&root_file, &members, &files, &mut cx))
        }
        _ => None,
    };
    let resolved = resolved.and_then(|mut workspace| {
        let placed = mounts::place(&mut workspace, root);
        placed
            .map_err(|report| cx.report(report))
            .ok()
            .map(|()| workspace)
    });
    match resolved {
        Some(mut workspace) if cx.reports.is_empty() => {
            workspace.sources = disk.into_sources();
            workspace.read_at_ns = read_at_ns;
            workspace.variables = used.into_iter().collect();
            Ok(workspace)
        }
        _ => Err(ConfigError::new(files, cx.reports)),
    }
}

/// Reads a size such as `20GB`, in bytes; `None` when it is none.
pub fn size(text: &str) -> Option<u64> {
    parse::sum_of_parts(text, syntax::SIZE_UNITS)
}

/// Reads a duration such as `30d` or `1h30m`, in seconds; `None` when it is none.
pub fn duration(text: &str) -> Option<u64> {
    parse::sum_of_parts(text, syntax::AGE_UNITS)
}

/// The JSON schema of `larder.toml`, of a root and of a project.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    generator.subschema_for::<RootFile>();
    generator.subschema_for::<ProjectFile>();
    let mut definitions = Value::Object(generator.take_definitions(true));
    without_null(&mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE_NAME,
        "anyOf": [{ "$ref": "#/$defs/RootFile" }, { "$ref": "#/$defs/ProjectFile" }],
        "$defs": definitions,
    })
}

/// TOML has no null: a key is left out instead.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = object.get_mut("enum") {
                options.retain(|option| !option.is_null());
            }
            let single = match object.get_mut("anyOf") {
                Some(Value::Array(options)) => {
                    options.retain(|option| option != &json!({ "type": "null" }));
                    match options.as_slice() {
                        [Value::Object(only)] => Some(only.clone()),
                        _ => None,
                    }
                }
                _ => None,
            };
            if let Some(single) = single {
                object.remove("anyOf");
                object.extend(single);
            }
            object.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_nanos()).ok())
        .unwrap_or(0)
}

/// Reads files one after the other, keeping their texts for messages.
struct Loader<'a> {
    variables: &'a Variables<'a>,
    /// Variables that were asked for, with digests of their values.
    used: BTreeMap<String, Option<[u8; 32]>>,
    disk: Disk<'a>,
    files: Vec<FileText>,
    cx: Cx,
}

impl Loader<'_> {
    fn read_all(&mut self) -> Option<(RootFile, Vec<Member>)> {
        let Some(root) = self.file::<RootFile>(FILE_NAME.as_bytes()) else {
            if self.cx.reports.is_empty() {
                let report = Report::nowhere(format!("there is no `{FILE_NAME}` here"))
                    .help("run `larder init` in the root of the workspace");
                self.cx.report(report);
            }
            return None;
        };
        self.cx.file = 0;
        let patterns = root
            .workspace
            .as_ref()
            .and_then(|w| w.value.projects.as_ref());
        let dirs = match patterns {
            Some(patterns) => {
                let patterns = self.expanded(&patterns.value);
                discover::projects(&patterns, &mut self.disk, &mut self.cx)
            }
            None => vec![Vec::new()],
        };
        let mut members = Vec::new();
        for dir in dirs {
            let file = if dir.is_empty() {
                ProjectFile {
                    project: root.project.clone(),
                    tasks: None,
                }
            } else {
                let path = discover::join(&dir, FILE_NAME.as_bytes());
                self.file(&path).unwrap_or_default()
            };
            members.push(Member::new(dir, file));
        }
        Some((root, members))
    }

    /// Patterns whose first component is `$NAME` or `${NAME}` with the variable's value in its place.
    fn expanded(&mut self, patterns: &[S<String>]) -> Vec<S<String>> {
        let mut expanded = Vec::new();
        for pattern in patterns {
            let (mark, body) = match pattern.value.strip_prefix('!') {
                Some(body) => ("!", body),
                None => ("", pattern.value.as_str()),
            };
            if body.starts_with('/') {
                let report = Report::new(pattern.at, "absolute path", "");
                self.cx.report(report.help(
                    "paths in `projects` start at the root of the workspace, or with a variable that holds one, as in \"$DJANGO\"",
                ));
                continue;
            }
            let Some(rest) = body.strip_prefix('$') else {
                expanded.push(pattern.clone());
                continue;
            };
            let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
            let name = (first.strip_prefix('{'))
                .and_then(|name| name.strip_suffix('}'))
                .unwrap_or(first);
            let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(good) {
                let report = Report::new(pattern.at, format!("unknown name `${first}`"), "");
                self.cx.report(report.help(
                    "a path may begin with a variable, as in \"$DJANGO\" or \"${SOURCES}/django\"",
                ));
                continue;
            }
            let value = (self.variables)(name).filter(|value| !value.is_empty());
            let digest = value.as_deref().map(snapshot::digest_of);
            self.used.insert(name.to_owned(), digest);
            match value {
                Some(value) => expanded.push(S {
                    value: format!("{mark}{}/{rest}", value.trim_end_matches('/')),
                    at: pattern.at,
                }),
                None => self.cx.report(
                    Report::new(pattern.at, format!("the variable `{name}` is not set"), "").help(
                        format!("set it to the folder, as in `{name}=/path larder …`"),
                    ),
                ),
            }
        }
        expanded
    }

    /// Reads one file; `None` when there is none or nothing of it can be used.
    fn file<T: Parse>(&mut self, path: &[u8]) -> Option<T> {
        let shown = String::from_utf8_lossy(path).into_owned();
        let text = match self.disk.read(path) {
            Ok(text) => text?,
            Err(error) => {
                self.cx
                    .report(Report::nowhere(format!("cannot read `{shown}`: {error}")));
                return None;
            }
        };
        let index = self.files.len();
        self.cx.file = index;
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let at = At {
                file: index,
                start: span.start,
                end: span.end,
            };
            self.cx.report(Report::new(
                at,
                "this is not TOML",
                error.message().to_owned(),
            ));
        }
        let read = if errors.is_empty() {
            let span = table.span();
            T::parse(
                &Node::new(span, toml::de::DeValue::Table(table.into_inner())),
                &mut self.cx,
            )
        } else {
            None
        };
        self.files.push(FileText { path: shown, text });
        read
    }
}
