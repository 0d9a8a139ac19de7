//! Validators: they look at an entry before the gates are asked, and give metrics and findings.
//! Does not know where an entry comes from, nor how commands are run: a validator that runs one is the program's.

use std::collections::BTreeMap;

use crate::format::{ArchiveEntry, Finding, Severity};

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

/// Merges the timings of the run's phases and of the upload's steps into one set of metrics: `timing.phase.NAME`, `timing.archive.STEP`,
/// and the sums `timing.phase` and `timing.archive`, in seconds.
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
        let mut report = Report::default();
        let mut add = |group: &str, name: &str, seconds: f64| {
            *report.metrics.entry(format!("timing.{group}")).or_default() += seconds;
            report
                .metrics
                .insert(format!("timing.{group}.{name}"), seconds);
        };
        for (phase, &seconds) in phase_timings {
            add("phase", phase, seconds);
        }
        for (step, &seconds) in archive_timings {
            add("archive", step.name(), seconds);
        }
        for (name, seconds) in &report.metrics {
            if !seconds.is_finite() || *seconds < 0.0 {
                let message = format!("`{name}` is {seconds} seconds, which is no duration");
                report
                    .findings
                    .push(finding(self, Severity::Error, message));
            }
        }
        report.metrics.retain(|_, seconds| seconds.is_finite());
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
