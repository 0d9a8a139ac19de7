//! The scenarios: what is done before a run, and what the run must then have done.
//! It neither starts tools nor measures.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use clap::ValueEnum;

use super::account::Account;
use super::edits::Edits;
use super::generate::each;
use super::plan::Plan;
use super::references::Reference;
use super::site::{Site, Stamp, changed};
use super::tools::Kind;

/// What is measured, in the order in which it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// Larder alone: the first digesting of all files, in one task that does nothing
    Digest,
    /// No outputs, no state, no cache
    Cold,
    /// Nothing changed
    Noop,
    /// Larder alone: nothing changed, and its background session runs
    SessionNoop,
    /// Larder alone: a second run in one process, which was told that nothing changed
    Warm,
    /// Outputs gone, and Larder's knowledge of them; the cache is there
    Restore,
    /// All inputs have new times and the same content
    Touch,
    /// One file in the middle has a line more
    Edit,
    /// One of twenty sources has a line more
    Edit5,
    /// Larder alone: from a write to the start of the task that reads it, while `larder watch` runs
    WatchLatency,
    /// Hooks around a task, one at a time and together
    Hooks,
    /// Ten projects, one at a time and together
    Projects10,
}

/// What was there before a run.
#[derive(Debug, Default)]
pub(crate) struct Before {
    stamps: Vec<Stamp>,
    started: Option<String>,
    files: Vec<(PathBuf, Stamp)>,
}

impl Before {
    /// Looks at a tree just before a run.
    pub(crate) fn of(plan: &Plan, site: &Site, kind: Kind) -> Before {
        let own = kind.is_larder();
        let account = own.then(|| Account::read(&site.root).ok()).flatten();
        Before {
            stamps: site.stamps(plan),
            started: account.map(|account| account.started),
            files: if own { kept_files(site) } else { Vec::new() },
        }
    }
}

/// What a run was found to have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// What the scenario says.
    AsClaimed,
    /// Not that, but what the tool is known to do there.
    Expected(&'static str),
    /// Something else.
    Wrong(String),
}

impl Scenario {
    /// What tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Digest => "digest",
            Scenario::Cold => "cold",
            Scenario::Noop => "noop",
            Scenario::SessionNoop => "session-noop",
            Scenario::Warm => "warm",
            Scenario::Restore => "restore",
            Scenario::Touch => "touch",
            Scenario::Edit => "edit",
            Scenario::Edit5 => "edit5",
            Scenario::WatchLatency => "watch-latency",
            Scenario::Hooks => "hooks",
            Scenario::Projects10 => "projects10",
        }
    }

    /// Whether there is such a thing on this system.
    pub(crate) fn is_possible(self) -> bool {
        self != Scenario::SessionNoop || cfg!(target_os = "linux")
    }

    /// Whether a built tree is needed before the first run.
    pub(crate) fn needs_built(self) -> bool {
        !matches!(self, Scenario::Digest | Scenario::Cold)
    }

    /// Whether a tool takes part.
    pub(crate) fn includes(self, kind: Kind) -> bool {
        match self {
            Scenario::Digest | Scenario::SessionNoop => kind.is_larder(),
            Scenario::Warm | Scenario::WatchLatency | Scenario::Hooks | Scenario::Projects10 => {
                kind == Kind::Larder
            }
            Scenario::Restore => kind.restores(),
            _ => true,
        }
    }

    /// What is measured beside the tools.
    pub(crate) fn references(self) -> &'static [Reference] {
        match self {
            Scenario::Digest | Scenario::Touch => &[Reference::Digest],
            Scenario::Cold => &[Reference::Digest, Reference::Pack],
            Scenario::Restore => &[Reference::Unpack],
            _ => &[],
        }
    }

    /// Brings a tool's tree into the state before the run. `note` makes an edit unlike any other.
    pub(crate) fn prepare(
        self,
        plan: &Plan,
        site: &Site,
        kind: Kind,
        note: &str,
    ) -> io::Result<()> {
        match self {
            Scenario::Digest => {
                site.remove(kind.state())?;
                super::site::remove(&site.cache)
            }
            Scenario::Cold => {
                site.remove_outputs(plan)?;
                site.remove(kind.state())?;
                super::site::remove(&site.cache)
            }
            Scenario::Restore => {
                site.remove_outputs(plan)?;
                if kind.is_larder() {
                    site.remove(&[".larder/state"])?;
                }
                Ok(())
            }
            Scenario::Touch => site.touch(plan),
            Scenario::Edit | Scenario::Edit5 => self.edit(plan, site, Some(note)),
            Scenario::Noop
            | Scenario::SessionNoop
            | Scenario::Warm
            | Scenario::WatchLatency
            | Scenario::Hooks
            | Scenario::Projects10 => Ok(()),
        }
    }

    /// What is edited before a run, where something is.
    fn edits(self, plan: &Plan) -> Option<Edits> {
        match self {
            Scenario::Edit => Some(Edits::middle(plan)),
            Scenario::Edit5 => Some(Edits::twentieth(plan)),
            _ => None,
        }
    }

    /// Whether the outputs of each round are others.
    pub(crate) fn edits_each_round(self) -> bool {
        matches!(self, Scenario::Edit | Scenario::Edit5)
    }

    /// Edits the tree as the scenario says, or takes that back where there is no note.
    pub(crate) fn edit(self, plan: &Plan, site: &Site, note: Option<&str>) -> io::Result<()> {
        let files = self.edits(plan).map_or(Vec::new(), |edits| edits.files);
        each(files.len(), |at| site.edit(plan, &files[at], note))
    }

    /// The projects whose task has to run: no other may.
    pub(crate) fn to_run(self, plan: &Plan) -> BTreeSet<usize> {
        match self {
            Scenario::Cold => (0..plan.projects.len()).collect(),
            _ => self
                .edits(plan)
                .map_or(BTreeSet::new(), |edits| edits.tasks),
        }
    }

    /// Looks at a tree just after a run, and judges. `ran` is how many tasks the tool says
    /// it ran, `digest` what all outputs must be.
    pub(crate) fn judge(
        self,
        plan: &Plan,
        site: &Site,
        kind: Kind,
        before: &Before,
        ran: Option<usize>,
        digest: &mut Option<String>,
    ) -> Finding {
        // Where nothing is to do, a run beside the session leaves no record; the caller sees to that.
        if kind.is_larder()
            && self != Scenario::SessionNoop
            && let Err(wrong) = self.judge_account(plan, site, before)
        {
            return Finding::Wrong(wrong);
        }
        if self == Scenario::Digest {
            return Finding::AsClaimed;
        }
        let found = match site.digest(plan) {
            Ok(found) => found,
            Err(error) => return Finding::Wrong(format!("an output is missing: {error}")),
        };
        let wanted = digest.get_or_insert_with(|| found.clone());
        if *wanted != found {
            return Finding::Wrong("its outputs are not those of the others".to_owned());
        }
        let all: BTreeSet<usize> = (0..plan.projects.len()).collect();
        let to_run = self.to_run(plan);
        if let Some(ran) = ran.filter(|ran| *ran != to_run.len()) {
            let (all, wanted) = (all.len(), to_run.len());
            return Finding::Wrong(format!("{ran} of {all} tasks ran, not {wanted}"));
        }
        let written = changed(&before.stamps, &site.stamps(plan));
        let claimed = if self == Scenario::Restore {
            &all
        } else {
            &to_run
        };
        if written == *claimed {
            Finding::AsClaimed
        } else if self == Scenario::Touch && kind.goes_by_time() && written == all {
            Finding::Expected("goes by times alone: it built everything again")
        } else if ran.is_some() && written.is_superset(claimed) {
            Finding::Expected("wrote outputs again that were in place")
        } else {
            Finding::Wrong(format!(
                "{} of {} tasks made outputs, not {}, or others than those",
                written.len(),
                all.len(),
                claimed.len()
            ))
        }
    }

    /// Compares Larder's own account with what the scenario claims.
    fn judge_account(self, plan: &Plan, site: &Site, before: &Before) -> Result<(), String> {
        let account = Account::read(&site.root).map_err(|error| error.to_string())?;
        if Some(&account.started) == before.started.as_ref() {
            return Err("it left no record".to_owned());
        }
        let all = plan.projects.len();
        if matches!(self, Scenario::Digest | Scenario::Touch) && account.bytes_hashed() == 0 {
            return Err("it digested nothing".to_owned());
        }
        match self {
            Scenario::Digest => account.claims("ran", 1),
            Scenario::Restore => account.claims("restored", all),
            Scenario::Noop | Scenario::Touch => account.claims("up-to-date", all),
            Scenario::Cold | Scenario::Edit | Scenario::Edit5 => {
                let wanted = self.to_run(plan).into_iter();
                let wanted = wanted.map(|number| format!("{}#build", plan.projects[number].name));
                account.ran_just(&wanted.collect())
            }
            Scenario::SessionNoop
            | Scenario::Warm
            | Scenario::WatchLatency
            | Scenario::Hooks
            | Scenario::Projects10 => Ok(()),
        }
    }
}

/// The files of Larder's state and cache that a run wrote.
pub(crate) fn state_files(site: &Site, before: &Before) -> usize {
    let after = kept_files(site);
    after
        .iter()
        .filter(|file| !before.files.contains(file))
        .count()
}

/// The files of Larder's state and cache.
pub(crate) fn kept_files(site: &Site) -> Vec<(PathBuf, Stamp)> {
    let mut files = Site::files_below(&[&site.root.join(".larder"), &site.cache]);
    // An empty file that the background session gives another name with each question: it keeps nothing.
    let cookies = site.root.join(".larder/cookies");
    files.retain(|(path, _)| !path.starts_with(&cookies));
    files
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::plan::SIZES;
    use super::*;

    #[test]
    fn what_a_run_did_is_read_off_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(SIZES[0], 1);
        let site = Site::at(folder.path());
        site.prepare(&plan, false).unwrap();
        let build = |only: Option<usize>| {
            for (number, project) in plan.projects.iter().enumerate() {
                if only.is_some_and(|only| only != number) {
                    continue;
                }
                for path in Plan::outputs(project) {
                    let at = site.root.join(&project.folder).join(path);
                    fs::create_dir_all(at.parent().unwrap()).unwrap();
                    let _ = fs::remove_file(&at);
                    fs::write(at, project.name.as_bytes()).unwrap();
                }
            }
        };
        let mut digest = None;
        let mut judged = |scenario: Scenario, kind, act: &dyn Fn()| {
            let before = Before::of(&plan, &site, kind);
            act();
            let ran = (kind == Kind::Nx).then_some(0);
            scenario.judge(&plan, &site, kind, &before, ran, &mut digest)
        };
        let wrong = judged(Scenario::Cold, Kind::Ninja, &|| ());
        assert!(matches!(wrong, Finding::Wrong(_)), "{wrong:?}");
        let cold = judged(Scenario::Cold, Kind::Ninja, &|| build(None));
        assert_eq!(cold, Finding::AsClaimed);
        assert_eq!(
            judged(Scenario::Noop, Kind::Ninja, &|| ()),
            Finding::AsClaimed
        );
        let ran = judged(Scenario::Noop, Kind::Ninja, &|| build(Some(3)));
        assert!(matches!(ran, Finding::Wrong(_)), "{ran:?}");
        let touched = judged(Scenario::Touch, Kind::Ninja, &|| build(None));
        assert!(matches!(touched, Finding::Expected(_)), "{touched:?}");
        let touched = judged(Scenario::Touch, Kind::GoTask, &|| build(None));
        assert!(matches!(touched, Finding::Wrong(_)), "{touched:?}");
        let again = judged(Scenario::Noop, Kind::Nx, &|| build(None));
        assert!(matches!(again, Finding::Expected(_)), "{again:?}");
        let none = judged(Scenario::Cold, Kind::Nx, &|| build(None));
        assert!(matches!(none, Finding::Wrong(_)), "{none:?}");
        let none = judged(Scenario::Noop, Kind::Larder, &|| ());
        assert!(matches!(none, Finding::Wrong(_)), "no record: {none:?}");
        let other = judged(Scenario::Noop, Kind::Ninja, &|| {
            let at = site.root.join(&plan.projects[0].folder);
            fs::write(at.join("dist/bundle.txt"), "other").unwrap();
        });
        assert!(matches!(other, Finding::Wrong(_)), "{other:?}");
    }
}
