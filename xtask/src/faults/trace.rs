//! Reads what strace wrote and chooses where to strike.
//! Knows nothing of workspaces or of what a fault may do to them.
//!
//! strace counts the calls of each thread apart. The main thread can be traced alone, so each of its calls can be struck.
//! With all threads traced, a signal strikes whichever is the first to make its n-th call of a name: a place in
//! another thread is named by the first such call there, of any name.

use std::collections::{BTreeMap, BTreeSet};

/// One call, in the order in which calls were entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    thread: u32,
    name: String,
    /// Which of its thread's calls of this name it is, from 1.
    nth: u32,
    line: String,
}

/// Where to strike: before the n-th call of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) syscall: String,
    pub(super) nth: u32,
    /// Whether only the main thread is traced and counted.
    pub(super) alone: bool,
    /// The kind of change that would have come next.
    pub(super) before: &'static str,
    /// The call that would have come next, for people.
    pub(super) call: String,
}

/// The calls of a trace made with `strace -f -y`. Those of processes that were forked but not yet another program are left in,
/// since they are counted too, and marked by [`children`].
pub(super) fn calls(trace: &str) -> Vec<Call> {
    let mut counts: BTreeMap<(u32, String), u32> = BTreeMap::new();
    let mut found = Vec::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let (Ok(thread), Some((name, _))) = (thread.parse(), rest.trim_start().split_once('('))
        else {
            continue;
        };
        let letters =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if name.is_empty() || !name.chars().all(letters) {
            // `<... read resumed>`, `+++ exited with 0 +++`, `--- SIGCHLD {…} ---`.
            continue;
        }
        let nth = counts.entry((thread, name.to_owned())).or_default();
        *nth += 1;
        found.push(Call {
            thread,
            name: name.to_owned(),
            nth: *nth,
            line: rest.trim_start().to_owned(),
        });
    }
    found
}

/// Ids of forked processes: what `vfork`, `fork` and clones without a shared thread group returned.
fn children(trace: &str) -> BTreeSet<u32> {
    let forks = |line: &&str| {
        let resumed = |name: &str| line.contains(&format!("<... {name} resumed>"));
        let named = ["vfork", "fork", "clone", "clone3"].into_iter();
        named
            .clone()
            .any(|name| line.contains(&format!(" {name}(")))
            || named.clone().any(resumed)
    };
    let threads = |line: &&str| line.contains("CLONE_THREAD");
    trace
        .lines()
        .filter(forks)
        .filter(|line| !threads(line))
        .filter_map(|line| line.rsplit_once("= ")?.1.trim().parse().ok())
        .collect()
}

/// What a call does to files below `base`, if it changes any.
pub(super) fn change(call: &Call, base: &str) -> Option<&'static str> {
    if !call.line.contains(base) {
        return None;
    }
    Some(match call.name.as_str() {
        "open" | "openat" | "openat2" | "creat" => {
            let makes = ["O_CREAT", "O_TRUNC", "O_TMPFILE"];
            makes
                .iter()
                .any(|flag| call.line.contains(flag))
                .then_some("create")?
        }
        "write" | "pwrite64" | "writev" | "pwritev" => "write",
        "copy_file_range" | "sendfile" | "splice" => "copy",
        "ioctl" => call.line.contains("FICLONE").then_some("copy")?,
        "fsync" | "fdatasync" | "sync_file_range" => "sync",
        "rename" | "renameat" | "renameat2" => "rename",
        "link" | "linkat" => "link",
        "symlink" | "symlinkat" => "symlink",
        "unlink" | "unlinkat" | "rmdir" => "unlink",
        "truncate" | "ftruncate" | "fallocate" => "truncate",
        "mkdir" | "mkdirat" => "mkdir",
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => "mode",
        "utimensat" | "futimesat" => "time",
        "flock" => "lock",
        _ => return None,
    })
}

/// A place for each change below `base`: before it and after the change that went before.
/// Also how many changes no call could be found for.
pub(super) fn points(trace: &str, base: &str) -> (Vec<Point>, usize) {
    let calls = calls(trace);
    let children = children(trace);
    // The first call that is anyone's n-th of its name.
    let mut seen = BTreeSet::new();
    let first: Vec<bool> = calls
        .iter()
        .map(|call| seen.insert((call.name.clone(), call.nth)) && !children.contains(&call.thread))
        .collect();
    let main = calls.first().map_or(0, |call| call.thread);
    let mut points = Vec::new();
    let mut missed = 0;
    let mut from = 0;
    for (at, call) in calls.iter().enumerate() {
        let Some(before) = change(call, base).filter(|_| !children.contains(&call.thread)) else {
            continue;
        };
        let alone = call.thread == main;
        // The change itself where possible, else the nearest call before it.
        let index = if alone {
            Some(at)
        } else {
            (from..=at).rev().find(|index| first[*index])
        };
        match index {
            Some(index) => points.push(Point {
                syscall: calls[index].name.clone(),
                nth: calls[index].nth,
                alone,
                before,
                call: call.line.chars().take(160).collect(),
            }),
            None => missed += 1,
        }
        from = at + 1;
    }
    (points, missed)
}

/// How often the busiest thread of the program itself makes a call of this name.
pub(super) fn most(trace: &str, names: &[&str]) -> BTreeMap<String, u32> {
    let children = children(trace);
    let mut most = BTreeMap::new();
    for call in calls(trace) {
        if names.contains(&call.name.as_str()) && !children.contains(&call.thread) {
            let count = most.entry(call.name).or_default();
            *count = call.nth.max(*count);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
10 execve(\"larder\", [\"larder\"], 0x1) = 0
10 openat(AT_FDCWD</b>, \"/etc/ld.so.cache\", O_RDONLY) = 3</etc/ld.so.cache>
10 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 11
11 openat(AT_FDCWD</b>, \"/b/first\", O_RDONLY) = 4</b/first>
10 openat(AT_FDCWD</b>, \"/b/second\", O_WRONLY|O_CREAT <unfinished ...>
11 openat(AT_FDCWD</b>, \"/b/made\", O_WRONLY|O_CREAT, 0666) = 6</b/made>
10 <... openat resumed>, 0666) = 5</b/second>
10 vfork() = 12
12 chdir(\"/b\") = 0
10 write(5</b/second>, \"x\", 1) = 1
10 fsync(7</elsewhere>) = 0
10 openat(AT_FDCWD</b>, \"/b/third\", O_WRONLY|O_CREAT, 0666) = 5</b/third>
11 mkdir(\"/b/folder\", 0777) = 0
+++ exited with 0 +++
";

    #[test]
    fn every_change_below_the_base_has_a_place_that_strikes_there_first() {
        let (points, missed) = points(TRACE, "/b/");
        let found: Vec<_> = points
            .iter()
            .map(|point| (point.before, point.syscall.as_str(), point.nth, point.alone))
            .collect();
        assert_eq!(
            found,
            [
                ("create", "openat", 2, true),
                ("write", "write", 1, true),
                ("create", "openat", 3, true),
                ("mkdir", "mkdir", 1, false),
            ]
        );
        assert_eq!(
            missed, 1,
            "the main thread makes its second `openat` before the other one does"
        );
    }

    #[test]
    fn a_forked_process_is_no_target() {
        assert_eq!(children(TRACE), BTreeSet::from([12]));
        assert!(most(TRACE, &["chdir"]).is_empty());
        assert_eq!(most(TRACE, &["openat"])["openat"], 3);
    }
}
