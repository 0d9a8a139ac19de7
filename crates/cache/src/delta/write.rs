//! Compares old and new outputs of units and writes what differs into a folder, the manifest last.
//! Knows nothing of what the outputs are, nor of who will apply the delta.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use super::{CONTENTS, Delta, LeftOut, MANIFEST, Unit, UnitDelta, format};
use crate::error::Context;
use crate::pack::{Packed, pack};
use crate::{Error, Manifest, PackOptions, Result, Root, Row, digest};

/// Writes the delta of `units`, whose new outputs lie below `root`, into `dir`, which is made unless it is an empty folder.
///
/// Rows count as changed when they differ in anything, every bit of their modes included. The new outputs are read again
/// while they are packed.
///
/// # Errors
/// [`Error::Changed`] when an output is not as its row says any more; [`Error::Refused`] when a path stands twice among the
/// old or the new outputs; otherwise when `dir` holds something or cannot be written, or an output cannot be read. No
/// manifest is left then, and so no delta.
pub fn write_delta<'a>(
    root: impl Into<Root<'a>>,
    units: &[Unit],
    left_out: &[LeftOut],
    options: &PackOptions,
    dir: &Path,
) -> Result<Delta> {
    fs::create_dir_all(dir).context("create", dir)?;
    let taken = fs::read_dir(dir).context("list", dir)?.next().is_some();
    if taken {
        return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty)).context("write in", dir);
    }
    let mut delta = Delta {
        archive: None,
        units: units.iter().map(compared).collect(),
        left_out: left_out.to_vec(),
    };
    delta.units.sort_by(|one, two| one.name.cmp(&two.name));
    delta.left_out.sort_by(|one, two| one.name.cmp(&two.name));
    let root = root.into();
    let mut packed = pack_contents(&mut delta, root, *options, dir)?;
    if drop_unchanged(&mut delta) {
        // Rows told of other modes than the disk has: those files do not belong into the archive.
        packed = pack_contents(&mut delta, root, *options, dir)?;
    }
    let contents = dir.join(CONTENTS);
    delta.archive = packed.artifact.as_ref().map(|made| (made.id, made.bytes));
    let bytes = format::encode(&delta)?;
    if let Some(made) = packed.artifact {
        keep(made.file, &contents, dir)?;
    }
    let written = write_manifest(&bytes, dir);
    if written.is_err() {
        // Without its manifest it is worth nothing, and would be in the way of the next one.
        let _ = fs::remove_file(&contents);
    }
    written.map(|()| delta)
}

/// Packs what was added and changed. The rows become what was packed: modes as they are now.
fn pack_contents(
    delta: &mut Delta,
    root: Root<'_>,
    options: PackOptions,
    dir: &Path,
) -> Result<Packed> {
    let paths: Vec<Vec<u8>> = delta.contents().into_iter().map(|row| row.path).collect();
    let packed = pack(root, &paths, &options, dir)?;
    let rows = packed.manifest.iter().map(|row| (&*row.path, row));
    let now: BTreeMap<&[u8], &Row> = rows.collect();
    for unit in &mut delta.units {
        let changed = unit.changed.iter_mut().map(|(_, after)| after);
        for row in changed.chain(&mut unit.added) {
            match now.get(&*row.path) {
                Some(now) if now.same(row) => *row = (*now).clone(),
                _ => return Err(Error::Changed(row.path.clone())),
            }
        }
    }
    Ok(packed)
}

/// Whether any row that counted as changed is what it was.
fn drop_unchanged(delta: &mut Delta) -> bool {
    let mut any = false;
    for unit in &mut delta.units {
        let listed = unit.changed.len();
        unit.changed.retain(|(before, after)| before != after);
        let same = listed - unit.changed.len();
        unit.unchanged += same as u64;
        any |= same > 0;
    }
    any
}

fn write_manifest(bytes: &[u8], dir: &Path) -> Result<()> {
    let mut manifest = NamedTempFile::new_in(dir).context("write in", dir)?;
    let path = dir.join(MANIFEST);
    manifest
        .write_all(bytes)
        .and_then(|()| manifest.as_file().sync_all())
        .context("write", &path)?;
    keep(manifest.into_temp_path(), &path, dir)
}

/// Gives a finished file its name, and the mode that a file made in the usual way would have there.
fn keep(file: TempPath, path: &Path, dir: &Path) -> Result<()> {
    readable(&file, dir).context("write", path)?;
    file.persist_noclobber(path)
        .map_err(|error| error.error)
        .context("write", path)
}

#[cfg(unix)]
fn readable(file: &Path, dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(dir)?.permissions().mode() & 0o666;
    fs::set_permissions(file, fs::Permissions::from_mode(mode | 0o600))
}

#[cfg(not(unix))]
fn readable(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

fn compared(unit: &Unit) -> UnitDelta {
    let by_path = |rows: &Manifest| -> BTreeMap<Vec<u8>, Row> {
        rows.iter()
            .map(|row| (row.path.clone(), row.clone()))
            .collect()
    };
    let mut old = by_path(unit.before.as_ref().unwrap_or(&Manifest::new()));
    let new = by_path(&unit.after);
    let sorted: Manifest = new.values().cloned().collect();
    let before = unit.before.as_ref().map(|_| {
        let sorted: Manifest = old.values().cloned().collect();
        digest(&sorted)
    });
    let mut delta = UnitDelta {
        name: unit.name.clone(),
        before,
        after: digest(&sorted),
        unchanged: 0,
        added: Manifest::new(),
        changed: Vec::new(),
        removed: Manifest::new(),
        extra: unit.extra.clone(),
    };
    for row in sorted {
        match old.remove(&row.path) {
            None => delta.added.push(row),
            Some(before) if before == row => delta.unchanged += 1,
            Some(before) => delta.changed.push((before, row)),
        }
    }
    delta.removed = old.into_values().collect();
    delta
}
