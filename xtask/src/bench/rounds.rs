//! Runs the scenarios: every tool once, then every tool again, so that what disturbs one disturbs all.
//! It does not know what a scenario demands.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;
use super::around::Around;
use super::daemon;
use super::instructions::Callgrind;
use super::latency::{self, Latency};
use super::measure::{Cost, Invocation, measure};
use super::passes;
use super::plan::Plan;
use super::profile::Profiler;
use super::references::{Programs, Reference};
use super::results::Row;
use super::scenario::{Before, Finding, Scenario, state_files};
use super::site::Site;
use super::tools::{Kind, Tool};
use super::warm::{self, Warm};

/// How long the background session is watched while nobody asks it.
pub(crate) const IDLE: Duration = Duration::from_secs(5);

/// What all runs share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) plan: Plan,
    pub(crate) folder: PathBuf,
    pub(crate) processors: usize,
    pub(crate) iterations: usize,
    /// The longest that one run may take.
    pub(crate) limit: Duration,
    pub(crate) programs: Programs,
    /// `xtask`, built as Larder is shipped, for what happens within one process.
    pub(crate) library: PathBuf,
    /// Counts instructions, when that is wanted and possible.
    pub(crate) callgrind: Option<Callgrind>,
    /// Draws where the time goes, when that is wanted.
    pub(crate) profiler: Option<Profiler>,
    /// `strace`, when it is there and wanted.
    pub(crate) strace: Option<PathBuf>,
}

/// A tool with its own tree.
#[derive(Debug)]
pub(crate) struct Competitor {
    pub(crate) tool: Tool,
    pub(crate) site: Site,
    /// Whether it has built its tree in this session, and nothing changed it since.
    built: bool,
    /// Why it takes no further part.
    out: Option<String>,
}

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

impl Competitor {
    /// Writes the tool's tree.
    pub(crate) fn new(tool: Tool, ground: &Ground, git: bool) -> Fallible<Competitor> {
        let site = Site::at(&ground.folder.join(tool.kind.name()));
        site.prepare(&ground.plan, git)?;
        for scenario in [Scenario::Edit, Scenario::Edit5] {
            scenario.edit(&ground.plan, &site, None)?;
        }
        if let Some(package) = tool.kind.linked_package() {
            link(&tool, package, &site.root)?;
        }
        Ok(Competitor {
            tool,
            site,
            built: false,
            out: None,
        })
    }

    /// A run of the tool in its tree.
    pub(crate) fn invocation(&self, args: Vec<OsString>) -> Invocation {
        Invocation {
            program: self.tool.program.clone(),
            args,
            cwd: self.site.root.clone(),
            env: self.site.environment(),
            log: self.site.logs.join("run.log"),
        }
    }
}

/// Puts a tool's own packages beside the fixture's ignored ones.
fn link(tool: &Tool, package: &str, root: &Path) -> Fallible<()> {
    let real = tool.program.canonicalize()?;
    let modules = real
        .ancestors()
        .find(|folder| folder.ends_with("node_modules"));
    let target = modules.map(|modules| modules.join(package));
    let place = root.join("node_modules").join(package);
    #[cfg(unix)]
    if let Some(target) = target.filter(|_| !place.exists()) {
        std::os::unix::fs::symlink(target, place)?;
    }
    Ok(())
}

/// Runs one scenario with all who take part.
pub(crate) fn scenario(
    ground: &Ground,
    competitors: &mut [Competitor],
    scenario: Scenario,
) -> Fallible<Vec<Row>> {
    match scenario {
        Scenario::Hooks => return one_against_many(ground, competitors, scenario, Around::Hooks),
        Scenario::Projects10 => {
            return one_against_many(ground, competitors, scenario, Around::Projects);
        }
        Scenario::Warm | Scenario::WatchLatency => {
            return in_one_process(ground, &mut competitors[0], scenario);
        }
        _ => {}
    }
    let mut rows: Vec<Row> = Vec::new();
    for one in competitors.iter_mut() {
        let mut row = new_row(scenario, one.tool.kind.name());
        if scenario.includes(one.tool.kind) {
            warm_up(ground, one, scenario)?;
            row.notes.extend(one.out.clone());
        } else if scenario == Scenario::Restore {
            row.notes.push("has no cache of outputs".to_owned());
        }
        rows.push(row);
    }
    let references: Vec<Reference> = scenario.references().to_vec();
    for reference in &references {
        let mut row = new_row(scenario, reference.name(&ground.programs));
        if !reference.possible(&ground.programs) {
            row.notes.push("zstd or GNU tar is not there".to_owned());
        }
        rows.push(row);
    }
    let mut digests = BTreeMap::new();
    for round in 0..ground.iterations {
        for at in turns(competitors.len(), round) {
            let (one, row) = (&mut competitors[at], &mut rows[at]);
            if one.out.is_none() && scenario.includes(one.tool.kind) {
                tool_round(ground, one, scenario, round, row, &mut digests)?;
            }
        }
        for (reference, row) in references.iter().zip(&mut rows[competitors.len()..]) {
            if reference.possible(&ground.programs) {
                row.runs
                    .push(reference_round(ground, &competitors[0].site, *reference)?);
            }
        }
    }
    for (one, row) in competitors.iter_mut().zip(&mut rows) {
        if one.out.is_none() && scenario.includes(one.tool.kind) {
            passes::all(ground, one, scenario, row)?;
        }
        if scenario == Scenario::SessionNoop && scenario.includes(one.tool.kind) {
            row.daemon = daemon::watch(daemon::process(&one.site.root)?, IDLE);
            one.tool.kind.leave(&one.tool, &one.site.root);
        }
        if scenario.edits_each_round() {
            scenario.edit(&ground.plan, &one.site, None)?;
            one.built = false;
        }
        if scenario == Scenario::Digest && one.tool.kind.is_larder() {
            one.built = false;
        }
    }
    rows.retain(|row| !row.runs.is_empty() || !row.notes.is_empty());
    Ok(rows)
}

/// The order of a round: forth and back by turns, so that none always follows the same one.
pub(crate) fn turns(many: usize, round: usize) -> Vec<usize> {
    let order = 0..many;
    if round.is_multiple_of(2) {
        order.collect()
    } else {
        order.rev().collect()
    }
}

fn new_row(scenario: Scenario, who: &str) -> Row {
    Row {
        scenario: scenario.name().to_owned(),
        who: who.to_owned(),
        ..Row::default()
    }
}

/// One measured run of a tool, judged.
fn tool_round(
    ground: &Ground,
    one: &mut Competitor,
    scenario: Scenario,
    round: usize,
    row: &mut Row,
    digests: &mut BTreeMap<usize, Option<String>>,
) -> Fallible<()> {
    let kind = one.tool.kind;
    let note = format!("round {round}");
    scenario.prepare(&ground.plan, &one.site, kind, &note)?;
    let before = Before::of(&ground.plan, &one.site, kind);
    let args = args(scenario, kind, ground.processors);
    let cost = measure(&one.invocation(args), ground.limit)?;
    if let Some(trouble) = trouble(&cost, one, ground) {
        drop_out(one, row, &trouble)?;
        return Ok(());
    }
    if kind.is_larder() && matches!(scenario, Scenario::Noop | Scenario::SessionNoop) {
        row.state_files = Some(state_files(&one.site, &before));
    }
    let wanted = digests
        .entry(if scenario.edits_each_round() {
            round
        } else {
            0
        })
        .or_default();
    let log = fs::read(one.site.logs.join("run.log"))?;
    let ran = kind.ran(&String::from_utf8_lossy(&log));
    if scenario == Scenario::SessionNoop && row.state_files != Some(0) {
        return Err("session-noop: a run wrote state although nothing changed".into());
    }
    match scenario.judge(&ground.plan, &one.site, kind, &before, ran, wanted) {
        Finding::AsClaimed => {}
        Finding::Expected(words) => note_once(row, words),
        Finding::Wrong(words) if kind.is_larder() => {
            return Err(format!("{}, round {round}: {words}", scenario.name()).into());
        }
        Finding::Wrong(words) => note_once(row, &format!("not as claimed: {words}")),
    }
    if kind.is_larder() && scenario != Scenario::SessionNoop {
        row.hit_ratio = Account::read(&one.site.root)?.hit_ratio();
    }
    row.runs.push(cost);
    one.built = scenario != Scenario::Digest;
    Ok(())
}

/// What a tool is asked for.
pub(crate) fn args(scenario: Scenario, kind: Kind, processors: usize) -> Vec<OsString> {
    if scenario == Scenario::Digest {
        return ["run", ".#digest"].map(OsString::from).into();
    }
    kind.args(processors)
}

fn note_once(row: &mut Row, words: &str) {
    if !row.notes.iter().any(|note| note == words) {
        row.notes.push(words.to_owned());
    }
}

/// Why a run cannot count, if it cannot.
fn trouble(cost: &Cost, one: &Competitor, ground: &Ground) -> Option<String> {
    if cost.over_limit {
        return Some(format!("took more than {} s", ground.limit.as_secs()));
    }
    if cost.exit == Some(0) {
        return None;
    }
    let log = fs::read(one.site.logs.join("run.log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let told = log.lines().filter(|line| !line.trim().is_empty());
    let last: Vec<&str> = told.rev().take(3).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Some(format!("failed: {}", last.join(" / ")))
}

/// A peer that fails is left out from then on; Larder's failing ends the session.
fn drop_out(one: &mut Competitor, row: &mut Row, trouble: &str) -> Fallible<()> {
    if one.tool.kind.is_larder() {
        return Err(format!("larder {trouble}; see {}", one.site.logs.display()).into());
    }
    eprintln!("bench: {} {trouble}", one.tool.kind.name());
    row.notes.push(trouble.to_owned());
    one.out = Some(format!("left out: {trouble}"));
    Ok(())
}

/// Unmeasured runs before the first measured one: a built tree, read once, and a run that finds it so.
fn warm_up(ground: &Ground, one: &mut Competitor, scenario: Scenario) -> Fallible<()> {
    if one.out.is_some() {
        return Ok(());
    }
    if !scenario.needs_built() {
        one.site.warm(&ground.plan)?;
        return Ok(());
    }
    if !one.built {
        one.site.warm(&ground.plan)?;
        Scenario::Cold.prepare(&ground.plan, &one.site, one.tool.kind, "")?;
        unmeasured(ground, one)?;
        one.built = true;
    }
    if scenario == Scenario::SessionNoop {
        start_session(ground, one)?;
        // What it was told before the tree was built is looked at once more.
        unmeasured(ground, one)?;
    }
    unmeasured(ground, one)
}

fn start_session(ground: &Ground, one: &Competitor) -> Fallible<()> {
    let args = ["session", "start"].map(OsString::from).into();
    let cost = measure(&one.invocation(args), ground.limit)?;
    if cost.exit == Some(0) {
        return Ok(());
    }
    let told = fs::read_to_string(one.site.logs.join("run.log"))?;
    Err(format!("the background session does not start: {told}").into())
}

fn unmeasured(ground: &Ground, one: &mut Competitor) -> Fallible<()> {
    if one.out.is_some() {
        return Ok(());
    }
    let args = one.tool.kind.args(ground.processors);
    let cost = measure(&one.invocation(args), ground.limit)?;
    if let Some(trouble) = trouble(&cost, one, ground) {
        drop_out(one, &mut Row::default(), &trouble)?;
    }
    Ok(())
}

fn reference_round(ground: &Ground, site: &Site, reference: Reference) -> Fallible<Cost> {
    reference.prepare(&ground.plan, site)?;
    let run = reference.invocation(site, &ground.programs, ground.processors)?;
    let cost = measure(&run, ground.limit)?;
    if cost.exit == Some(0) {
        return Ok(cost);
    }
    let words = fs::read(&run.log).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).into_owned();
    Err(format!("{} failed: {words}", reference.name(&ground.programs)).into())
}

/// The scenarios in which one process of Larder's goes on: a session, and a watch.
fn in_one_process(ground: &Ground, one: &mut Competitor, scenario: Scenario) -> Fallible<Vec<Row>> {
    warm_up(ground, one, scenario)?;
    let before = one.site.stamps(&ground.plan);
    let rows = if scenario == Scenario::Warm {
        let warm = Warm {
            program: &ground.library,
            site: &one.site,
            task: "build",
            tasks: ground.plan.projects.len(),
            processors: ground.processors,
            limit: ground.limit,
        };
        warm::rows(&warm, ground.iterations)?
    } else {
        let latency = Latency {
            program: &one.tool.program,
            site: &one.site,
            task: "build",
            processors: ground.processors,
            limit: ground.limit,
        };
        vec![latency::row(&latency, ground.iterations)?]
    };
    if one.site.stamps(&ground.plan) != before {
        return Err(format!("{}: outputs were written again", scenario.name()).into());
    }
    Ok(rows)
}

/// Larder against itself: the same tasks one at a time and as many as there are processors.
fn one_against_many(
    ground: &Ground,
    competitors: &[Competitor],
    scenario: Scenario,
    around: Around,
) -> Fallible<Vec<Row>> {
    let larder = &competitors[0].tool;
    let site = Site::at(&ground.folder.join(scenario.name()));
    for folder in [&site.home, &site.logs] {
        fs::create_dir_all(folder)?;
    }
    around.write(ground.plan.size, ground.plan.seed, &site.root)?;
    let many = ground.processors.max(2);
    let mut rows: Vec<Row> = [1, many]
        .map(|at_once| new_row(scenario, &format!("{at_once} at once")))
        .into();
    for _ in 0..ground.iterations {
        for (at_once, row) in [1, many].into_iter().zip(&mut rows) {
            let text = format!("run {} --force --concurrency {at_once}", around.request());
            let run = Invocation {
                program: larder.program.clone(),
                args: text.split(' ').map(OsString::from).collect(),
                cwd: site.root.clone(),
                env: site.environment(),
                log: site.logs.join("run.log"),
            };
            let cost = measure(&run, ground.limit)?;
            let account = Account::read(&site.root)?;
            if cost.exit != Some(0) {
                return Err(
                    format!("{} failed; see {}", scenario.name(), run.log.display()).into(),
                );
            }
            account.claims("ran", around.tasks(ground.plan.size))?;
            row.runs.push(cost);
        }
    }
    Ok(rows)
}

/// Ends what tools left running.
pub(crate) fn leave(competitors: &[Competitor]) {
    for one in competitors {
        one.tool.kind.leave(&one.tool, &one.site.root);
    }
}
