//! The faults of a start: every change of a command as a place to kill it, and every call of a list as one to fail.
//! Does not know what must hold after one.

use super::trace;

/// A call made to fail: its name, the error, and whether all later ones fail too.
const ERRORS: &[(&str, &str, bool)] = &[
    ("write", "ENOSPC", true),
    ("write", "EIO", false),
    ("copy_file_range", "ENOSPC", false),
    ("ftruncate", "EIO", false),
    ("fsync", "EIO", false),
    ("fdatasync", "EIO", false),
    ("open", "EMFILE", false),
    ("openat", "EMFILE", false),
    ("openat", "EACCES", false),
    ("openat", "ENOSPC", false),
    ("openat2", "EACCES", false),
    ("openat2", "EMFILE", false),
    ("mkdir", "ENOSPC", false),
    ("mkdirat", "ENOSPC", false),
    ("rename", "EIO", false),
    ("renameat", "EIO", false),
    ("renameat2", "EIO", false),
    ("linkat", "EIO", false),
    ("symlinkat", "ENOSPC", false),
    ("unlink", "EIO", false),
    ("unlinkat", "EIO", false),
    ("fchmod", "EPERM", false),
    ("utimensat", "EPERM", false),
    ("flock", "ENOLCK", false),
    ("read", "EIO", false),
    ("pread64", "EIO", false),
    ("getdents64", "EIO", false),
    ("statx", "EIO", false),
    ("newfstatat", "EIO", false),
    ("fstat", "EIO", false),
    ("readlinkat", "EIO", false),
];

/// The fault of a full disk: `row` is the folder that lies on it, and `nth` the kilobytes that are free.
pub(super) const FULL: &str = "full";

/// One fault.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// The name of its start.
    pub(super) start: &'static str,
    /// `kill`, `full`, or the name of an error.
    pub(super) how: &'static str,
    /// The row of the table: the change before which the process is killed, or the call that fails.
    pub(super) row: String,
    pub(super) syscall: String,
    pub(super) nth: u32,
    pub(super) onwards: bool,
    /// Whether the main thread alone is struck.
    pub(super) alone: bool,
    /// The change that did not happen, for people.
    pub(super) call: String,
}

impl Fault {
    pub(super) fn describe(&self) -> String {
        let onwards = if self.onwards { "+" } else { "" };
        format!(
            "{} {} {} ({} {}{onwards})",
            self.start, self.how, self.row, self.syscall, self.nth
        )
    }

    /// What strace is told; `None` where a full disk is the fault.
    pub(super) fn injection(&self) -> Option<String> {
        if self.how == FULL {
            return None;
        }
        let effect = if self.how == "kill" {
            "signal=SIGKILL".to_owned()
        } else {
            format!("error={}", self.how)
        };
        let onwards = if self.onwards { "+" } else { "" };
        Some(format!(
            "inject={}:{effect}:when={}{onwards}",
            self.syscall, self.nth
        ))
    }
}

/// The faults of a start from the trace of its command without any; and how many changes below `place` cannot be reached.
pub(super) fn all(start: &'static str, trace: &str, place: &str) -> (Vec<Fault>, usize) {
    let (points, missed) = trace::points(trace, place);
    let mut faults: Vec<Fault> = points
        .into_iter()
        .map(|point| Fault {
            start,
            how: "kill",
            row: point.before.to_owned(),
            syscall: point.syscall,
            nth: point.nth,
            onwards: false,
            alone: point.alone,
            call: point.call,
        })
        .collect();
    let names: Vec<&str> = ERRORS.iter().map(|(name, _, _)| *name).collect();
    let most = trace::most(trace, &names);
    for (name, error, onwards) in ERRORS {
        faults.extend(
            (1..=most.get(*name).copied().unwrap_or(0)).map(|nth| Fault {
                start,
                how: error,
                row: (*name).to_owned(),
                syscall: (*name).to_owned(),
                nth,
                onwards: *onwards,
                alone: false,
                call: String::new(),
            }),
        );
    }
    (faults, missed)
}

/// Every so manyeth kill and error; which ones is the same each time, and others for other starts.
pub(super) fn sample(faults: &mut Vec<Fault>, offset: usize, (kills, errors): (usize, usize)) {
    let (mut killed, mut failed) = (offset, offset);
    faults.retain(|fault| {
        let (count, step) = if fault.how == "kill" {
            (&mut killed, kills)
        } else {
            (&mut failed, errors)
        };
        *count += 1;
        *count % step == 0
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
10 openat(AT_FDCWD</b>, \"/b/one\", O_WRONLY|O_CREAT, 0666) = 5</b/one>
10 write(5</b/one>, \"x\", 1) = 1
10 write(5</b/one>, \"y\", 1) = 1
";

    #[test]
    fn every_change_is_killed_at_and_every_call_fails() {
        let (faults, missed) = all("upload", TRACE, "/b/");
        assert_eq!(missed, 0);
        let described: Vec<String> = faults.iter().map(Fault::describe).collect();
        assert_eq!(
            described[..3],
            [
                "upload kill create (openat 1)",
                "upload kill write (write 1)",
                "upload kill write (write 2)",
            ]
        );
        assert!(described.contains(&"upload ENOSPC write (write 2+)".to_owned()));
        let full = faults
            .iter()
            .find(|one| one.onwards && one.nth == 2)
            .unwrap();
        assert_eq!(
            full.injection().unwrap(),
            "inject=write:error=ENOSPC:when=2+"
        );
        let killed = faults[2].injection().unwrap();
        assert_eq!(killed, "inject=write:signal=SIGKILL:when=2");
    }

    #[test]
    fn a_sample_is_the_same_each_time_and_another_for_each_start() {
        let sampled = |offset| {
            let (mut faults, _) = all("upload", TRACE, "/b/");
            sample(&mut faults, offset, (2, 4));
            faults.iter().map(Fault::describe).collect::<Vec<_>>()
        };
        assert_eq!(sampled(0), sampled(0));
        assert_ne!(sampled(0), sampled(1));
        assert_eq!(sampled(0)[0], "upload kill write (write 1)");
    }
}
