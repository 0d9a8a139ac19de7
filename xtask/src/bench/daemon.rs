//! What a background session costs while nobody asks it: memory and processor time, as the system tells them.
//! It starts no session, and knows of Larder only where the file lies that names one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::measure::{own_ticks, ticks_a_second};

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Daemon {
    /// The most memory that it ever held, in bytes.
    pub(crate) peak: u64,
    /// Processor time that it took while it was watched, in seconds, by hundredths.
    pub(crate) idle_cpu: f64,
    /// How long it was watched, in seconds.
    pub(crate) watched: f64,
}

/// The process of the session in the workspace at `root`.
pub(crate) fn process(root: &Path) -> Result<u32, String> {
    let path = root.join(".larder/session.json");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(&path).map_err(|error| told(&error))?;
    let name: serde_json::Value = serde_json::from_slice(&text).map_err(|error| told(&error))?;
    let pid = name["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    pid.ok_or_else(|| told(&"names no process"))
}

/// Watches a process for a while; `None` where the system does not tell of processes.
pub(crate) fn watch(pid: u32, time: Duration) -> Option<Daemon> {
    let place = format!("/proc/{pid}");
    let ticks = || {
        Some(own_ticks(
            &fs::read_to_string(format!("{place}/stat")).ok()?,
        ))
    };
    let (begin, before) = (Instant::now(), ticks()?);
    std::thread::sleep(time);
    let after = ticks()?;
    Some(Daemon {
        peak: peak(&fs::read_to_string(format!("{place}/status")).ok()?)?,
        idle_cpu: (after - before) / ticks_a_second(),
        watched: begin.elapsed().as_secs_f64(),
    })
}

/// The most memory that a process ever held, in bytes, from its account in `/proc`.
fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_account_of_a_process() {
        let status = "Name:\ta\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(peak(status), Some(2 << 20));
        assert_eq!(peak("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn a_session_is_found_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(process(folder.path()).is_err());
        fs::create_dir(folder.path().join(".larder")).unwrap();
        fs::write(folder.path().join(".larder/session.json"), "{\"pid\": 42}").unwrap();
        assert_eq!(process(folder.path()), Ok(42));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_sleeps_takes_no_processor_time() {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let daemon = watch(child.id(), Duration::ZERO).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(daemon.peak > 0);
        assert!(daemon.idle_cpu.abs() < f64::EPSILON);
    }
}
