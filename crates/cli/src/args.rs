//! The command line as data: one clap definition drives parsing, help, completions and `docs/cli.md`.
//! Knows nothing of what the commands do.

pub mod archive;
mod timings;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use archive::ArchiveArgs;
pub use timings::{Chart, Shown, TimingsAction, TimingsArgs};

/// Keeps the work that was already done: put it in front of any build, in any language.
#[derive(Debug, Parser)]
#[command(
    name = "larder",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(after_help = "\
`larder TASK…` is short for `larder run TASK…`; a subcommand wins over a task of the same name.

Variables of the environment:

    LARDER_CACHE_DIR  the cache's folder, as --cache-dir
    LARDER_FORCE      tasks to force, as --force=TASK,…
    LARDER_LOG        decisions as they are made, on standard error:
                      error, warn, info, debug or trace for all parts,
                      or by part, as in info,cache=trace
    NO_COLOR          no colour where --color is auto")]
pub struct Cli {
    /// Work as if started in this folder
    #[arg(short = 'C', long = "cwd", value_name = "DIR", global = true)]
    pub cwd: Option<PathBuf>,
    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto, global = true)]
    pub color: ColorChoice,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run tasks: skip what is up to date, restore what was done before, run the rest
    Run(Box<RunArgs>),
    /// Run tasks, stay, and run again what a change of files reaches: short for `run --watch`
    Watch(Box<RunArgs>),
    /// Say why a task would run now, or why it could be skipped
    Explain(ExplainArgs),
    /// List projects and tasks
    Ls(LsArgs),
    /// Print the task graph
    Graph(GraphArgs),
    /// Look at, check and trim the cache
    Cache(CacheArgs),
    /// Show, compare, check and draw what tasks took in earlier runs
    Timings(TimingsArgs),
    /// Keep runs for good: check them, push their repositories, mirror them elsewhere, compare and restore them
    Archive(ArchiveArgs),
    /// Start, show and stop the background process that watches this workspace, so that runs need not look at every file
    Session(SessionArgs),
    /// Write larder.toml files for the projects found in this folder
    Init(InitArgs),
    /// Print the JSON schema of larder.toml
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Which projects a command is about.
#[derive(Debug, Args, Default)]
pub struct Selection {
    /// Only these projects: a name (`web`, `@scope/*`), a folder (`./apps/*`, `../lib`), a git range
    /// (`[main...HEAD]`), with dependents (`...web`), with dependencies (`web...`), without the
    /// project itself (`...^web`, `web^...`), or not these (`!web`)
    #[arg(short = 'F', long, value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Only projects changed since BASE, and their dependents
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub affected: Option<String>,
    /// Prune the task graph: begin at these projects, tasks or chunks (`web`, `@scope/*#build`, `*#lint`,
    /// `web#cc[src/*.c]`), leave these out (`!*#test`), go `depth=N` steps down to dependencies (default: all),
    /// `up=N` steps up to dependents (default: none). Without a name to begin at: at the requested tasks.
    /// What is left out is taken as it lies on disk
    #[arg(long, value_name = "ITEM,…")]
    pub graph_filter: Vec<String>,
}

/// What of earlier runs is gone by.
#[derive(Debug, Clone, Default, Args)]
pub struct Reuse {
    /// Look at every file and read the configuration: use neither memo nor snapshots of earlier runs. What comes out is the same
    #[arg(long)]
    pub no_incremental: bool,
    /// The folder for memo and snapshots, instead of `.larder`
    #[arg(long, value_name = "DIR")]
    pub incremental_cache_dir: Option<PathBuf>,
    /// Do not ask the background session what changed
    #[arg(long)]
    pub no_session: bool,
}

/// Flags of `larder run`.
// Flags are what they are: each bool is one switch of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Tasks: `build` (in every project that has it), `web#build` or `web:build`
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<String>,
    /// Which projects
    #[command(flatten)]
    pub selection: Selection,
    /// Run although nothing changed: everything, or only these projects and tasks; results are still stored.
    /// Without the flag, `LARDER_FORCE=TASK,…` says the same
    #[arg(
        long,
        value_name = "TASK,…",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_delimiter = ','
    )]
    pub force: Option<Vec<String>>,
    /// What the cache may be used for: `local:rw`, `local:r`, `local:w` or `local:`
    #[arg(long, value_name = "USE", default_value = "local:rw")]
    pub cache: String,
    /// The cache's folder; without the flag, what `LARDER_CACHE_DIR` says
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// What of earlier runs is gone by
    #[command(flatten)]
    pub reuse: Reuse,
    /// Say what would be done, and do nothing
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub dry: Option<DryFormat>,
    /// Keep this run's record and print its path
    #[arg(long)]
    pub summarize: bool,
    /// Write this run as a trace, to be opened in Perfetto or speedscope
    #[arg(long, value_name = "FILE", conflicts_with = "dry")]
    pub profile: Option<PathBuf>,
    /// Write what this run changed in the outputs into DIR, a new or empty folder: `larder cache apply-delta DIR`
    /// turns the outputs of the run before into those of this one
    #[arg(long, value_name = "DIR", conflicts_with = "dry")]
    pub write_delta: Option<PathBuf>,
    /// Print the run record as JSON on standard output; all else goes to standard error
    #[arg(long)]
    pub json: bool,
    /// How many tasks may run at once: a number or a share of the processors (`50%`)
    #[arg(long, value_name = "N", default_value = "100%")]
    pub concurrency: String,
    /// What to do after a task failed
    #[arg(long = "continue", value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true, default_value = "never", default_missing_value = "always")]
    pub keep_going: Continue,
    /// Run only the named tasks; take what their dependencies made as it lies on disk
    #[arg(long)]
    pub only: bool,
    /// Print lines as they come, or a task's lines together
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = LogOrder::Stream)]
    pub log_order: LogOrder,
    /// Whose output to print, for every task: overrides `output-logs` of the configuration
    #[arg(long, value_name = "WHOSE", value_enum)]
    pub output_logs: Option<OutputLogs>,
    /// Print after the run what the cache did: hits, misses and seconds by project, fingerprints, sizes and places
    #[arg(long)]
    pub show_cache: bool,
    /// Say of each task why it ran or why it could be skipped
    #[arg(short, long)]
    pub verbose: bool,
    /// Stay, and run again what a change of files reaches
    #[arg(long, conflicts_with_all = ["dry", "only"])]
    pub watch: bool,
    /// With `--watch`: let a task end whose inputs changed while it runs, instead of starting it again at once
    #[arg(long)]
    pub no_interrupt: bool,
    /// Extra arguments for the commands of the named tasks
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// How `--dry` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryFormat {
    /// A line a task
    Text,
    /// A JSON document
    Json,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Continue {
    /// Start nothing new
    Never,
    /// Run what does not depend on the failed task
    DependenciesSuccessful,
    /// Run everything
    Always,
}

/// How output of tasks that run at once is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogOrder {
    /// Line by line, as it comes
    Stream,
    /// Task by task, when each ends
    Grouped,
}

/// Whose output is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputLogs {
    /// All, replayed on a hit
    Full,
    /// Of tasks that ran
    NewOnly,
    /// Of tasks that failed
    ErrorsOnly,
    /// Keys only
    HashOnly,
    /// None
    None,
}

/// Flags of `larder explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The task: `web#build`, `web:build`, or `build` when one project has it; or a chunk of it: `web#build[src/a.c]`
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Say instead why it does not hit what an archived run made: an entry as for `archive show`, or the path of a bundle
    #[arg(long, value_name = "ENTRY")]
    pub against: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The cache's folder; without the flag, what `LARDER_CACHE_DIR` says
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// Flags of `larder ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Which projects
    #[command(flatten)]
    pub selection: Selection,
    /// List the chunks of tasks with `foreach` as well
    #[arg(long)]
    pub chunks: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `larder graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Tasks to start from; absent: all. Of a chunk (`web#build[src/a.c]`): what it uses, and what uses it
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// Show the chunks of tasks with `foreach` as well, with what each used when it last succeeded
    #[arg(long)]
    pub chunks: bool,
    /// Which projects
    #[command(flatten)]
    pub selection: Selection,
    /// How to print
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
    /// Short for `--format json`
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// How `larder graph` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
    /// JSON
    Json,
}

/// Flags of `larder cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// The cache's folder; without the flag, what `LARDER_CACHE_DIR` says
    #[arg(long, value_name = "DIR", global = true)]
    pub cache_dir: Option<PathBuf>,
    /// The folder for memo and snapshots, if it is not `.larder`
    #[arg(long, value_name = "DIR", global = true)]
    pub incremental_cache_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do with it
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// Where it and the workspace's own state are, how large, the hit rate, the largest tasks, and how to clear each
    Status,
    /// Remove what was not used for longest, down to a size and an age
    Prune {
        /// Largest size to keep, such as `20GB`; default: `[cache] max-size`
        #[arg(long, value_name = "SIZE")]
        max_size: Option<String>,
        /// Greatest age to keep, such as `30d`; default: `[cache] max-age`
        #[arg(long, value_name = "AGE")]
        max_age: Option<String>,
    },
    /// Read every entry and artifact again; set bad ones aside
    Verify,
    /// Remove everything in the cache, or in parts of the workspace's own state
    Clear {
        /// What to clear: the cache, or what a workspace keeps for itself
        #[arg(value_name = "PART", value_enum, default_value = "cache")]
        parts: Vec<Part>,
    },
    /// Turn the outputs that lie in this workspace into those of the run that wrote the delta in DIR
    ApplyDelta {
        /// A folder that `larder run --write-delta` wrote
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// What can be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Entries and artifacts, for all workspaces that share the cache
    Cache,
    /// What is known of the tasks: they are judged anew, and outputs count as yours
    State,
    /// Fingerprints of files: all are digested again
    Memo,
    /// The resolved configuration: it is read again
    Snapshot,
    /// What is known of tasks since the last run: each is looked at again
    Session,
    /// Accounts of earlier runs
    Records,
    /// What tasks took in earlier runs: `larder timings` begins anew
    History,
    /// Files that were moved aside: there is no other copy
    Rescued,
}

/// Flags of `larder session`.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// What to do with it
    #[command(subcommand)]
    pub action: SessionAction,
}

/// What to do with the background session.
#[derive(Debug, Subcommand)]
pub enum SessionAction {
    /// Start it and wait until it watches; one that runs already is left alone, one of another version replaced
    Start {
        /// It ends when no run asked for so many minutes
        #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_IDLE, value_parser = clap::value_parser!(u32).range(1..))]
        idle: u32,
    },
    /// Whether it runs (exit code 0) or not (1), since when, how much it watches and holds
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End it and wait until it is gone
    Stop,
    /// Be the session, in this process
    #[command(hide = true)]
    Serve {
        /// It ends when no run asked for so many minutes
        #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_IDLE)]
        idle: u32,
    },
}

/// Minutes without a question after which a background session ends.
pub const DEFAULT_IDLE: u32 = 180;

/// Flags of `larder init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry: bool,
}

/// The names that win over tasks.
pub fn subcommands() -> Vec<String> {
    <Cli as clap::CommandFactory>::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// Inserts `run` where the first word is neither a subcommand nor a flag of the program itself.
pub fn with_run_inserted(mut args: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    while at < args.len() {
        match args[at].to_str() {
            Some("-C" | "--cwd" | "--color") => at += 2,
            Some(word)
                if word.starts_with("--cwd=")
                    || word.starts_with("--color=")
                    || (word.starts_with("-C") && word.len() > 2) =>
            {
                at += 1;
            }
            _ => break,
        }
    }
    let Some(word) = args.get(at) else {
        return args;
    };
    let known = word.to_str().is_some_and(|word| {
        matches!(word, "-h" | "--help" | "-V" | "--version")
            || subcommands().iter().any(|name| name == word)
    });
    if !known {
        args.insert(at, OsString::from("run"));
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(line: &str) -> String {
        let args = with_run_inserted(line.split(' ').map(OsString::from).collect());
        args.iter()
            .map(|arg| arg.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_task_name_is_short_for_run_and_a_subcommand_wins() {
        assert_eq!(inserted("larder build --force"), "larder run build --force");
        assert_eq!(inserted("larder -C web build"), "larder -C web run build");
        assert_eq!(
            inserted("larder --filter web build"),
            "larder run --filter web build"
        );
        assert_eq!(inserted("larder ls"), "larder ls");
        assert_eq!(inserted("larder --help"), "larder --help");
        assert_eq!(inserted("larder"), "larder");
    }

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
