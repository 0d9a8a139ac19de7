//! `cargo xtask chunks`: one `foreach` task of many short commands, beside ninja with the same edges.
//! It knows the two command lines, and nothing of how chunks are judged.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::bench::measure::{Cost, Invocation, measure};
use crate::bench::tools::which;

/// Arguments of `cargo xtask chunks`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sources
    #[arg(long, default_value_t = 2000)]
    count: usize,
    /// Measured runs in each scenario; the medians are printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    iterations: u16,
    /// The folder for the trees; absent: the folder for temporary files
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The program to measure; absent: a release build, made now
    #[arg(long)]
    larder: Option<PathBuf>,
}

/// One of the two, with a tree of its own.
struct Site {
    name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: PathBuf,
    /// What it remembers besides outputs.
    memory: Vec<PathBuf>,
    edits: usize,
}

const SCENARIOS: [&str; 5] = ["cold", "no-op", "edit one", "edit 5 %", "outputs gone"];

/// Measures and prints a table.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = dir.join(format!("larder-chunks-{}", std::process::id()));
    let result = table(root, args, &dir);
    let removed = fs::remove_dir_all(&dir);
    print!("{}", result?);
    removed?;
    Ok(ExitCode::SUCCESS)
}

fn table(root: &Path, args: &Args, dir: &Path) -> Result<String, Box<dyn Error>> {
    let mut sites = sites(root, args, dir)?;
    let mut text = String::from("| scenario |");
    for site in &sites {
        let _ = write!(text, " {} wall | cpu |", site.name);
    }
    let _ = write!(text, "\n|---|{}\n", "---|---|".repeat(sites.len()));
    for scenario in SCENARIOS {
        let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); sites.len()];
        // In turns, so that what else the machine does falls on both.
        for _ in 0..args.iterations {
            for (site, costs) in sites.iter_mut().zip(&mut costs) {
                site.prepare(scenario, args.count)?;
                costs.push(site.once(dir)?);
                site.check(args.count)?;
            }
        }
        let _ = write!(text, "| {scenario} |");
        for costs in &costs {
            let (wall, cpu) = (
                median(costs, |cost| cost.wall),
                median(costs, |cost| cost.cpu),
            );
            let _ = write!(text, " {:.0} ms | {:.0} ms |", wall * 1e3, cpu * 1e3);
        }
        text.push('\n');
    }
    Ok(text)
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut all: Vec<f64> = costs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn source(at: usize) -> String {
    format!("src/{}/f{at}.c", at % 20)
}

fn sites(root: &Path, args: &Args, dir: &Path) -> Result<Vec<Site>, Box<dyn Error>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let search: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let larder = if let Some(program) = &args.larder {
        program.canonicalize()?
    } else {
        let build = ["build", "--release", "--package", "larder"];
        let status = Command::new("cargo")
            .args(build)
            .current_dir(root)
            .status()?;
        if !status.success() {
            return Err("the release build failed".into());
        }
        root.join("target/release/larder")
    };
    let env: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), path),
        ("HOME".into(), dir.into()),
        ("LARDER_CACHE_DIR".into(), dir.join("cache").into()),
    ];
    let mut sites = vec![Site {
        name: "larder",
        program: larder,
        args: vec!["copy".into()],
        env: env.clone(),
        folder: dir.join("larder"),
        memory: vec![dir.join("larder/.larder"), dir.join("cache")],
        edits: 0,
    }];
    match which("ninja", &search) {
        Some(program) => sites.push(Site {
            name: "ninja",
            program,
            args: Vec::new(),
            env,
            folder: dir.join("ninja"),
            memory: vec![dir.join("ninja/.ninja_log"), dir.join("ninja/.ninja_deps")],
            edits: 0,
        }),
        None => eprintln!("chunks: ninja is not on PATH: left out"),
    }
    for site in &sites {
        for at in 0..args.count {
            let file = site.folder.join(source(at));
            fs::create_dir_all(file.parent().ok_or("a source lies nowhere")?)?;
            fs::write(file, format!("source {at}\n").repeat(20))?;
        }
    }
    fs::write(
        dir.join("larder/larder.toml"),
        "[tasks.copy]\nforeach = \"src/**/*.c\"\ncommand = \"cp {in} {out}\"\noutputs = [\"out/{in}.o\"]\n",
    )?;
    if sites.len() > 1 {
        let mut build = String::from("rule copy\n  command = cp $in $out\n");
        for at in 0..args.count {
            let source = source(at);
            let _ = writeln!(build, "build out/{source}.o: copy {source}");
        }
        fs::write(dir.join("ninja/build.ninja"), build)?;
    }
    Ok(sites)
}

impl Site {
    /// Brings the tree into the state that a scenario begins with.
    fn prepare(&mut self, scenario: &str, count: usize) -> Result<(), Box<dyn Error>> {
        let remove = |path: &Path| match fs::remove_dir_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                fs::remove_file(path)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let edited = match scenario {
            "edit one" => 1,
            "edit 5 %" => count.div_ceil(20),
            _ => 0,
        };
        for at in 0..edited {
            self.edits += 1;
            let at = at * 19 % count;
            fs::write(
                self.folder.join(source(at)),
                format!("edit {}\n", self.edits),
            )?;
        }
        if matches!(scenario, "cold" | "outputs gone") {
            remove(&self.folder.join("out"))?;
        }
        if scenario == "cold" {
            for path in &self.memory {
                remove(path)?;
            }
        }
        Ok(())
    }

    fn once(&self, dir: &Path) -> Result<Cost, Box<dyn Error>> {
        let log = dir.join("log");
        let run = Invocation {
            program: self.program.clone(),
            args: self.args.clone(),
            cwd: self.folder.clone(),
            env: self.env.clone(),
            log: log.clone(),
        };
        let cost = measure(&run, Duration::from_mins(5))?;
        if cost.exit != Some(0) {
            return Err(format!("{} failed: {}", self.name, fs::read_to_string(log)?).into());
        }
        Ok(cost)
    }

    /// Every output has to be what its source is.
    fn check(&self, count: usize) -> Result<(), Box<dyn Error>> {
        for at in 0..count {
            let source = source(at);
            let made = fs::read(self.folder.join(format!("out/{source}.o")))?;
            if made != fs::read(self.folder.join(&source))? {
                return Err(format!("{} left a wrong out/{source}.o", self.name).into());
            }
        }
        Ok(())
    }
}
