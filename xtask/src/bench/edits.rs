//! Which sources a scenario edits, and which tasks have to run after it: the model that runs are held against.
//! It touches no disk.

use std::collections::BTreeSet;

use super::plan::Plan;
use super::random::Random;

/// Edits of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edits {
    /// The edited sources, relative to the root.
    pub(crate) files: Vec<String>,
    /// The projects whose task has to run: those that were edited and all that depend on them. Every source goes
    /// into what its task makes, so nothing cuts that short.
    pub(crate) tasks: BTreeSet<usize>,
}

impl Edits {
    /// The file in the middle, see [`Plan::middle`].
    pub(crate) fn middle(plan: &Plan) -> Edits {
        let (project, file) = plan.middle();
        Edits {
            files: vec![file],
            tasks: reached(plan, &BTreeSet::from([project])),
        }
    }

    /// One of twenty sources. As with a branch that somebody merged, they lie together: projects are drawn, and of
    /// each every second source is edited, until there are enough.
    pub(crate) fn twentieth(plan: &Plan) -> Edits {
        let all: usize = plan.projects.iter().map(|p| p.sources.len()).sum();
        let enough = all.div_ceil(20);
        let mut random = Random::new(plan.seed, 2);
        let mut drawn = BTreeSet::new();
        let mut files = Vec::with_capacity(enough);
        while files.len() < enough {
            let number = random.below(plan.projects.len());
            if !drawn.insert(number) {
                continue;
            }
            let project = &plan.projects[number];
            let sources = project.sources.iter().step_by(2);
            let paths = sources.map(|file| format!("{}/{}", project.folder, file.path));
            files.extend(paths.take(enough - files.len()));
        }
        Edits {
            files,
            tasks: reached(plan, &drawn),
        }
    }
}

/// The projects and all that depend on one of them, directly or not.
fn reached(plan: &Plan, projects: &BTreeSet<usize>) -> BTreeSet<usize> {
    let dependents = projects.iter().flat_map(|one| plan.dependents(*one));
    dependents.chain(projects.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::SIZES;
    use super::*;

    #[test]
    fn one_of_twenty_sources_is_edited_and_not_all_tasks_are_reached() {
        for size in SIZES {
            let plan = Plan::new(*size, 1);
            let edits = Edits::twentieth(&plan);
            let all: usize = plan.projects.iter().map(|p| p.sources.len()).sum();
            assert_eq!(edits.files.len(), all.div_ceil(20), "{}", size.name);
            let unlike: BTreeSet<_> = edits.files.iter().collect();
            assert_eq!(unlike.len(), edits.files.len(), "{}", size.name);
            assert!(edits.tasks.len() < size.tasks, "{}", size.name);
        }
    }

    #[test]
    fn every_edited_project_and_its_dependents_are_in_the_model() {
        let plan = Plan::new(SIZES[1], 1);
        let edits = Edits::twentieth(&plan);
        for (number, project) in plan.projects.iter().enumerate() {
            let folder = format!("{}/", project.folder);
            let edited = edits.files.iter().any(|file| file.starts_with(&folder));
            let led = project.dependencies.iter();
            let behind = led.clone().any(|on| edits.tasks.contains(on));
            assert_eq!(edits.tasks.contains(&number), edited || behind, "{folder}");
        }
        assert_eq!(Edits::middle(&plan).files, [plan.middle().1]);
    }
}
