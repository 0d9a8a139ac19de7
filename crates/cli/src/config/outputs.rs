//! Finds tasks that would write the same file, as far as the files alone can tell.
//! It does not know what is on disk: matches of globs are compared after a run.

use std::collections::BTreeMap;

use super::discover::{is_glob, join};
use super::edges;
use super::format::Workspace;
use super::items::glob;
use super::merge::Merged;
use super::parse::Cx;
use super::report::{At, Report};

/// Two tasks may not name the same file as output.
pub(super) fn same_outputs(workspace: &Workspace, merged: &[Merged], cx: &mut Cx) {
    let mut owners: BTreeMap<Vec<u8>, (usize, At)> = BTreeMap::new();
    for (index, task) in workspace.tasks.iter().enumerate() {
        let items = merged[index].table.outputs.iter().flat_map(|o| &o.value);
        for item in items {
            // Bad ones were reported when the task was made.
            let mut ignored = Cx {
                file: 0,
                reports: Vec::new(),
            };
            let Some(glob) = glob(&item.value, item.at, &mut ignored) else {
                continue;
            };
            if glob.negated || is_glob(&glob.glob) {
                continue;
            }
            let dir: &[u8] = if glob.from_root {
                b""
            } else {
                &workspace.projects[task.project].dir
            };
            let path = join(dir, glob.glob.as_bytes());
            if let Some((other, at)) = owners.get(&path).copied() {
                if other == index {
                    continue;
                }
                let first = edges::full_name(workspace, other);
                let second = edges::full_name(workspace, index);
                let shown = String::from_utf8_lossy(&path).into_owned();
                let report = Report::new(
                    item.at,
                    format!("two tasks create `{shown}`"),
                    format!("output of `{second}`"),
                );
                let report = if at == item.at {
                    report.help(format!("`{first}` has the same output"))
                } else {
                    report.also(at, format!("output of `{first}`"))
                };
                cx.report(report.help("let each task write files of its own"));
            } else {
                owners.insert(path, (index, item.at));
            }
        }
    }
}
