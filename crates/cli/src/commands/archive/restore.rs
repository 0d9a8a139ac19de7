//! `larder archive restore`: an entry's artifacts back where they were, or somewhere else.
//! Does not know how a bundle is read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use larder_archive::{
    Artifact, EntryId, Extracted, Overwrite, artifact, extract_artifacts, verify_bundle,
};
use serde_json::{Value, json};

use crate::args::ArchiveArgs;
use crate::args::archive::RestoreArgs;
use crate::execute::exit;

use super::super::cache::count;
use super::super::{Context, Outcome, Usage, print};
use super::{Place, bundle_path, failed};

/// Where the artifacts come from.
enum Source {
    Entry(EntryId),
    Bundle(PathBuf),
}

pub(super) fn restore(context: &Context<'_>, args: &ArchiveArgs, asked: &RestoreArgs) -> Outcome {
    let place = Place::find_for(context, args, &[&asked.entry])?;
    let into = match (&asked.to, &place.root) {
        (Some(dir), _) => context.cwd.join(dir),
        (None, Some(root)) => root.clone(),
        (None, None) => {
            return Err(Usage::new(
                "there is no workspace to restore to\n  name a folder with `--to`",
            ));
        }
    };
    let globs = globs(&asked.globs)?;
    let wanted = |one: &Artifact| asked.globs.is_empty() || globs.is_match(&one.name);
    let (source, artifacts) = if let Some(path) = bundle_path(context, &asked.entry) {
        let checked = verify_bundle(&path).map_err(|error| failed(&error))?;
        (Source::Bundle(path), checked.entry.artifacts)
    } else {
        let entry = place.entry(&asked.entry)?;
        (Source::Entry(entry.id), entry.artifacts)
    };
    let chosen: Vec<&Artifact> = artifacts.iter().filter(|one| wanted(one)).collect();
    if chosen.is_empty() {
        return Err(Usage::new(if artifacts.is_empty() {
            "the entry holds no artifacts\n  `[archive] artifacts` chooses those of later ones"
        } else {
            "no artifact of the entry matches\n  `larder archive show` names them"
        }));
    }
    let rescued = if asked.replace {
        rescue(&place, &into, &chosen)?
    } else {
        Vec::new()
    };
    // Whatever appeared since is not known, and stays.
    let overwrite = Overwrite::Refuse;
    let done = match source {
        Source::Entry(id) => place
            .archive
            .restore(id, &into, &wanted, overwrite)
            .map_err(|error| refused(&error))?,
        Source::Bundle(path) => {
            extract_artifacts(&path, &into, &wanted, overwrite).map_err(|error| refused(&error))?
        }
    };
    tell(args, &into, &done, &rescued)
}

fn refused(error: &dyn std::error::Error) -> Usage {
    let mut usage = failed(error);
    if usage.message.contains("would be replaced") {
        usage.message.push_str(
            "\n  `--replace` moves such files to `.larder/rescued` first; `--to DIR` restores elsewhere",
        );
    }
    usage
}

fn globs(texts: &[String]) -> Result<GlobSet, Usage> {
    let bad = |error: globset::Error| Usage::new(format!("this is no glob: {error}"));
    let mut set = GlobSetBuilder::new();
    for text in texts {
        set.add(Glob::new(text).map_err(bad)?);
    }
    set.build().map_err(bad)
}

/// Moves regular files that differ from the artifacts out of the way, each to a new name. All that can be refused is refused before.
fn rescue(
    place: &Place,
    into: &Path,
    chosen: &[&Artifact],
) -> Result<Vec<(String, PathBuf)>, Usage> {
    let rescue = match &place.root {
        Some(root) => root.join(".larder/rescued"),
        None => into.join(".larder/rescued"),
    };
    let unmoved = |path: &Path, error: &std::io::Error| {
        Usage::new(format!("{} cannot be moved: {error}", path.display()))
    };
    let mut moved = Vec::new();
    for one in chosen {
        let path = into.join(&one.name);
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
        // What is no regular file, or lies behind a link, is refused by whoever restores.
        let Ok(there) = artifact(into, &one.name) else {
            continue;
        };
        if !is_file || there == **one {
            continue;
        }
        std::fs::create_dir_all(&rescue).map_err(|error| unmoved(&path, &error))?;
        let folder = tempfile::Builder::new()
            .prefix("archive-")
            .tempdir_in(&rescue)
            .map_err(|error| unmoved(&path, &error))?
            .keep();
        let name = Path::new(&one.name).file_name().unwrap_or_default();
        let to = folder.join(name);
        std::fs::rename(&path, &to)
            .or_else(|_| std::fs::copy(&path, &to).and_then(|_| std::fs::remove_file(&path)))
            .map_err(|error| unmoved(&path, &error))?;
        moved.push((one.name.clone(), to));
    }
    Ok(moved)
}

fn tell(
    args: &ArchiveArgs,
    into: &Path,
    done: &Extracted,
    rescued: &[(String, PathBuf)],
) -> Outcome {
    if args.json {
        let rescued: Vec<Value> = rescued
            .iter()
            .map(|(name, to)| json!({ "file": name, "to": to }))
            .collect();
        let value = json!({
            "into": into, "written": done.written, "unchanged": done.unchanged, "rescued": rescued,
        });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = format!(
        "{} restored to {}, {} there already\n",
        count(done.written.len(), "file", "files"),
        into.display(),
        done.unchanged.len()
    );
    for (name, to) in rescued {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} was another: it is at {}", to.display());
    }
    print(&text)?;
    Ok(exit::SUCCESS)
}
