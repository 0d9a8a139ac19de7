//! The scenario `warm`: runs of one session within one process, as a host that embeds the library has them.
//! It does not know how a session knows what it knows.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use larder::execute::mux::{Order, OutputLogs};
use larder::execute::{Cancel, ProcessExecutor};
use larder::plan::Plan;
use larder::record::Status;
use larder::select;
use larder::session::run::Options;
use larder::session::{ChangeSet, Session, Surroundings};
use larder::show::Show;
use larder_timing::SystemClock;
use serde::{Deserialize, Serialize};

use super::measure::{Cost, Invocation, measure, process_cpu};
use super::results::Row;
use super::site::Site;

/// Arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct HelperArgs {
    /// Where the costs go, as JSON
    result: PathBuf,
    /// The task to ask for, in the workspace of the current folder
    task: String,
    /// How many tasks may run at once
    concurrency: NonZeroUsize,
    /// Go by nothing that earlier processes left
    #[arg(long)]
    afresh: bool,
}

/// What a process with one session did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    /// Loading and the first run.
    first: Step,
    /// Told that nothing changed, and run again.
    second: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Step {
    wall: f64,
    cpu: f64,
    tasks: usize,
    /// Tasks that were not found as they were left.
    acted: usize,
    /// Files written, as the session counts them.
    writes: u64,
}

/// The hidden subcommand.
pub(crate) fn helper(args: &HelperArgs) -> Result<ExitCode, Box<dyn Error>> {
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let root = std::env::current_dir()?;
    let (executor, clock) = (ProcessExecutor::default(), SystemClock::new());
    let begin = (Instant::now(), process_cpu());
    let mut session = Session::load(
        &root,
        Surroundings {
            env: &env,
            cache_dir: std::env::var_os("LARDER_CACHE_DIR").map(Into::into),
            executor: &executor,
            cancel: Cancel::new(),
            clock: &clock,
            options: None,
            incremental: !args.afresh,
            incremental_dir: None,
        },
    )?;
    let first = step(&mut session, args, begin)?;
    let begin = (Instant::now(), process_cpu());
    let affected = session.update(&ChangeSet::new())?;
    if !affected.is_empty() {
        return Err("an update without a change affects something".into());
    }
    let second = step(&mut session, args, begin)?;
    session.dispose()?;
    fs::write(&args.result, serde_json::to_vec(&Told { first, second })?)?;
    Ok(ExitCode::SUCCESS)
}

/// One run of the session, from a moment on at which the clock and the processor time were read.
fn step(
    session: &mut Session<'_>,
    args: &HelperArgs,
    (begin, cpu): (Instant, f64),
) -> Result<Step, Box<dyn Error>> {
    let projects = (0..session.workspace.projects.len()).collect();
    let tasks = select::tasks(
        &session.workspace,
        std::slice::from_ref(&args.task),
        &projects,
    )?;
    let plan = Plan::new(&session.workspace, tasks, false)?;
    let show = Show::new(Order::Grouped, false, true, false, None);
    let options = Options {
        output_logs: Some(OutputLogs::None),
        concurrency: args.concurrency,
        ..Options::plain()
    };
    let ended = session.run(&plan, &options, &show)?;
    let step = Step {
        wall: begin.elapsed().as_secs_f64(),
        cpu: process_cpu() - cpu,
        tasks: ended.results.len(),
        acted: ended
            .results
            .values()
            .filter(|done| !matches!(done.record.status, Status::UpToDate | Status::Group))
            .count(),
        writes: ended.writes,
    };
    Ok(step)
}

/// What the scenario needs.
#[derive(Debug)]
pub(crate) struct Warm<'a> {
    /// `xtask`, built as Larder is shipped.
    pub(crate) program: &'a Path,
    /// A built tree that was found up to date.
    pub(crate) site: &'a Site,
    /// The task to ask for.
    pub(crate) task: &'a str,
    /// How many tasks a run has.
    pub(crate) tasks: usize,
    pub(crate) processors: usize,
    pub(crate) limit: Duration,
}

/// The rows: a second run, a first one, and a first one that goes by nothing earlier.
pub(crate) fn rows(warm: &Warm<'_>, iterations: usize) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = ["larder", "first run", "first, no memo"].map(|who| Row {
        scenario: "warm".to_owned(),
        who: who.to_owned(),
        ..Row::default()
    });
    for _ in 0..iterations {
        let (told, cost) = once(warm, false)?;
        let (afresh, all) = once(warm, true)?;
        let parts = [(told.second, cost), (told.first, cost), (afresh.first, all)];
        for (row, (step, whole)) in rows.iter_mut().zip(parts) {
            row.runs.push(Cost {
                wall: step.wall,
                cpu: step.cpu,
                ..whole
            });
        }
    }
    Ok(rows.into())
}

fn once(warm: &Warm<'_>, afresh: bool) -> Result<(Told, Cost), Box<dyn Error>> {
    let result = warm.site.logs.join("warm.json");
    let mut args: Vec<OsString> = vec!["bench-warm".into(), result.clone().into()];
    args.extend([warm.task.into(), warm.processors.to_string().into()]);
    args.extend(afresh.then(|| "--afresh".into()));
    let run = Invocation {
        program: warm.program.to_path_buf(),
        args,
        cwd: warm.site.root.clone(),
        env: warm.site.environment(),
        log: warm.site.logs.join("warm.log"),
    };
    let cost = measure(&run, warm.limit)?;
    if cost.exit != Some(0) {
        return Err(format!("warm: {}", fs::read_to_string(&run.log)?).into());
    }
    let told: Told = serde_json::from_slice(&fs::read(result)?)?;
    judge(&told, warm.tasks)?;
    Ok((told, cost))
}

/// Both runs found every task as it was left, and the second one wrote nothing.
fn judge(told: &Told, tasks: usize) -> Result<(), String> {
    for (name, step) in [("first", told.first), ("second", told.second)] {
        if step.tasks != tasks {
            let found = step.tasks;
            return Err(format!(
                "warm: the {name} run had {found} tasks, not {tasks}"
            ));
        }
        if step.acted > 0 {
            let acted = step.acted;
            return Err(format!(
                "warm: {acted} tasks were not up to date in the {name} run"
            ));
        }
    }
    if told.second.writes > 0 {
        let writes = told.second.writes;
        return Err(format!(
            "warm: the second run wrote {writes} files of its state"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_did_something_or_wrote_something_does_not_count() {
        let step = Step {
            wall: 1.0,
            cpu: 1.0,
            tasks: 20,
            acted: 0,
            writes: 0,
        };
        let told = |first, second| Told { first, second };
        assert_eq!(judge(&told(Step { writes: 3, ..step }, step), 20), Ok(()));
        assert!(judge(&told(step, step), 21).is_err());
        assert!(judge(&told(step, Step { acted: 1, ..step }), 20).is_err());
        assert!(judge(&told(step, Step { writes: 1, ..step }), 20).is_err());
    }
}
