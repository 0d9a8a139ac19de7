//! One chunk looked at closely: what a run would do to it, what its key is made of, and what uses what it makes.
//! Does not write anything.

use std::collections::{BTreeMap, BTreeSet};

use larder_fingerprint::RowKind;

use super::super::Run;
use super::super::forecast::Verdict;
use super::super::life::hex;
use super::super::tree::{Fault, lossy};
use super::edges::Users;
use super::expand::{self, expand};
use super::forecast::stored;
use super::format;
use super::keys::{self, Keys};
use super::stale::{self, Stale};

/// What there is to say of one chunk.
#[derive(Debug)]
pub struct Portrait {
    /// `project#task[path]`.
    pub id: String,
    /// What would happen to it.
    pub verdict: Verdict,
    /// Whether its source is no more: what it made would be deleted.
    pub gone: bool,
    /// The key, in hexadecimal, where it can be known.
    pub key: Option<String>,
    /// What of that holds for all chunks of the task.
    pub shared: String,
    /// Why, besides what changed for all chunks.
    pub why: Vec<String>,
    /// The source in the workspace, and its digest in hexadecimal.
    pub source: (String, Option<String>),
    /// Chunks and tasks whose results enter its key alone, with digests in hexadecimal.
    pub dependencies: BTreeMap<String, String>,
    /// Files that it discovered last; `None` where none are known.
    pub discovered: Option<Vec<Discovered>>,
    /// What it made when it last succeeded, or else the declared paths.
    pub outputs: Vec<String>,
    /// Chunks that an edit of its source may reach through what it makes.
    pub used_by: BTreeSet<String>,
}

/// A file that a chunk discovered.
#[derive(Debug)]
pub struct Discovered {
    /// Path in the workspace.
    pub path: String,
    /// Its digest now, in hexadecimal; `None` where it is not there.
    pub digest: Option<String>,
    /// Whether it is another one than the chunk read.
    pub changed: bool,
}

/// Looks at the chunk of a source, after its task was judged. `open` are tasks it depends on that would run first.
///
/// # Errors
/// When a file cannot be read, or the task cannot be expanded.
pub fn portrait(
    run: &Run<'_>,
    task: usize,
    source: &[u8],
    open: &[usize],
) -> Result<Option<Portrait>, Fault> {
    let session = run.session;
    let id = run.id(task);
    let last = session.state.task(&id).cloned().unwrap_or_default();
    let table = session.state.chunks(&id);
    let table = table.as_deref().and_then(format::decode);
    let table = table.unwrap_or_default();
    let expansion = expand(run, task)?;
    let keys = Keys::gather(run, task, &run.dependencies(task)?, &expansion)?;
    let kept = table.chunks.get(source);
    let rows = kept.and_then(|kept| stale::rows(kept, &last.owned));
    let mut outputs: Vec<String> = rows.iter().flatten().map(|row| lossy(&row.path)).collect();
    let within = expand::within(session, task, source).unwrap_or_default();
    let name = expand::name(&id, &within);
    let mut used_by = Users::of(session).reached(source);
    used_by.remove(&name);
    let mut portrait = Portrait {
        id: name,
        verdict: Verdict::WouldRun,
        gone: true,
        key: None,
        shared: hex(&keys.shared),
        why: vec![format!("source {} is gone", lossy(source))],
        source: (lossy(source), None),
        dependencies: BTreeMap::new(),
        discovered: None,
        outputs: Vec::new(),
        used_by,
    };
    let Some(index) = expansion.find(source) else {
        portrait.outputs = outputs;
        return Ok(kept.map(|_| portrait));
    };
    let chunk = &expansion.chunks[index];
    let look = stale::look(run, task, &expansion, &keys, &table, &last, true)?;
    let found = look.stale.iter().find(|stale| stale.index == index);
    let why = |stale: &Stale| stale::why(stale, &expansion, &keys, &table, &look.files);
    portrait.gone = false;
    portrait.why = found.map(why).unwrap_or_default();
    portrait.verdict = match found {
        None if open.is_empty() => Verdict::UpToDate,
        None => Verdict::MayRun,
        Some(stale) if open.is_empty() && stored(run, &expansion, &keys, stale) => {
            Verdict::WouldRestore
        }
        Some(_) => Verdict::WouldRun,
    };
    // Without a list of what it discovers no key is known.
    let named = kept.and_then(|kept| table.list(kept));
    let known = chunk.depfile.is_none() || named.is_some();
    portrait.key = (known && open.is_empty()).then(|| hex(&look.keys[index]));
    portrait.source.1 = Some(hex(&chunk.source.digest.0));
    let deps = keys.deps[index].iter();
    portrait.dependencies = deps.map(|(id, of)| (id.clone(), hex(of))).collect();
    let read = named.and_then(|named| keys::rows_of(&named, &look.files));
    portrait.discovered = read.map(|read| {
        let was = kept
            .iter()
            .flat_map(|kept| kept.discovered.iter().flatten());
        let was = was.map(|at| usize::try_from(*at).ok().and_then(|at| table.files.get(at)));
        read.iter()
            .zip(was)
            .map(|(now, was)| Discovered {
                path: lossy(&now.path),
                digest: (now.kind != RowKind::Absent).then(|| hex(&now.digest.0)),
                changed: was.is_none_or(|(_, was)| *was != now.digest.0),
            })
            .collect()
    });
    if outputs.is_empty() {
        outputs.extend(chunk.paths.iter().map(|path| lossy(path)));
    }
    portrait.outputs = outputs;
    Ok(Some(portrait))
}
