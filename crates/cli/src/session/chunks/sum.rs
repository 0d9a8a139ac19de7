//! Puts the chunks of a task together again: what the task made, what is remembered of it, and what is told.
//! Does not restore, run or judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use larder_cache::{self as cache, Row};
use larder_fingerprint::Row as InputRow;

use crate::execute::Exit;
use crate::execute::log::Log;
use crate::record::{CacheUse, ChunkCounts, Status};
use crate::state::{Attempt, Success, TaskState, Update};

use super::super::describe;
use super::super::life::{Done, Life, hex};
use super::super::tree::lossy;
use super::super::words;
use super::expand::{Chunk, Expansion, both, name};
use super::format::{self, Table};
use super::judge::Judged;
use super::keys::{self, Keys};
use super::lived::Lived;
use super::stale::{self, Look};
use super::tabled::tabled;
use super::told::{left_out, nothing, some};

/// What is known of a chunk after its life.
#[derive(Debug, Clone)]
pub(super) struct New {
    /// Its key.
    pub key: [u8; 32],
    /// Digest of its source.
    pub source: [u8; 32],
    /// What of its dependencies is its own, with the digests.
    pub deps: Vec<(String, [u8; 32])>,
    /// What it wrote.
    pub rows: Vec<Row>,
    /// What it discovered.
    pub discovered: Option<Vec<InputRow>>,
    /// Digest of the depfile that it wrote here, if that is no output.
    pub depfile: Option<[u8; 32]>,
    /// How long it took when it last ran, in milliseconds.
    pub duration_ms: u64,
    /// What it printed, in the stored form.
    pub log: Vec<u8>,
}

impl New {
    /// A chunk that nothing is known of but what it reads.
    pub(super) fn of(chunk: &Chunk, keys: &Keys, index: usize) -> New {
        New {
            key: [0; 32],
            source: chunk.source.digest.0,
            deps: keys.deps[index].clone(),
            rows: Vec::new(),
            discovered: None,
            depfile: None,
            duration_ms: 0,
            log: Vec::new(),
        }
    }
}

/// What became of the chunks of a task.
pub(super) struct After {
    /// By index: those that may be skipped from now on.
    kept: BTreeMap<usize, New>,
    /// By index: those that a graph filter left as they are.
    left: BTreeMap<usize, New>,
    /// By source: those without one, that a graph filter left as they are.
    left_gone: BTreeMap<Vec<u8>, New>,
    /// What chunks wrote that may not.
    loose: Vec<Row>,
    /// The logs of hits, by name, to be shown again.
    hits: Vec<(String, [u8; 32], Vec<u8>)>,
    counts: ChunkCounts,
    saved_ms: u64,
    /// Chunks that failed.
    failures: Vec<(String, Exit, String)>,
    /// What chunks printed that ran and are not kept, by name.
    unkept: Vec<(String, Vec<u8>)>,
    /// Whether all that ran are in the cache.
    stored: bool,
    /// Why results were not kept.
    reasons: Vec<String>,
    warnings: Vec<String>,
    /// Sources that are gone.
    pub removed: usize,
    /// Chunks that were not begun after a failure.
    not_begun: usize,
    /// Whether a doubt holds for all chunks that ran.
    shared_doubt: bool,
}

impl After {
    /// With the chunks that are up to date.
    pub(super) fn new(
        expansion: &Expansion,
        keys: &Keys,
        look: &Look,
        table: &Table,
        last: &[Row],
    ) -> After {
        let mut after = After {
            kept: BTreeMap::new(),
            left: BTreeMap::new(),
            left_gone: BTreeMap::new(),
            loose: Vec::new(),
            hits: Vec::new(),
            counts: ChunkCounts {
                total: expansion.chunks.len(),
                ..ChunkCounts::default()
            },
            saved_ms: 0,
            failures: Vec::new(),
            unkept: Vec::new(),
            stored: true,
            reasons: Vec::new(),
            warnings: Vec::new(),
            removed: 0,
            not_begun: 0,
            shared_doubt: false,
        };
        let stale: BTreeSet<usize> = look
            .stale
            .iter()
            .chain(&look.left)
            .map(|stale| stale.index)
            .collect();
        for (index, chunk) in expansion.chunks.iter().enumerate() {
            let kept = table.chunks.get(&chunk.source.path);
            let Some(kept) = kept.filter(|_| !stale.contains(&index)) else {
                continue;
            };
            let rows = stale::rows(kept, last).unwrap_or_default();
            let named = table.list(kept);
            let new = New {
                key: kept.key,
                rows: rows.into_iter().cloned().collect(),
                discovered: named.and_then(|named| keys::rows_of(&named, &look.files)),
                depfile: kept.depfile,
                duration_ms: kept.duration_ms,
                log: kept.log.clone(),
                ..New::of(chunk, keys, index)
            };
            after.counts.up_to_date += 1;
            after.hit(expansion, index, &new);
            after.kept.insert(index, new);
        }
        after
    }

    /// The paths that chunks wrote which may be skipped.
    pub(super) fn paths(&self) -> BTreeSet<Vec<u8>> {
        let rows = self.kept.values().flat_map(|new| &new.rows);
        rows.map(|row| row.path.clone()).collect()
    }

    /// Chunks were not begun after a failure; what they own stays theirs.
    pub(super) fn not_begun<'r>(&mut self, count: usize, rows: impl Iterator<Item = &'r Row>) {
        self.not_begun = count;
        self.loose.extend(rows.cloned());
    }

    /// So many chunks were left as they are; what is known of them and of those whose sources are gone, and what of all that
    /// is not redone is owned.
    pub(super) fn leave(
        &mut self,
        count: usize,
        left: BTreeMap<usize, New>,
        gone: BTreeMap<Vec<u8>, New>,
        rows: Vec<Row>,
    ) {
        self.counts.left_out = count;
        self.left = left;
        self.left_gone = gone;
        self.loose.extend(rows);
    }

    fn hit(&mut self, expansion: &Expansion, index: usize, new: &New) {
        self.saved_ms = self.saved_ms.saturating_add(new.duration_ms);
        if !new.log.is_empty() {
            let within = lossy(&expansion.chunks[index].within);
            self.hits.push((within, new.key, new.log.clone()));
        }
    }

    /// A chunk was restored.
    pub(super) fn restored(&mut self, expansion: &Expansion, index: usize, new: New) {
        self.counts.restored += 1;
        self.hit(expansion, index, &new);
        self.kept.insert(index, new);
    }

    /// A chunk ran and was judged; `doubt` tells of one that holds for all and was told already.
    pub(super) fn ran(
        &mut self,
        life: &mut Life<'_>,
        expansion: &Expansion,
        judged: Judged,
        doubt: bool,
    ) {
        let id = name(&life.id, &expansion.chunks[judged.index].within);
        let ran = judged.ran;
        self.shared_doubt |= doubt;
        self.stored &= judged.stored;
        if !judged.kept && !judged.new.log.is_empty() {
            self.unkept.push((id.clone(), judged.new.log.clone()));
        }
        if !ran.exit.success() {
            self.counts.failed += 1;
            let error = ran.error.unwrap_or_else(|| words::exit(ran.exit));
            self.failures.push((id, ran.exit, error));
            self.warnings.extend(ran.hint);
            self.loose.extend(judged.new.rows);
            return;
        }
        self.counts.ran += 1;
        let about = |text: &String| format!("{id}: {text}");
        if let Some(reason) = &judged.reason {
            self.warnings.push(about(&format!("not stored: {reason}")));
            self.reasons.push(about(reason));
        }
        self.warnings.extend(judged.warnings.iter().map(about));
        if let Some(fault) = &judged.fault {
            life.run.session.cache_fault(&mut life.record, fault);
        }
        if judged.kept {
            self.kept.insert(judged.index, judged.new);
        } else {
            self.loose.extend(judged.new.rows);
        }
    }
}

impl After {
    /// Two chunks that wrote one path fail both: wildcards let them, each perhaps in a run of its own.
    fn refuse_shared(&mut self, task: &str, expansion: &Expansion) {
        let mut makers: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut shared: BTreeMap<usize, String> = BTreeMap::new();
        let within = |index: usize| expansion.chunks[index].within.as_slice();
        for (index, new) in &self.kept {
            for row in &new.rows {
                if let Some(other) = makers.insert(&row.path, *index) {
                    let words = both(&row.path, within(other), within(*index)).to_string();
                    shared.insert(other, words.clone());
                    shared.insert(*index, words);
                }
            }
        }
        for (index, words) in shared {
            if let Some(new) = self.kept.remove(&index) {
                self.loose.extend(new.rows);
            }
            self.counts.failed += 1;
            let id = name(task, within(index));
            self.failures.push((id, Exit::Code(1), words));
        }
    }
}

/// The end of a task of which nothing had to be redone; `rows` are what it hands on.
pub(super) fn up_to_date(
    life: &mut Life<'_>,
    expansion: Expansion,
    keys: Keys,
    look: &Look,
    table: &Table,
    rows: Arc<Vec<Row>>,
) -> Done {
    let whole = keys.whole(&look.keys);
    let total = expansion.chunks.len();
    life.record.why.push(match look.left.len() {
        0 => nothing(total),
        left => left_out(left, total),
    });
    life.record.status = Status::UpToDate;
    life.record.cache = CacheUse::Hit;
    life.record.key = Some(hex(&whole));
    life.record.chunks = Some(ChunkCounts {
        total,
        up_to_date: total - look.left.len(),
        left_out: look.left.len(),
        ..ChunkCounts::default()
    });
    let saved_ms = table.chunks.values().map(|kept| kept.duration_ms).sum();
    life.record.saved_seconds = seconds(saved_ms);
    if life.run.replays(life.task) {
        for (source, kept) in table.chunks.iter().filter(|(_, kept)| !kept.log.is_empty()) {
            if let Some(at) = expansion.find(source) {
                let within = lossy(&expansion.chunks[at].within);
                replay(life, &within, &kept.key, &kept.log);
            }
        }
    }
    let manifest = cache::digest(&rows);
    life.run.chunks.keep(
        life.task,
        Lived::new(&life.id, expansion, keys, Arc::clone(&rows)),
    );
    Done {
        key: whole,
        manifest,
        closure: describe::closure(&manifest, &life.deps),
        rows,
        sound: true,
        ..Done::of(life.record.clone())
    }
}

fn replay(life: &Life<'_>, within: &str, key: &[u8; 32], log: &[u8]) {
    if let Some(log) = Log::decode(log) {
        let label = format!("{}[{within}]", life.id);
        life.run
            .show
            .again(&label, life.run.output_logs(life.task), &hex(key), &log);
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// The end of a task of which something was redone. `before` are the paths it owned; `there` is what it hands on, where that
/// is not all that it owns.
pub(super) fn done(
    life: &mut Life<'_>,
    expansion: Expansion,
    keys: Keys,
    mut after: After,
    before: impl Iterator<Item = Vec<u8>>,
    there: Option<Arc<Vec<Row>>>,
) -> Done {
    let run = life.run;
    after.refuse_shared(&life.id, &expansion);
    after.counts.removed = after.removed;
    if run.replays(life.task) {
        for (within, key, log) in &after.hits {
            replay(life, within, key, log);
        }
    }
    let total = expansion.chunks.len();
    let failed = !after.failures.is_empty() || after.not_begun > 0;
    let complete = after.kept.len() == total;
    let mut owned: Vec<Row> = after
        .kept
        .values()
        .flat_map(|new| new.rows.iter().cloned())
        .chain(after.loose.iter().cloned())
        .collect();
    owned.sort_by(|a, b| a.path.cmp(&b.path));
    owned.dedup_by(|a, b| a.path == b.path);
    let chunk_keys: Vec<[u8; 32]> = after.kept.values().map(|new| new.key).collect();
    let whole = keys.whole(&chunk_keys);
    let made = after.paths();
    let mut known = std::mem::take(&mut after.left);
    // What another chunk wrote over is not theirs any more.
    let is_theirs = |new: &New| !new.rows.iter().any(|row| made.contains(&row.path));
    known.retain(|_, new| is_theirs(new));
    let mut gone = std::mem::take(&mut after.left_gone);
    gone.retain(|_, new| is_theirs(new));
    known.extend(after.kept.iter().map(|(index, new)| (*index, new.clone())));
    let chunks = known.iter();
    let chunks = chunks.map(|(index, new)| (expansion.chunks[*index].source.path.as_slice(), new));
    let gone = gone.iter().map(|(source, new)| (source.as_slice(), new));
    let table = tabled(chunks.chain(gone), &owned);
    let owned = Arc::new(owned);
    let partial = there.is_some();
    let rows = there.unwrap_or_else(|| Arc::clone(&owned));
    let manifest = cache::digest(&rows);
    let closure = describe::closure(&manifest, &life.deps);
    let gone: Vec<Vec<u8>> = before.collect();
    run.claim(&life.id, gone.iter(), &owned);
    let duration_ms = after.kept.values().map(|new| new.duration_ms).sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // Seconds of a run, not negative.
    let wall_ms = (life.record.seconds * 1000.0) as u64;
    let record = &mut life.record;
    record.key = Some(hex(&whole));
    record.saved_seconds = seconds(after.saved_ms);
    record.stored = after.counts.ran > 0 && after.stored;
    record.status = if failed {
        Status::Failed
    } else if after.counts.ran > 0 || after.counts.restored == 0 {
        Status::Ran
    } else {
        Status::Restored
    };
    let exit = after
        .failures
        .iter()
        .map(|(_, exit, _)| *exit)
        .max_by_key(|exit| exit.exit_code());
    let exit = match exit {
        None if failed => Some(Exit::Interrupted),
        None if after.counts.ran > 0 => Some(Exit::Code(0)),
        other => other,
    };
    record.exit_code = exit.map(Exit::exit_code);
    if failed {
        record.error = Some(failure(&after, total));
    }
    if after.counts.ran > 0 && !complete && !failed {
        record.not_stored = after.reasons.first().cloned();
        if after.shared_doubt && record.not_stored.is_none() {
            let said = record.warnings.iter().rev();
            let mut said = said.filter_map(|said| said.strip_prefix("not stored: "));
            record.not_stored = said.next().map(str::to_owned);
        }
    }
    record.warnings.extend(some(after.warnings, "warnings"));
    // What holds for all is found once a slice.
    let mut said = BTreeSet::new();
    record
        .warnings
        .retain(|warning| said.insert(warning.clone()));
    record.chunks = Some(after.counts);
    let success = (complete && !failed && !life.after_failure).then_some(Success {
        key: whole,
        closure,
        stored: after.stored,
        duration_ms,
        discovered: None,
    });
    // What holds for all chunks is explained with the task.
    let attempt = success.is_none().then_some(Attempt {
        key: whole,
        explanation: None,
        logs: after.unkept,
    });
    // What is left was made of what was explained before.
    let explanation = (!partial)
        .then(|| describe::encode(&keys.common.explain(&run.session.secret)))
        .flatten();
    run.chunks.keep(
        life.task,
        Lived::new(&life.id, expansion, keys, Arc::clone(&rows)),
    );
    Done {
        key: whole,
        manifest,
        closure,
        exit,
        update: Some(Update {
            task: TaskState {
                success,
                owned: owned.as_ref().clone(),
            },
            explanation,
            log: Some(Vec::new()),
            chunks: format::encode(&table),
            // What a part of them took says nothing of the whole.
            ran_ms: (after.counts.ran == total && !failed).then_some(wall_ms),
            attempt,
        }),
        rows,
        intent: true,
        sound: !failed && !life.after_failure,
        ..Done::of(life.record.clone())
    }
}

fn failure(after: &After, total: usize) -> String {
    let mut text = match after.failures.as_slice() {
        [] => "interrupted".to_owned(),
        [(id, _, error)] => format!("{id}: {error}"),
        [(id, _, error), rest @ ..] => {
            format!(
                "{} of {total} chunks failed, first {id}: {error}",
                rest.len() + 1
            )
        }
    };
    if after.not_begun > 0 && !after.failures.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n  {} chunks were not begun (`--continue` goes on)",
            after.not_begun
        );
    }
    text
}
