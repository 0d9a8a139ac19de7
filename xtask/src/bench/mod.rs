//! `cargo xtask bench`: Larder beside its peers on the same trees, each run checked for what it claims.
//! It knows commands and files, and nothing of how the crates do their work.

mod account;
mod against;
pub(crate) mod archive;
mod around;
mod chunks;
pub(crate) mod compare;
mod configs;
mod content;
pub(crate) mod counting;
mod daemon;
mod document;
mod edits;
mod generate;
mod instructions;
pub(crate) mod latency;
mod machine;
pub(crate) mod measure;
mod passes;
mod plan;
mod profile;
mod programs;
mod random;
pub(crate) mod references;
pub(crate) mod results;
mod rounds;
mod scenario;
mod site;
pub(crate) mod stats;
pub(crate) mod table;
mod targets;
pub(crate) mod tools;
pub(crate) mod warm;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum as _;

use compare::Comparison;
use plan::{Plan, SIZES, Size};
use profile::Profiler;
use results::Results;
use rounds::{Competitor, Ground};
use scenario::Scenario;
use site::Site;
use tools::{Kind, Tool};

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
    /// Keep the figures under a name, to compare with later
    #[arg(long, value_name = "NAME", value_parser = archive::name)]
    save_baseline: Option<String>,
    /// Compare with the figures that were kept under a name
    #[arg(long, value_name = "NAME", value_parser = archive::name)]
    compare: Option<String>,
    /// Measure in turns with the larder of another revision, built now, or with another program, and compare
    #[arg(long, value_name = "REV|FILE")]
    against: Option<String>,
    /// Count instructions, too, under callgrind
    #[arg(long)]
    instructions: bool,
    /// Draw where the time goes: flame graphs by perf, or else files of callgrind's, beside the raw figures
    #[arg(long)]
    profile: bool,
    /// With --compare or --against: exit code 1 if something is surely worse by more than this share, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = compare::share)]
    fail_above: Option<f64>,
}

impl BenchArgs {
    /// Reads the words of a command line, without the command.
    pub(crate) fn read(words: &[String]) -> Result<BenchArgs, clap::Error> {
        #[derive(clap::Parser)]
        #[command(no_binary_name = true)]
        struct Line {
            #[command(flatten)]
            args: BenchArgs,
        }
        <Line as clap::Parser>::try_parse_from(words).map(|line| line.args)
    }

    fn wants(&self, scenario: Scenario) -> bool {
        if self.scenario.is_empty() {
            return scenario.is_possible();
        }
        self.scenario.contains(&scenario)
    }
}

/// What a session of measuring came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) results: Results,
    pub(crate) comparisons: Vec<Comparison>,
    /// Where all of it lies.
    pub(crate) folder: PathBuf,
    /// The trees, as far as they were kept.
    pub(crate) trees: PathBuf,
    /// Larder's own.
    pub(crate) tree: PathBuf,
    /// Larder.
    pub(crate) program: PathBuf,
}

/// Measures, prints, and keeps the raw figures.
pub(crate) fn run(root: &Path, args: &BenchArgs) -> Result<ExitCode, Box<dyn Error>> {
    let Some(outcome) = session(root, args)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let text = table::text(&outcome.results);
    print!("{text}");
    for comparison in &outcome.comparisons {
        print!("{}", compare::text(comparison, args.fail_above));
    }
    println!("\nraw figures: {}", outcome.folder.display());
    if args.write_docs {
        let path = root.join(document::PATH);
        let page = fs::read_to_string(&path)?;
        fs::write(
            &path,
            document::with_table(&page, &outcome.results.fixture, &text)?,
        )?;
        println!("wrote {}", document::PATH);
    }
    let limit = args.fail_above.unwrap_or(f64::INFINITY);
    let worse = |comparison| compare::worse(comparison, limit).next().is_some();
    Ok(if outcome.comparisons.iter().any(worse) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Measures and compares; nothing when trees were only to be written.
pub(crate) fn session(root: &Path, args: &BenchArgs) -> Result<Option<Outcome>, Box<dyn Error>> {
    if args.fail_above.is_some() && args.compare.is_none() && args.against.is_none() {
        return Err("--fail-above has nothing to compare with: add --compare or --against".into());
    }
    // What is wrong with it has to be known before anything takes time.
    let baseline = args.compare.as_deref().map(|name| {
        let found = archive::read_baseline(root, name, &args.fixture)?;
        found.ok_or_else(|| {
            Box::<dyn Error>::from(format!("there is no baseline {name} of {}", args.fixture))
        })
    });
    let baseline = baseline.transpose()?;
    let against = args
        .against
        .as_deref()
        .map(|what| against::find(root, what));
    let against = against.transpose()?;
    let mut tools = vec![programs::larder(root, args.larder.as_deref())?];
    tools.extend(against.iter().map(|other| other.tool.clone()));
    let search = programs::search_path();
    tools.extend(programs::peers(
        args.peers.as_deref().unwrap_or_default(),
        &search,
    )?);
    let trees = args.dir.clone().unwrap_or_else(default_folder);
    let trees = trees.join("larder-bench").join(&args.fixture);
    let program = tools[0].program.clone();
    eprintln!(
        "bench: writing {} trees into {}",
        tools.len(),
        trees.display()
    );
    let mut results = Results {
        started: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        revision: machine::revision(root),
        fixture: args.fixture.clone(),
        seed: args.seed,
        iterations: args.iterations.into(),
        machine: machine::machine(&trees),
        ..Results::default()
    };
    let written = if args.fixture == chunks::NAME {
        of_chunks(args, &trees, tools, &mut results)?
    } else {
        of_projects(root, args, &trees, tools, &mut results)?
    };
    if written == Written::Only {
        return Ok(None);
    }
    let mut comparisons = Vec::new();
    if let Some(other) = &against {
        comparisons.push(compare::beside(
            &results,
            other.tool.kind.name(),
            &other.words,
        ));
    }
    if let Some((old, name)) = baseline.as_ref().zip(args.compare.as_deref()) {
        comparisons.push(compare::with_baseline(old, &results, name)?);
    }
    let folder = archive::folder(root, &results.started)?;
    archive::keep(&folder, &results, &comparisons, args.fail_above)?;
    if let Some(name) = &args.save_baseline {
        let path = archive::save_baseline(root, name, &results)?;
        eprintln!("bench: baseline {name}: {}", path.display());
    }
    let outcome = Outcome {
        results,
        comparisons,
        folder,
        tree: Site::at(&trees.join(Kind::Larder.name())).root,
        trees,
        program,
    };
    if !args.keep {
        clear(&outcome)?;
    }
    Ok(Some(outcome))
}

/// Whether two revisions can be measured in turns in a scenario of this name.
pub(crate) fn is_measured_in_turns(name: &str) -> bool {
    let mut all = Scenario::value_variants().iter();
    all.any(|one| one.name() == name && one.includes(Kind::Against))
}

/// Removes the trees.
pub(crate) fn clear(outcome: &Outcome) -> Result<(), Box<dyn Error>> {
    site::remove(&outcome.trees)?;
    // It stays while another fixture lies in it.
    if let Some(above) = outcome.trees.parent() {
        let _ = fs::remove_dir(above);
    }
    Ok(())
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
    let which = |name: &str| tools::which(name, &search);
    if args.instructions {
        ground.callgrind = skipped("instructions", instructions::find(which, &root.join(AIDS)));
    }
    if args.profile {
        ground.profiler = Some(profiler(
            root,
            args,
            &archive::folder(root, &results.started)?,
        )?);
    }
    let git = which("git").is_some();
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

/// Where what helps to measure is built.
const AIDS: &str = "target/bench";

/// What is not possible here is said, and left out.
fn skipped<T>(what: &str, found: Result<T, String>) -> Option<T> {
    let told = |why: &String| eprintln!("bench: SKIPPED {what}: {why}");
    found.inspect_err(told).ok()
}

fn profiler(root: &Path, args: &BenchArgs, folder: &Path) -> Result<Profiler, Box<dyn Error>> {
    let search = programs::search_path();
    let which = |name: &str| tools::which(name, &search);
    let perf = profile::perf(which);
    let callgrind = if perf.is_none() {
        eprintln!("bench: perf is missing or may not look: callgrind instead");
        Some(instructions::find(which, &root.join(AIDS))?)
    } else {
        None
    };
    Ok(Profiler {
        program: match &args.larder {
            Some(program) => program.canonicalize()?,
            None => programs::with_symbols(root)?,
        },
        perf,
        callgrind,
        folder: folder.to_path_buf(),
        fixture: args.fixture.clone(),
    })
}

/// The fixture of tasks with many chunks.
fn of_chunks(
    args: &BenchArgs,
    folder: &Path,
    tools: Vec<Tool>,
    results: &mut Results,
) -> Result<Written, Box<dyn Error>> {
    if args.instructions || args.profile {
        eprintln!(
            "bench: SKIPPED instructions and profiles: {} has neither",
            chunks::NAME
        );
    }
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
            archiver: runs("zstd").is_some() && runs("tar").is_some_and(|tar| tools::is_gnu(&tar)),
        },
        library: PathBuf::new(),
        callgrind: None,
        profiler: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<BenchArgs, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        BenchArgs::read(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read() {
        let args =
            read("--compare main --against HEAD~1 --fail-above 5% --scenario noop,edit5").unwrap();
        assert_eq!(args.compare.as_deref(), Some("main"));
        assert_eq!(args.against.as_deref(), Some("HEAD~1"));
        assert_eq!(args.fail_above, Some(0.05));
        assert!(args.wants(Scenario::Edit5) && !args.wants(Scenario::Cold));
        for wrong in [
            "--fail-above five",
            "--save-baseline ../x",
            "--compare a/b",
            "--fixture huge",
            "--scenario session",
            "--iterations 0",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_without_anything_to_compare_with_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let refused = |words: &str| {
            let ended = session(root.path(), &read(words).unwrap());
            ended.unwrap_err().to_string()
        };
        let told = refused("--fail-above 5%");
        assert!(told.contains("add --compare or --against"), "{told}");
        let told = refused("--compare main");
        assert_eq!(told, "there is no baseline main of small");
    }
}
