//! Counts what a run asks of the allocator and of the kernel, in passes of their own.
//! It does not know which scenario is counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The system's allocator, counted. It serves `xtask` alone, never the program that is shipped.
#[derive(Debug)]
struct Counted;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What was asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allocations {
    /// Calls that gave memory.
    pub(crate) calls: u64,
    /// Bytes asked for, over all calls.
    pub(crate) bytes: u64,
}

/// Arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct CountArgs {
    /// Where the counts go, as JSON
    result: PathBuf,
    /// Arguments for larder
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// The hidden subcommand: larder's library with the same surroundings as its program, counted.
pub(crate) fn counted_larder(args: &CountArgs) -> Result<ExitCode, Box<dyn Error>> {
    let mut words = vec![OsString::from("larder")];
    words.extend(args.args.iter().cloned());
    let world = larder::World {
        args: words,
        env: std::env::vars_os().collect(),
        cwd: std::env::current_dir()?,
        stdout_terminal: false,
        stderr_terminal: false,
    };
    let before = (
        ALLOCATIONS.load(Ordering::Relaxed),
        BYTES.load(Ordering::Relaxed),
    );
    let code = larder::main(&world);
    let counts = Allocations {
        calls: ALLOCATIONS.load(Ordering::Relaxed) - before.0,
        bytes: BYTES.load(Ordering::Relaxed) - before.1,
    };
    fs::write(&args.result, serde_json::to_vec(&counts)?)?;
    Ok(ExitCode::from(code))
}

/// What was asked of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls {
    /// System calls of the process and its children.
    pub(crate) all: u64,
    /// Those of them that write to a file, pipe or terminal.
    pub(crate) writes: u64,
}

/// The calls that write.
const WRITES: &[&str] = &[
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "sendfile",
    "copy_file_range",
    "splice",
];

/// Reads the table of `strace -c`.
pub(crate) fn parse_strace(table: &str) -> Option<Calls> {
    let mut calls = None;
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // `% time  seconds  usecs/call  calls  [errors]  syscall`; rules and the head have no number there.
        let (Some(number), Some(name)) = (words.get(3), words.last()) else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        let sum = calls.get_or_insert(Calls::default());
        if *name == "total" {
            continue;
        }
        sum.all += number;
        if WRITES.contains(name) {
            sum.writes += number;
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_summed() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.000200           2       100         3 statx
 25.00    0.000100           5        20           write
 25.00    0.000100           5         1           pwrite64
------ ----------- ----------- --------- --------- ----------------
100.00    0.000400           3       121         3 total
";
        let calls = parse_strace(table).unwrap();
        assert_eq!(
            calls,
            Calls {
                all: 121,
                writes: 21
            }
        );
        assert_eq!(parse_strace("strace: not permitted\n"), None);
    }

    #[test]
    fn allocations_are_counted() {
        let before = BYTES.load(Ordering::Relaxed);
        let kept = std::hint::black_box(vec![7_u8; 12_345]);
        assert!(BYTES.load(Ordering::Relaxed) - before >= 12_345);
        drop(kept);
    }
}
