//! `larder ls` and `larder graph`: what there is.
//! Does not judge or run anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;

use crate::args::{GraphArgs, GraphFormat, LsArgs};
use crate::config::{DepKind, Glob};
use crate::execute::exit;
use crate::plan::{Plan, task_id};
use crate::select;

use super::{Context, Outcome, Usage, print, selected};

pub(super) fn list(context: &Context<'_>, args: &LsArgs) -> Outcome {
    let root = context.root()?;
    let workspace = context.workspace(&root)?;
    let chosen = selected(&workspace, &root, &args.selection)?;
    let tasks_of = |project: usize| {
        workspace
            .tasks
            .iter()
            .filter(move |task| task.project == project)
    };
    if args.json {
        let projects: Vec<_> = chosen
            .iter()
            .map(|&index| {
                let project = &workspace.projects[index];
                json!({
                    "name": project.name,
                    "folder": workspace.folder_of(index),
                    "depends_on": project.depends_on.iter().map(|&at| &workspace.projects[at].name).collect::<Vec<_>>(),
                    "tasks": tasks_of(index).map(|task| &task.name).collect::<Vec<_>>(),
                })
            })
            .collect();
        print(&format!("{:#}\n", json!({ "projects": projects })))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = String::new();
    for &index in &chosen {
        let project = &workspace.projects[index];
        let folder = workspace.folder_of(index);
        let place = if folder.is_empty() || folder == project.name.as_str() {
            String::new()
        } else {
            format!("  ({folder})")
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}{place}", project.name);
        for task in tasks_of(index) {
            let kind = match (&task.command, &task.foreach) {
                (None, _) => "  (group)".to_owned(),
                (Some(_), Some(foreach)) => format!("  (foreach {})", shown(&foreach.sources)),
                (Some(_), None) => String::new(),
            };
            let _ = writeln!(text, "  {}{kind}", task.name);
        }
    }
    print(&text)?;
    Ok(exit::SUCCESS)
}

/// Globs as they are written.
fn shown(globs: &[Glob]) -> String {
    let text = |glob: &Glob| {
        let mark = if glob.negated { "!" } else { "" };
        let root = if glob.from_root { "$ROOT$/" } else { "" };
        format!("{mark}{root}{}", glob.glob)
    };
    globs.iter().map(text).collect::<Vec<_>>().join(" ")
}

pub(super) fn graph(context: &Context<'_>, args: &GraphArgs) -> Outcome {
    let root = context.root()?;
    let workspace = context.workspace(&root)?;
    let chosen = selected(&workspace, &root, &args.selection)?;
    let requested: BTreeSet<usize> = if args.tasks.is_empty() {
        (0..workspace.tasks.len())
            .filter(|&task| chosen.contains(&workspace.tasks[task].project))
            .collect()
    } else {
        select::tasks(&workspace, &args.tasks, &chosen).map_err(Usage::new)?
    };
    let plan = Plan::new(&workspace, requested, false)?;
    let label = |_, task: &usize| task_id(&workspace, *task);
    let edge = |_, _, kind: &DepKind| match kind {
        DepKind::Needs { .. } => None,
        DepKind::After => Some("after".to_owned()),
        DepKind::AfterAll => Some("after-all".to_owned()),
    };
    let format = if args.json {
        GraphFormat::Json
    } else {
        args.format
    };
    let text = match format {
        GraphFormat::Dot => larder_graph::to_dot(&plan.graph, label, edge),
        GraphFormat::Mermaid => larder_graph::to_mermaid(&plan.graph, label, edge),
        GraphFormat::Json => larder_graph::to_json(&plan.graph, label, edge),
    };
    print(&format!("{}\n", text.trim_end()))?;
    Ok(exit::SUCCESS)
}
