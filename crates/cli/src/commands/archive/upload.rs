//! `larder archive upload`: the steps from the last run to an entry that is kept, pushed and handed to the mirrors.
//! Does not know how any step does its work; a step may be done again after a kill, and is not after it was written down.

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use larder_archive::attest::{SecretKey, attest};
use larder_archive::{
    Archive, ArchiveEntry, ArchiveError, Attest, Bundle, BundleError, EntryId, EntryStatus,
    Finding, GateInput, Regressions, Severity, Step, StepError, TaskSummary, Upload, evaluate,
    last_accepted, verdict,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::archive::UploadArgs;
use crate::args::{ArchiveArgs, Reuse};
use crate::execute::exit;
use crate::session::Session;

use super::super::{Context, Outcome, Usage, say};
use super::assemble::{self, Parts, Tags, Verdict};
use super::collect::{self, Asked, Collected};
use super::follow::follow;
use super::mirrors::Mirrors;
use super::since;
use super::told::{self, Synced};
use super::unfinished::{Trouble, advice, begin, forget};
use super::{Place, dry, failed, folder, measure, repositories, words};

/// Who made what an attestation is about, for those who trust the key.
const BUILDER: &str = "urn:larder:archive-upload";

/// Why an upload did not reach its end.
enum Stop {
    /// A step failed: its name, and why.
    Step(Step, Trouble),
    /// Something around the steps failed.
    Usage(Usage),
}

impl From<Usage> for Stop {
    fn from(usage: Usage) -> Stop {
        Stop::Usage(usage)
    }
}

pub(super) fn upload(context: &Context<'_>, args: &ArchiveArgs, asked: &UploadArgs) -> Outcome {
    if let Some(id) = &asked.forget {
        let place = Place::find(context, args)?;
        return forget(&place.archive, id, args.json);
    }
    context.with_session(None, &Reuse::default(), |session| {
        let settings = &session.workspace.settings.archive;
        let given = args.dir.as_ref().map(|dir| context.cwd.join(dir));
        let archive = Archive::new(given.unwrap_or_else(|| folder(&session.root, settings)));
        if asked.dry {
            return dry::dry(session, &archive, args, asked);
        }
        let key = match &asked.attest {
            Some(path) => Some(secret_key(&context.cwd.join(path))?),
            None => None,
        };
        let start = Instant::now();
        let elapsed = || start.elapsed();
        let mut upload = begin(session, &archive, asked, &elapsed)?;
        let id = upload.journal().id;
        let mut work = Work {
            context,
            session,
            archive: &archive,
            asked,
            key,
            json: args.json,
            answer: RefCell::new(None),
        };
        match work.steps(&mut upload) {
            Ok(status) => {
                upload.finish().map_err(|error| failed(&error))?;
                let mirrored = follow(&work.mirrors(), session, asked.wait, id)?;
                let code = match status {
                    EntryStatus::Accepted => mirrored,
                    EntryStatus::Rejected => exit::REJECTED,
                };
                if let Some(text) = work.answer.take() {
                    super::super::print(&told::ended(&text, code))?;
                }
                Ok(code)
            }
            Err(Stop::Usage(usage)) => Err(usage),
            Err(Stop::Step(step, why)) => {
                // What was noted before goes on all the same.
                follow(&work.mirrors(), session, false, id)?;
                let interrupted = session.cancel.is_raised();
                let code = if interrupted {
                    exit::INTERRUPTED
                } else {
                    exit::UNFINISHED
                };
                let advice = advice(upload.journal(), why.lasting);
                told::step_failed(id, step, (&why.why, &advice), args.json, code)?;
                Ok(code)
            }
        }
    })
}

/// Tasks of the run that the state does not know, or no longer as they were then: their manifests and logs are missing.
fn unknown(collected: &Collected) -> Vec<Finding> {
    let tasks = collected.run.summary().tasks.iter();
    let keyed = tasks.filter(|task| task.status.passed() && task.key.is_some());
    let missing = keyed.filter(|task| !collected.manifests.tasks.contains_key(&task.task));
    let finding = |task: &TaskSummary| Finding {
        validator: "collect".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "the state does not know this run of {}: its manifest and its log are not in the entry",
            task.task
        ),
    };
    missing.map(finding).collect()
}

/// What differs from what the run read. What is signed, tagged or pushed is what was built and passed its gates, or nothing.
pub(super) fn since_the_run(
    session: &Session<'_>,
    collected: &Collected,
) -> Result<Vec<Finding>, Trouble> {
    let found = since::changed(session, &collected.manifests)?;
    let git = &session.workspace.settings.archive.git;
    let promised = collected.asked.attest || git.push || git.tag.is_some();
    match found.first() {
        Some(first) if promised => Err(Trouble {
            why: format!("{}\nrun again and archive that run", first.message),
            lasting: true,
        }),
        _ => Ok(found),
    }
}

/// Reads the key that signs.
fn secret_key(path: &Path) -> Result<SecretKey, Usage> {
    let unusable = |why: String| {
        let make = "openssl genpkey -algorithm ed25519 -out KEY";
        Usage::new(format!(
            "{} cannot be used: {why}\n  `{make}` makes a key",
            path.display()
        ))
    };
    let pem = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    SecretKey::from_pem(&pem).map_err(|error| unusable(words(&error)))
}

/// What was asked for, as a journal keeps it.
pub(super) fn asked_for(asked: &UploadArgs, settings: &crate::config::ArchiveSettings) -> Asked {
    let both = |own: &[String], given: &[String]| own.iter().chain(given).cloned().collect();
    Asked {
        trigger: asked.trigger.clone(),
        tags: both(&settings.tags, &asked.tag),
        notes: both(&settings.notes, &asked.note),
        no_gates: asked.no_gates,
        attest: asked.attest.is_some(),
    }
}

/// What the steps work with.
struct Work<'w, 's> {
    context: &'w Context<'w>,
    session: &'w Session<'s>,
    archive: &'w Archive,
    asked: &'w UploadArgs,
    key: Option<SecretKey>,
    json: bool,
    /// What programs are told once the mirrors were waited for.
    answer: RefCell<Option<String>>,
}

impl Work<'_, '_> {
    fn mirrors(&self) -> Mirrors<'_> {
        Mirrors {
            archive: self.archive,
            settings: &self.session.workspace.settings.archive.mirrors,
            root: &self.session.root,
            env: &self.context.world.env,
        }
    }

    /// Does one step and tells of it.
    fn step<T: Serialize + DeserializeOwned, E: Into<Trouble>>(
        &self,
        upload: &mut Upload<'_>,
        step: Step,
        run: impl FnOnce(&Upload<'_>) -> Result<T, E>,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<T, Stop> {
        let known = upload.journal().done.contains_key(&step);
        let cancel = &self.session.cancel;
        let result = upload.step(step, |upload| {
            if cancel.is_raised() {
                return Err("interrupted".to_owned().into());
            }
            run(upload).map_err(Into::into)
        });
        let result = result.map_err(|error| match error {
            StepError::Failed { step, cause } => Stop::Step(step, cause),
            other => Stop::Usage(failed(&other)),
        })?;
        let seconds = upload.timings().get(&step).copied().unwrap_or_default();
        told::step(step, seconds, known, &detail(&result));
        Ok(result)
    }

    fn steps(&mut self, upload: &mut Upload<'_>) -> Result<EntryStatus, Stop> {
        let session = self.session;
        let settings = &session.workspace.settings.archive;
        let id = upload.journal().id;
        let collected = self.step(
            upload,
            Step::Collect,
            |_| {
                let asked = asked_for(self.asked, settings);
                let mut collected = collect::collect(session, self.archive.root(), asked)?;
                let unknown = unknown(&collected);
                collected.findings.extend(unknown);
                Ok::<_, String>(collected)
            },
            told::collected,
        )?;
        self.check_key(upload, &collected)?;
        let created = self.step(
            upload,
            Step::EntryCreation,
            |_| {
                let run = collected.run.summary();
                Ok::<_, String>(assemble::created(&session.root, settings, run))
            },
            |_| id.to_string(),
        )?;
        let previous = self.previous(&created.workspace, id)?;
        if let Some(same) = previous.as_ref().filter(|one| one.run == collected.run) {
            say(&format!("this run is archived already, as {}", same.id));
        }
        let mut parts = Parts {
            collected: &collected,
            created: &created,
            scores: None,
            repositories: None,
            tags: None,
            verdict: None,
        };
        let scores = self.step(
            upload,
            Step::QualityScores,
            |upload| measure::scores(session, &assemble::entry(upload, &parts), previous.as_ref()),
            told::scores,
        )?;
        parts.scores = Some(&scores);
        let repositories = self.step(
            upload,
            Step::RepoCommits,
            |_| {
                let mut found = repositories::commits(&session.root, &settings.git, id)?;
                if !found.commits.is_empty() {
                    found.findings = since_the_run(session, &collected)?;
                }
                Ok::<_, Trouble>(found)
            },
            told::repositories,
        )?;
        parts.repositories = Some(&repositories);
        let tags = self.step(
            upload,
            Step::Tagging,
            |_| {
                let entry = collected.asked.tags.iter().cloned().collect();
                Ok::<_, String>(Tags { entry })
            },
            told::tags,
        )?;
        parts.tags = Some(&tags);
        let verdict = self.step(
            upload,
            Step::GateValidation,
            |upload| {
                let entry = assemble::entry(upload, &parts);
                self.ask(&collected, &entry, &scores, previous.as_ref())
            },
            told::verdict,
        )?;
        parts.verdict = Some(&verdict);
        let entry = self.step(
            upload,
            Step::IndexSave,
            |upload| self.save(assemble::entry(upload, &parts), &collected),
            told::saved,
        )?;
        let synced = self.step(upload, Step::Sync, |_| self.sync(&entry), told::synced)?;
        self.step(
            upload,
            Step::Porcelain,
            |upload| self.porcelain(upload, &entry, &synced),
            |()| String::new(),
        )?;
        let timings = upload.timings();
        self.archive
            .amend(id, |entry| entry.archive_timings.extend(timings))
            .map_err(|error| failed(&error))?;
        Ok(entry.status)
    }

    /// An upload that is resumed is signed if it began so, and not otherwise.
    fn check_key(&self, upload: &Upload<'_>, collected: &Collected) -> Result<(), Usage> {
        let id = upload.journal().id;
        let is_kept = upload.journal().done.contains_key(&Step::IndexSave);
        match (&self.key, collected.asked.attest) {
            (None, true) if !is_kept => Err(Usage::new(format!(
                "the upload began with `--attest`, and the key is not kept\n  give it again: `larder archive upload --resume={id} --attest KEY`"
            ))),
            (Some(_), false) => Err(Usage::new(format!(
                "the upload began without `--attest`, and cannot be signed later\n  resume it without: `larder archive upload --resume={id}`"
            ))),
            _ => Ok(()),
        }
    }

    /// The last accepted entry of the workspace. What cannot be read is told of and passed over: it can be compared with nothing.
    fn previous(&self, workspace: &str, id: EntryId) -> Result<Option<ArchiveEntry>, Stop> {
        let mut listing = self.archive.list().map_err(|error| failed(&error))?;
        listing.summaries.retain(|summary| summary.id < id);
        let mut unreadable = listing.problems;
        let mut found = None;
        while let Some(summary) = last_accepted(&listing.summaries, workspace) {
            let last = summary.id;
            match self.archive.newest(last) {
                Ok(Some(newest)) => {
                    let passed_over = newest.passed_over.into_iter();
                    unreadable.extend(passed_over.map(|why| (last, why)));
                    found = Some(newest.entry);
                    break;
                }
                // It was pruned meanwhile.
                Ok(None) => {}
                Err(error @ ArchiveError::Entry { .. }) => unreadable.push((last, words(&error))),
                Err(error) => return Err(failed(&error).into()),
            }
            listing.summaries.retain(|summary| summary.id != last);
        }
        unreadable.sort();
        unreadable.dedup();
        // What is older than the one to compare with has no say.
        unreadable.retain(|(id, _)| found.as_ref().is_none_or(|entry| *id >= entry.id));
        for (id, why) in unreadable {
            say(&format!(
                "larder: entry {id} cannot be read and is passed over: {why}"
            ));
        }
        Ok(found)
    }

    fn ask(
        &self,
        collected: &Collected,
        entry: &ArchiveEntry,
        scores: &measure::Scores,
        previous: Option<&ArchiveEntry>,
    ) -> Result<Verdict, String> {
        if collected.asked.no_gates {
            return Ok(Verdict {
                status: EntryStatus::Accepted,
                skipped: true,
                gates: Vec::new(),
            });
        }
        let config = &self.session.workspace.settings.archive.gates;
        let regressions = match config.timing_regressions {
            Regressions::Allow => Vec::new(),
            Regressions::Reject => measure::regressions(self.session, collected.run.summary())?,
        };
        let input = GateInput {
            run: collected.run.summary(),
            metrics: &entry.metrics,
            unmeasured: &scores.unmeasured,
            previous,
            regressions: &regressions,
            findings: &entry.findings,
        };
        let gates = evaluate(config, &input);
        Ok(Verdict {
            status: verdict(&gates),
            skipped: false,
            gates,
        })
    }

    fn save(
        &self,
        mut entry: ArchiveEntry,
        collected: &Collected,
    ) -> Result<ArchiveEntry, Trouble> {
        let logs = collect::logs(self.session, collected.run.summary());
        entry.findings.extend(collected.missing(&logs));
        let bundle = Bundle {
            entry: &entry,
            manifests: &collected.manifests,
            extras: &logs.found,
            root: &self.session.root,
        };
        let key = self.key.as_ref();
        let sign = |entry: &ArchiveEntry| {
            let key = key.ok_or("there is no key")?;
            attest(entry, BUILDER, key).map_err(|error| words(&error))
        };
        let sign: Option<Attest<'_>> = key.map(|_| &sign as Attest<'_>);
        self.archive.keep(&bundle, sign).map_err(|error| Trouble {
            why: words(&error),
            // What was digested is not there any more.
            lasting: matches!(error, ArchiveError::Bundle(BundleError::Changed { .. })),
        })
    }

    /// Hands the entry to the mirrors, and its commits to their remotes.
    fn sync(&self, entry: &ArchiveEntry) -> Result<Synced, Trouble> {
        let mut synced = Synced::default();
        if entry.status == EntryStatus::Rejected {
            return Ok(synced);
        }
        // A mirror has nothing to do with what a remote says.
        synced.mirrors = self.mirrors().note(entry)?;
        let around = repositories::Surroundings {
            root: &self.session.root,
            env: &self.context.world.env,
            cancel: &self.session.cancel,
        };
        let settings = &self.session.workspace.settings.archive.git;
        synced.pushes = repositories::sync(&around, settings, entry)?;
        Ok(synced)
    }

    fn porcelain(
        &self,
        upload: &Upload<'_>,
        entry: &ArchiveEntry,
        synced: &Synced,
    ) -> Result<(), String> {
        let told = told::Told {
            entry,
            synced,
            steps: &upload.timings(),
            dir: self.archive.root(),
            wait: self.asked.wait,
        };
        let text = if self.json {
            told::value(&told)
        } else {
            told::text(&told)
        };
        if self.json && self.asked.wait {
            // How it ends is not known before.
            self.answer.replace(Some(text));
            return Ok(());
        }
        super::super::print(&text).map_err(|usage| usage.message)
    }
}
