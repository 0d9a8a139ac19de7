//! Writes a planned fixture to disk, on all processors.
//! It knows nothing of tools and of what is measured.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::configs;
use super::content;
use super::plan::{File, Plan};

/// Writes the whole tree into a folder, which need not be there.
pub(crate) fn write(plan: &Plan, root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    for (path, text) in configs::root(plan) {
        put(root, &path, text.as_bytes())?;
    }
    files(&plan.ignored, plan.seed, root, "")?;
    each(plan.projects.len(), |number| {
        let project = &plan.projects[number];
        for (path, text) in configs::project(plan, project) {
            put(root, &path, text.as_bytes())?;
        }
        let folder = root.join(&project.folder);
        files(&project.sources, plan.seed, &folder, &project.folder)?;
        files(&project.ignored, plan.seed, &folder, &project.folder)
    })
}

/// Does something for every number below `count`, on all processors; gives the first error.
pub(crate) fn each<E: Send>(
    count: usize,
    act: impl Fn(usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            if let Err(error) = act(number) {
                next.store(count, Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..processors()).map(|_| scope.spawn(work)).collect();
        let mut ended = Ok(());
        for thread in threads {
            match thread.join() {
                Ok(result) => ended = ended.and(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        ended
    })
}

/// How many threads may run at once.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn files(files: &[File], seed: u64, folder: &Path, place: &str) -> io::Result<()> {
    let mut made = "";
    for file in files {
        // Sorted files share their folders with those before them.
        let parent = file.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let path = folder.join(&file.path);
        if parent != made {
            fs::create_dir_all(folder.join(parent))?;
            made = parent;
        }
        let bytes = content::bytes(file, seed, &format!("{place}/{}", file.path));
        fs::write(path, bytes)?;
    }
    Ok(())
}

fn put(root: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let path = root.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{SIZES, Size};
    use super::*;

    /// A fixture that takes no time.
    const TINY: Size = Size {
        name: "tiny",
        tasks: 5,
        files: 60,
        huge: 1,
        huge_bytes: 9000,
        ignored: 50,
    };

    /// One digest of every path and all bytes below a folder.
    fn digest(root: &Path) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            entries.sort();
            for path in entries {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                    hasher.update(name.as_bytes());
                    hasher.update(&fs::read(&path).unwrap());
                }
            }
        }
        hasher.finalize()
    }

    #[test]
    fn the_same_seed_gives_the_same_tree_to_the_byte() {
        let written = |seed: u64| {
            let folder = tempfile::tempdir().unwrap();
            write(&Plan::new(TINY, seed), folder.path()).unwrap();
            digest(folder.path())
        };
        assert_eq!(written(1), written(1));
        assert_ne!(written(1), written(2));
    }

    #[test]
    fn the_tree_on_disk_is_the_planned_one() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(SIZES[0], 1);
        write(&plan, folder.path()).unwrap();
        for project in &plan.projects {
            let at = folder.path().join(&project.folder);
            for path in Plan::inputs(project) {
                assert!(at.join(path).is_file(), "{path}");
            }
            for file in &project.sources {
                let bytes = fs::metadata(at.join(&file.path)).unwrap().len();
                assert_eq!(bytes, file.bytes as u64, "{}", file.path);
            }
        }
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let result = each(100, |number| if number == 3 { Err(number) } else { Ok(()) });
        assert_eq!(result, Err(3));
    }
}
