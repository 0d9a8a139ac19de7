//! Keeping a result: packed, saved, and entered in the cache under its key.
//! Does not decide whether a result may be kept.

use larder_cache::{self as cache, Entry, Key, Provenance, Put, PutOutcome, Row, Store as _};

use crate::diagnostics::{self, CACHE};

use super::super::describe::Basis;
use super::super::format::List;
use super::super::tree::lossy;
use super::super::{Run, discovered, outputs, phases};
use super::Life;

/// A result that may be kept.
pub(in super::super) struct Finished<'a> {
    /// What made it, for messages.
    pub(in super::super) id: &'a str,
    /// Which chunk of the task, if it is one.
    pub(in super::super) chunk: Option<String>,
    /// The task.
    pub(in super::super) task: usize,
    /// What it wrote.
    pub(in super::super) rows: &'a [Row],
    /// What it printed, in the stored form.
    pub(in super::super) log: &'a [u8],
    pub(in super::super) duration_ms: u64,
    /// The key, not bound to this root.
    pub(in super::super) key: [u8; 32],
    /// The base key and the list of what was discovered, where it has a depfile.
    pub(in super::super) discovered: Option<([u8; 32], List)>,
    /// So many bytes of artifact may lie in the entry itself.
    pub(in super::super) inline: usize,
}

impl Life<'_> {
    /// Packs and stores the result. A fault is a warning: the task has succeeded.
    pub(super) fn store(
        &mut self,
        basis: &Basis,
        rows: &[Row],
        log: &[u8],
        duration_ms: u64,
    ) -> bool {
        let result = Finished {
            id: &self.id,
            chunk: None,
            task: self.task,
            rows,
            log,
            duration_ms,
            key: basis.key(),
            discovered: basis.inputs.list().map(|list| (basis.base(), list)),
            inline: 0,
        };
        match keep(self.run, &result) {
            Ok((stored, warning)) => {
                self.record.warnings.extend(warning);
                stored
            }
            Err(message) => {
                self.run.session.cache_fault(&mut self.record, &message);
                false
            }
        }
    }
}

/// Packs and stores a result: whether that was done, and what the user should know.
pub(in super::super) fn keep(
    run: &Run<'_>,
    result: &Finished<'_>,
) -> Result<(bool, Vec<String>), String> {
    let session = run.session;
    let _storing = session.timing.span(phases::STORE);
    let spec = &session.workspace.tasks[result.task];
    let Some(store) = session.store() else {
        return Ok((false, Vec::new()));
    };
    let words = |error: &dyn std::fmt::Display| {
        format!("the result of {} cannot be stored: {error}", result.id)
    };
    let paths: Vec<Vec<u8>> = result.rows.iter().map(|row| row.path.clone()).collect();
    // Results that hold where the workspace lies are good there alone.
    let places = if spec.relocatable {
        Vec::new()
    } else {
        outputs::places(session)
    };
    let packed = cache::pack_compactly(
        &places,
        session.outputs_root(),
        &paths,
        &session.pack_options(),
        &store.tmp(),
        result.inline,
    )
    .map_err(|error| words(&error))?;
    let bound = packed.found;
    if cache::digest(&packed.manifest) != cache::digest(result.rows) {
        return Err(words(&"its outputs changed after it ended"));
    }
    log::debug!(target: CACHE, "packed {} paths{}", paths.len(), if bound { ", bound to this root" } else { "" });
    if let Some(artifact) = &packed.artifact {
        store
            .save(&artifact.id, cache::Source::File(&artifact.file))
            .map_err(|error| words(&error))?;
    }
    let provenance = Provenance {
        task: run.id(result.task),
        created_ns: session.now_ns(),
        extra: result
            .chunk
            .iter()
            .map(|chunk| ("chunk".to_owned(), chunk.clone()))
            .collect(),
    };
    let entry = Entry {
        manifest: packed.manifest,
        artifact: packed.artifact.as_ref().map(|artifact| artifact.id),
        inline: packed.inline,
        log: result.log.to_vec(),
        duration_ms: result.duration_ms,
        provenance: provenance.clone(),
        root: bound.then_some(session.root_digest),
        note: Vec::new(),
    };
    let key = if bound {
        session.bound(&result.key)
    } else {
        result.key
    };
    let mut warnings = Vec::new();
    if bound {
        warnings.push("its outputs hold this workspace's own path, so they are bound to it: other clones run the task themselves (`relocatable = true` shares them all the same)".to_owned());
    }
    let how = if run.forced(result.task) {
        Put::Replace
    } else {
        Put::First
    };
    if let Some((base, list)) = &result.discovered {
        discovered::keep(store, base, list, provenance).map_err(|error| words(&error))?;
    }
    let put = store
        .put(&Key(key), &entry, how)
        .map_err(|error| words(&error))?;
    log::debug!(target: CACHE, "stored under {}: {}", super::hex(&key), diagnostics::put(&put));
    match put {
        PutOutcome::Stored | PutOutcome::Same => Ok((true, warnings)),
        PutOutcome::Different(first) => {
            let differing = cache::diff(&first.manifest, &entry.manifest);
            let names: Vec<String> = differing
                .iter()
                .take(5)
                .map(|difference| lossy(difference.path()))
                .collect();
            let more = if differing.len() > 5 {
                format!(" and {} more", differing.len() - 5)
            } else {
                String::new()
            };
            let kept = if how == Put::Replace {
                "this result replaces the earlier one"
            } else {
                "the first result stays"
            };
            warnings.push(format!(
                "it is not deterministic: with equal inputs {}{more} came out different; {kept}",
                names.join(", ")
            ));
            Ok((how == Put::Replace, warnings))
        }
    }
}
