//! `larder archive verify`: every byte that is kept, compared with what was written.
//! Does not know how it is compared.

use std::fmt::Write as _;
use std::path::PathBuf;

use larder_archive::attest::{Attested, PublicKey};
use larder_archive::{Archive, EntryId, FileFault, Verified};
use serde_json::{Value, json};

use crate::args::ArchiveArgs;
use crate::execute::exit;

use super::super::cache::count;
use super::super::{Context, Outcome, Usage, print};
use super::{Place, failed, words};

pub(super) fn verify(
    context: &Context<'_>,
    args: &ArchiveArgs,
    entries: &[String],
    keys: &[PathBuf],
) -> Outcome {
    let place = Place::find(context, args)?;
    let keys = public_keys(context, keys)?;
    let mut all = Verified::default();
    if entries.is_empty() {
        all = place.archive.verify_all().map_err(|error| failed(&error))?;
        // A mirror has none, and needs none.
        let has_index = place.archive.root().join("index").exists();
        all.faults
            .retain(|fault| has_index || fault.file != "index");
    }
    let ids = entries.iter().map(|text| resolve(&place, text));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    for &id in &ids {
        let one = place.archive.verify(id).map_err(|error| failed(&error))?;
        all.sound.extend(one.sound);
        all.faults.extend(one.faults);
    }
    if !keys.is_empty() {
        let attested = if entries.is_empty() {
            let all = place.archive.verify_attestations(&keys);
            all.map_err(|error| failed(&error))?
        } else {
            let one = |id| (id, place.archive.verify_attestation(id, &keys));
            ids.into_iter().map(one).collect()
        };
        for (id, attested) in attested {
            provenance(id, attested, &mut all);
        }
    }
    let code = if all.faults.is_empty() {
        exit::SUCCESS
    } else {
        exit::REJECTED
    };
    if args.json {
        let faults: Vec<Value> = all
            .faults
            .iter()
            .map(|fault| json!({ "file": fault.file, "why": fault.why }))
            .collect();
        let value = json!({ "exit_code": code, "sound": all.sound, "faults": faults });
        print(&format!("{value:#}\n"))?;
        return Ok(code);
    }
    let mut text = String::new();
    for fault in &all.faults {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}: {}", fault.file, fault.why);
    }
    let _ = write!(
        text,
        "{} sound",
        count(all.sound.len(), "file is", "files are")
    );
    if !all.faults.is_empty() {
        let _ = write!(text, ", {} not", all.faults.len());
    }
    text.push('\n');
    print(&text)?;
    Ok(code)
}

/// The entry that a text names. What cannot be read, or is gone, is no entry to others, and is just what a verification is for.
fn resolve(place: &Place, text: &str) -> Result<EntryId, Usage> {
    place
        .resolve(text)
        .or_else(|usage| text.parse().map_err(|_| usage))
}

/// Notes whether one of the keys signed the provenance of an entry, and of nothing else.
fn provenance(id: EntryId, attested: Attested, all: &mut Verified) {
    let file = Archive::attestation_name(id);
    match attested {
        Ok(Some(_)) => all.sound.push(format!("{file} (signed)")),
        Ok(None) => all.faults.push(FileFault {
            file,
            why: "the entry has no provenance".to_owned(),
        }),
        Err(error) => all.faults.push(FileFault {
            file,
            why: words(&error),
        }),
    }
}

fn public_keys(context: &Context<'_>, paths: &[PathBuf]) -> Result<Vec<PublicKey>, Usage> {
    let mut keys = Vec::new();
    for path in paths {
        let path = context.cwd.join(path);
        let unusable =
            |why: String| Usage::new(format!("{} cannot be used: {why}", path.display()));
        let pem = std::fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
        keys.push(PublicKey::from_pem(&pem).map_err(|error| unusable(words(&error)))?);
    }
    Ok(keys)
}
