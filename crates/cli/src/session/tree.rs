//! The workspace's files as one run sees them: scans that are shared while they hold, digests through the memo.
//! Does not know tasks or keys.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_cache::{EMPTY_DIR, Kind, Row};
use larder_fingerprint::{Entry, Ignore, ReadError, RowKind, Scan, ScanError, Scanner, Stat};

/// Why a task's files cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A folder or file cannot be looked at.
    #[error("{0}{cause}\n  check its permissions", cause = cause(.0))]
    Scan(#[from] ScanError),
    /// A file cannot be digested.
    #[error("{0}{cause}", cause = cause(.0))]
    Read(#[from] ReadError),
    /// In words.
    #[error("{0}")]
    Words(String),
}

fn cause(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map(|source| format!(": {source}"))
        .unwrap_or_default()
}

impl Fault {
    /// A fault in words.
    pub fn words(text: &str) -> Fault {
        Fault::Words(text.to_owned())
    }

    /// A glob that cannot be compiled.
    #[allow(clippy::needless_pass_by_value)] // It is given to `map_err`.
    pub fn glob(error: larder_fingerprint::GlobError) -> Fault {
        Fault::Words(error.to_string())
    }
}

/// A path for people.
pub fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A path relative to the workspace as one of the system.
pub fn to_path(root: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() {
        // Joining nothing would leave a slash at the end.
        return root.to_owned();
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        root.join(std::ffi::OsStr::from_bytes(path))
    }
    #[cfg(not(unix))]
    {
        root.join(String::from_utf8_lossy(path).as_ref())
    }
}

/// Whether a file has more names than the one it was found by. Who watches folders hears of it under the name it is written by alone.
pub fn is_shared(stat: &Stat) -> bool {
    stat.kind == larder_fingerprint::Kind::File && stat.nlink > 1
}

/// What was seen at a path: enough to tell whether somebody wrote there since.
pub type Seen = Stat;

/// Files seen at one moment, by path.
#[derive(Debug, Default)]
pub struct View {
    scans: Vec<Scan>,
    /// Each path with its stat tuple.
    pub seen: BTreeMap<Vec<u8>, Seen>,
}

impl View {
    fn entry(&self, path: &[u8]) -> Option<Entry<'_>> {
        self.scans.iter().find_map(|scan| scan.get(path))
    }

    /// The first path whose stat tuple or presence differs in another view.
    pub fn difference(&self, other: &View) -> Option<Vec<u8>> {
        let differs = |path: &&Vec<u8>| self.seen.get(*path) != other.seen.get(*path);
        let mut paths = self.seen.keys().chain(other.seen.keys());
        paths.find(differs).cloned()
    }
}

/// A scan and the epoch it was taken in.
type Taken = (u64, Arc<Scan>);

/// Shares scans and digests between the tasks of a run.
pub struct Tree {
    scanner: Scanner,
    /// Counts what may have changed files; a scan from before the last such event is not used again.
    epoch: AtomicU64,
    scans: Mutex<HashMap<(Vec<u8>, Ignore), Taken>>,
}

impl Tree {
    /// A tree that nothing is known of but what the scanner's memo holds.
    pub fn new(scanner: Scanner) -> Tree {
        Tree {
            scanner,
            epoch: AtomicU64::new(0),
            scans: Mutex::default(),
        }
    }

    /// The scanner, for its memo and counters.
    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// Anything may have changed, ignore files included.
    pub fn forget(&mut self) {
        self.forget_scans();
        self.scanner.forget_rules();
    }

    /// Commands ran or files were restored: scans taken before are not used again.
    pub fn forget_scans(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        // Whoever still works with one of them holds it.
        self.scans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Grows whenever files may have changed.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// The files under a folder, from a scan that nothing has happened since.
    ///
    /// # Errors
    /// When something there cannot be read.
    pub fn scan(&self, under: &[u8], ignore: Ignore) -> Result<Arc<Scan>, Fault> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let key = (under.to_vec(), ignore);
        let known = self
            .scans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some((_, scan)) = known.filter(|(taken, _)| *taken == epoch) {
            return Ok(scan);
        }
        let scan = Arc::new(self.scanner.scan(under, ignore)?);
        self.scans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (epoch, Arc::clone(&scan)));
        Ok(scan)
    }

    /// Looks anew at everything under `prefixes` that `wanted` takes, ignored files included.
    ///
    /// # Errors
    /// When something there cannot be read.
    pub fn view(
        &self,
        prefixes: &[Vec<u8>],
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<View, Fault> {
        let mut view = View::default();
        for prefix in prefixes {
            let scan = self.scanner.scan(prefix, Ignore::Never)?;
            for entry in scan.iter().filter(|entry| wanted(entry.path)) {
                view.seen.insert(entry.path.to_vec(), entry.stat);
            }
            view.scans.push(scan);
        }
        Ok(view)
    }

    /// Looks at files that are named, and at everything under `prefixes` that `wanted` takes. A named folder stands for
    /// all it holds.
    ///
    /// # Errors
    /// When something there cannot be read.
    pub fn view_of(
        &self,
        files: &[&[u8]],
        prefixes: &[Vec<u8>],
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<View, Fault> {
        let scan = self.scanner.look(files)?;
        let folder = |entry: &Entry<'_>| entry.stat.kind == larder_fingerprint::Kind::Folder;
        let folders = scan.iter().filter(folder).map(|entry| entry.path.to_vec());
        let prefixes: Vec<Vec<u8>> = folders.chain(prefixes.iter().cloned()).collect();
        let mut view = self.view(&prefixes, wanted)?;
        for entry in scan.iter().filter(|entry| !folder(entry)) {
            view.seen.insert(entry.path.to_vec(), entry.stat);
        }
        view.scans.push(scan);
        Ok(view)
    }

    /// Output rows of some paths of a view, in order of path.
    ///
    /// # Errors
    /// When a file cannot be read or changed since.
    pub fn rows(
        &self,
        view: &View,
        wanted: &dyn Fn(&[u8], &Seen) -> bool,
    ) -> Result<Vec<Row>, Fault> {
        let paths = view.seen.iter().filter(|(path, seen)| wanted(path, seen));
        let entries: Vec<Entry<'_>> = paths.filter_map(|(path, _)| view.entry(path)).collect();
        self.output_rows(&entries)
    }

    fn output_rows(&self, entries: &[Entry<'_>]) -> Result<Vec<Row>, Fault> {
        let mut rows = Vec::with_capacity(entries.len());
        let files: Vec<Entry<'_>> = entries
            .iter()
            .filter(|entry| entry.kind() == RowKind::File)
            .copied()
            .collect();
        let mut digests = self.scanner.digests(&files).into_iter();
        for entry in entries {
            rows.push(match entry.kind() {
                RowKind::Link => Row {
                    path: entry.path.to_vec(),
                    kind: Kind::Link,
                    mode: 0o777,
                    size: entry.link.len() as u64,
                    digest: *blake3::hash(entry.link).as_bytes(),
                },
                RowKind::EmptyDir => Row {
                    path: entry.path.to_vec(),
                    kind: Kind::EmptyDir,
                    mode: entry.stat.mode & 0o777,
                    size: 0,
                    digest: EMPTY_DIR,
                },
                RowKind::File | RowKind::Absent => {
                    // One digest was asked for each file, in this order.
                    let digest = digests
                        .next()
                        .transpose()?
                        .map_or([0; 32], |digest| digest.0);
                    Row {
                        path: entry.path.to_vec(),
                        kind: Kind::File,
                        mode: entry.stat.mode & 0o777,
                        size: entry.stat.size,
                        digest,
                    }
                }
            });
        }
        Ok(rows)
    }

    /// Stat tuples of paths as they are now; a missing one is `None`.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn look(&self, paths: &[&[u8]]) -> Result<Vec<Option<Seen>>, Fault> {
        let scan = self.scanner.look(paths)?;
        Ok(paths
            .iter()
            .map(|path| scan.get(path).map(|entry| entry.stat))
            .collect())
    }

    /// Paths of `rows` where the disk holds something else.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn out_of_place(&self, rows: &[Row]) -> Result<Vec<Vec<u8>>, Fault> {
        let paths: Vec<&[u8]> = rows.iter().map(|row| row.path.as_slice()).collect();
        let scan = self.scanner.look(&paths)?;
        self.unlike(rows, &|path| scan.get(path))
    }

    /// Paths of `rows` where a view that was just taken of all of them saw something else. Spares a second look.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn out_of_place_in(&self, view: &View, rows: &[Row]) -> Result<Vec<Vec<u8>>, Fault> {
        self.unlike(rows, &|path| view.entry(path))
    }

    /// Paths of `rows` where `found` is something else.
    fn unlike<'s>(
        &self,
        rows: &[Row],
        found: &dyn Fn(&[u8]) -> Option<Entry<'s>>,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let mut wrong = Vec::new();
        let mut candidates = Vec::new();
        for row in rows {
            match found(&row.path) {
                Some(entry) if plausible(row, &entry) => candidates.push((row, entry)),
                _ => wrong.push(row.path.clone()),
            }
        }
        let entries: Vec<Entry<'_>> = candidates.iter().map(|(_, entry)| *entry).collect();
        match self.output_rows(&entries) {
            Ok(now) => wrong.extend(
                now.iter()
                    .zip(&candidates)
                    .filter(|(now, (row, _))| !now.same(row))
                    .map(|(now, _)| now.path.clone()),
            ),
            // A file that changes while it is read is not as the task left it; which one, the next look tells.
            Err(Fault::Read(ReadError::Changed { path } | ReadError::Vanished { path })) => {
                wrong.push(path);
            }
            Err(other) => return Err(other),
        }
        wrong.sort();
        Ok(wrong)
    }

    /// Where the disk holds exactly what `rows` say: whether one of the files [is shared](is_shared).
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn in_place(&self, rows: &[Row]) -> Result<Option<bool>, Fault> {
        if rows.is_empty() {
            return Ok(Some(false));
        }
        let paths: Vec<&[u8]> = rows.iter().map(|row| row.path.as_slice()).collect();
        let scan = self.scanner.look(&paths)?;
        let wrong = self.unlike(rows, &|path| scan.get(path))?;
        let shared = || scan.iter().any(|entry| is_shared(&entry.stat));
        Ok(wrong.is_empty().then(shared))
    }
}

/// Whether kind, size and executable bit allow that the path holds the row.
fn plausible(row: &Row, entry: &Entry<'_>) -> bool {
    match row.kind {
        Kind::File => {
            entry.kind() == RowKind::File
                && entry.stat.size == row.size
                && (entry.stat.mode & 0o111 != 0) == row.executable()
        }
        Kind::Link => entry.kind() == RowKind::Link,
        Kind::EmptyDir => entry.kind() == RowKind::EmptyDir,
    }
}
