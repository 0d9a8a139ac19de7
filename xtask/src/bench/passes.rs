//! Passes beside the measured runs, each with one question: system calls, allocations, instructions, and where the time goes.
//! It does not measure time.

use std::ffi::OsString;
use std::fs;

use super::counting;
use super::instructions;
use super::measure::{Invocation, measure};
use super::results::Row;
use super::rounds::{Competitor, Fallible, Ground, args};
use super::scenario::Scenario;
use super::tools::Kind;

/// All passes that a tool has in a scenario.
pub(crate) fn all(
    ground: &Ground,
    one: &Competitor,
    scenario: Scenario,
    row: &mut Row,
) -> Fallible<()> {
    calls(ground, one, scenario, row)?;
    // What counts allocations is built of this revision, and only it is drawn.
    if one.tool.kind == Kind::Larder {
        allocations(ground, one, scenario, row)?;
        draw(ground, one, scenario)?;
    }
    if one.tool.kind.is_larder() {
        instructions(ground, one, scenario, row)?;
    }
    Ok(())
}

/// System calls: of Larder and ninja in all scenarios, of others in a no-op.
fn calls(ground: &Ground, one: &Competitor, scenario: Scenario, row: &mut Row) -> Fallible<()> {
    let kind = one.tool.kind;
    let traced = kind.is_larder() || kind == Kind::Ninja || scenario == Scenario::Noop;
    if let Some(strace) = ground.strace.as_ref().filter(|_| traced) {
        scenario.prepare(&ground.plan, &one.site, kind, "counted calls")?;
        let table = one.site.logs.join("strace.txt");
        let mut all: Vec<OsString> = ["-f", "-qq", "-c", "-o"].map(OsString::from).into();
        all.push(table.clone().into());
        all.push(one.tool.program.clone().into());
        all.extend(args(scenario, kind, ground.processors));
        let run = Invocation {
            program: strace.clone(),
            ..one.invocation(all)
        };
        let cost = measure(&run, ground.limit * 10)?;
        if cost.exit == Some(0) {
            row.calls = counting::parse_strace(&fs::read_to_string(table)?);
        }
    }
    Ok(())
}

fn allocations(
    ground: &Ground,
    one: &Competitor,
    scenario: Scenario,
    row: &mut Row,
) -> Fallible<()> {
    let kind = one.tool.kind;
    scenario.prepare(&ground.plan, &one.site, kind, "counted allocations")?;
    let result = one.site.logs.join("allocations.json");
    let mut all = vec![OsString::from("bench-counted"), result.clone().into()];
    all.push("--".into());
    all.extend(args(scenario, kind, ground.processors));
    let run = Invocation {
        program: std::env::current_exe()?,
        ..one.invocation(all)
    };
    let cost = measure(&run, ground.limit * 10)?;
    if cost.exit != Some(0) {
        return Err(format!("the counted run of {} failed", scenario.name()).into());
    }
    row.allocations = Some(serde_json::from_slice(&fs::read(result)?)?);
    Ok(())
}

/// Instructions of the process itself: of runs with one thread.
fn instructions(
    ground: &Ground,
    one: &Competitor,
    scenario: Scenario,
    row: &mut Row,
) -> Fallible<()> {
    let Some(callgrind) = &ground.callgrind else {
        return Ok(());
    };
    let out = one.site.logs.join("callgrind.out");
    // The first of them asks for what nobody asked for before, so it is not counted.
    for run in 0..=instructions::RUNS {
        let note = format!("counted instructions {run}");
        scenario.prepare(&ground.plan, &one.site, one.tool.kind, &note)?;
        let invocation = one.invocation(args(scenario, one.tool.kind, 1));
        let counted = callgrind.around(invocation, &out);
        let cost = measure(&counted, ground.limit * 10)?;
        if cost.exit != Some(0) {
            let told = fs::read_to_string(&counted.log).unwrap_or_default();
            return Err(format!("callgrind failed in {}: {told}", scenario.name()).into());
        }
        let count = instructions::parse(&fs::read_to_string(&out)?);
        let count = count.ok_or("callgrind wrote no sum")?;
        if run > 0 {
            row.instructions.push(count);
        }
    }
    Ok(())
}

/// A drawing of one run, or of many where one is too short.
fn draw(ground: &Ground, one: &Competitor, scenario: Scenario) -> Fallible<()> {
    let Some(profiler) = &ground.profiler else {
        return Ok(());
    };
    let times = match scenario {
        Scenario::Noop | Scenario::SessionNoop => 50,
        _ => 1,
    };
    scenario.prepare(&ground.plan, &one.site, one.tool.kind, "drawn")?;
    let run = one.invocation(args(scenario, one.tool.kind, ground.processors));
    let path = profiler.draw(scenario.name(), run, times, ground.limit)?;
    eprintln!("bench: {}", path.display());
    Ok(())
}
