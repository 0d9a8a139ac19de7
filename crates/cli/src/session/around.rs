//! What surrounds a session: the cache's folder, identities of place and boot, the workspace's secret.
//! Does not know tasks or keys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::Workspace;

/// Values of variables as the configuration asks for them.
pub(super) fn variables(env: &[(OsString, OsString)]) -> impl Fn(&str) -> Option<String> + '_ {
    |name| {
        let found = env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.to_string_lossy().into_owned())
    }
}

/// The cache's folder: flag or variable, then the configuration, then the user's cache folder.
pub(super) fn cache_dir(
    root: &Path,
    workspace: &Workspace,
    given: Option<PathBuf>,
    env: &[(OsString, OsString)],
) -> Result<PathBuf, String> {
    if let Some(dir) = given {
        return Ok(root.join(dir));
    }
    if let Some(dir) = &workspace.settings.cache.dir {
        return Ok(root.join(dir));
    }
    let var = |name: &str| {
        env.iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    let base = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Caches"))
    } else {
        var("XDG_CACHE_HOME")
            .filter(|dir| dir.is_absolute())
            .or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("larder"))
        .ok_or_else(|| "no folder for the cache is known; set LARDER_CACHE_DIR".to_owned())
}

/// Digest of where the workspace and its mounts lie: results that hold such a path are bound to it.
pub(super) fn root_digest(root: &Path, mounts: &[(Vec<u8>, PathBuf)]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(root.as_os_str().as_encoded_bytes());
    for (prefix, folder) in mounts {
        hasher.update(b"\0").update(prefix).update(b"\0");
        hasher.update(folder.as_os_str().as_encoded_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Random bytes made once a workspace; they never leave it.
pub(super) fn secret(folder: &Path) -> std::io::Result<[u8; 32]> {
    let path = folder.join("secret");
    if let Ok(bytes) = std::fs::read(&path)
        && let Ok(secret) = bytes.try_into()
    {
        return Ok(secret);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(&path)?, &secret)?;
    Ok(secret)
}

/// Identity of the machine's boot, under which the stat memo holds: after a power cut a file may have lost content
/// that was never synced and still have the size and times it had, so every file is digested once a boot.
pub(super) fn boot() -> [u8; 32] {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    *blake3::hash(&id).as_bytes()
}
