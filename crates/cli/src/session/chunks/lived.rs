//! What the chunks of a task made, for those that come after: which chunk made a file, and its digests.
//! Does not know how it was made.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use larder_cache::{self as cache, Row};

use super::super::Run;
use super::super::outputs::Outputs;
use super::super::tree::Fault;
use super::expand::{self, Chunk, Expansion};
use super::keys::Keys;

/// The chunks of a task after their lives.
#[derive(Debug)]
pub struct Lived {
    /// The task.
    pub id: String,
    /// What its chunks declare.
    pub outputs: Arc<Outputs>,
    chunks: Vec<Chunk>,
    keys: Keys,
    rows: Arc<Vec<Row>>,
    /// Made when a task with chunks asks: for any other the task as a whole is enough.
    made: OnceLock<Stitched>,
}

/// The chunks, and which of them made a path.
type Stitched = (Vec<Made>, BTreeMap<Vec<u8>, usize>);

/// One chunk and the digests of what it made.
#[derive(Debug)]
pub(super) struct Made {
    /// `project#task[path]`.
    pub id: String,
    /// Digest of its output manifest.
    pub manifest: [u8; 32],
    /// Digest of its outputs and of its dependencies.
    pub closure: [u8; 32],
}

impl Lived {
    /// From all that the chunks made.
    pub(super) fn new(id: &str, expansion: Expansion, keys: Keys, rows: Arc<Vec<Row>>) -> Lived {
        Lived {
            id: id.to_owned(),
            outputs: expansion.outputs,
            chunks: expansion.chunks,
            keys,
            rows,
            made: OnceLock::new(),
        }
    }

    /// The chunk that made a file.
    pub(super) fn maker(&self, path: &[u8]) -> Option<&Made> {
        let (made, makers) = self.made.get_or_init(|| self.stitch());
        made.get(*makers.get(path)?)
    }

    fn stitch(&self) -> Stitched {
        let mut makers = BTreeMap::new();
        let mut apart: Vec<Vec<Row>> = vec![Vec::new(); self.chunks.len()];
        for row in self.rows.iter() {
            let exact = self.outputs.exact();
            let chunk = exact.and_then(|exact| exact.chunks_of(&row.path).next());
            if let Some(chunk) = chunk {
                makers.insert(row.path.clone(), chunk);
                apart[chunk].push(row.clone());
            }
        }
        let made = self.chunks.iter().zip(&apart).enumerate();
        let made = made.map(|(index, (chunk, rows))| {
            let manifest = cache::digest(rows);
            Made {
                id: expand::name(&self.id, &chunk.within),
                manifest,
                closure: self.keys.closure(index, &manifest),
            }
        });
        (made.collect(), makers)
    }
}

/// What the chunks of a task that is not part of the run made, from what lies on disk.
///
/// # Errors
/// When it cannot be read.
pub fn as_on_disk(run: &Run<'_>, task: usize) -> Result<(), Fault> {
    if run.chunks.lived(task).is_some() {
        return Ok(());
    }
    let expansion = expand::expand(run, task)?;
    let deps = run.dependencies(task)?;
    let keys = Keys::gather(run, task, &deps, &expansion)?;
    let tree = &run.session.tree;
    let view = expansion.outputs.list(tree)?;
    let rows = Arc::new(tree.rows(&view, &|_, _| true)?);
    run.chunks
        .keep(task, Lived::new(&run.id(task), expansion, keys, rows));
    Ok(())
}
