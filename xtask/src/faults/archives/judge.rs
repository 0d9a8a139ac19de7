//! What must hold of an archive and its mirror, as `larder` itself tells and as their files show.
//! Knows nothing of faults, nor of what was done before.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::super::place::{Place, stderr};

/// What is older belongs to nobody.
const OLD: Duration = Duration::from_hours(48);
/// Bytes by which bundles of two runs may differ: times and digests do not all shrink alike.
const SLACK: u64 = 600;

/// An archive that is looked at.
pub(super) struct Judge<'p> {
    pub(super) place: &'p Place,
}

/// Entries as they are listed, the oldest first.
pub(super) struct Found(Vec<Value>);

impl Found {
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|one| one["id"].as_str())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether all these are listed.
    pub(super) fn hold(&self, ids: &[String]) -> Result<(), String> {
        match ids.iter().find(|id| !self.ids().any(|one| one == **id)) {
            Some(id) => Err(format!("the entry {id} is lost")),
            None => Ok(()),
        }
    }

    fn has(&self, tag: &str) -> Result<(), String> {
        if self.0.iter().any(|one| one["tags"][0] == tag) {
            Ok(())
        } else {
            Err(format!("the entry with the tag {tag} is lost"))
        }
    }

    /// Whether these are the tags of all entries; an empty one stands for none.
    pub(super) fn are(&self, tags: &[&str]) -> Result<(), String> {
        let of = |one: &Value| one["tags"][0].as_str().unwrap_or_default().to_owned();
        let found: Vec<String> = self.0.iter().map(of).collect();
        if found != tags {
            return Err(format!("the entries are {found:?} and not {tags:?}"));
        }
        Ok(())
    }

    /// Those that the gates let pass. A metric's command that could not be started rejects an entry.
    pub(super) fn accepted(&self) -> Found {
        let all = self.0.iter();
        let accepted = all.filter(|one| one["status"] == "accepted");
        Found(accepted.cloned().collect())
    }
}

impl Judge<'_> {
    fn archive(&self) -> PathBuf {
        self.place.dir().join("archive")
    }

    fn mirror(&self) -> PathBuf {
        self.place.dir().join("drive/mirror")
    }

    /// A command that has to succeed.
    pub(super) fn does(&self, args: &[&str]) -> Result<String, String> {
        let output = self.place.larder(args).map_err(words)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let (line, said) = (args.join(" "), stderr(&output));
        let status = output.status;
        Err(format!("`larder {line}` fails: {status}\n{said}{printed}"))
    }

    fn json(&self, args: &[&str]) -> Result<Value, String> {
        let printed = self.does(args)?;
        serde_json::from_str(&printed).map_err(|error| format!("{args:?}: {error}: {printed}"))
    }

    /// The entries of the archive; all of them can be read.
    pub(super) fn listed(&self) -> Result<Found, String> {
        self.entries(&["archive", "list", "--json"])
    }

    fn entries(&self, args: &[&str]) -> Result<Found, String> {
        let value = self.json(args)?;
        if value["problems"] != Value::Array(Vec::new()) {
            return Err(format!("some cannot be read: {}", value["problems"]));
        }
        let entries = value["entries"].as_array().cloned().unwrap_or_default();
        Ok(Found(entries.into_iter().rev().collect()))
    }

    /// Whether every byte of the archive is as it was written, but for these files.
    pub(super) fn verified(&self, spared: &[&str]) -> Result<(), String> {
        let output = self.place.larder(&["archive", "verify", "--json"]);
        let output = output.map_err(words)?;
        let value: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("`archive verify`: {error}: {}", stderr(&output)))?;
        let faults = value["faults"].as_array().cloned().unwrap_or_default();
        let bad = |fault: &&Value| !spared.iter().any(|file| fault["file"] == **file);
        match faults.iter().find(bad) {
            Some(fault) => Err(format!("`archive verify` finds {fault}")),
            None => Ok(()),
        }
    }

    /// Right after a fault: what was kept is there, and nothing that shows is there by half. Gives what is listed.
    pub(super) fn sound(&self, kept: &[String]) -> Result<Found, String> {
        let found = self.listed()?;
        found.has("first")?;
        found.hold(kept)?;
        // The index only spares reading entries; one that was cut off is written anew by the next that writes.
        self.verified(&["index"])?;
        self.mirror_is_sound()?;
        self.no_half_bundles()?;
        let status = self.json(&["archive", "status", "--json"])?;
        if status["damaged"] != Value::Array(Vec::new()) {
            return Err(format!("of the outbox is damaged: {}", status["damaged"]));
        }
        for path in files(&self.archive().join("uploads"))? {
            if path.extension().is_some_and(|end| end == "json") {
                let text = fs::read(&path).map_err(words)?;
                serde_json::from_slice::<Value>(&text)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(found)
    }

    /// Whether an entry has all that the run made: artifacts, manifests and logs.
    pub(super) fn whole(&self, found: &Found) -> Result<(), String> {
        let first = found
            .0
            .first()
            .map_or(0, |one| one["bytes"].as_u64().unwrap_or(0));
        for summary in found.0.iter().skip(1) {
            let id = summary["id"].as_str().unwrap_or_default();
            let entry = self.json(&["archive", "show", id, "--json"])?;
            let artifacts = entry["artifacts"].as_array().cloned().unwrap_or_default();
            let names: Vec<&str> = artifacts
                .iter()
                .filter_map(|one| one["name"].as_str())
                .collect();
            if names != ["dist/big", "dist/small"] {
                return Err(format!(
                    "artifacts are missing: those of {id} are {names:?}"
                ));
            }
            if entry["attestation"].is_null() {
                return Err(format!("{id} has no provenance"));
            }
            if entry["findings"]
                .to_string()
                .contains("does not know this run")
            {
                // The state could not be read, and the entry says what it lacks for that.
                continue;
            }
            let changes = self.does(&["archive", "diff", "first", id])?;
            if !changes.contains("src.txt") {
                return Err(format!("what changed up to {id} is not told: {changes}"));
            }
            let bytes = summary["bytes"].as_u64().unwrap_or(0);
            if bytes + SLACK < first {
                return Err(format!(
                    "a log is missing: the bundle of {id} has {bytes} bytes, that of the first run {first}"
                ));
            }
        }
        Ok(())
    }

    /// Whether all entries are at the mirror, or noted for it.
    pub(super) fn noted(&self, found: &Found) -> Result<(), String> {
        let status = self.json(&["archive", "status", "--json"])?;
        let records = ["pending", "done"]
            .into_iter()
            .filter_map(|state| status[state].as_array());
        let noted: BTreeSet<&str> = records
            .flatten()
            .filter_map(|one| one["entry"].as_str())
            .collect();
        match found.ids().find(|id| !noted.contains(id)) {
            Some(id) => Err(format!("{id} is not on its way to the mirror: {status}")),
            None => Ok(()),
        }
    }

    /// Whether the mirror has all these entries and no other, whole, and the archive knows it.
    pub(super) fn mirrored(&self, found: &Found) -> Result<(), String> {
        let dir = text(&self.mirror());
        let there = self.entries(&["archive", "--dir", &dir, "list", "--json"])?;
        let (here, there): (Vec<_>, Vec<_>) = (found.ids().collect(), there.ids().collect());
        if here != there {
            return Err(format!(
                "the mirror has {there:?}, and the archive {here:?}"
            ));
        }
        self.mirror_is_sound()?;
        let status = self.json(&["archive", "status", "--json"])?;
        for state in ["pending", "failed", "damaged", "uploads"] {
            if status[state] != Value::Array(Vec::new()) {
                return Err(format!("the status is not clean: {status}"));
            }
        }
        for id in here {
            let entry = self.json(&["archive", "show", id, "--json"])?;
            if !entry["metrics"]["mirror.drive.seconds"].is_number() {
                return Err(format!("{id} does not know how long mirroring took"));
            }
        }
        Ok(())
    }

    /// Whether each entry at the mirror is whole, with all that it names, and each bundle there is that of the archive.
    pub(super) fn mirror_is_sound(&self) -> Result<(), String> {
        self.does(&["archive", "--dir", &text(&self.mirror()), "verify"])
            .map_err(|bad| format!("at the mirror: {bad}"))?;
        for folder in ["bundles", "attestations"] {
            for path in files(&self.mirror().join(folder))? {
                let here = self
                    .archive()
                    .join(folder)
                    .join(path.file_name().unwrap_or_default());
                // It may have been pruned here.
                if here.exists()
                    && fs::read(&here).map_err(words)? != fs::read(&path).map_err(words)?
                {
                    return Err(format!("{} is not what the archive has", path.display()));
                }
            }
        }
        Ok(())
    }

    /// Whether each bundle is whole, also those that no entry names yet.
    fn no_half_bundles(&self) -> Result<(), String> {
        for path in files(&self.archive().join("bundles"))? {
            if !is_temporary(&path) {
                let path = text(&path);
                self.does(&["archive", "diff", "first", &path])
                    .map_err(|bad| format!("a bundle is there by half: {bad}"))?;
            }
        }
        Ok(())
    }

    /// Whether the bundles are those of these entries.
    pub(super) fn bundled(&self, found: &Found) -> Result<(), String> {
        let bundles: BTreeSet<String> = files(&self.archive().join("bundles"))?
            .iter()
            .map(|path| {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let wanted = found.ids().map(|id| format!("{id}.tar.zst")).collect();
        if bundles == wanted {
            Ok(())
        } else {
            Err(format!("the bundles are {bundles:?}, and not {wanted:?}"))
        }
    }

    /// Whether an upload is not finished.
    pub(super) fn is_under_way(&self) -> Result<bool, String> {
        let status = self.json(&["archive", "status", "--json"])?;
        Ok(status["uploads"]
            .as_array()
            .is_some_and(|all| !all.is_empty()))
    }

    /// Whether a later prune leaves nothing but what belongs to these entries.
    pub(super) fn tidied(&self, found: &Found) -> Result<(), String> {
        age(&self.archive()).map_err(words)?;
        self.does(&["archive", "prune", "--count", "100"])?;
        let ids: Vec<&str> = found.ids().collect();
        let listed = self.listed()?;
        if listed.ids().ne(ids.iter().copied()) {
            return Err("the prune of what is left took an entry".to_owned());
        }
        self.verified(&[])?;
        self.bundled(found)?;
        for path in all_files(&self.archive()).map_err(words)? {
            let inside = path.strip_prefix(self.archive()).unwrap_or(&path);
            let left = is_temporary(inside)
                || inside.starts_with("outgoing")
                || inside.starts_with("outbox/unfinished");
            if left || inside.starts_with("uploads") {
                return Err(format!("{} stays for ever", inside.display()));
            }
        }
        Ok(())
    }
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(".put-")
}

/// The files of a folder; none where it is missing.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let entries = entries.map_err(words)?;
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<io::Result<_>>().map_err(words)
        }
    }
}

fn all_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(all_files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Lets time pass: all files below are days old.
fn age(folder: &Path) -> io::Result<()> {
    let then = SystemTime::now() - OLD;
    for path in all_files(folder)? {
        fs::File::options()
            .append(true)
            .open(path)?
            .set_modified(then)?;
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` gives it.
fn words(error: io::Error) -> String {
    error.to_string()
}
