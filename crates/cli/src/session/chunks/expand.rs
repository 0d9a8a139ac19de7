//! From a `foreach` task to its chunks: the sources that match, and what each chunk declares.
//! Does not make keys, nor know what was made before.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use larder_fingerprint::{Entry, Ignore, Row, RowKind, Scan, Stat};

use crate::config::template::{Place, is_literal};
use crate::config::{Command, Foreach, Glob};
use crate::execute;

use super::super::outputs::{Outputs, project_dir};
use super::super::tree::{Fault, lossy};
use super::super::{Run, Session};
use super::exact::Exact;
use super::shell;
use super::sources::Sources;

/// One source of a task, with what belongs to it.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The source as an input: path in the workspace, and digest.
    pub source: Row,
    /// The stat tuple it had.
    pub stat: Stat,
    /// `{in}`: relative to the project.
    pub within: Vec<u8>,
    /// `{out}`, relative to the project; empty where no output is one path.
    out: Vec<u8>,
    /// The declared outputs that are one path each, in the workspace.
    pub paths: Vec<Vec<u8>>,
    /// The depfile, in the workspace.
    pub depfile: Option<Vec<u8>>,
}

/// All chunks of a task at one moment, sorted by source.
#[derive(Debug)]
pub(super) struct Expansion {
    /// The chunks.
    pub chunks: Vec<Chunk>,
    /// What they declare.
    pub outputs: Arc<Outputs>,
}

impl Expansion {
    /// What the chunks declare, by chunk.
    pub(super) fn exact(&self) -> &Exact {
        static NONE: Exact = Exact::none();
        self.outputs.exact().unwrap_or(&NONE)
    }

    /// The chunk of a source.
    pub(super) fn find(&self, source: &[u8]) -> Option<usize> {
        self.chunks
            .binary_search_by(|chunk| chunk.source.path.as_slice().cmp(source))
            .ok()
    }
}

/// A chunk's full name: `project#task[path]`.
pub(super) fn name(task: &str, within: &[u8]) -> String {
    format!("{task}[{}]", lossy(within))
}

/// The chunks of a task as its sources are now.
///
/// # Errors
/// When a source cannot be read, another task makes it, or two chunks declare one path.
pub(super) fn expand(run: &Run<'_>, task: usize) -> Result<Expansion, Fault> {
    let session = run.session;
    let workspace = &session.workspace;
    let spec = &workspace.tasks[task];
    let Some(foreach) = &spec.foreach else {
        return Err(Fault::words("it has no `foreach`"));
    };
    let Some(globs) = session.compiled.sources(workspace, task)? else {
        return Err(Fault::words("it has no `foreach`"));
    };
    let sources = match sources(session, globs) {
        // A file that changes between scan and digest is looked at once more: the second look decides.
        Err(Fault::Read(_)) => {
            session.tree.forget_scans();
            sources(session, globs)?
        }
        other => other?,
    };
    run.refuse_foreign(task, sources.iter().map(|(row, _)| &row.path))?;
    of_sources(session, task, foreach, sources)
}

/// The chunks of these sources.
fn of_sources(
    session: &Session<'_>,
    task: usize,
    foreach: &Foreach,
    sources: Vec<(Row, Stat)>,
) -> Result<Expansion, Fault> {
    let dir = project_dir(&session.workspace, task);
    let mut chunks = Vec::with_capacity(sources.len());
    let (mut paths, mut globs) = (Vec::new(), Vec::new());
    for (index, (source, stat)) in sources.into_iter().enumerate() {
        let chunk = chunk(session, dir, foreach, source, stat)?;
        if foreach
            .outputs
            .iter()
            .all(|glob| !glob.negated && is_literal(&glob.glob))
        {
            paths.extend(chunk.paths.iter().map(|path| (path.clone(), index)));
        } else {
            globs.push((index, chunk_globs(dir, foreach, &chunk)?));
        }
        chunks.push(chunk);
    }
    let depfiles = chunks.iter().filter_map(|chunk| chunk.depfile.clone());
    let exact = Exact::new(paths, globs, depfiles.collect())
        .map_err(|(path, one, two)| both(&path, &chunks[one].within, &chunks[two].within))?;
    Ok(Expansion {
        chunks,
        outputs: Arc::new(Outputs::of_chunks(exact)?),
    })
}

/// What chunks with these sources declare, whether or not the sources are there; a chunk is known by the place of its
/// source in the list.
///
/// # Errors
/// When the task has no chunks, two of these would make one path, or one cannot be named from the project.
pub fn declared_by(
    session: &Session<'_>,
    task: usize,
    sources: &[Vec<u8>],
) -> Result<Arc<Outputs>, Fault> {
    let Some(foreach) = &session.workspace.tasks[task].foreach else {
        return Err(Fault::words("it has no `foreach`"));
    };
    let unseen = sources.iter().map(|path| unseen(path)).collect();
    Ok(of_sources(session, task, foreach, unseen)?.outputs)
}

/// Depfiles of chunks that are no more: by path the digest with which each is known, if it lies there as it was written and
/// is nothing that a chunk of today makes.
///
/// # Errors
/// When a source cannot be named from the project.
pub fn left_depfiles<'g>(
    session: &Session<'_>,
    task: usize,
    gone: impl Iterator<Item = (&'g Vec<u8>, Option<[u8; 32]>)>,
    today: &Exact,
) -> Result<BTreeMap<Vec<u8>, [u8; 32]>, Fault> {
    let dir = project_dir(&session.workspace, task);
    let mut left = BTreeMap::new();
    let Some(foreach) = &session.workspace.tasks[task].foreach else {
        return Ok(left);
    };
    for (source, written) in gone {
        let (row, stat) = unseen(source);
        let path = chunk(session, dir, foreach, row, stat)?.depfile;
        let Some((path, written)) = path.zip(written) else {
            continue;
        };
        let there = std::fs::symlink_metadata(session.path_of(&path));
        let is_file = there.is_ok_and(|there| there.is_file());
        let content = || std::fs::read(session.path_of(&path)).ok();
        let same = |bytes: Vec<u8>| *blake3::hash(&bytes).as_bytes() == written;
        let free = !today.covers(&path) && !today.is_depfile(&path);
        if free && is_file && content().is_some_and(same) {
            left.insert(path, written);
        }
    }
    Ok(left)
}

/// A source of which only the name is known.
fn unseen(path: &[u8]) -> (Row, Stat) {
    let row = Row {
        path: path.to_vec(),
        kind: RowKind::File,
        executable: false,
        digest: larder_fingerprint::Digest([0; 32]),
    };
    let stat = Stat {
        kind: larder_fingerprint::Kind::File,
        size: 0,
        mtime_ns: 0,
        ctime_ns: 0,
        dev: 0,
        ino: 0,
        mode: 0,
        nlink: 0,
    };
    (row, stat)
}

/// A source as its task names it, relative to the project; `None` where no way leads there.
pub fn within(session: &Session<'_>, task: usize, source: &[u8]) -> Option<Vec<u8>> {
    relative(session, project_dir(&session.workspace, task), source)
}

/// Two chunks that make one path.
pub(super) fn both(path: &[u8], one: &[u8], two: &[u8]) -> Fault {
    Fault::Words(format!(
        "two of its chunks make {}: that of {} and that of {}\n  tell them apart in `outputs`, as with {{in}} or {{dir}}",
        lossy(path),
        lossy(one),
        lossy(two)
    ))
}

fn sources(session: &Session<'_>, globs: &Sources) -> Result<Vec<(Row, Stat)>, Fault> {
    let scans = scans(session, globs)?;
    let entries = found(session, globs, &scans);
    let rows = session.tree.scanner().rows(&entries)?;
    Ok(rows
        .into_iter()
        .zip(entries.iter().map(|entry| entry.stat))
        .collect())
}

/// The paths of the sources.
///
/// # Errors
/// When a folder cannot be read.
pub(super) fn entries(session: &Session<'_>, globs: &Sources) -> Result<Vec<Vec<u8>>, Fault> {
    let scans = scans(session, globs)?;
    let entries = found(session, globs, &scans).into_iter();
    Ok(entries.map(|entry| entry.path.to_vec()).collect())
}

fn scans(session: &Session<'_>, globs: &Sources) -> Result<Vec<Arc<Scan>>, Fault> {
    let prefixes = globs.prefixes().into_iter();
    let scans = prefixes.map(|prefix| session.tree.scan(&prefix, Ignore::Never));
    scans.collect()
}

fn found<'s>(session: &Session<'_>, globs: &Sources, scans: &'s [Arc<Scan>]) -> Vec<Entry<'s>> {
    let is_source = |entry: &Entry<'_>| {
        let file = match entry.kind() {
            RowKind::File => true,
            // What a link leads to is read.
            RowKind::Link => session.path_of(entry.path).is_file(),
            RowKind::EmptyDir | RowKind::Absent => false,
        };
        file && globs.takes(entry.path)
    };
    let mut entries: Vec<Entry<'_>> = scans
        .iter()
        .flat_map(|scan| scan.iter().filter(is_source))
        .collect();
    entries.sort_unstable_by_key(|entry| entry.path);
    entries.dedup_by_key(|entry| entry.path);
    entries
}

fn chunk(
    session: &Session<'_>,
    dir: &[u8],
    foreach: &Foreach,
    source: Row,
    stat: Stat,
) -> Result<Chunk, Fault> {
    let within = relative(session, dir, &source.path).ok_or_else(|| {
        Fault::Words(format!(
            "its source {} cannot be named from the project, which lies outside of the workspace\n  take sources of the project itself in `foreach`",
            lossy(&source.path)
        ))
    })?;
    let mut chunk = Chunk {
        source,
        stat,
        within,
        out: Vec::new(),
        paths: Vec::new(),
        depfile: None,
    };
    let single = |glob: &&Glob| !glob.negated && is_literal(&glob.glob);
    for glob in foreach.outputs.iter().filter(single) {
        chunk.paths.push(path(dir, glob, &chunk)?);
    }
    chunk.depfile = match &foreach.depfile {
        Some(glob) => Some(path(dir, glob, &chunk)?),
        None => None,
    };
    let first = foreach.outputs.iter().find(|glob| !glob.negated);
    if first.is_some_and(|glob| is_literal(&glob.glob)) {
        chunk.out = relative(session, dir, &chunk.paths[0]).unwrap_or_default();
    }
    Ok(chunk)
}

/// A path of a chunk, in the workspace.
fn path(dir: &[u8], template: &Glob, chunk: &Chunk) -> Result<Vec<u8>, Fault> {
    let text = shell::plain(&template.glob, &|place| chunk.value(place));
    let mut path = if template.from_root {
        Vec::new()
    } else {
        dir.to_vec()
    };
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                return Err(Fault::Words(format!(
                    "an output of its chunk {} would be {}, which leads out of its folder, as the source lies outside of the project\n  write `outputs` with {{stem}} or {{name}} instead of {{in}} and {{dir}}",
                    lossy(&chunk.within),
                    lossy(&text)
                )));
            }
            part => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    Ok(path)
}

/// The outputs of a chunk where some have wildcards.
fn chunk_globs(dir: &[u8], foreach: &Foreach, chunk: &Chunk) -> Result<Outputs, Fault> {
    let mut globs = Vec::new();
    for template in &foreach.outputs {
        let mut values: Vec<Vec<u8>> = Vec::new();
        for place in [Place::In, Place::Stem, Place::Dir, Place::Name] {
            let mut escaped = Vec::new();
            for byte in chunk.value(place) {
                if b"*?[]{}\\,!".contains(byte) {
                    escaped.push(b'\\');
                }
                escaped.push(*byte);
            }
            values.push(escaped);
        }
        let text = shell::plain(&template.glob, &|place| match place {
            Place::In => &values[0],
            Place::Stem => &values[1],
            Place::Dir => &values[2],
            Place::Name => &values[3],
            Place::Out => &[],
        });
        let parts: Vec<&[u8]> = text
            .split(|byte| *byte == b'/')
            .filter(|part| *part != b".")
            .collect();
        let text = String::from_utf8(parts.join(&b'/')).map_err(|_| {
            Fault::Words(format!(
                "the name of its source {} is no text, so it cannot stand in a glob\n  write `outputs` without wildcards",
                lossy(&chunk.within)
            ))
        })?;
        globs.push(Glob {
            glob: text,
            ..template.clone()
        });
    }
    Outputs::new(dir, &globs)
}

/// A path of the workspace as seen from a folder of it; `None` where no way leads from the one to the other.
pub(super) fn relative(session: &Session<'_>, dir: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (dir, path) = (parts(dir), parts(path));
    let mounted = |parts: &[Vec<u8>]| {
        let first = parts.first()?;
        let prefix = |(prefix, _): &&(Vec<u8>, std::path::PathBuf)| prefix == first;
        session.mounts.iter().find(prefix).map(|_| first.clone())
    };
    if mounted(&dir) != mounted(&path) {
        return None;
    }
    let common = dir.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let mut told: Vec<&[u8]> = vec![b".."; dir.len() - common];
    told.extend(path[common..].iter().map(Vec::as_slice));
    Some(told.join(&b'/'))
}

impl Chunk {
    /// What a placeholder stands for.
    fn value(&self, place: Place) -> &[u8] {
        let slash = self.within.iter().rposition(|byte| *byte == b'/');
        let name = &self.within[slash.map_or(0, |slash| slash + 1)..];
        match place {
            Place::In => &self.within,
            Place::Out => &self.out,
            Place::Dir => slash.map_or(b".", |slash| &self.within[..slash]),
            Place::Name => name,
            Place::Stem => match name.iter().rposition(|byte| *byte == b'.') {
                Some(dot) if dot > 0 => &name[..dot],
                _ => name,
            },
        }
    }

    /// A command of the task with this chunk's values.
    pub(super) fn command(&self, template: &Command) -> execute::Command {
        let value = |place: Place| self.value(place);
        match template {
            Command::Shell(line) => execute::Command::Shell(os(shell::quoted(line, &value))),
            Command::Argv(words) => execute::Command::Argv(
                words
                    .iter()
                    .map(|word| os(shell::plain(word, &value)))
                    .collect(),
            ),
        }
    }
}

fn os(bytes: Vec<u8>) -> OsString {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        OsString::from_vec(bytes)
    }
    #[cfg(not(unix))]
    {
        OsString::from(String::from_utf8_lossy(&bytes).into_owned())
    }
}
