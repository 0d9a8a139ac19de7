//! Gates as they are configured: plain data with the names that a configuration file uses.
//! Does not know that file, nor how a gate is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The gates of a workspace. All of them have to be passed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct GatesConfig {
    /// Tasks that must have passed: `project#task`, or the name alone for the tasks of all projects that took part in the run.
    pub tasks: Vec<String>,
    /// Tiers that must be all green: every task of theirs took part in the run and passed.
    pub all_green: Vec<String>,
    /// The tiers: tasks by the name of a tier, written as in `tasks`.
    pub tiers: BTreeMap<String, Vec<String>>,
    /// Bounds of metrics.
    pub metrics: BTreeMap<String, MetricConfig>,
    /// What a timing regression does.
    pub timing_regressions: Regressions,
}

/// A metric: where its number comes from, and its bounds. Without `command` and `file` the number is one that a validator measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricConfig {
    /// A command that prints the number.
    pub command: Option<String>,
    /// A JSON file that holds it, relative to the workspace.
    pub file: Option<String>,
    /// Where in that file: a JSON pointer, such as `/totals/lines/percent`.
    pub field: Option<String>,
    /// The least allowed value.
    pub min: Option<f64>,
    /// The greatest allowed value.
    pub max: Option<f64>,
    /// The allowed change against the last accepted entry, such as `>= 0` or `<= 5%`.
    pub regression: Option<Change>,
}

/// What a timing regression does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regressions {
    /// Nothing.
    #[default]
    Allow,
    /// It rejects the entry.
    Reject,
}

/// A bound of a change: the new value less the old one. Written as `>= 0`, `<= 1.5`, or with `%` in parts of the old value's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Which side of the bound is allowed.
    pub side: Side,
    /// The bound.
    pub amount: f64,
    /// Whether the bound is in percent of the old value's size.
    pub percent: bool,
}

/// A side of a bound. The bound itself is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
}

/// A text that is no change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no bound of a change: write `>= 0`, `<= 1.5` or `<= 5%`")]
pub struct ChangeError {
    /// The refused text.
    pub text: String,
}

impl Change {
    /// Whether `new` may follow `old`. What is off by a billionth is allowed: decimal fractions are not exact.
    pub fn allows(&self, old: f64, new: f64) -> bool {
        let bound = if self.percent {
            old.abs() * self.amount / 100.0
        } else {
            self.amount
        };
        let slack = 1e-9 * old.abs().max(new.abs());
        match self.side {
            Side::AtLeast => new - old >= bound - slack,
            Side::AtMost => new - old <= bound + slack,
        }
    }
}

impl FromStr for Change {
    type Err = ChangeError;

    fn from_str(text: &str) -> Result<Self, ChangeError> {
        let refused = || ChangeError { text: text.into() };
        let trimmed = text.trim();
        let (side, rest) = if let Some(rest) = trimmed.strip_prefix(">=") {
            (Side::AtLeast, rest)
        } else if let Some(rest) = trimmed.strip_prefix("<=") {
            (Side::AtMost, rest)
        } else {
            return Err(refused());
        };
        let (number, percent) = match rest.trim().strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (rest.trim(), false),
        };
        let amount = number.parse().map_err(|_| refused())?;
        if !f64::is_finite(amount) {
            return Err(refused());
        }
        Ok(Self {
            side,
            amount,
            percent,
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::AtLeast => ">=",
            Side::AtMost => "<=",
        };
        let percent = if self.percent { "%" } else { "" };
        write!(to, "{side} {}{percent}", self.amount)
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl MetricConfig {
    /// What is wrong with it, in words.
    ///
    /// # Errors
    /// One sentence, to be shown beside the place in the configuration.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.command.is_some() && self.file.is_some() {
            return Err("`command` and `file` both give the number: keep one");
        }
        if self.file.is_some() != self.field.is_some() {
            return Err("`file` and `field` belong together: name both");
        }
        if let Some(field) = &self.field
            && !field.is_empty()
            && !field.starts_with('/')
        {
            return Err("`field` is a JSON pointer and begins with a slash");
        }
        for bound in [self.min, self.max].into_iter().flatten() {
            if !bound.is_finite() {
                return Err("`min` and `max` are finite numbers");
            }
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err("`min` is greater than `max`: nothing could pass");
        }
        Ok(())
    }
}
