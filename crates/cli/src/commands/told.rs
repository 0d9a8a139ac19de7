//! What the background session tells before a run: nothing changed, and the answer is known; or what did.
//! Does not know how changes are noticed, nor how a task is judged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::args::{OutputLogs, RunArgs};
use crate::daemon;
use crate::execute::{exit, mux};
use crate::record::{self, Counters, RunRecord, Status, TaskRecord};
use crate::session::format::Quiet;
use crate::session::life::Done;
use crate::session::snapshot::{Answer, Request, answer};
use crate::session::{ChangeSet, Clock, Session};
use crate::show::Show;

use super::summary::summary;
use super::{Context, Usage, say};

/// What is known before a session is opened.
pub(super) enum Told {
    /// The run is over, with this exit code.
    Over(u8),
    /// What changed since the moment of a snapshot, up to another.
    Since(Option<Clock>, Clock, ChangeSet),
    /// Nothing, as nobody answered.
    Nobody,
    /// Nothing, as nobody was asked.
    Nothing,
}

/// An answer that takes so long to be missed was worth a word.
const LONG: Duration = Duration::from_secs(1);

/// Asks the background session. One that does not answer makes each run wait, which is told.
fn ask(context: &Context<'_>, root: &Path, since: Option<&Clock>) -> Option<(Clock, ChangeSet)> {
    let started = Instant::now();
    let answer = daemon::ask(root, &context.world.env, since);
    if answer.is_none() && started.elapsed() >= LONG {
        say(
            "warning: the background session does not answer, so everything is looked at\n  `larder session stop` ends it",
        );
    }
    answer
}

/// Whether a background session is asked at all.
fn is_asked(args: &RunArgs) -> bool {
    !args.reuse.no_session && !args.reuse.no_incremental
}

/// Whether the words of the command line and declared variables are all that the answer hangs on, and it is no more than the summary.
fn is_plain(context: &Context<'_>, args: &RunArgs) -> bool {
    let by_git = |filter: &String| filter.contains('[');
    !args.verbose
        && !args.show_cache
        && args.write_delta.is_none()
        && args.profile.is_none()
        && args.selection.graph_filter.is_empty()
        && !args.json
        && !args.summarize
        && args.dry.is_none()
        && args.force.is_none()
        && !matches!(args.output_logs, Some(OutputLogs::HashOnly))
        && args.selection.affected.is_none()
        && !args.selection.filter.iter().any(by_git)
        && context.world.var("LARDER_FORCE").is_none()
        && !crate::diagnostics::listening()
}

fn incremental(context: &Context<'_>, args: &RunArgs) -> Option<PathBuf> {
    let dir = args.reuse.incremental_cache_dir.as_ref();
    dir.map(|dir| context.cwd.join(dir))
}

fn request<'r>(context: &'r Context<'_>) -> Request<'r> {
    Request {
        words: &context.world.args,
        folder: &context.cwd,
        env: &context.world.env,
    }
}

/// Asks before anything is opened: where nothing changed since nothing was to do, nothing is to do.
pub(super) fn beforehand(context: &Context<'_>, args: &RunArgs, root: &Path) -> Told {
    if !is_asked(args) || !is_plain(context, args) {
        return Told::Nothing;
    }
    let started = Instant::now();
    let ask = |since: Option<Clock>| ask(context, root, since.as_ref());
    let dir = incremental(context, args);
    match answer(root, dir.as_deref(), &request(context), &ask) {
        Some(Answer::Quiet(quiet)) => {
            say_quiet(context, args, quiet, started.elapsed().as_secs_f64());
            Told::Over(exit::SUCCESS)
        }
        Some(Answer::Since {
            since,
            clock,
            changes,
        }) => Told::Since(since, clock, changes),
        None => Told::Nobody,
    }
}

/// Tells a session what changed since what an earlier one kept, if somebody knows.
pub(super) fn tell(
    context: &Context<'_>,
    args: &RunArgs,
    session: &mut Session<'_>,
    told: Told,
) -> Result<(), Usage> {
    if !is_asked(args) || matches!(told, Told::Nobody) {
        return Ok(());
    }
    let since = session.resume();
    let answer = match told {
        Told::Since(asked, clock, changes) if asked == since => Some((clock, changes)),
        _ => ask(context, &session.root, since.as_ref()),
    };
    let Some((clock, changes)) = answer else {
        return Ok(());
    };
    let changes = match since {
        Some(_) => changes,
        None => ChangeSet::everything("no earlier session is known"),
    };
    session
        .update(&changes)
        .map_err(|error| context.open_error(error))?;
    let plain = is_plain(context, args);
    session.keep_as_of(clock, plain.then(|| request(context)).as_ref());
    Ok(())
}

/// Shows again what the tasks said, and the summary.
fn say_quiet(context: &Context<'_>, args: &RunArgs, quiet: Quiet, seconds: f64) {
    let show = Show::new(mux::Order::Stream, context.colour, false, false, None);
    let logs = super::run::output_logs(args).unwrap_or(mux::OutputLogs::Full);
    for (task, key, log) in quiet.logs {
        let mut record = TaskRecord::new(task, Status::UpToDate);
        record.key = Some(key);
        let mut done = Done::skipped(record);
        done.replay = Some(log);
        show.ended(&done, logs);
    }
    let tasks = |count: u64, status: Status| {
        (0..count).map(move |_| TaskRecord::new(String::new(), status))
    };
    let record = RunRecord {
        version: record::VERSION,
        larder: env!("CARGO_PKG_VERSION"),
        started: String::new(),
        wall_seconds: seconds,
        request: args.tasks.clone(),
        exit_code: exit::SUCCESS,
        error: None,
        cache_hit: 0,
        cache_miss: 0,
        left_out: Vec::new(),
        show_cache: None,
        rebuild_seconds: 0.0,
        saved_seconds: quiet.saved_seconds,
        phases: std::collections::BTreeMap::new(),
        tasks: tasks(quiet.tasks, Status::UpToDate)
            .chain(tasks(quiet.groups, Status::Group))
            .collect(),
        warnings: Vec::new(),
        counters: Counters::default(),
    };
    say(&summary(&record, false, context.stderr_colour));
}
