//! The shape of a fixture as data: its projects, their dependencies, and every file with its size.
//! It writes nothing, and does not know what a file holds.

use std::collections::BTreeSet;

use super::random::Random;

/// How large a fixture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// What the command line calls it.
    pub(crate) name: &'static str,
    /// Tasks, one a project.
    pub(crate) tasks: usize,
    /// Files that are inputs of some task.
    pub(crate) files: usize,
    /// How many of them are huge.
    pub(crate) huge: usize,
    /// Bytes of a huge file.
    pub(crate) huge_bytes: usize,
    /// Files in ignored dependency trees; no inputs, and not among `files`.
    pub(crate) ignored: usize,
}

/// The fixtures.
pub(crate) const SIZES: &[Size] = &[
    Size {
        name: "small",
        tasks: 20,
        files: 400,
        huge: 1,
        huge_bytes: 1 << 20,
        ignored: 200,
    },
    Size {
        name: "medium",
        tasks: 100,
        files: 10_000,
        huge: 3,
        huge_bytes: 4 << 20,
        ignored: 3_000,
    },
    Size {
        name: "large",
        tasks: 1_000,
        files: 100_000,
        huge: 8,
        huge_bytes: 16 << 20,
        ignored: 30_000,
    },
];

/// Files of a project that are neither under `src` nor left out of its inputs.
pub(crate) const PROJECT_FILES: &[&str] =
    &["build.list", "moon.yml", "package.json", "vite.config.ts"];

/// The files that each project has under `src` at least: one beside the copied ones, one copied.
const LEAST_SOURCES: usize = 2;

const AREAS: &[&str] = &["core", "lib", "ui", "service", "app"];
const WORDS: &[&str] = &[
    "account", "auth", "batch", "billing", "button", "cache", "chart", "client", "codec", "config",
    "cursor", "dialog", "editor", "event", "export", "filter", "form", "grid", "handler", "image",
    "index", "layout", "ledger", "list", "locale", "logger", "map", "menu", "model", "notify",
    "order", "parser", "payment", "policy", "query", "queue", "render", "report", "router",
    "schema", "search", "session", "socket", "store", "stream", "table", "theme", "token", "trace",
    "view",
];
const EXTENSIONS: &[&str] = &[
    "ts", "ts", "ts", "ts", "css", "json", "md", "svg", "ts", "tsx",
];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Relative to the project, `/`-separated.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: usize,
}

/// One project, with the one task `build`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// The name of its folder, unlike any other's.
    pub(crate) name: String,
    /// Its folder, relative to the root: three deep.
    pub(crate) folder: String,
    /// The projects it depends on, by number; all lower than its own.
    pub(crate) dependencies: Vec<usize>,
    /// Files under `src`, sorted.
    pub(crate) sources: Vec<File>,
    /// Files in a dependency tree of its own, which is ignored.
    pub(crate) ignored: Vec<File>,
}

/// A whole fixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Which one.
    pub(crate) size: Size,
    /// What it was made from.
    pub(crate) seed: u64,
    /// Its projects; dependencies come first.
    pub(crate) projects: Vec<Project>,
    /// Files in the ignored dependency tree of the root.
    pub(crate) ignored: Vec<File>,
}

/// Folder of the copied sources, below `src`.
pub(crate) const PUBLIC: &str = "src/public/";
/// Folder of generated sources.
const GENERATED: &str = "src/generated/";

impl Plan {
    /// The fixture of a size and seed; always the same.
    pub(crate) fn new(size: Size, seed: u64) -> Plan {
        let mut random = Random::new(seed, 1);
        let counts = source_counts(size, &mut random);
        let every = (size.tasks / 10).max(1);
        let nested = size.ignored / 40;
        let mut projects: Vec<Project> = Vec::with_capacity(size.tasks);
        for (number, count) in counts.into_iter().enumerate() {
            let area = AREAS[number * AREAS.len() / size.tasks];
            let name = format!("{}-{number:04}", random.pick(WORDS));
            let mut own = Random::new(seed, 1000 + number as u64);
            let has_tree = number % every == every / 2;
            projects.push(Project {
                folder: format!("packages/{area}/{name}"),
                name,
                dependencies: dependencies(number, &mut random),
                sources: sources(count, &mut own),
                ignored: dependency_tree(if has_tree { nested } else { 0 }, &mut own),
            });
        }
        // Huge files are never copied: what they cost is reading and hashing them.
        for huge in 0..size.huge {
            let at = (2 * huge + 1) * size.tasks / (2 * size.huge);
            let plain = projects[at]
                .sources
                .iter_mut()
                .find(|file| !file.path.starts_with(PUBLIC));
            if let Some(file) = plain {
                file.bytes = size.huge_bytes;
            }
        }
        let inside: usize = projects.iter().map(|project| project.ignored.len()).sum();
        let ignored = dependency_tree(size.ignored - inside, &mut random);
        Plan {
            size,
            seed,
            projects,
            ignored,
        }
    }

    /// Every project that depends on this one, directly or not, without itself.
    pub(crate) fn dependents(&self, project: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([project]);
        for (number, other) in self.projects.iter().enumerate().skip(project + 1) {
            if other.dependencies.iter().any(|on| found.contains(on)) {
                found.insert(number);
            }
        }
        found.remove(&project);
        found
    }

    /// The project in the middle: of those that something depends on, the one with the median number
    /// of dependents. With it, the file in the middle of its sources, relative to the root.
    pub(crate) fn middle(&self) -> (usize, String) {
        let mut reach: Vec<(usize, usize)> = (0..self.projects.len())
            .map(|number| (self.dependents(number).len(), number))
            .filter(|(dependents, _)| *dependents > 0)
            .collect();
        reach.sort_unstable();
        let number = reach.get(reach.len() / 2).map_or(0, |(_, number)| *number);
        let project = &self.projects[number];
        let file = &project.sources[project.sources.len() / 2];
        (number, format!("{}/{}", project.folder, file.path))
    }

    /// All inputs of a project, relative to its folder.
    pub(crate) fn inputs(project: &Project) -> impl Iterator<Item = &str> {
        let sources = project.sources.iter().map(|file| file.path.as_str());
        PROJECT_FILES.iter().copied().chain(sources)
    }

    /// All outputs of a project, relative to its folder.
    pub(crate) fn outputs(project: &Project) -> impl Iterator<Item = String> {
        let copied = project
            .sources
            .iter()
            .filter_map(|file| file.path.strip_prefix(PUBLIC))
            .map(|path| format!("dist/public/{path}"));
        ["dist/index.txt", "dist/bundle.txt"]
            .map(str::to_owned)
            .into_iter()
            .chain(copied)
    }
}

/// How many files each project has under `src`: a few have many.
fn source_counts(size: Size, random: &mut Random) -> Vec<usize> {
    let least = LEAST_SOURCES;
    let rest = size.files - size.tasks * (PROJECT_FILES.len() + least);
    // Pareto-like: 1/u with u in (0, 1], bounded so that no project has more than a few percent.
    let weights: Vec<usize> = (0..size.tasks)
        .map(|_| 100_000 / (1000 + random.below(20_000)))
        .collect();
    let total: usize = weights.iter().sum();
    let mut counts: Vec<usize> = weights
        .iter()
        .map(|weight| least + rest * weight / total)
        .collect();
    let given: usize = counts.iter().sum();
    let missing = rest + size.tasks * least - given;
    // Rounding down took less than one from each.
    for count in counts.iter_mut().take(missing) {
        *count += 1;
    }
    counts
}

/// What a project depends on: mostly few, and often the same few old ones.
fn dependencies(number: usize, random: &mut Random) -> Vec<usize> {
    const HOW_MANY: &[usize] = &[0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6];
    let many = HOW_MANY[random.below(HOW_MANY.len())].min(number);
    let mut drawn = BTreeSet::new();
    for _ in 0..many {
        // Half of all dependencies are on the few that nearly everything rests on.
        let least_of = [3, 60][random.below(2)];
        drawn.insert(random.low(number, least_of));
    }
    drawn.into_iter().collect()
}

/// The files under `src`: of ten, two are copied and one is generated.
fn sources(count: usize, random: &mut Random) -> Vec<File> {
    let plain = folders("src/", count / 10, random);
    let public = folders(PUBLIC, count / 35, random);
    let generated = folders(GENERATED, count / 70, random);
    let mut files: Vec<File> = (0..count)
        .map(|number| {
            let (folders, times) = match number % 10 {
                1 | 6 => (&public, 1),
                3 => (&generated, 3),
                _ => (&plain, 1),
            };
            let folder = &folders[random.below(folders.len())];
            let (word, extension) = (random.pick(WORDS), random.pick(EXTENSIONS));
            File {
                path: format!("{folder}{word}_{number}.{extension}"),
                bytes: bytes(random) * times,
            }
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// A folder and others that grow out of it and of each other.
fn folders(root: &str, more: usize, random: &mut Random) -> Vec<String> {
    const DEEPEST: usize = 9;
    let mut folders = vec![root.to_owned()];
    for number in 0..more {
        // Mostly out of the newest, so that paths get deep.
        let above = &folders[folders.len() - 1 - random.low(folders.len(), 2)];
        let deep = above.matches('/').count() >= DEEPEST;
        let above = if deep { root } else { above };
        folders.push(format!("{above}{}{number}/", random.pick(WORDS)));
    }
    folders
}

/// The size of a file: half lie below 1 KiB, and one in 64 above 32 KiB.
fn bytes(random: &mut Random) -> usize {
    // A geometric choice of the magnitude, then anything within it.
    let magnitude = 512 << random.next().trailing_ones().min(8);
    magnitude + random.below(magnitude)
}

/// What a package manager would have put into `node_modules`.
fn dependency_tree(count: usize, random: &mut Random) -> Vec<File> {
    let package = |number: usize| number / 23;
    (0..count)
        .map(|number| {
            let depth = ["", "lib/", "lib/internal/", "dist/esm/util/"][random.below(4)];
            File {
                path: format!(
                    "node_modules/dependency-{:04}/{depth}{}_{number}.js",
                    package(number),
                    random.pick(WORDS)
                ),
                bytes: bytes(random),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_as_promised() {
        for size in SIZES {
            let plan = Plan::new(*size, 1);
            assert_eq!(plan.projects.len(), size.tasks, "{}", size.name);
            let inputs: usize = plan.projects.iter().map(|p| Plan::inputs(p).count()).sum();
            assert_eq!(inputs, size.files, "{}", size.name);
            let nested: usize = plan.projects.iter().map(|p| p.ignored.len()).sum();
            assert_eq!(nested + plan.ignored.len(), size.ignored, "{}", size.name);
            assert!(nested > 0, "{}", size.name);
            let huge = plan
                .projects
                .iter()
                .flat_map(|p| &p.sources)
                .filter(|file| file.bytes == size.huge_bytes);
            assert_eq!(huge.count(), size.huge, "{}", size.name);
        }
    }

    #[test]
    fn no_path_and_no_name_is_there_twice() {
        let plan = Plan::new(SIZES[1], 3);
        let names: BTreeSet<_> = plan.projects.iter().map(|p| &p.name).collect();
        assert_eq!(names.len(), plan.projects.len());
        for project in &plan.projects {
            let paths: BTreeSet<_> = project.sources.iter().map(|file| &file.path).collect();
            assert_eq!(paths.len(), project.sources.len(), "{}", project.name);
            assert!(project.sources.iter().any(|f| f.path.starts_with(PUBLIC)));
        }
    }

    #[test]
    fn the_shape_is_skewed() {
        let plan = Plan::new(SIZES[2], 1);
        let mut fan_in = vec![0_usize; plan.projects.len()];
        let mut deepest = 0;
        for project in &plan.projects {
            for on in &project.dependencies {
                fan_in[*on] += 1;
            }
            for file in &project.sources {
                deepest = deepest.max(file.path.matches('/').count());
            }
        }
        fan_in.sort_unstable();
        assert!(fan_in[fan_in.len() / 2] <= 1, "most are used once at most");
        assert!(fan_in[fan_in.len() - 1] > 50, "a few by very many");
        assert!(deepest >= 8, "{deepest}");
        let mut counts: Vec<_> = plan.projects.iter().map(|p| p.sources.len()).collect();
        counts.sort_unstable();
        assert!(counts[counts.len() - 1] > 6 * counts[counts.len() / 2]);
        let mut sizes: Vec<_> = plan
            .projects
            .iter()
            .flat_map(|p| p.sources.iter().map(|file| file.bytes))
            .collect();
        sizes.sort_unstable();
        assert!(sizes[sizes.len() / 2] < 2048);
        assert!(sizes[sizes.len() * 99 / 100] > 8192);
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_gives_another() {
        assert_eq!(Plan::new(SIZES[0], 5), Plan::new(SIZES[0], 5));
        assert_ne!(Plan::new(SIZES[0], 5), Plan::new(SIZES[0], 6));
    }

    #[test]
    fn dependents_are_found_through_others() {
        let mut plan = Plan::new(SIZES[0], 1);
        for project in &mut plan.projects {
            project.dependencies.clear();
        }
        plan.projects[3].dependencies = vec![1];
        plan.projects[7].dependencies = vec![3];
        assert_eq!(plan.dependents(1), BTreeSet::from([3, 7]));
        assert_eq!(plan.dependents(7), BTreeSet::new());
    }
}
