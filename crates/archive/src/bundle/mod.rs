//! Bundles: one `tar.zst` an entry, which proves itself by a digest at its end. `docs/formats.md` has the form.
//! Does not know indexes, destinations, or what the members mean.

mod extract;
mod pack;
mod read;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as tree;
#[cfg(not(unix))]
mod portable;
#[cfg(not(unix))]
use portable as tree;

use std::io;
use std::path::{Path, PathBuf};

pub use extract::{Extracted, Overwrite, Plan, extract_artifacts, plan_artifacts};
pub use pack::{Bundle, Extra, artifact, pack};
pub use read::{Checked, Member, members, read_member, verify_bundle};

/// The entry, as it was when the bundle was packed. The first member.
pub const RECORD: &str = "record.json";
/// The manifests of the run.
pub const MANIFESTS: &str = "manifests.json";
/// What the names of artifacts follow.
pub const ARTIFACTS: &str = "artifacts/";

/// The magic number of a skippable frame of zstd, which every reader passes over.
const SKIPPABLE: [u8; 4] = 0x184D_2A5D_u32.to_le_bytes();
/// The magic number that the compressed part begins with.
const COMPRESSED: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Name and version of the last frame.
const SEAL: [u8; 8] = *b"LRDBNDL1";
/// Bytes of the last frame: magic, length, name, digest.
const SEAL_LENGTH: usize = 4 + 4 + 8 + 32;

/// Why a bundle could not be packed, read or extracted.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The bundle is not as it was packed.
    #[error("the bundle `{}` is damaged: {why}", path.display())]
    Damaged {
        /// The bundle.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// It never was a bundle.
    #[error("`{}` is no bundle of an archive", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file changed between being digested and being packed.
    #[error("`{}` changed while it was archived: archive again once nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A path that cannot be archived or extracted.
    #[error("`{name}` {why}")]
    Refused {
        /// The name, or path.
        name: String,
        /// Why not, beginning with a verb.
        why: &'static str,
    },
    /// The entry cannot be written.
    #[error(transparent)]
    Entry(#[from] crate::EntryError),
}

fn io_error(action: &'static str, path: &Path, cause: io::Error) -> BundleError {
    let path = path.to_owned();
    BundleError::Io {
        action,
        path,
        cause,
    }
}

/// The last frame of a bundle whose other bytes have this digest.
fn seal(digest: blake3::Hash) -> [u8; SEAL_LENGTH] {
    let mut seal = [0; SEAL_LENGTH];
    seal[..4].copy_from_slice(&SKIPPABLE);
    seal[4..8].copy_from_slice(&40_u32.to_le_bytes());
    seal[8..16].copy_from_slice(&SEAL);
    seal[16..].copy_from_slice(digest.as_bytes());
    seal
}

/// Refuses names of members that lead elsewhere.
fn check_name(name: &str) -> Result<(), BundleError> {
    let why = if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "is no path below a folder"
    } else if name.contains('\0') {
        "holds a zero byte"
    } else if cfg!(windows) && name.contains(['\\', ':']) {
        "holds a character that leads elsewhere on Windows"
    } else {
        return Ok(());
    };
    let name = name.into();
    Err(BundleError::Refused { name, why })
}
