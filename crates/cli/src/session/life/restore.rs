//! Restoring a task: which entries of the cache are asked for, and what a restored task leaves behind.
//! Does not run commands, nor decide whether a task may be restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_cache::{self as cache, Entry, Key, RestoreOptions, Row, Store as _};

use crate::diagnostics::{self, CACHE};
use crate::record::{CacheUse, Status};
use crate::state::{Success, TaskState, Update};

use super::super::describe::{self, Basis};
use super::super::discovered;
use super::super::outputs::Outputs;
use super::super::tree::lossy;
use super::{Done, Life};

impl Life<'_> {
    /// Restores the task from the cache if that has a result for it. Where the key hangs on discovered inputs, each known
    /// list of them gives a key; `basis` keeps the list that led to the result.
    pub(super) fn try_restore(
        &mut self,
        basis: &mut Basis,
        outputs: &Outputs,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Option<Done> {
        let session = self.run.session;
        let store = session.store()?;
        self.record.cache = CacheUse::Miss;
        if session.workspace.tasks[self.task].depfile.is_none() {
            return self.restore_under(basis, outputs, owned);
        }
        let lists = discovered::known(store, &basis.base()).unwrap_or_else(|error| {
            session.cache_fault(
                &mut self.record,
                &format!("the cache cannot be read: {error}"),
            );
            Vec::new()
        });
        for list in lists {
            // A list whose files cannot be read leads to no result.
            let Ok(rows) = discovered::rows(&session.tree, &list) else {
                continue;
            };
            basis.inputs.discovered = Some(rows);
            if let Some(done) = self.restore_under(basis, outputs, owned) {
                return Some(done);
            }
        }
        None
    }

    fn restore_under(
        &mut self,
        basis: &Basis,
        outputs: &Outputs,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Option<Done> {
        let session = self.run.session;
        let store = session.store()?;
        let key = basis.key();
        for candidate in [Key(key), Key(session.bound(&key))] {
            let found = store.get(&candidate);
            log::debug!(target: CACHE, "lookup {}: {}", super::hex(&candidate.0), diagnostics::found(&found));
            let entry = match found {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(error) => {
                    session.cache_fault(
                        &mut self.record,
                        &format!("the cache cannot be read: {error}"),
                    );
                    continue;
                }
            };
            if entry.root.is_some_and(|root| root != session.root_digest) {
                continue;
            }
            if let Some(clash) = self.run.clash(&self.id, &entry.manifest) {
                return Some(self.clashed(&clash));
            }
            match self.restore(store, &entry, outputs, owned) {
                Ok(restored) => {
                    log::debug!(target: CACHE, "restored: {} files and {} bytes written, the rest was right", restored.written.len(), restored.bytes);
                    self.run.claim(&self.id, owned.keys(), &entry.manifest);
                    return Some(self.restored(&entry, basis, &restored));
                }
                Err(message) => session.cache_fault(&mut self.record, &message),
            }
        }
        None
    }

    fn restore(
        &self,
        store: &dyn cache::Store,
        entry: &Entry,
        outputs: &Outputs,
        owned: &BTreeMap<Vec<u8>, Row>,
    ) -> Result<cache::Restored, String> {
        let session = self.run.session;
        self.intend(Some(outputs), owned)
            .map_err(|fault| fault.to_string())?;
        let digests: BTreeMap<Vec<u8>, [u8; 32]> = owned
            .iter()
            .map(|(path, row)| (path.clone(), row.digest))
            .collect();
        let allowed = |path: &[u8]| outputs.covers(path);
        let options = RestoreOptions::new(&allowed, &digests, &session.paths.rescued);
        let result = cache::restore(session.outputs_root(), entry, store, &options);
        session.tree.forget_scans();
        result
            .map_err(|error| format!("a cached result of {} cannot be restored: {error}", self.id))
    }

    fn restored(&mut self, entry: &Entry, basis: &Basis, restored: &cache::Restored) -> Done {
        let key = basis.key();
        self.record.key = Some(super::hex(&key));
        self.record.status = Status::Restored;
        self.record.cache = CacheUse::Hit;
        #[allow(clippy::cast_precision_loss)]
        let saved = entry.duration_ms as f64 / 1000.0;
        self.record.saved_seconds = saved;
        self.run.session.count_restored(restored.bytes);
        self.name_rescued(&restored.rescued);
        let manifest = cache::digest(&entry.manifest);
        let closure = describe::closure(&manifest, &self.deps);
        let success = Success {
            key,
            closure,
            stored: true,
            duration_ms: entry.duration_ms,
            discovered: basis.inputs.list(),
        };
        Done {
            key,
            manifest,
            closure,
            rows: Arc::new(entry.manifest.clone()),
            exit: None,
            update: Some(Update {
                task: TaskState {
                    success: Some(success),
                    owned: entry.manifest.clone(),
                },
                explanation: None,
                log: Some(entry.log.clone()),
                chunks: None,
                ran_ms: None,
                attempt: None,
            }),
            intent: true,
            changes: Vec::new(),
            replay: self.run.replays(self.task).then(|| entry.log.clone()),
            sound: true,
            known: None,
            record: self.record.clone(),
        }
    }

    pub(in super::super) fn name_rescued(&mut self, rescued: &[(Vec<u8>, std::path::PathBuf)]) {
        for (path, to) in rescued {
            let to = to.strip_prefix(&self.run.session.root).unwrap_or(to);
            self.record.warnings.push(format!(
                "{} was not as this task left it: the file was rescued to {}",
                lossy(path),
                to.display()
            ));
        }
    }
}
