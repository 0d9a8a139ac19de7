//! Tasks of this repository: `cargo xtask tidy`, `docs`, `ci`, `actionlint`, `bench`, `nightly`, `faults`, `mutate` and `smoke`.
//! It knows the repository's layout, and nothing of what the crates do.
// A task runner talks to whoever started it.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod actionlint;
mod bench;
mod docs;
#[cfg(target_os = "linux")]
mod faults;
mod mutate;
mod nightly;
#[cfg(test)]
mod own_build;
mod smoke;
mod tidy;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
enum Xtask {
    /// Check what compilers do not: layering, layout, purity of the libraries, freshness of the docs
    Tidy,
    /// Write docs/cli.md from the definition of the command line
    Docs,
    /// Run the whole gate, .ci/run
    Ci,
    /// Measure Larder, and peers beside it, on trees made for that
    Bench(bench::BenchArgs),
    /// Measure all that a nightly job measures, compare it with the last baseline, and lay out what to publish
    Nightly(nightly::Args),
    /// Check the workflows with actionlint, where it is to be had
    Actionlint,
    /// Start one command and tell what it cost
    #[command(hide = true)]
    BenchMeasure(bench::measure::HelperArgs),
    /// Run one session of Larder's library twice
    #[command(hide = true)]
    BenchWarm(bench::warm::HelperArgs),
    /// Copy a file and note when that began
    #[command(hide = true)]
    BenchStamp(bench::latency::StampArgs),
    /// Run Larder's library and count its allocations
    #[command(hide = true)]
    BenchCounted(bench::counting::CountArgs),
    /// Print BLAKE3 digests of files
    #[command(hide = true)]
    BenchB3sum(bench::references::StandInArgs),
    /// Kill larder at every change it makes to a disk, and fail its calls one by one (needs strace)
    #[cfg(target_os = "linux")]
    Faults(faults::Args),
    /// Remove and reverse each guard, and want a test to fail each time (needs cargo-mutants)
    Mutate(mutate::Args),
    /// Build source trees of others through examples/smoke, and assert what ran
    Smoke(smoke::Args),
}

fn main() -> ExitCode {
    match run(&Xtask::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Xtask) -> Result<ExitCode, Box<dyn Error>> {
    // The helpers of `bench` run in other folders and need none of the repository.
    match task {
        Xtask::BenchMeasure(args) => return bench::measure::helper(args),
        Xtask::BenchWarm(args) => return bench::warm::helper(args),
        Xtask::BenchStamp(args) => return bench::latency::stamp(args),
        Xtask::BenchCounted(args) => return bench::counting::counted_larder(args),
        Xtask::BenchB3sum(args) => return bench::references::stand_in(args),
        _ => {}
    }
    let root = repository()?;
    match task {
        Xtask::Tidy => tidy(&root),
        Xtask::Docs => {
            std::fs::write(root.join(docs::PATH), docs::reference(&docs::command()))?;
            println!("wrote {}", docs::PATH);
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(target_os = "linux")]
        Xtask::Faults(args) => Ok(if faults::run(&root, args)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Xtask::Mutate(args) => Ok(if mutate::run(&root, args)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Xtask::Smoke(args) => smoke::run(&root, args),
        Xtask::Ci => {
            let status = Command::new("bash")
                .arg(".ci/run")
                .current_dir(&root)
                .status()?;
            Ok(if status.success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Xtask::Bench(args) => bench::run(&root, args),
        Xtask::Nightly(args) => nightly::run(&root, args),
        Xtask::Actionlint => actionlint::run(&root),
        Xtask::BenchMeasure(_)
        | Xtask::BenchWarm(_)
        | Xtask::BenchStamp(_)
        | Xtask::BenchCounted(_)
        | Xtask::BenchB3sum(_) => Err("is handled above".into()),
    }
}

fn tidy(root: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let violations = tidy::check(root)?;
    for violation in &violations {
        eprintln!("{violation}");
    }
    if violations.is_empty() {
        println!("tidy");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{} to mend; see CONTRIBUTING.md for the reasons",
        violations.len()
    );
    Ok(ExitCode::FAILURE)
}

/// The root of the repository. It is asked of Cargo at run time, since a build may be moved.
fn repository() -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("start it as `cargo xtask`")?;
    let root = Path::new(&folder).parent().ok_or("no folder above xtask")?;
    Ok(root.to_path_buf())
}
