//! What a delta tells of tasks and chunks beside their outputs, as text fields of its units.
//! Does not know the form of the manifest around them, nor what is believed of them.

use std::collections::BTreeMap;

use larder_cache::delta::format::{escape, unescape};
use larder_cache::{Key, Row, UnitDelta};
use larder_fingerprint::Explanation;

use crate::session::chunks::Piece;
use crate::session::describe;
use crate::session::life::hex;
use crate::state::Success;

/// The fields of a unit.
pub(super) type Fields = BTreeMap<String, String>;

/// Files that chunks of a task discovered, each with the digest it had.
pub(super) type Files = Vec<(Vec<u8>, [u8; 32])>;

const KEY: &str = "key";
const CLOSURE: &str = "closure";
const DURATION: &str = "duration-ms";
const DISCOVERED: &str = "discovered";
const EXPLANATION: &str = "explanation";
const FILES: &str = "files";
const ROOT: &str = "root";
const TASK: &str = "task";
const SOURCE: &str = "source";
const GONE: &str = "gone";
const DIGEST: &str = "source-digest";
const DEPS: &str = "dependencies";

fn json<T: serde::Serialize>(value: &T) -> String {
    // Lists and maps of texts are always JSON.
    serde_json::to_string(value).unwrap_or_default()
}

fn put(fields: &mut Fields, name: &str, value: String) {
    fields.insert(name.to_owned(), value);
}

fn digest(text: &str) -> Option<[u8; 32]> {
    Some(text.parse::<Key>().ok()?.0)
}

/// Tells of a success.
pub(super) fn put_success(fields: &mut Fields, success: &Success) {
    put(fields, KEY, Key(success.key).to_string());
    put(fields, CLOSURE, Key(success.closure).to_string());
    put(fields, DURATION, success.duration_ms.to_string());
    if let Some(list) = &success.discovered {
        let list: Vec<String> = list.iter().map(|path| escape(path)).collect();
        put(fields, DISCOVERED, json(&list));
    }
}

/// The success that a unit tells of, if it does: of the very outputs it leads to.
pub(super) fn success(unit: &UnitDelta) -> Option<Success> {
    let field = |name| unit.extra.get(name);
    let discovered = match field(DISCOVERED) {
        None => None,
        Some(text) => {
            let list: Vec<String> = serde_json::from_str(text).ok()?;
            let paths = list.iter().map(|path| unescape(path));
            Some(paths.collect::<Option<Vec<_>>>()?)
        }
    };
    Some(Success {
        key: digest(field(KEY)?)?,
        closure: digest(field(CLOSURE)?)?,
        // Nobody has looked into the cache of this place.
        stored: false,
        duration_ms: field(DURATION)?.parse().ok()?,
        discovered,
    })
}

/// The key that a unit tells of, if it does.
pub(super) fn key(unit: &UnitDelta) -> Option<[u8; 32]> {
    digest(unit.extra.get(KEY)?)
}

/// Tells what a key was made of, in its stored form; of variables no more than whether they were set.
pub(super) fn put_explanation(fields: &mut Fields, explained: &[u8]) {
    let Some(mut explanation) = describe::decode(explained) else {
        return;
    };
    for value in explanation.env.values_mut().flatten() {
        // The hash is keyed with a secret that stays where it is.
        *value = Explanation::UNTOLD;
    }
    if let Some(bytes) = describe::encode(&explanation) {
        put(fields, EXPLANATION, hex(&bytes));
    }
}

/// What a key was made of, in its stored form.
pub(super) fn explanation(unit: &UnitDelta) -> Option<Vec<u8>> {
    let text = unit.extra.get(EXPLANATION)?.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok();
    let bytes: Vec<u8> = text.chunks(2).map(byte).collect::<Option<_>>()?;
    describe::decode(&bytes)?;
    Some(bytes)
}

/// Tells of the root that outputs are bound to.
pub(super) fn put_root(fields: &mut Fields, root: &[u8; 32]) {
    put(fields, ROOT, Key(*root).to_string());
}

/// Whether a unit's outputs hold the path of another workspace than the one with this root.
pub(super) fn bound_elsewhere(unit: &UnitDelta, root: &[u8; 32]) -> bool {
    let here = Key(*root).to_string();
    unit.extra.get(ROOT).is_some_and(|root| *root != here)
}

/// Tells which chunk of a task a unit is of, and whether its source is gone.
pub(super) fn put_chunk(fields: &mut Fields, task: &str, source: &[u8], gone: bool) {
    put(fields, TASK, task.to_owned());
    put(fields, SOURCE, escape(source));
    if gone {
        put(fields, GONE, "true".to_owned());
    }
}

/// The task that a unit is of.
pub(super) fn task(unit: &UnitDelta) -> &str {
    unit.extra.get(TASK).map_or(&unit.name, String::as_str)
}

/// The source of the chunk that a unit is of, and whether it is gone; `None` for a unit of a task.
pub(super) fn chunk(unit: &UnitDelta) -> Option<(Vec<u8>, bool)> {
    let source = unescape(unit.extra.get(SOURCE)?)?;
    Some((source, unit.extra.contains_key(GONE)))
}

/// Tells of the files that any chunk of a task discovered.
pub(super) fn put_files(fields: &mut Fields, files: &Files) {
    if !files.is_empty() {
        let files = files.iter().map(|(path, was)| (escape(path), hex(was)));
        put(fields, FILES, json(&files.collect::<Vec<_>>()));
    }
}

/// The files that chunks of a task discovered.
pub(super) fn files(unit: &UnitDelta) -> Option<Files> {
    let Some(text) = unit.extra.get(FILES) else {
        return Some(Files::new());
    };
    let files: Vec<(String, String)> = serde_json::from_str(text).ok()?;
    let file = |(path, was): &(String, String)| Some((unescape(path)?, digest(was)?));
    files.iter().map(file).collect()
}

/// Tells what is known of a chunk; `files` are sorted and hold all that it discovered.
pub(super) fn put_piece(fields: &mut Fields, piece: &Piece, files: &Files) {
    put(fields, KEY, Key(piece.key).to_string());
    put(fields, DURATION, piece.duration_ms.to_string());
    put(fields, DIGEST, hex(&piece.source));
    let deps = piece.deps.iter().map(|(id, of)| (id.clone(), hex(of)));
    let deps: BTreeMap<String, String> = deps.collect();
    if !deps.is_empty() {
        put(fields, DEPS, json(&deps));
    }
    if let Some(discovered) = &piece.discovered {
        let at = |file: &(Vec<u8>, [u8; 32])| files.binary_search(file).ok();
        let places: Vec<usize> = discovered.iter().filter_map(at).collect();
        put(fields, DISCOVERED, json(&places));
    }
}

/// What a unit tells of the chunk that wrote `rows`, if it does.
pub(super) fn piece(unit: &UnitDelta, files: &Files, rows: Vec<Row>) -> Option<Piece> {
    let field = |name| unit.extra.get(name);
    let deps: BTreeMap<String, String> = match field(DEPS) {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text).ok()?,
    };
    let dep = |(id, of): (String, String)| Some((id, digest(&of)?));
    let discovered = match field(DISCOVERED) {
        None => None,
        Some(text) => {
            let places: Vec<usize> = serde_json::from_str(text).ok()?;
            let files = places.iter().map(|at| files.get(*at).cloned());
            Some(files.collect::<Option<Vec<_>>>()?)
        }
    };
    Some(Piece {
        key: digest(field(KEY)?)?,
        source: digest(field(DIGEST)?)?,
        deps: deps.into_iter().map(dep).collect::<Option<_>>()?,
        rows,
        discovered,
        depfile: None,
        duration_ms: field(DURATION)?.parse().ok()?,
        log: Vec::new(),
    })
}
