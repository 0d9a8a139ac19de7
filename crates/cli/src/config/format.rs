//! The resolved configuration as plain data, kept between runs by the snapshot.
//! It does not know TOML, defaults or inheritance: all of that is decided before these are made.

use serde::{Deserialize, Serialize};

/// A resolved workspace. Nothing in it is absolute but folders of mounts that were configured so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Every project, sorted by folder.
    pub projects: Vec<Project>,
    /// Every task, sorted by project, then by name.
    pub tasks: Vec<Task>,
    /// What holds for the whole workspace.
    pub settings: Settings,
    /// Folders outside of the root that projects lie in.
    pub mounts: Vec<Mount>,
    /// Variables that stand in `projects`, with the digest of the value each had.
    pub variables: Vec<(String, Option<[u8; 32]>)>,
    /// Tasks of `[hooks] before-all`, as indices into `tasks`.
    pub before_all: Vec<usize>,
    /// Tasks of `[hooks] after-all`, as indices into `tasks`: a run appends them.
    pub after_all: Vec<usize>,
    /// Every file and folder that this result rests on, each once.
    pub sources: Vec<Source>,
    /// When reading began, in nanoseconds since the epoch.
    pub read_at_ns: i64,
}

/// A folder with tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// What keys and messages call it: `[project] name`, else its path; `.` for the root.
    pub name: String,
    /// The folder relative to the root, `/`-separated; empty for the root. That of a project outside
    /// of the root begins with the prefix of a mount.
    pub dir: Vec<u8>,
    /// Indices of the projects this one depends on.
    pub depends_on: Vec<usize>,
}

/// A folder outside of the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What the paths of its files begin with: `..` and a name, as one component.
    pub prefix: Vec<u8>,
    /// Where it lies: relative to the root, beginning with `..`, or absolute.
    pub folder: Vec<u8>,
}

/// One unit of work of one project, merged from the root's table and the project's.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the file"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Index of its project.
    pub project: usize,
    /// The name within the project.
    pub name: String,
    /// The commands in order; `None` for a group.
    pub command: Option<Vec<Command>>,
    /// Edges to other tasks, sorted, each once.
    pub deps: Vec<Dep>,
    /// What it reads, in order; `None` for the default.
    pub inputs: Option<Vec<InputItem>>,
    /// What it creates; `None` when nothing is declared.
    pub outputs: Option<Vec<Glob>>,
    /// The file in which the command lists what it read.
    pub depfile: Option<Glob>,
    /// Where there is a chunk a file: which files, and the templates. `outputs` and `depfile` above are then globs
    /// that take whatever any chunk can make; the commands are templates.
    pub foreach: Option<Foreach>,
    /// Names and patterns of variables that enter the key, in order.
    pub env: Vec<String>,
    /// Names and patterns of variables that are passed but not part of the key.
    pub pass_through_env: Vec<String>,
    /// Commands whose output enters the key.
    pub tools: Vec<String>,
    /// How much of its output is shown.
    pub output_logs: OutputLogs,
    /// The time after which it is ended, in seconds.
    pub timeout_secs: Option<u64>,
    /// Whether its owned outputs are removed before a run.
    pub clean: bool,
    /// Whether its outputs are packed and shared.
    pub store: bool,
    /// Whether outputs that hold the workspace's path may be restored elsewhere.
    pub relocatable: bool,
    /// Whether the key leaves out the operating system and the architecture.
    pub platform_independent: bool,
    /// Where it is defined: the project's table, else the root's.
    pub location: Location,
}

/// How a task is split into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreach {
    /// The sources: one chunk a file that matches. The last glob that matches decides.
    pub sources: Vec<Glob>,
    /// The outputs of a chunk, with placeholders.
    pub outputs: Vec<Glob>,
    /// The depfile of a chunk, with placeholders other than `{out}`.
    pub depfile: Option<Glob>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Run by `sh -c`.
    Shell(String),
    /// Program and arguments, run without a shell.
    Argv(Vec<String>),
}

/// An edge from a task to one that comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dep {
    /// Index of the task that comes first.
    pub task: usize,
    /// What the edge means.
    pub kind: DepKind,
}

/// What an edge means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DepKind {
    /// It has to succeed first, and its outputs enter the key.
    Needs {
        /// Whether the outputs of its own dependencies enter the key too.
        transitive: bool,
    },
    /// This is a hook that follows it when it succeeded; not in a key. A run of that task brings
    /// this one along.
    After,
    /// This is a hook that follows it, however it ended; not in a key.
    AfterAll,
}

/// One item of `inputs`; the last that matches a file decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputItem {
    /// `$DEFAULT$`.
    Default,
    /// A glob.
    Glob(Glob),
    /// A git folder by its tree id, relative to the project; may begin with `..`.
    Git(String),
}

/// A glob, checked, with `!` and `$ROOT$/` taken off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Glob {
    /// Whether it takes matches out.
    pub negated: bool,
    /// Relative to the root instead of the project.
    pub from_root: bool,
    /// The pattern, `/`-separated.
    pub glob: String,
}

/// How much of a task's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OutputLogs {
    /// All, replayed when the task is not run.
    #[default]
    Full,
    /// Only of tasks that ran.
    NewOnly,
    /// Only of tasks that failed.
    ErrorsOnly,
    /// The key alone.
    HashOnly,
    /// Nothing.
    None,
}

/// What of the environment a task sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EnvMode {
    /// Declared and passed-through variables plus the documented base.
    #[default]
    Strict,
    /// Everything; only declared names enter keys.
    Loose,
}

/// What holds for the whole workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Files that enter every key, relative to the root, with the default list filled in.
    pub global_inputs: Vec<Glob>,
    /// Variables that enter every key.
    pub global_env: Vec<String>,
    /// Variables passed to every task.
    pub global_pass_through_env: Vec<String>,
    /// What of the environment a task sees.
    pub env_mode: EnvMode,
    /// The cache.
    pub cache: CacheSettings,
    /// How many runs of each task the history keeps; `None` leaves the choice to it.
    pub runs_per_task: Option<u32>,
    /// What is archived of a run.
    pub archive: super::archive::ArchiveSettings,
}

/// `[cache]`; `None` leaves the choice to the cache.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheSettings {
    /// The folder, as written; relative ones start at the root.
    pub dir: Option<String>,
    /// Bound of the size, in bytes.
    pub max_size: Option<u64>,
    /// Bound of the age, in seconds.
    pub max_age: Option<u64>,
    /// The zstd level.
    pub level: Option<i32>,
    /// Enters every key.
    pub salt: Option<String>,
}

/// Where something is written, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file relative to the root.
    pub file: String,
    /// Its line, from one.
    pub line: u32,
}

/// A file or folder that the result rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Relative to the root; empty for the root.
    pub path: Vec<u8>,
    /// What of it mattered.
    pub kind: SourceKind,
    /// How it was just before it was read; `None` when there was nothing.
    pub stat: Option<Stat>,
}

/// What of a source mattered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceKind {
    /// The content of a file, or that there is none.
    File,
    /// The names in a folder.
    Listing,
    /// Only that a folder is there.
    Folder,
}

/// The part of a stat that tells whether something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Whether it is a folder.
    pub folder: bool,
    /// Bytes.
    pub size: u64,
    /// Last change of the content, in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Last change of the inode, in nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// Inode number.
    pub ino: u64,
}
