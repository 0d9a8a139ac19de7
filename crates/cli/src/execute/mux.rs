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
mod tests {
    use super::*;

    /// Runs `work` and answers what reached the two sinks.
    fn shown(work: impl FnOnce(&mut Sinks<'_>)) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        work(&mut Sinks {
            stdout: &mut out,
            stderr: &mut err,
        });
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[test]
    fn lines_are_never_split_whatever_the_interleaving() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        };
        for round in 0..200 {
            let mut mux = Mux::new(Order::Stream, false);
            let mut left: Vec<(Lane, String, String)> = Vec::new();
            for task in 0..4 {
                let text: String = (0..random(8))
                    .map(|line| "é".repeat(random(9)) + &format!("{line}\n"))
                    .collect();
                let text = if round % 2 == 0 { text } else { text + "end" };
                left.push((
                    mux.open(&format!("t{task}"), OutputLogs::Full),
                    text.clone(),
                    text,
                ));
            }
            let wanted: Vec<String> = left.iter().map(|(_, text, _)| text.clone()).collect();
            let (out, _) = shown(|sinks| {
                while !left.is_empty() {
                    let at = random(left.len());
                    let (lane, rest, text) = &mut left[at];
                    if rest.is_empty() {
                        let log = mux.close(*lane, Outcome::Ran, "k", sinks);
                        assert_eq!(log.bytes(), text.as_bytes());
                        left.swap_remove(at);
                        continue;
                    }
                    let cut = 1 + random(rest.len());
                    let tail = rest.as_bytes()[cut..].to_vec();
                    mux.feed(*lane, Stream::Stdout, &rest.as_bytes()[..cut], sinks);
                    // Cut anywhere, even inside a character: the model keeps text whole by waiting.
                    match String::from_utf8(tail) {
                        Ok(tail) => *rest = tail,
                        Err(error) => {
                            mux.feed(*lane, Stream::Stdout, &error.as_bytes()[..1], sinks);
                            *rest = String::from_utf8(error.as_bytes()[1..].to_vec()).unwrap();
                        }
                    }
                }
            });
            for (task, text) in wanted.iter().enumerate() {
                let prefix = format!("t{task}: ");
                let got: Vec<&str> = out
                    .lines()
                    .filter_map(|line| line.strip_prefix(&prefix))
                    .collect();
                assert_eq!(got, text.lines().collect::<Vec<_>>());
            }
            assert_eq!(
                out.lines().count(),
                wanted
                    .iter()
                    .map(|text| text.lines().count())
                    .sum::<usize>()
            );
        }
    }

    #[test]
    fn output_logs_decide_what_is_shown() {
        use OutputLogs::{ErrorsOnly, Full, HashOnly, NewOnly, None};
        for order in [Order::Stream, Order::Grouped] {
            let text = if order == Order::Stream {
                "a#b: x\n"
            } else {
                "x\n"
            };
            for (logs, ran, hit, failed) in [
                (Full, text, text, text),
                (NewOnly, text, "a#b: hit k\n", text),
                (ErrorsOnly, "", "", text),
                (HashOnly, "a#b: ran k\n", "a#b: hit k\n", "a#b: failed k\n"),
                (None, "", "", ""),
            ] {
                for (outcome, wanted) in [
                    (Outcome::Ran, ran),
                    (Outcome::Hit, hit),
                    (Outcome::Failed, failed),
                ] {
                    let (out, err) = shown(|sinks| {
                        let mut mux = Mux::new(order, false);
                        let mut log = Log::new();
                        log.push(Stream::Stdout, b"x");
                        if outcome == Outcome::Hit {
                            mux.replay("a#b", logs, "k", &log, sinks);
                        } else {
                            let lane = mux.open("a#b", logs);
                            mux.feed(lane, Stream::Stdout, b"x", sinks);
                            assert_eq!(mux.close(lane, outcome, "k", sinks), log);
                        }
                    });
                    let body: String = out
                        .split_inclusive('\n')
                        .filter(|line| !line.starts_with("──"))
                        .collect();
                    assert_eq!(
                        (body.as_str(), err.as_str()),
                        (wanted, ""),
                        "{order:?} {logs:?} {outcome:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn colours_stay_and_end_with_their_line() {
        let red = b"\x1b[31mred\nplain\n";
        for (colour, wanted) in [
            (false, "t: \x1b[31mred\nt: plain\n".to_owned()),
            (
                true,
                "P\x1b[31mred\x1b[0m\nPplain\n".replace('P', "\x1b[35mt:\x1b[0m "),
            ),
        ] {
            let (out, err) = shown(|sinks| {
                let mut mux = Mux::new(Order::Stream, colour);
                let lane = mux.open("t", OutputLogs::Full);
                mux.feed(lane, Stream::Stderr, red, sinks);
            });
            assert_eq!(out, "");
            let code = err.find("t:").map_or("", |at| &err[..at]);
            let wanted = wanted.replace("\x1b[35m", code);
            assert_eq!(err, wanted);
        }
    }

    #[test]
    fn a_long_line_is_bounded_and_loses_nothing() {
        let text = "é".repeat(LONGEST_LINE);
        let (out, _) = shown(|sinks| {
            let mut mux = Mux::new(Order::Stream, false);
            let lane = mux.open("t", OutputLogs::Full);
            mux.feed(lane, Stream::Stdout, b"x", sinks);
            mux.feed(lane, Stream::Stdout, text.as_bytes(), sinks);
            mux.close(lane, Outcome::Ran, "", sinks);
        });
        assert!(out.lines().all(|line| line.len() <= LONGEST_LINE + 3));
        let joined: String = out.lines().map(|line| &line[3..]).collect();
        assert_eq!(joined, format!("x{text}"));
    }

    #[test]
    fn a_broken_sink_is_remembered_and_logs_go_on() {
        let mut mux = Mux::new(Order::Stream, false);
        let mut out: &mut [u8] = &mut [0; 2];
        let mut sinks = Sinks {
            stdout: &mut out,
            stderr: &mut io::sink(),
        };
        let lane = mux.open("t", OutputLogs::Full);
        mux.feed(lane, Stream::Stdout, b"one\n", &mut sinks);
        mux.feed(lane, Stream::Stdout, b"two\n", &mut sinks);
        assert!(mux.error().is_some());
        assert_eq!(
            mux.close(lane, Outcome::Ran, "", &mut sinks).bytes(),
            b"one\ntwo\n"
        );
    }

    #[test]
    fn a_long_line_is_broken_whole_and_in_one_pass() {
        let mut mux = Mux::new(Order::Stream, false);
        let mut log = Log::new();
        // Taking the rest apart at each break would be minutes of copying.
        let line = "é".repeat(24 << 20);
        log.push(Stream::Stdout, line.as_bytes());
        let (out, _) = shown(|sinks| mux.replay("t", OutputLogs::Full, "k", &log, sinks));
        let pieces = out.lines().map(|line| line.strip_prefix("t: ").unwrap());
        assert_eq!(pieces.collect::<String>().len(), line.len());
    }

    #[test]
    fn a_log_that_was_cut_says_so_at_its_end() {
        for order in [Order::Stream, Order::Grouped] {
            let mut log = Log::with_limit(2);
            log.push(Stream::Stdout, b"abcde");
            let (out, err) = shown(|sinks| {
                Mux::new(order, false).replay("t", OutputLogs::Full, "k", &log, sinks);
            });
            assert!(out.ends_with("ab\n"), "{out}");
            assert!(err.starts_with("t: 3 bytes more are not shown"), "{err}");
        }
    }
}
