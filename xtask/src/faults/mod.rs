//! `cargo xtask faults`: kills `larder` at every change it makes to a disk, and fails its calls one by one.
//! Knows nothing of how `larder` works inside; what must hold afterwards is in `scene.rs`.
//!
//! Faults are injected by strace into `larder` alone: it lets go of a process that becomes another program, so the
//! commands of tasks are not touched.

mod folders;
mod scene;
mod trace;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use scene::{SCENARIOS, Scenario, Scene};

/// How the campaign is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A sample that takes less than a minute
    #[arg(long)]
    quick: bool,
    /// Go on after a wrong state, and list all
    #[arg(long)]
    keep_going: bool,
    /// Only faults whose description holds this, such as `rescue kill rename` or `cold openat EMFILE`
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// A call made to fail: its name, the error, and whether all later ones fail too.
const ERRORS: &[(&str, &str, bool)] = &[
    ("write", "ENOSPC", true),
    ("write", "EIO", false),
    ("copy_file_range", "ENOSPC", false),
    ("ftruncate", "EIO", false),
    ("fsync", "EIO", false),
    ("fdatasync", "EIO", false),
    ("open", "EMFILE", false),
    ("openat", "EMFILE", false),
    ("openat", "EACCES", false),
    ("openat", "ENOSPC", false),
    ("openat2", "EACCES", false),
    ("openat2", "EMFILE", false),
    ("mkdir", "ENOSPC", false),
    ("mkdirat", "ENOSPC", false),
    ("rename", "EIO", false),
    ("renameat", "EIO", false),
    ("renameat2", "EIO", false),
    ("linkat", "EIO", false),
    ("symlinkat", "ENOSPC", false),
    ("unlink", "EIO", false),
    ("unlinkat", "EIO", false),
    ("fchmod", "EPERM", false),
    ("utimensat", "EPERM", false),
    ("flock", "ENOLCK", false),
    ("read", "EIO", false),
    ("pread64", "EIO", false),
    ("getdents64", "EIO", false),
    ("statx", "EIO", false),
    ("newfstatat", "EIO", false),
    ("fstat", "EIO", false),
    ("readlinkat", "EIO", false),
];

/// Wrong states whose cause is known and not mended yet: part of what is said of them, and the cause. They are
/// counted apart. Each has an ignored test; both go with the mending.
const KNOWN: &[(&str, &str)] = &[];

/// One fault.
#[derive(Debug, Clone)]
struct Fault {
    scenario: Scenario,
    /// `kill`, or the name of an error.
    how: &'static str,
    /// The row of the table: the change before which the process is killed, or the call that fails.
    row: String,
    syscall: String,
    nth: u32,
    onwards: bool,
    /// Whether the main thread alone is struck.
    alone: bool,
    /// The change that did not happen, for people.
    call: String,
}

impl Fault {
    fn describe(&self) -> String {
        let onwards = if self.onwards { "+" } else { "" };
        format!(
            "{} {} {} ({} {}{onwards})",
            self.scenario.name(),
            self.how,
            self.row,
            self.syscall,
            self.nth
        )
    }

    fn injection(&self) -> String {
        let effect = if self.how == "kill" {
            "signal=SIGKILL".to_owned()
        } else {
            format!("error={}", self.how)
        };
        let onwards = if self.onwards { "+" } else { "" };
        format!(
            "inject={}:{effect}:when={}{onwards}",
            self.syscall, self.nth
        )
    }
}

/// How often what came out, for a row of the table.
#[derive(Debug, Default)]
struct Tally {
    struck: usize,
    /// The run went on to success, or was killed, and all is well.
    sound: usize,
    /// The run said that it failed, and all is well.
    refused: usize,
    /// The place was not come by in this run.
    passed: usize,
    known: usize,
    wrong: usize,
}

/// What became of one fault.
enum Verdict {
    Sound,
    Refused,
    Passed,
    Wrong(String),
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs the campaign on the debug binary; whether all was well.
pub(crate) fn run(root: &Path, args: &Args) -> Outcome<bool> {
    permitted().map_err(|reason| {
        format!("strace is needed for this, and {reason}\n  install strace, and allow ptrace")
    })?;
    let larder = build(root)?;
    let base = std::env::temp_dir().join(format!("larder-faults-{}", std::process::id()));
    fs::create_dir_all(&base)?;
    let base = base.canonicalize()?;
    let scene = Scene::new(&larder, &base);
    scene.prepare()?;
    let started = Instant::now();
    let mut table: BTreeMap<(&str, &str, String), Tally> = BTreeMap::new();
    let mut wrongs = 0;
    let mut unreached = 0;
    for scenario in SCENARIOS {
        let (faults, missed) = faults(&scene, &base, scenario, args)?;
        unreached += missed;
        for fault in faults {
            let tally = table
                .entry((scenario.name(), fault.how, fault.row.clone()))
                .or_default();
            tally.struck += 1;
            match strike(&scene, &base, &fault)? {
                Verdict::Sound => tally.sound += 1,
                Verdict::Refused => tally.refused += 1,
                Verdict::Passed => tally.passed += 1,
                Verdict::Wrong(what) if known(&what) => tally.known += 1,
                Verdict::Wrong(what) => {
                    tally.wrong += 1;
                    wrongs += 1;
                    tell(&fault, &what);
                    if !args.keep_going {
                        print(&table);
                        println!("kept for a look: {}", base.display());
                        return Ok(false);
                    }
                }
            }
        }
    }
    print(&table);
    if table.values().any(|tally| tally.known > 0) {
        for (_, cause) in KNOWN {
            println!("known: {cause}");
        }
    }
    let total: usize = table.values().map(|tally| tally.struck).sum();
    println!(
        "{total} faults in {:.0} s, {wrongs} wrong; {unreached} changes that no injection reaches",
        started.elapsed().as_secs_f64()
    );
    fs::remove_dir_all(base)?;
    Ok(wrongs == 0)
}

/// Whether strace is here and may trace.
fn permitted() -> Result<(), String> {
    let output = Command::new("strace")
        .args(["-f", "-b", "execve", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "it may not trace: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

fn build(root: &Path) -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "-p", "larder"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err("larder cannot be built".into());
    }
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .other_options(["--offline".to_owned(), "--locked".to_owned()])
        .exec()?;
    Ok(metadata.target_directory.join("debug/larder").into())
}

/// The words that run a program under strace: all its threads, but not what its children become, or its main thread alone.
fn strace(base: &Path, alone: bool, what: &[&str]) -> Vec<String> {
    let output = base.join("trace").to_string_lossy().into_owned();
    let threads: &[&str] = if alone { &[] } else { &["-f", "-b", "execve"] };
    ["strace", "-y", "-o", &output]
        .into_iter()
        .chain(threads.iter().copied())
        .chain(what.iter().copied())
        .map(str::to_owned)
        .collect()
}

/// The faults of a scenario, from a run without any; and how many changes cannot be reached.
fn faults(
    scene: &Scene,
    base: &Path,
    scenario: Scenario,
    args: &Args,
) -> Outcome<(Vec<Fault>, usize)> {
    scene.reset(scenario)?;
    let output = scene
        .run(&strace(base, false, &["-e", "trace=all"]))
        .output()?;
    if let Some(bad) = scene
        .after_success(scenario)
        .filter(|_| output.status.success())
    {
        return Err(format!("{} is wrong without any fault: {bad}", scenario.name()).into());
    }
    if !output.status.success() {
        return Err(format!(
            "{} fails without any fault: {}",
            scenario.name(),
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let trace = fs::read_to_string(base.join("trace"))?;
    let place = format!("{}/", scene.place().display());
    let (points, missed) = trace::points(&trace, &place);
    let mut faults: Vec<Fault> = points
        .into_iter()
        .map(|point| Fault {
            scenario,
            how: "kill",
            row: point.before.to_owned(),
            syscall: point.syscall,
            nth: point.nth,
            onwards: false,
            alone: point.alone,
            call: point.call,
        })
        .collect();
    let names: Vec<&str> = ERRORS.iter().map(|(name, _, _)| *name).collect();
    let most = trace::most(&trace, &names);
    for (name, error, onwards) in ERRORS {
        faults.extend(
            (1..=most.get(*name).copied().unwrap_or(0)).map(|nth| Fault {
                scenario,
                how: error,
                row: (*name).to_owned(),
                syscall: (*name).to_owned(),
                nth,
                onwards: *onwards,
                alone: false,
                call: String::new(),
            }),
        );
    }
    if let Some(only) = &args.only {
        faults.retain(|fault| fault.describe().contains(only.as_str()));
    }
    if args.quick {
        // Every row keeps some of its places; which ones is the same each time.
        let mut seen: BTreeMap<(&str, String), usize> = BTreeMap::new();
        faults.retain(|fault| {
            let count = seen.entry((fault.how, fault.row.clone())).or_default();
            *count += 1;
            let step = if fault.how == "kill" { 8 } else { 32 };
            *count % step == 1
        });
    }
    Ok((faults, missed))
}

/// Injects one fault and looks at what it left.
fn strike(scene: &Scene, base: &Path, fault: &Fault) -> Outcome<Verdict> {
    scene.reset(fault.scenario)?;
    let select = format!("trace={}", fault.syscall);
    let injection = fault.injection();
    let prefix = strace(base, fault.alone, &["-e", &select, "-e", &injection]);
    let errors = fs::File::create(base.join("stderr"))?;
    let child = scene
        .run(&prefix)
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()?;
    let Some(status) = ended(child)? else {
        return Ok(Verdict::Wrong("it hangs".to_owned()));
    };
    let said = String::from_utf8_lossy(&fs::read(base.join("stderr"))?).into_owned();
    if said.contains("panicked at") {
        return Ok(Verdict::Wrong(format!("it panics:\n{said}")));
    }
    let killed = status.signal() == Some(9);
    if fault.how == "kill" && !killed {
        return Ok(Verdict::Passed);
    }
    if fault.how != "kill" && !fs::read_to_string(base.join("trace"))?.contains("(INJECTED)") {
        return Ok(Verdict::Passed);
    }
    if status.success()
        && let Some(bad) = scene.after_success(fault.scenario)
    {
        return Ok(Verdict::Wrong(format!(
            "it says that it succeeded, but {bad}\n{said}"
        )));
    }
    // Whoever cannot write cannot say so.
    if !status.success() && !killed && said.trim().is_empty() && fault.syscall != "write" {
        return Ok(Verdict::Wrong(format!("it fails without a word: {status}")));
    }
    if let Some(bad) = scene.heals(fault.scenario)? {
        return Ok(Verdict::Wrong(format!(
            "{bad}\nthe faulty run said:\n{said}"
        )));
    }
    Ok(if status.success() || killed {
        Verdict::Sound
    } else {
        Verdict::Refused
    })
}

fn known(what: &str) -> bool {
    KNOWN.iter().any(|(part, _)| what.starts_with(part))
}

/// Waits for a process, for half a minute at most.
fn ended(mut child: Child) -> Outcome<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > Duration::from_secs(30) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn tell(fault: &Fault, what: &str) {
    println!("WRONG: {}", fault.describe());
    if !fault.call.is_empty() {
        println!("  killed before: {}", fault.call);
    }
    println!("  {}", what.trim_end().replace('\n', "\n  "));
    println!("  again: cargo xtask faults --only '{}'", fault.describe());
    println!(
        "  strace {}-e {} larder run app mixed --concurrency 1",
        if fault.alone { "" } else { "-f -b execve " },
        fault.injection()
    );
}

fn print(table: &BTreeMap<(&str, &str, String), Tally>) {
    println!("| scenario | fault | at | places | sound | refused | passed by | known | wrong |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for ((scenario, how, row), tally) in table {
        println!(
            "| {scenario} | {how} | {row} | {} | {} | {} | {} | {} | {} |",
            tally.struck, tally.sound, tally.refused, tally.passed, tally.known, tally.wrong
        );
    }
}
