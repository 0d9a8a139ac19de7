//! Where a background session keeps its lock, its socket, its name and its log.
//! Does not connect or listen.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::format::Name;

/// A socket's path has to fit into so many bytes everywhere.
const LONGEST: usize = 100;
/// What names of private folders begin with.
const PREFIX: &str = "larder-session-";

/// The paths of a workspace's session.
#[derive(Debug)]
pub(super) struct Place {
    /// `.larder`.
    pub(super) folder: PathBuf,
    /// Held as long as it lives.
    pub(super) lock: PathBuf,
    /// Names it.
    pub(super) name: PathBuf,
    /// What it has to say.
    pub(super) log: PathBuf,
    socket: PathBuf,
}

impl Place {
    pub(super) fn new(root: &Path) -> Place {
        let folder = root.join(".larder");
        Place {
            lock: folder.join("session.lock"),
            name: folder.join("session.json"),
            log: folder.join("session.log"),
            socket: folder.join("session.sock"),
            folder,
        }
    }

    /// Where the socket of a session lies, if there is one.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        if self.is_short() {
            return Some(self.socket.clone());
        }
        let socket = PathBuf::from(self.read_name()?.socket);
        let private = socket.parent()?;
        self.is_private(private).then_some(socket)
    }

    /// What the name of the private folder of a session begins with. A copy of the workspace brings a copy of the file that names the
    /// session of the first, which must not answer for it: the lock, which only this session holds, tells them apart.
    fn prefix(&self) -> String {
        let lock = fs::symlink_metadata(&self.lock).map_or((0, 0), |lock| (lock.dev(), lock.ino()));
        format!("{PREFIX}{:x}-{:x}-", lock.0, lock.1)
    }

    /// Whether a folder is a private one that this user made for the socket of this workspace.
    fn is_private(&self, folder: &Path) -> bool {
        is_ours(folder, &self.prefix())
    }

    fn is_short(&self) -> bool {
        self.socket.as_os_str().as_bytes().len() <= LONGEST
    }

    /// Makes room for a socket. Whatever lies there is of a session that ended, as the caller holds the lock.
    pub(super) fn new_socket(&self, temporary: &Path) -> io::Result<PathBuf> {
        self.clear();
        if self.is_short() {
            return Ok(self.socket.clone());
        }
        let private = tempfile::Builder::new()
            .prefix(&self.prefix())
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(temporary)?;
        Ok(private.keep().join("socket"))
    }

    /// Removes the socket and the name.
    pub(super) fn clear(&self) {
        if let Some(socket) = self.socket() {
            // What cannot be removed is met again where it is in the way.
            let _ = fs::remove_file(&socket);
            if let Some(private) = socket.parent().filter(|private| self.is_private(private)) {
                let _ = fs::remove_dir(private);
            }
        }
        let _ = fs::remove_file(&self.name);
    }

    pub(super) fn read_name(&self) -> Option<Name> {
        serde_json::from_slice(&fs::read(&self.name).ok()?).ok()
    }

    pub(super) fn write_name(&self, name: &Name) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec_pretty(name)?)?;
        file.persist(&self.name)?;
        Ok(())
    }

    /// Takes the lock; `None` when a session holds it.
    pub(super) fn take_lock(&self) -> io::Result<Option<File>> {
        let file = File::options().create(true).append(true).open(&self.lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a session holds the lock.
    pub(super) fn is_locked(&self) -> bool {
        // To look is not to make it: there may be no workspace at all.
        File::open(&self.lock)
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Whether this file is still the one at the lock's place.
    pub(super) fn still_holds(&self, lock: &File) -> bool {
        match (lock.metadata(), fs::symlink_metadata(&self.lock)) {
            (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }
}

/// Whether a folder has such a name, and is of this user alone.
fn is_ours(folder: &Path, prefix: &str) -> bool {
    let named = folder
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()));
    let stat = fs::symlink_metadata(folder);
    named
        && stat.is_ok_and(|stat| {
            stat.is_dir()
                && stat.mode() & 0o777 == 0o700
                && stat.uid() == rustix::process::geteuid().as_raw()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_lies_in_the_workspace_or_where_the_name_says_if_that_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let short = Place::new(Path::new("/w"));
        assert_eq!(
            short.socket().unwrap(),
            Path::new("/w/.larder/session.sock")
        );
        let root = dir.path().join("x".repeat(120));
        fs::create_dir_all(root.join(".larder")).unwrap();
        let long = Place::new(&root);
        assert_eq!(long.socket(), None);
        let socket = long.new_socket(dir.path()).unwrap();
        fs::write(&socket, "").unwrap();
        let name = Name {
            pid: 1,
            start: String::new(),
            version: String::new(),
            socket: socket.to_str().unwrap().to_owned(),
        };
        long.write_name(&name).unwrap();
        assert_eq!(long.socket(), Some(socket.clone()));
        let private = socket.parent().unwrap();
        fs::set_permissions(private, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(long.socket(), None, "others may write there");
        fs::set_permissions(private, fs::Permissions::from_mode(0o700)).unwrap();
        long.clear();
        assert!(!private.exists() && long.read_name().is_none());
    }

    #[test]
    fn the_lock_is_held_once_and_is_known_to_be_gone() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        assert!(!place.is_locked());
        fs::create_dir(&place.folder).unwrap();
        let held = place.take_lock().unwrap().unwrap();
        assert!(place.is_locked() && place.still_holds(&held));
        assert!(place.take_lock().unwrap().is_none());
        fs::remove_file(&place.lock).unwrap();
        assert!(!place.still_holds(&held));
        fs::write(&place.lock, "").unwrap();
        assert!(!place.still_holds(&held), "another one of the same name");
    }
}
