//! Prunes the graph of a request by a graph filter, and says by which rule each task was left out.
//! Does not know the command line, nor what a run does without these tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use larder_graph::{Direction, Graph, NodeId, NodeSet, Prune};
use serde::Serialize;

use crate::config::{DepKind, Workspace};
use crate::plan::{self, Plan};

use super::graph_filter::{Chosen, GraphFilter, Pattern};
use super::{hint, nearest};

/// Why a graph filter, though it can be read, cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// An item that matches no task of the workspace can only be a slip.
    #[error("the graph filter `{item}` matches no {what} of this workspace{}\n  `larder ls{}` lists all {what}s", hint(.nearest.as_ref()), if *.what == "chunk" { " --chunks" } else { "" })]
    NoMatch {
        /// As typed.
        item: String,
        /// `task` or `chunk`.
        what: &'static str,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// Nothing would be left.
    #[error(
        "the graph filter leaves nothing of the {tasks} that {}: {rules}\n  `larder graph TASK…` shows what there is to choose from", if *.one { "was asked for" } else { "were asked for" }
    )]
    NothingLeft {
        /// Their number with its noun.
        tasks: String,
        /// Whether it is a single one.
        one: bool,
        /// By which rules.
        rules: String,
    },
}

/// A task that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// `project#task`.
    pub task: String,
    /// The rule, in words.
    pub rule: Rule,
}

/// By which rule a task was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An item that begins with `!` names it.
    Excluded(String),
    /// It is a dependency, but too many steps away.
    Beyond(usize),
    /// Only tasks that were left out lead to it.
    Behind,
    /// No item names it, nor does what they name lead to it.
    Unmatched(Vec<String>),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Excluded(item) => write!(f, "`{item}` leaves it out"),
            Rule::Beyond(depth) => write!(f, "it lies deeper than `depth={depth}`"),
            Rule::Behind => f.write_str("only tasks that are left out lead to it"),
            Rule::Unmatched(items) => {
                let items: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
                write!(
                    f,
                    "neither named by {} nor reached from there",
                    items.join(", ")
                )
            }
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The graph of a request as the filter sees it.
pub struct Request<'a> {
    /// Tasks and what they need.
    pub graph: &'a Graph<usize, DepKind>,
    /// The tasks that were asked for.
    pub requested: &'a BTreeSet<usize>,
    /// The full name of a task.
    pub id: &'a dyn Fn(usize) -> String,
    /// Whether a task has chunks.
    pub has_chunks: &'a dyn Fn(usize) -> bool,
    /// The hooks that follow a task when it succeeded.
    pub followers: &'a dyn Fn(usize) -> Vec<usize>,
    /// The hooks that follow everything.
    pub after_all: &'a [usize],
}

/// What is kept of a request, and the rule of each task that is not. Nothing is added to it.
///
/// The walk begins at the tasks that the patterns name, or at the requested ones; goes `up` to dependents; and from all
/// these down to dependencies, as deep as is said. Hooks come along with what they follow.
pub fn prune(request: &Request<'_>, filter: &GraphFilter) -> (BTreeSet<usize>, Vec<LeftOut>) {
    let ids: BTreeMap<usize, String> = (request.graph.nodes())
        .map(|(_, &task)| (task, (request.id)(task)))
        .collect();
    let excluded: BTreeMap<usize, &Pattern> = ids
        .iter()
        .filter_map(|(&task, id)| Some((task, filter.excluding(id)?)))
        .collect();
    let starts = starts(request, filter, &ids);
    let reached = |excludes: bool, depth: Option<usize>| {
        let out = |task: usize| excludes && excluded.contains_key(&task);
        reached(request, filter, &starts, &out, depth)
    };
    let depth = filter.depth.flatten();
    let kept = reached(true, depth);
    let deeper = depth.map(|depth| (depth, reached(true, None)));
    let behind = reached(false, None);
    let rule = |task: usize| {
        if let Some(pattern) = excluded.get(&task) {
            return Rule::Excluded(pattern.item.clone());
        }
        match &deeper {
            Some((depth, deeper)) if deeper.contains(&task) => Rule::Beyond(*depth),
            _ if behind.contains(&task) => Rule::Behind,
            _ => Rule::Unmatched(
                filter
                    .include
                    .iter()
                    .map(|pattern| pattern.item.clone())
                    .collect(),
            ),
        }
    };
    let mut left_out: Vec<LeftOut> = ids
        .iter()
        .filter(|(task, _)| !kept.contains(task))
        .map(|(&task, id)| LeftOut {
            task: id.clone(),
            rule: rule(task),
        })
        .collect();
    left_out.sort_by(|a, b| a.task.cmp(&b.task));
    (kept, left_out)
}

/// The tasks to begin with.
fn starts(
    request: &Request<'_>,
    filter: &GraphFilter,
    ids: &BTreeMap<usize, String>,
) -> BTreeSet<usize> {
    if filter.include.is_empty() {
        return request.requested.clone();
    }
    let named = ids.iter().filter(|(task, id)| {
        filter.includes(id) || ((request.has_chunks)(**task) && filter.names_chunks_of(id))
    });
    named.map(|(&task, _)| task).collect()
}

fn reached(
    request: &Request<'_>,
    filter: &GraphFilter,
    starts: &BTreeSet<usize>,
    out: &dyn Fn(usize) -> bool,
    depth: Option<usize>,
) -> BTreeSet<usize> {
    let up = filter.up.unwrap_or(Some(0));
    let starts = walk(request, starts, out, Direction::Dependents, up);
    with_hooks(request, starts, out, depth)
}

/// Of which tasks that are `kept` only some chunks are meant: of those that are there for nothing but chunks that are named,
/// and those that have some left out.
pub fn chosen(
    request: &Request<'_>,
    filter: &GraphFilter,
    kept: &BTreeSet<usize>,
) -> BTreeMap<usize, Chosen> {
    let ids: BTreeMap<usize, String> = (request.graph.nodes())
        .map(|(_, &task)| (task, (request.id)(task)))
        .collect();
    let starts = starts(request, filter, &ids);
    let out = |task: usize| filter.excluding(&ids[&task]).is_some();
    let named = |task: usize| {
        let id = &ids[&task];
        if filter.includes(id) || !filter.names_chunks_of(id) {
            return false;
        }
        let mut others = starts.clone();
        others.remove(&task);
        let others = reached(request, filter, &others, &out, filter.depth.flatten());
        !others.contains(&task)
    };
    let tasks = kept.iter().filter(|task| (request.has_chunks)(**task));
    tasks
        .filter_map(|&task| Some((task, filter.chosen(&ids[&task], named(task))?)))
        .collect()
}

/// The tasks that a walk along what tasks need reaches from `starts` within `depth` steps, without entering those that
/// are `out`.
fn walk(
    request: &Request<'_>,
    starts: &BTreeSet<usize>,
    out: &dyn Fn(usize) -> bool,
    direction: Direction,
    depth: Option<usize>,
) -> BTreeSet<usize> {
    let found: NodeSet = request.graph.select(&Prune {
        include: &|_, task| starts.contains(task),
        exclude: &|_, task| out(*task),
        follow: &|_, _, kind| matches!(kind, DepKind::Needs { .. }),
        direction,
        depth,
    });
    let task = |id: NodeId| request.graph.get(id).copied();
    found.iter().filter_map(task).collect()
}

/// What is reached downwards from `starts`, and from the hooks that follow any of it, until no hook is left.
fn with_hooks(
    request: &Request<'_>,
    mut starts: BTreeSet<usize>,
    out: &dyn Fn(usize) -> bool,
    depth: Option<usize>,
) -> BTreeSet<usize> {
    let present: BTreeSet<usize> = request.graph.nodes().map(|(_, &task)| task).collect();
    loop {
        let found = walk(request, &starts, out, Direction::Dependencies, depth);
        let last = if found.is_empty() {
            &[]
        } else {
            request.after_all
        };
        let hooks = found.iter().flat_map(|&task| (request.followers)(task));
        let hooks: Vec<usize> = hooks
            .chain(last.iter().copied())
            .filter(|hook| present.contains(hook) && !out(*hook))
            .collect();
        let known = starts.len();
        starts.extend(hooks);
        if starts.len() == known {
            return found;
        }
    }
}

/// Prunes a plan. `may_be_empty` says that nothing was perhaps asked for, so that nothing may be left.
///
/// # Errors
/// When an item matches nothing in the workspace, or nothing is left.
pub fn plan(
    workspace: &Workspace,
    plan: Plan,
    filter: &GraphFilter,
    may_be_empty: bool,
) -> Result<Plan, FilterError> {
    let patterns = filter.include.iter().chain(&filter.exclude);
    for pattern in patterns {
        check(workspace, pattern)?;
    }
    if filter.is_empty() {
        return Ok(plan);
    }
    let followers = plan::followers(workspace);
    let request = Request {
        graph: &plan.graph,
        requested: &plan.requested,
        id: &|task| plan::task_id(workspace, task),
        has_chunks: &|task| workspace.tasks[task].foreach.is_some(),
        followers: &|task| followers[task].clone(),
        after_all: &workspace.after_all,
    };
    let (kept, left_out) = prune(&request, filter);
    let chunks = chosen(&request, filter, &kept);
    if kept.is_empty() && !left_out.is_empty() && !may_be_empty {
        let rules: BTreeSet<&Rule> = left_out.iter().map(|left_out| &left_out.rule).collect();
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        let one = left_out.len() == 1;
        return Err(FilterError::NothingLeft {
            tasks: format!("{} task{}", left_out.len(), if one { "" } else { "s" }),
            one,
            rules: rules.join("; "),
        });
    }
    Ok(Plan {
        left_out,
        chunks,
        ..plan.keep(workspace, &kept)
    })
}

/// The full names of a task's chunks, and whether a run may make more of them.
pub type Chunks = (Vec<String>, bool);

/// Refuses patterns that name chunks of which there are none; `chunks` tells those of a task. Where a run may make some, the
/// task itself refuses the pattern when it is taken apart.
///
/// # Errors
/// Names the first such pattern, and the chunk that may be meant.
pub fn check_chunks<E: From<FilterError>>(
    workspace: &Workspace,
    plan: &mut Plan,
    filter: &GraphFilter,
    chunks: &dyn Fn(usize) -> Result<Chunks, E>,
) -> Result<(), E> {
    let mut known: BTreeMap<usize, Chunks> = BTreeMap::new();
    let patterns = filter.include.iter().chain(&filter.exclude);
    for pattern in patterns.filter(|pattern| pattern.of_chunks) {
        let has_some = |task: &usize| {
            let with_chunks = workspace.tasks[*task].foreach.is_some();
            with_chunks && pattern.means_chunks_of(&plan::task_id(workspace, *task))
        };
        let tasks: Vec<usize> = (0..workspace.tasks.len()).filter(has_some).collect();
        let (mut found, mut open) = (false, Vec::new());
        for &task in &tasks {
            if let std::collections::btree_map::Entry::Vacant(slot) = known.entry(task) {
                slot.insert(chunks(task)?);
            }
            let (names, more) = &known[&task];
            found |= names.iter().any(|name| pattern.matches(name));
            // What is not planned makes none.
            open.extend((*more && plan.chunks.contains_key(&task)).then_some(task));
        }
        if found {
            continue;
        }
        if open.is_empty() {
            let names = tasks.iter().flat_map(|task| &known[task].0);
            return Err(no_chunk(pattern, names.map(String::as_str)).into());
        }
        // Of several tasks, each may be the one that is meant.
        if let [task] = open.as_slice()
            && let Some(chosen) = plan.chunks.get_mut(task)
        {
            chosen.unproven.push(pattern.clone());
        }
    }
    Ok(())
}

/// The error of a pattern that matches none of these chunks.
pub fn no_chunk<'n>(pattern: &Pattern, names: impl Iterator<Item = &'n str>) -> FilterError {
    let item = pattern.item.strip_prefix('!');
    let nearest = nearest(item.unwrap_or(&pattern.item), names);
    let mark = if item.is_some() { "!" } else { "" };
    FilterError::NoMatch {
        item: pattern.item.clone(),
        what: "chunk",
        nearest: nearest.map(|name| format!("{mark}{name}")),
    }
}

/// Refuses a pattern that matches no task of the workspace.
fn check(workspace: &Workspace, pattern: &Pattern) -> Result<(), FilterError> {
    let means = |task: usize| {
        let id = plan::task_id(workspace, task);
        let with_chunks = workspace.tasks[task].foreach.is_some();
        pattern.matches(&id) || (with_chunks && pattern.means_chunks_of(&id))
    };
    if (0..workspace.tasks.len()).any(means) {
        return Ok(());
    }
    let what = if pattern.of_chunks { "chunk" } else { "task" };
    Err(FilterError::NoMatch {
        item: pattern.item.clone(),
        what,
        nearest: meant(workspace, pattern),
    })
}

/// What whoever wrote a pattern that matches nothing may have meant.
fn meant(workspace: &Workspace, pattern: &Pattern) -> Option<String> {
    let negated = if pattern.item.starts_with('!') {
        "!"
    } else {
        ""
    };
    let tasks = || {
        let tasks = workspace.tasks.iter();
        let tasks = tasks.filter(|task| !pattern.of_chunks || task.foreach.is_some());
        tasks.map(|task| task.name.as_str())
    };
    let projects = || {
        workspace
            .projects
            .iter()
            .map(|project| project.name.as_str())
    };
    let Some(task) = &pattern.task else {
        // A word alone is a project; who names a task means it everywhere.
        let everywhere = |name: String| format!("{negated}*#{name}");
        if tasks().any(|name| name == pattern.project) {
            return Some(everywhere(pattern.project.clone()));
        }
        let project = nearest(&pattern.project, projects());
        let project = project.map(|name| format!("{negated}{name}"));
        return project.or_else(|| nearest(&pattern.project, tasks()).map(everywhere));
    };
    let any_project = projects().any(|name| pattern.means_project(name));
    let project = if any_project {
        pattern.project.clone()
    } else {
        nearest(&pattern.project, projects())?
    };
    let known = tasks().any(|name| name == task);
    let task = if known {
        task.clone()
    } else {
        nearest(task, tasks()).unwrap_or_else(|| task.clone())
    };
    let chunk = pattern.item.find('[').filter(|_| pattern.of_chunks);
    let chunk = chunk.map_or("", |at| &pattern.item[at..]);
    let nearest = format!("{negated}{project}#{task}{chunk}");
    (nearest != pattern.item).then_some(nearest)
}

#[cfg(test)]
mod tests;
