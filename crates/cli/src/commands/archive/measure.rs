//! Metrics and validators: numbers from commands and files, and what validators find.
//! Does not know which numbers are good enough.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_archive::{
    ArchiveEntry, Context, Finding, MetricConfig, RequiredFiles, RunSummary, Severity, SizeBudget,
    TimingRegression, TimingValidator, Validator, metric_of_json, metric_of_output,
};
use serde::{Deserialize, Serialize};

use crate::execute::{Command, Spec, Stream};
use crate::session::{Session, run, words};

use super::super::timings;

/// The variable by which commands of validators find the entry.
const ENTRY: &str = "LARDER_ARCHIVE_ENTRY";
/// So much of what a failed command said is kept.
const SAID: usize = 300;
/// So long a command may take: an upload is not to hang for ever.
const LONGEST: Duration = Duration::from_mins(10);
/// So many bytes of what a command prints are looked at. A number is shorter.
const PRINTED: usize = 1 << 16;
/// So large may a JSON file be that a number is taken from.
const JSON: u64 = 64 << 20;

/// What the step `quality_scores` gives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Scores {
    pub(super) metrics: BTreeMap<String, f64>,
    /// Why others could not be measured.
    pub(super) unmeasured: BTreeMap<String, String>,
    pub(super) findings: Vec<Finding>,
}

/// Measures all that is configured, and lets all validators look.
pub(super) fn scores(
    session: &Session<'_>,
    entry: &ArchiveEntry,
    previous: Option<&ArchiveEntry>,
) -> Result<Scores, String> {
    let settings = &session.workspace.settings.archive;
    let mut scores = Scores::default();
    for (name, metric) in &settings.gates.metrics {
        match measured(session, metric) {
            Some(Ok(value)) => {
                scores.metrics.insert(name.clone(), value);
            }
            Some(Err(why)) => {
                scores.unmeasured.insert(name.clone(), why);
            }
            // A validator measures it, or nobody does.
            None => {}
        }
    }
    let timing = TimingValidator;
    let required = RequiredFiles {
        names: settings.validators.required_files.clone(),
    };
    let budget = SizeBudget {
        total: settings.validators.size_budget,
        each: settings.validators.file_budgets.clone(),
    };
    let commands: Vec<CommandValidator<'_>> = settings
        .validators
        .commands
        .iter()
        .map(|(name, command)| CommandValidator {
            session,
            name,
            command,
        })
        .collect();
    let shipped: [&dyn Validator; 3] = [&timing, &required, &budget];
    let own = commands.iter().map(|one| one as &dyn Validator);
    for validator in shipped.into_iter().chain(own) {
        match validator.validate(Context { entry, previous }) {
            Ok(report) => {
                scores.metrics.extend(report.metrics);
                scores.findings.extend(report.findings);
            }
            Err(why) => scores.findings.push(Finding {
                validator: validator.name().to_owned(),
                severity: Severity::Error,
                message: format!("it could not look: {why}"),
            }),
        }
    }
    if session.cancel.is_raised() {
        return Err("interrupted".to_owned());
    }
    Ok(scores)
}

/// The tasks of a run, and the phases of runs like the newest, that became slower on this machine as `larder timings check` tells it.
pub(super) fn regressions(
    session: &Session<'_>,
    run: &RunSummary,
) -> Result<Vec<TimingRegression>, String> {
    let (history, _) = crate::history::open(session)?;
    let slower = timings::slower(&history).map_err(|usage| usage.message)?;
    let seconds = |nanos| std::time::Duration::from_nanos(nanos).as_secs_f64();
    let took_part = |name: &str| run.tasks.iter().any(|task| task.task == name);
    let slower = slower
        .into_iter()
        .filter(|slower| slower.is_phase || took_part(&slower.name));
    Ok(slower
        .map(|slower| TimingRegression {
            name: slower.name,
            seconds: seconds(slower.after_ns),
            expected_seconds: seconds(slower.before_ns),
        })
        .collect())
}

/// The number of a metric; `None` when neither a command nor a file gives it.
fn measured(session: &Session<'_>, metric: &MetricConfig) -> Option<Result<f64, String>> {
    if let Some(command) = &metric.command {
        let output = run_command(session, command, &[]);
        return Some(output.and_then(|output| metric_of_output(&output)));
    }
    let (file, field) = (metric.file.as_ref()?, metric.field.as_ref()?);
    let path = session.root.join(file);
    let read = || -> Result<Vec<u8>, String> {
        let unread = |error: std::io::Error| format!("{file} cannot be read: {error}");
        let there = path.metadata().map_err(unread)?;
        // A pipe would be waited for.
        if !there.is_file() || there.len() > JSON {
            return Err(format!("{file} is no file of up to 64 MiB"));
        }
        std::fs::read(&path).map_err(unread)
    };
    Some(
        read()
            .and_then(|json| metric_of_json(&json, field).map_err(|why| format!("{file}: {why}"))),
    )
}

/// A check of the user's own: its exit code decides.
struct CommandValidator<'a> {
    session: &'a Session<'a>,
    name: &'a str,
    command: &'a str,
}

impl Validator for CommandValidator<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn validate(&self, context: Context<'_>) -> Result<larder_archive::Report, String> {
        let json = context.entry.to_json().map_err(|error| error.to_string())?;
        let mut file = tempfile::NamedTempFile::new_in(&self.session.paths.folder)
            .map_err(|error| error.to_string())?;
        std::io::Write::write_all(&mut file, &json).map_err(|error| error.to_string())?;
        let path = file.path().as_os_str().to_owned();
        let mut report = larder_archive::Report::default();
        if let Err(message) = run_command(self.session, self.command, &[(ENTRY, path)]) {
            report.findings.push(Finding {
                validator: self.name.to_owned(),
                severity: Severity::Error,
                message,
            });
        }
        Ok(report)
    }
}

/// Keeps the end of what arrives, as far as it is looked at.
fn keep_end(all: &mut Vec<u8>, bytes: &[u8]) {
    all.extend_from_slice(&bytes[bytes.len().saturating_sub(PRINTED)..]);
    if all.len() > 2 * PRINTED {
        all.drain(..all.len() - PRINTED);
    }
}

/// What a command printed on standard output; else how it failed, and the end of what it said.
fn run_command(
    session: &Session<'_>,
    command: &str,
    also: &[(&str, std::ffi::OsString)],
) -> Result<String, String> {
    let mut env = session.env.to_vec();
    env.extend(
        also.iter()
            .map(|(name, value)| ((*name).into(), value.clone())),
    );
    let spec = Spec {
        command: Command::Shell(command.into()),
        cwd: session.root.clone(),
        env,
        timeout: Some(LONGEST),
        grace: run::GRACE,
        extra_args: Vec::new(),
    };
    let (mut output, mut all) = (Vec::new(), Vec::new());
    let mut take = |stream, bytes: &[u8]| {
        keep_end(&mut all, bytes);
        if stream == Stream::Stdout {
            // What is cut off here was no number before.
            let room = PRINTED.saturating_sub(output.len());
            output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    };
    let ended = session.executor.run(&spec, &mut take, &session.cancel);
    let exit = ended.map_err(|error| error.to_string())?.exit;
    if exit.success() {
        return Ok(String::from_utf8_lossy(&output).into_owned());
    }
    let said = String::from_utf8_lossy(&all);
    let said = said.trim();
    let from = said.char_indices().rev().take(SAID).last();
    let said = &said[from.map_or(0, |(at, _)| at)..];
    let how = words::exit(exit);
    Err(if said.is_empty() {
        format!("`{command}` ended with {how}")
    } else {
        format!("`{command}` ended with {how}: {said}")
    })
}
