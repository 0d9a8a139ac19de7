//! `larder session`: starts, shows and stops the background session of a workspace.
//! Does not know how it watches or answers.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::args::{SessionAction, SessionArgs};
use crate::daemon::{self, Found, Options, Started, Status};
use crate::execute::exit;

use super::cache::{count, size};
use super::{Context, Outcome, Usage, print};

/// What `larder session status` gives when none runs.
const ABSENT: u8 = 1;

pub(super) fn session(context: &Context<'_>, args: &SessionArgs) -> Outcome {
    let root = context.root()?;
    let root = root
        .canonicalize()
        .map_err(|error| Usage::new(format!("{} cannot be found: {error}", root.display())))?;
    let failed = |message: String| Usage {
        kind: "session",
        message: format!("no background session: {message}"),
    };
    let options = |minutes: u32| Options {
        env: &context.world.env,
        idle: Duration::from_secs(u64::from(minutes) * 60),
        temporary: context
            .world
            .var("TMPDIR")
            .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
    };
    match &args.action {
        SessionAction::Start { idle } => {
            // A mistake in the configuration is told here, as every command tells it.
            context.workspace(&root)?;
            let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
            let text = match daemon::start(&root, &program, &options(*idle)).map_err(failed)? {
                Started::New(status) => format!("started: {}", line(&status)),
                Started::Already(status) => format!("runs already: {}", line(&status)),
            };
            print(&text)?;
            Ok(exit::SUCCESS)
        }
        SessionAction::Status { json } => {
            let found = daemon::find(&root);
            print(&if *json { value(&found) } else { text(&found) })?;
            Ok(if found == Found::Absent {
                ABSENT
            } else {
                exit::SUCCESS
            })
        }
        SessionAction::Stop => {
            let stopped = daemon::stop(&root).map_err(failed)?;
            print(if stopped { "stopped\n" } else { "none runs\n" })?;
            Ok(exit::SUCCESS)
        }
        SessionAction::Serve { idle } => {
            daemon::serve(&root, &options(*idle)).map_err(failed)?;
            Ok(exit::SUCCESS)
        }
    }
}

fn line(status: &Status) -> String {
    let folders = count(status.folders, "folder", "folders");
    let mut line = format!("process {} watches {folders}\n", status.pid);
    if let Some(why) = &status.blind {
        line.push_str(&blind(why));
    }
    line
}

fn blind(why: &str) -> String {
    format!("  but nothing is watched now, so it helps no run: {why}\n")
}

fn text(found: &Found) -> String {
    let status = match found {
        Found::Absent => return "none runs; `larder session start` starts one\n".to_owned(),
        Found::Silent => {
            return "one runs but does not answer; `larder session stop` ends it\n".to_owned();
        }
        Found::Foreign { version } => {
            return format!(
                "one of larder {version} runs, which this version does not use; `larder session start` replaces it\n"
            );
        }
        Found::Running(status) => status,
    };
    let since = i64::try_from(status.since).unwrap_or_default();
    let since = chrono::DateTime::from_timestamp(since, 0).unwrap_or_default();
    let since = since
        .with_timezone(&chrono::Local)
        .format("%Y-%m-%d %H:%M:%S");
    let mut text = format!(
        "process   {} of larder {}\nsince     {since}\nfolders   {}\nchanges   {} remembered, tick {}\nmemory    {}\nends      when nobody asks for {}\n",
        status.pid,
        status.version,
        status.folders,
        count(status.paths, "path", "paths"),
        status.tick,
        size(status.memory),
        count(
            usize::try_from(status.retires_in.div_ceil(60)).unwrap_or(usize::MAX),
            "minute",
            "minutes"
        ),
    );
    if let Some(why) = &status.blind {
        text.push_str(&blind(why));
    }
    text
}

fn value(found: &Found) -> String {
    let value = match found {
        Found::Absent => json!({ "running": false }),
        Found::Silent => json!({ "running": true, "usable": false }),
        Found::Foreign { version } => {
            json!({ "running": true, "usable": false, "version": version })
        }
        Found::Running(status) => json!({
            "running": true,
            "usable": status.blind.is_none(),
            "version": status.version,
            "pid": status.pid,
            "since": status.since,
            "folders": status.folders,
            "tick": status.tick,
            "paths": status.paths,
            "memory": status.memory,
            "retires_in": status.retires_in,
            "blind": status.blind,
        }),
    };
    format!("{value:#}\n")
}
