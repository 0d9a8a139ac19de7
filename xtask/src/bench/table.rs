//! Results as text of at most 80 columns.
//! It measures and judges nothing.

use std::fmt::Write as _;

use super::results::{Results, Row};
use super::targets::{Verdict, mebibytes, verdicts};

/// The whole account: where, each scenario, the targets.
pub(crate) fn text(results: &Results) -> String {
    let mut text = head(results);
    let mut scenarios: Vec<&str> = Vec::new();
    for row in &results.rows {
        if !scenarios.contains(&row.scenario.as_str()) {
            scenarios.push(&row.scenario);
        }
    }
    for scenario in scenarios {
        let rows: Vec<&Row> = results
            .rows
            .iter()
            .filter(|row| row.scenario == scenario)
            .collect();
        text.push('\n');
        text.push_str(&table(scenario, &rows));
    }
    text.push_str(&instructions(&results.rows));
    text.push('\n');
    text.push_str(&targets(&verdicts(results)));
    text
}

fn head(results: &Results) -> String {
    let versions: Vec<String> = results
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let mut text = format!(
        "{}: {} tasks, {} files, seed {}, {} runs each, {}\n",
        results.fixture,
        results.tasks,
        results.files,
        results.seed,
        results.iterations,
        results.started.get(..10).unwrap_or("")
    );
    let machine = &results.machine;
    let mut place = format!(
        "{}, {} threads, trees on {}",
        machine.system, machine.processors, machine.file_system
    );
    if !machine.load.is_empty() {
        let _ = write!(place, ", load {} before", machine.load);
    }
    text.push_str(&wrapped(&place, ""));
    text.push_str(&wrapped(&versions.join(", "), ""));
    let _ = writeln!(
        text,
        "after the edit {} tasks run, after edits of 5 % of the sources {}",
        results.edit_runs, results.edit5_runs
    );
    text
}

fn table(scenario: &str, rows: &[&Row]) -> String {
    let mut text = format!(
        "{scenario:<16}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n",
        "wall min", "median", "cpu min", "peak MiB", "calls", "writes", "allocs"
    );
    for row in rows {
        let _ = write!(text, "{:<16}", row.who);
        if row.runs.is_empty() {
            let _ = writeln!(text, "{:>9}", "-");
            continue;
        }
        let _ = writeln!(
            text,
            "{:>9}{:>9}{:>9}{:>9.1}{:>9}{:>9}{:>9}",
            seconds(row.least(|run| run.wall)),
            seconds(row.median(|run| run.wall)),
            seconds(row.least(|run| run.cpu)),
            mebibytes(row),
            row.calls.map_or("-".to_owned(), |calls| short(calls.all)),
            row.calls
                .map_or("-".to_owned(), |calls| short(calls.writes)),
            row.allocations
                .map_or("-".to_owned(), |counts| short(counts.calls)),
        );
    }
    for row in rows {
        for note in &row.notes {
            text.push_str(&wrapped(&format!("{}: {note}", row.who), "  "));
        }
    }
    text
}

/// The counts of instructions, if there are any: the least, and by how much others were above it.
fn instructions(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let counts = row.instructions.iter();
        let (Some(least), Some(most)) = (counts.clone().min(), counts.max()) else {
            continue;
        };
        if text.is_empty() {
            let _ = writeln!(
                text,
                "\n{:<32}{:>16}{:>9}",
                "instructions", "least", "spread"
            );
        }
        let spread = most - least;
        let _ = writeln!(
            text,
            "{:<16}{:<16}{least:>16}{spread:>9}",
            row.scenario, row.who
        );
    }
    text
}

fn targets(verdicts: &[Verdict]) -> String {
    let mut text = format!("{:<40}{:>9}{:>9}  \n", "target", "at most", "found");
    text = text.trim_end().to_owned() + "\n";
    for verdict in verdicts {
        let found = verdict
            .found
            .map_or("-".to_owned(), |found| format!("{found:.2}"));
        let _ = writeln!(
            text,
            "{:<40}{:>9}{found:>9}  {}",
            verdict.what,
            verdict.bound,
            verdict.word()
        );
    }
    text
}

/// Seconds with three figures that count.
fn seconds(seconds: f64) -> String {
    if seconds < 0.009_995 {
        format!("{seconds:.5}")
    } else if seconds < 9.9995 {
        format!("{seconds:.3}")
    } else {
        format!("{seconds:.1}")
    }
}

/// A count in at most five letters.
// What is divided here is rounded anyway.
#[allow(clippy::cast_precision_loss)]
fn short(count: u64) -> String {
    match count {
        0..=99_999 => count.to_string(),
        100_000..=9_999_999 => format!("{:.0}k", count as f64 / 1e3),
        _ => format!("{:.0}M", count as f64 / 1e6),
    }
}

/// Words in lines of at most 80 columns.
fn wrapped(words: &str, indent: &str) -> String {
    let mut text = String::new();
    let mut line = indent.to_owned();
    for word in words.split(' ') {
        if line.len() > indent.len() && line.len() + 1 + word.len() > 80 {
            text.push_str(&line);
            text.push('\n');
            indent.clone_into(&mut line);
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.len() > indent.len() {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::counting::{Allocations, Calls};
    use super::super::measure::Cost;
    use super::*;

    #[test]
    fn a_table_is_readable_at_eighty_columns() {
        let run = Cost {
            wall: 123.456,
            cpu: 1234.5,
            peak: 12345 << 20,
            ..Cost::default()
        };
        let full = Row {
            who: "larder".to_owned(),
            runs: vec![run],
            calls: Some(Calls {
                all: 123_456_789,
                writes: 99_999,
            }),
            allocations: Some(Allocations {
                calls: 9_999_999,
                bytes: 0,
            }),
            notes: vec!["a word that is said of it ".repeat(8).trim_end().to_owned()],
            ..Row::default()
        };
        let none = Row {
            who: "turborepo".to_owned(),
            notes: vec!["over 60 s".to_owned()],
            ..Row::default()
        };
        let text = table("noop", &[&full, &none]);
        let longest = text.lines().map(str::len).max();
        assert!(longest <= Some(80), "{text}");
        let expected = "\
noop             wall min   median  cpu min peak MiB    calls   writes   allocs
larder              123.5    123.5   1234.5  12345.0     123M    99999   10000k
turborepo               -
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("  turborepo: over 60 s\n"), "{text}");
    }

    #[test]
    fn instructions_are_told_where_they_were_counted() {
        let row = Row {
            scenario: "noop".to_owned(),
            who: "larder".to_owned(),
            instructions: vec![7_626_017, 7_626_009],
            ..Row::default()
        };
        let expected = "
instructions                               least   spread
noop            larder                   7626009        8
";
        assert_eq!(instructions(&[Row::default(), row]), expected);
        assert_eq!(instructions(&[Row::default()]), "");
    }

    #[test]
    fn a_target_says_what_was_found_and_whether_it_is_reached() {
        let text = targets(&[
            Verdict {
                what: "noop / ninja",
                bound: 1.0,
                found: Some(0.634),
            },
            Verdict {
                what: "noop / turborepo",
                bound: 0.05,
                found: None,
            },
        ]);
        let expected = "\
target                                    at most    found
noop / ninja                                    1     0.63  reached
noop / turborepo                             0.05        -  not measured
";
        assert_eq!(text, expected);
    }
}
