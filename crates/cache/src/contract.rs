//! What every [`Store`] must keep, as one check that implementors call from their tests.
//! Knows nothing of how a store works; it panics where a promise is broken.

use std::io::Read;

use crate::{ArtifactId, Entry, Error, Key, Kind, Provenance, Put, PutOutcome, Row, Source, Store};

/// Runs the contract against an empty store.
///
/// # Panics
/// With the promise that the store breaks.
#[allow(clippy::missing_panics_doc)]
pub fn check(store: &dyn Store) {
    let key = Key([0xab; 32]);
    let (one, two) = (b"first artifact", b"second artifact");
    let (one_id, two_id) = (id(one), id(two));
    let nothing = |answer: crate::Result<Option<Entry>>| matches!(answer, Ok(None));
    assert!(nothing(store.get(&key)), "an empty store has no entry");
    assert!(
        matches!(store.open(&one_id), Ok(None)),
        "an empty store has no artifact"
    );
    assert_eq!(missing(store, &[two_id, one_id]), [two_id, one_id]);

    let first = entry(one_id, 1);
    assert!(
        matches!(store.put(&key, &first, Put::First), Err(Error::NoArtifact(id)) if id == one_id),
        "an entry cannot come before its artifact"
    );
    assert!(nothing(store.get(&key)), "a refused entry is not there");

    let wrong = store.save(&one_id, Source::Reader(&mut &two[..]));
    assert!(
        matches!(wrong, Err(Error::WrongArtifact(id)) if id == one_id),
        "a stream with another digest is refused"
    );
    assert_eq!(missing(store, &[one_id]), [one_id], "and not kept");
    save(store, one);
    save(store, one);
    assert_eq!(missing(store, &[two_id, one_id]), [two_id]);
    assert_eq!(read(store, &one_id).as_deref(), Some(&one[..]));

    assert_eq!(put(store, &key, &first, Put::First), PutOutcome::Stored);
    assert_eq!(get(store, &key).as_ref(), Some(&first));
    assert!(
        nothing(store.get(&Key([0xac; 32]))),
        "another key has no entry"
    );

    let mut again = first.clone();
    again.duration_ms += 1;
    again.log.clear();
    assert_eq!(put(store, &key, &again, Put::First), PutOutcome::Same);
    assert_eq!(
        get(store, &key).as_ref(),
        Some(&first),
        "the first stays as it was"
    );

    save(store, two);
    let second = entry(two_id, 2);
    let different = PutOutcome::Different(Box::new(first.clone()));
    assert_eq!(put(store, &key, &second, Put::First), different);
    assert_eq!(
        get(store, &key),
        Some(first),
        "a different second is kept out"
    );
    assert_eq!(put(store, &key, &second, Put::Replace), different);
    assert_eq!(get(store, &key), Some(second), "unless it replaces");

    let empty = Entry {
        manifest: Vec::new(),
        artifact: None,
        ..entry(one_id, 3)
    };
    let other = Key([0; 32]);
    assert_eq!(put(store, &other, &empty, Put::Replace), PutOutcome::Stored);
    assert_eq!(get(store, &other), Some(empty), "outputs may be none");
}

fn id(bytes: &[u8]) -> ArtifactId {
    ArtifactId(*blake3::hash(bytes).as_bytes())
}

fn entry(artifact: ArtifactId, size: u64) -> Entry {
    Entry {
        manifest: vec![Row {
            path: b"out".to_vec(),
            kind: Kind::File,
            mode: 0o644,
            size,
            digest: [5; 32],
        }],
        artifact: Some(artifact),
        inline: None,
        log: b"log".to_vec(),
        duration_ms: 7,
        provenance: Provenance::default(),
        root: None,
        note: b"note".to_vec(),
    }
}

fn get(store: &dyn Store, key: &Key) -> Option<Entry> {
    store.get(key).expect("get answers")
}

fn put(store: &dyn Store, key: &Key, entry: &Entry, how: Put) -> PutOutcome {
    store.put(key, entry, how).expect("put stores")
}

fn save(store: &dyn Store, mut bytes: &[u8]) {
    let id = id(bytes);
    store
        .save(&id, Source::Reader(&mut bytes))
        .expect("save keeps");
}

fn read(store: &dyn Store, id: &ArtifactId) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader = store.open(id).expect("open answers")?;
    reader.read_to_end(&mut bytes).expect("an artifact reads");
    Some(bytes)
}

fn missing(store: &dyn Store, ids: &[ArtifactId]) -> Vec<ArtifactId> {
    store.missing(ids).expect("missing answers")
}
