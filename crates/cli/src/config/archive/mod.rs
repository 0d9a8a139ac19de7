//! `[archive]`: its tables as they are written, and the settings they come down to.
//! It does not know how anything is archived.

use std::collections::BTreeMap;

use larder_archive::{GatesConfig, MetricConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::Glob;
use super::items::glob;
use super::parse::{Cx, Named, Node, Parse, S, table};
use super::report::Report;
use super::syntax::{Age, Count, Size, keys};

mod checks;
mod values;

pub use checks::entry_tag;

use values::{Bound, OnRegression, Regression, Workers};

keys! {
    /// What is archived of a run, what it has to pass, and where it goes.
    struct ArchiveTable {
        /// The archive's folder. Absent: `.larder/archive`.
        dir "dir": String,
        /// What the workspace is called in entries: those of one name are compared. Absent: its root folder's name.
        name "name": String,
        /// Files that an entry keeps, as globs relative to the root; `!` takes out. Absent: none.
        artifacts "artifacts": Vec<S<String>>,
        /// Tags of every entry. An entry with a tag is never pruned.
        tags "tags": Vec<S<String>>,
        /// Remarks of every entry.
        notes "notes": Vec<S<String>>,
        /// The repositories of a run.
        git "git": RepositoriesTable,
        /// What an entry has to pass.
        gates "gates": GatesTable,
        /// What looks at an entry before the gates are asked.
        validators "validators": ValidatorsTable,
        /// Other places that get each accepted entry, by name.
        mirrors "mirrors": Named<S<MirrorTable>>,
        /// How many entries are kept by `larder archive prune`.
        keep "keep": KeepTable,
    }
}

keys! {
    /// The repositories of a run: the main one and its submodules.
    struct RepositoriesTable {
        /// Whether they are pushed once the gates have passed. Default: false.
        push "push": bool,
        /// Whether dirty ones are committed before. Default: false.
        commit "commit": bool,
        /// The message of these commits; `{id}` stands for the entry. Default: `Archive {id}`.
        message "message": String,
        /// How many submodules are pushed at a time, 1 to 64. Default: 4.
        workers "workers": Workers,
        /// A tag of each repository, made once the gates have passed; `{id}` stands for the entry. Absent: none.
        tag "tag": String,
    }
}

keys! {
    /// What an entry has to pass.
    struct GatesTable {
        /// Tasks that must have passed: `project#task`, or the name alone for all projects in the run.
        tasks "tasks": Vec<S<String>>,
        /// Tiers of which every task must have passed.
        all_green "all-green": Vec<S<String>>,
        /// Tiers: lists of tasks by the name of the tier.
        tiers "tiers": Named<Vec<S<String>>>,
        /// Numbers and their bounds, by name.
        metrics "metrics": Named<S<MetricTable>>,
        /// Whether a task that became slower beyond its noise rejects the entry: `allow` (the default) or `reject`.
        timing_regressions "timing-regressions": OnRegression,
    }
}

keys! {
    /// A number and its bounds. Without `command` and `file` it is one that a validator measures.
    struct MetricTable {
        /// A command that prints the number; it runs in the root.
        command "command": String,
        /// A JSON file that holds the number, relative to the root.
        file "file": String,
        /// Where in that file, as a JSON pointer such as `/total/lines/pct`.
        field "field": String,
        /// The least allowed value.
        min "min": Bound,
        /// The greatest allowed value.
        max "max": Bound,
        /// The allowed change against the last accepted entry, such as `>= 0` or `<= 5%`.
        regression "regression": Regression,
    }
}

keys! {
    /// What looks at an entry before the gates are asked. What one finds wrong rejects the entry.
    struct ValidatorsTable {
        /// Names of files that have to be among the artifacts.
        required_files "required-files": Vec<S<String>>,
        /// Size that all artifacts may have together, such as `50MB`.
        size_budget "size-budget": Size,
        /// Sizes that single artifacts may have, by the name of the file.
        file_budgets "file-budgets": Named<Size>,
        /// Commands by the name of the check: an exit code other than 0 is a finding. `LARDER_ARCHIVE_ENTRY` names a file with the entry.
        commands "commands": Named<String>,
    }
}

keys! {
    /// Another place that gets each accepted entry.
    struct MirrorTable {
        /// A folder: of a synced cloud folder, of a network share. `~/` stands for the home folder; a relative path starts at the root.
        folder "folder": String,
        /// A bucket of a store that speaks S3, and a prefix in it: `s3://bucket/prefix`. Credentials come from the environment or the usual files.
        s3 "s3": String,
        /// Where such a store is, if it is not that of AWS, as in `https://minio.example.org`.
        endpoint "endpoint": String,
        /// Its region.
        region "region": String,
    }
}

keys! {
    /// How many entries `larder archive prune` keeps. Entries with tags stay, whatever these say.
    struct KeepTable {
        /// So many of the newest, 1 to 10000.
        count "count": Count,
        /// Those that are no older, such as `90d`.
        age "age": Age,
        /// The newest whose bundles together are no larger, such as `5GB`.
        size "size": Size,
    }
}

/// `[archive]` with defaults filled in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArchiveSettings {
    /// The folder, as written; relative ones start at the root.
    pub dir: Option<String>,
    /// What the workspace is called in entries.
    pub name: Option<String>,
    /// Files that an entry keeps, relative to the root; the last glob that matches decides.
    pub artifacts: Vec<Glob>,
    /// Tags of every entry.
    pub tags: Vec<String>,
    /// Remarks of every entry.
    pub notes: Vec<String>,
    /// The repositories.
    pub git: GitSettings,
    /// What an entry has to pass.
    pub gates: GatesConfig,
    /// What looks at an entry.
    pub validators: ValidatorSettings,
    /// Other places, by name.
    pub mirrors: BTreeMap<String, MirrorSettings>,
    /// So many of the newest entries are kept.
    pub keep_count: Option<usize>,
    /// Entries are kept for so many seconds.
    pub keep_age: Option<u64>,
    /// The newest entries of so many bytes are kept.
    pub keep_size: Option<u64>,
}

// All its numbers are finite: the parser takes no others.
impl Eq for ArchiveSettings {}

/// `[archive.git]` with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSettings {
    /// Whether repositories are pushed.
    pub push: bool,
    /// Whether dirty ones are committed.
    pub commit: bool,
    /// The message of these commits; `{id}` stands for the entry.
    pub message: String,
    /// How many are pushed at a time.
    pub workers: u8,
    /// A tag of each repository; `{id}` stands for the entry.
    pub tag: Option<String>,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            push: false,
            commit: false,
            message: "Archive {id}".to_owned(),
            workers: 4,
            tag: None,
        }
    }
}

/// `[archive.validators]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ValidatorSettings {
    /// Names of files that have to be among the artifacts.
    pub required_files: Vec<String>,
    /// Bytes that all artifacts may have together.
    pub size_budget: Option<u64>,
    /// Bytes that single artifacts may have, by name.
    pub file_budgets: BTreeMap<String, u64>,
    /// Commands by name.
    pub commands: BTreeMap<String, String>,
}

/// `[archive.mirrors.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorSettings {
    /// A folder, as written.
    Folder(String),
    /// A bucket of a store that speaks S3.
    Store {
        /// `s3://bucket/prefix`.
        location: String,
        /// Where the store is.
        endpoint: Option<String>,
        /// Its region.
        region: Option<String>,
    },
}

/// What `[archive]` says.
pub(super) fn settings(read: ArchiveTable, cx: &mut Cx) -> ArchiveSettings {
    let artifacts = read.artifacts.iter().flat_map(|globs| &globs.value);
    let artifacts = artifacts
        .filter_map(|item| glob(&item.value, item.at, cx))
        .collect();
    let keep = read.keep.map(|keep| keep.value).unwrap_or_default();
    let mirrors = read.mirrors.map(|mirrors| mirrors.value.0);
    let mirrors = mirrors.into_iter().flatten();
    let mirrors = mirrors
        .filter_map(|(name, table)| Some((name.value.clone(), mirror(&name, table, cx)?)))
        .collect();
    if let Some(list) = &read.tags {
        checks::tags(&list.value, cx);
    }
    if let Some(tag) = read.git.as_ref().and_then(|git| git.value.tag.as_ref()) {
        checks::git_tag(tag, cx);
    }
    ArchiveSettings {
        dir: text(read.dir),
        name: text(read.name),
        artifacts,
        tags: texts(read.tags),
        notes: texts(read.notes),
        git: repositories(read.git.map(|git| git.value).unwrap_or_default()),
        gates: gates(read.gates.map(|gates| gates.value).unwrap_or_default(), cx),
        validators: validators(read.validators.map(|all| all.value).unwrap_or_default()),
        mirrors,
        keep_count: keep.count.and_then(|count| count.value.0.try_into().ok()),
        keep_age: keep.age.map(|age| age.value.0),
        keep_size: keep.size.map(|size| size.value.0),
    }
}

/// The names of tasks that gates ask for.
pub(super) fn gated(read: &ArchiveTable) -> Vec<&S<String>> {
    let Some(gates) = &read.gates else {
        return Vec::new();
    };
    let tiers = gates.value.tiers.iter().flat_map(|tiers| &tiers.value.0);
    let tiers = tiers.flat_map(|(_, tasks)| tasks);
    let tasks = gates.value.tasks.iter().flat_map(|tasks| &tasks.value);
    tasks.chain(tiers).collect()
}

fn text(value: Option<S<String>>) -> Option<String> {
    value.map(|text| text.value)
}

fn texts(values: Option<S<Vec<S<String>>>>) -> Vec<String> {
    let values = values.into_iter().flat_map(|values| values.value);
    values.map(|item| item.value).collect()
}

fn repositories(read: RepositoriesTable) -> GitSettings {
    let absent = GitSettings::default();
    GitSettings {
        push: read.push.map_or(absent.push, |flag| flag.value),
        commit: read.commit.map_or(absent.commit, |flag| flag.value),
        message: text(read.message).unwrap_or(absent.message),
        workers: read.workers.map_or(absent.workers, |count| count.value.0),
        tag: text(read.tag),
    }
}

fn gates(read: GatesTable, cx: &mut Cx) -> GatesConfig {
    let tiers = read.tiers.map(|tiers| tiers.value.0).unwrap_or_default();
    let tiers: BTreeMap<String, Vec<String>> = tiers
        .into_iter()
        .map(|(name, tasks)| {
            checks::tier(&name, &tasks, cx);
            let tasks = tasks.into_iter().map(|task| task.value);
            (name.value, tasks.collect())
        })
        .collect();
    let wanted = read
        .all_green
        .map(|wanted| wanted.value)
        .unwrap_or_default();
    for tier in &wanted {
        if !tiers.contains_key(&tier.value) {
            let known = tiers.keys().map(String::as_str);
            let help = super::report::known_names(&tier.value, "tiers", known);
            let title = format!("no tier is called `{}`", tier.value);
            cx.report(Report::new(tier.at, title, "").help(help));
        }
    }
    let metrics = read.metrics.map(|metrics| metrics.value.0);
    let metrics = metrics.into_iter().flatten();
    GatesConfig {
        tasks: texts(read.tasks),
        all_green: wanted.into_iter().map(|tier| tier.value).collect(),
        tiers,
        metrics: metrics
            .map(|(name, table)| {
                let metric = metric(table.value);
                checks::metric(&name, &metric, cx);
                (name.value, metric)
            })
            .collect(),
        timing_regressions: read
            .timing_regressions
            .map(|on| on.value.0)
            .unwrap_or_default(),
    }
}

fn metric(read: MetricTable) -> MetricConfig {
    MetricConfig {
        command: text(read.command),
        file: text(read.file),
        field: text(read.field),
        min: read.min.map(|bound| bound.value.0),
        max: read.max.map(|bound| bound.value.0),
        regression: read.regression.map(|change| change.value.0),
    }
}

fn validators(read: ValidatorsTable) -> ValidatorSettings {
    let budgets = read.file_budgets.map(|all| all.value.0);
    let budgets = budgets.into_iter().flatten();
    let commands = read.commands.map(|all| all.value.0);
    let commands = commands.into_iter().flatten();
    ValidatorSettings {
        required_files: texts(read.required_files),
        size_budget: read.size_budget.map(|size| size.value.0),
        file_budgets: budgets.map(|(name, size)| (name.value, size.0)).collect(),
        commands: commands.map(|(name, text)| (name.value, text)).collect(),
    }
}

fn mirror(name: &S<String>, read: S<MirrorTable>, cx: &mut Cx) -> Option<MirrorSettings> {
    let at = read.at;
    let mut wrong = |title: String, help: &str| {
        cx.report(Report::new(at, title, "").help(help));
        None
    };
    let MirrorTable {
        folder,
        s3,
        endpoint,
        region,
    } = read.value;
    let name = &name.value;
    match (text(folder), text(s3)) {
        (Some(_), None) if endpoint.is_some() || region.is_some() => wrong(
            format!("mirror `{name}` is a folder"),
            "`endpoint` and `region` belong to `s3`",
        ),
        (Some(folder), None) => match checks::folder(&folder) {
            Ok(()) => Some(MirrorSettings::Folder(folder)),
            Err(help) => wrong(format!("mirror `{name}` names no folder"), help),
        },
        (None, Some(location)) => {
            let endpoint = text(endpoint);
            match checks::store(&location, endpoint.as_deref()) {
                Ok(()) => Some(MirrorSettings::Store {
                    location,
                    endpoint,
                    region: text(region),
                }),
                Err(help) => wrong(format!("mirror `{name}` names no bucket"), help),
            }
        }
        (Some(_), Some(_)) => wrong(
            format!("mirror `{name}` has two places"),
            "make two mirrors of it, each with a name of its own",
        ),
        (None, None) => wrong(
            format!("mirror `{name}` has no place"),
            "write folder = \"~/Drive/larder\" or s3 = \"s3://bucket/prefix\"",
        ),
    }
}
