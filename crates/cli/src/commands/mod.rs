//! The commands: arguments in, exit code out. The only place that knows the terminal as a whole.
//! Does not know how tasks are judged or run.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};

use crate::args::{
    Cli, ColorChoice, Command, GraphFormat, Reuse, Selection, SessionAction, with_run_inserted,
};
use crate::config::{self, Workspace};
use crate::diagnostics;
use crate::execute::exit;
use crate::execute::{Cancel, ProcessExecutor, install_signal_handlers};
use crate::plan::{CycleError, Plan};
use crate::record;
use crate::select;
use crate::select::graph_filter::GraphFilter;
use crate::select::prune::LeftOut;
use crate::session::{OpenError, Session, Surroundings};

mod archive;
mod cache;
mod delta;
mod explain;
mod keys;
mod list;
mod profile;
mod rounds;
mod run;
mod session;
mod show_cache;
mod status;
mod summary;
mod timings;
mod told;
mod watch;

/// The surroundings of the process, gathered by the binary.
#[derive(Debug)]
pub struct World {
    /// Program name and arguments.
    pub args: Vec<OsString>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// The current folder.
    pub cwd: PathBuf,
    /// Whether standard output is a terminal.
    pub stdout_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_terminal: bool,
}

impl World {
    fn var(&self, name: &str) -> Option<&OsString> {
        self.env
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value)
    }
}

/// What every command works with.
struct Context<'a> {
    world: &'a World,
    cwd: PathBuf,
    /// Whether standard output takes colour.
    colour: bool,
    /// Whether standard error does.
    stderr_colour: bool,
}

/// A mistake of the user, with what to do about it.
#[derive(Debug)]
struct Usage {
    kind: &'static str,
    message: String,
}

impl Usage {
    fn new(message: impl std::fmt::Display) -> Usage {
        Usage {
            kind: "usage",
            message: message.to_string(),
        }
    }
}

impl From<OpenError> for Usage {
    fn from(error: OpenError) -> Usage {
        Usage {
            kind: "configuration",
            message: error.to_string(),
        }
    }
}

impl From<select::prune::FilterError> for Usage {
    fn from(error: select::prune::FilterError) -> Usage {
        Usage::new(error)
    }
}

impl From<CycleError> for Usage {
    fn from(error: CycleError) -> Usage {
        Usage {
            kind: "configuration",
            message: error.to_string(),
        }
    }
}

type Outcome = Result<u8, Usage>;

/// The projects that the flags of a command choose.
fn selected(
    workspace: &Workspace,
    root: &Path,
    selection: &Selection,
) -> Result<BTreeSet<usize>, Usage> {
    let base = selection.affected.as_deref();
    select::projects(workspace, root, &selection.filter, base).map_err(Usage::new)
}

/// A plan without what `--graph-filter` leaves out.
fn pruned(workspace: &Workspace, plan: Plan, selection: &Selection) -> Result<Plan, Usage> {
    let filter = GraphFilter::parse(&selection.graph_filter).map_err(Usage::new)?;
    // Where projects are chosen by what changed, none may be left.
    let by_change =
        selection.affected.is_some() || selection.filter.iter().any(|filter| filter.contains('['));
    select::prune::plan(workspace, plan, &filter, by_change).map_err(Usage::new)
}

/// As [`pruned`], where chunks that are named and are none are an error as well, unless the plan is to be run and may make
/// them.
fn pruned_with_chunks(
    session: &Session<'_>,
    plan: Plan,
    selection: &Selection,
    runs: bool,
) -> Result<Plan, Usage> {
    let filter = GraphFilter::parse(&selection.graph_filter).map_err(Usage::new)?;
    let mut plan = pruned(&session.workspace, plan, selection)?;
    select::prune::check_chunks(&session.workspace, &mut plan, &filter, &|task| {
        let listed = crate::session::chunks::listed(session, task).map_err(Usage::new)?;
        let id = crate::plan::task_id(&session.workspace, task);
        let names = listed.chunks.values();
        let names = names.map(|within| format!("{id}[{within}]"));
        Ok::<_, Usage>((names.collect(), runs && listed.open))
    })?;
    Ok(plan)
}

/// How many tasks a graph filter left out, as one line.
fn left_out_line(left_out: &[LeftOut], kept: usize) -> String {
    let out = left_out.len();
    let tasks = cache::count(out + kept, "task", "tasks");
    format!("graph filter: {out} of {tasks} left out")
}

/// Runs the program and gives its exit code.
pub fn main(world: &World) -> u8 {
    let cli = match Cli::try_parse_from(with_run_inserted(world.args.clone())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows where each is printed.
            let _ = error.print();
            return if error.use_stderr() {
                exit::USAGE
            } else {
                exit::SUCCESS
            };
        }
    };
    if let Some(value) = world.var("LARDER_LOG")
        && let Err(error) = diagnostics::listen(&value.to_string_lossy())
    {
        say(&format!("larder: {error}"));
        return exit::USAGE;
    }
    let colour = |terminal: bool| match cli.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            terminal
                && world.var("NO_COLOR").is_none()
                && world.var("TERM").is_none_or(|term| term != "dumb")
        }
    };
    let (colour, stderr_colour) = (colour(world.stdout_terminal), colour(world.stderr_terminal));
    let cwd = cli
        .cwd
        .map_or_else(|| world.cwd.clone(), |dir| world.cwd.join(dir));
    let context = Context {
        world,
        cwd,
        colour,
        stderr_colour,
    };
    let json = answers_json(&cli.command);
    let outcome = match cli.command {
        _ if !context.cwd.is_dir() => Err(Usage::new(format!(
            "the folder {} does not exist\n  correct the path after `-C`",
            context.cwd.display()
        ))),
        Command::Run(args) => run::run(&context, &args),
        Command::Watch(args) => watch::watch(&context, &args),
        Command::Explain(args) => explain::explain(&context, &args),
        Command::Ls(args) => list::list(&context, &args),
        Command::Graph(args) => list::graph(&context, &args),
        Command::Cache(args) => cache::cache(&context, &args),
        Command::Timings(args) => timings::timings(&context, &args),
        Command::Archive(args) => archive::archive(&context, &args),
        Command::Session(args) => session::session(&context, &args),
        Command::Init(args) => init(&context, &args),
        Command::Schema => print(&format!("{:#}\n", config::schema())).map(|()| exit::SUCCESS),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "larder", &mut script);
            print(&String::from_utf8_lossy(&script)).map(|()| exit::SUCCESS)
        }
    };
    match outcome {
        Ok(code) => code,
        Err(usage) => {
            if json && usage.kind != "output" {
                let error = serde_json::json!({ "version": record::VERSION, "exit_code": exit::USAGE, "error": { "kind": usage.kind, "message": usage.message } });
                // The error is told below whatever becomes of this.
                let _ = print(&format!("{error:#}\n"));
            }
            say(&format!("larder: {}", usage.message.trim_end()));
            exit::USAGE
        }
    }
}

/// Whether standard output is for a program to read, so that an error goes there as well.
fn answers_json(command: &Command) -> bool {
    match command {
        Command::Run(args) | Command::Watch(args) => args.json,
        Command::Explain(args) => args.json,
        Command::Ls(args) => args.json,
        Command::Graph(args) => args.json || matches!(args.format, GraphFormat::Json),
        Command::Cache(args) => args.json,
        Command::Timings(args) => args.json,
        Command::Archive(args) => args.json,
        Command::Session(args) => matches!(args.action, SessionAction::Status { json: true }),
        Command::Init(_) | Command::Schema | Command::Completions { .. } => false,
    }
}

/// `larder init`: plans the files, then writes all of them or none.
fn init(context: &Context<'_>, args: &crate::args::InitArgs) -> Outcome {
    let files = crate::init::plan(&context.cwd).map_err(Usage::new)?;
    if !args.dry {
        crate::init::write(&context.cwd, &files).map_err(Usage::new)?;
    }
    for file in &files {
        if args.dry {
            print(&format!("# {}\n{}\n", file.path.display(), file.text))?;
        } else {
            print(&format!("wrote {}\n", file.path.display()))?;
        }
    }
    Ok(exit::SUCCESS)
}

/// Writes to standard output. A closed pipe is the reader's wish.
///
/// # Errors
/// When it cannot be written for another reason: what was asked for is lost then.
fn print(text: &str) -> Result<(), Usage> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritten(&error)),
        _ => Ok(()),
    }
}

/// The kind of mistake of an output that takes nothing.
const UNWRITTEN: &str = "output";

/// The mistake of an output that takes nothing.
fn unwritten(error: &std::io::Error) -> Usage {
    Usage {
        kind: UNWRITTEN,
        message: format!(
            "the output cannot be written: {error}\n  make room where it goes, or send it elsewhere"
        ),
    }
}

/// Writes a line to standard error.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Context<'_> {
    /// The root of the workspace.
    fn root(&self) -> Result<PathBuf, Usage> {
        config::find_root(&self.cwd).ok_or_else(|| {
            Usage::new(format!(
                "there is no larder.toml in {} or above it\n  `larder init` writes one",
                self.cwd.display()
            ))
        })
    }

    fn workspace(&self, root: &Path) -> Result<Workspace, Usage> {
        let workspace = crate::session::workspace(root, &self.world.env)
            .map_err(|error| self.open_error(error))?;
        log::debug!(target: diagnostics::CONFIG, "{} projects, {} tasks", workspace.projects.len(), workspace.tasks.len());
        Ok(workspace)
    }

    fn open_error(&self, error: OpenError) -> Usage {
        match error {
            OpenError::Config(error) => Usage {
                kind: "configuration",
                message: error.render(self.stderr_colour),
            },
            other @ OpenError::Io { .. } => other.into(),
        }
    }

    /// Opens a session and does something in it.
    fn with_session<T>(
        &self,
        cache_dir: Option<PathBuf>,
        reuse: &Reuse,
        act: impl FnOnce(&mut Session<'_>) -> Result<T, Usage>,
    ) -> Result<T, Usage> {
        let root = self.root()?;
        let executor = ProcessExecutor::default();
        let clock = larder_timing::SystemClock::new();
        let cancel = Cancel::new();
        install_signal_handlers(&cancel)
            .map_err(|error| Usage::new(format!("signals cannot be watched: {error}")))?;
        let around = Surroundings {
            env: &self.world.env,
            cache_dir: cache_dir
                .or_else(|| self.world.var("LARDER_CACHE_DIR").map(PathBuf::from))
                .map(|dir| self.cwd.join(dir)),
            executor: &executor,
            cancel,
            clock: &clock,
            options: None,
            incremental: !reuse.no_incremental,
            incremental_dir: reuse
                .incremental_cache_dir
                .as_ref()
                .map(|dir| self.cwd.join(dir)),
        };
        let mut session = Session::load(&root, around).map_err(|error| self.open_error(error))?;
        act(&mut session)
    }
}
