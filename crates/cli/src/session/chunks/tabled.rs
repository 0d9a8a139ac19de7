//! From what is known of chunks after their lives to the table that is remembered.
//! Does not know where it is kept.

use std::collections::BTreeMap;

use larder_cache::Row;
use larder_fingerprint::Row as InputRow;

use super::format::{Kept, Table};
use super::sum::New;

/// What is remembered of the chunks that may be skipped, each with the path of its source; `owned` is what the task owns,
/// sorted.
pub(super) fn tabled<'n>(
    kept: impl Iterator<Item = (&'n [u8], &'n New)> + Clone,
    owned: &[Row],
) -> Table {
    let mut files: Vec<(Vec<u8>, [u8; 32])> = kept
        .clone()
        .flat_map(|(_, new)| new.discovered.iter().flatten())
        .map(|row| (row.path.clone(), row.digest.0))
        .collect();
    files.sort_unstable();
    files.dedup();
    let number = |at: usize| u32::try_from(at).ok();
    let file = |row: &InputRow| {
        let wanted = (row.path.as_slice(), &row.digest.0);
        let found = files.binary_search_by(|(path, digest)| (path.as_slice(), digest).cmp(&wanted));
        found.ok().and_then(number)
    };
    let row = |row: &Row| {
        let found = owned.binary_search_by(|known| known.path.cmp(&row.path));
        found.ok().and_then(number)
    };
    let mut chunks = BTreeMap::new();
    for (source, new) in kept {
        let discovered = match &new.discovered {
            None => Some(None),
            Some(rows) => rows
                .iter()
                .map(file)
                .collect::<Option<Vec<u32>>>()
                .map(Some),
        };
        // More than four billion of anything cannot be remembered, and is redone.
        let (Some(discovered), Some(rows)) = (discovered, new.rows.iter().map(row).collect())
        else {
            continue;
        };
        let known = Kept {
            key: new.key,
            source: new.source,
            deps: new.deps.clone(),
            rows,
            discovered,
            depfile: new.depfile,
            duration_ms: new.duration_ms,
            log: new.log.clone(),
        };
        chunks.insert(source.to_vec(), known);
    }
    Table { files, chunks }
}
