//! Packing: members are streamed into a temporary file, which takes the bundle's name once it is whole and synced.
//! Does not know which artifacts should be chosen.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use super::{ARTIFACTS, BundleError, MANIFESTS, RECORD, SEAL_LENGTH, check_name, io_error, seal};
use crate::digest::{Digesting, Digests};
use crate::durable::{parent, sync_folder, temporary_in};
use crate::format::{ArchiveEntry, Artifact};
use crate::manifests::Manifests;

/// The level of zstd: its default.
const LEVEL: i32 = 3;

/// What goes into a bundle.
#[derive(Clone, Debug)]
pub struct Bundle<'a> {
    /// The entry. Its `bundle` and `attestation` are left out, for they do not exist yet.
    pub entry: &'a ArchiveEntry,
    /// The manifests of the run.
    pub manifests: &'a Manifests,
    /// Logs and whatever else belongs to the run.
    pub extras: &'a [Extra],
    /// The folder that the names of the entry's artifacts are relative to.
    pub root: &'a Path,
}

/// A member whose content is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name in the bundle, such as `logs/web#build.log`. Not `record.json`, `manifests.json`, or anything below `artifacts`.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Digests a file as an artifact.
///
/// # Errors
/// [`BundleError::Refused`] when the name leads out of `root` or through a link, or is no regular file; [`BundleError::Io`] when it cannot be read.
pub fn artifact(root: &Path, name: &str) -> Result<Artifact, BundleError> {
    let mut file = open(root, name)?;
    let executable =
        is_executable(&file).map_err(|cause| io_error("examine", &root.join(name), cause))?;
    let mut digesting = Digesting::new(io::sink());
    crate::digest::copy(&mut file, &mut digesting)
        .map_err(|cause| io_error("read", &root.join(name), cause))?;
    let digests = digesting.finish().1;
    Ok(Artifact {
        name: name.into(),
        size: digests.size,
        blake3: digests.blake3,
        sha256: digests.sha256,
        executable,
    })
}

/// Packs a bundle into the file `to`, which is replaced if it is there. When this returns, the file would survive a power cut; before, it
/// is there as it was, or not at all.
///
/// # Errors
/// [`BundleError::Changed`] when an artifact is no longer what the entry says; [`BundleError::Refused`] for names that a bundle cannot
/// hold; [`BundleError::Io`].
pub fn pack(bundle: &Bundle<'_>, to: &Path) -> Result<Digests, BundleError> {
    let folder = parent(to);
    let failed = |cause| io_error("write", to, cause);
    let file = temporary_in(folder).map_err(failed)?;
    let writer = Digesting::new(BufWriter::new(file));
    let writer = write_members(bundle, writer, &failed)?;
    let (file, digests) = write_seal(writer).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(to).map_err(|refused| failed(refused.error))?;
    sync_folder(folder).map_err(|cause| io_error("sync", folder, cause))?;
    Ok(digests)
}

fn write_seal<W: Write>(mut writer: Digesting<BufWriter<W>>) -> io::Result<(W, Digests)> {
    let end = seal(writer.blake3.finalize());
    debug_assert_eq!(end.len(), SEAL_LENGTH);
    writer.write_all(&end)?;
    let (buffer, digests) = writer.finish();
    let file = buffer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    Ok((file, digests))
}

fn write_members<W: Write>(
    bundle: &Bundle<'_>,
    writer: W,
    failed: &dyn Fn(io::Error) -> BundleError,
) -> Result<W, BundleError> {
    let mut encoder = zstd::Encoder::new(writer, LEVEL).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    let mut tar = tar::Builder::new(encoder);
    let seconds = u64::try_from(bundle.entry.created.nanos() / 1_000_000_000).unwrap_or(0);
    let mut names = BTreeSet::new();
    let mut add = |name: &str, executable: bool, size: u64, content: &mut dyn Read| {
        check_name(name)?;
        if !names.insert(name.to_owned()) {
            let why = "is in the bundle twice";
            let name = name.into();
            return Err(BundleError::Refused { name, why });
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_mtime(seconds);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, name, content).map_err(failed)
    };

    let record = ArchiveEntry {
        bundle: None,
        attestation: None,
        ..bundle.entry.clone()
    };
    let record = record.to_json()?;
    add(RECORD, false, record.len() as u64, &mut record.as_slice())?;
    let manifests = serde_json::to_vec(bundle.manifests).map_err(|error| failed(error.into()))?;
    add(
        MANIFESTS,
        false,
        manifests.len() as u64,
        &mut manifests.as_slice(),
    )?;
    for Extra { name, content } in bundle.extras {
        let below = name.strip_prefix(ARTIFACTS.trim_end_matches('/'));
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let why = "lies below `artifacts`, which is for artifacts alone";
            let name = name.into();
            return Err(BundleError::Refused { name, why });
        }
        add(name, false, content.len() as u64, &mut content.as_slice())?;
    }
    for artifact in &bundle.entry.artifacts {
        add_artifact(bundle.root, artifact, &mut add)?;
    }
    let encoder = tar.into_inner().map_err(failed)?;
    encoder.finish().map_err(failed)
}

/// Adds a member: its name, whether it is executable, its size and its content.
type Add<'a> = &'a mut dyn FnMut(&str, bool, u64, &mut dyn Read) -> Result<(), BundleError>;

/// Streams an artifact, and refuses it if it is not, byte for byte, what the entry says. The file is read once: what is checked is what is packed.
fn add_artifact(root: &Path, artifact: &Artifact, add: Add<'_>) -> Result<(), BundleError> {
    let path = root.join(&artifact.name);
    let changed = || BundleError::Changed { path: path.clone() };
    let mut file = open(root, &artifact.name)?;
    let length = file
        .metadata()
        .map_err(|cause| io_error("examine", &path, cause))?
        .len();
    if length != artifact.size {
        return Err(changed());
    }
    let mut digesting = Digesting::new(Exactly {
        file: &mut file,
        left: artifact.size,
    });
    let name = format!("{ARTIFACTS}{}", artifact.name);
    let added = add(&name, artifact.executable, artifact.size, &mut digesting);
    let short = digesting.inner.left > 0;
    let (_, digests) = digesting.finish();
    match added {
        Err(_) if short && digests.size < artifact.size && matches_end(&mut file) => Err(changed()),
        Err(error) => Err(error),
        Ok(()) if digests.blake3 != artifact.blake3 || digests.sha256 != artifact.sha256 => {
            Err(changed())
        }
        Ok(()) => Ok(()),
    }
}

/// Gives so many bytes of a file and an error if it ends before.
struct Exactly<'a> {
    file: &'a mut File,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut into[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Whether nothing more can be read: the file became shorter.
fn matches_end(file: &mut File) -> bool {
    matches!(file.read(&mut [0]), Ok(0))
}

/// Opens a regular file below `root` that no link leads to.
fn open(root: &Path, name: &str) -> Result<File, BundleError> {
    check_name(name)?;
    let mut path = root.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let found = fs::symlink_metadata(&path).map_err(|cause| io_error("find", &path, cause))?;
        let why = if found.is_symlink() {
            "is or leads through a link, and links are not archived"
        } else if parts.peek().is_none() && !found.is_file() {
            "is no regular file, and only those are archived"
        } else {
            continue;
        };
        let name = name.into();
        return Err(BundleError::Refused { name, why });
    }
    File::open(&path).map_err(|cause| io_error("open", &path, cause))
}

#[cfg(unix)]
fn is_executable(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // The same form as on Unix.
fn is_executable(_: &File) -> io::Result<bool> {
    Ok(false)
}
