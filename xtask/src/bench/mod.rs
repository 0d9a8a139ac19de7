//! `cargo xtask bench`: Larder beside its peers on the same trees, each run checked for what it claims.
//! It knows commands and files, and nothing of how the crates do their work.

mod account;
mod around;
mod configs;
mod content;
pub(crate) mod counting;
mod document;
mod generate;
pub(crate) mod measure;
mod plan;
mod random;
pub(crate) mod references;
mod results;
mod rounds;
mod scenario;
mod site;
mod table;
mod targets;
pub(crate) mod tools;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::ValueEnum as _;

use plan::{Plan, SIZES, Size};
use results::{Machine, Results};
use rounds::{Competitor, Ground};
use scenario::Scenario;
use tools::{Kind, PEERS, Tool};

/// Arguments of `cargo xtask bench`.
// Flags are what they are: each bool is one switch of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// The tree: small, medium or large
    #[arg(long, default_value = "small", value_parser = ["small", "medium", "large"])]
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

/// Measures, prints, and keeps the raw figures.
pub(crate) fn run(root: &Path, args: &BenchArgs) -> Result<ExitCode, Box<dyn Error>> {
    let size = *SIZES
        .iter()
        .find(|size| size.name == args.fixture)
        .ok_or("no such fixture")?;
    let search = search_path();
    let mut tools = vec![larder(root, args)?];
    tools.extend(peers(args.peers.as_deref().unwrap_or_default(), &search)?);
    let ground = ground(args, size, &search);
    eprintln!(
        "bench: writing {} trees into {}",
        tools.len(),
        ground.folder.display()
    );
    let git = tools::which("git", &search).is_some();
    let mut competitors = Vec::new();
    for tool in tools {
        competitors.push(Competitor::new(tool, &ground, git)?);
    }
    if args.only_write {
        return Ok(ExitCode::SUCCESS);
    }
    let mut results = Results {
        started: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        fixture: size.name.to_owned(),
        seed: args.seed,
        tasks: size.tasks,
        files: size.files,
        iterations: args.iterations.into(),
        edit_runs: 1 + ground.plan.dependents(ground.plan.middle().0).len(),
        machine: machine(&ground),
        versions: competitors
            .iter()
            .map(|one| (one.tool.kind.name().to_owned(), one.tool.version.clone()))
            .collect(),
        rows: Vec::new(),
    };
    let measured = scenarios(args, &ground, &mut competitors, &mut results);
    rounds::leave(&competitors);
    // After an error they stay, to be looked at.
    measured?;
    if !args.keep {
        site::remove(&ground.folder)?;
        // It stays while another fixture lies in it.
        if let Some(above) = ground.folder.parent() {
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
        fs::write(&path, document::with_table(&page, size.name, &text)?)?;
        println!("wrote {}", document::PATH);
    }
    Ok(ExitCode::SUCCESS)
}

fn scenarios(
    args: &BenchArgs,
    ground: &Ground,
    competitors: &mut [Competitor],
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    for scenario in Scenario::value_variants() {
        if args.scenario.is_empty() || args.scenario.contains(scenario) {
            eprintln!("bench: {}", scenario.name());
            let rows = rounds::scenario(ground, competitors, *scenario)?;
            results.rows.extend(rows);
        }
    }
    Ok(())
}

fn ground(args: &BenchArgs, size: Size, search: &[PathBuf]) -> Ground {
    let folder = args.dir.clone().unwrap_or_else(default_folder);
    let runs =
        |name: &str| tools::which(name, search).filter(|path| tools::version(path).is_some());
    Ground {
        plan: Plan::new(size, args.seed),
        folder: folder.join("larder-bench").join(size.name),
        processors: generate::processors(),
        iterations: args.iterations.into(),
        limit: Duration::from_secs(args.limit),
        programs: references::Programs {
            b3sum: runs("b3sum"),
            archiver: runs("zstd").is_some() && runs("tar").is_some(),
        },
        strace: runs("strace").filter(|_| !args.no_strace),
    }
}

/// The program to measure.
fn larder(root: &Path, args: &BenchArgs) -> Result<Tool, Box<dyn Error>> {
    let program = match &args.larder {
        Some(program) => program.canonicalize()?,
        None => build(root)?,
    };
    let version = tools::version(&program).ok_or("larder does not tell its version")?;
    Ok(Tool {
        kind: Kind::Larder,
        program,
        version,
    })
}

/// Builds the program as it is shipped.
fn build(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    eprintln!("bench: building larder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "-p", "larder"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err("larder could not be built".into());
    }
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()?;
    Ok(metadata
        .target_directory
        .join("release/larder")
        .into_std_path_buf())
}

/// The peers that were asked for and are there.
fn peers(asked: &[String], search: &[PathBuf]) -> Result<Vec<Tool>, Box<dyn Error>> {
    let all = asked.iter().any(|name| name == "all");
    let known = |name: &String| name == "all" || PEERS.iter().any(|kind| kind.name() == name);
    if let Some(name) = asked.iter().find(|name| !known(name)) {
        return Err(format!("there is no peer {name}").into());
    }
    let mut found = Vec::new();
    for kind in PEERS {
        if !all && !asked.iter().any(|name| name == kind.name()) {
            continue;
        }
        if let Some(tool) = tools::find(*kind, search) {
            found.push(tool);
        } else {
            eprintln!("bench: {} is not on PATH: left out", kind.name());
        }
    }
    Ok(found)
}

fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

fn default_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    }
}

fn machine(ground: &Ground) -> Machine {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        system: format!(
            "{} {} {}",
            std::env::consts::OS,
            release.trim(),
            std::env::consts::ARCH
        )
        .replace("  ", " "),
        processors: ground.processors,
        file_system: file_system(&ground.folder),
        load: load.split(' ').next().unwrap_or("").to_owned(),
    }
}

/// The type of the file system that a folder lies on, as the kernel's list of mounts tells it.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((PathBuf::from(words.next()?), words.next()?))
        })
        .filter(|(place, _)| folder.starts_with(place))
        .max_by_key(|(place, _)| place.as_os_str().len())
        .map_or("an unknown file system".to_owned(), |(_, kind)| {
            kind.to_owned()
        })
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
