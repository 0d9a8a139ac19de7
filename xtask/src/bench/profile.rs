//! Draws where a run spends its time: a flame graph by `perf`, or else a file of callgrind's.
//! It does not know which scenario is drawn.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use inferno::collapse::Collapse as _;
use inferno::collapse::perf::Folder;
use inferno::flamegraph;

use super::instructions::Callgrind;
use super::measure::{Invocation, measure};

/// What draws.
#[derive(Debug, Clone)]
pub(crate) struct Profiler {
    /// A program with its symbols.
    pub(crate) program: PathBuf,
    /// `perf`, when it is there and may look.
    pub(crate) perf: Option<PathBuf>,
    /// Else this.
    pub(crate) callgrind: Option<Callgrind>,
    /// Where drawings go.
    pub(crate) folder: PathBuf,
    /// What their names begin with.
    pub(crate) fixture: String,
}

/// Samples a second.
const FREQUENCY: &str = "1999";

/// The variables for a release build that has its symbols.
pub(crate) const SYMBOLS: [(&str, &str); 2] = [
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only"),
];

/// `perf`, if it is there and the system lets it look.
pub(crate) fn perf(which: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let perf = which("perf")?;
    let mut trial = Command::new(&perf);
    trial.args(["record", "-q", "-o", "/dev/null", "--", "true"]);
    let trial = trial.stdout(Stdio::null()).stderr(Stdio::null()).status();
    trial.is_ok_and(|status| status.success()).then_some(perf)
}

impl Profiler {
    /// Does a run `times` times and draws it; gives the file.
    pub(crate) fn draw(
        &self,
        scenario: &str,
        run: Invocation,
        times: usize,
        limit: Duration,
    ) -> Result<PathBuf, Box<dyn Error>> {
        let run = Invocation {
            program: self.program.clone(),
            ..run
        };
        let name = format!("{}-{scenario}", self.fixture);
        match (&self.perf, &self.callgrind) {
            (Some(perf), _) => self.flames(perf, &name, again(run, times), limit),
            (None, Some(callgrind)) => {
                let path = self.folder.join(name + ".callgrind");
                done(&callgrind.around(run, &path), limit)?;
                Ok(path)
            }
            (None, None) => Err("neither perf nor valgrind can be used".into()),
        }
    }

    fn flames(
        &self,
        perf: &Path,
        name: &str,
        run: Invocation,
        limit: Duration,
    ) -> Result<PathBuf, Box<dyn Error>> {
        let data = run.log.with_extension("perf");
        let mut args: Vec<OsString> = [
            "record",
            "-q",
            "-F",
            FREQUENCY,
            "--call-graph",
            "dwarf,16384",
            "-o",
        ]
        .map(OsString::from)
        .into();
        args.extend([data.clone().into(), "--".into(), run.program.clone().into()]);
        args.extend(run.args.clone());
        let recorded = Invocation {
            program: perf.to_path_buf(),
            args,
            ..run
        };
        done(&recorded, limit)?;
        let mut script = Command::new(perf)
            .args(["script", "--no-inline", "-i"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let told = script.stdout.take().ok_or("perf script has no output")?;
        let mut folded = Vec::new();
        Folder::default().collapse(BufReader::new(told), &mut folded)?;
        if !script.wait()?.success() {
            return Err("perf script failed".into());
        }
        fs::remove_file(&data)?;
        draw(&folded, name, &self.folder)
    }
}

/// The stacks as a flame graph, and as text beside it, which can be compared.
fn draw(stacks: &[u8], name: &str, folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    fs::write(folder.join(format!("{name}.folded")), stacks)?;
    let text = std::str::from_utf8(stacks)?;
    let mut options = flamegraph::Options::default();
    name.clone_into(&mut options.title);
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, text.lines(), &mut svg)?;
    let path = folder.join(format!("{name}.svg"));
    fs::write(&path, svg)?;
    Ok(path)
}

/// The same run again and again: a few milliseconds have few samples.
fn again(run: Invocation, times: usize) -> Invocation {
    if times < 2 {
        return run;
    }
    let script = "n=$1; shift; while [ \"$n\" -gt 0 ]; do \"$@\" || exit; n=$((n - 1)); done";
    let mut args: Vec<OsString> = vec!["-c".into(), script.into(), "sh".into()];
    args.extend([times.to_string().into(), run.program.into()]);
    args.extend(run.args);
    Invocation {
        program: "sh".into(),
        args,
        ..run
    }
}

fn done(run: &Invocation, limit: Duration) -> Result<(), Box<dyn Error>> {
    let cost = measure(run, limit * 10)?;
    if cost.exit == Some(0) {
        return Ok(());
    }
    let told = fs::read(&run.log).unwrap_or_default();
    let (name, told) = (run.program.display(), String::from_utf8_lossy(&told));
    Err(format!("{name} failed: {told}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_become_a_drawing_and_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let stacks = b"larder;main;scan 30\nlarder;main;hash 70\n";
        let path = draw(stacks, "small-noop", folder.path()).unwrap();
        let svg = fs::read_to_string(path).unwrap();
        assert!(
            svg.starts_with("<?xml") && svg.contains("hash (70 samples, 70.00%)"),
            "{svg}"
        );
        let text = fs::read(folder.path().join("small-noop.folded")).unwrap();
        assert_eq!(text, stacks);
        assert!(draw(b"", "none", folder.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_short_run_is_done_again_and_again_until_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let run = |script: &str| Invocation {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            cwd: folder.path().to_path_buf(),
            env: Vec::new(),
            log: folder.path().join("log"),
        };
        let start = |run: &Invocation| {
            let mut command = Command::new(&run.program);
            command
                .args(&run.args)
                .current_dir(&run.cwd)
                .status()
                .unwrap()
        };
        assert!(start(&again(run("echo x >> done"), 3)).success());
        let done = fs::read_to_string(folder.path().join("done")).unwrap();
        assert_eq!(done, "x\nx\nx\n");
        assert_eq!(start(&again(run("exit 7"), 3)).code(), Some(7));
    }
}
