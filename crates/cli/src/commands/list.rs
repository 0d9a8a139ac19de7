//! `larder ls` and `larder graph`: what there is.
//! Does not judge or run anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use larder_graph::NodeId;
use serde_json::json;

use crate::args::{GraphArgs, GraphFormat, LsArgs};
use crate::config::{DepKind, Glob, Workspace};
use crate::execute::exit;
use crate::plan::{Plan, task_id};
use crate::select;
use crate::select::prune::LeftOut;

use super::{Context, Outcome, Usage, left_out_line, print, pruned, say, selected};

/// How many of the tasks that are left out are named to people; JSON has all.
const LEFT_OUT: usize = 20;

pub(super) fn list(context: &Context<'_>, args: &LsArgs) -> Outcome {
    let root = context.root()?;
    let workspace = context.workspace(&root)?;
    let mut chosen = selected(&workspace, &root, &args.selection)?;
    let listed: BTreeSet<usize> = (0..workspace.tasks.len())
        .filter(|&task| chosen.contains(&workspace.tasks[task].project))
        .collect();
    let (kept, left_out) = if args.selection.graph_filter.is_empty() {
        (listed, Vec::new())
    } else {
        // Only what is listed is filtered; a task in between still leads from one to the other.
        let plan = Plan::new(&workspace, listed, true)?;
        let plan = pruned(&workspace, plan, &args.selection)?;
        let kept: BTreeSet<usize> = plan.nodes.into_keys().collect();
        chosen.retain(|project| {
            kept.iter()
                .any(|&task| workspace.tasks[task].project == *project)
        });
        (kept, plan.left_out)
    };
    let tasks_of = |project: usize| {
        let tasks = kept.iter().map(|&task| &workspace.tasks[task]);
        tasks.filter(move |task| task.project == project)
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
        let mut told = json!({ "projects": projects });
        if !left_out.is_empty() {
            told["left_out"] = json!(left_out);
        }
        print(&format!("{told:#}\n"))?;
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
    tell_left_out(&left_out, kept.len());
    Ok(exit::SUCCESS)
}

/// Says after a list what is not in it, and why.
fn tell_left_out(left_out: &[LeftOut], kept: usize) {
    if left_out.is_empty() {
        return;
    }
    say(&left_out_line(left_out, kept));
    for LeftOut { task, rule } in left_out.iter().take(LEFT_OUT) {
        say(&format!("  {task}: {rule}"));
    }
    if left_out.len() > LEFT_OUT {
        say(&format!(
            "  and {} more (`--json` names all)",
            left_out.len() - LEFT_OUT
        ));
    }
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
    let plan = pruned(&workspace, plan, &args.selection)?;
    let left_out = &plan.left_out;
    let label = |_, task: &usize| task_id(&workspace, *task);
    let edge = |from, to, kind: &DepKind| match kind {
        DepKind::Needs { .. } if plan.partial && !needs(&workspace, &plan, from, to) => {
            Some("by way of left out".to_owned())
        }
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
        GraphFormat::Dot => {
            larder_graph::to_dot(&plan.graph, label, edge) + &comments("//", left_out)
        }
        GraphFormat::Mermaid => {
            larder_graph::to_mermaid(&plan.graph, label, edge) + &comments("%%", left_out)
        }
        GraphFormat::Json => {
            with_left_out(larder_graph::to_json(&plan.graph, label, edge), left_out)
        }
    };
    print(&format!("{}\n", text.trim_end()))?;
    Ok(exit::SUCCESS)
}

/// Whether a task needs another by itself.
fn needs(workspace: &Workspace, plan: &Plan, from: NodeId, to: NodeId) -> bool {
    let (Some(&from), Some(&to)) = (plan.graph.get(from), plan.graph.get(to)) else {
        return false;
    };
    let mut deps = workspace.tasks[from].deps.iter();
    deps.any(|dep| dep.task == to && matches!(dep.kind, DepKind::Needs { .. }))
}

/// What was left out, a line of comment each.
fn comments(mark: &str, left_out: &[LeftOut]) -> String {
    let line = |LeftOut { task, rule }: &LeftOut| {
        let line = format!("{mark} left out {task}: {rule}");
        // A name with a line end in it would end the comment.
        line.replace(char::is_control, " ") + "\n"
    };
    left_out.iter().map(line).collect()
}

/// The graph as JSON with what was left out of it.
fn with_left_out(mut text: String, left_out: &[LeftOut]) -> String {
    if !left_out.is_empty() {
        // The text is an object, so its last character is its end.
        text.pop();
        // Writing to a string cannot fail.
        let _ = write!(text, ",\"left_out\":{}}}", json!(left_out));
    }
    text
}
