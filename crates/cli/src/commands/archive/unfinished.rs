//! Uploads that did not finish: which one goes on, which is given up, and what is said of them.
//! Does not know the steps, only how far each came.

use std::time::Instant;

use larder_archive::{Archive, EntryId, Journal, Step, Upload, UploadError, pending};

use crate::args::archive::UploadArgs;
use crate::execute::exit;
use crate::session::Session;

use super::super::{Outcome, Usage, print, say};
use super::upload::asked_for;
use super::{assemble, collect, failed, words};

/// Resumes the upload that is asked for, or one of the same run that was kept and did not get further; else begins a new one.
pub(super) fn begin<'e>(
    session: &Session<'_>,
    archive: &Archive,
    asked: &UploadArgs,
    elapsed: larder_archive::Elapsed<'e>,
) -> Result<Upload<'e>, Usage> {
    let unfinished = pending(archive).map_err(|error| failed(&error))?;
    if let Some(wanted) = &asked.resume {
        let id = unfinished_id(&unfinished, wanted)?;
        return Upload::resume(archive, id, elapsed).map_err(|error| failed(&error));
    }
    let run = collect::last_run(session).map_err(Usage::new)?;
    let wanted = asked_for(asked, &session.workspace.settings.archive);
    for journal in unfinished.iter().rev() {
        let collected = journal.done.get(&Step::Collect);
        let same = collected.is_some_and(|done| {
            let result = &done.result;
            result["run"] == *run.json() && result["asked"] == serde_json::json!(wanted)
        });
        let held = |error: &UploadError| matches!(error, UploadError::Busy { .. });
        match Upload::resume(archive, journal.id, elapsed) {
            // Its entry is there already, and perhaps acknowledged: a new one would be a second of the same, and this one would never
            // get to a mirror. It is listed before the journal knows.
            Ok(upload) if same && is_kept(archive, journal)? => {
                say(&format!("resuming {}", journal.id));
                return Ok(upload);
            }
            // Nothing of it was acknowledged, and this one is the same again; or it took nothing yet.
            Ok(upload) if same || collected.is_none() => {
                upload.finish().map_err(|error| failed(&error))?;
            }
            Ok(_) => say(&line(journal)),
            Err(error) if held(&error) => {}
            Err(error) => say(&format!("larder: {}", words(&error))),
        }
    }
    let now = assemble::now();
    let id = EntryId::random(now).map_err(|error| failed(&error))?;
    Upload::begin(archive, id, now, elapsed).map_err(|error| failed(&error))
}

/// Whether an upload came so far that its entry is listed.
fn is_kept(archive: &Archive, journal: &Journal) -> Result<bool, Usage> {
    if journal.done.contains_key(&Step::IndexSave) {
        return Ok(true);
    }
    let entry = archive.entry(journal.id).map_err(|error| failed(&error))?;
    Ok(entry.is_some())
}

/// The unfinished upload of this id; the newest for an empty text.
fn unfinished_id(unfinished: &[Journal], text: &str) -> Result<EntryId, Usage> {
    let upper = text.to_ascii_uppercase();
    let mut found = unfinished
        .iter()
        .rev()
        .filter(|journal| journal.id.to_string().starts_with(&upper));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.id),
        (Some(newest), Some(_)) if text.is_empty() => Ok(newest.id),
        (Some(_), Some(_)) => Err(Usage::new(format!(
            "`{text}` is the beginning of several unfinished uploads\n  `larder archive status` names them"
        ))),
        (None, _) => Err(Usage::new(
            "there is no such unfinished upload\n  `larder archive status` names those there are",
        )),
    }
}

/// What an unfinished upload is, and what to do about it.
pub(super) fn line(journal: &Journal) -> String {
    let id = journal.id;
    let at = match &journal.failed {
        Some(failure) => format!("step `{}` failed: {}", failure.step, failure.why),
        None => "it was interrupted".to_owned(),
    };
    format!(
        "upload {id} is not finished: {at}\n  `larder archive upload --resume={id}` goes on, `--forget={id}` gives it up"
    )
}

/// Gives an upload up: its journal goes, and with it what no entry has yet.
pub(super) fn forget(archive: &Archive, text: &str) -> Outcome {
    let unfinished = pending(archive).map_err(|error| failed(&error))?;
    let id = unfinished_id(&unfinished, text)?;
    let start = Instant::now();
    let elapsed = || start.elapsed();
    let upload = Upload::resume(archive, id, &elapsed).map_err(|error| failed(&error))?;
    upload.finish().map_err(|error| failed(&error))?;
    print(&format!("gave up {id}\n"))?;
    Ok(exit::SUCCESS)
}
