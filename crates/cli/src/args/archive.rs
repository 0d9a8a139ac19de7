//! The flags of `larder archive`.
//! Knows nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::entry_tag;

/// Flags of `larder archive`.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// The archive's folder, or a copy of one; without the flag, what `[archive] dir` says
    #[arg(long, value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do with it
    #[command(subcommand)]
    pub action: ArchiveAction,
}

/// What to do with the archive.
#[derive(Debug, Subcommand)]
pub enum ArchiveAction {
    /// Archive the last run: keep its record, manifests, logs and artifacts, ask the gates, push, and mirror
    Upload(Box<UploadArgs>),
    /// List entries, the newest first
    List(FilterArgs),
    /// Show all that an entry says
    Show {
        /// The entry: its id, the beginning of it, a tag, or `latest`
        #[arg(value_name = "ENTRY", default_value = "latest")]
        entry: String,
    },
    /// Say why two entries differ: inputs, tools, names of variables, outputs, timings
    Diff {
        /// The older entry, as for `show`, or the path of a bundle
        #[arg(value_name = "A")]
        before: String,
        /// The newer entry
        #[arg(value_name = "B")]
        after: String,
    },
    /// Read all that is kept and compare each byte with what was written; exit code 1 if anything is damaged
    Verify {
        /// The entries, as for `show`; absent: all, and the index
        #[arg(value_name = "ENTRY")]
        entries: Vec<String>,
        /// A public key (PEM) that provenance has to be signed with; may be given several times. An entry without is a fault then
        #[arg(long, value_name = "FILE")]
        key: Vec<PathBuf>,
    },
    /// Put an entry's artifacts back. A file that is there with another content stops it before anything is written
    Restore(RestoreArgs),
    /// Bring what is pending to the mirrors now, what failed before included, and wait until each was tried
    Sync,
    /// Say what is pending, done and failed, and why, and which uploads are not finished
    Status,
    /// Draw what the steps of recent uploads took, as stacked bars
    Chart {
        /// The file to write: `.svg` or `.png`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// So many of the newest entries
        #[arg(long, value_name = "N", default_value_t = 30)]
        limit: usize,
    },
    /// Remove old entries; those with tags stay, and the last accepted one
    Prune(PruneArgs),
    /// Bring what is pending to the mirrors, in this process
    #[command(hide = true)]
    Drain,
}

/// Flags of `larder archive upload`.
#[derive(Debug, Args)]
pub struct UploadArgs {
    /// What asked for it: `manual`, `ci` or another name
    #[arg(long, value_name = "NAME", default_value = "manual")]
    pub trigger: String,
    /// A tag of the entry; may be given several times. A tagged entry is never pruned
    #[arg(long, value_name = "TAG", value_parser = tag)]
    pub tag: Vec<String>,
    /// A remark that the entry keeps; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub note: Vec<String>,
    /// Do not ask the gates; the entry says so, and later entries are not compared with it
    #[arg(long)]
    pub no_gates: bool,
    /// Say what would be done, pushes included, and do nothing
    #[arg(long)]
    pub dry: bool,
    /// Wait until the mirrors have it
    #[arg(long)]
    pub wait: bool,
    /// Sign what the entry holds with this ed25519 key (PKCS#8 PEM), as in-toto provenance
    #[arg(long, value_name = "KEY")]
    pub attest: Option<PathBuf>,
    /// Go on with an upload that did not finish: this one, or the newest. What it began with stays; `--attest` is given again
    #[arg(long, value_name = "ID", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["dry", "forget", "trigger", "tag", "note", "no_gates"])]
    pub resume: Option<String>,
    /// Give up an upload that did not finish
    #[arg(long, value_name = "ID", conflicts_with_all = ["dry", "trigger", "tag", "note", "no_gates", "wait", "attest"])]
    pub forget: Option<String>,
}

/// Which entries `larder archive list` shows.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Entries with this tag; several: with all of them
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Entries that this asked for
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Entries of runs in which a task of this project took part
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Entries for which this gate was asked; `NAME=passed` or `NAME=failed` asks for its answer as well.
    /// `accepted` and `rejected` ask for the verdict of all
    #[arg(long, value_name = "GATE")]
    pub gate: Option<String>,
    /// Entries no older than this: a duration such as `7d`, a day or a moment (`2026-01-31`, `2026-01-31T12:00:00Z`)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Entries older than this, written as for `--since`
    #[arg(long, value_name = "WHEN")]
    pub before: Option<String>,
    /// So many of the newest
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Flags of `larder archive restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The entry, as for `show`, or the path of a bundle
    #[arg(value_name = "ENTRY")]
    pub entry: String,
    /// Only artifacts that match one of these globs
    #[arg(value_name = "GLOB")]
    pub globs: Vec<String>,
    /// The folder to put them in; absent: the workspace's root
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Move files with another content to `.larder/rescued` and put the artifacts in their place
    #[arg(long)]
    pub replace: bool,
}

/// Flags of `larder archive prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// So many of the newest stay; default: `[archive.keep] count`
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Those that are no older stay, such as `90d`; default: `[archive.keep] age`
    #[arg(long, value_name = "AGE")]
    pub age: Option<String>,
    /// The newest stay whose bundles together are no larger, such as `5GB`; default: `[archive.keep] size`
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// Say what would go, and remove nothing
    #[arg(long)]
    pub dry: bool,
}

/// A tag that an entry may have.
fn tag(text: &str) -> Result<String, &'static str> {
    entry_tag(text).map(|()| text.to_owned())
}
