//! A host that keeps a workspace warm inside of its own process: it has options of its own, learns by itself what
//! changed, and asks for tasks when it needs them.
//!
//! ```sh
//! cargo run -p larder --example host -- path/to/workspace build --minify
//! ```
//!
//! Each line of standard input is a path that changed, relative to the workspace; an empty line asks for the task again.
#![allow(clippy::print_stdout)] // It speaks to whoever started it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::ffi::OsString;
use std::io::BufRead;
use std::path::Path;

use larder::execute::mux::{Order, OutputLogs};
use larder::execute::{Cancel, Executor, ProcessExecutor};
use larder::plan::Plan;
use larder::record::Status;
use larder::select;
use larder::session::run::Options;
use larder::session::{ChangeSet, Session, Surroundings};
use larder::show::Show;
use larder_timing::SystemClock;

type Failure = Box<dyn std::error::Error>;

/// What the host was started with, besides the workspace. Results hang on it, so its digest enters every key.
struct HostOptions {
    minify: bool,
}

impl HostOptions {
    fn digest(&self) -> [u8; 32] {
        *blake3::hash(&[u8::from(self.minify)]).as_bytes()
    }
}

/// Runs `task` in all projects that have it, and says how each ended.
fn build(session: &mut Session<'_>, task: &str) -> Result<Vec<(String, Status)>, Failure> {
    let projects = (0..session.workspace.projects.len()).collect();
    let tasks = select::tasks(&session.workspace, &[task.to_owned()], &projects)?;
    let plan = Plan::new(&session.workspace, tasks, false)?;
    let show = Show::new(Order::Grouped, false, true, false, None);
    let options = Options {
        output_logs: Some(OutputLogs::ErrorsOnly),
        ..Options::plain()
    };
    let ended = session.run(&plan, &options, &show)?;
    let told = |done: &larder::session::life::Done| (done.record.task.clone(), done.record.status);
    Ok(ended.results.values().map(told).collect())
}

/// Serves requests until there are no more lines; `tell` is called with the outcome of each.
fn serve(
    root: &Path,
    task: &str,
    host: &HostOptions,
    executor: &dyn Executor,
    lines: impl BufRead,
    tell: &mut dyn FnMut(Vec<(String, Status)>),
) -> Result<(), Failure> {
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let clock = SystemClock::new();
    let mut session = Session::load(
        root,
        Surroundings {
            env: &env,
            cache_dir: std::env::var_os("LARDER_CACHE_DIR").map(Into::into),
            executor,
            cancel: Cancel::new(),
            clock: &clock,
            options: Some(host.digest()),
            incremental: true,
            incremental_dir: None,
        },
    )?;
    // Nobody told yet what changed, so the first run looks at everything.
    tell(build(&mut session, task)?);
    let mut changes = ChangeSet::new();
    for line in lines.lines() {
        let line = line?;
        if !line.is_empty() {
            changes.add(line);
            continue;
        }
        let affected = session.update(&std::mem::take(&mut changes))?;
        if affected.is_empty() {
            tell(Vec::new());
        } else {
            tell(build(&mut session, task)?);
        }
    }
    session.dispose()?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(task)) = (args.next(), args.next()) else {
        return Err("usage: host WORKSPACE TASK [--minify]".into());
    };
    let host = HostOptions {
        minify: args.any(|arg| arg == "--minify"),
    };
    let executor = ProcessExecutor::default();
    let mut tell = |outcome: Vec<(String, Status)>| {
        if outcome.is_empty() {
            println!("nothing to do");
        }
        for (task, status) in outcome {
            println!("{task}: {status:?}");
        }
    };
    let lines = std::io::stdin().lock();
    serve(Path::new(&root), &task, &host, &executor, lines, &mut tell)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use super::*;

    fn outcomes(root: &Path, host: &HostOptions, lines: &str) -> Vec<Vec<Status>> {
        let mut told = Vec::new();
        let executor = ProcessExecutor::default();
        let lines = Cursor::new(lines.to_owned());
        serve(root, "build", host, &executor, lines, &mut |outcome| {
            told.push(outcome.into_iter().map(|(_, status)| status).collect());
        })
        .unwrap();
        told
    }

    #[test]
    fn the_host_is_served_and_its_options_count() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ws");
        fs::create_dir(&root).unwrap();
        let cache = dir.path().join("cache").display().to_string();
        let text = format!(
            "[cache]\ndir = \"{cache}\"\n[tasks.build]\ncommand = \"cat in > out\"\noutputs = [\"out\"]\n"
        );
        fs::write(root.join("larder.toml"), text).unwrap();
        fs::write(root.join("in"), "1").unwrap();
        let plain = HostOptions { minify: false };
        let minify = HostOptions { minify: true };
        // Nothing changed; then its own output, which is found as it was left; then something that nobody knows.
        let told = outcomes(&root, &plain, "\nout\n\nlarder.toml.orig\n\n");
        assert_eq!(
            told,
            [vec![Status::Ran], vec![], vec![], vec![Status::UpToDate]]
        );
        let told = outcomes(&root, &minify, "");
        assert_eq!(told, [[Status::Ran]]);
        let told = outcomes(&root, &plain, "");
        assert_eq!(told, [[Status::Restored]]);
        fs::write(root.join("in"), "2").unwrap();
        let told = outcomes(&root, &plain, "in\n\n");
        assert_eq!(told, [[Status::Ran], [Status::UpToDate]]);
        assert_eq!(fs::read(root.join("out")).unwrap(), b"2");
    }
}
