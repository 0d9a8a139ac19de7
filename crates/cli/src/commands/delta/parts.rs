//! What a delta means here: its units by task, those of them that fit, and what is known of a task afterwards.
//! Does not write anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use larder_cache::{Delta, Row, UnitDelta};

use crate::record::{Status, TaskRecord};
use crate::session::chunks::{self, Piece, Pieces};
use crate::session::life::Done;
use crate::session::outputs::Outputs;
use crate::session::tree::Fault;
use crate::session::{Run, Session};
use crate::state::intent::Intent;
use crate::state::{Success, TaskState, Update};

use super::answer::{Told, tell};
use super::extra;
use super::unfit;

/// How a task ended, and what is known of its chunks.
pub(super) type Finished = (TaskState, Option<Vec<u8>>);

/// A task of this workspace of which a delta holds something.
pub(super) struct Part<'a> {
    pub(super) id: String,
    pub(super) task: usize,
    /// What it declares.
    pub(super) outputs: &'a Outputs,
    /// What the chunks declare of which the delta holds something; `None` where it holds the task in one piece.
    declared: Option<Arc<Outputs>>,
    pub(super) members: Vec<Member<'a>>,
    /// What the task owns here, before anything is applied.
    pub(super) owned: BTreeMap<Vec<u8>, Row>,
    /// What is known of its chunks here.
    pub(super) pieces: Pieces,
    /// Depfiles of chunks that the delta knows to be gone, as they were written here.
    pub(super) depfiles: BTreeMap<Vec<u8>, [u8; 32]>,
    /// The record of another process that stood when the lock was taken, and how the task had ended, if it had.
    pub(super) found: Option<(Intent, Option<Finished>)>,
    /// Whether there is anything to write or to remember.
    pub(super) works: bool,
    /// Whether the delta knows all of the task, and nothing of it was refused.
    whole: bool,
}

/// A unit that is applied.
pub(super) struct Member<'a> {
    pub(super) unit: &'a UnitDelta,
    kind: Kind,
}

/// What a unit is of.
enum Kind {
    /// A task in one piece.
    Task,
    /// What no chunk of a task is known to have written.
    Rest,
    /// The chunk of a source; its number among those that declare outputs.
    Chunk(Vec<u8>, usize),
    /// The chunk of a source that is no more.
    Gone(Vec<u8>),
}

/// The units of a delta by task, as far as they are applied; those that are not are told.
///
/// # Errors
/// When what a task declares cannot be known.
pub(super) fn parts<'a>(
    run: &'a Run<'_>,
    delta: &'a Delta,
    told: &mut Vec<Told>,
) -> Result<Vec<Part<'a>>, Fault> {
    let mut tasks: BTreeMap<&str, Vec<&UnitDelta>> = BTreeMap::new();
    for unit in &delta.units {
        tasks.entry(extra::task(unit)).or_default().push(unit);
    }
    // What another one gives away in this delta is free.
    let removed = delta.units.iter().flat_map(|unit| &unit.removed);
    let gone: BTreeSet<&[u8]> = removed.map(|row| &*row.path).collect();
    let mut parts = Vec::new();
    for (id, units) in tasks {
        match part(run, id, &units, &gone, told)? {
            Ok(part) => parts.push(part),
            Err(why) => told.extend(units.iter().map(|unit| tell(unit, "refused", Some(&why)))),
        }
    }
    Ok(parts)
}

fn part<'a>(
    run: &'a Run<'_>,
    id: &str,
    units: &[&'a UnitDelta],
    gone: &BTreeSet<&[u8]>,
    told: &mut Vec<Told>,
) -> Result<Result<Part<'a>, String>, Fault> {
    let session = run.session;
    let refuse = |why: &str| Ok(Err(why.to_owned()));
    let Some(task) = session.compiled.task(id) else {
        return refuse("this workspace has no such task");
    };
    let spec = &session.workspace.tasks[task];
    if let Some(why) = unfit(spec) {
        return refuse(why);
    }
    let Some(outputs) = run.outputs(task)? else {
        return refuse("it declares no `outputs`");
    };
    let mut sources = Vec::new();
    let mut members = Vec::new();
    let mut chunked = false;
    for unit in units {
        let kind = match extra::chunk(unit) {
            Some((source, true)) => Kind::Gone(source),
            Some((source, false)) => {
                sources.push(source.clone());
                Kind::Chunk(source, sources.len() - 1)
            }
            None => Kind::Task,
        };
        chunked |= !matches!(kind, Kind::Task);
        members.push(Member { unit, kind });
    }
    if chunked && spec.foreach.is_none() {
        return refuse("it has no chunks here");
    }
    for member in &mut members {
        if chunked && matches!(member.kind, Kind::Task) {
            member.kind = Kind::Rest;
        }
    }
    let declared = match chunked.then(|| chunks::declared_by(session, task, &sources)) {
        None => None,
        Some(Ok(declared)) => Some(declared),
        Some(Err(fault)) => return Ok(Err(fault.to_string())),
    };
    let mut part = Part {
        id: id.to_owned(),
        task,
        outputs,
        declared,
        members: Vec::new(),
        owned: BTreeMap::new(),
        pieces: Pieces::new(),
        depfiles: BTreeMap::new(),
        found: None,
        works: false,
        whole: true,
    };
    for member in members {
        match part.refuses(run, &member, gone) {
            None => part.members.push(member),
            Some(why) if !chunked => return refuse(why),
            Some(why) => {
                part.whole = false;
                told.push(tell(member.unit, "refused", Some(why)));
            }
        }
    }
    part.works =
        part.members.iter().any(|member| !member.unit.is_empty()) || part.has_news(session);
    Ok(Ok(part))
}

impl Part<'_> {
    /// Why a unit is left alone, if it is.
    fn refuses(
        &self,
        run: &Run<'_>,
        member: &Member<'_>,
        gone: &BTreeSet<&[u8]>,
    ) -> Option<&'static str> {
        let unit = member.unit;
        if extra::bound_elsewhere(unit, &run.session.root_digest) {
            return Some(
                "its outputs hold the path of the workspace they were made in (`relocatable = true` hands them on all the same)",
            );
        }
        let covers = |path: &[u8]| match &member.kind {
            Kind::Chunk(_, number) => self.chunk_of(path) == Some(*number),
            Kind::Task | Kind::Rest | Kind::Gone(_) => self.outputs.covers(path),
        };
        if unit.new_rows().any(|row| !covers(&row.path)) {
            return Some("it has outputs that are not declared here");
        }
        let kept: Vec<Row> = unit
            .new_rows()
            .filter(|row| !gone.contains(&*row.path))
            .cloned()
            .collect();
        let clash = run.clash(&self.id, &kept);
        clash.map(|_| "another task wrote one of its outputs here")
    }

    /// The number of the chunk that declares a path.
    fn chunk_of(&self, path: &[u8]) -> Option<usize> {
        self.declared.as_ref()?.exact()?.chunks_of(path).next()
    }

    /// Whether the delta tells of a success that is not known here.
    fn has_news(&self, session: &Session<'_>) -> bool {
        let known = session.state.task(&self.id);
        let key = known.and_then(|known| Some(known.success.as_ref()?.key));
        let pieces = || {
            let table = session.state.chunks(&self.id)?;
            chunks::apart(&table, &known?.owned)
        };
        let pieces = self.declared.as_ref().and_then(|_| pieces());
        let piece = |source| pieces.as_ref().and_then(|pieces| pieces.get(source));
        self.members.iter().any(|member| match &member.kind {
            Kind::Task | Kind::Rest => {
                extra::success(member.unit).is_some_and(|offered| key != Some(offered.key))
            }
            Kind::Gone(source) => piece(source).is_some(),
            Kind::Chunk(source, _) => {
                let offered = extra::key(member.unit);
                offered.is_some() && piece(source).map(|piece| piece.key) != offered
            }
        })
    }

    /// Whether a path may be written or deleted when this is applied.
    pub(super) fn allows(&self, path: &[u8], emptied: &BTreeSet<Vec<u8>>) -> bool {
        self.outputs.covers(path) || self.chunk_of(path).is_some() || emptied.contains(path)
    }

    /// Finds what chunks that are gone left beside their outputs.
    ///
    /// # Errors
    /// When a chunk cannot be named.
    pub(super) fn find_depfiles(&mut self, session: &Session<'_>) -> Result<(), Fault> {
        let Some(exact) = self.declared.as_ref().and_then(|made| made.exact()) else {
            return Ok(());
        };
        let gone = self.members.iter().filter_map(|member| match &member.kind {
            Kind::Gone(source) => Some((source, self.pieces.get(source)?.depfile)),
            _ => None,
        });
        self.depfiles = chunks::left_depfiles(session, self.task, gone, exact)?;
        Ok(())
    }

    /// The folders that go with the last output in them, as when a run deletes outputs of chunks that are no more.
    pub(super) fn emptied(&self) -> BTreeSet<Vec<u8>> {
        if self.declared.is_none() {
            return BTreeSet::new();
        }
        let removed = self.members.iter().flat_map(|member| &member.unit.removed);
        let mut paths: Vec<Vec<u8>> = removed.map(|row| row.path.clone()).collect();
        paths.extend(self.shares().into_iter().flatten().map(|(path, _)| path));
        paths.extend(self.depfiles.keys().cloned());
        chunks::folders_of(&paths, self.outputs.prefixes())
    }

    /// Removes what chunks that are gone left beside their outputs, and folders that this empties. What stays is named.
    pub(super) fn clean_depfiles(&self, session: &Session<'_>, emptied: &BTreeSet<Vec<u8>>) {
        if self.depfiles.is_empty() {
            return;
        }
        let cleaned = larder_cache::clean(
            session.outputs_root(),
            &larder_cache::Clean {
                owned: &self.depfiles,
                allowed: &|path| self.depfiles.contains_key(path) || emptied.contains(path),
                rescue: &session.paths.rescued,
            },
        );
        if let Err(error) = cleaned {
            let id = &self.id;
            session.warn(format!(
                "depfiles of chunks of {id} that are no more cannot be removed: {error}"
            ));
        }
    }

    /// For each member what of the task's own belongs to it.
    pub(super) fn shares(&self) -> Vec<BTreeMap<Vec<u8>, [u8; 32]>> {
        let mut numbers = BTreeMap::new();
        let mut named: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut rest = None;
        for (at, member) in self.members.iter().enumerate() {
            match member.kind {
                Kind::Task | Kind::Rest => rest = Some(at),
                Kind::Chunk(_, number) => {
                    numbers.insert(number, at);
                }
                Kind::Gone(_) => {}
            }
            named.extend(member.unit.old_rows().map(|row| (&*row.path, at)));
        }
        let mut shares = vec![BTreeMap::new(); self.members.len()];
        for (path, row) in &self.owned {
            let at = match (named.get(path.as_slice()), self.chunk_of(path)) {
                (Some(at), _) => Some(*at),
                // Of a chunk that was refused nothing is touched.
                (None, Some(number)) => numbers.get(&number).copied(),
                (None, None) => rest,
            };
            if let Some(at) = at {
                shares[at].insert(path.clone(), row.digest);
            }
        }
        shares
    }

    /// What lies under its outputs now: by chunk where it has some, else all of it.
    fn listed(&self, session: &Session<'_>) -> Result<BTreeMap<usize, Vec<Row>>, Fault> {
        let tree = &session.tree;
        let outputs = self.declared.as_deref().unwrap_or(self.outputs);
        let rows = tree.rows(&outputs.list(tree)?, &|_, _| true)?;
        let mut by_chunk: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for row in rows {
            let chunk = self.chunk_of(&row.path).unwrap_or_default();
            by_chunk.entry(chunk).or_default().push(row);
        }
        Ok(by_chunk)
    }

    /// What is to be remembered of the task, now that the delta was applied. What became of each unit is told.
    ///
    /// # Errors
    /// When its outputs cannot be read.
    pub(super) fn remembered(
        &self,
        session: &Session<'_>,
        told: &mut Vec<Told>,
    ) -> Result<Done, Fault> {
        let mut listed = self.listed(session)?;
        let shares = self.shares();
        let mut owned = self.owned.clone();
        let mut offered: Option<Success> = None;
        let (mut pieces, mut explained, mut all_right) = (Pieces::new(), None, self.whole);
        let files = self.members.iter().find_map(|member| match member.kind {
            Kind::Rest => extra::files(member.unit),
            _ => None,
        });
        let files = files.unwrap_or_default();
        for (member, share) in self.members.iter().zip(&shares) {
            let unit = member.unit;
            for row in &unit.removed {
                owned.remove(&row.path);
            }
            if unit.before.is_none() {
                for path in share.keys() {
                    owned.remove(path);
                }
            }
            owned.extend(unit.new_rows().map(|row| (row.path.clone(), row.clone())));
            let rows = match &member.kind {
                Kind::Task => listed.remove(&0).unwrap_or_default(),
                Kind::Chunk(_, number) => listed.remove(number).unwrap_or_default(),
                // Of these nothing can be there but what the task is known to own.
                Kind::Rest => {
                    let left = share.keys().chain(unit.new_rows().map(|row| &row.path));
                    let left: BTreeSet<&Vec<u8>> = left.collect();
                    left.into_iter()
                        .filter_map(|path| owned.get(path).cloned())
                        .collect()
                }
                Kind::Gone(_) => Vec::new(),
            };
            let right = larder_cache::digest(&rows) == unit.after;
            all_right &= right;
            told.push(match (right, unit.is_empty()) {
                (true, true) => tell(unit, "unchanged", None),
                (true, false) => tell(unit, "applied", None),
                (false, _) => tell(
                    unit,
                    "differs",
                    Some("other files lie among its outputs, or they were not those that the delta was made from"),
                ),
            });
            if !right {
                continue;
            }
            match &member.kind {
                Kind::Task | Kind::Rest => {
                    offered = extra::success(unit);
                    explained = extra::explanation(unit);
                }
                Kind::Chunk(source, _) => {
                    let piece = extra::piece(unit, &files, rows.clone());
                    let known = self.pieces.get(source);
                    let piece = piece.map(|piece| Piece {
                        depfile: known.and_then(|known| known.depfile),
                        ..piece
                    });
                    pieces.extend(piece.map(|piece| (source.clone(), piece)));
                }
                Kind::Gone(_) => {}
            }
            let seen = |path: &[u8]| match member.kind {
                Kind::Chunk(_, number) => self.chunk_of(path) == Some(number),
                Kind::Task | Kind::Rest | Kind::Gone(_) => true,
            };
            for path in share.keys().filter(|path| seen(path)) {
                owned.remove(path);
            }
            owned.extend(rows.into_iter().map(|row| (row.path.clone(), row)));
        }
        let success = offered.filter(|_| all_right);
        let owned: Vec<Row> = owned.into_values().collect();
        let success = self.keep_others(&mut pieces, &owned, success);
        let chunks = self.declared.as_ref();
        let chunks = chunks.and_then(|_| chunks::together(pieces, &owned));
        // The log and the explanation that are known belong to another success.
        let forgotten = success.is_some().then(Vec::new);
        let explanation = explained
            .filter(|_| success.is_some())
            .or_else(|| forgotten.clone());
        let closure = [0; 32];
        let record = TaskRecord::new(self.id.clone(), Status::Restored);
        let mut done = Done::foreseen(record, larder_cache::digest(&owned), closure, Vec::new());
        done.update = Some(Update {
            task: TaskState { success, owned },
            explanation,
            log: forgotten,
            chunks,
            ran_ms: None,
            attempt: None,
        });
        done.intent = true;
        Ok(done)
    }

    /// Chunks of which the delta holds nothing stay known if nothing was done to what they made; the task is then another
    /// one than that of the delta.
    fn keep_others(
        &self,
        pieces: &mut Pieces,
        owned: &[Row],
        success: Option<Success>,
    ) -> Option<Success> {
        let held: BTreeSet<&Vec<u8>> = self
            .members
            .iter()
            .filter_map(|member| match &member.kind {
                Kind::Chunk(source, _) | Kind::Gone(source) => Some(source),
                Kind::Task | Kind::Rest => None,
            })
            .collect();
        let there = |row: &Row| {
            let at = owned.binary_search_by(|known| known.path.cmp(&row.path));
            at.is_ok_and(|at| owned[at] == *row)
        };
        let mut success = success;
        for (source, piece) in &self.pieces {
            if !held.contains(source) && piece.rows.iter().all(there) {
                pieces.insert(source.clone(), piece.clone());
                success = None;
            }
        }
        success
    }
}
