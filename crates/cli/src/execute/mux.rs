//! Brings the output of many tasks to one terminal without ever splitting a line.
//! Knows nothing of processes and opens no stream: it writes where it is told to.

use super::{Log, Stream};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Bytes of a line that are held back while its end has not come; a longer line is broken here.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Foreground colours of prefixes; red is left to errors.
const COLOURS: [u8; 6] = [36, 35, 34, 33, 32, 96];
const RESET: &[u8] = b"\x1b[0m";

/// How tasks that run side by side share the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each complete line as it comes, behind `project#task: `.
    Stream,
    /// A task's output as a whole when it ends, under a header.
    Grouped,
}

/// What of a task's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputLogs {
    /// Everything; a hit replays its log.
    #[default]
    Full,
    /// Everything of tasks that run; of a hit its key alone.
    NewOnly,
    /// The output of failed tasks alone.
    ErrorsOnly,
    /// The key alone.
    HashOnly,
    /// Nothing.
    None,
}

/// How a task's output came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and succeeded.
    Ran,
    /// It was restored or up to date; its log is replayed.
    Hit,
    /// It ran and failed.
    Failed,
}

/// Where lines go.
pub struct Sinks<'a> {
    /// Gets what tasks wrote to standard output, headers and keys.
    pub stdout: &'a mut dyn Write,
    /// Gets what tasks wrote to standard error.
    pub stderr: &'a mut dyn Write,
}

/// A task that is being shown. Not used again after it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u64);

struct Open {
    label: String,
    logs: OutputLogs,
    log: Log,
    /// The unfinished last line of each stream; used by live lanes only.
    partial: [Vec<u8>; 2],
}

/// The output of all running tasks. Callers on several threads share it behind a lock.
pub struct Mux {
    order: Order,
    colour: bool,
    open: BTreeMap<Lane, Open>,
    next: u64,
    error: Option<io::Error>,
}

impl Mux {
    /// A mux without tasks. `colour` colours prefixes and ends the colours of every line.
    pub fn new(order: Order, colour: bool) -> Self {
        Self {
            order,
            colour,
            open: BTreeMap::new(),
            next: 0,
            error: None,
        }
    }

    /// Begins to show a task, `label` being its `project#task`.
    pub fn open(&mut self, label: &str, logs: OutputLogs) -> Lane {
        let lane = Lane(self.next);
        self.next += 1;
        let partial = [Vec::new(), Vec::new()];
        self.open.insert(
            lane,
            Open {
                label: label.to_owned(),
                logs,
                log: Log::new(),
                partial,
            },
        );
        lane
    }

    /// Takes output of a task that runs: keeps it for its log, and shows its complete lines when
    /// the order and the task's output logs ask for them now.
    pub fn feed(&mut self, lane: Lane, stream: Stream, bytes: &[u8], sinks: &mut Sinks<'_>) {
        let (order, colour) = (self.order, self.colour);
        let Some(open) = self.open.get_mut(&lane) else {
            return;
        };
        open.log.push(stream, bytes);
        if order == Order::Stream && matches!(open.logs, OutputLogs::Full | OutputLogs::NewOnly) {
            let lines = open.lines(stream, bytes, colour);
            self.write(stream, &lines, sinks);
        }
    }

    /// Ends a task that ran: shows what is due and hands over its log, to be stored.
    /// `key` is what `hash-only` shows.
    pub fn close(&mut self, lane: Lane, outcome: Outcome, key: &str, sinks: &mut Sinks<'_>) -> Log {
        let Some(mut open) = self.open.remove(&lane) else {
            return Log::new();
        };
        let live = self.order == Order::Stream
            && matches!(open.logs, OutputLogs::Full | OutputLogs::NewOnly);
        if live {
            for stream in [Stream::Stdout, Stream::Stderr] {
                let rest = open.last_line(stream, self.colour);
                self.write(stream, &rest, sinks);
            }
        } else {
            let log = std::mem::take(&mut open.log);
            self.show(&open.label, open.logs, outcome, key, &log, sinks);
            open.log = log;
        }
        open.log
    }

    /// Shows a task that did not run now, with the log that was stored for it.
    pub fn replay(
        &mut self,
        label: &str,
        logs: OutputLogs,
        key: &str,
        log: &Log,
        sinks: &mut Sinks<'_>,
    ) {
        self.show(label, logs, Outcome::Hit, key, log, sinks);
    }

    /// The first error of a sink; nothing is written after it. Tasks go on and keep their logs.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Shows a whole log, as far as it is to be shown.
    fn show(
        &mut self,
        label: &str,
        logs: OutputLogs,
        outcome: Outcome,
        key: &str,
        log: &Log,
        sinks: &mut Sinks<'_>,
    ) {
        let whole = match logs {
            OutputLogs::Full => true,
            OutputLogs::NewOnly => outcome != Outcome::Hit,
            OutputLogs::ErrorsOnly => outcome == Outcome::Failed,
            OutputLogs::HashOnly | OutputLogs::None => false,
        };
        let word = match outcome {
            Outcome::Ran => "ran",
            Outcome::Hit => "hit",
            Outcome::Failed => "failed",
        };
        if whole && self.order == Order::Grouped && !log.is_empty() {
            let header = format!("── {label} ({word}) ──\n");
            self.write(Stream::Stdout, header.as_bytes(), sinks);
            // One after the other, so that the two sinks never share a line.
            let mut ended = true;
            let mut last = Stream::Stdout;
            for (stream, bytes) in log.frames() {
                if !ended && stream != last {
                    self.write(last, b"\n", sinks);
                }
                self.write(stream, bytes, sinks);
                (last, ended) = (stream, bytes.ends_with(b"\n"));
            }
            if !ended {
                self.write(last, b"\n", sinks);
            }
            self.cut(label, log, sinks);
        } else if whole {
            let partial = [Vec::new(), Vec::new()];
            let mut open = Open {
                label: label.to_owned(),
                logs,
                log: Log::new(),
                partial,
            };
            for (stream, bytes) in log.frames() {
                let lines = open.lines(stream, bytes, self.colour);
                self.write(stream, &lines, sinks);
            }
            for stream in [Stream::Stdout, Stream::Stderr] {
                let rest = open.last_line(stream, self.colour);
                self.write(stream, &rest, sinks);
            }
            self.cut(label, log, sinks);
        } else if logs == OutputLogs::HashOnly
            || logs == OutputLogs::NewOnly && outcome == Outcome::Hit
        {
            let line = format!("{label}: {word} {key}\n");
            self.write(Stream::Stdout, line.as_bytes(), sinks);
        }
    }

    /// Says what is missing at the end of a log.
    fn cut(&mut self, label: &str, log: &Log, sinks: &mut Sinks<'_>) {
        if log.dropped() > 0 {
            let line = format!(
                "{label}: {} bytes more are not shown: a log keeps its first {} MiB\n",
                log.dropped(),
                super::log::LIMIT >> 20
            );
            self.write(Stream::Stderr, line.as_bytes(), sinks);
        }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8], sinks: &mut Sinks<'_>) {
        if self.error.is_some() || bytes.is_empty() {
            return;
        }
        let sink: &mut dyn Write = match stream {
            Stream::Stdout => sinks.stdout,
            Stream::Stderr => sinks.stderr,
        };
        // Flushed at once: the two sinks may be one terminal.
        self.error = sink.write_all(bytes).and_then(|()| sink.flush()).err();
    }
}

impl Open {
    /// The complete lines that `bytes` brings, each behind the prefix; the rest is held back.
    fn lines(&mut self, stream: Stream, bytes: &[u8], colour: bool) -> Vec<u8> {
        let mut held = std::mem::take(&mut self.partial[stream as usize]);
        let mut text = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            held.extend_from_slice(piece);
            if let Some(line) = held.strip_suffix(b"\n") {
                self.line(line, colour, &mut text);
                held.clear();
            }
            let mut shown = 0;
            while held.len() - shown > LONGEST_LINE {
                let rest = &held[shown..];
                let end = break_at(rest);
                self.line(&rest[..end], colour, &mut text);
                shown += end;
            }
            held.drain(..shown);
        }
        self.partial[stream as usize] = held;
        text
    }

    /// The unfinished last line, finished.
    fn last_line(&mut self, stream: Stream, colour: bool) -> Vec<u8> {
        let held = std::mem::take(&mut self.partial[stream as usize]);
        let mut text = Vec::new();
        if !held.is_empty() {
            self.line(&held, colour, &mut text);
        }
        text
    }

    fn line(&self, line: &[u8], colour: bool, text: &mut Vec<u8>) {
        if colour {
            // The same label has the same colour in every run.
            let sum = self.label.bytes().fold(5381_usize, |sum, byte| {
                sum.wrapping_mul(33) ^ usize::from(byte)
            });
            let code = COLOURS[sum % COLOURS.len()];
            text.extend_from_slice(format!("\x1b[{code}m{}:\x1b[0m ", self.label).as_bytes());
        } else {
            text.extend_from_slice(format!("{}: ", self.label).as_bytes());
        }
        text.extend_from_slice(line);
        if colour && line.contains(&0x1b) {
            // A colour left on must not run into the next task's line.
            text.extend_from_slice(RESET);
        }
        text.push(b'\n');
    }
}

/// Where to break a line that is too long: not inside a character.
fn break_at(line: &[u8]) -> usize {
    let inside = |at: &usize| line.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (LONGEST_LINE - 3..=LONGEST_LINE)
        .rev()
        .find(|at| !inside(at))
        .unwrap_or(LONGEST_LINE)
}

#[cfg(test)]
mod tests;
