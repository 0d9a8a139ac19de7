//! Whether the files that a run read are still what they were: only then do the commits of now tell what was built.
//! Does not know any repository.

use std::collections::BTreeSet;

use larder_archive::{Finding, Manifests, Severity, TaskManifest};

use crate::plan::Plan;
use crate::session::Session;
use crate::session::run::Options;

use super::super::explain;
use super::manifests;

/// So many files are named.
const NAMED: usize = 5;

/// A warning for each task that would read other files now than it read in the run.
pub(super) fn changed(session: &Session<'_>, archived: &Manifests) -> Result<Vec<Finding>, String> {
    let workspace = &session.workspace;
    let all = 0..workspace.tasks.len();
    let asked = all.filter(|task| archived.tasks.contains_key(session.compiled.id(*task)));
    let asked: BTreeSet<usize> = asked.collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let plan = Plan::new(workspace, asked, false).map_err(|usage| usage.to_string())?;
    let mut findings = Vec::new();
    explain::look(session, &plan, &Options::plain(), |_, forecasts| {
        for forecast in forecasts {
            let Some(before) = archived.tasks.get(&forecast.id) else {
                continue;
            };
            let Some(now) = manifests::of_forecast(session, forecast, before) else {
                continue;
            };
            let files = others(before, &now);
            if !files.is_empty() {
                findings.push(Finding {
                    validator: "repo_commits".to_owned(),
                    severity: Severity::Warning,
                    message: format!(
                        "the commits are of now, and {} read other files: {}",
                        forecast.id,
                        words(&files)
                    ),
                });
            }
        }
        Ok(())
    })
    .map_err(|usage| usage.message)?;
    Ok(findings)
}

/// The files that differ; those of a git input as one.
fn others<'m>(before: &'m TaskManifest, now: &'m TaskManifest) -> BTreeSet<&'m str> {
    let mut others = BTreeSet::new();
    for path in before.inputs.keys().chain(now.inputs.keys()) {
        if before.inputs.get(path) != now.inputs.get(path) {
            others.insert(path.as_str());
        }
    }
    for name in before.parts.keys().chain(now.parts.keys()) {
        if let Some(path) = name.strip_prefix("git input ")
            && before.parts.get(name) != now.parts.get(name)
        {
            others.insert(path);
        }
    }
    others
}

fn words(files: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = files.iter().take(NAMED).copied().collect();
    let more = files.len().saturating_sub(NAMED);
    let named = named.join(", ");
    if more == 0 {
        named
    } else {
        format!("{named} and {more} more")
    }
}
