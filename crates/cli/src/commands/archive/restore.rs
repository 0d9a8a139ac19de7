//! `larder archive restore`: an entry's artifacts back where they were, or somewhere else.
//! Does not know how a bundle is read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use larder_archive::{
    Artifact, EntryId, Extracted, Overwrite, extract_artifacts, plan_artifacts, verify_bundle,
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
    let mut rescued = Vec::new();
    if asked.replace {
        // The bundle is proven and every place looked at before the first file is moved.
        let plan = match &source {
            Source::Entry(id) => place
                .archive
                .plan_restore(*id, &into, &wanted)
                .map_err(|error| refused(&error))?,
            Source::Bundle(path) => {
                plan_artifacts(path, &into, &wanted).map_err(|error| refused(&error))?
            }
        };
        rescue(&place, &into, &plan.different, &mut rescued)
            .map_err(|usage| moved(usage, &rescued))?;
    }
    // Whatever appeared since is not known, and stays.
    let overwrite = Overwrite::Refuse;
    let done = match source {
        Source::Entry(id) => place
            .archive
            .restore(id, &into, &wanted, overwrite)
            .map_err(|error| refused(&error)),
        Source::Bundle(path) => {
            extract_artifacts(&path, &into, &wanted, overwrite).map_err(|error| refused(&error))
        }
    };
    let done = done.map_err(|usage| moved(usage, &rescued))?;
    tell(args, &into, &done, &rescued)
}

/// A mistake, and where the files are that were moved before it.
fn moved(mut usage: Usage, rescued: &[(String, PathBuf)]) -> Usage {
    for (name, to) in rescued {
        // Writing to a string cannot fail.
        let _ = write!(usage.message, "\n  {name} was moved to {}", to.display());
    }
    usage
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

/// Moves files out of the way, each to a new name, and notes each as soon as it is moved.
fn rescue(
    place: &Place,
    into: &Path,
    names: &[String],
    moved: &mut Vec<(String, PathBuf)>,
) -> Result<(), Usage> {
    let rescue = match &place.root {
        Some(root) => root.join(".larder/rescued"),
        None => into.join(".larder/rescued"),
    };
    let unmoved = |path: &Path, error: &std::io::Error| {
        Usage::new(format!("{} cannot be moved: {error}", path.display()))
    };
    for name in names {
        let path = into.join(name);
        std::fs::create_dir_all(&rescue).map_err(|error| unmoved(&path, &error))?;
        let folder = tempfile::Builder::new()
            .prefix("archive-")
            .tempdir_in(&rescue)
            .map_err(|error| unmoved(&path, &error))?
            .keep();
        let to = folder.join(Path::new(name).file_name().unwrap_or_default());
        std::fs::rename(&path, &to)
            .or_else(|_| std::fs::copy(&path, &to).and_then(|_| std::fs::remove_file(&path)))
            .map_err(|error| unmoved(&path, &error))?;
        moved.push((name.clone(), to));
    }
    Ok(())
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
