//! `larder ls` and `larder graph`: what there is.
//! Does not judge or run anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use larder_graph::{Graph, NodeId};
use serde_json::json;

use crate::args::{GraphArgs, GraphFormat, LsArgs, Reuse, Selection};
use crate::config::{DepKind, Glob, Workspace};
use crate::execute::exit;
use crate::plan::{Plan, task_id};
use crate::select;
use crate::select::prune::LeftOut;
use crate::session::Session;

use super::explain::chunk;
use super::{
    Context, Outcome, Usage, left_out_line, print, pruned, pruned_with_chunks, say, selected,
};

mod chunks;

/// How many of the tasks that are left out are named to people; JSON has all.
const LEFT_OUT: usize = 20;

pub(super) fn list(context: &Context<'_>, args: &LsArgs) -> Outcome {
    let root = context.root()?;
    let workspace = context.workspace(&root)?;
    let mut chosen = selected(&workspace, &root, &args.selection)?;
    let listed: BTreeSet<usize> = (0..workspace.tasks.len())
        .filter(|&task| chosen.contains(&workspace.tasks[task].project))
        .collect();
    let mut by_task: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let filtered = !args.selection.graph_filter.is_empty();
    let (kept, left_out) = if !filtered && !args.chunks {
        (listed, Vec::new())
    } else {
        // Only what is listed is filtered; a task in between still leads from one to the other.
        let plan = Plan::new(&workspace, listed, true)?;
        let plan = if args.chunks || names_chunks(&args.selection) {
            context.with_session(None, &Reuse::default(), |session| {
                let plan = pruned_with_chunks(session, plan, &args.selection, false)?;
                for &task in plan.nodes.keys().filter(|_| args.chunks) {
                    let chunks = chunks::of(session, &plan, task).map_err(Usage::new)?;
                    by_task.insert(task, chunks);
                }
                Ok(plan)
            })?
        } else {
            pruned(&workspace, plan, &args.selection)?
        };
        let kept: BTreeSet<usize> = plan.nodes.into_keys().collect();
        chosen.retain(|project| {
            let of_it = |&task: &usize| workspace.tasks[task].project == *project;
            !filtered || kept.iter().any(of_it)
        });
        (kept, plan.left_out)
    };
    let tasks_of = |project: usize| {
        let tasks = kept.iter().map(|&task| (task, &workspace.tasks[task]));
        tasks.filter(move |(_, task)| task.project == project)
    };
    if args.json {
        let projects: Vec<_> = chosen
            .iter()
            .map(|&index| {
                let project = &workspace.projects[index];
                let mut told = json!({
                    "name": project.name,
                    "folder": workspace.folder_of(index),
                    "depends_on": project.depends_on.iter().map(|&at| &workspace.projects[at].name).collect::<Vec<_>>(),
                    "tasks": tasks_of(index).map(|(_, task)| &task.name).collect::<Vec<_>>(),
                });
                if args.chunks {
                    let of_chunks = tasks_of(index).filter(|(_, task)| task.foreach.is_some());
                    let of_chunks = of_chunks.map(|(at, task)| (&task.name, &by_task[&at]));
                    told["chunks"] = json!(of_chunks.collect::<BTreeMap<_, _>>());
                }
                told
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
        for (at, task) in tasks_of(index) {
            let kind = match (&task.command, &task.foreach) {
                (None, _) => "  (group)".to_owned(),
                (Some(_), Some(foreach)) => format!("  (foreach {})", shown(&foreach.sources)),
                (Some(_), None) => String::new(),
            };
            let _ = writeln!(text, "  {}{kind}", task.name);
            for within in by_task.get(&at).into_iter().flatten() {
                let _ = writeln!(text, "    {within}");
            }
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
    let of_chunk = |word: &String| chunk::split(&workspace, word).is_some();
    let around = args.tasks.iter().any(of_chunk);
    let requested: BTreeSet<usize> = if args.tasks.is_empty() || around {
        (0..workspace.tasks.len())
            .filter(|&task| chosen.contains(&workspace.tasks[task].project))
            .collect()
    } else {
        select::tasks(&workspace, &args.tasks, &chosen).map_err(Usage::new)?
    };
    let plan = Plan::new(&workspace, requested, false)?;
    let with_chunks = args.chunks || around;
    let format = if args.json {
        GraphFormat::Json
    } else {
        args.format
    };
    let text = if with_chunks || names_chunks(&args.selection) {
        context.with_session(None, &Reuse::default(), |session| {
            let plan = pruned_with_chunks(session, plan, &args.selection, false)?;
            let workspace = &session.workspace;
            if !with_chunks {
                return Ok(of_tasks(workspace, &plan, format));
            }
            let label = |from, to, kind: &DepKind| label(workspace, &plan, from, to, *kind);
            let mut named = chunks::graph(session, &plan, &label).map_err(Usage::new)?;
            if around {
                let meant = meant(session, &args.tasks, &chosen)?;
                chunks::around(&mut named, &meant);
            }
            let edge = |_, _, label: &Option<String>| label.clone();
            Ok(rendered(
                &named,
                |_, name| name.clone(),
                edge,
                format,
                &plan.left_out,
            ))
        })?
    } else {
        let plan = pruned(&workspace, plan, &args.selection)?;
        of_tasks(&workspace, &plan, format)
    };
    print(&format!("{}\n", text.trim_end()))?;
    Ok(exit::SUCCESS)
}

/// Whether a graph filter may name chunks.
fn names_chunks(selection: &Selection) -> bool {
    selection.graph_filter.iter().any(|item| item.contains('['))
}

/// The full names of the tasks and chunks that some words mean.
fn meant(
    session: &Session<'_>,
    words: &[String],
    projects: &BTreeSet<usize>,
) -> Result<BTreeSet<String>, Usage> {
    let workspace = &session.workspace;
    let mut names = BTreeSet::new();
    for word in words {
        let split = chunk::split(workspace, word);
        let of_task = split.map_or(word.as_str(), |(task, _)| task).to_owned();
        let tasks = select::tasks(workspace, &[of_task], projects).map_err(Usage::new)?;
        for task in tasks {
            let id = task_id(workspace, task);
            names.insert(match split {
                Some((_, within)) => {
                    chunk::source(session, task, within)?;
                    format!("{id}[{within}]")
                }
                None => id,
            });
        }
    }
    Ok(names)
}

fn of_tasks(workspace: &Workspace, plan: &Plan, format: GraphFormat) -> String {
    let name = |_, task: &usize| task_id(workspace, *task);
    let edge = |from, to, kind: &DepKind| label(workspace, plan, from, to, *kind);
    rendered(&plan.graph, name, edge, format, &plan.left_out)
}

/// What is written at an edge between tasks.
fn label(
    workspace: &Workspace,
    plan: &Plan,
    from: NodeId,
    to: NodeId,
    kind: DepKind,
) -> Option<String> {
    match kind {
        DepKind::Needs { .. } if plan.partial && !needs(workspace, plan, from, to) => {
            Some("by way of left out".to_owned())
        }
        DepKind::Needs { .. } => None,
        DepKind::After => Some("after".to_owned()),
        DepKind::AfterAll => Some("after-all".to_owned()),
    }
}

/// A graph as it is printed, with what was left out of it.
fn rendered<N, E>(
    graph: &Graph<N, E>,
    name: impl Fn(NodeId, &N) -> String,
    edge: impl Fn(NodeId, NodeId, &E) -> Option<String>,
    format: GraphFormat,
    left_out: &[LeftOut],
) -> String {
    match format {
        GraphFormat::Dot => larder_graph::to_dot(graph, name, edge) + &comments("//", left_out),
        GraphFormat::Mermaid => {
            larder_graph::to_mermaid(graph, name, edge) + &comments("%%", left_out)
        }
        GraphFormat::Json => with_left_out(larder_graph::to_json(graph, name, edge), left_out),
    }
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
