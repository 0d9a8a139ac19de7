//! The two small workspaces that show what runs at once: hooks around a task, and ten projects.
//! It measures nothing.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::content;
use super::plan::{File, Size};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// One task with hooks before and after it.
    Hooks,
    /// Ten projects that need nothing of each other.
    Projects,
}

/// Bytes that each task compresses: about a tenth of a second's work.
const BYTES: usize = 4 << 20;

impl Around {
    /// The task to ask for.
    pub(crate) fn request(self) -> &'static str {
        match self {
            Around::Hooks => "main",
            Around::Projects => "build",
        }
    }

    /// How many tasks a run has.
    pub(crate) fn tasks(self, size: Size) -> usize {
        match self {
            Around::Hooks => 2 * hooks(size) + 1,
            Around::Projects => 10,
        }
    }

    /// Writes the workspace.
    pub(crate) fn write(self, size: Size, seed: u64, root: &Path) -> io::Result<()> {
        fs::create_dir_all(root)?;
        match self {
            Around::Hooks => {
                fs::write(root.join("data.txt"), text(seed, "data.txt"))?;
                fs::write(root.join("larder.toml"), hooks_workspace(hooks(size)))
            }
            Around::Projects => {
                for number in 0..10 {
                    let folder = root.join(format!("project{number}"));
                    fs::create_dir_all(folder.join("src"))?;
                    let place = format!("project{number}/src/data.txt");
                    fs::write(folder.join("src/data.txt"), text(seed, &place))?;
                }
                fs::write(root.join("larder.toml"), PROJECTS)
            }
        }
    }
}

const PROJECTS: &str = "[workspace]\nprojects = [\"project*\"]\n\n[tasks.build]\n\
     command = \"mkdir -p dist && gzip -6nc src/data.txt > dist/data.gz\"\noutputs = [\"dist/data.gz\"]\n";

/// Hooks on each side of the task.
fn hooks(size: Size) -> usize {
    match size.tasks {
        0..=20 => 4,
        21..=100 => 8,
        _ => 16,
    }
}

fn hooks_workspace(many: usize) -> String {
    let names = |side: &str| {
        let names: Vec<String> = (0..many).map(|n| format!("\"{side}{n}\"")).collect();
        names.join(", ")
    };
    let mut toml = format!(
        "[workspace]\nprojects = [\".\"]\n\n[tasks.main]\ncommand = \"cksum data.txt > main.sum\"\n\
         inputs = [\"data.txt\"]\noutputs = [\"main.sum\"]\nbefore = [{}]\nafter = [{}]\n",
        names("before"),
        names("after")
    );
    for side in ["before", "after"] {
        for number in 0..many {
            let _ = write!(
                toml,
                "\n[tasks.{side}{number}]\ncommand = \"mkdir -p out && gzip -6nc data.txt > out/{side}{number}.gz\"\n\
                 inputs = [\"data.txt\"]\noutputs = [\"out/{side}{number}.gz\"]\n"
            );
        }
    }
    toml
}

fn text(seed: u64, place: &str) -> Vec<u8> {
    let file = File {
        path: place.to_owned(),
        bytes: BYTES,
    };
    content::bytes(&file, seed, place)
}

#[cfg(test)]
mod tests {
    use super::super::plan::SIZES;
    use super::*;

    #[test]
    fn the_workspaces_have_as_many_tasks_as_they_say() {
        for size in SIZES {
            let toml = hooks_workspace(hooks(*size));
            assert_eq!(
                toml.matches("\n[tasks.").count(),
                Around::Hooks.tasks(*size)
            );
        }
        let folder = tempfile::tempdir().unwrap();
        Around::Projects.write(SIZES[0], 1, folder.path()).unwrap();
        let projects = fs::read_dir(folder.path()).unwrap().count() - 1;
        assert_eq!(projects, Around::Projects.tasks(SIZES[0]));
    }
}
