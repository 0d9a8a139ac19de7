//! Small disks: a folder of the place lies on one that is nearly full while a command is struck.
//! Knows nothing of what the folder holds.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use super::fault::{FULL, Fault};
use super::folders::{clear, copy};
use super::orphans;
use super::place::{Place, Start};

/// Kilobytes that are free: from nothing to enough for all.
const FREE: &[u32] = &[
    0, 4, 8, 16, 32, 64, 128, 256, 304, 320, 336, 352, 384, 512, 1024,
];

/// Gives this process a view of its own of what is mounted, which ends with it; or says why it may not.
pub(super) fn permitted() -> Result<(), String> {
    // SAFETY: it takes no pointers, and of what threads share it parts nothing but the view of mounts.
    #[allow(unsafe_code)]
    let parted = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    if parted != 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    mount(&["--make-rprivate", "/"]).map_err(|error| error.to_string())
}

/// The full disks of a start.
pub(super) fn faults(start: &dyn Start) -> Vec<Fault> {
    let of = |folder: &str| {
        let fault = |free: &u32| Fault {
            start: start.name(),
            how: FULL,
            row: folder.to_owned(),
            syscall: "KiB free".to_owned(),
            nth: *free,
            onwards: false,
            alone: false,
            call: String::new(),
        };
        FREE.iter().map(fault).collect()
    };
    start.disk().map(of).unwrap_or_default()
}

/// A small disk over a folder. When this is dropped, the folder itself has what the disk had.
pub(super) struct Small {
    at: PathBuf,
    aside: PathBuf,
}

impl Small {
    /// Puts the folder of a fault on a disk that has as much free space as the fault says, with all that the folder holds.
    pub(super) fn under(place: &Place, fault: &Fault) -> Outcome<Option<Small>> {
        if fault.how != FULL {
            return Ok(None);
        }
        let at = place.dir().join(&fault.row);
        let aside = place.base().join("aside");
        clear(&aside)?;
        copy(&at, &aside)?;
        // Larger at first: files take whole pages.
        mount(&["-t", "tmpfs", "-o", "size=64m", "none", &text(&at)])?;
        let small = Small { at, aside };
        copy(&small.aside, &small.at)?;
        let used = rustix::fs::statvfs(&small.at)?;
        let kilobytes = (used.f_blocks - used.f_bfree) * used.f_frsize / 1024;
        small.resize(kilobytes + u64::from(fault.nth))?;
        Ok(Some(small))
    }

    /// The disk is no longer full.
    pub(super) fn make_room(&self) -> Outcome<()> {
        // What is at work in the background is at work on the full disk.
        orphans::wait()?;
        self.resize(64 * 1024)
    }

    fn resize(&self, kilobytes: u64) -> Outcome<()> {
        let size = format!("remount,size={kilobytes}k");
        mount(&["-o", &size, &text(&self.at)])
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let back = || {
            orphans::wait()?;
            clear(&self.aside)?;
            copy(&self.at, &self.aside)?;
            Command::new("umount").arg(&self.at).status()?;
            // A disk that stays hinders the next clearing of the place, which says so.
            clear(&self.at)?;
            copy(&self.aside, &self.at)
        };
        if let Err(error) = back() {
            println!("{} is not as the disk was: {error}", self.at.display());
        }
    }
}

fn mount(args: &[&str]) -> Outcome<()> {
    let output = Command::new("mount").args(args).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(super::place::stderr(&output).trim().to_owned().into())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
