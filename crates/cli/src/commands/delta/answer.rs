//! What `larder cache apply-delta` says of what it did, to people and as JSON.
//! Does not apply anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use larder_cache::{Delta, Restored, UnitDelta};
use serde_json::json;

use crate::execute::exit;
use crate::session::Session;
use crate::session::tree::lossy;

use super::super::cache::size;
use super::super::{Outcome, print, say};
use super::extra;

/// The version of what `--json` prints.
const VERSION: u32 = 1;
/// The exit code when something was refused.
const REFUSED: u8 = 1;

/// So many units of a task are named where words are for people.
const NAMED: usize = 10;

/// What came of a unit.
pub(super) struct Told {
    pub(super) name: String,
    task: String,
    status: &'static str,
    why: Option<String>,
    /// Added, changed and removed outputs.
    counts: [usize; 3],
}

/// Tells of a unit: it is `applied`, `unchanged`, `differs` or was `refused`.
pub(super) fn tell(unit: &UnitDelta, status: &'static str, why: Option<&str>) -> Told {
    Told {
        name: unit.name.clone(),
        task: extra::task(unit).to_owned(),
        status,
        why: why.map(str::to_owned),
        counts: [unit.added.len(), unit.changed.len(), unit.removed.len()],
    }
}

/// The answer when nothing was applied.
pub(super) fn refused(session: &Session<'_>, as_json: bool, message: &str) -> Outcome {
    for warning in session.warnings() {
        say(&format!("warning: {warning}"));
    }
    if as_json {
        let error = json!({ "version": VERSION, "exit_code": REFUSED, "error": { "kind": "delta", "message": message } });
        print(&format!("{error:#}\n"))?;
    }
    say(&format!("larder: {message}"));
    Ok(REFUSED)
}

/// The answer when the delta was applied, if not all of it.
pub(super) fn done(
    session: &Session<'_>,
    as_json: bool,
    delta: &Delta,
    restored: &Restored,
    told: &[Told],
) -> Outcome {
    let code = if told
        .iter()
        .any(|unit| matches!(unit.status, "refused" | "differs"))
    {
        REFUSED
    } else {
        exit::SUCCESS
    };
    let place = |to: &PathBuf| {
        let to = to.strip_prefix(&session.root).unwrap_or(to);
        to.display().to_string()
    };
    for warning in session.warnings() {
        say(&format!("warning: {warning}"));
    }
    for (path, to) in &restored.rescued {
        say(&format!(
            "warning: {} was not as the delta knows it: the file was rescued to {}",
            lossy(path),
            place(to)
        ));
    }
    if as_json {
        let units: Vec<_> = told
            .iter()
            .map(|unit| json!({ "name": unit.name, "status": unit.status, "why": unit.why, "added": unit.counts[0], "changed": unit.counts[1], "removed": unit.counts[2] }))
            .collect();
        let rescued: Vec<_> = restored
            .rescued
            .iter()
            .map(|(path, to)| json!({ "path": lossy(path), "to": place(to) }))
            .collect();
        let left_out: Vec<_> = delta
            .left_out
            .iter()
            .map(|left| json!({ "name": left.name, "why": left.why }))
            .collect();
        let value = json!({ "version": VERSION, "exit_code": code, "error": null, "units": units, "left_out": left_out, "written": restored.written.len(), "deleted": restored.deleted.len(), "bytes": restored.bytes, "rescued": rescued });
        print(&format!("{value:#}\n"))?;
    } else {
        print(&text(delta, restored, told))?;
    }
    Ok(code)
}

fn text(delta: &Delta, restored: &Restored, told: &[Told]) -> String {
    let (added, changed, removed) = delta.counts();
    let mut text = format!(
        "the delta has {added} added, {changed} changed and {removed} removed outputs: {} written, {}, and {} deleted\n",
        restored.written.len(),
        size(restored.bytes),
        restored.deleted.len()
    );
    // Writing to a string cannot fail.
    let mut by_task: BTreeMap<&str, Vec<(&Told, &str)>> = BTreeMap::new();
    for unit in told {
        if let ("refused" | "differs", Some(why)) = (unit.status, &unit.why) {
            by_task.entry(&unit.task).or_default().push((unit, why));
        }
    }
    for (task, units) in by_task {
        for (unit, why) in units.iter().take(NAMED) {
            let what = match unit.status {
                "refused" => "was left alone",
                _ => "is not what was built",
            };
            let _ = writeln!(text, "  {} {what}: {why}", unit.name);
        }
        if units.len() > NAMED {
            let more = units.len() - NAMED;
            let _ = writeln!(text, "  and {more} more of {task} (`--json` names all)");
        }
        if units.iter().any(|(unit, _)| unit.status == "differs") {
            let _ = writeln!(text, "    `larder run {task}` makes it right");
        }
    }
    for left in &delta.left_out {
        let _ = writeln!(text, "  {} is not part of it: {}", left.name, left.why);
    }
    text
}
