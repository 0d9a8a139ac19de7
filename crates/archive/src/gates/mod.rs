//! Gates: whether an entry is accepted, and why not.
//! Does not know how metrics are measured, nor what becomes of a rejected entry.

mod config;
mod evaluate;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use config::{Change, ChangeError, GatesConfig, MetricConfig, Regressions, Side};
pub use evaluate::{GateInput, evaluate, metric_of_json, metric_of_output, verdict};

/// What one gate said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// The gate: `task web#test`, `tier unit`, `metric coverage`, `timing`, `validator size-budget`.
    pub gate: String,
    /// Whether it was passed.
    pub passed: bool,
    /// Why not, or what is worth knowing although it was; in words.
    pub reasons: Vec<String>,
}

/// A task or phase that took longer than its history lets expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimingRegression {
    /// The task or phase.
    pub name: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How long it was expected to take, in seconds.
    pub expected_seconds: f64,
}
