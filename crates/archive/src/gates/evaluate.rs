//! Asking the gates: what is known of an entry in, results and reasons out.
//! Does not know how anything was measured: a number that could not be comes with words in its place.

use std::collections::BTreeMap;

use super::{GateResult, GatesConfig, MetricConfig, Regressions, TimingRegression};
use crate::format::{ArchiveEntry, EntryStatus, Finding, Severity};
use crate::run::{RunSummary, TaskStatus, TaskSummary};

/// What gates are asked about.
#[derive(Clone, Copy, Debug)]
pub struct GateInput<'a> {
    /// The run.
    pub run: &'a RunSummary,
    /// The numbers that were measured, by metric.
    pub metrics: &'a BTreeMap<String, f64>,
    /// Why others could not be measured, by metric, in words.
    pub unmeasured: &'a BTreeMap<String, String>,
    /// The last entry of the workspace that passed its gates.
    pub previous: Option<&'a ArchiveEntry>,
    /// What took longer than its history lets expect.
    pub regressions: &'a [TimingRegression],
    /// What validators found.
    pub findings: &'a [Finding],
}

/// Asks all gates, in the order of the configuration's fields; then come the validators that found an error.
pub fn evaluate(config: &GatesConfig, input: &GateInput<'_>) -> Vec<GateResult> {
    let mut results = Vec::new();
    for pattern in &config.tasks {
        let reasons = unpassed(pattern, input.run);
        results.push(result(format!("task {pattern}"), reasons));
    }
    for tier in &config.all_green {
        let reasons = match config.tiers.get(tier) {
            None => vec![format!("no tier `{tier}` is configured")],
            Some(patterns) if patterns.is_empty() => vec![format!("tier `{tier}` names no task")],
            Some(patterns) => patterns
                .iter()
                .flat_map(|pattern| unpassed(pattern, input.run))
                .collect(),
        };
        results.push(result(format!("tier {tier}"), reasons));
    }
    for (name, metric) in &config.metrics {
        results.push(ask_metric(name, metric, input));
    }
    if config.timing_regressions == Regressions::Reject {
        let slow = input.regressions.iter().map(|slow| {
            let TimingRegression {
                name,
                seconds,
                expected_seconds,
            } = slow;
            format!("`{name}` took {seconds:.2} s, and {expected_seconds:.2} s were expected")
        });
        results.push(result("timing".into(), slow.collect()));
    }
    let mut errors: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for finding in input.findings {
        if finding.severity == Severity::Error {
            let reasons = errors.entry(&finding.validator).or_default();
            reasons.push(finding.message.clone());
        }
    }
    let errors = errors.into_iter();
    results.extend(
        errors.map(|(validator, reasons)| result(format!("validator {validator}"), reasons)),
    );
    results
}

/// What the results make of an entry.
pub fn verdict(results: &[GateResult]) -> EntryStatus {
    if results.iter().all(|result| result.passed) {
        EntryStatus::Accepted
    } else {
        EntryStatus::Rejected
    }
}

/// Reads the number that a command printed: it, and white space around it.
///
/// # Errors
/// In words.
pub fn metric_of_output(output: &str) -> Result<f64, String> {
    let text = output.trim();
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| {
        let start: String = text.chars().take(60).collect();
        format!("a number was expected, and `{start}` was printed")
    })
}

/// Reads the number at a JSON pointer, such as `/totals/lines/percent`, of a JSON text.
///
/// # Errors
/// In words.
pub fn metric_of_json(json: &[u8], pointer: &str) -> Result<f64, String> {
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|error| format!("it is no JSON: {error}"))?;
    let found = value
        .pointer(pointer)
        .ok_or_else(|| format!("it has no field `{pointer}`"))?;
    let number = found.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("its field `{pointer}` is no number"))
}

/// Why the tasks of a pattern did not all pass; nothing if they did, and there are any.
fn unpassed(pattern: &str, run: &RunSummary) -> Vec<String> {
    let matched = |task: &&TaskSummary| {
        if pattern.contains('#') {
            task.task == pattern
        } else {
            task.name() == pattern
        }
    };
    let mut tasks = run.tasks.iter().filter(matched).peekable();
    if tasks.peek().is_none() {
        return vec![format!("no task `{pattern}` took part in the run")];
    }
    tasks
        .filter_map(|task| {
            let name = &task.task;
            Some(match task.status {
                status if status.passed() => return None,
                // It stands for its dependencies, and the record does not say which these are.
                TaskStatus::Group if run.exit_code == 0 => return None,
                TaskStatus::Group => {
                    format!("`{name}` stands for other tasks, and the run failed")
                }
                TaskStatus::Failed => match &task.error {
                    Some(error) => format!("`{name}` failed: {error}"),
                    None => format!("`{name}` failed"),
                },
                TaskStatus::Skipped => format!("`{name}` was not started"),
                _ => format!("`{name}` ended in a way that this version does not know"),
            })
        })
        .collect()
}

fn ask_metric(name: &str, metric: &MetricConfig, input: &GateInput<'_>) -> GateResult {
    let gate = format!("metric {name}");
    if let Some(why) = input.unmeasured.get(name) {
        return result(gate, vec![format!("it could not be measured: {why}")]);
    }
    let Some(&value) = input.metrics.get(name) else {
        return result(gate, vec!["it was not measured".into()]);
    };
    if !value.is_finite() {
        return result(gate, vec![format!("it is {value}, which is no number")]);
    }
    let mut reasons = Vec::new();
    if let Some(min) = metric.min
        && value < min
    {
        reasons.push(format!("it is {value}, and at least {min} is wanted"));
    }
    if let Some(max) = metric.max
        && value > max
    {
        reasons.push(format!("it is {value}, and at most {max} is wanted"));
    }
    let mut notes = Vec::new();
    if let Some(change) = &metric.regression {
        let old = input
            .previous
            .and_then(|entry| Some((entry.id, *entry.metrics.get(name)?)));
        match (old, input.previous) {
            (Some((_, old)), _) if change.allows(old, value) => {}
            (Some((id, old)), _) => reasons.push(format!(
                "it went from {old} in entry {id} to {value}, and a change of {change} is wanted"
            )),
            (None, Some(entry)) => {
                notes.push(format!(
                    "entry {} has no such metric to compare with",
                    entry.id
                ));
            }
            (None, None) => notes.push("there is no accepted entry to compare with".into()),
        }
    }
    let mut result = result(gate, reasons);
    result.reasons.extend(notes);
    result
}

fn result(gate: String, reasons: Vec<String>) -> GateResult {
    GateResult {
        gate,
        passed: reasons.is_empty(),
        reasons,
    }
}
