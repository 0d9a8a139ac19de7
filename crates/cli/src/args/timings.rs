//! The flags of `larder timings`.
//! Knows nothing of what they do.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Flags of `larder timings`.
#[derive(Debug, Args)]
#[command(after_help = "\
A RUN is `last`, `last~1`, the beginning of a run's id, a branch or a commit.
The last two stand for all remembered runs made there.")]
pub struct TimingsArgs {
    /// Read this history instead of the workspace's own, `.larder/history.db`
    #[arg(long, value_name = "FILE", global = true)]
    pub history: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to tell
    #[command(subcommand)]
    pub action: TimingsAction,
}

/// What to tell of earlier runs.
#[derive(Debug, Subcommand)]
pub enum TimingsAction {
    /// Tell of one run, the last by default: what took long, what the others waited for, what would help; or of one task over its runs
    Show {
        /// A task, as `project#task`
        #[arg(value_name = "TASK")]
        task: Option<String>,
        /// Which run
        #[arg(
            long,
            value_name = "RUN",
            default_value = "last",
            conflicts_with = "task"
        )]
        run: String,
        /// So many tasks of the run, or runs of the task; 0 for all
        #[arg(long, value_name = "N", default_value_t = 15)]
        limit: usize,
        /// What if so many tasks could run at once?
        #[arg(long, value_name = "N", conflicts_with = "task")]
        workers: Option<std::num::NonZeroUsize>,
        /// List the remembered runs instead
        #[arg(long, conflicts_with_all = ["task", "run", "workers"])]
        runs: bool,
    },
    /// Put two runs, branches or commits side by side, and say what became slower beyond its noise
    Compare {
        /// What was before
        #[arg(value_name = "BEFORE")]
        before: String,
        /// What is now
        #[arg(value_name = "AFTER")]
        after: String,
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Check the newest runs against those before them; exit code 1 if anything became slower
    Check {
        /// Check the runs of the branch that is checked out, or of its commit, against those of this branch or commit
        #[arg(long, value_name = "RUN")]
        against: Option<String>,
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Draw in the terminal or, with --out, into a file
    Chart {
        /// What to draw
        #[arg(value_name = "WHAT", value_enum, default_value = "runs")]
        what: Chart,
        /// The file to write: `.svg` or `.png`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Up to which run
        #[arg(long, value_name = "RUN", default_value = "last")]
        run: String,
        /// So many runs
        #[arg(long, value_name = "N", default_value_t = 30)]
        limit: usize,
    },
    /// Write a page about all remembered runs: one file that needs no network
    Report {
        /// The file to write; without the flag `report.html`, and none with --json
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// So many of the newest runs
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
}

/// How a comparison is shown.
#[derive(Debug, Args)]
pub struct Shown {
    /// What may become slower by at most this is no regression
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub fail_above: String,
    /// Show every task, not only those with a clear difference
    #[arg(long)]
    pub all: bool,
    /// Print Markdown, for a comment on a pull request
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// What can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Chart {
    /// How long the runs took
    Runs,
    /// What the time of each run went to
    Phases,
    /// The tasks of one run on its workers, over time
    Timeline,
    /// Hit rate and time saved, over the runs
    Cache,
    /// The slowest tasks
    Slowest,
}
