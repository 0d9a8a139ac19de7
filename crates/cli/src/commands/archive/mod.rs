//! `larder archive`: which archive is meant, which entry, and who answers.
//! Does not know what an entry holds.

use std::path::{Path, PathBuf};

use larder_archive::{Archive, ArchiveEntry, EntryId, Listing, Manifests, Summary, verify_bundle};

use crate::args::ArchiveArgs;
use crate::args::archive::ArchiveAction;
use crate::config::ArchiveSettings;
use crate::session::Session;

use super::{Context, Outcome, Usage, say};

pub(super) mod against;
mod assemble;
pub(super) mod chart;
mod collect;
mod diff;
mod dry;
mod follow;
mod list;
mod manifests;
mod measure;
mod mirrors;
mod plain;
mod prune;
mod repositories;
mod restore;
mod show;
mod since;
mod status;
mod store;
mod told;
mod unfinished;
mod upload;
mod verify;

/// An archive and what the workspace says of it.
struct Place {
    /// The workspace's root; absent where `--dir` leads to an archive outside of any.
    root: Option<PathBuf>,
    /// What `[archive]` says.
    settings: ArchiveSettings,
    /// The archive.
    archive: Archive,
}

pub(super) fn archive(context: &Context<'_>, args: &ArchiveArgs) -> Outcome {
    match &args.action {
        ArchiveAction::Upload(asked) => upload::upload(context, args, asked),
        ArchiveAction::List(filter) => list::list(context, args, filter),
        ArchiveAction::Show { entry } => show::show(context, args, entry),
        ArchiveAction::Diff { before, after } => diff::diff(context, args, before, after),
        ArchiveAction::Verify { entries, key } => verify::verify(context, args, entries, key),
        ArchiveAction::Restore(asked) => restore::restore(context, args, asked),
        ArchiveAction::Sync => status::sync(context, args),
        ArchiveAction::Status => status::status(context, args),
        ArchiveAction::Drain => status::drain(context, args),
        ArchiveAction::Chart { out, limit } => chart::chart(context, args, out, *limit),
        ArchiveAction::Prune(asked) => prune::prune(context, args, asked),
    }
}

/// Sees to deliveries that nobody is at: a process that did was killed, as by a reboot, or lost its patience.
pub(super) fn wake(context: &Context<'_>, session: &Session<'_>) {
    let settings = &session.workspace.settings.archive;
    if settings.mirrors.is_empty() {
        return;
    }
    let mirrors = mirrors::Mirrors {
        archive: &Archive::new(folder(&session.root, settings)),
        settings: &settings.mirrors,
        root: &session.root,
        env: &context.world.env,
    };
    mirrors.wake();
}

impl Place {
    /// The archive that a command is about.
    fn find(context: &Context<'_>, args: &ArchiveArgs) -> Result<Place, Usage> {
        let given = args.dir.as_ref().map(|dir| context.cwd.join(dir));
        if let Some(dir) = &given
            && !dir.is_dir()
        {
            return Err(Usage::new(format!(
                "there is no folder {}\n  correct the path after `--dir`",
                dir.display()
            )));
        }
        let root = match context.root() {
            Ok(root) => root,
            Err(error) => {
                return match given {
                    Some(dir) => Ok(Place {
                        root: None,
                        settings: ArchiveSettings::default(),
                        archive: Archive::new(dir),
                    }),
                    None => Err(error),
                };
            }
        };
        let settings = context.workspace(&root)?.settings.archive;
        let is_own = given.is_none();
        let dir = given.unwrap_or_else(|| folder(&root, &settings));
        let place = Place {
            archive: Archive::new(dir),
            root: Some(root),
            settings,
        };
        let delivers = matches!(args.action, ArchiveAction::Sync | ArchiveAction::Drain);
        if is_own && !delivers {
            place.mirrors(context).wake();
        }
        Ok(place)
    }

    /// As [`find`](Self::find), for a command about these entries: bundles by their paths need no archive and no workspace.
    fn find_for(
        context: &Context<'_>,
        args: &ArchiveArgs,
        entries: &[&str],
    ) -> Result<Place, Usage> {
        let is_bundle = |text: &&str| bundle_path(context, text).is_some();
        match Self::find(context, args) {
            Err(_) if args.dir.is_none() && entries.iter().all(is_bundle) => Ok(Place {
                root: None,
                settings: ArchiveSettings::default(),
                archive: Archive::new(context.cwd.join(".larder/archive")),
            }),
            other => other,
        }
    }

    /// All entries, oldest first.
    fn listing(&self) -> Result<Listing, Usage> {
        self.archive.list().map_err(|error| failed(&error))
    }

    /// The entry that a text names.
    fn resolve(&self, text: &str) -> Result<EntryId, Usage> {
        let listing = self.listing()?;
        named(&listing.summaries, text).map_err(|why| {
            let upper = text.to_ascii_uppercase();
            let mut problems = listing.problems.iter();
            if let Some((id, why)) = problems.find(|(id, _)| id.to_string().starts_with(&upper)) {
                let bundle = Archive::bundle_name(*id);
                return Usage::new(format!(
                    "entry {id} cannot be read: {why}\n  if {bundle} is intact, its path can be given instead"
                ));
            }
            Usage::new(format!(
                "{why}\n  `larder archive list` names those of {}",
                self.archive.root().display()
            ))
        })
    }

    /// The entry that a text names, read.
    fn entry(&self, text: &str) -> Result<ArchiveEntry, Usage> {
        let id = self.resolve(text)?;
        let read = self.archive.newest(id).map_err(|error| failed(&error))?;
        let read =
            read.ok_or_else(|| Usage::new(format!("the archive has no entry {id} any more")))?;
        for why in &read.passed_over {
            say(&format!(
                "larder: an older revision of entry {id} is read: {why}"
            ));
        }
        Ok(read.entry)
    }

    /// An entry with the manifests of its bundle: one of the archive, or a bundle by its path.
    fn with_manifests(
        &self,
        context: &Context<'_>,
        text: &str,
    ) -> Result<(ArchiveEntry, Manifests), Usage> {
        if let Some(path) = bundle_path(context, text) {
            let checked = verify_bundle(&path).map_err(|error| failed(&error))?;
            return Ok((checked.entry, checked.manifests));
        }
        let entry = self.entry(text)?;
        let path = self.archive.root().join(Archive::bundle_name(entry.id));
        let checked = verify_bundle(&path).map_err(|error| failed(&error))?;
        Ok((entry, checked.manifests))
    }
}

/// The archive's folder, where no flag says otherwise.
fn folder(root: &Path, settings: &ArchiveSettings) -> PathBuf {
    match &settings.dir {
        Some(dir) => root.join(dir),
        None => root.join(".larder/archive"),
    }
}

/// The path of a bundle, if the text is one. Ids and tags of the archive come from nowhere else, so a file wins.
fn bundle_path(context: &Context<'_>, text: &str) -> Option<PathBuf> {
    let path = context.cwd.join(text);
    (text.contains(['/', '.']) && path.is_file()).then_some(path)
}

/// The entry that a text names: `latest`, an id, the beginning of one, or the newest with a tag.
fn named(summaries: &[Summary], text: &str) -> Result<EntryId, String> {
    if text == "latest" {
        let last = summaries.last();
        return last
            .map(|last| last.id)
            .ok_or_else(|| "the archive has no entries".to_owned());
    }
    // A tag that looks like the beginning of an id is still the tag: ids can be written in full.
    let tagged = summaries.iter().rev().find(|one| one.tags.contains(text));
    let upper = text.to_ascii_uppercase();
    let mut begins = summaries
        .iter()
        .map(|summary| summary.id)
        .filter(|id| id.to_string().starts_with(&upper));
    match (tagged, begins.next(), begins.count()) {
        (Some(tagged), id, _) => Ok(id.filter(|id| id.to_string() == upper).unwrap_or(tagged.id)),
        (None, Some(one), 0) => Ok(one),
        (None, Some(_), more) => Err(format!("`{text}` is the beginning of {} ids", more + 1)),
        (None, None, _) => Err(format!("no entry has the id or tag `{text}`")),
    }
}

/// An error with all its causes, as one sentence.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// The mistake of an archive that does not do what it is asked.
fn failed(error: &dyn std::error::Error) -> Usage {
    Usage {
        kind: "archive",
        message: words(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_archive::{RunRecord, Time};

    #[test]
    fn entries_are_named_by_id_beginning_and_tag() {
        let all: Vec<Summary> = [1_000_000_000, 2_000_000_000]
            .map(|nanos| {
                let time = Time::from_nanos(nanos);
                let mut entry =
                    ArchiveEntry::new(EntryId::new(time, 7), time, RunRecord::default());
                entry.tags.extend(["v1".into(), "00".into()]);
                Summary::of(&entry)
            })
            .into();
        let ids: Vec<String> = all.iter().map(|one| one.id.to_string()).collect();
        let find = |text: &str| named(&all, text).map(|id| id.to_string());
        assert_eq!(find("latest").as_ref(), Ok(&ids[1]));
        assert_eq!(find("v1").as_ref(), Ok(&ids[1]));
        assert_eq!(find(&ids[0].to_lowercase()).as_ref(), Ok(&ids[0]));
        assert_eq!(find(&ids[0][..12]).as_ref(), Ok(&ids[0]));
        assert_eq!(
            find("00").as_ref(),
            Ok(&ids[1]),
            "a tag, though ids begin so"
        );
        assert!(find("0").unwrap_err().contains("2 ids"));
        assert!(find("v2").unwrap_err().contains("`v2`"));
        assert!(named(&[], "latest").is_err());
    }
}
