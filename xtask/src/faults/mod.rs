//! `cargo xtask faults`: kills `larder` at every change it makes to a disk, and fails its calls one by one.
//! Knows nothing of how `larder` works inside; what must hold afterwards is in `runs.rs` and `archives`.
//!
//! Faults are injected by strace into `larder` alone: it lets go of a process that becomes another program, so the
//! commands of tasks are not touched.

mod archives;
mod disk;
mod fault;
mod folders;
mod orphans;
mod place;
mod report;
mod runs;
mod strike;
mod trace;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use fault::Fault;
use place::{Place, Start};
use report::Table;
use strike::{permitted, strace, strike};

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
    /// Strike this program, instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Of how many kills and other faults of a start a sample takes one: of runs, and of archives.
const SAMPLES: [(usize, usize); 2] = [(13, 67), (19, 131)];

/// Runs the campaign on the debug binary; whether all was well.
pub(crate) fn run(root: &Path, args: &Args) -> Outcome<bool> {
    permitted().map_err(|reason| {
        format!("strace is needed for this, and {reason}\n  install strace, and allow ptrace")
    })?;
    let larder = match &args.program {
        Some(program) => program.clone(),
        None => build(root)?,
    };
    let base = std::env::temp_dir().join(format!("larder-faults-{}", std::process::id()));
    fs::create_dir_all(&base)?;
    let base = base.canonicalize()?;
    // The build may go on meanwhile.
    let own = base.join("larder");
    fs::copy(&larder, &own)?;
    let place = Place::new(&own, &base);
    let disks = disk::permitted();
    let started = Instant::now();
    let mut table = Table::default();
    let mut unreached = 0;
    for (starts, sample) in [runs::starts(&place), archives::starts(&place)]
        .into_iter()
        .zip(SAMPLES)
    {
        for (at, start) in starts.iter().enumerate() {
            let start = &**start;
            place.prepare(start)?;
            let (mut faults, missed) = faults(&place, start)?;
            if disks.is_ok() {
                faults.extend(disk::faults(start));
            }
            if let Some(only) = &args.only {
                faults.retain(|fault| fault.describe().contains(only.as_str()));
            }
            if args.quick {
                fault::sample(&mut faults, 7 * at, sample);
            }
            if !faults.is_empty() {
                unreached += missed;
            }
            for fault in &faults {
                let verdict = strike(&place, start, fault)?;
                if table.count(start, fault, &verdict) && !args.keep_going {
                    table.print();
                    println!("kept for a look: {}", base.display());
                    return Ok(false);
                }
            }
        }
    }
    table.print();
    if let Err(why) = disks {
        println!("skipped: full disks; a small one cannot be mounted here: {why}");
    }
    println!(
        "{} faults in {:.0} s, {} wrong; {unreached} changes that no injection reaches",
        table.struck(),
        started.elapsed().as_secs_f64(),
        table.wrongs
    );
    fs::remove_dir_all(base)?;
    Ok(table.wrongs == 0)
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

/// The faults that strace makes in a start, from its command without any; and how many changes cannot be reached.
fn faults(place: &Place, start: &dyn Start) -> Outcome<(Vec<Fault>, usize)> {
    place.reset(start)?;
    let prefix = strace(place.base(), false, &["-e", "trace=all"]);
    let output = place.command(&prefix, start.args()).output()?;
    let name = start.name();
    if !output.status.success() {
        let why = place::stderr(&output);
        return Err(format!("{name} fails without any fault: {why}").into());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(bad) = start.after_success(&said)? {
        return Err(format!("{name} is wrong without any fault: {bad}").into());
    }
    let trace = fs::read_to_string(place.base().join("trace"))?;
    if let Some(bad) = start.heals(&said)? {
        return Err(format!("{name} is wrong without any fault: {bad}").into());
    }
    let below = format!("{}/", place.dir().display());
    let (mut faults, missed) = fault::all(name, &trace, &below);
    faults.retain(|fault| start.takes(fault.how));
    Ok((faults, missed))
}
