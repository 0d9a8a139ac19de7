//! `larder timings chart` and `report`: pictures of runs, in the terminal and in files.
//! Does not know how a picture is made.

use std::fmt::Write as _;
use std::path::Path;

use larder_timing::charts::{self, Frame};
use larder_timing::history::History;
use larder_timing::report::{Figure, LastRun, ReportData, RunSummary, Source, figure, html};
use larder_timing::{CacheState, Clock as _, Outcome, Rule, SystemClock};

use crate::args::Chart;

use super::super::Usage;
use super::compare::RECENT;
use super::runs::failed;
use super::told::{percent, time};
use super::{NOTHING, short, spark};

/// Pixels of a PNG for each of its chart.
const ZOOM: f32 = 2.0;
/// Letters that a bar in the terminal takes.
const BAR: u64 = 36;
/// So many phases are explained in one line.
const LEGEND: usize = 4;
/// Letters that a name in the terminal takes at most.
const NAME: usize = 24;

/// What is drawn, of up to `limit` runs that end with `last`, or with the newest.
pub(super) fn data(
    history: &History,
    root: &Path,
    last: Option<&str>,
    limit: usize,
) -> Result<ReportData, Usage> {
    let most = if limit == 0 { usize::MAX } else { limit };
    // What lies after the last one is passed over.
    let all = history
        .runs_with_tasks(if last.is_some() { usize::MAX } else { most })
        .map_err(failed)?;
    let newest_first = all
        .into_iter()
        .skip_while(|run| last.is_some_and(|last| run.id != last))
        .take(most);
    let mut runs: Vec<_> = newest_first.collect();
    runs.reverse();
    if runs.is_empty() {
        return Err(Usage::new(NOTHING));
    }
    let name = root.file_name().map(|name| name.to_string_lossy());
    Ok(ReportData::of(&Source {
        workspace: name.as_deref().unwrap_or_default(),
        generated: SystemClock::new().now().wall_ns,
        runs: &runs,
        recent: RECENT,
        rule: Rule::default(),
    }))
}

/// Writes the page.
pub(super) fn report(data: &ReportData, out: &Path) -> Result<(), Usage> {
    let page = html(data).map_err(Usage::new)?;
    write(out, page.as_bytes())
}

/// Writes a chart; the end of the file's name says in which form.
pub(super) fn chart(data: &ReportData, what: Chart, out: &Path) -> Result<(), Usage> {
    let which = match what {
        Chart::Runs => Figure::Runs,
        Chart::Phases => Figure::Phases,
        Chart::Timeline => Figure::Timeline,
        Chart::Cache => Figure::Cache,
        Chart::Slowest => Figure::Slowest,
    };
    let end = out.extension().and_then(|end| end.to_str());
    let png = match end.map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => false,
        Some("png") => true,
        _ => {
            return Err(Usage::new(format!(
                "--out {}: a chart is written as .svg or .png\n  give the file a name that ends so",
                out.display()
            )));
        }
    };
    let svg = figure(data, which, Frame::DOCUMENT).map_err(Usage::new)?;
    if png {
        let picture = charts::png(&svg, ZOOM).map_err(Usage::new)?;
        write(out, &picture)
    } else {
        write(out, svg.as_bytes())
    }
}

/// Writes a file as a whole: who reads it sees the old one or the new one. What is there and is no file, such as a pipe, is written into, and
/// links are followed.
pub(in super::super) fn write(out: &Path, bytes: &[u8]) -> Result<(), Usage> {
    let failed =
        |error: std::io::Error| Usage::new(format!("{} cannot be written: {error}", out.display()));
    match out.metadata() {
        Ok(there) if !there.is_file() => return std::fs::write(out, bytes).map_err(failed),
        _ => {}
    }
    let real = out.canonicalize().unwrap_or_else(|_| out.to_owned());
    let out = real.as_path();
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let put = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any other file that a command writes; the umask takes from it.
            file.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = file.tempfile_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.persist(out).map_err(|error| error.error)?;
        Ok(())
    };
    put().map_err(failed)
}

/// A chart for the terminal.
pub(super) fn text(data: &ReportData, what: Chart) -> String {
    match what {
        Chart::Runs => runs(data),
        Chart::Phases => phases(data),
        Chart::Timeline => data.last.as_ref().map_or_else(String::new, timeline),
        Chart::Cache => cache(data),
        Chart::Slowest => slowest(data),
    }
}

/// Month, day and time of day, in UTC as all times are stored.
fn label(run: &RunSummary) -> String {
    let minutes: String = run.started.chars().skip(5).take(11).collect();
    minutes.replace('T', " ")
}

fn runs(data: &ReportData) -> String {
    let mut text = String::from("how long the runs took\n");
    let most = data
        .runs
        .iter()
        .map(|run| run.duration_ns)
        .max()
        .unwrap_or(0);
    for run in &data.runs {
        let end = if run.exit_code == 0 { "" } else { "  failed" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  {:>9} {}{end}",
            label(run),
            time(run.duration_ns),
            spark::bar(run.duration_ns, most, BAR)
        );
    }
    text
}

fn cache(data: &ReportData) -> String {
    let mut text = String::from("hit rate, and what did not have to be spent again\n");
    for run in &data.runs {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A share.
        let part = (run.hit_rate.unwrap_or(0.0) * 1000.0) as u64;
        let _ = writeln!(
            text,
            "{}  {:>4} {:<36} {:>9}",
            label(run),
            run.hit_rate.map_or("-".to_owned(), percent),
            spark::bar(part, 1000, BAR),
            time(run.saved_ns)
        );
    }
    text
}

fn slowest(data: &ReportData) -> String {
    let mut text = String::from("the slowest tasks, by the median of their executions\n");
    let most = data.slowest.first().map_or(0, |slow| slow.median_ns);
    for slow in &data.slowest {
        let _ = writeln!(
            text,
            "{:<NAME$} {:>9} {}",
            short(&slow.task, NAME),
            time(slow.median_ns),
            spark::bar(slow.median_ns, most, BAR)
        );
    }
    text
}

/// Each phase has a letter, and a run is a row of letters.
fn phases(data: &ReportData) -> String {
    let mut names: Vec<&str> = Vec::new();
    for phase in data.runs.iter().flat_map(|run| &run.phases) {
        if !names.contains(&phase.name.as_str()) {
            names.push(&phase.name);
        }
    }
    let letter = |at: usize| char::from(b'A' + u8::try_from(at % 26).unwrap_or(0));
    let mut text = String::from("what the work of the runs went to\n");
    let legend: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{} {name}", letter(at)))
        .collect();
    for some in legend.chunks(LEGEND) {
        let _ = writeln!(text, "{}", some.join(", "));
    }
    let work = |run: &RunSummary| {
        run.phases
            .iter()
            .map(|phase| phase.duration_ns)
            .sum::<u64>()
    };
    let most = data.runs.iter().map(work).max().unwrap_or(0).max(1);
    for run in &data.runs {
        let mut bar = String::new();
        let mut until = 0_u64;
        for (at, name) in names.iter().enumerate() {
            let of = run.phases.iter().filter(|phase| phase.name == *name);
            until += of.map(|phase| phase.duration_ns).sum::<u64>();
            // Ends are rounded, not lengths: the row as a whole stays true.
            let end = u128::from(until) * u128::from(BAR) / u128::from(most);
            let end = usize::try_from(end).unwrap_or(0);
            while bar.len() < end {
                bar.push(letter(at));
            }
        }
        let _ = writeln!(text, "{}  {:>9} {bar}", label(run), time(work(run)));
    }
    text
}

fn timeline(last: &LastRun) -> String {
    let mut text = format!("{}, * is the critical path\n", last.id);
    let end = last
        .tasks
        .iter()
        .map(|task| task.start_ns.saturating_add(task.duration_ns));
    let end = end.max().unwrap_or(0).max(1);
    let place = |ns: u64| u128::from(ns) * u128::from(BAR) / u128::from(end);
    for task in &last.tasks {
        let from = usize::try_from(place(task.start_ns)).unwrap_or(0);
        let until =
            usize::try_from(place(task.start_ns.saturating_add(task.duration_ns))).unwrap_or(0);
        let sign = match (task.outcome, task.cache) {
            (Outcome::Failure | Outcome::Cancelled, _) => "x",
            (_, CacheState::Executed) => "\u{2588}",
            _ => "\u{2591}",
        };
        let bar = format!("{}{}", " ".repeat(from), sign.repeat((until - from).max(1)));
        let _ = writeln!(
            text,
            "{} {:<NAME$} {bar:<37} {:>9}",
            if task.critical.is_some() { '*' } else { ' ' },
            short(&task.task, NAME),
            time(task.duration_ns)
        );
    }
    text
}
