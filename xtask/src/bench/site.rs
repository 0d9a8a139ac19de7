//! One tool's copy of a fixture on disk: brings it into a state, and looks at what a run did to it.
//! It does not start tools.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::generate::{self, each};
use super::plan::Plan;

/// A copy of a fixture with the folders around it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The tree's root.
    pub(crate) root: PathBuf,
    /// Larder's cache, and other tools' if they take a folder.
    pub(crate) cache: PathBuf,
    /// The home of whatever runs here.
    pub(crate) home: PathBuf,
    /// For what runs print.
    pub(crate) logs: PathBuf,
}

/// When and where a file was written; equal stamps mean that nothing wrote it.
pub(crate) type Stamp = Option<(SystemTime, u64)>;

impl Site {
    /// The site in a folder; nothing is touched.
    pub(crate) fn at(folder: &Path) -> Site {
        Site {
            root: folder.join("tree"),
            cache: folder.join("cache"),
            home: folder.join("home"),
            logs: folder.join("logs"),
        }
    }

    /// Writes the tree anew, unless it lies there from the same plan.
    pub(crate) fn prepare(&self, plan: &Plan, git: bool) -> io::Result<()> {
        let stamp = format!("{} {} 8 {git}\n", plan.size.name, plan.seed);
        let noted = self.logs.join("written");
        for folder in [&self.home, &self.logs] {
            fs::create_dir_all(folder)?;
        }
        if fs::read_to_string(&noted).is_ok_and(|text| text == stamp) {
            return Ok(());
        }
        remove(&self.root)?;
        remove(&self.cache)?;
        generate::write(plan, &self.root)?;
        if git {
            self.git(&["init", "-q", "-b", "main"])?;
            // Large objects go straight into one pack: much faster than a file for each.
            self.git(&[
                "-c",
                "core.bigFileThreshold=1",
                "-c",
                "core.compression=0",
                "add",
                "-A",
            ])?;
            self.git(&[
                "-c",
                "user.name=fixture",
                "-c",
                "user.email=fixture@example.com",
                "-c",
                "commit.gpgsign=false",
                "commit",
                "-q",
                "-m",
                "fixture",
            ])?;
        }
        fs::write(noted, stamp)
    }

    fn git(&self, args: &[&str]) -> io::Result<()> {
        let output = std::process::Command::new("git")
            .args(args)
            .current_dir(&self.root)
            .env("HOME", &self.home)
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(io::Error::other(format!("git {}: {words}", args.join(" "))))
    }

    /// The environment of whatever runs here: the same for every tool, and none of the user's.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let fixed: [(&str, OsString); 8] = [
            ("PATH", path),
            ("HOME", self.home.clone().into()),
            ("LANG", "C".into()),
            ("LARDER_CACHE_DIR", self.cache.clone().into()),
            ("DO_NOT_TRACK", "1".into()),
            ("TURBO_TELEMETRY_DISABLED", "1".into()),
            ("NX_NO_CLOUD", "true".into()),
            ("NO_COLOR", "1".into()),
        ];
        fixed.map(|(name, value)| (name.into(), value)).into()
    }

    /// Removes all outputs.
    pub(crate) fn remove_outputs(&self, plan: &Plan) -> io::Result<()> {
        each(plan.projects.len(), |number| {
            remove(&self.root.join(&plan.projects[number].folder).join("dist"))
        })
    }

    /// Removes paths of the tree, where they are.
    pub(crate) fn remove(&self, paths: &[&str]) -> io::Result<()> {
        paths
            .iter()
            .try_for_each(|path| remove(&self.root.join(path)))
    }

    /// Gives every input the time of now.
    pub(crate) fn touch(&self, plan: &Plan) -> io::Result<()> {
        let now = FileTimes::new().set_modified(SystemTime::now());
        each(plan.projects.len(), |number| {
            let project = &plan.projects[number];
            let folder = self.root.join(&project.folder);
            Plan::inputs(project).try_for_each(|path| {
                OpenOptions::new()
                    .append(true)
                    .open(folder.join(path))?
                    .set_times(now)
            })
        })
    }

    /// Reads every input, so that all of them lie in memory.
    pub(crate) fn warm(&self, plan: &Plan) -> io::Result<()> {
        each(plan.projects.len(), |number| {
            let project = &plan.projects[number];
            let folder = self.root.join(&project.folder);
            Plan::inputs(project).try_for_each(|path| fs::read(folder.join(path)).map(drop))
        })
    }

    /// Makes a file its planned self again, with something added when there is a note.
    pub(crate) fn edit(&self, plan: &Plan, file: &str, note: Option<&str>) -> io::Result<()> {
        let found = plan.projects.iter().find_map(|project| {
            let inside = file.strip_prefix(&project.folder)?.strip_prefix('/')?;
            project.sources.iter().find(|file| file.path == inside)
        });
        let planned = found.ok_or_else(|| io::Error::other(format!("{file} is not planned")))?;
        let mut bytes = super::content::bytes(planned, plan.seed, file);
        let path = self.root.join(file);
        match note {
            Some(note) => bytes.extend_from_slice(format!("// {note}\n").as_bytes()),
            // What is right already keeps its times.
            None if fs::read(&path)? == bytes => return Ok(()),
            None => {}
        }
        File::create(path)?.write_all(&bytes)
    }

    /// The stamps of one output of each task, in order.
    pub(crate) fn stamps(&self, plan: &Plan) -> Vec<Stamp> {
        plan.projects
            .iter()
            .map(|project| stamp(&self.root.join(&project.folder).join("dist/index.txt")))
            .collect()
    }

    /// One digest of all outputs: their paths and bytes. A missing one is an error.
    pub(crate) fn digest(&self, plan: &Plan) -> io::Result<String> {
        let digests = std::sync::Mutex::new(vec![None; plan.projects.len()]);
        each(plan.projects.len(), |number| {
            let project = &plan.projects[number];
            let mut hasher = blake3::Hasher::new();
            let mut bytes = Vec::new();
            for path in Plan::outputs(project) {
                let at = self.root.join(&project.folder).join(&path);
                bytes.clear();
                File::open(&at)
                    .and_then(|mut file| file.read_to_end(&mut bytes))
                    .map_err(|error| {
                        io::Error::new(error.kind(), format!("{}: {error}", at.display()))
                    })?;
                hasher.update(path.as_bytes());
                hasher.update(blake3::hash(&bytes).as_bytes());
            }
            // A thread that panicked ends the whole anyway.
            if let Ok(mut digests) = digests.lock() {
                digests[number] = Some(hasher.finalize());
            }
            Ok::<_, io::Error>(())
        })?;
        let mut all = blake3::Hasher::new();
        for digest in digests
            .into_inner()
            .map_err(io::Error::other)?
            .iter()
            .flatten()
        {
            all.update(digest.as_bytes());
        }
        Ok(all.finalize().to_hex()[..16].to_owned())
    }

    /// All files below some folders, with their stamps.
    pub(crate) fn files_below(folders: &[&Path]) -> Vec<(PathBuf, Stamp)> {
        let mut open: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(path);
                } else {
                    let stamp = stamp(&path);
                    found.push((path, stamp));
                }
            }
        }
        found.sort();
        found
    }
}

/// Which of the stamps are not what they were.
pub(crate) fn changed<T: PartialEq>(before: &[T], after: &[T]) -> BTreeSet<usize> {
    (0..before.len().max(after.len()))
        .filter(|at| before.get(*at) != after.get(*at))
        .collect()
}

/// When and where a file was written; `None` if it is not there.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let data = fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&data);
    #[cfg(not(unix))]
    let number = data.len();
    Some((data.modified().ok()?, number))
}

/// Removes a file or a folder with all it holds; what is not there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::SIZES;
    use super::*;

    #[test]
    fn an_edit_is_seen_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(SIZES[0], 1);
        let site = Site::at(folder.path());
        site.prepare(&plan, false).unwrap();
        let (_, file) = plan.middle();
        let before = fs::read(site.root.join(&file)).unwrap();
        site.edit(&plan, &file, Some("first")).unwrap();
        let after = fs::read(site.root.join(&file)).unwrap();
        assert_eq!(after, [before.as_slice(), b"// first\n"].concat());
        site.edit(&plan, &file, None).unwrap();
        assert_eq!(fs::read(site.root.join(&file)).unwrap(), before);
    }

    #[test]
    fn a_touch_changes_times_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(SIZES[0], 1);
        let site = Site::at(folder.path());
        site.prepare(&plan, false).unwrap();
        let file = site
            .root
            .join(&plan.projects[0].folder)
            .join("package.json");
        let (text, before) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap());
        site.touch(&plan).unwrap();
        assert_eq!(fs::read(&file).unwrap(), text);
        assert!(fs::metadata(&file).unwrap().modified().unwrap() > before.modified().unwrap());
    }

    #[test]
    fn a_missing_output_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(SIZES[0], 1);
        let error = Site::at(folder.path()).digest(&plan).unwrap_err();
        assert!(error.to_string().contains("dist/"), "{error}");
    }

    #[test]
    fn stamps_that_differ_are_named() {
        assert_eq!(changed(&[1, 2, 3], &[1, 5, 3]), [1].into());
        assert_eq!(changed(&[1, 2], &[1, 2, 3]), [2].into());
    }
}
