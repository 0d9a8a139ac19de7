//! What commands used: processor time, and memory as it was seen while they ran.
//! Does not know which task a command belongs to.
//!
//! Processor time is what the system counted for a process and all that it waited for. The peak of memory is put
//! together from what can be had without special rights:
//!
//! - while a command runs, the resident memory of its process tree is added up from time to time ([`Meter`]);
//! - with each look the system's own high-water mark of each process is read, so that a peak between two looks is not lost;
//! - at the end the system tells the largest process that was waited for.
//!
//! On Linux that last figure begins at the high-water mark of the process that started the command, that is of Larder
//! itself. It counts only where it is larger: see [`Usage::end`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a command used. What the system does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of its processes.
    pub cpu: Option<Duration>,
    /// The most memory it was seen to hold, in bytes.
    pub peak_memory: Option<u64>,
    /// Its memory over time, oldest first.
    pub samples: Vec<Sample>,
}

/// Memory at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Resident memory of the whole process tree, in bytes.
    pub bytes: u64,
}

/// How a command ended, and what it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub exit: super::Exit,
    /// What it used.
    pub usage: Usage,
}

impl From<super::Exit> for End {
    /// An end of which nothing more is known.
    fn from(exit: super::Exit) -> End {
        End {
            exit,
            usage: Usage::default(),
        }
    }
}

impl Usage {
    /// Adds what a later command of the same task used.
    pub fn then(&mut self, later: Usage) {
        self.cpu = sum(self.cpu, later.cpu);
        self.peak_memory = self.peak_memory.max(later.peak_memory);
        self.samples.extend(later.samples);
    }

    /// Takes in what the system told at the end: processor time, and the memory of the largest process, 0 if unknown.
    ///
    /// On Linux a program takes over the high-water mark of the memory it was started from. A figure that is no larger than
    /// Larder's own says nothing of the command.
    pub fn end(&mut self, cpu: Duration, largest: u64) {
        /// The largest mark of this process that was seen; it never falls.
        static FLOOR: AtomicU64 = AtomicU64::new(0);
        self.cpu = sum(self.cpu, Some(cpu));
        if largest == 0 || largest <= FLOOR.load(Ordering::Relaxed) {
            return;
        }
        let own = crate::record::peak_memory();
        FLOOR.fetch_max(own, Ordering::Relaxed);
        if largest > own {
            self.peak_memory = self.peak_memory.max(Some(largest));
        }
    }
}

fn sum(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// The first look at a command's memory comes after this time: what ends sooner is told by the system alone.
const FIRST: Duration = Duration::from_millis(10);
/// Looks are never farther apart.
const FARTHEST: Duration = Duration::from_secs(1);
/// A look comes after this part of the time that the command has run: many early, few later.
const PART: u32 = 16;
/// So many samples of one command are kept; then every second one goes.
const KEPT: usize = 512;

/// Looks at the memory of a process tree from time to time.
#[derive(Debug)]
pub struct Meter {
    root: u32,
    started: Instant,
    next: Instant,
    usage: Usage,
}

impl Meter {
    /// For the tree below the process `root`.
    pub fn new(root: u32, started: Instant) -> Meter {
        Meter {
            root,
            started,
            next: started + FIRST,
            usage: Usage::default(),
        }
    }

    /// Looks if it is time to; says when to come back. `None` where the system tells nothing of processes.
    pub fn look(&mut self, now: Instant) -> Option<Instant> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        if now >= self.next {
            if let Some(Tree { bytes, highest }) = tree(self.root) {
                self.usage.peak_memory = self.usage.peak_memory.max(Some(bytes.max(highest)));
                if self.usage.samples.len() == KEPT {
                    let mut keep = false;
                    self.usage.samples.retain(|_| {
                        keep = !keep;
                        keep
                    });
                }
                self.usage.samples.push(Sample { at: now, bytes });
            }
            let ran = now.saturating_duration_since(self.started);
            self.next = now + (ran / PART).clamp(FIRST, FARTHEST);
        }
        Some(self.next)
    }

    /// What was seen.
    pub fn into_usage(self) -> Usage {
        self.usage
    }
}

/// The memory of a process tree at one moment, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Tree {
    /// All of it together.
    bytes: u64,
    /// The most that one of its processes ever held.
    highest: u64,
}

#[cfg(not(target_os = "linux"))]
fn tree(_root: u32) -> Option<Tree> {
    None
}

/// What the tree below `root` holds now; nothing if it has ended.
///
/// Children are found by way of their parents. One whose parent has ended belongs to somebody else by then.
#[cfg(target_os = "linux")]
fn tree(root: u32) -> Option<Tree> {
    let mut tree = None;
    let mut left = vec![root];
    while let Some(process) = left.pop() {
        let folder = std::path::PathBuf::from(format!("/proc/{process}"));
        let Ok(status) = std::fs::read_to_string(folder.join("status")) else {
            continue;
        };
        let Some((now, highest)) = held(&status) else {
            continue;
        };
        let sum = tree.get_or_insert(Tree {
            bytes: 0,
            highest: 0,
        });
        sum.bytes += now;
        sum.highest = sum.highest.max(highest);
        let Ok(threads) = std::fs::read_dir(folder.join("task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children =
                std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            left.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
    }
    tree
}

/// Resident memory and its high-water mark in a `status` file of `/proc`, in bytes. One that ended has neither.
#[cfg(target_os = "linux")]
fn held(status: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_task_add_up_and_its_peak_is_the_largest() {
        let second = Duration::from_secs(1);
        let mut usage = Usage {
            cpu: Some(second),
            peak_memory: Some(70),
            samples: Vec::new(),
        };
        usage.then(Usage {
            cpu: None,
            peak_memory: Some(50),
            samples: Vec::new(),
        });
        usage.then(Usage {
            cpu: Some(second * 2),
            ..Usage::default()
        });
        assert_eq!((usage.cpu, usage.peak_memory), (Some(second * 3), Some(70)));
    }

    #[test]
    fn what_larder_itself_holds_is_not_taken_for_the_commands() {
        let own = crate::record::peak_memory();
        if own == 0 {
            return;
        }
        let mut usage = Usage::default();
        usage.end(Duration::ZERO, own);
        assert_eq!(usage.peak_memory, None);
        // Other tests may hold more meanwhile; no process holds all of this.
        usage.end(Duration::ZERO, u64::MAX);
        assert_eq!(usage.peak_memory, Some(u64::MAX));
    }

    #[test]
    fn looks_come_often_first_and_seldom_later() {
        let started = Instant::now();
        let mut meter = Meter::new(std::process::id(), started);
        if meter.look(started).is_none() {
            return;
        }
        let mut now = started;
        let mut looks = 0;
        while now < started + Duration::from_secs(16) {
            now = meter.look(now).unwrap();
            looks += 1;
        }
        assert!((50..200).contains(&looks), "{looks}");
        assert_eq!(meter.look(now).unwrap(), now + FARTHEST);
        let usage = meter.into_usage();
        assert!(usage.samples.len() > 50 && usage.samples[0].at == started + FIRST);
        assert!(usage.peak_memory.unwrap() >= usage.samples[0].bytes);
    }

    #[test]
    fn samples_stay_few() {
        let started = Instant::now();
        let mut meter = Meter::new(std::process::id(), started);
        let mut now = started;
        for _ in 0..2_000 {
            let Some(next) = meter.look(now) else { return };
            now = next;
        }
        let samples = meter.into_usage().samples;
        assert!(samples.len() <= KEPT, "{}", samples.len());
        assert!(samples.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
