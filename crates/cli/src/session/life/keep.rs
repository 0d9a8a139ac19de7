//! Keeping a result: packed, saved, and entered in the cache under its key.
//! Does not decide whether a result may be kept.

use larder_cache::{self as cache, Entry, Key, Provenance, Put, PutOutcome, Row, Store as _};

use crate::diagnostics::{self, CACHE};

use super::super::describe::Basis;
use super::super::tree::lossy;
use super::super::{discovered, outputs};
use super::Life;

impl Life<'_> {
    /// Packs and stores the result. A fault is a warning: the task has succeeded.
    pub(super) fn store(
        &mut self,
        basis: &Basis,
        rows: &[Row],
        log: &[u8],
        duration_ms: u64,
    ) -> bool {
        match self.store_inner(basis, rows, log, duration_ms) {
            Ok(stored) => stored,
            Err(message) => {
                self.run.session.cache_fault(&mut self.record, &message);
                false
            }
        }
    }

    fn store_inner(
        &mut self,
        basis: &Basis,
        rows: &[Row],
        log: &[u8],
        duration_ms: u64,
    ) -> Result<bool, String> {
        let session = self.run.session;
        let spec = &session.workspace.tasks[self.task];
        let Some(store) = session.store() else {
            return Ok(false);
        };
        let words = |error: &dyn std::fmt::Display| {
            format!("the result of {} cannot be stored: {error}", self.id)
        };
        let paths: Vec<Vec<u8>> = rows.iter().map(|row| row.path.clone()).collect();
        // Results that hold where the workspace lies are good there alone.
        let places = if spec.relocatable {
            Vec::new()
        } else {
            outputs::places(session)
        };
        let packed = cache::pack_looking_for(
            &places,
            session.outputs_root(),
            &paths,
            &session.pack_options(),
            &store.tmp(),
        )
        .map_err(|error| words(&error))?;
        let bound = packed.found;
        if cache::digest(&packed.manifest) != cache::digest(rows) {
            return Err(words(&"its outputs changed after it ended"));
        }
        log::debug!(target: CACHE, "packed {} paths{}", paths.len(), if bound { ", bound to this root" } else { "" });
        if let Some(artifact) = &packed.artifact {
            store
                .save(&artifact.id, cache::Source::File(&artifact.file))
                .map_err(|error| words(&error))?;
        }
        let provenance = Provenance {
            task: self.id.clone(),
            created_ns: session.now_ns(),
            ..Provenance::default()
        };
        let entry = Entry {
            manifest: packed.manifest,
            artifact: packed.artifact.as_ref().map(|artifact| artifact.id),
            log: log.to_vec(),
            duration_ms,
            provenance: provenance.clone(),
            root: bound.then_some(session.root_digest),
            note: Vec::new(),
        };
        let key = basis.key();
        let key = if bound { session.bound(&key) } else { key };
        if bound {
            self.record.warnings.push("its outputs hold this workspace's own path, so they are bound to it: other clones run the task themselves (`relocatable = true` shares them all the same)".to_owned());
        }
        let how = if self.run.forced(self.task) {
            Put::Replace
        } else {
            Put::First
        };
        if let Some(list) = basis.inputs.list() {
            discovered::keep(store, &basis.base(), &list, provenance)
                .map_err(|error| words(&error))?;
        }
        let put = store
            .put(&Key(key), &entry, how)
            .map_err(|error| words(&error))?;
        log::debug!(target: CACHE, "stored under {}: {}", super::hex(&key), diagnostics::put(&put));
        match put {
            PutOutcome::Stored | PutOutcome::Same => Ok(true),
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
                self.record.warnings.push(format!("it is not deterministic: with equal inputs {}{more} came out different; {kept}", names.join(", ")));
                Ok(how == Put::Replace)
            }
        }
    }
}
