//! The words of a night: a comment for a pull request, and one message for a webhook.
//! It judges nothing.

use std::fmt::Write as _;

use crate::bench::{Outcome, compare, table};

use super::Flag;

/// The comment, as Markdown.
pub(crate) fn text(outcomes: &[Outcome], flagged: &[Flag], limit: f64) -> String {
    let mut text = format!("## Performance of {}\n\n", place(outcomes));
    if flagged.is_empty() {
        let _ = writeln!(
            text,
            "Nothing is surely worse by more than {:.1} %.\n",
            limit * 100.0
        );
    } else {
        let _ = writeln!(text, "Surely worse by more than {:.1} %:\n", limit * 100.0);
        text.push_str(&list(flagged));
        text.push('\n');
    }
    text.push_str(
        "What looks worse than on another day is measured again, in turns with the revision of that day: only what that confirms counts.\n\n",
    );
    text.push_str("| fixture | tasks found of an unchanged tree | all measured runs of Larder |\n|---|---|---|\n");
    for outcome in outcomes {
        let results = &outcome.results;
        let noop = results.row("noop", "larder");
        let hits = noop.and_then(|row| row.hit_ratio);
        let hits = hits.map_or("-".to_owned(), |hits| format!("{:.0} %", hits * 100.0));
        let own = results.rows.iter().filter(|row| row.who == "larder");
        let seconds: f64 = own.flat_map(|row| &row.runs).map(|run| run.wall).sum();
        let _ = writeln!(text, "| {} | {hits} | {seconds:.1} s |", results.fixture);
    }
    text.push('\n');
    for outcome in outcomes {
        if outcome.comparisons.is_empty() {
            let _ = writeln!(
                text,
                "`{}` had nothing to be compared with.\n",
                outcome.results.fixture
            );
        }
        for comparison in &outcome.comparisons {
            let _ = writeln!(text, "{}", compare::markdown(comparison, Some(limit)));
        }
        let figures = table::text(&outcome.results);
        let _ = writeln!(
            text,
            "<details><summary>All figures of {}</summary>\n\n```text\n{figures}```\n\n</details>\n",
            outcome.results.fixture
        );
    }
    text
}

/// The message for a webhook: one text, as most of them take it.
pub(crate) fn message(outcomes: &[Outcome], flagged: &[Flag]) -> String {
    let text = format!("Larder got slower: {}\n{}", place(outcomes), list(flagged));
    serde_json::json!({ "text": text }).to_string()
}

fn place(outcomes: &[Outcome]) -> String {
    let Some(first) = outcomes.first() else {
        return "nothing".to_owned();
    };
    let (revision, machine) = (&first.results.revision, &first.results.machine);
    format!(
        "{revision} on {}, {} threads",
        machine.system, machine.processors
    )
}

fn list(flagged: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flagged {
        let one = &flag.difference;
        let _ = writeln!(
            text,
            "- {} {} ({}): {:?} {:+.1} %, at least {:+.1} %",
            flag.fixture,
            one.scenario,
            one.who,
            one.figure,
            (one.ratio.estimate - 1.0) * 100.0,
            (one.ratio.low - 1.0) * 100.0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{flagged, tests::outcome};
    use super::*;

    #[test]
    fn a_comment_names_what_got_worse_and_holds_all_figures() {
        let outcomes = [outcome(1.10, true)];
        let flags = flagged(&outcomes, 0.05);
        let text = text(&outcomes, &flags, 0.05);
        assert!(
            text.starts_with("## Performance of 0123456789ab on linux, 0 threads\n"),
            "{text}"
        );
        assert!(
            text.contains("- small noop (larder): Wall +12.0 %, at least +10.0 %\n"),
            "{text}"
        );
        assert!(
            text.contains("<details><summary>All figures of small</summary>"),
            "{text}"
        );
        let message: serde_json::Value = serde_json::from_str(&message(&outcomes, &flags)).unwrap();
        let told = message["text"].as_str().unwrap();
        assert!(told.contains("Instructions +12.0 %"), "{told}");
    }

    #[test]
    fn a_quiet_night_says_so() {
        let outcomes = [outcome(1.0, true)];
        let text = text(&outcomes, &flagged(&outcomes, 0.05), 0.05);
        assert!(
            text.contains("Nothing is surely worse by more than 5.0 %."),
            "{text}"
        );
    }
}
