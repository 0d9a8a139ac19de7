//! Where it is measured: system, processors, load, file system, and the revision of the sources.
//! It measures nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generate::processors;
use super::results::Machine;

/// This machine, with trees in a folder.
pub(crate) fn machine(folder: &Path) -> Machine {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        system: format!(
            "{} {} {}",
            std::env::consts::OS,
            release.trim(),
            std::env::consts::ARCH
        )
        .replace("  ", " "),
        processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        processors: processors(),
        file_system: file_system(folder),
        load: load.split(' ').next().unwrap_or("").to_owned(),
    }
}

/// The name of the first processor in the system's list.
fn processor(list: &str) -> String {
    let mut lines = list.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(name, _)| name.trim() == "model name")
        .map_or(String::new(), |(_, model)| model.trim().to_owned())
}

/// The type of the file system that a folder lies on, as the kernel's list of mounts tells it.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((PathBuf::from(words.next()?), words.next()?))
        })
        .filter(|(place, _)| folder.starts_with(place))
        .max_by_key(|(place, _)| place.as_os_str().len())
        .map_or("an unknown file system".to_owned(), |(_, kind)| {
            kind.to_owned()
        })
}

/// The revision of a repository, with a `+` if files differ from it; empty where git does not tell.
pub(crate) fn revision(root: &Path) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root).output();
        output.ok().filter(|output| output.status.success())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::new();
    };
    let head = String::from_utf8_lossy(&head.stdout).trim().to_owned();
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])
        .is_some_and(|output| output.stdout.is_empty());
    if clean { head } else { head + "+" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_is_named() {
        let list = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(processor(list), "Some CPU @ 2 GHz");
        assert_eq!(processor(""), "");
    }
}
