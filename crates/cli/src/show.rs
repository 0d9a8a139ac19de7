//! What the user sees while tasks run: their output by whole lines, and a line where one matters.
//! Does not know why anything ran or what is stored.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::config;
use crate::execute::Stream;
use crate::execute::log::Log;
use crate::execute::mux::{Lane, Mux, Order, Outcome, OutputLogs, Sinks};
use crate::record::Status;
use crate::session::life::Done;

/// The terminal, shared by all workers.
pub struct Show {
    mux: Mutex<Mux>,
    /// Task output goes to standard error, because standard output is for JSON.
    to_stderr: bool,
    verbose: bool,
    bar: Option<indicatif::ProgressBar>,
    /// Tasks whose commands are at work, for the progress line.
    at_work: Mutex<Vec<String>>,
}

/// The configuration's words as the mux has them.
pub fn output_logs(logs: config::OutputLogs) -> OutputLogs {
    match logs {
        config::OutputLogs::Full => OutputLogs::Full,
        config::OutputLogs::NewOnly => OutputLogs::NewOnly,
        config::OutputLogs::ErrorsOnly => OutputLogs::ErrorsOnly,
        config::OutputLogs::HashOnly => OutputLogs::HashOnly,
        config::OutputLogs::None => OutputLogs::None,
    }
}

impl Show {
    /// A terminal for a run of `tasks` tasks; `bar` asks for progress on standard error.
    pub fn new(
        order: Order,
        colour: bool,
        to_stderr: bool,
        verbose: bool,
        bar: Option<u64>,
    ) -> Show {
        let bar = bar.map(|tasks| {
            // What is too wide for the terminal is cut off: a wrapped line could not be taken away again.
            let style = indicatif::ProgressStyle::with_template(
                "{spinner} {pos}/{len} tasks, {elapsed} {wide_msg}",
            );
            let bar = indicatif::ProgressBar::new(tasks)
                .with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
            bar
        });
        Show {
            mux: Mutex::new(Mux::new(order, colour)),
            to_stderr,
            verbose,
            bar,
            at_work: Mutex::default(),
        }
    }

    /// Does something with the streams while the progress line is out of the way.
    fn with<T>(&self, act: impl FnOnce(&mut Mux, &mut Sinks<'_>) -> T) -> T {
        let mut mux = self.mux.lock().unwrap_or_else(PoisonError::into_inner);
        let act = || {
            let mut stdout: Box<dyn Write> = if self.to_stderr {
                Box::new(std::io::stderr())
            } else {
                Box::new(std::io::stdout().lock())
            };
            let result = act(
                &mut mux,
                &mut Sinks {
                    stdout: &mut stdout,
                    stderr: &mut std::io::stderr(),
                },
            );
            // A closed pipe is the reader's wish; the run goes on.
            let _ = stdout.flush();
            result
        };
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    /// Why output of tasks was lost, unless its reader closed the pipe.
    pub fn lost(&self) -> Option<std::io::Error> {
        let mux = self.mux.lock().unwrap_or_else(PoisonError::into_inner);
        let error = mux.error()?;
        let wished = error.kind() == std::io::ErrorKind::BrokenPipe;
        (!wished).then(|| std::io::Error::new(error.kind(), error.to_string()))
    }

    /// Begins a task's output.
    pub fn open(&self, id: &str, logs: OutputLogs) -> Lane {
        self.name_at_work(|at_work| at_work.push(id.to_owned()));
        self.mux
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open(id, logs)
    }

    /// Shows a piece of a task's output.
    pub fn feed(&self, lane: Lane, stream: Stream, bytes: &[u8]) {
        self.with(|mux, sinks| mux.feed(lane, stream, bytes, sinks));
    }

    /// Ends a task's output and gives it whole.
    pub fn close(&self, lane: Lane, outcome: Outcome, key: &str) -> Log {
        self.with(|mux, sinks| mux.close(lane, outcome, key, sinks))
    }

    /// A chunk is no longer at work.
    pub fn left(&self, id: &str) {
        self.name_at_work(|at_work| at_work.retain(|known| known != id));
    }

    /// Shows the log of a hit again.
    pub fn again(&self, id: &str, logs: OutputLogs, key: &str, log: &Log) {
        self.with(|mux, sinks| mux.replay(id, logs, key, log, sinks));
    }

    /// Changes the tasks that the progress line names.
    fn name_at_work(&self, change: impl FnOnce(&mut Vec<String>)) {
        let Some(bar) = &self.bar else { return };
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut at_work);
        bar.set_message(at_work.join(", "));
    }

    /// Prints a line of larder's own.
    pub fn tell(&self, line: &str) {
        self.with(|_, sinks| {
            let _ = writeln!(sinks.stderr, "{line}");
        });
    }

    /// A task ended: replays its log on a hit, says why where asked, and what the user should know.
    pub fn ended(&self, done: &Done, logs: OutputLogs) {
        let record = &done.record;
        self.name_at_work(|at_work| at_work.retain(|task| *task != record.task));
        if matches!(record.status, Status::UpToDate | Status::Restored) {
            let log = done.replay.as_deref().and_then(Log::decode);
            if log.as_ref().is_some_and(|log| !log.is_empty()) || logs == OutputLogs::HashOnly {
                self.with(|mux, sinks| {
                    mux.replay(
                        &record.task,
                        logs,
                        record.key.as_deref().unwrap_or_default(),
                        &log.unwrap_or_default(),
                        sinks,
                    );
                });
            }
        }
        if self.verbose {
            let word = status_word(record.status);
            for why in &record.why {
                self.tell(&format!("{}: {word}: {why}", record.task));
            }
        }
        if let Some(error) = record
            .error
            .as_ref()
            .filter(|_| record.status == Status::Failed)
        {
            self.tell(&format!("{}: failed: {error}", record.task));
        }
        for warning in &record.warnings {
            self.tell(&format!("{}: warning: {warning}", record.task));
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Takes the progress line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How a task ended, for people.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::UpToDate => "up to date",
        Status::Restored => "restored",
        Status::Ran => "ran",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::Group => "group",
    }
}
