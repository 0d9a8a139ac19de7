//! `larder explain TASK --against ENTRY`: why a task would not hit what an archived run made.
//! Does not know how keys are made.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use larder_archive::{
    Archive, ArchiveEntry, DiffSide, Difference, EntryId, Manifests, RunRecord, TaskManifest,
    TaskStatus, Time, diff as differences,
};
use serde_json::json;

use crate::execute::exit;
use crate::session::Session;
use crate::session::forecast::{Forecast, Verdict};

use super::super::{Context, Outcome, print};
use super::{Place, diff, folder, manifests, plain};

/// Compares the tasks that lead to one with what the entry says of them; `order` ends with the task itself.
pub(in super::super) fn against(
    context: &Context<'_>,
    session: &Session<'_>,
    order: &[&Forecast],
    text: &str,
    as_json: bool,
) -> Outcome {
    let settings = session.workspace.settings.archive.clone();
    let place = Place {
        archive: Archive::new(folder(&session.root, &settings)),
        root: Some(session.root.clone()),
        settings,
    };
    let (entry, archived) = place.with_manifests(context, text)?;
    let mut before = Manifests {
        secret: archived.secret,
        ..Manifests::default()
    };
    let mut after = Manifests {
        secret: Some(manifests::secret_name(&session.secret)),
        ..Manifests::default()
    };
    let mut unknown = Vec::new();
    for forecast in order {
        if forecast.explanation.is_none() {
            continue;
        }
        let Some(known) = archived.tasks.get(&forecast.id) else {
            unknown.push(forecast.id.clone());
            continue;
        };
        let without_outputs = |manifest: TaskManifest| TaskManifest {
            outputs: std::collections::BTreeMap::default(),
            ..manifest
        };
        before
            .tasks
            .insert(forecast.id.clone(), without_outputs(known.clone()));
        let Some(now) = manifests::of_forecast(session, forecast, known) else {
            continue;
        };
        after.tasks.insert(forecast.id.clone(), now);
    }
    let open: BTreeSet<&str> = order
        .iter()
        .filter(|one| {
            matches!(
                one.verdict,
                Verdict::WouldRun | Verdict::MayRun | Verdict::Broken
            )
        })
        .map(|one| one.id.as_str())
        .collect();
    let empty = ArchiveEntry::new(
        EntryId::new(Time::default(), 0),
        Time::default(),
        RunRecord::default(),
    );
    let side = |manifests| DiffSide {
        entry: &empty,
        manifests,
    };
    let mut found = differences(side(&before), side(&after));
    // What a dependency that would run makes is not known yet.
    found.retain(|one| match one {
        Difference::Part { name, .. } => {
            let task = name.strip_prefix("outputs of ");
            !task.is_some_and(|task| open.contains(task))
        }
        _ => true,
    });
    let told = Told {
        entry: &entry,
        order,
        found: &found,
        unknown: &unknown,
    };
    if as_json {
        let value = json!({
            "entry": entry.id, "task": order.last().map(|one| &one.id), "differences": found, "not_in_entry": unknown,
        });
        print(&format!("{value:#}\n"))?;
    } else {
        print(&plain::lines(&told.text()))?;
    }
    Ok(exit::SUCCESS)
}

struct Told<'t> {
    entry: &'t ArchiveEntry,
    order: &'t [&'t Forecast],
    found: &'t [Difference],
    unknown: &'t [String],
}

impl Told<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        let id = self.entry.id;
        let mut said = false;
        for forecast in self.order {
            let mut lines: Vec<String> = self
                .found
                .iter()
                .map(diff::words)
                .filter(|(task, _)| *task == forecast.id)
                .map(|(_, line)| line)
                .collect();
            let mut archived = self.entry.run.summary().tasks.iter();
            let archived = archived.find(|task| task.task == forecast.id);
            if archived.is_some_and(|task| task.status == TaskStatus::Failed) {
                lines.insert(0, "it failed in that run".to_owned());
            }
            let is_last = self.order.last().is_some_and(|last| last.id == forecast.id);
            if self.unknown.contains(&forecast.id) && is_last {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{}: entry {id} says nothing of it", forecast.id);
                let _ = writeln!(
                    text,
                    "  it was not executed in that run, or took no part in it"
                );
                said = true;
            } else if !lines.is_empty() {
                let _ = writeln!(text, "{}: since entry {id}", forecast.id);
                for line in lines {
                    let _ = writeln!(text, "  {line}");
                }
                said = true;
            }
        }
        if let Some(last) = self.order.last().filter(|_| !said) {
            let _ = writeln!(
                text,
                "{}: nothing it rests on differs from entry {id}",
                last.id
            );
        }
        text
    }
}
