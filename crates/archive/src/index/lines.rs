//! The lines of an index file: a header, what many entries have in common, and a summary each.
//! Does not know files: it reads and makes their bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{Index, Shared, Summary, parallel};
use crate::format::EntryStatus;
use crate::time::Time;

/// Version of the index. Another one is read as empty, and written anew.
const VERSION: u32 = 2;
/// Hexadecimal digits of the digest that a line begins with.
const DIGITS: usize = 16;
/// What stands between digest and JSON of a header or summary.
const PLAIN: u8 = b' ';
/// The same of what many entries have in common.
const COMMON: u8 = b'+';

/// The digest of a line.
type Digest = [u8; DIGITS];

/// What many entries have in common, by the digest that their lines name it by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes(HashMap<Digest, Shape>);

#[derive(Clone, Debug)]
struct Shape {
    trigger: String,
    workspace: String,
    host: String,
    request: Shared<Vec<String>>,
    projects: Shared<BTreeSet<String>>,
    gates: Shared<BTreeMap<String, bool>>,
}

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    #[serde(rename = "larder-archive-index")]
    pub(super) version: u32,
}

/// The line of a shape.
#[derive(Deserialize)]
struct ShapeLine {
    trigger: String,
    workspace: String,
    host: String,
    request: Vec<String>,
    projects: BTreeSet<String>,
    gates: BTreeMap<String, bool>,
}

/// The same to be written.
#[derive(Serialize)]
struct ShapeText<'a> {
    trigger: &'a str,
    workspace: &'a str,
    host: &'a str,
    request: &'a [String],
    projects: &'a BTreeSet<String>,
    gates: &'a BTreeMap<String, bool>,
}

/// The line of a summary. What is usual is left out.
#[derive(Serialize, Deserialize)]
struct SummaryLine<'a> {
    id: &'a str,
    #[serde(rename = "of")]
    shape: &'a str,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    revision: u32,
    /// Nanoseconds since 1970.
    created: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    status: EntryStatus,
    #[serde(default, skip_serializing_if = "is_default")]
    gates_skipped: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    exit_code: u8,
    wall_seconds: f64,
    archive_seconds: f64,
    #[serde(default, skip_serializing_if = "is_default")]
    tags: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    commit: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    dirty: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    bytes: u64,
}

/// Reads an index. Lines that are not as they were written are left out.
pub(crate) fn read(bytes: &[u8]) -> Index {
    let mut index = Index {
        sound: bytes.ends_with(b"\n"),
        ..Index::default()
    };
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = body.split(|&byte| byte == b'\n');
    let header = lines.next().and_then(|line| content(line, PLAIN));
    let header = header.and_then(|(_, json)| serde_json::from_slice::<Header>(json).ok());
    if header.is_none_or(|header| header.version != VERSION) {
        return Index::default();
    }
    let (common, plain): (Vec<&[u8]>, Vec<&[u8]>) =
        lines.partition(|line| line.get(DIGITS) == Some(&COMMON));
    let found = parallel::map(&common, |line| {
        let (digest, json) = content(line, COMMON)?;
        Some((digest, shape(json)?))
    });
    index.sound &= found.iter().all(Option::is_some);
    index.shapes.0 = found.into_iter().flatten().collect();
    index.lines = plain.len();
    let found = parallel::map(&plain, |line| summary(line, &index.shapes));
    index.sound &= found.iter().all(Option::is_some);
    index.summaries = found.into_iter().flatten().collect();
    if !index
        .summaries
        .is_sorted_by(|one, next| one.key() < next.key())
    {
        // Of lines for the same revision the last one counts: the sort is stable, and what is dropped is the one before.
        index.summaries.sort_by_key(Summary::key);
        index.summaries.reverse();
        index.summaries.dedup_by_key(|summary| summary.key());
        index.summaries.reverse();
    }
    index
}

/// A whole index of these summaries.
pub(crate) fn write<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Vec<u8> {
    let mut bytes = line(PLAIN, &Header { version: VERSION });
    let mut shapes = Shapes::default();
    for summary in summaries {
        append(summary, &mut shapes, &mut bytes);
    }
    bytes
}

/// Appends the line of a summary, and before it the one of its shape where that is not known yet.
pub(crate) fn append(summary: &Summary, shapes: &mut Shapes, bytes: &mut Vec<u8>) {
    let common = line(
        COMMON,
        &ShapeText {
            trigger: &summary.trigger,
            workspace: &summary.workspace,
            host: &summary.host,
            request: &summary.request,
            projects: &summary.projects,
            gates: &summary.gates,
        },
    );
    let Some(&digest) = common.first_chunk::<DIGITS>() else {
        return;
    };
    shapes.0.entry(digest).or_insert_with(|| {
        bytes.extend(&common);
        Shape {
            trigger: summary.trigger.clone(),
            workspace: summary.workspace.clone(),
            host: summary.host.clone(),
            request: summary.request.clone(),
            projects: summary.projects.clone(),
            gates: summary.gates.clone(),
        }
    });
    bytes.extend(line(
        PLAIN,
        &SummaryLine {
            id: &summary.id.to_string(),
            // They are hexadecimal digits.
            shape: std::str::from_utf8(&digest).unwrap_or_default(),
            revision: summary.revision,
            created: summary.created.nanos(),
            status: summary.status,
            gates_skipped: summary.gates_skipped,
            exit_code: summary.exit_code,
            wall_seconds: summary.wall_seconds,
            archive_seconds: summary.archive_seconds,
            tags: summary.tags.clone(),
            commit: summary.commit.clone(),
            dirty: summary.dirty,
            bytes: summary.bytes,
        },
    ));
}

fn shape(json: &[u8]) -> Option<Shape> {
    let line: ShapeLine = serde_json::from_slice(json).ok()?;
    Some(Shape {
        trigger: line.trigger,
        workspace: line.workspace,
        host: line.host,
        request: line.request.into(),
        projects: line.projects.into(),
        gates: line.gates.into(),
    })
}

fn summary(line: &[u8], shapes: &Shapes) -> Option<Summary> {
    let (_, json) = content(line, PLAIN)?;
    let line: SummaryLine<'_> = serde_json::from_slice(json).ok()?;
    let shape = shapes.0.get(line.shape.as_bytes())?;
    Some(Summary {
        id: line.id.parse().ok()?,
        revision: line.revision,
        created: Time::from_nanos(line.created),
        trigger: shape.trigger.clone(),
        workspace: shape.workspace.clone(),
        host: shape.host.clone(),
        status: line.status,
        gates_skipped: line.gates_skipped,
        exit_code: line.exit_code,
        wall_seconds: line.wall_seconds,
        archive_seconds: line.archive_seconds,
        request: shape.request.clone(),
        projects: shape.projects.clone(),
        tags: line.tags,
        gates: shape.gates.clone(),
        commit: line.commit,
        dirty: line.dirty,
        bytes: line.bytes,
    })
}

/// A line, with its digest before and a newline behind.
pub(super) fn line(kind: u8, content: &impl Serialize) -> Vec<u8> {
    // Nothing here has maps with keys other than text; numbers that are not finite become null, and the line is left out by whoever
    // reads it.
    let json = serde_json::to_vec(content).unwrap_or_default();
    let mut line = Vec::with_capacity(DIGITS + json.len() + 2);
    line.extend(digest(&json));
    line.push(kind);
    line.extend(json);
    line.push(b'\n');
    line
}

/// The digest of a line and its JSON, if the one is of the other.
fn content(line: &[u8], kind: u8) -> Option<(Digest, &[u8])> {
    let (&said, rest) = line.split_first_chunk::<DIGITS>()?;
    let (&found, json) = rest.split_first()?;
    (found == kind && said == digest(json)).then_some((said, json))
}

fn digest(json: &[u8]) -> Digest {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; DIGITS];
    let hash = blake3::hash(json);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.as_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    digits
}

fn first() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The form that serde calls.
fn is_first(revision: &u32) -> bool {
    *revision == first()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
