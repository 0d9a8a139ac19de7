//! `cargo xtask smoke`: builds source trees of others through the workspace in `examples/smoke`, and asserts what ran.
//! It knows the example's layout and the run record, and nothing of how Larder decides.

mod campaign;
mod record;
mod scene;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use scene::{Fetched, Scene};

/// What the campaign is given.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder for archives, trees and cache; default: target/smoke. Its `work` folder is made anew
    folder: Option<PathBuf>,
    /// The program to test; default: `larder` of this repository, built for release
    #[arg(long)]
    larder: Option<PathBuf>,
}

/// Runs the campaign. Without a network and without archives from an earlier time it is skipped, visibly.
///
/// # Errors
/// When a step did something else than it had to, or a program it needs is missing.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let folder = args
        .folder
        .clone()
        .unwrap_or_else(|| root.join("target/smoke"));
    std::fs::create_dir_all(&folder)?;
    let program = match &args.larder {
        Some(program) => program.clone(),
        None => built(root)?,
    };
    let program = program
        .canonicalize()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let scene = Scene::new(root, &folder.canonicalize()?, program)?;
    if let Fetched::NoNetwork(reason) = scene.fetch()? {
        println!("SKIPPED: the source trees cannot be fetched, the network is missing: {reason}");
        return Ok(ExitCode::SUCCESS);
    }
    let page = std::fs::read_to_string(root.join("docs/smoke-builds.md"))?;
    let prune = prune_line(&page)
        .ok_or("docs/smoke-builds.md has no line that starts with `larder cache prune`")?;
    campaign::run(&scene, &prune)?;
    println!("smoke: every step did what it had to, and nothing else");
    Ok(ExitCode::SUCCESS)
}

fn built(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = std::process::Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "-p", "larder"])
        .current_dir(root);
    scene::succeed(&mut cargo)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("release/larder"))
}

/// The words behind `larder` of the command that the page's workflow prunes with.
fn prune_line(page: &str) -> Option<Vec<String>> {
    page.lines().find_map(|line| {
        let line = line
            .trim()
            .trim_start_matches("- ")
            .trim_start_matches("run: ");
        let words = line.strip_prefix("larder ")?;
        words
            .starts_with("cache prune ")
            .then(|| words.split(' ').map(str::to_owned).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_examples_configuration_and_a_prune() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let page = read("docs/smoke-builds.md");
        let config = read("examples/smoke/larder.toml");
        let lines: Vec<&str> = (config.lines())
            .filter(|line| !line.starts_with('#'))
            .collect();
        let shown = lines.join("\n");
        assert!(page.contains(shown.trim_start()), "{shown}");
        assert!(prune_line(&page).is_some());
    }

    #[test]
    fn the_command_of_the_workflow_is_found() {
        let page = "`larder cache prune` trims.\n```yaml\n    - run: larder cache prune --max-size 1GB\n```\n";
        assert_eq!(
            prune_line(page).unwrap(),
            ["cache", "prune", "--max-size", "1GB"]
        );
        assert_eq!(prune_line("larder cache verify\n"), None);
    }
}
