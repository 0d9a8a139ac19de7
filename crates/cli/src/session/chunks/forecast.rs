//! What a run would do to the chunks of a task, told without doing it.
//! Does not write anything.

use std::sync::Arc;

use larder_cache::{Key, Store as _};

use super::super::describe::DepResult;
use super::super::forecast::{Forecast, Verdict};
use super::super::life::hex;
use super::super::tree::Fault;
use super::super::{Run, discovered, words};
use super::expand::{Expansion, expand};
use super::format;
use super::keys::Keys;
use super::lived::Lived;
use super::partial;
use super::stale::{self, Stale};
use super::told;

/// Judges a task with chunks; `open` are those it depends on that would run first. Answers what lies of its outputs, as far
/// as it is known.
///
/// # Errors
/// When a file cannot be read, or the task cannot be expanded.
pub(in super::super) fn judge(
    run: &Run<'_>,
    task: usize,
    deps: &[DepResult],
    open: &[usize],
    forecast: &mut Forecast,
) -> Result<Arc<Vec<larder_cache::Row>>, Fault> {
    let session = run.session;
    let last = session
        .state
        .task(&forecast.id)
        .cloned()
        .unwrap_or_default();
    let table = session.state.chunks(&forecast.id);
    let table = table
        .as_deref()
        .and_then(format::decode)
        .unwrap_or_default();
    let expansion = expand(run, task)?;
    let keys = Keys::gather(run, task, deps, &expansion)?;
    let forced = run.forced(task);
    let mut look = stale::look(run, task, &expansion, &keys, &table, &last, !forced)?;
    look.choose(run, task, &expansion, open.is_empty())?;
    let new = keys.common.explain(&session.secret);
    let old = keys
        .common
        .explained_before(session.state.explanation(&forecast.id));
    let changes = old
        .as_ref()
        .map(|old| larder_fingerprint::diff(old, &new))
        .unwrap_or_default();
    forecast.explanation = Some(new);
    let sources = expansion.chunks.iter();
    forecast.sources = sources.map(|chunk| chunk.source.clone()).collect();
    // What a dependency hands on is only a guess while it is open.
    let is_open = |id: &String| open.iter().any(|dep| run.id(*dep) == *id);
    forecast.changes = changes
        .into_iter()
        .filter(|change| {
            !matches!(change, larder_fingerprint::Change::Dependency { task, .. } if is_open(task))
        })
        .collect();
    if forced {
        forecast.why.push("forced".to_owned());
    }
    let never = last.owned.is_empty() && table.chunks.is_empty() && old.is_none();
    // Sources may still be made by what runs first.
    if never && !(look.is_nothing() && open.is_empty()) {
        forecast
            .why
            .push("it has not succeeded in this workspace before".to_owned());
    } else {
        forecast.why.extend(words::changes(&forecast.changes));
        forecast
            .why
            .extend(told::told(&expansion, &keys, &look, &table));
        if forecast.why.is_empty() && !look.stale.is_empty() && open.is_empty() {
            forecast.why.push(words::UNKNOWN.to_owned());
        }
    }
    let restorable = if forced || !open.is_empty() || !session.workspace.tasks[task].store {
        0
    } else {
        let there = |stale: &&Stale| stored(run, &expansion, &keys, stale);
        look.stale.iter().filter(there).count()
    };
    let total = expansion.chunks.len();
    if open.is_empty() {
        forecast.key = Some(hex(&keys.whole(&look.keys)));
    }
    let runs = look.stale.len() - restorable;
    forecast.verdict = if !open.is_empty() && look.is_nothing() && !never {
        let first =
            |dep: &usize| format!("{} runs first, and its outputs may change", run.id(*dep));
        forecast.why.extend(open.iter().map(first));
        Verdict::MayRun
    } else if look.is_nothing() && open.is_empty() {
        if look.left.is_empty() {
            forecast.why.push(told::nothing(total));
        }
        Verdict::UpToDate
    } else if runs == 0 && restorable > 0 {
        Verdict::WouldRestore
    } else {
        Verdict::WouldRun
    };
    if !look.stale.is_empty() {
        let more = match restorable {
            0 => String::new(),
            count => format!(", {count} would be restored"),
        };
        forecast
            .why
            .push(format!("{runs} of {total} chunks would run{more}"));
    }
    let there = partial::on_disk(run, &expansion, &look)?;
    let rows = there.unwrap_or_else(|| Arc::new(last.owned));
    run.chunks.keep(
        task,
        Lived::new(&forecast.id, expansion, keys, Arc::clone(&rows)),
    );
    Ok(rows)
}

/// Whether the cache has a result for a chunk.
pub(super) fn stored(run: &Run<'_>, expansion: &Expansion, keys: &Keys, stale: &Stale) -> bool {
    let Some(store) = run.session.store() else {
        return false;
    };
    let chunk = &expansion.chunks[stale.index];
    let there = |key: [u8; 32]| {
        let keys = [key, run.session.bound(&key)];
        keys.iter()
            .any(|key| matches!(store.get(&Key(*key)), Ok(Some(_))))
    };
    let base = keys.key(stale.index, chunk, None);
    if chunk.depfile.is_none() {
        return there(base);
    }
    let lists = discovered::known(store, &base).unwrap_or_default();
    lists.iter().any(|list| {
        discovered::rows(&run.session.tree, list)
            .is_ok_and(|rows| there(keys.key(stale.index, chunk, Some(&rows))))
    })
}
