//! Validators: they look at an entry before the gates are asked, and give metrics and findings.
//! Does not know where an entry comes from, nor how commands are run: a validator that runs one is the program's.

use std::collections::BTreeMap;

use crate::format::{ArchiveEntry, Finding, Severity};
use crate::run::TaskSummary;

/// What a validator looks at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The entry, complete but for metrics of validators, gates and bundle.
    pub entry: &'a ArchiveEntry,
    /// The last accepted entry of the workspace, if there is one.
    pub previous: Option<&'a ArchiveEntry>,
}

/// What a validator found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Findings; one of [`Severity::Error`] rejects the entry.
    pub findings: Vec<Finding>,
}

/// Looks at an entry.
///
/// Contract: it changes nothing, and gives the same for the same context. What it cannot judge is a finding of [`Severity::Error`] or an
/// error, never a silent pass: the safe wrong answer is a rejected entry.
pub trait Validator {
    /// Its name, which its findings carry.
    fn name(&self) -> &str;

    /// Looks at `context`.
    ///
    /// # Errors
    /// When it could not look; in words.
    fn validate(&self, context: Context<'_>) -> Result<Report, String>;
}

/// Merges the timings of the run's phases, of its executed tasks by their names, and of the upload's steps into one set of metrics:
/// `timing.phase.NAME`, `timing.task.NAME`, `timing.archive.STEP`, and the sums `timing.phase`, `timing.task` and `timing.archive`, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimingValidator;

/// Wants artifacts of certain names.
#[derive(Clone, Debug, Default)]
pub struct RequiredFiles {
    /// The names, as they stand in the entry.
    pub names: Vec<String>,
}

/// Bounds the sizes of artifacts, and measures them: `size.artifacts` is their sum in bytes.
#[derive(Clone, Debug, Default)]
pub struct SizeBudget {
    /// Bytes that all together may have.
    pub total: Option<u64>,
    /// Bytes that one may have, by its name.
    pub each: BTreeMap<String, u64>,
}

impl Validator for TimingValidator {
    fn name(&self) -> &'static str {
        "timing"
    }

    fn validate(&self, context: Context<'_>) -> Result<Report, String> {
        let ArchiveEntry {
            phase_timings,
            archive_timings,
            ..
        } = context.entry;
        let phases = phase_timings.iter().map(|(name, &s)| ("phase", &**name, s));
        let run = context.entry.run.summary();
        let executed = |task: &&TaskSummary| task.status.was_executed();
        // A phase of work to whoever builds, such as `test`, is what the tasks of one name took in all projects.
        let mut tasks: BTreeMap<&str, f64> = BTreeMap::new();
        for task in run.tasks.iter().filter(executed) {
            *tasks.entry(task.name()).or_default() += task.seconds;
        }
        let tasks = tasks.into_iter().map(|(name, s)| ("task", name, s));
        let steps = archive_timings
            .iter()
            .map(|(step, &s)| ("archive", step.name(), s));
        let mut report = Report::default();
        for (group, name, seconds) in phases.chain(tasks).chain(steps) {
            let name = format!("timing.{group}.{name}");
            if !seconds.is_finite() || seconds < 0.0 {
                let message = format!("`{name}` is {seconds} seconds, which is no duration");
                report
                    .findings
                    .push(finding(self, Severity::Error, message));
                continue;
            }
            *report.metrics.entry(format!("timing.{group}")).or_default() += seconds;
            report.metrics.insert(name, seconds);
        }
        Ok(report)
    }
}

impl Validator for RequiredFiles {
    fn name(&self) -> &'static str {
        "required-files"
    }

    fn validate(&self, context: Context<'_>) -> Result<Report, String> {
        let artifacts = &context.entry.artifacts;
        let missing = self
            .names
            .iter()
            .filter(|name| !artifacts.iter().any(|artifact| artifact.name == **name));
        let findings = missing
            .map(|name| {
                let message = format!("`{name}` is required and not among the artifacts");
                finding(self, Severity::Error, message)
            })
            .collect();
        Ok(Report {
            metrics: BTreeMap::new(),
            findings,
        })
    }
}

impl Validator for SizeBudget {
    fn name(&self) -> &'static str {
        "size-budget"
    }

    #[allow(clippy::cast_precision_loss)] // Exact up to 2^53 bytes.
    fn validate(&self, context: Context<'_>) -> Result<Report, String> {
        let artifacts = &context.entry.artifacts;
        let total = artifacts
            .iter()
            .fold(0_u64, |sum, artifact| sum.saturating_add(artifact.size));
        let mut report = Report::default();
        report.metrics.insert("size.artifacts".into(), total as f64);
        let mut over = |what: String, size: u64, budget: u64| {
            if size > budget {
                let message = format!("{what}: {size} bytes, and {budget} are allowed");
                report
                    .findings
                    .push(finding(self, Severity::Error, message));
            }
        };
        if let Some(budget) = self.total {
            over("all artifacts together".into(), total, budget);
        }
        for artifact in artifacts {
            if let Some(&budget) = self.each.get(&artifact.name) {
                over(format!("`{}`", artifact.name), artifact.size, budget);
            }
        }
        Ok(report)
    }
}

fn finding(validator: &dyn Validator, severity: Severity, message: String) -> Finding {
    Finding {
        validator: validator.name().to_owned(),
        severity,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Artifact;
    use crate::id::EntryId;
    use crate::run::RunRecord;
    use crate::step::Step;
    use crate::time::Time;

    fn entry() -> ArchiveEntry {
        ArchiveEntry::new(
            EntryId::new(Time::default(), 0),
            Time::default(),
            RunRecord::default(),
        )
    }

    fn look(validator: &dyn Validator, entry: &ArchiveEntry) -> Report {
        let previous = None;
        validator.validate(Context { entry, previous }).unwrap()
    }

    fn messages(report: &Report) -> Vec<&str> {
        report
            .findings
            .iter()
            .map(|finding| finding.message.as_str())
            .collect()
    }

    #[test]
    fn timings_of_both_kinds_become_one_set() {
        let mut entry = entry();
        entry.phase_timings = [("sync".to_owned(), 2.0), ("build".to_owned(), 1.0)].into();
        entry.archive_timings = [(Step::Sync, 0.5), (Step::Collect, 0.25)].into();
        entry.run = RunRecord::new(serde_json::json!({ "tasks": [
            { "task": "a#test", "status": "ran", "seconds": 1.5 },
            { "task": "b#test", "status": "failed", "seconds": 0.5 },
            { "task": "c#test", "status": "restored", "seconds": 8.0 },
            { "task": "a#build", "status": "ran", "seconds": 4.0 },
        ] }))
        .unwrap();
        let report = look(&TimingValidator, &entry);
        let expected = [
            ("timing.archive", 0.75),
            ("timing.archive.collect", 0.25),
            ("timing.archive.sync", 0.5),
            ("timing.phase", 3.0),
            ("timing.phase.build", 1.0),
            ("timing.phase.sync", 2.0),
            ("timing.task", 6.0),
            ("timing.task.build", 4.0),
            ("timing.task.test", 2.0),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(report.metrics, expected.into());
        assert_eq!(messages(&report), [""; 0]);
    }

    #[test]
    fn what_is_no_duration_is_found_and_left_out() {
        let mut entry = entry();
        entry.phase_timings = [("build".to_owned(), -1.0), ("test".to_owned(), f64::NAN)].into();
        let report = look(&TimingValidator, &entry);
        assert!(report.metrics.is_empty());
        assert_eq!(report.findings.len(), 2);
        assert!(report.findings[0].message.contains("timing.phase.build"));
    }

    #[test]
    fn required_files_and_sizes() {
        let mut entry = entry();
        for (name, size) in [("a", 10), ("b", 20)] {
            entry.artifacts.push(Artifact {
                name: name.into(),
                size,
                blake3: String::new(),
                sha256: String::new(),
                executable: false,
            });
        }
        let names = vec!["a".into(), "c".into()];
        let report = look(&RequiredFiles { names }, &entry);
        assert_eq!(
            messages(&report),
            ["`c` is required and not among the artifacts"]
        );
        assert_eq!(report.findings[0].validator, "required-files");

        let budget = |total, b| SizeBudget {
            total: Some(total),
            each: [("b".to_owned(), b), ("gone".to_owned(), 0)].into(),
        };
        let report = look(&budget(30, 20), &entry);
        assert_eq!(messages(&report), [""; 0], "the bound itself is allowed");
        assert_eq!(report.metrics, [("size.artifacts".to_owned(), 30.0)].into());
        let report = look(&budget(29, 19), &entry);
        assert_eq!(
            messages(&report),
            [
                "all artifacts together: 30 bytes, and 29 are allowed",
                "`b`: 20 bytes, and 19 are allowed"
            ]
        );
        entry.artifacts[0].size = u64::MAX;
        assert_eq!(look(&budget(30, 20), &entry).findings.len(), 1);
    }
}
