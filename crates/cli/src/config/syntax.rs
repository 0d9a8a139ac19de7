//! The two kinds of `larder.toml`, as typed tables; the JSON schema is made from them.
//! It does not know inheritance, projects or the file system.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::archive::ArchiveTable;
use super::format::{EnvMode, OutputLogs};
use super::parse::{Cx, Named, Node, Parse, S, number, quantity, table, word};
use super::report::Report;

/// Declares a table: the type, its schema and its parser, from one list of keys.
macro_rules! keys {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$doc:meta])* $field:ident $key:literal: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, JsonSchema)]
        #[schemars(rename_all = "kebab-case", deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$doc])* pub(super) $field: Option<S<$ty>>,)*
        }

        impl $name {
            /// The keys as they are written.
            pub(super) const KEYS: &[&str] = &[$($key),*];
        }

        impl Parse for $name {
            fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
                let mut read = Self::default();
                table(node, cx, Self::KEYS, |key, value, cx| {
                    match key {
                        $($key => read.$field = S::parse(value, cx),)*
                        _ => return false,
                    }
                    true
                })?;
                Some(read)
            }
        }
    };
}

pub(super) use keys;

keys! {
    /// `larder.toml` in the root of a workspace.
    struct RootFile {
        /// The workspace as a whole. Marks this folder as its root.
        workspace "workspace": WorkspaceTable,
        /// The cache.
        cache "cache": CacheTable,
        /// What is remembered of earlier runs.
        timings "timings": TimingsTable,
        /// What is archived of a run, what it has to pass, and where it goes.
        archive "archive": ArchiveTable,
        /// The root as a project.
        project "project": ProjectTable,
        /// Tasks by name. With a command, every project has the task; without, it holds defaults.
        tasks "tasks": Named<S<TaskTable>>,
        /// Tasks around every run.
        hooks "hooks": HooksTable,
    }
}

keys! {
    /// `larder.toml` in the folder of a project.
    struct ProjectFile {
        /// This project.
        project "project": ProjectTable,
        /// Tasks by name; they override the root's, key by key.
        tasks "tasks": Named<S<TaskTable>>,
    }
}

keys! {
    /// The workspace as a whole.
    struct WorkspaceTable {
        /// Folders of the projects, as globs; `!` takes out, `.` is the root. Absent: the root alone.
        projects "projects": Vec<S<String>>,
        /// Files of the root that enter every key. Absent: lock and toolchain files. `[]`: none.
        global_inputs "global-inputs": Vec<S<String>>,
        /// Environment variables that enter every key.
        global_env "global-env": Vec<S<String>>,
        /// Environment variables passed to every task without entering a key.
        global_pass_through_env "global-pass-through-env": Vec<S<String>>,
        /// `strict`: tasks see declared variables only; `loose`: they see all.
        env_mode "env-mode": EnvMode,
    }
}

keys! {
    /// The cache.
    struct CacheTable {
        /// Folder of the cache. Absent: the user's cache folder.
        dir "dir": String,
        /// Bound of its size, such as `20GB`.
        max_size "max-size": Size,
        /// Bound of the age of entries, such as `30d`.
        max_age "max-age": Age,
        /// Compression level of zstd, 1 to 19.
        level "level": Level,
        /// Any text; a new one gives every task a new key.
        salt "salt": String,
    }
}

keys! {
    /// What is remembered of earlier runs.
    struct TimingsTable {
        /// How many runs of each task are remembered, 1 to 10000. Default: 100.
        runs_per_task "runs-per-task": Count,
    }
}

keys! {
    /// A project.
    struct ProjectTable {
        /// The name that keys and messages use. Absent: the path.
        name "name": String,
        /// Names or paths of the projects it depends on: what `^task` refers to.
        depends_on "depends-on": Vec<S<String>>,
    }
}

keys! {
    /// A task. Without a command, even after merging, it is a group of others.
    struct TaskTable {
        /// Projects that have the task, by name or glob of the path. In the root only.
        projects "projects": Vec<S<String>>,
        /// What to run in the project's folder: a string for the shell, or an array of arguments.
        command "command": CommandValue,
        /// Several commands, run in order until one fails.
        commands "commands": Vec<S<CommandValue>>,
        /// Tasks that have to succeed first: `task`, `^task`, `project#task`.
        depends_on "depends-on": Vec<S<DepValue>>,
        /// Files it reads. Absent: `$DEFAULT$`, the files of the project.
        inputs "inputs": Vec<S<InputValue>>,
        /// Files it creates. Absent: nothing is cached. `[]`: it creates none.
        outputs "outputs": Vec<S<String>>,
        /// File in which the command lists what it read, as makefile rules; these files enter the next key.
        depfile "depfile": String,
        /// Sources, as a glob or several: the commands run once a file, with `{in}`, `{out}`, `{stem}`, `{dir}`, `{name}`.
        foreach "foreach": Sources,
        /// Environment variables that enter the key; `*` and `!` are allowed.
        env "env": Vec<S<String>>,
        /// Environment variables passed to the task without entering the key.
        pass_through_env "pass-through-env": Vec<S<String>>,
        /// Commands whose output enters the key, such as `node --version`.
        tools "tools": Vec<S<String>>,
        /// How much of the output is shown.
        output_logs "output-logs": OutputLogs,
        /// Time after which the task is ended, such as `10m`.
        timeout "timeout": Age,
        /// Whether outputs of the last run are removed first. Default: true.
        clean "clean": bool,
        /// Whether outputs are packed and shared. Default: true.
        store "store": bool,
        /// Whether outputs that hold the workspace's path may be restored elsewhere. Default: false.
        relocatable "relocatable": bool,
        /// Whether the key leaves out system and architecture. Default: false.
        platform_independent "platform-independent": bool,
        /// Tasks that run first, as dependencies.
        before "before": Vec<S<DepValue>>,
        /// Tasks that run when this one has succeeded.
        after "after": Vec<S<DepValue>>,
    }
}

keys! {
    /// Tasks around every run.
    struct HooksTable {
        /// Tasks that every other task depends on.
        before_all "before-all": Vec<S<String>>,
        /// Tasks that run at the end, even after a failure.
        after_all "after-all": Vec<S<String>>,
    }
}

/// A command: shell text or arguments.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged, inline)]
pub(super) enum CommandValue {
    /// Run by `sh -c`.
    Shell(String),
    /// Program and arguments.
    Argv(Vec<S<String>>),
}

impl Parse for CommandValue {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        if !node.get_ref().is_array() {
            return String::parse(node, cx).map(Self::Shell);
        }
        let argv = Vec::<S<String>>::parse(node, cx)?;
        if argv.is_empty() {
            cx.report(Report::new(
                cx.at(node),
                "empty command",
                "names no program",
            ));
            return None;
        }
        Some(Self::Argv(argv))
    }
}

/// Globs of sources: one, or an array of them.
#[derive(Debug, Clone)]
pub(super) struct Sources(pub(super) Vec<S<String>>);

impl Parse for Sources {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        if node.get_ref().is_array() {
            return Vec::parse(node, cx).map(Self);
        }
        let one = S::<String>::parse(node, cx)?;
        Some(Self(vec![one]))
    }
}

impl JsonSchema for Sources {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Sources".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } },
        ] })
    }
}

/// A dependency: a name, or a table with options.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged, inline)]
pub(super) enum DepValue {
    /// `task`, `^task` or `project#task`.
    Name(String),
    /// A name with options.
    Options(DepTable),
}

impl DepValue {
    /// The name and whether outputs further down enter the key.
    pub(super) fn parts(&self) -> (&str, bool) {
        match self {
            Self::Name(name) => (name, true),
            Self::Options(table) => (
                table.task.as_ref().map_or("", |task| task.value.as_str()),
                table.transitive.as_ref().is_none_or(|flag| flag.value),
            ),
        }
    }
}

keys! {
    /// A dependency with options.
    struct DepTable {
        /// `task`, `^task` or `project#task`.
        task "task": String,
        /// Whether the outputs of its own dependencies enter the key. Default: true.
        transitive "transitive": bool,
    }
}

impl Parse for DepValue {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        if !node.get_ref().is_table() {
            return String::parse(node, cx).map(Self::Name);
        }
        let before = cx.reports.len();
        let read = DepTable::parse(node, cx)?;
        if cx.reports.len() > before {
            return None;
        }
        if read.task.is_none() {
            missing(node, cx, "task = \"^build\"");
            return None;
        }
        Some(Self::Options(read))
    }
}

/// An input: a glob, or a git folder.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged, inline)]
pub(super) enum InputValue {
    /// A glob, `$DEFAULT$` or `$INHERIT$`.
    Glob(String),
    /// A folder of a git repository.
    Git(GitTable),
}

keys! {
    /// A folder of a git repository, by its tree.
    struct GitTable {
        /// The folder, relative to the project.
        git "git": String,
    }
}

impl Parse for InputValue {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        if !node.get_ref().is_table() {
            return String::parse(node, cx).map(Self::Glob);
        }
        let before = cx.reports.len();
        let read = GitTable::parse(node, cx)?;
        if cx.reports.len() > before {
            return None;
        }
        if read.git.is_none() {
            missing(node, cx, "git = \"../schema\"");
            return None;
        }
        Some(Self::Git(read))
    }
}

fn missing(node: &Node<'_>, cx: &mut Cx, line: &str) {
    debug_assert!(matches!(node.get_ref(), DeValue::Table(_)));
    let at = cx.at(node);
    cx.report(Report::new(at, "a key is missing", "").help(format!("write {{ {line} }}")));
}

/// A value written as text: its schema is a string that follows a pattern.
macro_rules! quantity {
    ($name:ident, $what:literal, $example:literal, $pattern:literal, $units:expr) => {
        /// A number with a unit.
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name(pub(super) u64);

        impl Parse for $name {
            fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
                quantity(node, cx, $what, $example, $units).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

/// Units of durations, in seconds.
pub(super) const AGE_UNITS: &[(&str, u64)] = &[
    ("s", 1),
    ("m", 60),
    ("h", 3600),
    ("d", 86_400),
    ("w", 604_800),
];
/// Units of sizes, in bytes.
pub(super) const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

quantity!(
    Age,
    "duration",
    "10m",
    "^( *[0-9]+ *[sSmMhHdDwW])+ *$",
    AGE_UNITS
);
quantity!(
    Size,
    "size",
    "20GB",
    "^( *[0-9]+ *([kKmMgGtT][iI]?)?[bB])+ *$",
    SIZE_UNITS
);

/// A number of things to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u32);

impl Parse for Count {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let count = number(node, cx, 1, 10_000)?;
        u32::try_from(count).ok().map(Self)
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 10_000 })
    }
}

/// A compression level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level(pub(super) i32);

impl Parse for Level {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let level = number(node, cx, 1, 19)?;
        i32::try_from(level).ok().map(Self)
    }
}

impl JsonSchema for Level {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Level".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 19 })
    }
}

/// Declares the words of an enumeration: parser and schema from one list.
macro_rules! words {
    ($name:ident: $($word:literal => $value:ident),*) => {
        impl Parse for $name {
            fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
                word(node, cx, &[$(($word, $name::$value)),*])
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": [$($word),*] })
            }
        }
    };
}

words!(EnvMode: "strict" => Strict, "loose" => Loose);
words!(OutputLogs: "full" => Full, "new-only" => NewOnly, "errors-only" => ErrorsOnly,
    "hash-only" => HashOnly, "none" => None);
