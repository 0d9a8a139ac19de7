//! Compares what was measured with what was measured before or beside it: which costs rose, how sure that is, and by how much.
//! It measures nothing, and does not know where the figures come from.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::measure::Cost;
use super::results::{Machine, Results, Row};
use super::stats::{self, LEAST_CONFIDENCE, Ratio};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Figure {
    /// Time from start to end.
    Wall,
    /// Processor time.
    Cpu,
    /// Peak memory.
    Memory,
    /// Instructions, counted by callgrind.
    Instructions,
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Figure::Wall => "wall",
            Figure::Cpu => "cpu",
            Figure::Memory => "memory",
            Figure::Instructions => "instructions",
        }
    }

    // Bytes and counts are far below the 2^52 that are exact.
    #[allow(clippy::cast_precision_loss)]
    fn series(self, row: &Row) -> Vec<f64> {
        let of = |figure: fn(&Cost) -> f64| row.runs.iter().map(figure).collect();
        match self {
            Figure::Wall => of(|cost| cost.wall),
            Figure::Cpu => of(|cost| cost.cpu),
            Figure::Memory => of(|cost| cost.peak as f64),
            Figure::Instructions => row.instructions.iter().map(|count| *count as f64).collect(),
        }
    }
}

/// One figure of one row, then and now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Difference {
    pub(crate) scenario: String,
    /// The row's name.
    pub(crate) who: String,
    pub(crate) figure: Figure,
    /// Now over then.
    pub(crate) ratio: Ratio,
}

/// What can be said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The whole interval lies above 1.
    More,
    /// The whole interval lies below 1.
    Less,
    /// 1 lies in the interval.
    None,
    /// Too few runs for anything.
    Unsure,
}

impl Difference {
    pub(crate) fn verdict(&self) -> Verdict {
        let Ratio {
            low,
            high,
            confidence,
            ..
        } = self.ratio;
        if confidence <= LEAST_CONFIDENCE {
            Verdict::Unsure
        } else if low > 1.0 {
            Verdict::More
        } else if high < 1.0 {
            Verdict::Less
        } else {
            Verdict::None
        }
    }

    /// Whether it is surely worse by more than a share: the whole interval lies beyond.
    pub(crate) fn fails(&self, limit: f64) -> bool {
        self.verdict() == Verdict::More && self.ratio.low > 1.0 + limit
    }
}

/// A comparison as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// The fixture.
    pub(crate) fixture: String,
    /// What it is compared with, in words.
    pub(crate) with: String,
    /// Whether both were measured in turns.
    pub(crate) paired: bool,
    /// Why it may mean less than it seems.
    pub(crate) doubts: Vec<String>,
    /// Rows that the other side does not have.
    pub(crate) left_out: Vec<String>,
    pub(crate) differences: Vec<Difference>,
}

/// The rows of one program beside those of another of the same session; `who` names the other.
pub(crate) fn beside(results: &Results, who: &str, with: &str) -> Comparison {
    let rows = results.rows.iter().filter(|row| row.who == "larder");
    let pairs = rows.filter_map(|row| Some((results.row(&row.scenario, who)?, row)));
    Comparison {
        fixture: results.fixture.clone(),
        with: with.to_owned(),
        paired: true,
        doubts: Vec::new(),
        left_out: Vec::new(),
        differences: pairs
            .flat_map(|(old, new)| differences(old, new, stats::paired))
            .collect(),
    }
}

/// The rows of Larder beside those of an earlier session. An error when they are of other trees.
pub(crate) fn with_baseline(
    old: &Results,
    new: &Results,
    name: &str,
) -> Result<Comparison, String> {
    let trees = |one: &Results| (one.fixture.clone(), one.seed, one.tasks, one.files);
    if trees(old) != trees(new) {
        return Err(format!(
            "the baseline {name} is of other trees: {:?}, not {:?}",
            trees(old),
            trees(new)
        ));
    }
    let rows = new.rows.iter().filter(|row| is_own(row));
    let then = |row: &Row| old.row(&row.scenario, &row.who);
    let pairs = rows
        .clone()
        .filter_map(|row| then(row).map(|old| (old, row)));
    let without = rows.filter(|row| then(row).is_none());
    Ok(Comparison {
        fixture: new.fixture.clone(),
        with: format!("baseline {name}, {} of {}", old.revision, old.started),
        paired: false,
        doubts: doubts(&old.machine, &new.machine),
        left_out: without
            .map(|row| format!("{} ({})", row.scenario, row.who))
            .collect(),
        differences: pairs
            .flat_map(|(old, new)| differences(old, new, stats::unpaired))
            .collect(),
    })
}

/// Whether a row is Larder's own.
fn is_own(row: &Row) -> bool {
    matches!(row.who.as_str(), "larder" | "first run" | "first, no memo")
        || row.who.ends_with(" at once")
}

fn doubts(old: &Machine, new: &Machine) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut unlike = |what: &str, old: &str, new: &str| {
        if old != new {
            doubts.push(format!("{what} was {old}, now it is {new}"));
        }
    };
    unlike("the system", &old.system, &new.system);
    unlike("the processor", &old.processor, &new.processor);
    let count = |machine: &Machine| machine.processors.to_string();
    unlike("the number of processors", &count(old), &count(new));
    unlike("the file system", &old.file_system, &new.file_system);
    doubts
}

fn differences(
    old: &Row,
    new: &Row,
    judge: fn(&[f64], &[f64]) -> Option<Ratio>,
) -> Vec<Difference> {
    let all = [
        Figure::Wall,
        Figure::Cpu,
        Figure::Memory,
        Figure::Instructions,
    ];
    let ratio = |figure: Figure| {
        let (old, new) = (figure.series(old), figure.series(new));
        if figure == Figure::Instructions {
            range(&old, &new)
        } else {
            judge(&old, &new)
        }
    };
    let found = all.into_iter().filter_map(|figure| {
        Some(Difference {
            scenario: new.scenario.clone(),
            who: new.who.clone(),
            figure,
            ratio: ratio(figure)?,
        })
    });
    found.collect()
}

/// Counts hardly differ from run to run, so the interval is all they can be: the most over the least.
fn range(old: &[f64], new: &[f64]) -> Option<Ratio> {
    let ends = |counts: &[f64]| {
        let least = counts.iter().copied().reduce(f64::min)?;
        let most = counts.iter().copied().reduce(f64::max)?;
        (least > 0.0).then_some((least, most))
    };
    let (old, new) = (ends(old)?, ends(new)?);
    Some(Ratio {
        estimate: new.0 / old.0,
        low: new.0 / old.1,
        high: new.1 / old.0,
        confidence: 1.0,
    })
}

/// As text of at most 80 columns.
pub(crate) fn text(comparison: &Comparison, limit: Option<f64>) -> String {
    let mut text = format!("\n{} against {}\n", comparison.fixture, comparison.with);
    for doubt in &comparison.doubts {
        let _ = writeln!(text, "  not the same machine: {doubt}");
    }
    let _ = writeln!(
        text,
        "{:<16}{:<14}{:<13}{:>7}{:>17}",
        "scenario", "row", "figure", "ratio", "interval"
    );
    for one in &comparison.differences {
        let interval = format!("{:.3} - {:.3}", one.ratio.low, one.ratio.high);
        let _ = writeln!(
            text,
            "{:<16}{:<14}{:<13}{:>7.3}{interval:>17}  {}",
            one.scenario,
            one.who,
            one.figure.name(),
            one.ratio.estimate,
            word(one, limit)
        );
    }
    text.push_str(&closing(comparison, limit));
    text
}

/// As Markdown, for a comment on a pull request.
pub(crate) fn markdown(comparison: &Comparison, limit: Option<f64>) -> String {
    let mut text = format!(
        "### `{}` against {}\n\n",
        comparison.fixture, comparison.with
    );
    for doubt in &comparison.doubts {
        let _ = writeln!(text, "- not the same machine: {doubt}");
    }
    text.push_str("| scenario | row | figure | ratio | interval | |\n|---|---|---|---|---|---|\n");
    for one in &comparison.differences {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.3} | {:.3} to {:.3} | {} |",
            one.scenario,
            one.who,
            one.figure.name(),
            one.ratio.estimate,
            one.ratio.low,
            one.ratio.high,
            word(one, limit)
        );
    }
    text.push('\n');
    text.push_str(&closing(comparison, limit));
    text
}

fn word(one: &Difference, limit: Option<f64>) -> &'static str {
    match one.verdict() {
        _ if limit.is_some_and(|limit| one.fails(limit)) => "WORSE",
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::None => "",
        Verdict::Unsure => "too few",
    }
}

/// How sure intervals are, and how many differences lie beyond the limit.
fn closing(comparison: &Comparison, limit: Option<f64>) -> String {
    let measured = comparison
        .differences
        .iter()
        .filter(|one| one.figure != Figure::Instructions);
    let least = measured.map(|one| one.ratio.confidence).fold(1.0, f64::min);
    let how = if comparison.paired {
        "runs in turns, Wilcoxon's signed ranks"
    } else {
        "runs of two sessions, Mann and Whitney's U"
    };
    let mut text = format!("intervals: {:.1} % sure at least; {how}\n", least * 100.0);
    for row in &comparison.left_out {
        let _ = writeln!(text, "nothing to compare with: {row}");
    }
    if let Some(limit) = limit {
        let worse = worse(comparison, limit).count();
        let _ = writeln!(
            text,
            "{worse} of {} surely worse by more than {:.1} %",
            comparison.differences.len(),
            limit * 100.0
        );
    }
    text
}

/// The differences that are surely worse by more than a share.
pub(crate) fn worse(comparison: &Comparison, limit: f64) -> impl Iterator<Item = &Difference> {
    comparison
        .differences
        .iter()
        .filter(move |one| one.fails(limit))
}

/// Reads a share such as `5%`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent / 100.0),
        _ => Err(format!("{text} is not a share such as 5%")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    /// Ten runs that cost about as much as `factor` says, noisy by three percent.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn row(who: &str, factor: f64, random: &mut Random) -> Row {
        let counted = (1e6 * factor) as u64;
        let mut noisy = || factor * (1.0 + 0.03 * (random.below(1000) as f64 / 1000.0));
        let runs = (0..10).map(|_| Cost {
            wall: noisy(),
            cpu: noisy(),
            peak: 50 << 20,
            ..Cost::default()
        });
        Row {
            scenario: "noop".to_owned(),
            who: who.to_owned(),
            runs: runs.collect(),
            instructions: vec![counted, counted + 5],
            ..Row::default()
        }
    }

    fn results(rows: Vec<Row>) -> Results {
        Results {
            fixture: "small".to_owned(),
            rows,
            ..Results::default()
        }
    }

    fn failing(comparison: &Comparison) -> Vec<Figure> {
        worse(comparison, 0.05).map(|one| one.figure).collect()
    }

    #[test]
    fn a_planted_slowdown_is_flagged_and_the_same_program_is_not() {
        let mut random = Random::new(3, 1);
        let old = row("against", 1.0, &mut random);
        for (factor, flagged) in [
            (1.0, vec![]),
            (1.04, vec![]),
            (0.8, vec![]),
            (1.2, vec![Figure::Wall, Figure::Cpu, Figure::Instructions]),
        ] {
            let new = row("larder", factor, &mut random);
            let both = results(vec![old.clone(), new.clone()]);
            assert_eq!(
                failing(&beside(&both, "against", "it")),
                flagged,
                "{factor}"
            );
            let before = Row {
                who: "larder".to_owned(),
                ..old.clone()
            };
            let (before, now) = (results(vec![before]), results(vec![new]));
            let compared = with_baseline(&before, &now, "main").unwrap();
            assert_eq!(failing(&compared), flagged, "{factor}");
        }
    }

    #[test]
    fn more_memory_is_flagged_alone() {
        let mut random = Random::new(3, 2);
        let (old, mut new) = (
            row("against", 1.0, &mut random),
            row("larder", 1.0, &mut random),
        );
        for run in &mut new.runs {
            run.peak += 10 << 20;
        }
        let compared = beside(&results(vec![old, new]), "against", "it");
        assert_eq!(failing(&compared), [Figure::Memory]);
    }

    #[test]
    fn too_few_runs_never_fail() {
        let mut random = Random::new(3, 3);
        let (mut old, mut new) = (
            row("against", 1.0, &mut random),
            row("larder", 9.0, &mut random),
        );
        old.runs.truncate(4);
        new.runs.truncate(4);
        new.instructions.clear();
        let compared = beside(&results(vec![old, new]), "against", "it");
        assert_eq!(failing(&compared), []);
        assert!(text(&compared, Some(0.05)).contains("too few"));
    }

    #[test]
    fn other_trees_are_refused_and_another_machine_is_told() {
        let mut random = Random::new(3, 4);
        let old = results(vec![row("larder", 1.0, &mut random)]);
        let other = Results {
            seed: 2,
            ..old.clone()
        };
        assert!(with_baseline(&old, &other, "main").is_err());
        let mut more = old.clone();
        let mut edit = old.rows[0].clone();
        edit.scenario = "edit".to_owned();
        more.rows.push(edit);
        let compared = with_baseline(&old, &more, "main").unwrap();
        assert_eq!(compared.left_out, ["edit (larder)"]);
        assert!(text(&compared, None).contains("nothing to compare with: edit (larder)"));
        let mut moved = old.clone();
        moved.machine.processors = 64;
        let compared = with_baseline(&old, &moved, "main").unwrap();
        assert_eq!(
            compared.doubts,
            ["the number of processors was 0, now it is 64"]
        );
    }

    #[test]
    fn the_table_is_readable_at_eighty_columns() {
        let mut random = Random::new(3, 5);
        let mut new = row("larder", 1.2, &mut random);
        new.scenario = "watch-latency".to_owned();
        let mut old = row("against", 1.0, &mut random);
        old.scenario.clone_from(&new.scenario);
        let compared = beside(&results(vec![old, new]), "against", "0123456789ab");
        let text = text(&compared, Some(0.05));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert_eq!(text.matches("WORSE").count(), 3, "{text}");
        assert!(
            text.contains("3 of 4 surely worse by more than 5.0 %"),
            "{text}"
        );
        let marked = markdown(&compared, Some(0.05));
        assert_eq!(marked.matches("| WORSE |").count(), 3, "{marked}");
    }

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("2.5"), Ok(0.025));
        assert_eq!(share("0%"), Ok(0.0));
        for wrong in ["", "-1%", "five", "5%%", "NaN", "inf%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
