//! `cargo xtask nightly`: measures, compares with a stored baseline, and lays out what a job publishes. A workflow only calls it.
//! It does not know on whose machines it runs, and uploads nothing but a message to a webhook.

mod comment;
mod webhook;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::bench::compare::{self, Comparison, Figure};
use crate::bench::results::Results;
use crate::bench::{self, BenchArgs, Outcome, archive};

/// The name under which figures are kept from night to night.
const BASELINE: &str = "nightly";

/// Rounds at least, for an interval that is narrow enough to tell.
const LEAST_TURNS: u16 = 10;

/// Where a webhook is configured.
const WEBHOOK: &str = "LARDER_NIGHTLY_WEBHOOK";

/// Arguments of `cargo xtask nightly`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The trees to measure
    #[arg(long, value_delimiter = ',', default_value = "small,medium,chunks")]
    fixture: Vec<String>,
    /// Measured runs of each scenario
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    iterations: u16,
    /// Only these scenarios; absent: all
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// The folder to upload
    #[arg(long, default_value = "target/nightly")]
    out: PathBuf,
    /// Flag what is surely worse by more than this share
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = compare::share)]
    fail_above: f64,
    /// Compare with this revision, measured in turns, and not with the stored baseline
    #[arg(long, value_name = "REV|FILE")]
    against: Option<String>,
    /// Take the figures of this night as the new baseline, whatever they are
    #[arg(long)]
    accept: bool,
    /// The program to measure; absent: a release build, made now
    #[arg(long)]
    larder: Option<PathBuf>,
    /// The folder for the trees; absent: tmpfs where there is one, else the folder for temporary files
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures all fixtures; the exit code is 1 if something got worse.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let out = root.join(&args.out);
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let mut outcomes = Vec::new();
    for fixture in &args.fixture {
        let outcome = night(root, args, fixture, &out)?;
        report(&outcome, &out.join(format!("{fixture}-report.html")));
        bench::clear(&outcome)?;
        outcomes.push(outcome);
    }
    let flagged = flagged(&outcomes, args.fail_above);
    let text = comment::text(&outcomes, &flagged, args.fail_above);
    fs::write(out.join("comment.md"), &text)?;
    println!("{text}\nto upload: {}", out.display());
    if flagged.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    match std::env::var(WEBHOOK) {
        Ok(url) if !url.is_empty() => {
            webhook::post(&url, &comment::message(&outcomes, &flagged))?;
            eprintln!("nightly: told the webhook");
        }
        _ => eprintln!("nightly: {WEBHOOK} is not set: nobody is told"),
    }
    Ok(ExitCode::FAILURE)
}

/// Measures one fixture. The stored baseline stays what it is until somebody accepts another: else many small steps
/// would never be flagged.
fn night(root: &Path, args: &Args, fixture: &str, out: &Path) -> Result<Outcome, Box<dyn Error>> {
    let stored = archive::read_baseline(root, BASELINE, fixture)?;
    let words = words(args, fixture, stored.is_some());
    let mut outcome = measure(root, &words)?;
    copy(&outcome.folder, out)?;
    if stored.is_none() || args.accept {
        let path = archive::save_baseline(root, BASELINE, &outcome.results)?;
        eprintln!("nightly: baseline {}", path.display());
    }
    let suspects = suspects(&outcome.comparisons, args.fail_above);
    if let Some(words) = stored.and_then(|old| again(args, &old, &suspects)) {
        let confirmed = measure(root, &words)?;
        let path = out.join(format!("{fixture}-in-turns.json"));
        fs::write(path, serde_json::to_vec_pretty(&confirmed.results)?)?;
        outcome.comparisons.extend(confirmed.comparisons);
    }
    Ok(outcome)
}

fn measure(root: &Path, words: &[String]) -> Result<Outcome, Box<dyn Error>> {
    eprintln!("nightly: bench {}", words.join(" "));
    let outcome = bench::session(root, &BenchArgs::read(words)?)?;
    Ok(outcome.ok_or("nothing was measured")?)
}

/// The scenarios in which something looks worse than on another day. That may as well be the machine.
fn suspects(comparisons: &[Comparison], limit: f64) -> BTreeSet<String> {
    let apart = comparisons.iter().filter(|comparison| !comparison.paired);
    let worse = apart.flat_map(|comparison| compare::worse(comparison, limit));
    let times = worse.filter(|one| one.who == "larder" && one.figure != Figure::Instructions);
    times.map(|one| one.scenario.clone()).collect()
}

/// What to ask for to learn whether a suspicion holds: the same scenarios, in turns with the revision of the baseline.
fn again(args: &Args, old: &Results, suspects: &BTreeSet<String>) -> Option<Vec<String>> {
    let alone = |name: &&String| bench::is_measured_in_turns(name);
    let scenarios: Vec<&str> = suspects.iter().filter(alone).map(String::as_str).collect();
    if scenarios.is_empty() {
        return None;
    }
    if old.revision.is_empty() || old.revision.ends_with('+') {
        eprintln!(
            "nightly: the baseline is of no committed revision: suspicions stay what they are"
        );
        return None;
    }
    let turns = Args {
        against: Some(old.revision.clone()),
        scenario: scenarios.into_iter().map(str::to_owned).collect(),
        iterations: args.iterations.max(LEAST_TURNS),
        ..args.clone()
    };
    Some(words(&turns, &old.fixture, false))
}

/// What `cargo xtask bench` would be asked for.
fn words(args: &Args, fixture: &str, stored: bool) -> Vec<String> {
    let mut words: Vec<String> = ["--fixture", fixture, "--iterations"]
        .map(str::to_owned)
        .into();
    words.push(args.iterations.to_string());
    words.extend(["--no-strace", "--instructions", "--keep"].map(str::to_owned));
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    if !args.scenario.is_empty() {
        option("--scenario", &args.scenario.join(","));
    }
    match &args.against {
        Some(revision) => option("--against", revision),
        None if stored => option("--compare", BASELINE),
        None => {}
    }
    for (name, path) in [("--larder", &args.larder), ("--dir", &args.dir)] {
        if let Some(path) = path {
            option(name, &path.display().to_string());
        }
    }
    if args.against.is_some() || stored {
        option("--fail-above", &format!("{}%", args.fail_above * 100.0));
    }
    words
}

/// One thing that got worse.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Flag {
    fixture: String,
    difference: compare::Difference,
}

/// Everything that got worse: of what was measured in turns all, of what was measured on another day instructions alone.
fn flagged(outcomes: &[Outcome], limit: f64) -> Vec<Flag> {
    let comparisons = outcomes.iter().flat_map(|outcome| &outcome.comparisons);
    let flags = comparisons.flat_map(|comparison: &Comparison| {
        let worse = compare::worse(comparison, limit);
        let counted = worse.filter(|one| comparison.paired || one.figure == Figure::Instructions);
        counted.map(|difference| Flag {
            fixture: comparison.fixture.clone(),
            difference: difference.clone(),
        })
    });
    flags.collect()
}

/// Copies the files of a session's folder.
fn copy(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), out.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Has Larder draw its report on the runs in its tree, where it can.
fn report(outcome: &Outcome, path: &Path) {
    let larder = |args: &[&str]| {
        let mut command = Command::new(&outcome.program);
        command
            .args(args)
            .current_dir(&outcome.tree)
            .stdin(Stdio::null());
        command
    };
    // A word that is no command is a task, with help of its own: so the lists of commands decide.
    let lists = |args: &[&str], command: &str| {
        let output = larder(args).output();
        output.is_ok_and(|output| lists(&String::from_utf8_lossy(&output.stdout), command))
    };
    if !lists(&["--help"], "timings") || !lists(&["timings", "--help"], "report") {
        eprintln!("nightly: SKIPPED report: this larder has no `timings report`");
        return;
    }
    let drawn = larder(&["timings", "report", "--out"]).arg(path).output();
    match drawn {
        Ok(output) if output.status.success() => eprintln!("nightly: {}", path.display()),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            eprintln!("nightly: no report: {}", words.trim());
        }
        Err(error) => eprintln!("nightly: no report: {error}"),
    }
}

/// Whether a help text lists a command.
fn lists(help: &str, command: &str) -> bool {
    help.lines()
        .filter_map(|line| line.strip_prefix("  "))
        .any(|line| !line.starts_with(' ') && line.split_whitespace().next() == Some(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Machine;
    use crate::bench::stats::Ratio;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        let line = std::iter::once("nightly").chain(words.iter().copied());
        <Line as clap::Parser>::try_parse_from(line).unwrap().args
    }

    #[test]
    fn what_bench_is_asked_for_can_be_read_by_it() {
        let plain = args(&[]);
        assert_eq!(plain.fixture, ["small", "medium", "chunks"]);
        let first = words(&plain, "small", false);
        assert!(
            !first
                .iter()
                .any(|word| word == "--compare" || word == "--fail-above")
        );
        let second = words(&plain, "small", true);
        let tail = &second[second.len() - 4..];
        assert_eq!(tail, ["--compare", "nightly", "--fail-above", "5%"]);
        let other = args(&[
            "--against",
            "main",
            "--scenario",
            "noop,cold",
            "--fail-above",
            "7.5%",
        ]);
        let other = words(&other, "chunks", true);
        assert!(!other.iter().any(|word| word == "--compare"));
        for words in [first, second, other] {
            BenchArgs::read(&words).unwrap();
        }
    }

    pub(super) fn outcome(low: f64, paired: bool) -> Outcome {
        let ratio = Ratio {
            estimate: low + 0.02,
            low,
            high: low + 0.04,
            confidence: 0.95,
        };
        let difference = |figure| compare::Difference {
            scenario: "noop".to_owned(),
            who: "larder".to_owned(),
            figure,
            ratio,
        };
        Outcome {
            results: Results {
                fixture: "small".to_owned(),
                revision: "0123456789ab".to_owned(),
                machine: Machine {
                    system: "linux".to_owned(),
                    ..Machine::default()
                },
                ..Results::default()
            },
            comparisons: vec![Comparison {
                fixture: "small".to_owned(),
                with: "baseline nightly".to_owned(),
                paired,
                doubts: Vec::new(),
                left_out: Vec::new(),
                differences: [Figure::Wall, Figure::Instructions].map(difference).into(),
            }],
            folder: PathBuf::new(),
            trees: PathBuf::new(),
            tree: PathBuf::new(),
            program: PathBuf::new(),
        }
    }

    #[test]
    fn worse_is_flagged_in_turns_and_only_suspected_by_another_day() {
        let figures = |outcome| {
            let flags = flagged(&[outcome], 0.05);
            flags
                .iter()
                .map(|flag| flag.difference.figure)
                .collect::<Vec<_>>()
        };
        assert_eq!(figures(outcome(1.04, true)), []);
        assert_eq!(
            figures(outcome(1.06, true)),
            [Figure::Wall, Figure::Instructions]
        );
        assert_eq!(figures(outcome(1.06, false)), [Figure::Instructions]);
        let suspected = |outcome: Outcome| suspects(&outcome.comparisons, 0.05);
        assert_eq!(suspected(outcome(1.06, false)), ["noop".to_owned()].into());
        assert_eq!(suspected(outcome(1.04, false)), BTreeSet::new());
        assert_eq!(suspected(outcome(1.06, true)), BTreeSet::new());
    }

    #[test]
    fn what_is_suspected_is_measured_in_turns_with_the_revision_of_the_baseline() {
        let args = args(&["--iterations", "5", "--larder", "/l"]);
        let mut old = outcome(1.0, false).results;
        let asked = again(&args, &old, &["noop".to_owned(), "warm".to_owned()].into()).unwrap();
        let asked = asked.join(" ");
        assert!(
            asked.contains("--scenario noop --against 0123456789ab"),
            "{asked}"
        );
        assert!(
            asked.contains("--iterations 10") && asked.contains("--fail-above 5%"),
            "{asked}"
        );
        assert_eq!(again(&args, &old, &["warm".to_owned()].into()), None);
        old.revision.push('+');
        assert_eq!(again(&args, &old, &["noop".to_owned()].into()), None);
    }

    #[test]
    fn a_command_is_known_by_its_line_alone() {
        let help = "Usage: larder run [OPTIONS] <TASK>...\n\nCommands:\n  run      Run timings\n  timings  Show\n";
        assert!(lists(help, "timings") && lists(help, "run"));
        assert!(!lists(help, "Run") && !lists(help, "report") && !lists(help, "Usage:"));
    }

    /// Larder takes a word that is no command as a task, and has help for that, too.
    #[cfg(unix)]
    #[test]
    fn a_larder_that_takes_it_as_a_task_is_passed_over() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let drawn = |help: &str| {
            let program = folder.path().join("larder");
            let script = format!(
                "#!/bin/sh\necho '{help}'\n[ \"$3\" = --out ] && echo x > \"$4\"\nexit 0\n"
            );
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let mut outcome = outcome(1.0, false);
            outcome.tree = folder.path().to_path_buf();
            outcome.program = program;
            let path = folder.path().join("report.html");
            let _ = fs::remove_file(&path);
            report(&outcome, &path);
            path.exists()
        };
        assert!(!drawn("Usage: larder run TASK"));
        assert!(!drawn("  timings  Show"));
        assert!(drawn("  timings  Show\n  report   Draw"));
    }

    #[test]
    fn a_larder_without_reports_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut outcome = outcome(1.0, false);
        outcome.tree = folder.path().to_path_buf();
        outcome.program = folder.path().join("none");
        let path = folder.path().join("report.html");
        report(&outcome, &path);
        assert!(!path.exists());
    }
}
