//! What is known of the chunks of a task, handed to another place together with its outputs.
//! Does not know how it is written there.

use larder_cache::Row;

use super::format;
use super::stale;

/// What is known of chunks, without what they printed; `None` unless all of them are known and vouched for. `vouches` is
/// asked for each with its key and what it wrote.
pub fn handed(
    known: &[u8],
    owned: &[Row],
    vouches: &mut dyn FnMut(&[u8; 32], &[Row]) -> bool,
) -> Option<Vec<u8>> {
    let mut table = format::decode(known)?;
    for kept in table.chunks.values_mut() {
        let rows: Vec<Row> = stale::rows(kept, owned)?.into_iter().cloned().collect();
        if !vouches(&kept.key, &rows) {
            return None;
        }
        kept.log = Vec::new();
    }
    format::encode(&table)
}

/// Whether bytes tell of the chunks of a task that owns `owned`.
pub fn tells_of(known: &[u8], owned: &[Row]) -> bool {
    let table = format::decode(known);
    table.is_some_and(|table| {
        let mut chunks = table.chunks.values();
        chunks.all(|kept| stale::rows(kept, owned).is_some())
    })
}
