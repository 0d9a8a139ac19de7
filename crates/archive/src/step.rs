//! The steps of an upload, by the names that records and displays use.
//! Does not know what happens in them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of an upload. They come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The last run, its logs, its manifests and the chosen artifacts are found and digested.
    Collect,
    /// The entry gets its id and what is known of the run and the host.
    EntryCreation,
    /// Metrics are measured, by commands, from files and by validators.
    QualityScores,
    /// The commits of all repositories are read.
    RepoCommits,
    /// The entry, and where it is wanted the repositories, are tagged.
    Tagging,
    /// The gates are asked.
    GateValidation,
    /// Bundle, entry and index are written.
    IndexSave,
    /// The entry is handed to the mirrors, the commits to their remotes.
    Sync,
    /// What scripts read is printed.
    Porcelain,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Collect,
        Self::EntryCreation,
        Self::QualityScores,
        Self::RepoCommits,
        Self::Tagging,
        Self::GateValidation,
        Self::IndexSave,
        Self::Sync,
        Self::Porcelain,
    ];

    /// Its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::EntryCreation => "entry_creation",
            Self::QualityScores => "quality_scores",
            Self::RepoCommits => "repo_commits",
            Self::Tagging => "tagging",
            Self::GateValidation => "gate_validation",
            Self::IndexSave => "index_save",
            Self::Sync => "sync",
            Self::Porcelain => "porcelain",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_name_is_the_shown_one() {
        for step in Step::ALL {
            assert_eq!(
                serde_json::to_value(step).unwrap(),
                serde_json::Value::from(step.name())
            );
        }
        assert!(Step::ALL.is_sorted());
    }
}
