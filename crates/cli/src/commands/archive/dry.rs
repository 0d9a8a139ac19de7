//! `larder archive upload --dry`: what an upload would do, without doing it.
//! Does not measure anything and asks no gate.

use std::fmt::Write as _;

use larder_archive::Archive;
use larder_archive::repos::Action;
use serde_json::{Value, json};

use crate::args::ArchiveArgs;
use crate::args::archive::UploadArgs;
use crate::execute::exit;
use crate::session::Session;

use super::super::cache::size;
use super::super::{Outcome, Usage, print};
use super::collect::{self, Collected};
use super::upload::asked_for;
use super::{repositories, told};

pub(super) fn dry(
    session: &Session<'_>,
    archive: &Archive,
    args: &ArchiveArgs,
    asked: &UploadArgs,
) -> Outcome {
    let settings = &session.workspace.settings.archive;
    let collected = collect::collect(session, archive.root(), asked_for(asked, settings))
        .map_err(Usage::new)?;
    let root = &session.root;
    let commits = if settings.git.commit {
        let dirty = repositories::dirty(root).map_err(Usage::new)?;
        dirty.iter().map(|state| state.shown().to_owned()).collect()
    } else {
        Vec::new()
    };
    let mut pushes = Vec::new();
    let mut plan_text = String::new();
    if settings.git.push {
        let plan = repositories::plan(root, None).map_err(Usage::new)?;
        plan_text = plan.to_string();
        pushes = plan.steps.iter().map(push_value).collect();
    }
    let mirrors: Vec<&String> = settings.mirrors.keys().collect();
    if args.json {
        let artifacts: Vec<&str> = collected
            .artifacts
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let value = json!({
            "dry": true,
            "run": collected.run.summary().started,
            "archive": archive.root(),
            "artifacts": artifacts,
            "findings": collected.findings,
            "gates": gates(session, asked.no_gates),
            "tags": collected.asked.tags,
            "commits": commits,
            "git_tag": settings.git.tag,
            "pushes": pushes,
            "mirrors": mirrors,
        });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = plan_of_entry(session, archive, &collected, asked);
    // Writing to a string cannot fail.
    for path in commits {
        let _ = writeln!(text, "commit    {path}");
    }
    if let Some(tag) = &settings.git.tag {
        let _ = writeln!(text, "git tag   {tag}");
    }
    for (at, line) in plan_text.lines().enumerate() {
        let head = if at == 0 { "push" } else { "" };
        let _ = writeln!(text, "{head:<9} {line}");
    }
    for mirror in mirrors {
        let _ = writeln!(text, "mirror    {mirror}");
    }
    print(&text)?;
    Ok(exit::SUCCESS)
}

fn plan_of_entry(
    session: &Session<'_>,
    archive: &Archive,
    collected: &Collected,
    asked: &UploadArgs,
) -> String {
    let run = collected.run.summary();
    let bytes = collected.artifacts.iter().map(|one| one.size).sum();
    let mut text = format!(
        "run       {} of {}, exit code {}\n",
        run.request.join(" "),
        super::show::moment_text(&run.started),
        run.exit_code,
    );
    let _ = writeln!(text, "archive   {}", archive.root().display());
    let _ = writeln!(
        text,
        "keep      {}, {} ({})",
        told::tasks(run.tasks.len()),
        told::artifacts(collected.artifacts.len()),
        size(bytes)
    );
    for finding in &collected.findings {
        let _ = writeln!(text, "          {}", finding.message);
    }
    if !collected.asked.tags.is_empty() {
        let _ = writeln!(text, "tags      {}", collected.asked.tags.join(", "));
    }
    for gate in gates(session, asked.no_gates) {
        let _ = writeln!(text, "gate      {gate}");
    }
    text
}

/// The names of the gates that would be asked.
fn gates(session: &Session<'_>, left_out: bool) -> Vec<String> {
    if left_out {
        return Vec::new();
    }
    let gates = &session.workspace.settings.archive.gates;
    let tasks = gates.tasks.iter().map(|task| format!("task {task}"));
    let tiers = gates.all_green.iter().map(|tier| format!("tier {tier}"));
    let metrics = gates.metrics.keys().map(|name| format!("metric {name}"));
    tasks.chain(tiers).chain(metrics).collect()
}

fn push_value(step: &larder_archive::repos::PushStep) -> Value {
    let path = repositories::shown(&step.path);
    match &step.action {
        Action::Push {
            remote,
            refs,
            commits,
        } => {
            json!({ "path": path, "action": "push", "remote": remote, "refs": refs, "commits": commits })
        }
        Action::Skip(why) => json!({ "path": path, "action": "skip", "why": why.to_string() }),
        Action::Block(why) => json!({ "path": path, "action": "block", "why": why.to_string() }),
    }
}
