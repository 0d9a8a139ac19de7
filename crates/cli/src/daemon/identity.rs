//! What tells a process from a later one of the same number, which files it sees, and how much memory it holds.
//! Only Linux says it; elsewhere a process is never taken for another, as nothing is done to it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::format::View;

/// When a process started, in the system's own terms.
pub(super) fn start_of(pid: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = line.rsplit_once(") ")?;
    rest.split(' ').nth(19).map(str::to_owned)
}

/// Which files this process sees in a folder.
pub(super) fn view(root: &Path) -> View {
    let of = |path: &Path| fs::metadata(path).map_or((0, 0), |stat| (stat.dev(), stat.ino()));
    let (device, inode) = of(root);
    (device, inode, of(Path::new("/proc/self/ns/mnt")).1)
}

/// Memory that this process holds, in bytes.
pub(super) fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_and_holds_memory() {
        let own = start_of(std::process::id()).unwrap();
        assert!(own.parse::<u64>().unwrap() > 0);
        assert_ne!(start_of(1), Some(own));
        assert_eq!(start_of(u32::MAX), None);
        assert!(memory() > 100_000);
    }
}
