//! A root, a store and a rescue folder for one test.
//! Knows nothing of what is tested.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use larder_cache::*;

pub(crate) struct Sandbox {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: DiskStore,
}

pub(crate) type Owned = BTreeMap<Vec<u8>, [u8; 32]>;

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let store = DiskStore::open(dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn rescue(&self) -> PathBuf {
        self.dir.path().join("rescued")
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Every path below the root with kind, mode, modification time of files, and content.
    pub(crate) fn snapshot(&self) -> BTreeMap<Vec<u8>, (String, Vec<u8>)> {
        let mut found = BTreeMap::new();
        walk(&self.root(), &self.root(), &mut found);
        found
    }

    pub(crate) fn pack(&self, paths: &[&str]) -> Packed {
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        pack(
            &self.root(),
            &paths,
            &PackOptions::default(),
            &self.store.tmp(),
        )
        .unwrap()
    }

    /// Packs and saves; the entry is not put under a key.
    pub(crate) fn entry(&self, paths: &[&str]) -> Entry {
        let packed = self.pack(paths);
        let artifact = packed.artifact.map(|artifact| {
            self.store
                .save(&artifact.id, Source::File(&artifact.file))
                .unwrap();
            artifact.id
        });
        entry_of(packed.manifest, artifact)
    }

    pub(crate) fn restore(&self, entry: &Entry, owned: &Owned) -> Result<Restored> {
        let rescue = self.rescue();
        let options = RestoreOptions::new(&|_| true, owned, &rescue);
        restore(&self.root(), entry, &self.store, &options)
    }

    pub(crate) fn empty_root(&self) {
        fs::remove_dir_all(self.root()).unwrap();
        fs::create_dir(self.root()).unwrap();
    }
}

pub(crate) fn entry_of(manifest: Manifest, artifact: Option<ArtifactId>) -> Entry {
    Entry {
        manifest,
        inline: None,
        artifact,
        log: Vec::new(),
        duration_ms: 1,
        provenance: Provenance {
            task: "a#build".into(),
            ..Provenance::default()
        },
        root: None,
        note: Vec::new(),
    }
}

pub(crate) fn owned_by(manifest: &[Row]) -> Owned {
    manifest
        .iter()
        .map(|row| (row.path.clone(), row.digest))
        .collect()
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<Vec<u8>, (String, Vec<u8>)>) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let name = path
            .strip_prefix(root)
            .unwrap()
            .as_os_str()
            .as_bytes()
            .to_vec();
        let (kind, content) = if meta.is_symlink() {
            let text = fs::read_link(&path).unwrap();
            ("link".to_owned(), text.as_os_str().as_bytes().to_vec())
        } else if meta.is_dir() {
            walk(root, &path, found);
            (format!("dir {:o}", meta.mode() & 0o777), Vec::new())
        } else {
            let kind = format!("file {:o}", meta.mode() & 0o777);
            (kind, fs::read(&path).unwrap())
        };
        found.insert(name, (kind, content));
    }
}

/// A folder on another file system than the temporary one, where this machine has any.
pub(crate) fn elsewhere(here: &Path) -> Option<tempfile::TempDir> {
    let device = |path: &Path| fs::metadata(path).ok().map(|meta| meta.dev());
    let found = ["/dev/shm", "/run", "/var/tmp", "/tmp"]
        .into_iter()
        .map(Path::new)
        .filter(|path| device(path).is_some() && device(path) != device(here))
        .find_map(|path| tempfile::tempdir_in(path).ok());
    if found.is_none() {
        use std::io::Write as _;
        // Print macros would be swallowed by the harness.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: nothing is moved to another file system: there is none that can be written"
        );
    }
    found
}
