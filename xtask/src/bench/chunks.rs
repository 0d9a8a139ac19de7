//! The fixture `chunks`: tasks with `foreach` and many short commands, beside ninja with the same edges.
//! It knows two command lines and what has to lie on disk, and nothing of how chunks are judged.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::account::Account;
use super::daemon;
use super::generate::each;
use super::measure::{Cost, Invocation, measure};
use super::plan::Size;
use super::results::Row;
use super::rounds::{IDLE, turns};
use super::scenario::{Scenario, kept_files};
use super::site::{Site, Stamp, changed, remove, stamp};
use super::tools::{Kind, Tool};

/// What the command line calls it.
pub(crate) const NAME: &str = "chunks";

/// How large it is: `tasks` tasks with `foreach`, and sources for all of them together.
pub(crate) const SIZE: Size = Size {
    name: NAME,
    tasks: 20,
    files: 5000,
    huge: 0,
    huge_bytes: 0,
    ignored: 0,
};

/// What each chunk runs, with the tools' own words for the source and for what is made of it. It makes
/// something that can be checked without running it.
const COMMAND: [&str; 3] = ["tr a-z A-Z < ", " > ", ""];

/// The scenarios, in the order in which they are measured.
const SCENARIOS: [Scenario; 6] = [
    Scenario::Cold,
    Scenario::Noop,
    Scenario::SessionNoop,
    Scenario::Restore,
    Scenario::Edit,
    Scenario::Edit5,
];

/// Whether a tool can be told to run a command for each file.
pub(crate) fn can_take_part(kind: Kind) -> bool {
    kind.is_larder() || kind == Kind::Ninja
}

/// What all runs share.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) size: Size,
    pub(crate) folder: &'a Path,
    pub(crate) processors: usize,
    pub(crate) iterations: usize,
    pub(crate) limit: Duration,
}

/// A tool with its own tree.
#[derive(Debug)]
pub(crate) struct Competitor {
    tool: Tool,
    site: Site,
}

impl Competitor {
    /// Writes the tree of a tool that can take part.
    pub(crate) fn new(tool: Tool, ground: &Ground<'_>) -> io::Result<Competitor> {
        let site = Site::at(&ground.folder.join(tool.kind.name()));
        for folder in [&site.root, &site.cache, &site.home, &site.logs] {
            remove(folder)?;
            fs::create_dir_all(folder)?;
        }
        for task in 0..ground.size.tasks {
            for folder in 0..FOLDERS {
                fs::create_dir_all(site.root.join(format!("src/{task:02}/{folder}")))?;
            }
        }
        each(ground.size.files, |number| {
            fs::write(
                site.root.join(source(ground.size, number)),
                text(number, ""),
            )
        })?;
        let (path, text) = match tool.kind {
            Kind::Ninja => ("build.ninja", ninja(ground.size)),
            _ => ("larder.toml", larder(ground.size)),
        };
        fs::write(site.root.join(path), text)?;
        Ok(Competitor { tool, site })
    }

    /// Ends what the tool left running.
    pub(crate) fn leave(&self) {
        self.tool.kind.leave(&self.tool, &self.site.root);
    }

    /// What tables call the tool, and its version.
    pub(crate) fn version(&self) -> (String, String) {
        (self.tool.kind.name().to_owned(), self.tool.version.clone())
    }
}

/// Runs the wanted scenarios: every tool once, then every tool again.
pub(crate) fn rows(
    ground: &Ground<'_>,
    competitors: &[Competitor],
    wants: impl Fn(Scenario) -> bool,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for scenario in SCENARIOS.into_iter().filter(|one| wants(*one)) {
        eprintln!("bench: {}", scenario.name());
        let mut taking: Vec<(&Competitor, Row)> = Vec::new();
        for one in competitors {
            if !scenario.includes(one.tool.kind) {
                continue;
            }
            warm_up(ground, one, scenario)?;
            let row = Row {
                scenario: scenario.name().to_owned(),
                who: one.tool.kind.name().to_owned(),
                ..Row::default()
            };
            taking.push((one, row));
        }
        for round in 0..ground.iterations {
            for at in turns(taking.len(), round) {
                let (one, row) = &mut taking[at];
                round_of(ground, one, scenario, round, row)?;
            }
        }
        for (one, row) in &mut taking {
            if scenario == Scenario::SessionNoop {
                row.daemon = daemon::watch(daemon::process(&one.site.root)?, IDLE);
                one.leave();
            }
            rows.push(std::mem::take(row));
        }
    }
    Ok(rows)
}

/// The sources that a scenario edits, by number.
pub(crate) fn edited(scenario: Scenario, size: Size) -> BTreeSet<usize> {
    match scenario {
        Scenario::Edit => [size.files / 2].into(),
        // Every task gets its share.
        Scenario::Edit5 => (0..size.files).step_by(20).collect(),
        _ => BTreeSet::new(),
    }
}

/// Folders of sources in each task.
const FOLDERS: usize = 10;

fn source(size: Size, number: usize) -> String {
    let (task, folder) = (number * size.tasks / size.files, number % FOLDERS);
    format!("src/{task:02}/{folder}/f{number}.txt")
}

/// What a source holds: about 700 bytes.
fn text(number: usize, note: &str) -> String {
    let mut text = format!("source {number} {note}\n");
    for line in 0..20 {
        let _ = writeln!(text, "line {line} of the source {number}");
    }
    text
}

fn larder(size: Size) -> String {
    let names: Vec<String> = (0..size.tasks)
        .map(|task| format!("\"t{task:02}\""))
        .collect();
    let mut toml = format!("[tasks.build]\ndepends-on = [{}]\n", names.join(", "));
    let command = COMMAND
        .join("{}")
        .replacen("{}", "{in}", 1)
        .replacen("{}", "{out}", 1);
    for task in 0..size.tasks {
        let _ = write!(
            toml,
            "\n[tasks.t{task:02}]\nforeach = \"src/{task:02}/**/*.txt\"\ncommand = \"{command}\"\n\
             outputs = [\"out/{{in}}.up\"]\n"
        );
    }
    toml
}

fn ninja(size: Size) -> String {
    let command = COMMAND
        .join("{}")
        .replacen("{}", "$in", 1)
        .replacen("{}", "$out", 1);
    let mut build = format!("rule up\n  command = {command}\n");
    for number in 0..size.files {
        let source = source(size, number);
        let _ = writeln!(build, "build out/{source}.up: up {source}");
    }
    build
}

fn once(
    ground: &Ground<'_>,
    one: &Competitor,
    args: Vec<OsString>,
) -> Result<Cost, Box<dyn Error>> {
    let run = Invocation {
        program: one.tool.program.clone(),
        args,
        cwd: one.site.root.clone(),
        env: one.site.environment(),
        log: one.site.logs.join("run.log"),
    };
    let cost = measure(&run, ground.limit)?;
    if cost.exit == Some(0) {
        return Ok(cost);
    }
    let told = fs::read(&run.log)?;
    let (name, told) = (one.tool.kind.name(), String::from_utf8_lossy(&told));
    Err(format!("{name} failed: {told}").into())
}

/// A built tree, found up to date once, and the session where one is measured.
fn warm_up(
    ground: &Ground<'_>,
    one: &Competitor,
    scenario: Scenario,
) -> Result<(), Box<dyn Error>> {
    if !scenario.needs_built() {
        return Ok(());
    }
    let args = || one.tool.kind.args(ground.processors);
    once(ground, one, args())?;
    if scenario == Scenario::SessionNoop {
        once(ground, one, ["session", "start"].map(OsString::from).into())?;
        once(ground, one, args())?;
    }
    once(ground, one, args()).map(drop)
}

fn round_of(
    ground: &Ground<'_>,
    one: &Competitor,
    scenario: Scenario,
    round: usize,
    row: &mut Row,
) -> Result<(), Box<dyn Error>> {
    let (site, scale, kind) = (&one.site, ground.size, one.tool.kind);
    if matches!(scenario, Scenario::Cold | Scenario::Restore) {
        remove(&site.root.join("out"))?;
    }
    if scenario == Scenario::Restore {
        site.remove(&[".larder/state"])?;
    }
    if scenario == Scenario::Cold {
        site.remove(kind.state())?;
        remove(&site.cache)?;
    }
    let edits: Vec<usize> = edited(scenario, scale).into_iter().collect();
    each(edits.len(), |at| {
        let note = format!("{} {round}", scenario.name());
        fs::write(
            site.root.join(source(scale, edits[at])),
            text(edits[at], &note),
        )
    })?;
    let (before, kept) = (stamps(scale, site), kept_files(site));
    row.runs
        .push(once(ground, one, kind.args(ground.processors))?);
    judge(scale, one, scenario, &before).map_err(|wrong| {
        format!(
            "{}, {}, round {round}: {wrong}",
            scenario.name(),
            kind.name()
        )
    })?;
    if kind.is_larder() {
        // Chunks are looked at in every run, also beside the session, so each leaves its record.
        row.state_files = Some(changed(&kept, &kept_files(site)).len());
        row.hit_ratio = Account::read(&site.root)?.hit_ratio();
    }
    Ok(())
}

fn stamps(scale: Size, site: &Site) -> Vec<Stamp> {
    let made = |number| site.root.join(format!("out/{}.up", source(scale, number)));
    (0..scale.files)
        .map(|number| stamp(&made(number)))
        .collect()
}

/// Every output has to be what its source demands, just those that had to be were made, and Larder says so.
fn judge(
    scale: Size,
    one: &Competitor,
    scenario: Scenario,
    before: &[Stamp],
) -> Result<(), String> {
    let site = &one.site;
    let wanted: BTreeSet<usize> = match scenario {
        Scenario::Cold | Scenario::Restore => (0..scale.files).collect(),
        _ => edited(scenario, scale),
    };
    each(scale.files, |number| {
        let source = source(scale, number);
        let read = |path: String| {
            fs::read(site.root.join(&path)).map_err(|error| format!("{path}: {error}"))
        };
        if read(format!("out/{source}.up"))? == read(source.clone())?.to_ascii_uppercase() {
            return Ok(());
        }
        Err(format!("out/{source}.up is wrong"))
    })?;
    let made = changed(before, &stamps(scale, site));
    if made != wanted {
        let (made, wanted) = (made.len(), wanted.len());
        return Err(format!(
            "{made} outputs were made, not {wanted}, or others than those"
        ));
    }
    if !one.tool.kind.is_larder() {
        return Ok(());
    }
    let account = Account::read(&site.root).map_err(|error| error.to_string())?;
    account.is_clean()?;
    let told = account.chunks();
    let acted = if scenario == Scenario::Restore {
        told.restored
    } else {
        told.ran
    };
    if told.total != scale.files || acted != wanted.len() || told.up_to_date + acted != told.total {
        return Err(format!("it says {told:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: Size = Size {
        tasks: 2,
        files: 40,
        ..SIZE
    };

    #[test]
    fn both_tools_get_every_source_with_the_same_command() {
        let (toml, build) = (larder(TINY), ninja(TINY));
        assert_eq!(toml.matches("foreach = ").count(), 2);
        assert_eq!(toml.matches("tr a-z A-Z < {in} > {out}").count(), 2);
        assert_eq!(build.matches("tr a-z A-Z < $in > $out").count(), 1);
        assert_eq!(build.matches(": up src/").count(), 40);
        let sources: BTreeSet<String> = (0..40).map(|number| source(TINY, number)).collect();
        assert_eq!(sources.len(), 40);
        let first = sources.iter().filter(|path| path.starts_with("src/00/"));
        assert_eq!(first.count(), 20);
    }

    #[test]
    fn a_twentieth_is_edited_and_every_task_has_a_part() {
        let edited = edited(Scenario::Edit5, SIZE);
        assert_eq!(edited.len(), SIZE.files / 20);
        let task = |number: &usize| source(SIZE, *number)[..6].to_owned();
        let tasks: BTreeSet<String> = edited.iter().map(task).collect();
        assert_eq!(tasks.len(), SIZE.tasks);
    }

    #[test]
    fn an_output_that_is_wrong_or_was_made_for_nothing_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground {
            size: TINY,
            folder: folder.path(),
            processors: 2,
            iterations: 1,
            limit: Duration::from_mins(1),
        };
        let tool = Tool {
            kind: Kind::Ninja,
            program: "ninja".into(),
            version: String::new(),
        };
        let one = Competitor::new(tool, &ground).unwrap();
        let root = &one.site.root;
        let build = |number: usize| {
            let source = source(TINY, number);
            let at = root.join(format!("out/{source}.up"));
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            let _ = fs::remove_file(&at);
            let text = fs::read(root.join(source)).unwrap();
            fs::write(&at, text.to_ascii_uppercase()).unwrap();
            at
        };
        let judged = |scenario, act: &dyn Fn()| {
            let before = stamps(TINY, &one.site);
            act();
            judge(TINY, &one, scenario, &before)
        };
        let all = || (0..40).for_each(|number| drop(build(number)));
        assert!(judged(Scenario::Cold, &|| ()).is_err(), "nothing was made");
        assert_eq!(judged(Scenario::Cold, &all), Ok(()));
        assert_eq!(judged(Scenario::Noop, &|| ()), Ok(()));
        assert!(judged(Scenario::Noop, &|| drop(build(3))).is_err());
        assert_eq!(judged(Scenario::Edit, &|| drop(build(20))), Ok(()));
        assert!(judged(Scenario::Edit, &|| drop(build(21))).is_err());
        let wrong = || fs::write(build(20), "other").unwrap();
        assert!(judged(Scenario::Edit, &wrong).is_err());
    }
}
