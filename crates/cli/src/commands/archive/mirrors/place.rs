//! Where mirrors are: folders as the configuration writes them, stores, and what cannot be a mirror.
//! Does not know what is brought there.

use std::io;
use std::path::{Path, PathBuf};

use larder_archive::{Destination, DestinationError, DirectoryDestination, Durability};

use crate::config::MirrorSettings;

use super::super::store;
use super::Mirrors;

impl Mirrors<'_> {
    /// Says which mirror cannot be one, and why. Nothing is noted for any of them then.
    pub(in super::super) fn check(&self) -> Result<(), String> {
        for (name, settings) in self.settings {
            if let MirrorSettings::Folder(folder) = settings {
                self.folder(folder)
                    .map_err(|why| format!("mirror {name} {why}"))?;
            }
        }
        Ok(())
    }

    /// The place of a mirror; `None` where none of this name is configured.
    pub(super) fn open(
        &self,
        name: &str,
    ) -> Result<Option<Box<dyn Destination>>, DestinationError> {
        let Some(settings) = self.settings.get(name) else {
            return Ok(None);
        };
        match settings {
            MirrorSettings::Folder(text) => {
                let folder = self
                    .folder(text)
                    .map_err(|why| refused(text, io::ErrorKind::InvalidInput, &why))?;
                let above = folder.parent().unwrap_or(&folder);
                if !above.is_dir() {
                    // A share that is not mounted: its folder would be made on this disk.
                    let why = "the folder above it is not there";
                    let place = folder.display().to_string();
                    return Err(refused(&place, io::ErrorKind::NotFound, why));
                }
                let place = DirectoryDestination::open(folder, Durability::Synced)?;
                // What cannot be swept is not worth a delivery.
                let _ = place.sweep();
                Ok(Some(Box::new(place)))
            }
            MirrorSettings::Store {
                location,
                endpoint,
                region,
            } => {
                let given = [("endpoint", endpoint), ("region", region)];
                store::open(location, &given, self.env).map(Some)
            }
        }
    }

    /// A folder as it is written in the configuration, on disk; else what is wrong with it.
    fn folder(&self, text: &str) -> Result<PathBuf, String> {
        let home = self.env.iter().find(|(name, _)| name == "HOME");
        let folder = match (text.strip_prefix("~/"), home) {
            (Some(rest), Some((_, home))) => Path::new(home).join(rest),
            (Some(_), None) => {
                return Err(format!(
                    "has the folder `{text}`, and there is no home folder\n  set HOME, or write the path itself"
                ));
            }
            (None, _) => self.root.join(text),
        };
        let (mirror, archive) = (real(&folder), real(self.archive.root()));
        let what = if mirror == archive {
            "is the archive itself"
        } else if mirror.starts_with(&archive) {
            "is inside the archive"
        } else if archive.starts_with(&mirror) {
            "cannot hold a copy: the archive lies inside it"
        } else {
            return Ok(folder);
        };
        Err(format!(
            "{what}, {}\n  name a folder elsewhere",
            self.archive.root().display()
        ))
    }
}

/// The path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return found.join(rest);
        }
    }
    path.to_owned()
}

fn refused(place: &str, kind: io::ErrorKind, why: &str) -> DestinationError {
    DestinationError::Io {
        action: "open",
        place: place.to_owned(),
        cause: io::Error::new(kind, why.to_owned()),
    }
}
