//! `larder run`: request, plan, run, summary.
//! Does not know how a task is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use larder_archive::{Destination as _, DirectoryDestination, Durability, Name};
use larder_graph::FailurePolicy;
use larder_timing::{Clock as _, Phase, SystemClock};

use crate::args::{Continue, DryFormat, LogOrder, OutputLogs, RunArgs};
use crate::diagnostics::STATE;
use crate::execute::{concurrency, exit, mux};
use crate::history;
use crate::plan::Plan;
use crate::record::{self, CacheUse, Counters, RunError, RunRecord, Status, TaskRecord};
use crate::select;
use crate::select::prune::LeftOut;
use crate::session::life::Done;
use crate::session::run::{Beside, Ended, Options};
use crate::session::{Session, phases};
use crate::show::Show;

use super::summary::summary;
use super::{Context, Outcome, Usage, print, profile, say, show_cache, told};

/// How many run records are kept.
const KEPT_RECORDS: usize = 100;

pub(super) fn run(context: &Context<'_>, args: &RunArgs) -> Outcome {
    if args.watch {
        return super::watch::watch(context, args);
    }
    let told = match told::beforehand(context, args, &context.root()?) {
        told::Told::Over(code) => return Ok(code),
        told => told,
    };
    context.with_session(args.cache_dir.clone(), &args.reuse, |session| {
        told::tell(context, args, session, told)?;
        in_session(context, args, session)
    })
}

fn in_session(context: &Context<'_>, args: &RunArgs, session: &mut Session<'_>) -> Outcome {
    let folder = super::delta::folder(context, args.write_delta.as_deref())?;
    let planning = session.timing.span(phases::PLAN);
    let requested = requested(args, session)?;
    let force = forced(context, args);
    check_force(force.as_deref(), session)?;
    let plan = planned(args, session, requested)?;
    planning.end();
    let options = options(context, args, force)?;
    if let Some(format) = args.dry {
        let format = if args.json { DryFormat::Json } else { format };
        return super::explain::dry(session, &plan, &options, format);
    }
    let telling = Telling {
        idle: true,
        undeclared: true,
    };
    let (code, ended) = perform(context, args, session, &plan, &options, None, telling)?;
    let executed = |done: &Done| matches!(done.record.status, Status::Ran | Status::Failed);
    if ended.results.values().any(executed) {
        super::archive::wake(context, session);
    }
    let delta = folder.map(|folder| super::delta::write(session, &ended.results, &folder));
    match delta.transpose() {
        Ok(told) => {
            if let Some(told) = &told {
                say(told);
            }
            Ok(code)
        }
        // What the tasks did stands; how they ended says more.
        Err(usage) if code != exit::SUCCESS => {
            say(&format!("larder: {}", usage.message));
            Ok(code)
        }
        Err(usage) => Err(usage),
    }
}

/// The tasks that a command line names.
pub(super) fn requested(args: &RunArgs, session: &Session<'_>) -> Result<BTreeSet<usize>, Usage> {
    let workspace = &session.workspace;
    let projects = super::selected(workspace, &session.root, &args.selection)?;
    select::tasks(workspace, &args.tasks, &projects).map_err(Usage::new)
}

/// The plan of a request, pruned as the command line has it; what was left out is told.
pub(super) fn planned(
    args: &RunArgs,
    session: &Session<'_>,
    requested: BTreeSet<usize>,
) -> Result<Plan, Usage> {
    let workspace = &session.workspace;
    let plan = Plan::new(workspace, requested, args.only)?;
    let plan = super::pruned_with_chunks(session, plan, &args.selection, true)?;
    tell_left_out(&plan.left_out, plan.graph.len(), args.verbose);
    Ok(plan)
}

/// What of a run is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    /// That nothing was to do.
    pub idle: bool,
    /// That tasks which ran declare no `outputs`.
    pub undeclared: bool,
}

/// Runs a plan, tells of it, and keeps its record.
pub(super) fn perform(
    context: &Context<'_>,
    args: &RunArgs,
    session: &mut Session<'_>,
    plan: &Plan,
    options: &Options,
    beside: Option<&mut dyn Beside>,
    telling: Telling,
) -> Result<(u8, Ended), Usage> {
    let clock = SystemClock::new();
    let started = clock.now();
    let watched = beside.is_some();
    let order = match args.log_order {
        LogOrder::Stream => mux::Order::Stream,
        LogOrder::Grouped => mux::Order::Grouped,
    };
    // Lines of `LARDER_LOG` would tear the progress line.
    let bar = (context.world.stderr_terminal && !crate::diagnostics::listening())
        .then_some(plan.graph.len() as u64);
    let show = Show::new(order, context.colour, args.json, args.verbose, bar);
    let ended = session
        .run_beside(plan, options, &show, beside)
        .map_err(Usage::new)?;
    let code = ended.exit_code;
    let mut record = account(session, args, &ended.results, code, ended.writes);
    let idle = |task: &TaskRecord| matches!(task.status, Status::UpToDate | Status::Group);
    // A run that was stopped because it was stale goes on at once.
    let stopped = code != exit::SUCCESS && super::watch::was_stopped(session, &ended);
    if (watched && stopped) || (!telling.idle && record.tasks.iter().all(idle)) {
        return Ok((code, ended));
    }
    if telling.undeclared {
        record.warnings.extend(undeclared(session, &ended.results));
    }
    record.left_out.clone_from(&plan.left_out);
    record.started = started.rfc3339();
    record.wall_seconds = clock.now().since(started).as_secs_f64();
    let spans = session.timing.take();
    let phases = phases::phases(&spans);
    let seconds = |phase: &Phase| Duration::from_nanos(phase.duration_ns).as_secs_f64();
    let named = phases.iter();
    record.phases = named
        .map(|phase| (phase.name.clone(), seconds(phase)))
        .collect();
    let id = format!(
        "{}-{}",
        record.started.replace(':', "-"),
        std::process::id()
    );
    let took_part = record.tasks.iter().any(history::took_part);
    let profile = args.profile.as_ref().map(|out| context.cwd.join(out));
    if took_part || profile.is_some() {
        let workers = options.concurrency.get();
        let row = history::row(session, plan, &record, id.clone(), started, workers, phases);
        if took_part {
            record.warnings.extend(history::remember(session, &row));
        }
        let before = session
            .timing
            .elapsed()
            .saturating_sub(ended.began.elapsed());
        let written = profile.map(|out| profile::write(&out, &row, &spans, &ended, before));
        if let Some(Err(usage)) = written {
            // What the tasks did is done.
            record
                .warnings
                .push(format!("--profile: {}", usage.message));
        }
    }
    keep(session, &mut record, &id, args.summarize);
    for warning in &record.warnings {
        say(&format!("warning: {warning}"));
    }
    let shown = args
        .show_cache
        .then(|| show_cache::gather(session, &record));
    record.show_cache = shown.as_ref().map(show_cache::value);
    let answered = if args.json {
        let text = serde_json::to_string_pretty(&record).map_err(Usage::new)?;
        print(&format!("{text}\n"))
    } else {
        Ok(())
    };
    say(&summary(&record, args.verbose, context.stderr_colour));
    if let Some(shown) = &shown {
        say(show_cache::text(shown).trim_end());
    }
    // What the tasks did is done and kept; that its output was lost must not read as success.
    match show
        .lost()
        .map(|error| super::unwritten(&error))
        .or(answered.err())
    {
        Some(usage) if code == exit::SUCCESS => Err(usage),
        Some(usage) => {
            say(&format!("larder: {}", usage.message));
            Ok((code, ended))
        }
        None => Ok((code, ended)),
    }
}

/// Says that a graph filter left something out and, if asked for more, what and why.
fn tell_left_out(left_out: &[LeftOut], kept: usize, verbose: bool) {
    if left_out.is_empty() {
        return;
    }
    say(&super::left_out_line(left_out, kept));
    if verbose {
        for LeftOut { task, rule } in left_out {
            say(&format!("  left out {task}: {rule}"));
        }
    }
}

/// What is forced: the flag decides, else the variable; an empty variable forces nothing.
pub(super) fn forced(context: &Context<'_>, args: &RunArgs) -> Option<Vec<String>> {
    let variable = || {
        let names = context
            .world
            .var("LARDER_FORCE")?
            .to_string_lossy()
            .into_owned();
        Some(
            names
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
        )
    };
    args.force.clone().or_else(variable)
}

/// Tasks without `outputs` are never cached: said once a run, with the line to add.
fn undeclared(session: &Session<'_>, results: &BTreeMap<usize, Done>) -> Option<String> {
    let ran = |(task, done): &(&usize, &Done)| {
        session.workspace.tasks[**task].outputs.is_none()
            && matches!(done.record.status, Status::Ran)
    };
    let mut tasks = results.iter().filter(ran);
    let (&first, _) = tasks.next()?;
    let more = match tasks.count() {
        0 => String::new(),
        more => format!(
            " (and {})",
            super::cache::count(more, "more task", "more tasks")
        ),
    };
    let spec = &session.workspace.tasks[first];
    let id = crate::plan::task_id(&session.workspace, first);
    Some(format!(
        "{id} declares no `outputs`, so it is never cached{more}\n  at {}:{} add `outputs = []` if it makes no files, else name them, as in `outputs = [\"dist/**\"]`",
        spec.location.file, spec.location.line
    ))
}

/// A name that `--force` does not know would force nothing, silently.
pub(super) fn check_force(force: Option<&[String]>, session: &Session<'_>) -> Result<(), Usage> {
    let workspace = &session.workspace;
    for name in force
        .iter()
        .copied()
        .flatten()
        .filter(|name| !name.is_empty())
    {
        let projects = || {
            workspace
                .projects
                .iter()
                .map(|project| project.name.as_str())
        };
        if projects().any(|project| project == name) {
            continue;
        }
        let all: std::collections::BTreeSet<usize> = (0..workspace.projects.len()).collect();
        select::tasks(workspace, std::slice::from_ref(name), &all)
            .map_err(|error| Usage::new(format!("--force: {error}")))?;
    }
    Ok(())
}

pub(super) fn options(
    context: &Context<'_>,
    args: &RunArgs,
    force: Option<Vec<String>>,
) -> Result<Options, Usage> {
    let uses = args
        .cache
        .strip_prefix("local:")
        .filter(|uses| uses.chars().all(|letter| "rw".contains(letter)));
    let uses = uses.ok_or_else(|| {
        Usage::new(format!(
            "--cache={} is not understood\n  write local:rw, local:r, local:w or local:",
            args.cache
        ))
    })?;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Options {
        force,
        reads: uses.contains('r'),
        writes: uses.contains('w'),
        args: args.args.clone(),
        output_logs: output_logs(args),
        colour: context.colour,
        concurrency: concurrency::parse(&args.concurrency, cores).map_err(Usage::new)?,
        policy: match args.keep_going {
            Continue::Never => FailurePolicy::Never,
            Continue::DependenciesSuccessful => FailurePolicy::DependenciesSuccessful,
            Continue::Always => FailurePolicy::Always,
        },
        watching: false,
        sampling: args.profile.is_some(),
    })
}

/// Whose output is shown, where the command line says so.
pub(super) fn output_logs(args: &RunArgs) -> Option<mux::OutputLogs> {
    args.output_logs.map(|logs| match logs {
        OutputLogs::Full => mux::OutputLogs::Full,
        OutputLogs::NewOnly => mux::OutputLogs::NewOnly,
        OutputLogs::ErrorsOnly => mux::OutputLogs::ErrorsOnly,
        OutputLogs::HashOnly => mux::OutputLogs::HashOnly,
        OutputLogs::None => mux::OutputLogs::None,
    })
}

/// The run record, but for its times.
fn account(
    session: &Session<'_>,
    args: &RunArgs,
    results: &BTreeMap<usize, Done>,
    code: u8,
    writes: u64,
) -> RunRecord {
    let mut tasks: Vec<_> = results.values().map(|done| done.record.clone()).collect();
    tasks.sort_by(|a, b| a.task.cmp(&b.task));
    let counted = session.counters();
    let failed: Vec<&str> = tasks
        .iter()
        .filter(|task| task.status == Status::Failed)
        .map(|task| task.task.as_str())
        .collect();
    let error = if code == exit::INTERRUPTED && session.cancel.is_raised() {
        Some(RunError {
            kind: "interrupted",
            message: session.cancel.reason().unwrap_or_default(),
        })
    } else {
        (!failed.is_empty()).then(|| RunError {
            kind: "task-failed",
            message: format!("failed: {}", failed.join(", ")),
        })
    };
    RunRecord {
        version: record::VERSION,
        larder: env!("CARGO_PKG_VERSION"),
        started: String::new(),
        wall_seconds: 0.0,
        request: args.tasks.clone(),
        exit_code: code,
        error,
        cache_hit: tasks
            .iter()
            .filter(|task| task.cache == CacheUse::Hit)
            .count(),
        cache_miss: tasks
            .iter()
            .filter(|task| matches!(task.status, Status::Ran | Status::Failed))
            .count(),
        rebuild_seconds: tasks.iter().map(|task| task.seconds).sum(),
        saved_seconds: tasks.iter().map(|task| task.saved_seconds).sum(),
        phases: std::collections::BTreeMap::new(),
        warnings: session.warnings(),
        counters: Counters {
            stat_calls: counted.stat_calls,
            folders_listed: counted.folders_listed,
            bytes_hashed: counted.bytes_hashed,
            memo_hits: counted.memo_hits,
            memo_misses: counted.memo_misses,
            // The record itself is written as well.
            state_writes: writes + 1,
            bytes_restored: session.bytes_restored(),
            cache_faults: session.cache_faults(),
            peak_memory: record::peak_memory(),
        },
        tasks,
        left_out: Vec::new(),
        show_cache: None,
    }
}

/// Keeps the record: always in the one slot of the last run, and among the records when something was done.
fn keep(session: &Session<'_>, record: &mut RunRecord, id: &str, asked: bool) {
    let acted = record
        .tasks
        .iter()
        .any(|task| !matches!(task.status, Status::UpToDate | Status::Group));
    let Ok(bytes) = serde_json::to_vec(record) else {
        return;
    };
    log::debug!(target: STATE, "{}: the run's record goes here", session.paths.last_run.display());
    if let Err(error) = std::fs::write(&session.paths.last_run, &bytes) {
        record.warnings.push(format!(
            "{} cannot be written: {error}",
            session.paths.last_run.display()
        ));
    }
    if !acted && !asked {
        return;
    }
    let name = format!("{id}.json");
    let put = || -> Result<(), Box<dyn std::error::Error>> {
        let records = DirectoryDestination::open(&session.paths.runs, Durability::Process)?;
        records.put(&Name::new(name.clone())?, &bytes)?;
        larder_archive::prune_oldest(&records, KEPT_RECORDS)?;
        Ok(())
    };
    match put() {
        Ok(()) if asked => say(&format!(
            "record: {}",
            session.paths.runs.join(&name).display()
        )),
        Ok(()) => {}
        Err(error) => record
            .warnings
            .push(format!("the run record cannot be kept: {error}")),
    }
}
