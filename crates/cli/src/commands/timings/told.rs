//! Comparisons as text for a terminal and as Markdown for a pull request.
//! Does not know how they were made.

use std::fmt::Write as _;
use std::time::Duration;

use larder_timing::{Level, Rule, Verdict, format_duration};

use super::compare::{Change, Compared, Side};

/// So many lines of what did not change are shown, unless all are asked for.
const SHOWN: usize = 10;

/// A duration that is a count of nanoseconds.
pub(super) fn time(ns: u64) -> String {
    format_duration(Duration::from_nanos(ns))
}

/// A share as a signed percentage.
pub(super) fn signed(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 0.05 {
        return "0.0%".to_owned();
    }
    format!("{percent:+.1}%")
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn word(change: &Change) -> &'static str {
    match change.comparison.verdict {
        Verdict::Slower if change.regressed => "SLOWER",
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Same => "same",
        Verdict::TooFew => "too few runs",
    }
}

/// What a comparison comes to, for a terminal.
pub(super) fn text(compared: &Compared, all: bool) -> String {
    let mut text = String::new();
    let Compared { before, after, .. } = compared;
    let _ = writeln!(
        text,
        "{} ({}) against {} ({})",
        after.name,
        runs(after),
        before.name,
        runs(before)
    );
    for (what, earlier, later) in totals(before, after) {
        let _ = writeln!(text, "  {what:<22} {earlier:>12} -> {later}");
    }
    table(&mut text, "task", &compared.tasks, all);
    table(&mut text, "phase", &compared.phases, all);
    text.push('\n');
    for flaky in &compared.flaky {
        let _ = writeln!(
            text,
            "flaky: {} failed {} of {} times with equal inputs",
            flaky.task, flaky.failures, flaky.executions
        );
    }
    if let Some(few) = too_few(compared) {
        let _ = writeln!(text, "{few}");
    }
    for side in [before, after]
        .into_iter()
        .filter(|side| side.elsewhere > 0)
    {
        let _ = writeln!(text, "{}", elsewhere(side, &compared.host));
    }
    let regressed = compared.regressed().count();
    let limit = percent(compared.fail_above);
    let _ = match regressed {
        0 if !compared.is_judged() => writeln!(text, "nothing could be judged"),
        0 => writeln!(
            text,
            "nothing became slower by more than {limit} beyond its noise"
        ),
        1 => writeln!(
            text,
            "1 became slower by more than {limit} beyond its noise"
        ),
        many => writeln!(
            text,
            "{many} became slower by more than {limit} beyond their noise"
        ),
    };
    text
}

fn runs(side: &Side) -> String {
    super::super::cache::count(side.runs, "run", "runs")
}

fn totals(before: &Side, after: &Side) -> [(&'static str, String, String); 4] {
    let rate = |side: &Side| side.hit_rate.map_or("-".to_owned(), percent);
    let each = |side: &Side| time(side.saved_ns / (side.runs.max(1) as u64));
    [
        ("a run, median", median(before), median(after)),
        ("hit rate", rate(before), rate(after)),
        ("saved by the cache/run", each(before), each(after)),
        (
            "tasks executed",
            before.executed.to_string(),
            after.executed.to_string(),
        ),
    ]
}

fn median(side: &Side) -> String {
    match side.median_ns {
        0 => "-".to_owned(),
        ns => time(ns),
    }
}

fn table(text: &mut String, what: &str, changes: &[Change], all: bool) {
    let told =
        |change: &&Change| matches!(change.comparison.verdict, Verdict::Slower | Verdict::Faster);
    let clear = changes.iter().filter(told).count();
    let shown = if all {
        changes.len()
    } else {
        changes.len().min(clear.max(SHOWN))
    };
    if shown == 0 {
        return;
    }
    let names = changes[..shown]
        .iter()
        .map(|change| change.name.chars().count());
    let width = names.max().unwrap_or(0).clamp(4, 30);
    let _ = writeln!(
        text,
        "\n{what:<width$} {:>9} {:>9} {:>8} {:>7} {:>5}",
        "before", "after", "change", "noise", "sure"
    );
    for change in &changes[..shown] {
        let it = &change.comparison;
        let few = it.verdict == Verdict::TooFew;
        let dash = |text: String| if few { "-".to_owned() } else { text };
        let _ = writeln!(
            text,
            "{:<width$} {:>9} {:>9} {:>8} {:>7} {:>5}  {}",
            super::short(&change.name, width),
            level(&it.before),
            level(&it.after),
            if it.before.samples == 0 || it.after.samples == 0 {
                "-".to_owned()
            } else {
                signed(it.change)
            },
            dash(format!("\u{b1}{:.1}%", it.band * 100.0)),
            dash(sure(change.confidence)),
            word(change),
        );
    }
    if shown < changes.len() {
        let _ = writeln!(
            text,
            "and {} more without a clear difference",
            changes.len() - shown
        );
    }
}

/// The middle of some durations, if there are any.
fn level(level: &Level) -> String {
    match level.samples {
        0 => "-".to_owned(),
        _ => time(level.median_ns),
    }
}

/// How sure a difference is: never quite.
fn sure(confidence: f64) -> String {
    if confidence > 0.99 {
        return ">99%".to_owned();
    }
    percent(confidence)
}

/// That runs of other machines do not count.
fn elsewhere(side: &Side, host: &str) -> String {
    format!(
        "{} of {} left out: not measured on {host}",
        super::super::cache::count(side.elsewhere, "run", "runs"),
        side.name
    )
}

/// Of how many nothing can be said, and why.
fn too_few(compared: &Compared) -> Option<String> {
    let few = |change: &&Change| change.comparison.verdict == Verdict::TooFew;
    let count = compared.tasks.iter().filter(few).count();
    let rule = Rule::default();
    (count > 0).then(|| {
        format!(
            "{} ran too seldom: it takes {} successes before and {} after",
            super::super::cache::count(count, "task", "tasks"),
            rule.least_before,
            rule.least_after
        )
    })
}

/// What a comparison comes to, as Markdown.
pub(super) fn markdown(compared: &Compared) -> String {
    let mut text = String::new();
    let Compared { before, after, .. } = compared;
    let _ = writeln!(
        text,
        "### Timings of {} against {}\n",
        code(&after.name),
        code(&before.name)
    );
    let _ = writeln!(
        text,
        "| | {} | {} |\n|---|--:|--:|",
        code(&before.name),
        code(&after.name)
    );
    let _ = writeln!(text, "| runs | {} | {} |", before.runs, after.runs);
    for (what, earlier, later) in totals(before, after) {
        let _ = writeln!(text, "| {what} | {earlier} | {later} |");
    }
    text.push('\n');
    let regressed: Vec<&Change> = compared.regressed().collect();
    let limit = percent(compared.fail_above);
    if regressed.is_empty() && !compared.is_judged() {
        text.push_str("Nothing could be judged.\n\n");
    } else if regressed.is_empty() {
        let _ = writeln!(
            text,
            "Nothing became slower by more than {limit} beyond its noise.\n"
        );
    } else {
        let _ = writeln!(
            text,
            "**{} became slower by more than {limit}:**\n",
            regressed.len()
        );
        rows(&mut text, regressed.into_iter());
    }
    if let Some(few) = too_few(compared) {
        let _ = writeln!(text, "{few}.\n");
    }
    for side in [before, after]
        .into_iter()
        .filter(|side| side.elsewhere > 0)
    {
        let _ = writeln!(text, "{}.\n", elsewhere(side, &compared.host));
    }
    for flaky in &compared.flaky {
        let _ = writeln!(
            text,
            "- flaky: {} failed {} of {} times with equal inputs",
            code(&flaky.task),
            flaky.failures,
            flaky.executions
        );
    }
    let others = || {
        compared
            .tasks
            .iter()
            .chain(&compared.phases)
            .filter(|change| !change.regressed)
    };
    if others().next().is_some() {
        let _ = writeln!(
            text,
            "<details><summary>{} others</summary>\n",
            others().count()
        );
        rows(&mut text, others());
        text.push_str("</details>\n");
    }
    text
}

fn rows<'a>(text: &mut String, changes: impl Iterator<Item = &'a Change>) {
    text.push_str(
        "| | before | after | change | noise | sure | |\n|---|--:|--:|--:|--:|--:|---|\n",
    );
    for change in changes {
        let it = &change.comparison;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | \u{b1}{:.1}% | {} | {} |",
            code(&change.name),
            level(&it.before),
            level(&it.after),
            signed(it.change),
            it.band * 100.0,
            sure(change.confidence),
            word(change),
        );
    }
    text.push('\n');
}

/// Text that Markdown leaves alone, within a cell too.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|").replace(['\n', '\r'], " ");
    let fence = "`".repeat(longest_ticks(&text) + 1);
    if fence.len() == 1 {
        format!("`{text}`")
    } else {
        format!("{fence} {text} {fence}")
    }
}

fn longest_ticks(text: &str) -> usize {
    let ticks = text.split(|letter| letter != '`').map(str::len);
    ticks.max().unwrap_or(0)
}
