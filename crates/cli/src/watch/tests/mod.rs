//! Watching is tested on the real disk, without sleeps: a cookie tells when all events were read.
//! The seam's contract is in `contract.rs`, what is lost or refused in `lost.rs`.

mod contract;
mod disk;
mod lost;
mod random;
mod rules;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config;
use crate::session::changes::ChangeSet;

use super::{Changes, system};

/// A workspace on disk.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let place = Place {
            root: base.join("ws"),
            _dir: dir,
        };
        fs::create_dir(&place.root).unwrap();
        TOLD.set((place.root.clone(), BTreeMap::new()));
        for (path, content) in files {
            place.write(path, content);
        }
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file, with the folders above it.
    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn workspace(&self) -> config::Workspace {
        config::load(&self.root, &|_| None).unwrap()
    }

    fn watch(&self) -> Changes {
        let changes = Changes::open(&self.root, &self.workspace(), system().unwrap()).unwrap();
        assert_eq!(changes.blind(), None);
        changes
    }
}

/// The paths of a set that is not everything.
fn paths(changes: &ChangeSet) -> Vec<String> {
    assert_eq!(changes.why_everything(), None);
    let text = |path| String::from_utf8_lossy(path).into_owned();
    changes.paths().map(text).collect()
}

thread_local! {
    /// The root of the test's workspace, and how what was told of it looked then.
    static TOLD: RefCell<(PathBuf, BTreeMap<String, Option<Look>>)> = RefCell::default();
}

/// Enough of a stat to tell an edit.
type Look = (u64, u64, i64, i64);

/// The paths that changed by now, without those that are as they were when they were told before: a process that another test
/// starts holds this one's open files for a moment, and when that closes them, they are told once more.
fn changed(changes: &mut Changes) -> Vec<String> {
    let mut told = paths(&changes.sync());
    TOLD.with_borrow_mut(|(root, before)| {
        told.retain(|path| {
            let stat = root.join(path).symlink_metadata().ok();
            let look = stat.filter(fs::Metadata::is_file);
            let look = look.map(|stat| (stat.ino(), stat.size(), stat.ctime(), stat.ctime_nsec()));
            before.insert(path.clone(), look) != Some(look) || look.is_none()
        });
    });
    told
}

/// Why everything may have changed by now.
fn everything(changes: &mut Changes) -> String {
    let set = changes.sync();
    set.why_everything()
        .unwrap_or_else(|| panic!("{set:?}"))
        .to_owned()
}

/// Runs git in a folder.
fn git(folder: &Path, args: &str) {
    let done = std::process::Command::new("git")
        .args(args.split(' '))
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "larder")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "larder@example.org")))
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
