//! Filters of a list.
//! Does not know how they are written on a command line.

use crate::format::EntryStatus;
use crate::index::Summary;
use crate::time::Time;

/// What the entries of a list have to be. Fields that are absent ask for nothing; an entry has to match all others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// It has all these tags.
    pub tags: Vec<String>,
    /// This asked for it.
    pub trigger: Option<String>,
    /// A task of this project took part in the run.
    pub project: Option<String>,
    /// This gate was asked, and answered so if an answer is given.
    pub gate: Option<(String, Option<bool>)>,
    /// It was accepted, or rejected.
    pub status: Option<EntryStatus>,
    /// It was made then or later.
    pub since: Option<Time>,
    /// It was made before that.
    pub before: Option<Time>,
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn matches(&self, summary: &Summary) -> bool {
        let Self {
            tags,
            trigger,
            project,
            gate,
            status,
            since,
            before,
        } = self;
        tags.iter().all(|tag| summary.tags.contains(tag))
            && trigger.as_ref().is_none_or(|one| *one == summary.trigger)
            && project
                .as_ref()
                .is_none_or(|one| summary.projects.contains(one))
            && gate.as_ref().is_none_or(|(name, answer)| {
                let given = summary.gates.get(name);
                given.is_some_and(|given| answer.is_none_or(|wanted| wanted == *given))
            })
            && status.is_none_or(|one| one == summary.status)
            && since.is_none_or(|since| summary.created >= since)
            && before.is_none_or(|before| summary.created < before)
    }
}

/// The newest entry of a workspace that gates may compare with.
pub fn last_accepted<'a>(summaries: &'a [Summary], workspace: &str) -> Option<&'a Summary> {
    let candidates = summaries
        .iter()
        .filter(|summary| summary.workspace == workspace && summary.is_baseline());
    candidates.max_by_key(|summary| summary.id)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::format::ArchiveEntry;
    use crate::id::EntryId;
    use crate::run::RunRecord;

    fn summary(second: i64) -> Summary {
        let time = Time::from_nanos(second * 1_000_000_000);
        let entry = ArchiveEntry::new(EntryId::new(time, 0), time, RunRecord::default());
        let mut summary = Summary::of(&entry);
        summary.tags = ["v1".to_owned(), "good".to_owned()].into();
        summary.trigger = "ci".into();
        summary.projects = BTreeSet::from(["web".to_owned()]).into();
        summary.gates = BTreeMap::from([("tier unit".to_owned(), false)]).into();
        summary.status = EntryStatus::Rejected;
        summary
    }

    #[test]
    fn an_entry_matches_all_or_is_left_out() {
        let one = summary(10);
        let time = |second: i64| Some(Time::from_nanos(second * 1_000_000_000));
        let text = |text: &str| Some(text.to_owned());
        let gate = |answer| Some(("tier unit".to_owned(), answer));
        let none = Filter::default();
        let matching = [
            none.clone(),
            Filter {
                tags: vec!["good".into(), "v1".into()],
                ..none.clone()
            },
            Filter {
                trigger: text("ci"),
                ..none.clone()
            },
            Filter {
                project: text("web"),
                ..none.clone()
            },
            Filter {
                gate: gate(None),
                ..none.clone()
            },
            Filter {
                gate: gate(Some(false)),
                ..none.clone()
            },
            Filter {
                status: Some(EntryStatus::Rejected),
                ..none.clone()
            },
            Filter {
                since: time(10),
                before: time(11),
                ..none.clone()
            },
        ];
        for filter in matching {
            assert!(filter.matches(&one), "{filter:?}");
        }
        let others = [
            Filter {
                tags: vec!["good".into(), "v2".into()],
                ..none.clone()
            },
            Filter {
                trigger: text("manual"),
                ..none.clone()
            },
            Filter {
                project: text("we"),
                ..none.clone()
            },
            Filter {
                gate: gate(Some(true)),
                ..none.clone()
            },
            Filter {
                gate: Some(("timing".into(), None)),
                ..none.clone()
            },
            Filter {
                status: Some(EntryStatus::Accepted),
                ..none.clone()
            },
            Filter {
                since: time(11),
                ..none.clone()
            },
            Filter {
                before: time(10),
                ..none.clone()
            },
            Filter {
                trigger: text("ci"),
                project: text("api"),
                ..none
            },
        ];
        for filter in others {
            assert!(!filter.matches(&one), "{filter:?}");
        }
    }

    #[test]
    fn the_baseline_passed_its_gates() {
        let mut all: Vec<_> = (0..4).map(summary).collect();
        assert_eq!(last_accepted(&all, ""), None);
        for one in &mut all[..3] {
            one.status = EntryStatus::Accepted;
        }
        all[2].gates_skipped = true;
        assert_eq!(last_accepted(&all, "").unwrap().id, all[1].id);
        assert_eq!(last_accepted(&all, "other"), None);
    }
}
