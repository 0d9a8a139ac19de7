//! Uploads that did not finish: why, which one goes on, which is given up, and what is said of them.
//! Does not know the steps, only how far each came.

use std::fmt;

use larder_archive::{
    Archive, Cause, EntryId, Journal, Pending, Step, Unreadable, Upload, UploadError, pending,
};
use serde_json::{Value, json};

use crate::args::archive::UploadArgs;
use crate::execute::exit;
use crate::session::Session;

use super::super::{Outcome, Usage, print, say};
use super::upload::asked_for;
use super::{assemble, collect, failed, words};

/// Why a step failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// Whether going on cannot help.
    pub(super) lasting: bool,
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble {
            why,
            lasting: false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.why)
    }
}

impl Cause for Trouble {
    fn is_lasting(&self) -> bool {
        self.lasting
    }
}

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
    for one in &unfinished.unreadable {
        say(&format!("larder: {}", unreadable(one)));
    }
    for journal in unfinished.journals.iter().rev() {
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
                upload.give_up(archive).map_err(|error| failed(&error))?;
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
fn unfinished_id(unfinished: &Pending, text: &str) -> Result<EntryId, Usage> {
    let upper = text.to_ascii_uppercase();
    if text.is_empty()
        && let Some(newest) = unfinished.journals.last()
    {
        return Ok(newest.id);
    }
    let ids = unfinished.ids();
    let mut found = ids.iter().filter(|id| id.to_string().starts_with(&upper));
    match (found.next(), found.next()) {
        (Some(&one), None) => Ok(one),
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
    let (at, lasting) = match &journal.failed {
        Some(failure) => (
            format!("step `{}` failed: {}", failure.step, failure.why),
            failure.lasting,
        ),
        None => ("it was interrupted".to_owned(), false),
    };
    let advice = advice(journal, lasting);
    format!("upload {id} is not finished: {at}\n  {advice}")
}

/// What to do about an upload that failed.
pub(super) fn advice(journal: &Journal, lasting: bool) -> String {
    let id = journal.id;
    let why = match (lasting, journal.done.contains_key(&Step::IndexSave)) {
        (false, _) => {
            return format!(
                "what was done is kept: `larder archive upload --resume={id}` goes on, `--forget={id}` gives it up"
            );
        }
        (true, true) => {
            "the entry stays in the archive, and what it names cannot be pushed any more"
        }
        (true, false) => "nothing of it was archived, and it cannot go on",
    };
    format!(
        "{why}\n  `larder archive upload --forget={id}` gives it up; then run the tasks again, and `larder archive upload`"
    )
}

/// What is wrong with a journal, and what to do about it.
pub(super) fn unreadable(one: &Unreadable) -> String {
    let what = match one.id {
        Some(id) => format!("upload {id} is not finished, and its journal"),
        None => "a journal of no upload".to_owned(),
    };
    let remedy = match one.id {
        Some(id) => format!(
            "the version of Larder that wrote it can go on with it; `larder archive upload --forget={id}` gives it up"
        ),
        None => "delete the file".to_owned(),
    };
    format!(
        "{what} cannot be used: {}: {}\n  {remedy}",
        one.path.display(),
        one.why
    )
}

/// Such a journal for programs.
pub(super) fn unreadable_value(one: &Unreadable) -> Value {
    json!({ "id": one.id, "path": one.path, "unreadable": one.why })
}

/// Gives an upload up: its journal goes, and with it what no entry has yet.
pub(super) fn forget(archive: &Archive, text: &str, json: bool) -> Outcome {
    let unfinished = pending(archive).map_err(|error| failed(&error))?;
    let id = unfinished_id(&unfinished, text)?;
    let journal = unfinished.journals.iter().find(|journal| journal.id == id);
    let entry = archive.entry(id);
    Upload::forget(archive, id).map_err(|error| failed(&error))?;
    // A journal that cannot be read does not tell how far the upload came.
    let stays = !matches!(entry, Ok(None));
    if json {
        let value = json!({ "id": id, "entry_stays": stays });
        print(&format!("{value:#}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let text = if stays {
        let pushed = match journal {
            Some(journal) if journal.done.contains_key(&Step::Sync) => "all else was done",
            Some(Journal {
                failed: Some(failure),
                ..
            }) if failure.step == Step::Sync => "not all of it was pushed",
            Some(_) => "it was not pushed",
            None => "it may not have been pushed",
        };
        format!("gave up the upload; entry {id} stays in the archive; {pushed}\n")
    } else {
        format!("gave up {id}; nothing of it was archived\n")
    };
    print(&text)?;
    Ok(exit::SUCCESS)
}
