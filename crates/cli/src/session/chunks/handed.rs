//! What is known of the chunks of a task taken apart, to be handed to another place, and put together there.
//! Does not know how it is written in between.

use std::collections::BTreeMap;

use larder_cache::Row;
use larder_fingerprint::{Digest, Row as InputRow, RowKind};

use super::format;
use super::stale;
use super::sum::New;
use super::tabled::tabled;

/// What is known of one chunk by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The key it ran or was restored under.
    pub key: [u8; 32],
    /// Digest of its source.
    pub source: [u8; 32],
    /// Chunks and tasks whose results its key holds, besides those that hold for every chunk, with the digests.
    pub deps: Vec<(String, [u8; 32])>,
    /// What it wrote, by path in order.
    pub rows: Vec<Row>,
    /// The files it discovered in its order, with the digest each had; `None` where it has no depfile.
    pub discovered: Option<Vec<(Vec<u8>, [u8; 32])>>,
    /// Digest of the depfile that it wrote here, if that is no output.
    pub depfile: Option<[u8; 32]>,
    /// How long it took when it last ran, in milliseconds.
    pub duration_ms: u64,
    /// What it printed, in the stored form of a log; empty for nothing.
    pub log: Vec<u8>,
}

/// The chunks that a task is known to have, by the paths of their sources in the workspace.
pub type Pieces = BTreeMap<Vec<u8>, Piece>;

/// Takes apart what a state knows of the chunks of a task that owns `owned`; `None` where the two do not fit.
pub fn apart(known: &[u8], owned: &[Row]) -> Option<Pieces> {
    let table = format::decode(known)?;
    let mut pieces = Pieces::new();
    for (source, kept) in &table.chunks {
        let file = |at: &u32| table.files.get(usize::try_from(*at).ok()?).cloned();
        let discovered = match &kept.discovered {
            Some(files) => Some(files.iter().map(file).collect::<Option<Vec<_>>>()?),
            None => None,
        };
        let piece = Piece {
            key: kept.key,
            source: kept.source,
            deps: kept.deps.clone(),
            rows: stale::rows(kept, owned)?.into_iter().cloned().collect(),
            discovered,
            depfile: kept.depfile,
            duration_ms: kept.duration_ms,
            log: kept.log.clone(),
        };
        pieces.insert(source.clone(), piece);
    }
    Some(pieces)
}

/// What a state knows of the chunks of a task that owns `owned`, sorted. A piece whose rows are not among these is left out.
pub fn together(pieces: Pieces, owned: &[Row]) -> Option<Vec<u8>> {
    let known: BTreeMap<Vec<u8>, New> = pieces
        .into_iter()
        .map(|(source, piece)| (source, piece.into()))
        .collect();
    let chunks = known.iter().map(|(source, new)| (source.as_slice(), new));
    format::encode(&tabled(chunks, owned))
}

impl From<Piece> for New {
    fn from(piece: Piece) -> New {
        // Of a discovered file only path and digest are remembered.
        let input = |(path, digest)| InputRow {
            path,
            kind: RowKind::File,
            executable: false,
            digest: Digest(digest),
        };
        let discovered = piece.discovered;
        New {
            key: piece.key,
            source: piece.source,
            deps: piece.deps,
            rows: piece.rows,
            discovered: discovered.map(|files| files.into_iter().map(input).collect()),
            depfile: piece.depfile,
            duration_ms: piece.duration_ms,
            log: piece.log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str) -> Row {
        Row {
            path: path.into(),
            kind: larder_cache::Kind::File,
            mode: 0o644,
            size: 1,
            digest: *blake3::hash(path.as_bytes()).as_bytes(),
        }
    }

    fn piece(rows: &[&str]) -> Piece {
        Piece {
            key: [1; 32],
            source: [2; 32],
            deps: vec![("a#b".into(), [3; 32])],
            rows: rows.iter().map(|path| row(path)).collect(),
            discovered: Some(vec![(b"x.h".to_vec(), [4; 32])]),
            depfile: Some([6; 32]),
            duration_ms: 5,
            log: Vec::new(),
        }
    }

    #[test]
    fn pieces_come_apart_as_they_were_put_together() {
        let pieces: Pieces = [
            (b"a.c".to_vec(), piece(&["out/a"])),
            (b"b.c".to_vec(), piece(&["out/b", "out/bb"])),
        ]
        .into();
        let owned: Vec<Row> = ["out/a", "out/b", "out/bb", "out/more"].map(row).into();
        let known = together(pieces.clone(), &owned).unwrap();
        assert_eq!(apart(&known, &owned), Some(pieces.clone()));
        // The rows of one are not there: the other is known still.
        let some = [owned[0].clone()];
        let known = together(pieces.clone(), &some).unwrap();
        let left = apart(&known, &some).unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), [b"a.c"]);
        assert_eq!(apart(&known, &[]), None);
        assert_eq!(apart(b"foreign", &owned), None);
    }
}
