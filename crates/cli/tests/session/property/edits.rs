//! Random edits: as data, so that each can be done to several copies of a workspace alike.
//! Does not know what they lead to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::super::random::Random;
use super::build::{File, Files, put, set_executable};
use super::world::World;

/// One thing that is done to a disk.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Write(String, File),
    /// As an editor saves: a draft takes the place of the file.
    Save(String, File),
    Remove(String),
    Rename(String, String),
    Mode(String, bool),
    /// Somebody alters an output, or removes it.
    Spoil(String, bool),
}

/// The topmost of the folders above a path that is not there.
fn missing(root: &Path, path: &str) -> Option<String> {
    let mut found = None;
    for (end, _) in path.rmatch_indices('/') {
        if root.join(&path[..end]).exists() {
            break;
        }
        found = Some(path[..end].to_owned());
    }
    found
}

/// Removes the folders above a path that are empty now; the topmost that went.
fn prune(root: &Path, path: &str) -> Option<String> {
    let ends = path.rmatch_indices('/');
    let gone = ends.take_while(|(end, _)| fs::remove_dir(root.join(&path[..*end])).is_ok());
    gone.last().map(|(end, _)| path[..end].to_owned())
}

impl Edit {
    /// Does it, and says which paths it touched.
    pub(super) fn apply(&self, root: &Path, touched: &mut BTreeSet<String>) {
        let at = |path: &String| root.join(path);
        match self {
            Edit::Write(path, file) => {
                touched.extend(missing(root, path));
                put(&at(path), file);
                touched.insert(path.clone());
            }
            Edit::Save(path, file) => {
                touched.extend(missing(root, path));
                let draft = format!("{path}~");
                put(&at(&draft), file);
                fs::rename(at(&draft), at(path)).unwrap();
                touched.extend([draft, path.clone()]);
            }
            Edit::Remove(path) => {
                fs::remove_file(at(path)).unwrap();
                touched.insert(path.clone());
                touched.extend(prune(root, path));
            }
            Edit::Rename(from, to) => {
                touched.extend(missing(root, to));
                fs::create_dir_all(at(to).parent().unwrap()).unwrap();
                fs::rename(at(from), at(to)).unwrap();
                touched.extend([from.clone(), to.clone()]);
                touched.extend(prune(root, from));
            }
            Edit::Mode(path, executable) => {
                set_executable(&at(path), *executable);
                touched.insert(path.clone());
            }
            Edit::Spoil(path, remove) => {
                let spoilt = if *remove {
                    fs::remove_file(at(path))
                } else {
                    fs::write(at(path), "spoilt")
                };
                // The edits before this one may have taken it away with its folder.
                if spoilt.is_ok() {
                    touched.insert(path.clone());
                }
            }
        }
    }
}

/// What makes one set of files of another, as a change of branches does.
pub(super) fn difference(from: &Files, to: &Files) -> Vec<Edit> {
    let gone = from.keys().filter(|path| !to.contains_key(*path));
    let gone = gone.map(|path| Edit::Remove(path.clone()));
    let new = to
        .iter()
        .filter(|(path, file)| from.get(*path) != Some(file));
    let new = new.map(|(path, file)| Edit::Write(path.clone(), file.clone()));
    gone.chain(new).collect()
}

/// Files that come and go in a project; `src/a.c` is always there.
const FILES: [&str; 11] = [
    "src/a.c",
    "src/b.c",
    "src/d/c.c",
    "src/d/e/f.c",
    "src/g.in",
    "src/d/h.in",
    "src/d/n.md",
    "notes.md",
    "run.log",
    "flags",
    "deep/er/file",
];

const RULES: [&str; 2] = [
    "gen/\nobj/\npack.txt\n*.d\n",
    "gen/\nobj/\npack.txt\n*.d\n*.log\n",
];

fn file(random: &mut Random) -> File {
    let (first, second) = (random.below(3), random.below(3));
    let executable = random.below(8) == 0;
    (
        executable,
        format!("{first} text {}\nline {second}\n", random.below(2)),
    )
}

/// One random edit of a world: what is done to disks for it. `made` are outputs, `branches` other states of the world.
pub(super) fn edit(
    random: &mut Random,
    world: &mut World,
    made: &[String],
    branches: &mut Vec<World>,
) -> Vec<Edit> {
    let at = random.below(world.projects.len());
    let path = format!("p{at}/{}", FILES[random.below(FILES.len())]);
    let before = world.files();
    match random.below(22) {
        0..=6 => {
            let new = file(random);
            world.sources.insert(path.clone(), new.clone());
            vec![match random.below(3) {
                0 => Edit::Save(path, new),
                _ => Edit::Write(path, new),
            }]
        }
        7 | 8 => {
            if path.ends_with("src/a.c") || world.sources.remove(&path).is_none() {
                return Vec::new();
            }
            vec![Edit::Remove(path)]
        }
        9 => rename_file(random, world, path),
        10 => {
            let pairs = [
                ("src/d", "src/x"),
                ("src/x", "src/d"),
                ("deep", "src/d/deep"),
            ];
            let (from, to) = pairs[random.below(3)];
            rename_folder(world, &format!("p{at}/{from}"), &format!("p{at}/{to}"))
        }
        11 => match world.sources.get_mut(&path) {
            Some(file) => {
                file.0 = !file.0;
                vec![Edit::Mode(path, file.0)]
            }
            None => Vec::new(),
        },
        12 => match world.sources.get(&path) {
            // Written again as it was.
            Some(file) => vec![Edit::Write(path, file.clone())],
            None => Vec::new(),
        },
        13 | 14 => {
            configure(random, world, at);
            difference(&before, &world.files())
        }
        15 => {
            let (path, text) = match random.below(5) {
                0 => ("lock".to_owned(), format!("{}\n", random.below(3))),
                1 => (
                    format!("p{at}/.gitignore"),
                    RULES[random.below(2)].to_owned(),
                ),
                2 => (
                    ".gitignore".to_owned(),
                    ["*.log\n", "\n"][random.below(2)].to_owned(),
                ),
                _ => (
                    format!("inc/h{}", random.below(3)),
                    format!("header {}\n", random.below(3)),
                ),
            };
            world.sources.insert(path.clone(), (false, text.clone()));
            vec![Edit::Write(path, (false, text))]
        }
        16 | 17 => {
            if branches.len() < 3 {
                branches.push(world.clone());
            }
            let other = random.below(branches.len());
            std::mem::swap(world, &mut branches[other]);
            difference(&before, &world.files())
        }
        _ => {
            if made.is_empty() {
                return Vec::new();
            }
            vec![Edit::Spoil(
                made[random.below(made.len())].clone(),
                random.below(6) > 0,
            )]
        }
    }
}

fn rename_file(random: &mut Random, world: &mut World, from: String) -> Vec<Edit> {
    let other = random.below(world.projects.len());
    let to = format!("p{other}/{}", FILES[random.below(FILES.len())]);
    if from.ends_with("src/a.c") || from == to {
        return Vec::new();
    }
    let Some(file) = world.sources.remove(&from) else {
        return Vec::new();
    };
    world.sources.insert(to.clone(), file);
    vec![Edit::Rename(from, to)]
}

fn rename_folder(world: &mut World, from: &str, to: &str) -> Vec<Edit> {
    let inside = |folder: &str, path: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let all = || world.sources.keys();
    if all().any(|path| inside(to, path)) || !all().any(|path| inside(from, path)) {
        return Vec::new();
    }
    let moved = |(path, file): (String, File)| match path.strip_prefix(from) {
        Some(rest) if rest.starts_with('/') => (format!("{to}{rest}"), file),
        _ => (path, file),
    };
    world.sources = std::mem::take(&mut world.sources)
        .into_iter()
        .map(moved)
        .collect();
    vec![Edit::Rename(from.to_owned(), to.to_owned())]
}

fn configure(random: &mut Random, world: &mut World, at: usize) {
    let project = &mut world.projects[at];
    match random.below(5) {
        0 => project.salts[random.below(3)] = random.below(3),
        1 => project.inputs = ["all", "flat", "no-notes"][random.below(3)],
        2 => project.chains = !project.chains,
        3 => project.flags = !project.flags,
        _ if at > 0 => {
            let need = random.below(at);
            if !project.needs.remove(&need) {
                project.needs.insert(need);
            }
        }
        _ => {}
    }
}
