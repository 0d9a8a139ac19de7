//! The log of a background session: lines with a time, in a file that does not grow for ever.
//! Does not know what is logged.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The file is emptied when it would grow beyond so many bytes.
const LONGEST: u64 = 256 * 1024;

/// Where lines go; nowhere, when the file cannot be written.
#[derive(Debug)]
pub(super) struct Log(Option<File>);

impl Log {
    pub(super) fn open(path: &Path) -> Log {
        Log(File::options().create(true).append(true).open(path).ok())
    }

    pub(super) fn line(&mut self, text: &str) {
        let Some(file) = &mut self.0 else { return };
        let now = chrono::Local::now().format("%Y-%m-%d %H:%M:%S");
        let line = format!("{now} [{}] {text}\n", std::process::id());
        let length = file.metadata().map_or(0, |stat| stat.len());
        // A log that cannot be written is no reason to stop.
        if length + line.len() as u64 > LONGEST {
            let _ = file.set_len(0);
        }
        let _ = file.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path);
        for _ in 0..400 {
            log.line(&"x".repeat(1000));
        }
        log.line("the last");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() as u64 <= LONGEST && text.trim_end().ends_with("the last"));
    }
}
