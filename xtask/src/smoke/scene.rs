//! The folders of a campaign and the programs it starts: a copy of the example's workspace, the trees beside it, the cache.
//! Knows nothing of the steps.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::record::Record;

/// Words by which `pip` tells that it reached nobody.
const NO_NETWORK: &[&str] = &[
    "connection broken by",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "Failed to establish a new connection",
];

/// The folders of a campaign.
pub(super) struct Scene {
    /// Where the archives stay between campaigns.
    archives: PathBuf,
    /// The folder that holds the workspace `smoke` and the repositories beside it.
    pub(super) work: PathBuf,
    /// The cache that runs use.
    pub(super) cache: PathBuf,
    program: PathBuf,
    /// The names of the repositories.
    pub(super) repositories: Vec<String>,
}

/// Whether the trees are there.
pub(super) enum Fetched {
    /// They are.
    Yes,
    /// They are not, and nobody was reached.
    NoNetwork(String),
}

impl Scene {
    /// Copies the example's workspace to a new `work` folder and commits it.
    pub(super) fn new(
        root: &Path,
        folder: &Path,
        program: PathBuf,
    ) -> Result<Scene, Box<dyn Error>> {
        let example = root.join("examples/smoke");
        let pinned = std::fs::read_to_string(example.join("requirements.txt"))?;
        let names = pinned.lines().filter_map(|line| line.split_once("=="));
        let scene = Scene {
            archives: folder.join("archives"),
            work: folder.join("work"),
            cache: folder.join("work/cache"),
            program,
            repositories: names.map(|(name, _)| name.to_owned()).collect(),
        };
        if scene.work.exists() {
            std::fs::remove_dir_all(&scene.work)?;
        }
        std::fs::create_dir_all(&scene.work)?;
        let workspace = scene.workspace();
        succeed(Command::new("cp").arg("-R").args([&example, &workspace]))?;
        git(&workspace, &["init", "-q"])?;
        git(&workspace, &["add", "."])?;
        git(&workspace, &["commit", "-q", "-m", "The example"])?;
        Ok(scene)
    }

    /// The workspace's folder.
    pub(super) fn workspace(&self) -> PathBuf {
        self.work.join("smoke")
    }

    /// The same trees, workspace and program in another folder, with another cache.
    pub(super) fn elsewhere(&self, work: PathBuf, cache: PathBuf) -> Scene {
        Scene {
            archives: self.archives.clone(),
            work,
            cache,
            program: self.program.clone(),
            repositories: self.repositories.clone(),
        }
    }

    /// Starts the example's `fetch`.
    pub(super) fn fetch(&self) -> Result<Fetched, Box<dyn Error>> {
        let output = Command::new("./fetch")
            .arg(&self.archives)
            .current_dir(self.workspace())
            .stdin(Stdio::null())
            .output()?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        if output.status.success() {
            return Ok(Fetched::Yes);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match nobody_reached(&said) {
            Some(line) => Ok(Fetched::NoNetwork(line.to_owned())),
            None => Err(format!("examples/smoke/fetch failed:\n{said}").into()),
        }
    }

    /// Runs `larder` in the workspace and returns what it printed.
    pub(super) fn larder(
        &self,
        words: &[&str],
        env: &[(&str, &str)],
    ) -> Result<String, Box<dyn Error>> {
        succeed(&mut self.command(words, env))
    }

    fn command(&self, words: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .env_remove("LARDER_FORCE")
            .env("LARDER_CACHE_DIR", &self.cache)
            .envs(env.iter().copied())
            .current_dir(self.workspace());
        command
    }

    /// Runs tasks and returns the run record.
    pub(super) fn run(&self, task: &str, env: &[(&str, &str)]) -> Result<Record, Box<dyn Error>> {
        let words = ["run", task, "--json", "--show-cache"];
        let (answered, said) = both(&mut self.command(&words, env))?;
        Record::read(&answered, &said)
    }

    /// The index of a repository: each file's name and bytes.
    pub(super) fn index(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(self.work.join(name).join(".index"))? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            files.insert(file, std::fs::read(entry.path())?);
        }
        Ok(files)
    }

    /// All indexes, by repository.
    pub(super) fn indexes(&self) -> Result<Indexes, Box<dyn Error>> {
        let names = self.repositories.iter();
        names
            .map(|name| Ok((name.clone(), self.index(name)?)))
            .collect()
    }

    /// Deletes the index of a repository.
    pub(super) fn delete_index(&self, name: &str) -> std::io::Result<()> {
        std::fs::remove_dir_all(self.work.join(name).join(".index"))
    }
}

/// Bytes of indexes, by repository and file.
pub(super) type Indexes = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// The first line that tells of a missing network. A wrong digest or a missing program is another matter.
fn nobody_reached(said: &str) -> Option<&str> {
    said.lines()
        .find(|line| NO_NETWORK.iter().any(|words| line.contains(words)))
}

/// Runs git in a folder.
pub(super) fn git(folder: &Path, words: &[&str]) -> Result<String, Box<dyn Error>> {
    let mut command = Command::new("git");
    command
        .args([
            "-c",
            "user.name=smoke",
            "-c",
            "user.email=smoke@example.org",
        ])
        .args(words)
        .current_dir(folder);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    succeed(&mut command)
}

/// Runs a program that has to succeed, and returns what it printed.
pub(super) fn succeed(command: &mut Command) -> Result<String, Box<dyn Error>> {
    both(command).map(|(printed, _)| printed)
}

/// Runs a program that has to succeed, and returns what it wrote to its two streams.
fn both(command: &mut Command) -> Result<(String, String), Box<dyn Error>> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{shown} cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok((String::from_utf8_lossy(&output.stdout).into_owned(), said));
    }
    Err(format!("{shown} failed with {}:\n{said}", output.status).into())
}

#[cfg(test)]
mod tests {
    use super::nobody_reached;

    #[test]
    fn only_a_missing_network_is_taken_for_one() {
        let said = "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\nERROR: No matching distribution found\n";
        assert!(nobody_reached(said).unwrap().starts_with("WARNING"));
        let said = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n";
        assert_eq!(nobody_reached(said), None);
    }
}
