//! `larder explain` and `larder run --dry`: what would happen, and why, without doing it.
//! Does not know how causes are worded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use larder_fingerprint::Change;
use serde_json::json;

use crate::args::{DryFormat, ExplainArgs, Reuse};
use crate::execute::{exit, mux};
use crate::plan::Plan;
use crate::select;
use crate::session::forecast::{Forecast, Verdict, forecast};
use crate::session::run::Options;
use crate::session::{Run, Session};
use crate::show::Show;

use super::{Context, Outcome, Usage, print};

pub(super) mod chunk;

pub(super) fn explain(context: &Context<'_>, args: &ExplainArgs) -> Outcome {
    context.with_session(args.cache_dir.clone(), &Reuse::default(), |session| {
        let workspace = &session.workspace;
        let all: BTreeSet<usize> = (0..workspace.projects.len()).collect();
        let of_chunk = chunk::split(workspace, &args.task);
        let word = of_chunk.map_or(args.task.as_str(), |(task, _)| task);
        let named = select::tasks(workspace, &[word.to_owned()], &all).map_err(Usage::new)?;
        let Some(&task) = named.first().filter(|_| named.len() == 1) else {
            let candidates: Vec<String> = named.iter().take(5).map(|&task| crate::plan::task_id(workspace, task)).collect();
            return Err(Usage::new(format!("`{}` names {} tasks\n  choose one, such as {}", args.task, named.len(), candidates.join(", "))));
        };
        let source = match of_chunk {
            Some((_, within)) => Some(chunk::source(session, task, within)?),
            None => None,
        };
        let plan = Plan::new(workspace, named, false)?;
        look(session, &plan, &Options::plain(), |run, forecasts| {
            // What does not lead to this task explains nothing of it: hooks that follow are left out.
            let leading = crate::plan::closure(workspace, &[task]);
            let order: Vec<&Forecast> = forecasts.iter().filter(|forecast| leading.contains(&forecast.task)).collect();
            if let Some(entry) = &args.against {
                return super::archive::against::against(context, session, &order, entry, args.json);
            }
            if let Some(source) = source {
                return chunk::explain(run, task, &source, &order, args.json);
            }
            if args.json {
                print(&format!("{:#}\n", json!({ "task": crate::plan::task_id(workspace, task), "tasks": order.iter().map(|forecast| value(forecast)).collect::<Vec<_>>() })))?;
                return Ok(exit::SUCCESS);
            }
            print(&told(task, &order, &causes(session, task, &order)))?;
            Ok(exit::SUCCESS)
        })
    })
}

/// Tasks whose own change leads to `task`, so that a cause beside the way is not named.
fn causes(session: &Session<'_>, task: usize, order: &[&Forecast]) -> BTreeSet<usize> {
    let known: BTreeMap<usize, &Forecast> = order
        .iter()
        .map(|forecast| (forecast.task, *forecast))
        .collect();
    let mut found = BTreeSet::from([task]);
    let mut stack = vec![task];
    while let Some(task) = stack.pop() {
        for dep in &session.workspace.tasks[task].deps {
            let acts = known
                .get(&dep.task)
                .is_some_and(|forecast| forecast.verdict != Verdict::UpToDate);
            if acts && found.insert(dep.task) {
                stack.push(dep.task);
            }
        }
    }
    found
}

fn told(task: usize, order: &[&Forecast], causes: &BTreeSet<usize>) -> String {
    let mut text = String::new();
    for forecast in order
        .iter()
        .filter(|forecast| causes.contains(&forecast.task))
    {
        if forecast.task != task && forecast.verdict == Verdict::UpToDate {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}: {}", forecast.id, forecast.verdict.words());
        for why in &forecast.why {
            let _ = writeln!(text, "  {why}");
        }
    }
    text
}

fn value(forecast: &Forecast) -> serde_json::Value {
    json!({ "task": forecast.id, "verdict": forecast.verdict, "key": forecast.key, "why": forecast.why, "changes": forecast.changes.iter().map(change).collect::<Vec<_>>() })
}

/// A change, with the path of a file as text.
fn change(change: &Change) -> serde_json::Value {
    let mut value = json!(change);
    if let Change::FileAdded(file)
    | Change::FileRemoved(file)
    | Change::FileEdited(file)
    | Change::FileMode(file) = change
        && let Some(inner) = value
            .as_object_mut()
            .and_then(|object| object.values_mut().next())
    {
        inner["path"] = json!(String::from_utf8_lossy(&file.path));
    }
    value
}

/// Hands over what a run of the plan would do, in order.
pub(super) fn look<T>(
    session: &Session<'_>,
    plan: &Plan,
    options: &Options,
    tell: impl FnOnce(&Run<'_>, &[Forecast]) -> Result<T, Usage>,
) -> Result<T, Usage> {
    let show = Show::new(mux::Order::Stream, false, true, false, None);
    let run = Run::new(session, plan, options, &show).map_err(Usage::new)?;
    let forecasts = forecast(&run).map_err(Usage::new)?;
    let told = tell(&run, &forecasts)?;
    // What was digested on the way need not be digested again; losing it costs time alone.
    let _ = session.tree.scanner().memo().save(&session.paths.memo);
    Ok(told)
}

/// `larder run --dry`.
pub(super) fn dry(
    session: &Session<'_>,
    plan: &Plan,
    options: &Options,
    format: DryFormat,
) -> Outcome {
    let forecasts = look(
        session,
        plan,
        options,
        |_, forecasts| Ok(forecasts.to_vec()),
    )?;
    match format {
        DryFormat::Json => {
            let mut told = json!({ "tasks": forecasts.iter().map(value).collect::<Vec<_>>() });
            if !plan.left_out.is_empty() {
                told["left_out"] = json!(plan.left_out);
            }
            print(&format!("{told:#}\n"))?;
        }
        DryFormat::Text => {
            let mut text = String::new();
            for forecast in &forecasts {
                let why = forecast
                    .why
                    .first()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{}: {}{why}", forecast.id, forecast.verdict.words());
            }
            print(&text)?;
        }
    }
    Ok(exit::SUCCESS)
}
