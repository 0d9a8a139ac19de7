//! `larder watch`: runs, waits for changes, and runs again what they reach.
//! Does not know how changes are noticed, nor how a task is judged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::args::RunArgs;
use crate::execute::exit;
use crate::plan::Plan;
use crate::record::Status;
use crate::session::Run;
use crate::session::run::{Beside, Ended, Options};
use crate::session::{ChangeSet, Session};
use crate::watch::agenda::{Agenda, News, Round, acted};
use crate::watch::{self, Changes, Later, Waker};

use super::keys::{Key, Keys};
use super::rounds::Rounds;
use super::{Context, Outcome, Usage, run, say};

/// While nothing can be watched, everything is looked at after so long.
const POLL: Duration = Duration::from_secs(2);

pub(super) fn watch(context: &Context<'_>, args: &RunArgs) -> Outcome {
    context.with_session(args.cache_dir.clone(), &args.reuse, |session| {
        in_session(context, args, session)
    })
}

fn in_session(context: &Context<'_>, args: &RunArgs, session: &mut Session<'_>) -> Outcome {
    let requested = run::requested(args, session)?;
    let force = run::forced(context, args);
    run::check_force(force.as_deref(), session)?;
    // A graph filter that cannot be meant ends it before it begins; else what is left out is told once.
    run::planned(args, session, requested.clone())?;
    let options = Options {
        watching: true,
        ..run::options(context, args, None)?
    };
    // A user may have as many watchers as the system gives: then everything is looked at again and again.
    let watcher = Later::new(Box::new(watch::system));
    let mut changes = Changes::open(&session.root, &session.workspace, Box::new(watcher))?;
    let waker = changes.waker();
    let keys = Keys::listen(waker.clone());
    let _woken = session.cancel.subscribe(move || waker.wake());
    let mut agenda = Agenda::new(requested, force);
    let mut told = ChangeSet::everything("it was not watched before");
    let mut rounds = Rounds::default();
    let mut blind = None;
    // Said once, and again of another configuration.
    let mut undeclared_said = false;
    loop {
        told.merge(changes.sync());
        say_blind(&changes, &mut blind);
        let request = |session: &Session<'_>| run::requested(args, session);
        let mut news = |news: News<'_>| {
            undeclared_said &= news != News::Reloaded;
            say_news(news);
        };
        let updated = agenda.update(session, &mut changes, &told, &request, &mut news);
        told = ChangeSet::new();
        if let Err(usage) = updated {
            say_usage(&usage);
        } else if let Some(now) = agenda.take() {
            let planned = plan(args, session, agenda.requested(), &now);
            if let Err(usage) = &planned {
                say_usage(usage);
                agenda.missed();
            }
            if let Some(plan) = planned.ok().filter(|plan| !plan.nodes.is_empty()) {
                let options = Options {
                    force: now.force,
                    ..options.clone()
                };
                let mut beside = Beholder {
                    changes: &mut changes,
                    gathered: &mut told,
                    keys: &keys,
                    interrupts: !args.no_interrupt && rounds.may_stop(),
                    ended: Arc::default(),
                };
                let telling = run::Telling {
                    idle: now.all,
                    undeclared: !undeclared_said,
                };
                let beside: &mut dyn Beside = &mut beside;
                match run::perform(
                    context,
                    args,
                    session,
                    &plan,
                    &options,
                    Some(beside),
                    telling,
                ) {
                    Ok((_, ended)) => {
                        undeclared_said |= ran_undeclared(session, &ended);
                        agenda.ended(&ended);
                        let stopped = was_stopped(session, &ended);
                        if (now.all || acted(&ended)) && !stopped && !session.cancel.is_raised() {
                            say_watching(&changes, &keys);
                        }
                        if acted(&ended) && changes.blind().is_none() {
                            // What changed while it ran is told from what changes from here on.
                            told.merge(changes.sync());
                        }
                        rounds.ended(acted(&ended) && !told.is_empty(), stopped);
                        pause(session, &mut changes, &keys, &mut rounds, &ended, &mut told);
                    }
                    Err(usage) if usage.kind == super::UNWRITTEN => return Err(usage),
                    Err(usage) => {
                        say_usage(&usage);
                        agenda.missed();
                    }
                }
            }
        }
        // What was gathered meanwhile comes first.
        while told.is_empty() && !agenda.is_all() {
            match keys.take() {
                Some(Key::Quit) => return Ok(exit::SUCCESS),
                Some(Key::Again) => agenda.again(undeclared(session)),
                Some(Key::Force) => agenda.again(Some(vec![String::new()])),
                None if session.cancel.is_raised() => return Ok(exit::INTERRUPTED),
                None => {
                    rounds.rest();
                    told = changes.next(next_look(&changes));
                }
            }
        }
        if keys.waiting() == Some(Key::Quit) {
            return Ok(exit::SUCCESS);
        }
        if session.cancel.is_raised() {
            return Ok(exit::INTERRUPTED);
        }
    }
}

impl From<watch::OpenError> for Usage {
    fn from(error: watch::OpenError) -> Usage {
        Usage::new(error)
    }
}

fn say_usage(usage: &Usage) {
    say(&format!("larder: {}", usage.message.trim_end()));
}

fn say_news(news: News<'_>) {
    say(&match news {
        News::Reloaded => {
            "larder.toml or a file beside it changed: the configuration was read again".to_owned()
        }
        News::Everything(why) => format!("the whole workspace is looked at: {why}"),
    });
}

/// Tasks that are never kept, so that they run whenever they are asked for.
fn undeclared(session: &Session<'_>) -> Option<Vec<String>> {
    let tasks = session.workspace.tasks.iter().enumerate();
    let never = tasks.filter(|(_, task)| task.outputs.is_none());
    let names: Vec<String> = never
        .map(|(task, _)| session.compiled.id(task).to_owned())
        .collect();
    // An empty list would mean all tasks.
    (!names.is_empty()).then_some(names)
}

fn ran_undeclared(session: &Session<'_>, ended: &Ended) -> bool {
    let mut results = ended.results.iter();
    results.any(|(task, done)| {
        done.record.status == Status::Ran && session.workspace.tasks[*task].outputs.is_none()
    })
}

/// What of the request is to be run: what the graph filter leaves of all that was asked for, and changes reach.
fn plan(
    args: &RunArgs,
    session: &Session<'_>,
    requested: &BTreeSet<usize>,
    round: &Round,
) -> Result<Plan, Usage> {
    let workspace = &session.workspace;
    let plan = Plan::new(workspace, round.wanted.clone(), false)?;
    if args.selection.graph_filter.is_empty() {
        return Ok(plan);
    }
    let whole = Plan::new(workspace, requested.clone(), false)?;
    let whole = super::pruned(workspace, whole, &args.selection)?;
    let kept = whole.nodes.keys().copied().collect();
    Ok(Plan {
        left_out: whole.left_out,
        chunks: whole.chunks,
        ..plan.keep(workspace, &kept)
    })
}

/// Whether a task was stopped because its inputs changed.
pub(super) fn was_stopped(session: &Session<'_>, ended: &Ended) -> bool {
    let stopped =
        |done: &crate::session::life::Done| done.exit == Some(crate::execute::Exit::Interrupted);
    !session.cancel.is_raised() && ended.results.values().any(stopped)
}

/// Waits before the next of many runs that followed each other, until something changes or a key is pressed.
fn pause(
    session: &Session<'_>,
    changes: &mut Changes,
    keys: &Keys,
    rounds: &mut Rounds,
    ended: &Ended,
    told: &mut ChangeSet,
) {
    let Some(pause) = rounds.pause() else { return };
    let wrote = ended.results.iter().find_map(|(task, done)| {
        let ran = matches!(done.record.status, Status::Ran | Status::Failed);
        let path = ran.then(|| session.input_among(*task, told))??;
        Some((done.record.task.as_str(), path))
    });
    if let Some((task, path)) = wrote.filter(|_| rounds.is_first_pause()) {
        say(&format!(
            "warning: {task} reads {}, which changes whenever tasks run, so it would run for ever: now it waits a while\n  \
             leave the file out of `inputs`, or name it in the `outputs` of the task that writes it",
            String::from_utf8_lossy(&path)
        ));
    }
    let until = Instant::now() + pause;
    while Instant::now() < until && keys.waiting().is_none() && !session.cancel.is_raised() {
        let more = changes.next(Some(until));
        if !more.is_empty() {
            told.merge(more);
            rounds.rest();
            return;
        }
    }
}

/// Where nothing can be watched, everything is looked at again and again.
fn next_look(changes: &Changes) -> Option<Instant> {
    changes.blind().map(|_| Instant::now() + POLL)
}

fn say_watching(changes: &Changes, keys: &Keys) {
    let what = match changes.blind() {
        Some(_) => "waiting for changes".to_owned(),
        None => format!("watching {} folders", changes.folders()),
    };
    let keys = if keys.are_heard() {
        " (r: run again, f: run although nothing changed, q: quit)"
    } else {
        ""
    };
    say(&format!("{what}{keys}"));
}

/// Says once why nothing can be watched.
fn say_blind(changes: &Changes, said: &mut Option<String>) {
    let now = changes.blind().map(str::to_owned);
    if let Some(why) = now.as_ref().filter(|_| now != *said) {
        say(&format!(
            "warning: changes are not told: {why}; the whole workspace is looked at every 2 s instead"
        ));
    }
    *said = now;
}

/// Gathers changes while a run goes on, and stops what they make stale.
struct Beholder<'b> {
    changes: &'b mut Changes,
    gathered: &'b mut ChangeSet,
    keys: &'b Keys,
    interrupts: bool,
    ended: Arc<AtomicBool>,
}

impl Beside for Beholder<'_> {
    fn ender(&self) -> Box<dyn Fn()> {
        let (ended, waker): (_, Waker) = (Arc::clone(&self.ended), self.changes.waker());
        Box::new(move || {
            ended.store(true, Ordering::SeqCst);
            waker.wake();
        })
    }

    fn go(&mut self, run: &Run<'_>) {
        while !self.ended.load(Ordering::SeqCst) {
            let batch = self.changes.next(next_look(self.changes));
            if self.interrupts && !batch.is_empty() {
                run.interrupt(&batch);
            }
            self.gathered.merge(batch);
            if self.keys.waiting() == Some(Key::Quit) && !run.session.cancel.is_raised() {
                run.session.cancel.raise("q");
            }
        }
    }
}
