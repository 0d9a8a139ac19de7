//! Writes one row of a manifest into an open folder: in place where that is safe, else by rename.
//! Knows nothing of why it is written, nor of what was moved out of its way.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::Step;
use crate::manifest::split;
use crate::tree::{Dir, Stat, StatKind, stat_file};
use crate::unpack::Body;
use crate::{Kind, Row};

/// Does the step for a row whose way is clear.
pub(super) fn write(
    dir: &Dir,
    row: &Row,
    step: &Step,
    body: Option<&Body>,
    now: SystemTime,
) -> io::Result<()> {
    let name = split(&row.path).1;
    if *step == Step::Mode {
        return set_mode(&dir.open(name)?, row.mode);
    }
    match (row.kind, body) {
        (Kind::EmptyDir, _) => {
            dir.make_dir(name, row.mode)?;
            dir.touch(name, now)
        }
        (Kind::Link, Some(Body::Memory(text))) => {
            dir.link(text, name)?;
            dir.touch(name, now)
        }
        (Kind::File, Some(body)) => {
            if let Step::Overwrite(Some(stat)) = step {
                if !may_write_in_place(row, stat) || !write_in_place(dir, name, row, body, now)? {
                    replace(dir, name, row, body, now)?;
                }
                return Ok(());
            }
            let made = dir.create(name)?;
            let filled = fill(&made, row, body, now);
            if filled.is_err() {
                // Half a file is worse than none.
                let _ = dir.remove_file(name);
            }
            filled
        }
        _ => Err(io::Error::other("the artifact gave no body for this path")),
    }
}

/// Programs and libraries may be mapped by a running process, linked files belong to others too.
fn may_write_in_place(row: &Row, stat: &Stat) -> bool {
    let name = split(&row.path).1;
    let ends = |end: &[u8]| name.ends_with(end);
    let shared = name.windows(4).any(|part| part == b".so.")
        || [&b".so"[..], b".dylib", b".dll", b".node", b".pyd", b".exe"]
            .into_iter()
            .any(ends);
    stat.links == 1 && stat.mode & 0o111 == 0 && !row.executable() && !shared
}

/// False when the file may not be opened for writing (read-only, busy) or is no longer the one that was looked at.
fn write_in_place(
    dir: &Dir,
    name: &[u8],
    row: &Row,
    body: &Body,
    now: SystemTime,
) -> io::Result<bool> {
    let file = match dir.open_write(name) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ExecutableFileBusy
                    | io::ErrorKind::ResourceBusy
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let stat = stat_file(&file)?;
    if stat.kind != StatKind::File || stat.links != 1 {
        return Ok(false);
    }
    fill(&file, row, body, now)?;
    Ok(true)
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn replace(dir: &Dir, name: &[u8], row: &Row, body: &Body, now: SystemTime) -> io::Result<()> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temp = format!(".larder-{}-{number}.tmp", std::process::id()).into_bytes();
    let file = dir.create(&temp)?;
    let result = fill(&file, row, body, now).and_then(|()| {
        drop(file);
        dir.rename(&temp, name)
    });
    if result.is_err() {
        let _ = dir.remove_file(&temp);
    }
    result
}

fn fill(file: &File, row: &Row, body: &Body, now: SystemTime) -> io::Result<()> {
    let mut out = file;
    match body {
        Body::Memory(content) => out.write_all(content)?,
        Body::Staged(path) => {
            io::copy(&mut File::open(path)?, &mut out)?;
        }
    }
    file.set_len(row.size)?;
    // Time before mode: elsewhere a read-only file cannot be dated.
    file.set_modified(now)?;
    set_mode(file, row.mode)
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode & 0o777))
}

#[cfg(not(unix))]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    file.set_permissions(permissions)
}
