//! What a run would do, told without doing it.
//! Does not run, restore or write anything but the stat memo.

use larder_cache::{Key, Store as _};
use larder_fingerprint::{Change, Explanation};
use serde::Serialize;

use crate::record::{Status, TaskRecord};

use super::describe::{self, Basis, DepResult};
use super::life::{Done, hex};
use super::tree::{Fault, lossy};
use super::{Run, chunks, discovered, words};

/// What would happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing.
    UpToDate,
    /// It would be restored.
    WouldRestore,
    /// It would run.
    WouldRun,
    /// It would run if a dependency that runs makes something else than before.
    MayRun,
    /// It cannot be judged.
    Broken,
}

impl Verdict {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::UpToDate => "up to date",
            Verdict::WouldRestore => "would be restored",
            Verdict::WouldRun => "would run",
            Verdict::MayRun => "may run",
            Verdict::Broken => "cannot be judged",
        }
    }
}

/// One task's future.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Index in the workspace.
    pub task: usize,
    /// `project#task`.
    pub id: String,
    /// What would happen.
    pub verdict: Verdict,
    /// The key, where it can be known.
    pub key: Option<String>,
    /// Why.
    pub why: Vec<String>,
    /// What changed since the last success.
    pub changes: Vec<Change>,
    /// What its key would be made of now; of a task with chunks, what holds for all of them.
    pub explanation: Option<Explanation>,
    /// The sources of its chunks.
    pub sources: Vec<larder_fingerprint::Row>,
}

/// Judges every task of the run in order of dependency.
///
/// # Errors
/// When the plan has no order.
pub fn forecast(run: &Run<'_>) -> Result<Vec<Forecast>, Fault> {
    let order = run
        .plan()
        .graph
        .topological_order()
        .map_err(|error| Fault::Words(error.to_string()))?;
    let mut forecasts: Vec<Forecast> = Vec::new();
    let mut verdicts = vec![None; run.session.workspace.tasks.len()];
    for node in order {
        let Some(&task) = run.plan().graph.get(node) else {
            continue;
        };
        let forecast = judge(run, task, &verdicts).unwrap_or_else(|fault| Forecast {
            task,
            id: run.id(task),
            verdict: Verdict::Broken,
            key: None,
            why: vec![fault.to_string()],
            changes: Vec::new(),
            explanation: None,
            sources: Vec::new(),
        });
        verdicts[task] = Some(forecast.verdict);
        forecasts.push(forecast);
    }
    Ok(forecasts)
}

fn judge(run: &Run<'_>, task: usize, verdicts: &[Option<Verdict>]) -> Result<Forecast, Fault> {
    let session = run.session;
    let spec = &session.workspace.tasks[task];
    let id = run.id(task);
    let mut forecast = Forecast {
        task,
        id: id.clone(),
        verdict: Verdict::UpToDate,
        key: None,
        why: Vec::new(),
        changes: Vec::new(),
        explanation: None,
        sources: Vec::new(),
    };
    // Results of what runs first are not known yet; what they were is the best that can be said of them.
    let open: Vec<usize> = run
        .plan()
        .needs(task)
        .into_iter()
        .map(|(dep, _)| dep)
        .filter(|dep| {
            matches!(
                verdicts[*dep],
                Some(Verdict::WouldRun | Verdict::MayRun | Verdict::Broken)
            )
        })
        .collect();
    let deps = run.dependencies(task)?;
    if spec.command.is_none() {
        let empty = larder_cache::digest(&[]);
        if !open.is_empty() {
            forecast.verdict = Verdict::MayRun;
            forecast.why = open
                .iter()
                .map(|dep| format!("{} runs first", run.id(*dep)))
                .collect();
        }
        run.foresee(task, known(&id, Status::Group, empty, &deps, Vec::new()));
        return Ok(forecast);
    }
    if spec.foreach.is_some() {
        let rows = chunks::forecast::judge(run, task, &deps, &open, &mut forecast)?;
        let manifest = larder_cache::digest(&rows);
        let rows = rows.as_ref().clone();
        run.foresee(task, known(&id, Status::UpToDate, manifest, &deps, rows));
        return Ok(forecast);
    }
    let mut basis = run.basis(task, &deps)?;
    let last = session.state.task(&id).cloned().unwrap_or_default();
    run.recall(task, &mut basis, &last)?;
    let key = basis.key();
    let new = basis.explain(&session.secret);
    let old = basis.explained_before(session.state.explanation(&id));
    let changes = old
        .as_ref()
        .map(|old| larder_fingerprint::diff(old, &new))
        .unwrap_or_default();
    let in_place = session.tree.in_place(&last.owned)?.is_some();
    let same = last.success.as_ref().is_some_and(|success| {
        success.key == key && success.discovered.is_some() == spec.depfile.is_some()
    });
    let fresh = same && in_place && spec.outputs.is_some() && !run.forced(task);
    // What a dependency hands on is only a guess while it is open, so changes of its outputs are none of this task's own yet.
    let own: Vec<Change> = changes.into_iter().filter(|change| !matches!(change, Change::Dependency { task, .. } if open.iter().any(|dep| run.id(*dep) == *task))).collect();
    if run.forced(task) {
        forecast.why.push("forced".to_owned());
    }
    if spec.outputs.is_none() {
        forecast
            .why
            .push("it declares no `outputs`, so it runs every time".to_owned());
    }
    if last.success.is_none() {
        forecast.why.push(
            if old.is_none() {
                "it has not succeeded in this workspace before"
            } else {
                "its last run failed or could not be kept"
            }
            .to_owned(),
        );
    } else if !in_place {
        let wrong = session.tree.out_of_place(&last.owned)?;
        forecast.why.extend(
            wrong
                .iter()
                .take(5)
                .map(|path| format!("output {} is not as it left it", lossy(path))),
        );
    }
    forecast.why.extend(words::changes(&own));
    if forecast.why.is_empty() && !same && open.is_empty() {
        forecast.why.push(words::UNKNOWN.to_owned());
    }
    forecast.key = open.is_empty().then(|| hex(&key));
    let entry =
        if fresh || !open.is_empty() || run.forced(task) || !spec.store || spec.outputs.is_none() {
            None
        } else {
            stored(run, task, &mut basis)
        };
    let mut rows = last.owned.clone();
    forecast.verdict = if let Some(entry) = entry {
        rows = entry.manifest;
        Verdict::WouldRestore
    } else if !open.is_empty() && own.is_empty() && forecast.why.is_empty() {
        forecast.why = open
            .iter()
            .map(|dep| format!("{} runs first, and its outputs may change", run.id(*dep)))
            .collect();
        Verdict::MayRun
    } else if fresh {
        forecast
            .why
            .push("nothing it reads changed, and its outputs are as it left them".to_owned());
        Verdict::UpToDate
    } else {
        Verdict::WouldRun
    };
    forecast.changes = own;
    forecast.explanation = Some(new);
    let manifest = larder_cache::digest(&rows);
    run.foresee(
        task,
        known(
            &id,
            Status::UpToDate,
            if spec.outputs.is_some() {
                manifest
            } else {
                key
            },
            &deps,
            rows,
        ),
    );
    Ok(forecast)
}

/// The entry that a run would restore.
fn stored(run: &Run<'_>, task: usize, basis: &mut Basis) -> Option<larder_cache::Entry> {
    let store = run.session.store()?;
    let entry = |key: [u8; 32]| store.get(&Key(key)).ok().flatten();
    let under = |key: [u8; 32]| entry(key).or_else(|| entry(run.session.bound(&key)));
    if run.session.workspace.tasks[task].depfile.is_none() {
        return under(basis.key());
    }
    let lists = discovered::known(store, &basis.base()).ok()?;
    lists.iter().find_map(|list| {
        basis.inputs.discovered = Some(discovered::rows(&run.session.tree, list).ok()?);
        under(basis.key())
    })
}

/// A task as its dependents would see it.
fn known(
    id: &str,
    status: Status,
    manifest: [u8; 32],
    deps: &[DepResult],
    rows: Vec<larder_cache::Row>,
) -> Done {
    let closure = describe::closure(&manifest, deps);
    Done::foreseen(
        TaskRecord::new(id.to_owned(), status),
        manifest,
        closure,
        rows,
    )
}
