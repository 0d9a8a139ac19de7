//! What the keys of a run's tasks rested on and what the tasks made, as a member of the bundle: `manifests.json`.
//! Does not know how a key is made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the layout. A newer one is refused.
pub const MANIFESTS_VERSION: u32 = 1;

/// The manifests of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifests {
    /// [`MANIFESTS_VERSION`].
    pub version: u32,
    /// Names the secret that the digests of variables were keyed with, without telling it. Those of two secrets do not compare.
    #[serde(default)]
    pub secret: Option<String>,
    /// The tasks, by `project#task`.
    #[serde(default)]
    pub tasks: BTreeMap<String, TaskManifest>,
}

/// What is known of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskManifest {
    /// The files that it read, by path.
    pub inputs: BTreeMap<String, FileState>,
    /// The digests of what its tools printed, by command.
    pub tools: BTreeMap<String, String>,
    /// The keyed digests of variables, by name; `null` for one that was not set. Never a value.
    pub environment: BTreeMap<String, Option<String>>,
    /// Other parts of the key, such as its command and platform, by name: text or digest.
    pub parts: BTreeMap<String, String>,
    /// The files that it made, by path.
    pub outputs: BTreeMap<String, FileState>,
}

/// A file as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// `file`, `link`, `empty-dir` or `absent`.
    pub kind: FileKind,
    /// Whether its owner may execute it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    /// BLAKE3, in hexadecimal; empty where there is nothing to digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A link.
    Link,
    /// A folder without anything in it.
    EmptyDir,
    /// A file that was named and is not there.
    Absent,
}

impl Default for Manifests {
    fn default() -> Self {
        Self {
            version: MANIFESTS_VERSION,
            secret: None,
            tasks: BTreeMap::new(),
        }
    }
}

impl Manifests {
    /// Reads manifests of this version.
    ///
    /// # Errors
    /// In words, when they are of another version or none.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let Versioned { version } =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if version != u64::from(MANIFESTS_VERSION) {
            return Err(format!(
                "the manifests have version {version} and this program reads version {MANIFESTS_VERSION}"
            ));
        }
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }
}
