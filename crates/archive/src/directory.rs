//! A folder as a destination: each record a file, which appears whole by one link or rename that never replaces.
//! Does not know what the records mean; the least name counts as the oldest.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::destination::{Destination, DestinationError, unreadable};
use crate::name::Name;

/// Files of unfinished puts begin so; no [`Name`] does.
pub(crate) const TEMPORARY: &str = ".put-";
/// A temporary file older than this belongs to a process that died.
const ABANDONED: Duration = Duration::from_hours(24);

/// What a successful `put` survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process. A power cut may lose the record, or leave it empty.
    Process,
    /// A power cut as well: the file is synced before it appears, the folders that lead to it after. Where the system cannot
    /// sync a folder (Windows), the file alone is.
    Synced,
}

/// Keeps records as files under one folder. Links in it are neither followed nor listed.
#[derive(Debug)]
pub struct DirectoryDestination {
    root: PathBuf,
    durability: Durability,
}

impl DirectoryDestination {
    /// Opens the folder, creating it when it is missing.
    ///
    /// # Errors
    /// [`DestinationError::Io`] when it can neither be found nor created.
    pub fn open(
        root: impl Into<PathBuf>,
        durability: Durability,
    ) -> Result<Self, DestinationError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|cause| {
            let is_file = fs::metadata(&root).is_ok_and(|found| !found.is_dir());
            let cause = if is_file {
                io::Error::new(ErrorKind::NotADirectory, "it is a file, and no folder")
            } else {
                cause
            };
            failed("create", &root, cause)
        })?;
        if let (Durability::Synced, Some(parent)) = (durability, root.parent()) {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            sync_folder(parent).map_err(|cause| failed("sync", parent, cause))?;
        }
        Ok(Self { root, durability })
    }

    /// The folder, as it was given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Deletes temporary files that are over a day old, which only killed processes leave. Others may put here meanwhile.
    ///
    /// # Errors
    /// [`DestinationError::Io`] when the folder cannot be listed or a file cannot be deleted.
    pub fn sweep(&self) -> Result<(), DestinationError> {
        let entries =
            fs::read_dir(&self.root).map_err(|cause| failed("list", &self.root, cause))?;
        for entry in entries.filter_map(Result::ok) {
            let is_abandoned = || {
                let modified = entry.metadata().ok()?.modified().ok()?;
                modified.elapsed().ok().map(|age| age > ABANDONED)
            };
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(TEMPORARY) && is_abandoned() == Some(true) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The real folders from the root to the one that holds `name`; `None` when one is missing or is something else.
    fn folders(&self, name: &Name, create: bool) -> Result<Option<Vec<PathBuf>>, DestinationError> {
        let mut folder = self.root.clone();
        let mut folders = vec![folder.clone()];
        let mut components = name.components().peekable();
        while let Some(component) = components.next() {
            if components.peek().is_none() {
                break;
            }
            folder.push(component);
            if create {
                match fs::create_dir(&folder) {
                    Err(cause) if cause.kind() != ErrorKind::AlreadyExists => {
                        return Err(failed("create", &folder, cause));
                    }
                    _ => {}
                }
            }
            match fs::symlink_metadata(&folder) {
                Ok(found) if found.is_dir() => folders.push(folder.clone()),
                Ok(_) => return Ok(None),
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                Err(cause) => return Err(failed("examine", &folder, cause)),
            }
        }
        Ok(Some(folders))
    }

    fn path(&self, name: &Name) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(name.components());
        path
    }

    fn temporary(&self, content: &mut dyn Read) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file: the umask decides, not the privacy of temporary files.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(&self.root)?;
        io::copy(content, file.as_file_mut())?;
        if self.durability == Durability::Synced {
            file.as_file().sync_all()?;
        }
        Ok(file)
    }
}

impl DirectoryDestination {
    /// Puts what `content` gives; what is there already is held against it by `is_same`.
    fn store(
        &self,
        name: &Name,
        content: &mut dyn Read,
        is_same: &dyn Fn(&Path) -> Result<bool, DestinationError>,
    ) -> Result<(), DestinationError> {
        let exists = || Err(DestinationError::Exists { name: name.clone() });
        let Some(folders) = self.folders(name, true)? else {
            return exists();
        };
        let path = self.path(name);
        let file = self
            .temporary(content)
            .map_err(|cause| failed("write in", &self.root, cause))?;
        if let Err(refused) = file.persist_noclobber(&path) {
            if refused.error.kind() != ErrorKind::AlreadyExists {
                return Err(failed("create", &path, refused.error));
            }
            if !self.is_record(name)? || !is_same(&path)? {
                return exists();
            }
            // Whoever wrote it may have died before its sync.
            if self.durability == Durability::Synced {
                File::open(&path)
                    .and_then(|file| sync_existing(&file))
                    .map_err(|cause| failed("sync", &path, cause))?;
            }
        }
        if self.durability == Durability::Synced {
            for folder in folders.iter().rev() {
                sync_folder(folder).map_err(|cause| failed("sync", folder, cause))?;
            }
        }
        Ok(())
    }

    /// Whether a file is there, which no link leads to.
    fn is_record(&self, name: &Name) -> Result<bool, DestinationError> {
        if self.folders(name, false)?.is_none() {
            return Ok(false);
        }
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(found) => Ok(found.is_file()),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(failed("examine", &path, cause)),
        }
    }

    fn open_record(&self, name: &Name) -> Result<Option<File>, DestinationError> {
        if !self.is_record(name)? {
            return Ok(None);
        }
        let path = self.path(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(failed("read", &path, cause)),
        }
    }
}

impl Destination for DirectoryDestination {
    fn put(&self, name: &Name, mut content: &[u8]) -> Result<(), DestinationError> {
        let whole = content;
        self.store(name, &mut content, &|path| {
            let there = fs::read(path).map_err(|cause| failed("read", path, cause))?;
            Ok(there == whole)
        })
    }

    fn put_file(&self, name: &Name, file: &Path) -> Result<(), DestinationError> {
        let open = || File::open(file).map_err(|cause| unreadable(file, cause));
        self.store(name, &mut open()?, &|path| {
            let there = File::open(path).map_err(|cause| failed("read", path, cause))?;
            is_same(open()?, there).map_err(|cause| failed("read", path, cause))
        })
    }

    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError> {
        let mut content = Vec::new();
        Ok(self.read_into(name, &mut content)?.then_some(content))
    }

    fn read_into(&self, name: &Name, to: &mut dyn Write) -> Result<bool, DestinationError> {
        let Some(mut file) = self.open_record(name)? else {
            return Ok(false);
        };
        io::copy(&mut file, to).map_err(|cause| failed("read", &self.path(name), cause))?;
        Ok(true)
    }

    fn list(&self) -> Result<Vec<Name>, DestinationError> {
        let mut names = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(prefix) = folders.pop() {
            let folder = self.root.join(&prefix);
            for entry in fs::read_dir(&folder).map_err(|cause| failed("list", &folder, cause))? {
                let entry = entry.map_err(|cause| failed("list", &folder, cause))?;
                let kind = entry
                    .file_type()
                    .map_err(|cause| failed("examine", &entry.path(), cause))?;
                // What no put could have written is not ours: temporary files, links, names we refuse.
                let Some(text) = entry.file_name().to_str().map(|text| prefix.clone() + text)
                else {
                    continue;
                };
                let Ok(name) = Name::new(text) else { continue };
                if kind.is_dir() {
                    folders.push(format!("{name}/"));
                } else if kind.is_file() {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Deletes the records with the least names until `keep` are left, and gives the deleted names, oldest first. Age goes by name, so begin
/// names with the time; modification times change when a folder is copied. Also deletes temporary files that are over a day old, which
/// only killed processes leave. Several processes may prune one folder at a time.
///
/// # Errors
/// [`DestinationError::Io`] when the folder cannot be listed or a record cannot be deleted; what was deleted before stays deleted.
pub fn prune_oldest(
    folder: &DirectoryDestination,
    keep: usize,
) -> Result<Vec<Name>, DestinationError> {
    let mut names = folder.list()?;
    names.truncate(names.len().saturating_sub(keep));
    for name in &names {
        remove(&folder.path(name))?;
    }
    folder.sweep()?;
    Ok(names)
}

fn is_same(one: File, other: File) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let common = left.len().min(right.len());
        if common == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..common] != right[..common] {
            return Ok(false);
        }
        one.consume(common);
        other.consume(common);
    }
}

fn remove(path: &Path) -> Result<(), DestinationError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed("delete", path, cause)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

// Windows has no way to sync a folder without special rights.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_existing(file: &File) -> io::Result<()> {
    file.sync_all()
}

// Windows syncs only files that are open for writing, and a record is never opened so again.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)]
fn sync_existing(_file: &File) -> io::Result<()> {
    Ok(())
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> DestinationError {
    DestinationError::Io {
        action,
        place: path.display().to_string(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::contract;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut files: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    #[test]
    fn keeps_the_contract_synced_or_not() {
        for durability in [Durability::Process, Durability::Synced] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("not/yet/there");
            contract::holds(&DirectoryDestination::open(&root, durability).unwrap());
            // Nothing temporary is left, and what is there is a plain file with the content.
            assert_eq!(files(&root), ["a", "b.json", "c", "files", "race"]);
            assert_eq!(fs::read(root.join("b.json")).unwrap(), b"one\0two");
        }
    }

    #[test]
    fn records_outlive_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let open = || DirectoryDestination::open(folder.path(), Durability::Process).unwrap();
        open().put(&name("a/b"), b"1").unwrap();
        assert_eq!(open().get(&name("a/b")).unwrap().unwrap(), b"1");
        assert!(matches!(
            open().put(&name("a/b"), b"2"),
            Err(DestinationError::Exists { .. })
        ));
    }

    #[test]
    fn what_no_put_wrote_is_neither_listed_nor_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let place = DirectoryDestination::open(folder.path(), Durability::Process).unwrap();
        place.put(&name("a"), b"1").unwrap();
        fs::write(folder.path().join(".put-1234"), b"half").unwrap();
        fs::write(folder.path().join(".gitignore"), b"*").unwrap();
        assert_eq!(place.list().unwrap(), [name("a")]);
        assert_eq!(prune_oldest(&place, 0).unwrap(), [name("a")]);
        assert_eq!(files(folder.path()), [".gitignore", ".put-1234"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("x"), b"theirs").unwrap();
        let place = DirectoryDestination::open(&root, Durability::Process).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("folder")).unwrap();
        std::os::unix::fs::symlink(outside.join("x"), root.join("file")).unwrap();
        std::os::unix::fs::symlink(outside.join("new"), root.join("dangling")).unwrap();
        for text in ["folder/new", "folder/x", "file", "dangling"] {
            assert!(place.put(&name(text), b"ours").is_err(), "{text}");
            assert_eq!(place.get(&name(text)).unwrap(), None, "{text}");
        }
        assert!(place.list().unwrap().is_empty());
        assert_eq!(files(&outside), ["x"]);
        assert_eq!(fs::read(outside.join("x")).unwrap(), b"theirs");
    }

    #[test]
    fn prune_keeps_the_greatest_names() {
        let folder = tempfile::tempdir().unwrap();
        let place = DirectoryDestination::open(folder.path(), Durability::Process).unwrap();
        for text in ["3", "1", "4", "2"] {
            place.put(&name(text), text.as_bytes()).unwrap();
        }
        assert!(prune_oldest(&place, 5).unwrap().is_empty());
        assert!(prune_oldest(&place, 4).unwrap().is_empty());
        assert_eq!(prune_oldest(&place, 2).unwrap(), [name("1"), name("2")]);
        assert_eq!(files(folder.path()), ["3", "4"]);
        assert_eq!(prune_oldest(&place, 0).unwrap().len(), 2);
        assert!(place.list().unwrap().is_empty());
    }

    #[test]
    fn prune_removes_what_a_killed_process_left_long_ago() {
        let folder = tempfile::tempdir().unwrap();
        let place = DirectoryDestination::open(folder.path(), Durability::Process).unwrap();
        for (file, days) in [(".put-old", 2), (".put-new", 0), (".other", 2)] {
            let file = File::create(folder.path().join(file)).unwrap();
            file.set_modified(SystemTime::now() - ABANDONED * days)
                .unwrap();
        }
        prune_oldest(&place, 9).unwrap();
        assert_eq!(files(folder.path()), [".other", ".put-new"]);
    }

    #[test]
    fn an_unusable_folder_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let refused = DirectoryDestination::open(folder.path().join("file/x"), Durability::Synced)
            .unwrap_err();
        assert!(refused.to_string().contains("file"), "{refused}");
        let refused = DirectoryDestination::open(folder.path().join("file"), Durability::Synced);
        let DestinationError::Io { cause, .. } = refused.unwrap_err() else {
            panic!("it is no conflict");
        };
        assert_eq!(cause.to_string(), "it is a file, and no folder");
    }
}
