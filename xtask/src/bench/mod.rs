//! `cargo xtask bench`: Larder beside its peers on the same trees, each run checked for what it claims.
//! It knows commands and files, and nothing of how the crates do their work.

mod account;
mod around;
mod chunks;
mod configs;
mod content;
pub(crate) mod counting;
mod daemon;
mod document;
mod edits;
mod generate;
pub(crate) mod latency;
mod machine;
pub(crate) mod measure;
mod plan;
mod programs;
mod random;
pub(crate) mod references;
mod results;
mod rounds;
mod scenario;
mod site;
mod table;
mod targets;
pub(crate) mod tools;
pub(crate) mod warm;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum as _;

use plan::{Plan, SIZES, Size};
use results::Results;
use rounds::{Competitor, Ground};
use scenario::Scenario;
use tools::Tool;

/// Arguments of `cargo xtask bench`.
// Flags are what they are: each bool is one switch of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// The tree: small, medium or large, or chunks
    #[arg(long, default_value = "small", value_parser = ["small", "medium", "large", chunks::NAME])]
    fixture: String,
    /// Only these scenarios; absent: all
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<Scenario>,
    /// Measured runs of each tool in each scenario
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    iterations: u16,
    /// Also the peers that are on PATH: all, or these (ninja, go-task, turborepo, nx, moon, vite-task)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "all", value_delimiter = ',')]
    peers: Option<Vec<String>>,
    /// What the fixture is made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for the trees; absent: tmpfs where there is one, else the folder for temporary files
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the trees there for the next time
    #[arg(long)]
    keep: bool,
    /// The program to measure; absent: a release build, made now
    #[arg(long)]
    larder: Option<PathBuf>,
    /// Seconds that one run of a tool may take
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Do not count system calls
    #[arg(long)]
    no_strace: bool,
    /// Write the trees, keep them, and stop
    #[arg(long)]
    only_write: bool,
    /// Put the tables into docs/performance.md
    #[arg(long)]
    write_docs: bool,
}

impl BenchArgs {
    fn wants(&self, scenario: Scenario) -> bool {
        self.scenario.is_empty() || self.scenario.contains(&scenario)
    }
}

/// Measures, prints, and keeps the raw figures.
pub(crate) fn run(root: &Path, args: &BenchArgs) -> Result<ExitCode, Box<dyn Error>> {
    let search = programs::search_path();
    let mut tools = vec![programs::larder(root, args.larder.as_deref())?];
    tools.extend(programs::peers(
        args.peers.as_deref().unwrap_or_default(),
        &search,
    )?);
    let folder = args.dir.clone().unwrap_or_else(default_folder);
    let folder = folder.join("larder-bench").join(&args.fixture);
    eprintln!(
        "bench: writing {} trees into {}",
        tools.len(),
        folder.display()
    );
    let mut results = Results {
        started: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        revision: machine::revision(root),
        fixture: args.fixture.clone(),
        seed: args.seed,
        iterations: args.iterations.into(),
        machine: machine::machine(&folder),
        ..Results::default()
    };
    let written = if args.fixture == chunks::NAME {
        of_chunks(args, &folder, tools, &mut results)?
    } else {
        of_projects(root, args, &folder, tools, &mut results)?
    };
    if written == Written::Only {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.keep {
        site::remove(&folder)?;
        // It stays while another fixture lies in it.
        if let Some(above) = folder.parent() {
            let _ = fs::remove_dir(above);
        }
    }
    let kept = keep(root, &results)?;
    let text = table::text(&results);
    print!("{text}");
    println!("\nraw figures: {}", kept.display());
    if args.write_docs {
        let path = root.join(document::PATH);
        let page = fs::read_to_string(&path)?;
        fs::write(&path, document::with_table(&page, &results.fixture, &text)?)?;
        println!("wrote {}", document::PATH);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the trees were measured, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Only,
    AndMeasured,
}

/// One of the fixtures with one task a project. After an error its trees stay, to be looked at.
fn of_projects(
    root: &Path,
    args: &BenchArgs,
    folder: &Path,
    tools: Vec<Tool>,
    results: &mut Results,
) -> Result<Written, Box<dyn Error>> {
    let mut sizes = SIZES.iter();
    let size = *sizes
        .find(|size| size.name == args.fixture)
        .ok_or("no such fixture")?;
    let search = programs::search_path();
    let mut ground = ground(args, size, folder, &search);
    if args.wants(Scenario::Warm) && !args.only_write {
        ground.library = programs::build(root, "xtask")?;
    }
    let git = tools::which("git", &search).is_some();
    let mut competitors = Vec::new();
    for tool in tools {
        competitors.push(Competitor::new(tool, &ground, git)?);
    }
    if args.only_write {
        return Ok(Written::Only);
    }
    results.tasks = size.tasks;
    results.files = size.files;
    results.edit_runs = Scenario::Edit.to_run(&ground.plan).len();
    results.edit5_runs = Scenario::Edit5.to_run(&ground.plan).len();
    let version = |one: &Competitor| (one.tool.kind.name().to_owned(), one.tool.version.clone());
    results.versions = competitors.iter().map(version).collect();
    let measured = scenarios(args, &ground, &mut competitors, results);
    rounds::leave(&competitors);
    measured?;
    Ok(Written::AndMeasured)
}

/// The fixture of tasks with many chunks.
fn of_chunks(
    args: &BenchArgs,
    folder: &Path,
    tools: Vec<Tool>,
    results: &mut Results,
) -> Result<Written, Box<dyn Error>> {
    let ground = chunks::Ground {
        size: chunks::SIZE,
        folder,
        processors: generate::processors(),
        iterations: args.iterations.into(),
        limit: Duration::from_secs(args.limit),
    };
    let mut competitors = Vec::new();
    for tool in tools {
        if chunks::can_take_part(tool.kind) {
            competitors.push(chunks::Competitor::new(tool, &ground)?);
        } else {
            eprintln!("bench: {} has no tasks by file: left out", tool.kind.name());
        }
    }
    if args.only_write {
        return Ok(Written::Only);
    }
    results.tasks = ground.size.tasks;
    results.files = ground.size.files;
    let runs = |scenario| chunks::edited(scenario, ground.size).len();
    (results.edit_runs, results.edit5_runs) = (runs(Scenario::Edit), runs(Scenario::Edit5));
    results.versions = competitors
        .iter()
        .map(chunks::Competitor::version)
        .collect();
    let measured = chunks::rows(&ground, &competitors, |scenario| args.wants(scenario));
    competitors.iter().for_each(chunks::Competitor::leave);
    results.rows = measured?;
    Ok(Written::AndMeasured)
}

fn scenarios(
    args: &BenchArgs,
    ground: &Ground,
    competitors: &mut [Competitor],
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    for scenario in Scenario::value_variants() {
        if args.wants(*scenario) {
            eprintln!("bench: {}", scenario.name());
            let rows = rounds::scenario(ground, competitors, *scenario)?;
            results.rows.extend(rows);
        }
    }
    Ok(())
}

fn ground(args: &BenchArgs, size: Size, folder: &Path, search: &[PathBuf]) -> Ground {
    let runs =
        |name: &str| tools::which(name, search).filter(|path| tools::version(path).is_some());
    Ground {
        plan: Plan::new(size, args.seed),
        folder: folder.to_path_buf(),
        processors: generate::processors(),
        iterations: args.iterations.into(),
        limit: Duration::from_secs(args.limit),
        programs: references::Programs {
            b3sum: runs("b3sum"),
            archiver: runs("zstd").is_some() && runs("tar").is_some(),
        },
        library: PathBuf::new(),
        strace: runs("strace").filter(|_| !args.no_strace),
    }
}

fn default_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    }
}

/// Writes the raw figures.
fn keep(root: &Path, results: &Results) -> Result<PathBuf, Box<dyn Error>> {
    let folder = root
        .join(".cache/perf")
        .join(results.started.replace(':', "-"));
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.json", results.fixture));
    fs::write(&path, serde_json::to_vec_pretty(results)?)?;
    Ok(path)
}
