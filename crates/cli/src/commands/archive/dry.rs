//! `larder archive upload --dry`: what an upload would do, without doing it.
//! Does not measure anything and asks no gate.

use std::fmt::Write as _;

use larder_archive::repos::{Action, PushPlan, PushStep};
use larder_archive::{Archive, EntryId, Regressions};
use serde_json::{Value, json};

use crate::args::ArchiveArgs;
use crate::args::archive::UploadArgs;
use crate::execute::exit;
use crate::session::Session;

use super::super::cache::size;
use super::super::{Outcome, Usage, print};
use super::collect::{self, Collected};
use super::repositories::Foreseen;
use super::upload::{asked_for, since_the_run};
use super::{assemble, repositories, told};

pub(super) fn dry(
    session: &Session<'_>,
    archive: &Archive,
    args: &ArchiveArgs,
    asked: &UploadArgs,
) -> Outcome {
    let settings = &session.workspace.settings.archive;
    let mut collected = collect::collect(session, archive.root(), asked_for(asked, settings))
        .map_err(Usage::new)?;
    // As long as that of the entry will be.
    let id = EntryId::random(assemble::now()).map_err(|error| super::failed(&error))?;
    let foreseen = match repositories::foresee(&session.root, &settings.git, id) {
        Ok(mut foreseen) if foreseen.any => match since_the_run(session, &collected) {
            Ok(found) => {
                collected.findings.extend(found);
                foreseen
            }
            Err(trouble) => {
                foreseen.refused = foreseen.refused.or(Some(trouble.why));
                foreseen
            }
        },
        other => other.map_err(Usage::new)?,
    };
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
            "commits": foreseen.commits.iter().map(|path| repositories::shown(path)).collect::<Vec<_>>(),
            "git_tag": settings.git.tag,
            "refused": foreseen.refused,
            "pushes": plan_values(foreseen.pushes.as_ref().filter(|_| foreseen.refused.is_none())),
            "tag_pushes": plan_values(foreseen.tags.as_ref().filter(|_| foreseen.refused.is_none())),
            "mirrors": mirrors,
        });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = plan_of_entry(session, archive, &collected, asked);
    text.push_str(&plan_of_repositories(
        &foreseen,
        settings.git.tag.as_deref(),
    ));
    // Writing to a string cannot fail.
    for mirror in mirrors {
        let _ = writeln!(text, "mirror    {mirror}");
    }
    print(&text)?;
    Ok(exit::SUCCESS)
}

fn plan_of_repositories(foreseen: &Foreseen, tag: Option<&str>) -> String {
    let mut text = String::new();
    let mut lines = |head: &str, lines: &str| {
        for (at, line) in lines.lines().enumerate() {
            let head = if at == 0 { head } else { "" };
            let _ = writeln!(text, "{head:<9} {line}");
        }
    };
    for path in &foreseen.commits {
        lines("commit", repositories::shown(path));
    }
    if let Some(why) = &foreseen.refused {
        lines("fails", why);
        return text;
    }
    let mut blocked = false;
    if let Some(pushes) = &foreseen.pushes {
        lines("push", &pushes.to_string());
        blocked = pushes.is_blocked();
    }
    if let Some(tag) = tag {
        if blocked {
            lines("git tag", "none, since not all can be pushed");
        } else {
            lines("git tag", tag);
        }
    }
    if let Some(tags) = &foreseen.tags {
        lines("", &tags.to_string());
    }
    text
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
    let settings = &session.workspace.settings.archive;
    let gates = &settings.gates;
    let tasks = gates.tasks.iter().map(|task| format!("task {task}"));
    let tiers = gates.all_green.iter().map(|tier| format!("tier {tier}"));
    let metrics = gates.metrics.keys().map(|name| format!("metric {name}"));
    let timing = (gates.timing_regressions == Regressions::Reject).then(|| "timing".to_owned());
    let validators = &settings.validators;
    let required = (!validators.required_files.is_empty()).then_some("required-files");
    let budget = validators.size_budget.is_some() || !validators.file_budgets.is_empty();
    let budget = budget.then_some("size-budget");
    let own = validators.commands.keys().map(String::as_str);
    let validators = required.into_iter().chain(budget).chain(own);
    tasks
        .chain(tiers)
        .chain(metrics)
        .chain(timing)
        .chain(validators.map(|name| format!("validator {name}")))
        .collect()
}

fn plan_values(plan: Option<&PushPlan>) -> Vec<Value> {
    let Some(plan) = plan else {
        return Vec::new();
    };
    let steps = plan.steps.iter().enumerate();
    steps
        .map(|(at, step)| push_value(step, &plan.blocked_within(at)))
        .collect()
}

fn push_value(step: &PushStep, blocked: &[&str]) -> Value {
    let path = repositories::shown(&step.path);
    match &step.action {
        Action::Push { .. } if !blocked.is_empty() => {
            json!({ "path": path, "action": "hold", "because": blocked })
        }
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
