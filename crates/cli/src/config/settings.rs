//! The settings of the whole workspace, with defaults filled in.
//! It does not know tasks and projects.

use super::archive;
use super::format::{CacheSettings, Glob, Settings};
use super::items::{DEFAULT_GLOBAL_INPUTS, glob, variables};
use super::parse::Cx;
use super::syntax::RootFile;

/// What `[workspace]`, `[cache]` and `[timings]` say.
pub(super) fn settings(root: &RootFile, cx: &mut Cx) -> Settings {
    let workspace = root
        .workspace
        .as_ref()
        .map(|w| w.value.clone())
        .unwrap_or_default();
    let global_inputs = match &workspace.global_inputs {
        None => DEFAULT_GLOBAL_INPUTS
            .iter()
            .map(|name| Glob {
                negated: false,
                from_root: true,
                glob: (*name).to_owned(),
            })
            .collect(),
        Some(items) => {
            let globs = items.value.iter();
            globs
                .filter_map(|item| glob(&item.value, item.at, cx))
                .map(|glob| Glob {
                    from_root: true,
                    ..glob
                })
                .collect()
        }
    };
    let cache = root
        .cache
        .as_ref()
        .map(|c| c.value.clone())
        .unwrap_or_default();
    let timings = root.timings.as_ref().map(|t| t.value.clone());
    let archive = root.archive.as_ref().map(|a| a.value.clone());
    Settings {
        runs_per_task: timings
            .and_then(|timings| timings.runs_per_task)
            .map(|count| count.value.0),
        archive: archive::settings(archive.unwrap_or_default(), cx),
        global_inputs,
        global_env: variables(workspace.global_env.as_ref(), cx),
        global_pass_through_env: variables(workspace.global_pass_through_env.as_ref(), cx),
        env_mode: workspace
            .env_mode
            .map(|mode| mode.value)
            .unwrap_or_default(),
        cache: CacheSettings {
            dir: cache.dir.map(|dir| dir.value),
            max_size: cache.max_size.map(|size| size.value.0),
            max_age: cache.max_age.map(|age| age.value.0),
            level: cache.level.map(|level| level.value.0),
            salt: cache.salt.map(|salt| salt.value),
        },
    }
}
