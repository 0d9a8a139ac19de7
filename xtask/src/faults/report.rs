//! What is told of a campaign: wrong states as they are found, and a table at the end.
//! Does not know how a fault is made, nor what it does.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::place::Start;

/// Wrong states whose cause is known and not mended yet: part of what is said of them, and the cause. They are
/// counted apart. They go with the mending, as do their ignored tests; no test can keep a file from being examined.
const KNOWN: &[(&str, &str)] = &[];

/// How often what came out, for a row of the table.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) struck: usize,
    /// The run went on to success, or was killed, and all is well.
    sound: usize,
    /// The run said that it failed, and all is well.
    refused: usize,
    /// The place was not come by in this run.
    passed: usize,
    known: usize,
    wrong: usize,
}

/// What became of one fault.
pub(super) enum Verdict {
    Sound,
    Refused,
    Passed,
    Wrong(String),
}

/// Start, fault and place, with what came out.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<(&'static str, &'static str, String), Tally>,
    /// How many were wrong without being known.
    pub(super) wrongs: usize,
}

impl Table {
    /// Counts what became of a fault, and tells of it if it is wrong and not known; whether it is.
    pub(super) fn count(&mut self, start: &dyn Start, fault: &Fault, verdict: &Verdict) -> bool {
        let row = (fault.start, fault.how, fault.row.clone());
        let tally = self.rows.entry(row).or_default();
        tally.struck += 1;
        match verdict {
            Verdict::Sound => tally.sound += 1,
            Verdict::Refused => tally.refused += 1,
            Verdict::Passed => tally.passed += 1,
            Verdict::Wrong(what) if known(what) => tally.known += 1,
            Verdict::Wrong(what) => {
                tally.wrong += 1;
                self.wrongs += 1;
                tell(start, fault, what);
                return true;
            }
        }
        false
    }

    /// How many faults there were.
    pub(super) fn struck(&self) -> usize {
        self.rows.values().map(|tally| tally.struck).sum()
    }

    pub(super) fn print(&self) {
        println!("| start | fault | at | places | sound | refused | passed by | known | wrong |");
        println!("|---|---|---|---|---|---|---|---|---|");
        for ((start, how, row), tally) in &self.rows {
            println!(
                "| {start} | {how} | {row} | {} | {} | {} | {} | {} | {} |",
                tally.struck, tally.sound, tally.refused, tally.passed, tally.known, tally.wrong
            );
        }
        if self.rows.values().any(|tally| tally.known > 0) {
            for (_, cause) in KNOWN {
                println!("known: {cause}");
            }
        }
    }
}

fn known(what: &str) -> bool {
    KNOWN.iter().any(|(part, _)| what.starts_with(part))
}

fn tell(start: &dyn Start, fault: &Fault, what: &str) {
    println!("WRONG: {}", fault.describe());
    if !fault.call.is_empty() {
        println!("  killed before: {}", fault.call);
    }
    println!("  {}", what.trim_end().replace('\n', "\n  "));
    println!("  again: cargo xtask faults --only '{}'", fault.describe());
    let larder = format!("larder {}", start.args().join(" "));
    match fault.injection() {
        Some(injection) => println!(
            "  strace {}-e {injection} {larder}",
            if fault.alone { "" } else { "-f -b execve " }
        ),
        None => println!("  {larder}, with that folder on a disk of this size"),
    }
}
